//! A WebSocket client that costs next to nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A masked text frame; the mask is all zeros, which no server can tell from another.
pub(crate) fn text(payload: &str) -> Vec<u8> {
    frame(TEXT, payload.as_bytes())
}

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=65_535 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// What a server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The handshake is over.
    Hello,
    /// A request was answered.
    Answer {
        /// How long the whole answer is.
        bytes: usize,
    },
    /// A message of a run is complete.
    Message,
    /// Any other push.
    Push,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Head,
    Challenge,
    Hello,
    Open,
}

/// One connection of the load generator.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    step: Step,
    connect: std::sync::Arc<[u8]>,
    buffer: Vec<u8>,
    start: usize,
}

impl Peer {
    /// Connects and asks for a WebSocket. `connect` is the frame to shake hands with.
    pub(crate) fn open(address: SocketAddr, connect: std::sync::Arc<[u8]>) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        // Ports that linger would run out.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        stream.set_nonblocking(true)?;
        let mut peer = Self {
            stream,
            step: Step::Head,
            connect,
            buffer: Vec::new(),
            start: 0,
        };
        peer.send(UPGRADE.as_bytes())?;
        Ok(peer)
    }

    /// Writes all of it, waiting for room where there is none.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads once.
    ///
    /// # Errors
    /// The socket's own, and one for its end.
    pub(crate) fn fill(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        match self.stream.read(scratch) {
            Ok(0) => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the server closed",
            )),
            Ok(count) => {
                self.buffer.extend_from_slice(&scratch[..count]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next thing in what was read; goes through the handshake by itself.
    pub(crate) fn heard(&mut self) -> io::Result<Option<Heard>> {
        loop {
            if self.step == Step::Head {
                let rest = &self.buffer[self.start..];
                let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
                    return Ok(None);
                };
                if !rest.starts_with(b"HTTP/1.1 101") {
                    return Err(io::Error::other(said(rest)));
                }
                self.start += end + 4;
                self.step = Step::Challenge;
            }
            let Some((opcode, from, to)) = self.next_frame() else {
                if self.start == self.buffer.len() {
                    self.buffer.clear();
                    self.start = 0;
                } else if self.start > 0 {
                    self.buffer.drain(..self.start);
                    self.start = 0;
                }
                return Ok(None);
            };
            self.start = to;
            match (opcode, self.step) {
                (CLOSE, _) => return Err(io::Error::other(said(&self.buffer[from..to]))),
                (PING, _) => {
                    let pong = frame(PONG, &self.buffer[from..to]);
                    self.send(&pong)?;
                }
                (PONG, _) => {}
                (_, Step::Head | Step::Challenge) => {
                    self.step = Step::Hello;
                    let connect = std::sync::Arc::clone(&self.connect);
                    self.send(&connect)?;
                }
                (_, Step::Hello) => {
                    if !contains(&self.buffer[from..to], b"hello-ok") {
                        return Err(io::Error::other(said(&self.buffer[from..to])));
                    }
                    self.step = Step::Open;
                    return Ok(Some(Heard::Hello));
                }
                (_, Step::Open) => return Ok(Some(read(&self.buffer[from..to])?)),
            }
        }
    }

    /// The opcode of the next frame, and where its payload is.
    fn next_frame(&self) -> Option<(u8, usize, usize)> {
        let rest = &self.buffer[self.start..];
        let (first, second) = (*rest.first()?, *rest.get(1)?);
        let (length, header) = match second & 0x7f {
            126 => (
                u16::from_be_bytes(rest.get(2..4)?.try_into().ok()?).into(),
                4,
            ),
            127 => (
                usize::try_from(u64::from_be_bytes(rest.get(2..10)?.try_into().ok()?)).ok()?,
                10,
            ),
            short => (usize::from(short), 2),
        };
        let from = self.start + header;
        (self.buffer.len() >= from + length).then_some((first & 0x0f, from, from + length))
    }
}

fn read(message: &[u8]) -> io::Result<Heard> {
    let start = &message[..message.len().min(120)];
    if start.starts_with(br#"{"type":"res""#) {
        if contains(start, br#""ok":false"#) {
            return Err(io::Error::other(said(message)));
        }
        return Ok(Heard::Answer {
            bytes: message.len(),
        });
    }
    let is_final =
        contains(start, br#""event":"chat""#) && contains(message, br#""state":"final""#);
    Ok(if is_final {
        Heard::Message
    } else {
        Heard::Push
    })
}

fn contains(message: &[u8], what: &[u8]) -> bool {
    message.windows(what.len()).any(|window| window == what)
}

fn said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]);
    format!("the server said {text:?}")
}
