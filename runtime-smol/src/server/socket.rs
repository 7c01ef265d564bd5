//! The task of one upgraded socket: it reads, decodes, assembles and writes; it decides nothing.

mod fault;
mod pieces;
mod sending;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::tungstenite::{Error, Message};
use bytes::Bytes;
use futures_lite::stream::Stream;
use futures_lite::{AsyncRead, AsyncWrite, future};
use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::Transmit;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::ConnId;

use super::link::{Batch, FromSocket, Gate};
use crate::meter::{Allowance, Meter};
use crate::websocket::{self, READ_BUFFER, close_frame};
use fault::fault;
use pieces::{Piece, pieces};
use sending::Sending;

/// The most messages that are read before other tasks get their turn.
const READS_PER_TURN: usize = 16;
/// What the headers of the frames of one message may take before hello.
const HEADERS: usize = 4 << 10;
/// The most often that bytes that are no message yet are reported, and how many reports there are
/// in the time after which a peer counts as silent.
const ACTIVITY_EVERY: Duration = Duration::from_secs(5);
const REPORTS_IN_SILENCE: u32 = 12;

/// Speaks WebSocket on a socket that has been upgraded.
fn websocket<S: AsyncRead + AsyncWrite + Unpin>(
    meter: Meter<S>,
    leftover: Bytes,
    limit: usize,
) -> WebSocketStream<Meter<S>> {
    let config = websocket::config(limit);
    let (leftover, role) = (leftover.into(), Role::Server);
    // It never waits: it is `async` for the handshake's sake, which is over. Awaiting it would cost
    // every connection the room of its future.
    future::block_on(WebSocketStream::from_partially_read(
        meter,
        leftover,
        role,
        Some(config),
    ))
}

/// Everything that one socket's task holds.
pub(crate) struct Socket<S> {
    websocket: WebSocketStream<Meter<S>>,
    to_owner: Sender<FromSocket>,
    batches: Pin<Box<Receiver<Batch>>>,
    gate: Arc<Gate>,
    limits: SocketLimits,
    conn: Option<ConnId>,
    admitted: bool,
    reading: Reading,
    pieces: VecDeque<Piece>,
    unflushed: bool,
    unreported: bool,
    /// Whether the library's buffers have grown, which it never undoes.
    swollen: bool,
    /// Whether a close was sent.
    closing: bool,
    /// Whether our side of the socket was ended.
    ended: bool,
    heard: HeardFrom,
    /// What was read when the last message was complete.
    complete: u64,
}

/// The bytes that were heard from the peer, and those that the owner was told of.
struct HeardFrom {
    seen: u64,
    at: Instant,
    told: u64,
    told_at: Instant,
}

#[derive(Clone, Copy)]
struct SocketLimits {
    before_hello: usize,
    frame: usize,
    activity: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Messages,
    /// The peer has closed: its close is answered, and nothing else is said.
    Nothing,
    /// The peer broke the framing: what still comes is thrown away until the connection ends, so
    /// that the close reaches a peer that is busy sending.
    Waste,
}

/// Why a turn of the task ended.
enum Turn {
    More,
    /// Nothing waits either way: now the buffers can be given up.
    Rest,
    Over,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(crate) fn new(
        stream: S,
        leftover: Bytes,
        to_owner: Sender<FromSocket>,
        batches: Receiver<Batch>,
        gate: Arc<Gate>,
        limits: Limits,
    ) -> Self {
        let limits = SocketLimits {
            before_hello: limits.frame_before_hello,
            frame: limits.frame,
            activity: ACTIVITY_EVERY.min(limits.silence / REPORTS_IN_SILENCE),
        };
        let meter = Meter::new(stream, &leftover, limits.allowance());
        Self {
            websocket: websocket(meter, leftover, limits.frame),
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
            swollen: false,
            closing: false,
            ended: false,
            heard: HeardFrom {
                seen: 0,
                at: Instant::now(),
                told: 0,
                told_at: Instant::now(),
            },
            complete: 0,
        }
    }

    /// Moves bytes until the socket or the owner's end of it is gone.
    pub(crate) async fn run(mut self: Box<Self>) {
        loop {
            match future::poll_fn(|cx| self.poll_turn(cx)).await {
                Turn::More => future::yield_now().await,
                Turn::Rest => *self = (*self).rested(),
                Turn::Over => break,
            }
        }
        if let Some(conn) = self.conn {
            self.tell(FromSocket::Gone { conn });
        }
        // Over TLS the end has to be said. Who has left no room for that does not read it either.
        let socket = self.websocket.get_mut();
        future::poll_once(future::poll_fn(|cx| Pin::new(&mut *socket).poll_close(cx))).await;
    }

