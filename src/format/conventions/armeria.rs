//! Armeria's own old form: `<service>/<host>_<port>`, with `host:port[:weight]` as text, which its servers write with
//! `ZooKeeperRegistrationSpec.legacy`.
//!
//! Source: `LegacyNodeValueCodec` and `LegacyZooKeeperRegistrationSpec` of Armeria 1.41. Its readers take several
//! endpoints in one znode, separated by commas; an endpoint without a port has a port of its reader's, so it is left
//! out here.

use std::sync::Arc;

use crate::format::convention::{Convention, Row};
use crate::format::error::Error;
use crate::format::kind::NodeKind;
use crate::format::name;
use crate::format::placement::Node;
use crate::model::{Endpoint, Instance};

/// Its row in the table of conventions.
pub(in crate::format) const ROW: Row = Row {
    name: "armeria",
    doc: "Armeria's own old form (LegacyZooKeeperRegistrationSpec): host_port below a service, with text",
    root: "/endpoints",
    build: |_| Arc::new(Armeria),
};

/// Endpoints in one znode, at most.
const MOST: usize = 100;

#[derive(Debug)]
struct Armeria;

impl Convention for Armeria {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn place<'p>(&self, below: &'p str) -> NodeKind<'p> {
        match below.rsplit_once('/') {
            Some((service, name)) if of_name(name).is_ok() => NodeKind::Instance { service, name },
            _ => NodeKind::Service { path: below },
        }
    }

    fn reserved(&self) -> String {
        "host_port".to_owned()
    }

    fn endpoint(&self, name: &str) -> Result<Endpoint, Error> {
        of_name(name)
    }

    fn check(&self, data: &[u8]) -> Result<(), Error> {
        str::from_utf8(data).map(|_| ()).map_err(|_| Error::NotText)
    }

    fn decode(&self, node: &Node<'_>) -> Result<Vec<Instance>, Error> {
        let text = str::from_utf8(node.data).map_err(|_| Error::NotText)?.trim();
        if text.is_empty() {
            let endpoint = of_name(node.name)?;
            return Ok(vec![Instance::new(&endpoint.to_string(), endpoint)]);
        }
        let all = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        let (mut instances, mut wrong) = (Vec::new(), Vec::new());
        for one in all.take(MOST) {
            match read(one) {
                Ok(instance) => instances.push(instance),
                Err(why) => wrong.push(format!("`{one}` is left out: {why}")),
            }
        }
        match instances.first_mut() {
            Some(first) => first.remarks.extend(wrong),
            None => return Err(Error::NoEndpoint(wrong.join("; "))),
        }
        Ok(instances)
    }

    only_read!();
}

/// Reads `web1.example.com_8080`.
fn of_name(name: &str) -> Result<Endpoint, Error> {
    let (host, port) = name.rsplit_once('_').ok_or(Error::NoPort)?;
    Ok(Endpoint { host: name::any_host(host)?, port: name::port(port).map_err(|_| Error::BadPort)? })
}

/// Reads `host:port[:weight]`, where the host may be an IPv6 address in brackets.
fn read(text: &str) -> Result<Instance, String> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => text.split_once(':'),
    }
    .ok_or("it has no port")?;
    let (port, weight) = rest.split_once(':').map_or((rest, None), |(port, weight)| (port, Some(weight)));
    let host = name::any_host(host).map_err(|error| error.to_string())?;
    let port = name::port(port).map_err(|_| format!("`{port}` is not a port"))?;
    let endpoint = Endpoint { host, port };
    let mut instance = Instance::new(&endpoint.to_string(), endpoint);
    if let Some(weight) = weight {
        instance.weight = weight.parse().ok();
        if instance.weight.is_none() {
            let why = "not a whole number from 0 to 65535; the default is used";
            instance.remarks.push(format!("the weight `{weight}` is {why}"));
        }
    }
    Ok(instance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::conventions::samples;

    fn decode(name: &str, text: &str) -> Result<Vec<Instance>, String> {
        Armeria.decode(&Node::alone(name, text.as_bytes())).map_err(|error| error.to_string())
    }

    #[test]
    fn what_armeria_wrote_is_read() {
        let sample = include_str!("../../../tests/fixtures/conventions/armeria-legacy.json");
        samples::check(&Armeria, "/endpoints", sample);
    }

    #[test]
    fn each_endpoint_of_a_znode_is_an_instance_and_a_bad_one_costs_itself_alone() {
        let found = decode("a_1", "10.0.0.1:80:5, [2001:db8::1]:81,,b.example:82:x,c.example,10.0.0.300:1").unwrap();
        let names: Vec<_> = found.iter().map(|one| (&*one.name, one.weight)).collect();
        assert_eq!(names, [("10.0.0.1:80", Some(5)), ("[2001:db8::1]:81", None), ("b.example:82", None)]);
        assert_eq!(found[0].remarks[0], "`c.example` is left out: it has no port");
        assert!(found[0].remarks[1].starts_with("`10.0.0.300:1` is left out: "), "{:?}", found[0].remarks);
        assert_eq!(found[2].remarks, ["the weight `x` is not a whole number from 0 to 65535; the default is used"]);
        assert_eq!(decode("web.example_80", "").unwrap()[0].endpoint.to_string(), "web.example:80");
        assert_eq!(decode("a_1", "c").unwrap_err(), "its data give no endpoint: `c` is left out: it has no port");
        samples::throw_garbage(&Armeria, &["web/a.example_80", "a_1", "x/[::1]_1"], &["a:1:2,b:2", "[::1]:1", ":"]);
    }

    #[test]
    fn only_names_that_end_in_a_port_are_instances() {
        for path in ["web", "web/a_b", "web/80", "web/a_0", "web/a_65536", "web/_80"] {
            assert_eq!(Armeria.place(path), NodeKind::Service { path });
        }
        assert_eq!(Armeria.place("eu/web/a_80"), NodeKind::Instance { service: "eu/web", name: "a_80" });
    }
}
