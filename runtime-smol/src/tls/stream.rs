//! A socket with TLS on it, or without.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use async_net::TcpStream;
use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::TlsStream;

/// A socket as HTTP and WebSocket see it.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<Rationed>>),
}

impl Stream {
    pub(crate) fn secured(stream: TlsStream<Rationed>) -> Self {
        Self::Tls(Box::new(stream))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Stream::Plain",
            Self::Tls(_) => "Stream::Tls",
        })
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Ends our side; over TLS the peer is told so first.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_close(cx),
            Self::Tls(stream) => Pin::new(stream).poll_close(cx),
        }
    }
}

/// How everything begins that a client says over TLS.
const HANDSHAKE: u8 = 0x16;
/// The most reads in a row before other tasks get their turn.
const READS_IN_A_ROW: u8 = 64;

/// A socket under TLS, which reads until something of use has come.
///
/// Records may hold nothing at all: a peer that is quick at sending those would keep a thread for itself.
#[derive(Debug)]
pub(crate) struct Rationed {
    socket: TcpStream,
    reads: u8,
    /// Whether the first byte has yet to tell that the peer speaks TLS.
    doubtful: bool,
}

impl Rationed {
    pub(crate) const fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            reads: 0,
            doubtful: false,
        }
    }

    /// A socket whose peer may well not speak TLS, in which case reading fails before TLS has said a word.
    pub(crate) fn doubtful(socket: TcpStream) -> Self {
        Self {
            doubtful: true,
            ..Self::new(socket)
        }
    }
}

impl AsyncRead for Rationed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.reads == READS_IN_A_ROW {
            this.reads = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.reads += 1;
        let Poll::Ready(read) = Pin::new(&mut this.socket).poll_read(cx, buffer) else {
            this.reads = 0;
            return Poll::Pending;
        };
        if this.doubtful && matches!(read, Ok(1..)) {
            this.doubtful = false;
            if buffer.first() != Some(&HANDSHAKE) {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the peer does not speak TLS",
                )));
            }
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Rationed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
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
    use std::io::Write as _;
    use std::net::TcpListener;

    use futures_lite::future;

    use super::*;

    #[test]
    fn a_peer_that_is_quick_at_saying_nothing_lets_others_have_their_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut peer = std::net::TcpStream::connect(address).unwrap();
        let (socket, _) = listener.accept().unwrap();
        let mut socket = Rationed::new(TcpStream::try_from(socket).unwrap());
        peer.write_all(&[0; 1_000]).unwrap();
        let mut read = || {
            let mut read = |cx: &mut Context<'_>| Pin::new(&mut socket).poll_read(cx, &mut [0]);
            future::block_on(future::poll_fn(|cx| Poll::Ready(read(cx))))
        };
        while read().is_pending() {}
        for _ in 1..READS_IN_A_ROW {
            assert!(read().is_ready());
        }
        assert!(read().is_pending());
        assert!(read().is_ready());
    }
}
