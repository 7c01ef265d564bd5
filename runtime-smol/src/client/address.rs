//! Where a gateway is.

use std::fmt;

use futures_rustls::pki_types::ServerName;
use http_types::Url;

use super::error::UrlError;

/// A `ws://` or `wss://` address, taken apart.
///
/// `Display` and `Debug` show host and port only: paths and queries may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    /// The name that the gateway has to prove, if TLS is spoken.
    pub(super) name: Option<ServerName<'static>>,
    /// What the WebSocket handshake asks for.
    pub(super) uri: String,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let url = match Url::parse(text.trim()) {
            Ok(url) => url,
            Err(_) if !text.contains("://") => return Err(UrlError::Scheme),
            Err(_) => return Err(UrlError::Syntax),
        };
        let (scheme, is_secure) = match url.scheme() {
            "ws" => ("ws", false),
            "wss" => ("wss", true),
            _ => return Err(UrlError::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Credentials);
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(UrlError::Syntax)?;
        let port = url.port_or_known_default().ok_or(UrlError::Syntax)?;
        let query = url.query().map(|query| format!("?{query}"));
        let bare = host.trim_matches(['[', ']']).to_owned();
        let name = if is_secure {
            Some(ServerName::try_from(bare.clone()).map_err(|_| UrlError::Syntax)?)
        } else {
            None
        };
        Ok(Self {
            host: bare,
            port,
            name,
            uri: format!(
                "{scheme}://{host}:{port}{}{}",
                url.path(),
                query.unwrap_or_default()
            ),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        for (text, shown, uri) in [
            (
                "ws://127.0.0.1:18789",
                "127.0.0.1:18789",
                "ws://127.0.0.1:18789/",
            ),
            ("ws://localhost", "localhost:80", "ws://localhost:80/"),
            (" ws://[::1]:9/x?y=z#f", "[::1]:9", "ws://[::1]:9/x?y=z"),
            (
                "wss://gateway.example",
                "gateway.example:443",
                "wss://gateway.example:443/",
            ),
            ("WSS://[::1]:9", "[::1]:9", "wss://[::1]:9/"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.uri, uri);
            assert_eq!(address.name.is_some(), uri.starts_with("wss:"));
        }
        assert_eq!(Address::parse("ws://[::1]:9").unwrap().host, "::1");
    }

    #[test]
    fn what_is_no_address_says_why() {
        for (text, error) in [
            ("https://gateway.example", UrlError::Scheme),
            ("wss://under scores", UrlError::Syntax),
            ("http://127.0.0.1:1", UrlError::Scheme),
            ("127.0.0.1:18789", UrlError::Scheme),
            ("localhost:18789", UrlError::Scheme),
            ("", UrlError::Scheme),
            ("ws://", UrlError::Syntax),
            ("ws://host:99999", UrlError::Syntax),
            ("ws://me:secret@host", UrlError::Credentials),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_secret_in_a_query_does_not_show() {
        let address = Address::parse("ws://host:1/?token=hunter2").unwrap();
        assert!(!format!("{address} {address:?}").contains("hunter2"));
    }
}
