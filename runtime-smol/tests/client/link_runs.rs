//! Runs that outlive the connection that began them.

use std::time::Duration;

use futures_lite::future::zip;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_runtime_smol::client::{Link, RequestError, Run, State, Timeouts};

use crate::link::{QUICK, builder, link, ready, text, waits_because};
use crate::scripted::{Lab, Peer, run};

const KEYED: &str = r#"{"message":"hi","idempotencyKey":"k"}"#;
const ACK: &str = r#"{"runId":"k","status":"accepted"}"#;
const END: &str = r#"{"runId":"k","status":"ok"}"#;

fn keyed() -> Object {
    Object::new()
        .text("message", "hi")
        .text("idempotencyKey", "k")
}

async fn agent(peer: &mut Peer, answer: &str) -> crate::scripted::Asked {
    let asked = peer.asked().await;
    assert_eq!(text(&asked), ("agent", KEYED));
    peer.answer(&asked, answer).await;
    asked
}

async fn begin(link: &Link, lab: &Lab, hello: Option<&str>) -> (Run, Peer) {
    let script = async {
        let mut peer = lab.accept().await;
        match hello {
            Some(hello) => peer.welcome_saying(hello).await,
            None => drop(peer.welcome().await),
        }
        agent(&mut peer, ACK).await;
        peer
    };
    let (run, peer) = zip(link.run("agent", keyed()), script).await;
    (run.unwrap(), peer)
}

fn step(seq: u64) -> String {
    format!(r#"{{"runId":"k","stream":"assistant","seq":{seq}}}"#)
}

#[test]
fn a_run_is_joined_again_by_its_key_and_its_final_arrives() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let (mut run, mut peer) = begin(&link, &lab, None).await;
        assert_eq!(run.id(), Some("k"));
        peer.push("agent", &step(1), 1).await;
        assert_eq!(run.next().await.unwrap().payload.as_str(), step(1));
        drop(peer);
        let mut peer = lab.welcome().await;
        let asked = agent(&mut peer, ACK).await;
        peer.push("agent", &step(5), 1).await;
        peer.push("agent", r#"{"runId":"other","seq":9}"#, 2).await;
        peer.push("agent", &step(6), 3).await;
        peer.answer(&asked, END).await;
        for seq in [5, 6] {
            assert_eq!(run.next().await.unwrap().payload.as_str(), step(seq));
        }
        assert!(run.next().await.is_none());
        assert_eq!((run.missed(), run.interruptions()), (3, 1));
        assert_eq!(run.finish().await.unwrap().as_str(), END);
    });
}

#[test]
fn a_run_that_ended_meanwhile_gets_its_stored_final() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let (run, peer) = begin(&link, &lab, None).await;
        drop(peer);
        let mut peer = lab.welcome().await;
        agent(&mut peer, END).await;
        assert_eq!(run.finish().await.unwrap().as_str(), END);
    });
}

#[test]
fn a_run_is_joined_again_although_its_ack_was_lost() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let script = async {
            let mut peer = lab.welcome().await;
            assert_eq!(text(&peer.asked().await), ("agent", KEYED));
            drop(peer);
            let mut peer = lab.welcome().await;
            let asked = agent(&mut peer, ACK).await;
            peer.answer(&asked, END).await;
            peer
        };
        let (run, _peer) = zip(link.run("agent", keyed()), script).await;
        assert_eq!(run.unwrap().finish().await.unwrap().as_str(), END);
    });
}

#[test]
fn a_run_without_a_key_ends_as_unknown() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let script = async {
            let mut peer = lab.welcome().await;
            let asked = peer.asked().await;
            peer.answer(&asked, ACK).await;
        };
        let (run, ()) = zip(link.run("agent", ()), script).await;
        assert_eq!(run.unwrap().finish().await, Err(RequestError::Unknown));
    });
}

#[test]
fn a_run_is_not_repeated_to_a_gateway_that_restarted() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let mut states = link.states();
        let first = r#"{"protocol":4,"server":{"bootId":"a"}}"#;
        let (run, peer) = begin(&link, &lab, Some(first)).await;
        ready(&mut states).await;
        drop(peer);
        let mut peer = lab.accept().await;
        peer.welcome_saying(r#"{"protocol":4,"server":{"bootId":"b"}}"#)
            .await;
        assert_eq!(run.finish().await, Err(RequestError::Unknown));
        let script = async {
            let asked = peer.asked().await;
            assert_eq!(asked.method, "status", "no repeat came before it");
            peer.answer(&asked, "1").await;
        };
        zip(link.request("status", ()), script).await.0.unwrap();
    });
}

