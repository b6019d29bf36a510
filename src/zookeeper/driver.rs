//! The mirror's I/O: does what [`super::mirror`] decides against a session, and nothing else. No decision is made here.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use futures_util::future::select_all;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::mirror::{Action, Input, Mirror, MirrorLimits};
use super::outage::Outage;
use super::session::{Ensemble, Event, Read, Reply, Session, Watch};
use super::verify::Verification;
use super::{mirror, trouble};
use crate::registry::cache;
use crate::registry::cache::{CacheScope, Hurry, Saver};
use crate::registry::root::Root;
use crate::registry::selection::Selection;
use crate::registry::shown::{SharedTree, ShownTree};
use crate::registry::status::{Counters, Phase};
use crate::registry::status::{MirrorReport, MirrorStatus};
use crate::registry::tree::Tree;
use crate::registry::view::{Contact, Freshness, Observer};
use crate::registry::{Cause, Error, Path};

/// Drives one mirror of one ensemble's subtree.
pub struct Driver<E: Ensemble, O> {
    ensemble: E,
    observer: O,
    root: Path,
    mirror: Mirror,
    /// The phase that was told of last.
    phase: Phase,
    tree: SharedTree,
    /// Paths mirrored besides the root.
    outside: BTreeSet<Path>,
    status: MirrorStatus,
    connection: Option<Connection<E::Session>>,
    tasks: JoinSet<Done<E::Session>>,
    /// The outage, as far as it was logged. Attempts go on for hours.
    outage: Outage,
    cache: Option<Cache>,
    /// The cache file that all is from, until the mirror is live.
    restored_from: Option<PathBuf>,
    /// The trouble with the registry, as it was logged last.
    troubles: trouble::Log,
    /// True if it is no trouble that the root does not exist.
    is_root_optional: bool,
    /// Time between two verifications; none for none, ever.
    verify: Option<watch::Receiver<Duration>>,
}

/// The cache file: how it is to be kept, and who keeps it once the driver runs.
struct Cache {
    path: PathBuf,
    scope: CacheScope,
    /// Time for which an unchanged file may stand.
    refresh: Duration,
    hurry: Hurry,
    saver: Option<Saver>,
}

struct Connection<S: Session> {
    session: Arc<S>,
    /// The armed watches, each with its path.
    watches: Vec<(Path, S::Watch)>,
}

/// An operation that ended.
enum Done<S: Session> {
    Connected(Result<S, Error>),
    Armed(u32, Result<Vec<(Path, S::Watch)>, Error>),
    Joined(u32, Path, Result<S::Watch, Error>),
    Synced(u32, Result<Option<i64>, Error>),
    Replied(u32, Vec<Read>, Result<Vec<Reply>, Error>),
}

impl<E: Ensemble, O: Observer> Driver<E, O> {
    /// A driver that mirrors `root` of `ensemble` for `observer`; `session_timeout` is the one asked for.
    pub fn new(ensemble: E, root: Path, session_timeout: Duration, observer: O) -> Self {
        let now = Instant::now();
        let limits = MirrorLimits::for_session(session_timeout);
        let report = MirrorReport {
            ensemble: ensemble.describe().to_owned(),
            phase: Phase::Offline,
            since: now,
            session: None,
            fresh_at: None,
            counters: Counters::default(),
            znodes: 0,
            bytes: 0,
            causes: [0; Cause::ALL.len()],
            trouble: None,
            is_only_gone: false,
            cache: None,
        };
        Self {
            ensemble: ensemble.for_reading(),
            mirror: Mirror::new(root.clone(), limits, mirror::delays(), now, fastrand::u64(..))
                .grouped(observer.grouping())
                .selecting(observer.selection()),
            phase: Phase::Offline,
            tree: Arc::new(RwLock::new(ShownTree::new(root.clone(), observer.linking()).placed(observer.placing()))),
            root,
            observer,
            outside: BTreeSet::new(),
            status: MirrorStatus::new(report),
            connection: None,
            tasks: JoinSet::new(),
            outage: Outage::default(),
            cache: None,
            restored_from: None,
            troubles: trouble::Log::default(),
            is_root_optional: false,
            verify: None,
        }
    }

    /// Does not believe an ensemble that is older than what was seen of it for this long.
    pub fn holding(mut self, hold: Duration) -> Self {
        self.mirror = self.mirror.holding(hold);
        self
    }

