//! The only door between the two halves: changes of the mirrored tree in, commits of zones out.
//!
//! A batch of changed paths becomes a set of services, each is read whole from the tree and built anew, and each zone
//! commits once. What is read and built is a function of the tree alone, so a batch may hold more than changed.
//!
//! A service may be seen through zc.zk's links, under several names: [`through`] knows whom a change reaches.
//!
//! Services whose paths differ only in case are one service in DNS: their instances are united. [`meetings`] tells of
//! those that have a name in common otherwise.

pub mod drains;
pub mod explain;
pub mod guard;
mod home;
mod hosts;
mod meetings;
pub mod past;
pub mod registry;
pub mod resolver;
pub mod through;
pub mod unread;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::keeper::Path;
use crate::keeper::cache::Notes;
use crate::keeper::config::MissingRoot;
use crate::keeper::driver::{Freshness, Observer};
use crate::keeper::links::Links;
use crate::keeper::mirror::Together;
use crate::keeper::tree::Tree;
use crate::model::{Drain, Host, Malformed, Service};
use crate::zone;
use crate::zone::Zone;
use crate::zone::build::{self, Context, Offers};
use crate::zone::name::Name;
use crate::zone::unknown::{self, Scope, Unknown};
use crate::zone::writer::ZoneWriter;
use drains::Drains;
use explain::View;
use guard::{Guard, Left, SharedAlarm};
use hosts::{Hosts, Outcome};
use past::{Past, Wishes};
use registry::{Layout, Problems, Reading};
use through::{SharedLinks, Through};
use unread::{Sight, Unread, Wording};

/// A zone's writer, shared by the publisher and by whoever re-reads the zone's file.
pub type SharedWriter = Arc<Mutex<ZoneWriter>>;

/// A zone that is filled from a registry.
#[derive(Debug, Clone)]
pub struct Target {
    /// The part of the registry it shows: a path below the root, empty for all of it.
    pub under: String,
    /// Time to live where nobody says another, in seconds.
    pub ttl: u32,
    /// The forms of its names.
    pub names: zone::records::config::Config,
    /// For a zone of reverse names: the zones that they may point to, with the part of the registry that each shows.
    pub reverse_of: Vec<(String, Name)>,
    /// Its writer.
    pub writer: SharedWriter,
}

impl Target {
    /// A zone of all of a registry, with nothing special.
    pub fn new(ttl: u32, writer: SharedWriter) -> Self {
        let names = zone::records::config::Config::default();
        Self { under: String::new(), ttl, names, reverse_of: Vec::new(), writer }
    }

    fn origin(&self) -> Name {
        self.lock().zone().origin().clone()
    }

    /// What a service at `folded` is built with; none where the zone does not show that part of the registry.
    fn context<'c>(&'c self, origin: &'c Name, hosts: &'c build::Hosts, folded: &str) -> Option<Context<'c>> {
        let mut forward = self.reverse_of.iter().filter(|(under, _)| below(folded, under).is_some());
        let reverse_of = forward.next().map(|(_, origin)| origin);
        let is_shown = below(folded, &self.under).is_some() && (reverse_of.is_some() || self.reverse_of.is_empty());
        is_shown.then(|| Context {
            txt: &self.names.txt,
            host_domain: self.names.host_domain.as_deref(),
            hosts,
            unknown_host: self.names.unknown_host,
            reverse_of,
            ..Context::new(origin, self.ttl)
        })
    }

    fn lock(&self) -> MutexGuard<'_, ZoneWriter> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one service offers.
struct Built {
    /// Its path in lower case.
    folded: String,
    exists: bool,
    /// For each target: the offers, none where the zone does not show that part of the registry.
    offered: Vec<Option<Offers>>,
    malformed: Vec<Malformed>,
    /// The host names to look up for it.
    wanted: BTreeSet<String>,
    /// Its drains that hold.
    drains: Vec<Drain>,
    /// How many instances are registered.
    instances: usize,
    /// The names that it had, where it is gone.
    names: Vec<Name>,
}

/// Services that are built in one go when there are many.
const PIECE: usize = 256;

