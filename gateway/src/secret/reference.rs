//! Secrets that stand elsewhere than in the configuration, and how to get them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::Secret;
use crate::environment::Environment;

mod fault;
mod file;
mod path;
mod program;
mod template;

pub use fault::{PathProblem, Problem, ReferenceFault, RunProblem};
pub use template::Template;

/// What stands in a configuration whose secrets were taken out; it is nobody's secret.
pub const REDACTED: &str = "__OPENCLAW_REDACTED__";
/// The name of a provider where none is said.
pub const DEFAULT_PROVIDER: &str = "default";
/// The id of the only value of a file that holds nothing else.
const SINGLE_VALUE: &str = "value";

/// What the configuration says where a secret is expected.
#[derive(Clone, Debug)]
pub enum SecretInput {
    /// The secret itself.
    Text(Secret),
    /// Where it is.
    Reference(SecretRef),
    /// Text with variables of the environment in it.
    Template(Template),
}

/// Where a secret is: `{source, provider, id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    /// What kind of place.
    pub source: Source,
    /// Which one of `secrets.providers`; by default `secrets.defaults` says.
    pub provider: Option<String>,
    /// Where there.
    pub id: String,
}

/// The kinds of places that secrets are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A variable of the environment.
    Env,
    /// A file.
    File,
    /// A program that is asked.
    Exec,
    /// The store of the gateway; not supported yet.
    Store,
}

impl Source {
    /// Reads the word that files use.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Env, Self::File, Self::Exec, Self::Store]
            .into_iter()
            .find(|source| source.word() == word)
    }

    /// Returns the word that files use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Exec => "exec",
            Self::Store => "store",
        }
    }

    /// Returns what is wrong with an id of this kind of place, if anything is.
    pub fn fault_of_id(self, id: &str) -> Option<&'static str> {
        let (good, expectation) = match self {
            Self::Env | Self::Store => (
                is_variable(id),
                "id must be the name of a variable in capitals, such as \"GATEWAY_TOKEN\"",
            ),
            Self::File => (
                id == SINGLE_VALUE || is_pointer(id),
                "id must be a JSON pointer such as \"/gateway/token\", or \"value\" for a file that holds nothing else",
            ),
            Self::Exec => (
                is_path_of_program(id),
                "id must be up to 256 letters, digits and . _ : / # -, without \".\" and \"..\" between slashes",
            ),
        };
        (!good).then_some(expectation)
    }
}

/// The section `secrets`: the places that references name.
#[derive(Clone, Debug, Default)]
pub struct SecretsConfig {
    /// `secrets.providers`, by name.
    pub providers: BTreeMap<String, Provider>,
    /// `secrets.defaults.env`.
    pub default_env: Option<String>,
    /// `secrets.defaults.file`.
    pub default_file: Option<String>,
    /// `secrets.defaults.exec`.
    pub default_exec: Option<String>,
}

impl SecretsConfig {
    fn default_of(&self, source: Source) -> &str {
        let default = match source {
            Source::Env => &self.default_env,
            Source::File => &self.default_file,
            Source::Exec => &self.default_exec,
            Source::Store => &None,
        };
        default.as_deref().unwrap_or(DEFAULT_PROVIDER)
    }
}

