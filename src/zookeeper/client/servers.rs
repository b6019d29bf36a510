//! The servers of a connect string, and their addresses in the order of attempts. Pure.

use std::net::{IpAddr, SocketAddr};

use crate::registry::Error;

/// A parsed connect string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Servers {
    pub(super) list: Vec<ServerAddress>,
    /// Empty, or an absolute path.
    pub(super) chroot: String,
}

/// A server as the connect string names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ServerAddress {
    pub(super) host: String,
    pub(super) port: u16,
    /// True if it is spoken to over TLS.
    pub(super) encrypted: bool,
    /// Those of a lesser priority are tried first (RFC 2782).
    pub(super) priority: u16,
    /// Its addresses, where they are known already.
    pub(super) addresses: Vec<IpAddr>,
}

/// An address to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerCandidate {
    /// The server's index in the connect string.
    pub(super) server: usize,
    pub(super) address: SocketAddr,
}

const PORT: u16 = 2181;

impl Servers {
    /// Parses `[tcp://|tcp+tls://]host[:port],…[/chroot]`; `encrypted` holds where no scheme is given.
    ///
    /// # Errors
    /// [`Error::BadPath`] with the whole string: it names no servers.
    pub(super) fn parse(text: &str, encrypted: bool) -> Result<Self, Error> {
        let wrong = |reason| Error::BadPath { path: text.to_owned(), reason };
        let of_scheme = |at: usize| text[..at].ends_with(':') || text[..at].ends_with(":/");
        let chroot = text.match_indices('/').map(|(at, _)| at).find(|at| !of_scheme(*at)).unwrap_or(text.len());
        let (servers, chroot) = text.split_at(chroot);
        let mut list = Vec::new();
        for server in servers.split(',') {
            let (server, encrypted) = match (server.strip_prefix("tcp+tls://"), server.strip_prefix("tcp://")) {
                (Some(server), _) => (server, true),
                (_, Some(server)) => (server, false),
                _ => (server, encrypted),
            };
            let (host, port) = match server.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((host, port)) => (host, port.strip_prefix(':')),
                None => server.rsplit_once(':').map_or((server, None), |(host, port)| (host, Some(port))),
            };
            let port = port.map_or(Ok(PORT), str::parse).map_err(|_| wrong("a port is not a number"))?;
            if host.is_empty() || port == 0 {
                return Err(wrong("a server has no name or no port"));
            }
            list.push(ServerAddress { host: host.to_owned(), port, encrypted, priority: 0, addresses: Vec::new() });
        }
        let chroot = if chroot == "/" { "" } else { chroot };
        Ok(Self { list, chroot: chroot.to_owned() })
    }
}

impl std::fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// The order of attempts: one address of each server in turn, servers and addresses in random order, so that many
/// clients spread over all of them and a server with many addresses does not come before the others; those of a lesser
/// priority before the others.
pub(super) fn spread(
    servers: &[ServerAddress],
    addresses: Vec<Vec<IpAddr>>,
    rng: &mut fastrand::Rng,
) -> Vec<ServerCandidate> {
    let mut order: Vec<usize> = (0..servers.len()).collect();
    rng.shuffle(&mut order);
    let mut addresses = addresses;
    for list in &mut addresses {
        rng.shuffle(list);
    }
    let longest = addresses.iter().map(Vec::len).max().unwrap_or(0);
    let mut candidates: Vec<ServerCandidate> = Vec::new();
    for turn in 0..longest {
        for &server in &order {
            let Some(address) = addresses.get(server).and_then(|list| list.get(turn)) else { continue };
            let address = SocketAddr::new(*address, servers[server].port);
            if candidates.iter().all(|known| known.address != address) {
                candidates.push(ServerCandidate { server, address });
            }
        }
    }
    candidates.sort_by_key(|candidate| servers[candidate.server].priority);
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: u16, encrypted: bool) -> ServerAddress {
        ServerAddress { host: host.to_owned(), port, encrypted, priority: 0, addresses: Vec::new() }
    }

    #[test]
    fn connect_strings_are_read_as_zookeeper_reads_them() {
        let servers = Servers::parse("zk1:1,tcp+tls://zk2,[::1]:3,tcp://[fe80::1]/a/b", false).unwrap();
        let list = [server("zk1", 1, false), server("zk2", 2181, true), server("::1", 3, false)];
        assert_eq!(servers.list[..3], list);
        assert_eq!(servers.list[3], server("fe80::1", 2181, false));
        assert_eq!(servers.chroot, "/a/b");
        assert_eq!(Servers::parse("zk1/", true).unwrap().chroot, "");
        assert!(Servers::parse("zk1", true).unwrap().list[0].encrypted);
        for bad in ["", "zk1,,zk2", "zk1:x", "zk1:0", ":2181"] {
            assert!(Servers::parse(bad, false).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_address_is_tried_once_and_each_server_has_its_turn() {
        let servers = [server("a", 1, false), server("b", 1, false)];
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        let mut first = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let addresses = vec![vec![address(1), address(2), address(3)], vec![address(4), address(3)]];
            let order = spread(&servers, addresses, &mut fastrand::Rng::with_seed(seed));
            assert_eq!(order.len(), 4);
            assert!(
                order[0].server != order[1].server
                    || order[1].address.ip() == address(3)
                    || order[0].address.ip() == address(3)
            );
            first.insert(order[0].address.ip());
        }
        assert_eq!(first.len(), 4, "clients spread over all addresses");
        let servers = [ServerAddress { priority: 9, ..server("a", 1, false) }, server("b", 1, false)];
        let order = spread(&servers, vec![vec![address(1)], vec![address(2), address(3)]], &mut fastrand::Rng::new());
        assert_eq!(order[2].address.ip(), address(1), "{order:?}");
    }
}
