//! The handshake that goes well.

use super::{ADMIN, READ, Scenario, scenario};
use crate::bench::{Bench, Trouble};
use crate::conn::{Conn, is_answer, is_push, request};
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "challenge",
        &["HSK-010/challenge", "HSK-011/nonces", "EVT-002/number"],
        challenge,
    ),
    scenario(
        "hello",
        &[
            "HSK-012/version",
            "HSK-012/range",
            "HSK-013/server",
            "HSK-013/features",
            "HSK-013/snapshot",
            "HSK-013/policy",
            "HSK-014/auth",
            "HSK-017/early",
            "HSK-020/ids",
            "LIM-008/policy",
            "STA-005/self",
            "REQ-009/listed",
        ],
        hello,
    ),
    scenario(
        "ways in",
        &[
            "HSK-028/probe",
            "HSK-030/password",
            "HSK-034/defaults",
            "SCP-009/origin",
        ],
        ways_in,
    ),
    scenario(
        "pipelined",
        &["HSK-018/answered", "HSK-018/order"],
        pipelined,
    ),
    scenario(
        "second connect",
        &["HSK-009/answered", "HSK-009/stays"],
        second_connect,
    ),
];

fn challenge(bench: &Bench) -> Result<(), Trouble> {
    let mut nonces = Vec::new();
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut conn = bench.open()?;
        let first = conn
            .take(bench.patience(), |_| true)?
            .unwrap_or(Value::Null);
        let nonce = first.text("payload.nonce").unwrap_or("").to_owned();
        let timed = first.integer("payload.ts").is_some_and(|ts| ts > 0);
        let kept = is_push(&first, "connect.challenge") && !nonce.is_empty() && timed;
        bench.check("HSK-010/challenge", kept, || format!("first came {first}"));
        if first.is_object() {
            bench.check("EVT-002/number", first.at("seq").is_none(), || {
                first.to_string()
            });
        }
        nonces.push(nonce);
        sockets.push(conn);
    }
    nonces.retain(|nonce| !nonce.is_empty());
    if nonces.len() < 2 {
        return Err(Trouble("no two challenges came".to_owned()));
    }
    let count = nonces.len();
    nonces.sort();
    nonces.dedup();
    bench.check("HSK-011/nonces", nonces.len() == count, || {
        format!("{} nonces for {count} connections", nonces.len())
    });
    Ok(())
}

fn hello(bench: &Bench) -> Result<(), Trouble> {
    let early = bench.open()?.connect_plainly(bench.params(ADMIN));
    bench.judge("HSK-017/early", early.map_err(|trouble| trouble.0));
    let conn = bench.operator(ADMIN)?;
    let other = bench.operator(ADMIN)?;
    let Some(hello) = conn.hello.clone() else {
        return Err(Trouble("hello-ok has no payload".to_owned()));
    };
    let at = |path: &str| hello.at(path).unwrap_or(&Value::Null);
    let text = |path: &str| hello.text(path).is_some_and(|text| !text.is_empty());
    let offered = i64::from(bench.options.protocol);
    let protocol = hello.integer("protocol");
    let kept = hello.text("type") == Some("hello-ok") && protocol == Some(offered);
    bench.check("HSK-012/version", kept, || {
        format!(
            "type {}, protocol {} for {offered}",
            at("type"),
            at("protocol")
        )
    });
    for (min, max) in [(1, 99), (offered, offered + 1)] {
        let params = bench.params(ADMIN).with("minProtocol", min);
        let conn = bench.join(params.with("maxProtocol", max))?;
        let chosen = conn.hello("protocol").cloned().unwrap_or(Value::Null);
        let within = conn
            .hello
            .as_ref()
            .and_then(|hello| hello.integer("protocol"))
            .is_some_and(|own| (min..=max).contains(&own));
        bench.check("HSK-012/range", within, || {
            format!("{chosen} for {min} to {max}")
        });
    }
    let kept = text("server.version") && text("server.connId");
    bench.check("HSK-013/server", kept, || at("server").to_string());
    let listed = |path: &str| hello.list(path).is_some_and(|list| !list.is_empty());
    let kept = listed("features.methods") && listed("features.events");
    bench.check("HSK-013/features", kept, || at("features").to_string());
    let snapshot = at("snapshot");
    let kept = snapshot.list("presence").is_some()
        && snapshot.at("health").is_some_and(Value::is_object)
        && snapshot.integer("stateVersion.presence").is_some()
        && snapshot.integer("stateVersion.health").is_some()
        && snapshot.integer("uptimeMs").is_some_and(|ms| ms >= 0);
    bench.check("HSK-013/snapshot", kept, || snapshot.to_string());
    let own = snapshot.list("presence").unwrap_or(&[]);
    let own = own.iter().any(|row| row.text("mode") == Some("gateway"));
    bench.check("STA-005/self", own, || "no row has mode gateway".to_owned());
    let policy = ["maxPayload", "maxBufferedBytes", "tickIntervalMs"];
    let there = policy
        .iter()
        .all(|name| at("policy").integer(name).is_some());
    bench.check("HSK-013/policy", there, || at("policy").to_string());
    let positive = |name: &&str| at("policy").integer(name).is_none_or(|number| number > 0);
    bench.check("LIM-008/policy", policy.iter().all(positive), || {
        at("policy").to_string()
    });
    let scopes = hello.list("auth.scopes").unwrap_or(&[]);
    let kept = hello.text("auth.role") == Some("operator")
        && scopes.iter().any(|scope| scope.is("operator.admin"));
    bench.check("HSK-014/auth", kept, || at("auth").to_string());
    let ids = [&conn, &other].map(|conn| conn.hello("server.connId").cloned());
    bench.check("HSK-020/ids", ids[0] != ids[1], || format!("{ids:?}"));
    let methods = hello.list("features.methods").unwrap_or(&[]);
    let missing: Vec<&str> = ["health", "status", "system-presence", "agent"]
        .into_iter()
        .filter(|name| !methods.iter().any(|method| method.is(name)))
        .collect();
    bench.check("REQ-009/listed", missing.is_empty(), || {
        format!("not listed: {missing:?}")
    });
    Ok(())
}

