//! The way of a batch through the stages, and what time alone brings about.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Instant;

use tracing::{info, warn};

use super::assemble::FEW;
use super::clock::unix_now;
use super::core::Core;
use super::guard::ServiceCount;
use super::many::Assembled;
use super::touched::{ReadOf, Touched};
use crate::model::Harm;
use crate::registry::Path;
use crate::registry::shown::ShownTree;

impl Core {
    /// Brings the services into the zones that these changes, or all znodes, touch.
    pub(super) fn publish(&mut self, tree: &ShownTree, changed: Option<&BTreeSet<Path>>) {
        self.take_wishes(tree);
        let touched = self.touched(tree, changed).into_iter().collect();
        // Of what follows, instances are told of before their services, and all of it after the commit.
        self.hold_events(true);
        self.assemble_judged(tree, touched, Instant::now());
        if !self.look(tree, Instant::now()) {
            self.commit();
        }
        self.hold_events(false);
        self.tell_changes(tree, changed);
        // Names that are seen through links to elsewhere must not be denied before those were read.
        if !self.complete && tree.is_complete() {
            self.complete = true;
            let (lost, doubtful) = (self.problems.of(Harm::Lost, 0).0, self.problems.of(Harm::Doubtful, 0).0);
            info!(root = %self.layout.root, znodes = tree.tree().len(), lost, doubtful, "the registry is in DNS");
            self.freshness(self.freshness);
            self.tell_read(changed.is_none());
        }
        self.follow_home(tree);
    }

    /// Brings services whose hosts are names of our own up to what the zones have of those.
    fn follow_home(&mut self, tree: &ShownTree) {
        let changed = self.look_at_home();
        if !changed.is_empty() {
            self.rebuild(tree, changed);
            self.commit();
        }
    }

    /// Brings a batch into the zones, each service as the guard decides on it.
    fn assemble_judged(&mut self, tree: &ShownTree, touched: Vec<String>, now: Instant) {
        // Before all was shown once there is nothing to go on with.
        let Some(guard) = self.guard.take_if(|_| self.complete) else {
            return self.rebuild(tree, touched);
        };
        let touched: Vec<Touched> = touched.into_iter().map(Touched::later).collect();
        if touched.len() >= FEW {
            let Assembled { built, losing, counts } = self.assemble_on_threads(tree, touched, Some(&guard));
            self.guard = Some(guard);
            let passed: HashSet<String> = self.judge(counts, now).into_iter().collect();
            let passed = losing.into_iter().filter(|one| passed.contains(&one.folded)).collect();
            let more = self.assemble_on_threads(tree, passed, None).built;
            return self.keep(built.into_iter().chain(more));
        }
        let mut readings: HashMap<String, Touched> = HashMap::new();
        let counts = touched.into_iter().map(|one| {
            let reading = self.read(tree, &one.folded, unix_now());
            let count = ServiceCount::of(&one.folded, reading.as_ref());
            readings.insert(one.folded.clone(), Touched { read: ReadOf::Done(reading.map(Box::new)), ..one });
            count
        });
        let counts = counts.collect();
        self.guard = Some(guard);
        let passed = self.judge(counts, now).into_iter().filter_map(|service| readings.remove(&service)).collect();
        self.assemble(tree, passed);
    }

    /// Asks the guard about services, and tells of it if it has tripped or is done. Returns those that are to be shown
    /// as they are.
    fn judge(&mut self, counts: Vec<ServiceCount>, now: Instant) -> Vec<String> {
        let Some(guard) = &mut self.guard else { return Vec::new() };
        let before = guard.report();
        let passed = guard.judge(now, counts);
        let after = guard.report();
        if after.trips > before.trips {
            let (root, services, instances) = (&self.layout.root, after.held.len(), after.instances);
            warn!(%root, services, instances, "a storm of removals: the guard holds it back, and answers go on as they were");
        } else if before.until.is_some() && after.until.is_none() {
            info!(root = %self.layout.root, "what the guard held back is there again");
        }
        passed
    }

    /// Takes what was asked for and what zones have come to say; parts that cannot be read grow old.
    pub(super) fn tick(&mut self, tree: &ShownTree, now: Instant) {
        if self.complete {
            self.look(tree, now);
        }
        self.take_wishes(tree);
        self.look_as_a_stranger(tree, now);
        // A zone file is read without anything being published.
        self.tell_collisions();
        self.telling.tell(now);
        self.tick_events(tree, now);
        self.past.expire(unix_now());
        if self.known_as_of != (self.past.changes(), self.wished, self.unread.empty_as_of()) {
            self.commit();
        }
        self.follow_home(tree);
    }

