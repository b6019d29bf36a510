//! Targets of checks: a host and a port, or a Unix socket; and connections to them.

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_util::either::Either;

use super::lookup::Lookups;
use super::outcome::{ProbeFailure, Shortage};

const FOREVER: Duration = Duration::from_secs(86_400);

/// A connection to a target.
pub(super) type Stream = Either<TcpStream, UnixStream>;

/// Target that a check connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CheckTarget<'t> {
    /// A name or an address without brackets, and a port.
    Host(Cow<'t, str>, u16),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// A target whose addresses are known.
#[derive(Debug)]
pub(super) enum Resolved {
    /// One after the other is tried.
    Addresses(Arc<[IpAddr]>, u16),
    Unix(PathBuf),
}

impl<'t> CheckTarget<'t> {
    /// Reads `HOST:PORT`, an IPv6 address in brackets, or `unix:/path`.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return path.starts_with('/').then(|| Self::Unix(path.into()));
        }
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_good = bare.map_or(!host.contains(':'), |host| host.parse::<std::net::Ipv6Addr>().is_ok());
        (is_good && !host.is_empty()).then(|| Self::Host(bare.unwrap_or(host).into(), port))
    }

    /// Looks its name up.
    pub(super) async fn resolve(&self, lookups: &Lookups, limit: Duration) -> Result<Resolved, ProbeFailure> {
        match self {
            Self::Host(host, port) => Ok(Resolved::Addresses(lookups.resolve(host, limit).await?, *port)),
            Self::Unix(path) => Ok(Resolved::Unix(path.clone())),
        }
    }
}

impl Resolved {
    /// Connects. Each address has its share of what is left of `limit`, which the caller sees to.
    pub(super) async fn connect(&self, limit: Duration) -> Result<Stream, ProbeFailure> {
        match self {
            Self::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Either::Right(stream)),
                Err(error) => Err(ProbeFailure::of("no connection", &error)),
            },
            Self::Addresses(addresses, port) => connect_any(addresses, *port, limit).await.map(Either::Left),
        }
    }
}

async fn connect_any(addresses: &[IpAddr], port: u16, limit: Duration) -> Result<TcpStream, ProbeFailure> {
    let end = Instant::now() + limit;
    let (mut bad, mut shortage) = (None, None);
    for (tried, address) in addresses.iter().enumerate() {
        let address = SocketAddr::new(*address, port);
        let now = Instant::now();
        let share = end.saturating_duration_since(now) / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let attempt =
            || if addresses.len() == 1 { "no connection".to_owned() } else { format!("no connection to {address}") };
        // The last one has all the time there is, which the probe's own limit bounds.
        let until = if tried + 1 == addresses.len() { now + FOREVER } else { now + share };
        let failure = match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed(&attempt(), address, &error),
            Err(_) => ProbeFailure::Bad(format!("{} within {:?}", attempt(), share)),
        };
        let kept = if matches!(failure, ProbeFailure::Bad(_)) { &mut bad } else { &mut shortage };
        kept.get_or_insert(failure);
    }
    Err(shortage.or(bad).unwrap_or_else(|| "no connection: it has no address".into()))
}

fn failed(attempt: &str, address: SocketAddr, error: &io::Error) -> ProbeFailure {
    let are_ports_used_up = match Errno::from_io_error(error) {
        Some(Errno::AGAIN) => true,
        // There is no such address here, or no port to come from: only then does a socket without one find its way.
        Some(Errno::ADDRNOTAVAIL) => {
            let any = if address.is_ipv4() { SocketAddr::from(([0; 4], 0)) } else { SocketAddr::from(([0u16; 8], 0)) };
            UdpSocket::bind(any).and_then(|socket| socket.connect(address)).is_ok()
        }
        _ => false,
    };
    if are_ports_used_up {
        return ProbeFailure::NoResult(Shortage::Ports, format!("{attempt}: {error}"));
    }
    ProbeFailure::of(attempt, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_hosts_with_ports_and_unix_sockets() {
        let host = |host: &'static str, port| Some(CheckTarget::Host(host.into(), port));
        assert_eq!(CheckTarget::parse("db.example.com:5432"), host("db.example.com", 5432));
        assert_eq!(CheckTarget::parse("[::1]:80"), host("::1", 80));
        assert_eq!(CheckTarget::parse("unix:/run/app.sock"), Some(CheckTarget::Unix("/run/app.sock".into())));
        for bad in ["", "::1:80", "host", "host:0", ":80", "host:65536", "unix:app.sock", "[x]:1", "unix:"] {
            assert_eq!(CheckTarget::parse(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn without_local_ports_left_there_is_no_result() {
        // The address of nobody: a bad result.
        let error: io::Error = Errno::ADDRNOTAVAIL.into();
        let missing = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 80));
        if UdpSocket::bind("[::]:0").and_then(|socket| socket.connect(missing)).is_err() {
            assert!(matches!(failed("x", missing, &error), ProbeFailure::Bad(_)));
        }
        let here = SocketAddr::from(([127, 0, 0, 1], 80));
        assert!(matches!(failed("x", here, &error), ProbeFailure::NoResult(Shortage::Ports, _)));
    }

    #[tokio::test]
    async fn a_silent_address_leaves_time_for_the_next_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Nobody listens at the first one.
        let addresses: Arc<[IpAddr]> = Arc::new([[127, 0, 0, 9].into(), [127, 0, 0, 1].into()]);
        assert!(Resolved::Addresses(addresses, port).connect(Duration::from_secs(2)).await.is_ok());
        let none: Arc<[IpAddr]> = Arc::new([[127, 0, 0, 9].into(), [127, 0, 0, 8].into()]);
        let error = Resolved::Addresses(none, port).connect(Duration::from_secs(2)).await.unwrap_err();
        assert!(error.to_string().starts_with("no connection to 127.0.0.9"), "{error}");
    }
}
