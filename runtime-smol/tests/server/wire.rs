//! A WebSocket client that says exactly what a test wants, right or wrong.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a test waits for anything before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const CONTINUE: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

pub(crate) const CONNECT: &str = r#"{"type":"req","id":"c","method":"connect","params":{"minProtocol":3,"maxProtocol":4,"client":{"id":"gateway-client","version":"1","platform":"linux","mode":"backend"},"role":"operator","scopes":[]}}"#;

/// The head that asks for a WebSocket.
pub(crate) const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) last: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

/// A masked frame that lies about nothing.
pub(crate) fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(last, opcode, payload.len() as u64);
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    for (index, byte) in bytes[start..].iter_mut().enumerate() {
        *byte ^= MASK[index % 4];
    }
    bytes
}

const MASK: [u8; 4] = [1, 2, 3, 4];

/// The header of a masked frame of `length` bytes, mask included.
pub(crate) fn header(last: bool, opcode: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![opcode | if last { 0x80 } else { 0 }];
    match length {
        0..=125 => bytes.push(0x80 | length as u8),
        126..=65_535 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes
}

pub(crate) fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    frame(true, TEXT, text.as_ref())
}

pub(crate) fn request(id: impl std::fmt::Display, method: &str, params: &str) -> Vec<u8> {
    text(format!(
        r#"{{"type":"req","id":"{id}","method":"{method}","params":{params}}}"#
    ))
}

/// A request frame of exactly so many bytes of text.
pub(crate) fn sized(bytes: usize, method: &str) -> String {
    let (start, end) = (
        format!(r#"{{"type":"req","id":"s","method":"{method}","params":{{"x":""#),
        r#""}}"#,
    );
    let filler = "x".repeat(bytes - start.len() - end.len());
    format!("{start}{filler}{end}")
}

/// `connect` in exactly so many bytes.
pub(crate) fn sized_connect(bytes: usize) -> String {
    let space = " ".repeat(bytes - CONNECT.len());
    format!("{CONNECT}{space}")
}

impl Client {
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        Self::over(stream)
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    pub(crate) fn upgrade(address: SocketAddr) -> Self {
        let mut client = Self::tcp(address);
        client.send(UPGRADE);
        client.upgraded();
        client
    }

    /// Reads the answer to an upgrade.
    pub(crate) fn upgraded(&mut self) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{head:?}");
    }

    /// Shakes hands.
    pub(crate) fn connect(&mut self) {
        self.send(text(CONNECT));
        let hello = self.text();
        assert!(hello.contains("hello-ok"), "{hello}");
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn try_frame(&mut self) -> io::Result<Frame> {
        let mut start = [0; 2];
        self.stream.read_exact(&mut start)?;
        assert_eq!(start[1] & 0x80, 0, "a gateway never masks");
        let length = match start[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length)?;
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.stream.read_exact(&mut length)?;
                u64::from_be_bytes(length)
            }
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload)?;
        Ok(Frame {
            last: start[0] & 0x80 != 0,
            opcode: start[0] & 0x0f,
            payload,
        })
    }

    pub(crate) fn frame(&mut self) -> Frame {
        self.try_frame().unwrap()
    }

    /// The next text message, whatever the number of its frames; pings are passed over.
    pub(crate) fn text(&mut self) -> String {
        let mut message = Vec::new();
        loop {
            let frame = self.frame();
            match frame.opcode {
                PING | PONG => continue,
                TEXT | CONTINUE => message.extend_from_slice(&frame.payload),
                _ => panic!("{:?}", String::from_utf8_lossy(&frame.payload)),
            }
            if frame.last {
                return String::from_utf8(message).unwrap();
            }
        }
    }

    /// The next answer, and that it is the one to `id`.
    pub(crate) fn answer(&mut self, id: impl std::fmt::Display) -> String {
        loop {
            let text = self.text();
            if text.starts_with(r#"{"type":"event""#) {
                continue;
            }
            let start = format!(r#"{{"type":"res","id":"{id}","ok":true"#);
            assert!(
                text.starts_with(&start),
                "{} is not {start}",
                &text[..text.len().min(200)]
            );
            return text;
        }
    }

    pub(crate) fn ask(&mut self, method: &str, params: &str) -> String {
        self.send(request("q", method, params));
        self.answer("q")
    }

    /// Passes over everything up to the close and says its code and reason.
    pub(crate) fn closed(&mut self) -> (u16, String) {
        loop {
            let frame = self.frame();
            if frame.opcode == CLOSE {
                let (code, reason) = frame.payload.split_at(2);
                return (
                    u16::from_be_bytes(code.try_into().unwrap()),
                    String::from_utf8(reason.to_vec()).unwrap(),
                );
            }
        }
    }

    /// Answers a close and waits for the end.
    pub(crate) fn close(&mut self, code: u16) {
        self.send(frame(true, CLOSE, &code.to_be_bytes()));
    }

    /// Reads until the socket is gone; how it ends does not matter, but it has to.
    pub(crate) fn gone(&mut self) {
        let mut waste = [0; 65_536];
        loop {
            match self.stream.read(&mut waste) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
                    ) =>
                {
                    return;
                }
                Err(error) => panic!("the socket does not end: {error}"),
            }
        }
    }
}
