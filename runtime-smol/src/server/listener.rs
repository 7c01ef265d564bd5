//! Listeners, and what happens to a socket before it is a WebSocket.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use async_net::{TcpListener, TcpStream};
use futures_lite::FutureExt;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::limits::Limits;
use smol::{Executor, Task, Timer};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use super::handle::Handle;
use super::intake::Intake;
use super::link::{FromSocket, Gate, Link};
use super::owner::{Application, Inlets, Owner};
use super::socket::Socket;
use crate::clock::Clock;
use crate::http::{self, Handler};
use crate::tls::{Credential, Stream};

/// The most connections that the kernel keeps for us until we accept them.
const BACKLOG: i32 = 1024;
/// How long to wait when no more sockets can be opened.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Whether a host that does not have the address is an error. An address that is in use always
    /// is.
    pub required: bool,
}

/// An address could not be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

impl ListenError {
    /// Whether somebody else listens there.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.source)
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The limits of the sockets themselves.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// What HTTP may take.
    pub http: http::Limits,
    /// Sockets that speak HTTP, or nothing yet; one more ends the oldest of them. Default 1,024.
    pub http_sockets: usize,
    /// Bytes that all sockets together have read and that are not dealt with yet, parts of
    /// messages included; past it the socket that holds most is closed with 1008. Default 256 MiB.
    pub input_in_all: usize,
    /// How long running work may take to end once a stop was asked for. Default 10 s.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            http: http::Limits::default(),
            http_sockets: 1024,
            input_in_all: 256 << 20,
            drain: Duration::from_secs(10),
        }
    }
}

/// Asks a server to stop; the second time, to stop waiting for running work.
#[derive(Clone, Debug)]
pub struct Stopper(Sender<()>);

impl Stopper {
    /// Asks.
    pub fn stop(&self) {
        let _ = self.0.try_send(());
    }
}

/// Bound listeners that do not accept yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    signals: Receiver<()>,
    stopper: Stopper,
    credential: Option<Credential>,
}

impl Server {
    /// Binds all endpoints.
    ///
    /// Where the first one asks for port 0, the others take the port that it was given.
    ///
    /// # Errors
    /// [`ListenError`] for an address that is in use, or that is required and cannot be had.
    pub fn bind(endpoints: &[Endpoint]) -> Result<Self, ListenError> {
        let mut listeners = Vec::new();
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for endpoint in endpoints {
            let mut address = endpoint.address;
            if let (0, Some(first)) = (address.port(), addresses.first()) {
                address.set_port(first.port());
            }
            match listen(address) {
                Ok((listener, bound)) => {
                    listeners.push(listener);
                    addresses.push(bound);
                }
                Err(source) => {
                    let error = ListenError { address, source };
                    if endpoint.required || error.is_in_use() {
                        return Err(error);
                    }
                    log::debug!("{error}; going on without it");
                }
            }
        }
        let (sender, signals) = async_channel::bounded(2);
        Ok(Self {
            listeners,
            addresses,
            signals,
            stopper: Stopper(sender),
            credential: None,
        })
    }

    /// Speaks TLS on all addresses, and nothing else.
    ///
    /// A handshake may take as long as a head ([`http::Limits::head_time`]), and a socket that is in one counts as one that
    /// speaks HTTP.
    #[must_use]
    pub fn with_tls(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
        self
    }

    /// The addresses that are listened on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What stops it.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Serves until it is stopped, and gives the application back.
    ///
    /// `application` is made with the handle that its tasks come back with. All tasks run on
    /// `executor`.
    pub async fn run<A: Application>(
        self,
        executor: Arc<Executor<'static>>,
        clock: Clock,
        hub: Hub,
        limits: ServerLimits,
        handler: Arc<dyn Handler>,
        application: impl FnOnce(Handle<A::Command>) -> A,
    ) -> A {
        let (inlets, to_owner, handle) = Inlets::new(self.signals);
        let (alive, all_gone) = async_channel::bounded(1);
        let intake = Arc::new(Intake::new(limits.input_in_all));
        let front = Arc::new(Front {
            executor: Arc::clone(&executor),
            handler,
            core: *hub.limits(),
            limits: limits.clone(),
            to_owner,
            waiting: Mutex::default(),
            credential: self.credential,
            intake: Arc::clone(&intake),
            alive,
        });
        let accepting: Vec<Task<()>> = self
            .listeners
            .into_iter()
            .map(|listener| executor.spawn(accept(listener, Arc::clone(&front))))
            .collect();
        let owner = Owner::new(hub, application(handle), clock, intake, limits.drain);
        let application = executor.spawn(owner.run(inlets)).await;
        for task in accepting {
            task.cancel().await;
        }
        front.end_all();
        drop(front);
        let _ = all_gone.recv().await;
        application
    }
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = RawSocket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = StdListener::from(socket);
    let bound = listener.local_addr()?;
    Ok((TcpListener::from(smol::Async::new(listener)?), bound))
}

