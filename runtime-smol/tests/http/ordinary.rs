use std::future::Future;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use openclaw_runtime_smol::http::{Handler, Limits, Request, Response, UpgradeHead, serve};

use crate::{PATIENCE, SHORT, Server, answer, answers, head, statuses, to_end};

const GET: &str = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn two_requests_share_a_connection() {
    let server = Server::new();
    let mut stream = server.connect();
    for _ in 0..2 {
        stream.write_all(GET.as_bytes()).unwrap();
        let answer = answer(&mut stream);
        assert_eq!(
            (answer.status, &*answer.body),
            (200, &br#"{"ok":true}"#[..])
        );
        assert_eq!(answer.field("connection"), Some("keep-alive"));
        assert_eq!(answer.field("keep-alive"), Some("timeout=5"));
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(to_end(&mut stream), b"");
    assert!(server.end().unwrap().is_none());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::new();
    let answers = server.whole(
        "GET /health HTTP/1.1\r\nHost: a\r\n\r\n\
         POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none\
         \r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo\
         GET /nope HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(statuses(&answers), [200, 200, 200, 404]);
    assert_eq!(answers[1].body, b"one");
    assert_eq!(answers[2].body, b"two");
}

#[test]
fn every_answer_carries_the_recorded_fields() {
    let server = Server::new();
    let get = server.whole(GET).remove(0);
    assert!(
        get.head.starts_with(
            "HTTP/1.1 200 OK\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
         Permissions-Policy: camera=(), microphone=(self), geolocation=()\r\n"
        ),
        "{}",
        get.head
    );
    assert_eq!(
        get.field("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(get.field("cache-control"), Some("no-store"));
    assert!(get.field("date").is_some_and(|date| date.ends_with(" GMT")));
    let nope = server
        .whole("GET /nope HTTP/1.1\r\nHost: a\r\n\r\n")
        .remove(0);
    assert_eq!(
        nope.field("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(nope.body, b"Not Found");
}

#[test]
fn head_has_the_length_of_get_and_no_body() {
    let server = Server::new();
    let mut stream = server.connect();
    stream
        .write_all(b"HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(head(&mut stream).field("content-length"), Some("11"));
    stream
        .write_all(b"HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(head(&mut stream).field("content-length"), Some("0"));
    stream
        .write_all(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(head(&mut stream).field("content-length"), None);
    stream.write_all(GET.as_bytes()).unwrap();
    assert_eq!(answer(&mut stream).body, br#"{"ok":true}"#);
}

#[test]
fn an_http_1_0_peer_is_answered_and_closed() {
    let server = Server::new();
    let answers = server.until_closed("GET /url HTTP/1.0\r\n\r\nGET /url HTTP/1.0\r\n\r\n");
    assert_eq!(statuses(&answers), [200]);
    assert_eq!(
        answers[0].body,
        format!("http://{}/url", server.address).as_bytes()
    );
}

#[test]
fn an_http_1_0_peer_may_ask_to_be_kept() {
    let server = Server::new();
    let ask = "GET /url HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    let answers = server.whole(format!("{ask}{ask}"));
    assert_eq!(statuses(&answers), [200, 200]);
    assert_eq!(answers[0].field("connection"), Some("keep-alive"));
}

#[test]
fn a_peer_that_asks_to_close_is_closed() {
    let server = Server::new();
    let ask = "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = server.until_closed(format!("{ask}{ask}"));
    assert_eq!(statuses(&answers), [200]);
    assert_eq!(answers[0].field("connection"), Some("close"));
    let bye = "GET /bye HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(statuses(&server.until_closed(format!("{bye}{bye}"))), [200]);
}

#[test]
fn the_last_allowed_request_closes() {
    let server = Server::with(Limits {
        requests: 2,
        ..Limits::default()
    });
    let answers = server.until_closed(GET.repeat(3));
    assert_eq!(statuses(&answers), [200, 200]);
    assert_eq!(answers[1].field("connection"), Some("close"));
}

#[test]
fn an_idle_connection_is_closed_without_an_error() {
    let server = Server::with(Limits {
        idle_time: SHORT,
        ..Limits::default()
    });
    assert_eq!(statuses(&server.until_closed(GET)), [200]);
    assert!(server.end().unwrap().is_none());
}

#[test]
fn an_answer_nobody_reads_is_dropped() {
    let server = Server::with(Limits {
        write_time: SHORT,
        ..Limits::default()
    });
    let mut stream = server.connect();
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(
        server.end().unwrap_err().kind(),
        std::io::ErrorKind::TimedOut
    );
}

#[test]
fn a_large_answer_arrives_whole_before_the_close() {
    let server = Server::new();
    let ask = "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(server.until_closed(ask)[0].body.len(), 64 << 20);
}

#[test]
fn a_handler_can_neither_split_an_answer_nor_promise_another() {
    let server = Server::new();
    let answers = server.whole(
        "GET /odd HTTP/1.1\r\nHost: a\r\n\r\nGET /framed HTTP/1.1\r\nHost: a\r\n\r\n\
         GET /framed-nothing HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(statuses(&answers), [500, 200, 204]);
    assert_eq!(answers[1].body, b"framed");
    assert_eq!(answers[1].field("transfer-encoding"), None);
    assert!(!answers[1].head.contains("B: c"));
    assert_eq!(answers[2].field("content-length"), None);
}

#[test]
fn a_refusal_before_the_body_closes_only_if_a_body_was_announced() {
    let server = Server::new();
    let get = "GET /secret HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(statuses(&server.whole(format!("{get}{GET}"))), [401, 200]);
    assert_eq!(server.seen.try_iter().count(), 1);
    let post = "POST /secret HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\n";
    server.refuses(format!("{post}{GET}{GET}"), 401);
}

#[test]
fn a_debug_print_shows_no_secret() {
    let server = Server::new();
    server.whole(
        "GET /?token=hush HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer hush\r\nCookie: hush\r\n\
         X-Token: hush\r\n\r\n",
    );
    let request = server.seen.recv_timeout(PATIENCE).unwrap();
    assert_eq!(request.headers.get("AUTHORIZATION"), Some("Bearer hush"));
    let shown = format!("{request:?}");
    assert!(
        shown.contains("authorization") && !shown.contains("hush"),
        "{shown}"
    );
}

#[test]
fn the_future_is_small() {
    let (ours, peer) = (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
    let limits = Limits::default();
    let handler = Arc::new(Held(Mutex::new(channel().0)));
    let future = serve(
        futures_lite::io::Cursor::new(Vec::new()),
        peer,
        ours,
        handler,
        &limits,
    );
    let size = size_of_val(&future);
    assert!(size <= 3072, "{size}");
}

#[test]
fn dropping_the_future_drops_the_handlers_work_and_the_socket() {
    let (events, seen) = channel();
    let handler = Arc::new(Held(Mutex::new(events)));
    let listener = smol::block_on(async_net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, peer) = smol::block_on(listener.accept()).unwrap();
    let task =
        smol::spawn(async move { serve(stream, peer, peer, handler, &Limits::default()).await });
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(GET.as_bytes()).unwrap();
    assert_eq!(seen.recv_timeout(PATIENCE), Ok("began"));
    drop(task);
    assert_eq!(seen.recv_timeout(PATIENCE), Ok("dropped"));
    assert!(answers(&to_end(&mut client)).is_empty());
}

struct Held(Mutex<Sender<&'static str>>);

impl Handler for Held {
    fn handle(&self, _: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>> {
        let events = self.0.lock().unwrap().clone();
        events.send("began").unwrap();
        let guard = Guard(events);
        Box::pin(async move {
            let _guard = guard;
            std::future::pending().await
        })
    }

    fn upgrade(&self, _: &UpgradeHead) -> Result<(), Response> {
        Ok(())
    }
}

struct Guard(Sender<&'static str>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}
