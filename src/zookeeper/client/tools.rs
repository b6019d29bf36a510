//! Operations of a session that only tools want: rights, writes with rights of their own, sequential
//! znodes and watches that fire once. The mirror and the agent do without them.

use std::panic::AssertUnwindSafe;

use futures_util::future::{FutureExt as _, join_all};
use tokio::time::timeout;
use zookeeper_client as client;
use zookeeper_client::{Acls, AuthId, CreateMode, MultiWriteError, OneshotWatcher, Permission};

use super::attach::Attached;
use super::session::ZooKeeperSession;
use super::translate::translate;
use crate::registry::{Error, Path};
use crate::zookeeper::acl::AclEntry;
use crate::zookeeper::session::{Mode, Write, WriteError};
use crate::zookeeper::size;

/// A watch that fires once: at a change of what it is on, or when its connection is lost.
#[derive(Debug)]
pub struct OnceWatch(OneshotWatcher);

impl OnceWatch {
    /// Returns when it fires.
    pub async fn fired(self) {
        // The crate panics where its own task is gone, which tells as much.
        let _ = AssertUnwindSafe(self.0.changed()).catch_unwind().await;
    }
}

impl ZooKeeperSession {
    /// Reads a znode's rights, and the number of their changes.
    ///
    /// # Errors
    /// [`Error::NoNode`], [`Error::NoAuth`]; connection trouble.
    pub async fn acl(&self, path: &Path) -> Result<(Vec<AclEntry>, i32), Error> {
        let reading = async |attached: &Attached| attached.client.get_acl(path.as_str()).await;
        let (entries, stat) = self.bounded(path.as_str(), reading).await?;
        Ok((entries.iter().map(ours).collect(), stat.aversion))
    }

    /// Replaces a znode's rights, if `version` is the number of their changes or none is given.
    ///
    /// # Errors
    /// [`Error::NoNode`], [`Error::BadVersion`], [`Error::NoAuth`], [`Error::InvalidAcl`]; connection trouble.
    pub async fn set_acl(&self, path: &Path, acl: &[AclEntry], version: Option<i32>) -> Result<(), Error> {
        let entries = theirs(acl);
        let setting =
            async |attached: &Attached| attached.client.set_acl(path.as_str(), &entries, version).await.map(drop);
        self.bounded(path.as_str(), setting).await
    }

    /// Does all the writes, in order, or none of them; what is created has these rights, whatever its write says.
    /// Servers before ZooKeeper 3.5 create znodes one by one: there some of them may be done when others fail.
    ///
    /// # Errors
    /// As [`write`](crate::zookeeper::session::Session::write).
    pub async fn write_with(&self, batch: &[Write], acl: &[AclEntry]) -> Result<(), WriteError> {
        let whole = |error| WriteError { index: None, error };
        size::check_writes(self.chroot, batch).map_err(whole)?;
        let (_, attached) = self.connected().await.map_err(whole)?;
        let entries = theirs(acl);
        let options = |mode: Mode| {
            let mode = if mode == Mode::Ephemeral { CreateMode::Ephemeral } else { CreateMode::Persistent };
            mode.with_acls(Acls::new(&entries))
        };
        let creates = batch.iter().any(|write| matches!(write, Write::Create { .. }));
        if creates && !attached.abilities.is_complete() {
            // All are on their way at once, in their order.
            let done = join_all(batch.iter().map(async |write| {
                let (path, client) = (write.path().as_str(), &attached.client);
                let written = match write {
                    Write::Create { data, mode, .. } => client.create(path, data, &options(*mode)).await.map(drop),
                    Write::Set { data, version, .. } => client.set_data(path, data, *version).await.map(drop),
                    Write::Delete { version, .. } => client.delete(path, *version).await,
                };
                written.map_err(|error| self.of_session(translate(path, error)))
            }));
            let done = timeout(self.timeout, done).await.map_err(|_| whole(Error::Timeout))?;
            let failed = done.into_iter().enumerate().find_map(|(index, done)| done.err().map(|error| (index, error)));
            return failed.map_or(Ok(()), |(index, error)| Err(WriteError { index: Some(index), error }));
        }
        let mut writer = attached.client.new_multi_writer();
        for (index, write) in batch.iter().enumerate() {
            let path = write.path().as_str();
            let added = match write {
                Write::Create { data, mode, .. } => writer.add_create(path, data, &options(*mode)),
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
            Ok(Err(MultiWriteError::RequestFailed { source })) => Err(whole(self.of_session(translate("", source)))),
            Err(_) => Err(whole(Error::Timeout)),
        }
    }

    /// Creates an ephemeral znode whose name is that of `prefix` and a number of ten digits, higher than those before
    /// it in the same parent. Returns its path.
    ///
    /// # Errors
    /// [`Error::NoNode`] for the parent, [`Error::NoAuth`]; connection trouble, after which it may be there.
    pub async fn create_numbered(&self, prefix: &Path, data: &[u8]) -> Result<Path, Error> {
        size::check_write(self.chroot, prefix, data)?;
        let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
        let creating = async |attached: &Attached| attached.client.create(prefix.as_str(), data, &options).await;
        let (_, number) = self.bounded(prefix.as_str(), creating).await?;
        Path::new(&format!("{prefix}{number}"))
    }

    /// Arms a watch on a znode's data and existence.
    ///
    /// # Errors
    /// [`Error::NoNode`], then nothing is armed; [`Error::NoAuth`]; connection trouble.
    pub async fn watch_once(&self, path: &Path) -> Result<OnceWatch, Error> {
        let arming = async |attached: &Attached| attached.client.get_and_watch_data(path.as_str()).await;
        self.bounded(path.as_str(), arming).await.map(|(_, _, watch)| OnceWatch(watch))
    }

    /// Lists a znode's children and arms a watch on the list.
    ///
    /// # Errors
    /// [`Error::NoNode`], [`Error::NoAuth`]; connection trouble.
    pub async fn watch_children(&self, path: &Path) -> Result<(Vec<String>, OnceWatch), Error> {
        let arming = async |attached: &Attached| attached.client.list_and_watch_children(path.as_str()).await;
        let (children, watch) = self.bounded(path.as_str(), arming).await?;
        Ok((children, OnceWatch(watch)))
    }
}

fn ours(entry: &client::Acl) -> AclEntry {
    let rights = [Permission::READ, Permission::WRITE, Permission::CREATE, Permission::DELETE, Permission::ADMIN];
    let bits = rights.iter().enumerate().filter(|(_, right)| entry.permission().has(**right));
    let rights = bits.fold(0, |bits, (bit, _)| bits | 1 << bit);
    AclEntry { scheme: entry.scheme().to_owned(), id: entry.id().to_owned(), rights }
}

fn theirs(acl: &[AclEntry]) -> Vec<client::Acl> {
    let all = [Permission::READ, Permission::WRITE, Permission::CREATE, Permission::DELETE, Permission::ADMIN];
    let rights = |bits: u8| {
        let held = all.iter().enumerate().filter(|(bit, _)| bits & 1 << bit != 0);
        held.fold(Permission::NONE, |rights, (_, right)| rights | *right)
    };
    let entry = |entry: &AclEntry| client::Acl::new(rights(entry.rights), AuthId::new(&entry.scheme, &entry.id));
    acl.iter().map(entry).collect()
}
