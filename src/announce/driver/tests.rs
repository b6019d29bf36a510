//! The announcer against the in-memory ensemble, with its faults, in paused time.

use std::time::SystemTime;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::announce::check::health::Rules;
use crate::announce::check::{Check, CheckKind, ttl};
use crate::announce::identity::HostIdentity;
use crate::announce::origin::{Origin, ThisHost};
use crate::announce::{Blocker, Registration, RegistrationState};
use crate::format;
use crate::zookeeper::Znode;
use crate::zookeeper::memory::{Memory, MemorySession};
use crate::zookeeper::session::Access;

mod drains;

const A: &str = "/services/a/providers/10.0.0.1:80";

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

fn writer(pid: u32) -> InstanceWriter {
    InstanceWriter {
        format: format::Config::default(),
        root: path("/services"),
        host: HostIdentity::new("this host").unwrap(),
        here: ThisHost::default(),
        pid,
        created: SystemTime::UNIX_EPOCH,
        access: Access::Read,
        parent_access: Access::Open,
        readonly: false,
        drains: None,
    }
}

fn service(name: &str, port: u16) -> ServiceConfig {
    ServiceConfig { address: Some(format::host("10.0.0.1").unwrap()), ..ServiceConfig::new(name, port) }
}

/// A process that announces.
struct Process {
    status: AnnouncerStatus,
    services: Services,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Process {
    fn start(memory: &Memory, pid: u32, services: Vec<ServiceConfig>) -> Self {
        Self::run(Announcer::new(memory.clone(), writer(pid), services).unwrap())
    }

    /// On a host of this boot and address, which has the machine-id of all others.
    fn start_on(memory: &Memory, boot: &str, address: &str) -> Self {
        let origin = Origin { boot_id: Some(boot.into()), addresses: vec![address.parse().unwrap()] };
        let writer = InstanceWriter { here: ThisHost { origin, booted: None }, ..writer(1) };
        Self::run(Announcer::new(memory.clone(), writer, vec![service("a", 80)]).unwrap())
    }

    fn run(announcer: Announcer<Memory>) -> Self {
        let (status, services, stop) = (announcer.status(), announcer.services(), CancellationToken::new());
        let task = tokio::spawn(announcer.run(stop.clone()));
        Self { status, services, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(4), self.task).await.expect("stopping is bounded").unwrap();
    }

    /// kill -9: the session stays.
    async fn kill(self, memory: &Memory) -> i64 {
        let session = self.session();
        memory.cut(session);
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        session
    }

    fn session(&self) -> i64 {
        self.status.session().expect("there is a session").id
    }

    fn state(&self) -> RegistrationState {
        self.status.registrations()[0].state.clone()
    }

    async fn reaches(&self, state: RegistrationState) {
        let reached = |registrations: &[Registration]| registrations.iter().all(|one| one.state == state);
        // There is nothing to see before it runs.
        let shown = || Some(self.status.registrations()).filter(|registrations| !registrations.is_empty());
        until(&format!("{state:?}"), || shown().is_some_and(|registrations| reached(&registrations))).await;
    }

    async fn registered(&self) {
        self.reaches(RegistrationState::Registered).await;
    }
}

/// Waits for something to become true, for a minute at most.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let patience = timeout(Duration::from_secs(60), async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(patience.await.is_ok(), "{what} does not come true");
}

fn znode(memory: &Memory, text: &str) -> Option<Znode> {
    memory.dump().into_iter().find(|(path, _)| path.as_str() == text).map(|(_, znode)| znode)
}

