//! A ledger that the test plays: it writes at once, or when it is told to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::Sender;
use openclaw_gateway_service::app::desk::{Ledger, Writing};
use openclaw_gateway_service::pairing::Change;

type Ended = Result<(), String>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Notebook(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    written: Vec<Change>,
    holds: bool,
    /// What is being written, and how to say how that ended.
    open: Option<(Vec<Change>, Sender<Ended>)>,
}

impl Notebook {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on writing takes as long as the test says.
    pub(crate) fn hold(&self) {
        self.pages().holds = true;
    }

    /// Ends the writing that goes on.
    pub(crate) fn end(&self, result: Result<(), String>) {
        let mut pages = self.pages();
        let (changes, ended) = pages.open.take().expect("nothing is being written");
        if result.is_ok() {
            pages.written.extend(changes);
        }
        ended.try_send(result).expect("somebody waits for it");
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.pages().open.is_some()
    }

    /// Everything that was written, in its order.
    pub(crate) fn written(&self) -> Vec<Change> {
        self.pages().written.clone()
    }
}

impl Ledger for Notebook {
    fn write(&self, changes: Vec<Change>) -> Writing {
        let mut pages = self.pages();
        if !pages.holds {
            pages.written.extend(changes);
            return Box::pin(std::future::ready(Ok(())));
        }
        assert!(pages.open.is_none(), "two changes at once");
        let (ended, end) = async_channel::bounded(1);
        pages.open = Some((changes, ended));
        Box::pin(async move {
            end.recv()
                .await
                .unwrap_or_else(|_| Err("the test is over".to_owned()))
        })
    }
}
