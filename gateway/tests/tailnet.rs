//! Who comes in as a user of the tailnet, and who pretends to.

mod support;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use openclaw_gateway_service::admission::origin::AllowedOrigin;
use openclaw_gateway_service::admission::users::Users;
use openclaw_gateway_service::proxies::{Proxies, Tailscale};
use openclaw_gateway_service::tailscale::{Answer, Answering, Directory, WhoisFault};
use openclaw_protocol_core::hub::Peer;
use openclaw_runtime_smol::http::Headers;
use serde_json::{Value, json};
use support::{ADMIN, Caller, Device, READ, Settings, TOKEN, World, scopes_of};

const ORIGIN: &str = "https://gateway.tail.example";
const ADA: &str = "ada@example.com";

/// A directory that a test writes, and that notes whom it was asked for.
#[derive(Clone, Default)]
struct Book {
    known: BTreeMap<IpAddr, Answer>,
    asked: Arc<Mutex<Vec<IpAddr>>>,
    hangs: bool,
}

impl Book {
    fn with(address: &str, answer: Answer) -> Self {
        Self {
            known: [(address.parse().expect("an address"), answer)].into(),
            ..Self::default()
        }
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("a lock").len()
    }
}

impl Directory for Book {
    fn whois(&self, address: IpAddr) -> Answering<'_> {
        self.asked.lock().expect("a lock").push(address);
        if self.hangs {
            return Box::pin(std::future::pending());
        }
        let answer = self.known.get(&address).cloned();
        Box::pin(std::future::ready(
            answer.unwrap_or(Err(WhoisFault::Failed)),
        ))
    }
}

fn settings(book: &Book) -> Settings {
    Settings {
        allowed_origins: AllowedOrigin::parse(ORIGIN).into_iter().collect(),
        directory: Arc::new(book.clone()),
        ..Settings::default()
    }
}

fn world(book: &Book) -> World {
    World::with(settings(book))
}

/// A peer as the gateway's front makes it of what `tailscale serve` passes on.
fn served(login: Option<&str>) -> Peer {
    let mut fields = vec![
        ("x-forwarded-for", "100.64.0.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "gateway.tail.example"),
    ];
    fields.extend(login.map(|login| ("tailscale-user-login", login)));
    let headers: Headers = fields.into_iter().collect();
    let proxies = Proxies {
        tailscale: Tailscale::Serve,
        by_tailnet: true,
        ..Proxies::default()
    };
    let socket = IpAddr::from([127, 0, 0, 1]);
    assert!(proxies.route(socket, &headers).is_ok());
    proxies.peer_of(socket, Some(ORIGIN), &headers)
}

fn interface() -> Caller<'static> {
    Caller {
        id: "openclaw-control-ui",
        mode: "ui",
        scopes: &[READ],
        auth: json!({}),
        device: Some(Device::new(1)),
        ..Caller::default()
    }
}

fn known() -> Book {
    Book::with("100.64.0.9", Ok(Some(ADA.to_owned())))
}

#[test]
fn the_interface_of_a_user_whom_the_directory_knows_comes_in_without_a_secret() {
    for login in [ADA, "  Ada@Example.com "] {
        let book = known();
        let mut world = world(&book);
        let (_, hello) = world.knock_from(served(Some(login)), &interface());
        assert_eq!(scopes_of(&hello), &json!([READ]), "{hello}");
        assert!(hello["payload"]["auth"]["deviceToken"].is_null());
        let rows = hello["payload"]["snapshot"]["presence"].as_array();
        let row = rows.expect("rows").iter().find(|row| row["mode"] == "ui");
        let row = row.expect("a row");
        assert_eq!(row["ip"], "100.64.0.9");
        assert_eq!(row["user"]["id"], ADA, "as the directory writes it");
        assert_eq!(book.asked(), 1);
    }
}

