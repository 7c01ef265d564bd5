//! Who speaks through a proxy, and from where, as far as the operator trusts that proxy.

use std::io;
use std::net::IpAddr;

use openclaw_protocol_core::hub::{Claims, Peer, Who};
use openclaw_runtime_smol::http::{Headers, UpgradeHead};

pub mod forwarded;

use forwarded::Network;

/// The headers, beside `X-Forwarded-*`, that only a proxy adds: whoever speaks through one is not on this host.
const PROXIED: [&str; 11] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    FUNNEL,
    "tailscale-headers-info",
    LOGIN,
    "tailscale-user-name",
    "tailscale-user-profile-pic",
];
const FUNNEL: &str = "tailscale-funnel-request";
const LOGIN: &str = "tailscale-user-login";
/// What `tailscale serve` adds to every request.
const OF_SERVE: [&str; 3] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
/// The header that limits a connection's scopes.
const SCOPES: &str = "x-openclaw-scopes";
/// The longest name of a user, in bytes.
const MAX_USER: usize = 256;

/// `gateway.tailscale.mode`: who passes requests of the tailnet on to this gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tailscale {
    /// Nobody.
    #[default]
    Off,
    /// `tailscale serve`, to the tailnet.
    Serve,
    /// `tailscale funnel`, to everybody.
    Funnel,
}

/// The section `gateway.auth.trustedProxy`: how a proxy says who speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouching {
    /// `userHeader`: the header that names the user.
    pub user_header: String,
    /// `requiredHeaders`: headers that must be there as well, as the operator writes them.
    pub required_headers: Vec<String>,
    /// `allowUsers`: who may come in; everybody by default.
    pub allow_users: Vec<String>,
    /// `allowLoopback`: whether a proxy on this host may say so; false by default, because every program on this host can
    /// pretend to be that proxy.
    pub allow_loopback: bool,
}

/// Which proxies are believed, and what.
#[derive(Clone, Debug)]
pub struct Proxies {
    /// `gateway.trustedProxies`.
    pub trusted: Vec<Network>,
    /// `gateway.allowRealIpFallback`.
    pub real_ip: bool,
    /// How a trusted proxy says who speaks, in the mode `trusted-proxy`.
    pub vouching: Option<Vouching>,
    /// Who passes requests of the tailnet on.
    pub tailscale: Tailscale,
    /// Whether a user of the tailnet may come in by the name that `tailscale serve` says.
    pub by_tailnet: bool,
    /// Lists the addresses that this host has.
    pub own_addresses: fn() -> io::Result<Vec<IpAddr>>,
}

impl Default for Proxies {
    /// Believes nobody.
    fn default() -> Self {
        Self {
            trusted: Vec::new(),
            real_ip: false,
            vouching: None,
            tailscale: Tailscale::Off,
            by_tailnet: false,
            own_addresses,
        }
    }
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// From whoever has the socket.
    Direct,
    /// From this address, through a trusted proxy.
    Proxy(IpAddr),
    /// From this address in the tailnet, through `tailscale serve`.
    Serve(IpAddr),
    /// From this address, through `tailscale funnel`.
    Funnel(IpAddr),
}

/// A request came through a proxy, and nobody who is trusted says from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unattributable;

impl Proxies {
    /// Tells how a request came that was heard from `socket`.
    ///
    /// # Errors
    /// [`Unattributable`], which is to be refused: it can neither be counted nor be taken for one of this host.
    pub fn route(&self, socket: IpAddr, headers: &Headers) -> Result<Route, Unattributable> {
        let socket = socket.to_canonical();
        let proxied = headers.names().any(is_of_a_proxy);
        if socket.is_loopback() && !proxied {
            Ok(Route::Direct)
        } else if self.is_trusted(socket) {
            let client = self.client(headers, |hop| self.is_trusted(hop));
            client.map(Route::Proxy).ok_or(Unattributable)
        } else if !proxied {
            Ok(Route::Direct)
        } else if socket.is_loopback() {
            self.of_tailscale(headers)
        } else {
            Err(Unattributable)
        }
    }

    /// Tells who is at the other end of an upgrade that was let through.
    #[must_use]
    pub fn peer(&self, head: &UpgradeHead) -> Peer {
        self.peer_of(head.peer.ip(), head.origin.as_deref(), &head.headers)
    }

    /// The same, of what matters in the head.
    #[must_use]
    pub fn peer_of(&self, socket: IpAddr, origin: Option<&str>, headers: &Headers) -> Peer {
        let socket = socket.to_canonical();
        let route = self.route(socket, headers);
        let (address, direct) = match route {
            Ok(Route::Direct) => (socket, socket.is_loopback()),
            Ok(Route::Proxy(client) | Route::Serve(client) | Route::Funnel(client)) => {
                (client, false)
            }
            Err(Unattributable) => (socket, false),
        };
        let who = match (&self.vouching, route) {
            (Some(vouching), _) => Some(match self.vouch(vouching, socket, route, headers) {
                Ok(user) => Who::Vouched(user.into()),
                Err(reason) => Who::Nobody(reason.into()),
            }),
            (None, Ok(Route::Serve(_))) if self.by_tailnet => Some(match one(headers, LOGIN) {
                Some(login) => Who::Claimed(login.into()),
                None => Who::Nobody("tailscale_user_missing".into()),
            }),
            (None, Ok(_) | Err(Unattributable)) => None,
        };
        let scopes = limit(headers);
        let claims = (who.is_some() || scopes.is_some()).then(|| {
            let who = who.unwrap_or_else(|| Who::Nobody("".into()));
            Box::new(Claims { who, scopes })
        });
        Peer {
            address,
            direct_loopback: direct,
            origin: origin.map(Into::into),
            claims,
        }
    }

