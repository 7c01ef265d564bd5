//! One socket: bytes with deadlines, HTTP heads and WebSocket frames, right or deliberately wrong.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// The longest head that is read.
const MAX_HEAD: usize = 64 << 10;
/// The longest frame that is read: more than any gateway announces.
const MAX_FRAME: usize = 64 << 20;
/// The most bytes that one socket may bring; past it the peer floods.
const MAX_RECEIVED: usize = 96 << 20;

/// A continuation of a message.
pub const CONTINUATION: u8 = 0;
/// A text message.
pub const TEXT: u8 = 1;
/// A binary message.
pub const BINARY: u8 = 2;
/// The end of a connection.
pub const CLOSE: u8 = 8;
/// A ping.
pub const PING: u8 = 9;
/// A pong.
pub const PONG: u8 = 10;

/// Where a gateway is: `ws://host:port/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host and port as the `Host` header has them.
    pub authority: String,
    /// The path, with its slash.
    pub path: String,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    pub fn parse(url: &str) -> Result<Self, String> {
        let rest = match url.split_once("://") {
            Some(("ws", rest)) => rest,
            Some(("wss", _)) => {
                return Err("wss:// is not supported: give the plain port, ws://HOST:PORT".into());
            }
            _ => return Err(format!("{url} is no ws:// URL")),
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let port = authority.rsplit_once(':').map(|(_, port)| port);
        if authority.contains('@') || port.is_none_or(|port| port.parse::<u16>().is_err()) {
            return Err(format!("{url} has no host and port: give ws://HOST:PORT"));
        }
        Ok(Self {
            authority: authority.to_owned(),
            path: path.to_owned(),
        })
    }
}

/// How a read came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The time was over.
    Late,
    /// The peer ended the connection in order.
    Eof,
    /// The connection broke.
    Broken(ErrorKind),
    /// What came is not what the protocol allows.
    Wrong(String),
    /// More came than anybody needs to say.
    Flood,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("nothing came in time"),
            Self::Eof => f.write_str("the connection ended"),
            Self::Broken(kind) => write!(f, "the connection broke: {kind}"),
            Self::Wrong(why) => f.write_str(why),
            Self::Flood => f.write_str("the peer floods: far more came than was asked for"),
        }
    }
}

/// One WebSocket frame as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether it ends its message.
    pub fin: bool,
    /// The three reserved bits.
    pub reserved: u8,
    /// What it is.
    pub opcode: u8,
    /// Its mask.
    pub mask: Option<[u8; 4]>,
    /// Its bytes, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message as a client sends it.
    #[must_use]
    pub fn client(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            fin: true,
            reserved: 0,
            opcode,
            mask: Some([0x37, 0xfa, 0x21, 0x3d]),
            payload: payload.into(),
        }
    }

    /// A whole message as a server sends it.
    #[must_use]
    pub fn server(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            mask: None,
            ..Self::client(opcode, payload)
        }
    }

    /// The frame's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.head(self.payload.len() as u64);
        let start = bytes.len();
        bytes.extend_from_slice(&self.payload);
        if let Some(mask) = self.mask {
            apply(mask, &mut bytes[start..]);
        }
        bytes
    }

    /// The bytes before the payload, with a length that need not be true.
    #[must_use]
    pub fn head(&self, length: u64) -> Vec<u8> {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let first = (u8::from(self.fin) << 7) | ((self.reserved & 7) << 4) | (self.opcode & 15);
        let mut bytes = vec![first];
        match length {
            0..=125 => bytes.push(masked | length as u8),
            126..=0xffff => {
                bytes.push(masked | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(masked | 127);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
        }
        bytes.extend_from_slice(self.mask.as_ref().map_or(&[][..], |mask| &mask[..]));
        bytes
    }

    /// The code and the reason of a close; no code where there is none.
    ///
    /// # Errors
    /// What is wrong with the payload.
    pub fn close(&self) -> Result<(Option<u16>, String), String> {
        match self.payload.as_slice() {
            [] => Ok((None, String::new())),
            [high, low, reason @ ..] => {
                let reason = std::str::from_utf8(reason)
                    .map_err(|_| "the reason of a close is not UTF-8".to_owned())?;
                let code = u16::from_be_bytes([*high, *low]);
                Ok((Some(code), reason.to_owned()))
            }
            [_] => Err("a close has half a code".to_owned()),
        }
    }
}

/// The payload of a close.
#[must_use]
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

fn apply(mask: [u8; 4], bytes: &mut [u8]) {
    if mask != [0; 4] {
        for (byte, key) in bytes.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
    }
}

/// The head of an HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// The fields with their names in lower case.
    pub fields: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?;
        let fields = lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect::<Option<_>>()?;
        Some(Self {
            status: status.parse().ok()?,
            fields,
        })
    }

    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A socket and what has come over it and is not read yet.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    received: usize,
}

