//! How many files the process may have open, sockets included.

use crate::config::limits::LimitsConfig;

/// The part of them that sockets without hello may take, and again that sockets that speak HTTP
/// may take.
const SHARE: usize = 4;

/// Asks the system for as many files as it lets us have, and says how many that is; `None` where
/// it sets no limit.
#[cfg(unix)]
pub(crate) fn raise() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, most).is_ok() {
        return limit.maximum.map(to_count);
    }
    limit.current.map(to_count)
}

#[cfg(unix)]
fn to_count(files: u64) -> usize {
    usize::try_from(files).unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
pub(crate) fn raise() -> Option<usize> {
    None
}

/// Lets strangers take a part of the files only, so that they give way before there are none left
/// for anybody.
pub(crate) fn fit(limits: &mut LimitsConfig, files: usize) {
    let most = (files / SHARE).max(1);
    let core = &mut limits.core;
    if core.strangers > most || limits.server.http_sockets > most {
        log::warn!(
            "only {files} files may be open: sockets without hello and sockets that speak HTTP are limited to {most} each; raise the limit (ulimit -n) to serve more"
        );
    }
    core.strangers = core.strangers.min(most);
    core.strangers_per_address = core.strangers_per_address.min(most);
    limits.server.http_sockets = limits.server.http_sockets.min(most);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_take_a_quarter_of_few_files_and_no_more_than_is_configured_of_many() {
        let mut few = LimitsConfig::default();
        fit(&mut few, 1024);
        assert_eq!((few.core.strangers, few.server.http_sockets), (256, 256));
        let mut many = LimitsConfig::default();
        fit(&mut many, 1 << 20);
        assert_eq!(many.core, LimitsConfig::default().core);
        assert_eq!(many.server.http_sockets, 1024);
    }
}
