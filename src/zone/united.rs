//! Unites what several offer at one name. An instance that several sources of the zone have in one service is one: of
//! its SRV records, one for each source, that of the source that goes first is left, and its address weighs as much.

use std::collections::HashMap;

use super::entry::RrSet;
use super::instances::{self, Instance};
use super::order::Preference;
use super::record::rtype;
use super::records::address::of_label;
use super::rrset_builder::RrSetBuilder;
use super::source::SourceId;
use super::unknown;

/// Sources that are united at one name. Twice as many records as a message over TCP holds.
pub(super) const MAX_UNITED: usize = 4096;

/// RRsets that a source offers at a name; those that are made for the name are [`SourceId::OWN`]'s.
pub(super) type SourceSets<'s> = (SourceId, &'s [RrSet]);

/// The union of several offers' RRsets. `preference` is that of addresses of which an offer says nothing.
pub(super) fn united<'s>(offers: impl Iterator<Item = SourceSets<'s>>, preference: Option<Preference>) -> Vec<RrSet> {
    let offers: Vec<SourceSets<'_>> = offers.take(MAX_UNITED).collect();
    // Whoever knows something of the name goes before those who do not.
    let is_known = offers.iter().any(|(_, sets)| !unknown::is_all(sets));
    let mut offers = offers.into_iter().filter(|(_, sets)| !is_known || !unknown::is_all(sets));
    let Some(first) = offers.next() else { return Vec::new() };
    let rest: Vec<_> = offers.filter(|other| other.1 != first.1).collect();
    if rest.is_empty() {
        return first.1.to_vec();
    }
    let mut offers = vec![first];
    offers.extend(rest);
    offers.sort_by_key(|(source, _)| *source);
    let twice = Twice::find(&offers);
    let mut sets = RrSetBuilder::default();
    for (source, set) in offers.iter().flat_map(|(source, sets)| sets.iter().map(move |set| (*source, set))) {
        match &twice {
            Some(twice) => twice.add(&mut sets, source, set, preference),
            None => sets.add_all(set, preference),
        }
    }
    sets.into_sets().into_vec()
}

/// The union of sets of instances ([`instances`]).
pub(super) fn united_instances<'s>(sets: impl Iterator<Item = (SourceId, &'s RrSet)>) -> Option<RrSet> {
    let mut sets: Vec<(SourceId, &RrSet)> = sets.take(MAX_UNITED).collect();
    if let [(_, only)] = &sets[..] {
        return Some((*only).clone());
    }
    sets.first()?;
    sets.sort_by_key(|(source, _)| *source);
    let mut first: HashMap<(&[u8], Vec<u8>), SourceId> = HashMap::new();
    let mut rdatas = Vec::new();
    let is_of_several = sources_of(sets.iter().map(|(source, _)| *source)) > 1;
    for (source, rdata) in sets.iter().flat_map(|(source, set)| set.iter().map(move |rdata| (*source, rdata))) {
        if let Some(Instance { label, srv, .. }) = Instance::read(rdata).filter(|_| is_of_several) {
            let place = (label, srv.get(4..).unwrap_or_default().to_ascii_lowercase());
            if *first.entry(place).or_insert(source) != source {
                continue;
            }
        }
        rdatas.push(rdata.to_vec());
    }
    Some(RrSet::new(instances::TYPE, 0, rdatas))
}

/// Number of different sources, but for the zone itself; 2 for any more.
fn sources_of(sources: impl Iterator<Item = SourceId>) -> usize {
    let mut sources = sources.filter(|source| *source != SourceId::OWN);
    let first = sources.next();
    usize::from(first.is_some()) + usize::from(sources.any(|source| Some(source) != first))
}

/// Records of instances that several sources have.
struct Twice {
    /// For each port and target: the source whose record is left.
    first: HashMap<Vec<u8>, SourceId>,
    /// Preferences of the addresses of records that are left out, by the source and the label of the target: that of
    /// the source's other records; none where there are none.
    addresses: HashMap<(SourceId, Vec<u8>), Option<Preference>>,
}

