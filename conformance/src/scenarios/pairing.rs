//! Devices that are paired: how they come in, what their tokens open, and how that is taken back.
//!
//! Every scenario has devices of its own and removes them, so that nothing of the judgement opens the gateway later.

use super::{ADMIN, READ, Scenario, WRITE, scenario};
use crate::bench::{Bench, May, Trouble};
use crate::conn::{Conn, is_push};
use crate::device::{Device, Layout};
use crate::json::Value;
use crate::object;

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "device tokens",
        &[
            "HSK-031/bootstrap",
            "HSK-031/ends",
            "HSK-031/no-device",
            "HSK-031/other",
            "HSK-031/wrong",
            "HSK-032/answered",
            "HSK-032/ends",
            "HSK-032/narrower",
            "HSK-036/alone",
            "HSK-036/token",
            "HSK-038/silent",
            "HSK-039/same",
            "HSK-040/as-token",
        ],
        tokens,
    ),
    scenario(
        "devices that wait",
        &[
            "HSK-026/again",
            "HSK-026/answered",
            "HSK-026/ends",
            "HSK-035/approved",
            "HSK-035/others",
            "HSK-035/rejected",
            "HSK-035/requested",
            "HSK-041/machine",
            "HSK-041/role",
            "HSK-041/scopes",
            "HSK-042/approved",
            "HSK-042/rejected",
            "HSK-042/used",
            "HSK-044/pending",
        ],
        waiting,
    ),
    scenario(
        "devices that are taken back",
        &[
            "HSK-037/ends",
            "HSK-037/forgotten",
            "HSK-043/revoked",
            "HSK-043/revoked-ends",
            "HSK-043/rotated",
            "HSK-043/rotated-ends",
            "HSK-044/name",
            "HSK-044/paired",
            "HSK-044/secrets",
        ],
        taken_back,
    ),
    scenario(
        "who may pair",
        &["SCP-012/implied", "SCP-012/refused"],
        who_may,
    ),
];

/// A program on the gateway's host.
const CLI: (&str, &str) = ("cli", "cli");
/// A program that a page runs in, which is not let in without being asked.
const PAGE: (&str, &str) = ("test", "test");

/// How a device connects.
#[derive(Clone, Copy)]
struct Knock<'a> {
    client: (&'a str, &'a str),
    role: &'a str,
    scopes: &'a [&'a str],
    platform: &'a str,
}

const HERE: Knock<'_> = Knock {
    client: CLI,
    role: "operator",
    scopes: READ,
    platform: "linux",
};
const FROM_PAGE: Knock<'_> = Knock {
    client: PAGE,
    ..HERE
};

impl Knock<'_> {
    /// Connects a device; returns the conversation and the answer.
    fn with<'b>(
        self,
        bench: &'b Bench,
        device: &Device,
        auth: Value,
    ) -> Result<(Conn<'b>, Value), Trouble> {
        let (id, mode) = self.client;
        let params = bench.params(self.scopes).without("auth").with("auth", auth);
        let client = object! {
            "id": id, "version": "1", "platform": self.platform, "mode": mode,
        };
        let params = params.with("role", self.role).with("client", client);
        let mut conn = if self.client == PAGE {
            let origin = &bench.options.target.authority;
            bench.open_with(&format!("Origin: http://{origin}\r\n"))?
        } else {
            bench.open()?
        };
        let claim = device.claim(&conn.challenge()?);
        let proof = device.prove(&claim, &params, Layout::V3);
        let answer = conn.ask("connect", params.with("device", proof))?;
        Ok((conn, answer))
    }

    /// Connects a device with the gateway's own secret.
    fn with_secret<'b>(
        self,
        bench: &'b Bench,
        device: &Device,
    ) -> Result<(Conn<'b>, Value), Trouble> {
        let auth = match bench.options.token.as_str() {
            "" => object! {},
            token => object! {"token": token},
        };
        self.with(bench, device, auth)
    }

    /// Connects a device with its token and nothing else.
    fn with_token<'b>(
        self,
        bench: &'b Bench,
        device: &Device,
        token: &str,
    ) -> Result<(Conn<'b>, Value), Trouble> {
        self.with(bench, device, object! {"deviceToken": token})
    }
}

pub(super) fn is_ok(answer: &Value) -> bool {
    answer.flag("ok") == Some(true)
}

fn has_code(answer: &Value, code: &str) -> bool {
    answer.flag("ok") == Some(false) && answer.text("error.details.code") == Some(code)
}

fn token_of(answer: &Value) -> &str {
    answer.text("payload.auth.deviceToken").unwrap_or("")
}

