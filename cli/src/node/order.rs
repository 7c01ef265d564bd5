//! What an invoke wants, as far as its parameters say it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use openclaw_protocol_core::json::Json;
use openclaw_runtime_smol::client::node::Denial;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Command;

/// How long parameters may be, in bytes.
const LONGEST: usize = 256 * 1024;
/// The most programs that are looked for at once, and the longest name of one, in bytes.
const MOST_BINS: usize = 256;
const LONGEST_BIN: usize = 256;
/// How much of a notification is told, in characters.
const TITLE: usize = 200;
const BODY: usize = 2_000;
/// The most arguments of a program.
const MOST_ARGS: usize = 4_096;
/// What may be set for a program; anything else could change what it does.
const SETTABLE: [&str; 7] = [
    "COLUMNS",
    "LANG",
    "LINES",
    "NO_COLOR",
    "TERM",
    "TZ",
    "FORCE_COLOR",
];

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Find these programs.
    Which(Vec<String>),
    /// Tell how this host is.
    Info,
    /// Tell this.
    Notify {
        /// In a few words.
        title: String,
        /// In more.
        body: String,
    },
    /// Run this.
    Run(Run),
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// It.
    pub(crate) program: String,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Where it runs.
    pub(crate) cwd: Option<PathBuf>,
    /// What is set for it.
    pub(crate) env: BTreeMap<String, String>,
    /// How long it may take.
    pub(crate) timeout: Option<Duration>,
}

/// Reads the parameters of a command.
pub(crate) fn read(command: Command, params: Option<&Json>) -> Result<Order, Denial> {
    if params.is_some_and(|params| params.len() > LONGEST) {
        return Err(invalid(format!("params must have at most {LONGEST} bytes")));
    }
    match command {
        Command::Which => which(params),
        Command::Info => of(params).map(|Nothing {}| Order::Info),
        Command::Notify => notify(params),
        Command::Run => run(params),
    }
}

#[derive(Deserialize, Default)]
struct Nothing {}

fn which(params: Option<&Json>) -> Result<Order, Denial> {
    #[derive(Deserialize, Default)]
    struct Wire {
        bins: Option<Vec<String>>,
    }
    let Ok(Wire { bins: Some(bins) }) = of(params) else {
        return Err(invalid("bins required: the names of programs, in an array"));
    };
    if bins.len() > MOST_BINS {
        return Err(invalid(format!("bins must have at most {MOST_BINS} names")));
    }
    let bins = bins.iter().map(|bin| bin.trim());
    let bins = bins.filter(|bin| !bin.is_empty() && bin.len() <= LONGEST_BIN);
    // A name with a slash would be looked for elsewhere than where programs are.
    let bins = bins.filter(|bin| !bin.contains(['/', '\\', '\0']));
    Ok(Order::Which(bins.map(str::to_owned).collect()))
}

fn notify(params: Option<&Json>) -> Result<Order, Denial> {
    #[derive(Deserialize, Default)]
    struct Wire {
        title: Option<String>,
        body: Option<String>,
    }
    let wire: Wire = of(params)?;
    let text =
        |text: Option<String>, most| crate::output::short(text.unwrap_or_default().trim(), most);
    let (title, body) = (text(wire.title, TITLE), text(wire.body, BODY));
    if title.is_empty() && body.is_empty() {
        return Err(invalid("title or body required"));
    }
    Ok(Order::Notify { title, body })
}

fn run(params: Option<&Json>) -> Result<Order, Denial> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        command: Option<Vec<String>>,
        cwd: Option<PathBuf>,
        env: Option<BTreeMap<String, String>>,
        timeout_ms: Option<u64>,
    }
    let wire: Wire = of(params)?;
    let mut words = wire.command.unwrap_or_default().into_iter();
    let Some(program) = words.next().filter(|program| !program.trim().is_empty()) else {
        return Err(invalid(
            "command required: the program and its arguments, in an array",
        ));
    };
    let args: Vec<String> = words.collect();
    if args.len() > MOST_ARGS {
        return Err(invalid(format!(
            "command must have at most {MOST_ARGS} arguments"
        )));
    }
    if [&program]
        .into_iter()
        .chain(&args)
        .any(|word| word.contains('\0'))
    {
        return Err(invalid("command must not have a NUL in it"));
    }
    if wire.cwd.as_ref().is_some_and(|cwd| !cwd.is_absolute()) {
        return Err(invalid("cwd must be an absolute path"));
    }
    let env = wire.env.unwrap_or_default();
    for (name, value) in &env {
        if !is_settable(name) || value.contains('\0') {
            return Err(invalid(format!(
                "env must not set \"{}\"; it may set LC_* and {}",
                crate::output::short(name, 40),
                SETTABLE.join(", ")
            )));
        }
    }
    Ok(Order::Run(Run {
        program,
        args,
        cwd: wire.cwd,
        env,
        timeout: wire
            .timeout_ms
            .filter(|ms| *ms > 0)
            .map(Duration::from_millis),
    }))
}

