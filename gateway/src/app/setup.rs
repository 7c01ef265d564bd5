//! `device.pair.setupCode`: an approval to carry to a device.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_types::Url;
use http_types::url::Host;
use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::json::{Json, Object};
use openclaw_protocol_core::server::Call;
use openclaw_protocol_core::shape::{self, Kind, NAME, optional};
use openclaw_protocol_core::time::Now;
use openclaw_runtime_smol::tls::Fingerprint;
use serde::Deserialize;

use super::App;
use super::desk::Spoken;
use crate::pairing::{Access, SetupCode};
use crate::params;
use crate::secret::Secret;

const METHOD: &str = "device.pair.setupCode";
const SHAPE: shape::Object = shape::Object {
    members: &[
        optional("publicUrl", NAME),
        optional("preferRemoteUrl", Kind::Boolean),
        optional("includeQr", Kind::Boolean),
        optional("bootstrapProfile", Kind::OneOf(&["limited", "node"])),
        optional("joinUrl", Kind::Boolean),
    ],
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    public_url: Option<String>,
    #[serde(default)]
    prefer_remote_url: bool,
    bootstrap_profile: Option<String>,
    join_url: Option<bool>,
}

/// Where devices reach the gateway, as far as it knows.
#[derive(Clone, Debug)]
pub struct Reach {
    /// `gateway.bind`.
    pub bind: &'static str,
    /// The address and port for other hosts, if it listens for any.
    pub address: Option<(IpAddr, u16)>,
    /// `gateway.remote.url`.
    pub remote_url: Option<String>,
    /// The scheme of that address.
    pub scheme: &'static str,
    /// The fingerprint of the gateway's own certificate, if it speaks TLS.
    pub fingerprint: Option<Fingerprint>,
    /// `gateway.remote.tlsFingerprint`.
    pub remote_fingerprint: Option<Fingerprint>,
    /// The word for what clients present: `token`, `password` or `none`.
    pub auth: &'static str,
}

/// An address for a device, where it comes from, and what may be carried to it.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    url: String,
    source: String,
    /// The certificate that a device has to insist on.
    fingerprint: Option<Fingerprint>,
    access: Access,
    downgraded: bool,
}

impl App {
    /// Opens a setup code and answers with it once it lasts.
    pub(super) fn open_setup(
        &mut self,
        hub: &mut Hub,
        call: Call,
        params: Option<&Json>,
        now: Now,
    ) {
        let made = params::read(METHOD, &SHAPE, params)
            .and_then(|wanted: Wanted| find(&wanted, &self.reach))
            .and_then(|found| match Secret::generate() {
                Ok(token) if !self.desk.is_full() => Ok((found, token)),
                _ => Err(
                    ErrorShape::unavailable("no setup code can be made now; retry shortly")
                        .retryable_after(Some(1_000)),
                ),
            });
        let (found, token) = match made {
            Ok(made) => made,
            Err(error) => return hub.reply(call, Outcome::failure(error), now),
        };
        let auth = self.reach.auth;
        let by = call.conn();
        let errand = Box::new(
            move |pairings: &crate::pairing::Pairings,
                  chance: &crate::pairing::Chance,
                  now: Now| {
                pairings
                    .open_setup(found.access, token.expose().to_owned(), chance, now.unix_ms)
                    .spoken(|code| Spoken::Answer {
                        call,
                        outcome: Outcome::success(write(&code, &found, auth)),
                    })
            },
        );
        self.desk.decide(hub, Some(by), errand, now);
    }
}

fn write(code: &SetupCode, found: &Found, auth: &str) -> Object {
    let fingerprint = found.fingerprint.map(|fingerprint| fingerprint.to_string());
    let carried = Object::new()
        .text("url", &found.url)
        .text("bootstrapToken", &code.token)
        .number("expiresAtMs", code.setup.expires_ms)
        .maybe_text("tlsFingerprint", fingerprint.as_deref())
        .finish();
    let object = Object::new()
        .text("setupId", &code.setup.id)
        .number("expiresAtMs", code.setup.expires_ms)
        .text("setupCode", &URL_SAFE_NO_PAD.encode(carried.as_bytes()))
        .text("gatewayUrl", &found.url)
        .text("auth", auth)
        .text("urlSource", &found.source)
        .text("access", found.access.word());
    if found.downgraded {
        object.boolean("accessDowngraded", true)
    } else {
        object
    }
}

