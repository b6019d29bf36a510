//! Admin as a whole, over real sockets and with a real mirror of an ensemble in memory; and the moment that the tests
//! of the renderings share.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::control::Configuration;
use super::server::SeatLimits;
use super::snapshot::{AnnouncerSnapshot, RegistrySnapshot, Snapshot, ZoneFileSnapshot, ZoneSnapshot};
use super::{Error, RegistrySource, Sources, bind, routes, server, spawn};
use crate::announce::check::health;
use crate::announce::check::outcome::Shortage;
use crate::announce::{
    Blocker, CheckStatus, Counts, LastError, LastResult, RefusedAddress, Registration, RegistrationState, SessionStatus,
};
use crate::format;
use crate::inspect::reader::Reader;
use crate::model::{Drain, Endpoint, Host, Malformed};
use crate::publish::collisions::{Clash, CollisionKind};
use crate::publish::events::Events;
use crate::publish::layout::Layout;
use crate::publish::{Publisher, Target, census, guard};
use crate::registry::cache;
use crate::registry::status::MirrorReport;
use crate::registry::status::{Counters, Phase};
use crate::registry::{Path, ReaderName};
use crate::zone::name::Name;
use crate::zone::warnings::Large;
use crate::zone::{Freshness, ZoneBuilder, Zones};
use crate::zookeeper::driver::Driver;
use crate::zookeeper::memory::Memory;

