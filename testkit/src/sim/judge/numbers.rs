//! The numbers of pushes, and who hears them.

use std::collections::{BTreeMap, VecDeque};

use super::{Broken, broken, hears, is_push, text};
use crate::sim::history::{Family, Guest, History, Note, Socket};
use crate::sim::link::Message;

struct Listener {
    guest: Guest,
    last: u64,
    /// Numbers that were left out since the last push of the application.
    gap: u64,
    /// What the application pushed to it and was not seen yet; and whether it may be dropped.
    expected: VecDeque<(u64, bool)>,
    is_over: bool,
}

/// Numbers rise by one, but for pushes that were dropped and may be; what was not dropped arrives
/// in order; and nobody hears what is not for them.
pub(super) fn numbers_rise_by_one(history: &History) -> Result<(), Broken> {
    let mut listeners: BTreeMap<Socket, Listener> = BTreeMap::new();
    for (entry, noted) in history.entries.iter().enumerate() {
        match &noted.note {
            Note::Admitted(socket, guest) => {
                listeners.insert(
                    *socket,
                    Listener {
                        guest: guest.clone(),
                        last: 0,
                        gap: 0,
                        expected: VecDeque::new(),
                        is_over: false,
                    },
                );
            }
            Note::Published {
                boot,
                number,
                family,
                droppable,
                ..
            } => {
                let theirs = |(socket, _): &(&Socket, &mut Listener)| socket.boot == *boot;
                for (_, listener) in listeners.iter_mut().filter(theirs) {
                    if hears(&listener.guest, *family) {
                        listener.expected.push_back((*number, *droppable));
                    }
                }
            }
            Note::Said(socket, message) if is_push(message) => {
                if text(&message.value, "event") == "connect.challenge" {
                    continue;
                }
                let Some(listener) = listeners.get_mut(socket) else {
                    return broken("no push before hello", entry, format!("{socket:?}"));
                };
                listener.hear(message).or_else(|(promise, how)| {
                    broken(promise, entry, format!("{socket:?} {how}"))
                })?;
            }
            Note::Closing(socket, ..) | Note::Ended(socket) => {
                if let Some(listener) = listeners.get_mut(socket) {
                    listener.is_over = true;
                }
            }
            Note::Rest { .. } => {
                let newest = listeners.keys().map(|socket| socket.boot).max();
                for (socket, listener) in &listeners {
                    if listener.is_over || Some(socket.boot) != newest {
                        continue;
                    }
                    if let Some((number, _)) = listener.expected.iter().find(|(_, may)| !may) {
                        let how = format!("{socket:?} never heard push {number}");
                        return broken("what is not dropped arrives", entry, how);
                    }
                    if listener.gap > listener.expected.len() as u64 {
                        let how = format!("{socket:?} lost {}", listener.gap);
                        return broken("a gap is a real loss", entry, how);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

type Fault = (&'static str, String);

impl Listener {
    fn hear(&mut self, message: &Message) -> Result<(), Fault> {
        let Some(seq) = message.value["seq"].as_u64() else {
            return Err(("every push has a number", String::new()));
        };
        if seq <= self.last {
            let how = format!("{seq} after {}", self.last);
            return Err(("numbers rise by one", how));
        }
        self.gap += seq - self.last - 1;
        self.last = seq;
        let payload = &message.value["payload"];
        let reads = Family::Scope("operator.read");
        let event = text(&message.value, "event");
        match event {
            "presence" if !hears(&self.guest, reads) => {
                return Err(("nobody hears what is not for them", event.into()));
            }
            "health" if payload.get("n").is_some() && !hears(&self.guest, reads) => {
                return Err(("nobody hears what is not for them", event.into()));
            }
            "presence" | "health" | "tick" | "shutdown" => {
                let droppable = self.expected.len() as u64;
                if self.gap > droppable {
                    return Err(("a gap is a real loss", format!("{} before {seq}", self.gap)));
                }
                return Ok(());
            }
            _ => {}
        }
        let number = payload["n"].as_u64().unwrap_or(0);
        let Some(at) = self.expected.iter().position(|(next, _)| *next == number) else {
            let how = format!("push {number} as {seq}");
            return Err(("nobody hears what is not for them, or twice", how));
        };
        let lost: Vec<_> = self.expected.drain(..=at).take(at).collect();
        if let Some((number, _)) = lost.iter().find(|(_, may)| !may) {
            return Err(("what is not dropped arrives", format!("push {number}")));
        }
        let gap = core::mem::take(&mut self.gap);
        if gap != lost.len() as u64 {
            let how = format!("{gap} numbers for {} lost before {seq}", lost.len());
            return Err(("a gap is a real loss", how));
        }
        Ok(())
    }
}
