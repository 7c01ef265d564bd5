//! What a client has to take: it is asked for health, and gets the answer in an unusual way.

use std::thread;
use std::time::Duration;

use super::{Scenario, scenario};
use crate::bench::Trouble;
use crate::client::Job;
use crate::client::session::Session;
use crate::client::stage::{MARK, Stage};
use crate::json::Value;
use crate::object;
use crate::wire::{self, Frame};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "drip",
        Job::Health,
        &["TRN-105/head", "TRN-105/frame"],
        drip,
    ),
    scenario("pieces", Job::Health, &["TRN-104/pieces"], pieces),
    scenario(
        "pings",
        Job::Health,
        &["LIV-101/before-hello", "LIV-101/after-hello"],
        pings,
    ),
    scenario(
        "unasked pong",
        Job::Health,
        &["LIV-102/unasked"],
        unasked_pong,
    ),
    scenario(
        "unknown members",
        Job::Health,
        &["FRM-104/members"],
        members,
    ),
    scenario("unknown events", Job::Health, &["FRM-105/events"], events),
    scenario(
        "unknown answer",
        Job::Health,
        &["FRM-106/strangers"],
        strangers,
    ),
    scenario("large answer", Job::Health, &["LIM-101/large"], large),
];

/// How large a large answer is: what attachments and histories come to, far below the limit.
const LARGE: usize = 4 << 20;
/// How many bytes of a head come at once: heads in hundreds of packets are taken for an attack by
/// widely used libraries.
const HEAD_DROP: usize = 4;
/// The pause between two drops.
const DROP: Duration = Duration::from_millis(1);

/// Whether the client takes what comes between its request and the answer.
fn takes(
    stage: &Stage<'_>,
    check: &'static str,
    between: impl FnOnce(&mut Session<'_, '_>, &Value) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    let request = session.request("health")?;
    between(&mut session, &request)?;
    session.answer(&request, stage.health())?;
    told(stage, &mut session, check)
}

fn told(
    stage: &Stage<'_>,
    session: &mut Session<'_, '_>,
    check: &'static str,
) -> Result<(), Trouble> {
    let exit = stage.ended_within(session, stage.patience())?;
    let kept = exit.as_ref().is_some_and(|exit| exit.tells(&[MARK]));
    stage.check(check, kept, || match exit {
        Some(exit) => exit.to_string(),
        None => "the client does not end after the answer".to_owned(),
    });
    Ok(())
}

fn drip(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = Session::new(stage, stage.wire()?, 1);
    session.asked()?;
    let head = session.grant();
    drop_by_drop(&mut session, head.as_bytes(), HEAD_DROP)?;
    session.challenge()?;
    let connect = session.requested("connect", stage.patience())?;
    stage.check("TRN-105/head", connect.is_some(), || {
        "no connect after the answer to the upgrade".to_owned()
    });
    let Some(connect) = connect else {
        return Ok(());
    };
    session.welcome(&connect, |hello| hello)?;
    let request = session.request("health")?;
    let id = request.at("id").cloned().unwrap_or(Value::Null);
    let answer = object! {"type": "res", "id": id, "ok": true, "payload": stage.health()};
    let frame = Frame::server(wire::TEXT, answer.to_string());
    drop_by_drop(&mut session, &frame.encode(), 1)?;
    told(stage, &mut session, "TRN-105/frame")
}

fn drop_by_drop(session: &mut Session<'_, '_>, bytes: &[u8], size: usize) -> Result<(), Trouble> {
    for piece in bytes.chunks(size) {
        session.send_bytes(piece)?;
        thread::sleep(DROP);
    }
    Ok(())
}

fn pieces(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.greeted()?;
    let request = session.request("health")?;
    let id = request.at("id").cloned().unwrap_or(Value::Null);
    let payload = stage.health().with("cut", "wörter ✓");
    let answer = object! {"type": "res", "id": id, "ok": true, "payload": payload};
    // Some cuts are within a character.
    let text = answer.to_string().into_bytes();
    let last = text.len().div_ceil(3) - 1;
    for (place, piece) in text.chunks(3).enumerate() {
        let opcode = if place == 0 {
            wire::TEXT
        } else {
            wire::CONTINUATION
        };
        let mut frame = Frame::server(opcode, piece);
        frame.fin = place == last;
        session.send_frame(&frame)?;
        if place == 1 {
            session.send_frame(&Frame::server(wire::PING, "between"))?;
        }
    }
    told(stage, &mut session, "TRN-104/pieces")
}

fn pings(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.session()?;
    let connect = session.challenged()?;
    let early = session.ponged(b"before hello")?;
    stage.check("LIV-101/before-hello", early, || {
        "no pong with its bytes".into()
    });
    session.welcome(&connect, |hello| hello)?;
    let request = session.request("health")?;
    let late = session.ponged(b"after hello")?;
    stage.check("LIV-101/after-hello", late, || {
        "no pong with its bytes".into()
    });
    session.answer(&request, stage.health())
}

fn unasked_pong(stage: &Stage<'_>) -> Result<(), Trouble> {
    takes(stage, "LIV-102/unasked", |session, _| {
        session.send_frame(&Frame::server(wire::PONG, "nobody asked"))
    })
}

fn members(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.session()?;
    let connect = session.challenged()?;
    session.welcome(&connect, |hello| {
        let mut hello = hello.with("laterMember", object! {"a": 1});
        for name in ["server", "features", "snapshot", "policy", "auth"] {
            if let Some(part) = hello.at(name).cloned() {
                hello = hello.with(name, part.with("laterMember", Vec::new()));
            }
        }
        hello
    })?;
    let request = session.request("health")?;
    let tick = object! {"type": "event", "event": "tick", "payload": object! {"ts": 1, "later": 1}};
    session.say(&tick.with("seq", 1).with("laterMember", true))?;
    let id = request.at("id").cloned().unwrap_or(Value::Null);
    let answer = object! {"type": "res", "id": id, "ok": true, "payload": stage.health()};
    session.say(&answer.with("laterMember", "x"))?;
    told(stage, &mut session, "FRM-104/members")
}

fn events(stage: &Stage<'_>) -> Result<(), Trouble> {
    takes(stage, "FRM-105/events", |session, _| {
        session.push("event.of.a.later.release", object! {"id": 1, "ok": false})?;
        session.push("another", Value::Null)?;
        session.say(&object! {"type": "event", "event": "unnumbered.event"})
    })
}

fn strangers(stage: &Stage<'_>) -> Result<(), Trouble> {
    takes(stage, "FRM-106/strangers", |session, _| {
        let payload = object! {"ok": true, "ts": 1, "mark": "the answer to another"};
        session
            .say(&object! {"type": "res", "id": "nobody-asked", "ok": true, "payload": payload})?;
        let error = object! {"code": "UNAVAILABLE", "message": "not yours"};
        session.say(&object! {"type": "res", "id": "nor-this", "ok": false, "error": error})
    })
}

fn large(stage: &Stage<'_>) -> Result<(), Trouble> {
    takes(stage, "LIM-101/large", |session, _| {
        session.push("heartbeat", object! {"text": "x".repeat(LARGE)})
    })
}
