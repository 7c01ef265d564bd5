//! Where frames begin and end in a stream of bytes (RFC 6455, section 5.2).
//!
//! The library that reads the frames tells neither what a frame announces before it has made room
//! for it, nor whether a part of one waits in its buffer.

/// The longest header without its mask.
const LONGEST: usize = 10;
const MASK: u64 = 4;

/// Follows the frames that a client sends.
#[derive(Debug, Default)]
pub(crate) struct Boundaries {
    header: [u8; LONGEST],
    /// How much of the header is there.
    known: usize,
    /// What is still to come of the frame behind its header, its mask included.
    left: u64,
    /// Whether a message has begun whose last frame has not.
    in_pieces: bool,
}

impl Boundaries {
    /// Goes on through some more bytes; `false` if a frame among them announces more than `most`.
    pub(crate) fn pass(&mut self, mut bytes: &[u8], most: u64) -> bool {
        loop {
            let skipped = self.left.min(bytes.len() as u64);
            self.left -= skipped;
            bytes = &bytes[skipped as usize..];
            let Some((byte, rest)) = bytes.split_first() else {
                return true;
            };
            bytes = rest;
            self.header[self.known] = *byte;
            self.known += 1;
            if let Some(length) = self.announced() {
                self.begin(length);
                if length > most {
                    return false;
                }
            }
        }
    }

    /// Whether a message ended here, or none has begun.
    pub(crate) const fn is_between_messages(&self) -> bool {
        self.known == 0 && self.left == 0 && !self.in_pieces
    }

    /// The length in the header, once it is there.
    fn announced(&self) -> Option<u64> {
        let [_, second, long @ ..] = &self.header;
        match (second & 0x7f, self.known) {
            (_, 0..2) | (126, 2..4) | (127, 2..LONGEST) => None,
            (126, _) => Some(u64::from(u16::from_be_bytes([long[0], long[1]]))),
            (127, _) => Some(u64::from_be_bytes(*long)),
            (short, _) => Some(u64::from(short)),
        }
    }

    fn begin(&mut self, length: u64) {
        let [first, second, ..] = self.header;
        let mask = if second & 0x80 == 0 { 0 } else { MASK };
        self.left = length.saturating_add(mask);
        self.known = 0;
        let is_control = first & 0x08 != 0;
        if !is_control {
            self.in_pieces = first & 0x80 == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match length {
            0..126 => bytes.push(0x80 | length as u8),
            126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + 4 + length, 0xff);
        bytes
    }

    #[test]
    fn the_end_of_every_message_is_found_however_it_is_cut() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 100_000] {
            let mut bytes = frame(0x01, length);
            bytes.extend(frame(0x89, 3));
            bytes.extend(frame(0x80, length));
            for size in [1, 2, 3, 7, 4_096] {
                let mut boundaries = Boundaries::default();
                let mut seen = 0;
                for piece in bytes.chunks(size) {
                    assert!(boundaries.pass(piece, u64::MAX));
                    seen += piece.len();
                    assert_eq!(boundaries.is_between_messages(), seen == bytes.len());
                }
            }
        }
    }

    #[test]
    fn a_frame_that_announces_too_much_is_noticed_at_its_header() {
        let mut boundaries = Boundaries::default();
        assert!(boundaries.pass(&frame(0x81, 1_000), 1_000));
        assert!(boundaries.pass(&frame(0x81, 1_001)[..3], 1_000));
        assert!(!boundaries.pass(&frame(0x81, 1_001)[3..4], 1_000));
        let huge = [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(!Boundaries::default().pass(&huge, 1_000));
        assert!(Boundaries::default().pass(&huge, u64::MAX));
        let mut boundaries = Boundaries::default();
        assert!(!boundaries.pass(&huge, 1_000));
        assert!(boundaries.pass(&[0xff; 5_000], 1_000));
    }
}
