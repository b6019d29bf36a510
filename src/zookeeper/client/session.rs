//! A session: each operation is bounded in time, refused at once without a connection, and has errors of ours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::DropGuard;
use zookeeper_client as client;
use zookeeper_client::{AddWatchMode, MultiReadResult, MultiWriteError};

use super::abilities::{Ability, KnownAbilities};
use super::attach::Attached;
use super::host::HostThread;
use super::link::Connectivity;
use super::translate::{options, reply, translate};
use super::watch::{EventSource, ZooKeeperWatch};
use crate::registry::selection::{Everything, Selection};
use crate::registry::{Error, Path};
use crate::zookeeper::session::{Access, Mode, Read, Reply, Session, Write, WriteError};
use crate::zookeeper::{Stat, Znode, size};

/// Time that an operation waits for a connection that is just coming back.
const GRACE: Duration = Duration::from_millis(100);

/// A session with a [`ZooKeeper`](super::ZooKeeper) ensemble.
#[derive(Debug)]
pub struct ZooKeeperSession {
    pub(super) id: i64,
    pub(super) timeout: Duration,
    /// Bytes that the chroot adds to each path.
    pub(super) chroot: usize,
    pub(super) known: KnownAbilities,
    pub(super) reads_at_once: bool,
    pub(super) standing: watch::Receiver<Connectivity>,
    pub(super) _closed: DropGuard,
    pub(super) _running: HostThread,
}

impl ZooKeeperSession {
    /// Does an operation on `path`, within the session timeout, unless there is no connection.
    pub(super) async fn bounded<T>(
        &self,
        path: &str,
        operation: impl AsyncFnOnce(&Attached) -> Result<T, client::Error>,
    ) -> Result<T, Error> {
        let (_, attached) = self.connected().await?;
        match timeout(self.timeout, operation(&attached)).await {
            Ok(done) => done.map_err(|error| self.of_session(translate(path, error))),
            Err(_) => Err(Error::Timeout),
        }
    }

    /// The connection, and which of the session's it is.
    pub(super) async fn connected(&self) -> Result<(u64, Arc<Attached>), Error> {
        let mut standing = self.standing.clone();
        if matches!(*standing.borrow_and_update(), Connectivity::Disconnected(_)) {
            let _ = timeout(GRACE, standing.wait_for(|now| !matches!(now, Connectivity::Disconnected(_)))).await;
        }
        match &*standing.borrow() {
            // Lost this moment, and nobody knows yet.
            Connectivity::Connected(_, attached) if attached.client.state().is_terminated() => {
                Err(Error::ConnectionLoss("the connection was lost".to_owned()))
            }
            Connectivity::Connected(number, attached) => Ok((*number, Arc::clone(attached))),
            Connectivity::Disconnected(why) => Err(Error::ConnectionLoss(why.to_string())),
            Connectivity::Over(error) => Err(error.clone()),
        }
    }

    /// The crate takes the end of its connection for that of the session, which may go on over another one.
    pub(super) fn of_session(&self, error: Error) -> Error {
        match (error, &*self.standing.borrow()) {
            (Error::SessionExpired, Connectivity::Over(error)) => error.clone(),
            (Error::SessionExpired, Connectivity::Disconnected(why)) => Error::ConnectionLoss(why.to_string()),
            (Error::SessionExpired, Connectivity::Connected(..)) => {
                Error::ConnectionLoss("the connection was lost".to_owned())
            }
            (error, _) => error,
        }
    }

    /// Does one write after the other. Servers before 3.5 know `create` in a batch only in a form that the crate does
    /// not speak: there, and only there, a batch that creates may end half done.
    async fn write_singly(&self, batch: &[Write]) -> Result<(), WriteError> {
        for (index, write) in batch.iter().enumerate() {
            let done = match write {
                Write::Create { path, data, mode, access } => self.create(path, data, *mode, access).await.map(drop),
                Write::Set { path, data, version } => self.set(path, data, *version).await.map(drop),
                Write::Delete { path, version } => self.delete(path, *version).await,
            };
            done.map_err(|error| WriteError { index: error.is_answer().then_some(index), error })?;
        }
        Ok(())
    }
}

/// Reads one thing after the other, all on their way at once.
async fn read_singly(client: &client::Client, batch: &[Read]) -> Result<Vec<Reply>, client::Error> {
    let replies = join_all(batch.iter().map(async |read| {
        let path = read.path().as_str();
        let reply = match read {
            Read::Node(_) => {
                let read = client.get_data(path).await;
                read.map(|(data, stat)| Reply::Node(Znode { data, stat: stat.into() }))
            }
            Read::Children(_) => client.list_children(path).await.map(Reply::Children),
        };
        reply.or_else(|error| match translate(path, error.clone()) {
            answer if answer.is_answer() => Ok(Reply::Failed(answer)),
            _ => Err(error),
        })
    }));
    replies.await.into_iter().collect()
}

/// Reads everything in one request.
async fn read_batch(client: &client::Client, batch: &[Read]) -> Result<Vec<MultiReadResult>, client::Error> {
    let mut reader = client.new_multi_reader();
    for read in batch {
        let path = read.path().as_str();
        match read {
            Read::Node(_) => reader.add_get_data(path)?,
            Read::Children(_) => reader.add_get_children(path)?,
        }
    }
    reader.commit().await
}

impl Session for ZooKeeperSession {
    type Watch = ZooKeeperWatch;

