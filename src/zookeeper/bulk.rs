//! Whole trees at once, for tools: read level by level in large batches, several of them on their way, and written in
//! multi requests in order. Nothing is watched and nothing is kept.

use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt as _, iter};
use tokio::time::sleep;

use super::Znode;
use super::acl::AclEntry;
use super::client::ZooKeeperSession;
use super::session::{Read, Reply, Session, Write, WriteError};
use crate::registry::{Error, Path};

/// Operations in one request, at most.
const BATCH: usize = 500;
/// Bytes of paths and data in one request, about; servers take 1 MiB.
const BYTES: usize = 256 << 10;
/// Requests on their way at once.
const AT_ONCE: usize = 8;
/// Pause before a read is tried again after its connection was lost.
const PAUSE: Duration = Duration::from_millis(100);

/// Tree as it was read. Not one moment's: what changes meanwhile is seen before or after its change.
#[derive(Debug, Default)]
pub struct Scan {
    /// The znodes, each before those below it.
    pub znodes: Vec<(Path, Znode)>,
    /// Znodes that may not be read, and why: what is below them is not known.
    pub refused: Vec<(Path, Error)>,
}

/// Reads the znode at `root` and all below it, but for `skipped`.
///
/// # Errors
/// [`Error::NoNode`] where there is none; connection trouble that lasts longer than the session.
pub async fn scan<S: Session>(session: &S, root: &Path, skipped: Option<&Path>) -> Result<Scan, Error> {
    patiently(session, async || session.sync(root).await).await?;
    let (mut scan, mut level) = (Scan::default(), vec![root.clone()]);
    while !level.is_empty() {
        let reads = level.drain(..).map(Read::Node);
        let mut parents = Vec::new();
        each(session, reads, |read, reply| match reply {
            Reply::Node(znode) => {
                if znode.stat.num_children > 0 {
                    parents.push(read.path().clone());
                }
                scan.znodes.push((read.path().clone(), znode));
            }
            Reply::Failed(Error::NoNode) | Reply::Children(_) => {}
            Reply::Failed(error) => scan.refused.push((read.path().clone(), error)),
        })
        .await?;
        if scan.znodes.is_empty() && scan.refused.is_empty() {
            return Err(Error::NoNode);
        }
        each(session, parents.into_iter().map(Read::Children), |read, reply| match reply {
            Reply::Children(names) => {
                let children = names.iter().map(|name| read.path().child(name));
                level.extend(children.filter(|child| Some(child) != skipped));
            }
            Reply::Failed(Error::NoNode) | Reply::Node(_) => {}
            Reply::Failed(error) => scan.refused.push((read.path().clone(), error)),
        })
        .await?;
    }
    scan.znodes.sort_unstable_by(|(one, _), (other, _)| one.cmp_in_tree(other));
    scan.refused.sort_by(|(one, _), (other, _)| one.cmp_in_tree(other));
    Ok(scan)
}

/// Reads many things; each reply is handed to `take`, in order.
///
/// # Errors
/// Connection trouble that lasts longer than the session.
pub async fn each<S: Session>(
    session: &S,
    reads: impl Iterator<Item = Read>,
    mut take: impl FnMut(&Read, Reply),
) -> Result<(), Error> {
    let batches = batches(reads, |read| read.path().as_str().len());
    let mut replies = iter(batches)
        .map(async |batch: Vec<Read>| {
            let replies = read(session, &batch).await;
            (batch, replies)
        })
        .buffered(AT_ONCE);
    while let Some((batch, replies)) = replies.next().await {
        batch.iter().zip(replies?).for_each(|(read, reply)| take(read, reply));
    }
    Ok(())
}

/// Reads a batch. One that loses its connection is tried again in two halves: a server before ZooKeeper 3.6 is asked
/// for one thing after the other, and may not get through all of them on one connection.
///
/// # Errors
/// Connection trouble that lasts longer than the session.
pub fn read<'s, S: Session>(session: &'s S, batch: &'s [Read]) -> LocalBoxFuture<'s, Result<Vec<Reply>, Error>> {
    Box::pin(async move {
        if batch.len() == 1 {
            return patiently(session, async || session.read(batch).await).await;
        }
        match session.read(batch).await {
            Err(Error::ConnectionLoss(_)) => {
                let (first, second) = batch.split_at(batch.len() / 2);
                let mut replies = read(session, first).await?;
                replies.extend(read(session, second).await?);
                Ok(replies)
            }
            outcome => outcome,
        }
    })
}

