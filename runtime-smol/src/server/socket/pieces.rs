//! Messages as the pieces in which they are written.

use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use async_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use bytes::Bytes;
use openclaw_protocol_core::frame::Close;

/// The largest piece that is written at once; a longer message goes out in several frames.
pub(crate) const FRAGMENT: usize = 64 << 10;

/// Something to write.
pub(super) enum Piece {
    Write(Message),
    /// What was written so far must be on its way before more is.
    Flush,
}

pub(super) fn pieces(text: Bytes) -> impl Iterator<Item = Piece> {
    let large = text.len() > FRAGMENT;
    split(text).flat_map(move |message| {
        [Some(Piece::Write(message)), large.then_some(Piece::Flush)]
            .into_iter()
            .flatten()
    })
}

/// Splits a message into frames of at most [`FRAGMENT`], each flushed before the next.
fn split(text: Bytes) -> impl Iterator<Item = Message> {
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

pub(super) fn close_frame(close: &Close) -> CloseFrame {
    CloseFrame {
        code: CloseCode::from(close.code),
        reason: close.reason().to_owned().into(),
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
