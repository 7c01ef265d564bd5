//! Our answers as hyper's.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_types::{Mime, StatusCode};
use hyper::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    SEC_WEBSOCKET_ACCEPT, TRANSFER_ENCODING, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};

use super::message::Response;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// What the answer says about the connection after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Close,
    KeepAlive(Duration),
    /// HTTP/1.0, where hyper says it.
    Unsaid,
}

pub(super) fn response(response: Response, after: After) -> hyper::Response<Full> {
    let response = if response.status.is_informational() {
        log::error!("a handler answered {}, sent as 500", response.status);
        Response::text(StatusCode::InternalServerError, "Internal Server Error")
    } else {
        response
    };
    let mut rendered = bare(response.status as u16);
    let headers = rendered.headers_mut();
    let mut after = after;
    for (name, value) in &response.headers {
        add(headers, name, value, &mut after);
    }
    if let Some(value) = response.content_type.as_deref().and_then(content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    if !matches!(
        response.status,
        StatusCode::NoContent | StatusCode::NotModified
    ) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(response.body.len()));
    }
    match after {
        After::Close if headers.contains_key(UPGRADE) => {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade, close"));
        }
        After::Close => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        After::KeepAlive(time) => {
            headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
            if let Ok(value) = HeaderValue::try_from(format!("timeout={}", time.as_secs())) {
                headers.insert(KEEP_ALIVE, value);
            }
        }
        After::Unsaid => {}
    }
    *rendered.body_mut() = Full(Some(response.body).filter(|body| !body.is_empty()));
    rendered
}

pub(super) fn switching(accept: &str) -> hyper::Response<Full> {
    let mut rendered = bare(101);
    let headers = rendered.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(value) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, value);
    }
    rendered
}

fn bare(status: u16) -> hyper::Response<Full> {
    let mut rendered = hyper::Response::new(Full(None));
    *rendered.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = rendered.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        PERMISSIONS_POLICY,
        HeaderValue::from_static("camera=(), microphone=(self), geolocation=()"),
    );
    rendered
}

fn add(headers: &mut HeaderMap, name: &str, value: &str, after: &mut After) {
    let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) else {
        log::error!("a handler's field {name:?} is no valid field, dropped");
        return;
    };
    if name == CONNECTION {
        if value.as_bytes().eq_ignore_ascii_case(b"close") {
            *after = After::Close;
        }
    } else if [X_CONTENT_TYPE_OPTIONS, REFERRER_POLICY, PERMISSIONS_POLICY].contains(&name) {
        headers.insert(name, value);
    } else if ![CONTENT_LENGTH, TRANSFER_ENCODING, KEEP_ALIVE].contains(&name) {
        headers.append(name, value);
    }
}

/// `Mime` prints `a/b;c=d`; the recordings have a space behind the semicolon.
fn content_type(mime: &Mime) -> Option<HeaderValue> {
    let text = mime.to_string();
    let text = match text.split_once(';') {
        Some((essence, parameters)) => format!("{essence}; {parameters}"),
        None => text,
    };
    HeaderValue::try_from(text).ok()
}

/// A body that is there whole.
#[derive(Debug)]
pub(super) struct Full(Option<Bytes>);

impl Body for Full {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |body| body.len() as u64))
    }
}
