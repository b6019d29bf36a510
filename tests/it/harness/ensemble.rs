//! A ZooKeeper ensemble of three, with a proxy before each member and on the links by which its last member follows.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use super::proxy::Proxy;
use super::zk::{Server, Setup, free_port};

/// Three servers.
#[derive(Debug)]
pub(crate) struct Ensemble {
    pub(crate) members: Vec<Server>,
    /// Before each member.
    pub(crate) proxies: Vec<Proxy>,
    /// Between the last member and the leader, whoever that is.
    pub(crate) links: Vec<Proxy>,
}

impl Ensemble {
    /// Starts an ensemble with no data. Returns when every member serves.
    pub(crate) fn start() -> Self {
        Self::start_with("", &[])
    }

    /// Likewise, with these lines in each configuration and these options of Java.
    pub(crate) fn start_with(more: &str, java: &[&str]) -> Self {
        // Other processes may take a port meanwhile: then all anew.
        for _ in 0..5 {
            if let Some(ensemble) = Self::attempt(more, java) {
                return ensemble;
            }
        }
        panic!("the ensemble did not come up in 5 attempts");
    }

    fn attempt(more: &str, java: &[&str]) -> Option<Self> {
        let ports: Vec<[u16; 2]> = (0..3).map(|_| [free_port(), free_port()]).collect();
        let links: Vec<Proxy> =
            ports.iter().map(|[quorum, _]| Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, *quorum)))).collect();
        let mut members: Vec<Server> = (0..3)
            .map(|own| {
                let mut config = format!("initLimit=20\nsyncLimit=6\n{more}");
                for (id, [quorum, election]) in ports.iter().enumerate() {
                    // The last member thinks that the others are where the proxies are.
                    let quorum = if own == 2 && id != own { links[id].address().port() } else { *quorum };
                    writeln!(config, "server.{}={}:{quorum}:{election}", id + 1, Ipv4Addr::LOCALHOST).expect("a line");
                }
                let java = java.iter().map(|option| (*option).to_owned()).collect();
                Server::prepare(Setup { config, java, id: Some(own + 1), ..Setup::default() })
            })
            .collect();
        members.iter_mut().for_each(Server::launch);
        if !members.iter_mut().all(Server::comes_up) {
            return None;
        }
        let proxies = members.iter().map(|member| Proxy::start(member.socket())).collect();
        Some(Self { members, proxies, links })
    }

    /// The members themselves, as a connect string.
    pub(crate) fn direct(&self) -> String {
        self.members.iter().map(Server::address).collect::<Vec<_>>().join(",")
    }

    /// The members behind their proxies, as a connect string.
    pub(crate) fn proxied(&self) -> String {
        self.proxies.iter().map(|proxy| proxy.address().to_string()).collect::<Vec<_>>().join(",")
    }

    /// The index of the member that leads.
    pub(crate) fn leader(&self) -> Option<usize> {
        self.members.iter().position(Server::leads)
    }
}
