//! The section `secrets`: the places that references to secrets name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jsonc_parser::ast::{Object, Value};

use super::ConfigFault;
use super::read::{boolean, members, number, object, texts, unknown, word};
use crate::secret::reference::{
    ExecProvider, FileProvider, Provider, SecretsConfig, is_provider, is_variable,
};

type Result<T> = std::result::Result<T, ConfigFault>;

const MIB: u64 = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_MS: u64 = 120_000;
const LARGEST: u64 = 20 * MIB;
const NAME: &str = "must be a lower-case letter, then up to 63 lower-case letters, digits, _ and -";
const PATH: &str = "must be a whole path such as \"/etc/openclaw/secrets.json\"";
const VARIABLES: &str =
    "must be a list of names of variables in capitals, such as [\"VAULT_ADDR\"]";

/// Reads the section.
pub(super) fn secrets(section: &Object<'_>, strangers: &mut Vec<String>) -> Result<SecretsConfig> {
    let mut config = SecretsConfig::default();
    for (name, value) in members(section) {
        match name {
            "providers" => {
                for (name, value) in members(object("secrets.providers", value)?) {
                    if !is_provider(name) {
                        return Err(fault("secrets.providers", &format!("each name {NAME}")));
                    }
                    let key = format!("secrets.providers.{name}");
                    let section = object(key.clone(), value)?;
                    let provider = provider(&format!("{key}."), section, strangers)?;
                    config.providers.insert(name.to_owned(), provider);
                }
            }
            "defaults" => {
                for (name, value) in members(object("secrets.defaults", value)?) {
                    let default = match name {
                        "env" => &mut config.default_env,
                        "file" => &mut config.default_file,
                        "exec" => &mut config.default_exec,
                        _ => {
                            unknown(strangers, "secrets.defaults.", name);
                            continue;
                        }
                    };
                    let key = format!("secrets.defaults.{name}");
                    let read = |name: &str| is_provider(name).then(|| name.to_owned());
                    *default = Some(word(key, value, NAME, read)?);
                }
            }
            _ => unknown(strangers, "secrets.", name),
        }
    }
    Ok(config)
}

/// What stands in one provider, of whatever source.
#[derive(Default)]
struct Members {
    source: Option<String>,
    allowlist: Option<Vec<String>>,
    path: Option<PathBuf>,
    single: bool,
    timeout: Option<Duration>,
    limit: Option<u64>,
    command: Option<PathBuf>,
    args: Vec<String>,
    silence: Option<Duration>,
    output: Option<u64>,
    json_only: Option<bool>,
    env: BTreeMap<String, String>,
    pass_env: Vec<String>,
    trusted_dirs: Vec<PathBuf>,
    plugin: bool,
}

fn provider(prefix: &str, section: &Object<'_>, strangers: &mut Vec<String>) -> Result<Provider> {
    let mut found = Members::default();
    for (name, value) in members(section) {
        let key = format!("{prefix}{name}");
        match name {
            "source" => {
                let expectation = r#"must be "env", "file" or "exec""#;
                let known = |word: &str| {
                    ["env", "file", "exec", "store"]
                        .contains(&word)
                        .then(|| word.to_owned())
                };
                found.source = Some(word(key, value, expectation, known)?);
            }
            "allowlist" => found.allowlist = Some(texts(key, value, VARIABLES, variable)?),
            "path" => found.path = Some(word(key, value, PATH, path)?),
            "mode" => {
                let expectation = r#"must be "json" or "singleValue""#;
                found.single = word(key, value, expectation, |word| match word {
                    "json" => Some(false),
                    "singleValue" => Some(true),
                    _ => None,
                })?;
            }
            "timeoutMs" => found.timeout = Some(milliseconds(key, value)?),
            "maxBytes" => found.limit = Some(number(key, value, 1, LARGEST)?),
            "command" => found.command = Some(word(key, value, PATH, path)?),
            "args" => {
                let expectation = "must be a list of strings";
                found.args = texts(key, value, expectation, |text| {
                    (!text.contains('\0')).then(|| text.to_owned())
                })?;
            }
            "noOutputTimeoutMs" => found.silence = Some(milliseconds(key, value)?),
            "maxOutputBytes" => found.output = Some(number(key, value, 1, LARGEST)?),
            "jsonOnly" => found.json_only = Some(boolean(key, value)?),
            "env" => {
                for (name, value) in members(object(key.clone(), value)?) {
                    let expectation = "must hold variables with strings as their values";
                    let good = !name.is_empty() && !name.contains(['=', '\0']);
                    let value = word(key.clone(), value, expectation, |text| {
                        (good && !text.contains('\0')).then(|| text.to_owned())
                    })?;
                    found.env.insert(name.to_owned(), value);
                }
            }
            "passEnv" => found.pass_env = texts(key, value, VARIABLES, variable)?,
            "trustedDirs" => {
                let expectation = "must be a list of whole paths of directories";
                found.trusted_dirs = texts(key, value, expectation, path)?;
            }
            "pluginIntegration" => found.plugin = true,
            _ => unknown(strangers, prefix, name),
        }
    }
    found.choose(prefix)
}

impl Members {
    fn choose(self, prefix: &str) -> Result<Provider> {
        let missing = |name: &str| fault(&format!("{prefix}{name}"), PATH);
        match self.source.as_deref() {
            Some("env") => Ok(Provider::Env {
                allowlist: self.allowlist,
            }),
            Some("file") => Ok(Provider::File(FileProvider {
                path: self.path.ok_or_else(|| missing("path"))?,
                single: self.single,
                timeout: self.timeout.unwrap_or(TIMEOUT),
                limit: self.limit.unwrap_or(MIB),
            })),
            Some("exec") if self.plugin => {
                Ok(Provider::Unsupported("a secret provider of a plugin"))
            }
            Some("exec") => Ok(Provider::Exec(ExecProvider {
                command: self.command.ok_or_else(|| missing("command"))?,
                args: self.args,
                timeout: self.timeout.unwrap_or(TIMEOUT),
                silence: self.silence,
                limit: self.output.unwrap_or(MIB),
                json_only: self.json_only.unwrap_or(true),
                env: self.env,
                pass_env: self.pass_env,
                trusted_dirs: self.trusted_dirs,
            })),
            Some(_) => Ok(Provider::Unsupported("the secret store")),
            None => Err(fault(
                &format!("{prefix}source"),
                r#"must be "env", "file" or "exec""#,
            )),
        }
    }
}

fn milliseconds(key: String, value: &Value<'_>) -> Result<Duration> {
    number(key, value, 1, LONGEST_MS).map(Duration::from_millis)
}

fn variable(name: &str) -> Option<String> {
    is_variable(name).then(|| name.to_owned())
}

/// Takes a path that does not depend on where the gateway was started, and that fits in a line.
fn path(text: &str) -> Option<PathBuf> {
    let whole =
        text.starts_with('/') || text.starts_with("~/") || PathBuf::from(text).is_absolute();
    (whole && !text.contains(char::is_control)).then(|| PathBuf::from(text))
}

fn fault(key: &str, expectation: &str) -> ConfigFault {
    ConfigFault::Value {
        key: key.to_owned().into(),
        expectation: expectation.to_owned().into(),
    }
}
