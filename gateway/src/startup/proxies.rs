//! Whether what is believed of proxies fits with the rest.

use std::fmt;

use super::{Auth, Plan};
use crate::config::{AuthMode, Config, GatewayConfig};
use crate::proxies::{Proxies, Tailscale};
use crate::secret::resolve::SecretKind;

/// What is believed of proxies does not fit with the rest of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxiesFault {
    /// The mode is `trusted-proxy`, and there is no section for it.
    NoSection,
    /// That section does not say which header names the user.
    NoUserHeader,
    /// No proxy is trusted.
    NoProxies,
    /// `tailscale serve` would let the whole tailnet in.
    ServeWithoutAuth,
    /// `tailscale funnel` would let everybody try another secret than a password.
    FunnelWithoutPassword,
    /// Others than `tailscale` could reach the gateway.
    TailscaleBeyondLoopback(Tailscale),
}

impl fmt::Display for ProxiesFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSection => f.write_str(
                "gateway auth mode is trusted-proxy, but no trustedProxy config was provided (set gateway.auth.trustedProxy)",
            ),
            Self::NoUserHeader => f.write_str(
                "gateway auth mode is trusted-proxy, but trustedProxy.userHeader is empty (set gateway.auth.trustedProxy.userHeader)",
            ),
            Self::NoProxies => f.write_str(
                "gateway auth mode=trusted-proxy requires gateway.trustedProxies to be configured with at least one proxy IP",
            ),
            Self::ServeWithoutAuth => f.write_str(
                "gateway.auth.mode: gateway.auth.mode=none cannot be used with gateway.tailscale.mode=serve; configure token, \
                 password, or trusted-proxy auth before exposing the gateway through Tailscale",
            ),
            Self::FunnelWithoutPassword => f.write_str(
                "tailscale funnel requires gateway auth mode=password (set gateway.auth.password or OPENCLAW_GATEWAY_PASSWORD)",
            ),
            Self::TailscaleBeyondLoopback(mode) => write!(
                f,
                "gateway.bind: gateway.bind must resolve to loopback when gateway.tailscale.mode={} (use gateway.bind=\"loopback\")",
                mode.word()
            ),
        }
    }
}

/// Whether the mode `trusted-proxy` knows whom to trust, and how a user is named.
pub(super) fn check_vouching(config: Option<&Config>) -> Result<(), ProxiesFault> {
    let gateway = config.map(|config| &config.gateway);
    let vouching = gateway.and_then(|gateway| gateway.auth.trusted_proxy.as_ref());
    let vouching = vouching.ok_or(ProxiesFault::NoSection)?;
    if vouching.user_header.is_empty() {
        return Err(ProxiesFault::NoUserHeader);
    }
    match gateway.is_some_and(|gateway| gateway.trusted_proxies.is_empty()) {
        true => Err(ProxiesFault::NoProxies),
        false => Ok(()),
    }
}

/// Whether the gateway is fit to be reached through `tailscale`.
pub(super) fn check_tailscale(plan: &Plan, config: Option<&Config>) -> Result<(), ProxiesFault> {
    let mode = config.map_or(Tailscale::Off, |config| config.gateway.tailscale);
    let by_password = match &plan.auth {
        Auth::Secret(secret) => secret.kind == SecretKind::Password,
        Auth::None | Auth::Proxy(_) | Auth::Generate => false,
    };
    match (mode, &plan.auth) {
        (Tailscale::Off, _) => Ok(()),
        (Tailscale::Funnel, _) if !by_password => Err(ProxiesFault::FunnelWithoutPassword),
        (Tailscale::Serve, Auth::None) => Err(ProxiesFault::ServeWithoutAuth),
        (mode, _) if !plan.is_loopback() => Err(ProxiesFault::TailscaleBeyondLoopback(mode)),
        (Tailscale::Serve | Tailscale::Funnel, _) => Ok(()),
    }
}

