//! What was acknowledged about devices outlives a gateway that is killed.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use openclaw_conformance::bench::{Bench, Options, Trouble};
use openclaw_conformance::conn::Conn;
use openclaw_conformance::device::{Device, Layout};
use openclaw_conformance::json::Value;
use openclaw_conformance::object;
use openclaw_conformance::wire::Target;
use rustix::process::Signal;
use support::Home;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the gateway is killed.
const ROUNDS: usize = 12;
/// How many devices are paired at the same time.
const PAIRING: usize = 3;
/// The most acknowledgements that a round waits for.
const MOST: u64 = 60;

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end.max(1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Rename,
    Rotate,
    Revoke,
    Remove,
}

/// What was acknowledged of a device.
#[derive(Debug)]
struct Known {
    key: [u8; 32],
    id: String,
    token: String,
    /// Whether the token lets it in.
    opens: bool,
    is_paired: bool,
    label: Option<String>,
    /// What was asked for and not answered: it may have been done or not.
    doubt: Option<(Order, Option<String>)>,
}

#[derive(Debug, Default)]
struct Notes {
    known: Vec<Known>,
    acknowledged: u64,
    /// Whether the gateway was killed.
    is_over: bool,
}

/// What is known, and how to wait for more.
#[derive(Debug, Default)]
struct Book {
    notes: Mutex<Notes>,
    more: Condvar,
}

impl Book {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap()
    }

    fn note(&self, write: impl FnOnce(&mut Notes)) {
        let mut notes = self.notes();
        write(&mut notes);
        notes.acknowledged += 1;
        self.more.notify_all();
    }

    fn wait_while(&self, wait: impl Fn(&Notes) -> bool) -> MutexGuard<'_, Notes> {
        let waiting = |notes: &mut Notes| wait(notes);
        let notes = self.notes();
        let (notes, late) = self
            .more
            .wait_timeout_while(notes, PATIENCE, waiting)
            .unwrap();
        assert!(!late.timed_out(), "nothing is acknowledged any more");
        notes
    }
}

fn bench(url: &str, secret: &str) -> Bench {
    let options = Options {
        timeout: PATIENCE,
        ..Options::new(Target::parse(url).unwrap(), secret)
    };
    let bench = Bench::new(options);
    bench.begin(PATIENCE * 4);
    bench
}

/// Connects a device with these credentials; returns the answer.
fn knock(bench: &Bench, key: [u8; 32], auth: Value) -> Result<Value, Trouble> {
    let device = Device::new(key);
    let client = object! {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"};
    let params = bench.params(&["operator.read"]);
    let params = params.with("client", client).with("auth", auth);
    let mut conn = bench.open()?;
    let claim = device.claim(&conn.challenge()?);
    let proof = device.prove(&claim, &params, Layout::V3);
    conn.ask("connect", params.with("device", proof))
}

fn operator(bench: &Bench) -> Result<Conn<'_>, Trouble> {
    bench.operator(&["operator.admin"])
}