/// Does the writes, in order. What is created has these rights, if any are given. `done` has the number of writes that
/// are known to have been done, also after a failure.
///
/// # Errors
/// The first write that failed, by its index among all, where it was one of them. After connection trouble up to 4,000
/// writes more than `done` may have happened.
pub async fn apply(
    session: &ZooKeeperSession,
    writes: Vec<Write>,
    acl: Option<&[AclEntry]>,
    done: &mut usize,
) -> Result<(), WriteError> {
    let weight = |write: &Write| match write {
        Write::Create { path, data, .. } | Write::Set { path, data, .. } => path.as_str().len() + data.len(),
        Write::Delete { path, .. } => path.as_str().len(),
    };
    // Before ZooKeeper 3.6 a server hangs up on what it does not know: one request then has the trouble, not eight.
    let at_once = if session.reads_at_once() { AT_ONCE } else { 1 };
    let (mut batches, mut under_way) = (batches(writes.into_iter(), weight), FuturesOrdered::new());
    let (mut failed, mut sent) = (None, 0);
    loop {
        while under_way.len() < at_once
            && failed.is_none()
            && let Some(batch) = batches.next()
        {
            let first = sent;
            sent += batch.len();
            under_way.push_back(async move {
                let written = match acl {
                    Some(acl) => session.write_with(&batch, acl).await,
                    None => write(session, &batch).await,
                };
                (first, batch.len(), written)
            });
        }
        let Some((first, count, written)) = under_way.next().await else { break };
        match written {
            Ok(()) => *done += count,
            Err(WriteError { index, error }) if failed.is_none() => {
                failed = Some(WriteError { index: index.map(|index| first + index), error });
            }
            Err(_) => {}
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Writes a batch with the rights that its writes say.
async fn write(session: &ZooKeeperSession, batch: &[Write]) -> Result<(), WriteError> {
    let creates = batch.iter().any(|write| matches!(write, Write::Create { .. }));
    if creates && !session.reads_at_once() {
        let open = AclEntry { scheme: "world".to_owned(), id: "anyone".to_owned(), rights: 31 };
        return session.write_with(batch, &[open]).await;
    }
    session.write(batch).await
}

/// Tries again while the connection is lost, for as long as a session lasts.
async fn patiently<S: Session, T>(session: &S, attempt: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    let begun = Instant::now();
    loop {
        match attempt().await {
            Err(Error::ConnectionLoss(_)) if begun.elapsed() < session.timeout() => sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
}

/// The items in pieces for one request each.
fn batches<T>(items: impl Iterator<Item = T>, weight: impl Fn(&T) -> usize) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.peekable();
    std::iter::from_fn(move || {
        let (mut batch, mut bytes) = (vec![items.next()?], 0);
        bytes += batch.first().map_or(0, &weight);
        while batch.len() < BATCH
            && let Some(item) = items.next_if(|item| bytes + weight(item) <= BYTES)
        {
            bytes += weight(&item);
            batch.push(item);
        }
        Some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zookeeper::memory::Memory;
    use crate::zookeeper::session::Ensemble as _;

    #[test]
    fn a_batch_holds_so_many_items_and_so_many_bytes_but_always_one() {
        let sizes = |items: Vec<usize>| batches(items.into_iter(), |item| *item).map(|b| b.len()).collect::<Vec<_>>();
        assert_eq!(sizes(vec![10; 1201]), [500, 500, 201]);
        assert_eq!(sizes(vec![BYTES / 2, BYTES / 2, 1, 2 * BYTES, 1]), [2, 1, 1, 1]);
        assert_eq!(sizes(Vec::new()), [0; 0]);
    }

    #[tokio::test]
    async fn a_tree_is_read_as_it_is_without_what_is_skipped() {
        let memory = Memory::new("memory");
        for path in ["/a", "/a/b", "/a/b/c", "/a-b", "/zookeeper", "/zookeeper/quota"] {
            memory.create(&Path::new(path).unwrap(), path.as_bytes()).unwrap();
        }
        let session = memory.connect().await.unwrap();
        let own = Path::root().child("zookeeper");
        let read = scan(&session, &Path::root(), Some(&own)).await.unwrap();
        let paths: Vec<_> = read.znodes.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["/", "/a", "/a/b", "/a/b/c", "/a-b"]);
        assert_eq!(read.znodes[3].1.data, b"/a/b/c");
        let nowhere = scan(&session, &Path::root().child("x"), None).await;
        assert_eq!(nowhere.map(|scan| scan.znodes.len()), Err(Error::NoNode));
    }
}
