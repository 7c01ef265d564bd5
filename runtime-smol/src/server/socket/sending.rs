//! Sending on a WebSocket, polled in place.

use std::pin::Pin;
use std::task::{Context, Poll};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::{Error, Message};
use futures_lite::{AsyncRead, AsyncWrite};

use crate::meter::Meter;

/// The parts of `Sink` that a socket needs, polled in place.
pub(super) trait Sending {
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
