use super::*;

fn declared(commands: &[&str]) -> Surface {
    Surface {
        commands: commands.iter().map(|name| (*name).to_owned()).collect(),
        ..Surface::default()
    }
}

fn policy(allow: &[&str], deny: &[&str]) -> Policy {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Policy {
        allow: owned(allow),
        deny: owned(deny),
    }
}

fn admitted(policy: &Policy, commands: &[&str], platform: Platform) -> Vec<String> {
    policy.admit(&declared(commands), platform, None).commands
}

/// Looks whether a command may be invoked on a node that has just it, approved.
fn check(policy: &Policy, command: &str, platform: Platform) -> Result<(), Barred> {
    let surface = declared(&[command]);
    policy.check(command, &surface, &surface, platform, None)
}

#[test]
fn a_platform_admits_what_its_machines_have() {
    let open = Policy::default();
    let all = ["system.run", "device.info", "computer.act", "lab.echo"];
    assert_eq!(
        admitted(&open, &all, Platform::Linux),
        ["system.run", "computer.act"]
    );
    assert_eq!(admitted(&open, &all, Platform::Ios), ["device.info"]);
    assert_eq!(
        admitted(&open, &all, Platform::Unknown),
        Vec::<String>::new()
    );
}

#[test]
fn what_is_dangerous_needs_to_be_allowed_and_what_is_denied_is_not() {
    let open = Policy::default();
    for command in DANGEROUS {
        for platform in [Platform::Ios, Platform::MacOs, Platform::Android] {
            assert_eq!(check(&open, command, platform), Err(Barred::NotListed));
            assert!(admitted(&open, &[command], platform).is_empty());
        }
        assert_eq!(
            check(&policy(&[command], &[]), command, Platform::Linux),
            Ok(())
        );
        assert_eq!(
            check(&policy(&[command], &[command]), command, Platform::Linux),
            Err(Barred::NotListed)
        );
    }
    let denied = policy(&[], &["system.run"]);
    assert_eq!(
        check(&denied, "system.run", Platform::Linux),
        Err(Barred::NotListed)
    );
    assert!(admitted(&denied, &["system.run"], Platform::Linux).is_empty());
}

#[test]
fn nobody_allows_the_gateways_own_controls() {
    let command = "worker.launch.v1";
    let eager = policy(&[command], &[]);
    assert!(admitted(&eager, &[command], Platform::Linux).is_empty());
    assert_eq!(
        check(&eager, command, Platform::Linux),
        Err(Barred::NotListed)
    );
    assert!(never_invoked(command).is_some());
    assert!(never_invoked("system.which").is_none());
}

#[test]
fn what_a_host_does_is_invoked_once_it_was_approved() {
    let open = Policy::default();
    let run = "system.run";
    assert_eq!(check(&open, run, Platform::Linux), Ok(()));
    assert_eq!(
        open.check(
            run,
            &Surface::default(),
            &declared(&[run]),
            Platform::Linux,
            None
        ),
        Err(Barred::NotListed)
    );
    let notify = "system.notify";
    let pending = declared(&[notify]);
    assert_eq!(
        open.check(notify, &Surface::default(), &pending, Platform::Linux, None),
        Err(Barred::Pending)
    );
    let nothing = Surface::default();
    assert_eq!(
        open.check(notify, &nothing, &nothing, Platform::Linux, None),
        Err(Barred::NothingDeclared)
    );
    assert_eq!(
        open.check(
            notify,
            &declared(&[run]),
            &declared(&[run]),
            Platform::Linux,
            None
        ),
        Err(Barred::NotDeclared)
    );
}

#[test]
fn a_capability_goes_when_nothing_of_it_is_left() {
    let open = Policy::default();
    let mut surface = declared(&["camera.snap", "system.which"]);
    surface.caps = ["camera", "lab", "location"].map(str::to_owned).to_vec();
    let admitted = open.admit(&surface, Platform::Linux, None);
    assert_eq!(admitted.caps, ["lab", "location"]);
    let admitted = policy(&["camera.snap"], &[]).admit(&surface, Platform::Linux, None);
    assert_eq!(admitted.caps, ["camera", "lab", "location"]);
}

#[test]
fn approving_needs_as_much_as_the_greatest_command() {
    let of = |commands: &[&str]| {
        let commands: Vec<String> = commands.iter().map(|name| (*name).to_owned()).collect();
        needed_to_approve(&commands)
    };
    assert_eq!(of(&[]), [Scope::Pairing]);
    assert_eq!(of(&["system.notify"]), [Scope::Pairing, Scope::Write]);
    assert_eq!(
        of(&["system.notify", "system.which"]),
        [Scope::Pairing, Scope::Admin]
    );
}

#[test]
fn a_refusal_says_what_bars_the_command() {
    let policy = policy(&[], &["system.notify"]);
    let message = |barred, command| policy.refusal(barred, command, "linux").message;
    for (command, expected) in [
        (
            "foo.bar",
            r#"node command not allowed: "foo.bar" is not in the allowlist for platform "linux""#,
        ),
        (
            "camera.snap",
            r#"node command not allowed: "camera.snap" requires explicit gateway.nodes.commands.allow opt-in"#,
        ),
        (
            "talk.ptt.start",
            r#"node command not allowed: "talk.ptt.start" requires a trusted Talk-capable node"#,
        ),
        (
            "system.notify",
            r#"node command not allowed: "system.notify" is blocked by gateway.nodes.commands.deny"#,
        ),
    ] {
        assert_eq!(message(Barred::NotListed, command), expected);
    }
    assert_eq!(
        message(Barred::NotDeclared, "computer.act"),
        r#"node command not allowed: the node (platform: linux) does not support "computer.act""#
    );
    let long = "x".repeat(5_000);
    assert!(message(Barred::NotListed, &long).len() < 400);
}
