//! The HTTP side of the gateway: liveness and readiness, and who is not heard at all.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http_types::{Method, StatusCode};
use openclaw_protocol_core::hub::Peer;
use openclaw_protocol_core::json::Object;
use openclaw_runtime_smol::http::{Handler, Headers, Request, Response, UpgradeHead};

use crate::proxies::{self, Proxies, Unattributable};

const ATTRIBUTION: &str = "Proxy client attribution is required. Configure gateway.trustedProxies narrowly and make the proxy overwrite or safely rebuild forwarded client headers.";

/// Answers `/health`, `/healthz`, `/ready` and `/readyz`.
#[derive(Debug)]
pub struct Probes {
    started: Instant,
    draining: AtomicBool,
    proxies: Proxies,
    /// Whether somebody was turned away who came through a proxy; the log says so once.
    turned_away: AtomicBool,
}

impl Default for Probes {
    /// Believes no proxy.
    fn default() -> Self {
        Self::new(Proxies::default())
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
    /// Believes what `proxies` says.
    #[must_use]
    pub fn new(proxies: Proxies) -> Self {
        Self {
            started: Instant::now(),
            draining: AtomicBool::new(false),
            proxies,
            turned_away: AtomicBool::new(false),
        }
    }

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
            Some(Route::Ready) => self.readiness(self.is_local(request)),
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

    fn is_local(&self, request: &Request) -> bool {
        let peer = request.peer.ip().to_canonical();
        let route = self.proxies.route(peer, &request.headers);
        peer.is_loopback() && route == Ok(proxies::Route::Direct)
    }

    /// Refuses who comes through a proxy without anybody saying from where.
    fn attribute(&self, peer: SocketAddr, headers: &Headers) -> Result<(), Response> {
        let Err(Unattributable) = self.proxies.route(peer.ip(), headers) else {
            return Ok(());
        };
        if !self.turned_away.swap(true, Ordering::Relaxed) {
            log::warn!(
                "peer={} came through a proxy that is not trusted, or that does not say for whom; all such requests are \
                 refused. Set gateway.trustedProxies to the proxy's address, and have the proxy set X-Forwarded-For",
                peer.ip()
            );
        }
        let error = Object::new()
            .text("message", ATTRIBUTION)
            .text("type", "proxy_attribution_required");
        let body = Object::new().object("error", error).finish();
        Err(Response::json(StatusCode::Forbidden, body.to_bytes()))
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
        let route = Route::of(head.url.path());
        if !matches!(route, Some(Route::Live)) {
            self.attribute(head.peer, &head.headers)?;
        }
        if route.is_some() && matches!(head.method, Method::Get | Method::Head) {
            Ok(())
        } else {
            Err(self.answer(head))
        }
    }

    fn upgrade(&self, head: &UpgradeHead) -> Result<(), Response> {
        self.attribute(head.peer, &head.headers)
    }

    fn peer(&self, head: &UpgradeHead) -> Peer {
        self.proxies.peer(head)
    }
}