impl Twice {
    /// Finds them; none where no two sources have one.
    fn find(offers: &[SourceSets<'_>]) -> Option<Self> {
        if sources_of(offers.iter().map(|(source, _)| *source)) < 2 {
            return None;
        }
        let mut first: HashMap<Vec<u8>, SourceId> = HashMap::new();
        let mut left: HashMap<(SourceId, Vec<u8>), Preference> = HashMap::new();
        let mut left_out = Vec::new();
        let services = offers.iter().flat_map(|(source, sets)| sets.iter().map(move |set| (*source, set)));
        for (source, set) in services.filter(|(_, set)| set.rtype == rtype::SRV) {
            for (preference, place, label) in set.iter().filter_map(read) {
                if *first.entry(place).or_insert(source) == source {
                    let sum = left.entry((source, label));
                    sum.and_modify(|sum| *sum = sum.plus(preference)).or_insert(preference);
                } else {
                    left_out.push((source, label));
                }
            }
        }
        let addresses = left_out.into_iter().map(|key| {
            let preference = left.get(&key).copied();
            (key, preference)
        });
        let addresses: HashMap<_, _> = addresses.collect();
        (!addresses.is_empty()).then_some(Self { first, addresses })
    }

    /// Adds what is left of a set.
    fn add(&self, sets: &mut RrSetBuilder, source: SourceId, set: &RrSet, preference: Option<Preference>) {
        if !matches!(set.rtype, rtype::SRV | rtype::A | rtype::AAAA) {
            return sets.add_all(set, preference);
        }
        for (place, rdata) in set.iter().enumerate() {
            let own = set.preferences().and_then(|all| all.get(place)).copied().or(preference);
            match set.rtype {
                rtype::SRV => {
                    let is_left = read(rdata).is_none_or(|(_, place, _)| self.first.get(&place) == Some(&source));
                    if is_left {
                        sets.add(set.rtype, set.ttl, rdata);
                    }
                }
                _ => match self.addresses.get(&(source, address_label(rdata))) {
                    None => sets.add_one(set, rdata, own),
                    Some(Some(left)) => sets.add_one(set, rdata, Some(*left)),
                    Some(None) => {}
                },
            }
        }
    }
}

/// Reads the data of an SRV record: its preference, its port and target, and the label that its target begins with
/// where that is the name of an address.
fn read(rdata: &[u8]) -> Option<(Preference, Vec<u8>, Vec<u8>)> {
    let (head, target) = rdata.split_at_checked(6)?;
    let short = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let label = target.split_first().and_then(|(length, rest)| rest.get(..usize::from(*length)));
    let label = label.filter(|label| of_label(label).is_some()).unwrap_or_default();
    Some((Preference::new(short(0), short(2)), rdata[4..].to_ascii_lowercase(), label.to_ascii_lowercase()))
}

/// The label of the name of an address, given as the data of its record.
fn address_label(rdata: &[u8]) -> Vec<u8> {
    match (<[u8; 4]>::try_from(rdata), <[u8; 16]>::try_from(rdata)) {
        (Ok([a, b, c, d]), _) => format!("{a}-{b}-{c}-{d}").into_bytes(),
        (_, Ok(octets)) => format!("{:032x}", u128::from_be_bytes(octets)).into_bytes(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::model::{Endpoint, Host, Instance, Service};
    use crate::zone::build::build;
    use crate::zone::config::Live;
    use crate::zone::context::Context;
    use crate::zone::name::Name;
    use crate::zone::offer::Offers;
    use crate::zone::order::Preference;
    use crate::zone::record::{Record, rtype};
    use crate::zone::source::{Merge, Role, SourceId};
    use crate::zone::writer::ZoneWriter;
    use crate::zone::{Freshness, ZoneBuilder};

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    /// An instance at 10.0.0.`host` or at an IPv6 address, with a weight, a port and, at even ports, a tag.
    fn instance(host: u8, port: u16, weight: u16) -> Instance {
        let address =
            if host.is_multiple_of(3) { Host::V6([host; 16].into()) } else { Host::V4([10, 0, 0, host].into()) };
        let endpoint = Endpoint { host: address, port };
        let mut one = Instance::new(&endpoint.to_string(), endpoint.clone());
        one.weight = Some(weight);
        one.tags = if port.is_multiple_of(2) { vec!["blue".into()] } else { Vec::new() };
        one.ports = vec![("http".into(), Endpoint { port: port + 1000, ..endpoint })];
        one
    }

    fn offers(path: &str, instances: &[Instance]) -> Offers {
        let service = Service { instances: instances.to_vec(), ..Service::default() };
        build(&Context::new(&name("service"), 5), path, &service).unwrap().offers
    }

    fn zone(sources: u16) -> (ZoneWriter, Vec<SourceId>) {
        let mut writer = ZoneBuilder::new(name("service"), 5, 5).build();
        let role = |precedence| Role { name: "r".into(), precedence, below: name("service") };
        let ids: Vec<SourceId> = (0..sources).map(|precedence| writer.add_source(role(precedence))).collect();
        for id in &ids {
            writer.source(*id).set_freshness(Freshness::Fresh, 100);
        }
        writer.commit(100);
        (writer, ids)
    }

    fn merge(writer: &mut ZoneWriter, merge: Merge) {
        writer.set_live(Live { merge, ..Live::default() });
    }

    /// All records but the SOA, and what addresses are chosen by.
    type Shown = (Vec<Record>, BTreeMap<(Vec<u8>, u16), Vec<Preference>>);

    fn shown(writer: &ZoneWriter) -> Shown {
        let (mut records, mut weights) = (Vec::new(), BTreeMap::new());
        for entry in writer.live().entries() {
            records.extend(entry.records().into_iter().filter(|record| record.rtype != rtype::SOA));
            for set in entry.sets().filter(|set| matches!(set.rtype, rtype::A | rtype::AAAA)) {
                let all = set.weights.map(|weights| weights.preferences().collect()).unwrap_or_default();
                weights.insert((entry.name().to_vec(), set.rtype), all);
            }
        }
        records.sort();
        (records, weights)
    }

    #[test]
    fn an_endpoint_that_two_sources_write_is_one_record_that_weighs_as_much_as_the_first_says() {
        let (mut writer, ids) = zone(2);
        merge(&mut writer, Merge::Union);
        writer.source(ids[0]).put("a_b", offers("a_b", &[instance(1, 80, 30)]));
        writer.source(ids[1]).put("a_b", offers("a_b", &[instance(1, 80, 7), instance(2, 80, 20)]));
        writer.commit(101);
        let (records, weights) = shown(&writer);
        let srv = |owner: &str| {
            let of = records.iter().filter(|one| one.rtype == rtype::SRV && one.owner == name(owner));
            of.map(|one| (u16::from_be_bytes([one.rdata[2], one.rdata[3]]), one.rdata[5])).collect::<Vec<_>>()
        };
        for owner in ["a_b.service", "a-b.service", "_a_b._tcp.service", "blue.a_b.service"] {
            assert_eq!(srv(owner), [(20, 80), (30, 80)], "{owner}");
        }
        assert_eq!(srv("10\\.0\\.0\\.1:80._a_b._tcp.service"), [(30, 80)]);
        let of = |weight| Preference { priority: 0, weight };
        for owner in ["a_b.service", "a-b.service", "blue.a_b.service"] {
            assert_eq!(weights[&(name(owner).wire().to_vec(), rtype::A)], [of(30), of(20)], "{owner}");
        }
        // A reader that says less leaves no more than the other says.
        writer.source(ids[0]).put("a_b", offers("a_b", &[]));
        writer.commit(102);
        assert_eq!(shown(&writer).1[&(name("a_b.service").wire().to_vec(), rtype::A)], [of(7), of(20)]);
    }

    /// Whatever comes in which order, however often services come to be united or not, the zone shows what one shows
    /// that has had nothing but the services as they are merged.
    #[test]
    fn after_any_changes_services_of_several_sources_show_as_if_they_had_been_merged_first() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut writer, ids) = zone(3);
            let mut how = Merge::First;
            let mut state: BTreeMap<(&str, usize), Vec<Instance>> = BTreeMap::new();
            for step in 0..60 {
                let source = random.usize(..3);
                let path = ["api", "a_b", "a-b", "x/y", "x"][random.usize(..5)];
                match random.u8(..12) {
                    0 => {
                        how = [Merge::First, Merge::Union][random.usize(..2)];
                        merge(&mut writer, how);
                    }
                    1 => writer.source(ids[source]).set_freshness(Freshness::Expired, 101 + step),
                    2 => writer.source(ids[source]).set_freshness(Freshness::Stale, 101 + step),
                    3 | 4 => {
                        writer.source(ids[source]).remove(path);
                        state.remove(&(path, source));
                    }
                    _ => {
                        // What both say of an endpoint but for its weight is the same.
                        let mut one = || instance(random.u8(1..5), random.u16(80..82), random.u16(1..4));
                        let mut instances: Vec<Instance> = vec![one(), one(), one()];
                        instances.sort_by(|a, b| a.name.cmp(&b.name));
                        instances.dedup_by(|a, b| a.name == b.name);
                        instances.truncate(random.usize(..4));
                        writer.source(ids[source]).put(path, offers(path, &instances));
                        state.insert((path, source), instances);
                    }
                }
                if random.bool() {
                    writer.commit(101 + step);
                }
            }
            for id in &ids {
                writer.source(*id).set_freshness(Freshness::Fresh, 200);
            }
            writer.commit(200);
            let mut merged: BTreeMap<&str, Vec<Instance>> = BTreeMap::new();
            for ((path, _), instances) in &state {
                let all = merged.entry(path).or_default();
                if all.is_empty() || how == Merge::Union {
                    let is_new = |one: &&Instance| !all.iter().any(|other| other.endpoint == one.endpoint);
                    let new: Vec<Instance> = instances.iter().filter(is_new).cloned().collect();
                    all.extend(new);
                }
            }
            let (mut expected, own) = zone(1);
            for (path, instances) in merged {
                expected.source(own[0]).put(path, offers(path, &instances));
            }
            expected.commit(200);
            assert_eq!(shown(&writer), shown(&expected), "seed {seed}, {how:?}");
        }
    }

