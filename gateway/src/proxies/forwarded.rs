//! Addresses as proxies write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// How many hops are looked at, from the right; no honest chain is as long.
pub const HOPS: usize = 64;
/// How many bits of an IPv4 address stand in front of it where it is written as an IPv6 address.
const MAPPED: u8 = 96;

/// Finds the client at the end of a chain of proxies, in the lines of `X-Forwarded-For`.
///
/// Every proxy adds at the right whom it heard, so only the part behind the last address that is nobody's of ours may be
/// believed: the chain is walked from the right, over addresses of this host and those of which `is_ours` says so, and the
/// first other one is the client. `None` if there is none, if the chain has an entry on the way that is no address, or if
/// it is longer than [`HOPS`].
pub fn client<'a>(
    lines: impl DoubleEndedIterator<Item = &'a str>,
    is_ours: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    lines
        .rev()
        .flat_map(|line| line.rsplit(','))
        .take(HOPS)
        .filter(|entry| !entry.trim().is_empty())
        .map(address)
        .find(|hop| hop.is_none_or(|hop| !hop.is_loopback() && !is_ours(hop)))
        .flatten()
}

/// Reads an address, with or without a port; IPv6 may stand in brackets and name a zone.
///
/// An IPv4 address in the guise of an IPv6 one is returned as what it is.
pub fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        IpAddr::V6(v6(host)?)
    } else {
        match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => {
                IpAddr::V4(Some(host).filter(|_| is_port(port))?.parse().ok()?)
            }
            Some(_) => IpAddr::V6(v6(text)?),
            None => IpAddr::V4(text.parse::<Ipv4Addr>().ok()?),
        }
    };
    Some(address.to_canonical())
}

fn v6(text: &str) -> Option<Ipv6Addr> {
    let (host, zone) = text.split_once('%').unwrap_or((text, "0"));
    let is_zone = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if zone.is_empty() || !zone.chars().all(is_zone) {
        return None;
    }
    host.parse().ok()
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Addresses that belong together: one, or all of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Tells whether an address is one of them.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Tells whether they are all that there are.
    pub fn is_everybody(self) -> bool {
        self.0.prefix_len() == 0
    }

    /// Tells whether there are addresses of this host among them.
    pub fn has_loopback(self) -> bool {
        let mut loopback = loopback().into_iter();
        loopback.any(|net| net.contains(&self.0) || self.0.contains(&net))
    }

    /// Tells whether there are none but addresses of this host among them.
    pub fn is_loopback(self) -> bool {
        loopback().iter().any(|net| net.contains(&self.0))
    }

    /// Reads an address such as `10.0.0.2`, or a network such as `10.0.0.0/8` or `fd00::/8`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let net = match IpNet::from_str(text) {
            Ok(net) => net,
            Err(_) => IpNet::from(IpAddr::from_str(text).ok()?),
        };
        let mapped = match net {
            IpNet::V6(net) => net.addr().to_ipv4_mapped(),
            IpNet::V4(_) => None,
        };
        let net = match mapped {
            Some(address) => {
                let bits = net.prefix_len().saturating_sub(MAPPED);
                Ipv4Net::new(address, bits).ok()?.into()
            }
            None => net,
        };
        Some(Self(net.trunc()))
    }
}

