//! The socket: opening it, and moving messages over it in both directions at once.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_net::TcpStream;
use async_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use async_tungstenite::tungstenite::{Error, Message};
use async_tungstenite::{WebSocketStream, client_async_with_config};
use bytes::Bytes;
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt, ready, stream::Stream as _};
use futures_sink::Sink;
use openclaw_protocol_core::frame::outgoing::Transmit;
use openclaw_protocol_core::frame::{Close, close_code};
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::limits::MAX_PAYLOAD;
use smol::Timer;

use crate::websocket::{self, close_frame};

use super::address::Address;
use super::counted::Counted;
use super::error::{ConnectError, Stage};
use crate::tls::{Authority, Failed, Stream};

/// The most messages that are written before others have their turn.
const BATCH: usize = 16;

/// An open WebSocket.
pub(super) struct Wire {
    socket: WebSocketStream<Counted<Stream>>,
    /// What is left of a message that is being sent in pieces.
    rest: Option<Bytes>,
    unflushed: bool,
    /// How many bytes had arrived when they were last reported.
    reported: u64,
}

/// What arrived.
pub(super) enum Heard {
    Message(Bytes),
    /// A ping or pong.
    Control,
    /// The gateway closed.
    Closed(Close),
    /// The connection is unusable: this is what our close says.
    Broken(Close),
}

impl Wire {
    /// Connects to each address of the host in turn, speaks TLS if the address says so, and asks for a WebSocket.
    pub(super) async fn open(
        address: &Address,
        authority: &Authority,
        (connect_within, handshake_within): (Duration, Duration),
    ) -> Result<Self, ConnectError> {
        let late = async {
            Timer::after(connect_within).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        let stream = connect(address).or(late).await;
        let stream = stream.map_err(|error| ConnectError::Unreachable {
            target: address.to_string(),
            error,
        })?;
        let secured = secure(address, authority, stream);
        let stream = within(handshake_within, Stage::Tls, secured).await?;
        let upgraded = upgrade(address, stream);
        within(handshake_within, Stage::Upgrade, upgraded).await
    }

    /// Reads one message.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        let message = ready!(Pin::new(&mut self.socket).poll_next(cx));
        Poll::Ready(match message {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                Heard::Message(message.into_data())
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Heard::Control,
            Some(Ok(Message::Close(frame))) => Heard::Closed(match frame {
                Some(frame) => Close::new(frame.code.into(), frame.reason.as_str()),
                None => Close::new(1005, ""),
            }),
            Some(Err(error)) => broken(&error),
            None => Heard::Closed(Close::new(1006, "the connection ended without a close")),
        })
    }

    /// Whether bytes arrived since this was last asked.
    pub(super) fn has_stirred(&mut self) -> bool {
        let received = self.socket.get_ref().received;
        let stirred = received != self.reported;
        self.reported = received;
        stirred
    }

    /// Writes what `next` gives, several messages to a flush, and says whether it wrote any.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut() -> Option<Transmit>,
    ) -> Poll<Result<bool, Error>> {
        let mut written = 0;
        while written < BATCH {
            if self.rest.is_some() {
                ready!(self.poll_flush(cx))?;
            }
            ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
            if let Some(rest) = self.rest.take() {
                self.send_piece(rest, true)?;
                written += 1;
                continue;
            }
            match next() {
                Some(Transmit::Frame(frame)) => self.send_piece(frame.encode().into(), false),
                Some(Transmit::Ping) => self.send(Message::Ping(Bytes::new())),
                Some(Transmit::Close(close)) => {
                    self.send(Message::Close(Some(close_frame(&close))))
                }
                None => break,
            }?;
            written += 1;
        }
        if self.unflushed && self.rest.is_none() {
            ready!(self.poll_flush(cx))?;
        }
        Poll::Ready(Ok(written > 0))
    }

    /// Says goodbye, then reads until the gateway hangs up; gives up after `within`.
    ///
    /// Without the reading, bytes that still arrive would make the system reset the connection and
    /// the gateway never see our close.
    pub(super) async fn end(mut self, goodbye: Option<Close>, within: Duration) {
        let farewell = async {
            let said = match goodbye {
                Some(close) => {
                    let frame = Some(close_frame(&close));
                    self.socket.send(Message::Close(frame)).await.is_ok()
                }
                None => std::future::poll_fn(|cx| self.poll_flush(cx)).await.is_ok(),
            };
            let mut stream = self.socket.into_inner().inner;
            let mut ignored = vec![0; 16 << 10];
            if said && stream.close().await.is_ok() {
                while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
            }
        };
        let late = async {
            Timer::after(within).await;
        };
        farewell.or(late).await;
    }

    fn send_piece(&mut self, mut text: Bytes, begun: bool) -> Result<(), Error> {
        let frame = websocket::next_frame(&mut text, begun);
        self.rest = (!text.is_empty()).then_some(text);
        self.send(frame)
    }

    fn send(&mut self, message: Message) -> Result<(), Error> {
        self.unflushed = true;
        Pin::new(&mut self.socket).start_send(message)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let result = ready!(Pin::new(&mut self.socket).poll_flush(cx));
        self.unflushed = false;
        Poll::Ready(result)
    }
}

