//! What operators may set, and what the documentation says about it.

use std::collections::BTreeSet;
use std::path::Path;

use openclaw_gateway_service::config::limits::{LIMITS, Limit, LimitsConfig};
use openclaw_gateway_service::config::{Config, KEYS};

const DOCUMENTATION: &str = include_str!("../../docs/configuration.md");

/// Limits that nobody may set, each with its reason.
const FIXED: [(&str, &str); 1] = [(
    "held_before_hello",
    "what is held while a connect is decided is the protocol's bound for the frame itself; more would only feed strangers",
)];

fn parse(text: &str) -> Result<Config, String> {
    let path = Path::new("P");
    Config::parse(text, path)
        .map_err(|error| error.to_string().replace("Invalid config at P: ", ""))
}

fn with_limit(limit: &Limit, number: &str) -> Result<LimitsConfig, String> {
    let name = limit.key.rsplit('.').next().expect("a name");
    parse(&format!("{{gateway: {{limits: {{{name}: {number}}}}}}}"))
        .map(|config| config.gateway.limits)
}

/// The fields of the limits, each with its value.
fn fields(limits: &LimitsConfig) -> BTreeSet<String> {
    let LimitsConfig {
        core,
        server,
        repeats,
    } = limits;
    let lines = [
        format!("{core:#?}"),
        format!("{server:#?}"),
        format!("{repeats:#?}"),
    ];
    let lines = lines.iter().flat_map(|text| text.lines());
    lines
        .map(str::trim)
        .filter(|line| line.contains(": ") && !line.ends_with('{'))
        .map(|line| line.trim_end_matches(',').to_owned())
        .collect()
}

#[test]
fn every_limit_can_be_set_or_is_fixed_for_a_reason() {
    let default = LimitsConfig::default();
    let mut untouched: BTreeSet<String> = fields(&default);
    let all = untouched.len();
    for limit in &LIMITS {
        let mut changed = default.clone();
        limit.set(&mut changed, limit.default() + 1);
        assert_eq!(limit.get(&changed), limit.default() + 1, "{}", limit.key);
        let touched: Vec<String> = fields(&default)
            .difference(&fields(&changed))
            .cloned()
            .collect();
        assert_eq!(touched.len(), 1, "{} sets one field", limit.key);
        assert!(untouched.remove(&touched[0]), "{} is set twice", touched[0]);
    }
    let left: Vec<&str> = untouched
        .iter()
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    assert_eq!(left, FIXED.map(|(name, _)| name));
    assert_eq!(all, LIMITS.len() + FIXED.len());
}

#[test]
fn every_limit_has_a_range_that_holds_its_default() {
    for limit in &LIMITS {
        assert!(
            (limit.min..=limit.max).contains(&limit.default()),
            "{}",
            limit.key
        );
        for wrong in [limit.max + 1, limit.min.wrapping_sub(1)] {
            let error = with_limit(limit, &wrong.to_string()).expect_err(limit.key);
            let range = format!("from {} to {}", limit.min, limit.max);
            assert!(error.starts_with(limit.key), "{error}");
            assert!(error.ends_with(&range), "{error}");
        }
        for wrong in ["-1", "1.5", "\"1000\"", "true", "null"] {
            assert!(with_limit(limit, wrong).is_err(), "{} {wrong}", limit.key);
        }
    }
}

#[test]
fn a_limit_that_is_set_is_the_limit() {
    let text = "{gateway: {limits: {maxPayload: 1.048576e6, tickIntervalMs: 15000, runs: 0x10, drainTimeoutMs: 0, bogus: 1}}}";
    let config = parse(text).expect("good");
    let limits = &config.gateway.limits;
    assert_eq!(limits.core.frame, 1 << 20);
    assert_eq!(limits.core.tick.as_secs(), 15);
    assert_eq!(limits.core.runs, 16);
    assert!(limits.server.drain.is_zero());
    assert_eq!(limits.core.outbox, 52_428_800, "the others stay");
    assert_eq!(config.unknown_keys(), ["gateway.limits.bogus"]);
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    for (limits, error) in [
        (
            "tickIntervalMs: 0",
            "gateway.limits.tickIntervalMs: must be a number of milliseconds from 1000 to 3600000",
        ),
        (
            "maxPayload: 65535",
            "gateway.limits.maxPayload: must be a number of bytes from 65536 to 268435456",
        ),
        (
            "runs: 0",
            "gateway.limits.runs: must be an integer from 1 to 10000",
        ),
        (
            "maxPayload: 60000000",
            "gateway.limits.maxPayload: must not be more than gateway.limits.maxBufferedBytes, which is 52428800",
        ),
        (
            "maxBufferedBytes: 300000000",
            "gateway.limits.maxBufferedBytes: must not be more than gateway.limits.bufferedBytesInAll, which is 268435456",
        ),
        (
            "pingIntervalMs: 60001",
            "gateway.limits.pingIntervalMs: must not be more than gateway.limits.silenceTimeoutMs, which is 60000",
        ),
    ] {
        let text = format!("{{gateway: {{limits: {{{limits}}}}}}}");
        assert_eq!(parse(&text).expect_err(limits), error);
    }
    let text = "{gateway: {limits: {maxPayload: 60000000, maxBufferedBytes: 60000000}}}";
    assert!(
        parse(text).is_ok(),
        "together they are fine, in either order"
    );
}

