//! What a connection may do that was let in, and what devices, pages and nodes are told.

mod support;

use std::net::{IpAddr, Ipv4Addr};

use openclaw_protocol_core::hub::Peer;
use serde_json::{Value, json};
use support::{ADMIN, Caller, Device, READ, WRITE, World, from, local, remote, scopes_of};

fn wrong_token() -> Value {
    json!({"token": "wrong"})
}

#[test]
fn scopes_without_a_device_survive_for_programs_on_this_host_only() {
    let own = format!("http://localhost:{}", support::PORT);
    let scopes: &[&str] = &[READ, WRITE, "custom.scope"];
    for (id, mode, peer, kept) in [
        ("gateway-client", "backend", local(), true),
        ("cli", "cli", local(), true),
        ("test", "test", local(), false),
        ("openclaw-macos", "ui", local(), false),
        ("cli", "backend", local(), false),
        ("gateway-client", "cli", local(), false),
        ("gateway-client", "probe", local(), false),
        ("gateway-client", "backend", remote(1), false),
        ("cli", "cli", remote(1), false),
        (
            "cli",
            "cli",
            from(IpAddr::V4(Ipv4Addr::LOCALHOST), Some(&own)),
            false,
        ),
        (
            "gateway-client",
            "backend",
            Peer {
                direct_loopback: false,
                ..local()
            },
            false,
        ),
    ] {
        let mut world = World::new();
        let caller = Caller {
            id,
            mode,
            scopes,
            ..Caller::default()
        };
        let (_, answer) = world.knock_from(peer.clone(), &caller);
        let expected = if kept { json!(scopes) } else { json!([]) };
        assert_eq!(scopes_of(&answer), &expected, "{id}/{mode} {peer:?}");
    }
}

#[test]
fn a_user_interface_needs_a_device() {
    let own = format!("http://127.0.0.1:{}", support::PORT);
    let page = from(IpAddr::V4(Ipv4Addr::LOCALHOST), Some(&own));
    for (id, peer) in [("openclaw-tui", local()), ("openclaw-control-ui", page)] {
        let mut world = World::new();
        let caller = Caller {
            id,
            mode: "ui",
            ..Caller::default()
        };
        let error = world.refused(peer, &caller);
        assert_eq!(
            error["message"],
            "control ui requires device identity (use HTTPS or localhost secure context)"
        );
        assert_eq!(
            error["details"]["code"],
            "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"
        );
    }
    let mut world = World::new();
    world.join(&Caller {
        id: "openclaw-tui",
        mode: "ui",
        device: Some(Device::new(1)),
        ..Caller::default()
    });
}

#[test]
fn a_device_on_this_host_keeps_its_scopes_whatever_program_it_is() {
    for layout in [2, 3] {
        for (id, mode) in [("cli", "cli"), ("test", "test"), ("openclaw-ios", "ui")] {
            let mut world = World::new();
            let caller = Caller {
                id,
                mode,
                scopes: &[READ, ADMIN],
                device: Some(Device {
                    layout,
                    ..Device::new(1)
                }),
                ..Caller::default()
            };
            let (_, answer) = world.knock_from(local(), &caller);
            assert_eq!(scopes_of(&answer), &json!([READ, ADMIN]), "v{layout} {id}");
            let token = answer["payload"]["auth"]["deviceToken"].as_str();
            assert_eq!(token.map(str::len), Some(43), "v{layout} {id}");
        }
    }
}

#[test]
fn a_device_whose_proof_fails_is_told_why() {
    let good = Device::new(1);
    let other_key = "GAb55a7FZ935AmZFrkbQcjtUOilfPtB62XcRcBQ7xNc";
    let late = |late_ms| Device {
        late_ms,
        ..good.clone()
    };
    for (device, fault) in [
        (
            Device {
                nonce: Some("wrong"),
                ..good.clone()
            },
            "nonce",
        ),
        (
            Device {
                signature: Some("AAAA"),
                ..good.clone()
            },
            "signature",
        ),
        (
            Device {
                token: Some("other"),
                ..good.clone()
            },
            "signature",
        ),
        (late(120_001), "expired"),
        (late(-120_001), "expired"),
        (
            Device {
                id: Some("0000"),
                ..good.clone()
            },
            "identity",
        ),
        (
            Device {
                public_key: Some("zz"),
                ..good.clone()
            },
            "identity",
        ),
        (
            Device {
                public_key: Some(other_key),
                ..good.clone()
            },
            "identity",
        ),
    ] {
        let (message, code, reason) = match fault {
            "nonce" => (
                "device nonce mismatch",
                "NONCE_MISMATCH",
                "device-nonce-mismatch",
            ),
            "signature" => (
                "device signature invalid",
                "SIGNATURE_INVALID",
                "device-signature",
            ),
            "expired" => (
                "device signature expired",
                "SIGNATURE_EXPIRED",
                "device-signature-stale",
            ),
            _ => (
                "device identity mismatch",
                "DEVICE_ID_MISMATCH",
                "device-id-mismatch",
            ),
        };
        for peer in [local(), remote(1)] {
            let mut world = World::new();
            let caller = Caller {
                device: Some(device.clone()),
                ..Caller::default()
            };
            assert_eq!(
                world.refused(peer, &caller),
                json!({
                    "code": "INVALID_REQUEST", "message": message,
                    "details": {"code": format!("DEVICE_AUTH_{code}"), "reason": reason},
                }),
                "{device:?}"
            );
        }
    }
    for late_ms in [120_000, -120_000, 90_000] {
        let mut world = World::new();
        world.join(&Caller {
            device: Some(late(late_ms)),
            ..Caller::default()
        });
    }
}

#[test]
fn a_proof_is_worth_nothing_without_the_secret() {
    let mut world = World::new();
    let caller = Caller {
        auth: wrong_token(),
        device: Some(Device::new(1)),
        ..Caller::default()
    };
    let error = world.refused(local(), &caller);
    assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISMATCH");
}

#[test]
fn a_device_on_a_page_of_the_gateways_own_is_let_in() {
    let own = format!("http://localhost:{}", support::PORT);
    let page = from(IpAddr::V4(Ipv4Addr::LOCALHOST), Some(&own));
    let mut world = World::new();
    let caller = Caller {
        id: "openclaw-control-ui",
        mode: "ui",
        scopes: &[READ],
        device: Some(Device::new(1)),
        ..Caller::default()
    };
    let (_, hello) = world.knock_from(page, &caller);
    assert_eq!(hello["ok"], true, "{hello}");
    assert_eq!(hello["payload"]["auth"]["scopes"], json!([READ]));
}
