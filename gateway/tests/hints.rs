//! What the refusal of a secret says to do.

mod support;

use openclaw_gateway_service::secret::resolve::SecretKind;
use serde_json::json;
use support::{Caller, Device, Settings, TOKEN, World, local, remote};

#[test]
fn what_to_do_about_a_secret_depends_on_who_asks() {
    let paste = "open the dashboard URL and paste the token in Control UI settings";
    let enter = "enter the password in Control UI settings";
    for (id, mode, peer, [token, password]) in [
        (
            "cli",
            "cli",
            remote(1),
            [
                "set gateway.remote.token to match gateway.auth.token",
                "set gateway.remote.password to match gateway.auth.password",
            ],
        ),
        (
            "cli",
            "cli",
            local(),
            [
                "use this gateway's gateway.auth.token or pair the device",
                "use this gateway's gateway.auth.password",
            ],
        ),
        ("openclaw-tui", "ui", remote(1), [paste, enter]),
        (
            "test",
            "test",
            local(),
            [
                "provide gateway auth token",
                "provide gateway auth password",
            ],
        ),
    ] {
        for (kind, hint) in [(SecretKind::Token, token), (SecretKind::Password, password)] {
            let mut world = World::with(Settings {
                secret: Some((kind, TOKEN)),
                ..Settings::default()
            });
            let caller = Caller {
                id,
                mode,
                auth: json!({"token": "wrong"}),
                ..Caller::default()
            };
            let error = world.refused(peer.clone(), &caller);
            let word = kind.word();
            assert_eq!(
                error["message"],
                format!("unauthorized: gateway {word} mismatch ({hint})"),
                "{id}"
            );
        }
    }
    let mut world = World::new();
    let caller = Caller {
        id: "openclaw-tui",
        mode: "ui",
        auth: json!({}),
        device: Some(Device::new(1)),
        ..Caller::default()
    };
    let error = world.refused(local(), &caller);
    assert_eq!(
        error["message"],
        "unauthorized: gateway token missing (paste in Control UI settings or openclaw doctor --generate-gateway-token; restart)"
    );
}
