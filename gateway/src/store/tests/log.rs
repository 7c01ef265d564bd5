//! What is written ahead: when it comes into the main file, and what of it is damage.

use super::refusals::is_refused;
use super::*;

const FIRST: usize = 32;
const FRAME: usize = 24 + 4_096;

/// What a gateway that is killed leaves, with each of these writes in its log.
struct Killed {
    main: Vec<u8>,
    log: Vec<u8>,
    /// How long the log was after each write.
    ends: Vec<usize>,
    /// What it held after each write, and before the first one.
    held: Vec<Contents>,
}

impl Killed {
    /// The last write puts this many devices.
    fn after(writes: usize, last: usize) -> Self {
        let home = Home::new();
        let (store, _) = home.open();
        let mut held = vec![Contents::default()];
        let mut ends = vec![];
        for number in 0..writes {
            let count = if number + 1 == writes { last } else { 1 };
            let mut after = held[number].clone();
            let new: Vec<Device> = (0..count)
                .map(|index| device(&format!("{number} {index:03}")))
                .collect();
            let changes: Vec<Change> = new.iter().cloned().map(put).collect();
            store.write(&changes).unwrap();
            after.devices.extend(new);
            held.push(after);
            ends.push(fs::read(home.log()).unwrap().len());
        }
        let killed = Self {
            main: fs::read(home.path()).unwrap(),
            log: fs::read(home.log()).unwrap(),
            ends,
            held,
        };
        drop(store);
        assert_eq!(killed.ends.last(), Some(&killed.log.len()));
        killed
    }

    fn home(&self, log: &[u8]) -> Home {
        let home = Home::with_file(&self.main);
        fs::write(home.log(), log).unwrap();
        home
    }

    #[track_caller]
    fn is_damaged(&self, log: &[u8]) {
        let kind = is_refused(&self.home(log), "restore a copy, or move it away");
        assert!(matches!(kind, StoreFault::Damaged(_)), "{kind:?}");
    }

    /// Checks that everything is there but the last write.
    #[track_caller]
    fn is_cut_off(&self, log: &[u8]) {
        let found = self.home(log).contents();
        assert!(found == self.held[self.held.len() - 2], "{found:?}");
    }
}

#[test]
fn a_log_without_its_database_is_refused_and_left() {
    let killed = Killed::after(1, 1);
    for log in [&killed.log[..], b""] {
        for is_empty in [true, false] {
            let home = Home::with_file(b"");
            fs::write(home.log(), log).unwrap();
            if !is_empty {
                fs::remove_file(home.path()).unwrap();
            }
            let kind = is_refused(&home, &home.log().display().to_string());
            assert!(matches!(kind, StoreFault::LogAlone(_)), "{kind:?}");
            assert_eq!(home.path().exists(), is_empty);
        }
    }
}

#[test]
fn a_byte_that_changed_in_a_write_with_others_after_it_is_found_and_left() {
    let killed = Killed::after(3, 1);
    let in_frame = [0, 3, 4, 7, 8, 11, 15, 16, 23, 24, 25, 2_000, FRAME - 1];
    let starts = (FIRST..killed.ends[1]).step_by(FRAME);
    let places = (0..FIRST).chain(starts.flat_map(|start| in_frame.map(|byte| start + byte)));
    for place in places {
        let mut log = killed.log.clone();
        log[place] ^= 0x10;
        killed.is_damaged(&log);
    }
}

#[test]
fn a_byte_that_changed_in_the_only_write_is_found_where_that_ends() {
    let killed = Killed::after(1, 1);
    assert!(killed.log.len() >= FIRST + 3 * FRAME);
    let last = killed.log.len() - FRAME;
    for start in (FIRST..last).step_by(FRAME) {
        for byte in [0, 16, 23, 24, 2_000, FRAME - 1] {
            let mut log = killed.log.clone();
            log[start + byte] ^= 0x10;
            killed.is_damaged(&log);
        }
    }
    for byte in [0, 4, 8, 16, 24, 2_000, FRAME - 1] {
        let mut log = killed.log.clone();
        log[last + byte] ^= 0x10;
        // Nothing tells it from a write that was cut off.
        killed.is_cut_off(&log);
    }
}

