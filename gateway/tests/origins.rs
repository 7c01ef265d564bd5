//! Which pages may connect, and what the others are told.

mod support;

use std::net::{IpAddr, Ipv4Addr};

use openclaw_gateway_service::admission::origin::AllowedOrigin;
use serde_json::json;
use support::{Caller, Settings, World, from, local, remote, seconds};

const FOREIGN: &str = "origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)";

fn allowing(entries: &[&str]) -> World {
    let parse = |entry: &&str| AllowedOrigin::parse(entry).expect("an entry");
    World::with(Settings {
        allowed_origins: entries.iter().map(parse).collect(),
        ..Settings::default()
    })
}

#[test]
fn a_page_of_another_site_is_not_let_in() {
    for origin in [
        "https://evil.example",
        "http://localhost:1",
        "https://localhost:18789",
        "http://localhost.evil.example:18789",
        "http://127.0.0.2:18789",
        "http://localhost",
    ] {
        let mut world = World::new();
        let peer = from(IpAddr::V4(Ipv4Addr::LOCALHOST), Some(origin));
        let error = world.refused(peer, &Caller::default());
        assert_eq!(error["message"], FOREIGN);
        assert_eq!(
            error["details"],
            json!({"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": "origin not allowed"}),
            "{origin}"
        );
    }
}

#[test]
fn a_page_of_the_gateway_itself_is_let_in() {
    for host in ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"] {
        let mut world = World::new();
        let origin = format!("http://{host}:{}", support::PORT);
        let peer = from(IpAddr::V4(Ipv4Addr::LOCALHOST), Some(&origin));
        let (_, answer) = world.knock_from(peer, &Caller::default());
        assert_eq!(answer["ok"], true, "{origin}");
    }
}

#[test]
fn the_origin_is_judged_before_the_secret() {
    let mut world = World::new();
    let peer = from(
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some("https://evil.example"),
    );
    let caller = Caller {
        auth: json!({"token": "wrong"}),
        ..Caller::default()
    };
    world.refused(peer, &caller);
    assert_eq!(
        world.passed(),
        seconds(0),
        "it learns nothing of the secret"
    );
}

#[test]
fn programs_of_browsers_must_say_where_they_come_from() {
    for (id, mode) in [
        ("openclaw-control-ui", "ui"),
        ("webchat", "ui"),
        ("webchat-ui", "ui"),
        ("test", "webchat"),
    ] {
        let mut world = World::new();
        let caller = Caller {
            id,
            mode,
            ..Caller::default()
        };
        let error = world.refused(local(), &caller);
        assert_eq!(error["message"], FOREIGN);
        assert_eq!(error["details"]["reason"], "origin missing or invalid");
    }
}

#[test]
fn what_is_no_origin_is_told_so() {
    for origin in [
        "null",
        "",
        "localhost",
        "http://",
        "http://localhost:18789/x",
    ] {
        let mut world = allowing(&["*"]);
        let peer = from(IpAddr::V4(Ipv4Addr::LOCALHOST), Some(origin));
        let error = world.refused(peer, &Caller::default());
        assert_eq!(error["message"], FOREIGN);
        assert_eq!(
            error["details"],
            json!({"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": "origin missing or invalid"}),
            "{origin}"
        );
    }
}

#[test]
fn a_page_of_an_allowed_origin_is_let_in_however_it_is_written() {
    for entry in [
        "https://control.example.com",
        "https://control.example.com/",
        "HTTPS://CONTROL.example.com:443",
    ] {
        for origin in [
            "https://control.example.com",
            "https://Control.Example.com:443",
        ] {
            let mut world = allowing(&["http://other.example", entry]);
            let peer = from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), Some(origin));
            let (_, answer) = world.knock_from(peer, &Caller::default());
            assert_eq!(answer["ok"], true, "{entry} {origin}");
        }
    }
}

#[test]
fn nothing_but_the_whole_origin_is_allowed() {
    for origin in [
        "http://control.example.com",
        "https://control.example.com:8443",
        "https://control.example.com.evil.example",
        "https://evil.example",
        "https://a.control.example.com",
    ] {
        let mut world = allowing(&["https://control.example.com"]);
        let peer = from(IpAddr::V4(Ipv4Addr::LOCALHOST), Some(origin));
        let error = world.refused(peer, &Caller::default());
        assert_eq!(error["details"]["reason"], "origin not allowed", "{origin}");
    }
}

#[test]
fn the_pages_of_the_gateway_stay_allowed_beside_others() {
    let mut world = allowing(&["https://control.example.com"]);
    let own = format!("http://localhost:{}", support::PORT);
    let peer = from(IpAddr::V4(Ipv4Addr::LOCALHOST), Some(&own));
    let (_, answer) = world.knock_from(peer, &Caller::default());
    assert_eq!(answer["ok"], true);
}

#[test]
fn a_star_allows_every_page_and_still_asks_for_the_secret() {
    let mut world = allowing(&["*"]);
    let peer = || {
        from(
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            Some("https://anywhere.example"),
        )
    };
    let (_, answer) = world.knock_from(peer(), &Caller::default());
    assert_eq!(answer["ok"], true);
    let caller = Caller {
        auth: json!({"token": "wrong"}),
        ..Caller::default()
    };
    let error = world.refused(peer(), &caller);
    assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISMATCH");
}

#[test]
fn programs_without_an_origin_are_no_pages() {
    for peer in [local(), remote(1)] {
        let mut world = allowing(&["https://control.example.com"]);
        let (_, answer) = world.knock_from(peer, &Caller::default());
        assert_eq!(answer["ok"], true);
    }
}
