//! Three hundred front-ends that lost the same ensemble: how they come back to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::registry::tree::{Entry, Known, Tree};
use crate::registry::{Error, Path};
use crate::zookeeper::mirror::{Action, Input, Mirror, MirrorLimits, delays};

const FRONT_ENDS: u64 = 300;
/// Time that the ensemble is away.
const AWAY: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);

/// Times at which each front-end tries to connect, from the moment the ensemble went until it has a session again.
fn attempts(seed: u64, begun: Instant) -> Vec<Duration> {
    let mut mirror =
        Mirror::new(Path::root().child("s"), MirrorLimits::for_session(TENTH * 100), delays(), begun, seed);
    let (mut tree, mut now, mut attempts) = (Tree::default(), begun, Vec::new());
    loop {
        let connect = mirror.poll(now).into_iter().find_map(|action| match action {
            Action::Connect { after } => Some(after),
            _ => None,
        });
        now += connect.expect("another attempt");
        attempts.push(now - begun);
        if now - begun >= AWAY {
            return attempts;
        }
        mirror.handle(now, Input::ConnectFailed(Error::Timeout), &mut tree);
    }
}

fn most_in_a_tenth(moments: impl Iterator<Item = Duration>) -> usize {
    let mut tenths: BTreeMap<u128, usize> = BTreeMap::new();
    moments.for_each(|moment| *tenths.entry(moment.as_millis() / TENTH.as_millis()).or_default() += 1);
    tenths.into_values().max().unwrap_or(0)
}

#[test]
fn three_hundred_front_ends_come_back_spread_and_within_two_seconds() {
    let begun = Instant::now();
    let all: Vec<Vec<Duration>> = (0..FRONT_ENDS).map(|seed| attempts(seed, begun)).collect();
    for one in &all {
        let waits: Vec<Duration> = one.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        assert!(waits.windows(3).take(3).all(|three| three[2] > three[0]), "delays grow: {waits:?}");
    }
    // Each tries about once in 1.1 s: 27 in a tenth of a second, give and take.
    let waiting = all.iter().flatten().filter(|at| (AWAY / 6..AWAY).contains(*at)).copied();
    let busiest = most_in_a_tenth(waiting);
    let back: Vec<Duration> = all.iter().filter_map(|one| one.last().copied()).collect();
    let (rush, last) = (most_in_a_tenth(back.iter().copied()), *back.iter().max().unwrap());
    println!(
        "busiest tenth of a second: {busiest} attempts while away, {rush} sessions when back; all within {last:?}"
    );
    assert!(busiest <= 60 && rush <= 80, "{busiest} {rush}");
    assert!(last < AWAY + Duration::from_secs(2), "{last:?}");
}

#[test]
fn three_hundred_scans_of_a_large_tree_do_not_begin_at_once() {
    let begun = Instant::now();
    let mut tree = Tree::default();
    for i in 0..200_000 {
        let known = Known { data: (*b"").into(), czxid: 1, mzxid: 1, ephemeral_owner: 0, ctime: 0 };
        tree.put(&Path::root().child("s").child(&i.to_string()), Entry::Known(known), 0);
    }
    let mut begins = Vec::new();
    for seed in 0..FRONT_ENDS {
        let mut mirror =
            Mirror::new(Path::root().child("s"), MirrorLimits::for_session(TENTH * 100), delays(), begun, seed);
        let mut act = |now: Instant, input: Input, tree: &mut Tree| {
            mirror.handle(now, input, tree);
            mirror.poll(now)
        };
        let armed = act(begun, Input::Connected { at_once: true }, &mut tree);
        let Some(Action::Arm(epoch, _)) = armed.last() else { panic!("nothing is armed") };
        act(begun, Input::Armed(*epoch, Ok(())), &mut tree);
        act(begun, Input::Synced(*epoch, Ok(None)), &mut tree);
        // The scan of so many takes a second, and that is how far they are spread.
        let first = (1..=11).find(|tenth| {
            let actions = act(begun + TENTH * *tenth, Input::Tick, &mut tree);
            actions.iter().any(|action| matches!(action, Action::Read(..)))
        });
        begins.push(TENTH * first.expect("within a second"));
    }
    let together = most_in_a_tenth(begins.iter().copied());
    assert!(together < 60 && begins.iter().collect::<BTreeSet<_>>().len() >= 9, "{together}");
}
