//! The runner in paused time, over checks that need nothing but this process.

use super::*;
use tokio::time::timeout;

use crate::announce::check::health::Rules;
use crate::announce::check::slots::Slots;
use crate::announce::check::ttl::{self, Heartbeats};
use crate::announce::check::{CheckKind, exec, tcp};

fn service(name: &str, checks: Vec<Check>) -> ServiceConfig {
    ServiceConfig { checks, ..ServiceConfig::new(name, 80) }
}

/// A check that the service itself passes, by heartbeats.
fn heartbeat(rise: u32, fall: u32) -> Check {
    let kind = CheckKind::Ttl(ttl::Config { file: None, ttl: Duration::from_millis(500) });
    let rules = Rules { rise, fall, initially_well: false };
    Check { kind, interval: Duration::from_secs(1), timeout: Duration::from_secs(1), rules }
}

fn checks() -> (Checks, Arc<Heartbeats>) {
    let status = AnnouncerStatus::default();
    let heartbeats = status.heartbeats();
    (Checks::new(status, Resources::default(), fastrand::Rng::with_seed(1)), heartbeats)
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
async fn probes_come_once_an_interval_or_a_tenth_sooner_and_never_twice_at_once() {
    let (mut checks, _) = checks();
    checks.set(&[service("a", vec![heartbeat(1, 1)])], now());
    checks.next().await;
    for _ in 0..50 {
        let before = now();
        checks.next().await;
        let took = now() - before;
        assert!(took >= Duration::from_millis(899) && took <= Duration::from_millis(1002), "{took:?}");
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
async fn a_check_goes_on_with_its_state_whatever_is_edited_but_what_is_checked() {
    let (mut checks, heartbeats) = checks();
    let mut edited = service("a", vec![heartbeat(1, 3)]);
    checks.set(std::slice::from_ref(&edited), now());
    change(&mut checks, || heartbeats.heard("a", now() + Duration::from_secs(2))).await.expect("it is well");
    assert_eq!(checks.hold("a:80"), None);
    edited.checks[0].interval = Duration::from_secs(60);
    edited.checks[0].timeout = Duration::from_millis(700);
    edited.checks[0].rules = Rules { rise: 5, fall: 2, initially_well: false };
    edited.checks[0].kind = CheckKind::Ttl(ttl::Config { file: None, ttl: Duration::from_secs(1) });
    checks.set(std::slice::from_ref(&edited), now());
    assert_eq!(checks.hold("a:80"), None);
    edited.checks.push(heartbeat(1, 1));
    checks.set(std::slice::from_ref(&edited), now());
    assert_eq!(checks.hold("a:80"), Some(Hold::Unchecked), "the new one has no verdict");
    // Another choice of addresses makes another key.
    edited.address = Some(crate::format::host("10.0.0.1").unwrap());
    edited.checks = vec![heartbeat(1, 3)];
    checks.set(std::slice::from_ref(&edited), now());
    assert_eq!(checks.hold(&edited.key()), None);
    edited.name.value = "b".into();
    checks.set(std::slice::from_ref(&edited), now());
    assert_eq!(checks.hold(&edited.key()), Some(Hold::Unchecked), "heartbeats are another service's by its name");
}

#[tokio::test(start_paused = true)]
async fn a_shorter_interval_counts_at_once_and_no_probe_is_made_twice() {
    let (mut checks, heartbeats) = checks();
    let mut edited = service("a", vec![heartbeat(1, 1)]);
    edited.checks[0].interval = Duration::from_secs(600);
    heartbeats.heard("a", now() + Duration::from_secs(3600));
    checks.set(std::slice::from_ref(&edited), now());
    checks.next().await;
    edited.checks[0].interval = Duration::from_secs(1);
    checks.set(std::slice::from_ref(&edited), now());
    let began = now();
    for _ in 0..700 {
        checks.next().await;
    }
    let took = now() - began;
    assert!(took > Duration::from_secs(630) && took <= Duration::from_secs(701), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_has_its_whole_ttl_for_the_first_heartbeat_and_initial_holds_until_then() {
    let (mut checks, heartbeats) = checks();
    let mut hopeful = service("hopeful", vec![heartbeat(1, 1)]);
    hopeful.checks[0].rules.initially_well = true;
    hopeful.checks[0].kind = CheckKind::Ttl(ttl::Config { file: None, ttl: Duration::from_secs(60) });
    let mut plain = hopeful.clone();
    plain.name.value = "plain".into();
    plain.checks[0].rules.initially_well = false;
    let began = now();
    checks.set(&[hopeful, plain], began);
    assert_eq!((checks.hold("hopeful:80"), checks.hold("plain:80")), (None, Some(Hold::Unchecked)));
    let first = checks.next().await;
    assert!(now() - began >= Duration::from_secs(60), "{first:?}");
    assert!(first.shown.last.is_some_and(|last| last.found.is_err()), "nothing came for its whole ttl");
    heartbeats.heard("plain", now());
    checks.next().await;
    checks.next().await;
    assert_eq!(checks.hold("plain:80"), None);
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

/// A command that does not end in time, or one that ends at once.
fn command(script: &str, interval: Duration) -> Check {
    let kind = CheckKind::Exec(exec::Config::of(&["/bin/sh", "-c", script]));
    Check { kind, interval, timeout: Duration::from_millis(400), rules: Rules { rise: 1, fall: 2, ..Rules::default() } }
}

/// A server that takes no connection: its queue is full.
fn hanging() -> (socket2::Socket, Vec<socket2::Socket>, CheckKind) {
    let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let listener = socket();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let clients = (0..4).map(|_| socket()).collect::<Vec<_>>();
    for client in &clients {
        client.set_nonblocking(true).unwrap();
        let _ = client.connect(&address);
    }
    let target = address.as_socket().unwrap().to_string();
    (listener, clients, CheckKind::Tcp(tcp::Config { target }))
}

#[tokio::test]
async fn hanging_checks_of_one_kind_delay_no_other_kind_and_each_other_visibly() {
    let (_listener, _clients, kind) = hanging();
    let status = AnnouncerStatus::default();
    let means = Resources { slots: Slots { tcp: 4, ..Slots::default() }, ..Resources::default() };
    let mut checks = Checks::new(status.clone(), means, fastrand::Rng::with_seed(1));
    let (interval, timeout) = (Duration::from_millis(300), Duration::from_millis(400));
    let silent = Check { kind, interval, timeout, rules: Rules { rise: 1, fall: 1, ..Rules::default() } };
    let mut services: Vec<_> = (0..40).map(|n| service(&format!("s{n}"), vec![silent.clone()])).collect();
    services.push(service("command", vec![command("exit 0", interval)]));
    checks.set(&services, now());
    status.set_services(std::iter::empty(), checks.shown());
    let begun = now();
    while now() - begun < Duration::from_secs(3) {
        let told = checks.next().await;
        status.set_check(told.id, told.shown);
    }
    let shown = status.checks();
    let exec = shown.iter().find(|check| check.service == "command").unwrap();
    assert!(exec.passed >= 7 && exec.failed == 0, "{exec:?}");
    assert!(exec.latest(now()) < interval, "{exec:?}");
    let tcp: Vec<_> = shown.iter().filter(|check| check.service != "command").collect();
    // Four at once of 400 ms each: ten a second, and forty wait for them.
    assert!(tcp.iter().all(|check| check.failed <= 2), "{tcp:#?}");
    assert!(tcp.iter().any(|check| check.latest(now()) > Duration::from_secs(1)), "{tcp:#?}");
    assert!(tcp.iter().any(|check| check.no_results.get(&Shortage::Slots).is_some_and(|&count| count > 1)), "{tcp:#?}");
    let first_round = tcp.iter().filter(|check| check.failed > 0).count();
    assert!(first_round >= 20, "the oldest come first: {first_round} of 40 had a result");
}

#[tokio::test]
async fn without_processes_a_service_stays_as_it_is_and_a_missing_command_is_a_bad_result() {
    let (mut checks, _) = checks();
    checks.set(&[service("a", vec![command("exit 0", Duration::from_secs(1))])], now());
    change(&mut checks, || ()).await.expect("it is healthy");
    let id = checks.shown().next().unwrap().0;
    for _ in 0..5 {
        let failure = ProbeFailure::NoResult(Shortage::Processes, "not run: Resource temporarily unavailable".into());
        let told = checks.ended(id, Err(failure), now()).unwrap();
        assert_eq!((told.shown.state, told.change), (CheckState::Well, None));
        assert!(told.shown.words().starts_with("no result now, no process or thread left"), "{}", told.shown.words());
    }
    assert!(checks.shortages[&Shortage::Processes].is_some());
    assert_eq!(checks.hold("a:80"), None);
    let bad = || Err(ProbeFailure::Bad("cannot be run: No such file or directory".into()));
    let told = checks.ended(id, bad(), now()).unwrap();
    assert_eq!(told.shown.words(), "1 of 2 failures: cannot be run: No such file or directory");
    assert_eq!(told.shown.no_results, BTreeMap::from([(Shortage::Processes, 5)]));
    let told = checks.ended(id, bad(), now()).unwrap();
    assert!(told.change.is_some());
    assert!(matches!(checks.hold("a:80"), Some(Hold::Unhealthy(_))));
}
