//! Stands between the judge and a gateway, and changes what the gateway says.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use openclaw_conformance::json::Value;
use openclaw_conformance::wire::{CLOSE, Frame, Head, TEXT, Wire};

/// What all connections of one mutant know.
#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Arc<Mutex<(i64, Vec<Value>)>>);

/// What one connection of a mutant knows.
#[derive(Default)]
pub(crate) struct Memory {
    /// What a change counts.
    pub(crate) count: i64,
    /// What a change holds back.
    pub(crate) held: Vec<Value>,
    /// The scopes that hello-ok granted; `None` before it.
    pub(crate) scopes: Option<String>,
    /// The method and the parameters of each request, by id.
    asked: Arc<Mutex<BTreeMap<String, (String, Value)>>>,
    /// The head of the request.
    pub(crate) request: Arc<Mutex<String>>,
    /// How many bytes the client has sent.
    pub(crate) sent: Arc<Mutex<usize>>,
    /// Set by a change that wants the gateway's end kept from the judge.
    pub(crate) keep: bool,
    /// Set by a change that wants the connection cut.
    pub(crate) cut: bool,
    pub(crate) shared: Shared,
    seq: i64,
}

impl Memory {
    /// The method that the answer is for.
    pub(crate) fn method(&self, answer: &Value) -> String {
        self.asked(answer).0
    }

    /// The method and the parameters that the answer is for.
    pub(crate) fn asked(&self, answer: &Value) -> (String, Value) {
        let id = answer.text("id").unwrap_or("");
        let asked = self.asked.lock().unwrap();
        asked
            .get(id)
            .cloned()
            .unwrap_or((String::new(), Value::Null))
    }
}

/// What is changed of what the gateway says.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// Messages.
    Message(fn(&mut Memory, Value) -> Vec<Value>),
    /// Messages and their numbers, which are otherwise put right.
    Numbers(fn(&mut Memory, Value) -> Vec<Value>),
    /// Frames, the close among them.
    Frame(fn(&mut Memory, Frame) -> Vec<Frame>),
    /// The heads of answers and the bodies after them.
    Http(fn(&str, &mut Head, &mut Vec<u8>)),
    /// Nothing: the gateway's end is kept from who never ends the head of a request.
    Endless,
}

/// Listens, and connects every client to the gateway through a change.
pub(crate) fn start(gateway: SocketAddr, change: Change) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let shared = Shared::default();
        for client in listener.incoming().flatten() {
            let shared = shared.clone();
            thread::spawn(move || {
                let memory = Memory {
                    shared,
                    ..Memory::default()
                };
                connect(client, gateway, change, memory);
            });
        }
    });
    address
}

fn connect(client: TcpStream, gateway: SocketAddr, change: Change, mut memory: Memory) {
    let Ok(mut wire) = Wire::connect(&gateway.to_string(), Duration::from_secs(5)) else {
        return;
    };
    let (Ok(server), Ok(from)) = (wire.stream(), client.try_clone()) else {
        return;
    };
    client.set_nodelay(true).unwrap();
    let notes = (
        Arc::clone(&memory.asked),
        Arc::clone(&memory.request),
        Arc::clone(&memory.sent),
    );
    let (Ok(near), Ok(far)) = (client.local_addr(), server.peer_addr()) else {
        return;
    };
    // A page of the mutant is one of the gateway.
    let ports = [near, far].map(|address| format!(":{}\r\n", address.port()));
    thread::spawn(move || up(from, server, notes, ports));
    let _ = down(&mut wire, &client, change, &mut memory);
    if memory.keep {
        // It stays open for as long as the process.
        std::mem::forget(client);
    } else {
        let _ = client.shutdown(Shutdown::Both);
    }
}

type Notes = (
    Arc<Mutex<BTreeMap<String, (String, Value)>>>,
    Arc<Mutex<String>>,
    Arc<Mutex<usize>>,
);

