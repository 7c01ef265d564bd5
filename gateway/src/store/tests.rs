use super::*;
use std::fs;

use openclaw_protocol_core::scope::Role;
use tempfile::TempDir;

use crate::pairing::{Access, ApprovedVia, Device, Face, Granted, Request, Setup, Token};

mod log;
mod model;
mod nodes;
#[cfg(unix)]
mod places;
mod refusals;
mod schemas;

/// A state directory, and where its database lies.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("state/openclaw.sqlite")
    }

    fn with_file(content: &[u8]) -> Self {
        let home = Self::new();
        fs::create_dir(home.dir.path().join("state")).unwrap();
        fs::write(home.path(), content).unwrap();
        home
    }

    fn open(&self) -> (Store, Contents) {
        Store::open(&self.path()).unwrap()
    }

    fn contents(&self) -> Contents {
        self.open().1
    }

    /// The bytes of a database that was closed and holds everything there is.
    fn bytes(&self) -> Vec<u8> {
        assert!(!self.log().exists(), "it is not closed");
        fs::read(self.path()).unwrap()
    }

    fn log(&self) -> PathBuf {
        log_of(&self.path())
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn token(number: u8) -> Token {
    Token {
        digest: [number; 32],
        salt: [number; 16],
        scopes: texts(&["operator.read", "operator.write"]),
        created_ms: 1_700_000_000_000,
        rotated_ms: None,
        revoked_ms: None,
    }
}

fn granted(role: Role, token: Option<Token>) -> Granted {
    Granted {
        role,
        scopes: texts(&["operator.write"]),
        token,
    }
}

fn device(id: &str) -> Device {
    Device {
        id: id.to_owned(),
        public_key: "key".to_owned(),
        face: Face {
            display_name: Some("Anna's laptop".to_owned()),
            platform: "linux".to_owned(),
            device_family: Some("Linux".to_owned()),
            client_id: "cli".to_owned(),
            client_mode: "cli".to_owned(),
        },
        label: Some("the one in the hall".to_owned()),
        remote_ip: Some("192.0.2.1".to_owned()),
        approved_via: ApprovedVia::Owner,
        granted: vec![granted(Role::Operator, Some(token(1)))],
        created_ms: 1_700_000_000_000,
        approved_ms: 1_700_000_000_001,
        seen_ms: Some(1_700_000_000_002),
    }
}

/// A device of which as little is known as can be.
fn bare_device(id: &str) -> Device {
    Device {
        face: Face::default(),
        label: None,
        remote_ip: None,
        approved_via: ApprovedVia::Silent,
        granted: vec![],
        created_ms: 0,
        approved_ms: 0,
        seen_ms: None,
        ..device(id)
    }
}

fn request(id: &str) -> Request {
    Request {
        id: id.to_owned(),
        device_id: "device".to_owned(),
        public_key: "key".to_owned(),
        face: device("").face,
        role: Role::Node,
        roles: vec![Role::Operator, Role::Node],
        scopes: texts(&["operator.read", "operator.pairing"]),
        remote_ip: Some("2001:db8::1".to_owned()),
        is_repair: true,
        created_ms: 1_700_000_000_003,
        asked_ms: 1_700_000_000_004,
    }
}

fn setup(number: u8, access: Access) -> Setup {
    Setup {
        digest: [number; 32],
        id: format!("setup {number}"),
        access,
        device_id: number.is_multiple_of(2).then(|| format!("device {number}")),
        created_ms: 1_700_000_000_005,
        expires_ms: 1_700_000_600_005,
    }
}

fn put(device: Device) -> Change {
    Change::PutDevice(Box::new(device))
}

fn put_request(request: Request) -> Change {
    Change::PutRequest(Box::new(request))
}

/// Something of every kind.
fn everything() -> Contents {
    let revoked = Token {
        rotated_ms: Some(1_700_000_000_006),
        revoked_ms: Some(1_700_000_000_007),
        scopes: vec![],
        ..token(2)
    };
    let node = Device {
        approved_via: ApprovedVia::Bootstrap,
        granted: vec![
            granted(Role::Node, Some(revoked)),
            granted(Role::Operator, None),
        ],
        ..device("node")
    };
    let bare_request = Request {
        face: Face::default(),
        role: Role::Operator,
        roles: vec![],
        scopes: vec![],
        remote_ip: None,
        is_repair: false,
        ..request("bare")
    };
    Contents {
        devices: vec![bare_device("bare"), device("desk"), node],
        requests: vec![bare_request, request("full")],
        setups: vec![setup(1, Access::Full), setup(2, Access::Limited)],
        nodes: nodes::everything(),
    }
}

fn changes(contents: &Contents) -> Vec<Change> {
    let devices = contents.devices.iter().cloned().map(put);
    let requests = contents.requests.iter().cloned().map(put_request);
    let setups = contents.setups.iter().cloned().map(Change::PutSetup);
    devices
        .chain(requests)
        .chain(setups)
        .chain(
            nodes::changes(&contents.nodes)
                .into_iter()
                .map(Change::Node),
        )
        .collect()
}

#[track_caller]
fn survives(contents: &Contents) {
    let home = Home::new();
    let (store, found) = home.open();
    assert_eq!(found, Contents::default());
    store.write(&changes(contents)).unwrap();
    drop(store);
    assert_eq!(home.contents(), *contents);
    assert_eq!(home.contents(), *contents, "and does again");
}

#[test]
fn everything_that_was_written_is_read_back() {
    survives(&everything());
}

#[test]
fn any_text_is_read_back_as_it_was() {
    for text in [
        "",
        " ",
        "Ünïcödé 東京 👩‍👩‍👧 \u{202e}",
        "a\0b\0",
        "'; DROP TABLE device; --",
        "\"]\\",
        "\u{feff}\u{fffd}\u{10ffff}",
        &"long ".repeat(10_000),
    ] {
        let some = || Some(text.to_owned());
        let face = Face {
            display_name: some(),
            platform: text.to_owned(),
            device_family: some(),
            client_id: text.to_owned(),
            client_mode: text.to_owned(),
        };
        let strange = Device {
            public_key: text.to_owned(),
            face: face.clone(),
            label: some(),
            remote_ip: some(),
            granted: vec![Granted {
                scopes: texts(&[text, text]),
                ..granted(Role::Operator, Some(token(1)))
            }],
            ..device(text)
        };
        let waiting = Request {
            device_id: text.to_owned(),
            face,
            scopes: texts(&[text]),
            ..request(text)
        };
        survives(&Contents {
            devices: vec![strange],
            requests: vec![waiting],
            setups: vec![Setup {
                id: text.to_owned(),
                ..setup(1, Access::Full)
            }],
            nodes: nodes::told(text),
        });
    }
}

#[test]
fn times_are_read_back_as_far_as_sqlite_counts() {
    const LAST: u64 = i64::MAX as u64;
    let at = |ms: u64| {
        let token = Token {
            created_ms: ms,
            rotated_ms: Some(ms),
            revoked_ms: Some(ms),
            ..token(1)
        };
        Contents {
            devices: vec![Device {
                granted: vec![granted(Role::Operator, Some(token))],
                created_ms: ms,
                approved_ms: ms,
                seen_ms: Some(ms),
                ..device("desk")
            }],
            requests: vec![Request {
                created_ms: ms,
                asked_ms: ms,
                ..request("full")
            }],
            setups: vec![Setup {
                created_ms: ms,
                expires_ms: ms,
                ..setup(1, Access::Full)
            }],
            nodes: nodes::at(ms),
        }
    };
    for ms in [0, 1, LAST] {
        survives(&at(ms));
    }
    let home = Home::new();
    home.open().0.write(&changes(&at(u64::MAX))).unwrap();
    assert_eq!(home.contents(), at(LAST), "what is later is the last");
}

#[test]
fn what_is_put_again_takes_the_place_of_what_was() {
    let home = Home::new();
    let (store, _) = home.open();
    store.write(&changes(&everything())).unwrap();
    let renamed = Device {
        label: Some("another".to_owned()),
        granted: vec![
            granted(Role::Operator, Some(token(3))),
            granted(Role::Node, None),
        ],
        ..device("desk")
    };
    let refreshed = Request {
        asked_ms: 1_700_000_060_004,
        ..request("full")
    };
    let again = [put(renamed.clone()), put_request(refreshed.clone())];
    store.write(&again).unwrap();
    store.write(&again).unwrap();
    drop(store);
    let mut expected = everything();
    expected.devices[1] = renamed;
    expected.requests[1] = refreshed;
    assert_eq!(home.contents(), expected);
}

#[test]
fn what_is_dropped_is_gone_with_all_that_it_had() {
    let home = Home::new();
    let (store, _) = home.open();
    store.write(&changes(&everything())).unwrap();
    let drops = [
        Change::DropDevice("node".to_owned()),
        Change::DropRequest("bare".to_owned()),
        Change::DropSetup([2; 32]),
        Change::DropDevice("never there".to_owned()),
        Change::DropRequest("never there".to_owned()),
        Change::DropSetup([9; 32]),
    ];
    store.write(&drops).unwrap();
    store.write(&drops).unwrap();
    let bare = Device {
        granted: vec![],
        ..device("node")
    };
    store.write(&[put(bare.clone())]).unwrap();
    drop(store);
    let mut expected = everything();
    expected.devices[2] = bare;
    expected.requests.remove(0);
    expected.setups.remove(1);
    assert_eq!(home.contents(), expected, "no token came back with it");
}

#[test]
fn changes_are_made_all_or_none() {
    let home = Home::new();
    let (store, _) = home.open();
    store.write(&[put(device("desk"))]).unwrap();
    // Nobody has the same role twice.
    let impossible = Device {
        granted: vec![granted(Role::Node, None), granted(Role::Node, None)],
        ..device("impossible")
    };
    let error = store
        .write(&[
            Change::DropDevice("desk".to_owned()),
            put(device("new")),
            put_request(request("full")),
            Change::PutSetup(setup(1, Access::Full)),
            put(impossible),
            put(device("later")),
        ])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("openclaw.sqlite failed: UNIQUE") && error.contains("; check the disk"),
        "{error}"
    );
    store.write(&[put(device("next"))]).unwrap();
    store.write(&[]).unwrap();
    drop(store);
    let devices = vec![device("desk"), device("next")];
    assert_eq!(
        home.contents(),
        Contents {
            devices,
            ..Contents::default()
        }
    );
}