#[test]
fn blocks_that_were_overwritten_in_a_write_with_others_after_it_are_found() {
    let killed = Killed::after(6, 1);
    let blocks = 1..killed.ends[2] / 4_096;
    for block in blocks {
        for fill in [0, 0xa5] {
            let mut log = killed.log.clone();
            log[block * 4_096..][..4_096].fill(fill);
            killed.is_damaged(&log);
        }
    }
}

/// A power cut in the middle of a write: any blocks of it are on the disk, and others are not.
#[test]
fn a_last_write_of_which_any_blocks_are_missing_is_left_out() {
    let killed = Killed::after(3, 30);
    let begin = killed.ends[1];
    let blocks: Vec<usize> = (begin / 4_096..killed.log.len().div_ceil(4_096)).collect();
    assert!((8..20).contains(&blocks.len()), "{blocks:?}");
    // All of few blocks, and many of more.
    let step = (1_usize << blocks.len()).div_ceil(600) | 1;
    for missing in (1..1_usize << blocks.len()).step_by(step) {
        let mut log = killed.log.clone();
        for (bit, block) in blocks.iter().enumerate() {
            if missing >> bit & 1 == 1 {
                let from = (block * 4_096).max(begin);
                let to = ((block + 1) * 4_096).min(log.len());
                log[from..to].fill(0);
            }
        }
        killed.is_cut_off(&log);
    }
}

#[test]
fn a_write_that_is_left_out_is_not_in_the_way_of_the_next_ones() {
    let killed = Killed::after(2, 5);
    let mut log = killed.log.clone();
    let last = log.len() - FRAME;
    log[last + 100] ^= 1;
    let home = killed.home(&log);
    let (store, found) = home.open();
    assert_eq!(found, killed.held[1]);
    store.write(&[put(device("new"))]).unwrap();
    let (main, log) = (
        fs::read(home.path()).unwrap(),
        fs::read(home.log()).unwrap(),
    );
    drop(store);
    let again = Home::with_file(&main);
    fs::write(again.log(), log).unwrap();
    assert_eq!(again.contents().devices.len(), 2);
}

#[test]
fn what_is_written_ahead_comes_into_the_main_file_at_the_start_and_regularly() {
    let home = Home::new();
    let (store, _) = home.open();
    let lengths = || {
        let length = |path: PathBuf| fs::metadata(path).unwrap().len();
        (length(home.path()), length(home.log()))
    };
    let (made, log) = lengths();
    assert!(made > 4_096, "the tables are there");
    assert_eq!(log, 0);
    let mut longest = 0;
    let mut emptied = 0;
    for number in 0..3 * WRITES_AHEAD {
        store
            .write(&[put(device(&format!("{number:03}")))])
            .unwrap();
        let (_, log) = lengths();
        longest = longest.max(log);
        emptied += usize::from(log == 0);
    }
    assert_eq!(emptied, 3);
    assert!(longest > 0);
    // All but what is in the log is in the main file.
    let copy = Home::with_file(&fs::read(home.path()).unwrap());
    drop(store);
    assert_eq!(copy.contents().devices.len(), 3 * WRITES_AHEAD);

    // Who was killed has it brought in by the next one.
    let killed = Killed::after(3, 1);
    let home = killed.home(&killed.log);
    let store = home.open();
    assert_eq!(fs::metadata(home.log()).unwrap().len(), 0);
    let copy = Home::with_file(&fs::read(home.path()).unwrap());
    drop(store);
    assert_eq!(copy.contents(), killed.held[3]);
}

/// Rows that are refused are found before anything is brought anywhere.
#[test]
fn rows_in_a_log_that_no_release_of_ours_writes_are_found_and_left() {
    let home = Home::new();
    home.open().0.write(&changes(&everything())).unwrap();
    let connection = Connection::open(home.path()).unwrap();
    connection
        .execute_batch("PRAGMA wal_autocheckpoint = 0; UPDATE setup SET access = 'half'")
        .unwrap();
    let killed = Home::with_file(&fs::read(home.path()).unwrap());
    fs::copy(home.log(), killed.log()).unwrap();
    drop(connection);
    let kind = is_refused(&killed, "restore a copy");
    assert!(matches!(kind, StoreFault::Damaged(_)), "{kind:?}");
}
