//! The publisher of one registry, as the mirror's driver, the resolver and those who look at it have it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::census::Census;
use super::collisions::Clashes;
use super::core::Core;
use super::drains::Drains;
use super::events::Events;
use super::events::feed::Feed;
use super::guard::{self, Guard, SharedAlarm};
use super::hosts::LookupOutcome;
use super::known::names_of;
use super::layout::Layout;
use super::past::Wishes;
use super::problems::Problems;
use super::target::{Target, TargetState};
use super::unread::Wording;
use crate::registry::cache::Notes;
use crate::registry::grouping::Grouping;
use crate::registry::links::Linking;
use crate::registry::placed::Placing;
use crate::registry::root::MissingRoot;
use crate::registry::selection::Selection;
use crate::registry::shown::ShownTree;
use crate::registry::view::{Contact, Freshness, Observer};
use crate::registry::withdrawn::Withdrawn;
use crate::registry::{Path, ReaderName};
use crate::zone;
use crate::zone::Zone;
use crate::zone::name::Name;
use crate::zone::records::label;
use std::collections::BTreeSet;
use tokio::sync::watch;

/// Keeps the zones of one registry equal to what its tree says. Cheap to clone: the mirror's driver has one, and the
/// resolver of host names another. Whoever has locked it may not wait for the tree.
#[derive(Debug, Clone)]
pub struct Publisher {
    core: Arc<Mutex<Core>>,
    /// The core's.
    drains: Drains,
    census: Census,
    /// Losses that the guard holds back, where there is one.
    alarm: Option<SharedAlarm>,
}

impl Publisher {
    /// A publisher of a registry into `targets`; answers live for `max_stale` without contact to ZooKeeper.
    pub fn new(layout: Layout, targets: Vec<Target>, max_stale: Duration) -> Self {
        let core = Core::new(layout, targets, max_stale);
        let (drains, census) = (core.drains.clone(), core.census.clone());
        Self { core: Arc::new(Mutex::new(core)), drains, census, alarm: None }
    }

    /// Also never looks up hosts in these zones, which this server answers for.
    pub fn never_ask(self, own: impl IntoIterator<Item = Name>) -> Self {
        self.lock().own.extend(own);
        self
    }

    /// Looks up hosts in these zones, too, which have nothing but what their files say.
    pub fn with_files(self, files: impl IntoIterator<Item = Arc<Zone>>) -> Self {
        self.lock().files.extend(files);
        self
    }

    /// Holds storms of removals back as `config` says.
    pub fn guarded(self, config: Option<guard::Config>) -> Self {
        let guard = config.map(Guard::new);
        let alarm = guard.as_ref().map(Guard::alarm);
        self.lock().guard = guard;
        Self { alarm, ..self }
    }

    /// Tells `events` of what changes in the registry called `name`; `withdrawn` are the nodes that this process takes
    /// out.
    pub fn telling(self, events: Events, name: ReaderName, withdrawn: Withdrawn) -> Self {
        self.lock().feed = Some(Feed::new(events, name, withdrawn));
        self
    }

    /// Takes a root that was never seen for `missing_root`, and says with `wording` what cannot be read.
    pub fn unread(self, missing_root: MissingRoot, wording: Wording) -> Self {
        let mut core = self.lock();
        (core.unread.missing_root, core.unread.wording) = (missing_root, wording);
        drop(core);
        self
    }

    /// Takes what the configuration says of names that are known without a znode, and of hosts without an address; at
    /// the start before anything is published, and later within about a second.
    pub fn take(&self, wishes: Wishes) {
        self.lock().wishes = Some(wishes);
    }

    /// Losses that the guard holds back, kept current; `None` without a guard.
    pub fn alarm(&self) -> Option<&SharedAlarm> {
        self.alarm.as_ref()
    }

    /// The registry's drains, kept current.
    pub fn drains(&self) -> Drains {
        self.drains.clone()
    }

    /// The registry's malformed nodes, kept current.
    pub fn problems(&self) -> Problems {
        self.lock().problems.clone()
    }

    /// Numbers of services and instances that it shows, kept current.
    pub fn census(&self) -> Census {
        self.census.clone()
    }

    /// The names that its services do not have to themselves, kept current.
    pub fn clashes(&self) -> Clashes {
        self.lock().clashes.clone()
    }

    /// Returns how the zone at `origin` shows the registry now; `None` if it does not.
    pub fn state_of(&self, origin: &Name) -> Option<TargetState> {
        let core = self.lock();
        let target = core.targets.iter().find(|target| target.origin() == *origin)?;
        Some(TargetState::new(target, Arc::new(core.hosts.known().clone()), core.known_names(target)))
    }

    /// Hosts to look up now, at most `limit`.
    pub(super) fn due(&self, now: Instant, limit: usize) -> Vec<String> {
        self.lock().hosts.take_due(now, limit)
    }

