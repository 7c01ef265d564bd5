//! What one socket is answered, judged by the bytes that come back.

#![allow(missing_docs, clippy::unwrap_used)]

mod bodies;
mod framing;
mod heads;
mod ordinary;
mod upgrades;

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_types::StatusCode;
use openclaw_runtime_smol::http::{
    Handler, Limits, Request, Response, UpgradeHead, Upgraded, serve,
};

const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

type End = io::Result<Option<Upgraded<async_net::TcpStream>>>;

struct Server {
    address: SocketAddr,
    ends: Receiver<End>,
    seen: Receiver<Request>,
}

impl Server {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let (seen_by_handler, seen) = channel();
        let (ended, ends) = channel();
        let handler: Arc<dyn Handler> = Arc::new(Desk {
            seen: Mutex::new(seen_by_handler),
        });
        let listener = smol::block_on(async_net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let address = listener.local_addr().unwrap();
        smol::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let (handler, limits, ended) = (handler.clone(), limits.clone(), ended.clone());
                smol::spawn(async move {
                    let local = stream.local_addr().unwrap();
                    let end = serve(stream, peer, local, handler, &limits).await;
                    let _ = ended.send(end);
                })
                .detach();
            }
        })
        .detach();
        Self {
            address,
            ends,
            seen,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends all, ends our side, and returns all that comes.
    fn whole(&self, bytes: impl AsRef<[u8]>) -> Vec<Answer> {
        let mut stream = self.connect();
        stream.write_all(bytes.as_ref()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        answers(&to_end(&mut stream))
    }

    /// Sends all, leaves our side open, and returns all that comes until the server closes.
    fn until_closed(&self, bytes: impl AsRef<[u8]>) -> Vec<Answer> {
        let mut stream = self.connect();
        stream.write_all(bytes.as_ref()).unwrap();
        answers(&to_end(&mut stream))
    }

    /// Expects one refusal, a close, and that nothing reached the handler.
    fn refuses(&self, bytes: impl AsRef<[u8]>, status: u16) -> Answer {
        let bytes = bytes.as_ref();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let mut answers = self.until_closed(bytes);
        assert_eq!(statuses(&answers), [status], "{shown:?}");
        assert_eq!(self.seen.try_iter().count(), 0, "{shown:?}");
        let refused = answers.remove(0);
        assert_eq!(refused.field("x-content-type-options"), Some("nosniff"));
        let after = refused.field("connection").unwrap();
        assert!(after.ends_with("close"), "{after}");
        refused
    }

    fn end(&self) -> End {
        self.ends.recv_timeout(PATIENCE).unwrap()
    }
}

struct Desk {
    seen: Mutex<Sender<Request>>,
}

impl Handler for Desk {
    fn handle(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>> {
        let _ = self.seen.lock().unwrap().send(request.clone());
        Box::pin(async move {
            match request.url.path() {
                "/health" => Response::json(StatusCode::Ok, r#"{"ok":true}"#)
                    .with_header("Cache-Control", "no-store"),
                "/echo" => Response::text(StatusCode::Ok, request.body),
                "/url" => Response::text(StatusCode::Ok, request.url.to_string()),
                "/nothing" => Response::empty(StatusCode::NoContent),
                "/large" => Response::text(StatusCode::Ok, vec![b'x'; 64 << 20]),
                "/odd" => Response::text(StatusCode::SwitchingProtocols, "")
                    .with_header("X-Split", "a\r\nB: c"),
                "/framed" => Response::text(StatusCode::Ok, "framed")
                    .with_header("Content-Length", "7")
                    .with_header("Transfer-Encoding", "chunked")
                    .with_header("X-Split", "a\r\nB: c"),
                "/framed-nothing" => {
                    Response::empty(StatusCode::NoContent).with_header("Content-Length", "7")
                }
                "/bye" => Response::text(StatusCode::Ok, "bye").with_header("Connection", "close"),
                _ => Response::text(StatusCode::NotFound, "Not Found"),
            }
        })
    }

    fn admit(&self, head: &Request) -> Result<(), Response> {
        match head.url.path() {
            "/secret" => Err(Response::text(StatusCode::Unauthorized, "Unauthorized")),
            _ => Ok(()),
        }
    }

    fn upgrade(&self, head: &UpgradeHead) -> Result<(), Response> {
        match head.origin.as_deref() {
            Some("http://evil.example") => Err(Response::text(StatusCode::Forbidden, "Forbidden")),
            _ => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

fn to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Reads one answer that has no body.
fn head(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    Answer {
        status: head[9..12].parse().unwrap(),
        head,
        body: Vec::new(),
    }
}

fn answer(stream: &mut TcpStream) -> Answer {
    let mut answer = head(stream);
    let length = answer.field("content-length").unwrap().parse().unwrap();
    answer.body = vec![0; length];
    stream.read_exact(&mut answer.body).unwrap();
    answer
}

/// Splits all bytes into answers; a byte that belongs to none of them is a failure.
fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        assert!(bytes.starts_with(b"HTTP/1."), "{bytes:?}");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, rest) = bytes.split_at(end.unwrap() + 4);
        let mut answer = Answer {
            status: std::str::from_utf8(&head[9..12]).unwrap().parse().unwrap(),
            head: String::from_utf8(head.to_vec()).unwrap(),
            body: Vec::new(),
        };
        let length = answer.field("content-length").map(|text| text.parse());
        let (body, rest) = rest.split_at(length.unwrap_or(Ok(0)).unwrap());
        answer.body = body.to_vec();
        answers.push(answer);
        bytes = rest;
    }
    answers
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}
