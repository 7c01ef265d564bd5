//! Who is told of presence, and when.

mod support;

use openclaw_protocol_core::hub::Row;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::ConnId;
use openclaw_protocol_core::time::Timer;
use serde_json::{Value, json};
use support::watching::{DEVICE, lists, watched};
use support::{Gateway, Joiner, NOTHING, READ, events, millis, seconds};

fn beacon(instance: &str, text: &str) -> Row {
    Row {
        instance_id: Some(instance.into()),
        host: Some(instance.into()),
        text: Some(text.into()),
        ..Row::default()
    }
}

#[test]
fn joins_and_leaves_are_pushed_at_most_once_a_second() {
    let (mut gateway, reader) = watched();
    gateway.join(&DEVICE);
    gateway.pass(millis(1));
    assert_eq!(
        lists(&mut gateway, reader).len(),
        1,
        "the first one at once"
    );
    for n in 0..9 {
        let device = format!("other {n}");
        gateway.join(&Joiner {
            device: Some(&device),
            ..DEVICE
        });
        gateway.pass(millis(100));
    }
    assert_eq!(lists(&mut gateway, reader).len(), 0);
    gateway.pass(millis(100));
    let pushed = lists(&mut gateway, reader);
    assert_eq!(pushed.len(), 1);
    assert_eq!(pushed[0].len(), 12);
    gateway.pass(seconds(10));
    assert_eq!(
        lists(&mut gateway, reader).len(),
        0,
        "nothing changed since"
    );
}

#[test]
fn a_tool_that_stays_is_told_after_a_second_and_one_that_does_not_never() {
    let (mut gateway, reader) = watched();
    let stays = gateway.join(&Joiner::default());
    gateway.pass(millis(500));
    let passer_by = gateway.join(&Joiner::default());
    gateway.pass(millis(499));
    assert_eq!(lists(&mut gateway, reader).len(), 0);
    gateway.disconnect(passer_by);
    gateway.pass(millis(1));
    assert_eq!(lists(&mut gateway, reader).pop().expect("a list").len(), 3);
    gateway.disconnect(stays);
    gateway.pass(seconds(10));
    let after = lists(&mut gateway, reader);
    assert_eq!(after.len(), 1, "its leave is told");
    assert_eq!(after[0].len(), 2);
}

#[test]
fn who_was_greeted_while_a_tool_was_there_hears_that_it_is_not() {
    for mode in ["backend", "ui"] {
        let (mut gateway, _) = watched();
        let passer_by = gateway.join(&Joiner::default());
        let greeted = gateway.join(&Joiner {
            mode,
            scopes: READ,
            ..Joiner::default()
        });
        gateway.pass(millis(10));
        gateway.disconnect(passer_by);
        gateway.pass(seconds(3));
        let told = lists(&mut gateway, greeted);
        assert_eq!(told.last(), Some(&gateway.presence()), "{mode}");
    }
}

const TOOL_OF_DEVICE: Joiner<'_> = Joiner {
    id: "cli",
    mode: "cli",
    name: Some("openclaw health"),
    ..DEVICE
};

/// Tools come and go, each for so long, `apart` one after the other; returns what a watcher heard.
fn storm(
    gateway: &mut Gateway,
    watcher: ConnId,
    tool: &Joiner<'_>,
    apart: u64,
    each: u64,
) -> usize {
    gateway.hear(watcher);
    let mut there = std::collections::VecDeque::new();
    for _ in 0..100 {
        there.push_back((gateway.join(tool), each));
        for _ in 0..apart {
            gateway.pass(millis(1));
            for (_, left) in &mut there {
                *left -= 1;
            }
            while let Some((conn, 0)) = there.front() {
                gateway.disconnect(*conn);
                there.pop_front();
            }
        }
    }
    for (conn, _) in there {
        gateway.disconnect(conn);
    }
    gateway.pass(seconds(5));
    lists(gateway, watcher).len()
}

