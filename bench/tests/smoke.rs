//! The tool itself works; how fast anything is, no test asks.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what a test does not expect may end it")]

use std::path::Path;
use std::process::Command;

#[test]
fn a_quick_run_fills_the_whole_table() {
    let bench = Path::new(env!("CARGO_BIN_EXE_openclaw-bench"));
    let gateway = bench.with_file_name("openclaw");
    if !gateway.exists() {
        println!("skipped: {} is not built", gateway.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("figures.md");
    let output = Command::new(bench)
        .args(["--quick", "--json", "--write"])
        .arg(&page)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:#?}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for figure in document["figures"].as_array().unwrap() {
        assert!(figure["gateway"][0].as_f64().unwrap() >= 0.0, "{figure}");
    }
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.contains("| health, 64 in flight"), "{page}");
}