    pub(super) fn restore(&mut self, tree: &ShownTree) {
        self.publish(tree, None);
        self.hosts.forget_restored();
        self.complete = true;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::format;
    use crate::publish::guard::Config;
    use crate::publish::layout::Layout;
    use crate::publish::publisher::Publisher;
    use crate::publish::target::Target;
    use crate::registry::tree::{Entry, Known, Tree};
    use crate::registry::view::Observer;
    use crate::zone::ZoneBuilder;
    use crate::zone::name::Name;
    use crate::zone::record::rtype;

    #[test]
    fn each_service_of_a_change_is_read_once_though_the_guard_judges_it_first() {
        let writer = Arc::new(Mutex::new(ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build()));
        let layout = Layout::new(Path::new("/services").unwrap(), format::Config::default());
        let publisher = Publisher::new(layout, vec![Target::new(5, writer)], Duration::from_secs(60));
        let mut publisher = publisher.guarded(Some(Config::default()));
        let known =
            || Entry::Known(Known { data: b"".as_slice().into(), czxid: 1, mzxid: 1, ephemeral_owner: 0, ctime: 0 });
        let paths = ["", "/a", "/a/10.0.0.1:80", "/b", "/b/10.0.0.2:80", "/c"];
        let path = |below: &&str| Path::new(&format!("/services{below}")).unwrap();
        let tree = ShownTree::from(Tree::of(paths.iter().map(|at| (path(at), known())).collect::<Vec<_>>()));
        publisher.publish(&tree, &paths.iter().map(path).collect());
        let reads = |publisher: &Publisher| std::mem::take(&mut *publisher.lock().reads.lock().unwrap());
        reads(&publisher);
        publisher.publish(&tree, &["/a", "/a/10.0.0.1:80", "/b"].iter().map(path).collect());
        assert_eq!(reads(&publisher), ["a", "b"]);
    }

    #[test]
    fn each_service_of_a_large_change_is_read_once_whether_the_guard_lets_it_through_or_not() {
        let services = 3 * FEW;
        let paths = |instances: &dyn Fn(usize) -> usize| {
            let of = |i| (0..instances(i)).map(move |n| format!("/s{i}/10.0.0.{n}:80")).chain([format!("/s{i}")]);
            (0..services).flat_map(of).chain([String::new()]).collect::<Vec<String>>()
        };
        let path = |below: &String| Path::new(&format!("/services{below}")).unwrap();
        let tree = |paths: &[String]| {
            let known = || {
                Entry::Known(Known { data: b"".as_slice().into(), czxid: 1, mzxid: 1, ephemeral_owner: 0, ctime: 0 })
            };
            ShownTree::from(Tree::of(paths.iter().map(|at| (path(at), known())).collect::<Vec<_>>()))
        };
        let all = paths(&|_| 4);
        let changed: BTreeSet<Path> = all.iter().map(path).collect();
        // One in three loses an instance of four, or all of them; the others gain or stay as they are.
        for (left, lost) in [(3, 0), (0, services / 3)] {
            let writer = Arc::new(Mutex::new(ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build()));
            let zone = Arc::clone(writer.lock().unwrap().zone());
            let layout = Layout::new(Path::new("/services").unwrap(), format::Config::default());
            let publisher = Publisher::new(layout, vec![Target::new(5, writer)], Duration::from_secs(60));
            let mut publisher = publisher.guarded(Some(Config { percent: 20, ..Config::default() }));
            publisher.publish(&tree(&all), &changed);
            publisher.lock().reads.lock().unwrap().clear();
            publisher.publish(&tree(&paths(&|i| [left, 4, 5][i % 3])), &changed);
            let mut reads = std::mem::take(&mut *publisher.lock().reads.lock().unwrap());
            reads.retain(|service| !service.is_empty());
            assert_eq!(reads.len(), services);
            assert_eq!(reads.into_iter().collect::<BTreeSet<_>>().len(), services);
            assert_eq!(publisher.alarm().unwrap().report().held.len(), lost);
            let instances = |service: &str| {
                let owner = Name::parse(&format!("{service}.service")).unwrap();
                let table = zone.load();
                table
                    .get(owner.wire())
                    .map_or(0, |entry| entry.sets().find(|set| set.rtype == rtype::SRV).map_or(0, |set| set.count))
            };
            let first = if lost == 0 { left } else { 4 };
            assert_eq!([instances("s0"), instances("s1"), instances("s2")], [first, 4, 5]);
        }
    }
}
