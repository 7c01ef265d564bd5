//! What becomes of work that takes its time.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, broken, is_ack, is_push, is_response, text};
use crate::sim::history::{History, Note, Socket};

/// What one socket was told of one run.
#[derive(Default)]
struct Told {
    rank: u8,
    waiting: Vec<String>,
}

/// On every socket a run has its parts in order: ack, start, …, end, chat final, final answer; and
/// each of the last three once.
pub(super) fn one_terminal_per_run(history: &History) -> Result<(), Broken> {
    const PROMISE: &str = "one terminal per run, in order";
    let mut told: BTreeMap<(Socket, String), Told> = BTreeMap::new();
    let mut readers: BTreeSet<Socket> = BTreeSet::new();
    // A close discards pushes that wait and keeps small replies: then a final may stand alone.
    let mut early: BTreeMap<Socket, String> = BTreeMap::new();
    for (entry, noted) in history.entries.iter().enumerate() {
        if let Note::Admitted(socket, guest) = &noted.note
            && !guest.is_node
            && guest.scopes.contains(&"operator.read")
        {
            readers.insert(*socket);
        }
        match &noted.note {
            Note::Closing(socket, ..) | Note::Ended(socket) => {
                early.remove(socket);
            }
            Note::Down(boot) => early.retain(|socket, _| socket.boot != *boot),
            Note::Rest { .. } => {
                if let Some((socket, how)) = early.first_key_value() {
                    return broken(PROMISE, entry, format!("{socket:?} {how}"));
                }
            }
            _ => {}
        }
        let Note::Said(socket, message) = &noted.note else {
            continue;
        };
        if is_push(message)
            && let Some(how) = early.get(socket)
        {
            return broken(PROMISE, entry, format!("{socket:?} {how}"));
        }
        let payload = &message.value["payload"];
        let run = text(payload, "runId");
        if run.is_empty() {
            continue;
        }
        let fail = |how: String| broken(PROMISE, entry, format!("{socket:?} run {run}: {how}"));
        let told = told.entry((*socket, run.to_owned())).or_default();
        if is_push(message) {
            let phase = text(payload, "phase");
            let rank = match phase {
                "start" => 1,
                "end" => 3,
                "final" => 4,
                _ => 2,
            };
            if rank < told.rank || rank == told.rank && rank != 2 {
                return fail(format!("{phase} comes after rank {}", told.rank));
            }
            if rank == 4 && told.rank != 3 {
                return fail("chat final without a lifecycle end".into());
            }
            told.rank = rank;
        } else if is_response(message) {
            let id = text(&message.value, "id").to_owned();
            if is_ack(message) {
                told.waiting.push(id);
            } else if let Some(at) = told.waiting.iter().position(|waiting| *waiting == id) {
                told.waiting.remove(at);
                if told.rank != 4 && readers.contains(socket) {
                    let how = format!("run {run}: final answer at rank {}", told.rank);
                    early.insert(*socket, how);
                }
            }
        }
    }
    Ok(())
}

/// What is asked for under one key is done once, as long as the key is remembered.
pub(super) fn a_key_is_done_once(history: &History) -> Result<(), Broken> {
    const PROMISE: &str = "a key is done once";
    let mut begun = BTreeSet::new();
    let mut ended = BTreeSet::new();
    for (entry, noted) in history.entries.iter().enumerate() {
        match &noted.note {
            Note::Began(boot, principal, key) => {
                let life = if history.keeps_runs { 0 } else { *boot };
                if !begun.insert((life, principal, key)) {
                    return broken(PROMISE, entry, format!("{principal} {key} begins twice"));
                }
            }
            Note::Finished(boot, run) => {
                let life = if history.keeps_runs { 0 } else { *boot };
                if !ended.insert((life, run)) {
                    return broken(PROMISE, entry, format!("{run} ends twice"));
                }
            }
            Note::Rest { works, open, .. } if *works > 0 || open.0 > 0 => {
                let how = format!("{works} runs go on, {} are open", open.0);
                return broken(PROMISE, entry, how);
            }
            _ => {}
        }
    }
    Ok(())
}
