//! Which port the gateway of a profile listens on, and why that one.

use std::fmt;

use crate::config::Config;
use crate::environment::{Environment, GATEWAY_PORT, NotText};
use crate::paths::Profile;

/// A port and where it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The number; never 0.
    pub number: u16,
    /// Where it was set.
    pub source: PortSource,
}

/// Where a port was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortSource {
    /// `--port`.
    Flag,
    /// `OPENCLAW_GATEWAY_PORT`.
    Environment,
    /// `gateway.port`.
    Config,
    /// The profile's default.
    Default,
}

impl fmt::Display for PortSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "--port",
            Self::Environment => GATEWAY_PORT,
            Self::Config => "gateway.port",
            Self::Default => "default",
        })
    }
}

/// Chooses the port: flag, then environment, then configuration, then the profile's default.
///
/// Servers and clients of one host ask here, so that they meet.
pub fn choose(
    flag: Option<&str>,
    env: &Environment,
    config: Option<&Config>,
    profile: &Profile,
) -> Result<Port, PortFault> {
    if let Some(typed) = flag {
        return parse(typed, PortSource::Flag);
    }
    if let Some(text) = env.get(GATEWAY_PORT).map_err(PortFault::NotText)? {
        return parse(text, PortSource::Environment);
    }
    Ok(match config.and_then(|config| config.gateway.port) {
        Some(number) => Port {
            number,
            source: PortSource::Config,
        },
        None => Port {
            number: profile.default_port(),
            source: PortSource::Default,
        },
    })
}

/// Why no port can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortFault {
    /// What was given there is not a port.
    Invalid(PortSource),
    /// The variable is not text.
    NotText(NotText),
}

impl PortFault {
    /// Tells whether the command line is to blame, and not the host's set-up.
    pub fn is_usage(&self) -> bool {
        *self == Self::Invalid(PortSource::Flag)
    }
}

impl fmt::Display for PortFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(source) => write!(
                f,
                "Invalid {source}. Use a port number from 1 to 65535, for example 18789."
            ),
            Self::NotText(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for PortFault {}

fn parse(text: &str, source: PortSource) -> Result<Port, PortFault> {
    let fault = PortFault::Invalid(source);
    // `parse` would take a plus sign too.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(fault);
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(fault),
        Ok(number) => Ok(Port { number, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn env() -> Environment {
        Environment::new("/home/ada")
    }

    #[test]
    fn flag_beats_environment_beats_config_beats_default() {
        let config = Config::parse("{gateway: {port: 3}}", Path::new("c")).expect("a good file");
        let profile = Profile::default();
        let with_env = env().with(GATEWAY_PORT, "2");
        let chosen = |flag, env: &Environment, config| {
            let port = choose(flag, env, config, &profile).expect("a port");
            (port.number, port.source)
        };
        assert_eq!(
            chosen(Some("1"), &with_env, Some(&config)),
            (1, PortSource::Flag)
        );
        assert_eq!(
            chosen(None, &with_env, Some(&config)),
            (2, PortSource::Environment)
        );
        assert_eq!(chosen(None, &env(), Some(&config)), (3, PortSource::Config));
        assert_eq!(chosen(None, &env(), None), (18789, PortSource::Default));
    }

    #[test]
    fn what_is_no_port_is_refused_and_not_passed_over() {
        let profile = Profile::default();
        for typed in [
            "", "abc", "0", "65536", "99999", "-1", "+1", "1.5", " 1", "0x10",
        ] {
            let fault = choose(Some(typed), &env(), None, &profile).expect_err(typed);
            assert_eq!(
                fault.to_string(),
                "Invalid --port. Use a port number from 1 to 65535, for example 18789."
            );
            assert!(fault.is_usage());
        }
        let fault =
            choose(None, &env().with(GATEWAY_PORT, "x"), None, &profile).expect_err("no port");
        assert_eq!(
            fault.to_string(),
            "Invalid OPENCLAW_GATEWAY_PORT. Use a port number from 1 to 65535, for example 18789."
        );
        assert!(!fault.is_usage());
    }
}
