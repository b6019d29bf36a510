//! The sources of a zone, each as the one who contributes under its id sees it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ZoneWriter;
use super::collisions::Collision;
use crate::zone::commit::Commit;
use crate::zone::freshness::Freshness;
use crate::zone::name::Name;
use crate::zone::offer::{Offer, Offers, Rank};
use crate::zone::source::{self, Contributions, Merge, Role, SourceId, SourceKey};
use crate::zone::unknown::{Scope, Unknown};

/// The path, in front of a source's number, under which its names are offered as unknown.
const UNSERVED: &str = "/unserved/";

/// A source of a zone, which contributes to it. Nothing that is put is visible before a commit.
#[derive(Debug)]
pub struct Source<'w> {
    writer: &'w mut ZoneWriter,
    id: SourceId,
}

impl ZoneWriter {
    /// Adds a source. Its data is loading until [`Source::set_freshness`] says more.
    pub fn add_source(&mut self, role: Role) -> SourceId {
        self.sources.push(Contributions::new(role, Some(Freshness::Loading)));
        let id = self.id_at(self.sources.len() - 1);
        // The first had nobody beside it.
        let before: Vec<SourceId> = self.registered().map(|(id, _)| id).filter(|other| *other != id).collect();
        for other in before {
            self.settle_source(other);
        }
        self.follow_sources();
        self.show_freshness(self.derived());
        id
    }

    /// One of the sources.
    pub fn source(&mut self, id: SourceId) -> Source<'_> {
        let id = self.id_at(id.place());
        Source { writer: self, id }
    }

    /// Sets the freshness of what the zone itself has: a zone that no registry fills is that alone.
    pub fn set_freshness(&mut self, freshness: Freshness) {
        self.sources[0].freshness = Some(freshness);
        self.show_freshness(self.derived());
    }

    /// The sources but the zone itself.
    pub(super) fn registered(&self) -> impl Iterator<Item = (SourceId, &Contributions)> {
        let all = self.sources.iter().enumerate().skip(1);
        all.map(|(number, one)| (self.id_at(number), one))
    }

    /// The present id of the source at `number`.
    pub(super) fn id_at(&self, number: usize) -> SourceId {
        let precedence = match self.merge {
            Merge::First => self.sources.get(number).map_or(0, |source| source.role.precedence),
            Merge::Union => 0,
        };
        SourceId::new(precedence, number)
    }

    /// The freshness that follows from the sources'.
    fn derived(&self) -> Freshness {
        source::freshness(self.zone.origin(), &self.sources)
    }

    /// Has the names of sources that are not served be unknown, where the rest of the zone is served. Returns whether
    /// that is different.
    fn follow_sources(&mut self) -> bool {
        let is_served = matches!(self.derived(), Freshness::Fresh | Freshness::Stale);
        let known = self.registered().filter_map(|(_, one)| Some((Arc::clone(&one.role.name), one.freshness?)));
        self.zone.set_sources(known.collect());
        let mut is_different = false;
        let mut is_waiting = false;
        let states: Vec<(SourceId, Freshness, Role)> =
            self.registered().filter_map(|(id, one)| Some((id, one.freshness?, one.role.clone()))).collect();
        for (id, freshness, role) in states {
            let path: Arc<str> = format!("{UNSERVED}{}", id.place()).into();
            let offer = unserved(self.zone.origin(), &role, freshness).filter(|_| is_served);
            is_waiting |= offer.is_some();
            let has = self.sources[0].extents.contains_key(&path);
            if has || offer.is_some() {
                is_different = true;
                self.apply(&SourceKey::new(SourceId::OWN, &path), Vec::from_iter(offer).into());
            }
        }
        let holds = is_waiting || self.sources.iter().any(|source| source.holds_transfers);
        self.show_held(holds);
        is_different
    }
}

/// The offer that has the names of a source be unknown that nobody else has, while it is not served.
fn unserved(origin: &Name, role: &Role, freshness: Freshness) -> Option<Offer> {
    let (code, text) = match freshness {
        Freshness::Loading => (Unknown::NOT_READY, format!("the registry {} is not read yet", role.name)),
        Freshness::Expired => (Unknown::NO_ADDRESS, format!("the registry {} is away for too long", role.name)),
        Freshness::Fresh | Freshness::Stale => return None,
    };
    // At the apex is what the zone has: its names are those below.
    let scope = if role.below == *origin { Scope::Below } else { Scope::Everything };
    let unknown = Unknown { scope, below: true, code, text: text.into() };
    Some(Offer { owner: role.below.clone(), rank: Rank::Alias, sets: [unknown.set()].into() })
}