/// Says what the operator may not expect.
pub(super) fn warn(plan: &mut Plan, config: Option<&Config>) {
    let Some(gateway) = config.map(|config| &config.gateway) else {
        return;
    };
    let mut warnings = Vec::new();
    let trusted = &gateway.trusted_proxies;
    if trusted.iter().any(|network| network.is_everybody()) {
        warnings.push(
            "gateway.trustedProxies has a network of all addresses; whoever reaches the gateway can say who they are and \
             where they come from."
                .to_owned(),
        );
    }
    let vouching = gateway.auth.trusted_proxy.as_ref();
    if matches!(plan.auth, Auth::Proxy(_)) && vouching.is_some_and(|v| v.allow_loopback) {
        warnings.push(
            "gateway.auth.trustedProxy.allowLoopback is true; every program on this host can say that it is any user."
                .to_owned(),
        );
    }
    if matches!(plan.auth, Auth::Proxy(_))
        && let Some(warning) = unreachable(plan, gateway)
    {
        warnings.push(warning.to_owned());
    }
    if gateway.tailscale != Tailscale::Off {
        let word = gateway.tailscale.word();
        // A bare port stands for plain HTTP; our certificate is not one that tailscale could judge.
        let target = match gateway.tls.enabled {
            true => format!("https+insecure://localhost:{}", plan.port.number),
            false => plan.port.number.to_string(),
        };
        warnings.push(format!(
            "gateway.tailscale.mode={word}: this gateway does not run tailscale; run: tailscale {word} --bg {target}"
        ));
        if by_tailnet(plan, gateway) && gateway.auth.identity_scopes.is_empty() {
            warnings.push(
                "gateway.tailscale.mode=serve without gateway.auth.identityScopes: every user of the tailnet whose page has \
                 an allowed origin gets every scope that it asks for, operator.admin included; name who may do what in \
                 gateway.auth.identityScopes, or set gateway.auth.allowTailscale to false."
                    .to_owned(),
            );
        }
        if trusted.iter().any(|network| network.has_loopback()) {
            warnings.push(
                "gateway.trustedProxies has addresses of this host; what tailscale passes on counts as such a proxy's, and \
                 says nothing of users of the tailnet."
                    .to_owned(),
            );
        }
    }
    plan.warnings.append(&mut warnings);
}

/// Why no proxy that is believed can speak to the gateway, if that is so.
fn unreachable(plan: &Plan, gateway: &GatewayConfig) -> Option<&'static str> {
    let vouching = gateway.auth.trusted_proxy.as_ref();
    let believes_loopback = vouching.is_some_and(|vouching| vouching.allow_loopback);
    let mut trusted = gateway.trusted_proxies.iter();
    if trusted.clone().all(|network| network.is_loopback()) && !believes_loopback {
        return Some(
            "nobody comes in through a proxy: gateway.trustedProxies has addresses of this host only, and \
             gateway.auth.trustedProxy.allowLoopback is not true.",
        );
    }
    let has_loopback = trusted.any(|network| network.has_loopback());
    (plan.is_loopback() && !(has_loopback && believes_loopback)).then_some(
        "nobody comes in through a proxy: the gateway listens on this host only (gateway.bind), and no proxy on this host is \
         believed (gateway.trustedProxies, gateway.auth.trustedProxy.allowLoopback).",
    )
}

/// Whether users of the tailnet come in by name.
fn by_tailnet(plan: &Plan, gateway: &GatewayConfig) -> bool {
    let by_token = plan.auth_mode() == AuthMode::Token.word();
    let by_proxy = matches!(plan.auth, Auth::Proxy(_));
    let serves = gateway.tailscale == Tailscale::Serve;
    serves && !by_proxy && gateway.auth.allow_tailscale.unwrap_or(by_token)
}

impl Proxies {
    /// What the configuration says of proxies, for a gateway that starts with this plan.
    #[must_use]
    pub fn new(plan: &Plan, config: Option<&Config>) -> Self {
        let Some(gateway) = config.map(|config| &config.gateway) else {
            return Self::default();
        };
        let by_proxy = matches!(plan.auth, Auth::Proxy(_));
        Self {
            trusted: gateway.trusted_proxies.clone(),
            real_ip: gateway.real_ip_fallback,
            vouching: gateway.auth.trusted_proxy.clone().filter(|_| by_proxy),
            tailscale: gateway.tailscale,
            by_tailnet: by_tailnet(plan, gateway),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests;
