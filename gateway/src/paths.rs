//! Where a gateway keeps its files, and which profile it runs under.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::environment::{CONFIG_PATH, Environment, STATE_DIR};

const NAME_LIMIT: usize = 64;

/// One of several gateways a user may keep side by side, each with a state directory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    name: Option<String>,
}

impl Profile {
    /// Chooses the profile from `--dev` and `--profile NAME`.
    ///
    /// `--dev` is the profile `dev`. Names consist of 1 to 64 ASCII letters, digits, `-` and `_`. Giving both flags is
    /// refused unless they agree.
    pub fn choose(dev: bool, name: Option<&str>) -> Result<Self, ProfileFault> {
        match (dev, name) {
            (_, Some(name)) if !is_valid(name) => Err(ProfileFault::Name),
            (true, Some(name)) if name != "dev" => Err(ProfileFault::TwoProfiles),
            (true, _) => Ok(Self {
                name: Some("dev".to_owned()),
            }),
            (false, name) => Ok(Self {
                name: name.map(str::to_owned),
            }),
        }
    }

    /// Returns the profile's name, or `None` for the one without.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the port a gateway of this profile uses when nothing sets another: 18789, or 19001 for `dev`, so that both
    /// run on one host.
    pub fn default_port(&self) -> u16 {
        match self.name() {
            Some("dev") => 19001,
            Some(_) | None => 18789,
        }
    }

    fn directory(&self) -> String {
        match &self.name {
            Some(name) => format!(".openclaw-{name}"),
            None => ".openclaw".to_owned(),
        }
    }
}

/// The places one gateway reads and writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The state directory: `~/.openclaw`, `~/.openclaw-NAME` or `OPENCLAW_STATE_DIR`.
    pub state_dir: PathBuf,
    /// The configuration file: `openclaw.json` in the state directory, or `OPENCLAW_CONFIG_PATH`.
    pub config_path: PathBuf,
    /// The file a generated token lives in: `gateway-token` in the state directory.
    pub token_path: PathBuf,
    /// The database: `gateway.sqlite` in the state directory.
    pub store_path: PathBuf,
}

impl Paths {
    /// Works out the paths; the environment wins over the profile.
    ///
    /// In both variables a leading `~/` stands for the home directory, and relative paths start from the working directory.
    pub fn new(profile: &Profile, env: &Environment) -> Result<Self, PathFault> {
        let state_dir = match env.path(STATE_DIR) {
            Some(given) => expand(given, STATE_DIR, env)?,
            None => env
                .home()
                .ok_or(PathFault::NoHome)?
                .join(profile.directory()),
        };
        let config_path = match env.path(CONFIG_PATH) {
            Some(given) => expand(given, CONFIG_PATH, env)?,
            None => state_dir.join("openclaw.json"),
        };
        let token_path = state_dir.join("gateway-token");
        let store_path = state_dir.join("gateway.sqlite");
        Ok(Self {
            state_dir,
            config_path,
            token_path,
            store_path,
        })
    }
}

/// What is wrong with the flags that choose a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileFault {
    /// The name has characters or a length that a directory name must not have.
    Name,
    /// `--dev` and another `--profile` were given together.
    TwoProfiles,
}

impl fmt::Display for ProfileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(
                f,
                "Invalid --profile. Use 1 to {NAME_LIMIT} letters, digits, \"-\" or \"_\", for example work."
            ),
            Self::TwoProfiles => {
                f.write_str("--dev and --profile name two different profiles; pass one of them.")
            }
        }
    }
}

impl std::error::Error for ProfileFault {}

/// Why the paths cannot be worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// No home directory is known and the state directory was not given.
    NoHome,
    /// A variable or key starts with `~name`, which is not expanded.
    OtherHome(&'static str),
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHome => write!(
                f,
                "no home directory is known; set HOME, or set {STATE_DIR} to an absolute path"
            ),
            Self::OtherHome(variable) => {
                write!(
                    f,
                    "{variable} starts with another user's ~name; write the whole path instead"
                )
            }
        }
    }
}

impl std::error::Error for PathFault {}

