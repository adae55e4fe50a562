//! `NO_PROXY`: the hosts that are reached without the proxy, as curl and Go read it.

use std::net::IpAddr;

/// Hosts that are reached directly.
#[derive(Debug, Default)]
pub(super) struct Exceptions(Vec<Exception>);

#[derive(Debug, PartialEq, Eq)]
enum Exception {
    Every,
    Network {
        address: IpAddr,
        bits: u8,
        port: Option<u16>,
    },
    /// A domain and everything below it, in small letters.
    Domain {
        name: String,
        port: Option<u16>,
    },
}

impl Exceptions {
    /// Reads a list: names, `.domains`, `*.domains`, addresses and networks, each with a port if it has one.
    ///
    /// # Errors
    /// The first entry that is none of them.
    pub(super) fn parse(list: &str) -> Result<Self, String> {
        let entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        entries.map(|entry| exception(entry).ok_or_else(|| entry.to_owned())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a host is reached directly.
    pub(super) fn holds(&self, host: &str, port: Option<u16>) -> bool {
        let host = bare(host);
        let address: Option<IpAddr> = host.parse().ok();
        self.0.iter().any(|exception| match exception {
            Exception::Every => true,
            Exception::Network { address: network, bits, port: only } => {
                only.is_none_or(|only| Some(only) == port)
                    && address.is_some_and(|address| is_in(address, *network, *bits))
            }
            Exception::Domain { name, port: only } => {
                only.is_none_or(|only| Some(only) == port) && address.is_none() && is_below(host, name)
            }
        })
    }
}

/// Whether a host is this machine, or one that only this machine reaches under that address.
pub(super) fn is_near(host: &str) -> bool {
    /// Where EC2 has its metadata in IPv6, and ECS and EKS their credentials.
    const EC2: [u16; 2] = [0xfd00, 0xec2];
    match bare(host).parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unicast_link_local() || address.segments()[..2] == EC2
        }
        Err(_) => is_loopback(host) || bare(host).eq_ignore_ascii_case("metadata.google.internal"),
    }
}

/// Whether a host is this machine: `localhost` and names below it (RFC 6761), 127.0.0.0/8, ::1.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = bare(host);
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => is_below(host, "localhost"),
    }
}

/// Without the brackets of IPv6 and without the dot of the root.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.')
}

fn is_below(host: &str, domain: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => (u128::from(address.to_bits()), network.to_bits().into(), 32),
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    // No shift by the whole width, which is none in Rust.
    bits == 0 || (address ^ network) >> (width - bits) == 0
}

fn exception(entry: &str) -> Option<Exception> {
    if entry == "*" {
        return Some(Exception::Every);
    }
    if let Some((address, bits)) = entry.split_once('/') {
        let (address, bits): (IpAddr, u8) = (bare(address).parse().ok()?, bits.parse().ok()?);
        let width = if address.is_ipv4() { 32 } else { 128 };
        return (bits <= width).then_some(Exception::Network { address, bits, port: None });
    }
    let (host, port) = match entry.rsplit_once(':') {
        // An address of IPv6 has a port only after its brackets.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (entry, None),
    };
    if let Ok(address) = bare(host).parse::<IpAddr>() {
        return Some(Exception::Network { address, bits: if address.is_ipv4() { 32 } else { 128 }, port });
    }
    let name = host.strip_prefix("*.").or_else(|| host.strip_prefix('.')).unwrap_or(host).trim_end_matches('.');
    let is_name = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    name.split('.').all(is_name).then(|| Exception::Domain { name: name.to_ascii_lowercase(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_domains_addresses_networks_and_ports_are_understood() {
        let list =
            "one.example, .two.example,*.three.example 10.0.0.0/8,192.0.2.7,2001:db8::/32,[::5]:443,four.example:8443";
        let exceptions = Exceptions::parse(list).unwrap();
        for (host, port) in [
            ("one.example", 443),
            ("a.ONE.example.", 443),
            ("two.example", 443),
            ("a.two.example", 443),
            ("a.three.example", 443),
            ("10.200.3.4", 443),
            ("192.0.2.7", 80),
            ("[2001:db8:1::1]", 443),
            ("[::5]", 443),
            ("four.example", 8443),
        ] {
            assert!(exceptions.holds(host, Some(port)), "{host}:{port}");
        }
        for (host, port) in
            [("none.example", 443), ("11.0.0.1", 443), ("192.0.2.8", 80), ("[::5]", 80), ("four.example", 443)]
        {
            assert!(!exceptions.holds(host, Some(port)), "{host}:{port}");
        }
        assert!(Exceptions::parse("*").unwrap().holds("192.0.2.1", None));
        assert!(Exceptions::parse("0.0.0.0/0").unwrap().holds("192.0.2.1", None));
        assert!(!Exceptions::parse("").unwrap().holds("192.0.2.1", None));
    }

    #[test]
    fn an_entry_that_is_none_is_named() {
        for entry in ["http://a", "10.0.0.0/33", "10.0.0/8", "a..b", "a:b", "*", "a*b", "user@a"] {
            let read = Exceptions::parse(&format!("fine.example,{entry}"));
            assert_eq!(read.is_err(), entry != "*", "{entry}");
        }
    }
}
