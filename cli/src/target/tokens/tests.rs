use super::*;

const URL: &str = "ws://gateway:1";

fn stored(token: &str, scopes: &[&str]) -> Stored {
    Stored {
        device_id: "d1".to_owned(),
        token: token.to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        stored_at_ms: 7,
    }
}

fn token_of(tokens: &Tokens, gateway: &str) -> Option<String> {
    let found = tokens.find(gateway, "operator").unwrap();
    found.map(|found| found.token)
}

#[test]
fn a_token_is_kept_for_its_gateway_and_role_and_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let state_dir = dir.path().join("state");
    let tokens = Tokens::of(&state_dir);
    assert_eq!(token_of(&tokens, URL), None);
    tokens.put(URL, "operator", stored("a", &["r"])).unwrap();
    assert_eq!(token_of(&tokens, URL).as_deref(), Some("a"));
    assert_eq!(token_of(&tokens, "ws://other:1"), None);
    assert!(tokens.find(URL, "node").unwrap().is_none());
    #[cfg(unix)]
    for (path, expected) in [
        (tokens.path(), 0o600),
        (&tokens.lock, 0o600),
        (tokens.path().parent().unwrap(), 0o700),
    ] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, expected, "{}", path.display());
    }
    let left = fs::read_dir(tokens.path().parent().unwrap()).unwrap();
    assert_eq!(left.count(), 2);
}

#[test]
fn what_the_same_token_opens_adds_up_and_a_new_token_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::of(dir.path());
    let scopes = || tokens.find(URL, "operator").unwrap().unwrap().scopes;
    tokens.put(URL, "operator", stored("a", &["r"])).unwrap();
    tokens.put(URL, "operator", stored("a", &["w"])).unwrap();
    assert_eq!(scopes(), ["r", "w"]);
    let before = fs::metadata(tokens.path()).unwrap().modified().unwrap();
    tokens.put(URL, "operator", stored("a", &["r"])).unwrap();
    let after = fs::metadata(tokens.path()).unwrap().modified().unwrap();
    assert_eq!(before, after);
    tokens.put(URL, "operator", stored("b", &["p"])).unwrap();
    assert_eq!(scopes(), ["p"]);
}

#[test]
fn only_the_token_that_was_refused_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::of(dir.path());
    tokens.drop(URL, "operator", "a").unwrap();
    tokens.put(URL, "operator", stored("a", &[])).unwrap();
    tokens.drop(URL, "operator", "b").unwrap();
    assert_eq!(token_of(&tokens, URL).as_deref(), Some("a"));
    tokens.drop(URL, "operator", "a").unwrap();
    assert_eq!(token_of(&tokens, URL), None);
}

#[test]
fn what_others_keep_in_the_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::of(dir.path());
    fs::create_dir_all(tokens.path().parent().unwrap()).unwrap();
    let theirs = r#"{"version":3,"deviceId":"x","tokens":{"operator":{"token":"t"}}}"#;
    fs::write(tokens.path(), theirs).unwrap();
    assert_eq!(token_of(&tokens, URL), None);
    tokens.put(URL, "operator", stored("a", &[])).unwrap();
    let text = fs::read_to_string(tokens.path()).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["version"], 3);
    assert_eq!(file["tokens"]["operator"]["token"], "t");
    assert_eq!(token_of(&tokens, URL).as_deref(), Some("a"));
}

#[test]
fn tokens_of_another_form_are_named_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::of(dir.path());
    fs::create_dir_all(tokens.path().parent().unwrap()).unwrap();
    for theirs in ["7", "[]", r#"{"ws://a:1":"hunter2"}"#, r#"{"ws://a:1":[]}"#] {
        let content = format!(r#"{{"version":2,"gateways":{theirs}}}"#);
        fs::write(tokens.path(), &content).unwrap();
        let Err(found) = tokens.find(URL, "operator") else {
            panic!("it holds tokens");
        };
        let put = tokens.put(URL, "operator", stored("a", &[])).unwrap_err();
        let dropped = tokens.drop(URL, "operator", "a").unwrap_err();
        for fault in [found, put, dropped] {
            let said = fault.to_string();
            assert!(said.starts_with("\"gateways\" in /"), "{said}");
            assert!(said.contains("move the file away"), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
        assert_eq!(fs::read_to_string(tokens.path()).unwrap(), content);
    }
    fs::write(tokens.path(), r#"{"gateways":null}"#).unwrap();
    tokens.put(URL, "operator", stored("a", &[])).unwrap();
    assert_eq!(token_of(&tokens, URL).as_deref(), Some("a"));
}

#[test]
fn commands_that_change_the_file_at_once_lose_nothing() {
    const COMMANDS: usize = 8;
    const EACH: usize = 6;
    let dir = tempfile::tempdir().unwrap();
    let url = |command: usize, number: usize| format!("ws://gateway-{command}:{number}");
    let start = std::sync::Barrier::new(COMMANDS);
    thread::scope(|scope| {
        for command in 0..COMMANDS {
            let (dir, start) = (&dir, &start);
            scope.spawn(move || {
                let tokens = Tokens::of(dir.path());
                start.wait();
                for number in 0..EACH {
                    let url = url(command, number);
                    tokens.put(&url, "operator", stored("a", &[])).unwrap();
                    if number % 3 == 0 {
                        tokens.drop(&url, "operator", "a").unwrap();
                    }
                }
            });
        }
    });
    let tokens = Tokens::of(dir.path());
    for command in 0..COMMANDS {
        for number in 0..EACH {
            let found = token_of(&tokens, &url(command, number));
            assert_eq!(found.is_some(), number % 3 != 0, "{command} {number}");
        }
    }
}

#[test]
fn what_is_known_already_is_no_reason_to_write() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::of(dir.path());
    tokens.put(URL, "operator", stored("a", &["r"])).unwrap();
    fs::remove_file(&tokens.lock).unwrap();
    tokens.put(URL, "operator", stored("a", &["r"])).unwrap();
    tokens.drop(URL, "operator", "b").unwrap();
    assert!(!tokens.lock.exists());
}

#[test]
fn a_file_that_holds_something_else_is_named_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::of(dir.path());
    fs::create_dir_all(tokens.path().parent().unwrap()).unwrap();
    for content in ["", "[]", "hunter2", &" ".repeat(300_000)] {
        fs::write(tokens.path(), content).unwrap();
        let Err(fault) = tokens.find(URL, "operator") else {
            panic!("it holds tokens");
        };
        assert!(fault.to_string().contains("device-auth.json does not hold"));
        assert!(!fault.to_string().contains("hunter2"));
        assert!(tokens.put(URL, "operator", stored("a", &[])).is_err());
        assert_eq!(fs::read_to_string(tokens.path()).unwrap(), content);
    }
}

#[test]
fn the_oldest_gateway_makes_room_and_what_is_too_long_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::of(dir.path());
    for number in 0..=MOST as u64 {
        let mut new = stored("a", &[]);
        new.stored_at_ms = 1_000 - number;
        let url = format!("ws://gateway:{number}");
        tokens.put(&url, "operator", new).unwrap();
    }
    assert_eq!(
        token_of(&tokens, &format!("ws://gateway:{}", MOST - 1)),
        None
    );
    assert!(token_of(&tokens, &format!("ws://gateway:{MOST}")).is_some());
    assert!(token_of(&tokens, "ws://gateway:0").is_some());
    let long = "x".repeat(LONGEST + 1);
    tokens
        .put("ws://long:1", "operator", stored(&long, &[]))
        .unwrap();
    assert_eq!(token_of(&tokens, "ws://long:1"), None);
}
