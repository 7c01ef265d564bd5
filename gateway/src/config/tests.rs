use super::*;
use crate::admission::origin::AllowedOrigin;
use crate::secret::Secret;
use std::fs;

const PATH: &str = "/home/ada/.openclaw/openclaw.json";

fn parse(text: &str) -> Config {
    Config::parse(text, Path::new(PATH)).expect("a good file")
}

fn error(text: &str) -> String {
    let error = Config::parse(text, Path::new(PATH))
        .expect_err(text)
        .to_string();
    error
        .strip_prefix("Invalid config at ")
        .expect("the usual start")
        .replace(PATH, "P")
}

#[test]
fn every_known_key_is_read() {
    let config = parse(
        r#"{"gateway": {"mode": "local", "port": 28789, "bind": "lan",
            "auth": {"mode": "token", "token": "t", "password": "p"},
            "remote": {"url": "wss://host:1/x", "token": "rt", "password": "rp"}}}"#,
    );
    let gateway = &config.gateway;
    assert_eq!(gateway.mode, Some(Mode::Local));
    assert_eq!(gateway.port, Some(28789));
    assert_eq!(gateway.bind, Some(Bind::Lan));
    assert_eq!(gateway.auth.mode, Some(AuthMode::Token));
    assert_eq!(gateway.remote.url.as_deref(), Some("wss://host:1/x"));
    let secrets = [
        &gateway.auth.token,
        &gateway.auth.password,
        &gateway.remote.token,
        &gateway.remote.password,
    ];
    let secrets = secrets.map(|input| Some(input.as_ref()?.text()?.expose()));
    assert_eq!(secrets, [Some("t"), Some("p"), Some("rt"), Some("rp")]);
    assert!(config.unknown_keys().is_empty());
}

#[test]
fn what_limits_guessing_and_pages_is_read() {
    let config = parse(
        "{gateway: {controlUi: {allowedOrigins: ['HTTPS://A.example/', '*']}, auth: {dangerouslyAllowNoneOnNetwork: true,
            rateLimit: {maxAttempts: 3, windowMs: 1000, lockoutMs: 0, exemptLoopback: false}}}}",
    );
    assert!(config.gateway.auth.none_on_network);
    let limit = &config.gateway.auth.rate_limit;
    assert_eq!(limit.attempts, 3);
    assert_eq!(limit.window, Duration::from_secs(1));
    assert_eq!(limit.lockout, Duration::ZERO);
    assert!(!limit.exempt_loopback);
    let expected =
        ["https://a.example", "*"].map(|entry| AllowedOrigin::parse(entry).expect(entry));
    assert_eq!(config.gateway.control_ui.allowed_origins, expected);
    assert!(config.unknown_keys().is_empty());

    let limit = parse("{}").gateway.auth.rate_limit;
    let published = (10, Duration::from_secs(60), Duration::from_secs(300), true);
    assert_eq!(
        (
            limit.attempts,
            limit.window,
            limit.lockout,
            limit.exempt_loopback
        ),
        published
    );
}

#[test]
fn members_of_references_and_providers_that_are_not_known_are_named() {
    let config = parse(
        "{gateway: {auth: {token: {source: 'env', id: 'A', ID: 'B'}}}, secrets: {egressProxy: {}, defaults: {store: 's'},
            providers: {vault: {source: 'env', 'allow list': 1}}}}",
    );
    assert_eq!(
        config.unknown_keys(),
        [
            "gateway.auth.token.ID",
            "secrets.egressProxy",
            "secrets.defaults.store",
            r#"secrets.providers.vault."allow list""#,
        ]
    );
}

#[test]
fn json5_is_read_as_people_write_it() {
    let config = parse(
        "\u{feff}// a comment\n{ gateway: { /* another */ 'mode': 'local', port: 0x4965,\n\
         auth: { token: 'it\\'s \\x41 \\u0042\\\n!', }, }, $other_1: [+1, .5, 5., Infinity, -NaN,], }\n",
    );
    assert_eq!(config.gateway.mode, Some(Mode::Local));
    assert_eq!(config.gateway.port, Some(18789));
    let token = config.gateway.auth.token.expect("a token");
    assert_eq!(token.text().map(Secret::expose), Some("it's A B!"));
    assert_eq!(config.unknown_keys, ["$other_1"]);
}

#[test]
fn four_rare_spellings_of_json5_are_not_read() {
    assert_eq!(
        error(r"{g\u0061teway: {}}"),
        "P:1:2: unexpected character, or text without quotes"
    );
    assert_eq!(
        error("{// comment\u{2028}gateway: {}}"),
        "P:1:1: this { is never closed"
    );
}

