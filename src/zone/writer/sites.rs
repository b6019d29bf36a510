//! Names at which a service is not what shows, whatever it offers: name servers, whose addresses are those of the zone
//! file or of the zone itself, and all that lies at or below a cut ([`Site`]).

use super::{HashSet, ZoneWriter};
use crate::zone::name::Name;
use crate::zone::offer::Offer;
use crate::zone::record::{Record, rtype};
use crate::zone::site::{Cut, Site, Sites, ZoneCuts};

impl ZoneWriter {
    /// Returns what the zone itself has beside these records of the zone file: its name server and that one's
    /// addresses, unless the file has name servers; or the addresses alone, where the file names that server and no
    /// address of it.
    pub(super) fn base_beside(&self, records: &[Record]) -> Vec<Offer> {
        let origin = self.zone.origin();
        let mut servers =
            records.iter().filter(|record| record.rtype == rtype::NS && record.owner == *origin).peekable();
        if servers.peek().is_none() {
            return self.base.0.clone();
        }
        let targets: Vec<Name> = servers.filter_map(target).collect();
        let is_addressed = |name: &Name| records.iter().any(|record| record.owner == *name && is_of_host(record.rtype));
        let is_meant =
            |offer: &&Offer| offer.owner != *origin && targets.contains(&offer.owner) && !is_addressed(&offer.owner);
        self.base.0.iter().filter(is_meant).cloned().collect()
    }

    /// Finds the special names that these records of the zone file make, beside what the zone itself has.
    pub(super) fn sites_of(&self, records: &[Record], base: &[Offer]) -> Sites {
        let origin = self.zone.origin();
        let mut servers: HashSet<Name> =
            base.iter().filter(|offer| offer.owner != *origin).map(|offer| offer.owner.clone()).collect();
        let named: HashSet<Name> =
            records.iter().filter(|record| record.rtype == rtype::NS).filter_map(target).collect();
        let addressed = records.iter().filter(|record| is_of_host(record.rtype) && named.contains(&record.owner));
        servers.extend(addressed.map(|record| record.owner.clone()));
        let glue = named.difference(&servers).cloned().collect();
        let cut = |record: &Record| match record.rtype {
            rtype::NS if record.owner != *origin => Some((record.owner.clone(), Cut::Delegation)),
            rtype::DNAME => Some((record.owner.clone(), Cut::Redirection)),
            _ => None,
        };
        let mut cuts = ZoneCuts::default();
        for (owner, cut) in records.iter().filter_map(cut) {
            // A delegation goes before a DNAME beside it.
            if cuts.get(&owner) != Some(&Cut::Delegation) {
                cuts.insert(owner, cut);
            }
        }
        Sites { servers, cuts, glue }
    }

    /// Takes these special names of the zone file, and the apexes of the zones below, in place of the present ones.
    pub(super) fn place(&mut self, of_file: Sites) {
        let mut sites = of_file.clone();
        self.of_file = of_file;
        sites.cuts.extend(self.children().map(|apex| (apex.clone(), Cut::Delegation)));
        // The zone below has its name servers' addresses itself.
        let is_theirs = |name: &Name| self.children().any(|apex| name.is_at_or_below(apex));
        sites.glue.retain(|name| !is_theirs(name));
        if sites == self.sites {
            return;
        }
        let before = std::mem::replace(&mut self.sites, sites);
        let now = &self.sites;
        let mut moved: HashSet<&Name> = now.servers.symmetric_difference(&before.servers).collect();
        moved.extend(now.glue.symmetric_difference(&before.glue));
        let cuts = now.cuts.keys().chain(before.cuts.keys());
        let cuts: Vec<&Name> = cuts.filter(|at| now.cuts.get(*at) != before.cuts.get(*at)).collect();
        let is_touched = |name: &&Name| moved.contains(name) || cuts.iter().any(|at| name.is_at_or_below(at));
        let touched: Vec<Name> = self.slots.keys().filter(is_touched).cloned().collect();
        self.touched.extend(self.ghosts.iter().filter(is_touched).cloned());
        for name in touched {
            // What does not show is held by nobody else.
            if let Some(slot) = self.slots.get_mut(&name) {
                slot.unpack(|| super::held(&self.index, name.wire()));
            }
            self.note_collision(&name);
            self.touched.insert(name);
        }
    }

    /// Site of a name.
    pub(super) fn site(&self, owner: &Name) -> Site {
        if self.cut_above(owner).is_some() {
            Site::Cut
        } else if self.sites.servers.contains(owner) {
            Site::Server
        } else {
            Site::Plain
        }
    }

