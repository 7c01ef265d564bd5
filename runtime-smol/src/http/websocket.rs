//! The server's half of the WebSocket handshake, RFC 6455 section 4.2.

use async_tungstenite::tungstenite::handshake::derive_accept_key;
use http_types::StatusCode;
use hyper::header::{CONNECTION, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Version};

use super::head::{bad, has_token};
use super::message::Response;
use super::wire::Length;

pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    has_token(headers, UPGRADE, "websocket")
}

/// Checks a handshake and returns the key that accepts it.
pub(super) fn accept(parts: &Parts, length: Length) -> Result<String, Response> {
    let headers = &parts.headers;
    if parts.method != Method::GET {
        let refusal = Response::text(StatusCode::MethodNotAllowed, "Method Not Allowed");
        return Err(refusal.with_header("Allow", "GET"));
    }
    if parts.version != Version::HTTP_11 || !has_token(headers, CONNECTION, "upgrade") {
        return Err(bad("a WebSocket needs HTTP/1.1 and Connection: Upgrade"));
    }
    if length != Length::Sized(0) {
        return Err(bad("a WebSocket handshake has no body"));
    }
    if headers.get_all(ORIGIN).into_iter().count() > 1 {
        return Err(bad("send at most one Origin"));
    }
    let mut versions = headers.get_all(SEC_WEBSOCKET_VERSION).into_iter();
    if versions.next().is_none_or(|version| version != "13") || versions.next().is_some() {
        let refusal = Response::text(
            StatusCode::UpgradeRequired,
            "Upgrade Required: WebSocket version 13",
        );
        return Err(refusal
            .with_header("Upgrade", "websocket")
            .with_header("Sec-WebSocket-Version", "13"));
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).into_iter();
    match (keys.next().map(|key| key.as_bytes()), keys.next()) {
        (Some(key), None) if is_key(key) => Ok(derive_accept_key(key)),
        _ => Err(bad("send one Sec-WebSocket-Key of 16 bytes in base64")),
    }
}

fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key.strip_suffix(b"==").is_some_and(|digits| {
            digits
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for key in [
            &b""[..],
            b"dGhlIHNhbXBsZSBub25jZQ=",
            b"dGhlIHNhbXBsZSBub25jZQAA",
            b"dGhlIHNhbXBsZSBub25j====",
            b"dGhlIHNhbXBsZSBub25j\xffQ==",
        ] {
            assert!(!is_key(key), "{key:?}");
        }
    }
}
