//! What is written ahead, as SQLite's file format has it (<https://www.sqlite.org/fileformat2.html#walformat>): 32 bytes,
//! and then frames, each a page with 24 bytes before it.
//!
//! SQLite reads frames until one's checksum is wrong, and takes the rest for what a power cut left of the last write. That is
//! right as long as nothing was written after it; what was is lost without a word.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// How many bytes come before the frames, and before the page of each.
const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// How a log begins; one more where checksums are big-endian.
const MAGIC: u32 = 0x377f_0682;
/// The sizes that a page may have.
const PAGES: std::ops::RangeInclusive<u32> = 512..=65_536;

/// Looks for damage in a log that nobody writes, and says what it is.
///
/// A last write that did not get to its end is none.
pub(super) fn find_damage(path: &Path) -> io::Result<Option<String>> {
    match File::open(path) {
        Ok(file) => search(BufReader::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn search(mut log: impl Read) -> io::Result<Option<String>> {
    let mut header = [0; HEADER];
    if !fill(&mut log, &mut header)? {
        return Ok(None);
    }
    let Some(mut frames) = Frames::after(&header) else {
        // It was on the disk before anything was written behind it.
        let has_more = fill(&mut log, &mut [0; 1])?;
        return Ok(has_more.then(|| "its log does not begin as one".to_owned()));
    };
    let mut bytes = vec![0; FRAME_HEADER + frames.page_size];
    let mut number: u64 = 0;
    // Since where it is wrong.
    let mut gap: Option<Gap> = None;
    while fill(&mut log, &mut bytes)? {
        number += 1;
        let frame = frames.read(&bytes);
        match &mut gap {
            None if frame.is_whole => {}
            None => {
                gap = Some(Gap {
                    first: number,
                    is_over: frame.is_current && frame.is_commit,
                    has_arrived: true,
                    has_last: frame.is_current,
                });
            }
            Some(gap) => {
                if gap.shows(&frame) {
                    let first = gap.first;
                    return Ok(Some(format!(
                        "frame {first} of its log is wrong, and more was written after it"
                    )));
                }
            }
        }
    }
    Ok(None)
}

/// Frames from one that is wrong on.
struct Gap {
    first: u64,
    /// Whether the write that it belongs to was seen to end. The disk was waited for then, before anything else was written.
    is_over: bool,
    /// Whether the header of every frame but the last one is there, and that of the last one.
    has_arrived: bool,
    has_last: bool,
}

impl Gap {
    /// Tells whether one more frame shows that this is not just the end of a write that did not get to its own.
    ///
    /// What a power cut takes is blocks about as large as a frame, and so some frame's header with them: where all of these
    /// are there, nothing was cut off.
    fn shows(&mut self, frame: &Frame) -> bool {
        // A frame is whole only after one whose checksum is there.
        self.has_arrived &= self.has_last || frame.is_whole;
        self.has_last = frame.is_current;
        if frame.is_whole && (self.is_over || frame.is_commit && self.has_arrived) {
            return true;
        }
        self.is_over |= frame.is_current && frame.is_commit;
        false
    }
}

/// What is known of a frame.
struct Frame {
    /// It is of the same log as the header, and not left from an earlier one in the same place.
    is_current: bool,
    /// It is the last one of a write.
    is_commit: bool,
    /// It is as it was written after the one before it.
    is_whole: bool,
}

struct Frames {
    page_size: usize,
    is_big_endian: bool,
    salts: [u8; 8],
    /// The checksum that the last frame says it has, and the one that it has; damage may be in either.
    sums: [[u32; 2]; 2],
}

impl Frames {
    /// Reads what a log begins with; `None` if it is not as it was written.
    fn after(header: &[u8; HEADER]) -> Option<Self> {
        let magic = word(header, 0);
        let page_size = word(header, 8);
        if magic & !1 != MAGIC || !PAGES.contains(&page_size) || !page_size.is_power_of_two() {
            return None;
        }
        let mut salts = [0; 8];
        salts.copy_from_slice(&header[16..24]);
        let frames = Self {
            page_size: usize::try_from(page_size).ok()?,
            is_big_endian: magic & 1 == 1,
            salts,
            sums: [[word(header, 24), word(header, 28)]; 2],
        };
        (frames.add([0; 2], &header[..24]) == frames.sums[0]).then_some(frames)
    }

    fn read(&mut self, bytes: &[u8]) -> Frame {
        let (header, page) = bytes.split_at(FRAME_HEADER);
        let is_current = header[8..16] == self.salts;
        let sum = [word(header, 16), word(header, 20)];
        let sums = self
            .sums
            .map(|before| self.add(self.add(before, &header[..8]), page));
        let is_whole = is_current && word(header, 0) != 0 && sums.contains(&sum);
        self.sums = [sum, if is_whole { sum } else { sums[1] }];
        Frame {
            is_current,
            is_commit: word(header, 4) != 0,
            is_whole,
        }
    }

    fn add(&self, [mut s0, mut s1]: [u32; 2], bytes: &[u8]) -> [u32; 2] {
        let number = |bytes: &[u8]| {
            if self.is_big_endian {
                word(bytes, 0)
            } else {
                word(bytes, 0).swap_bytes()
            }
        };
        for pair in bytes.chunks_exact(8) {
            s0 = s0.wrapping_add(number(pair)).wrapping_add(s1);
            s1 = s1.wrapping_add(number(&pair[4..])).wrapping_add(s0);
        }
        [s0, s1]
    }
}

/// The big-endian number at an offset.
fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}

/// Reads as many bytes as there is room for; says whether there were so many.
fn fill(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