/// What every accepted socket needs.
struct Front {
    executor: Arc<Executor<'static>>,
    handler: Arc<dyn Handler>,
    core: Limits,
    limits: ServerLimits,
    to_owner: Sender<FromSocket>,
    waiting: Mutex<Waiting>,
    credential: Option<Credential>,
    /// Every socket's task has a copy; when none is left, all of them are gone.
    alive: Sender<Never>,
    intake: Arc<Intake>,
}

enum Never {}

/// The sockets that are not WebSockets yet, oldest first.
#[derive(Default)]
struct Waiting {
    last: u64,
    sockets: BTreeMap<u64, Sender<Never>>,
    /// Whether the gateway has stopped; whoever comes now has to go at once.
    over: bool,
}

impl Front {
    /// Takes a socket in; the oldest gives way where there are too many.
    fn enter(&self) -> (u64, Receiver<Never>) {
        let (held, ended) = async_channel::bounded(1);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.sockets.len() >= self.limits.http_sockets {
            waiting.sockets.pop_first();
        }
        waiting.last += 1;
        let number = waiting.last;
        if !waiting.over {
            waiting.sockets.insert(number, held);
        }
        (number, ended)
    }

    fn leave(&self, number: u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.sockets.remove(&number);
    }

    fn end_all(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.over = true;
        waiting.sockets.clear();
    }
}

async fn accept(listener: TcpListener, front: Arc<Front>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let front = Arc::clone(&front);
                let executor = Arc::clone(&front.executor);
                executor.spawn(serve(stream, peer, front)).detach();
                futures_lite::future::yield_now().await;
            }
            Err(error) => {
                log::warn!("cannot accept a connection: {error}");
                Timer::after(EXHAUSTED).await;
            }
        }
    }
}

/// Serves one socket from its first byte to its last.
///
/// What it takes to get as far as a WebSocket is boxed, so that a connection does not hold the
/// room for it ever after.
async fn serve(stream: TcpStream, peer: SocketAddr, front: Arc<Front>) {
    let _alive = front.alive.clone();
    let upgraded = Box::pin(upgrade(stream, peer, front)).await;
    if let Some(socket) = upgraded {
        socket.run().await;
    }
}

/// Speaks HTTP on a socket until it is a WebSocket, if it becomes one.
async fn upgrade(
    stream: TcpStream,
    peer: SocketAddr,
    front: Arc<Front>,
) -> Option<Box<Socket<Stream>>> {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let local = stream.local_addr().ok()?;
    let _ = stream.set_nodelay(true);
    let (number, ended) = front.enter();
    let handler = Arc::clone(&front.handler);
    let limits = &front.limits.http;
    let speaking_http = async {
        let stream = match &front.credential {
            Some(credential) => credential.accept(stream, limits).await?,
            None => Stream::Plain(stream),
        };
        http::serve(stream, peer, local, handler, limits).await
    };
    let given_way = async {
        let _ = ended.recv().await;
        Ok(None)
    };
    let outcome = speaking_http.or(given_way).await;
    front.leave(number);
    let upgraded = outcome
        .inspect_err(|error| log::debug!("peer={peer} {error}"))
        .ok()??;
    let (batches, batch_queue) = async_channel::bounded(1);
    let gate = Arc::new(Gate::new(Arc::clone(&front.intake)));
    let link = Link {
        batches,
        gate: Arc::clone(&gate),
        writing: false,
    };
    let peer = front.handler.peer(&upgraded.head);
    let to_owner = front.to_owner.clone();
    to_owner.try_send(FromSocket::Open { peer, link }).ok()?;
    Some(Box::new(Socket::new(
        upgraded.stream,
        upgraded.leftover,
        to_owner,
        batch_queue,
        gate,
        front.core,
    )))
}
