//! What clients are told of their own requests and of what they missed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, broken, is_ack, is_push, is_response, text};
use crate::sim::history::{Asked, End, History, Note};

#[derive(Default)]
struct Request {
    is_sent: bool,
    is_acknowledged: bool,
    is_forgotten: bool,
    heard: bool,
    heard_final: bool,
    end: Option<End>,
}

/// Each request ends once, and as the wire says: answered, unknown, or not sent.
pub(super) fn one_outcome_per_request(history: &History) -> Result<(), Broken> {
    const PROMISE: &str = "one outcome per request";
    let mut requests: BTreeMap<Asked, Request> = BTreeMap::new();
    for (entry, noted) in history.entries.iter().enumerate() {
        let fail = |asked: &Asked, how: &str| broken(PROMISE, entry, format!("{asked:?} {how}"));
        match &noted.note {
            Note::Asked(asked) => {
                if requests.insert(asked.clone(), Request::default()).is_some() {
                    return fail(asked, "is asked twice under one name");
                }
            }
            Note::Sent(client, life, message) => {
                let asked = (*client, *life, text(&message.value, "id").to_owned());
                if let Some(request) = requests.get_mut(&asked) {
                    if request.end.is_some() {
                        return fail(&asked, "is sent after its end");
                    }
                    request.is_sent = true;
                }
            }
            Note::Got(client, life, message) if is_response(message) => {
                let asked = (*client, *life, text(&message.value, "id").to_owned());
                if let Some(request) = requests.get_mut(&asked) {
                    request.heard = true;
                    request.heard_final |= !is_ack(message);
                }
            }
            Note::Acknowledged(asked) => {
                let Some(request) = requests.get_mut(asked) else {
                    return fail(asked, "was never asked");
                };
                if !request.heard || request.end.is_some() || request.is_acknowledged {
                    return fail(asked, "is acknowledged out of turn");
                }
                request.is_acknowledged = true;
            }
            Note::Forgotten(asked) => {
                if let Some(request) = requests.get_mut(asked) {
                    request.is_forgotten = true;
                }
            }
            Note::Concluded(asked, end) => {
                let Some(request) = requests.get_mut(asked) else {
                    return fail(asked, "was never asked");
                };
                if request.end.is_some() {
                    return fail(asked, "ends twice");
                }
                if request.is_forgotten {
                    return fail(asked, "ends though it was forgotten");
                }
                let is_true = match end {
                    End::Answered => request.heard,
                    End::Unknown => request.is_sent && !request.heard_final,
                    End::NotSent => !request.is_sent,
                };
                if !is_true {
                    return fail(asked, &format!("did not end as {end:?}"));
                }
                request.end = Some(*end);
            }
            Note::Over(client, life) => {
                let theirs =
                    |(asked, _): &(&Asked, &Request)| asked.0 == *client && asked.1 == *life;
                let open = |request: &Request| request.end.is_none() && !request.is_forgotten;
                let first = requests
                    .iter()
                    .filter(theirs)
                    .find(|(_, request)| open(request));
                if let Some((asked, _)) = first {
                    return fail(asked, "has no end, and its connection is over");
                }
            }
            Note::Rest { .. } => {
                let open = |request: &Request| request.end.is_none() && !request.is_forgotten;
                if let Some((asked, _)) = requests.iter().find(|(_, request)| open(request)) {
                    return fail(asked, "has no end");
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a client cares for over many connections ends once.
pub(super) fn one_end_per_task(history: &History) -> Result<(), Broken> {
    const PROMISE: &str = "one end per task";
    let mut open = BTreeSet::new();
    for (entry, noted) in history.entries.iter().enumerate() {
        match &noted.note {
            Note::Task(client, task) => {
                open.insert((*client, *task));
            }
            Note::TaskEnded(client, task, _) => {
                if !open.remove(&(*client, *task)) {
                    return broken(
                        PROMISE,
                        entry,
                        format!("client {client} task {task} ends twice"),
                    );
                }
            }
            Note::Rest { .. } => {
                if let Some((client, task)) = open.first() {
                    return broken(
                        PROMISE,
                        entry,
                        format!("client {client} task {task} has no end"),
                    );
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Of every number that does not follow its predecessor a client is told, and of nothing else.
pub(super) fn gaps_are_told(history: &History) -> Result<(), Broken> {
    const PROMISE: &str = "gaps are told";
    #[derive(Default)]
    struct Follower {
        is_ready: bool,
        last: Option<u64>,
        due: Option<(u64, u64)>,
    }
    let mut followers: BTreeMap<usize, Follower> = BTreeMap::new();
    for (entry, noted) in history.entries.iter().enumerate() {
        match &noted.note {
            Note::Dialled(client, _) => {
                followers.insert(*client, Follower::default());
            }
            Note::Ready(client, _, protocol) => {
                let follower = followers.entry(*client).or_default();
                follower.is_ready = true;
                follower.last = (*protocol >= 4).then_some(0);
            }
            Note::Got(client, _, message) if is_push(message) => {
                let follower = followers.entry(*client).or_default();
                if let Some(due) = follower.due {
                    return broken(
                        PROMISE,
                        entry,
                        format!("client {client} was not told {due:?}"),
                    );
                }
                let Some(seq) = message.value["seq"].as_u64().filter(|_| follower.is_ready) else {
                    continue;
                };
                if let Some(last) = follower.last.replace(seq)
                    && seq != last + 1
                {
                    follower.due = Some((last + 1, seq));
                }
            }
            Note::Gap(client, _, expected, received) => {
                let follower = followers.entry(*client).or_default();
                if follower.due.take() != Some((*expected, *received)) {
                    let gap = format!("client {client} was told {expected} to {received}");
                    return broken(PROMISE, entry, gap);
                }
            }
            // What arrives after a client began to close is not looked at any more.
            Note::Over(client, _) => {
                followers.remove(client);
            }
            _ => {}
        }
    }
    Ok(())
}
