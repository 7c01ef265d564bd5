//! Conversations as they are written down.

use crate::transcript::replay;

/// Replays a transcript: a line that is not understood is refused with its number, and the replay of a replay is the
/// same.
pub fn transcript(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match replay(text) {
        Ok(once) => assert_eq!(replay(&once).as_ref(), Ok(&once), "a replay changes"),
        Err(bad) => assert!(
            (1..=text.split('\n').count()).contains(&bad.number),
            "{bad}"
        ),
    }
}
