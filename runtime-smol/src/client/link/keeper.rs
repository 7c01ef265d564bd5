//! The task that keeps a link: it connects, serves one connection to its end, and asks the policy
//! what follows.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use async_channel::Receiver;
use futures_lite::{FutureExt, Stream};
use openclaw_protocol_core::client::{
    Ending, Fetch, Hello, Mirror, Next, Patience, Presents, Reconnect,
};
use openclaw_protocol_core::frame::{Close, close_code};
use openclaw_protocol_core::hello::connect::Credentials;
use openclaw_protocol_core::json::Json;

use super::Command;
use super::builder::Hook;
use super::shared::Shared;
use super::state::State;
use crate::client::Gateway;
use crate::client::builder::Builder;
use crate::client::error::{ConnectError, RequestError};
use crate::client::events::{Event, Events};
use crate::clock::Clock;
use crate::random;

/// How many events are passed on before other tasks have their turn.
const BATCH: u32 = 64;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Fetching = (Fetch, Boxed<Result<Json, RequestError>>);

pub(super) struct Keeper {
    builder: Builder,
    hook: Option<Hook>,
    configured: Credentials,
    device_token: Option<String>,
    policy: Reconnect,
    clock: Clock,
    shared: Arc<Shared>,
    commands: Pin<Box<Receiver<Command>>>,
}

/// The link was closed, or its last handle dropped.
struct Closed;

/// What happened on a connection.
enum Turn {
    Closed,
    Event(Event),
    Hooked(Result<(), RequestError>),
    Fetched(Fetch, Result<Json, RequestError>),
    Due,
}

impl Keeper {
    pub(super) fn new(
        builder: Builder,
        patience: Patience,
        hook: Option<Hook>,
        shared: Arc<Shared>,
        commands: Receiver<Command>,
    ) -> Self {
        let (configured, device_token) = split(builder.credentials().clone());
        Self {
            policy: Reconnect::new(patience, device_token.is_some()),
            builder,
            hook,
            configured,
            device_token,
            clock: Clock::start(),
            shared,
            commands: Box::pin(commands),
        }
    }

    pub(super) async fn keep(mut self) {
        let state = loop {
            match self.connect_once().await {
                Ok(None) => {}
                Ok(Some(stopped)) => break stopped,
                Err(Closed) => break State::Closed,
            }
        };
        let close = Close::new(close_code::NORMAL, "the link has ended");
        self.shared.end(&close, state);
    }

    /// Makes one connection, serves it to its end, and waits until another is due; a state when
    /// there will be none.
    async fn connect_once(&mut self) -> Result<Option<State>, Closed> {
        self.shared.publish(State::Connecting, None);
        let (next, error) = match self.open().await? {
            Ok((gateway, events)) => {
                let close = self.serve(gateway, events).await?;
                (self.ended(Ending::Closed(&close)), None)
            }
            Err(error) => (self.failed(&error), Some(Arc::new(error))),
        };
        match next {
            Next::RetryAt(at, why) => {
                let until = self.clock.at(at).unwrap_or_else(Instant::now);
                let state = State::Waiting { until, why, error };
                self.shared.publish(state, None);
                let due = async {
                    smol::Timer::at(until).await;
                };
                self.wait(due).await?;
            }
            Next::Pause(why) => {
                self.shared.publish(State::Paused { why, error }, None);
                self.wait(pending()).await?;
            }
            Next::Stop(why) => return Ok(Some(State::Stopped { why, error })),
        }
        Ok(None)
    }

    /// Connects; other credentials that come meanwhile are taken for a new attempt.
    async fn open(&mut self) -> Result<Result<(Gateway, Events), ConnectError>, Closed> {
        loop {
            let builder = self.builder.clone().presenting(self.credentials());
            let connected = async { Ok(builder.connect_with_events().await) };
            let commands = &self.commands;
            let command = async {
                loop {
                    match commands.recv().await.unwrap_or(Command::Close) {
                        Command::Resume(None) => {}
                        command @ (Command::Resume(Some(_)) | Command::Close) => {
                            break Err(command);
                        }
                    }
                }
            };
            match connected.or(command).await {
                Ok(connected) => return Ok(connected),
                Err(command) => self.obey(command)?,
            }
        }
    }

