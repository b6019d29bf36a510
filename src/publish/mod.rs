//! The only door between the two halves: changes of the mirrored tree in, commits of zones out.
//!
//! A batch of changed paths becomes a set of services, each is read whole from the tree and built anew, and each zone
//! commits once. What is read and built is a function of the tree alone, so a batch may hold more than changed.
//!
//! Services whose paths differ only in case are one service in DNS: their instances are united. [`meetings`] tells of
//! those that have a name in common otherwise.

mod assemble;
pub mod census;
mod convention;
pub mod drains;
pub mod explain;
mod freshness;
pub mod guard;
mod holding;
mod home;
mod hosts;
pub mod meetings;
pub mod past;
pub mod problems;
pub mod reading;
pub mod registry;
pub mod resolver;
pub(crate) mod target;
mod telling;
pub mod unread;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::model::{Harm, Malformed};
use crate::registry::Path;
use crate::registry::cache::Notes;
use crate::registry::grouping::Together;
use crate::registry::links::Linking;
use crate::registry::root::MissingRoot;
use crate::registry::shown::ShownTree;
use crate::registry::view::{Freshness, Observer};
use crate::zone;
use crate::zone::Zone;
use crate::zone::name::Name;
use assemble::narrow;
use census::Census;
use drains::Drains;
use explain::View;
use guard::{Guard, Left, SharedAlarm};
use holding::Holding;
use hosts::{Hosts, Outcome};
use meetings::Clashes;
use past::{Past, Wishes};
use problems::Problems;
use reading::Reading;
use registry::Layout;
pub use target::{SharedWriter, Target};
use telling::Telling;
use unread::{Unread, Wording};

/// Keeps the zones of one registry equal to what its tree says. Cheap to clone: the mirror's driver has one, and the
/// resolver of host names another. Whoever has locked it may not wait for the tree.
#[derive(Debug, Clone)]
pub struct Publisher {
    core: Arc<Mutex<Core>>,
    /// The core's.
    drains: Drains,
    census: Census,
    /// What the guard holds back, where there is one.
    alarm: Option<SharedAlarm>,
}

#[derive(Debug)]
struct Core {
    layout: Layout,
    targets: Vec<Target>,
    max_stale: Duration,
    problems: Problems,
    /// What of them is to be told.
    telling: Telling,
    census: Census,
    clashes: Clashes,
    /// Spellings of service paths other than in lower case, by the lower case.
    spellings: BTreeMap<String, BTreeSet<String>>,
    hosts: Hosts,
    /// Whose transfers wait for the hosts' addresses.
    holding: Holding,
    drains: Drains,
    /// Zones whose names are not looked up elsewhere: our own.
    own: Vec<Name>,
    /// Those of them that are filled by their files alone.
    files: Vec<Arc<Zone>>,
    /// Number of times that links had been followed when those that lead nowhere were reported.
    followed: u64,
    /// Everything was read once, what links lead to included.
    complete: bool,
    /// What was said last of how fresh the view is.
    freshness: Freshness,
    /// Who holds storms of removals back.
    guard: Option<Guard>,
    /// What cannot be read.
    unread: Unread,
    /// Services that were deleted lately.
    past: Past,
    /// Services that this process registers, by their paths below the root.
    registered: BTreeSet<String>,
    /// What a reload has changed and is not taken yet; how often that was; and as of when the zones know names.
    wishes: Option<Wishes>,
    wished: u64,
    known_as_of: (u64, u64, u64),
}

