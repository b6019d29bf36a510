//! Faults of an in-memory ensemble, made on purpose. A session that does not exist (any more) is no problem for
//! any of these: faults and the end of a session may cross.

use super::Memory;
use crate::registry::Path;

impl Memory {
    /// Breaks the session's connection. Its watches say
    /// [`Disconnected`](crate::zookeeper::session::Event::Disconnected) and are dead for good, its operations fail with
    /// [`ConnectionLoss`](crate::registry::Error::ConnectionLoss), its ephemeral znodes stay.
    pub fn cut(&self, session: i64) {
        self.world().cut(session);
    }

    /// Gives the session its connection back:
    /// [`Connected`](crate::zookeeper::session::Event::Connected) on its watches. A session that was dropped while it
    /// was cut is closed.
    pub fn heal(&self, session: i64) {
        self.world().heal(session);
    }

    /// Ends the session: its ephemeral znodes go, its watches say
    /// [`Over`](crate::zookeeper::session::Event::Over), its operations fail with
    /// [`SessionExpired`](crate::registry::Error::SessionExpired).
    pub fn expire(&self, session: i64) {
        self.world().end(session);
    }

    /// From now on, whether connecting fails (with [`Timeout`](crate::registry::Error::Timeout)). Open sessions do not
    /// notice.
    pub fn refuse(&self, refusing: bool) {
        self.world().refusing = refusing;
    }

    /// Lets the server that the session is connected to fall behind: reads show the tree as it is now, events are kept
    /// back. It catches up when the session syncs or writes, or when the lag is ended here.
    pub fn lag(&self, session: i64, lagging: bool) {
        self.world().lag(session, lagging);
    }

    /// As [`lag`](Self::lag) for every session that connects from now on: each begins on the tree as it is now.
    pub fn lag_new(&self, lagging: bool) {
        self.world().lag_new(lagging);
    }

    /// The session's next `count` writes happen, or fail, but answer
    /// [`ConnectionLoss`](crate::registry::Error::ConnectionLoss).
    pub fn lose_replies(&self, session: i64, count: usize) {
        self.world().lose_replies(session, count);
    }

    /// Forbids every session to read the znode at `path` or list its children
    /// ([`NoAuth`](crate::registry::Error::NoAuth)).
    pub fn deny(&self, path: &Path) {
        self.world().denied.insert(path.clone());
    }