fn loopback() -> [IpNet; 2] {
    [
        IpAddr::from(Ipv6Addr::LOCALHOST).into(),
        Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(chain: &[&str], ours: &[&str]) -> String {
        let ours: Vec<Network> = ours.iter().map(|o| Network::parse(o).expect(o)).collect();
        let is_ours = |hop| ours.iter().any(|ours| ours.contains(hop));
        client(chain.iter().copied(), is_ours)
            .map_or_else(|| "nobody".to_owned(), |address| address.to_string())
    }

    #[test]
    fn the_client_is_the_last_address_that_is_nobodys_of_ours() {
        let ours: &[&str] = &["10.0.0.0/8", "fd00::/8"];
        for (chain, client) in [
            (&["203.0.113.5"][..], "203.0.113.5"),
            (&["1.1.1.1, 203.0.113.5"], "203.0.113.5"),
            (&["203.0.113.5, 10.0.0.2, 10.0.0.3"], "203.0.113.5"),
            (&["1.1.1.1,203.0.113.5,fd00::2"], "203.0.113.5"),
            (&["203.0.113.5, 127.0.0.1"], "203.0.113.5"),
            (&["1.1.1.1", "203.0.113.5"], "203.0.113.5"),
            (&["203.0.113.5", "10.0.0.2"], "203.0.113.5"),
            (&["203.0.113.5, ", ","], "203.0.113.5"),
            (&["  203.0.113.5:4711  "], "203.0.113.5"),
            (&["[2001:db8::5]:4711"], "2001:db8::5"),
            (&["2001:DB8::5"], "2001:db8::5"),
            (&["::ffff:203.0.113.5"], "203.0.113.5"),
            (&["203.0.113.5, ::ffff:10.0.0.2"], "203.0.113.5"),
            (&["fe80::1%eth0"], "fe80::1"),
            (&["127.0.0.1, ::1"], "nobody"),
            (&["10.0.0.2"], "nobody"),
            (&[""], "nobody"),
            (&[], "nobody"),
        ] {
            assert_eq!(found(chain, ours), client, "{chain:?}");
        }
    }

    #[test]
    fn nothing_left_of_an_entry_that_is_no_address_is_believed() {
        for entry in [
            "unknown",
            "\"203.0.113.5\"",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "0x7f.0.0.1",
            "1.2.3.4:",
            "1.2.3.4:x",
            "1.2.3.4:+1",
            "1.2.3.4:99999",
            "1.2.3.4 5.6.7.8",
            "[1.2.3.4]",
            "[::1",
            "[::1]x",
            "::1]",
            "fe80::1%",
            "fe80::1%a b",
            "for=1.2.3.4",
            "localhost",
        ] {
            let chain = format!("203.0.113.5, {entry}, 10.0.0.2");
            assert_eq!(found(&[&chain], &["10.0.0.2"]), "nobody", "{entry}");
            let chain = format!("{entry}, 203.0.113.5");
            assert_eq!(found(&[&chain], &[]), "203.0.113.5", "{entry}");
        }
    }

    #[test]
    fn a_chain_is_not_walked_without_end() {
        let long = |hops: usize| format!("203.0.113.5{}", ", 10.0.0.2".repeat(hops));
        assert_eq!(found(&[&long(HOPS - 1)], &["10.0.0.2"]), "203.0.113.5");
        assert_eq!(found(&[&long(HOPS)], &["10.0.0.2"]), "nobody");
        assert_eq!(found(&[&long(100_000)], &["10.0.0.2"]), "nobody");
    }

    #[test]
    fn a_network_is_an_address_or_a_prefix() {
        for (text, within, without) in [
            ("10.0.0.2", "10.0.0.2", "10.0.0.3"),
            (" 10.0.0.0/8 ", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("2001:db8::5", "2001:db8::5", "2001:db8::6"),
            ("::ffff:10.0.0.0/104", "10.255.0.1", "11.0.0.1"),
            ("::ffff:10.0.0.2", "10.0.0.2", "10.0.0.3"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
        ] {
            let network = Network::parse(text).expect(text);
            assert!(network.contains(within.parse().unwrap()), "{text}");
            assert!(!network.contains(without.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "not an ip",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0",
            "fd00::/129",
            "10.0.0.0/8/8",
            "localhost",
            "*",
        ] {
            assert_eq!(Network::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_network_knows_whether_it_has_addresses_of_this_host() {
        for text in ["127.0.0.1", "127.0.0.0/8", "::1", "0.0.0.0/0", "::/0"] {
            assert!(Network::parse(text).unwrap().has_loopback(), "{text}");
        }
        for text in ["10.0.0.0/8", "fd00::/8", "128.0.0.1"] {
            assert!(!Network::parse(text).unwrap().has_loopback(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_a_client_sends_ahead_changes_nothing(
            ahead in "[ -~]{0,80}",
            caller: IpAddr,
            proxies in 0usize..4,
        ) {
            let caller = caller.to_canonical();
            prop_assume!(!caller.is_loopback());
            let ours: IpAddr = "192.0.2.7".parse().unwrap();
            prop_assume!(caller != ours);
            let chain = format!("{ahead},{caller}{}", ", 192.0.2.7".repeat(proxies));
            prop_assert_eq!(client([chain.as_str()].into_iter(), |hop| hop == ours), Some(caller));
        }

        #[test]
        fn a_client_that_is_found_is_neither_this_host_nor_ours(
            lines in prop::collection::vec("[0-9a-f.:,\\[\\]% ]{0,40}", 0..4),
        ) {
            let ours = Network::parse("::/1").unwrap();
            let found = client(lines.iter().map(String::as_str), |hop| ours.contains(hop));
            prop_assert!(found.is_none_or(|hop| !hop.is_loopback() && !ours.contains(hop)));
        }

        #[test]
        fn an_address_is_read_however_it_is_written(client: IpAddr, port: u16) {
            let bare = client.to_string();
            prop_assert_eq!(address(&bare), Some(client.to_canonical()));
            let with_port = std::net::SocketAddr::new(client, port).to_string();
            prop_assert_eq!(address(&with_port), Some(client.to_canonical()));
        }
    }
}
