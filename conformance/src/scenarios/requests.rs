//! Requests with one answer.

use std::collections::BTreeSet;

use super::{ADMIN, READ, Scenario, WRITE, scenario};
use crate::bench::{Bench, Trouble};
use crate::conn::{is_answer, request};
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "requests",
        &[
            "REQ-001/once",
            "REQ-002/refused",
            "REQ-005/refused",
            "REQ-005/stays",
            "REQ-006/ignored",
            "REQ-007/refused",
            "REQ-008/health",
        ],
        requests,
    ),
    scenario("another profile", &["REQ-007/not-begun"], not_begun),
    scenario("many requests", &["REQ-003/each", "REQ-004/all"], many),
];

fn requests(bench: &Bench) -> Result<(), Trouble> {
    let mut conn = bench.operator(ADMIN)?;
    let health = conn.ask("health", object! {})?;
    let kept = health.flag("payload.ok") == Some(true) && health.integer("payload.ts").is_some();
    bench.check("REQ-008/health", kept, || health.to_string());
    let status = conn.ask("status", object! {})?;
    conn.lives()?;
    conn.settle()?;
    for answer in [health, status] {
        let id = answer.text("id").unwrap_or("");
        let count = conn
            .heard
            .iter()
            .filter(|frame| is_answer(frame, id))
            .count();
        bench.check("REQ-001/once", count == 1, || {
            format!("{count} answers to one request")
        });
    }
    let method = bench.name("no.such");
    let answer = conn.ask(&method, object! {})?;
    let kept = answer.text("error.code") == Some("INVALID_REQUEST");
    bench.check("REQ-002/refused", kept, || answer.to_string());
    for params in [
        Value::Null,
        Value::from(7),
        Value::from("x"),
        object! {"bogus": true},
    ] {
        let id = conn.request("health", params.clone())?;
        let answer = conn.take(bench.patience(), |frame| is_answer(frame, &id))?;
        let ok = answer.is_some_and(|answer| answer.flag("ok") == Some(true));
        bench.check("REQ-006/ignored", ok, || {
            format!("health with {params} is refused")
        });
    }
    let mut conn = bench.operator(WRITE)?;
    for (method, params) in [
        ("agent.wait", object! {}),
        ("agent.wait", object! {"runId": 7}),
        ("chat.abort", object! {}),
    ] {
        let shown = params.to_string();
        let answer = conn.ask(method, params)?;
        let kept = answer.text("error.code") == Some("INVALID_REQUEST");
        bench.check("REQ-005/refused", kept, || {
            format!("{method} {shown}: {answer}")
        });
    }
    let lives = conn.lives()?;
    bench.check("REQ-005/stays", lives, || "no answer afterwards".to_owned());
    let other = object! {
        "type": "req", "id": "profile", "method": "health", "params": object! {},
        "expectedProfileId": "nobody",
    };
    conn.say(&other.to_string())?;
    let answer = conn.answer("profile")?;
    let reason = answer.text("error.details.reason");
    bench.check(
        "REQ-007/refused",
        reason == Some("EXPECTED_PROFILE_MISMATCH"),
        || answer.to_string(),
    );
    Ok(())
}

/// What is said for another profile must not be listed.
fn not_begun(bench: &Bench) -> Result<(), Trouble> {
    let mut admin = bench.operator(ADMIN)?;
    let name = bench.name("profile");
    let other = object! {
        "type": "req", "id": "begun", "method": "system-event", "expectedProfileId": "nobody",
        "params": object! {"text": name.as_str(), "instanceId": name.as_str(), "mode": "ui"},
    };
    admin.say(&other.to_string())?;
    admin.answer("begun")?;
    let listed = admin.ask("system-presence", object! {})?;
    let begun = listed.to_string().contains(&name);
    bench.check("REQ-007/not-begun", !begun, || {
        "system-presence has a row that was said for another profile".to_owned()
    });
    Ok(())
}

fn many(bench: &Bench) -> Result<(), Trouble> {
    let mut conn = bench.operator(READ)?;
    for _ in 0..3 {
        conn.say(&request("twin", "health", object! {}))?;
    }
    let mut count = 0;
    while count < 3
        && conn
            .take(bench.patience(), |frame| is_answer(frame, "twin"))?
            .is_some()
    {
        count += 1;
    }
    bench.check("REQ-003/each", count == 3, || {
        format!("{count} answers to three requests")
    });
    let mut open: BTreeSet<String> = (0..50).map(|number| format!("m{number}")).collect();
    for id in &open {
        conn.say(&request(id, "health", object! {}))?;
    }
    for id in open.clone() {
        if conn
            .take(bench.patience(), |frame| is_answer(frame, &id))?
            .is_none()
        {
            break;
        }
        open.remove(&id);
    }
    bench.check("REQ-004/all", open.is_empty(), || {
        format!("not answered: {open:?}")
    });
    Ok(())
}
