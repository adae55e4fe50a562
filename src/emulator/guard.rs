//! Who may ask. Every program on the machine reaches loopback, and so does every web page in a browser on it: by a
//! cross-origin request, or by a name of its own that it lets resolve to `127.0.0.1`.

use std::net::SocketAddr;

use hyper::{
    HeaderMap,
    header::{HOST, HeaderName, ORIGIN},
    http::request::Parts,
};
use subtle::ConstantTimeEq;

/// The header that carries the token.
pub(super) const TOKEN_HEADER: &str = "x-lifeboat-sandbox";
/// Where the switches are.
pub(super) const SWITCHES: &str = "/_sandbox/";

/// Every browser sends one of these with what a page may not do unasked; AWS clients send none.
const OF_A_PAGE: [HeaderName; 2] = [ORIGIN, HeaderName::from_static("sec-fetch-site")];

/// Decides by the head of a request alone, before a byte of its body is read.
pub(super) struct Guard {
    hosts: Vec<String>,
    token: String,
}

impl Guard {
    /// For an endpoint at `address`, with a new token.
    pub(super) fn new(address: SocketAddr) -> Self {
        let mut token = [0; 16];
        getrandom::fill(&mut token).expect("the system gives randomness");
        Self { hosts: hosts(address), token: hex::encode(token) }
    }

    /// For an endpoint that belongs to another one, with its token.
    #[cfg(any(feature = "vault", feature = "gcp"))]
    pub(super) fn with_token(address: SocketAddr, token: String) -> Self {
        Self { hosts: hosts(address), token }
    }

    /// 32 characters that nobody can guess; new with every start.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Lets a request in, or says why not in one sentence.
    pub(super) fn admit(&self, head: &Parts) -> Result<(), String> {
        if let Some(name) = OF_A_PAGE.iter().find(|name| head.headers.contains_key(*name)) {
            return Err(format!("The sandbox does not answer web pages: the request has the header {name}."));
        }
        if !self.is_own_host(head) {
            let hosts = self.hosts.join(", ");
            return Err(format!("The sandbox answers only requests whose one Host header is one of: {hosts}."));
        }
        if head.uri.path().starts_with(SWITCHES) && !self.has_token(&head.headers) {
            return Err(format!(
                "The switches need the header {TOKEN_HEADER} with the token that the sandbox printed at its start."
            ));
        }
        Ok(())
    }

    fn is_own_host(&self, head: &Parts) -> bool {
        let is_own = |host: &str| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
        let mut named = head.headers.get_all(HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else { return false };
        host.to_str().is_ok_and(is_own) && head.uri.authority().is_none_or(|authority| is_own(authority.as_str()))
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(TOKEN_HEADER).map_or(&b""[..], |value| value.as_bytes());
        given.ct_eq(self.token.as_bytes()).into()
    }
}

/// The names of an address, as a client writes them into `Host`; the port of HTTP may be left out.
fn hosts(address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let mut hosts = vec![address.to_string()];
    for name in ["127.0.0.1", "localhost", "[::1]"] {
        let host = format!("{name}:{port}");
        if !hosts.contains(&host) {
            hosts.push(host);
        }
        if port == 80 {
            hosts.push(name.to_owned());
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = hyper::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_its_own_names_are_its_host() {
        let guard = Guard::new("127.0.0.1:4599".parse().unwrap());
        for own in ["127.0.0.1:4599", "localhost:4599", "LOCALHOST:4599", "[::1]:4599"] {
            assert_eq!(guard.admit(&head("/", &[("host", own)])), Ok(()), "{own}");
        }
        for foreign in [
            "",
            "127.0.0.1",
            "localhost",
            "127.0.0.1:80",
            "evil.example:4599",
            "127.0.0.1:4599.evil.example",
            "localhost.:4599",
        ] {
            assert!(guard.admit(&head("/", &[("host", foreign)])).is_err(), "{foreign}");
        }
        assert!(guard.admit(&head("/", &[])).is_err(), "no host");
        let two = [("host", "localhost:4599"), ("host", "evil.example")];
        assert!(guard.admit(&head("/", &two)).is_err(), "two hosts");
        assert!(guard.admit(&head("http://evil.example/", &two[..1])).is_err(), "a host in the request line");
        assert_eq!(guard.admit(&head("http://localhost:4599/", &two[..1])), Ok(()));
    }

    #[test]
    fn the_default_port_may_be_left_out_and_no_other() {
        let guard = Guard::new("127.0.0.1:80".parse().unwrap());
        assert_eq!(guard.admit(&head("/", &[("host", "localhost")])), Ok(()));
        assert_eq!(hosts("[::1]:7".parse().unwrap()), ["[::1]:7", "127.0.0.1:7", "localhost:7"]);
        assert_eq!(hosts("127.0.0.2:7".parse().unwrap())[0], "127.0.0.2:7");
    }

    #[test]
    fn tokens_differ_and_none_but_the_whole_one_counts() {
        let address = "127.0.0.1:1".parse().unwrap();
        let guard = Guard::new(address);
        assert_ne!(guard.token(), Guard::new(address).token());
        assert_eq!(guard.token().len(), 32);
        let with =
            |token: &str| guard.admit(&head("/_sandbox/calls", &[("host", "localhost:1"), (TOKEN_HEADER, token)]));
        assert_eq!(with(guard.token()), Ok(()));
        for wrong in ["", &guard.token()[..31], &format!("{}0", guard.token()), &"0".repeat(32)] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
    }
}
