//! The work of a run, away from the owner's task.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_lite::FutureExt;
use openclaw_runtime_smol::server::Handle;

use super::Command;
use crate::agents::{AgentFault, Backend, Output, Told, ToolStep, Turn};

/// Answers one message. However that goes, the application hears of it.
pub(super) async fn work(
    backend: Arc<dyn Backend>,
    turn: Turn,
    serial: u64,
    handle: Handle<Command>,
) {
    let mut guard = Guard {
        handle: handle.clone(),
        serial,
        told: false,
    };
    let voice = Voice {
        handle: handle.clone(),
        serial,
    };
    let answered = AssertUnwindSafe(backend.answer(turn, &voice))
        .catch_unwind()
        .await;
    let end = answered.unwrap_or_else(|_| Err(AgentFault("the agent broke down".to_owned())));
    let command = Command::Ended { run: serial, end };
    guard.told = handle.send(command).await.is_ok();
}

/// Says that a run is over even if its work is dropped half-way.
struct Guard {
    handle: Handle<Command>,
    serial: u64,
    told: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.told {
            let end = Err(AgentFault("the agent was abandoned".to_owned()));
            let run = self.serial;
            let _ = self.handle.send_last_words(Command::Ended { run, end });
        }
    }
}

struct Voice {
    handle: Handle<Command>,
    serial: u64,
}

impl Voice {
    fn tell(&self, command: Command) -> Told<'_> {
        Box::pin(async move {
            let _ = self.handle.send(command).await;
        })
    }
}

impl Output for Voice {
    fn text<'a>(&'a self, delta: String) -> Told<'a> {
        let run = self.serial;
        self.tell(Command::Said { run, delta })
    }

    fn tool<'a>(&'a self, step: ToolStep) -> Told<'a> {
        let run = self.serial;
        self.tell(Command::Tool { run, step })
    }
}
