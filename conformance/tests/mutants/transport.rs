//! Defects of the upgrade, of HTTP, of control frames and of closes.

use openclaw_conformance::wire::{CLOSE, Frame, PONG, TEXT, close_payload};

use crate::proxy::Change::{Frame as Frames, Http};
use crate::proxy::Memory;
use crate::{Mutant, mutant};

/// What ends a handshake, and is broken wherever a close is not as it should be.
const ENDS: &[&str] = &[
    "HSK-002/ends",
    "HSK-003/ends",
    "HSK-004/ends",
    "HSK-005/ends",
    "HSK-006/ends",
    "HSK-007/ends",
    "HSK-008/ends",
    "HSK-015/ends",
    "HSK-016/ends",
    "HSK-022/ends",
    "HSK-024/ends",
    "HSK-026/ends",
    "HSK-029/ends",
    "HSK-031/ends",
    "HSK-032/ends",
    "HSK-033/ends",
    "HSK-037/ends",
    "HSK-043/revoked-ends",
    "HSK-043/rotated-ends",
    "NOD-001/ends",
    "NOD-016/ends",
    "LIM-002*",
    "TRN-001*",
    "TRN-002/mask",
    "TRN-002/reserved",
    "TRN-002/opcode",
    "TRN-002/continuation",
    "TRN-002/interleaved",
    "TRN-002/split-ping",
    "TRN-002/long-ping",
    "TRN-002/length",
    "TRN-002/close",
];

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "accepts no key",
        Http(|_, head, _| {
            for (name, value) in &mut head.fields {
                if name == "sec-websocket-accept" {
                    *value = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned();
                }
            }
        }),
        &["TRN-004/accept"],
    ),
    mutant(
        "compresses unasked",
        Http(|_, head, _| {
            let field = ("sec-websocket-extensions", "permessage-deflate");
            head.fields.push((field.0.to_owned(), field.1.to_owned()));
        }),
        &["TRN-004/extensions"],
    ),
    mutant(
        "upgrades on one path",
        Http(|request, head, _| {
            if head.status == 101 && !request.starts_with("GET / ") {
                head.status = 404;
            }
        }),
        &["TRN-005/path"],
    ),
    mutant(
        "refuses subprotocols",
        Http(|request, head, _| {
            if request.contains("Sec-WebSocket-Protocol") {
                head.status = 400;
            }
        }),
        &["TRN-011/ignored"],
    ),
    mutant(
        "serves everything",
        Http(|request, head, _| {
            if request.starts_with("GET /no/such/") {
                head.status = 200;
            }
        }),
        &["HTP-008/unknown"],
    ),
    mutant(
        "upgrades anything",
        Http(|request, head, _| {
            if head.status >= 400 && !request.contains("X-Forwarded") && request.contains("Upgrade")
            {
                head.status = 101;
            }
        }),
        &["TRN-009*"],
    ),
    mutant(
        "trusts every proxy",
        Http(|request, head, _| {
            if request.contains("X-Forwarded") {
                head.status = 101;
            }
        }),
        &["HSK-023/proxy"],
    ),
    mutant(
        "is not live",
        Http(|request, head, _| {
            if request.starts_with("GET /health") {
                head.status = 503;
            }
        }),
        &["HTP-001/live"],
    ),
    mutant(
        "is not ready",
        Http(|request, _, body| {
            if request.starts_with("GET /ready") {
                *body = br#"{"ready":false}"#.to_vec();
            }
        }),
        &["HTP-002/ready"],
    ),
    mutant(
        "allows nothing",
        Http(|_, head, _| {
            head.fields.retain(|(name, _)| name != "allow");
        }),
        &["HTP-003/refused"],
    ),
    mutant(
        "answers HEAD with a body",
        Http(|request, _, body| {
            if request.starts_with("HEAD") {
                *body = b"body".to_vec();
            }
        }),
        &["HTP-004/head"],
    ),
    mutant(
        "lets answers be sniffed and stored",
        Http(|_, head, _| {
            head.fields
                .retain(|(name, _)| name != "x-content-type-options" && name != "cache-control");
        }),
        &["HTP-005/nosniff", "HTP-006/uncached"],
    ),
    mutant(
        "answers no ping",
        Frames(|_, frame| {
            if frame.opcode == PONG {
                vec![]
            } else {
                vec![frame]
            }
        }),
        &["LIV-002*", "TRN-003/control", "TRN-002/others"],
    ),
    mutant(
        "dies of an unasked pong",
        Frames(|memory, frame| {
            if frame.opcode == PONG && frame.payload.is_empty() {
                memory.count = 1;
            }
            if frame.opcode == TEXT && memory.count == 1 {
                memory.count = 0;
                return vec![];
            }
            vec![frame]
        }),
        &["LIV-004/unasked"],
    ),
    mutant(
        "closes without a reason",
        Frames(|_, frame| reclosed(frame, |code, _| close_payload(code, ""))),
        &["CLO-003/throughout"],
    ),
    mutant(
        "closes with a code for nothing",
        Frames(|_, frame| {
            reclosed(frame, |code, reason| {
                let code = if reason == "invalid role" { 1005 } else { code };
                close_payload(code, reason)
            })
        }),
        &["CLO-002/throughout", "HSK-007/ends"],
    ),
    mutant(
        "closes with codes of its own",
        Frames(|memory, frame| {
            if ours(memory, &frame) {
                return vec![frame];
            }
            reclosed(frame, |_, reason| close_payload(4000, reason))
        }),
        ENDS,
    ),
    mutant(
        "goes without a close",
        Frames(|memory, frame| {
            memory.cut = frame.opcode == CLOSE;
            if memory.cut { vec![] } else { vec![frame] }
        }),
        &[
            "CLO-001*",
            "CLO-002/throughout",
            "CLO-003/throughout",
            "CLO-004/throughout",
            "CLO-005/throughout",
            "HSK-002/ends",
            "HSK-003/ends",
            "HSK-004/ends",
            "HSK-005/ends",
            "HSK-006/ends",
            "HSK-007/ends",
            "HSK-008/ends",
            "HSK-015/ends",
            "HSK-016/ends",
            "HSK-022/ends",
            "HSK-024/ends",
            "HSK-029/ends",
            "HSK-033/ends",
            "NOD-001/ends",
            "NOD-016/ends",
            "LIM-002*",
            "TRN-001*",
            "HSK-026/ends",
            "HSK-031/ends",
            "HSK-032/ends",
            "HSK-037/ends",
            "HSK-043/revoked-ends",
            "HSK-043/rotated-ends",
        ],
    ),
    mutant(
        "answers no close",
        Frames(|memory, frame| {
            if ours(memory, &frame) {
                vec![]
            } else {
                vec![frame]
            }
        }),
        &["CLO-001*"],
    ),
    mutant(
        "talks after its close",
        Frames(|_, frame| {
            let text = Frame::server(TEXT, "{}");
            if frame.opcode == CLOSE {
                vec![frame, text]
            } else {
                vec![frame]
            }
        }),
        &["CLO-005/throughout"],
    ),
];

/// Whether it answers a close of ours.
fn ours(_: &Memory, frame: &Frame) -> bool {
    let code = frame.close().ok().and_then(|(code, _)| code);
    frame.opcode == CLOSE && matches!(code, None | Some(1000 | 1001 | 1005))
}

fn reclosed(frame: Frame, payload: fn(u16, &str) -> Vec<u8>) -> Vec<Frame> {
    match frame.close() {
        Ok((Some(code), reason)) if frame.opcode == CLOSE => {
            vec![Frame::server(CLOSE, payload(code, &reason))]
        }
        _ => vec![frame],
    }
}
