use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::config::Config;
use crate::secret::resolve::{SecretFlags, Target, for_client, for_server};

const KEY: &str = "gateway.auth.token";

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
            .with("GATEWAY_SECRET", "from-env\n")
            .with("BLANK", " ")
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
        path
    }

    /// What stands for `reference` with these members of `secrets`, or why nothing does.
    fn fetch(&self, reference: &str, secrets: &str) -> Result<String, String> {
        let text = format!("{{gateway: {{auth: {{token: {reference}}}}}, secrets: {{{secrets}}}}}");
        let config = Config::parse(&text, Path::new("c")).expect(&text);
        assert!(config.unknown_keys().is_empty(), "{text}");
        let input = config.gateway.auth.token.expect("a token");
        let found = input.fetch(KEY, &self.env(), &config.secrets);
        let found = found.map(|secret| secret.expose().to_owned());
        found.map_err(|fault| {
            let shown = fault.to_string();
            assert!(
                !shown.contains('\n') && !shown.contains("hunter2"),
                "{shown}"
            );
            let debug = format!("{fault:?}");
            assert!(!debug.contains("hunter2"), "{debug}");
            let home = self.dir.path().display().to_string();
            let told = shown.strip_prefix("gateway.auth.token: ").expect("the key");
            told.replace(&home, "~")
        })
    }

    fn fetch_file(&self, members: &str, id: &str) -> Result<String, String> {
        let reference = format!("{{source: 'file', id: '{id}'}}");
        let provider = format!("providers: {{default: {{source: 'file', {members}}}}}");
        self.fetch(&reference, &provider)
    }

    /// Asks a shell script for `gateway/token`.
    fn ask(&self, script: &str, members: &str) -> Result<String, String> {
        self.ask_for("gateway/token", script, members)
    }

    fn ask_for(&self, id: &str, script: &str, members: &str) -> Result<String, String> {
        let reference = format!("{{source: 'exec', provider: 'vault', id: '{id}'}}");
        let shell = shell();
        let command = shell.display();
        let script = serde_json::to_string(script).expect("text");
        let provider = format!(
            "providers: {{vault: {{source: 'exec', command: '{command}', args: ['-c', {script}], {members}}}}}"
        );
        let found = self.fetch(&reference, &provider);
        found.map_err(|fault| fault.replace(&command.to_string(), "sh"))
    }
}

/// The shell itself, which is a link on most systems.
fn shell() -> PathBuf {
    Path::new("/bin/sh").canonicalize().expect("a shell")
}

fn values(secret: &str) -> String {
    format!(
        r#"echo '{{"protocolVersion":1,"values":{{"gateway/token":"{secret}","other":"hunter2"}}}}'"#
    )
}

fn fault(told: &str) -> Result<String, String> {
    Err(told.to_owned())
}

#[test]
fn a_variable_stands_for_its_value_however_it_is_referred_to() {
    let home = Home::new();
    for reference in [
        "{source: 'env', provider: 'default', id: 'GATEWAY_SECRET'}",
        "{source: 'env', id: 'GATEWAY_SECRET'}",
        "'${GATEWAY_SECRET}'",
        "' $GATEWAY_SECRET '",
    ] {
        assert_eq!(
            home.fetch(reference, "").as_deref(),
            Ok("from-env"),
            "{reference}"
        );
    }
}

#[test]
fn variables_within_a_text_are_replaced_and_escaped_ones_are_not() {
    let env = Environment::new("/").with("A", "1").with("_B", "2");
    for (text, expected) in [
        ("x-${A}-y", "x-1-y"),
        ("${A}${_B}", "12"),
        ("${_B}", "2"),
        ("$${A}", "${A}"),
        ("$${A}${A}", "${A}1"),
        ("$$${A}", "$${A}"),
        ("${a}", "${a}"),
        ("$a", "$a"),
        ("${A", "${A"),
        ("${}", "${}"),
        ("a$", "a$"),
        ("ü${A}$ü", "ü1$ü"),
    ] {
        let input = SecretInput::new(text).expect("not blank");
        let found = input.fetch(KEY, &env, &SecretsConfig::default());
        assert_eq!(found.expect(text).expose(), expected, "{text}");
    }
    assert!(SecretInput::new(" \n").is_none());
}

