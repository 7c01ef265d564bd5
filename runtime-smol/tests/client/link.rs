//! A link over several connections: states, requests, events, recovery.

use std::time::Duration;

use futures_lite::AsyncReadExt;
use futures_lite::future::{poll_once, zip};
use openclaw_protocol_core::json::Json;
use openclaw_runtime_smol::client::{
    Builder, Event, Events, Gateway, Link, Patience, RequestError, State, States, Timeouts, Why,
};

use crate::scripted::{Asked, Lab, Peer, run};

/// As good as no waiting.
pub(crate) const QUICK: Patience = Patience {
    floor: Duration::from_millis(1),
    first: Duration::from_millis(1),
    most: Duration::from_millis(2),
    longest_asked: Duration::from_secs(300),
    stable: Duration::from_secs(30),
};

pub(crate) fn builder(lab: &Lab) -> Builder {
    Gateway::builder(lab.url()).token("secret")
}

pub(crate) fn link(lab: &Lab) -> Link {
    builder(lab).link().patience(QUICK).start().unwrap()
}

/// The next state that is no attempt to connect.
pub(crate) async fn next(states: &mut States) -> State {
    loop {
        match states.next().await.expect("a state") {
            State::Connecting => {}
            state => return state,
        }
    }
}

pub(crate) async fn ready(states: &mut States) {
    loop {
        match states.next().await.expect("a state") {
            State::Ready { resubscribed, .. } => return resubscribed.unwrap(),
            State::Connecting | State::Waiting { .. } | State::Recovering { .. } => {}
            other => panic!("ready was expected: {other:?}"),
        }
    }
}

pub(crate) async fn waits_because(states: &mut States) -> Why {
    match next(states).await {
        State::Waiting { why, .. } => why,
        other => panic!("waiting was expected: {other:?}"),
    }
}

async fn heard(events: &mut Events) -> String {
    match events.next().await {
        Some(Event::Push(push)) => push.event.into(),
        Some(Event::Gap(gap)) => format!("gap {}..{}", gap.expected, gap.received),
        Some(Event::Interrupted { code, .. }) => format!("interrupted {code}"),
        Some(Event::Closed { code, .. }) => format!("closed {code}"),
        other => format!("{other:?}"),
    }
}

pub(crate) fn text(asked: &Asked) -> (&str, &str) {
    let params = asked.params.as_ref();
    (&asked.method, params.map_or("", |params| params.as_str()))
}

#[test]
fn a_link_survives_the_end_of_its_connection() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let (mut states, mut events) = (link.states(), link.events());
        let mut peer = lab.welcome().await;
        ready(&mut states).await;
        peer.push("tick", "{}", 1).await;
        peer.close(1012, "service restart").await;
        assert_eq!(waits_because(&mut states).await, Why::Restarting);
        let mut peer = lab.welcome().await;
        ready(&mut states).await;
        peer.push("health", r#"{"n":1}"#, 1).await;
        for expected in ["tick", "interrupted 1012", "health"] {
            assert_eq!(heard(&mut events).await, expected);
        }
        assert_eq!(link.health().unwrap().as_str(), r#"{"n":1}"#);
        drop(peer);
        assert_eq!(waits_because(&mut states).await, Why::Lost);
        lab.welcome().await;
        ready(&mut states).await;
    });
}

#[test]
fn a_gateway_that_is_gone_is_found_when_it_is_back() {
    run(async {
        let mut lab = Lab::new().await;
        lab.go();
        let link = link(&lab);
        let mut states = link.states();
        for _ in 0..5 {
            assert_eq!(waits_because(&mut states).await, Why::Unreachable);
        }
        let request = smol::spawn({
            let link = link.clone();
            async move { link.request("status", ()).await }
        });
        lab.come_back().await;
        let mut peer = lab.welcome().await;
        let asked = peer.asked().await;
        peer.answer(&asked, "7").await;
        assert_eq!(request.await.unwrap().as_str(), "7");
    });
}

#[test]
fn a_request_waits_for_a_connection_within_its_own_time() {
    run(async {
        let mut lab = Lab::new().await;
        lab.go();
        let link = link(&lab);
        let answer = link.request_within("status", (), Duration::from_millis(20));
        assert_eq!(answer.await, Err(RequestError::NotSent));
        let state = link.state();
        assert!(!state.is_final(), "{state:?}");
    });
}

#[test]
fn a_request_that_was_sent_is_not_sent_again() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let asking = async {
            let lost = link.request("send", ()).await;
            (lost, link.request("status", ()).await)
        };
        let script = async {
            let mut peer = lab.welcome().await;
            assert_eq!(peer.asked().await.method, "send");
            drop(peer);
            let mut peer = lab.welcome().await;
            let asked = peer.asked().await;
            assert_eq!(asked.method, "status");
            peer.answer(&asked, "1").await;
            peer
        };
        let ((lost, found), _peer) = zip(asking, script).await;
        assert_eq!(lost, Err(RequestError::Unknown));
        assert_eq!(found.unwrap().as_str(), "1");
    });
}

