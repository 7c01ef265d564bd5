//! Changes of bytes such as a fuzzer makes, but always the same.

/// Draws changes from a seed.
pub(crate) struct Changes {
    state: u64,
    words: Vec<Vec<u8>>,
}

impl Changes {
    pub(crate) fn new(name: &str, words: Vec<Vec<u8>>) -> Self {
        assert!(!words.is_empty(), "the dictionary has no words");
        let seed = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let state = name.bytes().fold(0xcbf2_9ce4_8422_2325, seed);
        Self { state, words }
    }

    /// A number below `limit`, which must not be zero.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 16).unwrap_or(0) % limit
    }

    /// `bytes` with one to four changes; `other` lends parts of itself.
    pub(crate) fn of(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, other);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + 1 + self.below(16)).min(bytes.len());
        match self.below(7) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = b"0189aAzZ\"\\{}[],:\0\n\r \xff"[self.below(21)];
                }
            }
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => {
                let word = self.below(self.words.len());
                bytes.splice(at..at, self.words[word].clone());
            }
            5 => {
                let from = self.below(other.len() + 1);
                let until = from + self.below(other.len() - from + 1);
                bytes.splice(at..end, other[from..until].iter().copied());
            }
            _ => bytes.truncate(at),
        }
    }
}

/// The words of a dictionary as fuzzers read it.
pub(crate) fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().filter(|line| line.starts_with('"'));
    lines
        .map(|line| {
            let word = line.trim().trim_matches('"');
            let plain = word.replace("\\\"", "\"").replace("\\\\", "\\");
            plain.into_bytes()
        })
        .collect()
}