pub(super) fn id_of(device: &Device) -> String {
    device.claim(&Value::Null).id
}

/// The request of a device that has to be paired for this reason; none where it is answered otherwise.
pub(super) fn request_of(answer: &Value, reason: &str) -> Option<String> {
    let named = answer.text("error.code") == Some("NOT_PAIRED")
        && has_code(answer, "PAIRING_REQUIRED")
        && answer.text("error.details.reason") == Some(reason);
    let request = answer.text("error.details.requestId")?;
    (named && !request.is_empty()).then(|| request.to_owned())
}

/// Whether a gateway pairs devices; says of the checks that they do not concern it where it does not.
fn pairs(bench: &Bench, checks: &[&'static str]) -> Result<bool, Trouble> {
    let why = if bench.options.token.is_empty() {
        "no token was given: the gateway asks for none"
    } else {
        let conn = bench.operator(ADMIN)?;
        if lists(&conn, "device.pair.list") {
            return Ok(true);
        }
        "the gateway lists no device.pair.list"
    };
    for check in checks {
        bench.not_applicable(check, why);
    }
    Ok(false)
}

/// Whether a gateway has a method; one that lists none may have it.
pub(super) fn lists(conn: &Conn<'_>, method: &str) -> bool {
    let Some(Value::List(methods)) = conn.hello("features.methods") else {
        return true;
    };
    methods.iter().any(|own| own.is(method))
}

/// Sends a request that has to be obeyed.
pub(super) fn does(conn: &mut Conn<'_>, method: &str, params: Value) -> Result<Value, Trouble> {
    let answer = conn.ask(method, params)?;
    if is_ok(&answer) {
        Ok(answer)
    } else {
        Err(Trouble(format!("{method} is answered {answer}")))
    }
}

/// Plays with a new device, and removes it whatever came of that.
fn with_device(
    bench: &Bench,
    checks: &[&'static str],
    play: fn(&Bench, &mut Conn<'_>, &Device) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    if !pairs(bench, checks)? {
        return Ok(());
    }
    let mut admin = bench.operator(ADMIN)?;
    let device = bench.new_device();
    let played = play(bench, &mut admin, &device);
    // It may be gone already.
    let _ = admin.ask("device.pair.remove", object! {"deviceId": id_of(&device)});
    played
}

/// Pairs a new device from the gateway's own host; returns the answer to its connect.
fn paired<'b>(
    bench: &'b Bench,
    admin: &mut Conn<'_>,
    device: &Device,
) -> Result<(Conn<'b>, Value), Trouble> {
    let (conn, answer) = HERE.with_secret(bench, device)?;
    let Some(request) = request_of(&answer, "not-paired") else {
        return if is_ok(&answer) {
            Ok((conn, answer))
        } else {
            Err(Trouble(format!("a device is answered {answer}")))
        };
    };
    does(admin, "device.pair.approve", object! {"requestId": request})?;
    let (conn, answer) = HERE.with_secret(bench, device)?;
    if is_ok(&answer) {
        Ok((conn, answer))
    } else {
        Err(Trouble(format!("an approved device is answered {answer}")))
    }
}

fn tokens(bench: &Bench) -> Result<(), Trouble> {
    with_device(bench, SCENARIOS[0].checks, issued)
}

fn issued(bench: &Bench, admin: &mut Conn<'_>, device: &Device) -> Result<(), Trouble> {
    let (_conn, answer) = HERE.with_secret(bench, device)?;
    bench.check("HSK-038/silent", is_ok(&answer), || {
        format!("a new device on the gateway's host is answered {answer}")
    });
    let (_conn, answer) = paired(bench, admin, device)?;
    let token = token_of(&answer).to_owned();
    bench.check("HSK-036/token", !token.is_empty(), || {
        format!("hello-ok has {}", shown(&answer))
    });
    if token.is_empty() {
        return Err(Trouble("no device token was given".to_owned()));
    }
    let (_conn, answer) = HERE.with_secret(bench, device)?;
    let mut same = token_of(&answer) == token;
    let (_conn, answer) = HERE.with_token(bench, device, &token)?;
    bench.check("HSK-036/alone", is_ok(&answer), || {
        format!("its token alone is answered {answer}")
    });
    same &= !is_ok(&answer) || token_of(&answer) == token;
    bench.check("HSK-039/same", same, || {
        "another token was given without need".to_owned()
    });
    let auth = object! {"token": token.as_str()};
    let (_conn, answer) = HERE.with(bench, device, auth)?;
    bench.check("HSK-040/as-token", is_ok(&answer), || {
        format!("its token as auth.token is answered {answer}")
    });
    let narrow = Knock {
        scopes: &[],
        ..HERE
    };
    let (conn, answer) = narrow.with_token(bench, device, &token)?;
    let none = answer
        .list("payload.auth.scopes")
        .is_some_and(<[_]>::is_empty);
    drop(conn);
    bench.check("HSK-032/narrower", is_ok(&answer) && none, || {
        format!("no scopes are answered {}", shown(&answer))
    });
    let wide = Knock {
        scopes: WRITE,
        ..HERE
    };
    let (mut conn, answer) = wide.with_token(bench, device, &token)?;
    let kept = has_code(&answer, "AUTH_SCOPE_MISMATCH");
    bench.check("HSK-032/answered", kept, || answer.to_string());
    let after = "more scopes than were approved";
    bench.ends("HSK-032/ends", after, &conn.ending()?, &[May::Close(1008)]);

    let stranger = bench.new_device();
    let wrong = "x".repeat(43);
    for (check, device, token) in [
        ("HSK-031/wrong", device, wrong.as_str()),
        ("HSK-031/other", &stranger, token.as_str()),
    ] {
        let (mut conn, answer) = HERE.with_token(bench, device, token)?;
        let kept = has_code(&answer, "AUTH_DEVICE_TOKEN_MISMATCH");
        bench.check(check, kept, || answer.to_string());
        let ending = conn.ending()?;
        let after = "a token that was not issued to the device";
        bench.ends("HSK-031/ends", after, &ending, &[May::Close(1008)]);
    }
    let (mut conn, answer) = HERE.with(bench, &stranger, object! {"bootstrapToken": wrong})?;
    let kept = has_code(&answer, "AUTH_BOOTSTRAP_TOKEN_INVALID");
    bench.check("HSK-031/bootstrap", kept, || answer.to_string());
    let after = "a bootstrap token that nobody issued";
    bench.ends("HSK-031/ends", after, &conn.ending()?, &[May::Close(1008)]);
    let mut conn = bench.open()?;
    let auth = object! {"deviceToken": token.as_str()};
    let params = bench.params(READ).with("auth", auth);
    let answer = conn.ask("connect", params)?;
    let refused = answer.flag("ok") == Some(false);
    bench.check("HSK-031/no-device", refused, || {
        "a device token without its device lets in".to_owned()
    });
    Ok(())
}

/// What hello-ok says of who came in, without the token.
fn shown(answer: &Value) -> String {
    let auth = answer.at("payload.auth").cloned().unwrap_or(Value::Null);
    auth.without("deviceToken").to_string()
}

/// Takes the next push of this event for a device.
fn told(conn: &mut Conn<'_>, bench: &Bench, event: &str, device: &str) -> Result<Value, Trouble> {
    let push = conn.take(bench.patience(), |frame| {
        is_push(frame, event) && frame.text("payload.deviceId") == Some(device)
    })?;
    Ok(push.unwrap_or(Value::Null))
}

fn waiting(bench: &Bench) -> Result<(), Trouble> {
    with_device(bench, SCENARIOS[1].checks, decided)
}

/// Rejects what a device asks for: a gateway need not let it ask for one thing after another.
fn withdraw(admin: &mut Conn<'_>, id: &str) -> Result<(), Trouble> {
    let list = does(admin, "device.pair.list", object! {})?;
    let rows = list.list("payload.pending").unwrap_or(&[]).iter();
    for row in rows.filter(|row| row.text("deviceId") == Some(id)) {
        let request = row.text("requestId").unwrap_or("");
        does(admin, "device.pair.reject", object! {"requestId": request})?;
    }
    Ok(())
}

fn decided(bench: &Bench, admin: &mut Conn<'_>, device: &Device) -> Result<(), Trouble> {
    let mut pairing = bench.operator(&["operator.pairing"])?;
    let mut others = bench.operator(WRITE)?;
    let id = id_of(device);

    let (mut conn, answer) = FROM_PAGE.with_secret(bench, device)?;
    let request = request_of(&answer, "not-paired");
    bench.check("HSK-026/answered", request.is_some(), || {
        format!("a new device in a page is answered {answer}")
    });
    let ending = conn.ending()?;
    let after = "a device that is not approved";
    bench.ends("HSK-026/ends", after, &ending, &[May::Close(1008)]);
    let Some(request) = request else {
        return Err(Trouble(format!("no device waits: {answer}")));
    };
    let push = told(&mut pairing, bench, "device.pair.requested", &id)?;
    let kept = push.text("payload.requestId") == Some(&request);
    bench.check("HSK-035/requested", kept, || {
        format!("of request {request} this was told: {push}")
    });
    let (_conn, answer) = FROM_PAGE.with_secret(bench, device)?;
    let again = request_of(&answer, "not-paired");
    bench.check("HSK-026/again", again.as_ref() == Some(&request), || {
        format!("it asked for {request} and again it is answered {answer}")
    });
    let list = does(&mut pairing, "device.pair.list", object! {})?;
    let rows = list.list("payload.pending").unwrap_or(&[]);
    let row = rows.iter().find(|row| row.text("deviceId") == Some(&id));
    let kept = row.is_some_and(|row| row.text("requestId") == Some(&request));
    bench.check("HSK-044/pending", kept, || list.to_string());

    let approve = object! {"requestId": request.as_str()};
    does(admin, "device.pair.approve", approve.clone())?;
    let push = told(&mut pairing, bench, "device.pair.resolved", &id)?;
    let kept = push.text("payload.requestId") == Some(&request)
        && push.text("payload.decision") == Some("approved");
    bench.check("HSK-035/approved", kept, || push.to_string());
    let answer = admin.ask("device.pair.approve", approve)?;
    let used = answer.flag("ok") == Some(false);
    bench.check("HSK-042/used", used, || {
        format!("a request is approved twice: {answer}")
    });
    let (_conn, answer) = FROM_PAGE.with_secret(bench, device)?;
    let kept = is_ok(&answer) && !token_of(&answer).is_empty();
    bench.check("HSK-042/approved", kept, || {
        format!("an approved device is answered {}", shown(&answer))
    });

    let more = Knock {
        scopes: WRITE,
        ..FROM_PAGE
    };
    let (_conn, answer) = more.with_secret(bench, device)?;
    let request = request_of(&answer, "scope-upgrade");
    bench.check("HSK-041/scopes", request.is_some(), || {
        format!("more scopes are answered {answer}")
    });
    if let Some(request) = request {
        told(&mut pairing, bench, "device.pair.requested", &id)?;
        let reject = object! {"requestId": request.as_str()};
        does(admin, "device.pair.reject", reject)?;
        let push = told(&mut pairing, bench, "device.pair.resolved", &id)?;
        let kept = push.text("payload.requestId") == Some(&request)
            && push.text("payload.decision") == Some("rejected");
        bench.check("HSK-035/rejected", kept, || push.to_string());
        let (_conn, answer) = more.with_secret(bench, device)?;
        let other = request_of(&answer, "scope-upgrade").filter(|other| *other != request);
        bench.check("HSK-042/rejected", other.is_some(), || {
            format!("after a rejection of {request} it is answered {answer}")
        });
    }
    withdraw(admin, &id)?;
    let elsewhere = Knock {
        platform: "windows",
        ..FROM_PAGE
    };
    let (_conn, answer) = elsewhere.with_secret(bench, device)?;
    let kept = request_of(&answer, "metadata-upgrade").is_some();
    bench.check("HSK-041/machine", kept, || {
        format!("another machine is answered {answer}")
    });
    withdraw(admin, &id)?;
    let node = Knock {
        client: ("node-host", "node"),
        role: "node",
        scopes: &[],
        ..HERE
    };
    let (_conn, answer) = node.with_secret(bench, device)?;
    if answer.text("error.code") == Some("UNAVAILABLE") {
        bench.not_applicable("HSK-041/role", "the gateway has no nodes");
    } else {
        let kept = request_of(&answer, "role-upgrade").is_some();
        bench.check("HSK-041/role", kept, || {
            format!("another role is answered {answer}")
        });
    }
    others.lives()?;
    let heard = others.heard.iter().find(|frame| {
        let event = frame.text("event").unwrap_or("");
        event.starts_with("device.pair.")
    });
    bench.check("HSK-035/others", heard.is_none(), || {
        format!("who may not pair heard {}", heard.unwrap_or(&Value::Null))
    });
    Ok(())
}

fn taken_back(bench: &Bench) -> Result<(), Trouble> {
    with_device(bench, SCENARIOS[2].checks, ended)
}

fn ended(bench: &Bench, admin: &mut Conn<'_>, device: &Device) -> Result<(), Trouble> {
    let id = id_of(device);
    let (mut conn, answer) = paired(bench, admin, device)?;
    let mut token = token_of(&answer).to_owned();
    let params = object! {"deviceId": id.as_str(), "role": "operator"};
    let names = lists(admin, "device.pair.rename");
    if names {
        let rename = object! {"deviceId": id.as_str(), "label": "judged"};
        does(admin, "device.pair.rename", rename)?;
    } else {
        bench.not_applicable("HSK-044/name", "the gateway lists no device.pair.rename");
    }
    let mut said = Vec::new();
    for (method, check, ends) in [
        (
            "device.token.rotate",
            "HSK-043/rotated",
            "HSK-043/rotated-ends",
        ),
        (
            "device.token.revoke",
            "HSK-043/revoked",
            "HSK-043/revoked-ends",
        ),
    ] {
        let list = does(admin, "device.pair.list", object! {})?;
        let rows = list.list("payload.paired").unwrap_or(&[]);
        let row = rows.iter().find(|row| row.text("deviceId") == Some(&id));
        let role = row.and_then(|row| row.list("tokens")?.first()?.text("role"));
        bench.check("HSK-044/paired", role == Some("operator"), || {
            format!("of the device this is listed: {row:?}")
        });
        let label = row.and_then(|row| row.text("operatorLabel"));
        if names {
            bench.check("HSK-044/name", label == Some("judged"), || {
                format!("of a device with a name this is listed: {row:?}")
            });
        }
        said.push((token.clone(), list.to_string()));
        let answer = does(admin, method, params.clone())?;
        said.push((token.clone(), answer.to_string()));
        let ending = conn.ending()?;
        bench.ends(ends, method, &ending, &[May::Close(4001)]);
        let (_conn, refused) = HERE.with_token(bench, device, &token)?;
        let kept = has_code(&refused, "AUTH_DEVICE_TOKEN_MISMATCH");
        bench.check(check, kept, || {
            format!("after {method} the token is answered {}", shown(&refused))
        });
        let (next, answer) = HERE.with_secret(bench, device)?;
        conn = next;
        token = token_of(&answer).to_owned();
        said.push((
            token.clone(),
            said.last().map_or_else(String::new, |said| said.1.clone()),
        ));
    }
    let shown_to_others = said
        .iter()
        .any(|(token, said)| !token.is_empty() && said.contains(token.as_str()));
    bench.check("HSK-044/secrets", !shown_to_others, || {
        "an operator is shown the token of a device".to_owned()
    });
    does(
        admin,
        "device.pair.remove",
        object! {"deviceId": id.as_str()},
    )?;
    let ending = conn.ending()?;
    bench.ends("HSK-037/ends", "a removal", &ending, &[May::Close(4001)]);
    let (_conn, answer) = HERE.with_token(bench, device, &token)?;
    let list = does(admin, "device.pair.list", object! {})?;
    let rows = list.list("payload.paired").unwrap_or(&[]);
    let listed = rows.iter().any(|row| row.text("deviceId") == Some(&id));
    let kept = has_code(&answer, "AUTH_DEVICE_TOKEN_MISMATCH") && !listed;
    bench.check("HSK-037/forgotten", kept, || {
        format!("listed: {listed}; its token is answered {}", shown(&answer))
    });
    Ok(())
}

/// The methods that need `operator.pairing`, with parameters that lead to nothing.
fn methods() -> [(&'static str, Value); 7] {
    let request = || object! {"requestId": "nobody-asked"};
    let device = || object! {"deviceId": "0000"};
    let token = || device().with("role", "operator");
    [
        ("device.pair.list", object! {}),
        ("device.pair.approve", request()),
        ("device.pair.reject", request()),
        ("device.pair.remove", device()),
        ("device.pair.rename", device().with("label", "x")),
        ("device.token.rotate", token()),
        ("device.token.revoke", token()),
    ]
}

fn who_may(bench: &Bench) -> Result<(), Trouble> {
    if !pairs(bench, SCENARIOS[3].checks)? {
        return Ok(());
    }
    for held in ["operator.write", "operator.pairing", "operator.admin"] {
        let mut conn = bench.operator(&[held])?;
        for (method, params) in methods() {
            if !lists(&conn, method) {
                continue;
            }
            let answer = conn.ask(method, params)?;
            let message = answer.text("error.message").unwrap_or("");
            let missing = message == "missing scope: operator.pairing";
            if held == "operator.write" {
                bench.check("SCP-012/refused", missing, || {
                    format!("{method} with {held} is answered {answer}")
                });
            } else {
                bench.check(
                    "SCP-012/implied",
                    !message.starts_with("missing scope"),
                    || format!("{method} with {held} is answered {answer}"),
                );
            }
        }
    }
    Ok(())
}
