//! Frames after hello, good and bad.

use super::{ADMIN, READ, Scenario, scenario};
use crate::bench::{Bench, May, Trouble};
use crate::conn::{Conn, is_answer, request};
use crate::json::Value;
use crate::object;
use crate::wire::{self, Frame};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("broken JSON", &["FRM-001/stays", "FRM-003/row"], broken),
    scenario(
        "no requests",
        &[
            "FRM-002/answered",
            "FRM-002/id",
            "FRM-002/stays",
            "FRM-004/refused",
            "FRM-005/refused",
            "FRM-005/not-obeyed",
        ],
        no_requests,
    ),
    scenario("ids", &["FRM-007/same", "FRM-011/taken"], ids),
    scenario("deep JSON", &["FRM-010/others"], deep),
];

fn broken(bench: &Bench) -> Result<(), Trouble> {
    let mut conn = bench.operator(READ)?;
    for frame in [
        Frame::client(wire::TEXT, "not json"),
        Frame::client(wire::TEXT, ""),
        Frame::client(wire::TEXT, "{\"type\":\"req\",\"id\":\"x\""),
        Frame::client(wire::BINARY, [0xff, 0xfe, 0]),
    ] {
        conn.send_frame(&frame)?;
        let lives = conn.lives()?;
        let shown = String::from_utf8_lossy(&frame.payload);
        bench.check("FRM-001/stays", lives, || {
            format!("no answer after {shown:?}")
        });
    }
    for _ in 0..12 {
        conn.say("not json")?;
    }
    conn.say(&request("after", "health", object! {}))?;
    conn.take(bench.patience(), |frame| is_answer(frame, "after"))?;
    let ending = conn.ending_within(crate::conn::QUIET)?;
    let allowed = [May::Stay, May::Close(1008)];
    bench.ends("FRM-003/row", "twelve broken messages", &ending, &allowed);
    Ok(())
}

/// Sends something and returns the next refusal.
fn refused(bench: &Bench, conn: &mut Conn<'_>, text: &str) -> Result<Value, Trouble> {
    conn.say(text)?;
    let refusal = conn.take(bench.patience(), |frame| frame.flag("ok") == Some(false))?;
    Ok(refusal.unwrap_or(Value::Null))
}

fn no_requests(bench: &Bench) -> Result<(), Trouble> {
    let mut other = bench.operator(READ)?;
    let mut conn = bench.operator(ADMIN)?;
    let invalid = Value::from("invalid");
    for (text, id) in [
        (r#"{"type":"req","id":"a1","params":{}}"#, "a1".into()),
        (r#"{"type":"req","id":"a2","method":""}"#, "a2".into()),
        (r#"{"type":"req","id":"a3","method":7}"#, "a3".into()),
        (r#"{"id":"a4","method":"health"}"#, "a4".into()),
        (r#"{"type":"req","id":7,"method":"health"}"#, Value::from(7)),
        (r#"{"type":"req","id":"","method":"health"}"#, "".into()),
        (r#"{"type":"req","method":"health"}"#, invalid.clone()),
        ("[]", invalid.clone()),
        ("null", invalid.clone()),
    ] {
        let refusal = refused(bench, &mut conn, text)?;
        let code = refusal.text("error.code");
        let answered = code == Some("INVALID_REQUEST");
        bench.check("FRM-002/answered", answered, || {
            format!("{text} is answered {refusal}")
        });
        // What is no id may come back, or be called invalid.
        let no_id = !matches!(&id, Value::Text(id) if !id.is_empty());
        let own = refusal.at("id");
        let same = own == Some(&id) || no_id && own == Some(&invalid);
        bench.check("FRM-002/id", same || !answered, || {
            format!("{text} is answered {refusal}")
        });
    }
    let lives = conn.lives()?;
    bench.check("FRM-002/stays", lives, || "no answer afterwards".to_owned());
    for (check, text) in [
        (
            "FRM-004/refused",
            r#"{"type":"req","id":"u","method":"health","params":{},"bogus":1}"#,
        ),
        (
            "FRM-005/refused",
            r#"{"type":"res","id":"s","ok":true,"payload":{}}"#,
        ),
        (
            "FRM-005/refused",
            r#"{"type":"event","event":"tick","payload":{"relayed":true}}"#,
        ),
    ] {
        let refusal = refused(bench, &mut conn, text)?;
        let invalid = refusal.text("error.code") == Some("INVALID_REQUEST");
        bench.check(check, invalid, || format!("{text} is answered {refusal}"));
    }
    conn.lives()?;
    other.lives()?;
    let mut all = conn.heard.iter().chain(&other.heard);
    let relayed = all.any(|frame| frame.at("payload.relayed").is_some());
    bench.check("FRM-005/not-obeyed", !relayed, || {
        "a push of a client is passed on to clients".to_owned()
    });
    Ok(())
}

fn ids(bench: &Bench) -> Result<(), Trouble> {
    let mut conn = bench.operator(READ)?;
    let long = "x".repeat(300);
    for id in ["0", " ", "ü🦀", "\"\\/\n\u{1}", "invalid", "null", &long] {
        conn.say(&request(id, "health", object! {}))?;
        let answer = conn.take(bench.patience(), |frame| is_answer(frame, id))?;
        bench.check("FRM-007/same", answer.is_some(), || {
            format!("{id:?} does not come back")
        });
    }
    let traced = object! {
        "type": "req", "id": "traced", "method": "health", "params": object! {},
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    };
    conn.say(&traced.to_string())?;
    let answer = conn.answer("traced")?;
    bench.check("FRM-011/taken", answer.flag("ok") == Some(true), || {
        answer.to_string()
    });
    Ok(())
}

fn deep(bench: &Bench) -> Result<(), Trouble> {
    let mut other = bench.operator(READ)?;
    for open in ["[", "{\"a\":"] {
        let mut conn = bench.operator(READ)?;
        conn.rude = true;
        let text = format!(
            r#"{{"type":"req","id":"deep","method":"health","params":{}"#,
            open.repeat(100_000)
        );
        conn.say(&text)?;
        let lives = other.lives()? && bench.operator(READ).is_ok();
        bench.check("FRM-010/others", lives, || {
            "others are not answered".to_owned()
        });
    }
    Ok(())
}
