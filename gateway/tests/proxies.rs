//! Who comes in by a proxy's word, and who pretends to.

mod support;

use std::net::IpAddr;

use openclaw_gateway_service::admission::origin::AllowedOrigin;
use openclaw_gateway_service::admission::users::Users;
use openclaw_gateway_service::proxies::forwarded::Network;
use openclaw_gateway_service::proxies::{Proxies, Vouching};
use openclaw_gateway_service::secret::resolve::SecretKind;
use openclaw_protocol_core::hub::Peer;
use openclaw_runtime_smol::http::Headers;
use serde_json::{Value, json};
use support::{ADMIN, Caller, Device, READ, Settings, WRITE, World, local, scopes_of};

const PROXY: &str = "192.0.2.7";
const PASSWORD: &str = "hunter2-hunter2";
const ADA: &[(&str, &str)] = &[
    ("X-Forwarded-For", "203.0.113.5"),
    ("X-Forwarded-User", "ada@example.com"),
];

fn proxies() -> Proxies {
    Proxies {
        trusted: ["192.0.2.0/28", "127.0.0.1"]
            .map(|text| Network::parse(text).expect(text))
            .to_vec(),
        vouching: Some(Vouching {
            user_header: "x-forwarded-user".to_owned(),
            allow_users: vec!["ada@example.com".to_owned(), "bob".to_owned()],
            ..Vouching::default()
        }),
        own_addresses: || Ok(Vec::new()),
        ..Proxies::default()
    }
}

/// A peer as the gateway's front makes it of a socket's address and the fields of an upgrade.
fn peer(socket: &str, fields: &[(&str, &str)]) -> Peer {
    page(socket, fields, None)
}

fn page(socket: &str, fields: &[(&str, &str)], origin: Option<&str>) -> Peer {
    let headers: Headers = fields.iter().copied().collect();
    let socket: IpAddr = socket.parse().expect("an address");
    let proxies = proxies();
    assert!(
        proxies.route(socket, &headers).is_ok(),
        "it would be answered 403: {socket} {fields:?}"
    );
    proxies.peer_of(socket, origin, &headers)
}

fn with(fields: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    ADA.iter().chain(fields).copied().collect()
}

