//! Peers that break WebSocket.

use super::{READ, Scenario, scenario};
use crate::bench::{Bench, May, Trouble};
use crate::wire::{CLOSE, CONTINUATION, Frame, PING, TEXT};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "text that is not UTF-8",
        &["TRN-001/bytes", "TRN-001/surrogate", "TRN-001/half"],
        not_utf8,
    ),
    scenario(
        "broken framing",
        &[
            "TRN-002/mask",
            "TRN-002/reserved",
            "TRN-002/opcode",
            "TRN-002/continuation",
            "TRN-002/interleaved",
            "TRN-002/split-ping",
            "TRN-002/long-ping",
            "TRN-002/length",
            "TRN-002/close",
            "TRN-002/others",
        ],
        broken,
    ),
];

fn not_utf8(bench: &Bench) -> Result<(), Trouble> {
    for (id, bytes) in [
        ("TRN-001/bytes", &b"\"\xff\xfe\""[..]),
        ("TRN-001/surrogate", b"\"\xed\xa0\x80\""),
        ("TRN-001/half", b"\"\xc3"),
    ] {
        let mut conn = bench.operator(READ)?;
        conn.rude = true;
        conn.send_frame(&Frame::client(TEXT, bytes))?;
        let ending = conn.ending()?;
        bench.ends(id, "text that is not UTF-8", &ending, &[May::Close(1007)]);
    }
    Ok(())
}

fn broken(bench: &Bench) -> Result<(), Trouble> {
    let text = Frame::client(TEXT, "{}");
    let part = |fin, opcode, payload: &[u8]| Frame {
        fin,
        ..Frame::client(opcode, payload)
    };
    let cases: [(&'static str, Vec<Vec<u8>>); 9] = [
        ("TRN-002/mask", vec![Frame::server(TEXT, "{}").encode()]),
        (
            "TRN-002/reserved",
            vec![
                Frame {
                    reserved: 4,
                    ..text.clone()
                }
                .encode(),
            ],
        ),
        (
            "TRN-002/opcode",
            vec![
                Frame {
                    opcode: 3,
                    ..text.clone()
                }
                .encode(),
            ],
        ),
        (
            "TRN-002/continuation",
            vec![part(true, CONTINUATION, b"{}").encode()],
        ),
        (
            "TRN-002/interleaved",
            vec![
                part(false, TEXT, b"{").encode(),
                part(true, TEXT, b"{}").encode(),
            ],
        ),
        ("TRN-002/split-ping", vec![part(false, PING, b"x").encode()]),
        (
            "TRN-002/long-ping",
            vec![part(true, PING, &[b'x'; 126]).encode()],
        ),
        ("TRN-002/length", vec![text.head(u64::MAX), b"{}".to_vec()]),
        ("TRN-002/close", vec![Frame::client(CLOSE, *b"x").encode()]),
    ];
    for (id, frames) in cases {
        let mut conn = bench.operator(READ)?;
        conn.rude = true;
        for frame in frames {
            conn.send_bytes(&frame)?;
        }
        let ending = conn.ending()?;
        let too_large = id == "TRN-002/length";
        let mut allowed = vec![May::Close(1002), May::Cut];
        allowed.extend(too_large.then_some(May::Close(1009)));
        bench.ends(id, "a broken frame", &ending, &allowed);
    }
    let mut conn = bench.operator(READ)?;
    conn.send_frame(&Frame::client(PING, *b"still"))?;
    let lives = conn.ponged(b"still")? && conn.lives()?;
    bench.check("TRN-002/others", lives, || {
        "others are not answered".to_owned()
    });
    Ok(())
}