/// One registry that is live and one that was never reached.
#[expect(clippy::too_many_lines, reason = "a value for every field")]
pub(super) fn sample() -> Snapshot {
    let report = |ensemble: &str, phase, counters| MirrorReport {
        ensemble: ensemble.to_owned(),
        phase,
        since: Instant::now(),
        session: None,
        fresh_at: None,
        counters,
        znodes: 0,
        bytes: 0,
        causes: [0, 7, 0, 0, 0, 0, 0, 0, 0, 0],
        trouble: None,
        is_only_gone: false,
        cache: None,
    };
    let registry = |name: &str, zone: &str, report| RegistrySnapshot {
        name: ReaderName::only(name),
        report,
        in_phase: Duration::from_millis(1_500),
        age: None,
        zones: vec![zone.to_owned()],
        synced: false,
        guard: None,
        census: None,
        drains: (0, Vec::new()),
        clashes: (0, Vec::new()),
        malformed: Vec::new(),
        malformed_total: 0,
        lost: (0, Vec::new()),
        doubtful: (0, Vec::new()),
    };
    let counters =
        Counters { sessions: 1, failed_connects: 2, epochs: 3, syncs: 2, events: 40, reads: 50, ..Counters::default() };
    let mut main = registry("main", "service.", report("zk1:2181,zk2:2181", Phase::Live, counters));
    (main.report.session, main.report.znodes, main.report.bytes) = (Some(0x0100_00ab_cdef_0001), 12, 345);
    (main.age, main.synced, main.malformed_total) = (Some(Duration::from_micros(250_400)), true, 2_000);
    let census = census::CensusReport { services: 3, serving: 7, out: 2, changed_at: None };
    main.census = Some((census, Some(Duration::from_secs(4))));
    main.malformed = vec![Malformed::lost("/services/a/providers/x", "it has no port")];
    main.lost = (1_200, main.malformed.clone());
    main.doubtful = (700, vec![Malformed::doubtful("/services/a/providers/10.0.0.9:1", "its data is not UTF-8 text")]);
    let reason =
        "ns.service. is a name server of the zone: its own addresses are served, not those of /services/ns".into();
    let (zone, name, paths) = ("service.".into(), "ns.service.".into(), vec!["/services/ns".into()]);
    main.clashes = (1_500, vec![Clash { zone, name, paths, reason, kind: CollisionKind::Server }]);
    let failed = Counters { failed_connects: 7, ..Counters::default() };
    let mut far = registry("far", "far.", report("zk9:2181", Phase::Offline, failed));
    let held = [("api".to_owned(), 10), ("web".to_owned(), 20)].into();
    let guard = guard::GuardReport { held, instances: 30, until: Some(Instant::now()), trips: 2 };
    main.guard = Some((guard, Duration::from_secs(240)));
    let instance = Endpoint { host: Host::V4([10, 0, 0, 1].into()), port: 80 };
    let drain = Drain {
        instance: Some(instance),
        until: Some(1_700_000_000),
        reason: "disk".into(),
        by: "alice@web7".into(),
        at: Some(1_699_999_000),
    };
    main.drains = (1_500, vec![("api".into(), drain)]);
    main.report.cache = Some(cache::CacheReport {
        saves: 3,
        failures: 1,
        bytes: 4_321,
        saved_at: Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_250)),
        behind: true,
        trouble: Some("No space left on device".into()),
    });
    far.report.trouble = Some("no server of the ensemble answered in time".into());
    let registration = |path: &str, state, owner| {
        let counts = Counts { registrations: 3, takeovers: 1, restorations: 2 };
        let endpoint = crate::format::endpoint(path.rsplit('/').next().unwrap()).unwrap();
        let path = Path::new(path).unwrap();
        let at = Instant::now();
        let (since, reason) = (at + Duration::from_secs(6), "somebody deleted it".to_owned());
        let last_error = (state == RegistrationState::Registered).then_some(LastError { at, reason });
        let service = "api_x".into();
        let registration = Registration { service, endpoint, path, state, since, owner, counts, last_error };
        (registration, Duration::from_secs(9))
    };
    let announcer = AnnouncerSnapshot {
        registry: ReaderName::only("main"),
        refused: vec![RefusedAddress {
            service: "api_x".into(),
            address: [169, 254, 1, 1].into(),
            interface: "eth0".into(),
            reason: "it is link-local".into(),
        }],
        last_error: Some(("no session with any server: refused".into(), Duration::from_secs(30))),
        session: Some(SessionStatus { id: 0x0100_00ab_cdef_0002, timeout: Duration::from_secs(10), connected: true }),
        registrations: vec![
            registration(
                "/services/api_x/providers/10.0.0.1:80",
                RegistrationState::Registered,
                Some(0x0100_00ab_cdef_0002),
            ),
            registration(
                "/services/api_x/providers/10.0.0.2:80",
                RegistrationState::Blocked(Blocker::Persistent),
                None,
            ),
        ],
        checks: Vec::new(),
        services: vec!["api_x".into()],
    };
    let check = CheckStatus {
        service: "api_x".into(),
        check: "tcp 127.0.0.1:80".into(),
        state: health::CheckState::Ill,
        is_flapping: true,
        since: Instant::now(),
        last: Some(LastResult { at: UNIX_EPOCH + Duration::from_millis(1_500), found: Err("refused".into()) }),
        passed: 10,
        failed: 5,
        transitions: 4,
        latest: Duration::from_millis(3),
        due: None,
        progress: None,
        missed: None,
        no_results: [(Shortage::Descriptors, 2)].into(),
    };
    let announcer = AnnouncerSnapshot { checks: vec![(check, Duration::from_secs(8))], ..announcer };
    let configuration = Configuration {
        taken_at: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        rejected: Some((UNIX_EPOCH + Duration::from_secs(1_700_000_100), "zonekeeper.toml:3:1: error: oops".into())),
        pending: vec!["[registry]".into(), "[dns] listen".into()],
    };
    Snapshot {
        upstreams: Vec::new(),
        files: Vec::new(),
        queries: Some(12.5),
        configuration: Some((configuration, None)),
        uptime: Duration::from_millis(61_001),
        resident: Some(4096),
        registries: vec![main, far],
        zones: vec![
            ZoneSnapshot {
                origin: "service.".into(),
                serial: 1_700_000_000,
                names: 9,
                freshness: Freshness::Fresh,
                sources: Vec::new(),
                file: Some(ZoneFileSnapshot {
                    path: "service.zone".into(),
                    age: Some(Duration::from_secs(60)),
                    problems: vec!["service.zone:3:1: oops".into()],
                    problems_total: 2,
                }),
                warnings: vec!["the RRset <a> is too large".into()],
                large: Large { many: 3, long: 1 },
            },
            ZoneSnapshot {
                origin: "far.".into(),
                serial: 0,
                names: 2,
                freshness: Freshness::Loading,
                sources: Vec::new(),
                file: None,
                warnings: Vec::new(),
                large: Large::default(),
            },
        ],
        announcers: vec![announcer],
    }
}

/// A mirrored registry in memory, its zone, and admin on a port of its own.
pub(super) struct Site {
    pub(super) memory: Memory,
    pub(super) address: SocketAddr,
    pub(super) stop: CancellationToken,
    served: JoinHandle<Result<(), Error>>,
}

