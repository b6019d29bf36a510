//! A recursive watch made of one-shot watches, for servers before 3.6, which have no other, and for trees of which only
//! a small part is wanted.
//!
//! Every znode below a watched root carries a watch on its data, every persistent one a watch on its children; a watch
//! that fired is armed again before what it told is passed on, so that whoever reads after the event misses nothing. A
//! list of children does not show that a child was deleted and created again in between, but the count of such changes
//! in the parent's stat (`cversion`) does: then all children are told as changed, and once more those that went lately.
//!
//! An ephemeral znode cannot have children, which spares most of the watches. The server pays about 200 bytes for each
//! of the others, so there is a limit for those on data; what is beyond it is told as changed once in a while.
//!
//! Watches that did not fire are never dropped before their session: the crate would take them off the server by a
//! request that 3.4 answers by closing the connection. They end with their connection; on the next one all is armed
//! anew.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tracing::info;
use zookeeper_client::{Client, EventType, OneshotWatcher, StateWatcher};

use super::translate::translate;
use crate::registry::selection::{Selected, Selection};
use crate::registry::{Error, Path};
use crate::zookeeper::session::Event;

/// Requests outstanding while watches are armed.
const IN_FLIGHT: usize = 256;

/// Watches on data, at most.
const DATA_WATCHES: usize = 50_000;

/// Wait before a list is asked for again, for each name that it had: what happens to a long list happens to
/// it often, and each time all of it is read.
const LISTING_PACE: Duration = Duration::from_micros(20);

/// Time after which znodes without a watch on their data are told as changed.
const SLOW_CYCLE: Duration = Duration::from_secs(60);

/// Desk at which a session asks for watches.
#[derive(Debug)]
pub(super) struct Watches {
    subscribe: mpsc::UnboundedSender<Subscriber>,
    task: tokio::task::JoinHandle<()>,
}

impl Watches {
    /// The watches of the session behind `client`, none so far. They are tended by a task that ends with this value.
    pub(super) fn new(client: Client) -> Self {
        let (subscribe, subscribers) = mpsc::unbounded_channel();
        let task = tokio::spawn(Tender::new(client).run(subscribers));
        Self { subscribe, task }
    }

