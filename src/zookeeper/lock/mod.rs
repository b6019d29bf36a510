//! Locks in kazoo's layout, so that kazoo's, `nd_service_registry`'s and ours exclude each other.
//!
//! **Lock.** Each contender is an ephemeral child `<id>__lock__<number>` of the lock's path, its data a text for
//! people. The lowest number holds the lock; each of the others watches the one before it. An exclusive lock of ours
//! waits for kazoo's read locks (`__rlock__`) as its `WriteLock` does.
//!
//! **Semaphore.** The data of the path is the number of leases, each holder an ephemeral child `<id>`. Whoever wants
//! one takes the lock `<path>-__lock__` first, waits there for a free lease, and gives that lock back with the lease
//! in hand. So those who wait are served in their order.
//!
//! A lost reply to a create is no trouble: the id is in the name, and is looked for before anything is created again.

mod queue;

use std::time::{Duration, Instant};

use tokio::time::sleep;

use self::queue::{MARK, queue};
use super::client::{OnceWatch, ZooKeeperSession};
use super::session::{Access, Mode, Read, Reply, Session as _};
use crate::registry::{Error, Path};

/// Pause before an attempt after a lost connection.
const PAUSE: Duration = Duration::from_millis(100);
/// Time after which a list is read again, whatever a watch says.
const LOOK: Duration = Duration::from_secs(5);

/// Failure to get a lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// The path is that of a semaphore with another number of leases.
    #[error("it is a semaphore of {there}, not of {wanted}: say --max {there}")]
    OtherMax {
        /// Leases that it has.
        there: usize,
        /// Leases that were asked for.
        wanted: usize,
    },
    /// The path is that of a semaphore.
    #[error("it is a semaphore of {0}: say --max {0}")]
    Semaphore(usize),
    /// The path is that of a lock.
    #[error("it is a lock without --max: it has contenders such as {0}")]
    PlainLock(String),
    /// A znode of ours has gone while we waited.
    #[error("{0}, our place in the queue, was deleted by somebody")]
    Displaced(Path),
    /// ZooKeeper did not do it.
    #[error("{path}: {error}")]
    Failed {
        /// The path that it was about.
        path: Path,
        /// The reason.
        error: Error,
    },
}

/// Contender for a lock.
#[derive(Debug, Clone)]
pub struct Contender {
    path: Path,
    /// Leases of a semaphore; none for a lock.
    max: Option<usize>,
    /// Text for people.
    data: Vec<u8>,
    id: String,
}

/// Znode that shows that a lock is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its path.
    pub path: Path,
    /// The transaction that created it: higher than that of whoever held a lock before.
    pub czxid: i64,
}

/// Holder of a lock, or one who waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its znode.
    pub path: Path,
    /// Its text.
    pub data: Vec<u8>,
    /// Its session.
    pub session: i64,
    /// The transaction that created its znode.
    pub czxid: i64,
    /// Time of that by the ensemble's clock, in milliseconds since 1970.
    pub ctime: i64,
    /// True if it holds the lock.
    pub holds: bool,
}

type Attempt<T> = Result<T, LockError>;

fn failed(path: &Path) -> impl Fn(Error) -> LockError + '_ {
    move |error| LockError::Failed { path: path.clone(), error }
}

/// Path of the lock that guards a semaphore.
fn guard(path: &Path) -> Path {
    Path::trusted(&format!("{path}-{MARK}"))
}

impl Contender {
    /// A contender for the lock at `path`, with `max` for one of so many leases; `data` is what others are shown.
    pub fn new(path: &Path, max: Option<usize>, data: &str) -> Self {
        let id = format!("{:032x}", fastrand::u128(..));
        Self { path: path.clone(), max, data: data.as_bytes().to_vec(), id }
    }

