//! Why a secret is not where the configuration says it is.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::Source;

/// Why a secret cannot be had; it shows nothing of any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceFault {
    /// The key that refers to it.
    pub key: &'static str,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a reference, or with what it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The variable is not set, or blank.
    NoVariable(String),
    /// The variable is not UTF-8.
    VariableNotText(String),
    /// The provider does not let this variable be read.
    NotListed {
        /// The variable.
        name: String,
        /// The provider.
        provider: String,
    },
    /// There is no provider of this name.
    NoProvider {
        /// The name.
        provider: String,
        /// The source it must have.
        source: Source,
    },
    /// The provider has another source.
    OtherSource {
        /// The provider.
        provider: String,
        /// The source it must have.
        source: Source,
    },
    /// A kind of place that is not supported yet.
    Unsupported(&'static str),
    /// The id is not one for this kind of file.
    WrongId {
        /// The provider.
        provider: String,
        /// Whether its file holds one secret and nothing else.
        single: bool,
    },
    /// A path is of no use.
    Path {
        /// The provider.
        provider: String,
        /// Which member of the provider names it.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        problem: PathProblem,
    },
    /// The program did not give the secret.
    Run {
        /// The provider.
        provider: String,
        /// The program.
        command: PathBuf,
        /// What it did.
        problem: RunProblem,
    },
    /// There is nothing but white space.
    Blank,
    /// There is only what stands for a secret that was taken out.
    Redacted,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathProblem {
    /// There is none.
    Missing,
    /// It cannot be read.
    Unreadable(io::ErrorKind),
    /// It is a directory, a pipe or a device.
    NotAFile,
    /// It is a symbolic link, or was replaced while it was looked at.
    Link,
    /// It has several names.
    HardLinked,
    /// It belongs to another user.
    NotOwned {
        /// Whose it must be.
        user: u32,
    },
    /// Other users can read or change it.
    Exposed,
    /// Other users can change it.
    Writable,
    /// It is in none of the trusted directories.
    Outside,
    /// This system does not tell who can change it.
    Unverifiable,
    /// No home directory is known.
    NoHome,
    /// It is larger than this.
    TooLarge(u64),
    /// Reading took longer than this.
    TimedOut(Duration),
    /// It is not UTF-8.
    NotText,
    /// It is not one JSON object.
    NotAnObject,
    /// It has no such member.
    NoMember(String),
    /// This member is something else than a string.
    NotAString(String),
}

/// What a program did instead of giving a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunProblem {
    /// It could not be started.
    NotStarted(io::ErrorKind),
    /// It took longer than this.
    TimedOut(Duration),
    /// It said nothing for so long.
    Silent(Duration),
    /// It said more than this.
    TooMuch(u64),
    /// It ended with this code.
    Failed(i32),
    /// It was ended by a signal.
    Killed,
    /// It said nothing.
    Nothing,
    /// What it said is not UTF-8.
    NotText,
    /// What it said is not an answer.
    NotAnAnswer,
    /// It said that it does not have the secret.
    Refused {
        /// The secret's id.
        id: String,
        /// Why, if that may be shown.
        code: Option<&'static str>,
    },
    /// Its answer does not have the secret.
    NoValue(String),
}

impl fmt::Display for ReferenceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