    /// Returns the user that a proxy names, or the word for why it is not believed.
    fn vouch(
        &self,
        vouching: &Vouching,
        socket: IpAddr,
        route: Result<Route, Unattributable>,
        headers: &Headers,
    ) -> Result<String, String> {
        let refuse = |word: &str| Err(format!("trusted_proxy_{word}"));
        if !self.is_trusted(socket) {
            return refuse("untrusted_source");
        }
        if socket.is_loopback() {
            if !vouching.allow_loopback {
                return refuse("loopback_source");
            }
        } else {
            match (self.own_addresses)() {
                Ok(own) if own.contains(&socket) => return refuse("local_interface_source"),
                Ok(_) => {}
                Err(_) => return refuse("local_interface_check_failed"),
            }
        }
        let mut required = vouching.required_headers.iter();
        if let Some(name) = required.find(|name| !is_filled(headers, name)) {
            return refuse(&format!("missing_header_{name}"));
        }
        let Some(user) = one(headers, &vouching.user_header) else {
            return refuse("user_missing");
        };
        let allowed = &vouching.allow_users;
        if !allowed.is_empty() && !allowed.iter().any(|allowed| allowed == user) {
            return refuse("user_not_allowed");
        }
        match route {
            Ok(Route::Proxy(_)) => Ok(user.to_owned()),
            Ok(Route::Direct | Route::Serve(_) | Route::Funnel(_)) | Err(Unattributable) => {
                Err("proxy_attribution_required".to_owned())
            }
        }
    }

    /// Tells how a request came that a proxy on this host passed on, who is not trusted as one.
    fn of_tailscale(&self, headers: &Headers) -> Result<Route, Unattributable> {
        let served = OF_SERVE.iter().all(|name| is_filled(headers, name));
        if self.tailscale == Tailscale::Off || !served {
            return Err(Unattributable);
        }
        let client = self.client(headers, |_| false).ok_or(Unattributable)?;
        match (self.tailscale, headers.contains(FUNNEL)) {
            (Tailscale::Serve, false) => Ok(Route::Serve(client)),
            (Tailscale::Funnel, false) => Ok(Route::Funnel(client)),
            (Tailscale::Funnel, true) if one(headers, FUNNEL) == Some("?1") => {
                Ok(Route::Funnel(client))
            }
            (Tailscale::Off | Tailscale::Serve | Tailscale::Funnel, _) => Err(Unattributable),
        }
    }

    fn client(&self, headers: &Headers, is_ours: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        const CHAIN: &str = "x-forwarded-for";
        let lines: Vec<&str> = headers.get_all(CHAIN).collect();
        // A line that cannot be read may be the one that our proxy has added to.
        if lines.len() != headers.count(CHAIN) {
            return None;
        }
        if let Some(client) = forwarded::client(lines.into_iter(), is_ours) {
            return Some(client);
        }
        let real = one(headers, "x-real-ip").filter(|_| self.real_ip && !headers.contains(CHAIN));
        let client = forwarded::address(real?)?;
        (!client.is_loopback()).then_some(client)
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}

/// The one value of a field, without white space around it; who sends it twice has sent nothing.
fn one<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
    let value = headers.get(name).filter(|_| headers.count(name) == 1)?;
    let value = value.trim();
    (!value.is_empty() && value.len() <= MAX_USER).then_some(value)
}

fn is_filled(headers: &Headers, name: &str) -> bool {
    headers.get_all(name).any(|value| !value.trim().is_empty())
}

/// The scopes that a request limits itself to: those that every line of the field has.
fn limit(headers: &Headers) -> Option<Vec<Box<str>>> {
    let names = |line: &str| -> Vec<Box<str>> {
        let names = line.split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .map(Into::into)
            .collect()
    };
    let lines: Vec<_> = headers.get_all(SCOPES).map(names).collect();
    if lines.len() != headers.count(SCOPES) {
        // A line that cannot be read allows nothing.
        return Some(Vec::new());
    }
    let mut lines = lines.into_iter();
    let mut limit = lines.next()?;
    for line in lines {
        limit.retain(|name| line.contains(name));
    }
    Some(limit)
}

fn is_of_a_proxy(name: &str) -> bool {
    PROXIED.contains(&name) || name.starts_with("x-forwarded-")
}

fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let interfaces = if_addrs::get_if_addrs()?;
    Ok(interfaces
        .iter()
        .map(|interface| interface.ip().to_canonical())
        .collect())
}

#[cfg(test)]
mod tests;
