//! Handshakes that must fail: what is said and how it ends are judged apart.

use std::time::{Duration, Instant};

use super::{ADMIN, Scenario, scenario};
use crate::bench::{Bench, Ending, May, Trouble};
use crate::conn::request;
use crate::json::Value;
use crate::object;
use crate::wire::{self, Frame};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "no request first",
        &["HSK-002/ends", "HSK-003/ends"],
        no_request,
    ),
    scenario(
        "another request first",
        &["HSK-004/answered", "HSK-004/ends"],
        another_request,
    ),
    scenario(
        "wrong parameters",
        &[
            "HSK-005/answered",
            "HSK-005/ends",
            "HSK-007/answered",
            "HSK-007/ends",
            "HSK-008/ends",
        ],
        wrong_parameters,
    ),
    scenario(
        "no common version",
        &[
            "HSK-006/answered",
            "HSK-006/details",
            "HSK-006/ends",
            "HSK-019/order",
        ],
        no_common_version,
    ),
    scenario(
        "wrong credentials",
        &[
            "HSK-015/answered",
            "HSK-015/ends",
            "HSK-016/answered",
            "HSK-016/ends",
        ],
        wrong_credentials,
    ),
    scenario("wrong tokens in a row", &["HSK-021/later"], in_a_row),
    scenario(
        "foreign origin",
        &["HSK-022/answered", "HSK-022/ends"],
        foreign_origin,
    ),
    scenario(
        "browser without an origin",
        &["HSK-033/answered", "HSK-033/ends"],
        no_origin,
    ),
    scenario(
        "node without a device",
        &["NOD-001/answered", "NOD-001/ends"],
        node,
    ),
];

/// By how much at least the third wrong token is answered later than the first.
const LATER: Duration = Duration::from_millis(300);

/// Says something first; returns the answer, if there is one, and the ending.
fn first(bench: &Bench, frame: &Frame) -> Result<(Value, Ending), Trouble> {
    first_with(bench, "", frame)
}

fn first_with(bench: &Bench, more: &str, frame: &Frame) -> Result<(Value, Ending), Trouble> {
    let mut conn = bench.open_with(more)?;
    conn.send_frame(frame)?;
    let ending = conn.ending()?;
    let answer = conn
        .heard
        .iter()
        .find(|frame| frame.text("type") == Some("res"));
    Ok((answer.cloned().unwrap_or(Value::Null), ending))
}

fn connect(params: Value) -> Frame {
    Frame::client(wire::TEXT, request("c", "connect", params))
}

fn is_refusal(answer: &Value) -> bool {
    answer.flag("ok") == Some(false) && answer.text("id") == Some("c")
}

fn no_request(bench: &Bench) -> Result<(), Trouble> {
    for frame in [
        Frame::client(wire::TEXT, "not json"),
        Frame::client(wire::TEXT, ""),
        Frame::client(wire::TEXT, "{\"type\":\"req\""),
        Frame::client(wire::BINARY, [0xff, 0xfe, 0]),
    ] {
        let (_, ending) = first(bench, &frame)?;
        let allowed = [1000, 1002, 1003, 1007, 1008].map(May::Close);
        let after = String::from_utf8_lossy(&frame.payload);
        bench.ends("HSK-002/ends", &after, &ending, &allowed);
    }
    for text in [
        "[]",
        "null",
        "42",
        "\"x\"",
        "{}",
        r#"{"type":"event","event":"tick","payload":{}}"#,
        r#"{"type":"res","id":"1","ok":true,"payload":{}}"#,
        r#"{"type":"req","method":"connect","params":{}}"#,
        r#"{"type":"req","id":7,"method":"connect","params":{}}"#,
        r#"{"type":"req","id":"","method":"connect","params":{}}"#,
        r#"{"type":"req","id":"1","method":"connect","params":{},"bogus":1}"#,
    ] {
        let (_, ending) = first(bench, &Frame::client(wire::TEXT, text))?;
        bench.ends("HSK-003/ends", text, &ending, &[May::Close(1008)]);
    }
    Ok(())
}

fn another_request(bench: &Bench) -> Result<(), Trouble> {
    for method in ["health", "agent", "no.such"] {
        let frame = Frame::client(wire::TEXT, request("c", method, object! {}));
        let (answer, ending) = first(bench, &frame)?;
        bench.check("HSK-004/answered", is_refusal(&answer), || {
            format!("{method} is answered with {answer}")
        });
        bench.ends("HSK-004/ends", method, &ending, &[May::Close(1008)]);
    }
    Ok(())
}

fn wrong_parameters(bench: &Bench) -> Result<(), Trouble> {
    let good = bench.params(ADMIN);
    let client = |name: &str, value: &str| {
        let client = good.at("client").cloned().unwrap_or(Value::Null);
        good.clone().with("client", client.with(name, value))
    };
    for params in [
        Value::Null,
        object! {},
        good.clone().without("client"),
        good.clone().without("minProtocol"),
        good.clone().with("bogus", 1),
        good.clone().with("scopes", "all"),
        good.clone().with("minProtocol", "4"),
        client("id", "nobody-knows"),
        client("mode", "operator"),
    ] {
        let shown = params.to_string();
        let (answer, ending) = first(bench, &connect(params))?;
        let invalid = answer.text("error.code") == Some("INVALID_REQUEST");
        bench.check("HSK-005/answered", is_refusal(&answer) && invalid, || {
            format!("{shown} is answered with {answer}")
        });
        bench.ends(
            "HSK-005/ends",
            "wrong parameters",
            &ending,
            &[May::Close(1008)],
        );
    }
    let (answer, ending) = first(bench, &connect(good.clone().with("role", "boss")))?;
    bench.check("HSK-007/answered", is_refusal(&answer), || {
        answer.to_string()
    });
    bench.ends("HSK-007/ends", "role boss", &ending, &[May::Close(1008)]);
    let (_, ending) = first(bench, &connect(good.with("role", "worker")))?;
    bench.ends("HSK-008/ends", "role worker", &ending, &[May::Close(1008)]);
    Ok(())
}

