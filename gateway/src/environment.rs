//! What the gateway reads from the process it runs in, taken once and passed on as a value.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// The variable that names the state directory.
pub const STATE_DIR: &str = "OPENCLAW_STATE_DIR";
/// The variable that names the configuration file.
pub const CONFIG_PATH: &str = "OPENCLAW_CONFIG_PATH";
/// The variable that holds the gateway's port.
pub const GATEWAY_PORT: &str = "OPENCLAW_GATEWAY_PORT";
/// The variable that holds the shared token.
pub const GATEWAY_TOKEN: &str = "OPENCLAW_GATEWAY_TOKEN";
/// The variable that holds the shared password.
pub const GATEWAY_PASSWORD: &str = "OPENCLAW_GATEWAY_PASSWORD";

/// A process environment.
///
/// Nothing else in the library touches the one of this process, so tests and embedders say what it holds. All variables
/// are kept, because a reference to a secret may name any of them; `Debug` prints their names without their values.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, OsString>,
    home: Option<PathBuf>,
    working_dir: Option<PathBuf>,
}

impl Environment {
    /// Takes a copy of what this process was started with.
    pub fn of_this_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .collect();
        Self {
            variables,
            home: std::env::home_dir().filter(|home| home.is_absolute()),
            working_dir: std::env::current_dir().ok(),
        }
    }

    /// Makes an environment without variables, for a user who lives in `home`.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            variables: BTreeMap::new(),
            home: Some(home.into()),
            working_dir: None,
        }
    }

    /// Adds or replaces one variable.
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the directory that relative paths start from.
    pub fn with_working_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.working_dir = Some(dir.into());
        self
    }

    /// Returns a variable as text without surrounding white space; one that is blank counts as not set.
    ///
    /// A value that is not UTF-8 is a fault and not an absence: the next source in line must not win because of it.
    pub fn get(&self, name: &'static str) -> Result<Option<&str>, NotText> {
        match self.variables.get(name) {
            None => Ok(None),
            Some(value) => {
                let text = value.to_str().ok_or(NotText { name })?.trim();
                Ok(Some(text).filter(|text| !text.is_empty()))
            }
        }
    }

    /// Returns a variable as it is.
    pub fn raw(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(name).map(OsString::as_os_str)
    }

    /// Returns a variable as a path; an empty one counts as not set.
    pub fn path(&self, name: &str) -> Option<&Path> {
        let value = self.variables.get(name)?;
        (!value.is_empty()).then(|| Path::new(value))
    }

    /// Returns the user's home directory, where one is known.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// Returns the directory that relative paths start from, where one is known.
    pub fn working_dir(&self) -> Option<&Path> {
        self.working_dir.as_deref()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .field("home", &self.home)
            .field("working_dir", &self.working_dir)
            .finish()
    }
}

/// A variable holds bytes that are not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotText {
    /// The variable's name.
    pub name: &'static str,
}

impl fmt::Display for NotText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} does not hold UTF-8 text; set it anew or unset it",
            self.name
        )
    }
}

impl std::error::Error for NotText {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_variable_counts_as_not_set() {
        let env = Environment::new("/home/ada").with(GATEWAY_TOKEN, " \n");
        assert_eq!(env.get(GATEWAY_TOKEN), Ok(None));
        assert_eq!(env.get(GATEWAY_PASSWORD), Ok(None));
        assert_eq!(env.path(STATE_DIR), None);
    }

    #[test]
    fn text_is_returned_without_the_line_end_of_the_file_it_came_from() {
        let env = Environment::new("/home/ada").with(GATEWAY_TOKEN, "abc\n");
        assert_eq!(env.get(GATEWAY_TOKEN), Ok(Some("abc")));
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_text_are_a_fault_and_not_an_absence() {
        use std::os::unix::ffi::OsStringExt;
        let env =
            Environment::new("/home/ada").with(GATEWAY_TOKEN, OsString::from_vec(vec![0xff, b'x']));
        let fault = env.get(GATEWAY_TOKEN).expect_err("not text");
        assert_eq!(
            fault.to_string(),
            "OPENCLAW_GATEWAY_TOKEN does not hold UTF-8 text; set it anew or unset it"
        );
    }

    #[test]
    fn debug_names_variables_and_hides_their_values() {
        let shown = format!(
            "{:?}",
            Environment::new("/home/ada").with(GATEWAY_TOKEN, "hunter2")
        );
        assert!(shown.contains(GATEWAY_TOKEN), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