#[test]
fn tools_that_come_and_go_are_told_to_nobody_however_they_overlap() {
    for (apart, each) in [(30, 5), (30, 29), (30, 300), (400, 399)] {
        for tool in [Joiner::default(), TOOL_OF_DEVICE] {
            let (mut gateway, watcher) = watched();
            let before = gateway.presence();
            let told = storm(&mut gateway, watcher, &tool, apart, each);
            assert_eq!(told, 0, "{each} of {apart} ms, {tool:?}");
            assert_eq!(gateway.presence(), before);

            let device = gateway.join(&DEVICE);
            gateway.pass(seconds(2));
            gateway.disconnect(device);
            gateway.pass(seconds(2));
            let before = gateway.presence();
            assert!(before.iter().any(|row| row["reason"] == "disconnect"));
            let told = storm(&mut gateway, watcher, &tool, apart, each);
            assert_eq!(told, 0, "beside a row that was left: {each} of {apart} ms");
            assert_eq!(gateway.presence(), before);
        }
    }
}

#[test]
fn somebody_else_who_comes_in_a_storm_costs_one_push() {
    let (mut gateway, watcher) = watched();
    let tool = Joiner::default();
    storm(&mut gateway, watcher, &tool, 30, 300);
    let first = gateway.join(&tool);
    gateway.join(&DEVICE);
    gateway.pass(millis(1));
    assert_eq!(lists(&mut gateway, watcher).len(), 1);
    gateway.disconnect(first);
    assert_eq!(storm(&mut gateway, watcher, &tool, 30, 300), 0);
}

#[test]
fn who_saw_a_tool_hears_that_it_has_left_even_in_a_storm() {
    let tool = Joiner::default();
    let (mut gateway, watcher) = watched();
    let seen = gateway.join(&tool);
    assert_eq!(gateway.look(watcher).len(), 3);
    gateway.disconnect(seen);
    assert_eq!(storm(&mut gateway, watcher, &tool, 30, 300), 1);

    let (mut gateway, watcher) = watched();
    gateway.stall(watcher);
    gateway.join(&DEVICE);
    gateway.pass(seconds(2));
    let seen = gateway.join(&tool);
    let greeted = gateway.join(&Joiner {
        scopes: READ,
        device: Some("other"),
        ..DEVICE
    });
    gateway.disconnect(seen);
    storm(&mut gateway, greeted, &tool, 30, 300);
    assert_eq!(
        lists(&mut gateway, watcher).last(),
        Some(&gateway.presence())
    );
}

#[test]
fn whoever_was_shown_rows_that_had_to_make_room_hears_of_it() {
    let mut gateway = Gateway::with(Limits {
        presence_rows: 1,
        ..Limits::default()
    });
    let reader = gateway.open();
    let joiner = Joiner {
        scopes: READ,
        ..Joiner::default()
    };
    gateway.request(reader, "c", "connect", joiner.params());
    let hello = gateway.frames(reader).pop().expect("hello");
    let shown = &hello["payload"]["snapshot"]["presence"];
    assert_eq!(shown.as_array().expect("a list").len(), 2);
    let passer_by = gateway.join(&Joiner::default());
    gateway.disconnect(passer_by);
    gateway.pass(seconds(2));
    assert_eq!(lists(&mut gateway, reader), [gateway.presence()]);
    assert_eq!(gateway.presence().len(), 1);
}

#[test]
fn an_answer_that_follows_a_newer_push_is_corrected() {
    let (mut gateway, reader) = watched();
    gateway.stall(reader);
    gateway.join(&DEVICE);
    gateway.pass(millis(1));
    let call = gateway.call(reader, "look");
    let now = gateway.now();
    gateway.hub.reply_presence(call, now);
    gateway.join(&Joiner {
        device: Some("later"),
        ..DEVICE
    });
    // The push is in front of the answer, and carries the list as it is now.
    let frames = gateway.frames(reader);
    let rows = |list: &Value| list.as_array().expect("a list").len();
    assert_eq!(rows(&frames[0]["payload"]["presence"]), 4);
    assert_eq!(rows(&frames[1]["payload"]), 3);
    gateway.pass(seconds(2));
    assert_eq!(lists(&mut gateway, reader), [gateway.presence()]);
}

#[test]
fn whoever_asks_is_pushed_to_all_the_same() {
    // One part of a client may ask, and another listen.
    let (mut gateway, reader) = watched();
    gateway.join(&Joiner::default());
    assert_eq!(gateway.look(reader).len(), 3);
    gateway.pass(seconds(2));
    let pushed = lists(&mut gateway, reader);
    assert_eq!(pushed.last(), Some(&gateway.presence()));
}