impl std::error::Error for ReferenceFault {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVariable(name) => write!(
                f,
                "the environment variable {name} is not set; set it, or change the reference"
            ),
            Self::VariableNotText(name) => write!(
                f,
                "the environment variable {name} does not hold UTF-8 text; set it anew"
            ),
            Self::NotListed { name, provider } => write!(
                f,
                "{name} is not in secrets.providers.{provider}.allowlist; add it there, or change the reference"
            ),
            Self::NoProvider { provider, source } => write!(
                f,
                "there is no secrets.providers.{provider}; add it with source \"{}\", or name another provider",
                source.word()
            ),
            Self::OtherSource { provider, source } => write!(
                f,
                "secrets.providers.{provider} does not have the source \"{}\"; name another provider, or change the source",
                source.word()
            ),
            Self::Unsupported(what) => write!(
                f,
                "{what} is not supported yet; use source \"env\", \"file\" or \"exec\""
            ),
            Self::WrongId {
                provider,
                single: true,
            } => write!(
                f,
                "secrets.providers.{provider} has the mode \"singleValue\"; the id must be \"value\""
            ),
            Self::WrongId {
                provider,
                single: false,
            } => write!(
                f,
                "secrets.providers.{provider} reads a JSON object; the id must be a pointer such as \"/gateway/token\", or the mode \"singleValue\""
            ),
            Self::Path {
                provider,
                what,
                path,
                problem,
            } => {
                let path = path.display();
                write!(f, "secrets.providers.{provider}.{what}: {path} {problem}")
            }
            Self::Run {
                provider,
                command,
                problem,
            } => {
                let command = command.display();
                write!(
                    f,
                    "secrets.providers.{provider}.command: {command} {problem}"
                )
            }
            Self::Blank => f.write_str("the secret is empty; put one where the reference points"),
            Self::Redacted => f.write_str(
                "there is only the placeholder of a redacted configuration; put the secret itself there",
            ),
        }
    }
}

impl fmt::Display for PathProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not there; create it, or change the path"),
            Self::Unreadable(kind) => {
                write!(f, "cannot be read: {kind}; check its owner and permissions")
            }
            Self::NotAFile => f.write_str("is not a regular file; change the path"),
            Self::Link => f.write_str("is a symbolic link; write the path that it leads to"),
            Self::HardLinked => {
                f.write_str("has other names (hard links); replace it by a copy of its own")
            }
            Self::NotOwned { user } => write!(
                f,
                "belongs to another user; it must belong to root or to the user with the id {user}"
            ),
            Self::Exposed => f.write_str("is open to other users; run chmod 600 on it"),
            Self::Writable => f.write_str("can be changed by other users; run chmod go-w on it"),
            Self::Outside => {
                f.write_str("is in none of the trustedDirs; move it, or add its directory")
            }
            Self::Unverifiable => {
                f.write_str("cannot be trusted: this system does not tell who can change it; use source \"env\"")
            }
            Self::NoHome => {
                f.write_str("starts in a home directory, and none is known; write the whole path")
            }
            Self::TooLarge(limit) => {
                write!(f, "is larger than {limit} bytes; see maxBytes")
            }
            Self::TimedOut(timeout) => write!(
                f,
                "could not be read within {} ms; see timeoutMs",
                timeout.as_millis()
            ),
            Self::NotText => f.write_str("is not UTF-8 text; write it anew"),
            Self::NotAnObject => {
                f.write_str("is not one JSON object; write one, or set the mode \"singleValue\"")
            }
            Self::NoMember(id) => write!(f, "has nothing at {id}; add it, or change the id"),
            Self::NotAString(id) => {
                write!(f, "has something else than a string at {id}; put it in quotes")
            }
        }
    }
}

impl fmt::Display for RunProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(kind) => {
                write!(f, "cannot be run: {kind}; check that it is executable")
            }
            Self::TimedOut(timeout) => write!(
                f,
                "did not end within {} ms; run it by hand, or see timeoutMs",
                timeout.as_millis()
            ),
            Self::Silent(silence) => write!(
                f,
                "said nothing for {} ms; run it by hand, or see noOutputTimeoutMs",
                silence.as_millis()
            ),
            Self::TooMuch(limit) => {
                write!(f, "said more than {limit} bytes; see maxOutputBytes")
            }
            Self::Failed(code) => write!(f, "ended with code {code}; run it by hand to see why"),
            Self::Killed => f.write_str("was ended by a signal; run it by hand to see why"),
            Self::Nothing => f.write_str("said nothing; run it by hand to see why"),
            Self::NotText => f.write_str("said something that is not UTF-8; run it by hand"),
            Self::NotAnAnswer => f.write_str(
                "did not say {\"protocolVersion\": 1, \"values\": {…}}; change it, or set jsonOnly to false if it says the bare secret",
            ),
            Self::Refused { id, code } => {
                write!(f, "does not give {id}")?;
                if let Some(code) = code {
                    write!(f, " ({code})")?;
                }
                f.write_str("; check the id")
            }
            Self::NoValue(id) => write!(f, "has no text for {id}; check the id"),
        }
    }
}
