//! Work that was acknowledged and awaits its final answer.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Hub;
use crate::frame::outgoing::Outcome;
use crate::json::Json;
use crate::server::{Call, ConnId};
use crate::time::Now;

/// Acknowledged work; it cannot be copied, so it ends once.
///
/// ```compile_fail,E0382
/// # use openclaw_protocol_core::hub::{Hub, Run};
/// # use openclaw_protocol_core::frame::outgoing::Outcome;
/// # use openclaw_protocol_core::time::Now;
/// fn complete_twice(hub: &mut Hub, run: Run, outcome: Outcome, now: Now) {
///     hub.complete(run, outcome.clone(), now);
///     hub.complete(run, outcome, now);
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "its waiters get their final answer when the run is completed"]
pub struct Run {
    serial: u64,
}

#[derive(Debug, Default)]
pub(super) struct Runs {
    open: BTreeMap<u64, Entry>,
    by_id: BTreeMap<Box<str>, u64>,
    last_serial: u64,
}

#[derive(Debug)]
struct Entry {
    run_id: Box<str>,
    waiters: Vec<Call>,
}

impl Hub {
    /// Acknowledges a request and opens a run: `payload` is its first answer, the outcome of
    /// [`Self::complete`] its final one.
    ///
    /// The call is consumed, so no second acknowledgement can follow:
    ///
    /// ```compile_fail,E0382
    /// # use openclaw_protocol_core::hub::Hub;
    /// # use openclaw_protocol_core::server::Call;
    /// # use openclaw_protocol_core::json::Json;
    /// # use openclaw_protocol_core::time::Now;
    /// fn accept_twice(hub: &mut Hub, call: Call, now: Now) {
    ///     let first = hub.accept(call, "run", Json::null(), now);
    ///     let second = hub.accept(call, "run", Json::null(), now);
    /// }
    /// ```
    pub fn accept(&mut self, call: Call, run_id: &str, payload: impl Into<Json>, now: Now) -> Run {
        self.runs.last_serial += 1;
        let serial = self.runs.last_serial;
        let waiters = self
            .acknowledge(call, payload.into(), now)
            .into_iter()
            .collect();
        self.runs.by_id.insert(run_id.into(), serial);
        self.runs.open.insert(
            serial,
            Entry {
                run_id: run_id.into(),
                waiters,
            },
        );
        Run { serial }
    }

    /// Acknowledges a request that waits for the same work as another one.
    ///
    /// # Errors
    /// The call, when no run of that id is open.
    pub fn join(
        &mut self,
        call: Call,
        run_id: &str,
        payload: impl Into<Json>,
        now: Now,
    ) -> Result<(), Call> {
        let Some(serial) = self.runs.by_id.get(run_id).copied() else {
            return Err(call);
        };
        let call = self.acknowledge(call, payload.into(), now);
        if let (Some(entry), Some(call)) = (self.runs.open.get_mut(&serial), call) {
            // A client that joins, goes and comes back must not leave a waiter each time.
            entry
                .waiters
                .retain(|waiter| self.slots.contains_key(&waiter.conn()));
            entry.waiters.push(call);
        }
        Ok(())
    }

    /// Ends a run: everybody who waits for it gets the same final answer.
    pub fn complete(&mut self, run: Run, outcome: Outcome, now: Now) {
        let Some(entry) = self.runs.open.remove(&run.serial) else {
            return;
        };
        if self.runs.by_id.get(&entry.run_id) == Some(&run.serial) {
            self.runs.by_id.remove(&entry.run_id);
        }
        for call in entry.waiters {
            self.reply(call, outcome.clone(), now);
        }
    }

    /// How many runs are open.
    #[must_use]
    pub fn open_runs(&self) -> usize {
        self.runs.open.len()
    }

    /// Sends a first answer; `None` when the connection has ended in the meantime.
    fn acknowledge(&mut self, call: Call, payload: Json, now: Now) -> Option<Call> {
        let conn: ConnId = call.conn();
        let slot = self.slots.get_mut(&conn)?;
        let call = slot.connection.interim(call, payload, now).ok();
        self.settle(conn, now);
        self.relieve(now);
        call
    }
}
