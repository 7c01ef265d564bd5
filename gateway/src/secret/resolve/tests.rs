use std::path::Path;

use super::*;
use crate::secret::file::FaultKind;

type FileResult = Result<Option<TokenFile>, TokenFileFault>;

fn env(variables: &[(&'static str, &str)]) -> Environment {
    variables
        .iter()
        .fold(Environment::new("/home/ada"), |env, (name, value)| {
            env.with(name, *value)
        })
}

fn config(auth: &str) -> Config {
    Config::parse(&format!("{{gateway: {{auth: {auth}}}}}"), Path::new("c")).expect("a good file")
}

fn flags(token: Option<&str>, password: Option<&str>) -> SecretFlags {
    SecretFlags::new(token, password).expect("good flags")
}

fn no_file() -> FileResult {
    Ok(None)
}

fn file() -> FileResult {
    Ok(Some(TokenFile {
        path: PathBuf::from("/s/gateway-token"),
        secret: Secret::new("from-file").expect("not blank"),
        exposed: false,
    }))
}

fn broken_file() -> FileResult {
    Err(TokenFileFault {
        path: PathBuf::from("/s/gateway-token"),
        kind: FaultKind::Empty,
    })
}

fn shown(found: &Resolved) -> String {
    format!(
        "{} {} {}",
        found.kind.word(),
        found.secret.expose(),
        found.source
    )
}

fn server(
    flags: &SecretFlags,
    auth: Option<AuthMode>,
    env: &Environment,
    config: Option<&Config>,
    file: fn() -> FileResult,
) -> String {
    match for_server(flags, auth, env, config, file) {
        Ok(ServerSecret::Found(found)) => shown(&found),
        Ok(ServerSecret::NotWanted) => "not wanted".to_owned(),
        Ok(ServerSecret::Vouched(None)) => "vouched for".to_owned(),
        Ok(ServerSecret::Vouched(Some(password))) => {
            format!("vouched for, or {}", shown(&password))
        }
        Ok(ServerSecret::Missing(kind)) => format!("missing {kind:?}"),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn a_gateway_prefers_flag_to_environment_to_config_to_file() {
    let given = flags(Some("from-flag"), None);
    let none = SecretFlags::default();
    let set = env(&[(GATEWAY_TOKEN, "from-env")]);
    let unset = env(&[]);
    let config = config("{token: 'from-config'}");
    assert_eq!(
        server(&given, None, &set, Some(&config), broken_file),
        "token from-flag --token"
    );
    assert_eq!(
        server(&none, None, &set, Some(&config), broken_file),
        "token from-env OPENCLAW_GATEWAY_TOKEN"
    );
    assert_eq!(
        server(&none, None, &unset, Some(&config), broken_file),
        "token from-config gateway.auth.token"
    );
    assert_eq!(
        server(&none, None, &unset, None, file),
        "token from-file /s/gateway-token"
    );
    assert_eq!(server(&none, None, &unset, None, no_file), "missing None");
    assert_eq!(
        server(&none, None, &unset, None, broken_file),
        "the token file /s/gateway-token is empty; remove it or write a token into it"
    );
}

#[test]
fn a_password_in_a_nearer_place_beats_a_token_in_a_farther_one() {
    let set = env(&[(GATEWAY_PASSWORD, "pw")]);
    assert_eq!(
        server(
            &SecretFlags::default(),
            None,
            &set,
            Some(&config("{token: 't'}")),
            file
        ),
        "password pw OPENCLAW_GATEWAY_PASSWORD"
    );
}

#[test]
fn the_configured_mode_passes_over_secrets_of_the_other_kind() {
    let none = SecretFlags::default();
    let set = env(&[(GATEWAY_PASSWORD, "pw")]);
    let token_mode = config("{mode: 'token', token: 't', password: 'p'}");
    assert_eq!(
        server(&none, None, &set, Some(&token_mode), file),
        "token t gateway.auth.token"
    );
    let password_mode = config("{mode: 'password', token: 't'}");
    assert_eq!(
        server(&none, None, &env(&[]), Some(&password_mode), file),
        "missing Some(Password)"
    );
}

#[test]
fn flags_beat_the_configured_mode() {
    let open = config("{mode: 'none'}");
    let none = SecretFlags::default();
    assert_eq!(
        server(
            &none,
            None,
            &env(&[(GATEWAY_TOKEN, "t")]),
            Some(&open),
            file
        ),
        "not wanted"
    );
    assert_eq!(
        server(&flags(None, Some("pw")), None, &env(&[]), Some(&open), file),
        "password pw --password"
    );
    assert_eq!(
        server(&none, Some(AuthMode::Token), &env(&[]), Some(&open), file),
        "token from-file /s/gateway-token"
    );
    let proxied = config("{mode: 'trusted-proxy', token: 't'}");
    assert_eq!(
        server(
            &none,
            Some(AuthMode::Token),
            &env(&[]),
            Some(&proxied),
            no_file
        ),
        "token t gateway.auth.token"
    );
}

#[test]
fn beside_a_proxy_that_vouches_there_may_be_a_password_and_no_token() {
    const CONFLICT: &str = "gateway auth mode is trusted-proxy, but a shared token is also configured; remove gateway.auth.token / OPENCLAW_GATEWAY_TOKEN because trusted-proxy and token auth are mutually exclusive";
    let none = SecretFlags::default();
    let plain = config("{mode: 'trusted-proxy'}");
    let with_token = config("{mode: 'trusted-proxy', token: 't', password: 'p'}");
    let with_password = config("{mode: 'trusted-proxy', password: 'p'}");
    let token = env(&[(GATEWAY_TOKEN, "t")]);
    let proxy = Some(AuthMode::TrustedProxy);
    for (flags, auth, env, config, expected) in [
        (&none, None, &env(&[]), &plain, "vouched for"),
        (
            &none,
            None,
            &env(&[]),
            &with_password,
            "vouched for, or password p gateway.auth.password",
        ),
        (
            &flags(None, Some("q")),
            None,
            &env(&[]),
            &with_password,
            "vouched for, or password q --password",
        ),
        (
            &flags(None, Some("q")),
            proxy,
            &env(&[]),
            &plain,
            "vouched for, or password q --password",
        ),
        (&none, None, &env(&[]), &with_token, CONFLICT),
        (&none, None, &token, &with_password, CONFLICT),
        (&flags(Some("t"), None), None, &env(&[]), &plain, CONFLICT),
    ] {
        // The token file may be left over from another mode.
        assert_eq!(server(flags, auth, env, Some(config), file), expected);
    }
}

#[test]
fn two_secrets_at_one_place_need_a_mode_to_choose() {
    let none = SecretFlags::default();
    let both = config("{token: 't', password: 'p'}");
    assert_eq!(
        server(&none, None, &env(&[]), Some(&both), no_file),
        "gateway.auth.token and gateway.auth.password are both set; remove one, or set gateway.auth.mode to \"token\" or \
         \"password\"."
    );
    assert_eq!(
        server(
            &none,
            Some(AuthMode::Password),
            &env(&[]),
            Some(&both),
            no_file
        ),
        "password p gateway.auth.password"
    );
    let typed = flags(Some("t"), Some("p"));
    let fault = for_server(&typed, None, &env(&[]), None, no_file).expect_err("two flags");
    assert_eq!(
        fault.to_string(),
        "--token and --password exclude each other; pass one of them."
    );
    assert!(fault.is_usage());
}

#[test]
fn a_secret_that_auth_has_no_use_for_is_a_mistake_and_not_dropped() {
    for (token, password, auth, expected) in [
        (
            None,
            Some("p"),
            AuthMode::Token,
            "--password and --auth token",
        ),
        (Some("t"), None, AuthMode::None, "--token and --auth none"),
        (
            Some("t"),
            Some("p"),
            AuthMode::Password,
            "--token and --auth password",
        ),
    ] {
        let fault = for_server(
            &flags(token, password),
            Some(auth),
            &env(&[]),
            None,
            no_file,
        )
        .expect_err(expected);
        assert_eq!(
            fault.to_string(),
            format!("{expected} contradict each other; pass one of them.")
        );
        assert!(fault.is_usage());
    }
}

#[test]
fn a_blank_flag_is_a_mistake() {
    let fault = SecretFlags::new(None, Some(" ")).expect_err("blank");
    assert_eq!(
        fault.to_string(),
        "Invalid --password. It must not be empty."
    );
    assert!(fault.is_usage());
}

fn client(
    target: Target,
    flags: &SecretFlags,
    env: &Environment,
    config: &Config,
    file: fn() -> FileResult,
) -> String {
    match for_client(target, flags, env, Some(config), file) {
        Ok(Some(found)) => shown(&found),
        Ok(None) => "none".to_owned(),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn a_client_of_this_host_finds_what_its_gateway_finds() {
    let none = SecretFlags::default();
    let set = env(&[(GATEWAY_TOKEN, "from-env")]);
    let unset = env(&[]);
    for auth in [
        "{token: 't'}",
        "{password: 'p'}",
        "{mode: 'password', token: 't', password: 'p'}",
        "{}",
    ] {
        let config = config(auth);
        for env in [&set, &unset] {
            assert_eq!(
                client(Target::Local, &none, env, &config, file),
                server(&none, None, env, Some(&config), file),
                "{auth}"
            );
        }
    }
}

#[test]
fn a_local_secret_is_not_sent_to_another_gateway() {
    let none = SecretFlags::default();
    let config = Config::parse(
        "{gateway: {auth: {token: 'local'}, remote: {password: 'remote'}}}",
        Path::new("c"),
    )
    .expect("a good file");
    assert_eq!(
        client(Target::Remote, &none, &env(&[]), &config, file),
        "password remote gateway.remote.password"
    );
    let set = env(&[(GATEWAY_TOKEN, "from-env")]);
    assert_eq!(
        client(Target::Remote, &none, &set, &config, file),
        "token from-env OPENCLAW_GATEWAY_TOKEN"
    );
    assert_eq!(client(Target::Explicit, &none, &set, &config, file), "none");
    assert_eq!(
        client(
            Target::Explicit,
            &flags(Some("t"), None),
            &set,
            &config,
            file
        ),
        "token t --token"
    );
    let bare = Config::default();
    assert_eq!(
        client(Target::Remote, &none, &env(&[]), &bare, file),
        "none"
    );
}

#[test]
fn a_client_prefers_a_token_where_nothing_chooses() {
    let both = config("{token: 't', password: 'p'}");
    assert_eq!(
        client(
            Target::Local,
            &SecretFlags::default(),
            &env(&[]),
            &both,
            file
        ),
        "token t gateway.auth.token"
    );
}