impl Publisher {
    /// A publisher of a registry into `targets`; answers live for `max_stale` without contact to ZooKeeper.
    pub fn new(layout: Layout, targets: Vec<Target>, max_stale: Duration) -> Self {
        let (drains, census) = (Drains::default(), Census::default());
        let core = Core {
            own: targets.iter().map(Target::origin).collect(),
            targets,
            files: Vec::new(),
            max_stale,
            problems: Problems::default(),
            telling: Telling::default(),
            census: census.clone(),
            clashes: Clashes::default(),
            spellings: BTreeMap::new(),
            hosts: Hosts::new(max_stale),
            holding: Holding::default(),
            drains: drains.clone(),
            followed: 0,
            complete: false,
            freshness: Freshness::Loading,
            guard: None,
            unread: Unread::default(),
            past: Past::default(),
            registered: BTreeSet::new(),
            wishes: None,
            wished: 0,
            known_as_of: (0, u64::MAX, 0),
            layout,
        };
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

    /// What the guard holds back, kept current; none without a guard.
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

    /// How many services and instances it shows, kept current.
    pub fn census(&self) -> Census {
        self.census.clone()
    }

    /// The names that its services do not have to themselves, kept current.
    pub fn clashes(&self) -> Clashes {
        self.lock().clashes.clone()
    }

    /// How its zones show the registry now.
    pub fn views(&self) -> Vec<View> {
        let core = self.lock();
        let hosts = Arc::new(core.hosts.known().clone());
        let view = |target| View::new(target, Arc::clone(&hosts), core.known_names(target));
        core.targets.iter().map(view).collect()
    }

    /// Hosts to look up now, at most `limit`.
    fn due(&self, now: Instant, limit: usize) -> Vec<String> {
        self.lock().hosts.take_due(now, limit)
    }

    /// Takes the outcome of a look-up into the zones.
    fn resolved(&self, tree: &ShownTree, host: &str, outcome: Outcome, now: Instant) {
        let mut core = self.lock();
        let changed = core.hosts.answered(host, outcome, now);
        if !changed.is_empty() {
            core.rebuild(tree, changed);
            core.commit();
        }
        core.release_transfers(now);
    }

    /// When the next drain ends, in seconds since 1970, now and from now on.
    pub(in crate::publish) fn next_end(&self) -> watch::Receiver<Option<u64>> {
        self.drains.next_end()
    }

    /// Brings back what was drained until `now` or before.
    fn end_drains(&self, tree: &ShownTree, now: u64) {
        let mut core = self.lock();
        let services = core.drains.take_ended(now);
        if !services.is_empty() {
            core.rebuild(tree, services);
            core.commit();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// The services that a batch of changed paths touches, in lower case; without any, all that there are.
    fn touched(&mut self, tree: &ShownTree, changed: Option<&BTreeSet<Path>>) -> BTreeSet<String> {
        if self.followed != tree.followed() {
            self.followed = tree.followed();
            let malformed = |(path, reason): &(Path, String)| Malformed::lost(path.as_str(), reason.clone());
            self.report(LINKS, tree.broken().iter().map(malformed).collect());
        }
        let services = changed.map_or_else(|| self.layout.paths(tree), |changed| self.layout.services_of(changed));
        let mut touched = BTreeSet::new();
        for service in services {
            let folded = service.to_ascii_lowercase();
            if folded != service {
                self.spellings.entry(folded.clone()).or_default().insert(service);
            }
            touched.insert(folded);
        }
        touched
    }

    /// Reads all that DNS takes for the service `folded`; none when there is no such thing.
    fn read(&self, tree: &ShownTree, folded: &str, now: u64) -> Option<Reading> {
        let spellings = self.spellings.get(folded).into_iter().flatten().map(String::as_str);
        let mut readings = std::iter::once(folded).chain(spellings).filter_map(|one| self.layout.read(tree, one, now));
        let mut united = readings.next()?;
        for other in readings {
            let reason = format!("differs only in case from `{}`: they are one service in DNS", united.service.path);
            united.malformed.push(Malformed::doubtful(self.layout.full(&other.service.path).as_str(), reason));
            united.unite(other);
        }
        Some(united)
    }

    fn commit(&mut self) {
        self.hold_transfers(Instant::now());
        self.follow_past();
        for target in &self.targets {
            let mut writer = target.lock();
            if let Some(commit) = writer.commit(unix_now()) {
                self.census.changed(Instant::now());
                let (zone, names) = (writer.zone().origin(), commit.changes.len() - 1);
                debug!(%zone, serial = commit.serial, names, "published");
            }
        }
        self.tell_meetings();
        self.telling.tell(Instant::now());
    }

    /// Tells of names that services have come to share, with each other or with a zone file, since this was last done.
    fn tell_meetings(&self) {
        for target in &self.targets {
            let (zone, meetings) = {
                let mut writer = target.lock();
                (writer.zone().origin().clone(), writer.source(target.source).take_meetings())
            };
            for meeting in meetings {
                let clash = meetings::clash(&self.layout, &zone, &meeting);
                let (part, malformed) = meetings::problems(&self.layout, &zone, &meeting);
                let is_news = self.clashes.replace(&zone, &meeting.owner, clash.as_ref());
                // Where services alone are to blame, that is the warning.
                if let Some(clash) = clash.filter(|_| is_news && malformed.is_empty()) {
                    warn!(%zone, reason = clash.reason, "a name is taken");
                }
                self.report(&part, malformed);
            }
        }
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

    fn together(&self) -> Arc<dyn Together> {
        Arc::new(self.lock().layout.clone())
    }

    fn restore(&mut self, tree: &ShownTree) {
        self.lock().restore(tree);
    }

    fn freshness(&mut self, freshness: Freshness) {
        self.lock().freshness(freshness);
    }

    fn tick(&mut self, tree: &ShownTree, now: Instant) {
        self.lock().tick(tree, now);
    }
}

impl Core {
    /// Brings the services into the zones that these changes, or all znodes, touch.
    fn publish(&mut self, tree: &ShownTree, changed: Option<&BTreeSet<Path>>) {
        self.take_wishes(tree);
        let touched = self.touched(tree, changed).into_iter().collect();
        let touched = self.judged(tree, touched, Instant::now());
        self.rebuild(tree, touched);
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

    /// Those of the services that the guard lets be shown as they are.
    fn judged(&mut self, tree: &ShownTree, touched: Vec<String>, now: Instant) -> Vec<String> {
        // Before all was shown once there is nothing to go on with.
        let Some(mut guard) = self.guard.take_if(|_| self.complete) else { return touched };
        let left = touched.into_iter().map(|service| {
            let reading = self.read(tree, &service, unix_now());
            let instances = reading.as_ref().map_or(0, |reading| narrow(reading.service.instances.len()));
            Left { service, instances, exists: reading.is_some() }
        });
        let before = guard.report();
        let passed = guard.judge(now, left.collect());
        let after = guard.report();
        if after.trips > before.trips {
            let (root, services, instances) = (&self.layout.root, after.held.len(), after.instances);
            warn!(%root, services, instances, "a storm of removals: the guard holds it back, and answers go on as they were");
        } else if before.until.is_some() && after.until.is_none() {
            info!(root = %self.layout.root, "what the guard held back is there again");
        }
        self.guard = Some(guard);
        passed
    }

    /// Lets through what the guard has held back for long enough, while the registry is followed. Parts that cannot be
    /// read grow old.
    fn tick(&mut self, tree: &ShownTree, now: Instant) {
        if self.complete {
            self.look(tree, now);
        }
        self.take_wishes(tree);
        self.release_transfers(now);
        // A zone file is read without anything being published.
        self.tell_meetings();
        self.telling.tell(now);
        self.past.expire(unix_now());
        if self.known_as_of != (self.past.changes(), self.wished, self.unread.empty_as_of()) {
            self.commit();
        }
        self.follow_home(tree);
        if self.freshness != Freshness::Fresh {
            return;
        }
        let due = self.guard.as_mut().map(|guard| guard.due(now)).unwrap_or_default();
        if !due.is_empty() {
            warn!(root = %self.layout.root, services = due.len(), "the guard lets the removals through that it held back");
            self.rebuild(tree, due);
            self.commit();
        }
    }

    fn restore(&mut self, tree: &ShownTree) {
        self.publish(tree, None);
        self.hosts.forget_restored();
        self.complete = true;
    }
}

/// The part of the registry under which broken links are reported. No path of a service begins with a slash.
const LINKS: &str = "/links";

/// Seconds since 1970, for serials.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
