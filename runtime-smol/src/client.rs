//! A client of a gateway: requests, runs and a stream of events over one WebSocket.
//!
//! ```no_run
//! use openclaw_runtime_smol::client::{Event, Gateway};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! smol::block_on(async {
//!     let gateway = Gateway::builder("ws://127.0.0.1:18789")
//!         .token("secret")
//!         .scopes(["operator.read"])
//!         .connect()
//!         .await?;
//!     let health = gateway.request("health", ()).await?;
//!     println!("{}: {}", gateway.hello().server_version, health.as_str());
//!     let mut events = gateway.events();
//!     while let Some(event) = events.next().await {
//!         match event {
//!             Event::Push(push) => println!("{} {}", push.event, push.payload.as_str()),
//!             other => println!("{other:?}"),
//!         }
//!     }
//!     Ok(())
//! })
//! # }
//! ```
//!
//! One task on smol's global executor drives each connection; handles talk to it through queues,
//! so no call of one handle waits for another. A [`Gateway`] is one connection: after
//! [`Event::Closed`] build a new one, or let a [`Link`] do that.
//!
//! This module logs nothing, but the WebSocket library logs whole messages, secrets included, at
//! level `trace` of the `log` crate under the target `tungstenite`: keep that level off.

mod address;
mod builder;
mod callers;
mod counted;
mod device;
mod driver;
mod error;
mod events;
mod link;
pub mod node;
mod params;
mod run;
mod wire;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_channel::{Receiver, Sender, TrySendError};
use futures_lite::FutureExt;
use openclaw_protocol_core::client::{Expect, Outgoing};
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::json::Json;

pub use builder::Builder;
pub use device::Device;
pub use error::{ConnectError, RequestError, Stage, UrlError};
pub use events::{Event, Events};
pub use link::{Link, LinkBuilder, State, States};
pub use openclaw_protocol_core::client::{Gap, Hello, Patience, Timeouts, Why};
pub use openclaw_protocol_core::frame::from_gateway::Push;
pub use openclaw_protocol_core::hello::connect::Credentials;
pub use params::Params;
pub use run::Run;

use callers::RunFeed;
use driver::{Ask, Control};
use run::{Pending, Source};

/// How many requests wait for the connection's task before callers wait themselves.
const WAITING_REQUESTS: usize = 64;
/// What a request has around its method and parameters, in bytes, at most.
const REQUEST_FRAME: u64 = 80;

/// A connection to a gateway; clones share it, and it closes when the last one is dropped.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    hello: Hello,
    request_timeout: Duration,
    asks: Sender<Ask>,
    control: Sender<Control>,
    serial: AtomicU64,
    over: Arc<OnceLock<Close>>,
    /// Never holds anything; its other end is dropped with the task.
    ended: Receiver<()>,
}

impl Gateway {
    /// Starts building a connection to `url`, which is `ws://host:port` or `wss://host:port` with an optional path.
    ///
    /// A URL that cannot be used is reported by [`Builder::connect`]. [`Builder::trust`] says who is believed over `wss://`.
    pub fn builder(url: impl AsRef<str>) -> Builder {
        Builder::new(url.as_ref())
    }

