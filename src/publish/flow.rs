//! The way of a batch through the stages, and what time alone brings about.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use tracing::{info, warn};

use super::assemble::{FEW, narrow};
use super::clock::unix_now;
use super::core::Core;
use super::guard::ServiceCount;
use super::reading::Reading;
use super::touched::{ReadOf, Touched};
use crate::model::Harm;
use crate::registry::Path;
use crate::registry::shown::ShownTree;

impl Core {
    /// Brings the services into the zones that these changes, or all znodes, touch.
    pub(super) fn publish(&mut self, tree: &ShownTree, changed: Option<&BTreeSet<Path>>) {
        self.take_wishes(tree);
        let touched = self.touched(tree, changed).into_iter().collect();
        let touched = self.judged(tree, touched, Instant::now());
        self.assemble(tree, touched);
        if !self.look(tree, Instant::now()) {
            self.commit();
        }
        // Names that are seen through links to elsewhere must not be denied before those were read.
        if !self.complete && tree.is_complete() {
            self.complete = true;
            let (lost, doubtful) = (self.problems.of(Harm::Lost, 0).0, self.problems.of(Harm::Doubtful, 0).0);
            info!(root = %self.layout.root, znodes = tree.tree().len(), lost, doubtful, "the registry is in DNS");
            self.freshness(self.freshness);
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

    /// Those of the services that the guard lets be shown as they are, each with what was read of it for that.
    fn judged(&mut self, tree: &ShownTree, touched: Vec<String>, now: Instant) -> Vec<Touched> {
        // Before all was shown once there is nothing to go on with.
        let Some(mut guard) = self.guard.take_if(|_| self.complete) else {
            return touched.into_iter().map(Touched::later).collect();
        };
        // Of very many not all readings are held at once: those are read again on threads.
        let is_few = touched.len() < FEW;
        let mut readings: HashMap<String, Option<Box<Reading>>> = HashMap::new();
        let left = touched.into_iter().map(|service| {
            let reading = self.read(tree, &service, unix_now());
            let instances = reading.as_ref().map_or(0, |reading| narrow(reading.service.instances.len()));
            let exists = reading.is_some();
            if is_few {
                readings.insert(service.clone(), reading.map(Box::new));
            }
            ServiceCount { service, instances, exists }
        });
        let left = left.collect();
        let before = guard.report();
        let passed = guard.judge(now, left);
        let after = guard.report();
        if after.trips > before.trips {
            let (root, services, instances) = (&self.layout.root, after.held.len(), after.instances);
            warn!(%root, services, instances, "a storm of removals: the guard holds it back, and answers go on as they were");
        } else if before.until.is_some() && after.until.is_none() {
            info!(root = %self.layout.root, "what the guard held back is there again");
        }
        self.guard = Some(guard);
        let touched = passed.into_iter().map(|folded| {
            let read = readings.remove(&folded).map_or(ReadOf::Later, ReadOf::Done);
            Touched { folded, read }
        });
        touched.collect()
    }

    /// Takes what was asked for and what zones have come to say; parts that cannot be read grow old.
    pub(super) fn tick(&mut self, tree: &ShownTree, now: Instant) {
        if self.complete {
            self.look(tree, now);
        }
        self.take_wishes(tree);
        // A zone file is read without anything being published.
        self.tell_collisions();
        self.telling.tell(now);
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

    use super::super::guard::Config;
    use super::super::layout::Layout;
    use super::super::publisher::Publisher;
    use super::super::read::READS;
    use super::super::target::Target;
    use super::*;
    use crate::format;
    use crate::registry::tree::{Entry, Known, Tree};
    use crate::registry::view::Observer;
    use crate::zone::ZoneBuilder;
    use crate::zone::name::Name;

    #[test]
    fn each_service_of_a_change_is_read_once_though_the_guard_judges_it_first() {
        let writer = Arc::new(Mutex::new(ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build()));
        let layout = Layout { root: Path::new("/services").unwrap(), format: format::Config::default() };
        let publisher = Publisher::new(layout, vec![Target::new(5, writer)], Duration::from_secs(60));
        let mut publisher = publisher.guarded(Some(Config::default()));
        let known = || Entry::Known(Known { data: b"".as_slice().into(), czxid: 1, mzxid: 1, ephemeral_owner: 0 });
        let paths = ["", "/a", "/a/10.0.0.1:80", "/b", "/b/10.0.0.2:80", "/c"];
        let path = |below: &&str| Path::new(&format!("/services{below}")).unwrap();
        let tree = ShownTree::from(Tree::of(paths.iter().map(|at| (path(at), known())).collect::<Vec<_>>()));
        publisher.publish(&tree, &paths.iter().map(path).collect());
        READS.take();
        publisher.publish(&tree, &["/a", "/a/10.0.0.1:80", "/b"].iter().map(path).collect());
        assert_eq!(READS.take(), ["a", "b"]);
    }
}
