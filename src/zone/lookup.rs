//! A zone's answer to a question (RFC 1034 §4.3.2), as a decision without any encoding.

use super::exceptions::Exceptions;
use super::name::{self, Name};
use super::packed::{Packed, PackedSet};
use super::record::rtype;
use super::records::address;
use super::served::Zone;
use super::unknown::{Scope, Unknown};
use super::view::View;

/// A zone's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupResult<'t> {
    /// The RRset asked for.
    Answer(PackedSet<'t>),
    /// The name is an alias for another (step 3a); the alias record's set.
    Alias(PackedSet<'t>),
    /// Everything the name has, for ANY.
    All(&'t Packed),
    /// The name exists and has nothing of that type.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// It is not known, though it should be.
    Unknown(Unknown<'t>),
    /// Somebody else's: the entry of the cut that has the NS records (step 3b).
    Delegation(&'t Packed),
    /// The name lies below one that has a DNAME: that name's entry (RFC 6672 §3.2, step 3c).
    Redirection(&'t Packed),
}

/// Looks up a name (in wire form, lower case, at or below the zone's origin).
pub fn find<'t>(zone: &Zone, table: &'t View, name: &[u8], rtype: u16) -> LookupResult<'t> {
    if table.exceptions() == Exceptions::default() {
        return match table.get(name) {
            Some(entry) => at(entry, rtype),
            None => LookupResult::NxDomain,
        };
    }
    let apex = zone.origin().wire().len();
    let ends: Vec<usize> = name::suffixes(name).filter(|start| name.len() - start >= apex).collect();
    // From the apex down, as a cut hides everything below it. A DS question is the parent's to answer (RFC 4035
    // §3.1.4.1).
    for (depth, &start) in ends.iter().rev().enumerate() {
        let Some(entry) = table.get(&name[start..]) else { continue };
        if depth > 0 && entry.set(rtype::NS).is_some() && !(start == 0 && rtype == rtype::DS) {
            return LookupResult::Delegation(entry);
        }
        if start > 0 && entry.set(rtype::DNAME).is_some() {
            return LookupResult::Redirection(entry);
        }
    }
    if let Some(entry) = table.get(name) {
        return at(entry, rtype);
    }
    // It may be anything, whatever wildcards say.
    let covers = |start: &usize| table.get(&name[*start..])?.unknown().filter(|unknown| unknown.below);
    if table.exceptions().unknown > 0
        && let Some(unknown) = ends.iter().find_map(covers)
    {
        return LookupResult::Unknown(unknown);
    }
    // The closest encloser's wildcard, and no other (RFC 4592 §3.3.1).
    let encloser = ends.iter().find(|&&start| start > 0 && table.get(&name[start..]).is_some());
    match encloser.and_then(|&start| wildcard(table, &name[start..])) {
        Some(entry) => at(entry, rtype),
        None => LookupResult::NxDomain,
    }
}

/// Looks up a name in [`Zone::fixed`], whose view `fixed` is, while nothing is known of what a registry says; none
/// where the registry may have the name. It may have whatever the file has no records for, names below others and below
/// wildcards included. At a name that the file gives, types that it does not give are NODATA.
pub fn find_fixed<'t>(zone: &Zone, fixed: &'t View, name: &[u8], rtype: u16) -> Option<LookupResult<'t>> {
    match find(zone, fixed, name, rtype) {
        LookupResult::NxDomain | LookupResult::Unknown(_) => None,
        found @ (LookupResult::Delegation(_) | LookupResult::Redirection(_)) => Some(found),
        found => {
            fixed.get(name).filter(|entry| !entry.is_empty())?;
            let is_apex = name == zone.origin().wire();
            let is_open = is_apex && found == LookupResult::NoData && may_be_registered(zone, rtype);
            (!is_open).then_some(found)
        }
    }
}

/// Returns whether a service at the apex, as of a registry whose root has instances, would have records of this type.
fn may_be_registered(zone: &Zone, rtype: u16) -> bool {
    let kinds: &[u16] = if address::is_reverse(zone.origin()) {
        &[rtype::PTR]
    } else {
        &[rtype::A, rtype::AAAA, rtype::SRV, rtype::TXT, rtype::PTR]
    };
    kinds.contains(&rtype)
}

fn wildcard<'t>(table: &'t View, encloser: &[u8]) -> Option<&'t Packed> {
    table.get(&[b"\x01*", encloser].concat())
}

