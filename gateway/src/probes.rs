//! The HTTP side of the gateway: liveness and readiness, and what every upgrade must not carry.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http_types::{Method, StatusCode};
use openclaw_protocol_core::json::Object;
use openclaw_runtime_smol::http::{Handler, Request, Response, UpgradeHead};

/// The headers, beside `X-Forwarded-*`, that only a proxy adds: whoever speaks through one is not on this host.
const PROXIED: [&str; 6] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
];
const ATTRIBUTION: &str = "Proxy client attribution is required. Configure gateway.trustedProxies narrowly and make the proxy overwrite or safely rebuild forwarded client headers.";

/// Answers `/health`, `/healthz`, `/ready` and `/readyz`.
#[derive(Debug)]
pub struct Probes {
    started: Instant,
    draining: AtomicBool,
}

impl Default for Probes {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            draining: AtomicBool::new(false),
        }
    }
}

enum Route {
    Live,
    Ready,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/health" | "/healthz" => Some(Self::Live),
            "/ready" | "/readyz" => Some(Self::Ready),
            _ => None,
        }
    }
}

impl Probes {
    /// The gateway is about to stop: it is alive, but no longer ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    fn answer(&self, request: &Request) -> Response {
        match Route::of(request.url.path()) {
            None => Response::text(StatusCode::NotFound, "Not Found"),
            Some(_) if !matches!(request.method, Method::Get | Method::Head) => {
                Response::text(StatusCode::MethodNotAllowed, "Method Not Allowed")
                    .with_header("allow", "GET, HEAD")
            }
            Some(Route::Live) => {
                let body = Object::new().boolean("ok", true).text("status", "live");
                uncached(StatusCode::Ok, body)
            }
            Some(Route::Ready) => self.readiness(request.peer.ip().is_loopback()),
        }
    }

    /// Says whether work is taken on; why not, and for how long, is for this host only.
    fn readiness(&self, local: bool) -> Response {
        let draining = self.draining.load(Ordering::Acquire);
        let status = if draining {
            StatusCode::ServiceUnavailable
        } else {
            StatusCode::Ok
        };
        let mut body = Object::new().boolean("ready", !draining);
        if local {
            let uptime = self.started.elapsed().as_millis() as u64;
            body = body
                .texts("failing", draining.then_some("draining"))
                .number("uptimeMs", uptime);
        }
        uncached(status, body)
    }
}

fn uncached(status: StatusCode, body: Object) -> Response {
    Response::json(status, body.finish().to_bytes()).with_header("cache-control", "no-store")
}

impl Handler for Probes {
    fn handle(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>> {
        Box::pin(async move { self.answer(&request) })
    }

    /// No route takes a body, so none is waited for.
    fn admit(&self, head: &Request) -> Result<(), Response> {
        let is_probe = Route::of(head.url.path()).is_some();
        if is_probe && matches!(head.method, Method::Get | Method::Head) {
            Ok(())
        } else {
            Err(self.answer(head))
        }
    }

    fn upgrade(&self, head: &UpgradeHead) -> Result<(), Response> {
        if !head.headers.names().any(is_of_a_proxy) {
            return Ok(());
        }
        let error = Object::new()
            .text("message", ATTRIBUTION)
            .text("type", "proxy_attribution_required");
        let body = Object::new().object("error", error).finish();
        Err(Response::json(StatusCode::Forbidden, body.to_bytes()))
    }
}

fn is_of_a_proxy(name: &str) -> bool {
    PROXIED.contains(&name) || name.starts_with("x-forwarded-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_proxy_adds_is_known() {
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-real-ip",
            "via",
            "cf-connecting-ip",
        ] {
            assert!(is_of_a_proxy(name), "{name}");
        }
        for name in [
            "host",
            "origin",
            "user-agent",
            "x-request-id",
            "forwarded-by-hand",
        ] {
            assert!(!is_of_a_proxy(name), "{name}");
        }
    }
}