#[test]
fn heartbeats_are_configured_with_a_duration() {
    let text = |heartbeat: &str| {
        format!("{{agents: {{defaults: {{heartbeat: {{{heartbeat}}}, x: 1}}, y: 1}}}}")
    };
    let config = parse(&text(
        "every: \"1h30m\", prompt: \"Well?\", session: \"watch\", timeoutSeconds: 5, target: \"none\"",
    ));
    let config = config.expect("good");
    let heartbeat = &config.heartbeat;
    assert_eq!(heartbeat.every.map(|every| every.as_secs()), Some(5_400));
    assert_eq!(heartbeat.prompt.as_deref(), Some("Well?"));
    assert_eq!(heartbeat.session.as_deref(), Some("agent:main:watch"));
    assert_eq!(heartbeat.timeout.map(|timeout| timeout.as_secs()), Some(5));
    assert_eq!(
        config.unknown_keys(),
        [
            "agents.defaults.heartbeat.target",
            "agents.defaults.x",
            "agents.y"
        ]
    );
    for off in ["every: \"0m\"", "prompt: \"Well?\"", ""] {
        assert_eq!(parse(&text(off)).expect(off).heartbeat.every, None);
    }
    for (heartbeat, error) in [
        (
            "every: \"soon\"",
            "agents.defaults.heartbeat.every: must be a duration such as \"30m\", \"1h30m\", \"90s\" or \"500ms\", at most a year; \"0m\" is off",
        ),
        (
            "every: 30",
            "agents.defaults.heartbeat.every: must be a duration such as \"30m\", \"1h30m\", \"90s\" or \"500ms\", at most a year; \"0m\" is off",
        ),
        (
            "prompt: \" \"",
            "agents.defaults.heartbeat.prompt: must be a text that is not blank",
        ),
        (
            "session: \"agent:other:main\"",
            "agents.defaults.heartbeat.session: must name a session of the agent \"main\", such as \"main\" or \"agent:main:watch\"",
        ),
        (
            "timeoutSeconds: 0",
            "agents.defaults.heartbeat.timeoutSeconds: must be an integer from 1 to 172800",
        ),
    ] {
        assert_eq!(parse(&text(heartbeat)).expect_err(heartbeat), error);
    }
}

#[test]
fn every_key_is_known_to_the_reader() {
    for key in KEYS
        .iter()
        .copied()
        .chain(LIMITS.iter().map(|limit| limit.key))
    {
        let key = key.replace("<name>", "vault");
        let open: String = key.split('.').map(|name| format!("{{{name}: ")).collect();
        let close = "}".repeat(key.split('.').count());
        // Nothing may be a list of lists.
        match parse(&format!("{open}[[]]{close}")) {
            Err(error) => assert!(error.starts_with(&format!("{key}: ")), "{error}"),
            Ok(config) => panic!("{key} may be anything: {:?}", config.unknown_keys()),
        }
    }
}

#[test]
fn the_documentation_names_every_key_with_its_default_range_and_consequence() {
    let rows: Vec<&str> = DOCUMENTATION
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let expected: Vec<String> = LIMITS
        .iter()
        .map(|limit| {
            let name = limit.key.rsplit('.').next().expect("a name");
            let (default, min, max) = (limit.default(), limit.min, limit.max);
            format!(
                "| `{name}` | {default} | {min} – {max} | {} |",
                limit.consequence
            )
        })
        .collect();
    for row in &expected {
        assert!(
            rows.contains(&row.as_str()),
            "missing:\n{row}\nof:\n{}",
            expected.join("\n")
        );
    }
    for key in KEYS {
        let start = format!("| `{key}` |");
        assert!(
            rows.iter().any(|row| row.starts_with(&start)),
            "missing: {key}"
        );
    }
    assert_eq!(
        rows.len(),
        LIMITS.len() + KEYS.len(),
        "nothing is documented that is not there"
    );
    for (name, _) in FIXED {
        assert!(
            DOCUMENTATION.contains(name),
            "the fixed limits are named too: {name}"
        );
    }
}
