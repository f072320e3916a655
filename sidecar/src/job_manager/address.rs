//! Where a JobManager's REST API is.

use std::fmt;
use std::str::FromStr;

use http::uri::{Authority, Scheme, Uri};
use http::{HeaderValue, uri};

/// `http://host:port` or `https://host:port`, as Flink publishes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestAddress {
    tls: bool,
    authority: Authority,
}

/// It is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address like http://127.0.0.1:8081 or https://127.0.0.1:8081")]
pub struct InvalidRestAddress {
    /// The text; its first 200 characters.
    pub text: String,
}

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

// === impl RestAddress ===

impl RestAddress {
    /// The host's name or address. An IPv6 address has no brackets.
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.tls { HTTPS_PORT } else { HTTP_PORT })
    }

    /// Whether whoever is there speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    pub(super) fn authority(&self) -> HeaderValue {
        HeaderValue::from_str(self.authority.as_str()).expect("an authority is visible ASCII")
    }
}

impl fmt::Display for RestAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { Scheme::HTTPS } else { Scheme::HTTP }, self.authority)
    }
}

impl FromStr for RestAddress {
    type Err = InvalidRestAddress;

    fn from_str(text: &str) -> Result<Self, InvalidRestAddress> {
        const SHOWN_CHARS_MAX: usize = 200;
        let malformed = || InvalidRestAddress { text: text.chars().take(SHOWN_CHARS_MAX).collect() };
        let parts: uri::Parts = text.parse::<Uri>().map_err(|_| malformed())?.into_parts();
        let tls = parts.scheme == Some(Scheme::HTTPS);
        let has_path = parts.path_and_query.is_some_and(|path| path != "/");
        // Whoever writes a password into an URL would find it in a log.
        let authority = parts.authority.filter(|authority| !authority.as_str().contains('@'));
        match authority {
            Some(authority) if (tls || parts.scheme == Some(Scheme::HTTP)) && !has_path => {
                Ok(Self { tls, authority })
            }
            _ => Err(malformed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flink_publishes_is_an_address() {
        let address: RestAddress = "http://10.0.0.7:8081".parse().expect("one");
        assert_eq!((address.host(), address.port()), ("10.0.0.7", 8081));
        let address: RestAddress = "http://[::1]:8081/".parse().expect("one");
        assert_eq!((address.host(), address.port()), ("::1", 8081));
        assert_eq!(address.to_string(), "http://[::1]:8081");
        let address: RestAddress = "https://jobmanager:8081".parse().expect("one");
        assert!(address.is_tls());
        assert_eq!(address.to_string(), "https://jobmanager:8081");
        assert_eq!("https://jobmanager".parse::<RestAddress>().expect("one").port(), 443);
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        for text in
            ["", "jobmanager:8081", "http://", "http://a:8081/proxy", "http://user:pw@a:8081", "ftp://a"]
        {
            let error = text.parse::<RestAddress>().expect_err(text).to_string();
            assert!(error.contains("http://127.0.0.1:8081"), "{error}");
        }
    }
}
