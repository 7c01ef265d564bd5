//! Who may ask for what, and what is said to those who ask wrongly.

mod support;

use openclaw_gateway_service::methods::{Callers, Repeat, TABLE};
use serde_json::{Value, json};
use support::{ADMIN, Caller, Do, READ, WRITE, World, errors, local, seconds, story};

const DOCUMENTATION: &str = include_str!("../../docs/methods.md");

const METHODS: [(&str, Option<&str>); 9] = [
    ("health", None),
    ("status", Some(READ)),
    ("system-presence", Some(READ)),
    ("system-event", Some(ADMIN)),
    ("agent", Some(WRITE)),
    ("agent.wait", Some(WRITE)),
    ("chat.abort", Some(WRITE)),
    ("last-heartbeat", Some(READ)),
    ("set-heartbeats", Some(ADMIN)),
];

fn is_implied(needed: &str, held: &str) -> bool {
    held == ADMIN || needed == held || (needed == READ && held == WRITE)
}

#[test]
fn every_method_asks_for_its_scope_before_it_looks_at_anything_else() {
    let held = [READ, WRITE, ADMIN, "operator.approvals", "operator.pairing"];
    for scope in held {
        let mut world = World::new();
        let conn = world.operator(&[scope]);
        for (method, needed) in METHODS {
            let answer = world.ask(conn, method, json!({"bogus": 1}));
            match needed {
                Some(needed) if !is_implied(needed, scope) => assert_eq!(
                    answer["error"],
                    json!({
                        "code": "FORBIDDEN",
                        "message": format!("missing scope: {needed}"),
                        "details": {
                            "code": "MISSING_SCOPE",
                            "missingScope": needed,
                            "requiredScopes": [needed],
                        },
                    }),
                    "{method} with {scope}"
                ),
                _ => assert_ne!(
                    answer["error"]["code"], "FORBIDDEN",
                    "{method} with {scope}"
                ),
            }
        }
    }
}

#[test]
fn the_documentation_lists_every_method_as_it_is_served() {
    let listed: Vec<&str> = DOCUMENTATION
        .lines()
        .skip_while(|line| !line.starts_with("| method |"))
        .skip(2)
        .take_while(|line| line.starts_with("| `"))
        .collect();
    let served: Vec<String> = TABLE
        .iter()
        .map(|row| {
            let scope = row
                .scope
                .map_or("none".to_owned(), |scope| format!("`{}`", scope.as_str()));
            let nodes = match row.callers {
                Callers::Operators => "",
                Callers::Nodes => "; nodes only",
                Callers::Everyone => "; nodes too",
            };
            let legacy = if row.is_legacy {
                "; protocol 3 only"
            } else {
                ""
            };
            let again = match row.repeat {
                Repeat::Reads => "reads",
                Repeat::Keyed => "by `idempotencyKey`, not done again",
                Repeat::Sets => "sets the same again",
                Repeat::Repeats => "is done again",
            };
            let most = if row.reads_params() {
                row.max_params.to_string()
            } else {
                "ignored".to_owned()
            };
            format!(
                "| `{}` | {scope}{nodes}{legacy} | {} | {again} | {most} |",
                row.name,
                row.stages()
            )
        })
        .collect();
    assert_eq!(listed, served, "as it should be:\n{}", served.join("\n"));
}

#[test]
fn methods_that_are_not_done_again_ask_for_a_key() {
    let mut world = World::new();
    let conn = world.operator(&[ADMIN]);
    for row in &TABLE {
        let answer = world.ask(conn, row.name, json!({"message": "x"}));
        let asks_for_a_key = errors(&answer).contains("idempotencyKey");
        assert_eq!(asks_for_a_key, row.repeat == Repeat::Keyed, "{answer}");
    }
}

