//! Chance, which the core never draws itself.

use std::io;

/// A random name in the form of a version 4 UUID (RFC 9562).
///
/// # Errors
/// The operating system has no random numbers to give.
pub fn uuid() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::from)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
    Ok(text)
}

/// One random byte, to spread what would otherwise happen at once.
///
/// # Errors
/// The operating system has no random numbers to give.
pub fn jitter() -> io::Result<u8> {
    let mut byte = [0u8];
    getrandom::fill(&mut byte).map_err(io::Error::from)?;
    Ok(byte[0])
}

/// A random number, to spread what would otherwise happen at once; without randomness the middle.
pub(crate) fn spread() -> u32 {
    let mut bytes = [0u8; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => u32::MAX / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_form_of_a_uuid_and_differ() {
        let (one, other) = (uuid().unwrap(), uuid().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 36);
        assert_eq!(one.as_bytes()[14], b'4');
        assert!(matches!(one.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_eq!(one.matches('-').count(), 4);
    }
}
