//! Devices that prove themselves, and those that cannot.

use super::{READ, Scenario, scenario};
use crate::bench::{Bench, May, Trouble};
use crate::conn::{Conn, is_answer};
use crate::device::{Claim, Layout};
use crate::json::Value;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "device proofs",
        &[
            "HSK-027/v2",
            "HSK-027/v3",
            "HSK-029/answered",
            "HSK-029/ends",
        ],
        proofs,
    ),
    scenario(
        "wrong device proofs",
        &[
            "HSK-024/id",
            "HSK-024/key",
            "HSK-024/nonce",
            "HSK-024/reason",
            "HSK-024/signature",
            "HSK-024/time",
            "HSK-024/ends",
        ],
        wrong_proofs,
    ),
];

/// How far a clock is off that nobody may believe.
const LATE: i64 = 15 * 60 * 1_000;

fn answered<'a>(conn: &'a Conn<'_>, id: &str) -> &'a Value {
    let answer = conn.heard.iter().find(|frame| is_answer(frame, id));
    answer.unwrap_or(&Value::Null)
}

fn proofs(bench: &Bench) -> Result<(), Trouble> {
    for (id, layout) in [("HSK-027/v2", Layout::V2), ("HSK-027/v3", Layout::V3)] {
        let device = bench.new_device();
        let mut conn = bench.open()?;
        let claim = device.claim(&conn.challenge()?);
        let params = bench.params(READ);
        let proof = device.prove(&claim, &params, layout);
        let answer = conn.ask("connect", params.with("device", proof))?;
        let to_pair = answer.text("error.details.code") == Some("PAIRING_REQUIRED");
        let believed = answer.flag("ok") == Some(true) || to_pair;
        bench.check(id, believed, || format!("it is answered {answer}"));
    }
    if bench.options.token.is_empty() {
        for id in ["HSK-029/answered", "HSK-029/ends"] {
            bench.not_applicable(id, "no token was given");
        }
        return Ok(());
    }
    let device = bench.new_device();
    let mut conn = bench.open()?;
    let claim = device.claim(&conn.challenge()?);
    let params = bench.params(READ).without("auth");
    let proof = device.prove(&claim, &params, Layout::V3);
    let request = conn.request("connect", params.with("device", proof))?;
    let ending = conn.ending()?;
    let answer = answered(&conn, &request);
    let kept = answer.text("error.details.code") == Some("AUTH_TOKEN_MISSING");
    bench.check("HSK-029/answered", kept, || {
        format!("it is answered {answer}")
    });
    let after = "a device without the token";
    bench.ends("HSK-029/ends", after, &ending, &[May::Close(1008)]);
    Ok(())
}

fn wrong_proofs(bench: &Bench) -> Result<(), Trouble> {
    const MISMATCH: (&str, &str) = ("DEVICE_AUTH_DEVICE_ID_MISMATCH", "device-id-mismatch");
    for (id, (code, reason)) in [
        ("HSK-024/id", MISMATCH),
        ("HSK-024/key", MISMATCH),
        (
            "HSK-024/nonce",
            ("DEVICE_AUTH_NONCE_MISMATCH", "device-nonce-mismatch"),
        ),
        (
            "HSK-024/signature",
            ("DEVICE_AUTH_SIGNATURE_INVALID", "device-signature"),
        ),
        (
            "HSK-024/time",
            ("DEVICE_AUTH_SIGNATURE_EXPIRED", "device-signature-stale"),
        ),
    ] {
        let device = bench.new_device();
        let mut conn = bench.open()?;
        let truth = device.claim(&conn.challenge()?);
        let params = bench.params(READ);
        let prove = |claim: &Claim| device.prove(claim, &params, Layout::V3);
        let other = Claim {
            nonce: bench.name("nonce"),
            ..truth.clone()
        };
        let proof = match id {
            "HSK-024/id" => prove(&Claim {
                id: "0".repeat(64),
                ..truth
            }),
            "HSK-024/key" => prove(&truth).with("publicKey", "no key"),
            "HSK-024/nonce" => prove(&other),
            "HSK-024/signature" => {
                let signature = prove(&other).text("signature").unwrap_or("").to_owned();
                prove(&truth).with("signature", signature)
            }
            _ => prove(&Claim {
                signed_at: truth.signed_at - LATE,
                ..truth
            }),
        };
        let request = conn.request("connect", params.clone().with("device", proof))?;
        let ending = conn.ending()?;
        let answer = answered(&conn, &request);
        let kept = answer.text("error.details.code") == Some(code);
        bench.check(id, kept, || format!("it is answered {answer}"));
        if kept {
            let named = answer.text("error.details.reason") == Some(reason);
            bench.check("HSK-024/reason", named, || {
                format!("it is answered {answer}")
            });
        }
        let after = format!("a proof that is {code}");
        bench.ends("HSK-024/ends", &after, &ending, &[May::Close(1008)]);
    }
    Ok(())
}
