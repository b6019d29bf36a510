//! `host:port`, the name of an instance node.
//!
//! The port stands behind the last colon. Host names are checked only as far as needed to make a domain name of them
//! later: registries hold single labels and underscores.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::Error;
use crate::model::{Endpoint, Host};

/// Length of a domain name in text (RFC 1035 §2.3.4: 255 bytes in wire form).
const MAX_HOST: usize = 253;

/// Returns whether an element looks like `host:port`, good or not: something, a colon, digits.
pub(super) fn has_shape(element: &str) -> bool {
    element.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && is_number(port))
}

/// Reads `host:port`, as instances are called: `192.168.0.42:8080`, `[2001:db8::1]:8080` or `server1:22`.
///
/// # Errors
/// When it is no such thing.
pub fn endpoint(name: &str) -> Result<Endpoint, Error> {
    let (host, port) = name.rsplit_once(':').ok_or(Error::NoPort)?;
    Ok(Endpoint { host: registered_host(host)?, port: self::port(port)? })
}

/// Reads a port.
pub(super) fn port(text: &str) -> Result<u16, Error> {
    // `parse` alone would take "+80".
    let digits = Some(text).filter(|text| is_number(text)).ok_or(Error::BadPort)?;
    digits.parse().ok().filter(|&port| port != 0).ok_or(Error::BadPort)
}

/// Reads a host by itself: an IPv4 address, an IPv6 address with or without brackets, or a host name.
///
/// # Errors
/// When it is none of them.
pub fn any_host(text: &str) -> Result<Host, Error> {
    match text.parse::<Ipv6Addr>() {
        Ok(address) => usable(address.into()),
        Err(_) => registered_host(text),
    }
}

fn registered_host(text: &str) -> Result<Host, Error> {
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse().ok());
        return address.map(IpAddr::V6).ok_or(Error::BadV6).and_then(usable);
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return usable(address.into());
    }
    if text.contains(':') {
        return Err(Error::BareV6);
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err(if text.is_empty() { Error::NoHost } else { Error::BadHost });
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/';
    if name.len() > MAX_HOST || name.contains(odd) || name.split('.').any(str::is_empty) {
        return Err(Error::BadHost);
    }
    // As browsers and `inet_aton` have it, which take these for addresses.
    if name.rsplit('.').next().is_some_and(|last| is_number(last) || is_hexadecimal(last)) {
        return Err(Error::BadV4);
    }
    if name.split('.').any(|label| label == "*") {
        return Err(Error::Wildcard);
    }
    let is_local = |name: &str| name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"));
    if is_local(name) {
        return Err(Error::Unusable("`localhost`, which is another host wherever it is looked up"));
    }
    if name.is_ascii() {
        return Ok(Host::Name(name.into()));
    }
    let ascii = idna::domain_to_ascii(name).map_err(|_| Error::BadIdn)?;
    if ascii.len() > MAX_HOST || ascii.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err(Error::BadIdn);
    }
    // What the mapping makes of it may be an address, or not be a name at all.
    if ascii.is_ascii() && ascii != name { registered_host(&ascii) } else { Err(Error::BadIdn) }
}

/// The host at an address, if clients can reach anybody there. An IPv4-mapped one is its IPv4 address (RFC 4291
/// §2.5.5.2).
fn usable(address: IpAddr) -> Result<Host, Error> {
    let address = address.to_canonical();
    let why = match address {
        IpAddr::V4(v4) if v4.octets()[0] == 0 => "in 0.0.0.0/8, which is no host's address (RFC 1122)",
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        IpAddr::V6(v6) if v6.is_unspecified() => "::, which is no host's address (RFC 4291)",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "a link-local address without its interface",
        _ if address.is_multicast() => "a multicast address",
        _ => return Ok(address.into()),
    };
    Err(Error::Unusable(why))
}

