//! What callers of a session may rely on, checked against the in-memory ensemble, against three releases of the real
//! one, and against what is a 3.5 to clients: a case that only some of them pass is a bug in one of them.

mod fixture;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout;
use zonekeeper::registry::{Error, Path};
use zonekeeper::zookeeper::session::{Access, Event, Mode, Read, Reply, Session, Watch, Write, WriteError};
use zonekeeper::zookeeper::{Stat, Znode};

use self::fixture::{Elder, Fixture, InMemory, LONG, New, Old, SHORT, System};
use crate::harness::{PATIENCE, eventually};

/// Runs every case against all of them, but for those that old servers cannot pass.
macro_rules! battery {
    ($($case:ident,)* ; from 3.5 on: $($newer:ident,)* ; from 3.6 on: $($new:ident,)*) => {
        mod memory {
            $(#[tokio::test] async fn $case() { super::$case::<super::InMemory>().await; })*
            $(#[tokio::test] async fn $newer() { super::$newer::<super::InMemory>().await; })*
            $(#[tokio::test] async fn $new() { super::$new::<super::InMemory>().await; })*
        }
        mod zookeeper {
            $(#[tokio::test] async fn $case() { super::$case::<super::System>().await; })*
            $(#[tokio::test] async fn $newer() { super::$newer::<super::System>().await; })*
            $(#[tokio::test] async fn $new() { super::$new::<super::System>().await; })*
        }
        mod zookeeper_3_4 {
            $(#[tokio::test] async fn $case() { super::$case::<super::Old>().await; })*
        }
        mod as_zookeeper_3_5 {
            $(#[tokio::test] async fn $case() { super::$case::<super::Elder>().await; })*
            $(#[tokio::test] async fn $newer() { super::$newer::<super::Elder>().await; })*
        }
        mod zookeeper_3_9 {
            $(#[tokio::test] async fn $case() { super::$case::<super::New>().await; })*
            $(#[tokio::test] async fn $newer() { super::$newer::<super::New>().await; })*
            $(#[tokio::test] async fn $new() { super::$new::<super::New>().await; })*
        }
    };
}

battery! {
    znodes_are_created_read_changed_and_deleted,
    every_rule_has_its_error,
    a_read_only_znode_is_its_parents_to_delete,
    who_is_nobody_creates_nothing_for_himself_alone,
    ephemeral_znodes_go_with_their_session,
    a_watch_on_the_root_tells_of_everything,
    of_two_watches_on_a_path_one_can_be_dropped,
    nothing_works_without_a_connection_and_everything_after_it,
    expiry_ends_watches_operations_and_ephemeral_znodes,
    a_batch_of_reads_has_a_reply_for_each,
    ten_thousand_children_are_created_told_and_listed,
    what_is_too_large_is_refused_and_harms_nobody,
    many_operations_go_on_at_once,
    // Before 3.5 the client library has no `create` for batches, so a batch is done piece by piece.
    ; from 3.5 on:
    a_batch_is_done_wholly_or_not_at_all,
    a_batch_sees_its_own_writes,
    // Before 3.6 reads are not of one moment, and a watch made of one-shot watches tells of two quick changes of a
    // znode once or twice, and of what happened during a cut: see `old_zookeepers`.
    ; from 3.6 on:
    a_watch_tells_of_its_path_and_below_and_of_nothing_else,
    a_new_session_takes_a_znode_over_while_the_old_one_lives,
    a_batch_of_reads_sees_a_batch_of_writes_wholly_or_not_at_all,
    a_cut_kills_a_watch_and_one_armed_afterwards_lives,
}

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

fn creation(text: &str, mode: Mode) -> Write {
    Write::Create { path: path(text), data: b"new".to_vec(), mode, access: Access::Open }
}

fn deletion(text: &str, version: Option<i32>) -> Write {
    Write::Delete { path: path(text), version }
}

fn changed(text: &str) -> Event {
    Event::Changed(path(text))
}

async fn create(session: &impl Session, text: &str) -> Stat {
    session.create(&path(text), b"", Mode::Persistent, &Access::Open).await.unwrap()
}

async fn next(watch: &mut impl Watch) -> Event {
    timeout(PATIENCE, watch.next()).await.expect("an event")
}

async fn znodes_are_created_read_changed_and_deleted<F: Fixture>() {
    let session = F::new().await.connect().await;
    let created = session.create(&path("/a"), b"one", Mode::Persistent, &Access::Open).await.unwrap();
    assert_eq!((created.version, created.ephemeral_owner, created.num_children), (0, 0, 0));
    assert_eq!(created.czxid, created.mzxid);
    assert_eq!(session.get(&path("/a")).await.unwrap(), Znode { data: b"one".to_vec(), stat: created });

    let set = session.set(&path("/a"), b"two", Some(0)).await.unwrap();
    assert_eq!((set.version, set.czxid), (1, created.czxid));
    assert!(set.mzxid > set.czxid);
    create(&session, "/a/child").await;
    let Znode { data, stat } = session.get(&path("/a")).await.unwrap();
    assert_eq!(
        (data.as_slice(), stat),
        (&b"two"[..], Stat { num_children: 1, pzxid: stat.pzxid, cversion: stat.cversion, ..set })
    );

    create(&session, "/a/with spaces & ü").await;
    session.sync(&path("/a")).await.unwrap();
    session.delete(&path("/a/with spaces & ü"), None).await.unwrap();
    session.delete(&path("/a/child"), Some(0)).await.unwrap();
    session.delete(&path("/a"), Some(1)).await.unwrap();
    assert_eq!(session.get(&path("/a")).await, Err(Error::NoNode));
}

async fn every_rule_has_its_error<F: Fixture>() {
    let session = F::new().await.connect().await;
    create(&session, "/a").await;
    create(&session, "/a/b").await;
    session.create(&path("/e"), b"", Mode::Ephemeral, &Access::Open).await.unwrap();
    let creating = async |text: &str| session.create(&path(text), b"", Mode::Ephemeral, &Access::Open).await;
    assert_eq!(creating("/a").await, Err(Error::NodeExists));
    assert_eq!(creating("/x/y").await, Err(Error::NoNode));
    assert_eq!(creating("/e/x").await, Err(Error::NoChildrenForEphemerals));
    assert_eq!(session.set(&path("/x"), b"", None).await, Err(Error::NoNode));
    assert_eq!(session.set(&path("/a"), b"", Some(1)).await, Err(Error::BadVersion));
    assert_eq!(session.set(&path("/a"), b"", Some(-2)).await, Err(Error::BadVersion));
    assert_eq!(session.delete(&path("/x"), None).await, Err(Error::NoNode));
    assert_eq!(session.delete(&path("/a"), None).await, Err(Error::NotEmpty));
    assert_eq!(session.delete(&path("/a/b"), Some(7)).await, Err(Error::BadVersion));
    assert_eq!(session.get(&path("/x")).await, Err(Error::NoNode));
    assert!(matches!(session.delete(&Path::root(), None).await, Err(Error::BadPath { .. })));
    assert!(matches!(creating("/").await, Err(Error::BadPath { .. })));
    assert_eq!(session.set(&path("/a"), b"", Some(-1)).await.unwrap().version, 1);
}

async fn a_batch_is_done_wholly_or_not_at_all<F: Fixture>() {
    let session = F::new().await.connect().await;
    create(&session, "/a").await;
    let before = session.get(&path("/a")).await.unwrap();
    let set = Write::Set { path: path("/a"), data: b"changed".to_vec(), version: Some(0) };
    for (last, error) in [
        (creation("/a", Mode::Persistent), Error::NodeExists),
        (creation("/x/y", Mode::Persistent), Error::NoNode),
        (deletion("/x", None), Error::NoNode),
        (deletion("/a", Some(0)), Error::BadVersion),
        (deletion("/a", None), Error::NotEmpty),
        (set.clone(), Error::BadVersion),
    ] {
        let batch = [creation("/a/b", Mode::Persistent), set.clone(), last];
        assert_eq!(session.write(&batch).await, Err(WriteError { index: Some(2), error }), "{batch:?}");
        assert_eq!(session.get(&path("/a")).await.unwrap(), before);
        assert_eq!(session.get(&path("/a/b")).await, Err(Error::NoNode));
    }
    let first = [creation("/x/y", Mode::Persistent), set.clone()];
    assert_eq!(session.write(&first).await, Err(WriteError { index: Some(0), error: Error::NoNode }));
    session.write(&[creation("/a/b", Mode::Persistent), set]).await.unwrap();
    assert_eq!(session.get(&path("/a")).await.unwrap().data, b"changed");
    assert_eq!(session.get(&path("/a/b")).await.unwrap().data, b"new");
    session.write(&[]).await.unwrap();
}

async fn a_batch_sees_its_own_writes<F: Fixture>() {
    let session = F::new().await.connect().await;
    let batch = [
        creation("/a", Mode::Persistent),
        creation("/a/b", Mode::Ephemeral),
        Write::Set { path: path("/a"), data: b"1".to_vec(), version: Some(0) },
        deletion("/a/b", Some(0)),
        creation("/a/b", Mode::Persistent),
    ];
    session.write(&batch).await.unwrap();
    let (above, below) = (session.get(&path("/a")).await.unwrap(), session.get(&path("/a/b")).await.unwrap());
    assert_eq!((above.stat.version, above.stat.num_children), (1, 1));
    assert_eq!(below.stat.ephemeral_owner, 0);
    assert_eq!(below.stat.czxid, above.stat.czxid, "one transaction");
}

async fn a_read_only_znode_is_its_parents_to_delete<F: Fixture>() {
    let fixture = F::new().await;
    let (owner, other) = (fixture.connect().await, fixture.connect().await);
    create(&owner, "/a").await;
    owner.create(&path("/a/e"), b"mine", Mode::Persistent, &Access::Read).await.unwrap();
    other.sync(&path("/a")).await.unwrap();
    assert_eq!(other.get(&path("/a/e")).await.unwrap().data, b"mine");
    assert_eq!(owner.set(&path("/a/e"), b"", None).await, Err(Error::NoAuth));
    assert_eq!(
        owner.write(&[creation("/a/e/x", Mode::Persistent)]).await,
        Err(WriteError { index: Some(0), error: Error::NoAuth })
    );
    other.delete(&path("/a/e"), Some(0)).await.unwrap();
}

async fn who_is_nobody_creates_nothing_for_himself_alone<F: Fixture>() {
    let session = F::new().await.connect().await;
    let created = session.create(&path("/a/b"), b"", Mode::Ephemeral, &Access::Creator).await;
    assert_eq!(created, Err(Error::InvalidAcl), "before the missing parent");
}

async fn ephemeral_znodes_go_with_their_session<F: Fixture>() {
    let fixture = F::new().await;
    let (owner, other) = (fixture.connect().await, fixture.connect().await);
    assert_ne!(owner.id(), other.id());
    create(&owner, "/a").await;
    let stat = owner.create(&path("/a/e"), b"", Mode::Ephemeral, &Access::Open).await.unwrap();
    assert_eq!(stat.ephemeral_owner, owner.id());
    owner.write(&[creation("/a/f", Mode::Ephemeral)]).await.unwrap();
    let mut watch = other.watch(&path("/a")).await.unwrap();
    assert_eq!(other.get(&path("/a/f")).await.unwrap().stat.ephemeral_owner, owner.id());
    drop(owner);
    let gone = [next(&mut watch).await, next(&mut watch).await];
    assert!(gone.contains(&changed("/a/e")) && gone.contains(&changed("/a/f")), "{gone:?}");
    assert_eq!(other.get(&path("/a")).await.unwrap().stat.num_children, 0);
}

async fn a_watch_tells_of_its_path_and_below_and_of_nothing_else<F: Fixture>() {
    let fixture = F::new().await;
    let (watching, writing) = (fixture.connect().await, fixture.connect().await);
    let mut watch = watching.watch(&path("/a/b")).await.unwrap();
    create(&writing, "/a").await;
    create(&writing, "/a/b").await;
    create(&writing, "/a/b2").await;
    create(&writing, "/a/b/c").await;
    create(&writing, "/a/b/c/d").await;
    writing.set(&path("/a/b/c/d"), b"1", None).await.unwrap();
    writing.set(&path("/a/b2"), b"1", None).await.unwrap();
    writing.set(&path("/a/b"), b"1", None).await.unwrap();
    writing.delete(&path("/a/b/c/d"), None).await.unwrap();
    writing.delete(&path("/a/b/c"), None).await.unwrap();
    writing.delete(&path("/a/b"), None).await.unwrap();
    create(&writing, "/a/b").await;
    for told in ["/a/b", "/a/b/c", "/a/b/c/d", "/a/b/c/d", "/a/b", "/a/b/c/d", "/a/b/c", "/a/b", "/a/b"] {
        assert_eq!(next(&mut watch).await, changed(told));
    }
}

async fn a_watch_on_the_root_tells_of_everything<F: Fixture>() {
    let session = F::new().await.connect().await;
    let mut watch = session.watch(&Path::root()).await.unwrap();
    session.set(&Path::root(), b"1", None).await.unwrap();
    create(&session, "/a").await;
    create(&session, "/a/b").await;
    for told in ["/", "/a", "/a/b"] {
        assert_eq!(next(&mut watch).await, changed(told));
    }
}

async fn of_two_watches_on_a_path_one_can_be_dropped<F: Fixture>() {
    let session = F::new().await.connect().await;
    let first = session.watch(&path("/a")).await.unwrap();
    let mut second = session.watch(&path("/a")).await.unwrap();
    drop(first);
    // Whatever the drop sends is behind us once this came back.
    session.sync(&path("/")).await.unwrap();
    create(&session, "/a").await;
    assert_eq!(next(&mut second).await, changed("/a"));
    drop(second);
    let mut third = session.watch(&path("/a")).await.unwrap();
    create(&session, "/a/b").await;
    assert_eq!(next(&mut third).await, changed("/a/b"));
}

async fn a_cut_kills_a_watch_and_one_armed_afterwards_lives<F: Fixture>() {
    let fixture = F::new().await;
    let (victim, other) = (fixture.victim(LONG).await.unwrap(), fixture.connect().await);
    let mut watch = victim.watch(&path("/a")).await.unwrap();
    create(&other, "/a").await;
    assert_eq!(next(&mut watch).await, changed("/a"));
    for round in 0..3 {
        let [during, after] = ["during", "after"].map(|when| format!("/a/{when}{round}"));
        fixture.cut(victim.id());
        assert_eq!(next(&mut watch).await, Event::Disconnected);
        create(&other, &during).await;
        fixture.heal(victim.id());
        assert_eq!(next(&mut watch).await, Event::Connected);
        let mut armed = victim.watch(&path("/a")).await.unwrap();
        drop(std::mem::replace(&mut watch, armed_again(&victim).await));
        victim.sync(&path("/a")).await.unwrap();
        assert!(victim.get(&path(&during)).await.is_ok(), "what happened during the cut can be read");
        create(&other, &after).await;
        assert_eq!(next(&mut armed).await, changed(&after), "what happened during the cut is not told");
        assert_eq!(next(&mut watch).await, changed(&after));
    }
}

async fn armed_again<S: Session>(session: &S) -> S::Watch {
    session.watch(&path("/a")).await.unwrap()
}

async fn nothing_works_without_a_connection_and_everything_after_it<F: Fixture>() {
    let fixture = F::new().await;
    let victim = fixture.victim(LONG).await.unwrap();
    create(&victim, "/a").await;
    let mut watch = victim.watch(&path("/a")).await.unwrap();
    fixture.cut(victim.id());
    assert_eq!(next(&mut watch).await, Event::Disconnected);
    let begun = Instant::now();
    let trouble = |error: Error| assert!(!error.is_answer() && !error.is_terminal(), "{error}");
    trouble(victim.get(&path("/a")).await.unwrap_err());
    trouble(victim.read(&[Read::Node(path("/a"))]).await.unwrap_err());
    trouble(victim.sync(&path("/a")).await.unwrap_err());
    trouble(victim.watch(&path("/a")).await.map(drop).unwrap_err());
    trouble(victim.set(&path("/a"), b"", None).await.unwrap_err());
    let failed = victim.write(&[deletion("/a", None)]).await.unwrap_err();
    assert_eq!(failed.index, None);
    trouble(failed.error);
    trouble(fixture.victim(SHORT).await.map(drop).unwrap_err());
    assert!(begun.elapsed() < Duration::from_secs(10), "none of them waits long");
    fixture.heal(victim.id());
    assert_eq!(next(&mut watch).await, Event::Connected);
    assert_eq!(victim.get(&path("/a")).await.unwrap().stat.version, 0, "nothing was done later on");
}

async fn expiry_ends_watches_operations_and_ephemeral_znodes<F: Fixture>() {
    let fixture = F::new().await;
    let (victim, other) = (fixture.victim(SHORT).await.unwrap(), fixture.connect().await);
    create(&other, "/a").await;
    victim.sync(&path("/a")).await.unwrap();
    victim.create(&path("/a/e"), b"", Mode::Ephemeral, &Access::Open).await.unwrap();
    let (mut watch, mut others) = (victim.watch(&path("/b")).await.unwrap(), other.watch(&path("/a")).await.unwrap());
    fixture.expire(victim.id());
    assert_eq!(next(&mut watch).await, Event::Disconnected);
    assert_eq!(next(&mut watch).await, Event::Over(Error::SessionExpired));
    assert!(timeout(Duration::from_millis(50), watch.next()).await.is_err(), "it says nothing more");
    assert_eq!(next(&mut others).await, changed("/a/e"));
    fixture.heal(victim.id());
    assert_eq!(victim.get(&path("/a")).await, Err(Error::SessionExpired));
    assert_eq!(
        victim.write(&[creation("/a/f", Mode::Ephemeral)]).await,
        Err(WriteError { index: None, error: Error::SessionExpired })
    );
    assert_eq!(other.get(&path("/a/e")).await, Err(Error::NoNode));
}

async fn a_batch_of_reads_has_a_reply_for_each<F: Fixture>() {
    let session = F::new().await.connect().await;
    session.write(&["/a", "/a/b", "/a/c"].map(|text| creation(text, Mode::Persistent))).await.unwrap();
    let known = session.get(&path("/a")).await.unwrap();
    let batch = [
        Read::Children(path("/x")),
        Read::Node(path("/a")),
        Read::Node(path("/x")),
        Read::Children(path("/a")),
        Read::Children(path("/a/b")),
    ];
    let mut replies = session.read(&batch).await.unwrap();
    if let Reply::Children(names) = &mut replies[3] {
        names.sort();
    }
    let names = |names: &[&str]| Reply::Children(names.iter().map(ToString::to_string).collect());
    let missing = || Reply::Failed(Error::NoNode);
    assert_eq!(replies, [missing(), Reply::Node(known), missing(), names(&["b", "c"]), names(&[])]);
    assert_eq!(session.read(&[]).await.unwrap(), []);
}

/// The mirror takes what one request read of a service for a state that the service had.
async fn a_batch_of_reads_sees_a_batch_of_writes_wholly_or_not_at_all<F: Fixture>() {
    let fixture = F::new().await;
    reads_are_of_one_moment(&fixture.connect().await, &fixture.connect().await).await;
}

/// While one session writes the same to twenty znodes again and again, a batch each time, every batch of reads of
/// another finds the same in all of them.
pub(crate) async fn reads_are_of_one_moment<S: Session>(writing: &S, reading: &S) {
    const ROUNDS: u32 = 300;
    let paths: Vec<Path> = (0..20).map(|number| path(&format!("/moment/{number}"))).collect();
    create(writing, "/moment").await;
    writing
        .write(&paths.iter().map(|path| creation(path.as_str(), Mode::Persistent)).collect::<Vec<_>>())
        .await
        .unwrap();
    reading.sync(&path("/moment")).await.unwrap();
    let write = async {
        for round in 0..ROUNDS {
            let set = |path: &Path| Write::Set { path: path.clone(), data: round.to_string().into(), version: None };
            writing.write(&paths.iter().map(set).collect::<Vec<_>>()).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let reads: Vec<Read> = paths.iter().cloned().map(Read::Node).collect();
    let read = async {
        let mut states = BTreeSet::new();
        while states.last().is_none_or(|(_, last)| *last != (ROUNDS - 1).to_string().into_bytes()) {
            let mut found = BTreeSet::new();
            for reply in reading.read(&reads).await.unwrap() {
                let Reply::Node(Znode { data, stat }) = reply else { panic!("{reply:?}") };
                found.insert((stat.mzxid, data));
            }
            assert_eq!(found.len(), 1, "a mixture: {found:?}");
            states.extend(found);
            tokio::task::yield_now().await;
        }
        states.len()
    };
    let ((), states) = timeout(PATIENCE, async { tokio::join!(write, read) }).await.expect("the last state is seen");
    assert!(states > 10, "they went on side by side: {states} states were seen");
}

async fn ten_thousand_children_are_created_told_and_listed<F: Fixture>() {
    let session = F::new().await.connect().await;
    create(&session, "/a").await;
    let mut watch = session.watch(&path("/a")).await.unwrap();
    let names: BTreeSet<String> =
        (0..10_000).map(|number| format!("192.168.{}.{}:8080", number / 250, number % 250)).collect();
    let writes: Vec<Write> = names.iter().map(|name| creation(&format!("/a/{name}"), Mode::Ephemeral)).collect();
    for batch in writes.chunks(1000) {
        session.write(batch).await.unwrap();
    }
    let mut told = BTreeSet::new();
    while told.len() < names.len() {
        match next(&mut watch).await {
            Event::Changed(path) => assert!(told.insert(path.name().to_owned()), "{path} twice"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, names);
    let replies = session.read(&[Read::Children(path("/a")), Read::Node(path("/a"))]).await.unwrap();
    let [Reply::Children(listed), Reply::Node(node)] = replies.as_slice() else {
        panic!("{replies:?}");
    };
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), names);
    assert_eq!(node.stat.num_children, 10_000);
}

async fn what_is_too_large_is_refused_and_harms_nobody<F: Fixture>() {
    let session = F::new().await.connect().await;
    create(&session, "/a").await;
    let mut watch = session.watch(&path("/a")).await.unwrap();
    let huge = vec![b'x'; 1 << 20];
    let created = session.create(&path("/a/huge"), &huge, Mode::Persistent, &Access::Open).await;
    assert_eq!(created, Err(Error::TooLarge));
    assert_eq!(session.set(&path("/a"), &huge, None).await, Err(Error::TooLarge));
    let half = |text: &str| Write::Set { path: path(text), data: huge[..600_000].to_vec(), version: None };
    let both = session.write(&[half("/a"), half("/a")]).await;
    assert_eq!(both, Err(WriteError { index: None, error: Error::TooLarge }));
    let reads = vec![Read::Node(path("/a/some/where")); 20_000];
    assert_eq!(session.read(&reads).await, Err(Error::TooLarge));

    // As large as it may be: the server must take what is not refused here.
    let mut size = (1 << 20) - 1;
    while session.set(&path("/a"), &huge[..size], None).await == Err(Error::TooLarge) {
        size -= 1;
    }
    assert!(size > 1_048_000, "{size}");
    assert_eq!(next(&mut watch).await, changed("/a"));
    assert_eq!(session.get(&path("/a")).await.unwrap().data.len(), size);
}

async fn many_operations_go_on_at_once<F: Fixture>() {
    let session = Arc::new(F::new().await.connect().await);
    create(&*session, "/a").await;
    let mut tasks = JoinSet::new();
    for number in 0..500 {
        let session = Arc::clone(&session);
        tasks.spawn(async move {
            let own = path(&format!("/a/{number}"));
            session.create(&own, b"", Mode::Ephemeral, &Access::Open).await?;
            session.set(&path("/a"), number.to_string().as_bytes(), None).await?;
            let replies = session.read(&[Read::Node(own.clone()), Read::Children(path("/a"))]).await?;
            assert!(matches!(replies.as_slice(), [Reply::Node(_), Reply::Children(_)]));
            session.delete(&own, Some(0)).await
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let stat = session.get(&path("/a")).await.unwrap().stat;
    assert_eq!((stat.version, stat.num_children), (500, 0));
}

async fn a_new_session_takes_a_znode_over_while_the_old_one_lives<F: Fixture>() {
    let fixture = F::new().await;
    let (old, new, watching) = (fixture.connect().await, fixture.connect().await, fixture.connect().await);
    create(&old, "/a").await;
    old.create(&path("/a/e"), b"old", Mode::Ephemeral, &Access::Read).await.unwrap();
    new.sync(&path("/a")).await.unwrap();
    let mut watch = watching.watch(&path("/a")).await.unwrap();
    let take = |version| [deletion("/a/e", Some(version)), creation("/a/e", Mode::Ephemeral)];
    assert_eq!(new.write(&take(3)).await, Err(WriteError { index: Some(0), error: Error::BadVersion }));
    assert_eq!(new.get(&path("/a/e")).await.unwrap().stat.ephemeral_owner, old.id());
    new.write(&take(0)).await.unwrap();
    assert_eq!([next(&mut watch).await, next(&mut watch).await], [changed("/a/e"), changed("/a/e")]);
    drop(old);
    create(&new, "/a/later").await;
    assert_eq!(next(&mut watch).await, changed("/a/later"), "the end of the old session takes nothing along");
    let taken = eventually("the new znode", || async { watching.get(&path("/a/e")).await.ok() }).await;
    assert_eq!((taken.data.as_slice(), taken.stat.ephemeral_owner), (&b"new"[..], new.id()));
}