fn at(entry: &Packed, rtype: u16) -> LookupResult<'_> {
    match entry.set(rtype) {
        Some(set) => return LookupResult::Answer(set),
        None if rtype == rtype::ANY && !entry.is_empty() => return LookupResult::All(entry),
        None => {}
    }
    if let Some(set) = entry.set(rtype::CNAME) {
        return LookupResult::Alias(set);
    }
    let is_meant = |unknown: &Unknown<'_>| match unknown.scope {
        Scope::Everything => true,
        Scope::Below => false,
        Scope::Addresses => matches!(rtype, rtype::A | rtype::AAAA | rtype::ANY),
    };
    match entry.unknown().filter(is_meant) {
        Some(unknown) => LookupResult::Unknown(unknown),
        None => LookupResult::NoData,
    }
}

/// The SOA of a zone, as its apex holds it.
pub fn soa(table: &View) -> Option<PackedSet<'_>> {
    table.apex()?.set(rtype::SOA)
}

/// The name a CNAME, NS or other single-name record data points to.
pub fn target(rdata: &[u8]) -> Option<Name> {
    Name::from_wire(rdata).map(|(name, _)| name)
}

/// Name to which the DNAME of `entry` leads one (in wire form) below it: that name with the target in place of the
/// DNAME's owner (RFC 6672 §2.2). None when the outcome is too long for a name.
pub fn redirected(name: &[u8], entry: &Packed) -> Option<Name> {
    let target = entry.set(rtype::DNAME)?.iter().next().and_then(|rdata| target(&rdata))?;
    let front = name.get(..name.len().checked_sub(entry.name().len())?)?;
    Name::from_labels(name::labels(front).chain(target.labels())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::ZoneBuilder;
    use crate::zone::entry::RrSet;
    use crate::zone::offer::{Offer, Rank};
    use crate::zone::record::Record;
    use crate::zone::writer::ZoneWriter;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn record(owner: &str, rtype: u16, rdata: &[u8]) -> Record {
        Record { owner: name(owner), rtype, ttl: 5, rdata: rdata.into() }
    }

    fn zone(records: Vec<Record>) -> ZoneWriter {
        let mut writer = ZoneBuilder::new(name("example"), 5, 5).build();
        writer.put_static(records);
        writer.commit(1);
        writer
    }

    fn kind(writer: &ZoneWriter, owner: &str, rtype: u16) -> &'static str {
        let table = writer.live();
        kind_of(&find(writer.zone(), &table, name(owner).wire(), rtype))
    }

    fn kind_of(found: &LookupResult<'_>) -> &'static str {
        match found {
            LookupResult::Answer(_) => "answer",
            LookupResult::Alias(_) => "alias",
            LookupResult::All(_) => "all",
            LookupResult::NoData => "nodata",
            LookupResult::NxDomain => "nxdomain",
            LookupResult::Delegation(_) => "delegation",
            LookupResult::Redirection(_) => "redirection",
            LookupResult::Unknown(_) => "unknown",
        }
    }

    #[test]
    fn without_a_registry_a_zone_knows_what_its_file_gives_and_nothing_else() {
        let mut writer = ZoneBuilder::new(name("example"), 5, 5).addresses(vec![[127, 0, 0, 1].into()]).build();
        writer.put("api", vec![offer("api.example")]);
        writer.put_static(vec![
            record("www.example", rtype::A, &[192, 0, 2, 1]),
            record("a.b.example", rtype::TXT, b"\x01x"),
            record("*.wild.example", rtype::TXT, b"\x01x"),
            record("out.example", rtype::CNAME, b"\x03com\0"),
            record("dn.example", rtype::DNAME, b"\x03com\0"),
            record("sub.example", rtype::NS, b"\x02ns\x03com\0"),
        ]);
        writer.commit(1);
        let fixed = writer.zone().fixed().unwrap().load();
        for (owner, rtype, expected) in [
            ("www.example", rtype::A, "answer"),
            ("www.example", rtype::AAAA, "nodata"),
            ("a.b.example", rtype::TXT, "answer"),
            ("*.wild.example", rtype::TXT, "answer"),
            ("out.example", rtype::A, "alias"),
            ("x.dn.example", rtype::A, "redirection"),
            ("x.sub.example", rtype::A, "delegation"),
            ("sub.example", rtype::SRV, "delegation"),
            ("example", rtype::NS, "answer"),
            ("example", rtype::MX, "nodata"),
            ("ns.example", rtype::A, "answer"),
            // A registry may have these.
            ("example", rtype::A, "unknown"),
            ("example", rtype::SRV, "unknown"),
            ("b.example", rtype::A, "unknown"),
            ("x.wild.example", rtype::TXT, "unknown"),
            ("x.www.example", rtype::A, "unknown"),
            ("api.example", rtype::A, "unknown"),
            ("nowhere.example", rtype::A, "unknown"),
        ] {
            let found = find_fixed(writer.zone(), &fixed, name(owner).wire(), rtype);
            assert_eq!(found.map_or("unknown", |found| kind_of(&found)), expected, "{owner} {rtype}");
        }
        writer.put_static(Vec::new());
        writer.commit(2);
        let fixed = writer.zone().fixed().unwrap().load();
        assert_eq!(find_fixed(writer.zone(), &fixed, name("www.example").wire(), rtype::A), None);
    }

    fn offer(owner: &str) -> Offer {
        let sets = [RrSet::new(rtype::A, 5, vec![[10, 0, 0, 1]])].into();
        Offer { owner: name(owner), rank: Rank::Real, sets }
    }

    /// The example of RFC 4592 §2.2.1.
    #[test]
    fn rfc4592_2_2_1_wildcards() {
        let zone = zone(vec![
            record("*.example", rtype::TXT, b"\x01x"),
            record("*.example", rtype::MX, b"\0\x0a\0"),
            record("sub.*.example", rtype::TXT, b"\x01y"),
            record("host1.example", rtype::A, &[192, 0, 2, 1]),
            record("_ssh._tcp.host1.example", rtype::SRV, b"\0\0\0\0\0\x16\0"),
            record("subdel.example", rtype::NS, b"\x02ns\x03com\0"),
        ]);
        assert_eq!(kind(&zone, "host3.example", rtype::MX), "answer");
        assert_eq!(kind(&zone, "host3.example", rtype::A), "nodata");
        assert_eq!(kind(&zone, "foo.bar.example", rtype::TXT), "answer");
        assert_eq!(kind(&zone, "host1.example", rtype::MX), "nodata");
        assert_eq!(kind(&zone, "sub.*.example", rtype::MX), "nodata");
        assert_eq!(kind(&zone, "_telnet._tcp.host1.example", rtype::SRV), "nxdomain");
        assert_eq!(kind(&zone, "host.subdel.example", rtype::A), "delegation");
        assert_eq!(kind(&zone, "ghost.*.example", rtype::MX), "nxdomain");
        assert_eq!(kind(&zone, "_tcp.host1.example", rtype::A), "nodata");
    }

    #[test]
    fn the_parent_answers_for_ds_and_nothing_else_at_a_cut() {
        let zone = zone(vec![record("sub.example", rtype::NS, b"\x02ns\x03com\0")]);
        assert_eq!(kind(&zone, "sub.example", rtype::DS), "nodata");
        assert_eq!(kind(&zone, "sub.example", rtype::NS), "delegation");
        assert_eq!(kind(&zone, "x.sub.example", rtype::DS), "delegation");
        assert_eq!(kind(&zone, "example", rtype::NS), "answer");
    }

    #[test]
    fn rfc6672_a_dname_is_for_what_lies_below_and_not_for_its_owner() {
        let zone = zone(vec![
            record("dn.example", rtype::DNAME, b"\x04host\x07example\0"),
            record("dn.example", rtype::A, &[192, 0, 2, 1]),
            record("sub.example", rtype::NS, b"\x02ns\x03com\0"),
        ]);
        assert_eq!(kind(&zone, "dn.example", rtype::A), "answer");
        assert_eq!(kind(&zone, "dn.example", rtype::DNAME), "answer");
        assert_eq!(kind(&zone, "dn.example", rtype::AAAA), "nodata");
        assert_eq!(kind(&zone, "a.dn.example", rtype::A), "redirection");
        assert_eq!(kind(&zone, "b.a.dn.example", rtype::DNAME), "redirection");
        assert_eq!(kind(&zone, "xdn.example", rtype::A), "nxdomain");
        assert_eq!(kind(&zone, "dn.sub.example", rtype::A), "delegation");
    }

    #[test]
    fn an_alias_is_found_for_every_type_but_its_own() {
        let zone = zone(vec![record("www.example", rtype::CNAME, b"\x04host\x07example\0")]);
        assert_eq!(kind(&zone, "www.example", rtype::A), "alias");
        assert_eq!(kind(&zone, "www.example", rtype::CNAME), "answer");
        assert_eq!(kind(&zone, "www.example", rtype::ANY), "all");
        assert_eq!(kind(&zone, "nowhere.example", rtype::A), "nxdomain");
    }
}
