//! Which programs `system.run` may start.

use std::path::{Path, PathBuf};

use openclaw_runtime_smol::client::node::Denial;

use crate::failure::Failure;
use crate::output;

/// Programs that start others, so that allowing one allows everything.
const OPEN_ENDED: [&str; 34] = [
    "ash", "awk", "bash", "busybox", "bun", "csh", "dash", "deno", "doas", "env", "find", "fish",
    "gawk", "git", "ksh", "make", "mawk", "nice", "node", "nohup", "perl", "php", "python", "ruby",
    "setsid", "sh", "ssh", "stdbuf", "sudo", "tar", "timeout", "watch", "xargs", "zsh",
];
/// How much of a path is repeated, in characters.
const SHOWN: usize = 200;

/// The programs that may be started, by their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    programs: Vec<PathBuf>,
}

impl Allowed {
    /// Takes paths as they were written; one that cannot be taken is a `fault` of where it was. It blocks.
    pub(crate) fn of(
        paths: Vec<String>,
        fault: impl Fn(String) -> Failure,
    ) -> Result<Self, Failure> {
        let mut programs = Vec::new();
        for typed in paths {
            let path = PathBuf::from(&typed);
            let wrong = |why: &str| {
                let shown = output::short(&typed, SHOWN);
                fault(format!("{shown} cannot be allowed to run: {why}."))
                    .hint("Programs are allowed by --allow-run and by nodeHost.allowRun in openclaw.json.")
            };
            if !path.is_absolute() {
                return Err(wrong("it must be an absolute path"));
            }
            match path.metadata() {
                Ok(metadata) if metadata.is_file() => {}
                Ok(_) => return Err(wrong("it is no program")),
                Err(error) => return Err(wrong(&error.to_string())),
            }
            if !programs.contains(&path) {
                programs.push(path);
            }
        }
        Ok(Self { programs })
    }

    /// Allows both.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.programs.extend(other.programs);
        self.programs.sort();
        self.programs.dedup();
        self
    }

    /// Tells whether nothing may be started.
    pub(crate) fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// Returns those that can start anything else, under whatever name they lie there. It blocks.
    pub(crate) fn open_ended(&self) -> impl Iterator<Item = &Path> {
        let is_known = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            OPEN_ENDED.contains(&name)
        };
        let starts_others = move |path: &&PathBuf| {
            is_known(path) || path.canonicalize().is_ok_and(|real| is_known(&real))
        };
        self.programs
            .iter()
            .filter(starts_others)
            .map(PathBuf::as_path)
    }

    /// Finds the program that is meant: by its path as it was allowed, or by its name, if only one has it.
    pub(crate) fn find(&self, program: &str) -> Result<&Path, Denial> {
        let named = |path: &&PathBuf| {
            if program.contains('/') {
                path.as_os_str() == program
            } else {
                path.file_name().is_some_and(|name| name == program)
            }
        };
        let mut found = self.programs.iter().filter(named);
        match (found.next(), found.next()) {
            (Some(path), None) => Ok(path),
            (Some(_), Some(_)) => Err(Denial::new(
                "INVALID_REQUEST",
                format!(
                    "two programs called {} may run; say which by its path",
                    output::short(program, SHOWN)
                ),
            )),
            (None, _) => Err(Denial::new(
                "SYSTEM_RUN_DENIED",
                format!(
                    "{} is not among the programs that this node may run; add it with --allow-run",
                    output::short(program, SHOWN)
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(programs: &[&str]) -> Allowed {
        Allowed {
            programs: programs.iter().map(PathBuf::from).collect(),
        }
    }

    #[test]
    fn a_program_is_found_by_its_exact_path_or_its_name() {
        let allowed = allowed(&["/usr/bin/uptime", "/a/x", "/b/x"]);
        for program in ["/usr/bin/uptime", "uptime"] {
            assert_eq!(allowed.find(program), Ok(Path::new("/usr/bin/uptime")));
        }
        for other in [
            "/usr/bin/../bin/uptime",
            "/usr//bin/uptime",
            "./uptime",
            "bin/uptime",
            "/tmp/uptime",
            "UPTIME",
            "",
        ] {
            assert_eq!(
                allowed.find(other).unwrap_err().code,
                "SYSTEM_RUN_DENIED",
                "{other}"
            );
        }
        assert_eq!(allowed.find("x").unwrap_err().code, "INVALID_REQUEST");
        assert_eq!(allowed.find("/b/x"), Ok(Path::new("/b/x")));
    }

    #[test]
    fn what_starts_anything_is_known() {
        let allowed = allowed(&["/bin/sh", "/usr/bin/python3.12", "/usr/bin/uptime"]);
        let open_ended: Vec<_> = allowed.open_ended().collect();
        assert_eq!(
            open_ended,
            [Path::new("/bin/sh"), Path::new("/usr/bin/python3.12")]
        );
        let home = tempfile::tempdir().unwrap();
        let harmless = home.path().join("harmless");
        std::os::unix::fs::symlink("/bin/sh", &harmless).unwrap();
        let allowed = Allowed {
            programs: vec![harmless.clone()],
        };
        assert_eq!(allowed.open_ended().collect::<Vec<_>>(), [harmless]);
    }

    #[test]
    fn only_programs_that_are_there_are_allowed() {
        for path in ["uptime", "/nonesuch-program", "/"] {
            let allowed = Allowed::of(vec![path.to_owned()], Failure::usage);
            assert!(allowed.is_err(), "{path}");
        }
        let own = std::env::current_exe().unwrap();
        let own = own.to_str().unwrap().to_owned();
        let once = Allowed::of(vec![own.clone(), own.clone()], Failure::usage).unwrap();
        let both = once.clone().and(once);
        assert_eq!(both.find(&own), Ok(Path::new(&own)));
    }
}
