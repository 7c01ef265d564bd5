//! Connects as a node, and carries between the gateway and those who work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_signal::{Signal, Signals};
use openclaw_protocol_core::json::Json;
use openclaw_runtime_smol::client::node::{self, Answer, Asked, Denial, Invoke, Ticket};
use openclaw_runtime_smol::client::{
    ConnectError, Credentials, Event, Events, Hello, Link, RequestError, State, States, Why,
};
use smol::channel::{Receiver, Sender};
use smol::future::{self, FutureExt as _};
use smol::stream::StreamExt as _;
use smol::{Task, Timer};

use super::allowed::Allowed;
use super::desk::{Desk, Step};
use super::report::{Out, Standing};
use super::work::Work;
use super::{CAPS, Command, info};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::target::{Node, Target};

/// How often a device that waits to be approved asks.
const ASK_AGAIN: Duration = Duration::from_secs(3);
/// How often a node tells how it is, and by that learns whether what it offers is approved.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long an answer may take to be sent.
const SEND: Duration = Duration::from_secs(10);
/// How long goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// What a node offers, and under which name.
pub(crate) struct Offer {
    /// The commands.
    pub(crate) commands: Vec<Command>,
    /// The programs that `system.run` may start.
    pub(crate) allowed: Allowed,
    /// What operators know it by.
    pub(crate) display_name: Option<String>,
    /// Names the installation.
    pub(crate) instance_id: Option<String>,
}

/// Serves as a node until it is stopped or turned away for good.
pub(crate) async fn serve(target: Target, offer: Offer) -> Result<Exit, Failure> {
    let mut signals = Signals::new([Signal::Term, Signal::Int])
        .map_err(|error| Failure::other(format!("cannot wait for signals: {error}")))?;
    let target = Arc::new(target);
    let Node {
        builder,
        device_id,
        token,
    } = {
        let target = Arc::clone(&target);
        smol::unblock(move || target.node()).await?
    };
    let names: Vec<&str> = offer
        .commands
        .iter()
        .map(|command| command.name())
        .collect();
    let mut builder = builder.caps(CAPS).commands(names.iter().copied());
    if let Some(name) = &offer.display_name {
        builder = builder.display_name(name);
    }
    if let Some(id) = &offer.instance_id {
        builder = builder.instance_id(id);
    }
    let out = Out::start();
    out.say(format!("node {device_id}, for {}", target.shown_url()));
    out.say(format!("offers {}", names.join(", ")));
    let link = match builder.link().start() {
        Ok(link) => link,
        Err(error) => return Err(target.turned_away(&error)),
    };
    let (done, finished) = smol::channel::unbounded();
    let mut host = Host {
        states: link.states(),
        events: link.events(),
        link,
        target,
        device_id,
        token,
        desk: Desk::new(offer.commands),
        work: Arc::new(Work {
            allowed: offer.allowed,
            out: out.clone(),
        }),
        jobs: BTreeMap::new(),
        done,
        finished,
        look: None,
        again: Timer::never(),
        standing: Standing::default(),
        approved: None,
        out: out.clone(),
    };
    let stopped = async {
        let is_int = matches!(signals.next().await, Some(Ok(Signal::Int)));
        log::info!("{}: stopping", if is_int { "SIGINT" } else { "SIGTERM" });
        Ok(Exit::Ok)
    };
    let result = stopped.or(host.serve()).await;
    host.end().await;
    out.say("stopped");
    out.flush();
    result
}

struct Host {
    link: Link,
    states: States,
    events: Events,
    target: Arc<Target>,
    device_id: String,
    /// What the next connection presents, where it is the device's own token.
    token: Option<String>,
    desk: Desk,
    work: Arc<Work>,
    /// Those who work; dropping one ends the work.
    jobs: BTreeMap<String, Task<()>>,
    done: Sender<(String, Answer)>,
    finished: Receiver<(String, Answer)>,
    /// Asks whether what is offered is approved.
    look: Option<Task<Result<Json, RequestError>>>,
    again: Timer,
    standing: Standing,
    /// Whether what is offered is approved, where that is known.
    approved: Option<bool>,
    out: Out,
}

/// What happened.
enum Turn {
    State(Option<State>),
    Event(Option<Event>),
    Done(String, Answer),
    Looked(Result<Json, RequestError>),
    Again,
}

