//! Pings, silence, ticks and health, and that timers come to rest.

mod support;

use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::hub::{Health, Peer};
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::{ConnId, Connection};
use openclaw_protocol_core::time::{Deadline, Instant, Timer};
use serde_json::{Value, json};
use support::{
    Clock, Gateway, Heard, Joiner, NONCE, NOTHING, READ, closes, events, millis, parsed, seconds,
};

fn pings(heard: &[Heard]) -> usize {
    heard.iter().filter(|heard| **heard == Heard::Ping).count()
}

fn health(content: Value) -> Health {
    Health {
        took: millis(7),
        content: support::json(content),
    }
}

#[test]
fn a_connection_is_pinged_every_twenty_five_seconds() {
    let mut gateway = Gateway::new();
    let conn = gateway.operator(NOTHING);
    gateway.pass(millis(24_999));
    assert_eq!(pings(&gateway.hear(conn)), 0);
    gateway.pass(millis(1));
    assert_eq!(gateway.hear(conn), [Heard::Ping]);
    gateway.pass(millis(24_999));
    assert_eq!(pings(&gateway.hear(conn)), 0);
    gateway.pass(millis(1));
    assert_eq!(pings(&gateway.hear(conn)), 1);
}

#[test]
fn jitter_shortens_the_distance_by_up_to_a_fifth() {
    for (jitter, distance) in [
        (0, millis(25_000)),
        (51, millis(24_000)),
        (255, millis(20_000)),
    ] {
        let mut gateway = Gateway::new();
        let now = gateway.now();
        let peer = Peer {
            address: "127.0.0.1".parse().unwrap(),
            direct_loopback: true,
            origin: None,
            claims: None,
        };
        let conn = gateway.hub.open(peer, NONCE, jitter, now);
        let ui = Joiner {
            mode: "ui",
            ..Joiner::default()
        };
        gateway.request(conn, "c", "connect", ui.params());
        gateway.serve_timers();
        let due = gateway.hub.poll_timeout().unwrap();
        assert_eq!(
            due,
            Deadline {
                at: Instant::after_origin(distance),
                timer: Timer::Ping
            }
        );
    }
}

#[test]
fn nobody_is_pinged_before_hello() {
    let mut gateway = Gateway::with(Limits {
        handshake: seconds(120),
        ..Limits::default()
    });
    let conn = gateway.open();
    gateway.pass(seconds(100));
    let heard = gateway.hear(conn);
    assert_eq!((pings(&heard), closes(&heard)), (0, None));
}

// LIV-001
#[test]
fn a_minute_of_silence_closes() {
    let mut gateway = Gateway::new();
    gateway.pass(seconds(10));
    let conn = gateway.operator(NOTHING);
    gateway.mute(conn);
    gateway.pass(millis(59_999));
    assert_eq!(closes(&gateway.hear(conn)), None);
    gateway.pass(millis(1));
    let heard = gateway.hear(conn);
    assert_eq!(
        closes(&heard),
        Some((1008, "nothing received for too long"))
    );
    assert_eq!(gateway.faults, [PeerFault::Silent]);
}

#[test]
fn any_activity_starts_the_silence_anew() {
    let mut gateway = Gateway::new();
    let [pong, frame, nonsense] = [(); 3].map(|()| gateway.operator(NOTHING));
    for conn in [pong, frame, nonsense] {
        gateway.mute(conn);
    }
    gateway.pass(seconds(59));
    gateway.hub.handle_activity(pong, gateway.clock.now());
    gateway.request(frame, "a", "health", json!({}));
    gateway.say(nonsense, "{");
    gateway.pass(millis(59_999));
    for conn in [pong, frame, nonsense] {
        assert_eq!(closes(&gateway.hear(conn)), None);
    }
    gateway.pass(millis(1));
    for conn in [pong, frame, nonsense] {
        assert!(closes(&gateway.hear(conn)).is_some());
    }
}

