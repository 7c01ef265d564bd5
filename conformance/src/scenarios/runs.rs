//! Requests with two answers.

use super::{READ, Scenario, WRITE, scenario};
use crate::bench::{Bench, Trouble};
use crate::conn::{Conn, is_answer, is_push};
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "run",
        &[
            "RUN-001/ack",
            "RUN-002/final",
            "RUN-002/once",
            "RUN-002/status",
            "RUN-003/same",
            "RUN-004/ack-first",
            "RUN-004/start-first",
            "RUN-004/end",
            "RUN-004/chat",
            "RUN-004/over",
            "RUN-005/numbers",
            "RUN-011/text",
            "EVT-010/observer",
            "EVT-011/nothing",
            "SCP-005/run",
        ],
        run,
    ),
    scenario("tools", &["EVT-008/asked", "EVT-008/unasked"], tools),
    scenario("failing run", &["RUN-006/final"], failing),
    scenario(
        "no run",
        &["RUN-007/refused", "RUN-007/once", "RUN-013/refused"],
        refused,
    ),
    scenario(
        "waiting for a run",
        &["RUN-008/timeout", "RUN-008/end", "RUN-010/goes-on"],
        waited,
    ),
    scenario("aborted run", ABORTED, aborted),
];

const ABORTED: &[&str] = &[
    "RUN-009/named",
    "RUN-009/final",
    "RUN-009/nothing",
    "RUN-014/told",
];

/// The parameters of `agent`, with a key and a session that nobody else has.
pub(super) fn turn(bench: &Bench, key: &str, message: &str) -> Value {
    object! {
        "message": message,
        "idempotencyKey": key,
        "sessionKey": format!("agent:main:{}", bench.name("conformance")),
    }
}

/// Whether a message is a push of this run.
pub(super) fn is_of(frame: &Value, run: &str) -> bool {
    frame.text("type") == Some("event") && frame.text("payload.runId") == Some(run)
}

fn count_answers(conn: &Conn<'_>, id: &str) -> usize {
    let answers = conn.heard.iter().filter(|frame| is_answer(frame, id));
    answers.count()
}

fn is_end(frame: &Value) -> bool {
    let phase = frame.text("payload.data.phase");
    frame.text("payload.stream") == Some("lifecycle") && matches!(phase, Some("end" | "error"))
}

fn run(bench: &Bench) -> Result<(), Trouble> {
    let key = bench.name("run");
    let mut observer = bench.operator(READ)?;
    let mut stranger = bench.operator(&[])?;
    let mut conn = bench.operator(WRITE)?;
    let id = conn.request("agent", turn(bench, &key, &bench.options.message))?;
    let ack = conn.answer(&id)?;
    let kept = ack.text("payload.status") == Some("accepted")
        && ack.text("payload.runId").is_some()
        && ack.integer("payload.acceptedAt").is_some();
    bench.check("RUN-001/ack", kept, || format!("first came {ack}"));
    let last = conn.answer_within(&id, bench.options.run_time);
    let found = last.as_ref().map_err(ToString::to_string).map(|_| ());
    bench.judge("RUN-002/final", found);
    conn.lives()?;
    conn.settle()?;
    let count = count_answers(&conn, &id);
    if count > 1 {
        bench.check("RUN-002/once", count == 2, || {
            format!("{count} answers came")
        });
    }
    let last = last?;
    let status = last.text("payload.status");
    bench.check(
        "RUN-002/status",
        matches!(status, Some("ok" | "error")),
        || format!("it ends with the status {status:?}"),
    );
    let ids = [&ack, &last].map(|answer| answer.text("payload.runId").unwrap_or(""));
    bench.check("RUN-003/same", ids == [&key, &key], || {
        format!("{ids:?} for {key}")
    });
    order(bench, &conn, &id, &key)?;
    let told = told(&conn, &key);
    let texts = last.list("payload.result.payloads").unwrap_or(&[]);
    let held = texts.first().and_then(|payload| payload.text("text"));
    if let (Some(told), Some(held)) = (&told, held) {
        bench.check("RUN-011/text", told.trim() == held.trim(), || {
            format!("pushed was {told:?}, the final answer holds {held:?}")
        });
    } else {
        bench.not_applicable("RUN-011/text", "the run said nothing");
    }
    let heard = observer.take(bench.patience(), |frame| {
        is_of(frame, &key) && is_end(frame)
    })?;
    bench.check("EVT-010/observer", heard.is_some(), || {
        "an operator with operator.read does not hear the end of the run".to_owned()
    });
    let mut late = bench.operator(READ)?;
    late.lives()?;
    let replayed = late.heard.iter().any(|frame| is_of(frame, &key));
    bench.check("EVT-011/nothing", !replayed, || {
        "who comes after a run hears its pushes".to_owned()
    });
    stranger.lives()?;
    let leaked = stranger.heard.iter().find(|frame| is_of(frame, &key));
    bench.check("SCP-005/run", leaked.is_none(), || {
        format!(
            "a connection without scopes heard {}",
            leaked.unwrap_or(&Value::Null)
        )
    });
    Ok(())
}

