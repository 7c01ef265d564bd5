//! What becomes of each invoke: one answer, whatever happens.

use std::collections::BTreeMap;

use openclaw_runtime_smol::client::node::{Denial, Invoke, Ticket};

use super::Command;
use super::order::{Order, read};

/// The most invokes that are worked on at a time.
pub(crate) const MOST: usize = 16;
/// How much of a command's name is repeated, in characters.
const SHOWN: usize = 80;

/// The invokes that are being worked on.
pub(crate) struct Desk {
    offered: Vec<Command>,
    open: BTreeMap<String, Ticket>,
}

/// What to do about an invoke.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Work on it, and say [`Desk::done`].
    Begin(Order),
    /// Say no.
    Deny(Denial),
    /// It is being worked on already.
    Nothing,
}

impl Desk {
    /// Begins with nothing to do.
    pub(crate) fn new(offered: Vec<Command>) -> Self {
        Self {
            offered,
            open: BTreeMap::new(),
        }
    }

    /// Takes an invoke in.
    pub(crate) fn invoked(&mut self, invoke: &Invoke) -> Step {
        let id = &invoke.ticket.id;
        if self.open.contains_key(id) {
            return Step::Nothing;
        }
        let command = Command::named(&invoke.command);
        let Some(command) = command.filter(|command| self.offered.contains(command)) else {
            return Step::Deny(not_offered(&invoke.command));
        };
        if self.open.len() >= MOST {
            return Step::Deny(Denial::new(
                "BUSY",
                format!("{MOST} commands are under way on this node; try again when one is done"),
            ));
        }
        match read(command, invoke.params.as_ref()) {
            Ok(order) => {
                self.open.insert(id.clone(), invoke.ticket.clone());
                Step::Begin(order)
            }
            Err(denial) => Step::Deny(denial),
        }
    }

    /// Work has ended, or is to end because nobody waits for it: returns what its answer goes to, once.
    pub(crate) fn done(&mut self, id: &str) -> Option<Ticket> {
        self.open.remove(id)
    }

    /// The connection has ended, and with it everybody's interest.
    pub(crate) fn interrupted(&mut self) {
        self.open.clear();
    }
}

fn not_offered(name: &str) -> Denial {
    let hint = if name == Command::Run.name() {
        "; start the node with --allow-run and the program's absolute path"
    } else {
        ""
    };
    let name = crate::output::short(name, SHOWN);
    Denial::new(
        "UNAVAILABLE",
        format!("this node does not offer \"{name}\"{hint}"),
    )
}

#[cfg(test)]
mod tests {
    use openclaw_protocol_core::json::Json;

    use super::*;

    fn invoke(id: &str, command: &str, params: &str) -> Invoke {
        Invoke {
            ticket: Ticket {
                id: id.to_owned(),
                node_id: "n".to_owned(),
            },
            command: command.to_owned(),
            params: Some(Json::parse(params.to_owned()).unwrap()),
            timeout: None,
            idempotency_key: None,
        }
    }

    fn info(id: &str) -> Invoke {
        invoke(id, "system.info", "{}")
    }

    fn code(step: Step) -> String {
        match step {
            Step::Deny(denial) => denial.code.into_owned(),
            Step::Begin(order) => format!("begin {order:?}"),
            Step::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn every_invoke_is_answered_once() {
        let mut desk = Desk::new(vec![Command::Info]);
        assert_eq!(desk.invoked(&info("1")), Step::Begin(Order::Info));
        assert_eq!(desk.invoked(&info("1")), Step::Nothing);
        assert_eq!(desk.done("1").unwrap().id, "1");
        assert_eq!(desk.done("1"), None);
    }

    #[test]
    fn what_ends_after_its_connection_is_answered_to_nobody() {
        let mut desk = Desk::new(vec![Command::Info]);
        desk.invoked(&info("1"));
        desk.interrupted();
        assert_eq!(desk.done("1"), None);
    }

    #[test]
    fn what_is_too_much_at_a_time_is_refused_until_something_is_done() {
        let mut desk = Desk::new(vec![Command::Info]);
        for id in 0..MOST {
            assert_eq!(
                desk.invoked(&info(&id.to_string())),
                Step::Begin(Order::Info)
            );
        }
        assert_eq!(code(desk.invoked(&info("more"))), "BUSY");
        desk.done("3");
        assert_eq!(desk.invoked(&info("more")), Step::Begin(Order::Info));
    }

    #[test]
    fn what_is_not_offered_is_denied_and_takes_no_place() {
        let mut desk = Desk::new(vec![Command::Info]);
        let run = desk.invoked(&invoke("1", "system.run", r#"{"command":["/bin/true"]}"#));
        let Step::Deny(denial) = run else {
            panic!("{run:?}");
        };
        assert_eq!(denial.code, "UNAVAILABLE");
        assert!(denial.message.contains("--allow-run"), "{denial:?}");
        assert_eq!(
            code(desk.invoked(&invoke("2", "x\u{1b}", "{}"))),
            "UNAVAILABLE"
        );
        assert_eq!(
            code(desk.invoked(&invoke("3", "system.info", "7"))),
            "INVALID_REQUEST"
        );
        assert!(desk.open.is_empty());
    }
}
