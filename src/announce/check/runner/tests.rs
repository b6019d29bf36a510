//! The runner in paused time, over checks that need nothing but this process.

use super::*;
use crate::announce::check::health::Rules;
use crate::announce::check::ttl;

fn service(name: &str, checks: Vec<Check>) -> ServiceConfig {
    ServiceConfig { checks, ..ServiceConfig::new(name, 80) }
}

/// A check that the service itself passes, by heartbeats.
fn heartbeat(rise: u32, fall: u32) -> Check {
    let kind = Kind::Ttl(ttl::Config { file: None, ttl: Duration::from_millis(500) });
    let rules = Rules { rise, fall, initially_well: false };
    Check { kind, interval: Duration::from_secs(1), timeout: Duration::from_secs(1), rules }
}

fn checks() -> (Checks, Arc<Heartbeats>) {
    let heartbeats = Arc::new(Heartbeats::default());
    (Checks::new(Arc::clone(&heartbeats), fastrand::Rng::with_seed(1)), heartbeats)
}

/// The next change of a service's health within a minute.
async fn change(checks: &mut Checks, mut before: impl FnMut()) -> Option<Change> {
    let changed = async {
        loop {
            before();
            if let Some(change) = checks.next().await.change {
                return change;
            }
        }
    };
    timeout(Duration::from_secs(60), changed).await.ok()
}

#[tokio::test(start_paused = true)]
async fn a_service_is_held_until_all_its_checks_pass_and_again_when_one_fails() {
    let (mut checks, heartbeats) = checks();
    checks.set(&[service("a", vec![heartbeat(2, 3), heartbeat(1, 1)])], now());
    assert_eq!(checks.hold("a:80"), Some(Hold::Unchecked));
    assert_eq!(checks.hold("b:80"), None, "a service without checks is never held");
    let beat = || {
        // Runs before every result: the probe that is waited for sees a fresh one.
        heartbeats.heard("a", now() + Duration::from_secs(2));
    };
    let mut last = None;
    for _ in 0..2 {
        last = change(&mut checks, beat).await;
    }
    assert_eq!(last, Some(Change { key: "a:80".into() }));
    assert_eq!(checks.hold("a:80"), None);
    change(&mut checks, || ()).await.expect("it falls silent");
    let Some(Hold::Unhealthy(why)) = checks.hold("a:80") else { panic!("{:?}", checks.hold("a:80")) };
    assert!(why.starts_with("ttl 500ms: it said so"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn probes_come_once_an_interval_give_or_take_a_tenth_and_never_twice_at_once() {
    let (mut checks, _) = checks();
    checks.set(&[service("a", vec![heartbeat(1, 1)])], now());
    checks.next().await;
    for _ in 0..50 {
        let before = now();
        checks.next().await;
        let took = now() - before;
        assert!(took >= Duration::from_millis(899) && took <= Duration::from_millis(1102), "{took:?}");
        assert!(checks.running.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_did_not_change_keeps_its_state_and_what_went_is_probed_no_more() {
    let (mut checks, heartbeats) = checks();
    let services = [service("a", vec![heartbeat(1, 1)]), service("b", vec![heartbeat(1, 1)])];
    checks.set(&services, now());
    let beat = || ["a", "b"].into_iter().for_each(|name| heartbeats.heard(name, now() + Duration::from_secs(2)));
    change(&mut checks, beat).await;
    change(&mut checks, beat).await;
    assert_eq!((checks.hold("a:80"), checks.hold("b:80")), (None, None));
    checks.set(&[service("a", vec![heartbeat(1, 1)]), service("c", vec![heartbeat(2, 3)])], now());
    assert_eq!(checks.hold("a:80"), None);
    assert_eq!(checks.hold("c:80"), Some(Hold::Unchecked));
    for _ in 0..10 {
        assert_ne!(checks.next().await.shown.service, "b");
    }
    assert_eq!(checks.shown().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_checks_begin_apart_and_none_is_late() {
    let (mut checks, _) = checks();
    let services: Vec<_> = (0..1000).map(|n| service(&format!("s{n}"), vec![heartbeat(1, 1)])).collect();
    checks.set(&services, now());
    let began = now();
    let mut results = 0;
    while now() - began < Duration::from_secs(10) {
        let told = checks.next().await;
        assert!(told.shown.latest < Duration::from_secs(1), "{told:?}");
        results += 1;
    }
    assert!((9000..=11_500).contains(&results), "{results}");
}