    fn id(&self) -> i64 {
        self.id
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn reads_at_once(&self) -> bool {
        self.reads_at_once
    }

    async fn watch_selected(&self, path: &Path, selection: Arc<dyn Selection>) -> Result<ZooKeeperWatch, Error> {
        let (number, attached) = self.connected().await?;
        let told = EventSource::Oneshot(attached.by_level().watch(path, selection).await?);
        Ok(ZooKeeperWatch::new(told, number, self.standing.clone()))
    }

    async fn watch(&self, path: &Path) -> Result<ZooKeeperWatch, Error> {
        let (number, attached) = self.connected().await?;
        let told = if attached.is_old {
            EventSource::Oneshot(attached.by_level().watch(path, Arc::new(Everything)).await?)
        } else {
            let arming = attached.client.watch(path.as_str(), AddWatchMode::PersistentRecursive);
            let armed = timeout(self.timeout, arming).await.map_err(|_| Error::Timeout)?;
            EventSource::Persistent(armed.map_err(|error| self.of_session(translate(path.as_str(), error)))?)
        };
        let standing = self.standing.clone();
        Ok(ZooKeeperWatch::new(told, number, standing))
    }

    async fn sync(&self, path: &Path) -> Result<(), Error> {
        self.bounded(path.as_str(), async |attached| match attached.client.sync(path.as_str()).await {
            // Without a quorum there is nothing to catch up with.
            Err(client::Error::NotReadOnly) if attached.client.session().is_readonly() => Ok(()),
            synced => synced,
        })
        .await
    }

    async fn read(&self, batch: &[Read]) -> Result<Vec<Reply>, Error> {
        size::check_reads(self.chroot, batch)?;
        self.bounded("", async |attached| {
            if !attached.abilities.batches {
                return read_singly(&attached.client, batch).await;
            }
            let results = read_batch(&attached.client, batch).await?;
            if results.len() != batch.len() {
                return Err(client::Error::UnexpectedError(format!(
                    "{} replies to {} reads",
                    results.len(),
                    batch.len()
                )));
            }
            Ok(batch.iter().zip(results).map(|(read, result)| reply(read, result)).collect())
        })
        .await
    }

    async fn get(&self, path: &Path) -> Result<Znode, Error> {
        let reading = async |attached: &Attached| attached.client.get_data(path.as_str()).await;
        let (data, stat) = self.bounded(path.as_str(), reading).await?;
        Ok(Znode { data, stat: stat.into() })
    }

    async fn write(&self, batch: &[Write]) -> Result<(), WriteError> {
        let whole = |error| WriteError { index: None, error };
        size::check_writes(self.chroot, batch).map_err(whole)?;
        let (_, attached) = self.connected().await.map_err(whole)?;
        let (is_complete, address) = (attached.abilities.is_complete(), attached.address);
        let creates = batch.iter().any(|write| matches!(write, Write::Create { .. }));
        let is_known_bad = self.known.get(Instant::now(), address, Ability::BatchedCreates) == Some(false);
        if !is_complete && creates && is_known_bad {
            return self.write_singly(batch).await;
        }
        let mut writer = attached.client.new_multi_writer();
        for (index, write) in batch.iter().enumerate() {
            let path = write.path().as_str();
            let added = match write {
                Write::Create { data, mode, access, .. } => writer.add_create(path, data, &options(*mode, *access)),
                Write::Set { data, version, .. } => writer.add_set_data(path, data, *version),
                Write::Delete { version, .. } => writer.add_delete(path, *version),
            };
            added.map_err(|error| WriteError { index: Some(index), error: translate(path, error) })?;
        }
        match timeout(self.timeout, writer.commit()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(MultiWriteError::OperationFailed { index, source })) => {
                let path = batch.get(index).map_or("", |write| write.path().as_str());
                Err(WriteError { index: Some(index), error: self.of_session(translate(path, source)) })
            }
            Ok(Err(MultiWriteError::RequestFailed { source })) => match self.of_session(translate("", source)) {
                Error::Unimplemented if !is_complete => self.write_singly(batch).await,
                error @ Error::ConnectionLoss(_) if !is_complete && creates => {
                    // Whoever tries again has it done one by one: it may have been this.
                    self.known.hung_up(Instant::now(), address, Ability::BatchedCreates);
                    Err(whole(error))
                }
                error => Err(whole(error)),
            },
            Err(_) => Err(whole(Error::Timeout)),
        }
    }

    async fn create(&self, path: &Path, data: &[u8], mode: Mode, access: &Access) -> Result<Stat, Error> {
        size::check_write(self.chroot, path, data)?;
        let options = options(mode, *access);
        let creating = async |attached: &Attached| attached.client.create(path.as_str(), data, &options).await;
        let (stat, _) = self.bounded(path.as_str(), creating).await?;
        if stat.is_invalid() {
            // 3.4 does not tell.
            return Ok(self.get(path).await?.stat);
        }
        Ok(stat.into())
    }

    async fn set(&self, path: &Path, data: &[u8], version: Option<i32>) -> Result<Stat, Error> {
        size::check_write(self.chroot, path, data)?;
        let setting = async |attached: &Attached| attached.client.set_data(path.as_str(), data, version).await;
        Ok(self.bounded(path.as_str(), setting).await?.into())
    }

    async fn delete(&self, path: &Path, version: Option<i32>) -> Result<(), Error> {
        self.bounded(path.as_str(), async |attached| attached.client.delete(path.as_str(), version).await).await
    }
}