/// What the assistant was pushed to have said in the end.
fn told(conn: &Conn<'_>, key: &str) -> Option<String> {
    let said = conn
        .heard
        .iter()
        .rev()
        .find(|frame| is_of(frame, key) && frame.text("payload.stream") == Some("assistant"));
    said?.text("payload.data.text").map(str::to_owned)
}

fn order(bench: &Bench, conn: &Conn<'_>, id: &str, key: &str) -> Result<(), Trouble> {
    let place = |fits: &dyn Fn(&Value) -> bool| conn.heard.iter().position(fits);
    let ack = place(&|frame| is_answer(frame, id)).unwrap_or(usize::MAX);
    let last = conn.heard.iter().rposition(|frame| is_answer(frame, id));
    let last = last.unwrap_or(0);
    let Some(first) = place(&|frame| is_of(frame, key)) else {
        return Err(Trouble("no push of the run came".to_owned()));
    };
    bench.check("RUN-004/ack-first", ack < first, || {
        format!("before the acknowledgement came {}", conn.heard[first])
    });
    let agent = place(&|frame| is_of(frame, key) && is_push(frame, "agent"));
    let start = |frame: &Value| {
        frame.text("payload.stream") == Some("lifecycle")
            && frame.text("payload.data.phase") == Some("start")
    };
    let begun = agent.is_some_and(|place| start(&conn.heard[place]));
    bench.check("RUN-004/start-first", begun, || {
        "no start comes first".to_owned()
    });
    let end = place(&|frame| is_of(frame, key) && is_end(frame));
    let ended = end.is_some_and(|end| end < last);
    bench.check("RUN-004/end", ended, || {
        format!("the lifecycle ends at {end:?}, the final answer is at {last}")
    });
    let state = |frame: &Value| matches!(frame.text("payload.state"), Some("final" | "error"));
    let chat = place(&|frame| is_push(frame, "chat") && is_of(frame, key) && state(frame));
    let told = chat.is_some_and(|chat| chat < last);
    bench.check("RUN-004/chat", told, || {
        format!("the final chat push is at {chat:?}, the final answer at {last}")
    });
    let behind = conn.heard[last..]
        .iter()
        .find(|frame| is_of(frame, key) && (is_push(frame, "agent") || is_push(frame, "chat")));
    bench.check("RUN-004/over", behind.is_none(), || {
        let push = behind.unwrap_or(&Value::Null);
        format!("behind the final answer came {push}")
    });
    let pushes = conn
        .heard
        .iter()
        .filter(|frame| is_of(frame, key) && is_push(frame, "agent"));
    let numbers: Vec<i64> = pushes
        .filter_map(|push| push.integer("payload.seq"))
        .collect();
    let rising = numbers.first() == Some(&1) && numbers.is_sorted_by(|one, next| one < next);
    bench.check("RUN-005/numbers", rising, || format!("{numbers:?}"));
    Ok(())
}

fn tools(bench: &Bench) -> Result<(), Trouble> {
    let key = bench.name("tools");
    let caps: &[&str] = &["tool-events"];
    let mut without = bench.operator(READ)?;
    let mut conn = bench.join(bench.params(WRITE).with("caps", caps))?;
    let id = conn.request("agent", turn(bench, &key, &bench.options.tool_message))?;
    conn.answer(&id)?;
    conn.answer_within(&id, bench.options.run_time)?;
    without.take(bench.patience(), |frame| {
        is_of(frame, &key) && is_end(frame)
    })?;
    let is_tool =
        |frame: &Value| is_of(frame, &key) && frame.text("payload.stream") == Some("tool");
    let used = conn.heard.iter().any(is_tool);
    if used {
        bench.judge("EVT-008/asked", Ok(()));
    } else if told(&conn, &key).is_none_or(|text| text.contains(&bench.options.tool_message)) {
        bench.not_applicable("EVT-008/asked", "the agent used no tool");
    } else {
        bench.judge("EVT-008/asked", Err("no push of a tool came".to_owned()));
    }
    let leaked = without.heard.iter().any(is_tool);
    bench.check("EVT-008/unasked", !leaked, || {
        "a client that did not ask for it heard of a tool".to_owned()
    });
    Ok(())
}

