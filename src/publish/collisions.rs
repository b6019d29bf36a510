//! Names that a service does not have to itself: other services have them too, or the zone file, the zone itself or
//! another zone has. Each is a clash, which people can see; where services alone are to blame, the znodes are malformed
//! as well.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::layout::Layout;
use crate::model::Malformed;
use crate::zone::name::Name;
pub use crate::zone::writer::collisions::CollisionKind;
use crate::zone::writer::collisions::{Collision, Party};

/// The part of the registry under which it is reported, in front of zone and name. No path of a service begins with a
/// slash.
const NAMES: &str = "/names/";

/// Clashes that are kept; the others are only counted.
const MAX_KEPT: usize = 10_000;

/// A name that a service does not have to itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// The origin of the zone, with the final dot.
    pub zone: String,
    /// The name, with the final dot.
    pub name: String,
    /// The znodes of the services, at most 16.
    pub paths: Vec<String>,
    /// Outcome at the name, as a sentence.
    pub reason: String,
    /// Kind of the collision.
    pub kind: CollisionKind,
}

/// The clashes of one registry, kept current. Cheap to share.
#[derive(Debug, Clone, Default)]
pub struct Clashes(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    clashes: BTreeMap<(Name, Name), Option<Clash>>,
    held: usize,
}

impl Clashes {
    /// Returns how many there are, and the first of them, at most `limit`, in the order of zones and names.
    pub fn first(&self, limit: usize) -> (usize, Vec<Clash>) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.clashes.len(), kept.clashes.values().flatten().take(limit).cloned().collect())
    }

    /// Returns what is known of a name in a zone.
    pub fn at(&self, zone: &Name, name: &Name) -> Option<Clash> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clashes.get(&(zone.clone(), name.clone())).cloned().flatten()
    }

    /// Replaces what is known of a name. Returns whether that is news.
    pub(super) fn replace(&self, zone: &Name, name: &Name, clash: Option<&Clash>) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (zone.clone(), name.clone());
        let before = kept.clashes.remove(&key);
        kept.held -= usize::from(before.as_ref().is_some_and(Option::is_some));
        let Some(clash) = clash else { return false };
        let is_kept = kept.held < MAX_KEPT;
        kept.held += usize::from(is_kept);
        kept.clashes.insert(key, is_kept.then(|| clash.clone()));
        before.is_none_or(|before| before.is_some_and(|before| before != *clash))
    }
}

/// Returns what people are to know of a collision; `None` when it is over.
pub(super) fn clash(layout: &Layout, zone: &Name, collision: &Collision) -> Option<Clash> {
    let Collision { owner, services, kind, cut } = collision;
    let paths: Vec<String> = services.iter().map(|service| place(layout, service)).collect();
    let (first, all) = (paths.first()?, paths.join(", "));
    let kind = (*kind)?;
    let reason = match kind {
        CollisionKind::United => format!("{owner} is the name of {all}: they are one service in DNS"),
        CollisionKind::First => format!("{owner} is the host name of {all}: {first} is served there"),
        CollisionKind::Preceded => {
            format!("{owner} is the name of {all}, which are not united: {first} is served there alone")
        }
        CollisionKind::Server => {
            format!("{owner} is a name server of the zone: its own addresses are served, not those of {all}")
        }
        CollisionKind::Hidden => format!("the zone file has a CNAME at {owner}: {all} is not served there"),
        CollisionKind::Unaliased => {
            format!("the zone file has records at {owner}: the CNAME of {all} is not served there")
        }
        CollisionKind::Cut => {
            let cut = cut.as_ref().map_or_else(|| zone.to_string(), Name::to_string);
            format!("{owner} lies below {cut}, which is another zone or leads elsewhere: {all} is not served there")
        }
    };
    Some(Clash { zone: zone.to_string(), name: owner.to_string(), paths, reason, kind })
}

/// The part that a name's problems are reported under, and they: none when services do not meet there with each other.
pub(super) fn problems(layout: &Layout, zone: &Name, collision: &Collision) -> (String, Vec<Malformed>) {
    let Collision { owner, services, kind, .. } = collision;
    let part = format!("{NAMES}{zone}/{owner}");
    let Some((first, others)) = services.split_first() else { return (part, Vec::new()) };
    let first = place(layout, first);
    let reason = match kind {
        Some(CollisionKind::United) => {
            format!("its name {owner} is also that of `{first}`: they are one service in DNS")
        }
        Some(CollisionKind::First) => {
            format!("its host name {owner} is also that of `{first}`, which is the one shown there")
        }
        _ => return (part, Vec::new()),
    };
    let problem = |other: &Party| Malformed::doubtful(layout.full(&other.path).as_str(), reason.clone());
    (part, others.iter().filter(|other| other.source.is_none()).map(problem).collect())
}

