//! The task of one upgraded socket: it reads, decodes, assembles and writes; it decides nothing.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use async_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use async_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use async_tungstenite::tungstenite::{Error, Message};
use bytes::Bytes;
use futures_lite::stream::Stream;
use futures_lite::{AsyncRead, AsyncWrite, future};
use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::Transmit;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::ConnId;

use super::link::{Batch, FromSocket, Gate};
use crate::meter::{LimitReached, Meter};

/// What a socket reads at once. The default of the library would cost 128 KiB per connection.
const READ_BUFFER: usize = 4 << 10;
/// The largest piece that is written at once; a longer message goes out in several frames.
pub(crate) const FRAGMENT: usize = 64 << 10;
/// The most messages that are read before other tasks get their turn.
const READS_PER_TURN: usize = 16;
/// What the headers of the frames of one message may take before hello.
const HEADERS: usize = 4 << 10;
/// How often bytes that are no message yet are reported.
const ACTIVITY_EVERY: Duration = Duration::from_secs(5);

/// How the messages of a socket are bounded.
pub(crate) fn websocket_config(limit: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(FRAGMENT)
        .max_write_buffer_size(4 * FRAGMENT)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit))
}

/// Everything that one socket's task holds.
pub(crate) struct Socket<S> {
    websocket: WebSocketStream<Meter<S>>,
    to_owner: Sender<FromSocket>,
    batches: Pin<Box<Receiver<Batch>>>,
    gate: Arc<Gate>,
    limits: Limits,
    conn: Option<ConnId>,
    admitted: bool,
    reading: Reading,
    pieces: VecDeque<Piece>,
    unflushed: bool,
    unreported: bool,
    reported: (Instant, u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Messages,
    /// The peer broke the framing: what still comes is thrown away until the connection ends, so
    /// that the close reaches a peer that is busy sending.
    Nothing,
}

enum Piece {
    Write(Message),
    /// What was written so far must be on its way before more is.
    Flush,
}

/// Why a turn of the task ended.
enum Turn {
    More,
    Over,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(crate) async fn new(
        stream: S,
        leftover: Bytes,
        to_owner: Sender<FromSocket>,
        batches: Receiver<Batch>,
        gate: Arc<Gate>,
        limits: Limits,
    ) -> Self {
        let already_read = leftover.len();
        let allowed = (limits.frame_before_hello + HEADERS).saturating_sub(already_read);
        let websocket = WebSocketStream::from_partially_read(
            Meter::new(stream, allowed),
            leftover.into(),
            Role::Server,
            Some(websocket_config(limits.frame)),
        )
        .await;
        Self {
            websocket,
            to_owner,
            batches: Box::pin(batches),
            gate,
            limits,
            conn: None,
            admitted: false,
            reading: Reading::Messages,
            pieces: VecDeque::new(),
            unflushed: false,
            unreported: false,
            reported: (Instant::now(), 0),
        }
    }

    /// Moves bytes until the socket or the owner's end of it is gone.
    pub(crate) async fn run(mut self) {
        while matches!(future::poll_fn(|cx| self.poll_turn(cx)).await, Turn::More) {
            future::yield_now().await;
        }
        if let Some(conn) = self.conn {
            self.tell(FromSocket::Gone { conn });
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        if let Poll::Ready(Turn::Over) = self.poll_write(cx) {
            return Poll::Ready(Turn::Over);
        }
        self.poll_read(cx)
    }

    /// Writes what the owner gave; never ready but to say that it is over.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        loop {
            match self.pieces.front() {
                Some(Piece::Write(_)) => {
                    if ready!(self.websocket.poll_ready_to_send(cx)).is_err() {
                        return Poll::Ready(Turn::Over);
                    }
                    let Some(Piece::Write(message)) = self.pieces.pop_front() else {
                        continue;
                    };
                    self.unflushed = true;
                    if self.websocket.send_now(message).is_err() {
                        return Poll::Ready(Turn::Over);
                    }
                }
                Some(Piece::Flush) | None if self.unflushed => {
                    if ready!(self.websocket.poll_flush_all(cx)).is_err() {
                        return Poll::Ready(Turn::Over);
                    }
                    self.unflushed = false;
                }
                Some(Piece::Flush) => {
                    self.pieces.pop_front();
                }
                None => {
                    if let Some(conn) = self.conn.filter(|_| self.unreported) {
                        self.unreported = false;
                        self.tell(FromSocket::Sent { conn });
                    }
                    match ready!(self.batches.as_mut().poll_next(cx)) {
                        Some(batch) => self.take(batch),
                        None => return Poll::Ready(Turn::Over),
                    }
                }
            }
        }
    }

    fn take(&mut self, batch: Batch) {
        if self.conn.is_none() {
            self.conn = Some(batch.conn);
        }
        if batch.admitted && !self.admitted {
            self.admitted = true;
            self.websocket.get_mut().allow(None);
        }
        self.unreported = true;
        for transmit in batch.transmits {
            match transmit {
                Transmit::Frame(frame) => self.text(frame.encode().into()),
                Transmit::Ping => self.write(Message::Ping(Bytes::new())),
                Transmit::Close(close) => self.write(Message::Close(Some(close_frame(&close)))),
            }
        }
    }

    fn write(&mut self, message: Message) {
        self.pieces.push_back(Piece::Write(message));
    }

    fn text(&mut self, text: Bytes) {
        self.pieces.extend(pieces(text));
    }

