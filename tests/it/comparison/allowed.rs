//! The ways in which we differ from NSD and Knot, and why. Nothing else may differ.

use super::questions::Asked;
use super::view::{CD, View, Z};
use crate::harness::secondary::Kind;

const FORMERR: u16 = 1;
const NXDOMAIN: u16 = 3;
const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;
const YXDOMAIN: u16 = 6;
const NOTAUTH: u16 = 9;
const BADVERS: u16 = 16;

/// One way to differ.
pub(super) struct Allowed {
    pub(super) name: &'static str,
    /// Makes the two views alike where they differ in this way only.
    pub(super) level: fn(&Asked, Kind, &mut View, &mut View),
}

pub(super) const ALLOWED: &[Allowed] = &[
    Allowed { name: "CD is copied (RFC 4035 §3.2.2), as resolvers in front of us may look for it", level: copied_cd },
    Allowed { name: "NSD adds the zone's name servers to positive answers", level: added_servers },
    Allowed {
        name: "what was said already is not said again: aliases in a loop, addresses of one host",
        level: repeated,
    },
    Allowed { name: "classes other than IN: we refuse them all", level: other_classes },
    Allowed { name: "opcodes other than QUERY: see opcodes()", level: opcodes },
    Allowed { name: "BADVERS: NSD copies Z and not DO", level: bad_version },
    Allowed { name: "Knot follows no alias for RRSIG and NSEC", level: signatures },
    Allowed { name: "addresses that may be left out: NSD has others than we have", level: other_addresses },
    Allowed { name: "YXDOMAIN: Knot has the SOA with it, or NXDOMAIN in its place", level: too_long },
    Allowed { name: "ANY: each gives another part of what there is (RFC 8482 §4.1)", level: any },
];

fn copied_cd(_: &Asked, _: Kind, ours: &mut View, theirs: &mut View) {
    ours.flags &= !CD;
    theirs.flags &= !CD;
}

/// Contract: no authority section on positive answers. With the name servers come their addresses.
fn added_servers(_: &Asked, kind: Kind, ours: &mut View, theirs: &mut View) {
    let is_added = |line: &String| line.starts_with("service. 300 in ns ");
    if kind != Kind::Nsd
        || !ours.authority.is_empty()
        || theirs.authority.is_empty()
        || !theirs.authority.iter().all(is_added)
    {
        return;
    }
    theirs.authority.clear();
    let is_address = |line: &String| line.starts_with("ns1.service. ");
    let said: Vec<String> = ours.additional.clone();
    theirs.additional.retain(|line| !is_address(line) || said.contains(line));
}

fn any(asked: &Asked, _: Kind, ours: &mut View, theirs: &mut View) {
    if asked.rtype == 255 && !ours.answer.is_empty() && !theirs.answer.is_empty() {
        for view in [ours, theirs] {
            view.answer.clear();
            view.additional.clear();
        }
    }
}

/// RFC 2181 §5.5: records of a message are a set.
fn repeated(_: &Asked, _: Kind, _: &mut View, theirs: &mut View) {
    theirs.answer.dedup();
    theirs.additional.dedup();
}

/// RFC 1035 §3.2.4 has three that nobody uses. NSD sends the header alone; for class ANY both answer as for IN.
fn other_classes(asked: &Asked, _: Kind, ours: &mut View, theirs: &mut View) {
    if asked.class != 1 && ours.rcode == REFUSED && theirs.is_there {
        *theirs = ours.clone();
    }
}

/// NOTIFY and UPDATE are REFUSED, all others NOTIMP, whatever version of EDNS they speak. The other two have primaries
/// and updates to think of: NSD says NOTIMP to UPDATE and looks for the zone of a NOTIFY first, Knot says FORMERR and
/// NOTAUTH; and NSD sends the header alone.
fn opcodes(asked: &Asked, _: Kind, ours: &mut View, theirs: &mut View) {
    let expected = if matches!(asked.opcode, 4 | 5) { REFUSED } else { NOTIMP };
    let is_said = [FORMERR, NXDOMAIN, NOTIMP, REFUSED, NOTAUTH, BADVERS].contains(&theirs.rcode);
    if asked.opcode != 0 && ours.rcode == expected && theirs.is_there && is_said {
        *theirs = ours.clone();
    }
}

fn bad_version(asked: &Asked, kind: Kind, ours: &mut View, theirs: &mut View) {
    if kind == Kind::Nsd && asked.edns.is_some_and(|version| version > 0) && ours.rcode == BADVERS {
        theirs.flags &= !Z;
        theirs.edns = theirs.edns.and(ours.edns);
    }
}

/// They could stand beside a CNAME in a signed zone (RFC 4035 §2.5), which ours is not.
fn signatures(asked: &Asked, kind: Kind, ours: &mut View, theirs: &mut View) {
    if kind == Kind::Knot && matches!(asked.rtype, 46 | 47) && !ours.answer.is_empty() && theirs.answer.is_empty() {
        *theirs = ours.clone();
    }
}

/// Which addresses may be useful is for the server to say (RFC 1034 §4.3.2, step 6). NSD has those of KX and the like,
/// has none for SVCB, where RFC 9460 §4.1 asks for them, and none of hosts below a delegation but in the referral to
/// it.
fn other_addresses(asked: &Asked, kind: Kind, ours: &mut View, theirs: &mut View) {
    let is_referral = !ours.authority.is_empty();
    if kind != Kind::Nsd || is_referral {
        return;
    }
    match asked.rtype {
        17 | 18 | 35 | 36 => theirs.additional.clear(),
        64 | 65 => ours.additional.clear(),
        _ => ours.additional.retain(|line| !line.contains(".deleg.service. ")),
    }
}

/// RFC 6672 §2.2 asks for the code and for nothing else.
fn too_long(_: &Asked, kind: Kind, ours: &mut View, theirs: &mut View) {
    if kind == Kind::Knot && ours.rcode == YXDOMAIN && [NXDOMAIN, YXDOMAIN].contains(&theirs.rcode) {
        theirs.rcode = YXDOMAIN;
        theirs.authority.clear();
    }
}
