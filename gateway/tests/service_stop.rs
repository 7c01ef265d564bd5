//! How a whole gateway stops, seen from its sockets.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect may end it"
)]

#[path = "../../runtime-smol/tests/server/wire.rs"]
#[allow(dead_code, reason = "the runtime's tests need more of it")]
mod wire;

use std::io::Read;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use openclaw_gateway_service::agents::echo::Echo;
use openclaw_gateway_service::config::limits::LimitsConfig;
use openclaw_gateway_service::environment::Environment;
use openclaw_gateway_service::secret::Secret;
use openclaw_gateway_service::secret::resolve::{Resolved, SecretKind, SecretSource};
use openclaw_gateway_service::service::Service;
use openclaw_gateway_service::startup::{self, Auth, Flags};

use openclaw_runtime_smol::server::{ServerLimits, Stopper};
use openclaw_runtime_smol::threads;
use wire::{CLOSE, Client, PATIENCE, request, text};

const CONNECT: &str = r#"{"type":"req","id":"c","method":"connect","params":{"minProtocol":4,"maxProtocol":4,"client":{"id":"gateway-client","version":"1","platform":"linux","mode":"backend"},"role":"operator","scopes":["operator.admin"],"auth":{"token":"secret"}}}"#;

/// What the client of a run sees of a stop, in this order.
const ORDER: [&str; 3] = ["terminal", "shutdown", "close 1012 service restart"];

struct Gateway {
    address: SocketAddr,
    stopper: Stopper,
    ended: Receiver<()>,
    /// One gateway at a time, so that what the process holds can be counted.
    _alone: MutexGuard<'static, ()>,
}

impl Gateway {
    fn new() -> Self {
        Self::with(ServerLimits::default())
    }

    fn with(server_limits: ServerLimits) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let home = tempfile::tempdir().unwrap();
        let flags = Flags {
            allow_unconfigured: true,
            ..Flags::default()
        };
        let mut prepared = startup::prepare(&flags, &Environment::new(home.path())).unwrap();
        prepared.plan.auth = Auth::Secret(Resolved {
            secret: Secret::new("secret").unwrap(),
            kind: SecretKind::Token,
            source: SecretSource::Generated(home.path().into()),
        });
        prepared.plan.listen.truncate(1);
        prepared.plan.listen[0].address.set_port(0);
        let limits = LimitsConfig {
            server: server_limits,
            ..LimitsConfig::default()
        };
        let service = Service::bind(prepared).unwrap().with_limits(limits);
        let (address, stopper) = (service.addresses()[0], service.stopper());
        let (end, ended) = channel();
        thread::spawn(move || {
            threads::run(|executor| service.run_with(executor, Arc::new(Echo)));
            let _ = end.send(());
        });
        Self {
            address,
            stopper,
            ended,
            _alone: alone,
        }
    }

    fn client(&self) -> Client {
        let mut client = self.stranger();
        client.send(text(CONNECT));
        let hello = client.text();
        assert!(hello.contains("hello-ok"), "{hello}");
        client
    }

    fn stranger(&self) -> Client {
        let mut client = Client::upgrade(self.address);
        assert!(client.text().contains("connect.challenge"));
        client
    }

    fn probe(&self, path: &str) -> String {
        let mut client = Client::tcp(self.address);
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ));
        let mut answer = String::new();
        client.stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn ended(&self) {
        self.ended.recv_timeout(PATIENCE).unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stopper.stop();
        self.stopper.stop();
    }
}