    /// Takes a root that does not exist for an empty one.
    pub fn with_optional_root(self) -> Self {
        Self { is_root_optional: true, ..self }
    }

    /// Mirrors no more znodes than this.
    pub fn limited(mut self, znodes: usize) -> Self {
        self.mirror = self.mirror.limited(znodes);
        self
    }

    /// Reads everything again on a session of its own, a round each `period`, and repairs what differs. Zero stops
    /// that.
    pub fn verifying(self, period: watch::Receiver<Duration>) -> Self {
        Self { verify: Some(period), ..self }
    }

    /// Keeps the last known tree in the file at `path`, and begins with it. An unchanged file is written again after
    /// `refresh`, and with what it has not yet where there is a `hurry`.
    pub fn with_cache(mut self, path: PathBuf, refresh: Duration, hurry: Hurry) -> Self {
        let scope = CacheScope { ensemble: self.ensemble.describe().to_owned(), root: self.root.clone() };
        self.cache = Some(Cache { path, scope, refresh, hurry, saver: None });
        self
    }

    /// The driver's report, kept current.
    pub fn status(&self) -> MirrorStatus {
        self.status.clone()
    }

    /// The mirrored tree, kept current.
    pub fn tree(&self) -> SharedTree {
        Arc::clone(&self.tree)
    }

    /// Mirrors until `stop`. Between its waits it works for as long as the observer takes, seconds for the first sight
    /// of a million znodes: it is to be run on a thread of its own, and its session on others.
    pub async fn run(mut self, stop: CancellationToken) {
        // The connect is under way while the cache is read.
        self.act();
        self.restore();
        let mut differing = self.verify(&stop);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Asked first: what is done between two waits may take long, and the runtime may be ending.
        while !stop.is_cancelled() {
            self.act();
            self.follow_links();
            self.follow_phase();
            tokio::select! {
                () = stop.cancelled() => return,
                event = next_event(&mut self.connection) => self.events(event),
                Some(done) = self.tasks.join_next() => {
                    // What the server told before the reply comes before it: see `simulation`, "mixture".
                    self.waiting_events();
                    match done {
                        Ok(done) => self.done(done),
                        // Aborted with its session; a panic inside the client library counts as a lost session.
                        Err(error) if error.is_panic() => self.feed(Input::Event(Event::Over(Error::SessionExpired))),
                        Err(_) => {}
                    }
                }
                Some(paths) = differing.recv() => {
                    self.waiting_events();
                    self.feed(Input::Differs(paths));
                }
                _ = tick.tick() => {
                    self.mirror.set_listing(self.verify.as_ref().is_some_and(|period| !period.borrow().is_zero()));
                    self.feed(Input::Tick);
                    self.observe();
                }
            }
        }
    }

    /// Begins to verify, where that is wanted. Returns the paths that differ, as they are found.
    fn verify(&mut self, stop: &CancellationToken) -> mpsc::Receiver<Vec<Path>> {
        let (differing, found) = mpsc::channel(1);
        if let Some(period) = self.verify.clone() {
            let (tree, status) = (self.tree(), self.status());
            // A thread of its own, so that its replies are in no event's way.
            let ensemble = self.ensemble.clone().for_reading();
            let scope = (self.root.clone(), self.observer.selection());
            tokio::spawn(Verification { ensemble, tree, scope, status, period, differing }.run(stop.clone()));
        }
        found
    }

    /// Takes in an event and all that wait behind it, so that a burst becomes few requests.
    fn events(&mut self, event: Event) {
        self.feed(Input::Event(event));
        self.waiting_events();
    }

    fn waiting_events(&mut self) {
        for _ in 0..10_000 {
            match next_event(&mut self.connection).now_or_never() {
                Some(event) => self.feed(Input::Event(event)),
                None => break,
            }
        }
    }

