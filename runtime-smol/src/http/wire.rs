//! What the socket saw, shared by the adapter under hyper and the service above it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::message::UpgradeHead;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A head is awaited or arriving.
    Head,
    /// A request is being read or answered.
    Busy,
    /// The answer is with hyper, not yet on the socket.
    Answered,
    /// Nothing of the next head has come.
    Idle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Sized(u64),
    Chunked,
}

/// How often a head really named the fields that say where its body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Framing {
    pub(super) lengths: usize,
    pub(super) codings: usize,
}

/// hyper removes a length that stands next to a transfer coding before we can see it, so the bytes of each head are
/// kept until hyper has parsed them. They decide only whether to refuse; where a request ends is hyper's to say.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) phase: Phase,
    pub(super) ended: bool,
    pub(super) failed: bool,
    pub(super) upgrade: Option<Box<UpgradeHead>>,
    pub(super) requests: u32,
    /// What hyper answers by itself to a head it cannot parse.
    pub(super) verdict: Vec<u8>,
    seen: Vec<u8>,
    skip: u64,
    deaf: bool,
}

pub(super) fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Head,
            ended: false,
            failed: false,
            upgrade: None,
            requests: 0,
            verdict: Vec::new(),
            seen: Vec::new(),
            skip: 0,
            deaf: false,
        }
    }

    /// Notes bytes on their way to hyper.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        if self.phase == Phase::Idle {
            self.phase = Phase::Head;
        }
        if !self.deaf {
            let skipped = usize::try_from(self.skip)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            self.skip -= skipped as u64;
            self.seen.extend_from_slice(&bytes[skipped..]);
        }
    }

    /// Gives up the head that hyper has just parsed; `None` if what we kept is not that head.
    ///
    /// After a chunked body, only hyper knows where the next head begins: that connection has to close.
    pub(super) fn take_head(&mut self, method: &str, length: Length) -> Option<Framing> {
        let start = self
            .seen
            .iter()
            .position(|byte| !matches!(byte, b'\r' | b'\n'))?;
        let head = &self.seen[start..];
        let end = start + end_of_head(head).filter(|_| head.starts_with(method.as_bytes()))?;
        let framing = framing(&self.seen[start..end]);
        match length {
            Length::Sized(body) => {
                let rest = (self.seen.len() - end) as u64;
                self.skip = body.saturating_sub(rest);
                let body = usize::try_from(body.min(rest)).unwrap_or(usize::MAX);
                self.seen.drain(..end.saturating_add(body));
                if self.seen.is_empty() {
                    self.seen = Vec::new();
                }
            }
            Length::Chunked => self.forget(),
        }
        Some(framing)
    }

    /// Keeps nothing from here on, because the connection closes after the present request.
    pub(super) fn forget(&mut self) {
        self.deaf = true;
        self.seen = Vec::new();
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == b'\n') {
        from += at + 1;
        match &bytes[from..] {
            [b'\n', ..] => return Some(from + 1),
            [b'\r', b'\n', ..] => return Some(from + 2),
            _ => {}
        }
    }
    None
}

fn framing(head: &[u8]) -> Framing {
    let mut framing = Framing::default();
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if name.eq_ignore_ascii_case(b"content-length") {
            framing.lengths += 1;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            framing.codings += 1;
        }
    }
    framing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_found_behind_the_body_before_it() {
        let mut wire = Wire::new();
        wire.received(b"\r\nPOST / HTTP/1.1\r\ncontent-length: 6\r\n\r\nab");
        let framing = Framing {
            lengths: 1,
            codings: 0,
        };
        assert_eq!(wire.take_head("POST", Length::Sized(6)), Some(framing));
        wire.received(b"c\n\n");
        wire.received(b"dGET / HTTP/1.1\n\n");
        assert_eq!(
            wire.take_head("GET", Length::Sized(0)),
            Some(Framing::default())
        );
        assert_eq!(wire.take_head("GET", Length::Sized(0)), None);
    }

    #[test]
    fn bytes_that_are_not_the_parsed_head_are_not_taken_for_it() {
        let mut wire = Wire::new();
        wire.received(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(wire.take_head("POST", Length::Sized(0)), None);
    }

    #[test]
    fn both_framing_fields_are_counted_in_any_case_and_order() {
        let both = Framing {
            lengths: 1,
            codings: 1,
        };
        for head in [
            "X / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "X / HTTP/1.1\nTRANSFER-ENCODING:chunked\ncontent-length:1\n\n",
        ] {
            let mut wire = Wire::new();
            wire.received(head.as_bytes());
            assert_eq!(wire.take_head("X", Length::Chunked), Some(both), "{head:?}");
        }
    }
}
