//! The end of a connection that did not become a WebSocket.

use std::error::Error;
use std::io;
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};

const TOO_LATE: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const FIELDS: &[u8] = b"\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
    Permissions-Policy: camera=(), microphone=(self), geolocation=()";

/// The last words to a peer whose head hyper did not accept: hyper's verdict, or that the head came too late.
pub(super) fn farewell(verdict: &[u8], late: bool) -> Vec<u8> {
    let words = if verdict.is_empty() && late {
        TOO_LATE
    } else {
        verdict
    };
    let line = words.iter().position(|byte| *byte == b'\r');
    match words.split_at_checked(line.unwrap_or(0)) {
        Some((line, rest)) if !line.is_empty() => [line, FIELDS, rest].concat(),
        _ => Vec::new(),
    }
}

/// Ends our side, then swallows the peer's for a while: closing with unread input resets the connection, and a reset
/// can destroy an answer that the peer has not read yet.
pub(crate) async fn close<S>(mut stream: S, farewell: &[u8], drain: bool, time: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let end = async {
        stream.write_all(farewell).await?;
        stream.close().await?;
        let mut space = if drain { vec![0; 4096] } else { Vec::new() };
        while drain && stream.read(&mut space).await? > 0 {
            future::yield_now().await;
        }
        Ok::<_, io::Error>(())
    };
    let late = async {
        smol::Timer::after(time).await;
        Ok(())
    };
    if let Err(error) = future::or(end, late).await {
        log::debug!("closing an http socket: {error}");
    }
}

pub(super) fn describe(error: hyper::Error) -> io::Error {
    let cause = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    let kind = match cause {
        Some(cause) => cause.kind(),
        None if error.is_timeout() => io::ErrorKind::TimedOut,
        None if error.is_incomplete_message() => io::ErrorKind::UnexpectedEof,
        None if error.is_parse() => io::ErrorKind::InvalidData,
        None => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
