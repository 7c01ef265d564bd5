//! How a link is made, and how patient it is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use openclaw_protocol_core::client::Patience;

use super::keeper::Keeper;
use super::shared::Shared;
use super::{Command, Link};
use crate::client::Gateway;
use crate::client::builder::Builder;
use crate::client::error::{ConnectError, RequestError};

pub(super) type Hook = Arc<
    dyn Fn(Gateway) -> Pin<Box<dyn Future<Output = Result<(), RequestError>> + Send>> + Send + Sync,
>;

/// The most commands that wait for the link's task; more than one says the same again.
const WAITING_COMMANDS: usize = 16;

/// Collects what a link needs; [`Builder::link`] starts one.
#[derive(Clone)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct LinkBuilder {
    builder: Builder,
    patience: Patience,
    hook: Option<Hook>,
}

impl LinkBuilder {
    pub(in crate::client) fn new(builder: Builder) -> Self {
        Self {
            builder,
            patience: Patience::default(),
            hook: None,
        }
    }

    /// Sets how long the link waits between attempts; 1 s, doubling up to 30 s, by default.
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Runs `hook` over each new connection before anybody else may use it: the place to ask for
    /// what a gateway forgets when a connection ends.
    ///
    /// It has as long as a handshake may take. If it fails the link goes on, and
    /// [`State::Ready`](super::State::Ready) says so; if the connection ends it is dropped.
    pub fn resubscribe<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Gateway) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), RequestError>> + Send + 'static,
    {
        self.hook = Some(Arc::new(move |gateway| Box::pin(hook(gateway))));
        self
    }

    /// Starts to connect, on a task on smol's global executor, and does not wait for it.
    ///
    /// # Errors
    /// The address or what the client says of itself cannot be used; everything else is told by
    /// [`Link::states`].
    pub fn start(self) -> Result<Link, ConnectError> {
        self.builder.check()?;
        let shared = Arc::new(Shared::new());
        let (commander, commands) = async_channel::bounded::<Command>(WAITING_COMMANDS);
        let (alive, ended) = async_channel::bounded(1);
        let request_timeout = self.builder.waits().request;
        let keeper = Keeper::new(
            self.builder,
            self.patience,
            self.hook,
            shared.clone(),
            commands,
        );
        smol::spawn(async move {
            keeper.keep().await;
            drop(alive);
        })
        .detach();
        Ok(Link::new(shared, request_timeout, commander, ended))
    }
}

impl fmt::Debug for LinkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkBuilder")
            .field("builder", &self.builder)
            .field("patience", &self.patience)
            .field("resubscribes", &self.hook.is_some())
            .finish()
    }
}
