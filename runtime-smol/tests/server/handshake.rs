//! What may be said before hello, and for how long.

use std::time::{Duration, Instant};

use openclaw_protocol_core::limits::Limits;

use crate::desk::{Gateway, calm};
use crate::wire::{BINARY, CONTINUE, Client, TEXT, UPGRADE, frame, header, sized_connect, text};

const LIMIT: usize = 65_536;

fn refused_as_too_large(client: &mut Client) {
    let (code, reason) = client.closed();
    assert_eq!(code, 1009);
    assert_eq!(
        reason,
        "message too large: at most 65536 bytes are accepted"
    );
}

#[test]
fn a_handshake_that_takes_too_long_is_closed_with_its_reason() {
    let gateway = Gateway::with(Limits {
        handshake: Duration::from_millis(50),
        ..calm()
    });
    let mut client = gateway.stranger();
    assert_eq!(client.closed(), (1008, "handshake timeout".to_owned()));
    client.close(1008);
    client.gone();
    gateway.until_empty();
}

#[test]
fn the_handshake_deadline_holds_while_a_connect_is_being_decided() {
    let gateway = Gateway::with(Limits {
        handshake: Duration::from_millis(50),
        ..calm()
    });
    gateway.ask(|desk, _, _| desk.undecided = true);
    let mut client = gateway.stranger();
    client.send(text(crate::wire::CONNECT));
    assert_eq!(client.closed(), (1008, "handshake timeout".to_owned()));
    client.gone();
    gateway.until_empty();
}

#[test]
fn a_connect_of_exactly_the_limit_is_let_in() {
    let gateway = Gateway::calm();
    let mut client = gateway.stranger();
    client.send(text(sized_connect(LIMIT)));
    assert!(client.text().contains("hello-ok"));
}

#[test]
fn one_byte_over_the_limit_is_refused() {
    let gateway = Gateway::calm();
    let mut client = gateway.stranger();
    client.send(text(sized_connect(LIMIT + 1)));
    refused_as_too_large(&mut client);
}

#[test]
fn a_frame_that_only_announces_too_much_is_refused_at_once() {
    let gateway = Gateway::calm();
    for length in [LIMIT as u64 + 1, 20 << 20, 1 << 40] {
        let mut client = gateway.stranger();
        client.send(header(true, TEXT, length));
        refused_as_too_large(&mut client);
    }
}

#[test]
fn a_frame_over_the_limit_that_drips_is_refused() {
    let gateway = Gateway::calm();
    let mut client = gateway.stranger();
    let bytes = text(sized_connect(LIMIT + 1));
    for drop in bytes.chunks(1_000) {
        // The refusal may come while the rest is still on its way.
        if std::io::Write::write_all(&mut client.stream, drop).is_err() {
            break;
        }
    }
    refused_as_too_large(&mut client);
}

#[test]
fn a_connect_of_the_limit_that_drips_is_let_in() {
    let gateway = Gateway::calm();
    let mut client = gateway.stranger();
    for drop in text(sized_connect(LIMIT)).chunks(1_000) {
        client.send(drop);
    }
    assert!(client.text().contains("hello-ok"));
}

#[test]
fn fragments_count_together() {
    let gateway = Gateway::calm();
    for (bytes, fits) in [(LIMIT, true), (LIMIT + 1, false)] {
        let mut client = gateway.stranger();
        let connect = sized_connect(bytes);
        let pieces: Vec<&[u8]> = connect.as_bytes().chunks(1_000).collect();
        for (index, piece) in pieces.iter().enumerate() {
            let opcode = if index == 0 { TEXT } else { CONTINUE };
            client.send(frame(index + 1 == pieces.len(), opcode, piece));
        }
        if fits {
            assert!(client.text().contains("hello-ok"));
        } else {
            refused_as_too_large(&mut client);
        }
    }
}