    /// The highest cut at or above a name that takes it.
    pub(super) fn cut_above(&self, owner: &Name) -> Option<&Name> {
        if !self.sites.has_cuts() || self.sites.glue.contains(owner) {
            return None;
        }
        let takes = |(at, cut): &(&Name, &Cut)| *cut == &Cut::Delegation || *at != owner;
        let above = std::iter::successors(Some(owner.clone()), Name::parent)
            .filter_map(|name| self.sites.cuts.get_key_value(&name));
        above.filter(takes).map(|(at, _)| at).last()
    }
}

/// The name that a record's data are.
fn target(record: &Record) -> Option<Name> {
    Name::from_wire(&record.rdata).map(|(name, _)| name.folded())
}

fn is_of_host(kind: u16) -> bool {
    matches!(kind, rtype::A | rtype::AAAA | rtype::CNAME)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::zone::entry::RrSet;
    use crate::zone::offer::Rank;
    use crate::zone::owner_offers::CollisionKind;
    use crate::zone::{Freshness, ZoneBuilder};

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn set(rtype: u16, rdata: &[u8]) -> RrSet {
        RrSet::new(rtype, 5, vec![rdata.to_vec()])
    }

    fn offer(owner: &str, rank: Rank, sets: Vec<RrSet>) -> Vec<Offer> {
        vec![Offer { owner: name(owner), rank, sets: sets.into() }]
    }

    fn record(owner: &str, rtype: u16, rdata: &[u8]) -> Record {
        Record { owner: name(owner), rtype, ttl: 5, rdata: rdata.into() }
    }

    fn writer() -> ZoneWriter {
        let mut writer = ZoneBuilder::new(name("service"), 5, 5).addresses(vec![[192, 0, 2, 53].into()]).build();
        writer.set_freshness(Freshness::Fresh);
        writer
    }

    /// Records of a transfer at a name, by types and the last byte of each record's data.
    fn shown(writer: &ZoneWriter, owner: &str) -> Vec<(u16, u8)> {
        let live = writer.live();
        let records = live.entries().into_iter().filter(|entry| entry.name() == name(owner).wire());
        let records = records.flat_map(|entry| entry.records());
        records.map(|record| (record.rtype, *record.rdata.last().unwrap())).collect()
    }

    fn collided(writer: &mut ZoneWriter) -> Vec<(String, Option<CollisionKind>, usize)> {
        let collisions = writer.take_collisions().into_iter();
        collisions.map(|collision| (collision.owner.to_string(), collision.kind, collision.services.len())).collect()
    }

    fn service(last: u8) -> Vec<RrSet> {
        vec![
            set(rtype::A, &[10, 0, 0, last]),
            set(rtype::AAAA, &[last; 16]),
            set(rtype::SRV, &[0, 0, 0, 1, 0, 1, 1, b'h', 0]),
        ]
    }

    #[test]
    fn a_service_called_ns_does_not_become_the_zones_name_server() {
        let mut writer = writer();
        writer.put("ns", offer("ns.service", Rank::Real, service(66)));
        writer.put("n_s", offer("ns.service", Rank::Alias, service(67)));
        writer.commit(1);
        assert_eq!(shown(&writer, "ns.service"), [(rtype::A, 53), (rtype::SRV, 0)]);
        assert_eq!(collided(&mut writer), [("ns.service.".into(), Some(CollisionKind::Server), 2)]);
        // A name server of the file takes the name from the zone's own, which is free then.
        let servers =
            [record("service", rtype::NS, b"\x03dns\x07service\0"), record("dns.service", rtype::A, &[10, 9, 9, 9])];
        writer.put("dns", offer("dns.service", Rank::Real, service(68)));
        writer.put_static(servers.to_vec());
        writer.commit(2);
        assert_eq!(shown(&writer, "ns.service").len(), 3);
        assert_eq!(shown(&writer, "dns.service"), [(rtype::A, 9), (rtype::SRV, 0)]);
        let expected = [("ns.service.".into(), None, 0), ("dns.service.".into(), Some(CollisionKind::Server), 1)];
        assert_eq!(collided(&mut writer), expected);
        writer.put("dns", vec![]);
        writer.commit(3);
        assert_eq!(shown(&writer, "dns.service"), [(rtype::A, 9)]);
        assert_eq!(collided(&mut writer), [("dns.service.".into(), None, 0)]);
    }

    #[test]
    fn a_file_that_names_the_made_up_server_and_no_address_of_it_gets_the_made_up_one() {
        let mut writer = writer();
        writer.put_static(vec![record("service", rtype::NS, b"\x02NS\x07service\0")]);
        writer.put("ns", offer("ns.service", Rank::Real, service(66)));
        writer.commit(1);
        assert_eq!(shown(&writer, "ns.service"), [(rtype::A, 53), (rtype::SRV, 0)]);
    }

    #[test]
    fn services_below_a_delegation_or_a_dname_of_the_file_are_not_transferred() {
        let mut writer = writer();
        let owners = ["sub.service", "x.sub.service", "dn.service", "x.dn.service", "ns.sub.service", "fine.service"];
        for owner in owners {
            writer.put(owner, offer(owner, Rank::Real, service(1)));
        }
        writer.put("y/sub", offer("y.sub.service", Rank::Derived, service(1)));
        writer.commit(1);
        assert!(owners.iter().all(|owner| shown(&writer, owner).len() == 3));
        writer.put_static(vec![
            record("sub.service", rtype::NS, b"\x02ns\x03sub\x07service\0"),
            record("dn.service", rtype::DNAME, b"\x04fine\x07service\0"),
        ]);
        writer.commit(2);
        assert_eq!(shown(&writer, "sub.service"), [(rtype::NS, 0)]);
        assert_eq!(shown(&writer, "dn.service").len(), 4, "a DNAME is for what lies below");
        assert_eq!(shown(&writer, "ns.sub.service").len(), 3, "the only address of the delegation's server");
        for gone in ["x.sub.service", "y.sub.service", "x.dn.service"] {
            assert!(writer.live().get(name(gone).wire()).is_none(), "{gone}");
        }
        let cut = |owner: &str| (owner.to_owned(), Some(CollisionKind::Cut), 1);
        assert_eq!(collided(&mut writer), [cut("x.dn.service."), cut("x.sub.service."), cut("sub.service.")]);
        // What is put while it is hidden is there when the cut goes.
        writer.put("x.sub.service", offer("x.sub.service", Rank::Real, service(2)));
        writer.put("z.sub.service", offer("z.sub.service", Rank::Real, service(3)));
        writer.commit(3);
        writer.put_static(vec![]);
        writer.commit(4);
        assert_eq!(shown(&writer, "x.sub.service")[0], (rtype::A, 2));
        assert_eq!(shown(&writer, "z.sub.service")[0], (rtype::A, 3));
        assert_eq!(shown(&writer, "x.dn.service").len(), 3);
        assert!(collided(&mut writer).iter().all(|(_, kind, _)| kind.is_none()));
    }

    /// RFC 1034 §3.6.2, RFC 2181 §10.1, whatever is offered: in transfers as in answers, as both are of the same
    /// entries.
    #[test]
    fn an_alias_is_never_beside_other_data() {
        let mut random = fastrand::Rng::with_seed(1034);
        let mut writer = writer();
        let owners = ["a.service", "b.service", "ns.service", "x.b.service", "_a._tcp.service", "*.service"];
        let ranks = [Rank::Alias, Rank::Subset, Rank::Derived, Rank::Real];
        let (mut aliases, mut hidden) = (0, BTreeSet::new());
        for i in 0..3000 {
            let owner = owners[random.usize(..owners.len())];
            let mut sets = if random.bool() { service(random.u8(1..9)) } else { Vec::new() };
            if random.bool() {
                sets.push(set(rtype::CNAME, b"\x01h\0"));
            }
            if random.u8(..4) == 0 {
                sets.push(set(rtype::TXT, b"\x01t"));
            }
            sets.sort_by_key(|set| set.rtype);
            let source = format!("s{}", random.u8(..6));
            writer.put(&source, offer(owner, ranks[random.usize(..ranks.len())], sets));
            if i % 7 == 0 {
                let mut records = Vec::new();
                for owner in owners {
                    match random.u8(..9) {
                        0 => records.push(record(owner, rtype::CNAME, b"\x01f\0")),
                        1 => records.push(record(owner, rtype::A, &[9, 9, 9, 9])),
                        2 => records.push(record(owner, rtype::TXT, b"\x01f")),
                        _ => {}
                    }
                }
                writer.put_static(records);
            }
            writer.commit(i);
            for entry in writer.live().entries() {
                let types: Vec<u16> = entry.sets().map(|set| set.rtype).collect();
                let has_alias = types.contains(&rtype::CNAME);
                assert!(!has_alias || types.len() == 1, "{i}: {types:?}");
                assert!(!has_alias || entry.unknown().is_none());
                aliases += usize::from(has_alias);
            }
            hidden.extend(writer.take_collisions().into_iter().filter_map(|collision| collision.kind));
        }
        assert!(aliases > 500, "{aliases}");
        for kind in [
            CollisionKind::Hidden,
            CollisionKind::Unaliased,
            CollisionKind::Server,
            CollisionKind::United,
            CollisionKind::First,
        ] {
            assert!(hidden.contains(&kind), "{kind:?} of {hidden:?}");
        }
    }
}
