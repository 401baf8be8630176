//! By which names the admin address may be called.
//!
//! A browser lets a web page read, and change, what has the page's own origin, which is a name and a port. Whoever owns a name
//! may make it lead to this address once the page is loaded (DNS rebinding), and there is no login here. But the browser still
//! says which name it asked for, in `Host`; a page cannot change that, and it never is an address or a name of this machine's.

use axum::http::{HeaderMap, header};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// The names that are known here.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    names: Vec<String>,
    /// Whether only this machine reaches the address: then nobody has another name for it.
    loopback: bool,
}

impl Hosts {
    /// Of the address that is listened on; `names` are the configured ones.
    pub(crate) fn new(address: SocketAddr, names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self { names, loopback: address.ip().is_loopback() }
    }

    pub(super) fn are_local(&self) -> bool {
        self.loopback
    }

    /// `Err` says why a request is refused. One without `Host` is no browser's.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), String> {
        for host in headers.get_all(header::HOST) {
            if !host.to_str().is_ok_and(|host| self.know(host)) {
                let quoted: String =
                    String::from_utf8_lossy(host.as_bytes()).chars().take(100).collect();
                return Err(format!(
                    "the Host {quoted:?} is no address, nor localhost, nor the name in --admin or --advertise; a proxy must set one of those"
                ));
            }
        }
        Ok(())
    }

    /// Whether this is an address or a name of this machine, with a port or without.
    fn know(&self, host: &str) -> bool {
        if let Some(rest) = host.strip_prefix('[') {
            let Some((address, port)) = rest.split_once(']') else { return false };
            return is_port(port) && address.parse::<Ipv6Addr>().is_ok();
        }
        let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
        let name = name.strip_suffix('.').unwrap_or(name);
        let known = || self.names.iter().any(|known| known.eq_ignore_ascii_case(name));
        is_port(port)
            && (name.parse::<Ipv4Addr>().is_ok()
                || name.eq_ignore_ascii_case("localhost")
                || known())
    }
}

/// Nothing, or a colon and a number.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn hosts() -> Hosts {
        Hosts::new("127.0.0.1:9644".parse().unwrap(), &["node-1.example", "kafka.example"])
    }

    fn said(host: &str) -> HeaderMap {
        [(header::HOST, HeaderValue::from_str(host).unwrap())].into_iter().collect()
    }

    #[test]
    fn addresses_and_own_names_are_known() {
        for host in [
            "127.0.0.1:9644",
            "127.0.0.1",
            "10.1.2.3:80",
            "[::1]:9644",
            "[::1]",
            "localhost",
            "LocalHost:9644",
            "localhost.:9644",
            "node-1.example:9644",
            "Kafka.Example",
        ] {
            assert_eq!(hosts().check(&said(host)), Ok(()), "{host}");
        }
        assert_eq!(hosts().check(&HeaderMap::new()), Ok(()), "HTTP/1.0 has none");
    }

    #[test]
    fn other_names_are_not() {
        for host in [
            "evil.example:9644",
            "evil.example",
            "",
            ":9644",
            "127.0.0.1.evil.example:9644",
            "localhost.evil.example",
            "evil.example:80:9644",
            "127.0.0.1:9644@evil.example",
            "localhost:evil",
            "[::1].evil.example",
            "[::1",
            "[localhost]",
            "::1",
            "2130706433",
            "0x7f.1",
            "x.node-1.example",
        ] {
            let refused = hosts().check(&said(host));
            assert!(refused.is_err_and(|why| why.contains("--admin")), "{host}");
        }
        let mut two = said("localhost");
        two.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(hosts().check(&two).is_err(), "each of several");
    }
}
