//! Databases as every release left them, from the first schema on.

use super::*;
use crate::nodes::NodesContents;

/// What makes a database of each schema, and rows that a release with that schema wrote.
///
/// A schema that is added gets rows of its own here; the rows of the older ones, like their steps, never change again.
const ROWS: [&str; schema::STEPS.len()] = [
    include_str!("1.rows.sql"),
    concat!(include_str!("1.rows.sql"), include_str!("2.rows.sql")),
];

/// A database as a release with this schema left it.
fn of_schema(number: usize) -> Home {
    let home = Home::with_file(b"");
    let connection = Connection::open(home.path()).unwrap();
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .unwrap();
    for step in &schema::STEPS[..number] {
        connection.execute_batch(step).unwrap();
    }
    connection
        .pragma_update(None, "application_id", schema::APPLICATION)
        .unwrap();
    connection
        .pragma_update(None, "user_version", number as i64)
        .unwrap();
    connection.execute_batch(ROWS[number - 1]).unwrap();
    drop(connection);
    home
}

/// What the rows of a schema say.
fn told(schema: usize) -> Contents {
    let first = Device {
        id: "5ff6b3e0b4f0c4a1a3d0a51d8a4d7c7f4f9d2b4c1e6a7b8c9d0e1f2a3b4c5d6e".to_owned(),
        public_key: "ebVWLo_mVPlAeLEtiG0hOWCNsQJLSNYbn0EpJ9mnxnI".to_owned(),
        granted: vec![
            Granted {
                role: Role::Operator,
                scopes: texts(&["operator.write", "operator.pairing"]),
                token: Some(Token {
                    digest: [0x11; 32],
                    salt: [0x22; 16],
                    scopes: texts(&["operator.pairing", "operator.read", "operator.write"]),
                    created_ms: 1_790_000_000_000,
                    rotated_ms: Some(1_790_000_000_500),
                    revoked_ms: None,
                }),
            },
            Granted {
                role: Role::Node,
                scopes: vec![],
                token: Some(Token {
                    digest: [0x33; 32],
                    salt: [0x44; 16],
                    scopes: vec![],
                    created_ms: 1_790_000_000_100,
                    rotated_ms: None,
                    revoked_ms: Some(1_790_000_000_900),
                }),
            },
        ],
        created_ms: 1_790_000_000_000,
        approved_ms: 1_790_000_000_100,
        seen_ms: Some(1_790_000_000_200),
        ..device("")
    };
    let second = Device {
        face: Face {
            client_id: "node-host".to_owned(),
            client_mode: "node".to_owned(),
            platform: "esp32 東京".to_owned(),
            ..Face::default()
        },
        granted: vec![Granted {
            role: Role::Node,
            scopes: vec![],
            token: None,
        }],
        created_ms: 1_790_000_001_000,
        approved_ms: 1_790_000_001_000,
        ..bare_device("bare")
    };
    let waiting = Request {
        id: "0b5f3c0e-7a4e-4a43-9a55-4c3e4f1f3d11".to_owned(),
        created_ms: 1_790_000_002_000,
        asked_ms: 1_790_000_060_000,
        ..request("")
    };
    let code = Setup {
        id: "9d2e6f0a-1b7c-4d58-8e43-2a9b6c5d4e3f".to_owned(),
        digest: [0x55; 32],
        created_ms: 1_790_000_003_000,
        expires_ms: 1_790_000_603_000,
        access: Access::Limited,
        device_id: None,
    };
    Contents {
        devices: vec![first, second],
        requests: vec![waiting],
        setups: vec![code],
        nodes: if schema < 2 {
            NodesContents::default()
        } else {
            nodes::told("Anna's node 東京")
        },
    }
}

#[test]
fn a_database_of_every_schema_is_read_from_the_first_on() {
    for number in 1..=schema::STEPS.len() {
        let home = of_schema(number);
        let (store, found) = home.open();
        assert_eq!(found, told(number), "schema {number}");
        store.write(&changes(&everything())).unwrap();
        drop(store);
        let mut expected = told(number);
        // In the order of their ids.
        expected.devices.pop();
        expected.devices.extend(everything().devices);
        expected.requests.extend(everything().requests);
        expected.setups.splice(0..0, everything().setups);
        expected.nodes = nodes::both(everything().nodes, expected.nodes);
        assert_eq!(home.contents(), expected, "schema {number}");
    }
}

#[test]
fn a_database_of_every_schema_becomes_what_a_new_one_is() {
    let shape = |home: &Home| {
        let connection = Connection::open(home.path()).unwrap();
        let mut tables = connection
            .prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")
            .unwrap();
        let mut shape: Vec<(String, String, Option<String>)> = tables
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        for pragma in ["application_id", "user_version"] {
            let number: i64 = connection
                .pragma_query_value(None, pragma, |row| row.get(0))
                .unwrap();
            shape.push((pragma.to_owned(), number.to_string(), None));
        }
        shape
    };
    let new = Home::new();
    drop(new.open());
    for number in 1..=schema::STEPS.len() {
        let old = of_schema(number);
        drop(old.open());
        assert_eq!(shape(&old), shape(&new), "schema {number}");
    }
}

#[test]
fn a_step_that_fails_leaves_the_database_as_it_was() {
    // Somebody made a table of a name that a step needs.
    let home = Home::with_file(b"");
    let connection = Connection::open(home.path()).unwrap();
    connection
        .pragma_update(None, "application_id", schema::APPLICATION)
        .unwrap();
    drop(connection);
    let mut connection = Connection::open(home.path()).unwrap();
    connection.execute_batch("CREATE TABLE setup (x)").unwrap();
    let fault = schema::bring_up_to_date(&mut connection).unwrap_err();
    assert!(matches!(fault, StoreFault::Failed(_)), "{fault:?}");
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}
