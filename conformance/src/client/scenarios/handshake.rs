//! The upgrade, `connect` and hello.

use std::time::Duration;

use super::{Scenario, scenario};
use crate::bench::{Ending, Trouble};
use crate::client::Job;
use crate::client::stage::{MARK, Stage};
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "hello",
        Job::Health,
        &[
            "HSK-102/versions",
            "HSK-103/client",
            "HSK-104/token",
            "HSK-105/nonce",
            "CLO-103/leaves",
        ],
        hello,
    ),
    scenario("refused", Job::Health, &["HSK-107/told"], refused),
    scenario("accept value", Job::Health, &["TRN-106/accept"], accept),
    Scenario {
        slow: true,
        ..scenario("no challenge", Job::Health, &["LIV-105/ends"], no_challenge)
    },
];

/// How long hello-ok is put off, so that a request which does not wait for it shows.
const LATE: Duration = Duration::from_millis(250);
/// How long a client may wait for what never comes.
const BOUND: Duration = Duration::from_secs(75);

const IDS: [&str; 17] = [
    "webchat-ui",
    "openclaw-control-ui",
    "openclaw-browser-copilot",
    "openclaw-tui",
    "webchat",
    "cli",
    "gateway-client",
    "openclaw-macos",
    "openclaw-linux",
    "openclaw-ios",
    "openclaw-watchos",
    "openclaw-android",
    "node-host",
    "openclaw-worker",
    "test",
    "fingerprint",
    "openclaw-probe",
];
const MODES: [&str; 8] = [
    "webchat", "cli", "ui", "backend", "node", "worker", "probe", "test",
];

fn hello(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.session()?;
    let nonce = session.nonce();
    let connect = session.challenged()?;
    introduces(stage, &connect, &nonce);
    session.listen(LATE)?;
    session.welcome(&connect, |hello| hello)?;
    let request = session.request("health")?;
    session.answer(&request, stage.health())?;
    stage.end_of(&mut session)?;
    let ending = session.ending()?;
    let said = matches!(ending, Ending::Closed(..));
    stage.check("CLO-103/leaves", said, || ending.to_string());
    Ok(())
}

fn introduces(stage: &Stage<'_>, connect: &Value, nonce: &str) {
    let params = connect.at("params").unwrap_or(&Value::Null);
    let shown = || {
        let token = stage.shared.token.as_str();
        params.to_string().replace(token, "<token>")
    };
    let range = ["minProtocol", "maxProtocol"].map(|name| params.integer(name));
    let own = i64::from(stage.options.protocol);
    let offered = matches!(range, [Some(min), Some(max)] if min >= 1 && min <= own && own <= max);
    stage.check("HSK-102/versions", offered, shown);
    let word = |path: &str| params.text(path).is_some_and(|text| !text.is_empty());
    let one_of = |path: &str, set: &[&str]| params.text(path).is_some_and(|own| set.contains(&own));
    let named = one_of("client.id", &IDS)
        && one_of("client.mode", &MODES)
        && word("client.version")
        && word("client.platform");
    stage.check("HSK-103/client", named, shown);
    let token = params.text("auth.token") == Some(stage.shared.token.as_str());
    stage.check("HSK-104/token", token, || {
        format!(
            "auth is {}",
            params.at("auth").map_or("missing", |_| "there, without it")
        )
    });
    match params.at("device") {
        None => stage.not_applicable("HSK-105/nonce", "it presents no device"),
        Some(device) => {
            let signs = device.text("nonce") == Some(nonce)
                && ["id", "publicKey", "signature"]
                    .iter()
                    .all(|name| device.text(name).is_some_and(|text| !text.is_empty()))
                && device.integer("signedAt").is_some();
            stage.check("HSK-105/nonce", signs, shown);
        }
    }
}

fn refused(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.session()?;
    let connect = session.challenged()?;
    session.refuse(&connect, None, wrong_token())?;
    session.close(1008, WRONG_TOKEN)?;
    let exit = stage.end_of(&mut session)?;
    stage.check("HSK-107/told", exit.failed(), || exit.to_string());
    Ok(())
}

const WRONG_TOKEN: &str = "unauthorized: gateway token mismatch (provide gateway auth token)";

/// How a wrong token is refused.
pub(super) fn wrong_token() -> Value {
    object! {
        "code": "INVALID_REQUEST",
        "message": WRONG_TOKEN,
        "details": object! {
            "code": "AUTH_TOKEN_MISMATCH",
            "authReason": "token_mismatch",
            "canRetryWithDeviceToken": false,
            "recommendedNextStep": "update_auth_credentials",
        },
    }
}

/// A client that believes us goes on to `connect`.
fn accept(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = crate::client::session::Session::new(stage, stage.wire()?, 1);
    session.asked()?;
    let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let head: Vec<String> = session
        .grant()
        .split("\r\n")
        .map(|line| match line.split_once(": ") {
            Some((name @ "Sec-WebSocket-Accept", _)) => format!("{name}: {wrong}"),
            _ => line.to_owned(),
        })
        .collect();
    session.send_bytes(head.join("\r\n").as_bytes())?;
    session.challenge()?;
    let connect = session.requested("connect", stage.patience())?;
    stage.check("TRN-106/accept", connect.is_none(), || {
        "connect came over a connection that was not granted".to_owned()
    });
    Ok(())
}

fn no_challenge(stage: &Stage<'_>) -> Result<(), Trouble> {
    let mut session = stage.session()?;
    // A client without a device need not wait for the challenge.
    if let Some(connect) = session.requested("connect", Duration::from_secs(1))? {
        session.welcome(&connect, |hello| hello)?;
        let request = session.request("health")?;
        session.answer(&request, stage.health())?;
        let exit = stage.end_of(&mut session)?;
        stage.check("LIV-105/ends", exit.tells(&[MARK]), || exit.to_string());
        return Ok(());
    }
    let exit = stage.ended_within(&mut session, BOUND)?;
    stage.check(
        "LIV-105/ends",
        exit.is_some_and(|exit| exit.failed()),
        || "it waits for a challenge for more than a minute".to_owned(),
    );
    Ok(())
}