    fn done(&mut self, done: Done<E::Session>) {
        match done {
            Done::Connected(Ok(session)) => {
                info!(ensemble = self.ensemble.describe(), session = format_args!("{:#x}", session.id()), "connected");
                // Watches armed level by level are in no order with replies.
                let at_once = session.reads_at_once() && !self.observer.selection().is_sparse();
                self.connection = Some(Connection { session: Arc::new(session), watches: Vec::new() });
                self.feed(Input::Connected { at_once });
            }
            Done::Connected(Err(error)) => {
                if self.outage.failed(Instant::now(), &error) {
                    warn!(ensemble = self.ensemble.describe(), %error, "cannot connect to ZooKeeper; trying on and on");
                }
                self.status.edit().causes[error.cause() as usize] += 1;
                self.feed(Input::ConnectFailed(error));
            }
            Done::Armed(epoch, armed) => {
                let armed = armed.map(|watches| match &mut self.connection {
                    Some(connection) if self.mirror.is_current(epoch) => connection.watches = watches,
                    _ => drop(watches),
                });
                self.feed(Input::Armed(epoch, armed));
            }
            Done::Joined(epoch, root, joined) => {
                let joined = joined.map(|watch| match &mut self.connection {
                    Some(connection) if self.mirror.is_current(epoch) => connection.watches.push((root.clone(), watch)),
                    _ => drop(watch),
                });
                self.feed(Input::Joined(epoch, root, joined));
            }
            Done::Synced(epoch, result) => self.feed(Input::Synced(epoch, result)),
            Done::Replied(epoch, batch, result) => self.feed(Input::Replied(epoch, batch, result)),
        }
    }

    fn feed(&mut self, input: Input) {
        let mut tree = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        self.mirror.handle(Instant::now(), input, tree.tree_mut());
        if let Some(saver) = self.saver()
            && !self.mirror.is_settled()
        {
            saver.unsettled();
        }
    }

    fn saver(&self) -> Option<&Saver> {
        self.cache.as_ref()?.saver.as_ref()
    }

    /// Begins with what the cache file holds, and keeps it current from now on.
    fn restore(&mut self) {
        let Some(cache) = &self.cache else { return };
        let (path, begun) = (cache.path.clone(), Instant::now());
        let loaded = cache::load(&path, &cache.scope);
        let (scope, notes) = (cache.scope.clone(), self.observer.notes());
        match Saver::spawn(path.clone(), scope, self.tree(), notes, cache.refresh, &cache.hurry) {
            Ok(saver) => self.cache = self.cache.take().map(|cache| Cache { saver: Some(saver), ..cache }),
            Err(error) => warn!(file = %path.display(), %error, "no thread for the cache file: it is not kept"),
        }
        let Some(cache::Loaded { tree, notes, when }) = loaded else { return };
        // A clock that was set back makes the file look as if it were from the future: then its age is not known.
        let age = SystemTime::now().duration_since(when).unwrap_or_default();
        let Some(at) = begun.checked_sub(age) else { return };
        info!(file = %path.display(), ?age, znodes = tree.len(), took = ?begun.elapsed(), "cache file read");
        let mut tree = tree;
        let selection = self.observer.selection();
        let is_left_out = |path: &Path| path.below(&self.root).is_some_and(|below| selection.selected(below).is_none());
        // What another configuration wanted.
        let left_out: Vec<Path> = tree.iter().map(|(path, _)| path).filter(|path| is_left_out(path)).cloned().collect();
        for path in left_out {
            tree.remove(&path);
        }
        let mut shown = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        shown.set_tree(tree);
        shown.tree_mut().cover(&self.root);
        drop(shown);
        self.mirror.restored(at);
        self.restored_from = Some(path);
        self.observer.recall(&notes);
        self.observer.restore(&self.tree.read().unwrap_or_else(PoisonError::into_inner));
        drop(self.tree.write().unwrap_or_else(PoisonError::into_inner).tree_mut().shown_now());
        self.observe();
    }

    /// Mirrors besides the root what links lead to.
    fn follow_links(&mut self) {
        let shown = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        if *shown.outside() != self.outside {
            self.outside.clone_from(shown.outside());
            drop(shown);
            self.feed(Input::Outside(self.outside.clone()));
            self.act();
        }
    }

    /// Tells of a new phase, once everything that led to it was published.
    fn follow_phase(&mut self) {
        let (before, after) = (self.phase, self.mirror.phase());
        if before != after {
            self.phase = after;
            self.log(before, after);
            self.observe();
        }
    }

