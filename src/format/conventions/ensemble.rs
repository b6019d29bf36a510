//! ZooKeeper's own servers, as the ensemble keeps them in `/zookeeper/config` from 3.5 on: its root is that znode.
//!
//! Source: "Dynamic Reconfiguration" in ZooKeeper's documentation; `QuorumPeer.QuorumServer` of 3.8. A line is
//! `server.N=host:port:port[:role][|host:port:port…];[[address:]port]`. A client address of `0.0.0.0`, or none beside
//! the port, is the server's own host. Servers whose configuration has `clientPort` alone write no client address. A
//! standalone server leaves the znode empty.

use std::sync::Arc;

use super::fields;
use crate::format::convention::{Convention, Row};
use crate::format::error::Error;
use crate::format::name;
use crate::format::placement::{Node, Placement};
use crate::model::{Endpoint, Host, Instance};

/// Its row in the table of conventions.
pub(in crate::format) const ROW: Row = Row {
    name: "ensemble",
    doc: "ZooKeeper's own servers, in /zookeeper/config: the service `zookeeper`",
    root: "/zookeeper/config",
    build: |_| Arc::new(EnsembleServers { roles: [OBSERVER.into()] }),
};

/// Path of the service.
const SERVICE: &str = "zookeeper";

/// Tag of a server that does not vote.
const OBSERVER: &str = "observer";

#[derive(Debug)]
struct EnsembleServers {
    roles: [Box<str>; 1],
}

impl Convention for EnsembleServers {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn is_placed(&self) -> bool {
        true
    }

    fn roles(&self) -> &[Box<str>] {
        &self.roles
    }

    fn placement(&self, below: &str) -> Placement {
        if below.is_empty() { Placement::Instance(SERVICE.to_owned()) } else { Placement::Foreign }
    }

    fn endpoint(&self, _: &str) -> Result<Endpoint, Error> {
        Err(Error::NoEndpoint("they cannot be read".to_owned()))
    }

    fn check(&self, data: &[u8]) -> Result<(), Error> {
        str::from_utf8(data).map(|_| ()).map_err(|_| Error::NotText)
    }

    fn decode(&self, node: &Node<'_>) -> Result<Vec<Instance>, Error> {
        let text = str::from_utf8(node.data).map_err(|_| Error::NotText)?;
        let servers = text.lines().filter_map(|line| line.trim().strip_prefix("server.")?.split_once('='));
        let mut instances = Vec::new();
        let mut remarks = Vec::new();
        for (id, server) in servers {
            match read(id, server) {
                Ok(instance) => instances.push(instance),
                Err(why) => remarks.push(format!("server {id} is left out: {why}")),
            }
        }
        let remarks = fields::few(remarks);
        match (instances.first_mut(), remarks.is_empty()) {
            (Some(first), _) => first.remarks = remarks,
            (None, false) => return Err(Error::NoEndpoint(remarks.join("; "))),
            (None, true) => {}
        }
        Ok(instances)
    }

    only_read!();
}

/// Reads what is behind `server.N=`.
fn read(id: &str, server: &str) -> Result<Instance, String> {
    let (quorum, client) = server.split_once(';').unwrap_or((server, ""));
    // Of several addresses of one server, the first.
    let first = quorum.split('|').next().unwrap_or_default();
    let client = client.split('|').next().unwrap_or_default().trim();
    if client.is_empty() {
        return Err(
            "no address for clients is behind its line in the servers' configuration, such as `;2181`".to_owned()
        );
    }
    let (own, rest) = host_of(first).ok_or_else(|| format!("{first:?} does not begin with host:port:port"))?;
    let (address, port) = match client.rsplit_once(':') {
        Some((address, port)) => (address.trim_start_matches('[').trim_end_matches(']'), port),
        None => ("", client),
    };
    let port = name::port(port).map_err(|_| format!("{port:?} is not a port for clients"))?;
    let is_any = matches!(address, "" | "0.0.0.0" | "::" | "0:0:0:0:0:0:0:0");
    let text = if is_any { own } else { address };
    let host = name::any_host(text).map_err(|_| format!("{text:?} is neither an address nor a host name"))?;
    let endpoint = |port| Endpoint { host: host.clone(), port };
    let mut instance = Instance::new(&endpoint(port).to_string(), endpoint(port));
    let role = quorum.split('|').find_map(|one| one.rsplit(':').next().filter(|word| word.parse::<u16>().is_err()));
    if role.is_some_and(|role| role.trim() == OBSERVER) {
        instance.tags.push(OBSERVER.into());
    }
    let own = name::any_host(own).unwrap_or_else(|_| host.clone());
    let mut quorum = rest.split(':').map_while(|port| name::port(port).ok());
    for name in ["quorum", "election"] {
        let port = quorum.next().map(|port| Endpoint { host: Host::clone(&own), port });
        instance.ports.extend(port.map(|endpoint| (name.into(), endpoint)));
    }
    instance.metadata.push(("id".into(), id.into()));
    Ok(instance)
}

/// Splits `host:port:port` behind the host, which may be an IPv6 address in brackets.
fn host_of(server: &str) -> Option<(&str, &str)> {
    match server.trim().strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => server.trim().split_once(':'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<Vec<Instance>, Error> {
        (ROW.build)("").decode(&Node::alone("", text.as_bytes()))
    }

    #[test]
    fn each_server_is_where_its_clients_find_it() {
        let found = decode(
            "server.1=zk1.example.com:2888:3888:participant;0.0.0.0:2181\n\
             server.2=zk2.example.com:2888:3888:participant;2181\n\
             server.3=192.0.2.133:2888:3888|198.51.100.133:2888:3888:observer;192.0.2.134:2182\n\
             server.4=[2001:db8::4]:2888:3888;[2001:db8::5]:2181\n\
             server.5=zk5:2888:3888\nversion=100000000",
        );
        let found = found.unwrap();
        let names: Vec<&str> = found.iter().map(|one| &*one.name).collect();
        assert_eq!(names, ["zk1.example.com:2181", "zk2.example.com:2181", "192.0.2.134:2182", "[2001:db8::5]:2181"]);
        assert!(found[2].tags == ["observer".into()] && found[0].tags.is_empty());
        let ports = found[2].ports.iter().map(|(name, at)| format!("{name}={at}")).collect::<Vec<_>>();
        assert_eq!(ports, ["quorum=192.0.2.133:2888", "election=192.0.2.133:3888"]);
        let why = "server 5 is left out: no address for clients is behind its line in the servers' configuration";
        assert!(found[0].remarks.len() == 1 && found[0].remarks[0].starts_with(why), "{:?}", found[0].remarks);
    }

    #[test]
    fn a_line_that_cannot_be_read_costs_one_server_and_is_told() {
        let found = decode("server.1=zk1:2888:3888;port\nserver.2=zk2:2888:3888;2181").unwrap();
        assert_eq!((found.len(), &*found[0].name), (1, "zk2:2181"));
        assert_eq!(found[0].remarks, ["server 1 is left out: \"port\" is not a port for clients"]);
        let error = decode("server.1=zk1;2181").unwrap_err().to_string();
        assert!(error.contains("server 1 is left out: \"zk1\" does not begin with host:port:port"), "{error}");
        assert_eq!(decode("").unwrap(), [], "a standalone server");
    }
}
