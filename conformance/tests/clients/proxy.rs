//! Stands between our client and the judge, in the client's own process, and gives the client one defect.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use openclaw_conformance::json::Value;
use openclaw_conformance::wire::{CLOSE, Frame, TEXT, Wire};
use sha1::{Digest, Sha1};

/// What all connections of the client know.
#[derive(Default)]
pub(crate) struct Shared {
    /// Set by a change that lets no connection through any more.
    pub(crate) shut: AtomicBool,
    connections: AtomicU32,
}

/// What one connection knows.
#[derive(Default)]
pub(crate) struct Memory {
    /// Which connection of the client it is, from 1.
    pub(crate) connection: u32,
    /// What a change counts.
    pub(crate) count: i64,
    /// What a change keeps in mind.
    pub(crate) kept: String,
    /// The method of each request, by id.
    pub(crate) asked: BTreeMap<String, String>,
    /// Whether the judge has sent a close.
    pub(crate) closed: bool,
    pub(crate) shared: Arc<Shared>,
}

impl Memory {
    /// The method that an answer is for.
    pub(crate) fn method(&self, answer: &Value) -> &str {
        let id = answer.text("id").unwrap_or("");
        self.asked.get(id).map_or("", String::as_str)
    }
}

/// Who sent what is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The client.
    Up,
    /// The judge.
    Down,
}

/// What becomes of a frame.
pub(crate) enum Step {
    /// It, or another, goes on.
    On(Frame),
    /// The connection ends without a close.
    Cut,
}

/// What is changed.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// Messages of the client.
    Says(fn(&mut Memory, Value) -> Vec<Value>),
    /// Messages as the client hears them; nothing more comes after `Value::Null`.
    Hears(fn(&mut Memory, Value) -> Vec<Value>),
    /// Frames of either.
    Frames(fn(&mut Memory, Way, Frame) -> Vec<Step>),
    /// The request for a WebSocket.
    Asks(fn(String) -> String),
    /// Any accept value is taken.
    Trusts,
    /// Whether a packet of the judge's is understood; the head is over where the flag is set.
    Packets(fn(&[u8], bool) -> bool),
    /// No connection after one that went without a close.
    Sulks,
    /// Nothing is changed here: the client does not wait before it comes back.
    Storm,
    /// Nothing is changed here: the client ends well whatever happens.
    Pride,
}

/// Listens, and connects the client to the judge through a change.
pub(crate) fn start(url: &str, change: &Change) -> String {
    let judge = url.strip_prefix("ws://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = format!("ws://{}", listener.local_addr().unwrap());
    let change = *change;
    thread::spawn(move || {
        let shared = Arc::new(Shared::default());
        for client in listener.incoming().flatten() {
            let (judge, shared) = (judge.clone(), shared.clone());
            thread::spawn(move || connect(client, &judge, change, shared));
        }
    });
    own
}

fn until() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

fn connect(client: TcpStream, judge: &str, change: Change, shared: Arc<Shared>) -> Option<()> {
    if shared.shut.load(Ordering::SeqCst) {
        return None;
    }
    let mut judge = Wire::connect(judge, Duration::from_secs(5)).ok()?;
    let (to_judge, to_client) = (judge.stream().ok()?, client.try_clone().ok()?);
    let mut client = Wire::new(client).ok()?;
    let head = client.request(until()).ok()?;
    let key = field(&head, "sec-websocket-key");
    let head = if let Change::Asks(change) = change {
        change(head)
    } else {
        head
    };
    (&to_judge).write_all(head.as_bytes()).ok()?;
    if let Change::Packets(change) = change {
        thread::spawn(move || packets(&to_judge, &to_client, change));
        let rest = client.stream().ok()?;
        return relay(&rest, &judge.stream().ok()?);
    }
    let answer = judge.head(until()).ok()?;
    // What is right for the key that the judge was shown is right for the client's.
    let shown = accept(&field(&head, "sec-websocket-key"));
    let trusts = |value: &str| matches!(change, Change::Trusts) || value == shown;
    let mut text = format!("HTTP/1.1 {} X\r\n", answer.status);
    for (name, value) in &answer.fields {
        let right = if name == "sec-websocket-accept" && trusts(value) {
            accept(&key)
        } else {
            value.clone()
        };
        text += &format!("{name}: {right}\r\n");
    }
    (&to_client)
        .write_all(format!("{text}\r\n").as_bytes())
        .ok()?;
    let memory = Arc::new(Mutex::new(Memory {
        connection: shared.connections.fetch_add(1, Ordering::SeqCst) + 1,
        shared,
        ..Memory::default()
    }));
    let down = memory.clone();
    let both = (judge.stream().ok()?, client.stream().ok()?);
    thread::spawn(move || {
        pass(&mut judge, &to_client, Way::Down, change, &down);
        if matches!(change, Change::Sulks) && !down.lock().unwrap().closed {
            down.lock()
                .unwrap()
                .shared
                .shut
                .store(true, Ordering::SeqCst);
        }
        end(&both);
    });
    let both = (to_judge.try_clone().ok()?, client.stream().ok()?);
    pass(&mut client, &to_judge, Way::Up, change, &memory);
    end(&both);
    Some(())
}

fn end(both: &(TcpStream, TcpStream)) {
    for stream in [&both.0, &both.1] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

fn field(head: &str, name: &str) -> String {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(own, _)| own.eq_ignore_ascii_case(name));
    found.map_or(String::new(), |(_, value)| value.trim().to_owned())
}

fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64::engine::general_purpose::STANDARD.encode(Sha1::digest(text.as_bytes()))
}

