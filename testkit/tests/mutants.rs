//! The patches in `mutants/` still fit the core: what each takes away stands there once; and the
//! readme tells of them and of no others.

use std::fs;
use std::path::Path;

/// What a hunk takes away, with what stands around it.
fn removed(patch: &str) -> Vec<(String, String)> {
    let mut file = "";
    let mut hunks: Vec<(String, String)> = Vec::new();
    for line in patch.lines() {
        if let Some(name) = line.strip_prefix("--- a/") {
            file = name;
        } else if line.starts_with("@@") {
            hunks.push((file.to_owned(), String::new()));
        } else if let (Some((_, text)), Some(rest)) = (
            hunks.last_mut(),
            line.strip_prefix(' ').or(line.strip_prefix('-')),
        ) {
            text.push_str(rest);
            text.push('\n');
        }
    }
    hunks
}

#[test]
fn every_mutant_still_applies() {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(kit.join("README.md")).expect("a readme");
    let mut patches = 0;
    for entry in fs::read_dir(kit.join("mutants")).expect("mutants") {
        let path = entry.expect("an entry").path();
        if path
            .extension()
            .is_none_or(|extension| extension != "patch")
        {
            continue;
        }
        patches += 1;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        assert!(
            readme.contains(&format!("| `{name}` |")),
            "the readme does not tell of {name}"
        );
        let hunks = removed(&fs::read_to_string(&path).expect("a patch"));
        assert!(!hunks.is_empty(), "{name} changes nothing");
        for (file, text) in hunks {
            let source = kit.join("..").join(&file);
            let source = fs::read_to_string(source).expect("a source file");
            let times = source.matches(&text).count();
            assert_eq!(times, 1, "{name}: {file} holds this {times} times:\n{text}");
        }
    }
    assert!(patches >= 3, "{patches} mutants");
    let rows = readme.matches("\n| `").count();
    assert_eq!(rows, patches, "the readme tells of {rows} mutants");
}
