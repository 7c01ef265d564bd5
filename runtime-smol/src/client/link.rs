//! A link to a gateway that outlives its connections.

mod attached;
mod builder;
mod keeper;
mod shared;
mod state;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use openclaw_protocol_core::client::{Expect, Outgoing};
use openclaw_protocol_core::hello::connect::Credentials;
use openclaw_protocol_core::json::Json;

use super::error::RequestError;
use super::events::{self, Events};
use super::params::Params;
use super::run::{Pending, Run, Source};
use super::{Gateway, outgoing};

pub use builder::LinkBuilder;
pub use state::{State, States};

use attached::Attached;
use shared::Shared;

/// A link to a gateway that connects again whenever its connection ends; clones share it, and it
/// closes when the last one is dropped.
///
/// [`Builder::link`](super::Builder::link) begins one:
///
/// ```no_run
/// use openclaw_runtime_smol::client::{Gateway, State};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// smol::block_on(async {
///     let link = Gateway::builder("ws://127.0.0.1:18789")
///         .token("secret")
///         .scopes(["operator.read"])
///         .link()
///         .resubscribe(|gateway| async move {
///             gateway.request("logs.tail", ()).await.map(drop)
///         })
///         .start()?;
///     let mut states = link.states();
///     while let Some(state) = states.next().await {
///         match state {
///             State::Ready { hello, .. } => println!("ready: {}", hello.server_version),
///             State::Paused { why, .. } => println!("{why:?}: fix it, then `link.resume()`"),
///             other => println!("{other:?}"),
///         }
///     }
///     Ok(())
/// })
/// # }
/// ```
///
/// Waits between attempts have full jitter; what passes is tried for ever, refused credentials and
/// missing approvals pause until [`Self::resume`], a protocol mismatch stops. After each hello the
/// resubscribe hook runs, then requests flow. After lost pushes, health and presence are fetched
/// again by themselves.
#[derive(Clone)]
pub struct Link {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    request_timeout: Duration,
    commands: Sender<Command>,
    /// Never holds anything; its other end is dropped with the task.
    ended: Receiver<()>,
}

/// What handles tell the task.
enum Command {
    Resume(Option<Box<Credentials>>),
    Close,
}

impl Link {
    fn new(
        shared: Arc<Shared>,
        request_timeout: Duration,
        commands: Sender<Command>,
        ended: Receiver<()>,
    ) -> Self {
        Self {
            handle: Arc::new(Handle {
                shared,
                request_timeout,
                commands,
                ended,
            }),
        }
    }

    /// How the link is now.
    #[must_use]
    pub fn state(&self) -> State {
        self.handle.shared.state()
    }

    /// Follows the link's states, beginning with the present one.
    #[must_use]
    pub fn states(&self) -> States {
        self.handle.shared.states()
    }

    /// Subscribes to what the gateway pushes from now on, over all connections.
    ///
    /// [`Event::Interrupted`](super::Event::Interrupted) stands where a connection ended: what was
    /// pushed until the next is missed. The stream ends when the link is closed or stops.
    #[must_use]
    pub fn events(&self) -> Events {
        let (feed, events) = events::subscription();
        self.handle.shared.subscribe(feed);
        events
    }

    /// The presence list as far as it is known, an array; while the link is not ready it may be
    /// out of date.
    #[must_use]
    pub fn presence(&self) -> Option<Json> {
        self.handle.shared.mirrored(|mirror| mirror.presence())
    }

    /// The health snapshot as far as it is known; while the link is not ready it may be out of
    /// date.
    #[must_use]
    pub fn health(&self) -> Option<Json> {
        self.handle.shared.mirrored(|mirror| mirror.health())
    }

    /// Sends a request and waits for its answer, 30 s in all unless the timeouts say otherwise.
    ///
    /// While the link connects or waits to, the request waits with it, within its own time. It is
    /// sent at most once: if the connection ends after that, the outcome is *unknown*.
    ///
    /// # Errors
    /// See [`RequestError`]; *not sent* also while the link is paused, drains or has ended.
    pub async fn request(
        &self,
        method: &str,
        params: impl Into<Params>,
    ) -> Result<Json, RequestError> {
        let within = self.handle.request_timeout;
        self.request_within(method, params, within).await
    }

    /// Sends a request like [`Self::request`] and waits at most `within`, connecting included.
    ///
    /// # Errors
    /// See [`Self::request`].
    pub async fn request_within(
        &self,
        method: &str,
        params: impl Into<Params>,
        within: Duration,
    ) -> Result<Json, RequestError> {
        let shared = &self.handle.shared;
        let params = params.into();
        let until = Instant::now().checked_add(within);
        let _open = shared.enter()?;
        loop {
            let gateway = shared.serving(until, false).await?;
            let left = until.map_or(within, |until| {
                until.saturating_duration_since(Instant::now())
            });
            match gateway.request_within(method, params.clone(), left).await {
                Err(RequestError::NotSent) => shared::ended(&gateway, until).await?,
                answer => return answer,
            }
        }
    }

    /// Sends a request that is acknowledged before it is finished, such as `agent`, and waits for
    /// the acknowledgement.
    ///
    /// If its parameters have an `idempotencyKey`, the run outlives the connection: it is joined
    /// again by itself, over the next one, by repeating the same request. Pushes that came
    /// meanwhile are missed ([`Run::missed`], [`Run::interruptions`]), the final answer is not.
    /// Where joining is not safe (no key, the gateway restarted, more than 5 min have passed) the
    /// run ends as *unknown*.
    ///
    /// # Errors
    /// The gateway refused it, or it was not acknowledged in time; see [`RequestError`].
    pub async fn run(&self, method: &str, params: impl Into<Params>) -> Result<Run, RequestError> {
        let open = self.handle.shared.enter()?;
        let outgoing: Outgoing = outgoing(method, params.into(), Expect::Final, None);
        let (feed, events) = events::subscription();
        let (sender, replies) = async_channel::bounded(2);
        let attached = Attached::new(self.clone(), open, outgoing, sender, feed);
        let task = smol::spawn(attached.follow());
        Run::start(Pending::new(Source::Task(task), replies), events).await
    }

    /// Connects at once instead of when the wait is over, or although the link is paused.
    ///
    /// While it is connected this does nothing.
    pub fn resume(&self) {
        drop(self.handle.commands.try_send(Command::Resume(None)));
    }

    /// Replaces the credentials for this and every later connection, and resumes.
    ///
    /// A connection that is open stays as it is.
    pub fn resume_with(&self, credentials: Credentials) {
        let command = Command::Resume(Some(Box::new(credentials)));
        drop(self.handle.commands.force_send(command));
    }

    /// Takes no new requests, waits for those that are open and for runs, and closes.
    ///
    /// It waits as long as they take; [`Self::close`] ends the waiting. If you stop waiting, the
    /// link goes on draining, but is not closed by itself.
    pub async fn drain(&self) {
        self.handle.shared.drain().await;
        self.close().await;
    }

    /// Closes the link for every clone, and waits until its connection is over.
    ///
    /// Requests that were sent and not answered end as *unknown*, others as *not sent*.
    pub async fn close(&self) {
        self.handle.shared.refuse();
        drop(self.handle.commands.force_send(Command::Close));
        let _ = self.handle.ended.recv().await;
    }

    async fn serving(&self, until: Option<Instant>) -> Result<Gateway, RequestError> {
        self.handle.shared.serving(until, true).await
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
