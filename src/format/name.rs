//! `host:port`, the name of an instance node.
//!
//! The port stands behind the last colon. Host names are checked only as far as needed to make a domain name of them
//! later: registries hold single labels and underscores.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Error;
use crate::model::{Endpoint, Host};

/// Length of a domain name in text (RFC 1035 §2.3.4: 255 bytes in wire form).
const LONGEST_HOST: usize = 253;

/// Whether an element looks like `host:port`, good or not: something, a colon, digits.
pub(super) fn has_shape(element: &str) -> bool {
    element.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && is_number(port))
}

/// Reads `192.168.0.42:8080`, `[2001:db8::1]:8080` or `server1:22`.
pub(super) fn endpoint(name: &str) -> Result<Endpoint, Error> {
    let (host, port) = name.rsplit_once(':').ok_or(Error::NoPort)?;
    Ok(Endpoint { host: registered_host(host)?, port: self::port(port)? })
}

/// Reads a port.
pub(super) fn port(text: &str) -> Result<u16, Error> {
    // `parse` alone would take "+80".
    let digits = Some(text).filter(|text| is_number(text)).ok_or(Error::BadPort)?;
    digits.parse().ok().filter(|&port| port != 0).ok_or(Error::BadPort)
}

/// Reads a host by itself, where an IPv6 address needs no brackets.
pub(super) fn any_host(text: &str) -> Result<Host, Error> {
    match text.parse::<Ipv6Addr>() {
        Ok(address) => Ok(Host::V6(address)),
        Err(_) => registered_host(text),
    }
}

fn registered_host(text: &str) -> Result<Host, Error> {
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse().ok());
        return address.map(Host::V6).ok_or(Error::BadV6);
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Host::V4(address));
    }
    if text.contains(':') {
        return Err(Error::BareV6);
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err(if text.is_empty() { Error::NoHost } else { Error::BadHost });
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/';
    if name.len() > LONGEST_HOST || name.contains(odd) || name.split('.').any(str::is_empty) {
        return Err(Error::BadHost);
    }
    if name.rsplit('.').next().is_some_and(is_number) {
        return Err(Error::BadV4);
    }
    Ok(Host::Name(name.into()))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds_of_hosts_are_told_apart_and_written_as_they_were_read() {
        for name in ["192.168.0.42:8080", "[2001:db8::1]:8080", "server1:22", "a_b.Example.com:65535", "10.0.0.a:1"] {
            assert_eq!(endpoint(name).unwrap().to_string(), name);
        }
        assert_eq!(endpoint("server1.:22").unwrap().host, Host::Name("server1".into()), "the final dot is dropped");
        assert!(matches!(endpoint("[::1]:1").unwrap().host, Host::V6(_)));
        assert!(matches!(endpoint("127.0.0.1:1").unwrap().host, Host::V4(_)));
    }

    #[test]
    fn a_bad_name_says_what_is_bad_about_it() {
        let reason = |name: &str| format!("{:?}", endpoint(name).unwrap_err());
        assert_eq!(reason("server1"), "NoPort");
        for name in ["a:", "a:0", "a:65536", "a:+80", "a:80 ", "a:99999999999999999999"] {
            assert_eq!(reason(name), "BadPort", "{name}");
        }
        assert_eq!(reason(":80"), "NoHost");
        assert_eq!(reason("2001:db8::1:80"), "BareV6");
        for name in ["[10.0.0.1]:80", "[::1:80", "[]:80", "[fe80::1%eth0]:80"] {
            assert_eq!(reason(name), "BadV6", "{name}");
        }
        for name in ["10.0.0.300:80", "10.0.0:80", "42:80"] {
            assert_eq!(reason(name), "BadV4", "{name}");
        }
        for name in ["a b:80", "a\u{7}:80", "a/b:80", ".:80", "a..b:80", ".a:80"] {
            assert_eq!(reason(name), "BadHost", "{name}");
        }
        assert_eq!(reason(&format!("{}:80", "x".repeat(254))), "BadHost");
    }

    #[test]
    fn a_host_by_itself_needs_no_brackets() {
        assert_eq!(any_host("2001:db8::1").unwrap(), any_host("[2001:db8::1]").unwrap());
        assert_eq!(any_host("server1").unwrap(), Host::Name("server1".into()));
        assert!(any_host("").is_err());
    }

    #[test]
    fn the_shape_is_wider_than_what_is_good() {
        for shaped in ["a:1", "a:99999", "2001:db8::1:80", "[::1]:80", "::1", "a b:0"] {
            assert!(has_shape(shaped), "{shaped}");
        }
        for other in ["a", "a:", ":80", "a:b", "a:8o", ""] {
            assert!(!has_shape(other), "{other}");
        }
    }
}