fn agent(id: &str, message: &str) -> Vec<u8> {
    let params = format!(r#"{{"message":"{message}","idempotencyKey":"{id}"}}"#);
    request(id, "agent", &params)
}

/// Asks for a run and waits until it has begun.
fn begin(client: &mut Client, id: &str, message: &str) {
    client.send(agent(id, message));
    let accepted = answer(client, id);
    assert!(accepted.contains(r#""status":"accepted""#), "{accepted}");
}

fn answer(client: &mut Client, id: &str) -> String {
    let start = format!(r#"{{"type":"res","id":"{id}""#);
    loop {
        let text = client.text();
        if text.starts_with(&start) {
            return text;
        }
    }
}

/// What comes up to the close, as far as its order matters here; the close is answered.
fn to_the_end(client: &mut Client, id: &str) -> Vec<String> {
    let terminal = format!(r#"{{"type":"res","id":"{id}""#);
    let mut all = Vec::new();
    loop {
        let frame = client.frame();
        if frame.opcode == CLOSE {
            let (code, reason) = frame.payload.split_at(2);
            let code = u16::from_be_bytes(code.try_into().unwrap());
            all.push(format!("close {code} {}", String::from_utf8_lossy(reason)));
            client.close(code);
            return all;
        }
        let text = String::from_utf8(frame.payload).unwrap();
        if text.starts_with(&terminal) {
            all.push("terminal".to_owned());
        } else if text.contains(r#""event":"shutdown""#) {
            all.push("shutdown".to_owned());
        }
    }
}

#[test]
fn a_run_ends_before_the_shutdown_is_said_and_the_close_comes_last() {
    let gateway = Gateway::new();
    let mut client = gateway.client();
    begin(&mut client, "r", "/slow 300ms one two three");
    gateway.stopper.stop();
    assert_eq!(to_the_end(&mut client, "r"), ORDER);
    gateway.ended();
}

#[test]
fn a_run_that_does_not_end_is_ended_at_the_limit_in_the_same_order() {
    let gateway = Gateway::with(ServerLimits {
        drain: Duration::from_millis(100),
        ..ServerLimits::default()
    });
    let mut client = gateway.client();
    begin(&mut client, "r", "/hang");
    gateway.stopper.stop();
    assert_eq!(to_the_end(&mut client, "r"), ORDER);
    gateway.ended();
}

#[test]
fn a_second_stop_does_not_wait_for_runs() {
    let gateway = Gateway::new();
    let mut client = gateway.client();
    begin(&mut client, "r", "/hang");
    let start = Instant::now();
    gateway.stopper.stop();
    gateway.stopper.stop();
    assert_eq!(to_the_end(&mut client, "r"), ORDER);
    gateway.ended();
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn sockets_without_hello_are_told_of_the_restart() {
    let gateway = Gateway::new();
    let mut stranger = gateway.stranger();
    gateway.stopper.stop();
    assert_eq!(stranger.closed(), (1012, "service restart".to_owned()));
    stranger.close(1012);
    stranger.gone();
    gateway.ended();
}

#[test]
fn while_it_drains_newcomers_and_new_runs_are_refused_and_probes_are_answered() {
    let gateway = Gateway::new();
    let mut client = gateway.client();
    begin(&mut client, "r", "/hang");
    assert!(gateway.probe("/readyz").starts_with("HTTP/1.1 200 "));
    gateway.stopper.stop();
    while !gateway.probe("/readyz").starts_with("HTTP/1.1 503 ") {}
    assert!(gateway.probe("/healthz").starts_with("HTTP/1.1 200 "));

    client.send(agent("late", "hello"));
    let refused = answer(&mut client, "late");
    for part in [r#""ok":false"#, "UNAVAILABLE", r#""retryable":true"#] {
        assert!(refused.contains(part), "{refused}");
    }
    client.send(request("h", "health", "{}"));
    assert!(answer(&mut client, "h").contains(r#""ok":true"#));

    let mut newcomer = gateway.stranger();
    newcomer.send(text(CONNECT));
    let refused = newcomer.text();
    for part in [r#""ok":false"#, "UNAVAILABLE", r#""retryable":true"#] {
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(newcomer.closed(), (1013, "gateway stopping".to_owned()));

    gateway.stopper.stop();
    assert_eq!(to_the_end(&mut client, "r"), ORDER);
    gateway.ended();
}

#[test]
fn an_idle_gateway_stops_at_once() {
    let gateway = Gateway::new();
    let mut clients: Vec<Client> = (0..20).map(|_| gateway.client()).collect();
    let start = Instant::now();
    gateway.stopper.stop();
    for client in &mut clients {
        assert_eq!(client.closed().0, 1012);
        client.close(1012);
    }
    gateway.ended();
    let took = start.elapsed();
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[test]
fn a_peer_that_never_reads_holds_the_stop_no_longer_than_its_limits() {
    let gateway = Gateway::new();
    let mut client = gateway.client();
    let mut deaf = gateway.client();
    begin(&mut client, "r", "/long 30000");
    assert!(answer(&mut client, "r").contains(r#""ok":true"#));
    let start = Instant::now();
    gateway.stopper.stop();
    assert_eq!(client.closed().0, 1012);
    client.close(1012);
    gateway.ended();
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(1), "it was not deaf: {took:?}");
    assert!(took < Duration::from_millis(2_500), "{took:?}");
    deaf.gone();
}

#[test]
fn an_agent_that_panics_leaves_the_gateway_working() {
    let gateway = Gateway::new();
    let mut client = gateway.client();
    for id in ["a", "b", "c", "d", "e"] {
        begin(&mut client, id, "/panic");
        let failed = answer(&mut client, id);
        assert!(failed.contains(r#""ok":false"#), "{failed}");
    }
    begin(&mut client, "r", "still there?");
    assert!(answer(&mut client, "r").contains(r#""ok":true"#));
    gateway.stopper.stop();
    assert_eq!(client.closed().0, 1012);
    client.close(1012);
    gateway.ended();
}

/// Counts until the count has stayed the same for a while.
#[cfg(target_os = "linux")]
fn settled(count: impl Fn() -> usize) -> usize {
    let mut last = count();
    let mut same = 0;
    while same < 50 {
        thread::yield_now();
        thread::park_timeout(Duration::from_millis(1));
        let now = count();
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_open_when_a_gateway_has_stopped() {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let round = || {
        let gateway = Gateway::new();
        // What the test before has let go may still be on its way.
        let before = settled(open);
        let mut clients: Vec<Client> = (0..5).map(|_| gateway.client()).collect();
        let strangers: Vec<Client> = (0..5).map(|_| gateway.stranger()).collect();
        let speaking_http: Vec<Client> = (0..5).map(|_| Client::tcp(gateway.address)).collect();
        begin(&mut clients[0], "r", "/hang");
        gateway.stopper.stop();
        gateway.stopper.stop();
        gateway.ended();
        drop((clients, strangers, speaking_http));
        before - settled(open)
    };
    // The first gateway starts what a process has once, such as the thread that waits for sockets.
    round();
    for _ in 0..2 {
        // The listener, the database and its log were open before, and are not any more.
        assert_eq!(round(), 3);
    }
}