    fn new(
        hello: Hello,
        request_timeout: Duration,
        asks: Sender<Ask>,
        control: Sender<Control>,
        over: Arc<OnceLock<Close>>,
        ended: Receiver<()>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                hello,
                request_timeout,
                asks,
                control,
                serial: AtomicU64::new(0),
                over,
                ended,
            }),
        }
    }

    /// What the gateway said when it let us in.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.shared.hello
    }

    /// Sends a request and waits for its answer, 30 s unless the timeouts say otherwise.
    ///
    /// Requests may be under way at the same time; answers find theirs in any order. If you stop
    /// waiting, the answer is ignored, but the gateway may still act on the request.
    ///
    /// # Errors
    /// See [`RequestError`], which tells *answered* from *not sent* from *unknown*.
    pub async fn request(
        &self,
        method: &str,
        params: impl Into<Params>,
    ) -> Result<Json, RequestError> {
        let outgoing = outgoing(method, params.into(), Expect::Reply, None);
        self.send(outgoing, None).await?.outcome().await
    }

    /// Sends a request like [`Self::request`] and waits at most `within` for its answer.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request_within(
        &self,
        method: &str,
        params: impl Into<Params>,
        within: Duration,
    ) -> Result<Json, RequestError> {
        let outgoing = outgoing(method, params.into(), Expect::Reply, Some(within));
        self.send(outgoing, None).await?.outcome().await
    }

    /// Sends a request that is acknowledged before it is finished, such as `agent`, and waits for
    /// the acknowledgement.
    ///
    /// If the first answer is the final one already, the run is finished.
    ///
    /// # Errors
    /// The gateway refused it, or it was not acknowledged; see [`RequestError`].
    pub async fn run(&self, method: &str, params: impl Into<Params>) -> Result<Run, RequestError> {
        let outgoing = outgoing(method, params.into(), Expect::Final, None);
        let (feed, events) = events::subscription();
        let id = callers::key(&outgoing);
        let pending = self.send(outgoing, Some(RunFeed { id, feed })).await?;
        Run::start(pending, events).await
    }

    /// Subscribes to what the gateway pushes from now on.
    ///
    /// Any number of subscriptions may exist; see [`Events`] for what happens to slow ones.
    #[must_use]
    pub fn events(&self) -> Events {
        let (feed, events) = events::subscription();
        if let Err(Control::Subscribe(feed)) = self.control(Control::Subscribe(feed)) {
            feed.end(&self.over());
        }
        events
    }

    /// Closes the connection with 1000 and waits until it is over: at most 1 s for the gateway's
    /// answer unless the timeouts say otherwise.
    ///
    /// Requests that were sent and not answered end as *unknown*, those that the connection has not
    /// taken yet as *not sent*. It ends the connection for every clone; closing twice does nothing
    /// more.
    pub async fn close(&self) {
        drop(self.control(Control::Close));
        self.ended().await;
    }

    fn is_open(&self) -> bool {
        self.shared.over.get().is_none()
    }

    /// How the connection ended.
    fn over(&self) -> Close {
        let lost = || Close::new(1006, "the connection was lost");
        self.shared.over.get().cloned().unwrap_or_else(lost)
    }

    /// Waits until the connection is over.
    async fn ended(&self) {
        let _ = self.shared.ended.recv().await;
    }

    /// Says that what was lost in a gap was fetched again.
    fn resynced(&self) {
        drop(self.control(Control::Resynced));
    }

    /// Hands the task something that is no request; gives it back when the task is gone.
    fn control(&self, control: Control) -> Result<(), Control> {
        let result = self.shared.control.try_send(control);
        result.map_err(TrySendError::into_inner)
    }

    async fn send(
        &self,
        outgoing: Outgoing,
        run: Option<RunFeed>,
    ) -> Result<Pending, RequestError> {
        let bytes = outgoing.method.len() + outgoing.params.as_ref().map_or(0, Json::len);
        let bytes = REQUEST_FRAME + bytes as u64;
        let limit = self.shared.hello.max_payload;
        if bytes > limit {
            return Err(RequestError::TooLarge { bytes, limit });
        }
        let within = outgoing.within.unwrap_or(self.shared.request_timeout);
        let serial = self.shared.serial.fetch_add(1, Ordering::Relaxed);
        let (sender, replies) = async_channel::bounded(2);
        let ask = Ask {
            serial,
            outgoing,
            replies: sender,
            run,
        };
        match self.shared.asks.try_send(ask) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return Err(RequestError::NotSent),
            Err(TrySendError::Full(ask)) => {
                let queued = async { self.shared.asks.send(ask).await.is_ok() };
                let late = async {
                    smol::Timer::after(within).await;
                    false
                };
                if !queued.or(late).await {
                    return Err(RequestError::NotSent);
                }
            }
        }
        let gateway = self.clone();
        Ok(Pending::new(
            Source::Connection { gateway, serial },
            replies,
        ))
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("is_open", &self.is_open())
            .finish_non_exhaustive()
    }
}

fn outgoing(method: &str, params: Params, expect: Expect, within: Option<Duration>) -> Outgoing {
    Outgoing {
        method: method.into(),
        params: params.into_json(),
        expect,
        within,
    }
}