    /// Takes the outcome of a look-up into the zones.
    pub(super) fn resolved(&self, tree: &ShownTree, host: &str, outcome: LookupOutcome, now: Instant) {
        let mut core = self.lock();
        let changed = core.hosts.answered(host, outcome, now);
        if !changed.is_empty() {
            core.rebuild(tree, changed);
            core.commit();
        }
        core.release_transfers(now);
    }

    /// Time at which the next drain ends, in seconds since 1970, now and from now on.
    pub(super) fn next_end(&self) -> watch::Receiver<Option<u64>> {
        self.drains.next_end()
    }

    /// Brings back what was drained until `now` or before.
    pub(super) fn end_drains(&self, tree: &ShownTree, now: u64) {
        let mut core = self.lock();
        let services = core.drains.take_ended(now);
        if !services.is_empty() {
            core.rebuild(tree, services);
            core.commit();
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publisher {
    /// The DNS names of the service at `path` below the root: those that zones have now, or else those that it would
    /// have.
    pub fn names(&self, path: &str) -> Vec<Name> {
        let folded = path.to_ascii_lowercase();
        let core = self.lock();
        let mut names = Vec::new();
        for target in core.targets.iter().filter(|target| target.reverse_of.is_empty()) {
            let before = names.len();
            names.extend(Core::names_before(target, &folded));
            if names.len() == before
                && let Some(path) = target.shown(&folded)
            {
                names.extend(names_of(&target.origin(), &path, core.layout.format.are_dots_borders()));
            }
        }
        names
    }
}

impl Publisher {
    /// Returns whether the service at `path` below the root is held in all zones that have it, as another source that
    /// goes first has one of that name.
    pub fn is_preceded(&self, path: &str) -> bool {
        let folded = path.to_ascii_lowercase();
        let core = self.lock();
        let forward = core.targets.iter().filter(|target| target.reverse_of.is_empty());
        let mut held = forward.filter_map(|target| {
            let (key, mut writer) = (target.placed(&folded), target.lock());
            let source = writer.source(target.source);
            source.has(&key).then(|| source.is_held(&key))
        });
        held.next().is_some_and(|first| first && held.all(|one| one))
    }

    /// The time to live of the first zone that shows the service at `path` below the root, in seconds.
    pub fn ttl(&self, path: &str) -> Option<u32> {
        let folded = path.to_ascii_lowercase();
        let core = self.lock();
        let mut forward = core.targets.iter().filter(|target| target.reverse_of.is_empty());
        forward.find(|target| target.shown(&folded).is_some()).map(|target| target.ttl)
    }

    /// The name of the service itself at `path` below the root, in each zone that shows that part of the registry.
    pub fn owners(&self, path: &str) -> Vec<Name> {
        let folded = path.to_ascii_lowercase();
        let core = self.lock();
        let forward = core.targets.iter().filter(|target| target.reverse_of.is_empty());
        forward.filter_map(|target| label::owner(&target.origin(), &target.shown(&folded)?).ok()).collect()
    }
}

impl Observer for Publisher {
    fn publish(&mut self, tree: &ShownTree, changed: &BTreeSet<Path>) {
        self.lock().publish(tree, Some(changed));
    }

    fn unread(&self) -> Vec<Path> {
        self.lock().unread.paths()
    }

    fn is_expired(&self) -> bool {
        let is_expired = |target: &Target| target.lock().source(target.source).freshness() == zone::Freshness::Expired;
        self.lock().targets.iter().any(is_expired)
    }

    fn notes(&self) -> Option<Notes> {
        let core = Arc::clone(&self.core);
        Some(Arc::new(move || core.lock().unwrap_or_else(PoisonError::into_inner).notes()))
    }

    fn noted(&self) -> u64 {
        let core = self.lock();
        core.hosts.changes().wrapping_add(core.past.changes()).wrapping_add(core.unread.changes())
    }

    fn recall(&mut self, notes: &[u8]) {
        self.lock().recall(notes);
    }

    fn linking(&self) -> Arc<dyn Linking> {
        Arc::new(self.lock().layout.clone())
    }

    fn placing(&self) -> Option<Arc<dyn Placing>> {
        let layout = self.lock().layout.clone();
        layout.format.is_placed().then(|| Arc::new(layout) as Arc<dyn Placing>)
    }

    fn selection(&self) -> Arc<dyn Selection> {
        Arc::new(self.lock().layout.clone())
    }

    fn grouping(&self) -> Arc<dyn Grouping> {
        Arc::new(self.lock().layout.clone())
    }

    fn restore(&mut self, tree: &ShownTree) {
        self.lock().restore(tree);
    }

    fn contact(&mut self, contact: Contact<'_>) {
        self.lock().contact(contact);
    }

    fn freshness(&mut self, freshness: Freshness) {
        self.lock().freshness(freshness);
    }

    fn tick(&mut self, tree: &ShownTree, now: Instant) {
        self.lock().tick(tree, now);
    }
}
