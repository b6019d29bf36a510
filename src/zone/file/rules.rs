//! Rules between records of a zone that no single entry of a master file can break.
//!
//! It sees records and where they stood, and knows nothing of how they were written.

use std::collections::HashSet;

use crate::zone::name::Name;
use crate::zone::rdata::type_name;
use crate::zone::record::{Record, rtype};

/// Position of a record in its file.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) source: usize,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) width: usize,
}

/// A record and where it stood.
pub(super) struct Placed {
    pub record: Record,
    pub at: At,
}

/// Findings of [`settle`].
#[derive(Default)]
pub(super) struct Findings {
    /// Broken rules.
    pub problems: Vec<(At, String)>,
    /// Remarks about what was settled, for the author to know.
    pub remarks: Vec<(At, String)>,
}

/// Holds the records of the zone `apex` to the rules; gives every RRset one TTL and drops repeated records and
/// those that are the parent zone's.
pub(super) fn settle(placed: &mut Vec<Placed>, apex: &Name) -> Findings {
    let mut findings = Findings::default();
    let mut order: Vec<usize> = (0..placed.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&placed[a].record, &placed[b].record);
        (&a.owner, a.rtype).cmp(&(&b.owner, b.rtype)) // a stable sort: an RRset stays in the order of the file
    });
    let mut ttls = Vec::new();
    let mut repeated = HashSet::new();
    for owner in order.chunk_by(|&a, &b| placed[a].record.owner == placed[b].record.owner) {
        check_cname(placed, owner, &mut findings);
        for rrset in owner.chunk_by(|&a, &b| placed[a].record.rtype == placed[b].record.rtype) {
            repeated.extend(find_repeated(placed, rrset, &mut findings));
            check_single(placed, rrset, &repeated, &mut findings);
            repeated.extend(find_parents(placed, rrset, apex, &mut findings));
            ttls.extend(level_ttls(placed, rrset, &mut findings));
        }
    }
    check_below_dname(placed, &order, &mut findings);
    check_dname_beside_delegation(placed, &order, apex, &mut findings);
    check_server_addresses(placed, apex, &mut findings);
    for (index, ttl) in ttls {
        placed[index].record.ttl = ttl;
    }
    let mut index = 0;
    placed.retain(|_| {
        index += 1;
        !repeated.contains(&(index - 1))
    });
    findings
}

/// A CNAME stands alone (RFC 1034 §3.6.2, RFC 2181 §10.1).
fn check_cname(placed: &[Placed], owner: &[usize], findings: &mut Findings) {
    let cname = owner.iter().find(|&&index| placed[index].record.rtype == rtype::CNAME);
    let other = owner.iter().find(|&&index| placed[index].record.rtype != rtype::CNAME);
    if let (Some(&cname), Some(&other)) = (cname, other) {
        let (cname, other) = (&placed[cname], &placed[other]);
        let name = &cname.record.owner;
        let kind = type_name(other.record.rtype);
        let message = format!(
            "{name} has a CNAME and so can have no other data (RFC 1034 §3.6.2), but line {} gives it a record of type {kind}",
            other.at.line
        );
        findings.problems.push((cname.at, message));
    }
}

/// One CNAME, DNAME (RFC 6672 §2.4) or SOA (RFC 1035 §5.2) at a name.
fn check_single(placed: &[Placed], rrset: &[usize], repeated: &HashSet<usize>, findings: &mut Findings) {
    let kind = placed[rrset[0]].record.rtype;
    if !matches!(kind, rtype::CNAME | rtype::DNAME | rtype::SOA) {
        return;
    }
    for &index in &rrset[1..] {
        if repeated.contains(&index) {
            continue;
        }
        let (first, second) = (&placed[rrset[0]], &placed[index]);
        let (owner, kind) = (&second.record.owner, type_name(kind));
        let message = format!("{owner} has another {kind} at line {}: there can be one only", first.at.line);
        findings.problems.push((second.at, message));
    }
}

/// A record that is there already adds nothing (RFC 2181 §5). A second SOA is left to [`check_single`]: it is a zone
/// that was pasted twice.
fn find_repeated(placed: &[Placed], rrset: &[usize], findings: &mut Findings) -> Vec<usize> {
    let mut seen = HashSet::new();
    let mut repeated = Vec::new();
    for &index in rrset {
        let Placed { record, at } = &placed[index];
        if !seen.insert(&record.rdata) && record.rtype != rtype::SOA {
            findings.remarks.push((*at, "this record is there already and counts once".into()));
            repeated.push(index);
        }
    }
    repeated
}

