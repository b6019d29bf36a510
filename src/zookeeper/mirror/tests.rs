//! Tests of one mirror, step by step; lives of many are in `crate::zookeeper::simulation`.

use super::*;
use crate::registry::tree::{Entry, Known};
use crate::zookeeper::session::{Event, Reply};
use crate::zookeeper::{Stat, Znode};

const TIMEOUT: Duration = Duration::from_secs(9);

fn mirror_of(now: Instant, seed: u64) -> Mirror {
    let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(15), Duration::from_secs(30));
    let mut mirror = Mirror::new(Path::root().child("s"), MirrorLimits::for_session(TIMEOUT), backoff, now, seed);
    mirror.poll(now);
    mirror
}

/// Feeds a live mirror's worth of answers; gives the actions of the last step.
fn until_synced(mirror: &mut Mirror, now: Instant, tree: &mut Tree) -> Vec<Action> {
    mirror.handle(now, Input::Connected { at_once: true }, tree);
    let Some(Action::Arm(epoch, _)) = mirror.poll(now).pop() else { panic!("nothing is armed") };
    mirror.handle(now, Input::Armed(epoch, Ok(())), tree);
    mirror.poll(now);
    mirror.handle(now, Input::Synced(epoch, Ok(None)), tree);
    mirror.poll(now)
}

fn live(mirror: &mut Mirror, now: Instant, tree: &mut Tree) {
    let Some(Action::Read(epoch, batch)) = until_synced(mirror, now, tree).pop() else { panic!("no read") };
    let znode = Znode { data: Vec::new(), stat: Stat::default() };
    mirror.handle(now, Input::Replied(epoch, batch, Ok(vec![Reply::Node(znode)])), tree);
    mirror.poll(now);
    assert_eq!(mirror.phase(), Phase::Live);
}

#[test]
fn the_age_counts_from_the_last_proof_and_not_from_the_last_change() {
    let (begun, mut tree) = (Instant::now(), Tree::default());
    let mut mirror = mirror_of(begun, 1);
    assert_eq!(mirror.age(begun), None);
    live(&mut mirror, begun, &mut tree);
    // An hour without any change, each probe answered.
    let mut now = begun;
    for _ in 0..1200 {
        now += Duration::from_secs(3);
        mirror.handle(now, Input::Tick, &mut tree);
        let Some(Action::Sync(epoch)) = mirror.poll(now).pop() else { panic!("no probe") };
        mirror.handle(now, Input::Synced(epoch, Ok(None)), &mut tree);
        assert_eq!(mirror.age(now), Some(Duration::ZERO));
    }
    mirror.handle(now + Duration::from_secs(1), Input::Event(Event::Disconnected), &mut tree);
    assert_eq!(mirror.age(now + Duration::from_secs(60)), Some(Duration::from_secs(60)));
}

#[test]
fn a_connection_that_went_silent_is_doubted_before_it_is_given_up() {
    let (begun, mut tree) = (Instant::now(), Tree::default());
    let mut mirror = mirror_of(begun, 1);
    live(&mut mirror, begun, &mut tree);
    let later = begun + TIMEOUT;
    mirror.handle(later, Input::Tick, &mut tree);
    assert_eq!(mirror.phase(), Phase::Live);
    assert_eq!(mirror.age(later), Some(TIMEOUT));
}

#[test]
fn scans_of_a_large_tree_are_spread_and_those_of_a_small_or_an_empty_one_are_not() {
    let begun = Instant::now();
    let reads = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::Read(..)));
    let mut large = Tree::default();
    for i in 0..200_000 {
        let known = Known { data: (*b"").into(), czxid: 1, mzxid: 1, ephemeral_owner: 0, ctime: 0 };
        large.put(&Path::root().child("s").child(&i.to_string()), Entry::Known(known), 0);
    }
    let mut begins = BTreeSet::new();
    for seed in 0..20 {
        let mut mirror = mirror_of(begun, seed);
        assert!(reads(&until_synced(&mut mirror, begun, &mut Tree::default())));
        let mut mirror = mirror_of(begun, seed);
        assert!(!reads(&until_synced(&mut mirror, begun, &mut large)), "seed {seed} begins at once");
        let started = (1..=11).find(|tenth| {
            let now = begun + Duration::from_millis(100) * *tenth;
            mirror.handle(now, Input::Tick, &mut large);
            reads(&mirror.poll(now))
        });
        begins.insert(started.expect("within the second that such a scan takes"));
    }
    assert!(begins.len() >= 5, "{begins:?}");
}

#[test]
fn a_further_root_is_shown_in_whole_or_not_at_all() {
    let (now, mut tree) = (Instant::now(), Tree::default());
    let mut mirror = mirror_of(now, 1);
    live(&mut mirror, now, &mut tree);
    let far = Path::root().child("t");
    mirror.handle(now, Input::Outside(BTreeSet::from([far.clone()])), &mut tree);
    let Some(Action::Join(epoch, path)) = mirror.poll(now).pop() else { panic!("nothing joins") };
    assert_eq!(path, far);
    mirror.handle(now, Input::Joined(epoch, path, Ok(())), &mut tree);
    let mut asked: Vec<Vec<Read>> = Vec::new();
    let answer = |batch: &[Read]| {
        let parent = |read: &Read| Stat { num_children: i32::from(read.path() == &far), ..Stat::default() };
        let reply = |read: &Read| match read {
            Read::Node(_) => Reply::Node(Znode { data: Vec::new(), stat: parent(read) }),
            Read::Children(_) => Reply::Children(vec!["a".into(), "b".into()]),
        };
        batch.iter().map(reply).collect::<Vec<_>>()
    };
    loop {
        let late = now + Duration::from_secs(5);
        let mut done = false;
        for action in mirror.poll(late) {
            match action {
                Action::Read(_, batch) => asked.push(batch),
                Action::Publish(paths) => {
                    assert_eq!(paths.len(), 3, "{paths:?}");
                    assert!(tree.covers(&far) && asked.is_empty());
                    done = true;
                }
                other => panic!("{other:?}"),
            }
        }
        if done {
            break;
        }
        let batch = asked.pop().expect("a read under way");
        let replies = answer(&batch);
        mirror.handle(late, Input::Replied(epoch, batch, Ok(replies)), &mut tree);
    }
    mirror.handle(now, Input::Outside(BTreeSet::new()), &mut tree);
    let actions = mirror.poll(now);
    assert!(actions.contains(&Action::Leave(far.clone())), "{actions:?}");
    assert_eq!(tree.len(), 1, "nothing is kept of what is not mirrored any more");
    assert!(!tree.covers(&far));
}
