use super::*;

fn read(args: &[&str]) -> Result<Vec<String>, String> {
    normalise(args.iter().map(|arg| (*arg).to_owned()).collect())
}

fn good(args: &[&str]) -> Vec<String> {
    read(args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

#[test]
fn a_flag_and_its_value_are_two_arguments() {
    for (typed, value) in [
        ("--message=hello", "hello"),
        ("--message=a b  c", "a b  c"),
        ("--message=a=b=c", "a=b=c"),
        ("--message=--json", "--json"),
        ("--message=-5", "-5"),
        ("--message=", ""),
        ("--message=--", "--"),
    ] {
        assert_eq!(good(&["agent", typed]), ["agent", "--message", value]);
    }
}

#[test]
fn a_value_is_not_looked_at() {
    for value in ["--token=x", "gateway", "--", "--help", "-h", "", "--json"] {
        let args = ["agent", "--message", value, "--json"];
        assert_eq!(good(&args), args);
        assert_eq!(good(&["agent", "-m", value]), ["agent", "-m", value]);
    }
    assert_eq!(
        good(&["gateway", "call", "health", "--", "--params=1", "help"]),
        ["gateway", "call", "health", "--", "--params=1", "help"]
    );
}

#[test]
fn words_move_before_flags_and_globals_before_them() {
    assert_eq!(
        good(&["--json", "status", "--profile=work", "--dev"]),
        ["--profile", "work", "--dev", "status", "--json"]
    );
    assert_eq!(
        good(&["gateway", "--port", "1", "run", "--verbose"]),
        ["gateway", "run", "--port", "1", "--verbose"]
    );
    assert_eq!(
        good(&["gateway", "--token=x", "call", "health"]),
        ["gateway", "call", "--token", "x", "health"]
    );
}

#[test]
fn gateway_alone_runs_one_unless_it_asks_for_help() {
    assert_eq!(good(&["gateway"]), ["gateway", "run"]);
    assert_eq!(
        good(&["--dev", "gateway", "--bind=lan"]),
        ["--dev", "gateway", "run", "--bind", "lan"]
    );
    assert_eq!(good(&["gateway", "--help"]), ["gateway", "--help"]);
    assert_eq!(good(&["gateway", "help"]), ["gateway", "--help"]);
    assert_eq!(good(&["--help", "agent", "x"]), ["agent", "--help"]);
    assert_eq!(
        good(&["gateway", "-h", "run"]),
        ["gateway", "run", "--help"]
    );
}

#[test]
fn the_command_is_found_behind_what_counts_for_all() {
    for (args, words) in [
        (
            &["--dev", "devices", "reject", "--json"][..],
            " devices reject",
        ),
        (&["--profile", "agent", "health", "status"], " health"),
        (&["--dev"], ""),
    ] {
        assert_eq!(command(args), words);
    }
}

#[test]
fn devices_alone_is_its_help() {
    assert_eq!(good(&["devices"]), ["devices", "--help"]);
    assert_eq!(
        good(&["--dev", "devices", "--json"]),
        ["--dev", "devices", "--help"]
    );
    assert_eq!(
        good(&["devices", "--json", "list"]),
        ["devices", "list", "--json"]
    );
}

#[test]
fn a_flag_that_may_repeat_is_kept_each_time() {
    assert_eq!(
        good(&["devices", "rotate", "--scope=a", "--scope", "b"]),
        ["devices", "rotate", "--scope", "a", "--scope", "b"]
    );
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    for (args, message) in [
        (
            &["--bogus=x", "health"][..],
            "Unrecognized argument: --bogus",
        ),
        (&["health", "-x"], "Unrecognized argument: -x"),
        (&["health", "-Vx"], "Unrecognized argument: -Vx"),
        (&["health", "--json=1"], "--json takes no value."),
        (&["--dev", "health", "--dev"], "--dev is given twice."),
        (
            &["agent", "-m", "a", "--message=b"],
            "--message is given twice.",
        ),
        (&["bogus"], "OpenClaw does not know the command \"bogus\"."),
        (
            &["gateway", "bogus\u{1b}[31m"],
            "OpenClaw does not know the command \"gateway bogus\\u{1b}[31m\".",
        ),
        (&["doctor", "--deep"], "openclaw doctor is not there yet."),
        (&["doctor"], "openclaw doctor is not there yet."),
        (
            &["channels", "status"],
            "openclaw channels is not there yet.",
        ),
        (
            &["gateway", "status"],
            "openclaw gateway status is not there yet.",
        ),
        (
            &["devices", "join-code"],
            "openclaw devices join-code is not there yet.",
        ),
        (
            &["devices", "bogus"],
            "OpenClaw does not know the command \"devices bogus\".",
        ),
        (
            &["gateway", "--port=1", "stop"],
            "openclaw gateway stop is not there yet.",
        ),
    ] {
        assert_eq!(read(args), Err(message.to_owned()), "{args:?}");
    }
}

#[test]
fn a_flag_without_its_value_is_left_to_argh() {
    assert_eq!(good(&["agent", "--message"]), ["agent", "--message"]);
}

#[test]
fn json_is_wanted_where_it_is_a_flag() {
    for (args, wanted) in [
        (&["health", "--json"][..], true),
        (&["--bogus", "--json"], true),
        (&["agent", "--message", "--json"], false),
        (&["agent", "--message=x", "--json"], true),
        (&["gateway", "call", "--", "--json"], false),
    ] {
        let args = args.iter().map(|arg| (*arg).to_owned());
        assert_eq!(wants_json(args.clone()), wanted, "{args:?}");
    }
}