/// Pairs one new device after the other until the gateway is gone.
fn pair(book: &Book, url: &str, secret: &str, first_key: u64) {
    let bench = bench(url, secret);
    for number in first_key.. {
        let mut key = [7; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        let Ok(answer) = knock(&bench, key, object! {"token": secret}) else {
            return;
        };
        let token = answer.text("payload.auth.deviceToken");
        let token = token
            .unwrap_or_else(|| panic!("not paired: {answer}"))
            .to_owned();
        let id = Device::new(key).claim(&Value::Null).id;
        book.note(|notes| {
            notes.known.push(Known {
                key,
                id,
                token,
                opens: true,
                is_paired: true,
                label: None,
                doubt: None,
            });
        });
    }
}

/// Changes one device after the other until the gateway is gone.
fn manage(book: &Book, url: &str, secret: &str, dice: &mut Dice) {
    let bench = bench(url, secret);
    let Ok(mut conn) = operator(&bench) else {
        return;
    };
    loop {
        let mut notes = book.wait_while(|notes| {
            let is_empty = notes.known.iter().all(|known| !known.is_paired);
            is_empty && !notes.is_over
        });
        let there: Vec<usize> = (0..notes.known.len())
            .filter(|index| notes.known[*index].is_paired)
            .collect();
        if there.is_empty() {
            return;
        }
        let index = there[dice.below(there.len() as u64) as usize];
        let known = &mut notes.known[index];
        let order = match dice.below(6) {
            0 => Order::Remove,
            1 | 2 => Order::Revoke,
            3 => Order::Rotate,
            _ => Order::Rename,
        };
        let label = (order == Order::Rename).then(|| format!("name {}", dice.below(1_000)));
        known.doubt = Some((order, label.clone()));
        let id = known.id.clone();
        drop(notes);
        let params = object! {"deviceId": id.as_str()};
        let (method, params) = match order {
            Order::Rename => {
                let label = label.clone().unwrap_or_default();
                ("device.pair.rename", params.with("label", label))
            }
            Order::Rotate => ("device.token.rotate", params.with("role", "operator")),
            Order::Revoke => ("device.token.revoke", params.with("role", "operator")),
            Order::Remove => ("device.pair.remove", params),
        };
        let Ok(answer) = conn.ask(method, params) else {
            return;
        };
        assert_eq!(answer.flag("ok"), Some(true), "{method}: {answer}");
        book.note(|notes| notes.known[index].is_now(order, label));
    }
}

impl Known {
    fn is_now(&mut self, order: Order, label: Option<String>) {
        self.doubt = None;
        match order {
            Order::Rename => self.label = label,
            Order::Rotate | Order::Revoke => self.opens = false,
            Order::Remove => {
                self.opens = false;
                self.is_paired = false;
            }
        }
    }

    /// Checks a device against the list of the gateway and with its token.
    fn check(&mut self, bench: &Bench, listed: &[Value]) {
        let row = listed
            .iter()
            .find(|row| row.text("deviceId") == Some(&self.id));
        let answer = knock(
            bench,
            self.key,
            object! {"deviceToken": self.token.as_str()},
        )
        .unwrap();
        let opens = answer.flag("ok") == Some(true);
        if let Some((order, label)) = self.doubt.take() {
            let done = match order {
                Order::Rename => row.and_then(|row| row.text("operatorLabel")) == label.as_deref(),
                Order::Rotate | Order::Revoke => self.opens && !opens,
                Order::Remove => row.is_none(),
            };
            if done {
                self.is_now(order, label);
            }
        }
        assert_eq!(row.is_some(), self.is_paired, "{self:?}");
        let label = row.and_then(|row| row.text("operatorLabel"));
        let expected = self.label.as_deref().filter(|_| self.is_paired);
        assert_eq!(label, expected, "{self:?}");
        assert_eq!(opens, self.opens, "{self:?}: {answer}");
        if opens {
            let again = answer.text("payload.auth.deviceToken");
            assert_eq!(again, Some(&*self.token), "{self:?}");
        } else {
            let code = answer.text("error.details.code");
            assert_eq!(
                code,
                Some("AUTH_DEVICE_TOKEN_MISMATCH"),
                "{self:?}: {answer}"
            );
        }
    }
}

/// Checks all that is known.
fn check(book: &Book, url: &str, secret: &str) {
    let bench = bench(url, secret);
    let mut conn = operator(&bench).unwrap();
    let list = conn.ask("device.pair.list", object! {}).unwrap();
    let listed = list.list("payload.paired").unwrap();
    for known in &mut book.notes().known {
        known.check(&bench, listed);
    }
}

#[test]
fn what_was_acknowledged_outlives_a_gateway_that_is_killed() {
    let mut home = Home::new();
    let book = Book::default();
    let mut dice = Dice(0x6f63_2026);
    for round in 0..ROUNDS {
        let gateway = home.gateway(&["--allow-unconfigured"]);
        let secret = fs::read_to_string(home.token_path()).unwrap();
        let (secret, url) = (secret.trim(), home.url());
        check(&book, &url, secret);
        book.notes().is_over = false;
        let enough = book.notes().acknowledged + dice.below(MOST);
        let mut orders = Dice(0x5eed_0000 + round as u64);
        thread::scope(|scope| {
            for worker in 0..PAIRING {
                let first_key = ((round * PAIRING + worker) as u64) << 32;
                let (book, url) = (&book, &url);
                scope.spawn(move || pair(book, url, secret, first_key));
            }
            scope.spawn(|| manage(&book, &url, secret, &mut orders));
            drop(book.wait_while(|notes| notes.acknowledged < enough));
            gateway.signal(Signal::KILL);
            book.notes().is_over = true;
            book.more.notify_all();
        });
        assert_eq!(gateway.end().0, None, "it was killed");
    }
    let _gateway = home.gateway(&["--allow-unconfigured"]);
    let secret = fs::read_to_string(home.token_path()).unwrap();
    check(&book, &home.url(), secret.trim());
    let notes = book.notes();
    let count = |is: fn(&Known) -> bool| notes.known.iter().filter(|known| is(known)).count();
    let kinds = [
        count(|known| known.opens),
        count(|known| known.is_paired && !known.opens),
        count(|known| !known.is_paired),
        count(|known| known.label.is_some()),
    ];
    assert!(kinds.iter().all(|kind| *kind > 0), "{kinds:?}");
}