#[test]
fn a_gateway_that_sends_a_repeat_no_final_is_asked_for_the_end() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let (mut run, peer) = begin(&link, &lab, None).await;
        drop(peer);
        let mut peer = lab.welcome().await;
        agent(&mut peer, r#"{"runId":"k","status":"in_flight"}"#).await;
        for status in ["timeout", "ok"] {
            let asked = peer.asked().await;
            let waits = r#"{"runId":"k","timeoutMs":20000}"#;
            assert_eq!(text(&asked), ("agent.wait", waits));
            if status == "timeout" {
                peer.push("chat", &step(4), 1).await;
                assert_eq!(run.next().await.unwrap().payload.as_str(), step(4));
            }
            let answer = format!(r#"{{"runId":"k","status":"{status}"}}"#);
            peer.answer(&asked, &answer).await;
        }
        agent(&mut peer, END).await;
        assert_eq!(run.finish().await.unwrap().as_str(), END);
    });
}

#[test]
fn a_run_that_the_gateway_refuses_is_refused() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let script = async {
            let mut peer = lab.welcome().await;
            let asked = peer.asked().await;
            let error = r#""error":{"code":"UNAVAILABLE","message":"m","retryable":true}"#;
            peer.fail(&asked, error).await;
            peer
        };
        let (run, _peer) = zip(link.run("agent", keyed()), script).await;
        assert!(matches!(run, Err(RequestError::Answered { .. })), "{run:?}");
    });
}

#[test]
fn a_run_that_cannot_begin_in_time_was_not_sent() {
    run(async {
        let mut lab = Lab::new().await;
        lab.go();
        let timeouts = Timeouts {
            request: Duration::from_millis(20),
            ..Timeouts::default()
        };
        let builder = builder(&lab).timeouts(timeouts).link().patience(QUICK);
        let link = builder.start().unwrap();
        let run = link.run("agent", keyed()).await;
        assert!(matches!(run, Err(RequestError::NotSent)), "{run:?}");
    });
}

#[test]
fn a_run_that_a_living_connection_does_not_take_in_time_was_not_sent() {
    run(async {
        let lab = Lab::new().await;
        let timeouts = Timeouts {
            request: Duration::from_millis(200),
            ..Timeouts::default()
        };
        let builder = builder(&lab).timeouts(timeouts).link().patience(QUICK);
        let link = builder.start().unwrap();
        let mut states = link.states();
        // A peer that is heard, and reads nothing.
        let _deaf = lab.welcome().await;
        ready(&mut states).await;
        let large = Json::parse(format!("\"{}\"", "x".repeat(20 << 20))).unwrap();
        let (sending, run) = zip(link.request("send", large), link.run("agent", keyed())).await;
        assert_eq!(sending, Err(RequestError::TimedOut));
        assert!(matches!(run, Err(RequestError::NotSent)), "{run:?}");
        assert!(matches!(link.state(), State::Ready { .. }));
    });
}

#[test]
fn a_run_that_is_dropped_is_not_joined_again() {
    run(async {
        let lab = Lab::new().await;
        let link = link(&lab);
        let mut states = link.states();
        let (run, peer) = begin(&link, &lab, None).await;
        ready(&mut states).await;
        drop(run);
        drop(peer);
        waits_because(&mut states).await;
        let script = async {
            let mut peer = lab.welcome().await;
            let asked = peer.asked().await;
            assert_eq!(asked.method, "status");
            peer.answer(&asked, "1").await;
            peer
        };
        let (answer, _peer) = zip(link.request("status", ()), script).await;
        answer.unwrap();
    });
}

#[test]
fn a_run_whose_repeat_is_not_answered_is_unknown() {
    run(async {
        let lab = Lab::new().await;
        let timeouts = Timeouts {
            request: Duration::from_secs(1),
            ..Timeouts::default()
        };
        let builder = builder(&lab).timeouts(timeouts).link().patience(QUICK);
        let link = builder.start().unwrap();
        let (run, peer) = begin(&link, &lab, None).await;
        drop(peer);
        let mut peer = lab.welcome().await;
        assert_eq!(text(&peer.asked().await), ("agent", KEYED));
        assert_eq!(run.finish().await, Err(RequestError::Unknown));
    });
}

#[test]
fn a_run_of_a_link_that_closes_is_unknown() {
    run(async {
        let mut lab = Lab::new().await;
        let link = link(&lab);
        let mut states = link.states();
        let (run, peer) = begin(&link, &lab, None).await;
        ready(&mut states).await;
        lab.go();
        drop(peer);
        waits_because(&mut states).await;
        link.close().await;
        assert_eq!(run.finish().await, Err(RequestError::Unknown));
    });
}
