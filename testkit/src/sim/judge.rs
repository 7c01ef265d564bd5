//! Says whether a history keeps the protocol's promises; it reads the history and nothing else.
#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::collapsible_match,
    reason = "each law looks at a few of many kinds of notes"
)]

mod clients;
mod memory;
mod numbers;
mod oracle;
mod rest;
mod runs;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

use super::history::{Family, Guest, History};
use super::link::Message;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The promise.
    pub promise: &'static str,
    /// Which entry of the history broke it.
    pub entry: usize,
    /// How.
    pub how: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (entry {}): {}", self.promise, self.entry, self.how)
    }
}

type Law = fn(&History) -> Result<(), Broken>;

/// The promises, each with the one that judges it.
const LAWS: [Law; 12] = [
    rest::everything_comes_to_rest,
    runs::one_terminal_per_run,
    oracle::only_what_the_table_allows,
    clients::one_outcome_per_request,
    clients::one_end_per_task,
    clients::gaps_are_told,
    runs::a_key_is_done_once,
    numbers::numbers_rise_by_one,
    state::versions_never_fall,
    memory::what_waits_is_bounded,
    rest::presence_is_who_is_there,
    rest::everybody_is_current,
];

/// Judges a history.
///
/// # Errors
/// The first promise that was broken.
pub fn judge(history: &History) -> Result<(), Broken> {
    LAWS.iter().try_for_each(|law| law(history))
}

fn broken<T>(promise: &'static str, entry: usize, how: impl Into<String>) -> Result<T, Broken> {
    Err(Broken {
        promise,
        entry,
        how: how.into(),
    })
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or("")
}

fn is_response(message: &Message) -> bool {
    text(&message.value, "type") == "res"
}

fn is_push(message: &Message) -> bool {
    text(&message.value, "type") == "event"
}

fn is_hello(message: &Message) -> bool {
    text(&message.value["payload"], "type") == "hello-ok"
}

/// Whether an answer announces another one.
fn is_ack(message: &Message) -> bool {
    message.value["ok"] == true && text(&message.value["payload"], "status") == "accepted"
}

/// Whether somebody is meant to hear a push.
fn hears(guest: &Guest, family: Family) -> bool {
    let holds = |scope: &str| !guest.is_node && guest.scopes.contains(&scope);
    match family {
        Family::All => true,
        Family::Scope(scope) => holds(scope),
        Family::Cap(scope, cap) => holds(scope) && guest.caps.contains(&cap),
        Family::Without(scope) => !holds(scope),
    }
}
