use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use futures_lite::future::block_on;

use super::*;

const ADA: &str =
    r#"{"Node": {"ID": 1}, "UserProfile": {"LoginName": "Ada@example.com", "DisplayName": "Ada"}}"#;

/// A program `tailscale` that does what a script says, and notes each time what it was asked.
struct Scripted {
    dir: tempfile::TempDir,
}

impl Scripted {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(NAME);
        let notes = dir.path().join("asked");
        let text = format!(
            "#!/bin/sh\necho \"$*\" >> '{}'\n{script}\n",
            notes.display()
        );
        // A file that this process has had open for writing cannot always be run at once: other tests fork.
        let mut writing = Building::new("/bin/sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let stdin = writing.stdin.take();
        std::io::Write::write_all(&mut stdin.expect("a pipe"), text.as_bytes()).expect("written");
        assert!(writing.wait().expect("an end").success());
        Self { dir }
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join(NAME)
    }

    fn daemon(&self) -> Tailscaled {
        Tailscaled::new(Some(self.program()))
    }

    fn asked(&self) -> Vec<String> {
        let notes = fs::read_to_string(self.dir.path().join("asked")).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }
}

fn address() -> IpAddr {
    IpAddr::from([100, 64, 0, 9])
}

fn ask(daemon: &Tailscaled) -> Answer {
    block_on(daemon.whois(address()))
}

#[test]
fn the_program_is_asked_for_the_address_and_once_a_minute_at_most() {
    let scripted = Scripted::new(&format!("echo '{ADA}'"));
    let daemon = scripted.daemon();
    for _ in 0..3 {
        assert_eq!(ask(&daemon), Ok(Some("Ada@example.com".to_owned())));
    }
    let other = "fd7a:115c:a1e0::9".parse().unwrap();
    block_on(daemon.whois(other)).unwrap();
    assert_eq!(
        scripted.asked(),
        ["whois --json 100.64.0.9", "whois --json fd7a:115c:a1e0::9"]
    );
}

#[test]
fn a_program_that_does_not_answer_is_a_fault_that_holds_for_a_moment() {
    let many = OUTPUT + 1;
    for (script, fault) in [
        ("exit 1".to_owned(), WhoisFault::Failed),
        (format!("echo '{ADA}'; exit 1"), WhoisFault::Failed),
        ("echo no such peer".to_owned(), WhoisFault::Garbled),
        ("printf '\\377{}'".to_owned(), WhoisFault::Garbled),
        ("echo '}{'".to_owned(), WhoisFault::Garbled),
        (format!("head -c {many} /dev/zero"), WhoisFault::TooMuch),
        ("cat /dev/zero".to_owned(), WhoisFault::TooMuch),
    ] {
        let scripted = Scripted::new(&script);
        let daemon = scripted.daemon();
        for _ in 0..3 {
            assert_eq!(ask(&daemon), Err(fault), "{script}");
        }
        assert_eq!(scripted.asked().len(), 1, "{script}");
    }
    let nowhere = Tailscaled::new(Some("/nowhere/tailscale".into()));
    let fault = WhoisFault::NotStarted(std::io::ErrorKind::NotFound);
    assert_eq!(ask(&nowhere), Err(fault));
    assert_eq!(ask(&Tailscaled::new(None)), Err(WhoisFault::Missing));
}

