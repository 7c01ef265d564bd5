//! The files of a state directory: who may read them, and what happens where none can be written.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use support::{Done, Home};

mod support;

fn expose(path: &Path) -> String {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let shown = path.display();
    format!("{shown} can be read by other users; run chmod 600 {shown}")
}

#[test]
fn a_gateway_warns_of_files_that_others_can_read() {
    let mut home = Home::new();
    drop(home.gateway(&["--allow-unconfigured"]));
    let warnings = [
        format!(
            "the database {}",
            expose(&home.path(".openclaw/gateway.sqlite"))
        ),
        format!(
            "the identity file {}",
            expose(&home.path(".openclaw/identity/device.json"))
        ),
    ];
    let mut gateway = home.gateway(&["--allow-unconfigured"]);
    for warning in &warnings {
        gateway.wait_for(warning);
    }
}

#[test]
fn a_command_warns_of_keys_and_tokens_that_others_can_read() {
    let home = Home::new();
    let line = "health --url ws://gateway.invalid:1 --token x";
    let said = home.run_line(line).stderr;
    assert!(!said.contains("can be read"), "{said}");
    let dir = home.path(".openclaw/identity");
    fs::write(dir.join("device-auth.json"), "{}").unwrap();
    let warnings = [
        format!(
            "Warning: the identity file {}\n",
            expose(&dir.join("device.json"))
        ),
        format!(
            "Warning: the file of device tokens {}\n",
            expose(&dir.join("device-auth.json"))
        ),
    ];
    let said = home.run_line(line).stderr;
    for warning in &warnings {
        assert_eq!(said.matches(warning.as_str()).count(), 1, "{said}");
    }
}

/// The command under `ulimit -f`, in blocks of 512 bytes or of 1,024.
fn limited(home: &Home, blocks: u32, args: &[&str]) -> Command {
    let plain = home.command(args);
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -f {blocks}; exec \"$@\""))
        .arg("sh")
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(home.path(""));
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_not_the_end() {
    let home = Home::new();
    let start = ["gateway", "run", "--allow-unconfigured"];
    let done = Done::of(limited(&home, 0, &start)).exits(78);
    assert!(
        done.stderr.contains("cannot write the token file"),
        "{done:?}"
    );
    assert!(!home.token_path().exists());

    // Enough for the token, and not for the database.
    let done = Done::of(limited(&home, 2, &start)).exits(78);
    assert!(done.stderr.contains("gateway.sqlite failed"), "{done:?}");
}