#[test]
fn a_request_that_was_not_sent_goes_over_the_next_connection() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let mut states = link.states();
        let large = Json::parse(format!("\"{}\"", "x".repeat(20 << 20))).unwrap();
        let asking = zip(link.request("send", large), link.request("status", ()));
        let script = async {
            let deaf = lab.welcome().await;
            ready(&mut states).await;
            let mut stream = deaf.socket.get_ref().clone();
            stream.read_exact(&mut [0; 9]).await.unwrap();
            drop((stream, deaf));
            let mut peer = lab.welcome().await;
            let asked = peer.asked().await;
            assert_eq!(asked.method, "status");
            peer.answer(&asked, "1").await;
            peer
        };
        let ((cut, behind), _peer) = zip(asking, script).await;
        assert_eq!(cut, Err(RequestError::Unknown));
        assert_eq!(behind.unwrap().as_str(), "1");
    });
}

#[test]
fn the_hook_runs_on_each_connection_before_anybody_else() {
    run(async {
        let lab = Lab::new().await;
        let link = builder(&lab)
            .link()
            .patience(QUICK)
            .resubscribe(|gateway| async move { gateway.request("subscribe", ()).await.map(drop) })
            .start()
            .unwrap();
        let mut states = link.states();
        for connection in 0..3 {
            let request = link.request("status", ());
            let script = async {
                let mut peer = lab.welcome().await;
                let first = peer.asked().await;
                assert_eq!(first.method, "subscribe");
                assert!(matches!(link.state(), State::Connecting));
                if connection == 1 {
                    let refused = r#""error":{"code":"UNAVAILABLE","message":"m"}"#;
                    peer.fail(&first, refused).await;
                } else {
                    peer.answer(&first, "{}").await;
                }
                let second = peer.asked().await;
                assert_eq!(second.method, "status");
                peer.answer(&second, "1").await;
                peer
            };
            let (answer, peer) = zip(request, script).await;
            answer.unwrap();
            let State::Ready { resubscribed, .. } = next(&mut states).await else {
                panic!("ready was expected");
            };
            let failed = matches!(resubscribed, Err(RequestError::Answered { .. }));
            assert_eq!(failed, connection == 1, "reported, and not fatal");
            drop(peer);
            assert_eq!(waits_because(&mut states).await, Why::Lost);
        }
    });
}

#[test]
fn a_hook_that_hangs_is_given_up() {
    run(async {
        let lab = Lab::new().await;
        let timeouts = Timeouts {
            handshake: Duration::from_millis(200),
            ..Timeouts::default()
        };
        let builder = builder(&lab).timeouts(timeouts).link().patience(QUICK);
        let link = builder.resubscribe(|_| std::future::pending()).start();
        let link = link.unwrap();
        let mut states = link.states();
        let _peer = lab.welcome().await;
        let State::Ready { resubscribed, .. } = next(&mut states).await else {
            panic!("ready was expected");
        };
        assert_eq!(resubscribed, Err(RequestError::TimedOut));
    });
}

async fn fetches(peer: &mut Peer) -> Vec<Asked> {
    let mut asked = vec![peer.asked().await, peer.asked().await];
    asked.sort_by(|one, other| one.method.cmp(&other.method));
    assert_eq!(asked[0].method, "health");
    assert_eq!(asked[1].method, "system-presence");
    asked
}

#[test]
fn a_gap_is_recovered_from() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let (mut states, mut events) = (link.states(), link.events());
        let mut peer = lab.welcome().await;
        ready(&mut states).await;
        peer.push("tick", "{}", 3).await;
        let state = next(&mut states).await;
        assert!(matches!(state, State::Recovering { .. }), "{state:?}");
        let asked = fetches(&mut peer).await;
        let request = link.request("status", ());
        let script = async {
            let between = peer.asked().await;
            peer.answer(&between, "1").await;
        };
        let (answer, ()) = zip(request, script).await;
        answer.expect("requests flow meanwhile");
        peer.answer(&asked[0], r#"{"n":2}"#).await;
        peer.answer(&asked[1], r#"["me"]"#).await;
        ready(&mut states).await;
        assert_eq!(link.health().unwrap().as_str(), r#"{"n":2}"#);
        assert_eq!(link.presence().unwrap().as_str(), r#"["me"]"#);
        assert_eq!(heard(&mut events).await, "gap 1..3");
        assert_eq!(heard(&mut events).await, "tick");
    });
}

#[test]
fn presence_that_is_forbidden_is_not_waited_for() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let mut states = link.states();
        let mut peer = lab.accept().await;
        peer.welcome_saying(r#"{"protocol":4}"#).await;
        ready(&mut states).await;
        peer.push("tick", "{}", 2).await;
        let asked = fetches(&mut peer).await;
        peer.answer(&asked[0], "{}").await;
        peer.fail(&asked[1], r#""error":{"code":"FORBIDDEN","message":"m"}"#)
            .await;
        assert!(matches!(next(&mut states).await, State::Recovering { .. }));
        ready(&mut states).await;
    });
}

#[test]
fn a_connection_that_ends_in_a_recovery_takes_it_along() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let mut states = link.states();
        let mut peer = lab.welcome().await;
        ready(&mut states).await;
        peer.push("tick", "{}", 2).await;
        fetches(&mut peer).await;
        drop(peer);
        assert!(matches!(next(&mut states).await, State::Recovering { .. }));
        assert_eq!(waits_because(&mut states).await, Why::Lost);
        let mut peer = lab.welcome().await;
        ready(&mut states).await;
        let asked = async { peer.asked().await.method };
        let asked = Box::pin(asked);
        assert_eq!(poll_once(asked).await, None, "hello told everything");
    });
}