async fn pause(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

fn make_directory(memory: &Memory) {
    for parent in ["/services", "/services/a", "/services/a/providers"] {
        memory.create(&path(parent), b"").unwrap();
    }
}

async fn somebody(memory: &Memory, data: &str) -> MemorySession {
    make_directory(memory);
    let session = memory.connect().await.unwrap();
    session.create(&path(A), data.as_bytes(), Mode::Ephemeral, &Access::Open).await.unwrap();
    session
}

#[tokio::test(start_paused = true)]
async fn services_become_ephemeral_znodes_under_persistent_parents_and_go_at_the_stop() {
    let memory = Memory::new("test");
    let process = Process::start(&memory, 42, vec![service("a", 80), service("staging/uswest2/b", 81)]);
    process.registered().await;
    let registered = znode(&memory, A).unwrap();
    assert_eq!(registered.stat.ephemeral_owner, process.session());
    let id = HostIdentity::new("this host").unwrap().instance_id(A);
    assert_eq!(String::from_utf8(registered.data).unwrap(), format!(r#"{{"instance_id":"{id}","pid":42}}"#));
    assert!(znode(&memory, "/services/staging/uswest2/b/providers/10.0.0.1:81").is_some());
    assert_eq!(znode(&memory, "/services/staging/uswest2").unwrap().stat.ephemeral_owner, 0);
    let status = &process.status.registrations()[0];
    assert_eq!((status.owner, status.counts.registrations), (Some(process.session()), 1));
    process.stop().await;
    let left = memory.dump().into_iter().filter(|(_, znode)| znode.stat.ephemeral_owner != 0);
    assert_eq!(left.count(), 0);
    assert!(znode(&memory, "/services/a/providers").is_some());
    assert_eq!(memory.sessions(), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_new_session_registers_again() {
    let memory = Memory::new("test");
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    for _ in 0..5 {
        process.registered().await;
        let session = process.session();
        memory.expire(session);
        assert!(znode(&memory, A).is_none());
        until("another session", || process.status.session().is_some_and(|now| now.id != session)).await;
    }
    process.registered().await;
    assert_eq!(znode(&memory, A).unwrap().stat.ephemeral_owner, process.session());
    assert_eq!(process.status.registrations()[0].counts.registrations, 6);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_short_cut_leaves_the_znode_alone_and_the_watch_is_armed_again() {
    let memory = Memory::new("test");
    let process = Process::start(&memory, 1, vec![service("a", 80), service("b", 80)]);
    process.registered().await;
    let before = znode(&memory, A).unwrap().stat;
    for _ in 0..5 {
        memory.cut(process.session());
        until("the cut is seen", || process.status.session().is_some_and(|session| !session.connected)).await;
        pause(3).await;
        memory.heal(process.session());
        until("it is back", || process.status.session().is_some_and(|session| session.connected)).await;
    }
    pause(1).await;
    assert_eq!(znode(&memory, A).unwrap().stat, before);
    memory.delete(&path(A)).unwrap();
    until("it is restored", || znode(&memory, A).is_some()).await;
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_during_a_cut_is_restored_after_it() {
    let memory = Memory::new("test");
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    process.registered().await;
    memory.cut(process.session());
    memory.delete(&path(A)).unwrap();
    pause(5).await;
    memory.heal(process.session());
    until("it is restored", || znode(&memory, A).is_some()).await;
    process.registered().await;
    assert_eq!(process.status.registrations()[0].counts.restorations, 1);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_is_overruled_at_once_and_then_more_and_more_slowly() {
    let memory = Memory::new("test");
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    process.registered().await;
    let mut took = Vec::new();
    for round in 0..6 {
        if round % 2 == 0 {
            memory.delete(&path(A)).unwrap();
        } else {
            memory.set(&path(A), b"{}").unwrap();
        }
        let began = tokio::time::Instant::now();
        until("it is restored", || znode(&memory, A).is_some_and(|znode| znode.data != b"{}")).await;
        took.push(began.elapsed());
        process.registered().await;
    }
    assert!(took[0] < Duration::from_millis(50), "{took:?}");
    assert!(took[1..].is_sorted() && took[5] > Duration::from_secs(4), "{took:?}");
    assert_eq!(process.status.registrations()[0].counts.restorations, 6);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_waited_for_and_never_deleted() {
    let memory = Memory::new("test");
    let stranger = somebody(&memory, r#"{"pid":1}"#).await;
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    process.reaches(RegistrationState::Blocked(Blocker::Stranger { session: stranger.id() })).await;
    pause(100).await;
    assert_eq!(znode(&memory, A).unwrap().stat.ephemeral_owner, stranger.id());
    drop(stranger);
    process.registered().await;
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_leaves_a_stranger_where_it_is() {
    let memory = Memory::new("test");
    let stranger = somebody(&memory, "").await;
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    process.reaches(RegistrationState::Blocked(Blocker::Stranger { session: stranger.id() })).await;
    process.stop().await;
    assert!(znode(&memory, A).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_persistent_znode_is_told_and_left_alone() {
    let memory = Memory::new("test");
    make_directory(&memory);
    memory.create(&path(A), br#"{"by":"hand"}"#).unwrap();
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    process.reaches(RegistrationState::Blocked(Blocker::Persistent)).await;
    pause(100).await;
    assert_eq!(znode(&memory, A).unwrap().data, br#"{"by":"hand"}"#);
    memory.delete(&path(A)).unwrap();
    process.registered().await;
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_takes_over_what_the_killed_process_left() {
    let memory = Memory::new("test");
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    process.registered().await;
    let old = process.kill(&memory).await;
    assert_eq!(znode(&memory, A).unwrap().stat.ephemeral_owner, old);
    let process = Process::start(&memory, 2, vec![service("a", 80)]);
    process.registered().await;
    memory.expire(old);
    pause(100).await;
    let now = znode(&memory, A).unwrap();
    assert_eq!(now.stat.ephemeral_owner, process.session());
    assert!(String::from_utf8(now.data).unwrap().contains("\"pid\":2"));
    assert_eq!(process.status.registrations()[0].counts.takeovers, 1);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_of_one_host_the_later_has_the_znode_and_nobody_fights() {
    let memory = Memory::new("test");
    let first = Process::start(&memory, 1, vec![service("a", 80)]);
    first.registered().await;
    let second = Process::start(&memory, 2, vec![service("a", 80)]);
    second.registered().await;
    first.reaches(RegistrationState::Blocked(Blocker::Twin { session: second.session() })).await;
    let before = znode(&memory, A).unwrap().stat;
    pause(1000).await;
    assert_eq!(znode(&memory, A).unwrap().stat, before);
    second.stop().await;
    first.registered().await;
    first.stop().await;
}

#[tokio::test(start_paused = true)]
async fn hosts_of_one_machine_id_leave_each_others_znodes_and_a_host_takes_over_its_own() {
    let memory = Memory::new("test");
    let first = Process::start_on(&memory, "a", "10.0.0.1");
    first.registered().await;
    let doubled = || RegistrationState::Blocked(Blocker::Double { session: first.session() });
    let others =
        [("b", "10.0.0.2"), ("a", "10.0.0.3")].map(|(boot, address)| Process::start_on(&memory, boot, address));
    for other in &others {
        other.reaches(doubled()).await;
    }
    let before = znode(&memory, A).unwrap().stat;
    pause(1000).await;
    assert_eq!(znode(&memory, A).unwrap().stat, before);
    first.kill(&memory).await;
    let booted = Process::start_on(&memory, "c", "10.0.0.1");
    booted.registered().await;
    assert_eq!(booted.status.registrations()[0].counts.takeovers, 1);
    for other in others {
        assert_eq!(other.state(), RegistrationState::Blocked(Blocker::Double { session: booted.session() }));
        other.stop().await;
    }
    assert_eq!(znode(&memory, A).unwrap().stat.ephemeral_owner, booted.session());
    booted.stop().await;
}

#[tokio::test(start_paused = true)]
async fn lost_replies_end_in_one_registration() {
    let memory = Memory::new("test");
    memory.refuse(true);
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    pause(1).await;
    memory.refuse(false);
    until("a session", || process.status.session().is_some()).await;
    memory.lose_replies(process.session(), 3);
    process.registered().await;
    memory.lose_replies(process.session(), 2);
    memory.delete(&path(A)).unwrap();
    until("it is restored", || znode(&memory, A).is_some()).await;
    process.registered().await;
    assert_eq!(znode(&memory, A).unwrap().stat.ephemeral_owner, process.session());
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn hours_without_an_ensemble_are_waited_for() {
    let memory = Memory::new("test");
    memory.refuse(true);
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    pause(4 * 3600).await;
    assert_eq!(process.state(), RegistrationState::Waiting("there is no session yet"));
    memory.refuse(false);
    pause(6).await;
    assert_eq!(process.state(), RegistrationState::Registered);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_without_an_ensemble_is_quick() {
    let memory = Memory::new("test");
    memory.refuse(true);
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    pause(60).await;
    process.stop().await;
    memory.refuse(false);
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    process.registered().await;
    memory.cut(process.session());
    process.stop().await;
    assert!(znode(&memory, A).is_some(), "it could not be told");
}

#[tokio::test(start_paused = true)]
async fn a_znode_that_may_not_be_read_fails_visibly_and_others_do_not() {
    let memory = Memory::new("test");
    memory.deny(&path(A));
    let process = Process::start(&memory, 1, vec![service("a", 80), service("b", 80)]);
    let failed = RegistrationState::Failed("it cannot be read: the znode's ACL does not allow it".to_owned());
    until("one fails, one does not", || {
        let states: Vec<_> = process.status.registrations().into_iter().map(|one| one.state).collect();
        states == [failed.clone(), RegistrationState::Registered]
    })
    .await;
    memory.allow(&path(A));
    process.registered().await;
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_services_are_registered_and_taken_out() {
    let memory = Memory::new("test");
    let process = Process::start(&memory, 1, (1..=1000).map(|port| service("a", port)).collect());
    process.registered().await;
    assert_eq!(memory.dump().iter().filter(|(_, znode)| znode.stat.ephemeral_owner != 0).count(), 1000);
    memory.expire(process.session());
    pause(1).await;
    process.registered().await;
    process.stop().await;
    assert_eq!(memory.dump().iter().filter(|(_, znode)| znode.stat.ephemeral_owner != 0).count(), 0);
}

/// A check that passes as long as somebody says so.
fn heartbeat() -> Check {
    let kind = CheckKind::Ttl(ttl::Config { file: None, ttl: Duration::from_secs(2) });
    let rules = Rules { rise: 1, fall: 1, initially_well: false };
    Check { kind, interval: Duration::from_secs(1), timeout: Duration::from_secs(1), rules }
}

fn checked(name: &str, port: u16) -> ServiceConfig {
    ServiceConfig { checks: vec![heartbeat()], ..service(name, port) }
}

/// Says every half second that `a` is well.
async fn beat(status: &AnnouncerStatus) {
    loop {
        assert_eq!(status.heartbeat("a", now()), Some(true));
        sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_is_there_exactly_while_it_is_healthy_and_its_neighbour_never_moves() {
    let memory = Memory::new("test");
    let process = Process::start(&memory, 1, vec![checked("a", 80), service("b", 80)]);
    let b = "/services/b/providers/10.0.0.1:80";
    until("b is there", || znode(&memory, b).is_some()).await;
    let stat = znode(&memory, b).unwrap().stat;
    assert_eq!(process.state(), RegistrationState::Held(Hold::Unchecked));
    assert_eq!(process.status.heartbeat("nobody", now()), None);
    for _ in 0..3 {
        tokio::select! {
            () = beat(&process.status) => {}
            () = until("a is there", || znode(&memory, A).is_some()) => {}
        }
        until("a is gone", || znode(&memory, A).is_none()).await;
    }
    assert!(matches!(process.state(), RegistrationState::Held(Hold::Unhealthy(_))), "{:?}", process.state());
    assert_eq!(znode(&memory, b).unwrap().stat, stat);
    // Ill during an outage with expiry: not registered on return.
    memory.expire(process.session());
    until("b is back", || znode(&memory, b).is_some()).await;
    pause(10).await;
    assert!(znode(&memory, A).is_none());
    let check = &process.status.checks()[0];
    assert_eq!((&*check.service, check.transitions, check.state.as_str()), ("a", 6, "unhealthy"));
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_process_left_stays_until_a_check_has_decided() {
    let memory = Memory::new("test");
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    process.registered().await;
    let old = process.kill(&memory).await;
    let mut patient = checked("a", 80);
    patient.checks[0].rules.fall = 20;
    let process = Process::start(&memory, 2, vec![patient]);
    // In our own session: the old one expires, and the checks may take longer than that.
    process.registered().await;
    memory.expire(old);
    pause(2).await;
    assert_eq!(znode(&memory, A).unwrap().stat.ephemeral_owner, process.session());
    until("the ill one is gone", || znode(&memory, A).is_none()).await;
    assert!(
        matches!(process.state(), RegistrationState::Held(Hold::Unhealthy(_)) | RegistrationState::Waiting(_)),
        "{:?}",
        process.state()
    );
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_registered_service_with_a_new_check_stays_until_that_has_a_verdict() {
    let memory = Memory::new("test");
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    process.registered().await;
    let before = znode(&memory, A).unwrap().stat;
    let mut patient = checked("a", 80);
    patient.checks[0].rules.fall = 20;
    process.services.set(vec![patient]).unwrap();
    pause(5).await;
    assert_eq!(znode(&memory, A).map(|znode| znode.stat), Some(before));
    // Its session's end takes it out; it comes back, since nothing has spoken against it.
    memory.expire(process.session());
    until("it is back", || znode(&memory, A).is_some()).await;
    until("the ill one is gone", || znode(&memory, A).is_none()).await;
    pause(60).await;
    assert!(matches!(process.state(), RegistrationState::Held(Hold::Unhealthy(_))), "{:?}", process.state());
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_ill_service_whose_check_is_replaced_waits_for_the_new_ones_verdict() {
    let memory = Memory::new("test");
    let process = Process::start(&memory, 1, vec![checked("a", 80)]);
    process
        .reaches(RegistrationState::Held(Hold::Unhealthy(
            "ttl 2s: no heartbeat in the 2s since this process listens".into(),
        )))
        .await;
    let mut other = checked("a", 80);
    other.checks[0].kind = CheckKind::Ttl(ttl::Config { file: Some("/nowhere".into()), ttl: Duration::from_secs(2) });
    other.checks[0].rules.fall = 20;
    process.services.set(vec![other]).unwrap();
    pause(5).await;
    assert_eq!(process.state(), RegistrationState::Held(Hold::Unchecked));
    assert!(znode(&memory, A).is_none());
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_changes_one_of_fifty_services_changes_one_znode() {
    let memory = Memory::new("test");
    let services = |weight| -> Vec<ServiceConfig> {
        let mut services: Vec<_> = (1..=50).map(|port| service("a", port)).collect();
        services[7].properties.push(("weight".into(), format::Property::Integer(weight)));
        services
    };
    let process = Process::start(&memory, 1, services(1));
    process.registered().await;
    let stats = || -> Vec<_> {
        let ephemeral = memory.dump().into_iter().filter(|(_, znode)| znode.stat.ephemeral_owner != 0);
        ephemeral.map(|(path, znode)| (path, znode.stat.czxid)).collect()
    };
    let before = stats();
    process.services.set(services(2)).unwrap();
    pause(5).await;
    process.registered().await;
    let after = stats();
    assert_eq!(before.len(), 50);
    let changed: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(changed[0].1.0.as_str(), "/services/a/providers/10.0.0.1:8");
    process.services.set(vec![service("a", 51)]).unwrap();
    pause(5).await;
    assert_eq!(stats().len(), 1);
    assert!(process.services.set(vec![service("a//b", 1)]).is_err());
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_in_readonly_mode() {
    let memory = Memory::new("test");
    let writer = InstanceWriter { readonly: true, ..writer(1) };
    let announcer = Announcer::new(memory.clone(), writer, vec![service("a", 80), checked("b", 80)]).unwrap();
    let process = Process::run(announcer);
    process.reaches(RegistrationState::Held(Hold::ReadOnly)).await;
    pause(100).await;
    process.stop().await;
    assert_eq!(memory.dump().iter().filter(|(path, _)| !path.is_root()).count(), 0);
}