#[test]
fn the_status_counts_how_connections_ended() {
    let mut world = World::new();
    let conn = world.operator(&[READ]);
    let connections =
        |world: &mut World| world.ask(conn, "status", json!({}))["payload"]["connections"].clone();
    assert_eq!(
        connections(&mut world),
        json!({"admitted": 1, "sockets": 1, "left": 0, "closed": []})
    );
    for _ in 0..2 {
        let gone = world.operator(&[READ]);
        world.cut(gone);
        let rude = world.open(local());
        world.say_bytes(rude, "no JSON");
    }
    world.refused(
        local(),
        &Caller {
            auth: json!({"token": "wrong"}),
            ..Caller::default()
        },
    );
    let silent = world.open(local());
    world.advance(seconds(16));
    world.cut(silent);
    let reason = |reason: &str, count: u64| json!({"code": 1008, "reason": reason, "count": count});
    assert_eq!(
        connections(&mut world),
        json!({"admitted": 1, "sockets": 1, "left": 2, "closed": [
            reason("handshake timeout", 1),
            reason("invalid request frame: must be JSON", 2),
            reason("unauthorized: gateway token mismatch (provide gateway auth token)", 1),
        ]})
    );
}

#[test]
fn a_connection_without_scopes_may_ask_for_health_and_nothing_else() {
    let mut world = World::new();
    let conn = world.join(&Caller {
        id: "test",
        mode: "test",
        scopes: &[ADMIN],
        ..Caller::default()
    });
    for (method, needed) in METHODS {
        let answer = world.ask(conn, method, json!({}));
        assert_eq!(answer["ok"], needed.is_none(), "{method}");
    }
    let health = world.ask(conn, "health", json!({}))["payload"].clone();
    assert_eq!(health["ok"], true);
    assert_eq!(health["defaultAgentId"], Value::Null, "the rest needs read");
}

#[test]
fn an_unknown_method_is_named_to_administrators_only() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let answer = world.ask(admin, "no.such", json!({}));
    assert_eq!(errors(&answer), "INVALID_REQUEST unknown method: no.such");
    let long = "é".repeat(100);
    let answer = world.ask(admin, &long, json!({}));
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(message.len() <= "unknown method: ".len() + 120, "{message}");

    let writer = world.operator(&[WRITE]);
    let answer = world.ask(writer, "no.such", json!({}));
    assert_eq!(errors(&answer), "FORBIDDEN missing scope: operator.admin");
}

#[test]
fn a_turn_is_refused_with_what_is_wrong_with_it() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    let wrong = "INVALID_REQUEST invalid agent params: ";
    for (params, error) in [
        (json!([]), "must be object"),
        (json!("x"), "must be object"),
        (json!({}), "must have required property 'message'"),
        (
            json!({"message": "m"}),
            "must have required property 'idempotencyKey'",
        ),
        (
            json!({"message": "m", "idempotencyKey": "k", "bogus": 1}),
            "at root: unexpected property 'bogus'",
        ),
        (
            json!({"message": "", "idempotencyKey": "k"}),
            "at /message: must not have fewer than 1 characters",
        ),
        (
            json!({"message": "m", "idempotencyKey": ""}),
            "at /idempotencyKey: must not have fewer than 1 characters",
        ),
        (
            json!({"message": 1, "idempotencyKey": "k"}),
            "at /message: must be string",
        ),
        (
            json!({"message": "m", "idempotencyKey": "k", "timeout": -1}),
            "at /timeout: must be >= 0",
        ),
        (
            json!({"message": "m", "idempotencyKey": "k", "timeout": 1.5}),
            "at /timeout: must be integer",
        ),
        (
            json!({"message": "m", "idempotencyKey": "k", "agentId": "bogus"}),
            "unknown agent id \"bogus\"",
        ),
        (
            json!({"message": "m", "idempotencyKey": "k", "sessionKey": "agent:bogus:main"}),
            "unknown agent id \"bogus\"",
        ),
        (
            json!({"message": "m", "idempotencyKey": "k".repeat(1_025)}),
            "at /idempotencyKey: must not have more than 1024 bytes",
        ),
        (
            json!({"message": "m", "idempotencyKey": "k", "sessionKey": "s".repeat(1_025)}),
            "at /sessionKey: must not have more than 1024 bytes",
        ),
    ] {
        let answer = world.ask(conn, "agent", params);
        assert_eq!(errors(&answer), format!("{wrong}{error}"));
    }
    let story = story(&world.hear(conn));
    assert!(story.iter().all(|line| line == "presence"), "{story:?}");
}