impl Source<'_> {
    /// Replaces everything that is offered under `path`, each owner once. A name at which nothing is different is not
    /// looked at again.
    pub fn put(&mut self, path: &str, offers: impl Into<Offers>) {
        let path = self.writer.path_of(self.id, path);
        self.writer.contribute(&SourceKey { source: self.id, path }, offers.into());
    }

    /// Takes away what is offered under `path`.
    pub fn remove(&mut self, path: &str) {
        self.put(path, Offers::default());
    }

    /// Returns whether something is offered under `path`, though it need not show.
    pub fn has(&self, path: &str) -> bool {
        self.state().is_some_and(|state| state.extents.contains_key(path)) || self.held(path).is_some()
    }

    /// Returns whether what is offered under `path` does not show.
    pub fn is_held(&self, path: &str) -> bool {
        self.held(path).is_some()
    }

    /// The names at which something is offered under `path`.
    pub fn owners(&self, path: &str) -> Vec<Name> {
        let shown =
            self.state().and_then(|state| state.extents.get(path)).into_iter().flat_map(|extent| &extent.owners);
        let held = self.held(path).into_iter().flat_map(|offers| offers.names.iter().map(|offer| &offer.owner));
        shown.chain(held).cloned().collect()
    }

    /// The paths of all its services that offer something.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let shown = self.state().into_iter().flat_map(|state| state.extents.keys());
        let all = shown.chain(self.writer.contest.paths(self.id)).map(|path| &**path);
        all.filter(|path| source::is_service(path))
    }

    /// From now on these names exist, and no others for that alone, although the source offers nothing at them: NODATA
    /// instead of NXDOMAIN. Whoever offers something at one has it; so does a wildcard that covers it.
    pub fn know(&mut self, names: impl IntoIterator<Item = Name>) {
        let origin = self.writer.zone.origin().clone();
        let names = names.into_iter().filter(|name| *name != origin && name.is_at_or_below(&origin));
        let names: BTreeSet<Name> = names.collect();
        if let Some(state) = self.writer.sources.get_mut(self.id.place())
            && state.known != names
        {
            state.known = names;
            self.writer.unite_known();
        }
    }

    /// From now on these names of the source, and all below them, are answered as they last were.
    pub fn set_stale(&mut self, names: impl IntoIterator<Item = Name>) {
        let Some(state) = self.writer.sources.get_mut(self.id.place()) else { return };
        state.stale = names.into_iter().collect();
        self.writer.zone.stale().set(self.writer.sources.iter().flat_map(|source| source.stale.iter().cloned()));
    }

    /// Says whether transfers and NOTIFY wait for the source from now on.
    pub fn hold_transfers(&mut self, hold: bool) {
        if let Some(state) = self.writer.sources.get_mut(self.id.place()) {
            state.holds_transfers = hold;
        }
        self.writer.follow_sources();
    }

    /// Freshness of its data.
    pub fn freshness(&self) -> Freshness {
        self.state().and_then(|state| state.freshness).unwrap_or(Freshness::Fresh)
    }

    /// Says how far its data can be trusted from now on; the zone's freshness follows from that. Where other sources
    /// are served, and this one begins or ceases to be, that is committed, at `unix` seconds.
    pub fn set_freshness(&mut self, freshness: Freshness, unix: u64) {
        let Some(state) = self.writer.sources.get_mut(self.id.place()) else { return };
        if state.freshness.replace(freshness) == Some(freshness) {
            return;
        }
        self.writer.committed_at = unix;
        let derived = self.writer.derived();
        // What is not to be trusted is not answered for a moment longer.
        if matches!(derived, Freshness::Loading | Freshness::Expired) {
            self.writer.show_freshness(derived);
        }
        self.writer.settle_source(self.id);
        if self.writer.follow_sources() {
            self.writer.commit(unix);
        }
        self.writer.show_freshness(derived);
    }

    /// The names at which services have come to meet, or ceased to, since this was last asked, in order.
    pub fn take_collisions(&mut self) -> Vec<Collision> {
        self.writer.collisions_for(self.id)
    }

    /// As [`ZoneWriter::commit`].
    pub fn commit(&mut self, unix: u64) -> Option<Commit> {
        self.writer.commit(unix)
    }

    fn state(&self) -> Option<&Contributions> {
        self.writer.sources.get(self.id.place())
    }

    fn held(&self, path: &str) -> Option<&Offers> {
        self.writer.contest.held(&SourceKey { source: self.id, path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Endpoint, Host, Instance, Service};
    use crate::zone::build::build;
    use crate::zone::context::Context;
    use crate::zone::lookup::{self, LookupResult};
    use crate::zone::record::{Record, rtype};
    use crate::zone::writer::collisions::CollisionKind;
    use crate::zone::{ZoneBuilder, journal::Bounds};

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    /// What a service at `path` with instances at 10.0.0.x offers, with or without something in it.
    fn offers(path: &str, hosts: &[u8]) -> Offers {
        let instance = |host: &u8| {
            let endpoint = Endpoint { host: Host::V4([10, 0, 0, *host].into()), port: 80 };
            Instance::new(&endpoint.to_string(), endpoint)
        };
        let service = Service { instances: hosts.iter().map(instance).collect(), ..Service::default() };
        build(&Context::new(&name("service"), 5), path, &service).unwrap().offers
    }

    /// A zone with sources of these precedences, all of which are fresh.
    fn zone(precedences: &[u16]) -> (ZoneWriter, Vec<SourceId>) {
        let mut writer = ZoneBuilder::new(name("service"), 5, 5).journal(Bounds::SECONDARIES).build();
        let role = |precedence: &u16| Role {
            name: format!("r{precedence}").into(),
            precedence: *precedence,
            below: name("service"),
        };
        let ids: Vec<SourceId> = precedences.iter().map(|precedence| writer.add_source(role(precedence))).collect();
        for id in &ids {
            writer.source(*id).set_freshness(Freshness::Fresh, 100);
        }
        writer.commit(100);
        (writer, ids)
    }

    /// The last bytes of the addresses at a name; its response code where it has none.
    fn ask(writer: &ZoneWriter, owner: &str) -> Result<Vec<u8>, &'static str> {
        let table = writer.live();
        match lookup::find(writer.zone(), &table, name(owner).wire(), rtype::A) {
            LookupResult::Answer(set) => Ok(set.iter().map(|rdata| rdata[3]).collect()),
            LookupResult::Unknown(_) => Err("SERVFAIL"),
            LookupResult::NxDomain => Err("NXDOMAIN"),
            _ => Ok(Vec::new()),
        }
    }

    #[test]
    fn the_source_that_goes_first_has_a_service_alone_and_the_clash_is_told() {
        let (mut writer, ids) = zone(&[0, 1]);
        writer.source(ids[1]).put("api", offers("api", &[2]));
        writer.commit(101);
        assert_eq!(ask(&writer, "api.service"), Ok(vec![2]));
        writer.source(ids[0]).put("api", offers("api", &[1]));
        writer.commit(102);
        for owner in ["api.service", "_api._tcp.service"] {
            let table = writer.live();
            let ports = table.get(name(owner).wire()).and_then(|entry| entry.set(rtype::SRV).map(|set| set.count));
            assert_eq!(ports, Some(1), "{owner}");
        }
        assert_eq!(ask(&writer, "api.service"), Ok(vec![1]));
        assert_eq!(ask(&writer, "10-0-0-2.addr.service"), Err("NXDOMAIN"), "nothing of the other shows");
        assert!(writer.source(ids[1]).has("api") && writer.source(ids[1]).paths().eq(["api"]));

        for (told, other) in [(0, "r1"), (1, "r0")] {
            let collisions = writer.source(ids[told]).take_collisions();
            let [collision] = &collisions[..] else { panic!("{collisions:?}") };
            assert_eq!((&collision.owner, collision.kind), (&name("api.service"), Some(CollisionKind::Preceded)));
            let sources: Vec<Option<&str>> = collision.services.iter().map(|one| one.source.as_deref()).collect();
            assert_eq!(sources[1 - told], Some(other));
            assert_eq!(sources[told], None, "the one that shows comes first");
        }

        writer.source(ids[0]).remove("api");
        writer.commit(103);
        assert_eq!(ask(&writer, "api.service"), Ok(vec![2]));
        assert_eq!(ask(&writer, "10-0-0-2.addr.service"), Ok(vec![2]));
        assert_eq!(writer.source(ids[0]).take_collisions()[0].kind, None);
    }

    #[test]
    fn a_service_without_instances_hides_that_of_no_other_source() {
        let (mut writer, ids) = zone(&[0, 1]);
        writer.source(ids[0]).put("api", offers("api", &[]));
        writer.source(ids[1]).put("api", offers("api", &[2]));
        writer.commit(101);
        assert_eq!(ask(&writer, "api.service"), Ok(vec![2]));
    }

    #[test]
    fn sources_of_one_precedence_are_united_and_that_is_no_clash() {
        let (mut writer, ids) = zone(&[0, 0]);
        writer.source(ids[0]).put("api", offers("api", &[1]));
        writer.source(ids[1]).put("api", offers("api", &[2]));
        writer.commit(101);
        assert_eq!(ask(&writer, "api.service"), Ok(vec![1, 2]));
        assert_eq!(
            writer.source(ids[0]).take_collisions().iter().filter(|collision| collision.kind.is_some()).count(),
            0
        );
        writer.source(ids[0]).remove("api");
        writer.commit(102);
        assert_eq!(ask(&writer, "api.service"), Ok(vec![2]));
    }

    #[test]
    fn names_that_no_other_source_has_are_unknown_while_one_is_not_read() {
        let mut writer = ZoneBuilder::new(name("service"), 5, 5).build();
        let role = |name_of: &str, below: &str| Role { name: name_of.into(), precedence: 0, below: name(below) };
        let (first, second) = (writer.add_source(role("a", "service")), writer.add_source(role("b", "service")));
        assert_eq!(writer.zone().freshness(), Freshness::Loading);
        writer.source(first).put("api", offers("api", &[1]));
        writer.commit(101);
        writer.source(first).set_freshness(Freshness::Fresh, 101);
        assert_eq!(writer.zone().freshness(), Freshness::Fresh);
        assert_eq!(ask(&writer, "api.service"), Ok(vec![1]), "the other hurts nothing that is known");
        for unknown in ["x.service", "x.api.service", "_x._tcp.service", "_tcp.service", "x.10-0-0-9.addr.service"] {
            assert_eq!(ask(&writer, unknown), Err("SERVFAIL"), "{unknown}");
        }
        assert_eq!(ask(&writer, "service"), Ok(vec![]), "the zone has its apex");
        assert!(!writer.zone().is_transferable(), "secondaries would deny the names");

        writer.source(second).put("x", offers("x", &[2]));
        writer.commit(102);
        assert_eq!(ask(&writer, "x.service"), Err("SERVFAIL"), "a half of what it has is not shown");
        writer.source(second).set_freshness(Freshness::Stale, 102);
        assert_eq!((ask(&writer, "x.service"), ask(&writer, "y.service")), (Ok(vec![2]), Err("NXDOMAIN")));
        assert_eq!(writer.zone().freshness(), Freshness::Stale);
        assert!(writer.zone().is_transferable());

        writer.source(second).set_freshness(Freshness::Expired, 103);
        assert_eq!((ask(&writer, "api.service"), ask(&writer, "x.service")), (Ok(vec![1]), Err("SERVFAIL")));
        assert_eq!(writer.zone().freshness(), Freshness::Fresh);
        writer.source(first).set_freshness(Freshness::Expired, 104);
        assert_eq!(writer.zone().freshness(), Freshness::Expired, "no publisher has set that");
        writer.source(second).set_freshness(Freshness::Fresh, 105);
        assert_eq!((ask(&writer, "api.service"), ask(&writer, "x.service")), (Err("SERVFAIL"), Ok(vec![2])));
    }

    #[test]
    fn that_several_sources_are_not_read_is_no_clash_of_services() {
        let (mut writer, ids) = zone(&[0, 0, 0]);
        for id in &ids[1..] {
            writer.source(*id).set_freshness(Freshness::Loading, 101);
        }
        assert_eq!(ask(&writer, "x.service"), Err("SERVFAIL"));
        for id in ids {
            assert_eq!(writer.source(id).take_collisions(), []);
        }
    }

    #[test]
    fn the_only_source_of_a_zone_which_has_a_part_of_it_is_not_answered_from_once_it_is_away_for_too_long() {
        let mut writer = ZoneBuilder::new(name("service"), 5, 5).build();
        let part = writer.add_source(Role { name: "pg".into(), precedence: 0, below: name("pg.service") });
        writer.source(part).put("pg/db", offers("pg/db", &[1]));
        writer.commit(100);
        assert_eq!(ask(&writer, "db.pg.service"), Err("SERVFAIL"), "it is not read yet");
        for _ in 0..2 {
            writer.source(part).set_freshness(Freshness::Fresh, 101);
            assert_eq!((ask(&writer, "db.pg.service"), ask(&writer, "x.pg.service")), (Ok(vec![1]), Err("NXDOMAIN")));
            writer.source(part).set_freshness(Freshness::Stale, 102);
            assert_eq!(ask(&writer, "db.pg.service"), Ok(vec![1]));
            writer.source(part).set_freshness(Freshness::Expired, 103);
            assert_eq!(
                (ask(&writer, "db.pg.service"), ask(&writer, "x.pg.service")),
                (Err("SERVFAIL"), Err("SERVFAIL"))
            );
            assert_eq!((ask(&writer, "x.service"), ask(&writer, "service")), (Err("NXDOMAIN"), Ok(vec![])));
        }
    }

    #[test]
    fn a_source_of_a_part_of_the_zone_makes_nothing_unknown_beside_it() {
        let mut writer = ZoneBuilder::new(name("service"), 5, 5).build();
        let role = |below: &str| Role { name: "pg".into(), precedence: 0, below: name(below) };
        let (whole, part) = (writer.add_source(role("service")), writer.add_source(role("pg.service")));
        writer.source(whole).set_freshness(Freshness::Fresh, 101);
        assert_eq!((ask(&writer, "db.pg.service"), ask(&writer, "db.service")), (Err("SERVFAIL"), Err("NXDOMAIN")));
        assert_eq!(ask(&writer, "pg.service"), Err("SERVFAIL"));
        // Others may have the name itself, and some below: the rest is as unknown.
        writer.source(whole).put("pg", offers("pg", &[4]));
        writer.source(whole).put("pg/x/y", offers("pg/x/y", &[5]));
        writer.commit(101);
        assert_eq!((ask(&writer, "pg.service"), ask(&writer, "y.x.pg.service")), (Ok(vec![4]), Ok(vec![5])));
        for unknown in ["db.pg.service", "x.pg.service", "z.x.pg.service", "_db._tcp.pg.service"] {
            assert_eq!(ask(&writer, unknown), Err("SERVFAIL"), "{unknown}");
        }
        writer.source(whole).remove("pg");
        writer.source(whole).remove("pg/x/y");
        writer.source(part).put("pg/db", offers("pg/db", &[3]));
        writer.source(part).set_freshness(Freshness::Fresh, 102);
        assert_eq!((ask(&writer, "db.pg.service"), ask(&writer, "x.pg.service")), (Ok(vec![3]), Err("NXDOMAIN")));
    }

    #[test]
    fn what_one_source_knows_is_not_forgotten_by_another() {
        let (mut writer, ids) = zone(&[0, 1]);
        writer.source(ids[0]).know([name("pay.service")]);
        writer.source(ids[1]).know([name("db.service")]);
        writer.commit(101);
        assert_eq!((ask(&writer, "pay.service"), ask(&writer, "db.service")), (Ok(vec![]), Ok(vec![])));
        writer.source(ids[1]).know([]);
        writer.commit(102);
        assert_eq!((ask(&writer, "pay.service"), ask(&writer, "db.service")), (Ok(vec![]), Err("NXDOMAIN")));
        writer.source(ids[0]).set_stale([name("a.service")]);
        writer.source(ids[1]).set_stale([name("b.service")]);
        assert!([b"\x01a\x07service\0", b"\x01b\x07service\0"].iter().all(|name| writer.zone().stale().cover(*name)));
        writer.source(ids[0]).hold_transfers(true);
        writer.source(ids[1]).hold_transfers(false);
        assert!(!writer.zone().is_transferable());
    }

    /// Whatever comes in which order, the zone shows what one shows that was only ever given what should show.
    #[test]
    fn after_any_changes_a_zone_shows_what_it_would_have_shown_at_once() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let precedences: &[u16] = if random.bool() { &[0, 1, 2] } else { &[0, 1, 1] };
            let (mut writer, ids) = zone(precedences);
            let mut state: BTreeMap<(usize, &str), Vec<u8>> = BTreeMap::new();
            let mut is_served = [true; 3];
            for step in 0..40 {
                let source = random.usize(..3);
                if random.u8(..6) == 0 {
                    is_served[source] = !is_served[source];
                    let freshness = if is_served[source] { Freshness::Fresh } else { Freshness::Expired };
                    writer.source(ids[source]).set_freshness(freshness, 101 + step);
                } else {
                    let path = ["api", "a_b", "a-b", "x/y"][random.usize(..4)];
                    let hosts: Vec<u8> = (0..random.u8(..3)).map(|_| random.u8(1..9)).collect();
                    if random.u8(..4) == 0 {
                        writer.source(ids[source]).remove(path);
                        state.remove(&(source, path));
                    } else {
                        writer.source(ids[source]).put(path, offers(path, &hosts));
                        state.insert((source, path), hosts);
                    }
                }
                if random.bool() {
                    writer.commit(101 + step);
                }
            }
            for (source, id) in ids.iter().enumerate() {
                writer.source(*id).set_freshness(Freshness::Fresh, 200);
                is_served[source] = true;
            }
            writer.commit(200);
            let mut expected = ZoneBuilder::new(name("service"), 5, 5).build();
            for ((source, path), hosts) in &state {
                let first = state.iter().filter(|((_, other), hosts)| other == path && !hosts.is_empty());
                let first = first.map(|((source, _), _)| precedences[*source]).min();
                if hosts.is_empty() || first == Some(precedences[*source]) {
                    expected.put(&format!("{path}#{source}"), offers(path, hosts));
                }
            }
            expected.commit(200);
            let records = |writer: &ZoneWriter| {
                let entries = writer.live().entries();
                let all = entries.into_iter().flat_map(|entry| entry.records());
                let mut all: Vec<Record> = all.filter(|record| record.rtype != rtype::SOA).collect();
                all.sort();
                all
            };
            assert_eq!(records(&writer), records(&expected), "seed {seed}");
        }
    }

    #[test]
    fn a_commit_and_a_change_of_trust_are_each_one_event_with_what_changed() {
        let (mut writer, ids) = zone(&[0, 1]);
        let mut follower = writer.zone().follow();
        writer.source(ids[0]).put("api", offers("api", &[1]));
        writer.source(ids[1]).put("x", offers("x", &[]));
        let commit = writer.commit(1_700_000_000).unwrap();
        let event = follower.try_next().unwrap().unwrap();
        assert_eq!((event.unix, event.serial, &event.zone), (1_700_000_000, commit.serial, &name("service")));
        assert!(event.names.contains(&name("api.service")) && !event.names.contains(&name("service")));
        let services: Vec<(&str, &str)> = event.services.iter().map(|one| (&*one.source, &*one.path)).collect();
        assert_eq!((services, event.is_partial), (vec![("r0", "api"), ("r1", "x")], false));

        writer.source(ids[0]).put("api", offers("api", &[1]));
        assert!(writer.commit(1_700_000_001).is_none());
        assert_eq!(follower.try_next(), Ok(None), "nothing has changed");
        writer.source(ids[0]).set_freshness(Freshness::Stale, 1_700_000_002);
        let event = follower.try_next().unwrap().unwrap();
        assert_eq!((event.freshness, event.names.len(), event.unix), (Freshness::Stale, 0, 1_700_000_002));
        writer.source(ids[0]).hold_transfers(true);
        assert_eq!(follower.try_next().unwrap().map(|event| event.number), Some(2));

        for i in 0..=u16::try_from(crate::zone::events::MAX_LISTED).unwrap() {
            writer.source(ids[0]).put(&format!("s{i}"), offers(&format!("s{i}"), &[]));
        }
        writer.commit(1_700_000_003);
        let event = follower.try_next().unwrap().unwrap();
        assert!(event.is_partial && event.services.len() == crate::zone::events::MAX_LISTED);
    }
}