#[test]
fn an_empty_object_leaves_everything_to_the_defaults() {
    let config = parse("{}");
    assert!(config.gateway.mode.is_none());
    assert!(config.gateway.auth.token.is_none());
}

#[test]
fn unknown_keys_are_kept_in_mind_and_no_error() {
    let config = parse(
        r#"{gateway: {bogusKey: 1, auth: {rateLimit: {a: 1}, b: 1}, remote: {"ssh target": 1}}, zzz: true,
            "a.b": null, "": 0, "\u001b[2J": {}, "gateway": {mode: "local"}}"#,
    );
    assert_eq!(
        config.unknown_keys(),
        [
            "gateway.bogusKey",
            "gateway.auth.rateLimit.a",
            "gateway.auth.b",
            r#"gateway.remote."ssh target""#,
            "zzz",
            r#""a.b""#,
            r#""""#,
            r#""\u{1b}[2J""#
        ]
    );
    assert_eq!(
        config.gateway.mode,
        Some(Mode::Local),
        "the last of two counts"
    );
}

#[test]
fn a_long_unknown_key_is_cut_at_a_character() {
    let config = parse(&format!("{{a{}: 1}}", "ä".repeat(500)));
    let name = &config.unknown_keys()[0];
    assert!(name.len() < 130, "{name}");
    assert!(name.ends_with("ä\"…"), "{name}");
}