#[test]
fn a_program_that_hangs_is_ended_with_all_that_it_started() {
    let scripted = Scripted::new("sleep 600 & echo $! > \"$0.child\"; echo $$ > \"$0.pid\"; wait");
    let patience = Duration::from_millis(500);
    let daemon = scripted.daemon().with_patience(patience);
    let begun = Instant::now();
    assert_eq!(ask(&daemon), Err(WhoisFault::TimedOut));
    assert!(begun.elapsed() < Duration::from_secs(30));
    for name in ["tailscale.pid", "tailscale.child"] {
        let pid = fs::read_to_string(scripted.dir.path().join(name)).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        let is_over = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        let until = Instant::now() + Duration::from_secs(30);
        while !is_over() {
            assert!(Instant::now() < until, "{name} still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn no_more_than_a_few_run_at_the_same_time_and_one_for_each_address() {
    let scripted = Scripted::new(&format!(
        "mkdir -p \"$0.d\"; : > \"$0.d/$$\"; ls \"$0.d\" | wc -l >> \"$0.most\"; sleep 0.2; rm \"$0.d/$$\"; echo '{ADA}'"
    ));
    let daemon = scripted.daemon().with_patience(Duration::from_secs(60));
    let executor = smol::LocalExecutor::new();
    let asking: Vec<_> = (0..24)
        .map(|n| executor.spawn(daemon.whois(IpAddr::from([100, 64, 0, n % 12]))))
        .collect();
    block_on(executor.run(async {
        for answer in asking {
            assert!(answer.await.is_ok());
        }
    }));
    let mut asked = scripted.asked();
    asked.sort();
    let all = asked.len();
    asked.dedup();
    assert_eq!((all, asked.len()), (12, 12), "{asked:?}");
    let most = fs::read_to_string(scripted.dir.path().join("tailscale.most")).unwrap();
    let most = most
        .lines()
        .filter_map(|n| n.trim().parse::<usize>().ok())
        .max();
    assert!(most <= Some(AT_ONCE), "{most:?}");
}

#[test]
fn what_is_remembered_has_a_bound() {
    let daemon = Tailscaled::new(Some("/nowhere/tailscale".into()));
    for n in 0..2 * KEPT {
        let [.., high, low] = n.to_be_bytes();
        daemon.remember(IpAddr::from([100, 64, high, low]), Ok(None));
    }
    assert_eq!(daemon.known().len(), KEPT);
    assert_eq!(daemon.remembered(IpAddr::from([100, 64, 0, 0])), None);
}

#[test]
fn a_login_is_found_where_versions_of_the_program_put_it() {
    for (said, expected) in [
        (ADA, Some("Ada@example.com")),
        (r#"{"userProfile": {"Login": " ada "}}"#, Some("ada")),
        (r#"{"User": {"login": "ada"}}"#, Some("ada")),
        (r#"{"LoginName": "ada"}"#, Some("ada")),
        (r#"a warning {"login": "ada"} the end"#, Some("ada")),
        (r#"{"UserProfile": {"LoginName": "tagged-devices"}}"#, None),
        (
            r#"{"LoginName": "ada", "UserProfile": {"LoginName": "tagged-devices"}}"#,
            None,
        ),
        (r#"{"UserProfile": {"LoginName": ""}}"#, None),
        (r#"{"UserProfile": {"LoginName": 7}}"#, None),
        (r#"{"UserProfile": ["ada"]}"#, None),
        ("{}", None),
    ] {
        assert_eq!(
            login(said.as_bytes()),
            Ok(expected.map(str::to_owned)),
            "{said}"
        );
    }
}

#[test]
fn who_is_claimed_is_verified_in_any_case_and_named_as_the_directory_does() {
    let scripted = Scripted::new(&format!("echo '{ADA}'"));
    let daemon = scripted.daemon();
    let who = |claimed: &str| block_on(verify(&daemon, address(), claimed));
    assert_eq!(
        who("ADA@example.com"),
        Who::Verified("Ada@example.com".into())
    );
    for claimed in ["ada@example.com.evil.example", "ada", "mallory@example.com"] {
        assert_eq!(who(claimed), Who::Nobody("tailscale_user_mismatch".into()));
    }
    let scripted = Scripted::new("echo '{}'");
    let who = block_on(verify(&scripted.daemon(), address(), ""));
    assert_eq!(who, Who::Nobody("tailscale_whois_failed".into()));
}

#[test]
fn the_program_is_looked_for_on_whole_paths_only() {
    let scripted = Scripted::new("");
    let dir = scripted.dir.path().display();
    let env = |path: String| Environment::new("/home/ada").with("PATH", path);
    let found = find(&env(format!("/nowhere:{dir}")));
    assert_eq!(found, Some(scripted.program()));
    assert_eq!(find(&env("relative:.:".to_owned())), None);
    fs::set_permissions(scripted.program(), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(find(&env(dir.to_string())), None);
}
