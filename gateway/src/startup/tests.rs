use std::fs;
use std::path::Path;

use super::*;
use crate::environment::{GATEWAY_PASSWORD, GATEWAY_PORT, GATEWAY_TOKEN};

const LOCAL: &str = "{gateway: {mode: 'local', auth: {token: 't'}}}";

fn env() -> Environment {
    Environment::new("/home/ada")
}

fn token_flag() -> Flags {
    Flags {
        secrets: SecretFlags::new(Some("t"), None).expect("good flags"),
        ..Flags::default()
    }
}

fn unconfigured() -> Flags {
    Flags {
        allow_unconfigured: true,
        ..Flags::default()
    }
}

fn bind(word: &str) -> Flags {
    Flags {
        bind: Some(word.to_owned()),
        ..Flags::default()
    }
}

fn auth(word: &str) -> Flags {
    Flags {
        auth: Some(word.to_owned()),
        ..Flags::default()
    }
}

fn decide(flags: &Flags, env: &Environment, config: &str) -> Result<Plan, StartError> {
    let config =
        (!config.is_empty()).then(|| Config::parse(config, Path::new("c")).expect("a good file"));
    let paths = Paths::new(&Profile::default(), env).expect("paths");
    plan(flags, env, config.as_ref(), &paths, || Ok(None))
}

fn refused(flags: &Flags, config: &str) -> (u8, String) {
    let error = decide(flags, &env(), config).expect_err(config);
    (error.exit_code(), error.to_string())
}

fn addresses_of(plan: &Plan) -> Vec<String> {
    plan.listen
        .iter()
        .map(|listen| listen.address.to_string())
        .collect()
}

#[test]
fn a_configured_gateway_starts_on_loopback() {
    let plan = decide(&Flags::default(), &env(), LOCAL).expect("a plan");
    assert_eq!(plan.bind, Bind::Loopback);
    assert_eq!(addresses_of(&plan), ["127.0.0.1:18789", "[::1]:18789"]);
    assert_eq!(
        plan.listen
            .iter()
            .map(|listen| listen.required)
            .collect::<Vec<_>>(),
        [true, false]
    );
    assert!(plan.is_loopback());
    assert_eq!(plan.auth_mode(), "token");
    assert!(!plan.is_generated());
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    assert!(matches!(&plan.auth, Auth::Secret(found) if found.shared().matches("t")));
}

#[test]
fn flags_beat_the_configuration() {
    let flags = Flags {
        port: Some("1234".to_owned()),
        ..bind("auto")
    };
    let config = "{gateway: {mode: 'local', port: 1, bind: 'lan', auth: {token: 't'}}}";
    let env = env().with(GATEWAY_PORT, "2");
    assert_eq!(
        addresses_of(&decide(&flags, &env, config).expect("a plan")),
        ["127.0.0.1:1234", "[::1]:1234"]
    );
    let plan = decide(&Flags::default(), &env, config).expect("a plan");
    assert_eq!(addresses_of(&plan), ["0.0.0.0:2", "[::]:2"]);
    assert!(!plan.is_loopback());
    assert_eq!(
        plan.warnings.len(),
        1,
        "it says that strangers can try: {:?}",
        plan.warnings
    );
}

#[test]
fn mistyped_flags_are_answered_in_the_observed_words_as_usage() {
    let port = Flags {
        port: Some("99999".to_owned()),
        ..Flags::default()
    };
    for (flags, expected) in [
        (
            port,
            "Invalid --port. Use a port number from 1 to 65535, for example 18789.",
        ),
        (
            bind("bogus"),
            r#"Invalid --bind. Use "loopback", "lan", "tailnet", "auto", or "custom"."#,
        ),
        (
            auth("bogus"),
            r#"Invalid --auth. Use "none", "token", "password", or "trusted-proxy"."#,
        ),
        (
            bind("tailnet"),
            r#"--bind "tailnet" is not supported yet; use "loopback", "lan" or "auto"."#,
        ),
    ] {
        assert_eq!(refused(&flags, LOCAL), (2, expected.to_owned()));
    }
    let flags = Flags {
        profile: Some("../x".to_owned()),
        ..Flags::default()
    };
    assert_eq!(refused(&flags, LOCAL).0, 2);
}

