//! The probes.

use super::{Scenario, scenario};
use crate::bench::{Bench, Trouble};
use crate::json::Value;
use crate::wire::Head;

pub(super) const SCENARIOS: &[Scenario] = &[scenario(
    "probes",
    &[
        "HTP-001/live",
        "HTP-002/ready",
        "HTP-003/refused",
        "HTP-004/head",
        "HTP-005/nosniff",
        "HTP-006/uncached",
        "HTP-008/unknown",
    ],
    probes,
)];

fn whole(bench: &Bench, line: &str) -> Result<(Head, String), Trouble> {
    let (head, mut wire) = bench.http(line, "Connection: close\r\n")?;
    let body = wire.rest(bench.deadline(bench.patience()))?;
    Ok((head, String::from_utf8_lossy(&body).into_owned()))
}

fn probes(bench: &Bench) -> Result<(), Trouble> {
    for (path, id, member) in [
        ("/healthz", "HTP-001/live", "ok"),
        ("/health", "HTP-001/live", "ok"),
        ("/readyz", "HTP-002/ready", "ready"),
        ("/ready", "HTP-002/ready", "ready"),
    ] {
        let (head, body) = whole(bench, &format!("GET {path}"))?;
        let value = Value::parse(&body).unwrap_or(Value::Null);
        let live = member != "ok" || value.text("status") == Some("live");
        let kept = head.status == 200 && value.flag(member) == Some(true) && live;
        bench.check(id, kept, || {
            format!("{path} answers {} {body}", head.status)
        });
        let field = |name: &str| head.field(name).unwrap_or("").to_owned();
        let sniffed = field("x-content-type-options");
        bench.check("HTP-005/nosniff", sniffed == "nosniff", || {
            format!("{path}: {sniffed:?}")
        });
        let stored = field("cache-control");
        bench.check("HTP-006/uncached", stored.contains("no-store"), || {
            format!("{path}: cache-control is {stored:?}")
        });
        let (head, body) = whole(bench, &format!("HEAD {path}"))?;
        bench.check(
            "HTP-004/head",
            head.status == 200 && body.is_empty(),
            || {
                format!(
                    "HEAD {path} answers {} with {} bytes",
                    head.status,
                    body.len()
                )
            },
        );
        let (head, _) = whole(bench, &format!("DELETE {path}"))?;
        let allow = head.field("allow").unwrap_or("");
        let kept = head.status == 405 && allow.contains("GET") && allow.contains("HEAD");
        bench.check("HTP-003/refused", kept, || {
            format!("DELETE {path} answers {}, allow {allow:?}", head.status)
        });
    }
    let (head, _) = whole(bench, "GET /no/such/thing.txt")?;
    bench.check("HTP-008/unknown", head.status == 404, || {
        format!("it is answered {}", head.status)
    });
    Ok(())
}