impl Host {
    async fn serve(&mut self) -> Result<Exit, Failure> {
        loop {
            match self.turn().await {
                Turn::State(Some(state)) => self.state(state).await?,
                Turn::State(None) | Turn::Event(None) => {
                    return Err(Failure::other("The connection to the gateway has ended."));
                }
                Turn::Event(Some(event)) => self.event(event),
                Turn::Done(id, answer) => {
                    self.jobs.remove(&id);
                    if let Some(ticket) = self.desk.done(&id) {
                        self.answer(ticket, answer);
                    }
                }
                Turn::Looked(result) => self.looked(&result),
                Turn::Again => self.again(),
            }
        }
    }

    async fn turn(&mut self) -> Turn {
        let state = async { Turn::State(self.states.next().await) };
        let event = async { Turn::Event(self.events.next().await) };
        let done = async {
            match self.finished.recv().await {
                Ok((id, answer)) => Turn::Done(id, answer),
                // This end is kept, so it is never closed.
                Err(_) => future::pending().await,
            }
        };
        let look = &mut self.look;
        let looked = async {
            match look {
                Some(task) => {
                    let result = task.await;
                    *look = None;
                    Turn::Looked(result)
                }
                None => future::pending().await,
            }
        };
        let again = async {
            (&mut self.again).await;
            Turn::Again
        };
        state.or(event).or(done).or(looked).or(again).await
    }

    async fn state(&mut self, state: State) -> Result<(), Failure> {
        match state {
            State::Connecting | State::Recovering { .. } | State::Draining | State::Closed => {}
            State::Ready { hello, .. } => self.greeted(&hello).await,
            State::Waiting { until, why, error } => {
                if !self.waits_for_device(error.as_deref()) {
                    let wait = until.saturating_duration_since(Instant::now());
                    let line = self.standing.waiting(why, error.as_deref(), wait);
                    self.say(line);
                }
            }
            State::Paused { why, error } => {
                if !self.waits_for_device(error.as_deref()) {
                    return Err(self.turned_away(why, error.as_deref()));
                }
                self.again.set_after(ASK_AGAIN);
            }
            State::Stopped { why, error } => {
                return Err(self.turned_away(why, error.as_deref()));
            }
            other => log::debug!("{other:?}"),
        }
        Ok(())
    }

    async fn greeted(&mut self, hello: &Hello) {
        let line = format!("connected to {}", self.target.shown_url());
        let line = self.standing.news(line);
        self.say(line);
        log::info!("connected; the gateway is {}", hello.server_version);
        let (target, device_id) = (Arc::clone(&self.target), self.device_id.clone());
        let hello = hello.raw.clone();
        let news = smol::unblock(move || target.welcomed(&device_id, &hello)).await;
        if news.is_some() && news != self.token {
            self.token.clone_from(&news);
            self.link.resume_with(Credentials {
                device_token: news,
                ..Credentials::default()
            });
        }
        self.approved = None;
        self.look();
    }

    /// Says how the device is approved, if that is what is missing.
    fn waits_for_device(&mut self, error: Option<&ConnectError>) -> bool {
        let command = error.and_then(|error| self.target.approves_device(error));
        if let Some(command) = &command {
            let line =
                format!("waiting for approval of this device; on the gateway's host: {command}");
            let line = self.standing.news(line);
            self.say(line);
        }
        command.is_some()
    }

    fn turned_away(&self, why: Why, error: Option<&ConnectError>) -> Failure {
        let Some(error) = error else {
            let message = if why == Why::Removed {
                "The gateway has removed this node."
            } else {
                "The gateway does not want this node."
            };
            return Failure::refused(message)
                .hint("To ask anew, run this again with --token or --password of the gateway.");
        };
        self.target.turned_away(error)
    }

    /// Asks whether what is offered is approved, by telling the gateway that we are there.
    fn look(&mut self) {
        let link = self.link.clone();
        self.look = Some(smol::spawn(async move {
            let event = smol::unblock(info::event).await;
            link.request_within(node::EVENT, event, SEND).await
        }));
    }

