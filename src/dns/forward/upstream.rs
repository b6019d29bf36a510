//! Upstreams for questions outside the zones: what an element of `forward` may be, what a resolv.conf says, and which
//! of that is this server itself. Pure.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// An element of `forward`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamSource {
    /// A name server.
    Server(Upstream),
    /// A file like /etc/resolv.conf that names some, read again when it changes.
    File(PathBuf),
}

/// A name server that resolves for others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Its address.
    pub address: SocketAddr,
    /// The interface behind a link-local address: `eth0` of `fe80::1%eth0` (RFC 4007 §11).
    pub scope: Option<String>,
    /// The name in its certificate, where it is asked over TLS (RFC 7858); else it is asked over UDP, and over TCP for
    /// what is too long for that.
    pub tls: Option<String>,
}

const DNS: u16 = 53;
/// DNS over TLS (RFC 7858 §3.1).
const DOT: u16 = 853;

impl UpstreamSource {
    /// Reads an element.
    ///
    /// # Errors
    /// What is wrong with it, to be said behind "has an element that".
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("tls://") {
            let (address, name) = rest.split_once('#').map_or((rest, None), |(address, name)| (address, Some(name)));
            let (address, scope) = parse_address(address, DOT).ok_or_else(|| wrong(text))?;
            if scope.is_some() {
                return Err(format!("has an address with an interface, which cannot be asked over TLS: \"{text}\""));
            }
            let name = name.map_or_else(|| address.ip().to_string(), str::to_owned);
            if rustls::pki_types::ServerName::try_from(name.as_str()).is_err() {
                return Err(format!("has no host name behind its #: \"{text}\""));
            }
            return Ok(Self::Server(Upstream { address, scope: None, tls: Some(name) }));
        }
        if let Some((address, scope)) = parse_address(text, DNS) {
            return Ok(Self::Server(Upstream { scope, ..Upstream::plain(address) }));
        }
        if is_path(text) {
            return Ok(Self::File(text.into()));
        }
        Err(wrong(text))
    }
}

fn wrong(text: &str) -> String {
    format!(
        "must be an address, ADDRESS:PORT, tls://ADDRESS[:PORT][#NAME] or the path of a resolv.conf, not \"{text}\""
    )
}

/// Returns whether an element is meant as a file: it has a slash, or ends as `resolv.conf` does.
fn is_path(text: &str) -> bool {
    !text.contains("://") && (text.contains('/') || text.strip_suffix(".conf").is_some())
}

/// An address with or without a port, and the interface of one with a scope.
fn parse_address(text: &str, port: u16) -> Option<(SocketAddr, Option<String>)> {
    let (text, scope) = match text.split_once('%') {
        Some((front, rest)) => {
            let end = rest.find(']').unwrap_or(rest.len());
            let (scope, rest) = rest.split_at(end);
            (format!("{front}{rest}"), Some(scope.to_owned()).filter(|scope| is_interface(scope))?)
        }
        None => (text.to_owned(), String::new()),
    };
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
    let address = match bare.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::from((ip, port)),
        Err(_) => text.parse().ok().filter(|address: &SocketAddr| address.port() != 0)?,
    };
    let scope = Some(scope).filter(|scope| !scope.is_empty());
    // Only addresses of one link need the link's name.
    let is_right = match address.ip() {
        IpAddr::V6(ip) => scope.is_none() || ip.is_unicast_link_local(),
        IpAddr::V4(_) => scope.is_none(),
    };
    is_right.then_some((address, scope))
}

/// Returns whether Linux could have an interface of that name (`dev_valid_name`).
fn is_interface(name: &str) -> bool {
    (1..16).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:%".contains(&byte))
}

impl Upstream {
    /// One that is asked over UDP and TCP.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, scope: None, tls: None }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.tls, &self.scope) {
            (Some(name), _) => write!(f, "tls://{}#{name}", self.address),
            (None, Some(scope)) => write!(f, "[{}%{scope}]:{}", self.address.ip(), self.address.port()),
            (None, None) => self.address.fmt(f),
        }
    }
}

/// Content of a resolv.conf.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvConf {
    /// Its name servers, in its order, each once.
    pub servers: Vec<Upstream>,
    /// Words that it has for a name server and that are not an address.
    pub unknown: Vec<String>,
}

/// Reads the name servers of a resolv.conf. What else it says is for those who look up relative names.
pub fn read_resolv_conf(text: &str) -> ResolvConf {
    let mut found = ResolvConf::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some("nameserver"), Some(word)) = (words.next(), words.next()) else { continue };
        // Ports are not the C library's to understand, so an address with one is a mistake.
        let bare = word.split('%').next().unwrap_or_default().parse::<IpAddr>();
        let Some((address, scope)) = bare.ok().and_then(|_| parse_address(word, DNS)) else {
            found.unknown.push(word.to_owned());
            continue;
        };
        let upstream = Upstream { scope, ..Upstream::plain(address) };
        if !found.servers.contains(&upstream) {
            found.servers.push(upstream);
        }
    }
    found
}