#[test]
fn a_variable_that_is_not_there_is_named() {
    let home = Home::new();
    for (reference, name) in [
        ("'${NOT_THERE}'", "NOT_THERE"),
        ("'$NOT_THERE'", "NOT_THERE"),
        ("'hunter2-${NOT_THERE}'", "NOT_THERE"),
        ("{source: 'env', id: 'BLANK'}", "BLANK"),
    ] {
        let told =
            format!("the environment variable {name} is not set; set it, or change the reference");
        assert_eq!(home.fetch(reference, ""), Err(told), "{reference}");
    }
}

#[test]
fn an_env_provider_may_list_what_may_be_read() {
    let home = Home::new();
    let reference = "{source: 'env', provider: 'ci', id: 'GATEWAY_SECRET'}";
    for (secrets, expected) in [
        (
            "providers: {ci: {source: 'env', allowlist: ['A', 'GATEWAY_SECRET']}}",
            Ok("from-env".to_owned()),
        ),
        (
            "providers: {ci: {source: 'env'}}",
            Ok("from-env".to_owned()),
        ),
        ("defaults: {env: 'ci'}", Ok("from-env".to_owned())),
        (
            "defaults: {env: 'ci'}, providers: {ci: {source: 'file', path: '/x'}}",
            Ok("from-env".to_owned()),
        ),
        (
            "providers: {ci: {source: 'env', allowlist: []}}",
            fault(
                "GATEWAY_SECRET is not in secrets.providers.ci.allowlist; add it there, or change the reference",
            ),
        ),
        (
            "",
            fault(
                "there is no secrets.providers.ci; add it with source \"env\", or name another provider",
            ),
        ),
        (
            "providers: {ci: {source: 'file', path: '/x'}}",
            fault(
                "secrets.providers.ci does not have the source \"env\"; name another provider, or change the source",
            ),
        ),
    ] {
        assert_eq!(home.fetch(reference, secrets), expected, "{secrets}");
    }
    let listed = "defaults: {env: 'ci'}, providers: {ci: {source: 'env', allowlist: []}}";
    assert!(home.fetch("'$GATEWAY_SECRET'", listed).is_err());
}

#[test]
fn places_that_are_not_there_yet_matter_only_if_they_are_referred_to() {
    let home = Home::new();
    let secrets = "providers: {a: {source: 'store'}, b: {source: 'exec', pluginIntegration: {pluginId: 'x'}}}";
    assert_eq!(home.fetch("'plain'", secrets).as_deref(), Ok("plain"));
    for (reference, what) in [
        ("{source: 'store', id: 'X'}", "the secret store"),
        (
            "{source: 'exec', provider: 'b', id: 'X'}",
            "a secret provider of a plugin",
        ),
    ] {
        let told = format!("{what} is not supported yet; use source \"env\", \"file\" or \"exec\"");
        assert_eq!(home.fetch(reference, secrets), Err(told));
    }
}

#[test]
fn a_json_file_gives_what_a_pointer_leads_to() {
    let home = Home::new();
    let text = "\u{feff}{\"a/b\": [{\"~\": \"hunter2\"}], \"n\": 5, \"\": \"empty-key\", \"blank\": \" \", \"r\": \"__OPENCLAW_REDACTED__\"}";
    home.write("s.json", text, 0o600);
    let fetch = |id| home.fetch_file("path: '~/s.json'", id);
    assert_eq!(fetch("/a~1b/0/~0").as_deref(), Ok("hunter2"));
    assert_eq!(fetch("/").as_deref(), Ok("empty-key"));
    for (id, told) in [
        (
            "/a~1b/1/~0",
            "has nothing at /a~1b/1/~0; add it, or change the id",
        ),
        (
            "/n",
            "has something else than a string at /n; put it in quotes",
        ),
        (
            "/a~1b",
            "has something else than a string at /a~1b; put it in quotes",
        ),
    ] {
        let told = format!("secrets.providers.default.path: ~/s.json {told}");
        assert_eq!(fetch(id), Err(told));
    }
    assert_eq!(
        fetch("/blank"),
        fault("the secret is empty; put one where the reference points")
    );
    assert_eq!(
        fetch("/r"),
        fault(
            "there is only the placeholder of a redacted configuration; put the secret itself there"
        )
    );
    assert_eq!(
        fetch("value"),
        fault(
            "secrets.providers.default reads a JSON object; the id must be a pointer such as \"/gateway/token\", or the mode \"singleValue\""
        )
    );
    for broken in ["[\"hunter2\"]", "{\"a\": hunter2}", "\"hunter2\""] {
        home.write("s.json", broken, 0o600);
        assert_eq!(
            fetch("/0"),
            fault(
                "secrets.providers.default.path: ~/s.json is not one JSON object; write one, or set the mode \"singleValue\""
            )
        );
    }
}

