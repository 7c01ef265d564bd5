use std::io::{Read, Write};

use openclaw_runtime_smol::http::Limits;

use crate::{PATIENCE, SHORT, Server, answers, statuses, to_end};

const GET: &str = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_missing_doubled_or_malformed_host_is_refused() {
    let server = Server::new();
    for hosts in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host:\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: a@b\r\n",
        "Host: a, b\r\n",
        "Host: a:b\r\n",
        "Host: a:99999\r\n",
        "Host: [::1\r\n",
        "Host: \u{e4}\r\n",
    ] {
        server.refuses(format!("GET /health HTTP/1.1\r\n{hosts}\r\n{GET}"), 400);
    }
    server.refuses(
        format!("GET /health HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n{GET}"),
        400,
    );
}

#[test]
fn a_target_is_a_path_or_names_the_same_host() {
    let server = Server::new();
    let body = |line: &str| {
        let answers = server.whole(format!("{line} HTTP/1.1\r\nHost: a:8\r\n\r\n"));
        assert_eq!(statuses(&answers), [200], "{line}");
        String::from_utf8(answers[0].body.clone()).unwrap()
    };
    assert_eq!(body("GET /url?x=1"), "http://a:8/url?x=1");
    assert_eq!(body("GET /x/../url"), "http://a:8/url");
    assert_eq!(body("GET http://A:8/url?x"), "http://a:8/url?x");
    let answers = server.whole("GET //evil.example/url HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(statuses(&answers), [404]);
    let answers = server.whole("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(statuses(&answers), [404]);
    server.seen.try_iter().for_each(drop);
    for line in [
        "GET http://b/url",
        "GET http://u@a:8/url",
        "GET https://a:8/url",
        "GET ftp://a:8/url",
        "GET *",
        "GET a:8",
        "GET url",
    ] {
        server.refuses(format!("{line} HTTP/1.1\r\nHost: a:8\r\n\r\n{GET}"), 400);
    }
}

#[test]
fn methods_without_a_name_are_refused() {
    let server = Server::new();
    for line in ["CONNECT a:8", "BREW /", "get /"] {
        server.refuses(
            format!("{line} HTTP/1.1\r\nHost: a:8\r\n\r\n{GET}"),
            if line.starts_with("CONNECT") {
                400
            } else {
                501
            },
        );
    }
}

#[test]
fn a_head_over_its_limit_is_refused() {
    let server = Server::new();
    let long = "x".repeat(17 * 1024);
    server.refuses(
        format!("GET /health HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n{GET}"),
        431,
    );
    server.refuses(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n{GET}"), 431);
    let many = "X: y\r\n".repeat(101);
    server.refuses(
        format!("GET /health HTTP/1.1\r\nHost: a\r\n{many}\r\n{GET}"),
        431,
    );
    let much = "x".repeat(15 * 1024);
    let answers = server.whole(format!(
        "GET /health HTTP/1.1\r\nHost: a\r\nX: {much}\r\n\r\n"
    ));
    assert_eq!(statuses(&answers), [200]);
}

#[test]
fn a_small_head_limit_holds_below_the_read_buffer() {
    let server = Server::with(Limits {
        head_bytes: 64,
        ..Limits::default()
    });
    let long = "x".repeat(64);
    server.refuses(
        format!("GET /health HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
        431,
    );
    assert_eq!(statuses(&server.whole(GET)), [200]);
}

#[test]
fn an_endless_head_is_bounded() {
    let server = Server::with(Limits {
        linger_time: SHORT,
        ..Limits::default()
    });
    for piece in [&b"xxxxxxxxxxxxxxxx"[..], b"\r\n\r\n\r\n\r\n", b"GET /"] {
        let mut stream = server.connect();
        let mut sent = 0;
        while stream.write_all(&piece.repeat(64)).is_ok() {
            sent += piece.len() * 64;
            assert!(sent < 1 << 30);
        }
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        assert!(server.end().is_err());
    }
}

#[test]
fn garbage_is_refused_once() {
    let server = Server::new();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a ClientHello goes on like this\x00\x17"[..],
        b"\x00\x00\x00\x00\r\n\r\n",
        b"\xff\xfe\xfd\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\rHost: a\r\r",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        server.refuses(garbage, 400);
        assert!(server.end().is_err());
    }
}

#[test]
fn an_http_2_preface_is_closed() {
    let server = Server::new();
    assert!(
        server
            .until_closed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .is_empty()
    );
    assert!(server.end().is_err());
}

#[test]
fn a_slow_head_is_told_and_closed() {
    let server = Server::with(Limits {
        head_time: SHORT,
        ..Limits::default()
    });
    server.refuses("GET /health HTTP/1.1\r\nHo", 408);
    assert_eq!(
        server.end().unwrap_err().kind(),
        std::io::ErrorKind::TimedOut
    );
}

#[test]
fn a_head_that_drips_does_not_move_its_deadline() {
    let server = Server::with(Limits {
        head_time: SHORT,
        ..Limits::default()
    });
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    stream.set_read_timeout(Some(SHORT / 10)).unwrap();
    let mut first = [0];
    let mut drips = 0;
    while stream.read(&mut first).is_err() {
        stream.write_all(b"X: y\r\n").unwrap();
        drips += 1;
        assert!(drips < 2000);
    }
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = first.to_vec();
    bytes.extend(to_end(&mut stream));
    assert_eq!(statuses(&answers(&bytes)), [408]);
}

#[test]
fn a_silent_peer_is_closed_without_a_word() {
    let server = Server::with(Limits {
        head_time: SHORT,
        ..Limits::default()
    });
    assert!(server.until_closed("").is_empty());
}

#[test]
fn a_head_cut_short_is_no_request() {
    let server = Server::new();
    assert!(
        server
            .whole("GET /health HTTP/1.1\r\nHost: a\r\n")
            .is_empty()
    );
    assert_eq!(
        server.end().unwrap_err().kind(),
        std::io::ErrorKind::UnexpectedEof
    );
    assert_eq!(server.seen.try_iter().count(), 0);
}