    /// The same contender once more, for another session.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { id: format!("{:032x}", fastrand::u128(..)), ..self.clone() }
    }

    /// Waits for the lock, until `deadline` where there is one. None when it passes; then nothing is left behind.
    ///
    /// # Errors
    /// When the path is used otherwise; [`Error::SessionExpired`] when the session is over: another one begins anew.
    pub async fn acquire(&self, session: &ZooKeeperSession, deadline: Option<Instant>) -> Attempt<Option<Held>> {
        let held = match self.max {
            None => {
                ensure(session, &self.path, b"").await?;
                self.check_plain(session).await?;
                self.queue_up(session, &self.path, deadline).await?
            }
            Some(max) => {
                self.make_semaphore(session, max).await?;
                let (guard, path) = (guard(&self.path), &self.path);
                ensure(session, &guard, b"").await?;
                match self.queue_up(session, &guard, deadline).await? {
                    None => None,
                    Some(place) => {
                        let lease = self.lease(session, max, deadline).await?;
                        delete(session, &place).await.map_err(failed(path))?;
                        lease
                    }
                }
            }
        };
        let Some(path) = held else {
            self.withdraw(session).await?;
            return Ok(None);
        };
        let znode = patiently(session, async || session.get(&path).await).await.map_err(failed(&path))?;
        Ok(Some(Held { czxid: znode.stat.czxid, path }))
    }

    /// Gives back whatever this contender has: its place in the queue, its lock.
    ///
    /// # Errors
    /// When ZooKeeper does not do it for as long as a session lasts; it is given back at the session's end then.
    pub async fn withdraw(&self, session: &ZooKeeperSession) -> Attempt<()> {
        let places = [Some(self.path.clone()), self.max.map(|_| guard(&self.path))];
        for place in places.iter().flatten() {
            let children = match patiently(session, async || list(session, place).await).await {
                Err(Error::NoNode) => continue,
                listed => listed.map_err(failed(place))?,
            };
            for child in children.iter().filter(|child| child.starts_with(&self.id)) {
                let child = place.child(child);
                delete(session, &child).await.map_err(failed(&child))?;
            }
        }
        Ok(())
    }

    /// Takes a place in the queue at `place` and waits until it is the first. None when `deadline` passes.
    async fn queue_up(
        &self,
        session: &ZooKeeperSession,
        place: &Path,
        deadline: Option<Instant>,
    ) -> Attempt<Option<Path>> {
        let prefix = place.child(&format!("{}{MARK}", self.id));
        let own = loop {
            match session.create_numbered(&prefix, &self.data).await {
                Ok(own) => break own,
                Err(Error::ConnectionLoss(_) | Error::Timeout) => {
                    sleep(PAUSE).await;
                    let children = patiently(session, async || list(session, place).await);
                    let children = children.await.map_err(failed(place))?;
                    if let Some(own) = children.iter().find(|child| child.starts_with(&self.id)) {
                        break place.child(own);
                    }
                }
                Err(error) => return Err(failed(place)(error)),
            }
        };
        loop {
            let children = patiently(session, async || list(session, place).await).await.map_err(failed(place))?;
            let queue = queue(&children);
            let Some(at) = queue.iter().position(|name| *name == own.name()) else {
                return Err(LockError::Displaced(own));
            };
            if at == 0 {
                return Ok(Some(own));
            }
            // The one right before wakes this one alone.
            match session.watch_once(&place.child(queue[at - 1])).await {
                Ok(watch) => {
                    if !waited(watch, deadline).await {
                        return Ok(None);
                    }
                }
                Err(Error::NoNode) => {}
                Err(Error::ConnectionLoss(_) | Error::Timeout) => sleep(PAUSE).await,
                Err(error) => return Err(failed(place)(error)),
            }
        }
    }

    /// Waits for a free lease and takes it; the guard is held.
    async fn lease(&self, session: &ZooKeeperSession, max: usize, deadline: Option<Instant>) -> Attempt<Option<Path>> {
        let lease = self.path.child(&self.id);
        loop {
            let (children, watch) = match session.watch_children(&self.path).await {
                Ok(listed) => listed,
                Err(Error::ConnectionLoss(_) | Error::Timeout) => {
                    sleep(PAUSE).await;
                    continue;
                }
                Err(error) => return Err(failed(&self.path)(error)),
            };
            if children.contains(&self.id) {
                return Ok(Some(lease));
            }
            if children.len() < max {
                match session.create(&lease, &self.data, Mode::Ephemeral, &Access::Open).await {
                    // Seen in the list, then.
                    Ok(_) | Err(Error::NodeExists | Error::ConnectionLoss(_) | Error::Timeout) => continue,
                    Err(error) => return Err(failed(&lease)(error)),
                }
            }
            if !waited(watch, deadline).await {
                return Ok(None);
            }
        }
    }

    /// Creates the semaphore, or checks that it has as many leases.
    async fn make_semaphore(&self, session: &ZooKeeperSession, max: usize) -> Attempt<()> {
        let number = max.to_string();
        ensure(session, &self.path, number.as_bytes()).await?;
        let children =
            patiently(session, async || list(session, &self.path).await).await.map_err(failed(&self.path))?;
        if let Some(name) = queue(&children).first() {
            return Err(LockError::PlainLock((*name).to_owned()));
        }
        loop {
            let znode = patiently(session, async || session.get(&self.path).await).await.map_err(failed(&self.path))?;
            return match leases(&znode.data) {
                Some(there) if there != max => Err(LockError::OtherMax { there, wanted: max }),
                // Of somebody who created it and did not get further, or who has no use for the number.
                None if znode.data.is_empty() => {
                    match session.set(&self.path, number.as_bytes(), Some(znode.stat.version)).await {
                        Err(Error::BadVersion | Error::ConnectionLoss(_) | Error::Timeout) => {
                            sleep(PAUSE).await;
                            continue;
                        }
                        set => set.map(drop).map_err(failed(&self.path)),
                    }
                }
                _ => Ok(()),
            };
        }
    }

    /// Refuses a path that is a semaphore's.
    async fn check_plain(&self, session: &ZooKeeperSession) -> Attempt<()> {
        let znode = patiently(session, async || session.get(&self.path).await).await.map_err(failed(&self.path))?;
        let Some(max) = leases(&znode.data) else { return Ok(()) };
        let guard = guard(&self.path);
        match patiently(session, async || session.get(&guard).await).await {
            Ok(_) => Err(LockError::Semaphore(max)),
            Err(Error::NoNode) => Ok(()),
            Err(error) => Err(failed(&guard)(error)),
        }
    }
}

