//! A socket that counts what is read from it, and stops at a limit.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

/// The error with which reading ends at the limit.
#[derive(Debug)]
pub(crate) struct LimitReached;

impl std::fmt::Display for LimitReached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("more was read than is allowed before hello")
    }
}

impl std::error::Error for LimitReached {}

/// Counts the bytes that are read from a socket.
#[derive(Debug)]
pub(crate) struct Meter<S> {
    socket: S,
    read: u64,
    /// How much may still be read before the next [`Self::allow`]; `None` for no limit.
    left: Option<usize>,
}

impl<S> Meter<S> {
    pub(crate) const fn new(socket: S, allowed: usize) -> Self {
        Self {
            socket,
            read: 0,
            left: Some(allowed),
        }
    }

    /// Starts over with another limit.
    pub(crate) const fn allow(&mut self, limit: Option<usize>) {
        self.left = limit;
    }

    /// The bytes that were read so far.
    pub(crate) const fn read(&self) -> u64 {
        self.read
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Meter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let room = self.left.map_or(buf.len(), |left| left.min(buf.len()));
        if room == 0 && !buf.is_empty() {
            return Poll::Ready(Err(io::Error::other(LimitReached)));
        }
        let polled = Pin::new(&mut self.socket).poll_read(cx, &mut buf[..room]);
        if let Poll::Ready(Ok(count)) = polled {
            self.read += count as u64;
            if let Some(left) = &mut self.left {
                *left -= count;
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Meter<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}