impl Site {
    /// With registries of these names, all of the same ensemble. Nothing can be read of it until it is `opened`.
    fn closed(registries: &[&str]) -> Self {
        let memory = Memory::new("memory");
        for (path, data) in [
            ("/services", ""),
            ("/services/api_x", r#"{"weight": 5}"#),
            ("/services/api_x/providers", ""),
            ("/services/api_x/providers/192.168.0.42:8080", r#"{"tags": ["canary"], "pid": 7}"#),
            ("/services/api_x/providers/garbage", ""),
            ("/services/staging", ""),
            ("/services/staging/db", ""),
            ("/services/staging/db/providers", ""),
            ("/services/idle", ""),
        ] {
            memory.create(&Path::new(path).unwrap(), data.as_bytes()).unwrap();
        }
        memory.refuse(true);
        let stop = CancellationToken::new();
        let sources = registries.iter().map(|name| mirror(name, &memory, &stop)).collect::<Vec<_>>();
        let zones = Zones::new(sources.iter().flat_map(|source| source.zones.clone()).collect());
        let sources = Sources {
            registries: sources,
            zones,
            files: Vec::new(),
            listens: Vec::new(),
            dns: Some(Arc::default()),
            forwarder: None,
            announcements: Vec::new(),
            events: Events::default(),
            control: Some(super::control::Control::new().0),
            instance_files: None,
            metrics_per_service: 1_000,
        };
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(spawn(listener, None, None, sources, 64, stop.clone()).unwrap());
        Self { memory, address, stop, served }
    }

    /// The same, when it has been read.
    pub(super) async fn open(registries: &[&str]) -> Self {
        let site = Self::closed(registries);
        site.memory.refuse(false);
        site.until_status("/readyz", 200).await;
        site
    }

    pub(super) fn get(&self, target: &str) -> Reply {
        request(self.address, "GET", target)
    }

    fn json(&self, target: &str) -> Value {
        serde_json::from_str(&self.get(target).body).unwrap()
    }

    async fn until_status(&self, target: &str, status: u16) {
        let begun = Instant::now();
        while self.get(target).status != status {
            assert!(begun.elapsed() < Duration::from_secs(20), "{target} never said {status}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Mirrors `memory` until `stop`, into a zone of the same name.
fn mirror(name: &str, memory: &Memory, stop: &CancellationToken) -> RegistrySource {
    let layout = Layout::new(Path::new("/services").unwrap(), format::Config::default());
    let writer = ZoneBuilder::new(Name::parse(name).unwrap(), 5, 5).build();
    let zones = vec![Arc::clone(writer.zone())];
    let target = Target::new(5, Arc::new(Mutex::new(writer)));
    let publisher = Publisher::new(layout.clone(), vec![target], Duration::from_secs(3600));
    let problems = publisher.problems();
    let driver = Driver::new(memory.clone(), layout.root.clone(), Duration::from_secs(10), publisher);
    let (status, reader) = (driver.status(), Reader::new(&ReaderName::only(name), layout, driver.tree(), problems));
    tokio::spawn(driver.run(stop.clone()));
    RegistrySource { name: ReaderName::only(name), status, reader, zones, drains: None }
}

/// A reply as it came.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

pub(super) fn request(address: SocketAddr, method: &str, target: &str) -> Reply {
    let mut stream = connect(address);
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n").unwrap();
    reply(&mut stream)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Reads a reply to the end of the connection.
fn reply(stream: &mut TcpStream) -> Reply {
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").expect("a head");
    let head = head.to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
    Reply { status, head, body }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").unwrap();
        if size == 0 {
            return body;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_comes_with_the_first_complete_read_and_stays_while_answers_go_on() {
    let site = Site::closed(&["main"]);
    let reply = site.get("/readyz");
    assert_eq!(reply.status, 503);
    assert!(reply.body.starts_with("main.: SERVFAIL: registry main not read yet, "), "{}", reply.body);
    assert_eq!(site.get("/healthz").body, "ok\n", "it lives, ready or not");
    assert_eq!(site.json("/v1/status")["ready"], false);
    site.memory.refuse(false);
    site.until_status("/readyz", 200).await;
    site.memory.refuse(true);
    site.memory.sessions().into_iter().for_each(|session| site.memory.expire(session));
    let begun = Instant::now();
    while site.json("/v1/status")["registries"][0]["stale"] != true {
        assert!(begun.elapsed() < Duration::from_secs(20), "the loss never showed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(site.get("/readyz").status, 200);
    assert!(site.get("/metrics").body.contains("\nzonekeeper_ready 1\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_registries_it_is_ready_at_once() {
    let site = Site::closed(&[]);
    assert_eq!(site.get("/readyz").status, 200);
    let body = site.get("/v1/services").body;
    assert!(body.starts_with("{\"index\":") && body.ends_with(",\"services\":[\n\n],\"next\":null}\n"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_about_the_real_mirror() {
    let site = Site::open(&["main"]).await;
    let status = site.json("/v1/status");
    let main = &status["registries"][0];
    assert_eq!((&main["name"], &main["phase"], &main["stale"]), (&"main".into(), &"live".into(), &false.into()));
    assert_eq!(main["znodes"], 9);
    assert_eq!(main["malformed_total"], 1);
    assert_eq!(main["malformed"][0]["path"], "/services/api_x/providers/garbage");
    assert_eq!(main["counters"]["syncs"], 1);
    assert!(main["session"].as_str().unwrap().starts_with("0x"), "{main}");
    assert_eq!(status["zones"][0]["origin"], "main.");
    assert_eq!(status["zones"][0]["freshness"], "fresh");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_have_the_format_that_their_type_promises() {
    let site = Site::open(&["main"]).await;
    let reply = site.get("/metrics");
    assert_eq!(reply.status, 200);
    assert!(reply.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{}", reply.head);
    assert!(reply.body.contains("\nzonekeeper_registry_mirror_age_seconds{registry=\"main\"} 0.0\n"), "{}", reply.body);
    assert!(
        reply.body.contains("\n# TYPE zonekeeper_dns_overloaded_total counter\nzonekeeper_dns_overloaded_total 0\n")
    );
    assert!(!reply.body.contains("# EOF"));
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_listed_by_registry_and_prefix() {
    let site = Site::open(&["main", "far"]).await;
    let listed = |target: &str| {
        let all = site.json(target);
        let names = all["services"].as_array().unwrap().iter();
        names.map(|one| format!("{}:{}", one["registry"], one["path"]).replace('"', "")).collect::<Vec<_>>()
    };
    assert_eq!(listed("/v1/services?registry=far"), ["far:api_x", "far:idle", "far:staging/db"]);
    assert_eq!(listed("/v1/services?prefix=staging%2F"), ["main:staging/db", "far:staging/db"]);
    assert_eq!(listed("/v1/services?prefix=none&registry=main"), Vec::<String>::new());
    assert_eq!(listed("/v1/services").len(), 6);
    assert_eq!(site.get("/v1/services?registry=other").status, 404);
    assert_eq!(site.get("/v1/services?perfix=a").status, 400);
    assert_eq!(site.get("/v1/services").head.matches("content-type: application/json").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_shown_with_what_was_wrong_with_it() {
    let site = Site::open(&["main", "far"]).await;
    let service = site.json("/v1/services/api_x?registry=main");
    assert_eq!((&service["registry"], &service["path"]), (&"main".into(), &"api_x".into()));
    assert_eq!(service["defaults"]["weight"], 5);
    assert_eq!(service["instances"][0]["host"], "192.168.0.42");
    assert_eq!(service["instances"][0]["metadata"]["pid"], "7");
    assert_eq!(service["malformed"][0]["path"], "/services/api_x/providers/garbage");
    assert_eq!(site.json("/v1/services/staging%2Fdb/?registry=far")["instances"], Value::Array(Vec::new()));
    for (target, status) in [
        ("/v1/services/api_x", 409),
        ("/v1/services/none", 404),
        ("/v1/services/staging?registry=main", 404),
        ("/v1/services/api_x/providers?registry=main", 404),
        ("/v1/services/api_x?registry=none", 404),
        ("/v1/services/api_x?prefix=a", 400),
        ("/v1/services/%ff", 400),
    ] {
        let reply = site.get(target);
        assert_eq!(reply.status, status, "{target}");
        let problem = serde_json::from_str::<Value>(&reply.body).unwrap();
        assert!(problem["error"].is_string() && problem["detail"] == problem["error"], "{target}: {problem}");
        assert_eq!((&problem["status"], &problem["type"]), (&status.into(), &"about:blank".into()), "{target}");
        assert!(reply.head.contains("content-type: application/problem+json"), "{target}: {}", reply.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_comes_whole_and_in_pieces() {
    let site = Site::closed(&["main"]);
    for number in 0..2_000 {
        site.memory.create(&Path::new(&format!("/services/s{number:04}")).unwrap(), b"").unwrap();
    }
    site.memory.refuse(false);
    site.until_status("/readyz", 200).await;
    let reply = site.get("/v1/services");
    assert!(reply.head.contains("transfer-encoding: chunked"), "{}", reply.head);
    let listed = serde_json::from_str::<Value>(&reply.body).unwrap();
    let paths = listed["services"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap());
    assert_eq!(paths.filter(|path| path.starts_with("s0") || path.starts_with("s1")).count(), 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_names_endpoints_that_are_there() {
    let site = Site::open(&["main"]).await;
    let index = site.get("/");
    assert_eq!(index.status, 200);
    let named = index.body.lines().filter_map(|line| line.split(' ').next()).filter(|word| word.starts_with('/'));
    let named = named.map(|path| path.replace("{path}", "api_x").replace("{name}", "api_x.main")).collect::<Vec<_>>();
    let takes_post =
        |path: &str| path.starts_with("/v1/heartbeat/") || ["/v1/reload", "/v1/restart", "/v1/leave"].contains(&path);
    assert_eq!(named.len(), routes::ROUTES.len(), "{}", index.body);
    for path in named.iter().filter(|path| !takes_post(path)) {
        assert_eq!(site.get(path).status, 200, "{path}");
        let head = request(site.address, "HEAD", path);
        assert_eq!((head.status, &*head.body), (200, ""), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_says_what_is() {
    let site = Site::closed(&[]);
    let unknown = site.get("/nothing/here");
    assert_eq!(unknown.status, 404);
    let answer: Value = serde_json::from_str(&unknown.body).unwrap();
    assert_eq!(answer["error"], "there is no /nothing/here here");
    assert!(answer["endpoints"].as_array().unwrap().contains(&"/v1/status".into()), "{answer}");
    let post = request(site.address, "POST", "/readyz");
    assert_eq!(post.status, 405);
    assert!(post.head.contains("allow: get,head"), "{}", post.head);
    let answer: Value = serde_json::from_str(&post.body).unwrap();
    assert_eq!((&answer["title"], &answer["status"]), (&"Method Not Allowed".into(), &405.into()), "{answer}");
    assert_eq!(answer["detail"], "/readyz takes GET and HEAD, not POST");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_endless_heads_are_refused() {
    let site = Site::closed(&[]);
    for bytes in [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n".to_vec(), vec![b'a'; 64 * 1024]] {
        let mut stream = connect(site.address);
        // The connection may be closed before all of it is written.
        let _ = stream.write_all(&bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{answer:?}");
    }
    assert_eq!(site.get("/healthz").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_hold_no_place_that_another_needs() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let second = Duration::from_secs(1);
    let limits = SeatLimits { connections: 2, head: second, reading: second, grace: second };
    let stop = CancellationToken::new();
    tokio::spawn(server::serve(
        (listener, None),
        None,
        routes::router(Sources::default(), "", 64),
        limits,
        |_| {},
        stop.clone(),
    ));
    let begun = Instant::now();
    let slow = [connect(address), connect(address)].map(|mut stream| {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").unwrap();
        stream
    });
    assert_eq!(request(address, "GET", "/healthz").status, 200);
    assert!(begun.elapsed() < second, "it waited for a client that asks nothing: {:?}", begun.elapsed());
    for mut stream in slow {
        let mut rest = Vec::new();
        // One was cut off for the other, and that one at the end of its time.
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "half a request was answered");
    }
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_within_its_bound_and_frees_the_port() {
    let site = Site::open(&["main"]).await;
    let mut idle = connect(site.address);
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: admin\r\n\r\n").unwrap();
    let mut some = [0; 16];
    idle.read_exact(&mut some).unwrap();
    let mut half = connect(site.address);
    half.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    let begun = Instant::now();
    site.stop.cancel();
    site.served.await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(TcpStream::connect(site.address).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_when_nobody_waits_for_its_end_any_more() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let running = spawn(listener, None, None, Sources::default(), 64, CancellationToken::new()).unwrap();
    assert_eq!(request(address, "GET", "/healthz").status, 200);
    drop(running);
    let begun = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it runs on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "blocking the runtime is the point")]
async fn it_answers_while_every_other_thread_is_busy() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(spawn(listener, None, None, Sources::default(), 64, CancellationToken::new()).unwrap());
    assert_eq!(request(address, "GET", "/healthz").status, 200);
    let busy = (0..64).map(|_| tokio::spawn(async { std::thread::sleep(Duration::from_secs(2)) })).collect::<Vec<_>>();
    let begun = Instant::now();
    assert_eq!(request(address, "GET", "/healthz").status, 200);
    assert!(begun.elapsed() < Duration::from_secs(1), "it waited for the runtime of the others");
    busy.iter().for_each(JoinHandle::abort);
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let held = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = held.local_addr().unwrap();
    let error = bind(address).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address} (TCP, admin)"));
}