/// What a power cut leaves of the log: all of it up to somewhere, and then nothing.
#[test]
fn a_log_that_was_cut_anywhere_holds_whole_writes_and_none_but_the_last() {
    let home = Home::new();
    let (store, _) = home.open();
    let mut writes = vec![Contents::default()];
    for (number, devices) in [1, 4, 2].into_iter().enumerate() {
        let mut after = writes[number].clone();
        let new = |index| device(&format!("{number} {index}"));
        after.devices.extend((0..devices).map(new));
        after.requests.push(request(&number.to_string()));
        store.write(&changes(&after)).unwrap();
        writes.push(after);
    }
    let log = fs::read(home.log()).unwrap();
    let main = fs::read(home.path()).unwrap();
    // One of our own that dies has nothing more to say.
    std::mem::forget(store);
    let mut held = 0;
    for cut in (0..log.len()).step_by(1_021).chain([log.len()]) {
        let cut_off = Home::with_file(&main);
        fs::write(cut_off.log(), &log[..cut]).unwrap();
        let found = match Store::open(&cut_off.path()) {
            Ok((_, found)) => found,
            Err(error) => panic!("{cut} bytes of the log: {error}"),
        };
        let holds = writes.iter().position(|contents| *contents == found);
        let holds = holds.unwrap_or_else(|| panic!("{cut} bytes of the log: {found:?}"));
        assert!(holds >= held, "{cut} bytes of the log hold less than fewer");
        held = holds;
    }
    assert_eq!(held, writes.len() - 1);
}

