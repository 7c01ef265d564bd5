//! Who waits for which answer, and for which run's pushes.

use std::collections::BTreeMap;

use async_channel::Sender;
use openclaw_protocol_core::client::{Expect, Outgoing, RequestId};
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::from_gateway::Push;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::json::Json;

use super::error::RequestError;
use super::events::{Event, Feed};

/// What a request hears.
pub(super) enum Reply {
    Accepted(Json),
    Done(Result<Json, RequestError>),
}

/// Where the pushes of a run go, and its id as far as it is known.
pub(super) struct RunFeed {
    pub(super) id: Option<Box<str>>,
    pub(super) feed: Feed,
}

/// Everybody who waits on one connection.
#[derive(Default)]
pub(super) struct Callers {
    /// What handles call a request, and what the core calls it.
    serials: BTreeMap<u64, RequestId>,
    waiting: BTreeMap<RequestId, (u64, Sender<Reply>)>,
    runs: BTreeMap<RequestId, RunFeed>,
}

impl Callers {
    pub(super) fn add(
        &mut self,
        request: RequestId,
        serial: u64,
        replies: Sender<Reply>,
        run: Option<RunFeed>,
    ) {
        self.serials.insert(serial, request);
        self.waiting.insert(request, (serial, replies));
        if let Some(run) = run {
            self.runs.insert(request, run);
        }
    }

    pub(super) fn remove(&mut self, serial: u64) -> Option<RequestId> {
        let request = self.serials.remove(&serial)?;
        self.waiting.remove(&request);
        self.runs.remove(&request);
        Some(request)
    }

    pub(super) fn accepted(&mut self, request: RequestId, payload: Json) {
        if let Some(run) = self.runs.get_mut(&request)
            && let Some(id) = run_id(&payload)
        {
            run.id = Some(id);
        }
        if let Some((_, replies)) = self.waiting.get(&request) {
            drop(replies.try_send(Reply::Accepted(payload)));
        }
    }

    pub(super) fn done(&mut self, request: RequestId, result: Result<Json, RequestError>) {
        self.runs.remove(&request);
        if let Some((serial, replies)) = self.waiting.remove(&request) {
            self.serials.remove(&serial);
            drop(replies.try_send(Reply::Done(result)));
        }
    }

    /// Gives a push to the runs that it is about.
    pub(super) fn pushed(&mut self, push: &Push) {
        if self.runs.is_empty() || !matches!(&*push.event, "agent" | "chat") {
            return;
        }
        let about = run_id(&push.payload);
        for run in self.runs.values_mut() {
            if about.is_some() && run.id == about {
                run.feed.offer(Event::Push(push.clone()));
            }
        }
    }
}

pub(super) fn result(outcome: Outcome) -> Result<Json, RequestError> {
    if outcome.ok {
        return Ok(outcome.payload.unwrap_or(Json::null()));
    }
    let silent = || ErrorShape::unavailable("the gateway gave no reason");
    Err(RequestError::Answered {
        error: Box::new(outcome.error.unwrap_or_else(silent)),
        payload: outcome.payload,
    })
}

/// The member `runId` of a payload.
pub(super) fn run_id(payload: &Json) -> Option<Box<str>> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct About {
        run_id: Box<str>,
    }
    payload.read::<About>().ok().map(|about| about.run_id)
}

/// What a run is called before its ack says so: requests that name a run by their idempotency key
/// get their first pushes right.
pub(super) fn key(outgoing: &Outgoing) -> Option<Box<str>> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Keyed {
        idempotency_key: Box<str>,
    }
    let params = outgoing.params.as_ref()?;
    let wanted = outgoing.expect == Expect::Final;
    wanted
        .then(|| params.read::<Keyed>().ok())
        .flatten()
        .map(|keyed| keyed.idempotency_key)
}
