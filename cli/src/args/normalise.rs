//! Brings the command line into the form that argh reads.
//!
//! `--flag=value` becomes two arguments, the words of the command move before their flags, those of
//! every command before these, `gateway` alone becomes `gateway run`, and another group of commands
//! alone its help. Unknown flags and commands
//! are refused here, without their values: one may be a secret with a typing mistake before it.

use std::vec::IntoIter;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfoKind, Optionality, SubCommandInfo};

use super::Cli;

const HELP: [&str; 3] = ["-h", "--help", "help"];
/// How much of an unknown word a message repeats, in characters.
const SHOWN: usize = 40;
/// Commands of the published gateway that are still to come.
const NOT_YET: [&str; 29] = [
    "agents",
    "approvals",
    "backup",
    "browser",
    "channels",
    "completion",
    "config",
    "configure",
    "cron",
    "daemon",
    "dashboard",
    "directory",
    "docs",
    "doctor",
    "hooks",
    "logs",
    "memory",
    "message",
    "models",
    "onboard",
    "pairing",
    "plugins",
    "security",
    "sessions",
    "setup",
    "skills",
    "system",
    "tui",
    "update",
];
const GATEWAY_NOT_YET: [&str; 8] = [
    "discover",
    "install",
    "restart",
    "start",
    "status",
    "stop",
    "uninstall",
    "usage-cost",
];
const DEVICES_NOT_YET: [&str; 1] = ["join-code"];
const NODE_NOT_YET: [&str; 6] = ["install", "restart", "start", "status", "stop", "uninstall"];
const NODES_NOT_YET: [&str; 6] = ["camera", "canvas", "location", "notify", "push", "screen"];

/// Tells whether `--json` is among the flags, whatever else is wrong.
pub(super) fn wants_json(args: impl Iterator<Item = String>) -> bool {
    let known = Known::all();
    let mut args = args.collect::<Vec<_>>().into_iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            return false;
        }
        if arg == "--json" {
            return true;
        }
        if known.find(&arg).is_some_and(|flag| flag.takes_value) {
            args.next();
        }
    }
    false
}

/// Rewrites the arguments.
pub(super) fn normalise(args: Vec<String>) -> Result<Vec<String>, String> {
    let known = Known::all();
    let mut line = Line::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            line.others.push(Item::Word(arg));
            line.others.extend(args.by_ref().map(Item::Word));
        } else if arg.starts_with('-') && arg.len() > 1 {
            line.flag(&known, arg, &mut args)?;
        } else {
            line.word(&known, arg)?;
        }
    }
    Ok(line.finish(&known))
}

/// Returns the words of the command in arguments of argh's form, each after a space.
pub(super) fn command(args: &[&str]) -> String {
    let known = Known::all();
    let mut words = Vec::new();
    let mut args = args.iter().copied();
    while let Some(arg) = args.next() {
        if known.has_command(&words, arg) {
            words.push(arg.to_owned());
        } else if let Some(flag) = known.find(arg).filter(|flag| flag.global) {
            if flag.takes_value {
                args.next();
            }
        } else {
            break;
        }
    }
    words.iter().map(|word| format!(" {word}")).collect()
}

/// The flags and commands there are.
struct Known {
    flags: Vec<Flag>,
    commands: CommandInfoWithArgs,
}

#[derive(Clone, PartialEq, Eq)]
struct Flag {
    long: &'static str,
    short: Option<char>,
    takes_value: bool,
    /// It may be given more than once.
    repeats: bool,
    /// It counts for every command.
    global: bool,
}

impl Flag {
    fn is(&self, arg: &str) -> bool {
        self.long == arg
            || self.short.is_some_and(|short| {
                arg.strip_prefix('-')
                    .is_some_and(|rest| rest.chars().eq([short]))
            })
    }
}

impl Known {
    fn all() -> Self {
        let commands = Cli::get_args_info();
        let mut flags = Vec::new();
        collect(&commands, true, &mut flags);
        Self { flags, commands }
    }

    fn find(&self, arg: &str) -> Option<&Flag> {
        self.flags.iter().find(|flag| flag.is(arg))
    }

    fn has_command(&self, words: &[String], word: &str) -> bool {
        let below = self.below(words);
        below.is_some_and(|commands| commands.iter().any(|command| command.name == word))
    }