#[test]
fn set_ups_that_block_a_start_are_answered_in_the_observed_words() {
    for (flags, config, expected) in [
        (
            Flags::default(),
            "{gateway: {mode: 'remote', remote: {url: 'ws://127.0.0.1:1'}}}",
            "Gateway start blocked: set gateway.mode=local (current: remote) or pass --allow-unconfigured.",
        ),
        (
            token_flag(),
            "{gateway: {}}",
            "Gateway start blocked: existing config is missing gateway.mode. Treat this as suspicious or clobbered config. \
             Set gateway.mode=local manually, or pass --allow-unconfigured.",
        ),
        (
            bind("lan"),
            "{gateway: {mode: 'local', auth: {mode: 'none'}}}",
            "Refusing to bind gateway to lan without auth.",
        ),
        (
            bind("lan"),
            "{gateway: {mode: 'local'}}",
            "Refusing to bind gateway to lan without auth.",
        ),
        (
            Flags::default(),
            "{gateway: {mode: 'local'}}",
            "Refusing to bind gateway to loopback without auth.",
        ),
        (
            Flags::default(),
            "{gateway: {mode: 'local', auth: {mode: 'password'}}}",
            "Gateway auth is set to password, but no password is configured.",
        ),
        (
            auth("token"),
            "{gateway: {mode: 'local'}}",
            "Gateway auth is set to token, but no token is configured.",
        ),
        (
            Flags::default(),
            "{gateway: {mode: 'local', bind: 'custom', auth: {token: 't'}}}",
            r#"gateway.bind "custom" is not supported yet; use "loopback", "lan" or "auto"."#,
        ),
    ] {
        assert_eq!(
            refused(&flags, config),
            (78, expected.to_owned()),
            "{config}"
        );
    }
}

#[test]
fn a_bind_that_is_not_supported_matters_only_if_it_counts() {
    let config = "{gateway: {mode: 'local', bind: 'tailnet', auth: {token: 't'}}}";
    assert!(decide(&bind("loopback"), &env(), config).is_ok());
}

#[test]
fn without_config_secret_or_flag_the_ways_out_are_named() {
    let error = decide(&Flags::default(), &env(), "").expect_err("nothing is set");
    assert_eq!(error.exit_code(), 78);
    let report = error.report();
    assert!(
        report.starts_with(
            "Missing config. Set gateway.mode=local in /home/ada/.openclaw/openclaw.json (or pass --allow-unconfigured).\n"
        ),
        "{report}"
    );
    for way in [
        "gateway.auth.token",
        GATEWAY_TOKEN,
        "--token",
        "--dev",
        "--allow-unconfigured",
    ] {
        assert!(report.contains(way), "{way} in {report}");
    }
    let (start, end) = (
        report.find("{ ").expect("an example"),
        report.find(" }").expect("an example"),
    );
    let example = &report[start..end + 4];
    assert!(decide(&token_flag(), &env(), example).is_ok(), "{example}");

    assert!(decide(&token_flag(), &env(), "").is_ok());
    let plan = decide(&Flags::default(), &env().with(GATEWAY_PASSWORD, "p"), "").expect("a plan");
    assert_eq!(plan.auth_mode(), "password");
    assert!(matches!(
        decide(&auth("none"), &env(), ""),
        Err(StartError::MissingConfig { .. })
    ));
}

#[test]
fn every_refusal_for_want_of_a_secret_names_each_way_to_one() {
    let report = decide(&Flags::default(), &env(), "{gateway: {mode: 'local'}}")
        .expect_err("no secret")
        .report();
    for way in [
        "gateway.auth.token",
        GATEWAY_TOKEN,
        "--token",
        "--allow-unconfigured",
        GATEWAY_PASSWORD,
    ] {
        assert!(report.contains(way), "{way} in {report}");
    }
}

