//! Names that are nobody else's to answer: RFC 6761 §6.3 and §6.4 (`localhost`, `invalid`), RFC 7686 (`onion`), RFC
//! 6303 (reverse names of this host, and of private networks where that is wanted). Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, NS, PTR, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::reply::ReceivedAnswer;

/// Destination of reverse names of private networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrivateReverse {
    /// To the upstreams, which may know the network's names.
    #[default]
    Forward,
    /// Nowhere: they do not exist (RFC 6303 §4).
    Local,
}

/// Time to live of these answers, in seconds.
const TTL: u32 = 10_800;

/// The zones of RFC 6303 §4 and RFC 7793 that are networks of somebody's own.
const PRIVATE: &[&str] = &[
    "10.in-addr.arpa.",
    "168.192.in-addr.arpa.",
    "254.169.in-addr.arpa.",
    "0.in-addr.arpa.",
    "2.0.192.in-addr.arpa.",
    "100.51.198.in-addr.arpa.",
    "113.0.203.in-addr.arpa.",
    "255.255.255.255.in-addr.arpa.",
    "d.f.ip6.arpa.",
    "8.e.f.ip6.arpa.",
    "9.e.f.ip6.arpa.",
    "a.e.f.ip6.arpa.",
    "b.e.f.ip6.arpa.",
    "8.b.d.0.1.0.0.2.ip6.arpa.",
];

/// Returns the answer to a question, `None` where it is for others to answer.
pub(super) fn answer(name: &Name, rtype: RecordType, reverse: PrivateReverse) -> Option<ReceivedAnswer> {
    let below = |zone: &str| Name::from_ascii(zone).ok().filter(|zone| zone.zone_of(name));
    if let Some(zone) = below("localhost.") {
        let data = match rtype {
            RecordType::A => Some(RData::A(A(Ipv4Addr::LOCALHOST))),
            RecordType::AAAA => Some(RData::AAAA(AAAA(Ipv6Addr::LOCALHOST))),
            _ => own_data(&zone, name, rtype),
        };
        return Some(found(&zone, name, data, true));
    }
    if let Some(zone) = below("invalid.").or_else(|| below("onion.")) {
        return Some(found(&zone, name, own_data(&zone, name, rtype), *name == zone));
    }
    let loopback = [Name::from(Ipv4Addr::LOCALHOST), Name::from(Ipv6Addr::LOCALHOST)];
    let v6 = loopback[1].clone();
    if let Some(zone) = below("127.in-addr.arpa.").or_else(|| v6.zone_of(name).then_some(v6)) {
        let is_loopback = loopback.contains(name);
        let localhost = || Name::from_ascii("localhost.").ok().map(|name| RData::PTR(PTR(name)));
        let data = match rtype {
            RecordType::PTR if is_loopback => localhost(),
            _ => own_data(&zone, name, rtype),
        };
        // 0.0.127 and 0.127 exist, as they are above a name.
        let exists = is_loopback || zone == *name || loopback.iter().any(|owner| name.zone_of(owner));
        return Some(found(&zone, name, data, exists));
    }
    let zone = (reverse == PrivateReverse::Local).then(|| private_zone(name)).flatten()?;
    Some(found(&zone, name, own_data(&zone, name, rtype), *name == zone))
}

/// The private reverse zone that `name` is in.
fn private_zone(name: &Name) -> Option<Name> {
    let shared =
        (16..32).map(|i| format!("{i}.172.in-addr.arpa.")).chain((64..128).map(|i| format!("{i}.100.in-addr.arpa.")));
    let zones = PRIVATE.iter().map(|zone| (*zone).to_owned()).chain(shared);
    zones.filter_map(|zone| Name::from_ascii(zone).ok()).find(|zone| zone.zone_of(name))
}

/// SOA and NS of the zone's apex (RFC 6303 §3).
fn own_data(zone: &Name, name: &Name, rtype: RecordType) -> Option<RData> {
    match rtype {
        _ if zone != name => None,
        RecordType::SOA => Some(RData::SOA(soa(zone))),
        RecordType::NS => Some(RData::NS(NS(zone.clone()))),
        _ => None,
    }
}