impl Wire {
    /// Connects within a time.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn connect(authority: &str, within: Duration) -> io::Result<Self> {
        let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
        for address in authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, within) {
                Ok(stream) => return Self::new(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Takes a socket.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
            received: 0,
        })
    }

    /// Another handle of the socket.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn stream(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// [`Stop::Late`] where the peer does not take them in time, [`Stop::Broken`].
    pub fn send(&mut self, bytes: &[u8], within: Duration) -> Result<(), Stop> {
        let until = Instant::now() + within;
        let mut rest = bytes;
        while !rest.is_empty() {
            let left = left(until)?;
            let set = self.stream.set_write_timeout(Some(left));
            match set.and_then(|()| self.stream.write(rest)) {
                Ok(count) => rest = &rest[count..],
                Err(error) => pass(&error)?,
            }
        }
        Ok(())
    }

    /// Ends our half of the connection.
    pub fn finish(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// Reads the head of an answer.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn head(&mut self, until: Instant) -> Result<Head, Stop> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            let start = &self.buffer[..self.buffer.len().min(5)];
            if !b"HTTP/".starts_with(start) || self.buffer.len() > MAX_HEAD {
                return Err(Stop::Wrong("what came is no HTTP answer".into()));
            }
            self.more(until)?;
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        std::str::from_utf8(&head)
            .ok()
            .and_then(Head::parse)
            .ok_or_else(|| Stop::Wrong("the head of the answer is not HTTP/1.1".into()))
    }

    /// Reads the head of a request, with the empty line that ends it.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn request(&mut self, until: Instant) -> Result<String, Stop> {
        let wrong = || Stop::Wrong("what came is no HTTP request".into());
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            let start = &self.buffer[..self.buffer.len().min(4)];
            if !b"GET ".starts_with(start) || self.buffer.len() > MAX_HEAD {
                return Err(wrong());
            }
            self.more(until)?;
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        String::from_utf8(head).map_err(|_| wrong())
    }

    /// Reads as many bytes.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn bytes(&mut self, count: usize, until: Instant) -> Result<Vec<u8>, Stop> {
        while self.buffer.len() < count {
            self.more(until)?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// Reads what comes until the connection ends.
    ///
    /// # Errors
    /// [`Stop`], but for the end.
    pub fn rest(&mut self, until: Instant) -> Result<Vec<u8>, Stop> {
        loop {
            match self.more(until) {
                Ok(()) => {}
                Err(Stop::Eof) => return Ok(std::mem::take(&mut self.buffer)),
                Err(stop) => return Err(stop),
            }
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`Stop`]; what came of the frame so far is kept.
    pub fn frame(&mut self, until: Instant) -> Result<Frame, Stop> {
        loop {
            if let Some((frame, length)) = self.parsed()? {
                self.buffer.drain(..length);
                return Ok(frame);
            }
            self.more(until)?;
        }
    }

    fn parsed(&self) -> Result<Option<(Frame, usize)>, Stop> {
        let [first, second, rest @ ..] = self.buffer.as_slice() else {
            return Ok(None);
        };
        let wide = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let masked = if second & 0x80 == 0 { 0 } else { 4 };
        let (Some(length), Some(mask)) = (rest.get(..wide), rest.get(wide..wide + masked)) else {
            return Ok(None);
        };
        let length = if wide == 0 {
            u64::from(second & 0x7f)
        } else {
            length
                .iter()
                .fold(0, |all, byte| (all << 8) | u64::from(*byte))
        };
        let fits = usize::try_from(length)
            .ok()
            .filter(|length| *length <= MAX_FRAME);
        let Some(length) = fits else {
            return Err(Stop::Wrong(format!("a frame announces {length} bytes")));
        };
        let Some(payload) = rest.get(wide + masked..wide + masked + length) else {
            return Ok(None);
        };
        let mask = <[u8; 4]>::try_from(mask).ok();
        let mut payload = payload.to_vec();
        apply(mask.unwrap_or_default(), &mut payload);
        let frame = Frame {
            fin: first & 0x80 != 0,
            reserved: (first >> 4) & 7,
            opcode: first & 15,
            mask,
            payload,
        };
        Ok(Some((frame, 2 + wide + masked + length)))
    }

    fn more(&mut self, until: Instant) -> Result<(), Stop> {
        let mut chunk = vec![0; 64 << 10];
        loop {
            if self.received > MAX_RECEIVED {
                return Err(Stop::Flood);
            }
            let left = left(until)?;
            let set = self.stream.set_read_timeout(Some(left));
            match set.and_then(|()| self.stream.read(&mut chunk)) {
                Ok(0) => return Err(Stop::Eof),
                Ok(count) => {
                    self.received += count;
                    self.buffer.extend_from_slice(&chunk[..count]);
                    return Ok(());
                }
                Err(error) => pass(&error)?,
            }
        }
    }
}

fn left(until: Instant) -> Result<Duration, Stop> {
    let left = until.saturating_duration_since(Instant::now());
    // A timeout of nothing would be none at all.
    if left < Duration::from_micros(1) {
        return Err(Stop::Late);
    }
    Ok(left)
}

fn pass(error: &io::Error) -> Result<(), Stop> {
    let kind = error.kind();
    if kind == ErrorKind::Interrupted {
        Ok(())
    } else if matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut) {
        Err(Stop::Late)
    } else {
        Err(Stop::Broken(kind))
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn pair() -> (Wire, Wire) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let one = Wire::connect(&address, Duration::from_secs(5)).unwrap();
        (one, Wire::new(listener.accept().unwrap().0).unwrap())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn frames_of_every_length_arrive_as_they_were_sent() {
        let (mut one, mut other) = pair();
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for frame in [
                Frame::client(TEXT, vec![b'x'; length]),
                Frame::server(BINARY, vec![b'y'; length]),
            ] {
                one.send(&frame.encode(), Duration::from_secs(5)).unwrap();
                assert_eq!(other.frame(soon()).unwrap(), frame);
            }
        }
        one.finish();
        assert_eq!(other.frame(soon()), Err(Stop::Eof));
    }

    #[test]
    fn silence_ends_with_the_deadline() {
        let (mut one, _other) = pair();
        let until = Instant::now() + Duration::from_millis(20);
        assert_eq!(one.frame(until), Err(Stop::Late));
        assert_eq!(one.frame(until), Err(Stop::Late));
    }

    #[test]
    fn a_frame_of_any_announced_length_is_refused_before_it_is_held() {
        let (mut one, mut other) = pair();
        let head = Frame::server(TEXT, []).head(u64::MAX);
        one.send(&head, Duration::from_secs(5)).unwrap();
        assert!(matches!(other.frame(soon()), Err(Stop::Wrong(_))));
    }

    #[test]
    fn heads_are_read_to_their_end() {
        let (mut one, mut other) = pair();
        let answer = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody";
        one.send(answer, Duration::from_secs(5)).unwrap();
        let head = other.head(soon()).unwrap();
        assert_eq!((head.status, head.field("a")), (200, Some("b")));
        assert_eq!(other.bytes(4, soon()).unwrap(), b"body");
        one.send(b"\x15\x03\x01", Duration::from_secs(5)).unwrap();
        assert!(matches!(other.head(soon()), Err(Stop::Wrong(_))));
    }

    #[test]
    fn urls_need_a_host_and_a_port() {
        let target = Target::parse("ws://localhost:1/a/b").unwrap();
        assert_eq!(
            (target.authority.as_str(), target.path.as_str()),
            ("localhost:1", "/a/b")
        );
        assert_eq!(
            Target::parse("ws://[::1]:80").unwrap().authority,
            "[::1]:80"
        );
        for url in [
            "",
            "x",
            "http://a:1",
            "wss://a:1",
            "ws://a",
            "ws://a:b",
            "ws://u@a:1",
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
