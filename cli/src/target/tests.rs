use std::fs;

use super::*;

struct Host {
    home: tempfile::TempDir,
    env: Environment,
    globals: Globals,
    flags: ClientFlags,
    role: Role,
}

impl Host {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self {
            env: Environment::new(home.path()),
            home,
            globals: Globals::default(),
            flags: ClientFlags {
                url: None,
                token: None,
                password: None,
                tls_fingerprint: None,
                json: false,
            },
            role: Role::Operator,
        }
    }

    fn with_config(self, text: &str) -> Self {
        let dir = self.home.path().join(".openclaw");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("openclaw.json"), text).unwrap();
        self
    }

    fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env = self.env.with(name, value);
        self
    }

    fn choose(&self) -> Result<Target, Failure> {
        Target::choose(&self.globals, &self.flags, &self.env, self.role)
    }

    fn chosen(&self) -> (String, &'static str, String) {
        match self.choose() {
            Ok(target) => (target.shown_url(), target.source(), target.auth()),
            Err(failure) => panic!("{failure:?}"),
        }
    }

    fn fault(&self) -> Failure {
        match self.choose() {
            Ok(target) => panic!("it is {}", target.shown_url()),
            Err(failure) => failure,
        }
    }
}

fn is(url: &str, source: &'static str, auth: &str) -> (String, &'static str, String) {
    (url.to_owned(), source, auth.to_owned())
}

#[test]
fn without_anything_it_is_this_host() {
    let mut host = Host::new();
    assert_eq!(
        host.chosen(),
        is("ws://127.0.0.1:18789", "local loopback", "none")
    );
    host.globals.dev = true;
    assert_eq!(
        host.chosen(),
        is("ws://127.0.0.1:19001", "local loopback", "none")
    );
    let host = Host::new()
        .with_env("OPENCLAW_GATEWAY_PORT", "7")
        .with_env("OPENCLAW_GATEWAY_TOKEN", "t");
    assert_eq!(
        host.chosen(),
        is(
            "ws://127.0.0.1:7",
            "local loopback",
            "token from OPENCLAW_GATEWAY_TOKEN"
        )
    );
}