    /// Reads what the peer sent, a bounded number of messages a turn.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let Some(conn) = self.conn else {
            return Poll::Pending;
        };
        if self.reading == Reading::Nothing {
            return self.poll_discard(cx);
        }
        for _ in 0..READS_PER_TURN {
            ready!(self.gate.poll_open(cx));
            let polled = Pin::new(&mut self.websocket).poll_next(cx);
            self.report_activity(conn);
            match ready!(polled) {
                None => return Poll::Ready(Turn::Over),
                Some(Ok(Message::Text(text))) => self.message(conn, text.into()),
                Some(Ok(Message::Binary(bytes))) => self.message(conn, bytes),
                Some(Ok(
                    Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_),
                )) => {}
                Some(Err(error)) => match fault(&error, &self.limits, self.admitted) {
                    None => return Poll::Ready(Turn::Over),
                    Some(fault) => {
                        self.reading = Reading::Nothing;
                        self.websocket.get_mut().allow(None);
                        self.tell(FromSocket::Fault { conn, fault });
                        return Poll::Ready(Turn::More);
                    }
                },
            }
        }
        Poll::Ready(Turn::More)
    }

    fn message(&mut self, conn: ConnId, bytes: Bytes) {
        if !self.admitted {
            let limit = self.limits.frame_before_hello;
            if bytes.len() > limit {
                self.reading = Reading::Nothing;
                let fault = PeerFault::TooLarge { limit };
                return self.tell(FromSocket::Fault { conn, fault });
            }
            self.websocket.get_mut().allow(Some(limit + HEADERS));
            self.gate.shut();
        }
        let inbound = Inbound::decode(&bytes);
        self.gate.take(inbound.size());
        self.tell(FromSocket::Frame { conn, inbound });
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let mut waste = [0u8; READ_BUFFER];
        for _ in 0..READS_PER_TURN {
            match ready!(Pin::new(self.websocket.get_mut()).poll_read(cx, &mut waste)) {
                Ok(0) | Err(_) => return Poll::Ready(Turn::Over),
                Ok(_) => {}
            }
        }
        Poll::Ready(Turn::More)
    }

    /// Says that the peer is alive, where no message says so.
    fn report_activity(&mut self, conn: ConnId) {
        let read = self.websocket.get_ref().read();
        let (at, before) = self.reported;
        if read != before && at.elapsed() >= ACTIVITY_EVERY {
            self.reported = (Instant::now(), read);
            self.tell(FromSocket::Activity { conn });
        }
    }

    /// Never blocks and never fails for want of room: the gate bounds what waits.
    fn tell(&self, message: FromSocket) {
        let _ = self.to_owner.try_send(message);
    }
}

/// Splits a message into frames of at most [`FRAGMENT`], each flushed before the next.
pub(crate) fn split(text: Bytes) -> impl Iterator<Item = Message> {
    let count = text.len().div_ceil(FRAGMENT).max(1);
    (0..count).map(move |index| {
        let start = index * FRAGMENT;
        let end = text.len().min(start + FRAGMENT);
        let kind = if index == 0 {
            Data::Text
        } else {
            Data::Continue
        };
        Message::Frame(Frame::message(
            text.slice(start..end),
            OpCode::Data(kind),
            index + 1 == count,
        ))
    })
}

fn pieces(text: Bytes) -> impl Iterator<Item = Piece> {
    let large = text.len() > FRAGMENT;
    split(text).flat_map(move |message| {
        [Some(Piece::Write(message)), large.then_some(Piece::Flush)]
            .into_iter()
            .flatten()
    })
}

fn close_frame(close: &Close) -> CloseFrame {
    CloseFrame {
        code: CloseCode::from(close.code),
        reason: close.reason().to_owned().into(),
    }
}

/// What an error of the WebSocket says about the peer; `None` when the socket is simply gone.
fn fault(error: &Error, limits: &Limits, admitted: bool) -> Option<PeerFault> {
    let too_large = PeerFault::TooLarge {
        limit: if admitted {
            limits.frame
        } else {
            limits.frame_before_hello
        },
    };
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's errors may become more; an unknown one ends the socket"
    )]
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Some(too_large),
        Error::Io(error)
            if error
                .get_ref()
                .is_some_and(|inner| inner.is::<LimitReached>()) =>
        {
            Some(too_large)
        }
        Error::Utf8(_) => Some(PeerFault::NotUtf8),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Capacity(_) | Error::Protocol(_) => Some(PeerFault::WebSocket),
        _ => None,
    }
}

/// The parts of `Sink` that a socket needs, polled in place.
trait Sending {
    fn poll_ready_to_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>>;
    fn send_now(&mut self, message: Message) -> Result<(), Error>;
    fn poll_flush_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>>;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sending for WebSocketStream<Meter<S>> {
    fn poll_ready_to_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        futures_sink::Sink::poll_ready(Pin::new(self), cx)
    }

    fn send_now(&mut self, message: Message) -> Result<(), Error> {
        futures_sink::Sink::start_send(Pin::new(self), message)
    }

    fn poll_flush_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        futures_sink::Sink::poll_flush(Pin::new(self), cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_goes_out_in_fragments() {
        let frames: Vec<(usize, bool)> = split(Bytes::from(vec![b'x'; 2 * FRAGMENT + 1]))
            .map(|message| {
                let Message::Frame(frame) = message else {
                    panic!("not a frame");
                };
                (frame.payload().len(), frame.header().is_final)
            })
            .collect();
        assert_eq!(frames, [(FRAGMENT, false), (FRAGMENT, false), (1, true)]);
    }

    #[test]
    fn a_short_message_is_one_frame() {
        assert_eq!(split(Bytes::from_static(b"{}")).count(), 1);
        assert_eq!(split(Bytes::from(vec![b'x'; FRAGMENT])).count(), 1);
    }
}
