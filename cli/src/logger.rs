//! Log lines on standard error.
//!
//! A thread writes them, so that whoever does not read them holds nobody up: past
//! [`WAITING_LINES`] lines are dropped, and how many is said where they are missing.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::output;

/// How many lines may wait for standard error.
const WAITING_LINES: usize = 512;
/// How long the last lines are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long room is waited for at the end before it is looked for again.
const RETRY: Duration = Duration::from_millis(5);

/// Begins to log: what happens, or with `verbose` what our own crates think about it too.
///
/// # Errors
/// The thread that writes cannot be had.
pub(crate) fn start(verbose: bool) -> io::Result<()> {
    static LOGGER: OnceLock<Logger> = OnceLock::new();
    let (sender, receiver) = mpsc::sync_channel(WAITING_LINES);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_all(&receiver, &mut io::stderr()))?;
    // Nobody else sets a logger in this process.
    let _ = log::set_logger(LOGGER.get_or_init(|| Logger {
        sender,
        dropped: AtomicU64::new(0),
    }));
    log::set_max_level(if verbose {
        LevelFilter::Debug
    } else {
        LevelFilter::Info
    });
    Ok(())
}

/// What the writing thread is told.
enum Order {
    Line(String),
    /// Everything before it was written.
    Tell(SyncSender<()>),
}

fn write_all(orders: &Receiver<Order>, to: &mut impl Write) {
    while let Ok(order) = orders.recv() {
        match order {
            // Where it fails, nobody can be told.
            Order::Line(line) => drop(to.write_all(line.as_bytes())),
            Order::Tell(waiting) => drop(waiting.try_send(())),
        }
    }
}

struct Logger {
    sender: SyncSender<Order>,
    /// How many lines were dropped since one could be handed over.
    dropped: AtomicU64,
}

impl Logger {
    fn hand_over(&self, line: String, now: Duration) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let line = if dropped == 0 {
            line
        } else {
            let missing = format_args!("{dropped} lines of the log were dropped: nobody read it");
            line_of(Level::Warn, "cli", &missing.to_string(), now) + &line
        };
        if self.sender.try_send(Order::Line(line)).is_err() {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        component(metadata.target()).is_some() || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.unwrap_or_default();
            self.hand_over(line(record, now), now);
        }
    }

    /// Waits until what was logged is written, but not for ever.
    fn flush(&self) {
        let (told, telling) = mpsc::sync_channel(1);
        let until = Instant::now() + PATIENCE;
        let mut order = Order::Tell(told);
        while let Err(TrySendError::Full(back)) = self.sender.try_send(order) {
            if Instant::now() >= until {
                return;
            }
            order = back;
            thread::sleep(RETRY);
        }
        let _ = telling.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// The part of the gateway that a target belongs to, if it is one of ours.
fn component(target: &str) -> Option<&str> {
    let target = target.split("::").next().unwrap_or(target);
    match target {
        "openclaw" => Some("cli"),
        "openclaw_gateway_service" => Some("gateway"),
        "openclaw_runtime_smol" => Some("runtime"),
        "openclaw_protocol_core" => Some("protocol"),
        _ => None,
    }
}

fn line(record: &Record<'_>, since_1970: Duration) -> String {
    let target = record.target();
    let component = component(target).unwrap_or(target);
    // Clients choose parts of what is logged; a line end must not make a line of their own.
    let message = output::line(&record.args().to_string());
    line_of(record.level(), component, &message, since_1970)
}

fn line_of(level: Level, component: &str, message: &str, since_1970: Duration) -> String {
    let time = timestamp(since_1970);
    format!("{time} {level:<5} [{component}] {message}\n")
}

/// The time in UTC, as RFC 3339 writes it.
fn timestamp(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3_600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        since_1970.subsec_millis()
    )
}

/// Year, month and day of a day since 1970: Howard Hinnant's `civil_from_days`, for years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_does() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_827_696, "2000-02-29T12:34:56.007Z"),
            (1_795_217_742, "2026-11-20T23:35:42.007Z"),
            (4_107_542_399, "2100-02-28T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            let time = Duration::from_secs(seconds) + Duration::from_millis(7);
            assert_eq!(timestamp(time), text);
        }
    }

    #[test]
    fn what_nobody_takes_is_dropped_and_counted() {
        let (sender, orders) = mpsc::sync_channel(2);
        let logger = Logger {
            sender,
            dropped: AtomicU64::new(0),
        };
        for number in 0..5 {
            logger.hand_over(format!("{number}\n"), Duration::ZERO);
        }
        let taken = |orders: &Receiver<Order>| match orders.try_recv() {
            Ok(Order::Line(line)) => line,
            Ok(Order::Tell(_)) | Err(_) => "nothing".to_owned(),
        };
        assert_eq!(taken(&orders), "0\n");
        logger.hand_over("5\n".to_owned(), Duration::ZERO);
        let (second, third) = (taken(&orders), taken(&orders));
        assert_eq!(second, "1\n");
        assert!(third.ends_with("[cli] 3 lines of the log were dropped: nobody read it\n5\n"));
        logger.hand_over("6\n".to_owned(), Duration::ZERO);
        assert_eq!(taken(&orders), "6\n");
    }

    #[test]
    fn a_message_stays_on_its_line() {
        let text = |target, message: std::fmt::Arguments<'_>| {
            let record = Record::builder()
                .target(target)
                .level(Level::Info)
                .args(message)
                .build();
            line(&record, Duration::ZERO)
        };
        assert_eq!(
            text("openclaw_gateway_service::app", format_args!("a\nb\u{1b}")),
            "1970-01-01T00:00:00.000Z INFO  [gateway] a b \n"
        );
        assert_eq!(
            text("polling", format_args!("x")),
            "1970-01-01T00:00:00.000Z INFO  [polling] x\n"
        );
    }
}