#[test]
fn mode_remote_is_the_gateway_elsewhere_with_its_own_secret() {
    let config = r#"{gateway: {mode: "remote", auth: {token: "here"}, remote: {url: "ws://elsewhere:9/x?y", password: "there"}}}"#;
    let host = Host::new().with_config(config);
    assert_eq!(
        host.chosen(),
        is(
            "ws://elsewhere:9",
            "config gateway.remote.url",
            "password from gateway.remote.password"
        )
    );
    let nowhere = Host::new()
        .with_config(r#"{gateway: {mode: "remote"}}"#)
        .fault();
    assert_eq!(nowhere.exit, Exit::Configuration);
}

#[test]
fn a_named_gateway_gets_only_secrets_that_were_named_with_it() {
    let mut host = Host::new()
        .with_env("OPENCLAW_GATEWAY_TOKEN", "t")
        .with_config("{broken");
    host.flags.url = Some("ws://me:hunter2@host:1/?token=hunter2".to_owned());
    let failure = host.fault();
    assert_eq!(failure.exit, Exit::Usage);
    assert!(
        failure
            .report()
            .starts_with("gateway url override requires explicit credentials\n")
    );
    host.flags.token = Some("x".to_owned());
    assert_eq!(
        host.chosen(),
        is("ws://host:1", "cli --url", "token from --token")
    );
    host.flags.token = Some(" ".to_owned());
    assert_eq!(host.fault().exit, Exit::Usage);
}

#[test]
fn what_is_wrong_with_the_host_is_a_fault_of_its_configuration() {
    for host in [
        Host::new().with_config("{broken"),
        Host::new().with_env("OPENCLAW_GATEWAY_PORT", "x"),
        Host::new().with_env("OPENCLAW_STATE_DIR", "~nobody/x"),
    ] {
        assert_eq!(host.fault().exit, Exit::Configuration);
    }
    let mut host = Host::new();
    host.globals.profile = Some("../x".to_owned());
    assert_eq!(host.fault().exit, Exit::Usage);
}

#[test]
fn a_timeout_is_a_whole_number_from_1() {
    assert_eq!(milliseconds(None).unwrap(), REQUEST);
    assert_eq!(milliseconds(Some("1")).unwrap(), Duration::from_millis(1));
    for typed in ["", "0", "-5", "+5", "1.5", "4294967296", "1s"] {
        assert_eq!(
            milliseconds(Some(typed)).unwrap_err().exit,
            Exit::Usage,
            "{typed}"
        );
        assert!(seconds(Some(typed)).is_err(), "{typed}");
    }
}

#[test]
fn a_gateway_elsewhere_gets_the_token_that_it_gave_where_no_secret_is_named_for_it() {
    let mut host = Host::new();
    let dir = host.home.path().join(".openclaw/identity");
    fs::create_dir_all(&dir).unwrap();
    let kept = r#"{"gateways": {"ws://elsewhere:9": {"operator":
        {"deviceId": "d", "token": "hunter2", "scopes": ["operator.read"]}}}}"#;
    fs::write(dir.join("device-auth.json"), kept).unwrap();
    host.flags.url = Some("ws://ELSEWHERE:9/".to_owned());
    let (url, source, auth) = host.chosen();
    assert_eq!((&*url, source), ("ws://ELSEWHERE:9", "cli --url"));
    assert!(auth.starts_with("device token from /") && auth.ends_with("device-auth.json"));
    assert_eq!(host.choose().ok().unwrap().scopes_for("agent"), LOOK);

    host.flags.token = Some("x".to_owned());
    assert_eq!(host.chosen().2, "token from --token");
    let target = host.choose().ok().unwrap();
    assert_eq!(target.scopes_for("agent"), ["operator.write"]);
    assert_eq!(target.scopes_for("unheard.of"), [ADMIN]);
    assert!(target.scopes_for("health").is_empty());
    assert_eq!(target.scopes_to_probe(), LOOK);

    host.flags.token = None;
    for other in ["ws://elsewhere:8", "ws://127.0.0.1:9"] {
        host.flags.url = Some(other.to_owned());
        assert_eq!(host.fault().exit, Exit::Usage, "{other}");
    }
}

#[test]
fn a_node_is_a_device_even_on_this_host_and_has_a_token_of_its_own() {
    let mut host = Host::new();
    let dir = host.home.path().join(".openclaw/identity");
    fs::create_dir_all(&dir).unwrap();
    let kept = r#"{"gateways": {"ws://127.0.0.1:18789":
        {"node": {"deviceId": "d", "token": "hunter2", "scopes": []}}}}"#;
    fs::write(dir.join("device-auth.json"), kept).unwrap();
    assert_eq!(host.chosen().2, "none");
    assert!(host.choose().ok().unwrap().own_device().is_none());

    host.role = Role::Node;
    assert!(host.chosen().2.starts_with("device token from /"));
    let node = host.choose().ok().unwrap().node().unwrap();
    assert_eq!(node.token.as_deref(), Some("hunter2"));
    assert_eq!(node.device_id.len(), 64);

    host.flags.token = Some("x".to_owned());
    assert_eq!(host.choose().ok().unwrap().node().unwrap().token, None);
}

#[test]
fn from_another_host_no_more_is_asked_for_over_nodes_than_it_takes() {
    let mut host = Host::new();
    host.flags.token = Some("x".to_owned());
    for (url, anything) in [("ws://elsewhere:9", false), ("ws://127.0.0.1:9", true)] {
        host.flags.url = Some(url.to_owned());
        let target = host.choose().ok().unwrap();
        let scopes = target.scopes_over_nodes(&[PAIRING, ADMIN]);
        assert_eq!(scopes == [PAIRING, ADMIN], !anything, "{scopes:?}");
        assert!(scopes.contains(&PAIRING) && scopes.contains(&ADMIN));
    }
}
