//! Bytes into the whole HTTP service, in memory.

mod pipe;
mod strict;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use http_types::{Method, StatusCode};
use openclaw_gateway_service::probes::Probes;
use openclaw_runtime_smol::http::{Handler, Limits, Request, Response, UpgradeHead, serve};

use super::tape::Tape;
use pipe::Pipe;

/// What says which request an answer belongs to.
const SERIAL: &str = "x-serial";
/// Requests on one connection.
const REQUESTS: u32 = 8;
/// Bytes of one body.
const BODY: usize = 2_000;

/// Serves bytes as one socket's: nothing panics, no request is answered twice, answers come in order and one that
/// closes is the last, and what every reader takes for a request is taken for that request.
///
/// The first line says in how large pieces the bytes come and are taken; the bytes follow.
pub fn http_request(data: &[u8]) {
    let mut tape = Tape::new(data);
    let (pieces, room) = (tape.number(), tape.number());
    tape.line();
    let input = tape.rest();
    let desk = Arc::new(Desk::default());
    let pipe = Pipe::new(input, pieces, room);
    let output = pipe.output();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 18_789));
    let limits = Limits {
        requests: REQUESTS,
        body_bytes: BODY,
        ..Limits::default()
    };
    let end = smol::block_on(serve(pipe, address, address, desk.clone(), &limits));
    let switched = matches!(end, Ok(Some(_)));
    if let Ok(Some(upgraded)) = end {
        let behind = [&upgraded.leftover[..], upgraded.stream.unread()].concat();
        assert!(input.ends_with(&behind), "bytes of a socket are lost");
    }
    let output = pipe::lock(&output);
    let answers = answers(&output, &desk.seen());
    is_in_order(&answers, &desk.seen(), switched);
    agrees(input, &answers, &desk.seen());
}

/// A request as the handler saw it.
#[derive(Debug)]
struct Seen {
    method: Method,
    path: String,
    /// What came with it; none where it was refused before.
    body: Option<Vec<u8>>,
    upgrade: bool,
}

/// The gateway's own routes, and one that sends bodies back.
#[derive(Default)]
struct Desk {
    probes: Probes,
    seen: Mutex<Vec<Seen>>,
}

impl Desk {
    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        pipe::lock(&self.seen)
    }

    /// Notes a request, and stamps its answer.
    fn note(&self, method: Method, path: &str, upgrade: bool) -> usize {
        let mut seen = self.seen();
        seen.push(Seen {
            method,
            path: path.to_owned(),
            body: None,
            upgrade,
        });
        seen.len()
    }
}

fn stamped(response: Response, serial: usize) -> Response {
    response.with_header(SERIAL, serial.to_string())
}

impl Handler for Desk {
    fn handle(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>> {
        let serial = {
            let mut seen = self.seen();
            let serial = seen.len();
            let noted = seen.last_mut().expect("it was admitted");
            assert_eq!(noted.path, request.url.path());
            assert!(
                noted.body.replace(request.body.to_vec()).is_none(),
                "handled twice"
            );
            assert!(request.body.len() <= BODY, "{} bytes", request.body.len());
            serial
        };
        Box::pin(async move {
            let response = if request.url.path() == "/echo" {
                Response::text(StatusCode::Ok, request.body)
            } else {
                self.probes.handle(request).await
            };
            stamped(response, serial)
        })
    }

    fn admit(&self, head: &Request) -> Result<(), Response> {
        assert!(head.body.is_empty());
        let serial = self.note(head.method, head.url.path(), false);
        match head.url.path() {
            "/echo" => Ok(()),
            _ => self
                .probes
                .admit(head)
                .map_err(|refusal| stamped(refusal, serial)),
        }
    }

    fn upgrade(&self, head: &UpgradeHead) -> Result<(), Response> {
        let serial = self.note(Method::Get, &head.path, true);
        self.probes
            .upgrade(head)
            .map_err(|refusal| stamped(refusal, serial))
    }
}

/// One answer as it came.
#[derive(Debug)]
struct Answer {
    status: u16,
    serial: Option<usize>,
    closes: bool,
}

/// Splits all bytes into answers; a byte that belongs to none of them is a failure.
fn answers(mut bytes: &[u8], seen: &[Seen]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, rest) = bytes.split_at(end.expect("an answer has a whole head") + 4);
        let head = std::str::from_utf8(head).expect("an answer's head is text");
        let version = head.starts_with("HTTP/1.1 ") || head.starts_with("HTTP/1.0 ");
        assert!(version, "{head:?}");
        let field = |name: &str| {
            let mut values = head.lines().skip(1).filter_map(|line| {
                let (found, value) = line.split_once(": ")?;
                found.eq_ignore_ascii_case(name).then_some(value)
            });
            let value = values.next();
            assert!(values.next().is_none(), "{name} twice in {head:?}");
            value
        };
        assert_eq!(field("transfer-encoding"), None);
        let status: u16 = head[9..12].parse().expect("a status");
        if status == 100 {
            // Who waits to be told to send its body is told.
            bytes = rest;
            continue;
        }
        assert!(
            status == 101 || status >= 200,
            "{status} promises another answer"
        );
        let serial = field(SERIAL).map(|serial| serial.parse().expect("our own number"));
        let length: usize =
            field("content-length").map_or(0, |text| text.parse().expect("a length"));
        let method = serial.and_then(|serial: usize| Some(seen.get(serial - 1)?.method));
        let bodiless = method == Some(Method::Head) || status == 101 || status == 204;
        // The last word to a request whose method nobody knows may be without its body.
        let silent = serial.is_none() && rest.is_empty();
        let length = if bodiless || silent { 0 } else { length };
        assert!(rest.len() >= length, "{head:?} and {} bytes", rest.len());
        bytes = &rest[length..];
        let after = field("connection").unwrap_or_default();
        answers.push(Answer {
            status,
            serial,
            closes: after.eq_ignore_ascii_case("close"),
        });
    }
    answers
}

fn is_in_order(answers: &[Answer], seen: &[Seen], switched: bool) {
    assert!(answers.len() <= REQUESTS as usize);
    for (index, answer) in answers.iter().enumerate() {
        let last = index + 1 == answers.len();
        assert!(last || !answer.closes, "{answer:?} is not the last");
        match answer.serial {
            Some(serial) => assert_eq!(serial, index + 1, "each its own, in order"),
            None => assert!(last && (answer.status >= 400 || answer.status == 101)),
        }
    }
    assert_eq!(
        switched,
        answers.last().is_some_and(|answer| answer.status == 101)
    );
    assert!(seen.len() <= answers.len() + 1, "{seen:?} for {answers:?}");
    assert!(!switched || seen.last().is_some_and(|seen| seen.upgrade));
}

/// The requests that nobody reads in two ways are read so here too, until an answer closes.
fn agrees(input: &[u8], answers: &[Answer], seen: &[Seen]) {
    for (index, plain) in strict::requests(input, BODY).iter().enumerate() {
        let Some(seen) = seen.get(index) else {
            let ended = answers.last().is_some_and(|answer| answer.closes);
            assert!(ended, "{plain:?} is not answered: {answers:?}");
            return;
        };
        assert_eq!(
            (seen.method.as_ref(), &*seen.path),
            (plain.method, plain.path)
        );
        if let Some(body) = &seen.body {
            assert_eq!(body, plain.body, "{plain:?}");
        }
    }
}