#[test]
fn who_answers_pings_stays() {
    let mut gateway = Gateway::new();
    let conn = gateway.operator(NOTHING);
    gateway.pass(seconds(3_600));
    let heard = gateway.hear(conn);
    assert_eq!(closes(&heard), None);
    assert_eq!(pings(&heard), 144);
}

#[test]
fn everybody_hears_a_tick_every_thirty_seconds_at_the_same_moment() {
    let mut gateway = Gateway::new();
    let blind = gateway.operator(NOTHING);
    gateway.pass(seconds(11));
    let reader = gateway.operator(READ);
    let node = gateway.join(&Joiner {
        role: "node",
        id: "node-host",
        mode: "node",
        ..Joiner::default()
    });
    let stranger = gateway.open();
    gateway.hear(stranger);
    gateway.pass(millis(18_999));
    for conn in [blind, reader, node] {
        assert_eq!(events(&gateway.frames(conn), "tick"), Vec::<&Value>::new());
    }
    gateway.pass(seconds(30));
    for conn in [blind, reader, node] {
        let frames = gateway.frames(conn);
        let ticks = events(&frames, "tick");
        assert_eq!(ticks.len(), 1);
        assert_eq!(
            ticks[0]["payload"],
            json!({"ts": support::BEGINNING_MS + 30_000})
        );
        assert_eq!(ticks[0].get("stateVersion"), None);
    }
    assert_eq!(parsed(&gateway.hear(stranger)), Vec::<Value>::new());
}

#[test]
fn a_late_tick_is_sent_once_and_the_next_is_due_a_whole_interval_later() {
    let mut gateway = Gateway::new();
    let conn = gateway.operator(NOTHING);
    let mut ticks_at = |second: u64| {
        gateway.clock.set(seconds(second));
        gateway.hub.handle_activity(conn, gateway.clock.now());
        gateway.serve_timers();
        events(&gateway.frames(conn), "tick").len()
    };
    // Late by less than an interval: the rhythm stays.
    assert_eq!((ticks_at(50), ticks_at(59), ticks_at(60)), (1, 0, 1));
    // Late by more: what was missed is not made up for.
    assert_eq!((ticks_at(200), ticks_at(229), ticks_at(230)), (1, 0, 1));
}

#[test]
fn health_comes_every_minute_whole_for_readers_and_brief_for_others() {
    let mut gateway = Gateway::new();
    let now = gateway.now();
    gateway
        .hub
        .set_health(health(json!({"channels": {"x": 1}})), now);
    let reader = gateway.operator(READ);
    let blind = gateway.operator(NOTHING);
    let node = gateway.join(&Joiner {
        role: "node",
        id: "node-host",
        mode: "node",
        ..Joiner::default()
    });
    gateway.pass(millis(59_999));
    for conn in [reader, blind, node] {
        assert_eq!(events(&gateway.frames(conn), "health").len(), 0);
    }
    gateway.pass(millis(1));
    let now = gateway.now().unix_ms;
    let brief = json!({"ok": true, "ts": now, "durationMs": 7});
    let mut whole = brief.clone();
    whole["channels"] = json!({"x": 1});
    for (conn, payload) in [(reader, whole), (blind, brief.clone()), (node, brief)] {
        let frames = gateway.frames(conn);
        let pushes = events(&frames, "health");
        assert_eq!(pushes.len(), 1);
        assert_eq!(pushes[0]["payload"], payload);
        assert!(pushes[0]["stateVersion"]["health"].is_u64());
    }
}

#[test]
fn changed_health_is_pushed_at_once_and_only_a_change_raises_its_version() {
    let mut gateway = Gateway::new();
    let reader = gateway.operator(READ);
    let first = gateway.hub.state_version().health;
    for (content, version, pushes) in [
        (json!({"a": 1}), first + 1, 1),
        (json!({"a": 1}), first + 1, 0),
        (json!({"a": 2}), first + 2, 1),
        (json!({"a": 1}), first + 3, 1),
    ] {
        let now = gateway.now();
        gateway.hub.set_health(health(content), now);
        gateway.settle();
        assert_eq!(gateway.hub.state_version().health, version);
        let frames = gateway.frames(reader);
        assert_eq!(events(&frames, "health").len(), pushes);
    }
}