/// One of `secrets.providers`.
#[derive(Clone, Debug)]
pub enum Provider {
    /// Variables of the environment; of all names unless there is a list.
    Env {
        /// The names that may be read.
        allowlist: Option<Vec<String>>,
    },
    /// A file.
    File(FileProvider),
    /// A program.
    Exec(ExecProvider),
    /// A kind that is not supported yet, in words.
    Unsupported(&'static str),
}

impl Provider {
    fn source(&self) -> Option<Source> {
        match self {
            Self::Env { .. } => Some(Source::Env),
            Self::File(_) => Some(Source::File),
            Self::Exec(_) => Some(Source::Exec),
            Self::Unsupported(_) => None,
        }
    }
}

/// A file that secrets are read from.
#[derive(Clone, Debug)]
pub struct FileProvider {
    /// The file; a leading `~/` stands for the home directory.
    pub path: PathBuf,
    /// Whether it holds one secret and nothing else, instead of a JSON object.
    pub single: bool,
    /// How long reading may take; 5 s by default.
    pub timeout: Duration,
    /// How large it may be; 1 MiB by default.
    pub limit: u64,
}

/// A program that is asked for secrets.
#[derive(Clone)]
pub struct ExecProvider {
    /// The executable; a leading `~/` stands for the home directory. No shell reads it.
    pub command: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// How long it may take; 5 s by default.
    pub timeout: Duration,
    /// How long it may say nothing; as long as it may take by default.
    pub silence: Option<Duration>,
    /// How much it may say; 1 MiB by default.
    pub limit: u64,
    /// Whether its answer must be JSON; true by default.
    pub json_only: bool,
    /// Variables that it gets.
    pub env: BTreeMap<String, String>,
    /// Names of our variables that it gets.
    pub pass_env: Vec<String>,
    /// Directories that it must be in; anywhere, if there are none.
    pub trusted_dirs: Vec<PathBuf>,
}

impl fmt::Debug for ExecProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments and variables may be secrets of their own.
        f.debug_struct("ExecProvider")
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

impl SecretInput {
    /// Takes what stands in the configuration as text; `None` if it is blank.
    ///
    /// `${NAME}` and `$NAME` as the whole text are references to a variable; `${NAME}` within a text is replaced by it, and
    /// `$${NAME}` is not.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let name = text.strip_prefix('$').map(|name| {
            let braced = name.strip_prefix('{');
            braced
                .and_then(|name| name.strip_suffix('}'))
                .unwrap_or(name)
        });
        if let Some(name) = name.filter(|name| is_variable(name)) {
            return Some(Self::Reference(SecretRef {
                source: Source::Env,
                provider: None,
                id: name.to_owned(),
            }));
        }
        match Template::read(text) {
            Some(template) => Some(Self::Template(template)),
            None => Secret::new(text).map(Self::Text),
        }
    }

    /// Returns the secret, if it stands there itself.
    pub fn text(&self) -> Option<&Secret> {
        match self {
            Self::Text(secret) => Some(secret),
            Self::Reference(_) | Self::Template(_) => None,
        }
    }

    /// Gets the secret; `key` names the place of the reference in errors.
    ///
    /// It blocks: a file is read or a program run, within the time of its provider.
    pub fn fetch(
        &self,
        key: &'static str,
        env: &Environment,
        secrets: &SecretsConfig,
    ) -> Result<Secret, ReferenceFault> {
        let text = match self {
            Self::Text(secret) => return Ok(secret.clone()),
            Self::Template(template) => template.fill(env),
            Self::Reference(reference) => reference.fetch(env, secrets),
        };
        text.and_then(|text| {
            let secret = Secret::new(&text).ok_or(Problem::Blank)?;
            if secret.expose() == REDACTED {
                return Err(Problem::Redacted);
            }
            Ok(secret)
        })
        .map_err(|problem| ReferenceFault { key, problem })
    }
}

impl SecretRef {
    fn fetch(&self, env: &Environment, secrets: &SecretsConfig) -> Result<String, Problem> {
        let default = secrets.default_of(self.source);
        let name = self.provider.as_deref().unwrap_or(default);
        let provider = secrets.providers.get(name);
        let fits = |provider: &&Provider| provider.source() == Some(self.source);
        match (provider.filter(fits), self.source) {
            (Some(Provider::Env { allowlist }), _) => {
                if allowlist
                    .as_ref()
                    .is_some_and(|names| !names.contains(&self.id))
                {
                    return Err(Problem::NotListed {
                        name: self.id.clone(),
                        provider: name.to_owned(),
                    });
                }
                variable(&self.id, env)
            }
            (Some(Provider::File(provider)), _) => file::read(name, provider, &self.id, env),
            (Some(Provider::Exec(provider)), _) => program::ask(name, provider, &self.id, env),
            (_, Source::Store) => Err(Problem::Unsupported("the secret store")),
            // The environment needs no provider, whatever else has its default name.
            (_, Source::Env) if name == default => variable(&self.id, env),
            (None | Some(Provider::Unsupported(_)), source) => Err(match provider {
                None => Problem::NoProvider {
                    provider: name.to_owned(),
                    source,
                },
                Some(Provider::Unsupported(what)) => Problem::Unsupported(what),
                Some(Provider::Env { .. } | Provider::File(_) | Provider::Exec(_)) => {
                    Problem::OtherSource {
                        provider: name.to_owned(),
                        source,
                    }
                }
            }),
        }
    }
}

/// Reads a variable that must be there.
fn variable(name: &str, env: &Environment) -> Result<String, Problem> {
    let value = env
        .raw(name)
        .ok_or_else(|| Problem::NoVariable(name.to_owned()))?;
    let text = value
        .to_str()
        .ok_or_else(|| Problem::VariableNotText(name.to_owned()))?;
    if text.trim().is_empty() {
        return Err(Problem::NoVariable(name.to_owned()));
    }
    Ok(text.to_owned())
}

/// Tells whether a name is that of a provider: a lower-case letter, then up to 63 letters, digits, `_` and `-`.
pub fn is_provider(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

/// Tells whether a name is that of a variable: a capital, then up to 127 capitals, digits and `_`.
pub fn is_variable(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
}

fn is_pointer(id: &str) -> bool {
    let escaped = |segment: &str| {
        let mut parts = segment.split('~');
        parts.next();
        parts.all(|part| part.starts_with(['0', '1']))
    };
    id.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(escaped))
}

fn is_path_of_program(id: &str) -> bool {
    id.len() <= 256
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._:/#-".contains(&byte))
        && id.split('/').all(|segment| !matches!(segment, "." | ".."))
}

#[cfg(all(test, unix))]
mod tests;