/// Lists who holds the lock at `path` and who waits, in the order in which they get it.
///
/// # Errors
/// When nothing is there, or it cannot be read.
pub async fn list_contenders(session: &ZooKeeperSession, path: &Path) -> Attempt<Vec<Listed>> {
    let children = patiently(session, async || list(session, path).await).await.map_err(failed(path))?;
    let guard = guard(path);
    let waiting = match patiently(session, async || list(session, &guard).await).await {
        Err(Error::NoNode) => Vec::new(),
        listed => listed.map_err(failed(&guard))?,
    };
    let in_line = queue(&children);
    let leases =
        children.iter().filter(|child| !in_line.contains(&child.as_str())).map(|child| (path.child(child), true));
    // Readers hold a lock together, up to the first who writes.
    let readers = in_line.iter().take_while(|name| !name.contains(MARK)).count();
    let line = in_line.iter().enumerate().map(|(at, name)| (path.child(name), at < readers.max(1)));
    let waiters = queue(&waiting).into_iter().map(|name| (guard.child(name), false));
    let mut listed = Vec::new();
    for (path, holds) in leases.chain(line).chain(waiters) {
        match patiently(session, async || session.get(&path).await).await {
            Ok(znode) => listed.push(Listed {
                data: znode.data,
                session: znode.stat.ephemeral_owner,
                czxid: znode.stat.czxid,
                ctime: znode.stat.ctime,
                path,
                holds,
            }),
            Err(Error::NoNode) => {}
            Err(error) => return Err(failed(&path)(error)),
        }
    }
    let holders = listed.iter().take_while(|one| one.holds).count();
    listed[..holders].sort_by_key(|one| one.czxid);
    Ok(listed)
}

/// Number of leases that the data of a semaphore say.
fn leases(data: &[u8]) -> Option<usize> {
    std::str::from_utf8(data).ok()?.trim().parse().ok()
}

/// Waits for a watch, and not for too long. Returns false when `deadline` has passed.
async fn waited(watch: OnceWatch, deadline: Option<Instant>) -> bool {
    let now = Instant::now();
    let left = deadline.map_or(LOOK, |deadline| deadline.saturating_duration_since(now));
    if left.is_zero() {
        return false;
    }
    tokio::select! {
        () = watch.fired() => {}
        () = sleep(left.min(LOOK)) => {}
    }
    true
}

async fn list(session: &ZooKeeperSession, path: &Path) -> Result<Vec<String>, Error> {
    // No `sync`: a server that is behind shows all that is older than a znode that it shows.
    match session.read(&[Read::Children(path.clone())]).await?.pop() {
        Some(Reply::Children(names)) => Ok(names),
        Some(Reply::Failed(error)) => Err(error),
        _ => Err(Error::Refused("a reply to another question".to_owned())),
    }
}

/// Creates a znode with `data`, and those above it without, where they do not exist.
async fn ensure(session: &ZooKeeperSession, path: &Path, data: &[u8]) -> Attempt<()> {
    let mut missing = vec![path.clone()];
    while let Some(next) = missing.last().cloned() {
        let data = if next == *path { data } else { b"" };
        let creating = patiently(session, async || session.create(&next, data, Mode::Persistent, &Access::Open).await);
        match creating.await {
            Ok(_) | Err(Error::NodeExists) => drop(missing.pop()),
            Err(Error::NoNode) => match next.parent().map(Path::trusted) {
                Some(parent) if !parent.is_root() => missing.push(parent),
                _ => return Err(failed(&next)(Error::NoNode)),
            },
            // Who may only use what is there may not create it.
            Err(Error::NoAuth) if patiently(session, async || session.get(&next).await).await.is_ok() => {
                missing.pop();
            }
            Err(error) => return Err(failed(&next)(error)),
        }
    }
    Ok(())
}

async fn delete(session: &ZooKeeperSession, path: &Path) -> Result<(), Error> {
    match patiently(session, async || session.delete(path, None).await).await {
        Err(Error::NoNode) => Ok(()),
        deleted => deleted,
    }
}

/// Tries again while there is no connection, as long as the session lasts.
async fn patiently<T>(session: &ZooKeeperSession, attempt: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    let begun = Instant::now();
    loop {
        match attempt().await {
            Err(Error::ConnectionLoss(_) | Error::Timeout) if begun.elapsed() < session.timeout() * 2 => {
                sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}
