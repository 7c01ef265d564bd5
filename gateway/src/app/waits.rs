//! Requests that wait for the end of a run: `agent.wait`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::idempotency::Bounds;
use openclaw_protocol_core::json::Object;
use openclaw_protocol_core::server::{Call, ConnId};
use openclaw_protocol_core::time::{Instant, Now};

use super::run::Ended;

/// How long a wait takes that says nothing of it.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// The longest that a wait may take.
const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

type WaitId = (ConnId, u64);

/// Who waits, and what has ended lately. Waits are bounded by the open calls of each connection.
#[derive(Debug)]
pub(super) struct Waits {
    /// How long the end of a run is remembered, and how many: as long and as many as results under
    /// their idempotency keys.
    bounds: Bounds,
    waiting: BTreeMap<WaitId, Wait>,
    by_run: BTreeMap<Box<str>, BTreeSet<WaitId>>,
    due: BTreeSet<(Instant, WaitId)>,
    last: u64,
    ended: BTreeMap<Box<str>, Ended>,
    order: VecDeque<(Instant, Box<str>)>,
    /// Whether the gateway stops.
    over: bool,
}

#[derive(Debug)]
struct Wait {
    call: Call,
    run_id: Box<str>,
    until: Instant,
}

impl Waits {
    pub(super) const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            waiting: BTreeMap::new(),
            by_run: BTreeMap::new(),
            due: BTreeSet::new(),
            last: 0,
            ended: BTreeMap::new(),
            order: VecDeque::new(),
            over: false,
        }
    }

    /// Answers at once if the run has ended, else when it ends or the time is over.
    pub(super) fn wait(
        &mut self,
        hub: &mut Hub,
        call: Call,
        run_id: &str,
        timeout_ms: Option<u64>,
        now: Now,
    ) {
        self.forget_old(now.at);
        if let Some(ended) = self.ended.get(run_id) {
            return hub.reply(call, Outcome::success(ended.payload.clone()), now);
        }
        if self.over {
            return hub.reply(call, stopping(), now);
        }
        let wait = timeout_ms
            .map_or(DEFAULT_WAIT, Duration::from_millis)
            .min(MAX_WAIT);
        if wait.is_zero() {
            return hub.reply(call, timed_out(run_id), now);
        }
        self.last += 1;
        let id = (call.conn(), self.last);
        let until = now.at + wait;
        self.by_run.entry(run_id.into()).or_default().insert(id);
        self.due.insert((until, id));
        self.waiting.insert(
            id,
            Wait {
                call,
                run_id: run_id.into(),
                until,
            },
        );
    }

    /// A run has ended: everybody who waits for it is told, now and later.
    pub(super) fn ended(&mut self, hub: &mut Hub, run_id: &str, ended: Ended, now: Now) {
        for id in self.by_run.remove(run_id).unwrap_or_default() {
            if let Some(wait) = self.waiting.remove(&id) {
                self.due.remove(&(wait.until, id));
                hub.reply(wait.call, Outcome::success(ended.payload.clone()), now);
            }
        }
        if self.ended.insert(run_id.into(), ended).is_none() {
            self.order.push_back((now.at, run_id.into()));
        }
        self.forget_old(now.at);
    }

    /// The gateway stops: no run that anybody still waits for will ever end.
    pub(super) fn end_all(&mut self, hub: &mut Hub, now: Now) {
        self.by_run.clear();
        self.due.clear();
        for (_, wait) in std::mem::take(&mut self.waiting) {
            hub.reply(wait.call, stopping(), now);
        }
        self.over = true;
    }

    /// Whether a run of that name has ended lately.
    pub(super) fn knows(&mut self, run_id: &str, now: Now) -> bool {
        self.forget_old(now.at);
        self.ended.contains_key(run_id)
    }

    /// A connection is over, and with it what it waited for.
    pub(super) fn forget_connection(&mut self, conn: ConnId) {
        let gone: Vec<WaitId> = self
            .waiting
            .range((conn, 0)..=(conn, u64::MAX))
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.remove(id);
        }
    }

    pub(super) fn handle_timeout(&mut self, hub: &mut Hub, now: Now) {
        while let Some((until, id)) = self.due.first().copied()
            && until <= now.at
        {
            if let Some(wait) = self.remove(id) {
                hub.reply(wait.call, timed_out(&wait.run_id), now);
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(until, _)| *until)
    }

    fn remove(&mut self, id: WaitId) -> Option<Wait> {
        let wait = self.waiting.remove(&id)?;
        self.due.remove(&(wait.until, id));
        if let Some(ids) = self.by_run.get_mut(&wait.run_id) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_run.remove(&wait.run_id);
            }
        }
        Some(wait)
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front()
            && (*at + self.bounds.kept <= now || self.order.len() > self.bounds.rows)
        {
            if let Some((_, run_id)) = self.order.pop_front() {
                self.ended.remove(&run_id);
            }
        }
    }
}

fn stopping() -> Outcome {
    Outcome::failure(ErrorShape::unavailable("gateway stopping").retryable_after(None))
}

fn timed_out(run_id: &str) -> Outcome {
    Outcome::success(
        Object::new()
            .text("runId", run_id)
            .text("status", "timeout"),
    )
}