#[test]
fn a_wrong_value_is_reported_by_its_key_and_what_it_must_be() {
    for (text, expected) in [
        ("{gateway: 1}", "P: gateway: must be an object"),
        ("{gateway: null}", "P: gateway: must be an object"),
        (
            "{gateway: {auth: []}}",
            "P: gateway.auth: must be an object",
        ),
        (
            "{gateway: {remote: 'x'}}",
            "P: gateway.remote: must be an object",
        ),
        (
            "{gateway: {mode: 'lokal'}}",
            r#"P: gateway.mode: must be "local" or "remote""#,
        ),
        (
            "{gateway: {mode: 1}}",
            r#"P: gateway.mode: must be "local" or "remote""#,
        ),
        (
            "{gateway: {bind: '0.0.0.0'}}",
            r#"P: gateway.bind: must be "loopback", "lan", "tailnet", "auto" or "custom""#,
        ),
        (
            "{gateway: {auth: {mode: 'open'}}}",
            r#"P: gateway.auth.mode: must be "none", "token", "password" or "trusted-proxy""#,
        ),
        (
            "{gateway: {auth: {token: 12345}}}",
            r#"P: gateway.auth.token: must be a string, or a reference such as {source: "env", id: "NAME"}"#,
        ),
        (
            "{gateway: {auth: {password: ' '}}}",
            "P: gateway.auth.password: must not be empty; set it or remove the key",
        ),
        (
            "{gateway: {auth: {token: '__OPENCLAW_REDACTED__'}}}",
            "P: gateway.auth.token: is the placeholder of a redacted configuration; write the secret itself",
        ),
        (
            "{gateway: {auth: {token: {source: 'vault', id: 'X'}}}}",
            r#"P: gateway.auth.token: source must be "env", "file" or "exec""#,
        ),
        (
            "{gateway: {remote: {password: {source: 'env', id: 'x'}}}}",
            r#"P: gateway.remote.password: id must be the name of a variable in capitals, such as "GATEWAY_TOKEN""#,
        ),
        (
            "{gateway: {auth: {token: {source: 'file', id: 'a/b'}}}}",
            r#"P: gateway.auth.token: id must be a JSON pointer such as "/gateway/token", or "value" for a file that holds nothing else"#,
        ),
        (
            "{gateway: {auth: {token: {source: 'file', id: '/a~2'}}}}",
            r#"P: gateway.auth.token: id must be a JSON pointer such as "/gateway/token", or "value" for a file that holds nothing else"#,
        ),
        (
            "{gateway: {auth: {token: {source: 'exec', id: 'a/../b'}}}}",
            r#"P: gateway.auth.token: id must be up to 256 letters, digits and . _ : / # -, without "." and ".." between slashes"#,
        ),
        (
            "{gateway: {auth: {token: {source: 'env', id: 'X', provider: 'Not'}}}}",
            "P: gateway.auth.token: provider must be one of the names in secrets.providers",
        ),
        (
            "{gateway: {auth: {rateLimit: {maxAttempts: 0}}}}",
            "P: gateway.auth.rateLimit.maxAttempts: must be an integer from 1 to 1000",
        ),
        (
            "{gateway: {auth: {rateLimit: {exemptLoopback: 'no'}}}}",
            "P: gateway.auth.rateLimit.exemptLoopback: must be true or false",
        ),
        (
            "{gateway: {controlUi: {allowedOrigins: 'https://a'}}}",
            r#"P: gateway.controlUi.allowedOrigins: must be a list of origins such as "https://control.example.com" without a path, or "*""#,
        ),
        (
            "{gateway: {controlUi: {allowedOrigins: ['https://a/b']}}}",
            r#"P: gateway.controlUi.allowedOrigins: must be a list of origins such as "https://control.example.com" without a path, or "*""#,
        ),
        (
            "{secrets: {providers: {'Not good': {}}}}",
            "P: secrets.providers: each name must be a lower-case letter, then up to 63 lower-case letters, digits, _ and -",
        ),
        (
            "{secrets: {providers: {vault: {}}}}",
            r#"P: secrets.providers.vault.source: must be "env", "file" or "exec""#,
        ),
        (
            "{secrets: {providers: {vault: {source: 'exec'}}}}",
            r#"P: secrets.providers.vault.command: must be a whole path such as "/etc/openclaw/secrets.json""#,
        ),
        (
            "{secrets: {providers: {vault: {source: 'exec', command: 'vault'}}}}",
            r#"P: secrets.providers.vault.command: must be a whole path such as "/etc/openclaw/secrets.json""#,
        ),
        (
            r"{secrets: {providers: {vault: {source: 'file', path: '/a\nb'}}}}",
            r#"P: secrets.providers.vault.path: must be a whole path such as "/etc/openclaw/secrets.json""#,
        ),
        (
            "{secrets: {providers: {vault: {source: 'exec', command: '/x', timeoutMs: 120001}}}}",
            "P: secrets.providers.vault.timeoutMs: must be an integer from 1 to 120000",
        ),
        (
            "{secrets: {providers: {vault: {source: 'exec', command: '/x', env: {A: 1}}}}}",
            "P: secrets.providers.vault.env: must hold variables with strings as their values",
        ),
        (
            "{gateway: {remote: {url: 'http://x'}}}",
            "P: gateway.remote.url: must be a ws:// or wss:// address",
        ),
        (
            "{gateway: {remote: {token: true}}}",
            r#"P: gateway.remote.token: must be a string, or a reference such as {source: "env", id: "NAME"}"#,
        ),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn a_port_is_a_whole_number_in_range_however_it_is_written() {
    for (number, port) in [
        ("1", 1),
        ("65535", 65535),
        ("+80", 80),
        ("0X50", 80),
        ("80.0", 80),
        ("8e1", 80),
    ] {
        let config = parse(&format!("{{gateway: {{port: {number}}}}}"));
        assert_eq!(config.gateway.port, Some(port), "{number}");
    }
    for number in [
        "0",
        "-0",
        "65536",
        "-1",
        "80.5",
        "1e9",
        "1e999",
        "NaN",
        "-Infinity",
        "0x10000",
        "-0x50",
        "'80'",
        "true",
        "null",
        "[80]",
    ] {
        assert_eq!(
            error(&format!("{{gateway: {{port: {number}}}}}")),
            "P: gateway.port: must be an integer from 1 to 65535",
            "{number}"
        );
    }
}

#[test]
fn a_broken_file_is_reported_by_line_and_column() {
    for (text, expected) in [
        (
            r#"{"gateway":{"mode":"local","#,
            "P:1:12: this { is never closed",
        ),
        (
            "{\n  gateway: {\n    mode: 'local'\n    port: 1\n}}",
            "P:3:18: expected a comma",
        ),
        (
            "{\n  gateway: {mode: local}}",
            "P:2:19: unexpected character, or text without quotes",
        ),
        (
            "{gateway: {mode: local }}",
            "P:1:18: text must be in quotes",
        ),
        ("{gateway: }", "P:1:11: unexpected }"),
        ("{gateway {}}", "P:1:10: expected a colon after the key"),
        ("{} {}", "P:1:4: unexpected text after the end"),
        ("{a: [1, 2", "P:1:5: this [ is never closed"),
        ("{a: 1,, b: 2}", "P:1:7: unexpected character"),
        ("{} /* x", "P:1:4: this /* is never closed"),
        ("{'ä': 'ö', b: -}", "P:1:16: broken number"),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    for text in ["", " \n", "// nothing", "[]", "'gateway'", "null"] {
        assert_eq!(
            error(text),
            r#"P: must hold one object, such as {gateway: {mode: "local"}}"#,
            "{text}"
        );
    }
}

#[test]
fn no_error_repeats_a_secret() {
    for text in [
        r"{gateway: {auth: {token: 'hunter2\ud842'}}}",
        r"{gateway: {auth: {token: 'hunter2\udead",
        "{gateway: {auth: {token: hunter2}}}",
        "{gateway: {auth: {token: ['hunter2']}}}",
        "{gateway: {remote: {url: 'http://hunter2@host'}}}",
        "{gateway: {mode: 'hunter2'}}",
        "{gateway: {auth: {token: 'hunter2}}}",
        "{gateway: {auth: {token: {source: 'hunter2'}}}}",
        "{gateway: {auth: {token: {source: 'env', id: 'hunter2'}}}}",
        "{gateway: {auth: {token: {source: 'env', id: 'A', provider: 'HUNTER/hunter2'}}}}",
        "{secrets: {providers: {a: {source: 'exec', command: '/x', env: {A: ['hunter2']}}}}}",
        "{secrets: {providers: {a: {source: 'exec', command: '/x', args: ['hunter2', 1]}}}}",
    ] {
        let error = Config::parse(text, Path::new(PATH)).expect_err(text);
        let shown = format!("{error} {error:?}");
        for part in ["hunter2", "d842", "dead"] {
            assert!(!shown.contains(part), "{shown}");
        }
    }
    for text in [
        "{gateway: {auth: {token: 'hunter2'}}}",
        "{gateway: {auth: {token: 'hunter2-${A}'}}}",
        "{secrets: {providers: {a: {source: 'exec', command: '/x', args: ['hunter2'], env: {A: 'hunter2'}}}}}",
    ] {
        let shown = format!("{:?}", parse(text));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn nesting_that_would_exhaust_the_stack_is_an_error() {
    for (open, count) in [("[", 100_000), ("{a:", 100_000), ("[{a:", 100_000)] {
        let text = format!("{{x: {}", open.repeat(count));
        assert!(error(&text).ends_with(": nested too deeply"), "{open}");
    }
    let fits = format!("{{x: {}{}}}", "[".repeat(400), "]".repeat(400));
    assert_eq!(parse(&fits).unknown_keys(), ["x"]);
}

#[test]
fn no_cut_of_a_file_makes_the_parser_panic() {
    let whole = "{ // ö\n gateway: {'möde': \"l\\u00f6\\x41\\\r\ncal\", port: +0x1F, a: [-.5e-3, NaN, /* ß */ true,],\u{a0}é: '\\ud83d\\ude00'}}";
    for (start, _) in whole.char_indices() {
        for (end, _) in whole.char_indices().filter(|(end, _)| *end >= start) {
            // Whether it is good does not matter here.
            let _ = Config::parse(&whole[start..end], Path::new(PATH));
        }
    }
    assert!(Config::parse(whole, Path::new(PATH)).is_ok());
}

#[test]
fn a_missing_file_is_no_error_and_any_other_obstacle_is() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("openclaw.json");
    let read = |path: &Path| Config::read(path);
    assert!(read(&path).expect("no fault").is_none());
    assert!(matches!(
        read(dir.path()).expect_err("a directory").kind,
        ConfigFault::NotAFile
    ));
    assert!(matches!(
        read(&{
            fs::write(&path, "{}").expect("written");
            path.join("below")
        })
        .expect_err("below a file")
        .kind,
        ConfigFault::Unreadable(_)
    ));
    fs::write(&path, b"{\n\n'\xff': 1}").expect("written");
    assert!(
        read(&path)
            .expect_err("not text")
            .to_string()
            .ends_with("openclaw.json:3: not UTF-8 text")
    );
}

#[test]
fn a_file_may_be_as_large_as_the_limit_and_no_larger() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("openclaw.json");
    let mut text = "{gateway: {mode: 'local'}}".to_owned();
    text.push_str(&" ".repeat(usize::try_from(CONFIG_LIMIT).expect("small") - text.len()));
    fs::write(&path, &text).expect("written");
    let config = Config::read(&path).expect("no fault").expect("a file");
    assert_eq!(config.gateway.mode, Some(Mode::Local));
    text.push(' ');
    fs::write(&path, &text).expect("written");
    let error = Config::read(&path).expect_err("too large");
    assert!(
        error.to_string().ends_with(": larger than 1048576 bytes"),
        "{error}"
    );
}
