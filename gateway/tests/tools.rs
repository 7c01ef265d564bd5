//! What is heard of the tools that an agent uses, and who hears it.

mod support;

use openclaw_gateway_service::agents::ToolStep;
use openclaw_protocol_core::json::Json;
use serde_json::{Value, json};
use support::{Caller, Do, READ, WRITE, World, events, millis};

fn start(id: &str, name: &str, args: &Value) -> Do {
    Do::Use(ToolStep::Start {
        id: id.to_owned(),
        name: name.to_owned(),
        args: Json::of(args).expect("JSON"),
    })
}

fn result(id: &str, is_error: bool, result: &Value) -> Do {
    Do::Use(ToolStep::Result {
        id: id.to_owned(),
        is_error,
        result: Json::of(result).expect("JSON"),
    })
}

fn knowing(scopes: &'static [&'static str]) -> Caller<'static> {
    Caller {
        scopes,
        caps: &["tool-events"],
        ..Caller::default()
    }
}

/// The `item` and `tool` events of a run: stream, phase and number.
fn told(frames: &[Value], run: &str) -> Vec<(String, String, u64)> {
    let word = |value: &Value| value.as_str().expect("text").to_owned();
    events(frames, "agent", run)
        .into_iter()
        .filter(|event| matches!(event["stream"].as_str(), Some("item" | "tool")))
        .map(|event| {
            let number = event["seq"].as_u64().expect("a number");
            (
                word(&event["stream"]),
                word(&event["data"]["phase"]),
                number,
            )
        })
        .collect()
}

fn lines(told: &[(&str, &str, u64)]) -> Vec<(String, String, u64)> {
    told.iter()
        .map(|(stream, phase, number)| ((*stream).to_owned(), (*phase).to_owned(), *number))
        .collect()
}

#[test]
fn who_understands_tool_events_hears_arguments_and_results() {
    let mut world = World::new();
    let caller = world.join(&knowing(&[WRITE]));
    let plain = world.operator(&[READ]);
    let began = world.now().unix_ms;
    world.run(caller, "r1", "k");
    world.agent_does("k", start("c1", "ls", &json!({"path": "."})));
    world.advance(millis(20));
    world.agent_does("k", result("c1", false, &json!({"content": []})));
    world.agent_says("k", "done");
    world.agent_does("k", Do::Finish);

    let frames = world.hear(caller);
    assert_eq!(
        told(&frames, "k"),
        lines(&[
            ("item", "start", 3),
            ("tool", "start", 4),
            ("tool", "result", 5),
            ("item", "end", 6)
        ])
    );
    let data: Vec<&Value> = events(&frames, "agent", "k")
        .into_iter()
        .map(|event| &event["data"])
        .filter(|data| data["toolCallId"] == "c1")
        .collect();
    assert_eq!(
        data,
        [
            &json!({
                "itemId": "tool:c1", "toolCallId": "c1", "name": "ls", "kind": "tool",
                "phase": "start", "title": "Ls", "status": "running", "startedAt": began,
            }),
            &json!({"phase": "start", "name": "ls", "toolCallId": "c1", "args": {"path": "."}}),
            &json!({
                "phase": "result", "name": "ls", "toolCallId": "c1", "isError": false,
                "result": {"content": []},
            }),
            &json!({
                "itemId": "tool:c1", "toolCallId": "c1", "name": "ls", "kind": "tool",
                "phase": "end", "title": "Ls", "status": "completed", "startedAt": began,
                "endedAt": began + 20,
            }),
        ]
    );

    let frames = world.hear(plain);
    assert_eq!(
        told(&frames, "k"),
        lines(&[("item", "start", 3), ("item", "end", 6)]),
        "as the reference numbers them: per run, not per listener"
    );
    let numbers: Vec<u64> = frames
        .iter()
        .filter_map(|frame| frame["seq"].as_u64())
        .collect();
    let first = numbers[0];
    let expected: Vec<u64> = (first..first + numbers.len() as u64).collect();
    assert_eq!(
        numbers, expected,
        "the connection's own numbers have no hole"
    );
}

