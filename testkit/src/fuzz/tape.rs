//! Bytes read as a script: one byte an operation, the bytes behind it its operands.

/// How many operations of a script are played: what takes longer is found in fewer, or not by a fuzzer.
const OPERATIONS: usize = 120;

/// What is left of the bytes; past their end every operand is zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tape<'a> {
    rest: &'a [u8],
    played: usize,
}

impl<'a> Tape<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            played: 0,
        }
    }

    /// The next byte; `None` at the end.
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// The next operation of `known`, whatever the byte; blanks and line ends only lay a script out.
    pub(super) fn operation(&mut self, known: &[u8]) -> Option<u8> {
        self.played += 1;
        while self.played <= OPERATIONS {
            match self.byte()? {
                b' ' | b'\n' => {}
                byte if known.contains(&byte) => return Some(byte),
                byte => return known.get(usize::from(byte) % known.len()).copied(),
            }
        }
        None
    }

    /// A small number: that of a digit, or of any other byte.
    pub(super) fn number(&mut self) -> usize {
        match self.byte() {
            Some(digit @ b'0'..=b'9') => usize::from(digit - b'0'),
            Some(byte) => usize::from(byte),
            None => 0,
        }
    }

    /// One of `all`, which must not be empty.
    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.number() % all.len()]
    }

    /// Everything up to the next line end, which is taken too.
    pub(super) fn line(&mut self) -> &'a [u8] {
        let mut parts = self.rest.splitn(2, |byte| *byte == b'\n');
        let line = parts.next().unwrap_or_default();
        self.rest = parts.next().unwrap_or_default();
        line
    }

    /// A line as text; what is no UTF-8 is replaced.
    #[cfg(feature = "application")]
    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.line()).into_owned()
    }

    /// Everything that is left.
    #[cfg(feature = "application")]
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_reads_as_it_was_laid_out() {
        let mut tape = Tape::new(b"a3 \nb{\"x\":1}\nz");
        assert_eq!(tape.operation(b"ab"), Some(b'a'));
        assert_eq!(tape.number(), 3);
        assert_eq!(tape.operation(b"ab"), Some(b'b'));
        assert_eq!(tape.line(), b"{\"x\":1}");
        assert_eq!(tape.operation(b"ab"), Some(b'a'));
        assert_eq!(tape.operation(b"ab"), None);
        assert_eq!(tape.number(), 0);
    }
}
