//! Which pages may connect.

use http_types::Url;
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hub::Peer;
use openclaw_protocol_core::json::Object;

const NOT_ALLOWED: &str = "origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)";
/// The programs that run in a browser, and so always have an origin.
const BROWSER_CLIENTS: [&str; 3] = ["openclaw-control-ui", "webchat", "webchat-ui"];
const BROWSER_MODE: &str = "webchat";

/// Whether a program runs in a browser.
#[must_use]
pub fn is_browser_client(id: &str) -> bool {
    BROWSER_CLIENTS.contains(&id)
}
/// The hosts that a page of the gateway itself comes from.
const OWN_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// How long an origin may be, in bytes: a host name has at most 253.
const LENGTH: usize = 512;

/// The origin of a page: scheme, host and port, written as browsers write it.
///
/// Scheme and host are in lower case, and the port that a scheme has anyway is left out, so that equal origins are equal
/// text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(Box<str>);

impl Origin {
    /// Reads an origin; one slash at its end is allowed, a path, a query and a user are not.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let foreign = |c: char| matches!(c, '/' | '?' | '#' | '\\' | '@') || c.is_whitespace();
        if text.len() > LENGTH
            || authority.is_empty()
            || authority.contains(foreign)
            || text.contains(char::is_control)
        {
            return None;
        }
        let url = Url::parse(&format!("{scheme}://{authority}")).ok()?;
        let host = url.host_str().filter(|host| !host.is_empty())?;
        let origin = url.origin();
        Some(Self(if origin.is_tuple() {
            origin.ascii_serialization().into()
        } else {
            // Extensions of browsers have schemes of their own.
            let host = host.to_ascii_lowercase();
            let port = url.port().map(|port| format!(":{port}"));
            format!("{}://{host}{}", url.scheme(), port.unwrap_or_default()).into()
        }))
    }

    /// Returns the origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An entry of `gateway.controlUi.allowedOrigins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// `"*"`: every page.
    Any,
    /// The pages of one origin.
    Of(Origin),
}

impl AllowedOrigin {
    /// Reads an entry.
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::Any);
        }
        Origin::parse(text).map(Self::Of)
    }
}

/// The pages that may connect: the gateway's own, and those that the operator allows.
#[derive(Clone, Debug)]
pub struct Origins {
    any: bool,
    /// The gateway's own, which are only those of this host: elsewhere `localhost` is somebody else.
    own: Vec<Origin>,
    allowed: Vec<Origin>,
}

impl Origins {
    /// Allows what the operator does, and the pages of this host on the gateway's own port.
    pub fn new(port: u16, allowed: &[AllowedOrigin]) -> Self {
        let mut origins = Self {
            any: false,
            own: own("http", port),
            allowed: Vec::new(),
        };
        for entry in allowed {
            match entry {
                AllowedOrigin::Any => origins.any = true,
                AllowedOrigin::Of(origin) => origins.allowed.push(origin.clone()),
            }
        }
        origins
    }

    /// Allows the pages of this host on the gateway's own port over TLS as well.
    #[must_use]
    pub fn over_tls(mut self, port: u16) -> Self {
        self.own.extend(own("https", port));
        self
    }

    fn allows(&self, origin: &Origin, is_here: bool) -> bool {
        self.any || self.allowed.contains(origin) || (is_here && self.own.contains(origin))
    }

    /// Judges where a connection comes from: who has an origin is a page and needs an allowed one, and programs of browsers
    /// must have one.
    pub(super) fn judge(&self, params: &ConnectParams, peer: &Peer) -> Option<ErrorShape> {
        let reason = match &peer.origin {
            Some(origin) => match Origin::parse(origin) {
                Some(origin) if self.allows(&origin, peer.direct_loopback) => return None,
                Some(_) => "origin not allowed",
                None => "origin missing or invalid",
            },
            None if runs_in_a_browser(params) => "origin missing or invalid",
            None => return None,
        };
        Some(
            ErrorShape::invalid_request(NOT_ALLOWED).with_details(
                Object::new()
                    .text("code", "CONTROL_UI_ORIGIN_NOT_ALLOWED")
                    .text("reason", reason),
            ),
        )
    }
}

fn own(scheme: &str, port: u16) -> Vec<Origin> {
    OWN_HOSTS
        .iter()
        .filter_map(|host| Origin::parse(&format!("{scheme}://{host}:{port}")))
        .collect()
}

fn runs_in_a_browser(params: &ConnectParams) -> bool {
    is_browser_client(&params.client.id) || params.client.mode == BROWSER_MODE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        Origin::parse(text).map(|origin| origin.as_str().to_owned())
    }

    #[test]
    fn equal_origins_are_equal_text_however_they_are_written() {
        for (text, expected) in [
            ("https://control.example.com", "https://control.example.com"),
            ("HTTPS://Control.Example.COM", "https://control.example.com"),
            (
                "https://control.example.com:443",
                "https://control.example.com",
            ),
            (
                "https://control.example.com/",
                "https://control.example.com",
            ),
            (
                " http://control.example.com:80 ",
                "http://control.example.com",
            ),
            (
                "http://control.example.com:443",
                "http://control.example.com:443",
            ),
            ("http://[0:0::1]:18789", "http://[::1]:18789"),
            ("http://bücher.example", "http://xn--bcher-kva.example"),
            (
                "chrome-extension://ABCDEFabcdef",
                "chrome-extension://abcdefabcdef",
            ),
            ("app://x:7", "app://x:7"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_none() {
        for text in [
            "",
            "null",
            "*",
            "example.com",
            "//example.com",
            "https:example.com",
            "https:/example.com",
            "https://",
            "https:///",
            "https://a//",
            "https://a/b",
            "https://a?b",
            "https://a#b",
            "https://a\\b",
            "https://user@a",
            "https://user:password@a",
            "https://a b",
            "https://a\tb",
            "https://a\nb",
            "https://a:99999",
            "file:///",
        ] {
            assert_eq!(shown(text), None, "{text:?}");
        }
        let long = format!("https://{}.example", "a".repeat(LENGTH));
        assert_eq!(shown(&long), None);
    }

    #[test]
    fn a_page_of_this_host_counts_as_the_gateways_only_on_its_own_port() {
        let origins = Origins::new(80, &[]);
        let known = |text| origins.allows(&Origin::parse(text).expect(text), true);
        assert!(known("http://localhost"));
        assert!(known("http://127.0.0.1:80"));
        assert!(known("http://[::1]"));
        assert!(!known("http://localhost:81"));
        assert!(!known("https://localhost"));
        let secured = Origins::new(80, &[]).over_tls(80);
        let page = Origin::parse("https://localhost:80").expect("an origin");
        assert!(secured.own.contains(&page));
    }
}
