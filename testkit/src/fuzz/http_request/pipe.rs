//! A socket in memory whose peer has said everything.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

/// Gives its input in pieces and lets its reader wait between them; then it ends.
#[derive(Debug)]
pub(super) struct Pipe {
    input: Vec<u8>,
    read: usize,
    /// How many bytes come at once, and are taken at once; all where it is zero.
    pieces: usize,
    room: usize,
    waits: bool,
    output: Arc<Mutex<Vec<u8>>>,
}

pub(super) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipe {
    pub(super) fn new(input: &[u8], pieces: usize, room: usize) -> Self {
        let all = |size: usize| if size == 0 { usize::MAX } else { size };
        Self {
            input: input.to_vec(),
            read: 0,
            pieces: all(pieces),
            room: all(room),
            waits: false,
            output: Arc::default(),
        }
    }

    pub(super) fn output(&self) -> Arc<Mutex<Vec<u8>>> {
        Arc::clone(&self.output)
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.input[self.read..]
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.waits = !this.waits && this.pieces != usize::MAX;
        if this.waits {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let count = this.unread().len().min(buffer.len()).min(this.pieces);
        buffer[..count].copy_from_slice(&this.input[this.read..][..count]);
        this.read += count;
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(self.room);
        lock(&self.output).extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