#[test]
fn a_single_value_is_the_whole_file() {
    let home = Home::new();
    home.write("s", "hun ter\r\n", 0o400);
    let members = "path: '~/s', mode: 'singleValue'";
    assert_eq!(home.fetch_file(members, "value").as_deref(), Ok("hun ter"));
    assert_eq!(
        home.fetch_file(members, "/value"),
        fault("secrets.providers.default has the mode \"singleValue\"; the id must be \"value\"")
    );
    assert_eq!(
        home.fetch_file(&format!("{members}, maxBytes: 3"), "value"),
        fault("secrets.providers.default.path: ~/s is larger than 3 bytes; see maxBytes")
    );
}

#[test]
fn a_file_that_others_have_to_do_with_is_not_trusted() {
    let home = Home::new();
    let fetch = |name: &str| {
        let members = format!("path: '~/{name}', mode: 'singleValue'");
        let found = home.fetch_file(&members, "value");
        let start = format!("secrets.providers.default.path: ~/{name} ");
        found.map_err(|told| told.strip_prefix(&start).expect(&told).to_owned())
    };
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610] {
        home.write("open", "hunter2", mode);
        assert_eq!(
            fetch("open"),
            fault("is open to other users; run chmod 600 on it"),
            "{mode:o}"
        );
    }
    let good = home.write("good", "hunter2", 0o600);
    symlink(&good, home.dir.path().join("link")).expect("a link");
    assert_eq!(
        fetch("link"),
        fault("is a symbolic link; write the path that it leads to")
    );
    assert_eq!(fetch("good").as_deref(), Ok("hunter2"));
    fs::hard_link(&good, home.dir.path().join("twin")).expect("a link");
    assert_eq!(
        fetch("good"),
        fault("has other names (hard links); replace it by a copy of its own")
    );
    fs::create_dir(home.dir.path().join("dir")).expect("a directory");
    assert_eq!(
        fetch("dir"),
        fault("is not a regular file; change the path")
    );
    assert_eq!(
        fetch("none"),
        fault("is not there; create it, or change the path")
    );
}

#[test]
fn a_file_of_another_user_is_not_trusted() {
    let home = Home::new();
    let path = home.write("s", "hunter2", 0o600);
    // Only root can give a file away.
    if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
        return;
    }
    let told = home
        .fetch_file("path: '~/s', mode: 'singleValue'", "value")
        .expect_err("not ours");
    assert!(told.contains("belongs to another user"), "{told}");
}

#[test]
fn a_program_is_asked_in_json_and_answers_in_json() {
    let home = Home::new();
    let script = r#"read -r asked
        [ "$asked" = '{"ids":["gateway/token"],"protocolVersion":1,"provider":"vault"}' ] || exit 9
        echo '{"protocolVersion":1,"values":{"gateway/token":"from-vault"}}'"#;
    // A line without an end is read all the same; only its status says so.
    let script = script.replace("read -r asked", "read -r asked || :");
    assert_eq!(home.ask(&script, "").as_deref(), Ok("from-vault"));
    assert_eq!(home.ask(&values("s"), "").as_deref(), Ok("s"));
}

#[test]
fn a_program_gets_no_variable_but_those_that_it_is_given() {
    let home = Home::new();
    let script = r#"echo "$GATEWAY_SECRET,$EXTRA,$HOME""#;
    let bare = home.ask(script, "jsonOnly: false");
    assert_eq!(bare.as_deref(), Ok(",,"));
    let given = home.ask(
        script,
        "jsonOnly: false, passEnv: ['GATEWAY_SECRET', 'NOT_THERE'], env: {EXTRA: 'x'}",
    );
    assert_eq!(given.as_deref(), Ok("from-env\n,x,"));
}

