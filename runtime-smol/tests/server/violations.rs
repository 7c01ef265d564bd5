//! Peers that break RFC 6455, while others go on.

use openclaw_protocol_core::limits::Limits;

use crate::desk::{Gateway, calm};
use crate::wire::{CLOSE, CONTINUE, PING, TEXT, frame, header, text};

const BROKEN: u16 = 1002;

fn violations() -> Vec<(&'static str, Vec<u8>, u16)> {
    let mut unmasked = vec![0x81, 2];
    unmasked.extend_from_slice(b"{}");
    let reserved = |bit: u8| {
        let mut bytes = text("{}");
        bytes[0] |= bit;
        bytes
    };
    let mut long_ping = header(true, PING, 126);
    long_ping.extend_from_slice(&[0; 126]);
    let started = frame(false, TEXT, b"{");
    let mut all = vec![
        ("an unmasked frame", unmasked, BROKEN),
        (
            "a continuation without a start",
            frame(true, CONTINUE, b"{}"),
            BROKEN,
        ),
        (
            "a message within a message",
            [started.clone(), frame(true, TEXT, b"}")].concat(),
            BROKEN,
        ),
        ("a ping that is too long", long_ping, BROKEN),
        ("a ping in pieces", frame(false, PING, b""), BROKEN),
        ("a close of one byte", frame(true, CLOSE, &[3]), BROKEN),
        ("text that is not UTF-8", text(b"{\"a\":\"\xff\"}"), 1007),
        (
            "fragments that are not UTF-8",
            [started.clone(), frame(false, CONTINUE, b"\xff")].concat(),
            1007,
        ),
        (
            "fragments that end within a character",
            [started, frame(true, CONTINUE, b"\xc3")].concat(),
            1007,
        ),
        ("reserved bit 1", reserved(0x40), BROKEN),
        ("reserved bit 2", reserved(0x20), BROKEN),
        ("reserved bit 3", reserved(0x10), BROKEN),
    ];
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        all.push(("an unknown opcode", frame(true, opcode, b""), BROKEN));
    }
    all
}

#[test]
fn every_violation_is_closed_with_its_code_and_harms_nobody_else() {
    let gateway = Gateway::calm();
    let mut other = gateway.client();
    for (name, bytes, code) in violations() {
        for admitted in [false, true] {
            let mut client = gateway.stranger();
            if admitted {
                client.connect();
            }
            client.send(&bytes);
            assert_eq!(client.closed().0, code, "{name}, admitted: {admitted}");
            client.gone();
        }
        other.ask("health", "{}");
    }
    gateway.until(|_, hub| hub.connections() == 1);
}

#[test]
fn a_violation_behind_requests_still_lets_their_answers_out() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let mut bytes: Vec<u8> = (0..10)
        .flat_map(|id| crate::wire::request(id, "health", "{}"))
        .collect();
    bytes.extend(frame(true, CONTINUE, b""));
    client.send(bytes);
    for id in 0..10 {
        client.answer(id);
    }
    assert_eq!(client.closed().0, BROKEN);
}

#[test]
fn noise_of_any_kind_ends_in_a_close_or_an_answer() {
    let gateway = Gateway::with(Limits {
        close: std::time::Duration::from_millis(20),
        handshake: std::time::Duration::from_millis(200),
        ..calm()
    });
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..60 {
        let mut client = gateway.stranger();
        let noise: Vec<u8> = (0..512)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        client.send(&noise);
        client.gone();
    }
    gateway.until_empty();
    gateway.client().ask("health", "{}");
}
