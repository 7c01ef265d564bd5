//! Both cores against each other.

mod support;

use openclaw_protocol_core::client::{Event, Expect, Failure, RequestId};
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::scope::{Audience, Role};
use openclaw_protocol_core::server::Call;
use serde_json::{Value, json};
use support::{Applicants, Joiner, NONCE, NOTHING, Pair, READ, delta, millis, ordinary, seconds};

fn call(pair: &mut Pair) -> Call {
    pair.flow();
    pair.gateway.calls.pop_front().expect("a request arrived").0
}

/// What became of requests and pushes, in one line each.
fn story(pair: &mut Pair) -> Vec<String> {
    pair.flow();
    pair.events.drain(..).map(|event| told(&event)).collect()
}

fn told(event: &Event) -> String {
    match event {
        Event::Challenge { nonce, .. } => format!("challenge {nonce}"),
        Event::Ready(hello) => format!("ready {}", hello.protocol),
        Event::Refused(error) => format!("refused {}", error.message),
        Event::Accepted { request, payload } => format!("accepted {request} {}", payload.as_str()),
        Event::Finished { request, outcome } => {
            format!("finished {request} {}", told_outcome(outcome))
        }
        Event::Failed { request, failure } => format!("failed {request} {failure:?}"),
        Event::Push(push) => format!("push {} {:?}", push.event, push.seq),
        Event::Gap(gap) => format!("gap {}..{}", gap.expected, gap.received),
        Event::Closed => "closed".to_owned(),
    }
}

fn told_outcome(outcome: &Outcome) -> String {
    let payload = outcome
        .payload
        .as_ref()
        .map_or("-", |payload| payload.as_str());
    let error = outcome
        .error
        .as_ref()
        .map_or("-", |error| error.message.as_str());
    format!("{} {payload} {error}", outcome.ok)
}

#[test]
fn they_agree_on_a_connection() {
    let mut pair = Pair::new(Limits::default());
    assert_eq!(story(&mut pair), [format!("challenge {NONCE}")]);
    assert!(pair.connect(&Joiner {
        scopes: READ,
        ..Joiner::default()
    }));
    assert_eq!(story(&mut pair), ["ready 4"]);
    let session = pair.gateway.hub.session(pair.conn).unwrap();
    assert_eq!((session.protocol, session.role), (4, Role::Operator));
}

#[test]
fn a_refusal_reaches_the_client_with_its_words() {
    let mut pair = Pair::new(Limits::default());
    pair.gateway.policy = Applicants::Wait;
    assert!(pair.connect(&Joiner::default()));
    pair.flow();
    let (applicant, _) = pair.gateway.applicants.pop_front().unwrap();
    let now = pair.gateway.now();
    let error = ErrorShape::invalid_request("unauthorized: gateway token mismatch");
    pair.gateway.hub.refuse(applicant, error, now).unwrap();
    pair.gateway.settle();
    let story = story(&mut pair);
    assert_eq!(
        story[1..],
        ["refused unauthorized: gateway token mismatch", "closed"]
    );
    assert_eq!(pair.gateway.hub.connections(), 0);
}