#[test]
fn a_report_without_changes_still_renews_the_time_that_is_answered() {
    let mut gateway = Gateway::new();
    let now = gateway.now();
    gateway.hub.set_health(health(json!({"a": 1})), now);
    gateway.pass(seconds(5));
    let now = gateway.now();
    gateway.hub.set_health(health(json!({"a": 1})), now);
    let payload: Value = gateway.hub.health(true).read().unwrap();
    assert_eq!(payload["ts"], support::BEGINNING_MS + 5_000);
    assert_eq!(payload["a"], 1);
}

#[test]
fn a_second_call_at_the_same_moment_does_nothing() {
    let mut gateway = Gateway::new();
    let conn = gateway.operator(READ);
    let stranger = gateway.open();
    for _ in 0..200 {
        let due = gateway.hub.poll_timeout().unwrap();
        gateway.clock.set(due.at.since_origin());
        gateway.serve_timers();
        gateway.hear(conn);
        gateway.hear(stranger);
        let before = gateway.hub.poll_timeout();
        gateway.hub.handle_timeout(gateway.clock.now());
        gateway.settle();
        assert_eq!(gateway.hub.poll_timeout(), before);
        assert_eq!(
            (gateway.hear(conn), gateway.hear(stranger)),
            (vec![], vec![])
        );
    }
    assert!(gateway.clock.passed() > seconds(600));
}

#[test]
fn many_deadlines_at_one_moment_are_served_in_bounded_portions() {
    let mut gateway = Gateway::new();
    for _ in 0..1_000 {
        gateway.open();
    }
    gateway.clock.set(seconds(15));
    let mut calls = 0;
    while gateway.hub.poll_timeout().unwrap().at <= gateway.clock.now().at {
        gateway.hub.handle_timeout(gateway.clock.now());
        calls += 1;
        assert!(calls < 10);
    }
    assert!(calls > 1, "one call does not take it all");
    gateway.settle();
    assert_eq!(gateway.faults.len(), 1_000);
}

#[test]
fn a_closing_socket_is_given_one_second() {
    let mut gateway = Gateway::new();
    let conn = gateway.operator(NOTHING);
    gateway.close(conn, 1012, "service restart");
    assert_eq!(closes(&gateway.hear(conn)), Some((1012, "service restart")));
    gateway.pass(millis(999));
    assert_eq!((gateway.hub.connections(), gateway.ended.len()), (1, 0));
    gateway.pass(millis(1));
    assert_eq!(gateway.hub.connections(), 0);
    assert_eq!(gateway.ended, [conn]);
}

#[test]
fn a_peer_that_answers_the_close_is_gone_at_once_and_only_once() {
    let mut gateway = Gateway::new();
    let conn = gateway.operator(NOTHING);
    gateway.close(conn, 1012, "service restart");
    gateway.disconnect(conn);
    gateway.disconnect(conn);
    gateway.pass(seconds(5));
    assert_eq!(gateway.ended, [conn]);
}

#[test]
fn a_closed_connection_has_no_deadline() {
    let clock = Clock::default();
    let mut connection = Connection::new(ConnId(1), Limits::default(), NONCE, 0, clock.now());
    assert_eq!(
        connection.poll_timeout().map(|due| due.timer),
        Some(Timer::Handshake)
    );
    connection.handle_disconnect();
    assert_eq!(connection.poll_timeout(), None);
    connection.handle_timeout(clock.now());
    assert!(connection.is_closed() && !connection.has_output());
}

#[test]
fn pings_do_not_pile_up_for_a_peer_that_sends_but_does_not_read() {
    let mut gateway = Gateway::new();
    let conn = gateway.operator(NOTHING);
    gateway.stall(conn);
    for _ in 0..20 {
        gateway.pass(seconds(50));
        gateway.hub.handle_activity(conn, gateway.clock.now());
    }
    let heard = gateway.hear(conn);
    assert_eq!(closes(&heard), None);
    assert_eq!(pings(&heard), 1);
}