/// Keeps the zones of one registry equal to what its tree says. Cheap to clone: the mirror's driver has one, and the
/// resolver of host names another. Who has locked the tree may wait for it; nobody who waits for it may hold the links.
#[derive(Debug, Clone)]
pub struct Publisher {
    core: Arc<Mutex<Core>>,
    /// A copy of what is to be mirrored besides the root, for the driver.
    outside: BTreeSet<Path>,
    /// The core's.
    drains: Drains,
    /// What the guard holds back, where there is one.
    alarm: Option<SharedAlarm>,
}

#[derive(Debug)]
struct Core {
    layout: Layout,
    targets: Vec<Target>,
    max_stale: Duration,
    problems: Problems,
    /// Spellings of service paths other than in lower case, by the lower case.
    spellings: BTreeMap<String, BTreeSet<String>>,
    through: Through,
    hosts: Hosts,
    drains: Drains,
    /// Zones whose names are not looked up elsewhere: our own.
    own: Vec<Name>,
    /// Those of them that are filled by their files alone.
    files: Vec<Arc<Zone>>,
    /// What is to be mirrored besides the root.
    outside: BTreeSet<Path>,
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
    known_as_of: (u64, u64),
}

impl Publisher {
    /// A publisher of a registry into `targets`; answers live for `max_stale` without contact to ZooKeeper.
    pub fn new(layout: Layout, targets: Vec<Target>, max_stale: Duration) -> Self {
        let drains = Drains::default();
        let core = Core {
            own: targets.iter().map(Target::origin).collect(),
            targets,
            files: Vec::new(),
            max_stale,
            problems: Problems::default(),
            spellings: BTreeMap::new(),
            through: Through::new(layout.root.clone()),
            hosts: Hosts::default(),
            drains: drains.clone(),
            outside: BTreeSet::new(),
            complete: false,
            freshness: Freshness::Loading,
            guard: None,
            unread: Unread::default(),
            past: Past::default(),
            registered: BTreeSet::new(),
            wishes: None,
            wished: 0,
            known_as_of: (0, u64::MAX),
            layout,
        };
        Self { core: Arc::new(Mutex::new(core)), outside: BTreeSet::new(), drains, alarm: None }
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

    /// Takes what the configuration says of names that are known without a znode, and of hosts without an address; at the
    /// start before anything is published, and later within about a second.
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

    /// The registry's links, kept current.
    pub fn links(&self) -> SharedLinks {
        self.lock().links()
    }

    /// The registry's malformed nodes, kept current.
    pub fn problems(&self) -> Problems {
        self.lock().problems.clone()
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
    fn resolved(&self, tree: &Tree, host: &str, outcome: Outcome, now: Instant) {
        let mut core = self.lock();
        let changed = core.hosts.answered(host, outcome, now);
        if !changed.is_empty() {
            core.rebuild(tree, changed);
            core.commit();
        }
    }

    /// When the next drain ends, in seconds since 1970, now and from now on.
    pub(in crate::publish) fn next_end(&self) -> watch::Receiver<Option<u64>> {
        self.drains.next_end()
    }

    /// Brings back what was drained until `now` or before.
    fn end_drains(&self, tree: &Tree, now: u64) {
        let mut core = self.lock();
        let services = core.drains.take_ended(now);
        if !services.is_empty() {
            core.rebuild(tree, services);
            core.commit();
        }
    }

    fn copy_outside(&mut self) {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        if self.outside != core.outside {
            self.outside.clone_from(&core.outside);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    fn links(&self) -> SharedLinks {
        self.through.links()
    }

    /// The services that a batch of changed paths touches, in lower case; without any, all that there are.
    fn touched(&mut self, tree: &Tree, changed: Option<&BTreeSet<Path>>) -> BTreeSet<String> {
        let (services, broken) = self.through.touched(&self.layout, tree, changed);
        if let Some(broken) = broken {
            self.report(LINKS, broken);
            let links = self.links();
            self.outside.clone_from(links.read().unwrap_or_else(PoisonError::into_inner).outside());
        }
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
    fn read(&self, tree: &Tree, links: &Links, folded: &str, now: u64) -> Option<Reading> {
        let spellings = self.spellings.get(folded).into_iter().flatten().map(String::as_str);
        let mut readings =
            std::iter::once(folded).chain(spellings).filter_map(|one| self.layout.read(tree, links, one, now));
        let mut united = readings.next()?;
        for other in readings {
            let reason = format!("differs only in case from `{}`: they are one service in DNS", united.service.path);
            united.malformed.push(Malformed { path: self.layout.full(&other.service.path).to_string(), reason });
            united.malformed.extend(other.malformed);
            united.service.instances.extend(other.service.instances);
            united.service.defaults.drains.extend(other.service.defaults.drains);
        }
        Some(united)
    }

    /// Brings these services into every zone that shows them. What is read and built of one does not depend on the
    /// others: for the first sight of a large registry that is done on threads.
    fn rebuild(&mut self, tree: &Tree, mut touched: Vec<String>) {
        if let Some(guard) = &self.guard {
            touched.retain(|folded| !guard.holds(folded));
        }
        let origins: Vec<Name> = self.targets.iter().map(Target::origin).collect();
        let now = unix_now();
        let links = self.links();
        let links = links.read().unwrap_or_else(PoisonError::into_inner);
        if touched.len() < PIECE * 2 {
            for folded in touched {
                let built = self.build(tree, &links, &origins, folded, now);
                self.put(built);
            }
            return;
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (next, pieces) = (AtomicUsize::new(0), touched.chunks(PIECE).collect::<Vec<_>>());
        let mut wishes = Vec::with_capacity(touched.len());
        std::thread::scope(|scope| {
            let publisher = &*self;
            let work = || {
                let mut wishes = Vec::new();
                while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let build = |folded: &String| publisher.build(tree, &links, &origins, folded.clone(), now);
                    let mut piece: Vec<Built> = piece.iter().map(build).collect();
                    for (i, target) in publisher.targets.iter().enumerate() {
                        // While one thread has the writer, the others build.
                        for built in piece.iter_mut().filter(|built| !built.exists) {
                            built.names.extend(Self::names_before(target, &built.folded));
                        }
                        let mut writer = target.lock();
                        for built in &mut piece {
                            if let Some(offers) = built.offered.get_mut(i).and_then(Option::take) {
                                writer.put(&built.folded, offers);
                            }
                        }
                        // Where nobody is served yet, what was built is not kept twice until all of it is.
                        writer.prepare();
                    }
                    for Built { folded, exists, malformed, wanted, drains, instances, names, .. } in piece {
                        publisher.report(&folded, malformed);
                        wishes.push((folded, exists, wanted, drains, instances, names));
                    }
                }
                wishes
            };
            let working: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            for thread in working {
                // A panic there is a panic here, as if the work had not been shared out.
                wishes.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
        for (folded, exists, wanted, drains, instances, names) in wishes {
            if exists {
                self.past.remove(&folded);
            } else {
                self.past.add(&folded, now, names);
                self.forget(&folded);
            }
            count(&mut self.guard, &folded, instances);
            self.want(&folded, wanted);
            self.drains.set(&folded, drains);
        }
    }

    /// Reads one service, and builds what it offers in each zone.
    fn build(&self, tree: &Tree, links: &Links, origins: &[Name], folded: String, now: u64) -> Built {
        let reading = self.read(tree, links, &folded, now);
        let exists = match &reading {
            Some(_) => !self.unread.hides(&folded),
            None => self.unread.is_empty(&folded),
        };
        let Reading { service, mut malformed, .. } = reading.unwrap_or_default();
        let mut offered = Vec::with_capacity(self.targets.len());
        for (target, origin) in self.targets.iter().zip(origins) {
            let context = target.context(origin, self.hosts.known(), &folded).zip(below(&folded, &target.under));
            offered.push(context.map(|(context, path)| {
                if !exists {
                    return Offers::default();
                }
                let built = build::build(&context, path, &service).unwrap_or_else(|error| build::Built {
                    offers: Offers::default(),
                    remarks: vec![format!("it cannot be a name in zone {origin}: {error}")],
                });
                let path = self.layout.full(&folded).to_string();
                let remark = |reason| Malformed { path: path.clone(), reason };
                malformed.extend(built.remarks.into_iter().map(remark));
                built.offers
            }));
        }
        let wanted = self.wanted(&folded, &service);
        let instances = service.instances.len();
        Built {
            folded,
            exists,
            offered,
            malformed,
            wanted,
            drains: service.defaults.drains,
            instances,
            names: Vec::new(),
        }
    }

    fn put(&mut self, built: Built) {
        if !built.exists {
            self.forget(&built.folded);
        }
        self.want(&built.folded, built.wanted.clone());
        self.drains.set(&built.folded, built.drains.clone());
        count(&mut self.guard, &built.folded, built.instances);
        self.offer(built);
    }

    /// Hands what was built to the zones, and tells what is wrong.
    fn offer(&mut self, Built { folded, offered, malformed, exists, .. }: Built) {
        if exists {
            self.past.remove(&folded);
        } else {
            let names: Vec<Name> = self.targets.iter().flat_map(|target| Self::names_before(target, &folded)).collect();
            self.past.add(&folded, unix_now(), names);
        }
        for (target, offered) in self.targets.iter().zip(offered) {
            if let Some(offers) = offered {
                target.lock().put(&folded, offers);
            }
        }
        self.report(&folded, malformed);
    }

    /// There is no service of that name any more, in any spelling.
    fn forget(&mut self, folded: &str) {
        if !self.unread.hides(folded) && self.targets.iter().any(|target| target.lock().has(folded)) {
            self.unread.went(folded, Instant::now());
        }
        self.through.gone(folded);
        for spelling in self.spellings.remove(folded).into_iter().flatten() {
            self.through.gone(&spelling);
        }
    }

    /// Replaces what is known to be wrong with `part` of the registry, and tells what is new in it.
    fn report(&self, part: &str, malformed: Vec<Malformed>) {
        for Malformed { path, reason } in self.problems.replace(part, malformed) {
            warn!(path, reason, "a registry node is malformed");
        }
    }

    /// The host names to look up for a service.
    fn wanted(&self, folded: &str, service: &Service) -> BTreeSet<String> {
        let hosts = service.instances.iter().flat_map(|instance| {
            let ports = instance.ports.iter().map(|(_, endpoint)| endpoint);
            std::iter::once(&instance.endpoint).chain(ports).filter_map(|endpoint| match &endpoint.host {
                Host::Name(name) => Some(name),
                _ => None,
            })
        });
        let showing = |target: &&Target| below(folded, &target.under).is_some() && target.reverse_of.is_empty();
        let domains: BTreeSet<_> =
            self.targets.iter().filter(showing).map(|target| target.names.host_domain.as_deref()).collect();
        let names = hosts.flat_map(|name| domains.iter().map(|domain| zone::records::srv::wanted(*domain, name)));
        names.filter(|name| Name::parse(name).is_ok()).collect()
    }

    /// Has these host names, and no others, looked up for a service.
    fn want(&mut self, folded: &str, wanted: BTreeSet<String>) {
        let own = &self.own;
        let is_ours = |host: &str| {
            Name::parse(host).is_ok_and(|name| own.iter().any(|origin| name.folded().is_at_or_below(origin)))
        };
        let beyond = self.hosts.want(folded, wanted, is_ours, Instant::now());
        let reason = || format!("{beyond} of its hosts are not looked up: there are over {}", hosts::MOST_HOSTS);
        let malformed = || Malformed { path: self.layout.full(folded).to_string(), reason: reason() };
        self.report(&format!("{HOSTS}{folded}"), (beyond > 0).then(malformed).into_iter().collect());
    }

    fn commit(&mut self) {
        self.follow_past();
        for target in &self.targets {
            let mut writer = target.lock();
            if let Some(commit) = writer.commit(unix_now()) {
                let (zone, names) = (writer.zone().origin(), commit.changes.len() - 1);
                debug!(%zone, serial = commit.serial, names, "published");
            }
            for meeting in writer.take_meetings() {
                let (part, malformed) = meetings::problems(&self.layout, writer.zone().origin(), &meeting);
                self.report(&part, malformed);
            }
        }
    }
}

impl Observer for Publisher {
    fn publish(&mut self, tree: &Tree, changed: &BTreeSet<Path>) {
        self.lock().publish(tree, Some(changed));
        self.copy_outside();
    }

    fn outside(&self) -> Option<&BTreeSet<Path>> {
        Some(&self.outside)
    }

    fn unread(&self) -> Vec<Path> {
        self.lock().unread.paths()
    }

    fn is_expired(&self) -> bool {
        self.lock().targets.iter().any(|target| target.lock().zone().freshness() == zone::Freshness::Expired)
    }

    fn notes(&self) -> Option<Notes> {
        let core = Arc::clone(&self.core);
        Some(Arc::new(move || core.lock().unwrap_or_else(PoisonError::into_inner).notes()))
    }

    fn noted(&self) -> u64 {
        let core = self.lock();
        core.hosts.changes().wrapping_add(core.past.changes())
    }

    fn recall(&mut self, notes: &[u8]) {
        self.lock().recall(notes);
    }

    fn together(&self) -> Arc<dyn Together> {
        Arc::new(self.lock().layout.clone())
    }

    fn restore(&mut self, tree: &Tree) {
        self.lock().restore(tree);
        self.copy_outside();
    }

    fn freshness(&mut self, freshness: Freshness) {
        self.lock().freshness(freshness);
    }

    fn tick(&mut self, tree: &Tree, now: Instant) {
        self.lock().tick(tree, now);
    }
}

impl Core {
    /// Brings the services into the zones that these changes, or all znodes, touch.
    fn publish(&mut self, tree: &Tree, changed: Option<&BTreeSet<Path>>) {
        self.take_wishes(tree);
        let touched = self.touched(tree, changed).into_iter().collect();
        let touched = self.judged(tree, touched, Instant::now());
        self.rebuild(tree, touched);
        if !self.look(tree, Instant::now()) {
            self.commit();
        }
        // Names that are seen through links to elsewhere must not be denied before those were read.
        if !self.complete && self.outside.iter().all(|root| tree.covers(root)) {
            self.complete = true;
            let malformed = self.problems.count();
            info!(root = %self.layout.root, znodes = tree.len(), malformed, "the registry is in DNS");
            self.freshness(self.freshness);
        }
        self.follow_home(tree);
    }

    /// Brings services whose hosts are names of our own up to what the zones have of those.
    fn follow_home(&mut self, tree: &Tree) {
        let changed = self.look_at_home();
        if !changed.is_empty() {
            self.rebuild(tree, changed);
            self.commit();
        }
    }

    /// Those of the services that the guard lets be shown as they are.
    fn judged(&mut self, tree: &Tree, touched: Vec<String>, now: Instant) -> Vec<String> {
        // Before all was shown once there is nothing to go on with.
        let Some(mut guard) = self.guard.take_if(|_| self.complete) else { return touched };
        let links = self.links();
        let links = links.read().unwrap_or_else(PoisonError::into_inner);
        let left = touched.into_iter().map(|service| {
            let reading = self.read(tree, &links, &service, unix_now());
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
        drop(links);
        self.guard = Some(guard);
        passed
    }

    /// Brings what cannot be read, and what can be again, into the zones, and commits. Returns whether there was such.
    fn look(&mut self, tree: &Tree, now: Instant) -> bool {
        let links = self.links();
        let moved = {
            let links = links.read().unwrap_or_else(PoisonError::into_inner);
            self.unread.look(&self.layout, tree, &links, now, self.max_stale)
        };
        if !moved.is_different {
            return false;
        }
        let mut touched: BTreeSet<String> = moved.services.into_iter().collect();
        for part in &moved.parts {
            self.offer_unread(part);
            let below: BTreeSet<Path> = tree.subtree(&self.layout.full(part)).map(|(path, _)| path.clone()).collect();
            touched.extend(self.touched(tree, Some(&below)));
            touched.insert(part.clone());
        }
        if !touched.is_empty() {
            self.rebuild(tree, touched.into_iter().collect());
        }
        // Whatever becomes unknown must not be denied for a moment, and what becomes known must be there first.
        self.show_freshness(|sight| sight > Sight::Stale);
        self.commit();
        self.show_freshness(|_| true);
        true
    }

    /// Offers that the names of a part are unknown, where they are.
    fn offer_unread(&self, folded: &str) {
        let unknown = self.unread.part(folded).filter(|part| part.sight > Sight::Stale).map(|part| {
            let code = if part.sight == Sight::Expired { Unknown::NO_ADDRESS } else { 0 };
            Unknown { scope: Scope::Everything, below: true, code, text: self.unread.wording.of(&part.path).into() }
        });
        for target in self.targets.iter().filter(|target| target.reverse_of.is_empty()) {
            let mut writer = target.lock();
            let offers = match (&unknown, below(folded, &target.under)) {
                (Some(unknown), Some(path)) if !path.is_empty() => {
                    unknown::subtree(writer.zone().origin(), path, unknown)
                }
                _ => Vec::new(),
            };
            writer.put(&format!("{UNREAD}{folded}"), offers);
        }
    }

    /// Lets through what the guard has held back for long enough, while the registry is followed. Parts that cannot be read
    /// grow old.
    fn tick(&mut self, tree: &Tree, now: Instant) {
        if self.complete {
            self.look(tree, now);
        }
        self.take_wishes(tree);
        self.past.expire(unix_now());
        if self.known_as_of != (self.past.changes(), self.wished) {
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

    fn restore(&mut self, tree: &Tree) {
        self.publish(tree, None);
        self.hosts.forget_restored();
        self.complete = true;
    }

    fn freshness(&mut self, freshness: Freshness) {
        self.freshness = freshness;
        self.show_freshness(|_| true);
    }

    /// Tells the zones how far their data can be trusted: those that are seen so.
    fn show_freshness(&self, wanted: impl Fn(Sight) -> bool) {
        let followed = match self.freshness {
            _ if !self.complete => zone::Freshness::Loading,
            Freshness::Loading => zone::Freshness::Loading,
            Freshness::Fresh => zone::Freshness::Fresh,
            Freshness::Stale(age) if age > self.max_stale => zone::Freshness::Expired,
            Freshness::Stale(_) => zone::Freshness::Stale,
        };
        for target in &self.targets {
            let sight = self.unread.of_zone(&target.under.to_ascii_lowercase());
            if !wanted(sight) {
                continue;
            }
            let freshness = match (followed, sight) {
                (zone::Freshness::Loading, _) | (_, Sight::Unknown) => zone::Freshness::Loading,
                (zone::Freshness::Expired, _) | (_, Sight::Expired) => zone::Freshness::Expired,
                (zone::Freshness::Stale, _) | (_, Sight::Stale) => zone::Freshness::Stale,
                (zone::Freshness::Fresh, Sight::Clear) => zone::Freshness::Fresh,
            };
            let writer = target.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let zone = writer.zone();
            if zone.freshness() != freshness && freshness == zone::Freshness::Expired {
                warn!(zone = %zone.origin(), "ZooKeeper has been away for longer than max_stale: answering SERVFAIL");
            }
            zone.set_freshness(freshness);
        }
    }
}

/// Tells the guard how many instances a service is shown with.
fn count(guard: &mut Option<Guard>, folded: &str, instances: usize) {
    if let Some(guard) = guard {
        guard.shows(folded, narrow(instances));
    }
}

fn narrow(instances: usize) -> u32 {
    u32::try_from(instances).unwrap_or(u32::MAX)
}

/// The part of the registry under which broken links are reported. No path of a service begins with a slash.
const LINKS: &str = "/links";
/// The source under which a part that cannot be read is offered, in front of its path.
const UNREAD: &str = "/unread/";
/// Likewise for hosts, in front of the service's path.
const HOSTS: &str = "/hosts/";

/// The path of a service below the part of the registry that a zone shows; none outside of it.
fn below<'s>(folded: &'s str, under: &str) -> Option<&'s str> {
    if under.is_empty() {
        return Some(folded);
    }
    let head = folded.get(..under.len()).filter(|head| head.eq_ignore_ascii_case(under))?;
    match &folded[head.len()..] {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

/// Seconds since 1970, for serials.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_shows_what_is_under_its_part() {
        assert_eq!(below("staging/api", ""), Some("staging/api"));
        assert_eq!(below("staging/api", "Staging"), Some("api"));
        assert_eq!(below("staging", "staging"), Some(""));
        assert_eq!(below("staging2/api", "staging"), None);
        assert_eq!(below("api", "staging"), None);
        assert_eq!(below("äß", "a"), None);
    }
}
