//! Names of tags: `canary.api_x.service.` has the instances with that tag, `v2.canary.api_x.service.` those with both,
//! in any order of the tags. A combination that no instance has is not a name, unless it is a role of the convention,
//! such as `leader`: the name of a role exists as long as the service does, so that nobody learns between two leaders
//! that there is no such name.
//!
//! Programs that look SRV records up only at names that begin with an underscore find those of a tag at
//! `_canary._tcp.api_x.service.`, unless a port of the service is called so, and its named ports at
//! `_http._tcp.canary.api_x.service.`. Only single tags have these; services whose names have dots as borders, each of
//! which has several spellings, have the former alone.
//!
//! The number of names grows with the power of the tags, so it is bounded: up to three tags in a name, as long as the
//! names of one service are no more than [`MAX_NAMES`] and have no more than [`MAX_RECORDS`] instances in all; else
//! up to two, else one; and of single tags the first [`MAX_NAMES`] in their order. What the bounds take is told.

use std::collections::{BTreeMap, BTreeSet};

use super::{label, port, srv};
use crate::model::Protocol;
use crate::zone::members::{Member, Members};
use crate::zone::name::{Name, NameError};
use crate::zone::names::Names;
use crate::zone::offer::Rank;

/// Most names of tags that one service has.
pub const MAX_NAMES: usize = 256;
/// Most instances in the names of several tags of one service, all names together.
pub const MAX_RECORDS: usize = 4096;
/// Most tags in a name.
const DEEPEST: usize = 3;

/// Adds the names of a service's tags.
pub(in crate::zone) fn add(names: &mut Names, of: &Members<'_>) {
    let Members { context, service, owner, all: members, .. } = of;
    for label in service.roles.iter().filter_map(|role| label::exact(role).ok()) {
        if let Ok(name) = owner.child(&label) {
            names.at(&name, of.below());
            add_srv_form(names, of, &label, &[]);
            add_role_ports(names, of, &name);
        }
    }
    if members.iter().all(|member| member.instance.tags.is_empty()) {
        return;
    }
    let tagged: Vec<Tags> = members
        .iter()
        .map(|member| {
            let bad = |tag: &str| names.remark(format!("the tag `{tag}` of {} makes no name", member.instance.name));
            labels(&member.instance.tags, bad)
        })
        .collect();
    let (combinations, is_cut) = combinations(&tagged);
    let mut ports_left = MAX_RECORDS;
    for (labels, chosen) in combinations {
        let Some(name) = name(owner, &labels) else { continue };
        let chosen: Vec<&Member<'_>> = chosen.iter().map(|&i| &members[i]).collect();
        srv::add_all(names, context, &name, of.below(), chosen.iter().map(|member| &member.reach));
        let [tag] = labels[..] else { continue };
        add_srv_form(names, of, tag, &chosen);
        let ports: usize = chosen.iter().map(|member| member.instance.ports.len()).sum();
        if ports == 0 || service.is_dotted {
            continue;
        }
        match ports_left.checked_sub(ports) {
            Some(left) => {
                ports_left = left;
                port::add_at(names, of, &name, chosen.into_iter());
            }
            None => names.remark("it has too many tags and ports: not every tag has names for its ports".to_owned()),
        }
    }
    if is_cut {
        names.remark("it has too many tags for all their combinations: not every one has a name".to_owned());
    }
}

/// Adds `_canary._tcp.api_x.service.`, and `_udp` likewise, with these instances; without any, the former exists.
fn add_srv_form(names: &mut Names, of: &Members<'_>, tag: &[u8], chosen: &[&Member<'_>]) {
    // Nobody can write an escaped dot: those whose dots are borders are asked for by their other spellings.
    if of.service.is_dotted && of.rank == Rank::Real {
        return;
    }
    let mut ports = of.all.iter().flat_map(|member| &member.instance.ports);
    if ports.any(|(port, _)| label::exact(port).is_ok_and(|port| port == tag)) {
        return;
    }
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut with = chosen.iter().filter(|one| one.instance.protocol == protocol && one.reach.has_port).peekable();
        if with.peek().is_none() && !(chosen.is_empty() && protocol == Protocol::Tcp) {
            continue;
        }
        let Some(name) = srv::service_name(of.owner, tag, protocol) else { continue };
        names.at(&name, of.below());
        with.for_each(|member| member.reach.add_srv(names, &name, of.below()));
    }
}

/// Has the names of a role's ports exist, as far as the ports of the service's instances are known.
fn add_role_ports(names: &mut Names, of: &Members<'_>, role: &Name) {
    if of.service.is_dotted {
        return;
    }
    for instance in of.all.iter().map(|member| member.instance) {
        for label in instance.ports.iter().filter_map(|(port, _)| label::exact(port).ok()) {
            if let Some(name) = srv::service_name(role, &label, instance.protocol) {
                names.at(&name, of.below());
            }
        }
    }
}

