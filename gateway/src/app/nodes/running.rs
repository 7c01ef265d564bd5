//! Which runs of programs a node may tell of: those that it was asked for.

use std::collections::VecDeque;
use std::time::Duration;

use openclaw_protocol_core::time::Instant;
use serde::Deserialize;

use super::invokes::Invoke;

/// The most runs that are kept of a node; the oldest makes room.
const MAX: usize = 256;
/// The longest names that are kept; a run under a longer one is not told of.
const MAX_NAME: usize = 1_024;
/// How much longer than its invocation a run may be told of.
const AFTER: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct Running(VecDeque<Run>);

#[derive(Debug)]
struct Run {
    id: String,
    session_key: Option<String>,
    until: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfRun {
    run_id: Option<String>,
    session_key: Option<String>,
}

impl Running {
    /// A node is asked to run a program, and may tell of it until a while after nobody waits for its answer.
    pub(super) fn begin(&mut self, invoke: &Invoke, until: Instant) {
        let of_run: Option<OfRun> = invoke
            .params_json
            .as_ref()
            .and_then(|json| json.read().ok());
        let Some(of_run) = of_run else { return };
        let Some(id) = of_run.run_id else { return };
        let session_key = of_run.session_key.or_else(|| invoke.session_key.clone());
        if id.len().max(session_key.as_ref().map_or(0, String::len)) > MAX_NAME {
            return;
        }
        if self.0.len() >= MAX {
            self.0.pop_front();
        }
        self.0.push_back(Run {
            id,
            session_key,
            until: until + AFTER,
        });
    }

    /// A node tells of a run; whether it was asked for it. A run that is over is not told of again.
    pub(super) fn tell(
        &mut self,
        id: &str,
        session_key: Option<&str>,
        is_over: bool,
        now: Instant,
    ) -> bool {
        self.0.retain(|run| run.until > now);
        let is_it = |run: &Run| {
            run.id == id
                && match (&run.session_key, session_key) {
                    (Some(own), Some(told)) => own == told,
                    _ => true,
                }
        };
        let Some(index) = self.0.iter().position(is_it) else {
            return false;
        };
        if is_over {
            self.0.remove(index);
        }
        true
    }
}