#[test]
fn who_is_not_known_as_claimed_is_told_why() {
    let refused = |code: &str, reason: &str, words: &str| {
        json!({
            "code": "INVALID_REQUEST",
            "message": format!("unauthorized: tailscale identity {words} (use Tailscale Serve auth or gateway token/password)"),
            "details": {
                "code": format!("AUTH_TAILSCALE_{code}"), "authReason": format!("tailscale_{reason}"),
                "canRetryWithDeviceToken": false, "recommendedNextStep": "review_auth_configuration",
            },
        })
    };
    let failed = || refused("WHOIS_FAILED", "whois_failed", "check failed");
    let mismatch = || refused("IDENTITY_MISMATCH", "user_mismatch", "mismatch");
    let missing = || refused("IDENTITY_MISSING", "user_missing", "missing");
    let book = |answer| Book::with("100.64.0.9", answer);
    for (book, login, expected) in [
        (book(Err(WhoisFault::Missing)), Some(ADA), failed()),
        (book(Err(WhoisFault::TimedOut)), Some(ADA), failed()),
        (book(Err(WhoisFault::Garbled)), Some(ADA), failed()),
        (book(Ok(None)), Some(ADA), failed()),
        (Book::default(), Some(ADA), failed()),
        (book(Ok(Some("mallory".into()))), Some(ADA), mismatch()),
        (known(), Some("ada"), mismatch()),
        (known(), Some("ada@example.com.evil.example"), mismatch()),
        (known(), None, missing()),
        (known(), Some("  "), missing()),
    ] {
        let error = world(&book).refused(served(login), &interface());
        assert_eq!(error, expected, "{login:?}");
    }
}

#[test]
fn a_secret_is_looked_at_instead_of_the_name() {
    let book = known();
    let with = |token: &str| Caller {
        auth: json!({"token": token}),
        ..interface()
    };
    let error = world(&book).refused(served(Some(ADA)), &with("wrong"));
    assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISMATCH");
    let (_, answer) = world(&book).knock_from(served(Some(ADA)), &with(TOKEN));
    assert_eq!(answer["error"]["details"]["reason"], "not-paired");
    assert_eq!(book.asked(), 0);
}

#[test]
fn only_the_interface_needs_no_pairing() {
    let mut world = world(&known());
    let caller = Caller {
        id: "cli",
        mode: "cli",
        ..interface()
    };
    let (_, answer) = world.knock_from(served(Some(ADA)), &caller);
    assert_eq!(answer["error"]["details"]["reason"], "not-paired");
}

#[test]
fn without_a_device_nobody_is_asked() {
    let book = known();
    for (id, mode, code) in [
        (
            "openclaw-control-ui",
            "ui",
            "CONTROL_UI_DEVICE_IDENTITY_REQUIRED",
        ),
        ("cli", "cli", "DEVICE_IDENTITY_REQUIRED"),
    ] {
        let caller = Caller {
            id,
            mode,
            device: None,
            ..interface()
        };
        let error = world(&book).refused(served(Some(ADA)), &caller);
        assert_eq!(error["details"]["code"], code);
    }
    assert_eq!(book.asked(), 0);
}

#[test]
fn a_name_is_worth_nothing_without_the_devices_proof() {
    let mut world = world(&known());
    let caller = Caller {
        device: Some(Device {
            signature: Some("AAAA"),
            ..Device::new(1)
        }),
        ..interface()
    };
    let error = world.refused(served(Some(ADA)), &caller);
    assert_eq!(error["details"]["code"], "DEVICE_AUTH_SIGNATURE_INVALID");
}

#[test]
fn a_directory_that_hangs_holds_nobody_else_up() {
    let book = Book {
        hangs: true,
        ..Book::default()
    };
    let mut world = world(&book);
    let conn = world.open(served(Some(ADA)));
    assert_eq!(world.knock(conn, &interface()), Value::Null);
    let operator = world.operator(&[READ]);
    assert_eq!(world.ask(operator, "health", json!({}))["ok"], true);
    world.cut(conn);
    assert_eq!(book.asked(), 1);
}

#[test]
fn a_gateway_that_stops_meanwhile_lets_nobody_in() {
    let book = known();
    let mut world = world(&book);
    let conn = world.open(served(Some(ADA)));
    world.drain();
    let answer = world.knock(conn, &interface());
    assert_eq!(answer["error"]["code"], "UNAVAILABLE", "{answer}");
}

#[test]
fn where_names_open_scopes_the_interface_of_a_user_has_those_and_no_others() {
    let hello = |scopes: &[(&str, &str)], asked: &[&str]| {
        let named = |(name, scope): &(&str, &str)| ((*name).to_owned(), vec![(*scope).to_owned()]);
        let mut world = World::with(Settings {
            users: Users {
                scopes: scopes.iter().map(named).collect(),
                ..Users::default()
            },
            ..settings(&known())
        });
        let caller = Caller {
            scopes: asked,
            ..interface()
        };
        let (_, hello) = world.knock_from(served(Some(ADA)), &caller);
        scopes_of(&hello).clone()
    };
    assert_eq!(hello(&[], &[READ, ADMIN]), json!([READ, ADMIN]));
    assert_eq!(
        hello(&[("ADA@example.com", READ)], &[READ, ADMIN]),
        json!([READ])
    );
    assert_eq!(hello(&[("bob@example.com", READ)], &[ADMIN]), json!([]));
}