#[test]
fn a_secret_is_generated_only_where_that_was_allowed_and_none_is_set() {
    let dev = Flags {
        dev: true,
        ..Flags::default()
    };
    for flags in [&unconfigured(), &dev] {
        for config in ["", "{}", "{gateway: {mode: 'local'}}"] {
            let plan = decide(flags, &env(), config).expect("a plan");
            assert!(matches!(plan.auth, Auth::Generate), "{config}");
        }
        let plan = decide(flags, &env(), LOCAL).expect("a plan");
        assert!(matches!(plan.auth, Auth::Secret(_)));
        let password = "{gateway: {mode: 'local', auth: {mode: 'password'}}}";
        assert!(matches!(
            decide(flags, &env(), password),
            Err(StartError::NoSecret(SecretKind::Password))
        ));
    }
    assert_eq!(decide(&dev, &env(), "").expect("a plan").port.number, 19001);
}

#[test]
fn only_allow_unconfigured_starts_a_gateway_on_a_client_host() {
    let config = "{gateway: {mode: 'remote', auth: {token: 't'}}}";
    assert!(decide(&unconfigured(), &env(), config).is_ok());
    let dev = Flags {
        dev: true,
        ..Flags::default()
    };
    assert!(matches!(
        decide(&dev, &env(), config),
        Err(StartError::ModeRemote)
    ));
}

#[test]
fn a_gateway_without_auth_stays_on_loopback_and_says_so() {
    let config = "{gateway: {mode: 'local', auth: {mode: 'none'}}}";
    for word in ["loopback", "auto"] {
        let plan = decide(&bind(word), &env(), config).expect("a plan");
        assert!(matches!(plan.auth, Auth::None));
        assert!(
            plan.warnings[0].contains("unauthenticated"),
            "{:?}",
            plan.warnings
        );
    }
    let flags = Flags {
        allow_unconfigured: true,
        ..bind("lan")
    };
    assert!(matches!(
        decide(&flags, &env(), config),
        Err(StartError::WithoutAuth {
            bind: Bind::Lan,
            asked: true
        })
    ));
}

#[test]
fn a_gateway_without_auth_leaves_loopback_only_where_the_operator_insists() {
    let text = |insists| {
        format!(
            "{{gateway: {{mode: 'local', bind: 'lan', auth: {{mode: 'none', dangerouslyAllowNoneOnNetwork: {insists}}}}}}}"
        )
    };
    let error = decide(&Flags::default(), &env(), &text(false)).expect_err("refused");
    let report = error.report();
    assert_eq!(error.exit_code(), 78);
    assert!(
        report.starts_with("Refusing to bind gateway to lan without auth.\n"),
        "{report}"
    );
    assert!(
        report.contains("gateway.auth.dangerouslyAllowNoneOnNetwork"),
        "{report}"
    );
    let plan = decide(&Flags::default(), &env(), &text(true)).expect("a plan");
    assert!(matches!(plan.auth, Auth::None));
    assert_eq!(
        plan.warnings,
        [
            "auth mode=none explicitly configured; all gateway connections are unauthenticated.",
            "Gateway is binding to a non-loopback address without auth; whoever can reach it may connect.",
        ]
    );
    let unset = text(true).replace("mode: 'none', ", "");
    assert!(
        matches!(
            decide(&Flags::default(), &env(), &unset),
            Err(StartError::WithoutAuth { asked: false, .. })
        ),
        "it is no mode of its own"
    );
}

#[test]
fn a_star_for_every_page_is_warned_of() {
    let config =
        "{gateway: {mode: 'local', auth: {token: 't'}, controlUi: {allowedOrigins: ['*']}}}";
    let plan = decide(&Flags::default(), &env(), config).expect("a plan");
    assert_eq!(
        plan.warnings,
        ["gateway.controlUi.allowedOrigins has \"*\"; pages of any site may try to connect."]
    );
}