fn settings(secret: Option<(SecretKind, &'static str)>) -> Settings {
    Settings {
        secret,
        allowed_origins: AllowedOrigin::parse("https://control.example.com")
            .into_iter()
            .collect(),
        users: Users {
            by_proxy: true,
            scopes: [("Ada@Example.com".to_owned(), vec![READ.to_owned()])].into(),
        },
        ..Settings::default()
    }
}

fn world() -> World {
    World::with(settings(None))
}

fn cli<'a>(scopes: &'a [&'a str]) -> Caller<'a> {
    Caller {
        id: "cli",
        mode: "cli",
        scopes,
        auth: json!({}),
        ..Caller::default()
    }
}

fn unauthorized(code: &str, reason: &str) -> Value {
    json!({
        "code": "INVALID_REQUEST", "message": "unauthorized",
        "details": {
            "code": code, "authReason": reason, "canRetryWithDeviceToken": false,
            "recommendedNextStep": "review_auth_configuration",
        },
    })
}

#[test]
fn a_user_without_a_device_has_what_the_name_opens_and_no_more() {
    for (id, mode) in [
        ("cli", "cli"),
        ("gateway-client", "backend"),
        ("test", "test"),
        ("openclaw-tui", "ui"),
    ] {
        let caller = Caller {
            id,
            mode,
            ..cli(&[READ, WRITE, ADMIN])
        };
        let (_, hello) = world().knock_from(peer(PROXY, ADA), &caller);
        assert_eq!(scopes_of(&hello), &json!([READ]), "{id}: {hello}");
        let bob = [ADA[0], ("x-forwarded-user", "bob")];
        let (_, hello) = world().knock_from(peer(PROXY, &bob), &caller);
        assert_eq!(scopes_of(&hello), &json!([]), "{id}: {hello}");
    }
}

#[test]
fn the_page_of_a_user_needs_an_allowed_origin_and_no_device() {
    let caller = Caller {
        id: "openclaw-control-ui",
        mode: "ui",
        ..cli(&[ADMIN])
    };
    let from = |origin: &str| page(PROXY, ADA, Some(origin));
    let (_, hello) = world().knock_from(from("https://control.example.com"), &caller);
    assert_eq!(scopes_of(&hello), &json!([READ]));
    let own = format!("http://localhost:{}", support::PORT);
    for origin in ["https://evil.example", &own, "http://127.0.0.1:18789"] {
        let error = world().refused(from(origin), &caller);
        assert_eq!(
            error["details"]["code"], "CONTROL_UI_ORIGIN_NOT_ALLOWED",
            "{origin}"
        );
    }
    let error = world().refused(peer(PROXY, ADA), &caller);
    assert_eq!(error["details"]["reason"], "origin missing or invalid");
}

#[test]
fn who_names_a_user_without_being_the_proxy_is_not_let_in() {
    let named: &[(&str, &str)] = &[("x-remote-user", "ada@example.com")];
    let no_chain = [ADA[1]];
    let mallory = [ADA[0], ("x-forwarded-user", "mallory")];
    let twice = [ADA[0], ADA[1], ("x-forwarded-user", "bob")];
    let other_case = [ADA[0], ("x-forwarded-user", "ADA@example.com")];
    for (socket, fields, reason) in [
        ("198.51.100.1", &[][..], "trusted_proxy_untrusted_source"),
        ("198.51.100.1", named, "trusted_proxy_untrusted_source"),
        ("127.0.0.1", named, "trusted_proxy_loopback_source"),
        ("127.0.0.1", ADA, "trusted_proxy_loopback_source"),
        (PROXY, &ADA[..1], "trusted_proxy_user_missing"),
        (PROXY, &mallory, "trusted_proxy_user_not_allowed"),
        (PROXY, &twice, "trusted_proxy_user_missing"),
        (PROXY, &other_case, "trusted_proxy_user_not_allowed"),
    ] {
        for auth in [json!({"token": "anything"}), json!({"password": PASSWORD})] {
            let caller = Caller {
                auth,
                ..cli(&[ADMIN])
            };
            let error = world().refused(peer(socket, fields), &caller);
            assert_eq!(
                error,
                unauthorized("AUTH_UNAUTHORIZED", reason),
                "{socket} {fields:?}"
            );
        }
        let caller = Caller {
            device: Some(Device::new(1)),
            ..cli(&[ADMIN])
        };
        let error = world().refused(peer(socket, fields), &caller);
        assert_eq!(error, unauthorized("AUTH_UNAUTHORIZED", reason));
    }
    // What does not get as far as this at all.
    let headers: Headers = no_chain.into_iter().collect();
    for socket in [PROXY, "127.0.0.1", "198.51.100.1"] {
        let socket = socket.parse().expect("an address");
        assert!(proxies().route(socket, &headers).is_err(), "{socket}");
    }
}

#[test]
fn who_presents_nothing_is_told_nothing_of_proxies() {
    let error = world().refused(peer("198.51.100.1", &[]), &cli(&[]));
    assert_eq!(
        error,
        json!({
            "code": "NOT_PAIRED", "message": "device identity required",
            "details": {"code": "DEVICE_IDENTITY_REQUIRED"},
        })
    );
    let caller = Caller {
        id: "openclaw-tui",
        mode: "ui",
        ..cli(&[])
    };
    let error = world().refused(local(), &caller);
    assert_eq!(
        error["details"]["code"],
        "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"
    );
}

#[test]
fn a_missing_header_is_told_apart() {
    let strict = Proxies {
        vouching: proxies().vouching.map(|vouching| Vouching {
            required_headers: vec!["X-Edge".to_owned()],
            ..vouching
        }),
        ..proxies()
    };
    let headers: Headers = ADA.iter().copied().collect();
    let from = || strict.peer_of(PROXY.parse().expect("an address"), None, &headers);
    let caller = Caller {
        device: Some(Device::new(1)),
        ..cli(&[])
    };
    let error = world().refused(from(), &caller);
    let reason = "trusted_proxy_missing_header_X-Edge";
    let expected = unauthorized("AUTH_IDENTITY_HEADER_REQUIRED", reason);
    assert_eq!(error, expected);
    let caller = Caller {
        id: "node-host",
        mode: "node",
        ..caller
    };
    let error = world().refused(from(), &caller);
    assert_eq!(error["details"], expected["details"]);
    assert_eq!(
        error["message"],
        "gateway rejected this node: trusted-proxy identity-header authentication is required and no usable machine credential was accepted; run `openclaw doctor` on the Gateway"
    );
}

#[test]
fn a_device_behind_the_proxy_waits_for_approval_and_comes_in_then() {
    let mut world = World::with(settings(Some((SecretKind::Password, PASSWORD))));
    let device = |seed| Caller {
        device: Some(Device::new(seed)),
        ..cli(&[READ, WRITE])
    };
    let backend = Caller {
        id: "gateway-client",
        mode: "backend",
        ..device(2)
    };
    for caller in [&backend, &device(1)] {
        let (_, answer) = world.knock_from(peer(PROXY, ADA), caller);
        assert_eq!(answer["error"]["code"], "NOT_PAIRED", "{answer}");
        assert_eq!(answer["error"]["details"]["reason"], "not-paired");
    }
    let caller = device(1);
    let operator = Caller {
        scopes: &[ADMIN],
        auth: json!({"password": PASSWORD}),
        ..cli(&[])
    };
    let (operator, hello) = world.knock_from(local(), &operator);
    assert_eq!(scopes_of(&hello), &json!([ADMIN]));
    let list = world.ask(operator, "device.pair.list", json!({}));
    let pending = list["payload"]["pending"].as_array().expect("a list");
    let id = caller.device.as_ref().expect("a device").id();
    let request = pending.iter().find(|request| request["deviceId"] == id);
    let request = request.expect("it waits");
    assert_eq!(request["remoteIp"], "203.0.113.5", "{request}");
    let params = json!({"requestId": request["requestId"]});
    let answer = world.ask(operator, "device.pair.approve", params);
    assert_eq!(answer["ok"], true, "{answer}");

    let (_, hello) = world.knock_from(peer(PROXY, ADA), &caller);
    assert_eq!(scopes_of(&hello), &json!([READ, WRITE]));
    let token = hello["payload"]["auth"]["deviceToken"].clone();

    // Its token is worth as much without the proxy's word.
    let with_token = Caller {
        auth: json!({"deviceToken": token}),
        ..caller.clone()
    };
    for from in [peer(PROXY, &ADA[..1]), peer("198.51.100.1", &[]), local()] {
        let (_, hello) = world.knock_from(from, &with_token);
        assert_eq!(scopes_of(&hello), &json!([READ, WRITE]));
    }
    let stranger = || peer("198.51.100.1", &[]);
    let error = world.refused(stranger(), &caller);
    assert_eq!(
        error["details"]["authReason"],
        "trusted_proxy_untrusted_source"
    );
    let wrong = Caller {
        auth: json!({"deviceToken": "wrong"}),
        ..caller.clone()
    };
    let error = world.refused(stranger(), &wrong);
    assert_eq!(error["details"]["code"], "AUTH_DEVICE_TOKEN_MISMATCH");

    // The password, right as it is, is not looked at from elsewhere.
    let both = Caller {
        auth: json!({"deviceToken": token, "password": PASSWORD}),
        scopes: &[READ, ADMIN],
        ..caller.clone()
    };
    let error = world.refused(stranger(), &both);
    assert_eq!(error["details"]["code"], "AUTH_SCOPE_MISMATCH");

    // More than was approved is not approved by the proxy's word.
    let wider = Caller {
        scopes: &[READ, ADMIN],
        ..caller.clone()
    };
    let (_, answer) = world.knock_from(peer(PROXY, ADA), &wider);
    assert_eq!(answer["error"]["details"]["reason"], "scope-upgrade");
}

#[test]
fn a_page_that_the_proxy_vouches_for_gets_no_token() {
    let mut world = World::with(settings(Some((SecretKind::Password, PASSWORD))));
    let page_at =
        |fields: &[(&str, &str)]| page(PROXY, fields, Some("https://control.example.com"));
    let caller = Caller {
        id: "openclaw-control-ui",
        mode: "ui",
        device: Some(Device::new(1)),
        ..cli(&[READ])
    };
    let (_, answer) = world.knock_from(page_at(ADA), &caller);
    assert_eq!(answer["error"]["details"]["reason"], "not-paired");
    // The same device, once approved.
    let own = format!("http://localhost:{}", support::PORT);
    let here = page("127.0.0.1", &[], Some(&own));
    let with_password = Caller {
        auth: json!({"password": PASSWORD}),
        ..caller.clone()
    };
    let (_, hello) = world.knock_from(here, &with_password);
    assert!(
        hello["payload"]["auth"]["deviceToken"].is_string(),
        "{hello}"
    );
    let (_, hello) = world.knock_from(page_at(ADA), &caller);
    assert_eq!(scopes_of(&hello), &json!([READ]));
    assert!(hello["payload"]["auth"]["deviceToken"].is_null(), "{hello}");
}

#[test]
fn the_password_is_for_programs_on_this_host_and_stands_in_its_own_field() {
    let world = || World::with(settings(Some((SecretKind::Password, PASSWORD))));
    let presenting = |auth: Value| Caller {
        auth,
        ..cli(&[READ, ADMIN])
    };
    let right = presenting(json!({"password": PASSWORD}));
    let (_, hello) = world().knock_from(local(), &right);
    assert_eq!(scopes_of(&hello), &json!([READ, ADMIN]));
    let device = Caller {
        device: Some(Device::new(1)),
        ..right.clone()
    };
    let (_, hello) = world().knock_from(local(), &device);
    assert!(
        hello["payload"]["auth"]["deviceToken"].is_string(),
        "{hello}"
    );

    let error = world().refused(local(), &presenting(json!({"password": "wrong"})));
    assert_eq!(error["details"]["code"], "AUTH_PASSWORD_MISMATCH");
    let error = world().refused(local(), &presenting(json!({"token": PASSWORD})));
    assert_eq!(error["details"]["code"], "AUTH_UNAUTHORIZED");
    for from in [
        peer("198.51.100.1", &[]),
        peer("127.0.0.1", &ADA[..1]),
        peer(PROXY, &ADA[..1]),
    ] {
        let error = world().refused(from.clone(), &right);
        assert_eq!(error["details"]["code"], "AUTH_UNAUTHORIZED", "{from:?}");
        let error = world().refused(from.clone(), &device);
        assert_eq!(error["details"]["code"], "AUTH_UNAUTHORIZED", "{from:?}");
    }
    let error = World::with(settings(None)).refused(local(), &right);
    assert_eq!(error["details"]["code"], "AUTH_UNAUTHORIZED");
}

#[test]
fn guesses_of_the_password_are_counted_and_no_proxy_hides_them() {
    let mut settings = settings(Some((SecretKind::Password, PASSWORD)));
    settings.rate_limit.exempt_loopback = false;
    settings.rate_limit.attempts = 3;
    let mut world = World::with(settings);
    let presenting = |password: &str| Caller {
        auth: json!({"password": password}),
        ..cli(&[])
    };
    for _ in 0..3 {
        world.refused(local(), &presenting("wrong"));
    }
    let error = world.refused(local(), &presenting(PASSWORD));
    assert_eq!(error["details"]["code"], "AUTH_RATE_LIMITED");
    let (_, hello) = world.knock_from(peer(PROXY, ADA), &presenting("wrong"));
    assert_eq!(hello["ok"], true, "whom the proxy names needs no password");
}

#[test]
fn the_request_limits_scopes_and_never_widens_them() {
    for (limit, expected) in [
        ("operator.write", json!([])),
        ("", json!([])),
        (" operator.read , operator.admin", json!([READ])),
    ] {
        let fields = with(&[("x-openclaw-scopes", limit)]);
        let (_, hello) = world().knock_from(peer(PROXY, &fields), &cli(&[ADMIN]));
        assert_eq!(scopes_of(&hello), &expected, "{limit:?}");
    }
    let mut plain = World::new();
    let from = peer("127.0.0.1", &[("x-openclaw-scopes", "operator.read")]);
    let caller = Caller {
        scopes: &[READ, ADMIN],
        ..Caller::default()
    };
    let (_, hello) = plain.knock_from(from, &caller);
    assert_eq!(scopes_of(&hello), &json!([READ]), "whatever the mode is");
}

#[test]
fn a_users_retry_is_nobody_elses() {
    let mut world = World::with(Settings {
        users: Users {
            by_proxy: true,
            scopes: ["ada@example.com", "bob"]
                .map(|user| (user.to_owned(), vec![WRITE.to_owned()]))
                .into(),
        },
        ..settings(None)
    });
    let bob = [ADA[0], ("x-forwarded-user", "bob")];
    for (number, (fields, runs)) in [(ADA, 1), (ADA, 1), (&bob, 2)].into_iter().enumerate() {
        let (conn, hello) = world.knock_from(peer(PROXY, fields), &cli(&[]));
        assert_eq!(hello["ok"], true);
        world.run_in(conn, "r", "same-key", &format!("session-{}", fields[1].1));
        assert_eq!(world.agent.begun("same-key"), runs, "{number}");
    }
}

#[test]
fn others_see_whose_a_connection_is_and_where_it_comes_from() {
    let mut world = world();
    let caller = Caller {
        id: "webchat",
        mode: "webchat",
        ..cli(&[])
    };
    let fields = [("x-forwarded-for", "6.6.6.6, ::ffff:203.0.113.5"), ADA[1]];
    let from = page(PROXY, &fields, Some("https://control.example.com"));
    let (_, hello) = world.knock_from(from, &caller);
    let rows = hello["payload"]["snapshot"]["presence"]
        .as_array()
        .expect("rows");
    let row = rows
        .iter()
        .find(|row| row["mode"] == "webchat")
        .expect("a row");
    assert_eq!(row["ip"], "203.0.113.5");
    assert_eq!(
        row["user"],
        json!({"id": "ada@example.com", "email": "ada@example.com"})
    );
}

#[test]
fn wrong_secrets_are_counted_by_the_clients_address_and_not_by_the_proxys() {
    let trusting = Proxies {
        vouching: None,
        ..proxies()
    };
    let from = |chain: &str| {
        let headers: Headers = [("x-forwarded-for", chain)].into_iter().collect();
        trusting.peer_of(PROXY.parse().expect("an address"), None, &headers)
    };
    let mut world = World::new();
    let wrong = Caller {
        auth: json!({"token": "wrong"}),
        ..Caller::default()
    };
    for guess in 0..10 {
        // What a client writes ahead of the proxy makes no other client of it.
        world.refused(from(&format!("10.0.0.{guess}, 203.0.113.5")), &wrong);
    }
    let error = world.refused(from("203.0.113.5"), &Caller::default());
    assert_eq!(error["details"]["code"], "AUTH_RATE_LIMITED");
    let (_, hello) = world.knock_from(from("203.0.113.6"), &Caller::default());
    assert_eq!(hello["ok"], true, "another client of the same proxy");
}

#[test]
fn the_exact_name_goes_before_one_in_another_case() {
    let mut settings = settings(None);
    let named = |name: &str, scope: &str| (name.to_owned(), vec![scope.to_owned()]);
    settings.users.scopes = [
        named("ADA@example.com", ADMIN),
        named("ada@example.com", READ),
    ]
    .into();
    let (_, hello) = World::with(settings).knock_from(peer(PROXY, ADA), &cli(&[]));
    assert_eq!(scopes_of(&hello), &json!([READ]), "{hello}");
}