#[test]
fn an_empty_file_is_taken_as_new() {
    let home = Home::with_file(b"");
    let (store, found) = home.open();
    assert_eq!(found, Contents::default());
    store.write(&changes(&everything())).unwrap();
    drop(store);
    assert_eq!(home.contents(), everything());
}

#[cfg(unix)]
#[test]
fn what_is_made_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let (store, _) = home.open();
    store.write(&changes(&everything())).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(home.path().parent().unwrap()), 0o700);
    let files: Vec<PathBuf> = fs::read_dir(home.path().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.contains(&home.log()), "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{file:?}");
    }
}

#[test]
fn a_database_that_is_in_use_is_said_to_be() {
    let home = Home::new();
    let (store, _) = home.open();
    let error = Store::open(&home.path()).unwrap_err();
    assert!(matches!(error.kind, StoreFault::InUse), "{error:?}");
    let said = error.to_string();
    let path = home.path().display().to_string();
    assert!(
        said.contains(&path) && said.contains("stop it, or give this one"),
        "{said}"
    );
    store.write(&[put(device("desk"))]).unwrap();
    drop(store);
    assert_eq!(home.contents().devices, [device("desk")]);
}

#[test]
fn of_several_that_make_a_database_at_once_one_has_it() {
    let home = Home::new();
    let path = home.path();
    let start = std::sync::Barrier::new(4);
    let opened: Vec<_> = std::thread::scope(|scope| {
        let open = || {
            start.wait();
            Store::open(&path)
        };
        let openers: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        openers.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (have, have_not): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
    for error in have_not.iter().filter_map(|result| result.as_ref().err()) {
        assert!(matches!(error.kind, StoreFault::InUse), "{error}");
    }
    assert_eq!(have.len(), 1, "{have_not:?}");
}