    fn looked(&mut self, result: &Result<Json, RequestError>) {
        let waits = result.as_ref().err();
        let waits = waits.and_then(|error| self.target.approves_node(error));
        let before = self.approved;
        match (result, waits) {
            (_, Some(_)) if before == Some(true) => {
                let line =
                    "not approved any more, or another connection of this node has taken its place";
                let line = self.standing.news(line.to_owned());
                self.say(line);
            }
            (_, Some(command)) => {
                self.approved = Some(false);
                let line = format!(
                    "waiting for approval of what it offers; on the gateway's host: {command}"
                );
                let line = self.standing.news(line);
                self.say(line);
            }
            (Ok(_), None) => {
                self.approved = Some(true);
                if before != Some(true) {
                    let line = self
                        .standing
                        .news("approved: operators can invoke it".to_owned());
                    self.say(line);
                }
            }
            (Err(error), None) => log::debug!("the gateway does not take events: {error}"),
        }
        self.again.set_after(LOOK_AGAIN);
    }

    fn again(&mut self) {
        let state = self.link.state();
        if matches!(state, State::Paused { .. }) {
            self.link.resume();
        } else if matches!(state, State::Ready { .. } | State::Recovering { .. }) {
            self.look();
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Push(push) => match node::asked(&push) {
                Some(Asked::Invoke(invoke)) => self.invoked(invoke),
                Some(Asked::Unreadable(ticket)) => {
                    let denial = Denial::new("INVALID_REQUEST", "the invoke cannot be read");
                    self.answer(ticket, Err(denial));
                }
                Some(Asked::Cancel { id }) => self.cancelled(&id),
                Some(Asked::Resolved { decision }) => {
                    log::info!("what this node offers was {decision}");
                    self.look();
                }
                Some(other) => log::debug!("{other:?}"),
                None => {}
            },
            Event::Lagged(count) => {
                log::warn!("{count} messages of the gateway were missed: too many came at once");
            }
            Event::Interrupted { code, reason } | Event::Closed { code, reason } => {
                log::info!("disconnected: {code} {reason}");
                self.desk.interrupted();
                self.jobs.clear();
                self.look = None;
                self.again = Timer::never();
            }
            Event::Gap(_) => {}
            other => log::debug!("{other:?}"),
        }
    }

    fn invoked(&mut self, invoke: Invoke) {
        match self.desk.invoked(&invoke) {
            Step::Begin(order) => {
                let Invoke {
                    ticket: Ticket { id, .. },
                    command,
                    timeout,
                    ..
                } = invoke;
                let (work, done) = (Arc::clone(&self.work), self.done.clone());
                let key = id.clone();
                let job = smol::spawn(async move {
                    let began = Instant::now();
                    let answer = work.carry_out(order, timeout).await;
                    let how = match &answer {
                        Ok(_) => "done",
                        Err(denial) => &denial.code,
                    };
                    log::info!("{command}: {how} in {} ms", began.elapsed().as_millis());
                    drop(done.send((id, answer)).await);
                });
                self.jobs.insert(key, job);
            }
            Step::Deny(denial) => {
                log::info!("an invoke was denied: {}", denial.code);
                self.answer(invoke.ticket, Err(denial));
            }
            Step::Nothing => {}
        }
    }

    fn cancelled(&mut self, id: &str) {
        self.jobs.remove(id);
        if let Some(ticket) = self.desk.done(id) {
            log::info!("an invoke was cancelled");
            let denial = Denial::new("CANCELLED", "the gateway does not wait any more");
            self.answer(ticket, Err(denial));
        }
    }

    fn answer(&self, ticket: Ticket, answer: Answer) {
        let link = self.link.clone();
        smol::spawn(async move {
            let mut sent = link
                .request_within(node::RESULT, ticket.answer(&answer), SEND)
                .await;
            if let Err(RequestError::TooLarge { bytes, limit }) = sent {
                let denial = Denial::new(
                    "PAYLOAD_TOO_LARGE",
                    format!("the answer has {bytes} bytes, and the gateway takes {limit}"),
                );
                let answer = ticket.answer(&Err(denial));
                sent = link.request_within(node::RESULT, answer, SEND).await;
            }
            if let Err(error) = sent {
                log::warn!("an answer did not arrive: {error}");
            }
        })
        .detach();
    }

    fn say(&self, line: Option<String>) {
        if let Some(line) = line {
            self.out.say(line);
        }
    }

    /// Ends all work, and says goodbye; whoever does not answer is not waited for.
    async fn end(&mut self) {
        let goodbye = async {
            for (_, job) in std::mem::take(&mut self.jobs) {
                job.cancel().await;
            }
            self.link.close().await;
        };
        let late = async {
            Timer::after(GOODBYE).await;
        };
        goodbye.or(late).await;
    }
}