/// The znode of a service; behind the name of its registry, if it is of another one.
fn place(layout: &Layout, service: &Party) -> String {
    match &service.source {
        None => layout.full(&service.path).to_string(),
        Some(registry) => format!("{registry}:{}", service.path),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::format;
    use crate::publish::publisher::Publisher;
    use crate::publish::target::Target;
    use crate::registry::Path;
    use crate::registry::shown::ShownTree;
    use crate::registry::tree::{Entry, Known, Tree};
    use crate::registry::view::Observer;
    use crate::zone::ZoneBuilder;

    fn layout() -> Layout {
        Layout::new(Path::new("/services").unwrap(), format::Config::default())
    }

    fn tree(services: &[&str]) -> ShownTree {
        let known =
            || Entry::Known(Known { data: b"".as_slice().into(), czxid: 1, mzxid: 1, ephemeral_owner: 0, ctime: 0 });
        let paths = (1..).zip(services).flat_map(|(host, service)| {
            let at = format!("/services/{service}");
            [at.clone(), format!("{at}/providers"), format!("{at}/providers/10.0.0.{host}:80")]
        });
        let paths = std::iter::once("/services".to_owned()).chain(paths);
        Tree::of(paths.map(|path| (Path::new(&path).unwrap(), known())).collect::<Vec<_>>()).into()
    }

    /// Publishes each of these registries in turn. Gives what is wrong with the last, and who is at `name` there.
    fn published(name: &str, registries: &[&[&str]]) -> (Vec<(String, String)>, Vec<u8>) {
        let writer = Arc::new(Mutex::new(ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build()));
        let target = Target::new(5, Arc::clone(&writer));
        let mut publisher = Publisher::new(layout(), vec![target], Duration::from_secs(60));
        let mut before = BTreeSet::new();
        for services in registries {
            let tree = tree(services);
            let paths: BTreeSet<Path> = tree.tree().iter().map(|(path, _)| path.clone()).collect();
            publisher.publish(&tree, &before.union(&paths).cloned().collect());
            before = paths;
        }
        let problems = publisher.problems().all().into_iter().map(|one| (one.path, one.reason)).collect();
        let live = writer.lock().unwrap().live();
        let set = live.get(Name::parse(name).unwrap().wire()).and_then(|entry| entry.set(1));
        let hosts = set.map(|set| set.iter().map(|rdata| rdata[3]).collect());
        (problems, hosts.unwrap_or_default())
    }

    fn problem(path: &str, reason: &str) -> (String, String) {
        (path.to_owned(), reason.to_owned())
    }

    #[test]
    fn services_that_differ_only_in_case_are_one_and_it_is_told_with_both_paths() {
        let (problems, hosts) = published("api.service", &[&["api", "API"]]);
        assert_eq!(hosts, [1, 2]);
        let reason = "differs only in case from `api`: they are one service in DNS";
        assert_eq!(problems, [problem("/services/API", reason)]);
    }

    #[test]
    fn of_two_with_one_host_name_the_first_shows_and_it_is_told_with_both_paths() {
        let reason = "its host name a-b.service. is also that of `/services/a.b`, which is the one shown there";
        for registries in
            [&[&["a_b", "a.b"][..]][..], &[&["a_b"], &["a_b", "a.b"]], &[&["a_b", "a.b", "a-b"], &["a_b", "a.b"]]]
        {
            let (problems, hosts) = published("a-b.service", registries);
            assert_eq!((problems, hosts), (vec![problem("/services/a_b", reason)], vec![2]), "{registries:?}");
        }
    }

    #[test]
    fn who_has_a_name_alone_is_not_complained_of() {
        for registries in
            [&[&["a_b", "a.b"][..], &["a_b"]][..], &[&["a_b", "a.b", "a-b"]], &[&["a_b", "a.b"], &["a-b", "a_b"]]]
        {
            assert_eq!(published("a-b.service", registries).0, [], "{registries:?}");
        }
    }

    /// A name of 63 bytes may be what a longer one is cut to.
    #[test]
    fn two_with_one_exact_name_are_one_service_and_it_is_told_with_both_paths() {
        let long = "x".repeat(63) + "1";
        let cut = "x".repeat(46) + "-b96a21cbb56d574a";
        let (problems, hosts) = published(&format!("{cut}.service"), &[&[&long, &cut]]);
        assert_eq!(hosts, [1, 2]);
        let reason = format!("its name {cut}.service. is also that of `/services/{cut}`: they are one service in DNS");
        assert_eq!(problems, [problem(&format!("/services/{long}"), &reason)]);
    }
}
