use std::io::Write;

use openclaw_runtime_smol::http::Limits;

use crate::{SHORT, Server, answer, head, statuses, to_end};

const TOO_LARGE: &[u8] =
    br#"{"error":{"message":"Payload too large","type":"invalid_request_error"}}"#;

fn small() -> Server {
    Server::with(Limits {
        body_bytes: 10,
        ..Limits::default()
    })
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

#[test]
fn a_body_of_exactly_the_limit_is_read() {
    let server = small();
    let answers = server.whole(post("Content-Length: 10\r\n", "0123456789"));
    assert_eq!(answers[0].body, b"0123456789");
    let answers = server.whole(post(
        "Transfer-Encoding: chunked\r\n",
        "a\r\n0123456789\r\n0\r\n\r\n",
    ));
    assert_eq!(answers[0].body, b"0123456789");
}

#[test]
fn a_declared_body_over_the_limit_is_refused_unread() {
    let server = small();
    let refused = server.refuses(post("Content-Length: 11\r\n", ""), 413);
    assert_eq!(refused.body, TOO_LARGE);
    assert_eq!(
        refused.field("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(refused.field("connection"), Some("close"));
    server.refuses(
        post(
            "Content-Length: 11\r\n",
            "01234567890GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        413,
    );
    server.refuses(post("Content-Length: 18446744073709551613\r\n", ""), 413);
}

#[test]
fn a_refusal_reaches_a_peer_that_is_still_sending() {
    let server = Server::new();
    let length = 24 << 20;
    let refused = server.refuses(
        post(
            &format!("Content-Length: {length}\r\n"),
            &"x".repeat(length),
        ),
        413,
    );
    assert_eq!(refused.body, TOO_LARGE);
}

#[test]
fn a_chunked_body_over_the_limit_is_refused() {
    let server = small();
    for body in [
        "b\r\n01234567890\r\n0\r\n\r\n",
        "9\r\n012345678\r\n2\r\n90\r\n0\r\n\r\n",
        "fffffff\r\n01234567890",
    ] {
        let refused = server.refuses(post("Transfer-Encoding: chunked\r\n", body), 413);
        assert_eq!(refused.body, TOO_LARGE);
    }
}

#[test]
fn a_slow_body_is_told_and_closed() {
    let server = Server::with(Limits {
        body_time: SHORT,
        ..Limits::default()
    });
    server.refuses(post("Content-Length: 10\r\n", "012"), 408);
    server.refuses(post("Transfer-Encoding: chunked\r\n", "3\r\n012\r\n"), 408);
}

#[test]
fn what_a_late_body_still_sends_is_no_request() {
    let server = Server::with(Limits {
        body_time: SHORT,
        ..Limits::default()
    });
    let mut stream = server.connect();
    stream
        .write_all(post("Content-Length: 10\r\n", "012").as_bytes())
        .unwrap();
    assert_eq!(answer(&mut stream).status, 408);
    let _ = stream.write_all(b"3456789GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(to_end(&mut stream), b"");
    assert_eq!(server.seen.try_iter().count(), 0);
}

#[test]
fn a_peer_that_waits_for_continue_is_told_to() {
    let server = Server::new();
    let mut stream = server.connect();
    let ask = post("Content-Length: 3\r\nExpect: 100-continue\r\n", "");
    stream.write_all(ask.as_bytes()).unwrap();
    assert_eq!(head(&mut stream).head, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"one").unwrap();
    assert_eq!(answer(&mut stream).body, b"one");
    stream
        .write_all(post("Content-Length: 3\r\n", "two").as_bytes())
        .unwrap();
    assert_eq!(answer(&mut stream).body, b"two");
}

#[test]
fn a_peer_that_waits_for_continue_can_be_refused_instead() {
    small().refuses(
        post("Content-Length: 11\r\nExpect: 100-continue\r\n", ""),
        413,
    );
}

#[test]
fn a_slow_peer_costs_only_itself() {
    let server = Server::new();
    let mut slow = server.connect();
    slow.write_all(post("Content-Length: 3\r\n", "o").as_bytes())
        .unwrap();
    assert_eq!(
        statuses(&server.whole(post("Content-Length: 3\r\n", "two"))),
        [200]
    );
    slow.write_all(b"ne").unwrap();
    assert_eq!(answer(&mut slow).body, b"one");
}