#[test]
fn a_program_may_say_the_bare_secret_where_that_is_allowed() {
    let home = Home::new();
    let bare = "jsonOnly: false";
    for (script, expected) in [("echo  'a b '", "a b"), ("echo '\"a\"'", "a")] {
        assert_eq!(home.ask(script, bare).as_deref(), Ok(expected));
        assert!(home.ask(script, "").is_err());
    }
    assert_eq!(home.ask(&values("s"), bare).as_deref(), Ok("s"));
}

#[test]
fn what_a_program_does_wrong_is_told_without_what_it_says() {
    let home = Home::new();
    let shape = "did not say {\"protocolVersion\": 1, \"values\": {…}}; change it, or set jsonOnly to false if it says the bare secret";
    for (script, told) in [
        ("exit 3", "ended with code 3; run it by hand to see why"),
        ("exit 0", "said nothing; run it by hand to see why"),
        (
            "echo hunter2; exit 3",
            "ended with code 3; run it by hand to see why",
        ),
        (
            "echo hunter2 >&2; exit 1",
            "ended with code 1; run it by hand to see why",
        ),
        (
            "echo x; kill -9 $$",
            "was ended by a signal; run it by hand to see why",
        ),
        ("echo hunter2", shape),
        ("echo '[\"hunter2\"]'", shape),
        (
            "echo '{\"protocolVersion\":2,\"values\":{\"gateway/token\":\"hunter2\"}}'",
            shape,
        ),
        (
            "echo '{\"protocolVersion\":1,\"gateway/token\":\"hunter2\"}'",
            shape,
        ),
        (
            "echo '{\"protocolVersion\":1,\"values\":{\"other\":\"hunter2\"}}'",
            "has no text for gateway/token; check the id",
        ),
        (
            "echo '{\"protocolVersion\":1,\"values\":{},\"errors\":{\"gateway/token\":{\"code\":\"NOT_FOUND\"}}}'",
            "does not give gateway/token (NOT_FOUND); check the id",
        ),
        (
            "echo '{\"protocolVersion\":1,\"values\":{},\"errors\":{\"gateway/token\":{\"code\":\"hunter2\",\"message\":\"hunter2\"}}}'",
            "does not give gateway/token; check the id",
        ),
        (
            "printf '\\377hunter2'",
            "said something that is not UTF-8; run it by hand",
        ),
    ] {
        let expected = format!("secrets.providers.vault.command: sh {told}");
        assert_eq!(home.ask(script, ""), Err(expected), "{script}");
    }
}

#[test]
fn a_program_has_only_so_much_time_and_its_children_end_with_it() {
    let home = Home::new();
    let told = |found: Result<String, String>| {
        let told = found.expect_err("too slow");
        let start = "secrets.providers.vault.command: sh ";
        told.strip_prefix(start).expect(&told).to_owned()
    };
    let begun = Instant::now();
    let file = home.dir.path().join("late");
    let late = format!("(sleep 1; echo x > '{}') & sleep 60", file.display());
    assert_eq!(
        told(home.ask(&late, "timeoutMs: 200")),
        "did not end within 200 ms; run it by hand, or see timeoutMs"
    );
    // It has said all, but does not end.
    let lingering = format!("{}; exec >&-; sleep 60", values("s"));
    assert_eq!(
        told(home.ask(&lingering, "timeoutMs: 200")),
        "did not end within 200 ms; run it by hand, or see timeoutMs"
    );
    // It goes on saying something, but never enough.
    assert_eq!(
        told(home.ask("while :; do echo x; sleep 0.02; done", "timeoutMs: 300")),
        "did not end within 300 ms; run it by hand, or see timeoutMs"
    );
    assert_eq!(
        told(home.ask("echo x; sleep 60", "noOutputTimeoutMs: 200")),
        "said nothing for 200 ms; run it by hand, or see noOutputTimeoutMs"
    );
    assert!(begun.elapsed() < Duration::from_secs(20));
    std::thread::sleep(Duration::from_millis(1_300));
    assert!(!file.exists(), "what it started has ended too");
}

