//! hyper's view of a `futures-io` socket, with the deadlines hyper has no timer for.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};

use super::Limits;
use super::wire::{self, Phase, Wire};

const READ: usize = 8192;

#[derive(Debug)]
pub(super) struct Adapter<S> {
    stream: S,
    wire: Arc<Mutex<Wire>>,
    idle: smol::Timer,
    idle_time: Duration,
    stall: Option<smol::Timer>,
    write_time: Duration,
}

impl<S> Adapter<S> {
    pub(super) fn new(stream: S, wire: Arc<Mutex<Wire>>, limits: &Limits) -> Self {
        Self {
            stream,
            wire,
            idle: smol::Timer::never(),
            idle_time: limits.idle_time,
            stall: None,
            write_time: limits.write_time,
        }
    }

    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    fn fail(&self, error: io::Error) -> io::Error {
        wire::lock(&self.wire).failed = true;
        error
    }

    /// Keeps what hyper says while no request is with us, which is its refusal of a head: it lacks the fields that every
    /// answer of ours carries, and they are put in when the connection is closed.
    fn holds_back(&self, bytes: &[u8]) -> bool {
        let mut wire = wire::lock(&self.wire);
        let held = matches!(wire.phase, Phase::Head | Phase::Idle);
        if held {
            wire.verdict.extend_from_slice(bytes);
        }
        held
    }

    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match progress {
            Poll::Ready(done) => {
                self.stall = None;
                Poll::Ready(done.map_err(|error| self.fail(error)))
            }
            Poll::Pending => {
                let write_time = self.write_time;
                let stall = self
                    .stall
                    .get_or_insert_with(|| smol::Timer::after(write_time));
                match Pin::new(stall).poll(cx) {
                    Poll::Ready(_) => Poll::Ready(Err(self.fail(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "the peer does not read its answer",
                    )))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> Read for Adapter<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // On the stack, because a buffer per connection would double what an idle one costs.
        let mut space = [0; READ];
        let room = cursor.remaining().min(READ);
        match Pin::new(&mut this.stream).poll_read(cx, &mut space[..room]) {
            Poll::Ready(Ok(count)) => {
                let mut wire = wire::lock(&this.wire);
                if count == 0 {
                    wire.ended = true;
                } else {
                    wire.received(&space[..count]);
                    cursor.put_slice(&space[..count]);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(this.fail(error))),
            Poll::Pending => {
                let idle = wire::lock(&this.wire).phase == Phase::Idle;
                if idle && Pin::new(&mut this.idle).poll(cx).is_ready() {
                    // To hyper an end of input, on which it closes without an error.
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Write for Adapter<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.holds_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let progress = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(cx, progress)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let first = slices.iter().find(|slice| !slice.is_empty());
        if let Some(bytes) = first.filter(|bytes| this.holds_back(bytes)) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let progress = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.written(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.stream).poll_flush(cx);
        let flushed = this.written(cx, progress);
        if let Poll::Ready(Ok(())) = flushed {
            let mut wire = wire::lock(&this.wire);
            if wire.phase == Phase::Answered {
                wire.phase = Phase::Idle;
                this.idle.set_after(this.idle_time);
            }
        }
        flushed
    }

    /// Does nothing: the socket is taken back from hyper, to be upgraded or to be closed with care.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