fn no_common_version(bench: &Bench) -> Result<(), Trouble> {
    let offer = |min: i64, max: i64| {
        let params = bench.params(ADMIN).with("minProtocol", min);
        params.with("maxProtocol", max)
    };
    for (min, max) in [(1, 1), (5, 4), (99, 99)] {
        let (answer, ending) = first(bench, &connect(offer(min, max)))?;
        bench.check("HSK-006/answered", is_refusal(&answer), || {
            format!("{min} to {max} is answered with {answer}")
        });
        if is_refusal(&answer) {
            let details = answer.at("error.details").unwrap_or(&Value::Null);
            let code =
                bench.options.protocol < 4 || details.text("code") == Some("PROTOCOL_MISMATCH");
            let kept = code && details.integer("expectedProtocol").is_some();
            bench.check("HSK-006/details", kept, || details.to_string());
        }
        bench.ends(
            "HSK-006/ends",
            "no common version",
            &ending,
            &[May::Close(1002)],
        );
    }
    let wrong = offer(99, 99).with("auth", object! {"token": "wrong"});
    let (answer, _) = first(bench, &connect(wrong))?;
    let kept = answer.at("error.details.expectedProtocol").is_some();
    bench.check("HSK-019/order", kept, || {
        format!("with a wrong token as well it is answered {answer}")
    });
    Ok(())
}

fn wrong_credentials(bench: &Bench) -> Result<(), Trouble> {
    let ids = [
        "HSK-015/answered",
        "HSK-015/ends",
        "HSK-016/answered",
        "HSK-016/ends",
    ];
    if bench.options.token.is_empty() {
        for id in ids {
            bench.not_applicable(id, "no token was given: the gateway asks for none");
        }
        return Ok(());
    }
    let good = bench.params(ADMIN);
    let wrong = good.clone().with("auth", object! {"token": "not-this-one"});
    let (answer, ending) = first(bench, &connect(wrong))?;
    let code = answer.text("error.details.code").unwrap_or("");
    let kept = is_refusal(&answer) && code.starts_with("AUTH_") && code.ends_with("_MISMATCH");
    bench.check(ids[0], kept, || answer.to_string());
    bench.ends(ids[1], "a wrong token", &ending, &[May::Close(1008)]);
    for params in [good.clone().without("auth"), good.with("auth", object! {})] {
        let (answer, ending) = first(bench, &connect(params))?;
        bench.check(ids[2], is_refusal(&answer), || answer.to_string());
        bench.ends(ids[3], "no credentials", &ending, &[May::Close(1008)]);
    }
    Ok(())
}

fn in_a_row(bench: &Bench) -> Result<(), Trouble> {
    if bench.options.token.is_empty() {
        bench.not_applicable("HSK-021/later", "no token was given");
        return Ok(());
    }
    // Whoever is let in begins anew.
    bench.operator(ADMIN)?;
    let wrong = bench.params(ADMIN);
    let wrong = wrong.with("auth", object! {"token": "not-this-one"});
    let mut times = Vec::new();
    for _ in 0..3 {
        let mut conn = bench.open()?;
        let began = Instant::now();
        conn.send_frame(&connect(wrong.clone()))?;
        conn.ending()?;
        times.push(began.elapsed());
    }
    bench.operator(ADMIN)?;
    let later = times[0] + LATER < times[2];
    bench.check("HSK-021/later", later, || {
        format!("answered and closed after {times:?}")
    });
    Ok(())
}

fn foreign_origin(bench: &Bench) -> Result<(), Trouble> {
    let origin = "Origin: https://foreign.example\r\n";
    let (answer, ending) = first_with(bench, origin, &connect(bench.params(ADMIN)))?;
    bench.check("HSK-022/answered", is_refusal(&answer), || {
        answer.to_string()
    });
    bench.ends(
        "HSK-022/ends",
        "a foreign origin",
        &ending,
        &[May::Close(1008)],
    );
    Ok(())
}

fn no_origin(bench: &Bench) -> Result<(), Trouble> {
    for (id, mode) in [("openclaw-control-ui", "ui"), ("webchat", "webchat")] {
        let client = object! {"id": id, "version": "1", "platform": "web", "mode": mode};
        let (answer, ending) = first(bench, &connect(bench.params(ADMIN).with("client", client)))?;
        bench.check("HSK-033/answered", is_refusal(&answer), || {
            format!("{id} is answered {answer}")
        });
        bench.ends("HSK-033/ends", id, &ending, &[May::Close(1008)]);
    }
    Ok(())
}

fn node(bench: &Bench) -> Result<(), Trouble> {
    let client = object! {
        "id": "node-host", "version": "1", "platform": "linux", "mode": "node",
    };
    let params = bench
        .params(&[])
        .with("role", "node")
        .with("client", client);
    let (answer, ending) = first(bench, &connect(params))?;
    bench.check("NOD-001/answered", is_refusal(&answer), || {
        answer.to_string()
    });
    let allowed = [1008, 1013].map(May::Close);
    bench.ends("NOD-001/ends", "a node without a device", &ending, &allowed);
    Ok(())
}
