//! How long a stop takes, answer by answer; what it does the simulation shows.

use super::*;
use crate::model::{Endpoint, Host};
use crate::zookeeper::Stat;

/// An ensemble that holds what it was told to, and takes its time.
#[derive(Default)]
struct Slow {
    held: BTreeMap<Path, Arc<[u8]>>,
    waiting: Vec<Action>,
    stopped: Option<Vec<Path>>,
}

impl Slow {
    /// Tells the plan, and keeps what it wants done.
    fn tell(&mut self, plan: &mut Plan, now: Instant, input: Input) {
        let mut actions = Vec::new();
        plan.handle(now, input, &mut actions);
        for action in actions {
            match action {
                Action::Stopped { left, .. } => self.stopped = Some(left),
                Action::Inspect { .. } | Action::Create { .. } | Action::Delete { .. } => self.waiting.push(action),
                _ => {}
            }
        }
    }

    /// Answers one operation, if one waits.
    fn answer(&mut self, plan: &mut Plan, now: Instant) -> bool {
        let input = match self.waiting.pop() {
            Some(Action::Inspect { path, arm }) => {
                let stat = Stat { czxid: 1, mzxid: 1, version: 0, ephemeral_owner: SESSION, ..Stat::default() };
                let found = self.held.get(&path).map(|data| Znode { data: data.to_vec(), stat });
                Input::Inspected { path, armed: arm, found: found.ok_or(Error::NoNode) }
            }
            Some(Action::Create { path, data }) => {
                self.held.insert(path.clone(), data);
                Input::Done { path, result: Ok(()) }
            }
            Some(Action::Delete { path, .. }) => {
                self.held.remove(&path);
                Input::Done { path, result: Ok(()) }
            }
            _ => return false,
        };
        self.tell(plan, now, input);
        true
    }
}

const SESSION: i64 = 7;

/// Fifty registrations, at `now`.
fn registered(now: Instant) -> (Plan, Slow) {
    let (mut plan, mut slow) = (Plan::new(fastrand::Rng::with_seed(1)), Slow::default());
    let wanted = |port: u16| Wanted {
        service: "a".into(),
        endpoint: Endpoint { host: Host::V4([10, 0, 0, 1].into()), port: 80 },
        path: Path::new(&format!("/services/a/providers/10.0.0.1:{port}")).unwrap(),
        data: Arc::from(&b"{}"[..]),
        instance_id: "me".into(),
        key: "a".into(),
        hold: None,
    };
    slow.tell(&mut plan, now, Input::Wanted((1..=50).map(wanted).collect()));
    slow.tell(&mut plan, now, Input::Connected { session: SESSION, timeout: Duration::from_secs(10) });
    while slow.answer(&mut plan, now) {}
    assert_eq!(slow.held.len(), 50);
    (plan, slow)
}

/// Stops, gets an answer every `pause` until `silent`, and says after which time it had stopped.
fn stop(pause: Duration, silent: Duration) -> (Duration, Slow) {
    let begun = Instant::now();
    let (mut plan, mut slow) = registered(begun);
    slow.tell(&mut plan, begun, Input::Stop);
    let mut took = Duration::ZERO;
    while slow.stopped.is_none() {
        took += pause;
        if took >= silent || !slow.answer(&mut plan, begun + took) {
            slow.tell(&mut plan, begun + took, Input::Tick);
        }
        assert!(took < Duration::from_secs(60), "it never stops");
    }
    (took, slow)
}

#[test]
fn a_slow_ensemble_is_waited_for_as_long_as_it_answers() {
    let (took, slow) = stop(Duration::from_millis(35), Duration::MAX);
    assert!(took > STOP_WITHOUT_ANSWER && took < STOP_WITHIN, "{took:?}");
    assert_eq!((slow.held.len(), slow.stopped), (0, Some(Vec::new())));
}

#[test]
fn a_silent_ensemble_is_not_waited_for_long() {
    let (took, _) = stop(Duration::from_millis(60), Duration::from_secs(1));
    assert!((3900..=4100).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a_stop_ends_at_its_bound_even_if_there_are_answers() {
    let (took, slow) = stop(Duration::from_millis(500), Duration::MAX);
    assert_eq!(took, STOP_WITHIN);
    let left = slow.stopped.unwrap();
    assert!(!left.is_empty() && slow.held.keys().all(|path| left.contains(path)), "{left:?}");
}

/// The plan of one registration at 10.0.0.1, after `input` has one at 10.0.0.2 in its place that waits for its checks.
fn moved(now: Instant, input: fn(Vec<Wanted>) -> Input) -> (Plan, Slow) {
    let (mut plan, mut slow) = (Plan::new(fastrand::Rng::with_seed(1)), Slow::default());
    let wanted = |address: &str, hold| Wanted {
        service: "a".into(),
        endpoint: Endpoint { host: Host::V4([10, 0, 0, 1].into()), port: 80 },
        path: Path::new(&format!("/services/a/providers/{address}:80")).unwrap(),
        data: Arc::from(&b"{}"[..]),
        instance_id: "me".into(),
        key: "a".into(),
        hold,
    };
    slow.tell(&mut plan, now, Input::Wanted(vec![wanted("10.0.0.1", None)]));
    slow.tell(&mut plan, now, Input::Connected { session: SESSION, timeout: Duration::from_secs(10) });
    while slow.answer(&mut plan, now) {}
    assert_eq!(slow.held.len(), 1);
    slow.tell(&mut plan, now, input(vec![wanted("10.0.0.2", Some(Hold::Unchecked))]));
    while slow.answer(&mut plan, now) {}
    (plan, slow)
}

#[test]
fn a_service_that_moves_stays_for_its_checks_and_one_that_lost_its_address_does_not() {
    let now = Instant::now();
    assert!(moved(now, Input::Readdressed).1.held.is_empty(), "nobody is at an address that this host has lost");
    let (mut plan, mut slow) = moved(now, Input::Wanted);
    assert_eq!(slow.held.len(), 1);
    slow.tell(&mut plan, now + SUCCESSION, Input::Tick);
    while slow.answer(&mut plan, now + SUCCESSION) {}
    assert!(slow.held.is_empty(), "its time is over");
}