#[test]
fn a_turn_that_asks_for_what_is_not_there_yet_is_told_so() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    for (name, value) in [
        ("model", json!("m")),
        ("attachments", json!([])),
        ("channel", json!("whatsapp")),
        ("extraSystemPrompt", json!("p")),
        ("deliver", json!(true)),
    ] {
        let mut params = json!({"message": "m", "idempotencyKey": "k"});
        params[name] = value;
        let answer = world.ask(conn, "agent", params);
        assert_eq!(answer["error"]["code"], "UNAVAILABLE");
        let message = answer["error"]["message"].as_str().expect("a message");
        assert!(
            message.starts_with(&format!(
                "agent parameter {name} is not supported by this gateway yet"
            )),
            "{message}"
        );
    }
    let params = json!({"message": "m", "idempotencyKey": "k", "deliver": false});
    world.request(conn, "r", "agent", params);
    assert_eq!(world.answer(conn, "r")["payload"]["status"], "accepted");
}

#[test]
fn sessions_are_called_by_their_full_names() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    for (number, (key, agent, full)) in [
        (None, None, "agent:main:main"),
        (Some("main"), None, "agent:main:main"),
        (Some("  "), None, "agent:main:main"),
        (Some("work"), Some("main"), "agent:main:work"),
        (Some("agent:main:a:b"), None, "agent:main:a:b"),
        (Some("agent:main:"), None, "agent:main:agent:main:"),
    ]
    .into_iter()
    .enumerate()
    {
        let message = format!("m{number}");
        let mut params = json!({"message": message, "idempotencyKey": message});
        if let Some(key) = key {
            params["sessionKey"] = json!(key);
        }
        if let Some(agent) = agent {
            params["agentId"] = json!(agent);
        }
        world.request(conn, "r", "agent", params);
        assert_eq!(world.answer(conn, "r")["payload"]["sessionKey"], full);
        assert_eq!(world.agent.turn(&message).session_key, full);
        world.agent_does(&message, Do::Finish);
        world.hear(conn);
    }
}

#[test]
fn a_request_in_the_name_of_another_profile_is_not_begun() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.say(
        conn,
        &json!({
            "type": "req", "id": "r", "method": "agent", "expectedProfileId": "p",
            "params": {"message": "m", "idempotencyKey": "k"},
        }),
    );
    let answer = world.answer(conn, "r");
    assert_eq!(answer["error"]["code"], "INVALID_REQUEST");
    assert_eq!(
        answer["error"]["details"],
        json!({"reason": "EXPECTED_PROFILE_MISMATCH", "execution": "not_started"})
    );
    assert_eq!(world.agent.begun("m"), 0);
}

#[test]
fn a_system_event_is_pushed_before_it_is_answered() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let reader = world.operator(&[READ]);
    let writer = world.operator(&["operator.approvals"]);
    world.advance(seconds(5));
    for conn in [admin, reader, writer] {
        world.hear(conn);
    }
    let params = json!({"text": "Lab awake", "instanceId": "lab", "mode": "ui", "tags": ["x"]});
    world.request(admin, "e", "system-event", params);
    let frames = world.hear(admin);
    assert_eq!(story(&frames), ["presence", "res e ok"]);
    assert_eq!(frames[1]["payload"], json!({"ok": true}));
    let is_lab = |row: &&Value| row["instanceId"] == "lab";
    let rows = frames[0]["payload"]["presence"].as_array().expect("a list");
    let row = rows.iter().find(is_lab).expect("its row");
    assert_eq!(row["text"], "Lab awake");
    assert_eq!(row["tags"], json!(["x"]));
    assert_eq!(story(&world.hear(reader)), ["presence"]);
    assert_eq!(story(&world.hear(writer)), [""; 0]);

    let list = world.ask(reader, "system-presence", json!({}))["payload"].clone();
    assert_eq!(&list, &frames[0]["payload"]["presence"]);
    world.advance(seconds(299));
    let listed = |world: &mut World| {
        let list = world.ask(reader, "system-presence", json!({}))["payload"].clone();
        list.as_array()
            .expect("a list")
            .iter()
            .any(|row| is_lab(&row))
    };
    assert!(listed(&mut world));
    world.advance(seconds(1));
    assert!(!listed(&mut world), "nobody is behind it");
}