/// Returns whether it is `0x` and hexadecimal digits, or nothing more.
fn is_hexadecimal(text: &str) -> bool {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
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
        for name in ["10.0.0.300:80", "10.0.0:80", "42:80", "0x0a000001:80", "a.0X1F:80", "0x:80", "010.0.0.1:80"] {
            assert_eq!(reason(name), "BadV4", "{name}");
        }
        for name in ["a b:80", "a\u{7}:80", "a/b:80", ".:80", "a..b:80", ".a:80"] {
            assert_eq!(reason(name), "BadHost", "{name}");
        }
        assert_eq!(reason(&format!("{}:80", "x".repeat(254))), "BadHost");
    }

    #[test]
    fn addresses_at_which_nobody_is_are_refused_and_those_of_few_are_not() {
        for name in [
            "0.0.0.0:80",
            "0.1.2.3:80",
            "[::]:80",
            "255.255.255.255:80",
            "224.0.0.1:80",
            "239.1.2.3:80",
            "[ff02::1]:80",
            "[fe80::1]:80",
            "[febf::1]:80",
            "[::ffff:0.0.0.0]:80",
            "[::ffff:224.0.0.1]:80",
            "localhost:80",
            "LOCALHOST.:80",
            "db.localhost:80",
        ] {
            assert!(matches!(endpoint(name), Err(Error::Unusable(_))), "{name}");
        }
        for name in [
            "223.255.255.255:80",
            "127.0.0.1:80",
            "127.9.9.9:80",
            "[::1]:80",
            "169.254.1.1:80",
            "10.0.0.1:80",
            // Reserved, and yet the addresses of pods in some clouds.
            "240.0.0.1:80",
            "[fd00::1]:80",
            "localhost.example.com:80",
            "mylocalhost:80",
        ] {
            assert_eq!(endpoint(name).unwrap().to_string(), name);
        }
        assert_eq!(endpoint("[::ffff:10.0.0.7]:80").unwrap().to_string(), "10.0.0.7:80");
        assert_eq!(any_host("::ffff:10.0.0.7").unwrap(), any_host("10.0.0.7").unwrap());
        assert!(any_host("::").is_err() && any_host("0.0.0.0").is_err());
    }

    #[test]
    fn hosts_in_other_scripts_become_domain_names_or_are_refused() {
        let host =
            |name: &str| endpoint(name).map(|endpoint| endpoint.to_string()).map_err(|error| format!("{error:?}"));
        assert_eq!(host("bücher.Example:80").unwrap(), "xn--bcher-kva.example:80");
        assert_eq!(host("münchen_1.example:80").unwrap(), "xn--mnchen_1-65a.example:80");
        for name in ["*:80", "*.example.com:80", "a.*.b:80"] {
            assert_eq!(host(name).unwrap_err(), "Wildcard", "{name}");
        }
        assert!(host("\u{2488}\u{ad}.example\u{fffe}:80").is_err());
        assert!(host(&format!("{}:80", "ü".repeat(70))).is_err());
        assert!(host("１.２.３.300:80").is_err(), "digits of another width");
    }

    /// Whatever it is called, nothing panics, and what is taken is a host that can be written and read again.
    #[test]
    fn seeded_garbage_is_refused_or_comes_back_the_same() {
        let pieces = [
            "ü",
            "*",
            ".",
            "0x",
            "10",
            "xn--",
            "[",
            "]",
            "::",
            "ffff:",
            "localhost",
            "\u{202e}",
            "\u{ad}",
            ":",
            "80",
            "a",
            "_",
            " ",
            "\u{0}",
            "ß",
            "१",
            "%",
            "-",
            "\u{3002}",
        ];
        let mut rng = fastrand::Rng::with_seed(5);
        let mut taken = 0;
        for _ in 0..50_000 {
            let mut name: String = (0..rng.usize(..7)).map(|_| pieces[rng.usize(..pieces.len())]).collect();
            name += ":80";
            if let Ok(endpoint) = self::endpoint(&name) {
                taken += 1;
                let text = endpoint.to_string();
                assert!(text.is_ascii(), "{name:?} is {text:?}");
                assert_eq!(self::endpoint(&text).unwrap(), endpoint, "{name:?}");
            }
        }
        assert!(taken > 1000, "{taken}");
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