#[test]
fn a_request_is_answered() {
    let mut pair = Pair::ready(NOTHING);
    pair.request("health", json!({"a": "é\n"}), Expect::Reply);
    pair.flow();
    let (call, request) = pair.gateway.calls.pop_front().unwrap();
    assert_eq!(&*request.method, "health");
    assert_eq!(
        request.params.unwrap().read::<Value>().unwrap(),
        json!({"a": "é\n"})
    );
    pair.gateway.reply(call, json!({"ok": true}));
    assert_eq!(story(&mut pair), [r#"finished 1 true {"ok":true} -"#]);
}

#[test]
fn a_run_tells_its_story_in_order() {
    let mut pair = Pair::ready(READ);
    pair.request("agent", json!({}), Expect::Final);
    let call = call(&mut pair);
    let now = pair.gateway.now();
    let ack = support::json(json!({"runId": "r", "status": "accepted"}));
    let run = pair.gateway.hub.accept(call, "r", ack, now);
    pair.gateway
        .broadcast(ordinary("agent", "start", Audience::Everyone));
    pair.gateway.broadcast(delta("word"));
    pair.gateway
        .broadcast(ordinary("chat", "final", Audience::Everyone));
    let last = Outcome::failure_with(
        support::json(json!({"status": "error"})),
        ErrorShape::unavailable("the model is down"),
    );
    pair.gateway.hub.complete(run, last, now);
    pair.gateway.settle();
    assert_eq!(
        story(&mut pair),
        [
            r#"accepted 1 {"runId":"r","status":"accepted"}"#,
            "push agent Some(1)",
            "push chat Some(2)",
            "push chat Some(3)",
            r#"finished 1 false {"status":"error"} the model is down"#,
        ]
    );
}

#[test]
fn a_connection_at_rest_stays_up_for_a_day_without_a_gap() {
    let mut pair = Pair::ready(READ);
    pair.pass(seconds(86_400));
    assert!(pair.client.is_ready());
    assert_eq!(pair.closes, []);
    let story = story(&mut pair);
    let ticks = story
        .iter()
        .filter(|line| line.starts_with("push tick"))
        .count();
    let health = story
        .iter()
        .filter(|line| line.starts_with("push health"))
        .count();
    assert_eq!((ticks, health), (2_880, 1_440));
    assert!(!story.iter().any(|line| line.starts_with("gap")));
}

#[test]
fn real_loss_is_one_gap_at_the_client() {
    let mut pair = Pair::new(Limits {
        outbox_soft_pushes: 2,
        ..Limits::default()
    });
    assert!(pair.connect(&Joiner {
        scopes: READ,
        ..Joiner::default()
    }));
    pair.flow();
    pair.events.clear();
    pair.gateway.stall(pair.conn);
    for _ in 0..6 {
        pair.gateway.broadcast(delta("word"));
    }
    pair.gateway
        .broadcast(ordinary("chat", "final", Audience::Everyone));
    assert_eq!(
        story(&mut pair),
        [
            "push chat Some(1)",
            "push chat Some(2)",
            "gap 3..7",
            "push chat Some(7)"
        ]
    );
    assert!(pair.client.is_suspect());
}

#[test]
fn a_gateway_that_stops_says_so_first() {
    let mut pair = Pair::ready(NOTHING);
    let request = pair.request("agent", json!({}), Expect::Final);
    pair.flow();
    let now = pair.gateway.now();
    pair.gateway
        .hub
        .announce_shutdown("gateway stopping", None, now);
    pair.gateway.settle();
    pair.gateway
        .hub
        .close_all(&Close::new(1012, "service restart"), now);
    pair.gateway.settle();
    assert_eq!(
        story(&mut pair),
        [
            "push shutdown Some(1)".to_owned(),
            format!("failed {request} {:?}", Failure::Unknown),
            "closed".to_owned()
        ]
    );
    assert_eq!(pair.closes, [(1012, "service restart".to_owned())]);
}

#[test]
fn a_run_survives_its_client_and_ends_for_the_next_one() {
    let mut pair = Pair::ready(NOTHING);
    pair.request("agent", json!({}), Expect::Final);
    let first = call(&mut pair);
    let now = pair.gateway.now();
    let ack = || support::json(json!({"runId": "r", "status": "accepted"}));
    let run = pair.gateway.hub.accept(first, "r", ack(), now);
    pair.gateway.settle();
    pair.flow();
    pair.cut();
    assert_eq!(
        story(&mut pair),
        [
            r#"accepted 1 {"runId":"r","status":"accepted"}"#,
            "failed 1 Unknown",
            "closed"
        ]
    );
    assert_eq!(pair.gateway.hub.open_runs(), 1);
    let again = pair.gateway.operator(NOTHING);
    let second = pair.gateway.call(again, "a");
    pair.gateway.hub.join(second, "r", ack(), now).unwrap();
    pair.gateway
        .hub
        .complete(run, Outcome::success(support::json(json!("done"))), now);
    pair.gateway.settle();
    let frames = pair.gateway.frames(again);
    assert_eq!(
        (&frames[0]["payload"]["status"], &frames[1]["payload"]),
        (&json!("accepted"), &json!("done"))
    );
}

#[test]
fn a_client_that_gives_up_leaves_no_trace() {
    let mut pair = Pair::ready(NOTHING);
    let requests: Vec<RequestId> = (0..3)
        .map(|_| pair.request("agent", json!({}), Expect::Final))
        .collect();
    pair.flow();
    let now = pair.gateway.now();
    pair.client.close(Close::new(1000, "bye"), now);
    let story = story(&mut pair);
    assert_eq!(story.len(), requests.len() + 1);
    assert_eq!(pair.gateway.hub.connections(), 0);
    assert_eq!(pair.gateway.presence().len(), 1);
    while let Some((call, _)) = pair.gateway.calls.pop_front() {
        pair.gateway.reply(call, json!(null));
    }
    pair.pass(millis(10));
}
