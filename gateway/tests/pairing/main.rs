//! Which devices come in, who waits, and what operators decide.

mod coming_in;
mod lasting;
mod setup_codes;
mod tokens;
mod waiting;

#[path = "../support/mod.rs"]
mod support;

use openclaw_protocol_core::server::ConnId;
use serde_json::{Value, json};
use support::{Caller, Device, READ, World, local, remote};

const PAIRING: &str = "operator.pairing";
const APPROVALS: &str = "operator.approvals";

fn device(seed: u8) -> Caller<'static> {
    Caller {
        id: "cli",
        mode: "cli",
        scopes: &[READ],
        device: Some(Device::new(seed)),
        ..Caller::default()
    }
}

fn with_token<'a>(caller: &Caller<'a>, token: &str) -> Caller<'a> {
    Caller {
        auth: json!({"deviceToken": token}),
        ..caller.clone()
    }
}

fn id_of(caller: &Caller<'_>) -> String {
    caller.device.as_ref().expect("a device").id()
}

/// Lets a device in and returns its connection and its token.
fn let_in(world: &mut World, caller: &Caller<'_>, from_here: bool) -> (ConnId, String) {
    let peer = if from_here { local() } else { remote(1) };
    let (conn, hello) = world.knock_from(peer, caller);
    assert_eq!(hello["ok"], true, "{hello}");
    let auth = &hello["payload"]["auth"];
    assert_eq!(auth["scopes"], json!(caller.scopes));
    let token = auth["deviceToken"].as_str().expect("a token").to_owned();
    (conn, token)
}

fn details(world: &mut World, caller: &Caller<'_>) -> Value {
    details_from(world, 1, caller)
}

fn details_from(world: &mut World, address: u8, caller: &Caller<'_>) -> Value {
    let (conn, answer) = world.knock_from(remote(address), caller);
    let error = answer["error"].clone();
    let (code, reason) = world.close(conn).expect("refused");
    assert_eq!(code, 1008);
    if let Some(id) = error["details"]["requestId"].as_str() {
        let message = error["message"].as_str().expect("a message");
        let whole = format!("{message} (requestId: {id})");
        assert!(whole.starts_with(reason) && reason.len() >= whole.len().min(117));
        let command = format!("openclaw devices approve {id}");
        assert_eq!(error["details"]["approveCommand"], command);
        assert_eq!(error["code"], "NOT_PAIRED");
    }
    error["details"].clone()
}

fn code(world: &mut World, caller: &Caller<'_>) -> String {
    let details = details(world, caller);
    details["code"].as_str().expect("a code").to_owned()
}

fn ok(answer: &Value) -> &Value {
    assert_eq!(answer["ok"], true, "{answer}");
    &answer["payload"]
}

fn request_id(details: &Value) -> String {
    details["requestId"].as_str().expect("a request").to_owned()
}

/// Has a device wait, approves it, and returns its token.
fn paired(world: &mut World, operator: ConnId, caller: &Caller<'_>) -> String {
    let waiting = details(world, caller);
    let params = json!({"requestId": request_id(&waiting)});
    ok(&world.ask(operator, "device.pair.approve", params));
    let_in(world, caller, false).1
}
