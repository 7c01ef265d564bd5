//! The operator's configuration file.

use std::path::Path;

use openclaw_gateway_service::config::{Config, ConfigFault, Mode};
use serde_json::Value;

use super::judge;

const PATH: &str = "/etc/openclaw.json";
/// What no error and no debug output may show; the dictionary knows it.
const SECRET: &str = "hunter2hunter2";
/// The most bytes that an error takes.
const ERROR: usize = 300;
/// The most bytes that the name of an unknown key takes: 120 of its own, each escaped, and its section.
const KEY: usize = 1_500;
/// How deep text is nested at most that must be read.
const DEPTH: usize = 40;

/// Reads text as a configuration: an error is one line that repeats no secret, what is strict JSON is read as every
/// other reader reads it, and unknown keys are fit to be printed.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let read = Config::parse(&text, Path::new(PATH));
    // One mark is the encoding's; a second one is text.
    let unmarked = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let strict: Option<Value> = serde_json::from_str(unmarked).ok();
    let opening = text.bytes().filter(|byte| matches!(byte, b'[' | b'{'));
    let shallow = opening.count() <= DEPTH;
    match &read {
        Err(error) => {
            let said = error.to_string();
            judge::is_one_line(&said, ERROR);
            assert!(said.contains(PATH) && !said.contains(SECRET), "{said}");
            let syntax = matches!(error.kind, ConfigFault::Syntax { .. });
            assert!(!syntax || strict.is_none() || !shallow, "{said}");
            if let ConfigFault::Syntax { line, column, .. } = error.kind {
                // JSON5 ends lines at either; the end of the file may be named as a line of its own.
                let lines = text.split(['\n', '\r']).count() + 1;
                assert!((1..=lines).contains(&line) && column >= 1, "{said}");
            }
            let debug = format!("{error:?}");
            assert!(!debug.contains(SECRET), "{debug}");
        }
        Ok(config) => {
            for key in config.unknown_keys() {
                judge::is_one_line(key, KEY);
                assert!(!key.chars().any(char::is_control), "{key:?}");
            }
            if let Some(strict) = &strict {
                agrees(config, strict);
            }
            let mut shown = config.clone();
            let secrets = shown.gateway.auth.token.take();
            assert!(!format!("{secrets:?}").contains(SECRET));
        }
    }
}

/// What a reader that is not ours finds under the same keys.
fn agrees(config: &Config, strict: &Value) {
    let gateway = &strict["gateway"];
    assert!(strict.is_object());
    if let Some(port) = gateway["port"].as_u64() {
        assert_eq!(config.gateway.port.map(u64::from), Some(port));
    }
    if let Some(mode) = gateway["mode"].as_str() {
        let expected = match mode {
            "local" => Mode::Local,
            "remote" => Mode::Remote,
            other => panic!("{other:?} is a mode"),
        };
        assert_eq!(config.gateway.mode, Some(expected));
    }
    let token = config.gateway.auth.token.as_ref();
    if let Some(written) = gateway["auth"]["token"].as_str() {
        match token.map(|token| token.text()) {
            Some(Some(token)) => assert_eq!(token.expose(), written.trim()),
            Some(None) => assert!(written.contains('$'), "only that stands for something else"),
            None => panic!("it has no token"),
        }
    }
    let url = config.gateway.remote.url.as_deref();
    assert_eq!(url, gateway["remote"]["url"].as_str());
    let prompt = strict.pointer("/agents/defaults/heartbeat/prompt");
    assert!(config.heartbeat.prompt.is_none() || prompt.is_some());
}
