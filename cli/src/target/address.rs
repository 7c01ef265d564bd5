//! Addresses of gateways as text.

use std::net::IpAddr;

/// Returns an address as it may be shown: without user, path and query, which may hold secrets.
pub(super) fn shown(url: &str) -> String {
    match parts(url) {
        Some((scheme, host, _)) => format!("{scheme}://{host}"),
        None => "the given address".to_owned(),
    }
}

/// Returns the name of a gateway: its address without user and query, however the host is spelled.
pub(super) fn name(url: &str) -> String {
    match parts(url) {
        Some((scheme, host, path)) => {
            let place = format!("{scheme}://{host}").to_ascii_lowercase();
            format!("{place}{}", path.trim_end_matches('/'))
        }
        None => url.to_owned(),
    }
}

/// Tells whether an address is one of this very host that nobody else can have.
pub(super) fn is_loopback(url: &str) -> bool {
    let Some((_, host, _)) = parts(url) else {
        return false;
    };
    let bare = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    bare.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Returns scheme, host with port, and path.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let end = rest.find(['/', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    Some((scheme, host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_left_out() {
        let url = "ws://me:hunter2@Host:1/a/?token=hunter2#hunter2";
        assert_eq!(shown(url), "ws://Host:1");
        assert_eq!(name(url), "ws://host:1/a");
        assert_eq!(name("ws://h:1/"), name("WS://H:1"));
        assert_eq!(shown("hunter2"), "the given address");
    }

    #[test]
    fn only_what_cannot_be_elsewhere_is_loopback() {
        for url in [
            "ws://127.0.0.1:1",
            "ws://127.9.9.9",
            "ws://[::1]:1/x",
            "ws://LOCALHOST:1",
            "ws://localhost",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "ws://10.0.0.1:1",
            "ws://localhost.example:1",
            "ws://127.0.0.1.example",
            "ws://127.0.0.1@example:1",
            "ws://[fd00::1]:1",
            "localhost:1",
            "",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
