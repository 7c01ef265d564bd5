//! What hyper accepts in a head and we do not.

use std::net::SocketAddr;

use http_types::{StatusCode, Url};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Uri, Version};

use super::message::Response;
use super::wire::{Framing, Length};

#[derive(Debug)]
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) host: String,
}

/// Tells where hyper will end the body.
pub(super) fn length(headers: &HeaderMap) -> Length {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Length::Chunked;
    }
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    Length::Sized(declared.unwrap_or(0))
}

pub(super) fn check(
    parts: &Parts,
    framing: Option<Framing>,
    local: SocketAddr,
) -> Result<Target, Response> {
    check_framing(&parts.headers, framing)?;
    let host = host(parts, local)?;
    let url = url(parts, &host)?;
    Ok(Target { url, host })
}

pub(super) fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

pub(super) fn bad(reason: &str) -> Response {
    Response::text(StatusCode::BadRequest, format!("Bad Request: {reason}"))
}

fn check_framing(headers: &HeaderMap, framing: Option<Framing>) -> Result<(), Response> {
    match framing {
        Some(Framing {
            codings: 0,
            lengths: 0 | 1,
        }) => Ok(()),
        Some(Framing {
            codings: 1,
            lengths: 0,
        }) => {
            let coding = headers.get(TRANSFER_ENCODING).map(|value| value.as_bytes());
            if coding.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
                Ok(())
            } else {
                Err(bad("the only transfer coding is chunked"))
            }
        }
        Some(_) => Err(bad(
            "send one Content-Length or one Transfer-Encoding, not both",
        )),
        None => Err(bad(
            "the head could not be followed, send it on a new connection",
        )),
    }
}

fn host(parts: &Parts, local: SocketAddr) -> Result<String, Response> {
    let mut values = parts.headers.get_all(HOST).into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) => {
            let host = value.to_str().unwrap_or_default();
            if is_host(host) {
                Ok(host.to_owned())
            } else {
                Err(bad(
                    "Host has to be a name or an address, and a port if it is not 80",
                ))
            }
        }
        (None, _) if parts.version == Version::HTTP_10 => Ok(local.to_string()),
        _ => Err(bad("send exactly one Host")),
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        if !address
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
        {
            return false;
        }
        (address, port)
    } else {
        let at = host.find(':').unwrap_or(host.len());
        let (name, port) = host.split_at(at);
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        {
            return false;
        }
        (name, port)
    };
    let digits = port.strip_prefix(':');
    !name.is_empty()
        && (port.is_empty()
            || digits.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit())))
}

fn url(parts: &Parts, host: &str) -> Result<Url, Response> {
    let uri = &parts.uri;
    let path = match (uri.scheme_str(), uri.authority()) {
        (None, None) if uri.path() == "*" && parts.method == Method::OPTIONS => "/",
        (None, None) if uri.path().starts_with('/') => path_and_query(uri),
        (Some("http"), Some(authority)) if authority.as_str().eq_ignore_ascii_case(host) => {
            path_and_query(uri)
        }
        (Some(_), _) => return Err(bad("the target has to name this host, as Host does")),
        _ => return Err(bad("the target has to be a path")),
    };
    Url::parse(&format!("http://{host}{path}"))
        .map_err(|_| bad("Host and target have to make a URL"))
}

fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_maybe_a_port() {
        for host in [
            "a",
            "a.b:1",
            "127.0.0.1:18789",
            "[::1]",
            "[::1]:18789",
            "a_b-c.~d",
            "a:",
        ] {
            assert!(is_host(host), "{host:?}");
        }
        for host in [
            "", ":1", "a b", "a/b", "a@b", "a?b", "a#b", "a:b", "a,b", "[::1", "[]", "[::1]x",
            "[g]", "a%b", "::1", "ä",
        ] {
            assert!(!is_host(host), "{host:?}");
        }
    }
}