fn is_settable(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    SETTABLE.contains(&name) || (name.starts_with("LC_") && name.bytes().all(fits))
}

fn of<T: DeserializeOwned + Default>(params: Option<&Json>) -> Result<T, Denial> {
    match params.filter(|params| params.as_str().trim() != "null") {
        None => Ok(T::default()),
        Some(params) if params.as_str().trim_start().starts_with('{') => params
            .read()
            .map_err(|_| invalid("params do not have the form of this command")),
        Some(_) => Err(invalid("params must be an object")),
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Denial {
    Denial::new("INVALID_REQUEST", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(command: Command, params: &str) -> Result<Order, String> {
        let params = Json::parse(params.to_owned()).unwrap();
        read(command, Some(&params)).map_err(|denial| {
            assert_eq!(denial.code, "INVALID_REQUEST");
            denial.message.into_owned()
        })
    }

    #[test]
    fn only_names_are_looked_for() {
        let names = r#"{"bins":["ls"," sh ","","/bin/ls","../x","a\u0000b"]}"#;
        let expected = Order::Which(vec!["ls".to_owned(), "sh".to_owned()]);
        assert_eq!(order(Command::Which, names), Ok(expected));
        for params in ["{}", r#"{"bins":"ls"}"#, "[1]", r#"{"bins":[1]}"#, "null"] {
            let message = order(Command::Which, params).unwrap_err();
            assert!(message.starts_with("bins required"), "{params}: {message}");
        }
    }

    #[test]
    fn a_notification_is_on_one_line_and_not_empty() {
        let told = order(
            Command::Notify,
            r#"{"title":"a\nb","body":" c ","priority":"x"}"#,
        );
        let (title, body) = ("a b".to_owned(), "c".to_owned());
        assert_eq!(told, Ok(Order::Notify { title, body }));
        assert!(order(Command::Notify, r#"{"title":" "}"#).is_err());
    }

    #[test]
    fn a_program_is_taken_apart_as_it_is() {
        let params = r#"{"command":["/bin/echo","a b","$HOME"],"cwd":"/tmp","env":{"LC_ALL":"C"},"timeoutMs":5,"runId":"r"}"#;
        let expected = Order::Run(Run {
            program: "/bin/echo".to_owned(),
            args: vec!["a b".to_owned(), "$HOME".to_owned()],
            cwd: Some("/tmp".into()),
            env: [("LC_ALL".to_owned(), "C".to_owned())].into(),
            timeout: Some(Duration::from_millis(5)),
        });
        assert_eq!(order(Command::Run, params), Ok(expected));
    }

    #[test]
    fn what_could_change_a_program_is_refused() {
        for (params, part) in [
            (r#"{"command":[]}"#, "command required"),
            (r#"{"command":"ls"}"#, "form"),
            (r#"{"command":["a\u0000"]}"#, "NUL"),
            (r#"{"command":["a"],"cwd":"b"}"#, "absolute"),
            (
                r#"{"command":["a"],"env":{"LD_PRELOAD":"x"}}"#,
                "LD_PRELOAD",
            ),
            (r#"{"command":["a"],"env":{"PATH":"x"}}"#, "PATH"),
            (r#"{"command":["a"],"env":{"LC_x=y":"x"}}"#, "LC_x=y"),
        ] {
            let message = order(Command::Run, params).unwrap_err();
            assert!(message.contains(part), "{params}: {message}");
        }
    }

    #[test]
    fn parameters_have_a_size() {
        let long = format!(r#"{{"title":"{}"}}"#, "x".repeat(LONGEST));
        assert!(order(Command::Notify, &long).unwrap_err().contains("bytes"));
    }
}