#[test]
fn understanding_is_not_enough_to_hear_of_tools() {
    let mut world = World::new();
    let caller = world.operator(&[WRITE]);
    let deaf = world.join(&knowing(&["operator.approvals"]));
    world.run(caller, "r1", "k");
    world.agent_does("k", start("c1", "ls", &json!({})));
    world.agent_does("k", Do::Finish);
    assert_eq!(events(&world.hear(deaf), "agent", "k").len(), 0);
}

#[test]
fn what_was_said_before_a_call_is_heard_before_it() {
    let mut world = World::new();
    let conn = world.join(&knowing(&[WRITE]));
    world.run(conn, "r1", "k");
    world.agent_says("k", "let me ");
    world.agent_says("k", "see");
    world.agent_does("k", start("c1", "ls", &json!({})));
    let frames = world.hear(conn);
    let streams: Vec<&str> = events(&frames, "agent", "k")
        .iter()
        .filter_map(|event| event["stream"].as_str())
        .collect();
    assert_eq!(streams[2..], ["assistant", "assistant", "item", "tool"]);
}

#[test]
fn no_call_stays_open_when_its_run_has_ended() {
    let ends: [Option<Do>; 3] = [Some(Do::Finish), Some(Do::Fail("no")), None];
    for end in ends {
        let mut world = World::new();
        let conn = world.join(&knowing(&[WRITE]));
        world.run(conn, "r1", "k");
        world.agent_does("k", start("c1", "ls", &json!({})));
        match end {
            Some(end) => world.agent_does("k", end),
            None => {
                world.ask(conn, "chat.abort", json!({"sessionKey": "k"}));
            }
        }
        let frames = world.hear(conn);
        let heard = events(&frames, "agent", "k");
        let data = |stream: &str| {
            let last = heard.iter().rfind(|event| event["stream"] == stream);
            last.map(|event| event["data"].clone()).expect(stream)
        };
        assert_eq!(data("item")["status"], "failed");
        assert_eq!(data("tool")["isError"], true);
        assert_eq!(heard.last().expect("events")["stream"], "lifecycle");
    }
}

#[test]
fn a_failed_call_is_told_as_such() {
    let mut world = World::new();
    let conn = world.join(&knowing(&[WRITE]));
    world.run(conn, "r1", "k");
    world.agent_does("k", start("c1", "ls", &json!({})));
    world.agent_does("k", result("c1", true, &json!("no such folder")));
    let frames = world.hear(conn);
    let heard = events(&frames, "agent", "k");
    assert_eq!(heard[heard.len() - 2]["data"]["result"], "no such folder");
    assert_eq!(heard[heard.len() - 1]["data"]["status"], "failed");
}

#[test]
fn what_makes_no_sense_is_left_out() {
    let mut world = World::new();
    let conn = world.join(&knowing(&[WRITE]));
    world.run(conn, "r1", "k");
    world.agent_does("k", result("never", false, &json!(1)));
    world.agent_does("k", start("c1", "ls", &json!({})));
    world.agent_does("k", start("c1", "ls", &json!({})));
    world.agent_does("k", result("c1", false, &json!(1)));
    world.agent_does("k", result("c1", false, &json!(2)));
    assert_eq!(told(&world.hear(conn), "k").len(), 4);
}

#[test]
fn of_a_huge_result_only_the_size_is_told() {
    let mut world = World::new();
    let conn = world.join(&knowing(&[WRITE]));
    world.run(conn, "r1", "k");
    world.agent_does("k", start("c1", "cat", &json!({})));
    world.agent_does("k", result("c1", false, &json!("x".repeat(256 << 10))));
    let frames = world.hear(conn);
    let heard = events(&frames, "agent", "k");
    let tool = heard.iter().rfind(|event| event["stream"] == "tool");
    assert_eq!(
        tool.expect("a result")["data"]["result"],
        json!({"omitted": true, "bytes": (256 << 10) + 2})
    );
}
