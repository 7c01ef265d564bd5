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
    // The back end is called inside the guarded future: it may panic before it has made its own.
    let answered = AssertUnwindSafe(async { backend.answer(turn, &voice).await })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::Work;
    use futures_lite::future;

    /// Panics before it has made a future, or never answers.
    struct Broken {
        at_once: bool,
    }

    impl Backend for Broken {
        fn provider(&self) -> &'static str {
            "test"
        }

        fn model(&self) -> &'static str {
            "test"
        }

        fn answer<'a>(&'a self, _: Turn, _: &'a dyn Output) -> Work<'a> {
            assert!(!self.at_once, "as the test says");
            Box::pin(std::future::pending())
        }
    }

    fn end_of(at_once: bool) -> Option<Command> {
        let (handle, detached) = Handle::detached();
        let turn = Turn {
            message: "m".to_owned(),
            session_key: "agent:main:main".to_owned(),
            agent_id: "main".to_owned(),
        };
        let work = work(Arc::new(Broken { at_once }), turn, 7, handle);
        let polled = smol::block_on(future::poll_once(Box::pin(work)));
        assert_eq!(polled.is_some(), at_once);
        detached.take()
    }

    fn assert_ended(command: Option<Command>, reason: &str) {
        let Some(Command::Ended { run: 7, end }) = command else {
            panic!("nothing was said of the end: {command:?}");
        };
        assert_eq!(end, Err(AgentFault(reason.to_owned())));
    }

    #[test]
    fn an_agent_that_panics_before_it_begins_ends_only_its_run() {
        assert_ended(end_of(true), "the agent broke down");
    }

    #[test]
    fn work_that_is_dropped_half_way_still_says_that_it_is_over() {
        assert_ended(end_of(false), "the agent was abandoned");
    }
}
