//! HTTPS records (RFC 9460): `api.service.` says at which hosts and ports its instances speak HTTPS, so that browsers
//! and curl find them. A service has them at its own name, and only where the zone wants them.

use super::srv::SrvTarget;
use crate::model::Protocol;
use crate::zone::members::{Member, Members};
use crate::zone::names::Names;
use crate::zone::record::rtype;

/// The name of the port at which an instance speaks HTTPS; without one, its own port does where that is HTTPS's.
const NAME: &str = "https";
const PORT: u16 = 443;

/// The record's priority: that of a service itself (an alias has 0), the same for all.
const PRIORITY: [u8; 2] = [0, 1];
/// The parameter `port`, and the length of its value (RFC 9460 §7.2).
const PORT_PARAMETER: [u8; 4] = [0, 3, 0, 2];

/// Adds a record for each instance that speaks HTTPS.
pub(in crate::zone) fn add(names: &mut Names, of: &Members<'_>) {
    if !of.context.names.https {
        return;
    }
    for Member { instance, reach } in of.all.iter().filter(|one| one.instance.protocol == Protocol::Tcp) {
        if let Some((_, endpoint)) = instance.ports.iter().find(|(name, _)| name.eq_ignore_ascii_case(NAME)) {
            // One of which no name can be made is told with the port's own name.
            if let Ok(other) = SrvTarget::new(of.context, of.service, instance, endpoint)
                && other.has_port
            {
                add_one(names, of, &other);
            }
        } else if instance.endpoint.port == PORT {
            add_one(names, of, reach);
        }
    }
}

fn add_one(names: &mut Names, of: &Members<'_>, reach: &SrvTarget) {
    // SRV data: priority, weight, port, target.
    let Some((port, target)) = reach.srv.get(4..).and_then(|rest| rest.split_at_checked(2)) else { return };
    let rdata = [&PRIORITY, target, &PORT_PARAMETER, port].concat();
    names.at(of.owner, of.rank).add(rtype::HTTPS, reach.ttl, &rdata);
}

#[cfg(test)]
mod tests {
    use crate::model::{Endpoint, Host, Instance, Protocol, Service, State};
    use crate::zone::build::build;
    use crate::zone::context::Context;
    use crate::zone::name::Name;
    use crate::zone::record::rtype;
    use crate::zone::records::config::Config;

    /// The HTTPS records of a service of these instances, by owner.
    fn https(config: &Config, instances: Vec<Instance>) -> Vec<(String, Vec<String>)> {
        let origin = Name::parse("service").unwrap();
        let service = Service { path: "api_x".into(), instances, ..Service::default() };
        let context = Context { names: config, ..Context::new(&origin, 5) };
        let built = build(&context, "api_x", &service).unwrap();
        let sets = built.offers.names.iter().flat_map(|offer| offer.sets.iter().map(move |set| (&offer.owner, set)));
        let text = |rdata: &[u8]| {
            let (target, port) = rdata[2..].split_at(rdata.len() - 8);
            assert_eq!((&rdata[..2], &port[..4]), (&[0, 1][..], &[0, 3, 0, 2][..]));
            format!("{} {}", Name::from_wire(target).unwrap().0, u16::from_be_bytes([port[4], port[5]]))
        };
        sets.filter(|(_, set)| set.rtype == rtype::HTTPS)
            .map(|(owner, set)| (owner.to_string(), set.iter().map(text).collect()))
            .collect()
    }

    fn instance(host: &str, port: u16) -> Instance {
        let host = host.parse().map_or_else(|_| Host::Name(host.into()), Host::V4);
        let endpoint = Endpoint { host, port };
        Instance::new(&endpoint.to_string(), endpoint)
    }

    #[test]
    fn instances_with_a_port_for_https_have_a_record_each_at_the_services_own_name_alone() {
        let wanted = Config { https: true, ..Config::default() };
        let with_port = |one: Instance, port| Instance {
            ports: vec![("HTTPS".into(), Endpoint { host: one.endpoint.host.clone(), port })],
            tags: vec!["blue".into()],
            ..one
        };
        let all = || {
            vec![
                instance("10.0.0.1", 443),
                instance("10.0.0.2", 80),
                with_port(instance("10.0.0.3", 443), 8443),
                with_port(instance("web.example", 80), 9443),
                Instance { state: State::Drain, ..instance("10.0.0.5", 443) },
                Instance { protocol: Protocol::Udp, ..instance("10.0.0.6", 443) },
            ]
        };
        let shown = ["web.example. 9443", "10-0-0-1.addr.service. 443", "10-0-0-3.addr.service. 8443"];
        let mut found = https(&wanted, all());
        let mut expected = shown.map(str::to_owned).to_vec();
        expected.sort();
        for (_, records) in &mut found {
            records.sort();
        }
        assert_eq!(found, [("api_x.service.".to_owned(), expected)]);
        assert_eq!(https(&Config::default(), all()), []);
        assert_eq!(https(&wanted, vec![instance("10.0.0.2", 80)]), []);
    }
}