    /// Takes [`deny`](Self::deny) back.
    pub fn allow(&self, path: &Path) {
        self.world().denied.remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Error;
    use crate::zookeeper::memory::{MemorySession, MemoryWatch};
    use crate::zookeeper::session::{Access, Ensemble, Event, Mode, Read, Reply, Session};

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    /// A registry of one znode, a session, and its watch on everything.
    async fn registry() -> (Memory, MemorySession, MemoryWatch) {
        let memory = Memory::new("test");
        memory.create(&path("/a"), b"0").unwrap();
        let session = memory.connect().await.unwrap();
        let watch = session.watch(&Path::root()).await.unwrap();
        (memory, session, watch)
    }

    /// Events that the watch has at this moment.
    fn told(watch: &mut MemoryWatch) -> Vec<Event> {
        std::iter::from_fn(|| watch.0.try_recv().ok()).collect()
    }

    fn changed(text: &str) -> Event {
        Event::Changed(path(text))
    }

    fn lost(error: &Error) -> bool {
        matches!(error, Error::ConnectionLoss(_))
    }

    #[tokio::test]
    async fn a_cut_kills_the_watch_and_a_new_one_lives() {
        let (memory, session, mut watch) = registry().await;
        memory.cut(session.id());
        memory.set(&path("/a"), b"1").unwrap();
        assert!(lost(&session.get(&path("/a")).await.unwrap_err()));
        assert!(lost(&session.watch(&path("/a")).await.unwrap_err()));
        memory.heal(session.id());
        let mut again = session.watch(&path("/a")).await.unwrap();
        memory.set(&path("/a"), b"2").unwrap();
        assert_eq!(told(&mut watch), [Event::Disconnected, Event::Connected]);
        assert_eq!(told(&mut again), [changed("/a")]);
        assert_eq!(session.get(&path("/a")).await.unwrap().data, b"2");
    }

    #[tokio::test]
    async fn expiry_takes_the_ephemerals_and_ends_the_watch() {
        let (memory, session, mut watch) = registry().await;
        session.create(&path("/a/e"), b"", Mode::Ephemeral, &Access::Open).await.unwrap();
        let other = memory.connect().await.unwrap();
        let mut others = other.watch(&path("/a")).await.unwrap();
        memory.expire(session.id());
        assert_eq!(told(&mut watch), [changed("/a/e"), Event::Over(Error::SessionExpired)]);
        assert_eq!(told(&mut others), [changed("/a/e")]);
        assert_eq!(session.get(&path("/a")).await, Err(Error::SessionExpired));
        assert_eq!(memory.sessions(), [other.id()]);
    }

    #[tokio::test]
    async fn dropping_closes_but_not_through_a_cut() {
        let (memory, session, _watch) = registry().await;
        session.create(&path("/a/e"), b"", Mode::Ephemeral, &Access::Open).await.unwrap();
        let crashed = memory.connect().await.unwrap();
        crashed.create(&path("/a/f"), b"", Mode::Ephemeral, &Access::Open).await.unwrap();
        let id = crashed.id();
        memory.cut(id);
        drop((session, crashed));
        let left: Vec<_> = memory.dump().into_iter().map(|(path, _)| path).collect();
        assert_eq!(left, [path("/a"), path("/a/f")]);
        assert_eq!(memory.sessions(), [id]);
        memory.heal(id);
        assert_eq!(memory.dump().len(), 1);
        assert_eq!(memory.sessions(), [0; 0]);
    }

    #[tokio::test]
    async fn a_lagging_session_sees_the_past_until_it_syncs_and_hears_of_changes_only_then() {
        let (memory, session, mut watch) = registry().await;
        memory.lag(session.id(), true);
        memory.set(&path("/a"), b"1").unwrap();
        memory.create(&path("/b"), b"").unwrap();
        assert_eq!(session.get(&path("/a")).await.unwrap().data, b"0");
        assert_eq!(session.read(&[Read::Node(path("/b"))]).await.unwrap(), [Reply::Failed(Error::NoNode)]);
        assert_eq!(told(&mut watch), []);
        session.sync(&Path::root()).await.unwrap();
        assert_eq!(told(&mut watch), [changed("/a"), changed("/b")]);
        assert_eq!(session.get(&path("/a")).await.unwrap().data, b"1");
    }

    #[tokio::test]
    async fn a_session_that_begins_behind_catches_up_with_its_own_write() {
        let (memory, _session, _watch) = registry().await;
        memory.lag_new(true);
        memory.set(&path("/a"), b"1").unwrap();
        let late = memory.connect().await.unwrap();
        let mut watch = late.watch(&path("/a")).await.unwrap();
        assert_eq!(late.get(&path("/a")).await.unwrap().data, b"0");
        late.create(&path("/c"), b"", Mode::Persistent, &Access::Open).await.unwrap();
        assert_eq!(late.get(&path("/a")).await.unwrap().data, b"1");
        assert_eq!(told(&mut watch), [changed("/a")]);
    }

    #[tokio::test]
    async fn a_write_whose_reply_is_lost_has_happened() {
        let (memory, session, mut watch) = registry().await;
        memory.lose_replies(session.id(), 2);
        assert!(lost(&session.set(&path("/a"), b"1", None).await.unwrap_err()));
        assert!(lost(&session.delete(&path("/x"), None).await.unwrap_err()));
        assert_eq!(session.set(&path("/a"), b"2", Some(1)).await.unwrap().version, 2);
        assert_eq!(told(&mut watch), [changed("/a"), changed("/a")]);
    }

    #[tokio::test]
    async fn refusing_and_denying_can_be_taken_back() {
        let (memory, session, _watch) = registry().await;
        memory.refuse(true);
        assert_eq!(memory.connect().await.unwrap_err(), Error::Timeout);
        memory.refuse(false);
        memory.connect().await.unwrap();
        memory.deny(&path("/a"));
        let both = [Read::Children(path("/a")), Read::Node(Path::root())];
        let replies = session.read(&both).await.unwrap();
        assert_eq!(replies[0], Reply::Failed(Error::NoAuth));
        assert!(matches!(replies[1], Reply::Node(_)));
        assert_eq!(session.get(&path("/a")).await, Err(Error::NoAuth));
        memory.allow(&path("/a"));
        assert!(session.get(&path("/a")).await.is_ok());
    }
}