fn soa(zone: &Name) -> SOA {
    let mailbox = Name::from_ascii("nobody.invalid.").unwrap_or_default();
    SOA::new(zone.clone(), mailbox, 1, 3600, 1200, 604_800, TTL)
}

fn found(zone: &Name, name: &Name, data: Option<RData>, exists: bool) -> ReceivedAnswer {
    let rcode = if exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
    let record = |owner: &Name, data| Record::from_rdata(owner.clone(), TTL, data);
    let authorities = if data.is_some() { Vec::new() } else { vec![record(zone, RData::SOA(soa(zone)))] };
    ReceivedAnswer {
        rcode,
        answers: data.into_iter().map(|data| record(name, data)).collect(),
        authorities,
        additionals: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(name: &str, rtype: RecordType, reverse: PrivateReverse) -> Option<String> {
        let found = answer(&Name::from_ascii(name).unwrap(), rtype, reverse)?;
        let data: Vec<String> = found.answers.iter().map(|record| record.data.to_string()).collect();
        assert_eq!(found.authorities.len(), usize::from(data.is_empty()), "{name}");
        Some(format!("{} {}", found.rcode, data.join(" ")).trim_end().to_owned())
    }

    #[test]
    fn what_belongs_to_this_host_or_to_nobody_is_answered_here() {
        let nx = ResponseCode::NXDomain.to_string();
        let ok = ResponseCode::NoError.to_string();
        for (name, rtype, expected) in [
            ("localhost.", RecordType::A, format!("{ok} 127.0.0.1")),
            ("LocalHost.", RecordType::AAAA, format!("{ok} ::1")),
            ("x.y.localhost.", RecordType::A, format!("{ok} 127.0.0.1")),
            ("localhost.", RecordType::MX, ok.clone()),
            ("1.0.0.127.in-addr.arpa.", RecordType::PTR, format!("{ok} localhost.")),
            ("1.0.0.127.in-addr.arpa.", RecordType::A, ok.clone()),
            ("0.0.127.in-addr.arpa.", RecordType::PTR, ok.clone()),
            ("9.0.0.127.in-addr.arpa.", RecordType::PTR, nx.clone()),
            ("x.invalid.", RecordType::A, nx.clone()),
            ("x.onion.", RecordType::AAAA, nx.clone()),
            ("onion.", RecordType::A, ok.clone()),
        ] {
            assert_eq!(ask(name, rtype, PrivateReverse::Forward), Some(expected), "{name} {rtype}");
        }
        let v6 = Name::from(Ipv6Addr::LOCALHOST).to_ascii();
        assert_eq!(ask(&v6, RecordType::PTR, PrivateReverse::Forward), Some(format!("{ok} localhost.")));
    }

    #[test]
    fn private_reverse_names_stay_here_only_where_that_is_wanted() {
        let nx = Some(ResponseCode::NXDomain.to_string());
        for name in [
            "1.2.3.10.in-addr.arpa.",
            "1.0.16.172.in-addr.arpa.",
            "1.0.31.172.in-addr.arpa.",
            "1.0.168.192.in-addr.arpa.",
            "1.0.64.100.in-addr.arpa.",
            "1.0.0.0.d.f.ip6.arpa.",
        ] {
            assert_eq!(ask(name, RecordType::PTR, PrivateReverse::Forward), None, "{name}");
            assert_eq!(ask(name, RecordType::PTR, PrivateReverse::Local), nx, "{name}");
        }
        for name in [
            "1.0.32.172.in-addr.arpa.",
            "1.0.128.100.in-addr.arpa.",
            "1.2.3.8.in-addr.arpa.",
            "example.",
            "in-addr.arpa.",
        ] {
            assert_eq!(ask(name, RecordType::PTR, PrivateReverse::Local), None, "{name}");
        }
    }
}
