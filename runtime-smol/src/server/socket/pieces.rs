//! Messages as the pieces in which they are written.

use async_tungstenite::tungstenite::Message;
use bytes::Bytes;

use crate::websocket::{FRAGMENT, next_frame};

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

/// Splits a message into frames of at most [`FRAGMENT`].
fn split(text: Bytes) -> impl Iterator<Item = Message> {
    let (mut rest, mut begun) = (Some(text), false);
    std::iter::from_fn(move || {
        let mut text = rest.take()?;
        let frame = next_frame(&mut text, std::mem::replace(&mut begun, true));
        rest = (!text.is_empty()).then_some(text);
        Some(frame)
    })
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