#[test]
fn a_secret_by_reference_is_there_at_the_start_or_there_is_none() {
    let config = "{gateway: {mode: 'local', auth: {token: '${GATEWAY_SECRET}'}}}";
    let set = env().with("GATEWAY_SECRET", "hunter2");
    let plan = decide(&Flags::default(), &set, config).expect("a plan");
    assert!(matches!(&plan.auth, Auth::Secret(found) if found.shared().matches("hunter2")));
    for flags in [&Flags::default(), &unconfigured()] {
        let error = decide(flags, &env(), config).expect_err("not set");
        assert_eq!(error.exit_code(), 78);
        assert_eq!(
            error.report(),
            "gateway.auth.token: the environment variable GATEWAY_SECRET is not set; set it, or change the reference"
        );
    }
}

#[test]
fn unknown_keys_are_warned_of_but_not_by_the_thousand() {
    let many: String = (0..25).map(|number| format!("k{number}: 1, ")).collect();
    let config = format!("{{{many} gateway: {{mode: 'local', auth: {{token: 't'}}}}}}");
    let plan = decide(&Flags::default(), &env(), &config).expect("a plan");
    assert_eq!(plan.warnings.len(), 1);
    assert!(plan.warnings[0].contains("k0, k1"), "{:?}", plan.warnings);
    assert!(
        plan.warnings[0].ends_with("k19 and 5 more"),
        "{:?}",
        plan.warnings
    );
}

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    fn env(&self) -> Environment {
        Environment::new(self.dir.path())
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join(".openclaw")
    }
}

fn secret_of(prepared: &Prepared) -> &Resolved {
    match &prepared.plan.auth {
        Auth::Secret(resolved) => resolved,
        other @ (Auth::None | Auth::Proxy(_) | Auth::Generate) => panic!("{other:?}"),
    }
}

#[test]
fn a_generated_secret_is_kept_for_the_next_start_and_for_clients() {
    let home = Home::new();
    let first = prepare(&unconfigured(), &home.env()).expect("a start");
    assert!(first.plan.is_generated());
    let path = home.state().join("gateway-token");
    assert_eq!(
        secret_of(&first).source,
        SecretSource::Generated(path.clone())
    );
    let kept = fs::read_to_string(&path).expect("a file");
    assert!(secret_of(&first).shared().matches(kept.trim()));

    let second = prepare(&Flags::default(), &home.env()).expect("a start without flags");
    assert!(!second.plan.is_generated());
    assert_eq!(secret_of(&second).secret.expose(), kept.trim());

    let client = resolve::for_client(
        resolve::Target::Local,
        &SecretFlags::default(),
        &home.env(),
        second.config.as_ref(),
        || file::read(&second.paths.token_path),
    );
    let client = client.expect("no fault").expect("a secret");
    assert!(secret_of(&first).shared().matches(client.secret.expose()));
}

#[test]
fn a_refused_start_leaves_no_trace() {
    let home = Home::new();
    prepare(&Flags::default(), &home.env()).expect_err("nothing is set");
    assert!(!home.state().exists());
}

#[test]
fn a_broken_configuration_blocks_the_start_whatever_the_flags_say() {
    let home = Home::new();
    fs::create_dir(home.state()).expect("a directory");
    fs::write(
        home.state().join("openclaw.json"),
        "{\n gateway: {mode: 'local',\n",
    )
    .expect("written");
    let error = prepare(&unconfigured(), &home.env()).expect_err("a broken file");
    assert_eq!(error.exit_code(), 78);
    assert!(
        error
            .to_string()
            .ends_with("openclaw.json:2:11: this { is never closed"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn a_token_file_that_others_can_read_is_warned_of_only_while_it_is_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    fs::create_dir(home.state()).expect("a directory");
    let path = home.state().join("gateway-token");
    fs::write(&path, "abc\n").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("permissions");
    let warned = |flags: &Flags| {
        let plan = prepare(flags, &home.env()).expect("a start").plan;
        plan.warnings
            .iter()
            .any(|warning| warning.contains("chmod 600"))
    };
    assert!(warned(&Flags::default()));
    assert!(!warned(&token_flag()));
}