/// Connects that are unlike ours and are good as well.
fn ways_in(bench: &Bench) -> Result<(), Trouble> {
    let params = bench.params(READ);
    let probe = object! {
        "id": "openclaw-probe", "version": "1", "platform": "linux", "mode": "probe",
    };
    let old = params.clone().with("client", probe).with("minProtocol", 3);
    let welcomed = bench.open()?.connect_plainly(old.with("maxProtocol", 3));
    bench.judge("HSK-028/probe", welcomed.map_err(|why| why.0));

    let bare = params.clone().without("role").without("scopes");
    let mut conn = bench.open()?;
    let welcomed = conn.connect_plainly(bare).map_err(|why| why.0);
    let none = |scopes: &Value| *scopes == Value::List(Vec::new());
    let role = conn
        .hello("auth.role")
        .is_none_or(|role| role.is("operator"));
    let kept = welcomed.and_then(|()| match conn.hello("auth.scopes") {
        Some(scopes) if !none(scopes) => Err(format!("{scopes} was granted")),
        Some(_) | None if !role => Err("no operator was let in".to_owned()),
        Some(_) | None => Ok(()),
    });
    bench.judge("HSK-034/defaults", kept);

    let origin = format!("Origin: http://{}\r\n", bench.options.target.authority);
    let mut conn = bench.open_with(&origin)?;
    let id = conn.request("connect", params.clone())?;
    let answer = conn.take(bench.patience(), |frame| is_answer(frame, &id))?;
    let answer = answer.unwrap_or(Value::Null);
    // A gateway that takes the origin for a foreign one lets nobody in.
    let scopes = answer.at("payload.auth.scopes");
    bench.check("SCP-009/origin", scopes.is_none_or(none), || {
        format!("a browser without a device is answered {answer}")
    });

    if bench.options.token.is_empty() {
        bench.not_applicable("HSK-030/password", "no token was given");
        return Ok(());
    }
    let secret = object! {"password": bench.options.token.as_str()};
    let welcomed = bench.open()?.connect_plainly(params.with("auth", secret));
    bench.judge("HSK-030/password", welcomed.map_err(|why| why.0));
    Ok(())
}

fn pipelined(bench: &Bench) -> Result<(), Trouble> {
    let mut conn = bench.open()?;
    conn.say(&request("c", "connect", bench.params(READ)))?;
    conn.say(&request("one", "health", object! {}))?;
    conn.say(&request("two", "health", object! {}))?;
    for id in ["c", "one", "two"] {
        let answer = conn.take(bench.patience(), |frame| is_answer(frame, id))?;
        let ok = answer.is_some_and(|answer| answer.flag("ok") == Some(true));
        bench.check("HSK-018/answered", ok, || format!("{id} is not answered"));
    }
    let order = answers(&conn);
    bench.check(
        "HSK-018/order",
        order.first().is_some_and(|id| id == "c"),
        || format!("answered in this order: {order:?}"),
    );
    Ok(())
}

fn answers(conn: &Conn<'_>) -> Vec<String> {
    let ids = conn
        .heard
        .iter()
        .filter(|frame| frame.text("type") == Some("res"));
    ids.filter_map(|frame| frame.text("id").map(str::to_owned))
        .collect()
}

fn second_connect(bench: &Bench) -> Result<(), Trouble> {
    let mut conn = bench.operator(ADMIN)?;
    conn.say(&request("again", "connect", bench.params(ADMIN)))?;
    let answer = conn.take(bench.patience(), |frame| is_answer(frame, "again"))?;
    let answer = answer.unwrap_or(Value::Null);
    bench.check("HSK-009/answered", answer.flag("ok") == Some(false), || {
        format!("answered with {answer}")
    });
    let lives = conn.lives()?;
    bench.check("HSK-009/stays", lives, || "no answer afterwards".to_owned());
    Ok(())
}
