//! What whoever started the node reads.

use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use openclaw_runtime_smol::client::{ConnectError, Why};

use crate::output;

/// How many lines may wait for standard output.
const WAITING_LINES: usize = 256;
/// How long the last lines are waited for at the end.
const PATIENCE: Duration = Duration::from_millis(250);
/// How much of somebody else's words is repeated, in characters.
const SHOWN: usize = 200;

/// Standard output, line by line; whoever does not read it holds nobody up, and misses lines.
#[derive(Clone)]
pub(super) struct Out {
    lines: SyncSender<Order>,
}

enum Order {
    Line(String),
    /// Everything before it was written.
    Tell(SyncSender<()>),
}

impl Out {
    /// Begins to write.
    pub(super) fn start() -> Self {
        let (lines, orders) = mpsc::sync_channel(WAITING_LINES);
        let write = move || {
            while let Ok(order) = orders.recv() {
                match order {
                    // Where it fails, nobody can be told.
                    Order::Line(line) => drop(output::text(&line)),
                    Order::Tell(waiting) => drop(waiting.try_send(())),
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("out".to_owned()).spawn(write) {
            log::warn!("nothing can be shown: {error}");
        }
        Self { lines }
    }

    /// Writes a line, sooner or later.
    pub(super) fn say(&self, line: impl AsRef<str>) {
        let line = Order::Line(format!("{}\n", output::line(line.as_ref())));
        if let Err(TrySendError::Full(_)) = self.lines.try_send(line) {
            log::debug!("nobody reads standard output");
        }
    }

    /// Waits until what was said is written, but not for ever. It blocks.
    pub(super) fn flush(&self) {
        let (told, telling) = mpsc::sync_channel(1);
        if self.lines.try_send(Order::Tell(told)).is_ok() {
            let _ = telling.recv_timeout(PATIENCE);
        }
    }
}

/// How the node stands with its gateway, as far as that was said.
#[derive(Default)]
pub(super) struct Standing {
    said: String,
}

impl Standing {
    /// Returns a line, unless it is what was said last.
    pub(super) fn news(&mut self, line: String) -> Option<String> {
        if self.said == line {
            return None;
        }
        self.said.clone_from(&line);
        Some(line)
    }

    /// Returns a line for a wait; the same trouble again is told by the log alone.
    pub(super) fn waiting(
        &mut self,
        why: Why,
        error: Option<&ConnectError>,
        wait: Duration,
    ) -> Option<String> {
        let trouble = trouble(why, error);
        let next = format!(
            "next attempt in {}.{} s",
            wait.as_secs(),
            wait.subsec_millis() / 100
        );
        match self.news(trouble) {
            Some(trouble) => Some(format!("{trouble}; {next}")),
            None => {
                log::debug!("{}; {next}", self.said);
                None
            }
        }
    }
}

fn trouble(why: Why, error: Option<&ConnectError>) -> String {
    let said = error.and_then(ConnectError::message);
    match (error, said) {
        (_, Some(said)) => format!("not connected: {}", output::short(said, SHOWN)),
        (Some(error), None) => format!("not connected: {error}"),
        (None, None) if why == Why::Restarting => "disconnected: the gateway restarts".to_owned(),
        (None, None) => "disconnected".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_said_once() {
        let mut standing = Standing::default();
        let wait = Duration::from_millis(1_250);
        let lost = standing.waiting(Why::Lost, None, wait);
        assert_eq!(lost.as_deref(), Some("disconnected; next attempt in 1.2 s"));
        assert_eq!(standing.waiting(Why::Lost, None, wait * 2), None);
        let closed = ConnectError::Closed {
            code: 1008,
            reason: "go\u{1b} away".to_owned(),
        };
        let line = standing.waiting(Why::Lost, Some(&closed), wait).unwrap();
        assert!(line.starts_with("not connected: go  away; next"), "{line}");
        assert!(standing.news("connected".to_owned()).is_some());
        assert!(standing.waiting(Why::Lost, None, wait).is_some());
    }
}
