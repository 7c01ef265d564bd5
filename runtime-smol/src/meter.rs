//! A socket that counts what passes through it, and stops at limits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

use crate::boundaries::Boundaries;

/// What may be read in one turn of a task, and what may be written: a peer that is as quick as we
/// are must not keep a thread for itself.
const PER_TURN: usize = 256 << 10;

/// The error with which reading ends at the limit.
#[derive(Debug)]
pub(crate) struct LimitReached;

impl std::fmt::Display for LimitReached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("more was sent than is allowed before hello")
    }
}

impl std::error::Error for LimitReached {}

/// How much may be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// The most bytes until the next [`Meter::allow`].
    pub(crate) bytes: usize,
    /// The most bytes that one frame may announce.
    pub(crate) frame: usize,
}

/// Counts the bytes and follows the frames that are read from a socket.
#[derive(Debug)]
pub(crate) struct Meter<S> {
    socket: S,
    read: u64,
    boundaries: Boundaries,
    /// How much may still be read; `None` for no limit.
    allowed: Option<Allowance>,
    may_read: usize,
    may_write: usize,
}

impl<S> Meter<S> {
    /// `already_read` came from the socket before it was given to the meter.
    pub(crate) fn new(socket: S, already_read: &[u8], allowed: Allowance) -> Self {
        let mut boundaries = Boundaries::default();
        let fits = boundaries.pass(already_read, allowed.frame as u64);
        let left = allowed.bytes.saturating_sub(already_read.len());
        Self {
            socket,
            read: 0,
            boundaries,
            allowed: Some(Allowance {
                bytes: if fits { left } else { 0 },
                ..allowed
            }),
            may_read: PER_TURN,
            may_write: PER_TURN,
        }
    }

    /// Starts over with another allowance.
    pub(crate) const fn allow(&mut self, allowed: Option<Allowance>) {
        self.allowed = allowed;
    }

    /// A turn of the task begins.
    pub(crate) const fn begin_turn(&mut self) {
        self.may_read = PER_TURN;
        self.may_write = PER_TURN;
    }

    /// The bytes that were read so far.
    pub(crate) const fn read(&self) -> u64 {
        self.read
    }

    /// Whether what was read ends where a message ends.
    pub(crate) const fn is_between_messages(&self) -> bool {
        self.boundaries.is_between_messages()
    }
}

/// Lets the other tasks have their turn.
fn give_way<T>(cx: &Context<'_>) -> Poll<T> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

impl<S: AsyncRead + Unpin> AsyncRead for Meter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.may_read == 0 {
            return give_way(cx);
        }
        let allowed = this.allowed.map_or(usize::MAX, |allowed| allowed.bytes);
        if allowed == 0 {
            return Poll::Ready(Err(io::Error::other(LimitReached)));
        }
        let room = buf.len().min(allowed).min(this.may_read);
        let polled = Pin::new(&mut this.socket).poll_read(cx, &mut buf[..room]);
        let Poll::Ready(Ok(count)) = polled else {
            return polled;
        };
        this.read += count as u64;
        this.may_read -= count;
        let mut most = u64::MAX;
        if let Some(allowed) = &mut this.allowed {
            allowed.bytes -= count;
            most = allowed.frame as u64;
        }
        if this.boundaries.pass(&buf[..count], most) {
            Poll::Ready(Ok(count))
        } else {
            Poll::Ready(Err(io::Error::other(LimitReached)))
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Meter<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.may_write == 0 {
            return give_way(cx);
        }
        let room = buf.len().min(self.may_write);
        let polled = Pin::new(&mut self.socket).poll_write(cx, &buf[..room]);
        if let Poll::Ready(Ok(count)) = polled {
            self.may_write -= count;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    const UNLIMITED: Allowance = Allowance {
        bytes: usize::MAX,
        frame: usize::MAX,
    };

    fn poll(meter: &mut Meter<futures_lite::io::Repeat>) -> Poll<io::Result<usize>> {
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(meter).poll_read(&mut cx, &mut [0; 4_096])
    }

    #[test]
    fn a_peer_that_never_pauses_is_interrupted() {
        let mut meter = Meter::new(futures_lite::io::repeat(0x80), &[], UNLIMITED);
        for _ in 0..2 {
            meter.begin_turn();
            let mut read = 0;
            while let Poll::Ready(count) = poll(&mut meter) {
                read += count.unwrap();
                assert!(read <= PER_TURN);
            }
            assert_eq!(read, PER_TURN);
        }
    }

    #[test]
    fn reading_ends_at_the_allowance() {
        let allowed = Allowance {
            bytes: 5_000,
            ..UNLIMITED
        };
        let mut meter = Meter::new(futures_lite::io::repeat(0x80), &[0; 1_000], allowed);
        assert!(matches!(poll(&mut meter), Poll::Ready(Ok(4_000))));
        assert!(matches!(poll(&mut meter), Poll::Ready(Err(_))));
        meter.allow(None);
        assert!(matches!(poll(&mut meter), Poll::Ready(Ok(4_096))));
    }
}
