//! HTTP/1.1 on one socket, until it ends or becomes a WebSocket.
//!
//! hyper reads every head. What it lets through and we do not is refused here: a missing or doubled `Host`, a transfer
//! coding other than exactly `chunked`, a length next to a coding. Every refusal closes the connection, so that bytes
//! left over from one request are never read as another.

mod adapter;
pub(crate) mod close;
mod exchange;
mod head;
mod message;
mod render;
mod timer;
mod websocket;
mod wire;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};
use hyper::server::conn::http1;
use openclaw_protocol_core::hub::Peer;

pub use message::{Headers, Request, Response, UpgradeHead, Upgraded};

/// Answers requests and judges upgrades.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request whose body has arrived whole.
    ///
    /// `HEAD` is answered like `GET`: the body is counted and then left out. The future is dropped when the socket
    /// fails, but not when the peer only stops sending: it may still be reading.
    fn handle(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>>;

    /// Decides, before any byte of the body is read, whether a request may be answered at all.
    ///
    /// `head` has an empty body. An `Err` is the answer; if a body was announced, the connection then closes. Refuse
    /// unauthorised peers here, so that they cannot make us hold bodies.
    fn admit(&self, head: &Request) -> Result<(), Response> {
        let _ = head;
        Ok(())
    }

    /// Decides whether a valid WebSocket handshake may go ahead.
    ///
    /// An `Err` is the answer, and the connection then closes.
    fn upgrade(&self, head: &UpgradeHead) -> Result<(), Response>;

    /// Tells who is at the other end of an upgrade that went ahead; by default whoever has the socket.
    fn peer(&self, head: &UpgradeHead) -> Peer {
        Peer {
            origin: head.origin.as_deref().map(Into::into),
            ..Peer::at(head.peer.ip())
        }
    }
}

/// What one connection may cost us, and what happens past it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one head, request line included; past it 431 and the connection closes. Default 16 KiB, four times
    /// what browsers send with cookies. More than 100 fields are 431 too.
    pub head_bytes: usize,
    /// Time from the first wait for a head until it is complete; past it 408 if any of it came, and the connection
    /// closes. Default 10 s. The TLS handshake before it may take as long.
    pub head_time: Duration,
    /// Bytes of one body; past it 413 and the connection closes, before anything is read if the length was declared.
    /// Default 20 MiB.
    pub body_bytes: usize,
    /// Time from the head until the body is complete; past it 408 and the connection closes. Default 30 s.
    pub body_time: Duration,
    /// Time between an answer and the first byte of the next request; past it the connection closes. Default 5 s, and
    /// announced in `Keep-Alive`.
    pub idle_time: Duration,
    /// Time for which a peer may accept no byte of an answer; past it the connection is dropped. Default 30 s.
    pub write_time: Duration,
    /// Time for which we swallow what a peer still sends after our last answer, so that a reset does not destroy that
    /// answer on its way. Default 1 s.
    pub linger_time: Duration,
    /// Requests on one connection; the last of them is answered with `Connection: close`. Default 1,000.
    pub requests: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 16 * 1024,
            head_time: Duration::from_secs(10),
            body_bytes: 20 * 1024 * 1024,
            body_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(5),
            write_time: Duration::from_secs(30),
            linger_time: Duration::from_secs(1),
            requests: 1_000,
        }
    }
}

/// Serves HTTP/1.1 on one socket until it ends or becomes a WebSocket.
///
/// `Ok(None)` is a connection that ended in order, refusals included; `Ok(Some(_))` one whose upgrade was answered with
/// 101. An error is a peer that broke off, was too slow or did not speak HTTP; it has been answered where that is
/// possible, and is worth no more than a debug line. Nothing outlives the future: dropping it drops the socket, the
/// handler's work and every timer.
pub async fn serve<S>(
    stream: S,
    peer: SocketAddr,
    local: SocketAddr,
    handler: Arc<dyn Handler>,
    limits: &Limits,
) -> io::Result<Option<Upgraded<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let wire = Arc::new(Mutex::new(wire::Wire::new()));
    let adapter = adapter::Adapter::new(stream, wire.clone(), limits);
    let service = exchange::Service {
        handler: &*handler,
        limits,
        peer,
        local,
        wire: wire.clone(),
    };
    let mut connection = builder(limits).serve_connection(adapter, service);
    let outcome = Pin::new(&mut connection).await;
    let parts = connection.into_parts();
    let (stream, leftover) = (parts.io.into_stream(), parts.read_buf);
    drop(parts.service);

    let (upgrade, verdict, ended, failed) = {
        let mut wire = wire::lock(&wire);
        (
            wire.upgrade.take(),
            std::mem::take(&mut wire.verdict),
            wire.ended,
            wire.failed,
        )
    };
    match (outcome, upgrade) {
        (Ok(()), Some(head)) => Ok(Some(Upgraded {
            stream,
            leftover,
            head: *head,
        })),
        (Ok(()), None) => {
            close::close(stream, b"", !ended, limits.linger_time).await;
            Ok(None)
        }
        (Err(error), _) => {
            if !failed {
                let late = error.is_timeout() && !leftover.is_empty();
                let farewell = close::farewell(&verdict, late);
                close::close(stream, &farewell, !ended, limits.linger_time).await;
            }
            Err(close::describe(error))
        }
    }
}

fn builder(limits: &Limits) -> http1::Builder {
    const HYPER_LEAST: usize = 8192;
    const A_DAY: Duration = Duration::from_secs(86_400);
    let mut builder = http1::Builder::new();
    builder
        .timer(timer::Clock)
        .header_read_timeout(limits.head_time.min(A_DAY))
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(HYPER_LEAST))
        .half_close(true)
        .title_case_headers(true);
    builder
}
