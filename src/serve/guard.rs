//! Who may ask, by the head of a request alone. Every program on the machine reaches loopback, and so does every web page in
//! a browser on it: by a cross-origin request, or by a name of its own that it lets resolve to `127.0.0.1`.

use std::net::SocketAddr;

use hyper::{
    header::{HOST, HeaderName, ORIGIN},
    http::request::Parts,
};

/// Every browser sends one of the first two with what a page may not do unasked; the others come from proxies, behind which
/// nobody knows who asks. Clients of AWS send none.
const REFUSED: [HeaderName; 6] = [
    ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("via"),
];

/// Decides by the head of a request, before a byte of its body is read.
pub(super) struct Guard {
    hosts: Vec<String>,
}

impl Guard {
    /// For an endpoint at `address` that also has these names.
    pub(super) fn new(address: SocketAddr, names: &[String], is_tls: bool) -> Self {
        let port = address.port();
        let standard = if is_tls { 443 } else { 80 };
        let mut hosts = vec![address.to_string()];
        let own: &[&str] = if address.ip().is_loopback() { &["127.0.0.1", "localhost", "[::1]"] } else { &[] };
        for name in own.iter().copied().chain(names.iter().map(String::as_str)) {
            hosts.push(format!("{name}:{port}"));
            if port == standard {
                hosts.push(name.to_owned());
            }
        }
        Self { hosts }
    }

    /// Lets a request in, or says why not in one sentence.
    pub(super) fn admit(&self, head: &Parts) -> Result<(), &'static str> {
        if REFUSED.iter().any(|name| head.headers.contains_key(name)) {
            return Err("this server does not answer web pages or proxies");
        }
        let is_own = |host: &str| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
        let mut named = head.headers.get_all(HOST).iter();
        let host = match (named.next(), named.next()) {
            (Some(host), None) => host.to_str().is_ok_and(is_own),
            _ => false,
        };
        if host && head.uri.authority().is_none_or(|authority| is_own(authority.as_str())) {
            Ok(())
        } else {
            Err("the Host header is not an address of this server")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)]) -> Parts {
        let mut request = hyper::Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_its_own_names_are_its_host() {
        let guard = Guard::new("127.0.0.1:4590".parse().unwrap(), &["glass.internal".into()], false);
        for own in ["127.0.0.1:4590", "LOCALHOST:4590", "[::1]:4590", "glass.internal:4590"] {
            assert_eq!(guard.admit(&head(&[("host", own)])), Ok(()), "{own}");
        }
        for foreign in ["", "127.0.0.1", "evil.example:4590", "127.0.0.1:4590.evil.example", "glass.internal"] {
            assert!(guard.admit(&head(&[("host", foreign)])).is_err(), "{foreign}");
        }
        assert!(guard.admit(&head(&[])).is_err());
        assert!(guard.admit(&head(&[("host", "localhost:4590"), ("host", "evil.example")])).is_err());
        let outside = Guard::new("10.0.0.5:443".parse().unwrap(), &["glass.internal".into()], true);
        assert_eq!(outside.admit(&head(&[("host", "glass.internal")])), Ok(()));
        assert!(outside.admit(&head(&[("host", "localhost:443")])).is_err());
    }

    #[test]
    fn pages_and_proxies_get_nothing() {
        let guard = Guard::new("127.0.0.1:4590".parse().unwrap(), &[], false);
        for name in ["origin", "sec-fetch-site", "x-forwarded-for", "forwarded", "via"] {
            assert!(guard.admit(&head(&[("host", "localhost:4590"), (name, "x")])).is_err(), "{name}");
        }
    }
}
