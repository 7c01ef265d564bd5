//! Messages after hello, of every size and shape.

use openclaw_protocol_core::limits::Limits;

use crate::desk::{Gateway, calm};
use crate::wire::{BINARY, CONTINUE, PING, PONG, TEXT, frame, header, request, sized, text};

#[test]
fn a_frame_of_exactly_the_limit_is_taken_and_one_more_byte_closes() {
    let gateway = Gateway::with(Limits {
        frame: 200_000,
        ..calm()
    });
    let mut client = gateway.client();
    client.send(text(sized(200_000, "measure")));
    client.answer("s");
    client.send(text(sized(200_001, "measure")));
    let expected = "message too large: at most 200000 bytes are accepted";
    assert_eq!(client.closed(), (1009, expected.to_owned()));
}

#[test]
fn a_frame_over_the_limit_is_refused_before_it_is_read() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    client.send(header(true, TEXT, 1 << 40));
    assert_eq!(client.closed().0, 1009);
}

#[test]
fn fragments_over_the_limit_are_refused() {
    let gateway = Gateway::with(Limits {
        frame: 200_000,
        ..calm()
    });
    let mut client = gateway.client();
    client.send(frame(false, TEXT, &[b' '; 150_000]));
    client.send(frame(true, CONTINUE, &[b' '; 150_000]));
    assert_eq!(client.closed().0, 1009);
}

#[test]
fn the_close_reaches_a_peer_that_does_not_stop_sending() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let mut writer = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let waste = [b'x'; 65_536];
        let _ = std::io::Write::write_all(&mut writer, &header(true, TEXT, 27 << 20));
        while std::io::Write::write_all(&mut writer, &waste).is_ok() {}
    });
    assert_eq!(client.closed().0, 1009);
    client.gone();
    sending.join().unwrap();
    gateway.until_empty();
}

#[test]
fn binary_messages_are_read_as_text_is() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let echo = br#"{"type":"req","id":"b","method":"echo","params":{"a":"\u00e9"}}"#;
    client.send(frame(true, BINARY, echo));
    assert!(client.answer("b").contains(r#"{"a":"\u00e9"}"#));
}

#[test]
fn a_ping_is_answered_with_its_own_payload() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    for payload in [&b""[..], b"are you there?", &[0xff; 125]] {
        client.send(frame(true, PING, payload));
        let pong = client.frame();
        assert_eq!((pong.opcode, &*pong.payload), (PONG, payload));
    }
}

#[test]
fn pings_between_fragments_are_answered_before_the_message() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let message = r#"{"type":"req","id":"f","method":"echo","params":{"é":"über"}}"#;
    let (start, end) = message.as_bytes().split_at(message.find('é').unwrap() + 1);
    client.send(frame(false, TEXT, start));
    client.send(frame(true, PING, b"1"));
    assert_eq!(client.frame().payload, b"1");
    client.send(frame(false, CONTINUE, b""));
    client.send(frame(true, PING, b"2"));
    assert_eq!(client.frame().payload, b"2");
    client.send(frame(true, CONTINUE, end));
    assert!(client.answer("f").contains("über"));
}

#[test]
fn messages_in_one_segment_are_all_read() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let bytes: Vec<u8> = (0..100).flat_map(|id| request(id, "echo", "[1]")).collect();
    client.send(bytes);
    for id in 0..100 {
        client.answer(id);
    }
}

#[test]
fn a_message_that_comes_byte_by_byte_is_read() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    for byte in request("slow", "echo", "[1]") {
        client.send([byte]);
    }
    client.answer("slow");
}

#[test]
fn a_big_answer_comes_in_pieces_of_at_most_64_kib() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let bytes = 5 << 20;
    client.send(request("q", "big", &bytes.to_string()));
    let mut whole = Vec::new();
    loop {
        let frame = client.frame();
        let opcode = if whole.is_empty() { TEXT } else { CONTINUE };
        assert_eq!(frame.opcode, opcode);
        assert!(frame.payload.len() <= 65_536, "{}", frame.payload.len());
        assert!(
            frame.last || frame.payload.len() > 1_000,
            "pieces are not crumbs"
        );
        whole.extend_from_slice(&frame.payload);
        if frame.last {
            break;
        }
    }
    let text = String::from_utf8(whole).unwrap();
    assert!(text.starts_with(r#"{"type":"res","id":"q","ok":true"#));
    assert!(text.len() > bytes && text.ends_with("xxx\"}}"));
}

#[test]
fn a_small_answer_is_one_frame() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    client.send(request("q", "big", "60000"));
    assert!(client.frame().last);
}

#[test]
fn twenty_megabytes_go_there_and_back() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    let mut sender = crate::wire::Client::over(client.stream.try_clone().unwrap());
    let sending = std::thread::spawn(move || {
        sender.send(text(sized(20 << 20, "echo")));
    });
    let answer = client.answer("s");
    sending.join().unwrap();
    assert!(answer.len() > (20 << 20) - 100);
}

#[test]
fn malformed_json_is_answered_and_the_fifth_in_a_row_closes() {
    let gateway = Gateway::calm();
    let mut client = gateway.client();
    for _ in 0..5 {
        client.send(text("{"));
        assert!(client.text().contains(r#""id":"invalid","ok":false"#));
    }
    assert_eq!(client.closed().0, 1008);
}
