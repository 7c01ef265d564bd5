//! The upgrade, and messages in any shape that WebSocket allows.

use super::{READ, Scenario, scenario};
use crate::bench::{Bench, Trouble, UPGRADE};
use crate::conn::{is_answer, request};
use crate::object;
use crate::wire::{self, Frame};
use base64::Engine;
use sha1::{Digest, Sha1};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "upgrade",
        &[
            "TRN-004/accept",
            "TRN-004/extensions",
            "TRN-005/path",
            "TRN-005/query",
            "TRN-009/key",
            "TRN-009/version",
            "TRN-011/ignored",
            "HSK-023/proxy",
        ],
        upgrade,
    ),
    scenario("drip", &["TRN-006/head", "TRN-006/frame"], drip),
    scenario(
        "fragments",
        &[
            "TRN-003/pieces",
            "TRN-003/character",
            "TRN-003/control",
            "TRN-007/binary",
        ],
        fragments,
    ),
    scenario("lying length", &["TRN-008/others"], lying_length),
    scenario(
        "pings",
        &[
            "LIV-002/before-hello",
            "LIV-002/after-hello",
            "LIV-004/unasked",
        ],
        pings,
    ),
];

fn upgrade(bench: &Bench) -> Result<(), Trouble> {
    let key = bench.name("k");
    let mut nonce = [0; 16];
    for (place, byte) in key.bytes().rev().take(16).enumerate() {
        nonce[place] = byte;
    }
    let base64 = base64::engine::general_purpose::STANDARD;
    let key = base64.encode(nonce);
    let sum = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let due = base64.encode(sum);
    let fields = format!(
        "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    );
    let (head, _) = bench.http("GET /", &fields)?;
    let accept = head.field("sec-websocket-accept").unwrap_or("");
    bench.check(
        "TRN-004/accept",
        head.status == 101 && accept == due,
        || format!("{} with {accept:?} instead of {due:?}", head.status),
    );
    let extensions = head.field("sec-websocket-extensions");
    bench.check("TRN-004/extensions", extensions.is_none(), || {
        format!("{extensions:?} was not offered")
    });
    for path in ["/ws", "/any/where", "/?token=x"] {
        let (head, _) = bench.http(&format!("GET {path}"), UPGRADE)?;
        bench.check("TRN-005/path", head.status == 101, || {
            format!("{path} is answered {}", head.status)
        });
    }
    query(bench)?;
    let subprotocol = "Sec-WebSocket-Protocol: chat\r\n";
    let mut conn = bench.open_with(subprotocol);
    let works = match &mut conn {
        Ok(conn) => conn.connect(bench.params(READ)).map_err(|why| why.0),
        Err(why) => Err(why.0.clone()),
    };
    bench.judge("TRN-011/ignored", works);
    for (id, left_out) in [
        ("TRN-009/key", "Sec-WebSocket-Key"),
        ("TRN-009/version", "Sec-WebSocket-Version"),
    ] {
        let fields: String = UPGRADE
            .split_inclusive("\r\n")
            .filter(|line| !line.starts_with(left_out))
            .collect();
        let (head, _) = bench.http("GET /", &fields)?;
        bench.check(id, (400..500).contains(&head.status), || {
            format!("without {left_out} it is answered {}", head.status)
        });
    }
    let fields = format!("{UPGRADE}X-Forwarded-For: 203.0.113.7\r\n");
    let (head, _) = bench.http("GET /", &fields)?;
    bench.check("HSK-023/proxy", head.status == 403, || {
        format!("X-Forwarded-For is answered {}", head.status)
    });
    Ok(())
}

/// Whether a token in the query lets anybody in.
fn query(bench: &Bench) -> Result<(), Trouble> {
    if bench.options.token.is_empty() {
        bench.not_applicable("TRN-005/query", "no token was given");
        return Ok(());
    }
    let line = format!("GET /?token={}", bench.options.token);
    let (head, wire) = bench.http(&line, UPGRADE)?;
    if head.status != 101 {
        // Refused at once is refused.
        bench.judge("TRN-005/query", Ok(()));
        return Ok(());
    }
    let mut conn = bench.conn(wire);
    let id = conn.request("connect", bench.params(READ).without("auth"))?;
    let answer = conn.take(bench.patience(), |frame| is_answer(frame, &id))?;
    let let_in = answer.is_some_and(|answer| answer.flag("ok") == Some(true));
    bench.check("TRN-005/query", !let_in, || {
        "the token in the query alone lets in".to_owned()
    });
    Ok(())
}

fn drip(bench: &Bench) -> Result<(), Trouble> {
    let mut wire = bench.wire()?;
    let host = &bench.options.target.authority;
    let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{UPGRADE}\r\n");
    for byte in head.bytes() {
        wire.send(&[byte], bench.patience())?;
    }
    let status = wire
        .head(bench.deadline(bench.patience()))
        .map(|head| head.status);
    bench.check("TRN-006/head", status == Ok(101), || {
        format!("a head that comes byte by byte is answered {status:?}")
    });
    let mut conn = bench.conn(wire);
    let text = request("drip", "connect", bench.params(READ));
    for byte in Frame::client(wire::TEXT, text).encode() {
        conn.send_bytes(&[byte])?;
    }
    let answer = conn.take(bench.patience(), |frame| is_answer(frame, "drip"))?;
    bench.check("TRN-006/frame", answer.is_some(), || {
        "a connect that comes byte by byte is not answered".to_owned()
    });
    Ok(())
}

fn fragments(bench: &Bench) -> Result<(), Trouble> {
    let part = |fin, opcode, payload: &[u8]| Frame {
        fin,
        ..Frame::client(opcode, payload)
    };
    for (check, ping) in [("TRN-003/pieces", false), ("TRN-003/control", true)] {
        let mut conn = bench.operator(READ)?;
        let text = request("pieces", "health", object! {});
        let (first, rest) = text.as_bytes().split_at(7);
        let (second, third) = rest.split_at(9);
        conn.send_frame(&part(false, wire::TEXT, first))?;
        if ping {
            conn.send_frame(&Frame::client(wire::PING, *b"between"))?;
        }
        conn.send_frame(&part(false, wire::CONTINUATION, second))?;
        conn.send_frame(&part(false, wire::CONTINUATION, b""))?;
        conn.send_frame(&part(true, wire::CONTINUATION, third))?;
        let answer = conn.take(bench.patience(), |frame| is_answer(frame, "pieces"))?;
        let ponged = !ping || conn.ponged(b"between")?;
        bench.check(check, answer.is_some() && ponged, || {
            format!("answered: {}, pong: {ponged}", answer.is_some())
        });
    }
    let mut conn = bench.operator(READ)?;
    let text = request("é", "health", object! {});
    let middle = text.find('é').unwrap_or(0) + 1;
    conn.send_frame(&part(false, wire::TEXT, &text.as_bytes()[..middle]))?;
    conn.send_frame(&part(true, wire::CONTINUATION, &text.as_bytes()[middle..]))?;
    let answer = conn.take(bench.patience(), |frame| is_answer(frame, "é"))?;
    bench.check("TRN-003/character", answer.is_some(), || {
        "a message that was cut within a character is not answered".to_owned()
    });
    let mut conn = bench.operator(READ)?;
    let text = request("binary", "health", object! {});
    conn.send_frame(&Frame::client(wire::BINARY, text))?;
    let answer = conn.take(bench.patience(), |frame| is_answer(frame, "binary"))?;
    bench.check("TRN-007/binary", answer.is_some(), || {
        "not answered".to_owned()
    });
    Ok(())
}

fn lying_length(bench: &Bench) -> Result<(), Trouble> {
    let mut other = bench.operator(READ)?;
    let mut liars = Vec::new();
    for length in [10_u64, 60_000] {
        let mut conn = bench.open()?;
        conn.rude = true;
        let mut bytes = Frame::client(wire::TEXT, []).head(length);
        bytes.extend_from_slice(b"short");
        conn.send_bytes(&bytes)?;
        liars.push(conn);
    }
    let alive = other.lives()?;
    drop(liars);
    let after = other.lives()? && bench.operator(READ).is_ok();
    bench.check("TRN-008/others", alive && after, || {
        "others are not answered while a frame is unfinished".to_owned()
    });
    Ok(())
}

fn pings(bench: &Bench) -> Result<(), Trouble> {
    let mut conn = bench.open()?;
    for (id, payload) in [
        ("LIV-002/before-hello", &b"early"[..]),
        ("LIV-002/after-hello", &[0xff, 0, 1][..]),
        ("LIV-002/after-hello", b""),
    ] {
        if id == "LIV-002/after-hello" && conn.hello.is_none() {
            conn.connect(bench.params(READ))?;
        }
        conn.send_frame(&Frame::client(wire::PING, payload))?;
        let ponged = conn.ponged(payload)?;
        bench.check(id, ponged, || format!("no pong with {payload:?}"));
    }
    conn.send_frame(&Frame::client(wire::PONG, *b"unasked"))?;
    let lives = conn.lives()?;
    bench.check("LIV-004/unasked", lives, || {
        "no answer after a pong".to_owned()
    });
    Ok(())
}