#[test]
fn a_message_of_countless_tiny_fragments_is_refused() {
    let gateway = Gateway::calm();
    let mut client = gateway.stranger();
    let mut bytes = frame(false, TEXT, b"{");
    for _ in 0..LIMIT / 2 {
        bytes.extend(frame(false, CONTINUE, b" "));
    }
    client.send(bytes);
    refused_as_too_large(&mut client);
}

#[test]
fn what_comes_with_the_upgrade_request_is_read_as_the_first_message() {
    let gateway = Gateway::calm();
    let mut client = Client::tcp(gateway.address);
    client.send([UPGRADE.as_bytes(), &text(crate::wire::CONNECT)].concat());
    client.upgraded();
    assert!(client.text().contains("connect.challenge"));
    assert!(client.text().contains("hello-ok"));
}

#[test]
fn the_limit_counts_what_came_with_the_upgrade_request() {
    let gateway = Gateway::calm();
    for (bytes, fits) in [(LIMIT, true), (LIMIT + 1, false)] {
        let mut client = Client::tcp(gateway.address);
        client.send([UPGRADE.as_bytes(), &text(sized_connect(bytes))].concat());
        client.upgraded();
        if fits {
            assert!(client.text().contains("connect.challenge"));
            assert!(client.text().contains("hello-ok"));
        } else {
            refused_as_too_large(&mut client);
        }
    }
    let mut client = Client::tcp(gateway.address);
    client.send([UPGRADE.as_bytes(), &header(true, TEXT, 1 << 40)].concat());
    client.upgraded();
    refused_as_too_large(&mut client);
}

#[test]
fn a_flood_before_hello_is_refused() {
    let gateway = Gateway::calm();
    let mut client = gateway.stranger();
    let bytes = vec![b' '; 8 << 20];
    let _ = std::io::Write::write_all(&mut client.stream, &text(bytes));
    refused_as_too_large(&mut client);
}

#[test]
fn requests_sent_behind_connect_are_answered_after_hello() {
    let gateway = Gateway::calm();
    let mut client = gateway.stranger();
    let mut bytes = text(crate::wire::CONNECT);
    for id in 0..50 {
        bytes.extend(crate::wire::request(id, "health", "{}"));
    }
    client.send(bytes);
    assert!(client.text().contains("hello-ok"));
    for id in 0..50 {
        client.answer(id);
    }
}

#[test]
fn nothing_is_read_while_a_connect_is_being_decided() {
    let gateway = Gateway::calm();
    let mut other = gateway.client();
    gateway.ask(|desk, _, _| desk.undecided = true);
    let mut client = gateway.stranger();
    client.send(text(crate::wire::CONNECT));
    gateway.until(|desk, _| !desk.applicants.is_empty());
    // More than is held for later: were it read, the connection would end.
    for id in 0..4 {
        let params = format!(r#""{}""#, "x".repeat(30_000));
        client.send(crate::wire::request(id, "measure", &params));
    }
    // There is time enough to read it.
    for _ in 0..200 {
        other.ask("health", "{}");
    }
    gateway.ask(|desk, hub, now| {
        let applicant = desk.applicants.pop().unwrap();
        hub.admit(applicant, &crate::desk::grant(), now).unwrap();
    });
    assert!(client.text().contains("hello-ok"));
    for id in 0..4 {
        assert!(client.answer(id).contains(r#""bytes":30002"#));
    }
}

#[test]
fn a_binary_connect_is_as_good_as_a_text() {
    let gateway = Gateway::calm();
    let mut client = gateway.stranger();
    client.send(frame(true, BINARY, crate::wire::CONNECT.as_bytes()));
    assert!(client.text().contains("hello-ok"));
}

#[test]
fn a_refusal_is_seen_by_a_peer_that_is_still_sending() {
    let gateway = Gateway::calm();
    let mut client = gateway.stranger();
    let start = Instant::now();
    let mut writer = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let _ = std::io::Write::write_all(&mut writer, &header(true, TEXT, 40 << 20));
        let waste = [b'x'; 4096];
        while std::io::Write::write_all(&mut writer, &waste).is_ok() {}
    });
    refused_as_too_large(&mut client);
    client.gone();
    sending.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
}