    /// Watches `root` and what `selection` has below it; armed when it returns.
    ///
    /// # Errors
    /// [`Error::ConnectionLoss`] when the session ended meanwhile.
    pub(super) async fn watch(
        &self,
        root: &Path,
        selection: Arc<dyn Selection>,
    ) -> Result<mpsc::UnboundedReceiver<Event>, Error> {
        let lost = || Error::ConnectionLoss("the session ended while watches were being armed".to_owned());
        let (events, told) = mpsc::unbounded_channel();
        let (armed, is_armed) = oneshot::channel();
        let subscriber = Subscriber { root: root.clone(), selection, events, armed: Some(armed) };
        self.subscribe.send(subscriber).map_err(|_| lost())?;
        is_armed.await.map_err(|_| lost())?;
        Ok(told)
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Subscriber {
    root: Path,
    selection: Arc<dyn Selection>,
    events: mpsc::UnboundedSender<Event>,
    /// Told once every watch is armed.
    armed: Option<oneshot::Sender<()>>,
}

/// Part of a znode that a watch is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Data,
    Children,
    Existence,
}

/// Time for which a name that is gone may still be read by whoever was told so.
const LATELY: Duration = Duration::from_secs(5);

/// Names that are kept for that, at most.
const LATELY_GONE: usize = 500;

/// The children of a znode as they were when its watch was armed.
#[derive(Debug, Default)]
struct Listing {
    names: HashSet<String>,
    cversion: i32,
    /// Names of earlier lists that are not in this one, and since when.
    gone: Vec<(String, Instant)>,
}

/// Difference between two lists of a znode's children.
#[derive(Debug, Default)]
struct ListChange {
    gone: Vec<String>,
    added: Vec<String>,
    /// Names in both, of which some were deleted and are back.
    back: Vec<String>,
}

impl Listing {
    /// Compares with the list before. Where there were more changes than the two lists show, a name that is in neither
    /// may have come and gone: whoever was told that it is gone may have read it meanwhile, and is told once more.
    fn change(&mut self, before: Self, now: Instant) -> ListChange {
        let mut gone: Vec<String> = before.names.difference(&self.names).cloned().collect();
        let added: Vec<String> = self.names.difference(&before.names).cloned().collect();
        let steps = self.cversion.wrapping_sub(before.cversion);
        let is_explained = usize::try_from(steps).is_ok_and(|steps| steps == added.len() + gone.len());
        let is_lately = |(name, since): &(String, Instant)| {
            now.saturating_duration_since(*since) < LATELY && !self.names.contains(name)
        };
        let earlier: Vec<_> = before.gone.into_iter().filter(is_lately).collect();
        self.gone = gone.iter().map(|name| (name.clone(), now)).collect();
        let mut back = Vec::new();
        if !is_explained {
            gone.extend(earlier.iter().map(|(name, _)| name.clone()));
            back = self.names.intersection(&before.names).cloned().collect();
        }
        // The latest first.
        self.gone.extend(earlier);
        self.gone.truncate(LATELY_GONE);
        ListChange { gone, added, back }
    }
}

/// A znode to arm watches on.
struct CallOrder {
    path: Path,
    /// True if it is told as changed once it is armed.
    tell: bool,
    /// Known children: its watch on them fired.
    before: Option<Listing>,
}

/// Outcome of arming.
struct CallOutcome {
    order: CallOrder,
    result: Result<Armed, Error>,
}

#[derive(Default)]
struct Armed {
    exists: bool,
    watchers: Vec<(On, OneshotWatcher)>,
    listing: Option<Listing>,
}

impl Armed {
    /// Adds a watch on the children. Where the znode is gone by now its watch on data, which has fired, has the last
    /// word.
    async fn and_children(&mut self, client: &Client, path: &Path) -> Result<(), Error> {
        match list(client, path).await {
            Ok(Self { watchers, listing, .. }) => {
                self.watchers.extend(watchers);
                self.listing = listing;
                Ok(())
            }
            Err(Error::NoNode) if !self.watchers.is_empty() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Fields in the order in which they may be dropped: the session before its watches.
struct Tender {
    client: Client,
    states: StateWatcher,
    arming: FuturesUnordered<BoxFuture<'static, CallOutcome>>,
    watching: FuturesUnordered<BoxFuture<'static, (Path, On, EventType)>>,
    orders: VecDeque<CallOrder>,
    subscribers: Vec<Subscriber>,
    listed: HashMap<Path, Listing>,
    data: HashSet<Path>,
    /// Roots that do not exist, watched for their creation.
    awaited: HashSet<Path>,
    /// Paths at which arming is under way, but for lists that are read again.
    being_armed: HashSet<Path>,
    /// Orders for those, looked at when that has ended.
    deferred: Vec<CallOrder>,
    unwatched: HashSet<Path>,
    /// Something could not be armed: the connection is lost.
    is_lost: bool,
}

impl Tender {
    fn new(client: Client) -> Self {
        let states = client.state_watcher();
        Self {
            client,
            states,
            arming: FuturesUnordered::new(),
            watching: FuturesUnordered::new(),
            orders: VecDeque::new(),
            subscribers: Vec::new(),
            listed: HashMap::new(),
            data: HashSet::new(),
            awaited: HashSet::new(),
            being_armed: HashSet::new(),
            deferred: Vec::new(),
            unwatched: HashSet::new(),
            is_lost: false,
        }
    }

    async fn run(mut self, mut subscribers: mpsc::UnboundedReceiver<Subscriber>) {
        let mut slow = tokio::time::interval(SLOW_CYCLE);
        loop {
            self.start_arming();
            tokio::select! {
                Some(subscriber) = subscribers.recv() => self.subscribed(subscriber),
                Some(outcome) = self.arming.next() => self.armed(outcome),
                Some((path, on, event)) = self.watching.next() => self.fired(path, on, event),
                _ = self.states.changed() => break,
                _ = slow.tick() => self.unwatched.iter().for_each(|path| self.tell(path)),
            }
        }
        // With the senders of events and the client, in this order; then the watches.
        self.subscribers.clear();
    }

    /// The parts of a znode that some subscriber wants; none where nobody does.
    fn selected(&self, path: &Path) -> Option<Selected> {
        let all = self.subscribers.iter().filter_map(|one| one.selection.selected(path.below(&one.root)?));
        all.reduce(|one, other| Selected { data: one.data || other.data, children: one.children || other.children })
    }

    fn subscribed(&mut self, subscriber: Subscriber) {
        self.orders.push_back(CallOrder { path: subscriber.root.clone(), tell: false, before: None });
        self.subscribers.push(subscriber);
    }

    fn start_arming(&mut self) {
        while self.arming.len() < IN_FLIGHT {
            let Some(order) = self.orders.pop_front() else { break };
            let Some(selected) = self.selected(&order.path) else { continue };
            if order.before.is_none() {
                // One watch for each znode: two would tell everything twice.
                if self.data.contains(&order.path) || self.awaited.contains(&order.path) {
                    if order.tell {
                        self.tell(&order.path);
                    }
                    continue;
                }
                if !self.being_armed.insert(order.path.clone()) {
                    self.deferred.push(order);
                    continue;
                }
            }
            let is_root = self.subscribers.iter().any(|subscriber| subscriber.root == order.path);
            let on_data = order.before.is_none() && self.data.len() + self.arming.len() < DATA_WATCHES;
            let on_children = selected.children && !self.listed.contains_key(&order.path);
            let wanted = WantedWatch { on_data, on_children, is_root };
            let client = self.client.clone();
            self.arming.push(Box::pin(async move {
                let result = match &order.before {
                    Some(before) => {
                        tokio::time::sleep(LISTING_PACE * u32::try_from(before.names.len()).unwrap_or(u32::MAX)).await;
                        list(&client, &order.path).await
                    }
                    None => arm(&client, &order.path, wanted).await,
                };
                CallOutcome { order, result }
            }));
        }
        if self.arming.is_empty() && self.orders.is_empty() && !self.is_lost {
            for subscriber in &mut self.subscribers {
                // The one who asked may have gone.
                let _ = subscriber.armed.take().map(|armed| armed.send(()));
            }
        }
    }

    fn armed(&mut self, CallOutcome { order: CallOrder { path, tell, before }, result }: CallOutcome) {
        if before.is_none() {
            self.being_armed.remove(&path);
            self.orders.extend(self.deferred.extract_if(.., |order| order.path == path));
        }
        let armed = match result {
            Ok(armed) => armed,
            Err(error) if error.is_answer() => Armed::default(),
            // The connection is lost, and everything with it.
            Err(_) => {
                self.is_lost = true;
                return;
            }
        };
        if armed.watchers.iter().any(|(on, _)| *on == On::Data) {
            self.data.insert(path.clone());
        } else if before.is_none() && armed.exists && self.unwatched.insert(path.clone()) && self.unwatched.len() == 1 {
            let seconds = SLOW_CYCLE.as_secs();
            info!(limit = DATA_WATCHES, seconds, "more znodes than watches on data: the others are read now and then");
        }
        for (on, watcher) in armed.watchers {
            if on == On::Existence {
                self.awaited.insert(path.clone());
            }
            let path = path.clone();
            self.watching.push(Box::pin(async move { (path, on, watcher.changed().await.event_type) }));
        }
        if tell {
            self.tell(&path);
        }
        self.compare(&path, tell, before, armed.listing);
    }

    /// Follows up the difference between two lists of the children of `path`.
    fn compare(&mut self, path: &Path, tell: bool, before: Option<Listing>, mut now: Option<Listing>) {
        let is_relisted = before.is_some();
        let before = before.unwrap_or_default();
        let is_gone = now.is_none() && is_relisted;
        let change = match &mut now {
            Some(now) => now.change(before, Instant::now()),
            None => ListChange { gone: before.names.into_iter().collect(), ..ListChange::default() },
        };
        for name in change.gone {
            let child = path.child(&name);
            self.unwatched.remove(&child);
            self.tell(&child);
        }
        // What happens to those that are back is told of from now on.
        let back = change.back.into_iter().map(|name| (name, true));
        for (name, tell) in change.added.into_iter().map(|name| (name, tell || is_relisted)).chain(back) {
            let child = path.child(&name);
            if self.selected(&child).is_some() {
                self.orders.push_back(CallOrder { path: child, tell, before: None });
            }
        }
        match now {
            Some(now) => drop(self.listed.insert(path.clone(), now)),
            None if is_gone => self.tell_root(path),
            None => {}
        }
    }

    fn fired(&mut self, path: Path, on: On, event: EventType) {
        if event == EventType::Session {
            return;
        }
        match on {
            On::Data => {
                self.data.remove(&path);
                let back = || {
                    let parent = path.parent().and_then(|parent| self.listed.get(parent));
                    parent.is_some_and(|parent| parent.names.contains(path.name()))
                };
                let is_deleted = event == EventType::NodeDeleted;
                if is_deleted {
                    // Its parent's list may have told of it already, but that is without it a moment before the server
                    // shows it no more: this is the last word.
                    self.tell(&path);
                }
                if !is_deleted || back() {
                    self.orders.push_back(CallOrder { path, tell: true, before: None });
                } else {
                    self.tell_root(&path);
                }
            }
            On::Children => {
                let before = self.listed.remove(&path).unwrap_or_default();
                self.orders.push_back(CallOrder { path, tell: false, before: Some(before) });
            }
            On::Existence => {
                self.awaited.remove(&path);
                self.orders.push_back(CallOrder { path, tell: true, before: None });
            }
        }
    }

    /// A watched root is gone: nobody watches its parent, so it is told here, and waited for.
    fn tell_root(&mut self, path: &Path) {
        if self.awaited.contains(path) || self.being_armed.contains(path) {
            return;
        }
        if self.subscribers.iter().any(|subscriber| subscriber.root == *path) && !self.listed.contains_key(path) {
            self.data.remove(path);
            self.tell(path);
            self.orders.push_back(CallOrder { path: path.clone(), tell: false, before: None });
        }
    }

    fn tell(&self, path: &Path) {
        for subscriber in self.subscribers.iter().filter(|subscriber| path.below(&subscriber.root).is_some()) {
            // One whose watch was dropped hears no more.
            let _ = subscriber.events.send(Event::Changed(path.clone()));
        }
    }
}

/// Watches that a znode is to get.
#[derive(Clone, Copy)]
struct WantedWatch {
    on_data: bool,
    on_children: bool,
    is_root: bool,
}

/// Arms the watches of a znode.
async fn arm(
    client: &Client,
    path: &Path,
    WantedWatch { on_data, on_children, is_root }: WantedWatch,
) -> Result<Armed, Error> {
    let text = path.as_str();
    let wrong = |error| translate(text, error);
    let mut armed = Armed { exists: true, ..Armed::default() };
    let read = if on_data {
        client.get_and_watch_data(text).await.map(|(_, stat, watcher)| (stat, Some(watcher)))
    } else {
        client.get_data(text).await.map(|(_, stat)| (stat, None))
    };
    match read.map_err(wrong) {
        Ok((stat, watcher)) => {
            armed.watchers.extend(watcher.map(|watcher| (On::Data, watcher)));
            if stat.ephemeral_owner == 0 && on_children {
                armed.and_children(client, path).await?;
            }
            Ok(armed)
        }
        Err(Error::NoNode) if is_root => {
            let (stat, watcher) = client.check_and_watch_stat(text).await.map_err(wrong)?;
            // Created just now: its watch is on its data then.
            armed.exists = stat.is_some();
            armed.watchers.push((if stat.is_some() { On::Data } else { On::Existence }, watcher));
            if stat.is_some() && on_children {
                armed.and_children(client, path).await?;
            }
            Ok(armed)
        }
        Err(error) => Err(error),
    }
}

/// Lists the children of a znode, with a watch.
async fn list(client: &Client, path: &Path) -> Result<Armed, Error> {
    let listed = client.get_and_watch_children(path.as_str()).await;
    let (names, stat, watcher) = listed.map_err(|error| translate(path.as_str(), error))?;
    let listing = Listing { names: names.into_iter().collect(), cversion: stat.cversion, gone: Vec::new() };
    Ok(Armed { exists: true, watchers: vec![(On::Children, watcher)], listing: Some(listing) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str], cversion: i32) -> Listing {
        Listing { names: names.iter().map(|name| (*name).to_owned()).collect(), cversion, gone: Vec::new() }
    }

    fn changed(before: Listing, mut after: Listing, now: Instant) -> (Listing, [String; 3]) {
        let ListChange { mut gone, mut added, mut back } = after.change(before, now);
        let all = [&mut gone, &mut added, &mut back].map(|names| {
            names.sort();
            names.join(" ")
        });
        (after, all)
    }

    #[test]
    fn what_came_and_went_between_two_lists_is_told_as_gone_once_more() {
        let now = Instant::now();
        // One went, and another one came.
        let (list, change) = changed(listing(&["a", "b"], 2), listing(&["b", "c"], 4), now);
        assert_eq!(change, ["a", "c", ""]);
        // It came and went again, while whoever was told of it read it.
        let (list, change) = changed(list, listing(&["b", "c"], 6), now);
        assert_eq!(change, ["a", "", "b c"]);
        // Where the lists explain all changes it has not been there.
        let (list, change) = changed(list, listing(&["b"], 7), now);
        assert_eq!(change, ["c", "", ""]);
        // One that is back is no longer gone.
        let (list, change) = changed(list, listing(&["a", "b"], 10), now);
        assert_eq!(change, ["c", "a", "b"]);
        let (_, change) = changed(list, listing(&["a", "b"], 12), now + LATELY);
        assert_eq!(change, ["", "", "a b"], "it was long ago");
    }
}