#[test]
fn the_same_instance_has_one_row_whatever_it_announces() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    for text in ["one", "two"] {
        let params = json!({"text": text, "instanceId": "lab"});
        assert_eq!(world.ask(admin, "system-event", params)["ok"], true);
    }
    let list = world.ask(admin, "system-presence", json!({}))["payload"].clone();
    let texts: Vec<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .filter(|row| row["instanceId"] == "lab")
        .map(|row| &row["text"])
        .collect();
    assert_eq!(texts, ["two"]);
}

#[test]
fn a_system_event_has_bounds() {
    let mut world = World::new();
    let admin = world.operator(&[ADMIN]);
    let names = |count: usize| vec!["n"; count];
    for (params, error) in [
        (json!({}), "must have required property 'text'"),
        (
            json!({"text": "t", "bogus": 1}),
            "at root: unexpected property 'bogus'",
        ),
        (
            json!({"text": ""}),
            "at /text: must not have fewer than 1 characters",
        ),
        (
            json!({"text": "é".repeat(1_025)}),
            "at /text: must not have more than 1024 characters",
        ),
        (
            json!({"text": "t", "host": "h".repeat(129)}),
            "at /host: must not have more than 128 characters",
        ),
        (
            json!({"text": "t", "tags": names(33)}),
            "at /tags: must not have more than 32 items",
        ),
        (
            json!({"text": "t", "roles": [1]}),
            "at /roles/0: must be string",
        ),
        (
            json!({"text": "t", "lastInputSeconds": -1}),
            "at /lastInputSeconds: must be >= 0",
        ),
    ] {
        let answer = world.ask(admin, "system-event", params);
        let expected = format!("INVALID_REQUEST invalid system-event params: {error}");
        assert_eq!(errors(&answer), expected);
    }
    for params in [
        json!({"text": "é".repeat(1_024), "host": "h".repeat(128)}),
        json!({"text": "t", "tags": names(32), "lastInputSeconds": 3.0}),
    ] {
        assert_eq!(world.ask(admin, "system-event", params)["ok"], true);
    }
}

#[test]
fn the_status_counts_what_runs_and_what_waits() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.run_in(conn, "r1", "a", "s");
    world.run_in(conn, "r2", "b", "s");
    world.run_in(conn, "r3", "c", "t");
    let _stranger = world.open(support::remote(1));
    world.advance(seconds(7));
    for params in [json!({}), json!([]), json!("x"), Value::Null] {
        let status = world.ask(conn, "status", params)["payload"].clone();
        assert_eq!(status["runtimeVersion"], "0.1.0");
        assert_eq!(status["uptimeMs"], 7_000);
        assert_eq!(status["channelSummary"], json!([]));
        assert_eq!(status["queuedSystemEvents"], json!([]));
        assert_eq!(
            status["connections"],
            json!({"admitted": 1, "sockets": 2, "left": 0, "closed": []})
        );
        assert_eq!(status["runs"], json!({"running": 2, "queued": 1}));
        assert_eq!(status["sessions"], json!({"count": 2}));
    }
    for message in ["a", "b", "c"] {
        world.agent_does(message, Do::Finish);
    }
    let status = world.ask(conn, "status", json!({}))["payload"].clone();
    assert_eq!(status["runs"], json!({"running": 0, "queued": 0}));
}

#[test]
fn health_ignores_its_parameters() {
    let mut world = World::new();
    let conn = world.operator(&[READ]);
    for params in [json!({"bogus": 1}), json!([]), json!("str"), Value::Null] {
        let health = world.ask(conn, "health", params)["payload"].clone();
        assert_eq!(health["ok"], true);
        assert_eq!(health["defaultAgentId"], "main");
    }
}

#[test]
fn a_draining_gateway_takes_no_new_work_on_and_says_so() {
    let mut world = World::new();
    let conn = world.operator(&[WRITE]);
    world.drain();
    for _ in 0..2 {
        let params = json!({"message": "m", "idempotencyKey": "k"});
        let answer = world.ask(conn, "agent", params);
        assert_eq!(
            errors(&answer),
            "UNAVAILABLE Gateway is draining; new tasks are not accepted"
        );
        assert_eq!(answer["error"]["retryable"], true);
    }
    assert_eq!(world.agent.begun("m"), 0);
    assert_eq!(world.ask(conn, "health", json!({}))["ok"], true);
}