/// Returns whether what is sent to `address` comes to us: we listen there, or on all addresses of this host, which has
/// `host`.
pub fn is_ours(address: SocketAddr, listening: &[SocketAddr], host: &[IpAddr]) -> bool {
    let ip = address.ip().to_canonical();
    let is_here = |listen: &SocketAddr| {
        let everywhere =
            listen.ip().is_unspecified() && (ip.is_loopback() || ip.is_unspecified() || host.contains(&ip));
        // Linux takes 0.0.0.0 as a destination for this host.
        listen.ip().to_canonical() == ip || everywhere || (ip.is_unspecified() && listen.ip().is_loopback())
    };
    listening.iter().any(|listen| listen.port() == address.port() && is_here(listen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(address: &str, tls: Option<&str>) -> UpstreamSource {
        UpstreamSource::Server(Upstream { address: address.parse().unwrap(), scope: None, tls: tls.map(str::to_owned) })
    }

    #[test]
    fn an_element_is_an_address_with_or_without_port_or_tls_or_a_file() {
        for (text, expected) in [
            ("192.0.2.1", server("192.0.2.1:53", None)),
            ("192.0.2.1:5353", server("192.0.2.1:5353", None)),
            ("2001:db8::1", server("[2001:db8::1]:53", None)),
            ("[2001:db8::1]", server("[2001:db8::1]:53", None)),
            ("[2001:db8::1]:5353", server("[2001:db8::1]:5353", None)),
            ("tls://192.0.2.1#dns.example", server("192.0.2.1:853", Some("dns.example"))),
            ("tls://[2001:db8::1]:8853#dns.example", server("[2001:db8::1]:8853", Some("dns.example"))),
            ("tls://192.0.2.1", server("192.0.2.1:853", Some("192.0.2.1"))),
            ("/etc/resolv.conf", UpstreamSource::File("/etc/resolv.conf".into())),
            ("./resolv.conf", UpstreamSource::File("./resolv.conf".into())),
            ("resolv.conf", UpstreamSource::File("resolv.conf".into())),
        ] {
            assert_eq!(UpstreamSource::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        for text in [
            "",
            "dns.example",
            "192.0.2.1:0",
            "192.0.2.300",
            "tls://",
            "tls://dns.example",
            "https://192.0.2.1/",
            "192.0.2.1%eth0",
            "2001:db8::1%eth0",
            "fe80::1%",
            "fe80::1%a b",
            "fe80::1%eth0%eth1",
        ] {
            assert!(UpstreamSource::parse(text).unwrap_err().starts_with("must be an address"), "{text}");
        }
        assert!(UpstreamSource::parse("tls://fe80::1%eth0#dns.example").unwrap_err().contains("over TLS"));
        assert!(UpstreamSource::parse("tls://192.0.2.1#").unwrap_err().contains("host name"));
        assert!(UpstreamSource::parse("tls://192.0.2.1#a b").unwrap_err().contains("host name"));
    }

    #[test]
    fn a_resolv_conf_gives_its_name_servers_in_order_and_once() {
        let text = "# a comment\nsearch example.com\nnameserver 192.0.2.1\n ; nameserver 192.0.2.9\nnameserver\t2001:db8::1 \n\
                    nameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver\nnameservers 192.0.2.8\noptions ndots:2\n";
        let ResolvConf { servers, unknown } =
            read_resolv_conf(&format!("{text}nameserver dns.example\nnameserver 192.0.2.1:53\n"));
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%eth0]:53"]);
        assert_eq!(unknown, ["dns.example", "192.0.2.1:53"]);
        assert_eq!(read_resolv_conf(""), ResolvConf::default());
    }

    #[test]
    fn a_link_local_name_server_keeps_its_interface() {
        for (text, expected) in [
            ("fe80::1%eth0", "[fe80::1%eth0]:53"),
            ("[fe80::1%eth0]:5353", "[fe80::1%eth0]:5353"),
            ("[fe80::1%lo]", "[fe80::1%lo]:53"),
        ] {
            let Ok(UpstreamSource::Server(upstream)) = UpstreamSource::parse(text) else { panic!("{text}") };
            assert_eq!(upstream.to_string(), expected);
        }
    }

    #[test]
    fn an_upstream_that_is_this_server_is_known_by_its_address() {
        let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let host: [IpAddr; 1] = ["192.0.2.7".parse().unwrap()];
        let ours = |listen: &str, upstream: &str| is_ours(address(upstream), &[address(listen)], &host);
        assert!(ours("127.0.0.1:5300", "127.0.0.1:5300"));
        assert!(ours("127.0.0.1:5300", "[::ffff:127.0.0.1]:5300"), "the same address");
        assert!(!ours("127.0.0.1:5300", "127.0.0.1:53") && !ours("127.0.0.1:53", "127.0.0.53:53"));
        assert!(ours("0.0.0.0:53", "127.0.0.53:53") && ours("0.0.0.0:53", "192.0.2.7:53"));
        assert!(!ours("0.0.0.0:53", "192.0.2.8:53"));
        assert!(ours("127.0.0.1:53", "0.0.0.0:53"));
    }
}