#[test]
fn a_list_that_was_pushed_is_not_due_again() {
    let (mut gateway, _) = watched();
    gateway.join(&DEVICE);
    gateway.pass(seconds(2));
    for _ in 0..20 {
        let due = gateway.hub.poll_timeout().expect("it always ticks");
        assert_ne!(due.timer, Timer::Presence);
        gateway.pass(seconds(1));
    }
}

#[test]
fn only_operators_that_read_hear_of_presence() {
    let mut gateway = Gateway::new();
    let blind = gateway.operator(NOTHING);
    let node = gateway.join(&Joiner {
        id: "node-host",
        mode: "node",
        role: "node",
        ..Joiner::default()
    });
    let writer = gateway.operator(&["operator.write"]);
    gateway.pass(seconds(2));
    gateway.hear(writer);
    gateway.join(&DEVICE);
    gateway.pass(seconds(2));
    assert_eq!(lists(&mut gateway, blind).len(), 0);
    assert_eq!(lists(&mut gateway, node).len(), 0);
    assert_eq!(lists(&mut gateway, writer).len(), 1);
}

#[test]
fn who_came_and_went_between_two_pushes_leaves_no_trace() {
    for joiner in [
        DEVICE,
        Joiner::default(),
        Joiner {
            mode: "node",
            role: "node",
            ..DEVICE
        },
    ] {
        let (mut gateway, reader) = watched();
        let first = gateway.join(&Joiner {
            device: Some("first"),
            ..DEVICE
        });
        gateway.pass(millis(1));
        let before = lists(&mut gateway, reader).pop().unwrap();
        let passer_by = gateway.join(&joiner);
        gateway.disconnect(passer_by);
        gateway.pass(seconds(10));
        assert_eq!(lists(&mut gateway, reader).len(), 0, "{joiner:?}");
        assert_eq!(gateway.presence(), before);
        gateway.disconnect(first);
    }
}

#[test]
fn the_very_first_who_came_and_went_leaves_no_trace_either() {
    let mut gateway = Gateway::new();
    let probe = gateway.join(&Joiner {
        id: "openclaw-probe",
        mode: "probe",
        scopes: READ,
        ..Joiner::default()
    });
    let passer_by = gateway.join(&DEVICE);
    gateway.disconnect(passer_by);
    gateway.pass(seconds(10));
    assert_eq!(lists(&mut gateway, probe).len(), 0);
    assert_eq!(gateway.presence().len(), 1);
}

#[test]
fn an_announcement_is_pushed_at_once() {
    let (mut gateway, reader) = watched();
    for n in 0..3 {
        let now = gateway.now();
        gateway
            .hub
            .announce(beacon("b1", &format!("beacon {n}")), now);
        gateway.settle();
        let pushed = lists(&mut gateway, reader);
        assert_eq!(pushed.len(), 1, "without any timer");
        let row = pushed[0]
            .iter()
            .find(|row| row["host"] == "b1")
            .expect("its row");
        assert_eq!(row["text"], format!("beacon {n}"));
        assert_eq!(pushed[0].len(), 3, "one row for one instance");
    }
    gateway.pass(millis(299_999));
    assert_eq!(lists(&mut gateway, reader).len(), 0);
    gateway.pass(millis(1));
    assert_eq!(lists(&mut gateway, reader).pop().unwrap().len(), 2);
}

#[test]
fn an_announcement_comes_before_its_own_answer() {
    let (mut gateway, reader) = watched();
    let call = gateway.call(reader, "a");
    let now = gateway.now();
    gateway.hub.announce(beacon("b1", "x"), now);
    gateway.reply(call, json!({"ok": true}));
    let frames = gateway.frames(reader);
    assert_eq!(
        (&frames[0]["event"], &frames[1]["id"]),
        (&json!("presence"), &json!("a"))
    );
}

