//! The library's link against the real gateway, over wires that are cut and through a restart.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use openclaw_protocol_core::json::Object;
use openclaw_runtime_smol::client::{Gateway, Link, RequestError, State, States};
use rustix::process::Signal;
use smol::future::FutureExt;
use support::Home;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A wire to the gateway that the test can cut.
struct Wire {
    address: SocketAddr,
    port: Arc<AtomicU16>,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ends = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&ends);
        let port = Arc::new(AtomicU16::new(port));
        let target = Arc::clone(&port);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // A gateway that is not there hangs up on its callers.
                if let Ok(far) = TcpStream::connect(("127.0.0.1", target.load(Ordering::Relaxed))) {
                    pass(near.try_clone().unwrap(), far.try_clone().unwrap());
                    pass(far.try_clone().unwrap(), near.try_clone().unwrap());
                    kept.lock().unwrap().extend([near, far]);
                }
            }
        });
        Self {
            address,
            port,
            ends,
        }
    }

    fn lead_to(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    fn cut(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn in_time<T>(what: impl Future<Output = T>) -> T {
    let late = async {
        smol::Timer::after(PATIENCE).await;
        panic!("it takes too long");
    };
    smol::block_on(what.or(late))
}

fn link(home: &Home, wire: &Wire, greeted: &Arc<AtomicUsize>) -> Link {
    let greeted = Arc::clone(greeted);
    Gateway::builder(format!("ws://{}", wire.address))
        .token(fs::read_to_string(home.token_path()).unwrap().trim())
        .scopes(["operator.read", "operator.write"])
        .link()
        .resubscribe(move |gateway| {
            greeted.fetch_add(1, Ordering::Relaxed);
            async move { gateway.request("status", ()).await.map(drop) }
        })
        .start()
        .unwrap()
}

async fn ready(link: &Link) -> String {
    let mut states = link.states();
    loop {
        match states.next().await {
            Some(State::Ready {
                hello,
                resubscribed,
            }) => {
                resubscribed.unwrap();
                return hello.boot_id.clone().unwrap();
            }
            Some(_) => {}
            None => panic!("it is never ready: {:?}", link.state()),
        }
    }
}

/// Waits until it is no longer connected; `states` began while it was.
async fn left(states: &mut States) {
    while let Some(State::Ready { .. } | State::Recovering { .. }) = states.next().await {}
}

fn slowly(key: &str) -> Object {
    Object::new()
        .text("message", "/slow 2s one two three four")
        .text("idempotencyKey", key)
}

#[test]
fn a_run_outlives_a_wire_that_is_cut() {
    let mut home = Home::new();
    let _gateway = home.gateway(&["--allow-unconfigured"]);
    let wire = Wire::to(home.port);
    let greeted = Arc::new(AtomicUsize::new(0));
    in_time(async {
        let link = link(&home, &wire, &greeted);
        let first = ready(&link).await;
        let mut run = link.run("agent", slowly("k")).await.unwrap();
        run.next().await.unwrap();
        let mut states = link.states();
        wire.cut();
        left(&mut states).await;
        assert_eq!(ready(&link).await, first, "the same gateway");
        let end = run.finish().await.unwrap();
        assert!(end.as_str().contains("one two three four"), "{end:?}");
        assert_eq!(greeted.load(Ordering::Relaxed), 2);

        let again = link.run("agent", slowly("k")).await.unwrap();
        let stored = again.finish().await.unwrap();
        assert_eq!(stored.as_str(), end.as_str(), "and was done once");
        link.drain().await;
        assert!(matches!(link.state(), State::Closed));
    });
}

#[test]
fn a_link_outlives_its_gateway_and_says_what_it_does_not_know() {
    let mut home = Home::new();
    let gateway = home.gateway(&["--allow-unconfigured"]);
    let wire = Wire::to(home.port);
    let greeted = Arc::new(AtomicUsize::new(0));
    in_time(async {
        let link = link(&home, &wire, &greeted);
        let first = ready(&link).await;
        assert!(link.health().is_some() && link.presence().is_some());
        let run = link.run("agent", slowly("k")).await.unwrap();
        let mut states = link.states();
        gateway.signal(Signal::KILL);
        gateway.end();
        left(&mut states).await;

        let _gateway = home.gateway(&["--allow-unconfigured"]);
        wire.lead_to(home.port);
        assert_ne!(ready(&link).await, first, "another gateway");
        let lost = run.finish().await.unwrap_err();
        assert!(matches!(lost, RequestError::Unknown), "{lost:?}");
        let health = link.request("health", ()).await.unwrap();
        assert!(health.as_str().contains(r#""ok":true"#), "{health:?}");
        assert_eq!(greeted.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_link_whose_gateway_stops_is_told_and_waits() {
    let mut home = Home::new();
    let gateway = home.gateway(&["--allow-unconfigured"]);
    let wire = Wire::to(home.port);
    let greeted = Arc::new(AtomicUsize::new(0));
    in_time(async {
        let link = link(&home, &wire, &greeted);
        ready(&link).await;
        let mut states = link.states();
        gateway.signal(Signal::TERM);
        left(&mut states).await;
        assert_eq!(gateway.end().0, Some(0));
        assert!(!link.state().is_final(), "{:?}", link.state());
        let refused = link
            .request_within("health", (), Duration::from_millis(50))
            .await;
        assert!(
            matches!(refused, Err(RequestError::NotSent | RequestError::TimedOut)),
            "{refused:?}"
        );
        link.close().await;
    });
}