#[test]
fn a_program_may_say_only_so_much() {
    let home = Home::new();
    let script = "while :; do echo hunter2hunter2hunter2; done";
    assert_eq!(
        home.ask(script, "maxOutputBytes: 100000"),
        fault(
            "secrets.providers.vault.command: sh said more than 100000 bytes; see maxOutputBytes"
        )
    );
}

#[test]
fn a_program_that_others_can_change_is_not_run() {
    let home = Home::new();
    let ask = |path: &str, members: &str| {
        let reference = "{source: 'exec', provider: 'vault', id: 'x'}";
        let provider =
            format!("providers: {{vault: {{source: 'exec', command: '{path}', {members}}}}}");
        let told = home.fetch(reference, &provider).expect_err(path);
        let start = format!("secrets.providers.vault.command: {path} ");
        told.strip_prefix(&start).expect(&told).to_owned()
    };
    let script = "#!/bin/sh\ntouch ran\n";
    for mode in [0o720, 0o702, 0o777] {
        home.write("open", script, mode);
        assert_eq!(
            ask("~/open", ""),
            "can be changed by other users; run chmod go-w on it"
        );
    }
    let good = home.write("good", script, 0o755);
    symlink(&good, home.dir.path().join("link")).expect("a link");
    assert_eq!(
        ask("~/link", ""),
        "is a symbolic link; write the path that it leads to"
    );
    assert_eq!(
        ask("~/none", ""),
        "is not there; create it, or change the path"
    );
    fs::create_dir(home.dir.path().join("bin")).expect("a directory");
    assert_eq!(ask("~/bin", ""), "is not a regular file; change the path");
    let outside = "is in none of the trustedDirs; move it, or add its directory";
    assert_eq!(ask("~/good", "trustedDirs: ['~/bin', '/none']"), outside);
    assert_eq!(ask("~/bin/../good", "trustedDirs: ['~/bin']"), outside);
    home.write("plain", "x", 0o600);
    assert_eq!(
        ask("~/plain", ""),
        "cannot be run: permission denied; check that it is executable"
    );
    assert!(!home.dir.path().join("ran").exists());
    let dir = shell().parent().expect("a directory").display().to_string();
    let trusted = format!("trustedDirs: ['/none', '{dir}']");
    assert_eq!(home.ask(&values("s"), &trusted).as_deref(), Ok("s"));
}

#[test]
fn a_reference_is_followed_only_where_it_is_the_secret() {
    let text = "{gateway: {auth: {mode: 'token', token: '$NOT_THERE', password: '${NOT_THERE_EITHER}'}, \
        remote: {token: {source: 'exec', provider: 'none', id: 'x'}}}}";
    let config = Config::parse(text, Path::new("c")).expect("good");
    let bare = Environment::new("/home/ada");
    let none = SecretFlags::default();
    let given = SecretFlags::new(Some("t"), None).expect("good flags");
    let set = bare.clone().with("OPENCLAW_GATEWAY_TOKEN", "t");
    for (flags, env) in [(&given, &bare), (&none, &set)] {
        assert!(for_server(flags, None, env, Some(&config), || Ok(None)).is_ok());
        for target in [Target::Local, Target::Remote] {
            assert!(for_client(target, flags, env, Some(&config), || Ok(None)).is_ok());
        }
    }
    // It is not passed over: not for the token file either.
    let token = "gateway.auth.token: the environment variable NOT_THERE is not set; set it, or change the reference";
    let remote = "gateway.remote.token: there is no secrets.providers.none; add it with source \"exec\", or name another provider";
    let read = || panic!("the token file is not asked for");
    let fault = for_server(&none, None, &bare, Some(&config), read).expect_err("not there");
    assert_eq!(fault.to_string(), token);
    assert!(!fault.is_usage());
    for (target, expected) in [(Target::Local, token), (Target::Remote, remote)] {
        let read = || panic!("the token file is not asked for");
        let fault = for_client(target, &none, &bare, Some(&config), read);
        assert_eq!(fault.expect_err("not there").to_string(), expected);
    }
}
