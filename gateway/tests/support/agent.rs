//! An agent that does what the test says, when it says it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use openclaw_gateway_service::agents::{AgentFault, Backend, Output, ToolStep, Turn, Work};
use smol::channel::{Receiver, Sender, unbounded};

/// What an agent does next; one that is told nothing hangs.
#[derive(Debug)]
pub(crate) enum Do {
    Say(String),
    Use(ToolStep),
    Finish,
    Fail(&'static str),
    Panic,
    /// It finishes, and panics while its work is dropped: nobody is left to say how it ended.
    FallApart,
}

/// Every turn is found by its message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Puppet {
    turns: Arc<Mutex<BTreeMap<String, Played>>>,
}

#[derive(Debug)]
struct Played {
    turn: Turn,
    begun: usize,
    strings: Sender<Do>,
}

impl Puppet {
    pub(crate) fn tell(&self, message: &str, what: Do) {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let played = turns.get(message);
        let played = played.unwrap_or_else(|| panic!("no turn {message:?} has begun"));
        played.strings.try_send(what).expect("the agent listens");
    }

    /// How often the work on a message was begun.
    pub(crate) fn begun(&self, message: &str) -> usize {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.get(message).map_or(0, |played| played.begun)
    }

    /// Whether somebody still works on a message.
    pub(crate) fn works_on(&self, message: &str) -> bool {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns
            .get(message)
            .is_some_and(|played| !played.strings.is_closed())
    }

    pub(crate) fn turn(&self, message: &str) -> Turn {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns[message].turn.clone()
    }
}

impl Backend for Puppet {
    fn provider(&self) -> &str {
        "puppet"
    }

    fn model(&self) -> &str {
        "puppet-1"
    }

    fn answer<'a>(&'a self, turn: Turn, output: &'a dyn Output) -> Work<'a> {
        let (strings, orders) = unbounded();
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = turns
            .get(&turn.message)
            .map_or(0, |played| played.begun + 1);
        let played = Played {
            turn: turn.clone(),
            begun: begun.max(1),
            strings,
        };
        turns.insert(turn.message, played);
        let falls_apart = Arc::new(AtomicBool::new(false));
        let work = Box::pin(obey(orders, output, Arc::clone(&falls_apart)));
        Box::pin(Brittle { work, falls_apart })
    }
}

async fn obey(
    orders: Receiver<Do>,
    output: &dyn Output,
    falls_apart: Arc<AtomicBool>,
) -> Result<(), AgentFault> {
    while let Ok(order) = orders.recv().await {
        match order {
            Do::Say(text) => output.text(text).await,
            Do::Use(step) => output.tool(step).await,
            Do::Finish => return Ok(()),
            Do::Fail(text) => return Err(AgentFault(text.to_owned())),
            Do::Panic => panic!("as the test says"),
            Do::FallApart => {
                falls_apart.store(true, Ordering::Release);
                return Ok(());
            }
        }
    }
    std::future::pending().await
}

struct Brittle<'a> {
    work: Work<'a>,
    falls_apart: Arc<AtomicBool>,
}

impl Future for Brittle<'_> {
    type Output = Result<(), AgentFault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.work.as_mut().poll(cx)
    }
}

impl Drop for Brittle<'_> {
    fn drop(&mut self) {
        assert!(!self.falls_apart.load(Ordering::Acquire), "it falls apart");
    }
}