#[test]
fn somebody_let_in_between_two_pushes_never_keeps_a_stale_list() {
    // Somebody joins, a probe is let in and told of them, they go: the list is as it was pushed
    // last, yet the probe must be told.
    let (mut gateway, reader) = watched();
    gateway.join(&DEVICE);
    gateway.pass(millis(1));
    gateway.hear(reader);
    let passer_by = gateway.join(&Joiner {
        device: Some("passer-by"),
        ..DEVICE
    });
    let probe = gateway.open();
    let joiner = Joiner {
        id: "openclaw-probe",
        mode: "probe",
        scopes: READ,
        ..Joiner::default()
    };
    gateway.request(probe, "c", "connect", joiner.params());
    let hello = gateway.frames(probe)[1].clone();
    assert_eq!(
        hello["payload"]["snapshot"]["presence"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    gateway.disconnect(passer_by);
    gateway.pass(seconds(2));
    assert_eq!(lists(&mut gateway, probe), [gateway.presence()]);
    assert_eq!(
        lists(&mut gateway, reader).len(),
        0,
        "nothing changed for who knew neither"
    );
}

#[test]
fn a_version_stands_for_one_list_and_never_falls() {
    let (mut gateway, reader) = watched();
    let mut told: Vec<(u64, Vec<Value>)> = Vec::new();
    for n in 0..6 {
        let device = format!("d{n}");
        let conn = gateway.join(&Joiner {
            device: Some(&device),
            ..DEVICE
        });
        gateway.pass(if n % 2 == 0 { seconds(1) } else { millis(300) });
        gateway.disconnect(conn);
        gateway.pass(if n % 3 == 0 { seconds(2) } else { millis(400) });
        let newcomer = gateway.open();
        let joiner = Joiner {
            scopes: READ,
            ..Joiner::default()
        };
        gateway.request(newcomer, "c", "connect", joiner.params());
        let snapshot = gateway.frames(newcomer)[1]["payload"]["snapshot"].take();
        let pushes = gateway.frames(reader);
        let pushes = events(&pushes, "presence").into_iter();
        let lists = pushes.map(|push| (&push["stateVersion"], &push["payload"]["presence"]));
        for (version, list) in lists.chain([(&snapshot["stateVersion"], &snapshot["presence"])]) {
            let version = version["presence"].as_u64().expect("a version");
            let list = list.as_array().expect("a list").clone();
            if let Some((before, same)) = told.last() {
                assert_eq!(
                    version == *before,
                    list == *same,
                    "{version} after {before}"
                );
                assert!(version >= *before);
            }
            told.push((version, list));
        }
    }
    assert!(told.len() > 12, "{}", told.len());
}

#[test]
fn a_slow_reader_gets_one_list_and_it_is_the_newest() {
    let (mut gateway, reader) = watched();
    gateway.stall(reader);
    for device in ["a", "b", "c"] {
        gateway.join(&Joiner {
            device: Some(device),
            ..DEVICE
        });
        gateway.pass(seconds(2));
    }
    assert_eq!(lists(&mut gateway, reader), [gateway.presence()]);
}

#[test]
fn the_rhythm_stretches_so_that_presence_takes_no_more_than_its_share() {
    let (mut gateway, reader) = watched();
    let mut readers = vec![reader];
    for _ in 0..40 {
        readers.push(gateway.operator(READ));
    }
    gateway.pass(seconds(2));
    let now = gateway.now();
    gateway
        .hub
        .announce(beacon("big", &"x".repeat(4 << 20)), now);
    for conn in &readers {
        gateway.hear(*conn);
    }
    gateway.join(&DEVICE);
    gateway.pass(millis(2_400));
    assert_eq!(
        lists(&mut gateway, reader).len(),
        0,
        "164 MiB at 64 MiB a second"
    );
    gateway.pass(millis(300));
    assert_eq!(lists(&mut gateway, reader).len(), 1);
}

#[test]
fn a_push_that_waited_holds_the_list_that_its_version_names() {
    let (mut gateway, reader) = watched();
    gateway.stall(reader);
    for name in ["early", "late"] {
        gateway.join(&Joiner {
            name: Some(name),
            device: Some(name),
            ..DEVICE
        });
        gateway.pass(millis(1_500));
    }
    let frames = gateway.frames(reader);
    let pushes = events(&frames, "presence");
    let version = gateway.hub.state_version().presence;
    let listed = &pushes[0]["payload"]["presence"];
    assert_eq!(pushes[0]["stateVersion"]["presence"], version);
    assert_eq!(listed.as_array().unwrap(), &gateway.presence());
}
