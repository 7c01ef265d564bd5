//! How the command ends.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::output;

/// What help says about exit codes.
pub(crate) const HELP: &str = "\
Exit codes:
  0   ok
  1   failure: the gateway said no, or nobody knows how it ended
  2   usage: the command line is wrong
  69  unreachable: no gateway is there, and nothing was done
  77  refused: the gateway does not let us in, or is not the one that is trusted
  78  configuration: openclaw.json, a variable or the token file is wrong
";

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Ok,
    /// It did not work, or nobody knows whether it did.
    Failure,
    /// The command line is wrong.
    Usage,
    /// There is no gateway, and nothing was done.
    Unreachable,
    /// The gateway does not let us in, or is not the one that is trusted.
    Refused,
    /// The set-up of this host is wrong.
    Configuration,
}

impl Exit {
    /// Returns the number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Unreachable => 69,
            Self::Refused => 77,
            Self::Configuration => 78,
        }
    }
}

/// Reports a failure behind what was logged, if it is one: in words on standard error, or as the one document on standard output.
pub(crate) fn finish(result: Result<Exit, Failure>, json: bool) -> ExitCode {
    log::logger().flush();
    let exit = match result {
        Ok(exit) => exit,
        Err(failure) => {
            // Whoever does not read it gets the exit code at least.
            match (failure.is_quiet(), json) {
                (true, _) => {}
                (false, true) => drop(output::json(&failure.document())),
                (false, false) => output::complain(&failure.report()),
            }
            failure.exit
        }
    };
    exit.code().into()
}
