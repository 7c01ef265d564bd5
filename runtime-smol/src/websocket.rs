//! What both ends ask of the WebSocket library.

use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use async_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use bytes::Bytes;
use openclaw_protocol_core::frame::Close;

/// The largest piece that is written at once; a longer message goes out in several frames.
pub(crate) const FRAGMENT: usize = 64 << 10;
/// How much is read at once. The default of the library would cost 128 KiB per connection.
pub(crate) const READ_BUFFER: usize = 4 << 10;

/// Buffers that suit many connections, and messages of at most `most` bytes.
pub(crate) fn config(most: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(FRAGMENT)
        .max_write_buffer_size(4 * FRAGMENT)
        .max_message_size(Some(most))
        .max_frame_size(Some(most))
}

/// Takes the next frame off a message, of which `begun` says whether a part was taken before; it is
/// the last one when nothing is left.
pub(crate) fn next_frame(text: &mut Bytes, begun: bool) -> Message {
    let piece = text.split_to(text.len().min(FRAGMENT));
    let kind = if begun { Data::Continue } else { Data::Text };
    Message::Frame(Frame::message(piece, OpCode::Data(kind), text.is_empty()))
}

pub(crate) fn close_frame(close: &Close) -> CloseFrame {
    CloseFrame {
        code: close.code.into(),
        reason: close.reason().into(),
    }
}