/// The tags of one instance as labels.
type Tags = BTreeSet<Vec<u8>>;

/// The labels of these tags; those that make none are left out and told.
fn labels(tags: &[Box<str>], mut bad: impl FnMut(&str)) -> Tags {
    let one =
        |tag: &str| if tag.is_ascii() { label::exact(tag) } else { label::host_name(tag).ok_or(NameError::BadElement) };
    tags.iter().filter_map(|tag| one(tag).map_err(|_| bad(tag)).ok()).collect()
}

/// The combinations of a service: the labels in front of its name, the leftmost first, and the instances by their place
/// in `tagged`. Also whether the bounds left something out.
fn combinations(tagged: &[Tags]) -> (BTreeMap<Vec<&[u8]>, Vec<usize>>, bool) {
    let most_tags = tagged.iter().map(BTreeSet::len).max().unwrap_or_default();
    for depth in (2..=DEEPEST).rev().filter(|depth| *depth == 2 || most_tags >= *depth) {
        if most_tags < 2 {
            break;
        }
        if let Some(found) = within_bounds(tagged, depth) {
            return (found, most_tags > depth);
        }
    }
    let mut singles: BTreeMap<Vec<&[u8]>, Vec<usize>> = BTreeMap::new();
    for (i, tags) in tagged.iter().enumerate() {
        for tag in tags {
            singles.entry(vec![tag]).or_default().push(i);
        }
    }
    let is_cut = singles.len() > MAX_NAMES;
    (singles.into_iter().take(MAX_NAMES).collect(), is_cut || most_tags > 1)
}

fn within_bounds(tagged: &[Tags], depth: usize) -> Option<BTreeMap<Vec<&[u8]>, Vec<usize>>> {
    let mut found: BTreeMap<Vec<&[u8]>, Vec<usize>> = BTreeMap::new();
    let mut records = 0;
    for (i, tags) in tagged.iter().enumerate() {
        let mut grown: Vec<Vec<&[u8]>> = vec![Vec::new()];
        for _ in 0..depth {
            grown = grown
                .iter()
                .flat_map(|front| {
                    let unused = tags.iter().filter(|tag| !front.contains(&tag.as_slice()));
                    unused.map(|tag| [front.as_slice(), &[tag.as_slice()]].concat())
                })
                .take(MAX_RECORDS + 1)
                .collect();
            for labels in &grown {
                records += 1;
                found.entry(labels.clone()).or_default().push(i);
            }
            if records > MAX_RECORDS || found.len() > MAX_NAMES {
                return None;
            }
        }
    }
    Some(found)
}

/// The name of a combination; none where it gets too long.
fn name(owner: &Name, labels: &[&[u8]]) -> Option<Name> {
    labels.iter().rev().try_fold(owner.clone(), |name, label| name.child(label)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(all: &[&[&str]]) -> Vec<Tags> {
        let boxed = |tags: &&[&str]| tags.iter().map(|tag| (*tag).into()).collect::<Vec<Box<str>>>();
        all.iter().map(|tags| labels(&boxed(tags), |tag| panic!("{tag}"))).collect()
    }

    fn shown(tagged: &[Tags]) -> Vec<(String, Vec<usize>)> {
        let text = |labels: Vec<&[u8]>| labels.iter().map(|l| String::from_utf8_lossy(l)).collect::<Vec<_>>().join(".");
        combinations(tagged).0.into_iter().map(|(labels, members)| (text(labels), members)).collect()
    }

    #[test]
    fn several_tags_are_an_and_in_any_order() {
        let tagged = tagged(&[&["canary", "v2"], &["Canary"], &[]]);
        let expected = [("canary", vec![0, 1]), ("canary.v2", vec![0]), ("v2", vec![0]), ("v2.canary", vec![0])];
        assert_eq!(shown(&tagged), expected.map(|(name, members)| (name.to_owned(), members)));
        assert!(!combinations(&tagged).1);
    }

    #[test]
    fn many_tags_cost_combinations_first_and_never_more_than_the_bound() {
        let many: Vec<String> = (0..300).map(|i| format!("t{i:03}")).collect();
        let tags = |count| many.iter().take(count).map(String::as_str).collect::<Vec<_>>();
        for (count, names) in [(3, 3 + 6 + 6), (6, 6 + 30 + 120), (9, 9 + 72), (17, 17), (300, MAX_NAMES)] {
            let tagged = tagged(&[&tags(count)]);
            let (found, is_cut) = combinations(&tagged);
            assert_eq!((found.len(), is_cut), (names, count > 3), "{count} tags");
        }
    }

    #[test]
    fn a_large_service_keeps_its_single_tags() {
        let tagged = tagged(&vec![&["a", "b"][..]; 2000]);
        assert_eq!(
            shown(&tagged).into_iter().map(|(name, members)| (name, members.len())).collect::<Vec<_>>(),
            [("a".to_owned(), 2000), ("b".to_owned(), 2000)]
        );
    }
}