fn relay(mut from: &TcpStream, mut to: &TcpStream) -> Option<()> {
    let mut chunk = [0; 4096];
    loop {
        let count = from.read(&mut chunk).ok().filter(|count| *count > 0);
        let Some(count) = count else {
            let _ = to.shutdown(Shutdown::Write);
            return None;
        };
        to.write_all(&chunk[..count]).ok()?;
    }
}

fn packets(mut from: &TcpStream, mut to: &TcpStream, change: fn(&[u8], bool) -> bool) {
    let mut chunk = [0; 64 << 10];
    let (mut seen, mut over) = (Vec::new(), false);
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        if !change(&chunk[..count], over) || to.write_all(&chunk[..count]).is_err() {
            break;
        }
        seen.extend_from_slice(&chunk[..count]);
        over |= ends_head(&seen);
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// Whether bytes hold the end of a head.
pub(crate) fn ends_head(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|window| window == b"\r\n\r\n")
}

/// Passes frames on until there are no more, and then what cannot be read as frames.
fn pass(from: &mut Wire, mut to: &TcpStream, way: Way, change: Change, memory: &Mutex<Memory>) {
    while let Ok(frame) = from.frame(until()) {
        let steps = {
            let mut memory = memory.lock().unwrap();
            if way == Way::Up {
                note(&mut memory, &frame);
            } else if frame.opcode == CLOSE {
                memory.closed = true;
            }
            changed(&mut memory, way, frame, change)
        };
        for step in steps {
            match step {
                Step::On(frame) => {
                    if to.write_all(&frame.encode()).is_err() {
                        return;
                    }
                }
                Step::Cut => return,
            }
        }
    }
}

fn note(memory: &mut Memory, frame: &Frame) {
    if let Some(value) = read(frame)
        && let (Some(id), Some(method)) = (value.text("id"), value.text("method"))
    {
        memory.asked.insert(id.to_owned(), method.to_owned());
    }
}

fn read(frame: &Frame) -> Option<Value> {
    let whole = frame.opcode == TEXT && frame.fin;
    let text = whole.then(|| std::str::from_utf8(&frame.payload).ok())??;
    Value::parse(text).ok()
}

fn changed(memory: &mut Memory, way: Way, frame: Frame, change: Change) -> Vec<Step> {
    let value = match (change, way) {
        (Change::Says(_), Way::Up) | (Change::Hears(_), Way::Down) => read(&frame),
        (Change::Frames(change), _) => return change(memory, way, frame),
        _ => None,
    };
    let (Change::Says(change) | Change::Hears(change), Some(value)) = (change, value) else {
        return vec![Step::On(frame)];
    };
    let values = change(memory, value);
    let steps = (0..).zip(values).map(|(place, value)| {
        let mask = frame.mask.map(|[a, b, c, d]| [a, b, c, d ^ place]);
        if value == Value::Null {
            return Step::Cut;
        }
        Step::On(Frame {
            mask,
            ..Frame::server(TEXT, value.to_string())
        })
    });
    steps.collect()
}

/// Changes the value at a path of members; nothing where the path leads nowhere.
pub(crate) fn set(value: Value, path: &str, to: impl Into<Value>) -> Value {
    match path.split_once('.') {
        None => value.with(path, to),
        Some((name, rest)) => match value.at(name).cloned() {
            Some(inner) => value.with(name, set(inner, rest, to)),
            None => value,
        },
    }
}

/// Takes the member at a path out.
pub(crate) fn unset(value: Value, path: &str) -> Value {
    match path.split_once('.') {
        None => value.without(path),
        Some((name, rest)) => match value.at(name).cloned() {
            Some(inner) => value.with(name, unset(inner, rest)),
            None => value,
        },
    }
}

/// Whether a request is of this method.
pub(crate) fn is(value: &Value, method: &str) -> bool {
    value.text("method") == Some(method)
}

/// Whether an answer is the last one of a run.
pub(crate) fn is_final(value: &Value) -> bool {
    value.text("payload.status") == Some("ok") && value.at("payload.result").is_some()
}