    fn act(&mut self) {
        for action in self.mirror.poll(Instant::now()) {
            match action {
                Action::Connect { after } => {
                    self.tasks.abort_all();
                    self.connection = None;
                    let ensemble = self.ensemble.clone();
                    self.tasks.spawn(async move {
                        tokio::time::sleep(after).await;
                        Done::Connected(ensemble.connect().await)
                    });
                }
                Action::Arm(epoch, roots) => {
                    let sparse = Some(self.observer.selection()).filter(|selection| selection.is_sparse());
                    let sparse = sparse.map(|selection| (self.root.clone(), selection));
                    self.spawn(async move |session| Done::Armed(epoch, arm(&*session, roots, sparse).await));
                }
                Action::Join(epoch, root) => {
                    self.spawn(async move |session| {
                        let joined = match session.watch(&root).await {
                            Ok(watch) => session.sync(&root).await.map(|()| watch),
                            Err(error) => Err(error),
                        };
                        Done::Joined(epoch, root, joined)
                    });
                }
                Action::Leave(root) => {
                    if let Some(connection) = &mut self.connection {
                        connection.watches.retain(|(path, _)| *path != root);
                    }
                }
                Action::Sync(epoch) => {
                    let root = self.root.clone();
                    let begins = self.mirror.phase() == Phase::Syncing;
                    self.spawn(async move |session| Done::Synced(epoch, caught_up(&*session, root, begins).await));
                }
                Action::Read(epoch, batch) => {
                    self.spawn(async move |session| {
                        let replies = session.read(&batch).await;
                        Done::Replied(epoch, batch, replies)
                    });
                }
                Action::Untold(paths) => trouble::log_untold(&self.ensemble, &paths),
                Action::Publish(changed) => self.publish(&changed),
            }
        }
    }

    /// Shows what has changed to the observer, and has it saved.
    fn publish(&mut self, changed: &BTreeSet<Path>) {
        let seen = self.tree.write().unwrap_or_else(PoisonError::into_inner).follow(changed);
        let tree = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        if self.phase != Phase::Live {
            info!(root = %self.root, znodes = tree.tree().len(), changed = changed.len(), "read completely");
        }
        self.observer.publish(&tree, &seen);
        if let Some(saver) = self.saver() {
            saver.published(tree.tree(), changed, self.mirror.is_settled());
        }
        drop(tree);
        // What follows are changes of what was shown. What was noted of others may be much: it is dropped unlocked.
        let former = self.tree.write().unwrap_or_else(PoisonError::into_inner).tree_mut().shown_now();
        drop(former);
    }

    /// Runs an operation on the session in a task of its own; it is aborted with the session.
    fn spawn<F, R>(&mut self, operation: F)
    where
        F: FnOnce(Arc<E::Session>) -> R,
        R: Future<Output = Done<E::Session>> + Send + 'static,
    {
        if let Some(connection) = &self.connection {
            self.tasks.spawn(operation(Arc::clone(&connection.session)));
        }
    }

    /// Tells observer and status where the mirror stands.
    fn observe(&mut self) {
        let now = Instant::now();
        let freshness = match (self.mirror.age(now), self.mirror.phase()) {
            (None, _) => Freshness::Loading,
            (Some(Duration::ZERO), Phase::Live) => Freshness::Fresh,
            (Some(age), _) => Freshness::Stale(age),
        };
        self.observer.freshness(freshness);
        let noted = self.observer.noted();
        let cache = self.saver().map(|saver| {
            saver.noted(noted);
            if freshness == Freshness::Fresh {
                saver.proven();
            }
            saver.report()
        });
        let tree = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        self.observer.tick(&tree, now);
        if self.mirror.counters().syncs > 0 {
            self.restored_from = None;
        }
        let standing = self.standing(tree.tree());
        self.troubles.follow(now, self.root.as_str(), standing.as_deref());
        let lost = self.mirror.trouble().filter(|_| self.mirror.phase() != Phase::Holding).map(ToString::to_string);
        let is_gone = self.mirror.fresh_at().is_some() && tree.tree().root(&self.root) == Root::Gone;
        let of_root = trouble::of_root(&self.ensemble, tree.tree(), &self.root);
        let is_only_gone = is_gone && standing == of_root && lost.is_none();
        let trouble: Vec<String> = standing.into_iter().chain(lost).collect();
        let mut report = self.status.edit();
        if report.phase != self.mirror.phase() {
            report.phase = self.mirror.phase();
            report.since = now;
        }
        report.session = self.connection.as_ref().map(|connection| connection.session.id());
        report.fresh_at = self.mirror.fresh_at();
        report.counters = self.mirror.counters();
        report.znodes = tree.tree().len();
        report.bytes = tree.tree().bytes();
        report.trouble = (!trouble.is_empty()).then(|| trouble.join("; "));
        report.is_only_gone = is_only_gone;
        report.cache = cache;
    }