fn failing(bench: &Bench) -> Result<(), Trouble> {
    let key = bench.name("failing");
    let mut conn = bench.operator(WRITE)?;
    let id = conn.request("agent", turn(bench, &key, &bench.options.failing_message))?;
    conn.answer(&id)?;
    let last = conn.answer_within(&id, bench.options.run_time)?;
    if last.text("payload.status") == Some("ok") && last.flag("ok") == Some(true) {
        bench.not_applicable("RUN-006/final", "the run did not fail");
        return Ok(());
    }
    let kept = last.flag("ok") == Some(false)
        && last.text("payload.runId") == Some(&key)
        && last.text("error.code").is_some();
    bench.check("RUN-006/final", kept, || last.to_string());
    Ok(())
}

fn refused(bench: &Bench) -> Result<(), Trouble> {
    let mut conn = bench.operator(WRITE)?;
    let key = bench.name("refused");
    let good = turn(bench, &key, "never said");
    for (check, params) in [
        ("RUN-007/refused", good.clone().without("idempotencyKey")),
        ("RUN-007/refused", good.clone().without("message")),
        ("RUN-007/refused", good.clone().with("idempotencyKey", "")),
        (
            "RUN-013/refused",
            good.without("sessionKey")
                .with("agentId", "nobody-has-this"),
        ),
    ] {
        let answer = conn.ask("agent", params)?;
        let kept = answer.text("error.code") == Some("INVALID_REQUEST");
        bench.check(check, kept, || answer.to_string());
        conn.lives()?;
        let count = count_answers(&conn, answer.text("id").unwrap_or(""));
        bench.check("RUN-007/once", count == 1, || {
            format!("{count} answers came")
        });
    }
    Ok(())
}

fn waited(bench: &Bench) -> Result<(), Trouble> {
    let key = bench.name("waited");
    let mut other = bench.operator(WRITE)?;
    let mut conn = bench.operator(WRITE)?;
    let id = conn.request("agent", turn(bench, &key, &bench.options.slow_message))?;
    conn.answer(&id)?;
    let wait = |run: &str, ms: i64| object! {"runId": run, "timeoutMs": ms};
    let none = other.ask("agent.wait", wait(&bench.name("nobody"), 50))?;
    let kept = none.text("payload.status") == Some("timeout");
    bench.check("RUN-008/timeout", kept, || none.to_string());
    let early = other.ask("agent.wait", wait(&key, 50))?;
    conn.lives()?;
    // A quick run may have ended meanwhile.
    let over = count_answers(&conn, &id) > 1;
    let timeout = early.text("payload.status") == Some("timeout");
    let named = early.text("payload.runId") == Some(&key);
    bench.check("RUN-008/timeout", named && timeout || over, || {
        format!("of a run in flight it is told {early}")
    });
    drop(conn);
    let id = other.request("agent.wait", wait(&key, 60_000))?;
    let end = other.answer_within(&id, bench.options.run_time)?;
    let status = end.text("payload.status").unwrap_or("");
    let kept = matches!(status, "ok" | "error") && end.text("payload.runId") == Some(&key);
    bench.check("RUN-008/end", kept, || end.to_string());
    bench.check("RUN-010/goes-on", status == "ok", || {
        format!("its client went, and it ended like this: {end}")
    });
    Ok(())
}

fn aborted(bench: &Bench) -> Result<(), Trouble> {
    let key = bench.name("aborted");
    let mut conn = bench.operator(WRITE)?;
    let params = turn(bench, &key, &bench.options.endless_message);
    let session = params.text("sessionKey").unwrap_or("").to_owned();
    let id = conn.request("agent", params)?;
    conn.answer(&id)?;
    conn.take(bench.patience(), |frame| is_of(frame, &key))?;
    let abort = || object! {"sessionKey": session.as_str(), "runId": key.as_str()};
    let answer = conn.ask("chat.abort", abort())?;
    // Answers come in order, so that a run that was over before has been answered before.
    let count = count_answers(&conn, &id);
    let over = answer.flag("payload.aborted") != Some(true) && count > 1;
    if over {
        for id in ABORTED {
            bench.not_applicable(id, "the run ended before it could be aborted");
        }
        return Ok(());
    }
    let told = |frame: &Value| {
        is_of(frame, &key)
            && is_push(frame, "chat")
            && frame.text("payload.state") == Some("aborted")
    };
    let told = conn.heard.iter().any(told);
    bench.check("RUN-014/told", told, || {
        "no chat push says aborted before chat.abort is answered".to_owned()
    });
    let named = answer.list("payload.runIds").unwrap_or(&[]);
    let kept = named.iter().any(|run| run.is(&key));
    bench.check("RUN-009/named", kept, || answer.to_string());
    let last = match count {
        2.. => Ok(Value::Null),
        _ => conn.answer_within(&id, bench.options.run_time),
    };
    bench.judge(
        "RUN-009/final",
        last.map(|_| ()).map_err(|trouble| trouble.0),
    );
    let answer = conn.ask("chat.abort", abort())?;
    let kept = answer.flag("payload.aborted") == Some(false);
    bench.check("RUN-009/nothing", kept, || answer.to_string());
    Ok(())
}