    /// The same socket with fresh buffers; right only where nothing waits in the old ones.
    fn rested(self) -> Self {
        let meter = self.websocket.into_inner();
        Self {
            websocket: websocket(meter, Bytes::new(), self.limits.frame),
            pieces: VecDeque::new(),
            swollen: false,
            ..self
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        if self.gate.watch(cx) {
            return Poll::Ready(Turn::Over);
        }
        self.websocket.get_mut().begin_turn();
        if self.reading != Reading::Nothing
            && let Poll::Ready(Turn::Over) = self.poll_write(cx)
        {
            return Poll::Ready(Turn::Over);
        }
        self.poll_read(cx)
    }

    /// Writes what the owner gave; never ready but to say that it is over.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        loop {
            if !self.closing && self.gate.take_ping() {
                let ping = Message::Ping(Bytes::new());
                self.pieces.push_front(Piece::Write(ping));
            }
            match self.pieces.front() {
                Some(Piece::Write(_)) => {
                    if ready!(self.websocket.poll_ready_to_send(cx)).is_err() {
                        return Poll::Ready(Turn::Over);
                    }
                    let Some(Piece::Write(message)) = self.pieces.pop_front() else {
                        continue;
                    };
                    self.unflushed = true;
                    match self.websocket.send_now(message) {
                        Ok(()) => {}
                        // Pongs may have taken up the room.
                        Err(Error::WriteBufferFull(message)) => {
                            self.pieces.push_front(Piece::Write(*message));
                            self.pieces.push_front(Piece::Flush);
                        }
                        Err(_) => return Poll::Ready(Turn::Over),
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
                    if self.closing && self.reading == Reading::Waste && !self.ended {
                        self.ended = true;
                        // The peer's own close is not read any more, so this is what it waits for.
                        let _ = ready!(Pin::new(self.websocket.get_mut()).poll_close(cx));
                    }
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
                Transmit::Close(close) => {
                    self.closing = true;
                    self.write(Message::Close(Some(close_frame(&close))));
                }
            }
        }
    }

    fn write(&mut self, message: Message) {
        self.pieces.push_back(Piece::Write(message));
    }

    fn text(&mut self, text: Bytes) {
        self.swollen |= text.len() > READ_BUFFER;
        self.pieces.extend(pieces(text));
    }

    /// Reads what the peer sent, a bounded number of messages a turn.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let Some(conn) = self.conn else {
            return Poll::Pending;
        };
        if self.reading == Reading::Waste {
            return self.poll_discard(cx);
        }
        for _ in 0..READS_PER_TURN {
            if self.reading == Reading::Messages && !self.gate.is_open() {
                return Poll::Pending;
            }
            let polled = Pin::new(&mut self.websocket).poll_next(cx);
            self.report_activity(conn);
            self.report_partial(polled.is_ready());
            if self.gate.portion.is_forfeited() && self.reading == Reading::Messages {
                self.reading = Reading::Waste;
                return Poll::Ready(Turn::More);
            }
            let Poll::Ready(received) = polled else {
                return self.poll_rest(cx);
            };
            match received {
                None => return Poll::Ready(Turn::Over),
                Some(Ok(Message::Text(text))) => self.message(conn, text.into()),
                Some(Ok(Message::Binary(bytes))) => self.message(conn, bytes),
                // The library has prepared the answer, and takes nothing more.
                Some(Ok(Message::Close(_))) => self.reading = Reading::Nothing,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => match fault(&error, self.limits.frame(self.admitted)) {
                    None => return Poll::Ready(Turn::Over),
                    Some(fault) => {
                        self.waste(conn, fault);
                        return Poll::Ready(Turn::More);
                    }
                },
            }
        }
        Poll::Ready(Turn::More)
    }

    fn message(&mut self, conn: ConnId, bytes: Bytes) {
        if !self.admitted {
            let limit = self.limits.before_hello;
            if bytes.len() > limit {
                return self.waste(conn, PeerFault::TooLarge { limit });
            }
            self.websocket
                .get_mut()
                .allow(Some(self.limits.allowance()));
            self.gate.shut();
        }
        let small = bytes.len() <= READ_BUFFER;
        self.swollen |= !small;
        // A request keeps what it was decoded from. Were that the library's own buffer, the library
        // would have to make a new one, and makes it no larger than the next frame.
        let bytes = if small {
            Bytes::copy_from_slice(&bytes)
        } else {
            bytes
        };
        let inbound = Inbound::decode(&bytes);
        self.gate.take(inbound.size());
        self.tell(FromSocket::Frame { conn, inbound });
    }

    fn waste(&mut self, conn: ConnId, fault: PeerFault) {
        self.reading = Reading::Waste;
        self.websocket.get_mut().allow(None);
        self.tell(FromSocket::Fault { conn, fault });
    }

    /// Nothing came: a socket whose buffers have grown gives them up, unless something is in them.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let quiet = self.reading == Reading::Messages
            && self.pieces.is_empty()
            && !self.unflushed
            && !self.closing
            && self.websocket.get_ref().is_between_messages();
        if !self.swollen || !quiet {
            return Poll::Pending;
        }
        match ready!(self.websocket.poll_flush_all(cx)) {
            Ok(()) => Poll::Ready(Turn::Rest),
            Err(_) => Poll::Ready(Turn::Over),
        }
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

    /// Says that the peer is alive, where no message says so. What is reported late keeps the time
    /// at which it came.
    fn report_activity(&mut self, conn: ConnId) {
        let read = self.websocket.get_ref().read();
        let heard = &mut self.heard;
        if read != heard.seen {
            heard.seen = read;
            heard.at = Instant::now();
        }
        if heard.seen != heard.told && heard.told_at.elapsed() >= self.limits.activity {
            heard.told = heard.seen;
            heard.told_at = Instant::now();
            let at = heard.at;
            self.tell(FromSocket::Activity { conn, at });
        }
    }

    /// Counts what has come of a message that is not complete.
    fn report_partial(&mut self, is_complete: bool) {
        let read = self.websocket.get_ref().read();
        if is_complete {
            self.complete = read;
        }
        let partial = usize::try_from(read - self.complete).unwrap_or(usize::MAX);
        if self.gate.portion.set_partial(partial) {
            self.tell(FromSocket::Pressed);
        }
    }

    /// Never blocks and never fails for want of room: the gate bounds what waits.
    fn tell(&self, message: FromSocket) {
        let _ = self.to_owner.try_send(message);
    }
}

impl SocketLimits {
    const fn frame(&self, admitted: bool) -> usize {
        if admitted {
            self.frame
        } else {
            self.before_hello
        }
    }

    const fn allowance(&self) -> Allowance {
        Allowance {
            bytes: self.before_hello + HEADERS,
            frame: self.before_hello,
        }
    }
}
