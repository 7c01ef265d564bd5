use std::io::{Read, Write};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::{Message, protocol::Role};
use futures_lite::StreamExt;

use crate::{Server, answer, head};

const FIELDS: &str = "Host: a:8\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const HI: &[u8] = b"\x81\x82\x00\x00\x00\x00hi";

fn ask(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{fields}\r\n")
}

#[test]
fn any_path_becomes_a_websocket_and_keeps_what_was_sent_behind_the_head() {
    let server = Server::new();
    let mut stream = server.connect();
    let origin = format!("{FIELDS}Origin: http://a:8\r\nAuthorization: Bearer hush\r\n");
    let mut bytes = ask("/any/path?token=hush", &origin).into_bytes();
    bytes.extend(HI);
    bytes.extend(&HI[..3]);
    stream.write_all(&bytes).unwrap();
    let answer = head(&mut stream);
    assert_eq!(answer.status, 101);
    assert_eq!(
        answer.field("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(answer.field("upgrade"), Some("websocket"));
    assert_eq!(answer.field("connection"), Some("Upgrade"));
    for absent in [
        "content-length",
        "transfer-encoding",
        "sec-websocket-protocol",
        "sec-websocket-extensions",
    ] {
        assert_eq!(answer.field(absent), None);
    }

    let upgraded = server.end().unwrap().unwrap();
    assert_eq!(upgraded.head.path, "/any/path");
    assert_eq!(upgraded.head.query.as_deref(), Some("token=hush"));
    assert_eq!(upgraded.head.host, "a:8");
    assert_eq!(upgraded.head.origin.as_deref(), Some("http://a:8"));
    assert_eq!(upgraded.head.local, server.address);
    assert_eq!(upgraded.head.peer, stream.local_addr().unwrap());
    assert!(!format!("{upgraded:?}").contains("hush"));
    stream.write_all(&HI[3..]).unwrap();
    smol::block_on(async {
        let leftover = upgraded.leftover.to_vec();
        let mut socket =
            WebSocketStream::from_partially_read(upgraded.stream, leftover, Role::Server, None)
                .await;
        for _ in 0..2 {
            assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hi"));
        }
        socket.send(Message::text("ho")).await.unwrap();
    });
    let mut frame = [0; 4];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(&frame, b"\x81\x02ho");
}

#[test]
fn a_connection_can_ask_before_it_upgrades() {
    let server = Server::new();
    let mut stream = server.connect();
    let get = ask("/health", "Host: a\r\n");
    stream
        .write_all(format!("{get}{}", ask("/", FIELDS)).as_bytes())
        .unwrap();
    assert_eq!(answer(&mut stream).status, 200);
    assert_eq!(head(&mut stream).status, 101);
    assert!(server.end().unwrap().unwrap().leftover.is_empty());
}

#[test]
fn a_request_behind_an_upgrade_is_not_answered() {
    let server = Server::new();
    let mut stream = server.connect();
    let get = ask("/health", "Host: a\r\n");
    stream
        .write_all(format!("{}{get}", ask("/", FIELDS)).as_bytes())
        .unwrap();
    assert_eq!(head(&mut stream).status, 101);
    assert_eq!(server.end().unwrap().unwrap().leftover, get);
    assert_eq!(server.seen.try_iter().count(), 0);
}

#[test]
fn another_version_is_told_ours() {
    let server = Server::new();
    for version in [
        "Sec-WebSocket-Version: 8\r\n",
        "",
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8\r\n",
    ] {
        let fields = FIELDS.replace("Sec-WebSocket-Version: 13\r\n", version);
        let refused = server.refuses(ask("/", &fields), 426);
        assert_eq!(refused.field("sec-websocket-version"), Some("13"));
        assert_eq!(refused.field("upgrade"), Some("websocket"));
        assert_eq!(refused.field("connection"), Some("upgrade, close"));
    }
}

#[test]
fn a_malformed_handshake_is_refused() {
    let server = Server::new();
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for fields in [
        FIELDS.replace(key, ""),
        FIELDS.replace(key, "Sec-WebSocket-Key: short\r\n"),
        format!("{FIELDS}{key}"),
        FIELDS.replace("Connection: keep-alive, Upgrade\r\n", ""),
        FIELDS.replace("keep-alive, Upgrade", "keep-alive"),
        FIELDS.replace("Host: a:8\r\n", ""),
        format!("{FIELDS}Content-Length: 1\r\n"),
        format!("{FIELDS}Transfer-Encoding: chunked\r\n"),
        format!("{FIELDS}Origin: http://a\r\nOrigin: http://b\r\n"),
        format!("{FIELDS}Origin: http://\u{e4}\r\n"),
    ] {
        server.refuses(ask("/", &fields), 400);
        assert!(server.end().unwrap().is_none(), "{fields}");
    }
    server.refuses(format!("GET / HTTP/1.0\r\n{FIELDS}\r\n"), 400);
    let refused = server.refuses(format!("POST / HTTP/1.1\r\n{FIELDS}\r\n"), 405);
    assert_eq!(refused.field("allow"), Some("GET"));
}

#[test]
fn a_refused_upgrade_is_answered_and_closed() {
    let server = Server::new();
    let fields = format!("{FIELDS}Origin: http://evil.example\r\n");
    let behind = ask("/health", "Host: a\r\n");
    let refused = server.refuses(format!("{}{behind}", ask("/", &fields)), 403);
    assert_eq!(refused.body, b"Forbidden");
    assert_eq!(refused.field("connection"), Some("close"));
    assert!(server.end().unwrap().is_none());
}

#[test]
fn an_upgrade_to_something_else_is_an_ordinary_request() {
    let server = Server::new();
    let fields =
        "Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n";
    let twice = ask("/health", fields).repeat(2);
    let answers = server.whole(twice);
    assert_eq!(crate::statuses(&answers), [200, 200]);
}
