//! Log lines on standard error.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::output;

/// Begins to log: what happens, or with `verbose` what our own crates think about it too.
pub(crate) fn start(verbose: bool) {
    static LOGGER: Logger = Logger;
    // Nobody else sets a logger in this process.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(if verbose {
        LevelFilter::Debug
    } else {
        LevelFilter::Info
    });
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        component(metadata.target()).is_some() || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        // One write, so that lines of several threads do not mix; where it fails, nobody can be told.
        let line = line(record, now.unwrap_or_default());
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
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
    let time = timestamp(since_1970);
    format!("{time} {:<5} [{component}] {message}\n", record.level())
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
