//! What scopes open and what they keep shut.

use super::{ADMIN, READ, Scenario, scenario};
use crate::bench::{Bench, Trouble};
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "missing scopes",
        &[
            "SCP-001/refused",
            "SCP-002/details",
            "SCP-003/implied",
            "SCP-006/health",
            "SCP-007/unknown",
            "SCP-010/unknown",
            "SCP-011/refused",
        ],
        missing,
    ),
    scenario("no scopes", &["SCP-004/presence", "SCP-009/none"], none),
];

const NEEDED: [(&str, &str); 5] = [
    ("status", "operator.read"),
    ("system-presence", "operator.read"),
    ("agent", "operator.write"),
    ("chat.abort", "operator.write"),
    ("system-event", "operator.admin"),
];

fn implied(held: &str, needed: &str) -> bool {
    held == needed
        || held == "operator.admin"
        || (held == "operator.write" && needed == "operator.read")
}

fn is_missing(answer: &Value, scope: &str) -> bool {
    let message = answer.text("error.message").unwrap_or("");
    answer.flag("ok") == Some(false) && message == format!("missing scope: {scope}")
}

/// Whether a method was reached, even if it does not like its parameters.
fn is_open(answer: &Value) -> bool {
    let wrong = answer.text("error.code") == Some("INVALID_REQUEST")
        && !answer
            .text("error.message")
            .is_some_and(|text| text.starts_with("missing scope"));
    answer.flag("ok") == Some(true) || wrong
}

fn missing(bench: &Bench) -> Result<(), Trouble> {
    for held in [
        "",
        "operator.read",
        "operator.write",
        "operator.admin",
        "operator.pairing",
        "operator.everything",
    ] {
        let scopes: &[&str] = if held.is_empty() { &[] } else { &[held] };
        let mut conn = bench.operator(scopes)?;
        let health = conn.lives()?;
        bench.check("SCP-006/health", health, || format!("refused to {held:?}"));
        for (method, needed) in NEEDED {
            let answer = conn.ask(method, object! {"bogus": 1})?;
            let refused = is_missing(&answer, needed);
            let found = || format!("{method} with {held:?} is answered {answer}");
            if implied(held, needed) {
                bench.check("SCP-003/implied", is_open(&answer), found);
                continue;
            }
            if held == "operator.everything" {
                bench.check("SCP-010/unknown", refused, found);
                continue;
            }
            bench.check("SCP-001/refused", refused, found);
            if refused {
                let kept = answer.text("error.code") == Some("FORBIDDEN")
                    && answer.text("error.details.code") == Some("MISSING_SCOPE")
                    && answer.text("error.details.missingScope") == Some(needed);
                bench.check("SCP-002/details", kept, found);
            }
        }
        if held != "operator.admin" {
            let answer = conn.ask("no.such.method", object! {})?;
            bench.check(
                "SCP-007/unknown",
                is_missing(&answer, "operator.admin"),
                || format!("with {held:?} it is answered {answer}"),
            );
        }
    }
    let mut conn = bench.operator(ADMIN)?;
    let answer = conn.ask("node.event", object! {"event": "x"})?;
    let message = answer.text("error.message").unwrap_or("");
    let code = answer.text("error.code").unwrap_or("");
    if answer.flag("ok") == Some(false) && message.starts_with("unknown method") {
        bench.not_applicable("SCP-011/refused", "there is no node.event");
        return Ok(());
    }
    let kept = answer.flag("ok") == Some(false)
        && matches!(code, "INVALID_REQUEST" | "FORBIDDEN")
        && message.contains("role");
    bench.check("SCP-011/refused", kept, || {
        format!("an operator's node.event is answered {answer}")
    });
    Ok(())
}

fn none(bench: &Bench) -> Result<(), Trouble> {
    let conn = bench.operator(&[])?;
    let rows = conn.hello("snapshot.presence").unwrap_or(&Value::Null);
    bench.check("SCP-004/presence", *rows == Value::List(Vec::new()), || {
        rows.to_string()
    });
    let client = object! {
        "id": "test", "version": "1", "platform": "linux", "mode": "test",
    };
    let mut conn = bench.open()?;
    conn.connect_plainly(bench.params(READ).with("client", client))?;
    let granted = conn.hello("auth.scopes").cloned();
    let answer = conn.ask("status", object! {})?;
    let none = granted.is_none_or(|scopes| scopes == Value::List(Vec::new()));
    let kept = none && is_missing(&answer, "operator.read");
    bench.check("SCP-009/none", kept, || {
        format!("status is answered {answer}")
    });
    Ok(())
}