async fn connect(address: &Address) -> io::Result<TcpStream> {
    let mut closest: Option<io::Error> = None;
    for target in async_net::resolve((address.host.as_str(), address.port)).await? {
        match TcpStream::connect(target).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => {
                let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
                if !closest.as_ref().is_some_and(refused) {
                    closest = Some(error);
                }
            }
        }
    }
    Err(closest.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

async fn within<T>(
    time: Duration,
    waiting_for: Stage,
    done: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let late = async {
        Timer::after(time).await;
        Err(ConnectError::Timeout { waiting_for })
    };
    done.or(late).await
}

async fn secure(
    address: &Address,
    authority: &Authority,
    socket: TcpStream,
) -> Result<Stream, ConnectError> {
    let Some(name) = address.name.clone() else {
        return Ok(Stream::Plain(socket));
    };
    let secured = authority.connect(name, socket).await;
    secured.map_err(|failed| match failed {
        Failed::Distrusted(fault) => ConnectError::Untrusted {
            target: address.to_string(),
            fault,
        },
        Failed::Handshake(error) => ConnectError::Tls {
            target: address.to_string(),
            error,
        },
    })
}

async fn upgrade(address: &Address, stream: Stream) -> Result<Wire, ConnectError> {
    let config = websocket::config(MAX_PAYLOAD);
    let stream = Counted::new(stream);
    match client_async_with_config(address.uri.as_str(), stream, Some(config)).await {
        Ok((socket, _)) => Ok(Wire {
            socket,
            rest: None,
            unflushed: false,
            reported: 0,
        }),
        Err(error) if is_unattributable(&error) => Err(ConnectError::Unattributable {
            target: address.to_string(),
        }),
        Err(error) => Err(ConnectError::NotAGateway {
            target: address.to_string(),
            status: status(&error),
        }),
    }
}

fn status(error: &Error) -> Option<u16> {
    if let Error::Http(response) = error {
        Some(response.status().as_u16())
    } else {
        None
    }
}

/// Tells whether a gateway answered that it does not trust the proxy in front of it; the body counts as far as it came along
/// with the head.
fn is_unattributable(error: &Error) -> bool {
    let Error::Http(response) = error else {
        return false;
    };
    let body = response.body().as_deref().unwrap_or_default();
    let read = |body: &[u8]| {
        let body = Json::parse(body.to_vec()).ok()?;
        body.read::<BTreeMap<String, BTreeMap<String, String>>>()
            .ok()
    };
    response.status().as_u16() == 403
        && read(body).is_some_and(|answer| {
            let kind = answer.get("error").and_then(|error| error.get("type"));
            kind.is_some_and(|kind| kind == "proxy_attribution_required")
        })
}

/// What a failed read means for the connection.
pub(super) fn broken(error: &Error) -> Heard {
    let lost = |text: String| Heard::Closed(Close::new(1006, text));
    if let Error::Capacity(CapacityError::MessageTooLong { .. }) = error {
        let text = format!("the gateway's message is larger than {MAX_PAYLOAD} bytes");
        Heard::Broken(Close::new(close_code::TOO_LARGE, text))
    } else if let Error::Utf8(_) = error {
        let text = "the gateway's text message is not UTF-8";
        Heard::Broken(Close::new(close_code::INVALID_UTF8, text))
    } else if let Error::Io(error) = error {
        lost(format!("the connection was lost: {}", error.kind()))
    } else if let Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) = error {
        lost("the connection ended without a close".to_owned())
    } else {
        let text = "the gateway broke the WebSocket protocol";
        Heard::Broken(Close::new(close_code::PROTOCOL_ERROR, text))
    }
}
