use std::path::Path;

use super::*;
use crate::environment::Environment;
use crate::paths::{Paths, Profile};
use crate::startup::{Flags, StartError, plan};

const WHOLE: &str = "trustedProxies: ['10.0.0.2'], auth: {mode: 'trusted-proxy', trustedProxy: {userHeader: 'x-user'}}";

fn config(gateway: &str) -> Config {
    let text = format!("{{gateway: {{mode: 'local', {gateway}}}}}");
    Config::parse(&text, Path::new("c")).expect(gateway)
}

fn decide(gateway: &str) -> Result<Plan, StartError> {
    let env = Environment::new("/home/ada");
    let paths = Paths::new(&Profile::default(), &env).expect("paths");
    let config = config(gateway);
    plan(&Flags::default(), &env, Some(&config), &paths, || Ok(None))
}

#[test]
fn what_does_not_fit_blocks_a_start_in_the_observed_words() {
    for (gateway, expected) in [
        (
            "auth: {mode: 'trusted-proxy'}",
            "gateway auth mode is trusted-proxy, but no trustedProxy config was provided (set gateway.auth.trustedProxy)",
        ),
        (
            "trustedProxies: ['10.0.0.2'], auth: {mode: 'trusted-proxy', trustedProxy: {}}",
            "gateway auth mode is trusted-proxy, but trustedProxy.userHeader is empty (set gateway.auth.trustedProxy.userHeader)",
        ),
        (
            "trustedProxies: [], auth: {mode: 'trusted-proxy', trustedProxy: {userHeader: 'x-user'}}",
            "gateway auth mode=trusted-proxy requires gateway.trustedProxies to be configured with at least one proxy IP",
        ),
        (
            "auth: {mode: 'none'}, tailscale: {mode: 'serve'}",
            "gateway.auth.mode: gateway.auth.mode=none cannot be used with gateway.tailscale.mode=serve; configure token, password, or trusted-proxy auth before exposing the gateway through Tailscale",
        ),
        (
            "auth: {token: 't'}, tailscale: {mode: 'funnel'}",
            "tailscale funnel requires gateway auth mode=password (set gateway.auth.password or OPENCLAW_GATEWAY_PASSWORD)",
        ),
        (
            "auth: {token: 't'}, bind: 'lan', tailscale: {mode: 'serve'}",
            "gateway.bind: gateway.bind must resolve to loopback when gateway.tailscale.mode=serve (use gateway.bind=\"loopback\")",
        ),
    ] {
        let error = decide(gateway).expect_err(gateway);
        assert_eq!(
            (error.exit_code(), error.to_string().as_str()),
            (78, expected)
        );
    }
}

#[test]
fn a_gateway_behind_a_proxy_may_listen_anywhere_and_needs_no_secret() {
    for bind in ["loopback", "lan"] {
        let plan = decide(&format!("bind: '{bind}', {WHOLE}")).expect("a plan");
        assert!(matches!(plan.auth, Auth::Proxy(None)));
        assert_eq!(plan.auth_mode(), "trusted-proxy");
        let warnings = usize::from(bind == "loopback");
        assert_eq!(plan.warnings.len(), warnings, "{:?}", plan.warnings);
    }
}

#[test]
fn trust_that_goes_far_is_warned_of() {
    let warnings = |gateway: &str| decide(gateway).expect(gateway).warnings.join("\n");
    let loopback = WHOLE.replace("userHeader", "allowLoopback: true, userHeader");
    assert!(warnings(&loopback).contains("every program on this host"));
    let everybody = WHOLE.replace("10.0.0.2", "0.0.0.0/0");
    assert!(warnings(&everybody).contains("network of all addresses"));
    let served = warnings("auth: {token: 't'}, tailscale: {mode: 'serve'}");
    assert!(
        served.contains("run: tailscale serve --bg 18789"),
        "{served}"
    );
    let both = "trustedProxies: ['::1'], auth: {token: 't'}, tailscale: {mode: 'serve'}";
    assert!(warnings(both).contains("says nothing of users of the tailnet"));
}

