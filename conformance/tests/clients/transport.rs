//! Defects of the upgrade, of frames and of closes.

use openclaw_conformance::wire::{
    BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, close_payload,
};

use crate::proxy::Change::{Asks, Frames, Packets, Trusts};
use crate::proxy::{Memory, Step, Way, ends_head};
use crate::{Mutant, mutant};

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "asks for another version",
        Asks(|head| changed_field(&head, "sec-websocket-version", "8")),
        &["TRN-101/upgrade"],
    ),
    mutant(
        "has one key",
        Asks(|head| changed_field(&head, "sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")),
        &["TRN-101/key"],
    ),
    mutant(
        "puts the token into the URL",
        Asks(|head| {
            let token = std::env::var("OPENCLAW_GATEWAY_TOKEN").unwrap();
            head.replacen("GET / ", &format!("GET /?token={token} "), 1)
        }),
        &["TRN-107/throughout"],
    ),
    mutant("takes any accept value", Trusts, &["TRN-106/accept"]),
    mutant(
        "masks nothing",
        Frames(|_, way, frame| {
            let mask = frame.mask.filter(|_| way == Way::Down);
            vec![Step::On(Frame { mask, ..frame })]
        }),
        &["TRN-102*"],
    ),
    mutant(
        "has one mask",
        Frames(|_, way, frame| {
            let mask = match way {
                Way::Up => Some([1, 2, 3, 4]),
                Way::Down => frame.mask,
            };
            vec![Step::On(Frame { mask, ..frame })]
        }),
        &["TRN-102/fresh"],
    ),
    mutant(
        "sets a reserved bit",
        Frames(|_, way, frame| {
            let marked = way == Way::Up && frame.opcode == TEXT;
            let reserved = if marked { 2 } else { frame.reserved };
            vec![Step::On(Frame { reserved, ..frame })]
        }),
        &["TRN-103/throughout"],
    ),
    mutant(
        "speaks binary",
        Frames(|_, way, frame| {
            let text = way == Way::Up && frame.opcode == TEXT;
            let opcode = if text { BINARY } else { frame.opcode };
            vec![Step::On(Frame { opcode, ..frame })]
        }),
        &["FRM-102/throughout"],
    ),
    mutant(
        "takes no fragments",
        Frames(|_, way, frame| {
            let piece = way == Way::Down && frame.opcode == TEXT && !frame.fin;
            vec![if piece { Step::Cut } else { Step::On(frame) }]
        }),
        &["TRN-104/pieces"],
    ),
    mutant(
        "reads heads by packets",
        Packets(|packet, over| over || ends_head(packet)),
        &["TRN-105/head", "TRN-105/frame"],
    ),
    mutant(
        "reads frames by packets",
        Packets(|packet, over| !over || packet.len() > 1),
        &["TRN-105/frame"],
    ),
    mutant(
        "puts right what a gateway breaks",
        Frames(repaired),
        &["TRN-108*", "TRN-109/text"],
    ),
    mutant(
        "answers no ping",
        Frames(|_, way, frame| {
            let pong = way == Way::Up && frame.opcode == PONG;
            if pong { vec![] } else { vec![Step::On(frame)] }
        }),
        &["LIV-101*", "EVT-102/calm", "EVT-103/calm"],
    ),
    mutant(
        "dies of an unasked pong",
        Frames(|_, way, frame| {
            let pong = way == Way::Down && frame.opcode == PONG;
            vec![if pong { Step::Cut } else { Step::On(frame) }]
        }),
        &["LIV-102/unasked"],
    ),
    mutant(
        "takes no large message",
        Frames(|_, way, frame| {
            let large = way == Way::Down && frame.payload.len() > 1 << 20;
            vec![if large { Step::Cut } else { Step::On(frame) }]
        }),
        &["LIM-101/large"],
    ),
    mutant(
        "answers no close",
        Frames(|memory, way, frame| {
            let answer = way == Way::Up && frame.opcode == CLOSE && memory.closed;
            vec![if answer { Step::Cut } else { Step::On(frame) }]
        }),
        &["CLO-101/answered"],
    ),
    mutant(
        "closes with a code that may not be sent",
        Frames(|_, way, frame| {
            if way == Way::Up && frame.opcode == CLOSE {
                let payload = close_payload(1006, "gone");
                return vec![Step::On(Frame { payload, ..frame })];
            }
            vec![Step::On(frame)]
        }),
        &["CLO-102/throughout"],
    ),
    mutant(
        "leaves without a word",
        Frames(|memory, way, frame| {
            let leaves = way == Way::Up && frame.opcode == CLOSE && !memory.closed;
            vec![if leaves { Step::Cut } else { Step::On(frame) }]
        }),
        &["CLO-103/leaves"],
    ),
    mutant(
        "talks after its close",
        Frames(|_, way, frame| {
            if way == Way::Up && frame.opcode == CLOSE {
                let more = Frame::client(TEXT, "{}");
                return vec![Step::On(frame), Step::On(more)];
            }
            vec![Step::On(frame)]
        }),
        &["CLO-104/throughout"],
    ),
];

fn changed_field(head: &str, name: &str, to: &str) -> String {
    let lines: Vec<String> = head
        .split("\r\n")
        .map(|line| match line.split_once(':') {
            Some((own, _)) if own.eq_ignore_ascii_case(name) => format!("{own}: {to}"),
            _ => line.to_owned(),
        })
        .collect();
    lines.join("\r\n")
}

/// Passes on only what a gateway may send.
fn repaired(memory: &mut Memory, way: Way, mut frame: Frame) -> Vec<Step> {
    if way == Way::Up {
        return vec![Step::On(frame)];
    }
    frame.mask = None;
    frame.reserved = 0;
    let mut steps = Vec::new();
    match frame.opcode {
        CONTINUATION if memory.count == 0 => return vec![],
        TEXT if memory.count == 1 => {
            let rest = Frame::server(CONTINUATION, "}");
            steps.push(Step::On(rest));
        }
        PING | PONG => frame.payload.truncate(125),
        CONTINUATION | TEXT | BINARY | CLOSE => {}
        _ => return vec![],
    }
    if frame.opcode <= BINARY {
        memory.count = i64::from(!frame.fin);
    }
    if frame.opcode == TEXT && frame.fin {
        let text = String::from_utf8_lossy(&frame.payload).into_owned();
        frame.payload = text.into_bytes();
    }
    steps.push(Step::On(frame));
    steps
}