    #[test]
    fn a_change_of_how_services_are_merged_is_one_commit_of_those_that_several_have() {
        let (mut writer, ids) = zone(2);
        for (source, host) in [(0, 1), (1, 2)] {
            writer.source(ids[source]).put("api", offers("api", &[instance(host, 80, 1)]));
            let own = ["only", "other"][source];
            writer.source(ids[source]).put(own, offers(own, &[instance(host, 81, 1)]));
        }
        writer.commit(101);
        let before = shown(&writer);
        let mut follower = writer.zone().follow();
        merge(&mut writer, Merge::Union);
        let commit = writer.commit(102).unwrap();
        assert!(commit.changes.iter().any(|change| change.owner == name("api.service")));
        assert!(!commit.changes.iter().any(|change| {
            ["only.service", "other.service"].contains(&change.owner.to_string().trim_end_matches('.'))
        }));
        assert_eq!(follower.try_next().unwrap().unwrap().serial, commit.serial);
        assert_eq!(
            shown(&writer).0.iter().filter(|one| one.owner == name("api.service") && one.rtype == rtype::SRV).count(),
            2
        );
        merge(&mut writer, Merge::First);
        writer.commit(103).unwrap();
        assert_eq!(shown(&writer), before);
        merge(&mut writer, Merge::First);
        assert!(writer.commit(104).is_none());
    }
}