#[test]
fn users_of_the_tailnet_need_no_token_unless_the_operator_says_otherwise() {
    for (gateway, expected) in [
        ("auth: {token: 't'}, tailscale: {mode: 'serve'}", true),
        (
            "auth: {token: 't', allowTailscale: false}, tailscale: {mode: 'serve'}",
            false,
        ),
        ("auth: {password: 'p'}, tailscale: {mode: 'serve'}", false),
        (
            "auth: {password: 'p', allowTailscale: true}, tailscale: {mode: 'serve'}",
            true,
        ),
        (
            "auth: {password: 'p', allowTailscale: true}, tailscale: {mode: 'funnel'}",
            false,
        ),
        ("auth: {token: 't', allowTailscale: true}", false),
        (
            "trustedProxies: ['10.0.0.2'], tailscale: {mode: 'serve'}, auth: {mode: 'trusted-proxy', allowTailscale: true, trustedProxy: {userHeader: 'x-user'}}",
            false,
        ),
    ] {
        let plan = decide(gateway).expect(gateway);
        let proxies = Proxies::new(&plan, Some(&config(gateway)));
        assert_eq!(proxies.by_tailnet, expected, "{gateway}");
        let by_proxy = matches!(plan.auth, Auth::Proxy(_));
        assert_eq!(proxies.vouching.is_some(), by_proxy, "{gateway}");
    }
}

#[test]
fn a_user_whose_address_is_there_in_two_cases_blocks_a_start() {
    let parse = |names: &str| {
        let text = format!("{{gateway: {{auth: {{identityScopes: {{{names}}}}}}}}}");
        Config::parse(&text, Path::new("c"))
    };
    let twice = parse("'ada@x': ['operator.read'], 'ADA@x': ['operator.admin']");
    assert_eq!(
        twice.expect_err("two").to_string(),
        "Invalid config at c: gateway.auth.identityScopes.ADA@x: names the same user as gateway.auth.identityScopes.ada@x, because addresses are compared in any case; keep one of the two"
    );
    // Other names are compared as they are.
    let config = parse("ada: ['operator.read'], ADA: ['operator.admin']").expect("two users");
    assert_eq!(config.gateway.auth.identity_scopes.len(), 2);
}

#[test]
fn a_tailnet_whose_users_may_do_everything_is_warned_of() {
    const SERVED: &str = "tailscale: {mode: 'serve'}, auth: {token: 't'";
    let warnings = |gateway: &str| decide(gateway).expect(gateway).warnings.join("\n");
    let words = "without gateway.auth.identityScopes: every user of the tailnet";
    assert!(warnings(&format!("{SERVED}}}")).contains(words));
    for rest in [
        ", allowTailscale: false}",
        ", identityScopes: {'ada@x': ['operator.read']}}",
    ] {
        assert!(
            !warnings(&format!("{SERVED}{rest}")).contains(words),
            "{rest}"
        );
    }
}

#[test]
fn tailscale_is_told_that_the_port_speaks_tls() {
    for (mode, auth) in [("serve", "token: 't'"), ("funnel", "password: 'p'")] {
        let gateway =
            format!("tls: {{enabled: true}}, auth: {{{auth}}}, tailscale: {{mode: '{mode}'}}");
        let warnings = decide(&gateway).expect(&gateway).warnings.join("\n");
        let expected = format!("run: tailscale {mode} --bg https+insecure://localhost:18789");
        assert!(warnings.contains(&expected), "{warnings}");
    }
}

#[test]
fn a_header_that_says_something_else_cannot_name_users() {
    let parse = |name: &str| {
        let text = format!("{{gateway: {{auth: {{trustedProxy: {{userHeader: '{name}'}}}}}}}}");
        Config::parse(&text, Path::new("c"))
    };
    for name in [
        "Host",
        "origin",
        "Cookie",
        "X-Forwarded-For",
        "x-openclaw-scopes",
        "Sec-WebSocket-Key",
        "authorization",
    ] {
        let error = parse(name).expect_err(name).to_string();
        assert!(
            error.contains("gateway.auth.trustedProxy.userHeader: has another meaning"),
            "{error}"
        );
    }
    for name in [
        "x-forwarded-user",
        "X-Auth-Request-Email",
        "Tailscale-User-Login",
    ] {
        assert!(parse(name).is_ok(), "{name}");
    }
}

#[test]
fn a_gateway_that_no_proxy_can_speak_to_is_warned_of() {
    let warnings = |gateway: &str| decide(gateway).expect(gateway).warnings.join("\n");
    let here = WHOLE.replace("10.0.0.2", "127.0.0.1");
    assert!(warnings(&here).contains(
        "nobody comes in through a proxy: gateway.trustedProxies has addresses of this host only"
    ));
    assert!(
        warnings(WHOLE)
            .contains("nobody comes in through a proxy: the gateway listens on this host only")
    );
    let both = WHOLE.replace("'10.0.0.2'", "'10.0.0.2', '::1'");
    for fit in [
        format!("bind: 'lan', {WHOLE}"),
        here.replace("userHeader", "allowLoopback: true, userHeader"),
        format!("bind: 'lan', {both}"),
    ] {
        assert!(!warnings(&fit).contains("nobody comes in"), "{fit}");
    }
}