fn find(wanted: &Wanted, reach: &Reach) -> Result<Found, ErrorShape> {
    let refuse = |text: &str| Err(ErrorShape::invalid_request(text));
    if wanted.join_url.is_some() {
        return refuse("join URLs are not supported by this gateway; leave joinUrl out");
    }
    let access = match wanted.bootstrap_profile.as_deref() {
        None => Access::Full,
        Some("limited") => Access::Limited,
        Some(_) => {
            return refuse(
                "role node is not supported by this gateway yet; leave bootstrapProfile out, or use limited",
            );
        }
    };
    let remote = reach.remote_url.as_deref();
    let (text, source, fingerprint) = if let Some(url) = &wanted.public_url {
        (url.clone(), "request.publicUrl".to_owned(), None)
    } else if let Some(url) = remote.filter(|_| wanted.prefer_remote_url) {
        (
            url.to_owned(),
            "gateway.remote.url".to_owned(),
            reach.remote_fingerprint,
        )
    } else if let Some((address, port)) = reach.address {
        let host = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        (
            format!("{}://{host}:{port}", reach.scheme),
            format!("gateway.bind={}", reach.bind),
            reach.fingerprint,
        )
    } else {
        return refuse(
            "Gateway is only bound to loopback. Set gateway.bind=lan, or name the address that devices reach in publicUrl.",
        );
    };
    let invalid = || ErrorShape::invalid_request("Configured publicUrl is invalid.");
    let mut url = Url::parse(text.trim()).map_err(|_| invalid())?;
    let secure = match url.scheme() {
        "https" | "wss" => true,
        "http" | "ws" => false,
        _ => return Err(invalid()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid());
    }
    url.set_query(None);
    url.set_fragment(None);
    url.set_scheme(if secure { "wss" } else { "ws" })
        .map_err(|()| invalid())?;
    let plain = match (secure, url.host()) {
        (_, None) => return Err(invalid()),
        (true, Some(_)) => None,
        (false, Some(host)) => Some(nearness(&host)),
    };
    let downgraded = match plain {
        Some(Near::Elsewhere) => {
            return Err(ErrorShape::invalid_request(format!(
                "Tailscale and public mobile pairing require a secure gateway URL (wss://) or Tailscale Serve/Funnel. Resolved source: {source}"
            )));
        }
        // Whoever listens on such a network could be first to use the code.
        Some(Near::Network) => access == Access::Full,
        Some(Near::Host) | None => false,
    };
    Ok(Found {
        url: url.as_str().trim_end_matches('/').to_owned(),
        source,
        fingerprint: fingerprint.filter(|_| secure),
        access: if downgraded { Access::Limited } else { access },
        downgraded,
    })
}

/// How far what is said without encryption travels.
enum Near {
    Host,
    Network,
    Elsewhere,
}

fn nearness(host: &Host<&str>) -> Near {
    match host {
        Host::Domain("localhost") => Near::Host,
        Host::Domain(name) if name.ends_with(".local") => Near::Network,
        Host::Domain(_) => Near::Elsewhere,
        Host::Ipv4(address) if address.is_loopback() => Near::Host,
        Host::Ipv4(address) if address.is_private() || address.is_link_local() => Near::Network,
        Host::Ipv6(address) if address.is_loopback() => Near::Host,
        Host::Ipv6(address) if address.is_unique_local() || address.is_unicast_link_local() => {
            Near::Network
        }
        Host::Ipv4(_) | Host::Ipv6(_) => Near::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach() -> Reach {
        Reach {
            bind: "lan",
            address: Some(("192.168.1.5".parse().unwrap(), 18_789)),
            remote_url: Some("wss://gateway.example/ws/".to_owned()),
            scheme: "ws",
            fingerprint: None,
            remote_fingerprint: None,
            auth: "token",
        }
    }

    fn wanted(public_url: Option<&str>) -> Wanted {
        Wanted {
            public_url: public_url.map(str::to_owned),
            prefer_remote_url: false,
            bootstrap_profile: None,
            join_url: None,
        }
    }

    #[test]
    fn the_address_is_the_one_that_was_asked_for_or_the_one_that_is_listened_on() {
        let cases = [
            (
                Some("https://gw.example"),
                "wss://gw.example",
                "full",
                false,
            ),
            (Some("ws://127.0.0.1:1"), "ws://127.0.0.1:1", "full", false),
            (
                Some("http://10.0.0.9:1/"),
                "ws://10.0.0.9:1",
                "limited",
                true,
            ),
            (
                Some("ws://box.local:1"),
                "ws://box.local:1",
                "limited",
                true,
            ),
            (None, "ws://192.168.1.5:18789", "limited", true),
        ];
        for (asked, url, access, downgraded) in cases {
            let found = find(&wanted(asked), &reach()).unwrap();
            assert_eq!(found.url, url);
            assert_eq!(found.access.word(), access, "{url}");
            assert_eq!(found.downgraded, downgraded, "{url}");
        }
        let remote = Wanted {
            prefer_remote_url: true,
            ..wanted(None)
        };
        let found = find(&remote, &reach()).unwrap();
        assert_eq!(found.url, "wss://gateway.example/ws");
        assert_eq!(found.source, "gateway.remote.url");
    }

    #[test]
    fn a_gateway_with_tls_is_reached_over_tls_and_its_certificate_is_named() {
        let (own, theirs) = (Fingerprint::of(b"own"), Fingerprint::of(b"theirs"));
        let reach = Reach {
            scheme: "wss",
            fingerprint: Some(own),
            remote_fingerprint: Some(theirs),
            ..reach()
        };
        let found = find(&wanted(None), &reach).unwrap();
        assert_eq!(found.url, "wss://192.168.1.5:18789");
        assert_eq!(found.access.word(), "full");
        assert_eq!(found.fingerprint, Some(own));
        let remote = Wanted {
            prefer_remote_url: true,
            ..wanted(None)
        };
        assert_eq!(find(&remote, &reach).unwrap().fingerprint, Some(theirs));
        let elsewhere = wanted(Some("https://gw.example"));
        assert_eq!(find(&elsewhere, &reach).unwrap().fingerprint, None);
    }

    #[test]
    fn no_code_is_made_for_an_address_that_carries_it_to_anybody() {
        for (asked, expected) in [
            ("ws://203.0.113.9:1", "wss://"),
            ("ws://gateway.example", "wss://"),
            ("ftp://gateway.example", "publicUrl is invalid"),
            ("wss://me:secret@gateway.example", "publicUrl is invalid"),
            ("nonsense", "publicUrl is invalid"),
        ] {
            let error = find(&wanted(Some(asked)), &reach()).unwrap_err();
            assert!(error.message.contains(expected), "{}", error.message);
        }
        let loopback = Reach {
            address: None,
            ..reach()
        };
        let error = find(&wanted(None), &loopback).unwrap_err();
        assert!(error.message.contains("only bound to loopback"));
    }
}