/// A DS record at the apex is the parent zone's (RFC 4035 §2.4): the zone itself has none to answer with (§3.1.4.1).
fn find_parents(placed: &[Placed], rrset: &[usize], apex: &Name, findings: &mut Findings) -> Vec<usize> {
    let first = &placed[rrset[0]].record;
    if first.rtype != rtype::DS || first.owner != *apex {
        return Vec::new();
    }
    let message = format!("a DS record of {apex} belongs into the zone above it (RFC 4035 §2.4): it is not served");
    findings.remarks.extend(rrset.iter().map(|&index| (placed[index].at, message.clone())));
    rrset.to_vec()
}

/// The records of an RRset have one TTL (RFC 2181 §5.2): the first's.
fn level_ttls(placed: &[Placed], rrset: &[usize], findings: &mut Findings) -> Vec<(usize, u32)> {
    let first = &placed[rrset[0]];
    let ttl = first.record.ttl;
    let differing: Vec<_> = rrset.iter().filter(|&&index| placed[index].record.ttl != ttl).collect();
    for &&index in &differing {
        let Placed { record, at } = &placed[index];
        let kind = type_name(record.rtype);
        let message = format!(
            "its TTL {} is taken as {ttl}, that of the first {kind} record of {} at line {} (RFC 2181 §5.2)",
            record.ttl, record.owner, first.at.line
        );
        findings.remarks.push((*at, message));
    }
    differing.into_iter().map(|&index| (index, ttl)).collect()
}

/// A DNAME stands for everything below it (RFC 6672 §2.4).
fn check_below_dname(placed: &[Placed], order: &[usize], findings: &mut Findings) {
    let is_dname = |placed: &&Placed| placed.record.rtype == rtype::DNAME;
    let dnames: HashSet<&Name> = placed.iter().filter(is_dname).map(|placed| &placed.record.owner).collect();
    if dnames.is_empty() {
        return;
    }
    for owner in order.chunk_by(|&a, &b| placed[a].record.owner == placed[b].record.owner) {
        let Placed { record, at } = &placed[owner[0]];
        let above = std::iter::successors(record.owner.parent(), Name::parent);
        if let Some(dname) = above.into_iter().find(|name| dnames.contains(name)) {
            let message = format!("{} lies below the DNAME of {dname} (RFC 6672 §2.4)", record.owner);
            findings.problems.push((*at, message));
        }
    }
}

/// A DNAME beside the NS records of a delegation (RFC 6672 §2.3): what lies below would be both redirected and somebody
/// else's. The delegation is served.
fn check_dname_beside_delegation(placed: &[Placed], order: &[usize], apex: &Name, findings: &mut Findings) {
    for owner in order.chunk_by(|&a, &b| placed[a].record.owner == placed[b].record.owner) {
        let of_type = |kind| owner.iter().map(|&index| &placed[index]).find(|placed| placed.record.rtype == kind);
        let (Some(dname), Some(ns)) = (of_type(rtype::DNAME), of_type(rtype::NS)) else { continue };
        if ns.record.owner == *apex {
            continue;
        }
        let message = format!(
            "{} is delegated at line {}, so its DNAME is not used (RFC 6672 §2.3): remove one of them",
            dname.record.owner, ns.at.line
        );
        findings.remarks.push((dname.at, message));
    }
}

/// A name server that lies in the zone needs an address in it (RFC 1034 §4.2.1, RFC 9471 §2): without one nobody finds
/// the zone, or what is delegated. `ns` at the apex is left out, as its address is made up where the file has none.
fn check_server_addresses(placed: &[Placed], apex: &Name, findings: &mut Findings) {
    let of_type = |kind| placed.iter().filter(move |placed| placed.record.rtype == kind);
    let addressed: HashSet<&Name> =
        of_type(rtype::A).chain(of_type(rtype::AAAA)).map(|placed| &placed.record.owner).collect();
    let made_up = apex.child(b"ns").ok();
    for Placed { record, at } in of_type(rtype::NS) {
        let Some((target, _)) = Name::from_wire(&record.rdata) else { continue };
        let target = target.folded();
        if !target.is_at_or_below(apex) || addressed.contains(&target) || wildcard_covers(&target, &addressed) {
            continue;
        }
        let is_apex = record.owner == *apex;
        if is_apex && made_up.as_ref() == Some(&target) {
            continue;
        }
        let role = if is_apex { "has the name server" } else { "is delegated to" };
        let message = format!(
            "{} {role} {target}, which has no address in this file: add an A or AAAA record for it (RFC 1034 §4.2.1)",
            record.owner
        );
        findings.remarks.push((*at, message));
    }
}

/// Returns whether a wildcard above `name` has an address.
fn wildcard_covers(name: &Name, addressed: &HashSet<&Name>) -> bool {
    std::iter::successors(name.parent(), Name::parent)
        .any(|above| above.child(b"*").is_ok_and(|wildcard| addressed.contains(&wildcard)))
}