    /// Tells whether the words name commands that are parts of one, and not a command by itself.
    fn is_group(&self, words: &[String]) -> bool {
        let below = self.below(words);
        !words.is_empty() && below.is_some_and(|commands| !commands.is_empty())
    }

    fn below(&self, words: &[String]) -> Option<&[SubCommandInfo]> {
        let mut commands = &self.commands.commands;
        for word in words {
            let found = commands.iter().find(|command| command.name == word)?;
            commands = &found.command.commands;
        }
        Some(commands)
    }
}

fn collect(command: &CommandInfoWithArgs, global: bool, flags: &mut Vec<Flag>) {
    for flag in command.flags {
        // Among the flags of a command argh lists `--help` too.
        if HELP.contains(&flag.long) {
            continue;
        }
        let flag = Flag {
            long: flag.long,
            short: flag.short,
            takes_value: matches!(flag.kind, FlagInfoKind::Option { .. }),
            repeats: flag.optionality == Optionality::Repeating,
            global,
        };
        if !flags.contains(&flag) {
            flags.push(flag);
        }
    }
    for command in &command.commands {
        collect(&command.command, false, flags);
    }
}

enum Item {
    Flag(String, Option<String>),
    Word(String),
}

/// A command line, taken apart.
#[derive(Default)]
struct Line {
    globals: Vec<Item>,
    /// The words that name the command.
    command: Vec<String>,
    others: Vec<Item>,
    wants_help: bool,
    is_complete: bool,
}

impl Line {
    fn flag(
        &mut self,
        known: &Known,
        arg: String,
        more: &mut IntoIter<String>,
    ) -> Result<(), String> {
        if HELP.contains(&arg.as_str()) {
            self.wants_help = true;
            return Ok(());
        }
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                (name.to_owned(), Some(value.to_owned()))
            }
            _ => (arg, None),
        };
        let Some(flag) = known.find(&name) else {
            return Err(format!("Unrecognized argument: {}", shown(&name)));
        };
        let value = match (flag.takes_value, value) {
            (true, Some(value)) => Some(value),
            (true, None) => more.next(),
            (false, None) => None,
            (false, Some(_)) => return Err(format!("{name} takes no value.")),
        };
        let place = if flag.global {
            &mut self.globals
        } else {
            &mut self.others
        };
        let is_same = |item: &Item| matches!(item, Item::Flag(other, _) if flag.is(other));
        if !flag.repeats && place.iter().any(is_same) {
            return Err(format!("{name} is given twice."));
        }
        place.push(Item::Flag(name, value));
        Ok(())
    }

    fn word(&mut self, known: &Known, word: String) -> Result<(), String> {
        if self.is_complete {
            self.others.push(Item::Word(word));
        } else if word == "help" {
            self.wants_help = true;
        } else if known.has_command(&self.command, &word) {
            self.command.push(word);
            self.is_complete = !known.is_group(&self.command);
        } else {
            let coming: &[&str] = match self.command.first().map(String::as_str) {
                None => &NOT_YET,
                Some("gateway") => &GATEWAY_NOT_YET,
                Some("node") => &NODE_NOT_YET,
                Some("nodes") => &NODES_NOT_YET,
                Some(_) => &DEVICES_NOT_YET,
            };
            let is_coming = coming.contains(&word.as_str());
            self.command.push(shown(&word));
            let command = self.command.join(" ");
            return Err(if is_coming {
                format!("openclaw {command} is not there yet.")
            } else {
                format!("OpenClaw does not know the command \"{command}\".")
            });
        }
        Ok(())
    }

    fn finish(mut self, known: &Known) -> Vec<String> {
        if self.command == ["gateway"] && !self.wants_help {
            self.command.push("run".to_owned());
        }
        self.wants_help |= known.is_group(&self.command);
        let mut args = Vec::new();
        let flat = |args: &mut Vec<String>, item| match item {
            Item::Flag(name, value) => {
                args.push(name);
                args.extend(value);
            }
            Item::Word(word) => args.push(word),
        };
        for item in self.globals {
            flat(&mut args, item);
        }
        args.extend(self.command);
        // Help needs no other argument, and argh takes none after it.
        if self.wants_help {
            args.push("--help".to_owned());
            return args;
        }
        for item in self.others {
            flat(&mut args, item);
        }
        args
    }
}

fn shown(text: &str) -> String {
    let text: String = text.chars().take(SHOWN).collect();
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests;
