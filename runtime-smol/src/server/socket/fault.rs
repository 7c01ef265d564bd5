//! What the errors of the WebSocket library mean.

use async_tungstenite::tungstenite::Error;
use async_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use openclaw_protocol_core::fault::PeerFault;

use crate::meter::LimitReached;

/// What an error of the WebSocket says about the peer; `None` when the socket is simply gone.
pub(super) fn fault(error: &Error, limit: usize) -> Option<PeerFault> {
    let too_large = PeerFault::TooLarge { limit };
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's errors may become more; an unknown one ends the socket"
    )]
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Some(too_large),
        Error::Io(error)
            if error
                .get_ref()
                .is_some_and(|inner| inner.is::<LimitReached>()) =>
        {
            Some(too_large)
        }
        Error::Utf8(_) => Some(PeerFault::NotUtf8),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Capacity(_) | Error::Protocol(_) => Some(PeerFault::WebSocket),
        _ => None,
    }
}
