//! One request and its one answer.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_lite::future;
use http_types::{Method, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, ORIGIN};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Version, service};

use super::head::{self, Target, bad};
use super::message::{Headers, Request, Response, UpgradeHead};
use super::render::{self, After, Full};
use super::wire::{self, Framing, Length, Phase, Wire};
use super::{Handler, Limits, websocket};

/// What hyper asks for an answer.
pub(super) struct Service<'a> {
    pub(super) handler: &'a dyn Handler,
    pub(super) limits: &'a Limits,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) wire: Arc<Mutex<Wire>>,
}

impl<'a> service::Service<hyper::Request<Incoming>> for Service<'a> {
    type Response = hyper::Response<Full>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send + 'a>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let length = head::length(&parts.headers);
        let (framing, last) = {
            let mut wire = wire::lock(&self.wire);
            wire.phase = Phase::Busy;
            wire.requests = wire.requests.saturating_add(1);
            let framing = wire.take_head(parts.method.as_str(), length);
            (framing, wire.requests >= self.limits.requests)
        };
        let after = if last || length == Length::Chunked {
            After::Close
        } else {
            after(parts.version, &parts.headers, self.limits)
        };
        let version = parts.version;
        let exchange = Exchange {
            handler: self.handler,
            limits: self.limits,
            peer: self.peer,
            local: self.local,
            length,
        };
        let shared = self.wire.clone();
        Box::pin(async move {
            let answer = exchange.answer(parts, body, framing).await;
            let mut wire = wire::lock(&shared);
            wire.phase = Phase::Answered;
            let mut rendered = match answer {
                Ok(Answer::Plain(response)) => render::response(response, after),
                Ok(Answer::Switch { accept, head }) => {
                    wire.upgrade = Some(head);
                    render::switching(&accept)
                }
                Err(refusal) => render::response(refusal, After::Close),
            };
            if version == Version::HTTP_10 && rendered.headers().contains_key(CONNECTION) {
                // Or else hyper appends `keep-alive` to our `close`, if the peer asked for it.
                *rendered.version_mut() = version;
            }
            Ok(rendered)
        })
    }
}

fn after(version: Version, headers: &HeaderMap, limits: &Limits) -> After {
    if head::has_token(headers, CONNECTION, "close") {
        After::Close
    } else if version == Version::HTTP_11 {
        After::KeepAlive(limits.idle_time)
    } else if head::has_token(headers, CONNECTION, "keep-alive") {
        After::Unsaid
    } else {
        After::Close
    }
}

enum Answer {
    Plain(Response),
    Switch {
        accept: String,
        head: Box<UpgradeHead>,
    },
}

struct Exchange<'a> {
    handler: &'a dyn Handler,
    limits: &'a Limits,
    peer: SocketAddr,
    local: SocketAddr,
    length: Length,
}

impl Exchange<'_> {
    /// Answers a request; an `Err` is the answer too, after which the connection has to close.
    async fn answer(
        &self,
        parts: Parts,
        body: Incoming,
        framing: Option<Framing>,
    ) -> Result<Answer, Response> {
        let target = head::check(&parts, framing, self.local)?;
        if websocket::is_wanted(&parts.headers) {
            return self.switch(parts, target);
        }
        let method = match Method::from_str(parts.method.as_str()) {
            Ok(method) if method != Method::Connect && method.as_ref() == parts.method.as_str() => {
                method
            }
            _ => {
                return Err(Response::text(
                    StatusCode::NotImplemented,
                    "Not Implemented",
                ));
            }
        };
        let mut request = Request {
            method,
            url: target.url,
            headers: Headers::new(parts.headers),
            peer: self.peer,
            body: Bytes::new(),
        };
        if let Err(refusal) = self.handler.admit(&request) {
            return match self.length {
                Length::Sized(0) => Ok(Answer::Plain(refusal)),
                Length::Sized(_) | Length::Chunked => Err(refusal),
            };
        }
        request.body = self.body(body).await?;
        Ok(Answer::Plain(self.handler.handle(request).await))
    }

    fn switch(&self, parts: Parts, target: Target) -> Result<Answer, Response> {
        let accept = websocket::accept(&parts, self.length)?;
        let origin = match parts.headers.get(ORIGIN).map(|origin| origin.to_str()) {
            Some(Ok(origin)) => Some(origin.to_owned()),
            Some(Err(_)) => return Err(bad("Origin has to be ASCII")),
            None => None,
        };
        let head = Box::new(UpgradeHead {
            path: target.url.path().to_owned(),
            query: target.url.query().map(str::to_owned),
            host: target.host,
            origin,
            headers: Headers::new(parts.headers),
            peer: self.peer,
            local: self.local,
        });
        self.handler.upgrade(&head)?;
        Ok(Answer::Switch { accept, head })
    }

    async fn body(&self, body: Incoming) -> Result<Bytes, Response> {
        match self.length {
            Length::Sized(0) => return Ok(Bytes::new()),
            Length::Sized(declared) if declared > self.limits.body_bytes as u64 => {
                return Err(too_large());
            }
            Length::Sized(_) | Length::Chunked => {}
        }
        let late = async {
            smol::Timer::after(self.limits.body_time).await;
            Err(Response::text(
                StatusCode::RequestTimeout,
                "Request Timeout",
            ))
        };
        future::or(collect(body, self.limits.body_bytes), late).await
    }
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, Response> {
    let mut collected = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| bad("the body ended early or its chunks are malformed"))?;
        if let Ok(bytes) = frame.into_data() {
            if bytes.len() > limit - collected.len() {
                return Err(too_large());
            }
            collected.extend_from_slice(&bytes);
        }
    }
    Ok(collected.into())
}

fn too_large() -> Response {
    Response::json(
        StatusCode::PayloadTooLarge,
        r#"{"error":{"message":"Payload too large","type":"invalid_request_error"}}"#,
    )
}
