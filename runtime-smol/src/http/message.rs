//! Requests, answers and upgrades, in the vocabulary of `http-types`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use bytes::Bytes;
use http_types::{Method, Mime, StatusCode, Url};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// The fields of one head, read-only; names match in any case.
///
/// Its `Debug` names every field but shows only the values that cannot hold a secret.
#[derive(Clone, Default)]
pub struct Headers(HeaderMap);

impl Headers {
    pub(super) fn new(map: HeaderMap) -> Self {
        Self(map)
    }

    /// Returns the first value of a field, if it is there and is visible ASCII.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    /// Returns every value of a field, in order; those that are not visible ASCII are left out.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0
            .get_all(name)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
    }

    /// Returns the names of all fields, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| name.as_str())
    }

    /// Tells whether a field is there, whatever its value.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns how many values a field has, those that [`get_all`](Self::get_all) leaves out included.
    pub fn count(&self, name: &str) -> usize {
        self.0.get_all(name).into_iter().count()
    }
}

impl<'a, V: AsRef<[u8]>> FromIterator<(&'a str, V)> for Headers {
    /// Takes fields in their order; what cannot be one is left out.
    fn from_iter<I: IntoIterator<Item = (&'a str, V)>>(fields: I) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_ref())) {
                map.append(name, value);
            }
        }
        Self(map)
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const OPEN: [&str; 10] = [
            "accept",
            "connection",
            "content-length",
            "content-type",
            "host",
            "origin",
            "sec-websocket-version",
            "transfer-encoding",
            "upgrade",
            "user-agent",
        ];
        let shown = self.0.iter().map(|(name, value)| {
            let value = value
                .to_str()
                .ok()
                .filter(|_| OPEN.contains(&name.as_str()));
            (name.as_str(), value.unwrap_or("(hidden)"))
        });
        f.debug_map().entries(shown).finish()
    }
}

/// A request whose body has arrived whole.
#[derive(Clone)]
pub struct Request {
    /// What is asked for; methods we have no name for were answered 501.
    pub method: Method,
    /// The target, with the host the peer named.
    pub url: Url,
    /// The fields of the head.
    pub headers: Headers,
    /// Who is at the other end of the socket, which may be a proxy.
    pub peer: SocketAddr,
    /// The body, without its transfer coding; empty if there was none.
    pub body: Bytes,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.url.path())
            .field("headers", &self.headers)
            .field("peer", &self.peer)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// An answer to one request.
#[derive(Clone)]
pub struct Response {
    /// The status; an informational one is sent as 500, since it would promise another answer.
    pub status: StatusCode,
    /// What the body is; boxed, so that a `Result` with an answer in it stays small.
    pub content_type: Option<Box<Mime>>,
    /// Further fields. Those that say where the body ends are ours and are dropped, as is what is no valid field;
    /// `Connection: close` is honoured.
    pub headers: Vec<(&'static str, String)>,
    /// The body; for `HEAD` the one that `GET` would have.
    pub body: Bytes,
}

impl Response {
    /// Makes an answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            content_type: None,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// Makes an answer whose body is JSON, already serialised.
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self {
            content_type: mime("application/json;charset=utf-8"),
            body,
            ..Self::empty(status)
        }
    }

    /// Makes an answer whose body is plain text.
    pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self {
            content_type: mime("text/plain;charset=utf-8"),
            body,
            ..Self::empty(status)
        }
    }

    /// Adds one field.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

fn mime(text: &str) -> Option<Box<Mime>> {
    Mime::from_str(text).ok().map(Box::new)
}

/// The head of a valid WebSocket handshake.
#[derive(Clone)]
pub struct UpgradeHead {
    /// The path of the target, without its query.
    pub path: String,
    /// The query of the target, without its question mark; it may hold a secret.
    pub query: Option<String>,
    /// The one `Host` field, as the peer wrote it.
    pub host: String,
    /// The one `Origin` field, if the peer sent it; browsers always do.
    pub origin: Option<String>,
    /// The fields of the head.
    pub headers: Headers,
    /// Who is at the other end of the socket, which may be a proxy.
    pub peer: SocketAddr,
    /// Our end of the socket.
    pub local: SocketAddr,
}

impl fmt::Debug for UpgradeHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeHead")
            .field("path", &self.path)
            .field("host", &self.host)
            .field("origin", &self.origin)
            .field("headers", &self.headers)
            .field("peer", &self.peer)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// A socket that has been answered 101 and now speaks WebSocket.
pub struct Upgraded<S> {
    /// The socket.
    pub stream: S,
    /// What the peer sent right behind its head: the first bytes of its first frames.
    pub leftover: Bytes,
    /// The head that asked for it.
    pub head: UpgradeHead,
}

impl<S> fmt::Debug for Upgraded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded")
            .field("leftover_bytes", &self.leftover.len())
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}
