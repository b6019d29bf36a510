//! zc.zk's and `nd_service_registry`'s znodes beside each other: an instance is told by its path, and ours are written
//! as zc.zk's. Where a path tells nothing, the data may tell an instance of another writer ([`Signature`]).

use std::sync::Arc;

use super::signature::Signature;
use super::zc::Zc;
use super::{curator, dubbo, nerve, registrar, serverset};
use crate::format::convention::{Convention, Registration, Row};
use crate::format::error::Error;
use crate::format::kind::NodeKind;
use crate::format::placement::{Beside, Decoded, Node};
use crate::format::shape::InstanceShape;
use crate::format::{json, name};
use crate::model::{Endpoint, Instance};

/// Its row in the table of conventions.
pub(in crate::format) const ROW: Row = Row {
    name: "auto",
    doc: "in a providers directory, or directly below a service under a name like host:port, or as their data tell",
    root: "/services",
    build: |providers| {
        let shape = InstanceShape::in_directory(providers).or_direct();
        Arc::new(Auto { zc: Zc { name: ROW.name, shape } })
    },
};

#[derive(Debug)]
struct Auto {
    zc: Zc,
}

impl Convention for Auto {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn place<'p>(&self, below: &'p str) -> NodeKind<'p> {
        self.zc.place(below)
    }

    fn is_told_by_data_as_well(&self) -> bool {
        true
    }

    fn is_instance(&self, name: &str, data: &[u8]) -> bool {
        Signature::of_data(name, data).is_some()
    }

    fn directory(&self) -> Option<&str> {
        self.zc.directory()
    }

    fn reserved(&self) -> String {
        self.zc.reserved()
    }

    fn endpoint(&self, name: &str) -> Result<Endpoint, Error> {
        if dubbo::is_url(name) { dubbo::endpoint(name) } else { name::endpoint(name) }
    }

    fn decode(&self, node: &Node<'_>) -> Result<Vec<Instance>, Error> {
        let instance = if name::has_shape(node.name) {
            json::decode(node.name, node.data)
        } else if dubbo::is_url(node.name) {
            dubbo::decode(node.name)
        } else {
            match Signature::of_data(node.name, node.data) {
                Some(Signature::Curator | Signature::Spring) => curator::decode(node.data),
                Some(Signature::ServerSet) => serverset::decode(node.data),
                Some(Signature::Nerve) => nerve::decode(node.name, node.data),
                Some(Signature::Registrar) => registrar::decode(node),
                Some(Signature::Dubbo | Signature::HostPort) | None => json::decode(node.name, node.data),
            }
        };
        instance.map(|instance| vec![instance])
    }

    fn finish(&self, _: &str, instances: &mut Vec<Decoded<'_>>, _: &dyn Beside) {
        let is_url = |one: &Decoded<'_>| one.below.rsplit('/').next().is_some_and(dubbo::is_url);
        if instances.iter().any(is_url) {
            dubbo::merge(instances);
        }
    }

    fn encode(&self, registration: &Registration<'_>) -> Option<Vec<u8>> {
        self.zc.encode(registration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::conventions::samples;
    use serde_json::Value;

    fn auto() -> Arc<dyn Convention> {
        (ROW.build)("providers")
    }

    #[test]
    fn what_others_write_is_read_by_its_data_where_no_path_tells() {
        for (root, sample) in [
            ("/services", include_str!("../../../tests/fixtures/conventions/spring.json")),
            ("/", include_str!("../../../tests/fixtures/conventions/serverset.json")),
            ("/", include_str!("../../../tests/fixtures/conventions/triton-registrar.json")),
            ("/dubbo", include_str!("../../../tests/fixtures/conventions/dubbo-python.json")),
            ("/sofa-rpc", include_str!("../../../tests/fixtures/conventions/sofa-rpc.json")),
        ] {
            samples::check(&*auto(), root, sample);
        }
        let nerve: Value =
            serde_json::from_str(include_str!("../../../tests/fixtures/conventions/nerve.json")).unwrap();
        assert_eq!(samples::read(&*auto(), "/nerve/services", &nerve)["search/services"].len(), 2);
    }

    #[test]
    fn what_zc_and_nd_take_by_name_stays_theirs() {
        let curators = br#"{"name":"a","id":"10.0.0.1:80","address":"10.0.0.2","port":81,"sslPort":null}"#;
        let auto = auto();
        assert_eq!(auto.place("a/10.0.0.1:80"), NodeKind::Instance { service: "a", name: "10.0.0.1:80" });
        let one = auto.decode(&Node::alone("10.0.0.1:80", curators)).unwrap().remove(0);
        assert_eq!(one.endpoint.to_string(), "10.0.0.1:80");
        assert_eq!(auto.place("a"), NodeKind::Service { path: "a" });
        assert_eq!(auto.place("a/b"), NodeKind::Service { path: "a/b" });
        assert!(auto.is_instance("b", curators) && !auto.is_instance("b", b"") && !auto.is_instance("b", b"{\"a\":1}"));
    }
}