/// Passes everything on, and notes requests where one read holds whole frames.
fn up(
    mut from: TcpStream,
    mut to: TcpStream,
    (asked, request, sent): Notes,
    [near, far]: [String; 2],
) {
    let mut chunk = vec![0; 64 << 10];
    while let Ok(count) = from.read(&mut chunk) {
        if count == 0 {
            break;
        }
        let bytes = &chunk[..count];
        let mut passed = Cow::Borrowed(bytes);
        let mut head = request.lock().unwrap();
        if head.contains("\r\n\r\n") {
            *sent.lock().unwrap() += count;
            note(bytes, &asked);
        } else {
            let text = String::from_utf8_lossy(bytes);
            head.push_str(&text);
            if text.contains("Origin: ") {
                passed = Cow::Owned(text.replace(&near, &far).into_bytes());
            }
        }
        drop(head);
        if to.write_all(&passed).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn note(mut bytes: &[u8], asked: &Mutex<BTreeMap<String, (String, Value)>>) {
    while let [_, second, rest @ ..] = bytes {
        let (length, rest) = match second & 0x7f {
            126 if rest.len() > 2 => (
                usize::from(u16::from_be_bytes([rest[0], rest[1]])),
                &rest[2..],
            ),
            length if length < 126 => (usize::from(length), rest),
            _ => return,
        };
        if rest.len() < length + 4 {
            return;
        }
        let text: Vec<u8> = (0..length)
            .map(|place| rest[4 + place] ^ rest[place % 4])
            .collect();
        let value = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| Value::parse(text).ok());
        if let Some(value) = value
            && let Some(id) = value.text("id")
        {
            let method = value.text("method").unwrap_or("").to_owned();
            let params = value.at("params").cloned().unwrap_or(Value::Null);
            asked
                .lock()
                .unwrap()
                .insert(id.to_owned(), (method, params));
        }
        bytes = &rest[length + 4..];
    }
}

fn down(
    wire: &mut Wire,
    mut client: &TcpStream,
    change: Change,
    memory: &mut Memory,
) -> Option<()> {
    let until = Instant::now() + Duration::from_secs(120);
    let answer = wire.head(until);
    if matches!(change, Change::Endless) && !memory.request.lock().unwrap().contains("\r\n\r\n") {
        memory.keep = true;
        return None;
    }
    let mut head = answer.ok()?;
    let upgraded = head.status == 101;
    let mut body = Vec::new();
    if !upgraded {
        let left_open = !memory.request.lock().unwrap().contains("Connection: close");
        let until = if left_open { Instant::now() } else { until };
        body = wire.rest(until).unwrap_or_default();
    }
    if let Change::Http(change) = change {
        change(&memory.request.lock().unwrap(), &mut head, &mut body);
    }
    client.write_all(&encode(&head, &body)).ok()?;
    if !upgraded {
        return Some(());
    }
    loop {
        let frame = wire.frame(until).ok()?;
        let frames = if frame.opcode == TEXT && frame.fin {
            message(change, memory, frame)
        } else if let Change::Frame(change) = change {
            change(memory, frame)
        } else {
            vec![frame]
        };
        for frame in frames {
            client.write_all(&frame.encode()).ok()?;
        }
        if memory.cut {
            return None;
        }
    }
}

fn message(change: Change, memory: &mut Memory, frame: Frame) -> Vec<Frame> {
    let value = Value::parse(std::str::from_utf8(&frame.payload).unwrap()).unwrap();
    if value.text("payload.type") == Some("hello-ok") {
        let scopes = value.at("payload.auth.scopes");
        memory.scopes = Some(scopes.map_or(String::new(), ToString::to_string));
    }
    let (values, renumber) = match change {
        Change::Message(change) => (change(memory, value), true),
        Change::Numbers(change) => (change(memory, value), false),
        Change::Frame(change) => return change(memory, frame),
        Change::Http(_) | Change::Endless => return vec![frame],
    };
    let number = |value: Value| {
        if !renumber || value.at("seq").is_none() {
            return value;
        }
        memory.seq += 1;
        value.with("seq", memory.seq)
    };
    let values: Vec<Value> = values.into_iter().map(number).collect();
    let frames = values.into_iter().map(|value| match value.text("close") {
        Some(_) => Frame::server(CLOSE, b"\x03\xf0closed by a mutant".to_vec()),
        None => Frame::server(TEXT, value.to_string()),
    });
    frames.collect()
}

fn encode(head: &Head, body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} X\r\n", head.status);
    for (name, value) in &head.fields {
        text += &format!("{name}: {value}\r\n");
    }
    [text.as_bytes(), b"\r\n", body].concat()
}
