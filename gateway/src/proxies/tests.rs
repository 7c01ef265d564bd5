use super::*;

fn parse(networks: &[&str]) -> Vec<Network> {
    networks
        .iter()
        .map(|text| Network::parse(text).expect(text))
        .collect()
}

fn trusting(networks: &[&str]) -> Proxies {
    Proxies {
        trusted: parse(networks),
        own_addresses: || Ok(vec![IpAddr::from([192, 0, 2, 200])]),
        ..Proxies::default()
    }
}

fn of_tailscale(mode: Tailscale) -> Proxies {
    Proxies {
        tailscale: mode,
        by_tailnet: true,
        ..trusting(&[])
    }
}

fn headers(fields: &[(&str, &str)]) -> Headers {
    fields.iter().copied().collect()
}

fn route(proxies: &Proxies, socket: &str, fields: &[(&str, &str)]) -> String {
    match proxies.route(socket.parse().expect(socket), &headers(fields)) {
        Ok(Route::Direct) => "direct".to_owned(),
        Ok(Route::Proxy(client)) => format!("proxy {client}"),
        Ok(Route::Serve(client)) => format!("serve {client}"),
        Ok(Route::Funnel(client)) => format!("funnel {client}"),
        Err(Unattributable) => "refused".to_owned(),
    }
}

const CHAIN: (&str, &str) = ("x-forwarded-for", "203.0.113.5");

#[test]
fn what_only_a_proxy_adds_is_known() {
    for name in [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-user",
        "x-real-ip",
        "via",
        "cf-connecting-ip",
        "tailscale-user-login",
        "tailscale-headers-info",
    ] {
        assert!(is_of_a_proxy(name), "{name}");
    }
    for name in [
        "host",
        "origin",
        "user-agent",
        "x-request-id",
        "forwarded-by-hand",
        "x-remote-user",
    ] {
        assert!(!is_of_a_proxy(name), "{name}");
    }
}

#[test]
fn who_is_not_trusted_is_never_believed() {
    let proxies = trusting(&["192.0.2.7"]);
    for socket in ["127.0.0.1", "::1", "192.0.2.8", "2001:db8::1"] {
        assert_eq!(route(&proxies, socket, &[]), "direct", "{socket}");
        for field in [
            CHAIN,
            ("x-forwarded-for", ""),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=127.0.0.1"),
            ("x-real-ip", "127.0.0.1"),
            ("tailscale-user-login", "ada@example.com"),
            ("Tailscale-Funnel-Request", ""),
        ] {
            assert_eq!(
                route(&proxies, socket, &[field]),
                "refused",
                "{socket} {field:?}"
            );
        }
    }
}

#[test]
fn a_trusted_proxy_has_to_say_for_whom_it_speaks() {
    let proxies = trusting(&["192.0.2.7", "10.0.0.0/8"]);
    let cases: [(&[(&str, &str)], &str); 10] = [
        (&[CHAIN], "proxy 203.0.113.5"),
        (
            &[("X-Forwarded-For", "1.1.1.1, 203.0.113.5")],
            "proxy 203.0.113.5",
        ),
        (
            &[("x-forwarded-for", "1.1.1.1"), CHAIN],
            "proxy 203.0.113.5",
        ),
        (
            &[("x-forwarded-for", "203.0.113.5, 10.1.1.1")],
            "proxy 203.0.113.5",
        ),
        (&[], "refused"),
        (&[("x-forwarded-for", "127.0.0.1, ::1")], "refused"),
        (&[("x-forwarded-for", "10.0.0.1")], "refused"),
        (&[("forwarded", "for=203.0.113.5")], "refused"),
        (&[("x-real-ip", "203.0.113.5")], "refused"),
        (&[("x-forwarded-user", "ada")], "refused"),
    ];
    for (fields, expected) in cases {
        for socket in ["192.0.2.7", "::ffff:192.0.2.7", "10.9.9.9"] {
            assert_eq!(
                route(&proxies, socket, fields),
                expected,
                "{socket} {fields:?}"
            );
        }
    }
}

#[test]
fn a_line_that_cannot_be_read_is_not_skipped() {
    let proxies = trusting(&["192.0.2.7"]);
    let fields: Headers = [
        ("x-forwarded-for", &b"1.1.1.1"[..]),
        ("x-forwarded-for", b"\xff, 203.0.113.5"),
    ]
    .into_iter()
    .collect();
    let socket = "192.0.2.7".parse().unwrap();
    assert_eq!(proxies.route(socket, &fields), Err(Unattributable));
}

#[test]
fn the_real_ip_counts_only_where_the_operator_says_so_and_there_is_no_chain() {
    let proxies = Proxies {
        real_ip: true,
        ..trusting(&["192.0.2.7"])
    };
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("x-real-ip", "203.0.113.5:80")], "proxy 203.0.113.5"),
        (&[("x-real-ip", "1.1.1.1"), CHAIN], "proxy 203.0.113.5"),
        (
            &[("x-real-ip", "1.1.1.1"), ("x-forwarded-for", "unknown")],
            "refused",
        ),
        (&[("x-real-ip", "127.0.0.1")], "refused"),
        (
            &[("x-real-ip", "203.0.113.5"), ("x-real-ip", "1.1.1.1")],
            "refused",
        ),
        (&[("x-real-ip", "203.0.113.5, 1.1.1.1")], "refused"),
    ];
    for (fields, expected) in cases {
        assert_eq!(route(&proxies, "192.0.2.7", fields), expected, "{fields:?}");
    }
    assert_eq!(
        route(&proxies, "192.0.2.8", &[("x-real-ip", "203.0.113.5")]),
        "refused"
    );
}