    fn credentials(&self) -> Credentials {
        match (self.policy.presents(), &self.device_token) {
            (Presents::DeviceToken, Some(token)) => Credentials {
                device_token: Some(token.clone()),
                ..Credentials::default()
            },
            (Presents::Configured | Presents::DeviceToken, _) => self.configured.clone(),
        }
    }

    /// Waits for `due` or until the owner resumes.
    async fn wait(&mut self, due: impl Future<Output = ()>) -> Result<(), Closed> {
        let commands = &self.commands;
        let command = async { Some(commands.recv().await.unwrap_or(Command::Close)) };
        let due = async {
            due.await;
            None
        };
        if let Some(command) = command.or(due).await {
            self.obey(command)?;
            self.policy.resume(self.device_token.is_some());
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) -> Result<(), Closed> {
        match command {
            Command::Resume(None) => {}
            Command::Resume(Some(credentials)) => {
                (self.configured, self.device_token) = split(*credentials);
                self.policy.resume(self.device_token.is_some());
            }
            Command::Close => return Err(Closed),
        }
        Ok(())
    }

    fn ended(&mut self, ending: Ending<'_>) -> Next {
        self.policy
            .ended(ending, random::spread(), self.clock.now())
    }

    fn failed(&mut self, error: &ConnectError) -> Next {
        match error {
            ConnectError::Refused(error) => self.ended(Ending::Refused(error)),
            ConnectError::NotAGateway { status, .. } => self.ended(Ending::NotAGateway(*status)),
            ConnectError::Unattributable { .. } => self.ended(Ending::NotAGateway(Some(403))),
            ConnectError::Untrusted { .. } => self.ended(Ending::Untrusted),
            ConnectError::Tls { .. } => self.ended(Ending::NotAGateway(None)),
            ConnectError::Closed { code, reason } => {
                self.ended(Ending::Closed(&Close::new(*code, reason.as_str())))
            }
            ConnectError::Url(_)
            | ConnectError::Params(_)
            | ConnectError::Unreachable { .. }
            | ConnectError::Timeout { .. } => self.ended(Ending::Unreachable),
        }
    }

    /// Serves a connection until it ends, and says how.
    async fn serve(&mut self, gateway: Gateway, mut events: Events) -> Result<Close, Closed> {
        let hello = Arc::new(gateway.hello().clone());
        self.policy.greeted(self.clock.now());
        self.shared.greeted(Mirror::new(&hello));
        let mut served = Served {
            hook: self.hook.as_ref().map(|hook| {
                let patience = self.builder.waits().handshake;
                let late = async move {
                    smol::Timer::after(patience).await;
                    Err(RequestError::TimedOut)
                };
                let hooked = hook(gateway.clone()).or(late);
                Box::pin(hooked) as Boxed<_>
            }),
            resubscribed: Ok(()),
            fetching: Vec::new(),
            timer: smol::Timer::never(),
            suspect: false,
            hello,
            gateway,
        };
        if served.hook.is_none() {
            served.announce(&self.shared);
        }
        let mut passed_on = 0;
        loop {
            match self.turn(&mut served, &mut events).await {
                Turn::Closed => {
                    served.gateway.close().await;
                    return Err(Closed);
                }
                Turn::Event(Event::Closed { code, reason }) => {
                    let interrupted = Event::Interrupted {
                        code,
                        reason: reason.clone(),
                    };
                    self.shared.tell(&interrupted);
                    return Ok(Close::new(code, reason));
                }
                Turn::Event(event) => self.pass_on(&event),
                Turn::Hooked(result) => {
                    served.hook = None;
                    served.resubscribed = result;
                    served.announce(&self.shared);
                }
                Turn::Fetched(fetch, result) => self.fetched(fetch, result),
                Turn::Due => {
                    let now = self.clock.now();
                    self.shared.mirror(|mirror| mirror.handle_timeout(now));
                }
            }
            self.recover(&mut served);
            passed_on += 1;
            if passed_on % BATCH == 0 {
                smol::future::yield_now().await;
            }
        }
    }

    /// Waits for what happens next; events come before answers, so that an answer is never taken
    /// for newer than a push that came before it.
    async fn turn(&mut self, served: &mut Served, events: &mut Events) -> Turn {
        poll_fn(|cx| {
            while let Poll::Ready(command) = self.commands.as_mut().poll_next(cx) {
                if self.obey(command.unwrap_or(Command::Close)).is_err() {
                    return Poll::Ready(Turn::Closed);
                }
            }
            if let Poll::Ready(event) = Pin::new(&mut *events).poll_next(cx) {
                let lost = || Event::Closed {
                    code: 1006,
                    reason: "the connection was lost".to_owned(),
                };
                return Poll::Ready(Turn::Event(event.unwrap_or_else(lost)));
            }
            if let Some(hook) = &mut served.hook
                && let Poll::Ready(result) = hook.as_mut().poll(cx)
            {
                return Poll::Ready(Turn::Hooked(result));
            }
            for at in 0..served.fetching.len() {
                if let Poll::Ready(result) = served.fetching[at].1.as_mut().poll(cx) {
                    let (fetch, _) = served.fetching.swap_remove(at);
                    return Poll::Ready(Turn::Fetched(fetch, result));
                }
            }
            Pin::new(&mut served.timer).poll(cx).map(|_| Turn::Due)
        })
        .await
    }

    fn pass_on(&mut self, event: &Event) {
        let now = self.clock.now();
        match event {
            Event::Push(push) => {
                self.policy.pushed(push, now);
                self.shared.mirror(|mirror| mirror.handle_push(push));
            }
            Event::Gap(_) | Event::Lagged(_) => {
                self.shared.mirror(|mirror| mirror.handle_gap(now));
            }
            Event::Interrupted { .. } | Event::Closed { .. } => {}
        }
        self.shared.tell(event);
    }

    fn fetched(&self, fetch: Fetch, result: Result<Json, RequestError>) {
        let now = self.clock.now();
        self.shared.mirror(|mirror| match result {
            Ok(payload) => mirror.handle_answer(fetch, Some(Ok(payload)), now),
            Err(RequestError::Answered { error, .. }) => {
                mirror.handle_answer(fetch, Some(Err(&error)), now);
            }
            Err(_) => mirror.handle_answer(fetch, None, now),
        });
    }

    /// Does what the mirror wants, and says when the state changed by it.
    fn recover(&self, served: &mut Served) {
        let moved = self.shared.mirror(|mirror| {
            let fetches: Vec<Fetch> = std::iter::from_fn(|| mirror.poll_fetch()).collect();
            let resynced = mirror.poll_resynced();
            (
                fetches,
                resynced,
                mirror.is_suspect(),
                mirror.poll_timeout(),
            )
        });
        let Some((fetches, resynced, suspect, due)) = moved else {
            return;
        };
        for fetch in fetches {
            let gateway = served.gateway.clone();
            let answer = async move { gateway.request(fetch.method(), ()).await };
            served.fetching.push((fetch, Box::pin(answer)));
        }
        if resynced {
            served.gateway.resynced();
        }
        match due.and_then(|due| self.clock.at(due)) {
            Some(at) => served.timer.set_at(at),
            None => served.timer = smol::Timer::never(),
        }
        if suspect != served.suspect {
            served.suspect = suspect;
            if served.hook.is_none() {
                served.announce(&self.shared);
            }
        }
    }
}

/// What is under way on a connection.
struct Served {
    gateway: Gateway,
    hello: Arc<Hello>,
    hook: Option<Boxed<Result<(), RequestError>>>,
    resubscribed: Result<(), RequestError>,
    fetching: Vec<Fetching>,
    timer: smol::Timer,
    suspect: bool,
}

impl Served {
    fn announce(&self, shared: &Shared) {
        let hello = self.hello.clone();
        let state = if self.suspect {
            State::Recovering { hello }
        } else {
            let resubscribed = self.resubscribed.clone();
            State::Ready {
                hello,
                resubscribed,
            }
        };
        shared.publish(state, Some(&self.gateway));
    }
}

/// The credentials that are presented first, and the device token that is held back; alone, a
/// device token is what is presented.
fn split(mut credentials: Credentials) -> (Credentials, Option<String>) {
    let device_token = credentials.device_token.take();
    if credentials.is_empty() {
        credentials.device_token = device_token;
        (credentials, None)
    } else {
        (credentials, device_token)
    }
}
