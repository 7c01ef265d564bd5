//! Runs that are asked for again.

use super::runs::{is_of, turn};
use super::{Scenario, WRITE, scenario};
use crate::bench::{Bench, Trouble};
use crate::conn::is_answer;
use crate::json::Value;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "repeat in flight",
        &["IDM-001/same", "IDM-001/one-run", "IDM-005/final"],
        in_flight,
    ),
    scenario(
        "repeat after the end",
        &[
            "IDM-002/stored",
            "IDM-002/once",
            "IDM-003/conflict",
            "IDM-004/elsewhere",
        ],
        after,
    ),
];

fn starts(heard: &[Value], key: &str) -> usize {
    let start = |frame: &&Value| {
        is_of(frame, key)
            && frame.text("payload.stream") == Some("lifecycle")
            && frame.text("payload.data.phase") == Some("start")
    };
    heard.iter().filter(start).count()
}

fn in_flight(bench: &Bench) -> Result<(), Trouble> {
    let key = bench.name("again");
    let mut conn = bench.operator(WRITE)?;
    let params = turn(bench, &key, &bench.options.slow_message);
    let first = conn.request("agent", params.clone())?;
    conn.answer(&first)?;
    let second = conn.request("agent", params)?;
    let again = conn.answer(&second)?;
    let status = again.text("payload.status");
    let kept = again.text("payload.runId") == Some(&key)
        && matches!(status, Some("accepted" | "in_flight"));
    bench.check("IDM-001/same", kept, || again.to_string());
    let end = conn.answer_within(&first, bench.options.run_time)?;
    conn.lives()?;
    let count = starts(&conn.heard, &key);
    bench.check("IDM-001/one-run", count == 1, || {
        format!("{count} runs began")
    });
    let last = conn.heard.iter().rfind(|frame| is_answer(frame, &second));
    let last = last.unwrap_or(&Value::Null);
    let same = last.at("payload") == end.at("payload");
    bench.check("IDM-005/final", same, || {
        format!("the repeat was answered {last}, the run {end}")
    });
    Ok(())
}

fn after(bench: &Bench) -> Result<(), Trouble> {
    let key = bench.name("stored");
    let mut conn = bench.operator(WRITE)?;
    let params = turn(bench, &key, &bench.options.message);
    let first = conn.request("agent", params.clone())?;
    conn.answer(&first)?;
    let end = conn.answer_within(&first, bench.options.run_time)?;
    let mut other = bench.operator(WRITE)?;
    for (conn, id) in [
        (&mut conn, "IDM-002/stored"),
        (&mut other, "IDM-004/elsewhere"),
    ] {
        let again = conn.ask("agent", params.clone())?;
        let same = [
            "ok",
            "payload.runId",
            "payload.status",
            "payload.result.payloads",
        ];
        let same = same.iter().all(|path| again.at(path) == end.at(path));
        bench.check(id, same, || {
            format!("answered with {again} instead of {end}")
        });
        conn.lives()?;
        conn.settle()?;
        let id = again.text("id").unwrap_or("");
        let count = conn
            .heard
            .iter()
            .filter(|frame| is_answer(frame, id))
            .count();
        bench.check("IDM-002/once", count == 1, || {
            format!("{count} answers came")
        });
    }
    let answer = conn.ask("agent", params.with("message", "something else"))?;
    bench.check("IDM-003/conflict", answer.flag("ok") == Some(false), || {
        format!("another message is answered {answer}")
    });
    Ok(())
}