#[test]
fn what_tailscale_passes_on_comes_from_this_host_and_is_complete() {
    const WHOLE: [(&str, &str); 3] = [
        ("x-forwarded-for", "100.64.0.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "gateway.tail.example"),
    ];
    let with = |fields: &[(&'static str, &'static str)]| {
        let mut whole = WHOLE.to_vec();
        whole.extend(fields);
        whole
    };
    let funnel = |value| with(&[("tailscale-funnel-request", value)]);
    let chained = [("x-forwarded-for", "127.0.0.1"), WHOLE[1], WHOLE[2]];
    let empty = [WHOLE[0], WHOLE[1], ("x-forwarded-host", " ")];
    use Tailscale::{Funnel, Off, Serve};
    for (mode, socket, fields, expected) in [
        (Serve, "127.0.0.1", WHOLE.to_vec(), "serve 100.64.0.9"),
        (Serve, "::1", WHOLE.to_vec(), "serve 100.64.0.9"),
        (Serve, "192.0.2.1", WHOLE.to_vec(), "refused"),
        (Serve, "100.64.0.9", WHOLE.to_vec(), "refused"),
        (Off, "127.0.0.1", WHOLE.to_vec(), "refused"),
        (Serve, "127.0.0.1", WHOLE[..2].to_vec(), "refused"),
        (Serve, "127.0.0.1", WHOLE[1..].to_vec(), "refused"),
        (Serve, "127.0.0.1", empty.to_vec(), "refused"),
        (Serve, "127.0.0.1", chained.to_vec(), "refused"),
        (Serve, "127.0.0.1", vec![(LOGIN, "ada")], "refused"),
        (Serve, "127.0.0.1", funnel("?1"), "refused"),
        (Serve, "127.0.0.1", vec![], "direct"),
        (Funnel, "127.0.0.1", WHOLE.to_vec(), "funnel 100.64.0.9"),
        (Funnel, "127.0.0.1", funnel("?1"), "funnel 100.64.0.9"),
        (Funnel, "127.0.0.1", funnel("?0"), "refused"),
    ] {
        let proxies = of_tailscale(mode);
        assert_eq!(
            route(&proxies, socket, &fields),
            expected,
            "{mode:?} {socket} {fields:?}"
        );
    }
    let both = Proxies {
        trusted: parse(&["127.0.0.1"]),
        ..of_tailscale(Serve)
    };
    assert_eq!(route(&both, "127.0.0.1", &WHOLE), "proxy 100.64.0.9");
}

fn user(proxies: &Proxies, socket: &str, fields: &[(&str, &str)]) -> String {
    let peer = proxies.peer_of(socket.parse().expect(socket), None, &headers(fields));
    match peer.claims.expect("claims").who {
        Who::Vouched(user) => user.into(),
        Who::Nobody(reason) => reason.into(),
        who @ (Who::Claimed(_) | Who::Verified(_)) => panic!("{who:?}"),
    }
}

#[test]
fn a_user_is_who_the_trusted_proxy_says_and_nobody_else_does() {
    let strict = Proxies {
        vouching: Some(Vouching {
            user_header: "X-Forwarded-User".to_owned(),
            required_headers: vec!["X-Forwarded-Proto".to_owned(), "X-Edge".to_owned()],
            allow_users: vec!["ada@example.com".to_owned()],
            allow_loopback: false,
        }),
        ..trusting(&["192.0.2.0/24", "127.0.0.1", "::1"])
    };
    let ada = ("x-forwarded-user", "ada@example.com");
    let (proto, edge) = (("x-forwarded-proto", "https"), ("x-edge", "1"));
    for (socket, fields, expected) in [
        (
            "192.0.2.7",
            vec![CHAIN, ada, proto, edge],
            "ada@example.com",
        ),
        (
            "192.0.2.7",
            vec![
                CHAIN,
                ("X-FORWARDED-USER", "  ada@example.com "),
                proto,
                edge,
            ],
            "ada@example.com",
        ),
        (
            "192.0.3.7",
            vec![CHAIN, ada, proto, edge],
            "trusted_proxy_untrusted_source",
        ),
        (
            "127.0.0.1",
            vec![CHAIN, ada, proto, edge],
            "trusted_proxy_loopback_source",
        ),
        ("::1", vec![], "trusted_proxy_loopback_source"),
        (
            "192.0.2.200",
            vec![CHAIN, ada, proto, edge],
            "trusted_proxy_local_interface_source",
        ),
        (
            "192.0.2.7",
            vec![CHAIN, ada, edge],
            "trusted_proxy_missing_header_X-Forwarded-Proto",
        ),
        (
            "192.0.2.7",
            vec![CHAIN, ada, proto, ("x-edge", "  ")],
            "trusted_proxy_missing_header_X-Edge",
        ),
        (
            "192.0.2.7",
            vec![CHAIN, proto, edge],
            "trusted_proxy_user_missing",
        ),
        (
            "192.0.2.7",
            vec![CHAIN, ("x-forwarded-user", " "), proto, edge],
            "trusted_proxy_user_missing",
        ),
        (
            "192.0.2.7",
            vec![CHAIN, ("x-forwarded-user", "mallory"), ada, proto, edge],
            "trusted_proxy_user_missing",
        ),
        (
            "192.0.2.7",
            vec![CHAIN, ("x-forwarded-user", "Ada@example.com"), proto, edge],
            "trusted_proxy_user_not_allowed",
        ),
        (
            "192.0.2.7",
            vec![
                CHAIN,
                ("x-forwarded-user", "mallory, ada@example.com"),
                proto,
                edge,
            ],
            "trusted_proxy_user_not_allowed",
        ),
        (
            "192.0.2.7",
            vec![ada, proto, edge],
            "proxy_attribution_required",
        ),
    ] {
        assert_eq!(
            user(&strict, socket, &fields),
            expected,
            "{socket} {fields:?}"
        );
    }
    let blind = Proxies {
        own_addresses: || Err(io::ErrorKind::Other.into()),
        ..strict
    };
    assert_eq!(
        user(&blind, "192.0.2.7", &[CHAIN, ada, proto, edge]),
        "trusted_proxy_local_interface_check_failed"
    );
}

#[test]
fn a_proxy_on_this_host_is_believed_only_where_the_operator_says_so() {
    let proxies = Proxies {
        vouching: Some(Vouching {
            user_header: "x-remote-user".to_owned(),
            allow_loopback: true,
            ..Vouching::default()
        }),
        ..trusting(&["127.0.0.1"])
    };
    let named = ("x-remote-user", "ada");
    assert_eq!(user(&proxies, "127.0.0.1", &[CHAIN, named]), "ada");
    assert_eq!(
        user(&proxies, "127.0.0.1", &[named]),
        "proxy_attribution_required",
        "a program on this host that only names a user has no proxy in front of it"
    );
    assert_eq!(
        user(&proxies, "127.0.0.1", &[]),
        "trusted_proxy_user_missing"
    );
    assert_eq!(
        user(&proxies, "127.0.0.2", &[named]),
        "trusted_proxy_untrusted_source"
    );
    let long = "a".repeat(MAX_USER + 1);
    assert_eq!(
        user(&proxies, "127.0.0.1", &[CHAIN, ("x-remote-user", &long)]),
        "trusted_proxy_user_missing"
    );
}

#[test]
fn a_login_counts_only_through_serve_and_is_but_a_claim() {
    let whole = [
        ("x-forwarded-for", "100.64.0.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "gateway.tail.example"),
        (LOGIN, " ada@example.com "),
    ];
    let who = |proxies: &Proxies, fields: &[(&str, &str)]| {
        let peer = proxies.peer_of(IpAddr::from([127, 0, 0, 1]), None, &headers(fields));
        assert!(!peer.direct_loopback);
        peer.claims.map(|claims| claims.who)
    };
    let serve = of_tailscale(Tailscale::Serve);
    assert_eq!(
        who(&serve, &whole),
        Some(Who::Claimed("ada@example.com".into()))
    );
    let nobody = Some(Who::Nobody("tailscale_user_missing".into()));
    assert_eq!(who(&serve, &whole[..3]), nobody);
    let twice: Vec<_> = whole.into_iter().chain([(LOGIN, "mallory")]).collect();
    assert_eq!(who(&serve, &twice), nobody);
    assert_eq!(who(&of_tailscale(Tailscale::Funnel), &whole), None);
    let trusting = Proxies {
        trusted: parse(&["127.0.0.1"]),
        ..serve.clone()
    };
    assert_eq!(who(&trusting, &whole), None);
    let refused = Proxies {
        by_tailnet: false,
        ..serve
    };
    assert_eq!(who(&refused, &whole), None);
}

#[test]
fn a_request_limits_its_own_scopes() {
    let limit = |fields: &[(&str, &str)]| {
        let peer = trusting(&[]).peer_of(IpAddr::from([192, 0, 2, 1]), None, &headers(fields));
        peer.claims?.scopes
    };
    assert_eq!(limit(&[]), None);
    assert_eq!(limit(&[(SCOPES, "")]), Some(vec![]));
    let both = " operator.read,, x ";
    let whole = Some(vec!["operator.read".into(), "x".into()]);
    assert_eq!(limit(&[(SCOPES, both)]), whole);
    // A proxy's line and a client's: neither widens the other.
    for lines in [["y, x", both], [both, "x"]] {
        let lines = lines.map(|line| (SCOPES, line));
        assert_eq!(limit(&lines), Some(vec!["x".into()]));
    }
    assert_eq!(limit(&[(SCOPES, both), (SCOPES, "")]), Some(vec![]));
}