fn is_valid(name: &str) -> bool {
    (1..=NAME_LIMIT).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Works out a path that the operator wrote; `variable` says where.
pub(crate) fn expand(
    given: &Path,
    variable: &'static str,
    env: &Environment,
) -> Result<PathBuf, PathFault> {
    if let Ok(rest) = given.strip_prefix("~") {
        let home = env.home().ok_or(PathFault::NoHome)?;
        // Joining an empty path would leave a slash at the end.
        return Ok(if rest.as_os_str().is_empty() {
            home.to_owned()
        } else {
            home.join(rest)
        });
    }
    if given.as_os_str().as_encoded_bytes().starts_with(b"~") {
        return Err(PathFault::OtherHome(variable));
    }
    Ok(match env.working_dir() {
        Some(dir) => dir.join(given),
        None => given.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(dev: bool, name: Option<&str>, env: &Environment) -> Paths {
        let profile = Profile::choose(dev, name).expect("a good profile");
        Paths::new(&profile, env).expect("paths")
    }

    #[test]
    fn each_profile_has_a_directory_of_its_own() {
        let env = Environment::new("/home/ada");
        for (dev, name, expected, port) in [
            (false, None, "/home/ada/.openclaw", 18789),
            (true, None, "/home/ada/.openclaw-dev", 19001),
            (false, Some("dev"), "/home/ada/.openclaw-dev", 19001),
            (true, Some("dev"), "/home/ada/.openclaw-dev", 19001),
            (false, Some("work_2"), "/home/ada/.openclaw-work_2", 18789),
        ] {
            let found = paths(dev, name, &env);
            assert_eq!(found.state_dir, Path::new(expected));
            assert_eq!(found.config_path, Path::new(expected).join("openclaw.json"));
            assert_eq!(found.token_path, Path::new(expected).join("gateway-token"));
            let profile = Profile::choose(dev, name).expect("a good profile");
            assert_eq!(profile.default_port(), port);
        }
    }

    #[test]
    fn the_environment_wins_over_the_profile() {
        let env = Environment::new("/home/ada").with(STATE_DIR, "/srv/claw");
        let found = paths(true, None, &env);
        assert_eq!(found.state_dir, Path::new("/srv/claw"));
        assert_eq!(found.config_path, Path::new("/srv/claw/openclaw.json"));

        let env = env.with(CONFIG_PATH, "/etc/openclaw.json");
        let found = paths(true, None, &env);
        assert_eq!(found.config_path, Path::new("/etc/openclaw.json"));
        assert_eq!(found.token_path, Path::new("/srv/claw/gateway-token"));
    }

    #[test]
    fn a_config_path_alone_leaves_the_state_where_the_profile_has_it() {
        let env = Environment::new("/home/ada").with(CONFIG_PATH, "/etc/openclaw.json");
        assert_eq!(
            paths(false, None, &env).state_dir,
            Path::new("/home/ada/.openclaw")
        );
    }

    #[test]
    fn a_tilde_stands_for_the_home_directory_only_at_the_start() {
        let env = |value: &str| {
            Environment::new("/home/ada")
                .with_working_dir("/work")
                .with(STATE_DIR, value)
        };
        assert_eq!(
            paths(false, None, &env("~/claw")).state_dir,
            Path::new("/home/ada/claw")
        );
        assert_eq!(
            paths(false, None, &env("~")).state_dir.as_os_str(),
            "/home/ada"
        );
        assert_eq!(
            paths(false, None, &env("/a/~/b")).state_dir,
            Path::new("/a/~/b")
        );
        assert_eq!(
            paths(false, None, &env("claw")).state_dir,
            Path::new("/work/claw")
        );
        let fault = Paths::new(&Profile::default(), &env("~bob/claw")).expect_err("another home");
        assert_eq!(fault, PathFault::OtherHome(STATE_DIR));
    }

    #[test]
    fn without_a_home_the_state_directory_must_be_given() {
        let nowhere = Environment::default();
        assert_eq!(
            Paths::new(&Profile::default(), &nowhere),
            Err(PathFault::NoHome)
        );
        let given = Environment::default().with(STATE_DIR, "/srv/claw");
        assert_eq!(paths(false, None, &given).state_dir, Path::new("/srv/claw"));
    }

    #[test]
    fn a_profile_name_cannot_leave_the_home_directory() {
        let long = "a".repeat(65);
        for name in ["", "../etc", "a/b", "a b", "ä", ".", long.as_str()] {
            assert_eq!(
                Profile::choose(false, Some(name)),
                Err(ProfileFault::Name),
                "{name}"
            );
        }
        assert!(Profile::choose(false, Some(&"a".repeat(64))).is_ok());
    }

    #[test]
    fn dev_and_another_profile_contradict_each_other() {
        assert_eq!(
            Profile::choose(true, Some("work")),
            Err(ProfileFault::TwoProfiles)
        );
    }
}
