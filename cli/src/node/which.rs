//! Where programs are.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use openclaw_protocol_core::json::Object;
use openclaw_runtime_smol::client::node::Answer;

/// Answers `system.which`: the path of each program that is there. It blocks.
pub(super) fn answer(bins: &[String]) -> Answer {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found = Object::new();
    for (index, bin) in bins.iter().enumerate() {
        if !bins[..index].contains(bin)
            && let Some(program) = find(bin, &path)
            && let Some(program) = program.to_str()
        {
            found = found.text(bin, program);
        }
    }
    Ok(Some(Object::new().object("bins", found).finish()))
}

fn find(bin: &str, path: &OsStr) -> Option<PathBuf> {
    let dirs = env::split_paths(path).filter(|dir| dir.is_absolute());
    let mut programs = dirs.map(|dir| dir.join(bin));
    programs.find(|program| is_program(program))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_that_can_be_run_is_found() {
        let home = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            let dir = home.path().join(name);
            fs::create_dir(&dir).unwrap();
            dir
        };
        let (text, program, second) = (dir("a"), dir("b"), dir("c"));
        for (dir, mode) in [(&text, 0o644), (&program, 0o755), (&second, 0o755)] {
            let path = dir.join("tool");
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(text.join("dir")).unwrap();
        let path = env::join_paths([Path::new("b"), &text, &program, &second]).unwrap();
        assert_eq!(find("tool", &path), Some(program.join("tool")));
        assert_eq!(find("dir", &path), None);
        assert_eq!(find("nonesuch", &path), None);
    }
}