    /// The trouble with the registry itself, apart from connections to it.
    fn standing(&self, tree: &Tree) -> Option<String> {
        let mut all = Vec::new();
        if self.mirror.is_holding() {
            all.push(trouble::went_back(&self.ensemble));
        }
        if self.mirror.fresh_at().is_some() {
            let is_missing = matches!(tree.root(&self.root), Root::Missing | Root::Gone);
            if !(is_missing && self.is_root_optional) {
                all.extend(trouble::of_root(&self.ensemble, tree, &self.root));
            }
            all.extend(trouble::of_parts(&self.ensemble, &self.observer.unread()));
        }
        if self.observer.is_expired() {
            all.push("nothing was heard of the registry for longer than max_stale: its names are SERVFAIL".to_owned());
        } else if let Some(file) = &self.restored_from {
            all.push(format!("answers are from the cache file {}", file.display()));
        }
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn log(&mut self, before: Phase, after: Phase) {
        let ensemble = self.ensemble.describe();
        let trouble = self.mirror.trouble().map(ToString::to_string).unwrap_or_default();
        match (before, after) {
            (_, Phase::Live) => {
                let znodes = self.tree.read().unwrap_or_else(PoisonError::into_inner).tree().len();
                let after = self.outage.ends(Instant::now());
                self.observer.contact(Contact::Live { after });
                if let Some(after) = after {
                    info!(ensemble, root = %self.root, znodes, ?after, "the mirror is live again");
                } else {
                    info!(ensemble, root = %self.root, znodes, "the mirror is live");
                }
            }
            (_, Phase::Holding) => debug!(ensemble, "the ensemble is older than what was seen of it"),
            (Phase::Live, _) => {
                self.outage.begins(Instant::now());
                self.observer.contact(Contact::Lost { reason: &trouble });
                warn!(ensemble, trouble, "the mirror lost ZooKeeper; serving the last known state until it is back");
            }
            _ => debug!(ensemble, trouble, "the mirror went from {} to {}", before.as_str(), after.as_str()),
        }
    }
}

/// Waits until the server has caught up. Where an epoch begins, also the last zxid that the znodes from the top down to
/// the root tell of; none where one of them cannot be read.
async fn caught_up<S: Session>(session: &S, root: Path, begins: bool) -> Result<Option<i64>, Error> {
    session.sync(&root).await?;
    if !begins {
        return Ok(None);
    }
    let mut batch = vec![Read::Node(root)];
    while let Some(parent) = batch.last().and_then(|read| read.path().parent().map(Path::trusted)) {
        batch.push(Read::Node(parent));
    }
    let mut last = Some(0);
    for reply in session.read(&batch).await? {
        last = match reply {
            Reply::Node(znode) => last.map(|last| znode.stat.last_zxid().max(last)),
            // Gone, which its parent tells of. Nothing tells of a chroot that is: an ensemble without it looks as young
            // as one that was wiped, and is not believed for as long.
            Reply::Failed(Error::NoNode) => last,
            _ => None,
        };
    }
    Ok(last)
}

/// Arms a watch on each of `roots`; on the one with a sparse selection, on what is selected alone.
async fn arm<S: Session>(
    session: &S,
    roots: Vec<Path>,
    sparse: Option<(Path, Arc<dyn Selection>)>,
) -> Result<Vec<(Path, S::Watch)>, Error> {
    let mut watches = Vec::with_capacity(roots.len());
    for root in roots {
        let watch = match &sparse {
            Some((path, selection)) if *path == root => session.watch_selected(&root, Arc::clone(selection)).await?,
            _ => session.watch(&root).await?,
        };
        watches.push((root, watch));
    }
    Ok(watches)
}

/// The next event of any watch; never, without one.
async fn next_event<S: Session>(connection: &mut Option<Connection<S>>) -> Event {
    let watches = connection.as_mut().map(|connection| &mut *connection.watches).unwrap_or_default();
    match watches {
        [] => std::future::pending().await,
        [(_, watch)] => watch.next().await,
        several => select_all(several.iter_mut().map(|(_, watch)| Box::pin(watch.next()))).await.0,
    }
}
