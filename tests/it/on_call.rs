//! The questions of whoever is on call, each answered by one command; many readers of the events at once; and what
//! Prometheus finds by HTTP and by DNS.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::agent::{blocking, serve, until};
use crate::events::{ask, json, printed, site};
use crate::harness::admin::page;
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;

fn is_open(admin: SocketAddr) -> Option<()> {
    TcpStream::connect(admin).ok()?;
    page(admin, "/readyz").starts_with("HTTP/1.1 200").then_some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_question_of_whoever_is_on_call_is_one_command() {
    blocking(|servers| {
        let mut stays = Kazoo::connect(&servers);
        stays.create("/services/api_x/providers/10.0.0.1:80", b"", false);
        stays.create("/services/api_x/providers/10.0.0.2:80", br#"{"state": "drain"}"#, false);
        let mut leaves = Kazoo::connect(&servers);
        leaves.create("/services/api_x/providers/10.0.0.3:80", b"", true);
        let session = leaves.get("/services/api_x/providers/10.0.0.3:80").expect("the znode").1;
        let (config, _, admin) = site(&servers, "");
        let (mut ours, path) = serve(&config);
        until("ready", || is_open(admin));

        // Is anything wrong at all?
        let well = ask(admin, &["status"]);
        assert_eq!(well.status.code(), Some(0), "{well:?}");

        // What is out, and why?
        let services = printed(&ask(admin, &["services", "--drained"]));
        assert!(services.lines().any(|line| line.starts_with("api_x\t2\t1\t")), "{services}");
        let service = printed(&ask(admin, &["service", "api_x"]));
        let out = service.lines().find(|line| line.starts_with("10.0.0.2:80\t")).expect("its line");
        assert!(out.contains("\tout\t") && out.contains("drain"), "{out}");
        assert!(!service.contains('\x1b'), "no colours in a pipe: {service}");

        // Which instance left in the last hour, when, and whose session was it?
        drop(leaves);
        let gone = until("it left", || {
            let lines = printed(&ask(admin, &["events", "api_x", "--since", "1h"]));
            lines.lines().find(|line| line.contains("10.0.0.3:80 gone")).map(str::to_owned)
        });
        assert!(gone.0.starts_with("20") && gone.0.contains(&format!("{session:#x}")), "{gone:?}");

        // Was my edit taken?
        std::fs::write(&path, config.replacen("linger = \"0s\"", "linger = \"1s\"", 1)).unwrap();
        let taken = printed(&ask(admin, &["reload"]));
        assert!(taken.contains("the configuration is taken"), "{taken}");
        std::fs::write(&path, config.replacen("linger = ", "lingre = ", 1)).unwrap();
        let refused = ask(admin, &["reload"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(1) && said.contains("did you mean `linger`?"), "{said}");

        // And now something is wrong.
        let wrong = ask(admin, &["status"]);
        let said = String::from_utf8_lossy(&wrong.stdout);
        assert!(wrong.status.code() == Some(1) && said.contains("REJECTED"), "{said}");
        std::fs::write(&path, &config).unwrap();
        until("it is well again", || (ask(admin, &["status"]).status.code() == Some(0)).then_some(()));

        // Which of two servers is behind? The one whose serial, or number of instances, is the smaller.
        let (other, _, other_admin) = site(&servers, "");
        let (mut other, _) = serve(&other);
        until("the other one", || is_open(other_admin));
        ours.signal("STOP");
        stays.create("/services/api_x/providers/10.0.0.4:80", b"", false);
        let instances = |admin: SocketAddr| {
            let status = printed(&ask(admin, &["status", "--json"]));
            serde_json::from_str::<serde_json::Value>(&status).unwrap()["registries"][0]["instances_in"].as_u64()
        };
        until("the other has it", || (instances(other_admin) == Some(2)).then_some(()));
        ours.signal("CONT");
        until("this one, too", || (instances(admin) == Some(2)).then_some(()));

        // No server at all.
        ours.signal("TERM");
        ours.wait();
        assert_eq!(ask(admin, &["status"]).status.code(), Some(2));
        other.signal("TERM");
        other.wait();
    })
    .await;
}

/// Targets by `http_sd`, and by `dns_sd` of SRV records, are the same whenever nothing is on its way.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_by_http_is_what_is_found_by_dns_through_five_hundred_changes() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create("/services/api/providers/10.0.0.250:80", b"", false);
        let (config, dns, admin) = site(&servers, "");
        let (mut ours, _) = serve(&config);
        until("ready", || is_open(admin));
        let by_http = || {
            let page = page(admin, "/v1/prometheus");
            let (_, body) = page.split_once("\r\n\r\n").expect("a body");
            let list: serde_json::Value =
                serde_json::from_str(&body[body.find('[').expect("a list")..=body.rfind(']').expect("its end")])
                    .unwrap();
            let targets = list.as_array().expect("targets").iter();
            targets.map(|one| one["targets"][0].as_str().expect("an address").to_owned()).collect::<BTreeSet<_>>()
        };
        let by_dns = || {
            // `0 10 80 10-0-0-1.addr.service.`
            let address = |line: String| {
                let mut parts = line.split(' ').skip(2);
                let (port, target) = (parts.next()?.to_owned(), parts.next()?.split('.').next()?.replace('-', "."));
                Some(format!("{target}:{port}"))
            };
            dig(dns, "SRV api.service +tcp").data().into_iter().filter_map(address).collect::<BTreeSet<_>>()
        };
        let mut there: BTreeSet<u32> = BTreeSet::new();
        let mut random = fastrand::Rng::with_seed(7);
        for change in 1..=500 {
            let one = random.u32(1..=30);
            let path = format!("/services/api/providers/10.0.0.{one}:80");
            if there.remove(&one) {
                kazoo.delete(&path);
            } else {
                there.insert(one);
                kazoo.create(&path, b"", false);
            }
            if change % 25 == 0 {
                let wanted: BTreeSet<String> =
                    there.iter().chain([&250]).map(|one| format!("10.0.0.{one}:80")).collect();
                until(&format!("change {change}"), || (by_http() == wanted && by_dns() == wanted).then_some(()));
            }
        }
        ours.signal("TERM");
        ours.wait();
    })
    .await;
}

/// A reader of a stream: what it has read so far.
struct Reader {
    stream: TcpStream,
    reads: usize,
    text: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_readers_of_events_get_bundles_and_cost_dns_nothing() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create("/services/api/providers/10.0.0.250:80", b"", false);
        let (config, dns, admin) = site(&servers, "");
        let (mut ours, _) = serve(&config);
        until("ready", || is_open(admin));
        let memory = || -> u64 {
            let status = std::fs::read_to_string(format!("/proc/{}/status", ours.id())).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        let before = memory();
        // A socket each, here as well.
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let most = rustix::process::Rlimit { current: limit.maximum.or(limit.current), ..limit };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, most).expect("more descriptors");
        let mut readers: Vec<Reader> = (0..1000)
            .map(|_| {
                let mut stream = TcpStream::connect(admin).unwrap();
                write!(stream, "GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n").unwrap();
                Reader { stream, reads: 0, text: Vec::new() }
            })
            .collect();
        for one in &mut readers {
            one.stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let mut opening = [0; 1024];
            assert!(one.stream.read(&mut opening).expect("the head of the stream") > 0);
            one.stream.set_nonblocking(true).unwrap();
        }
        let (begun, mut next, mut changes, mut slowest) = (Instant::now(), Instant::now(), 0, Duration::ZERO);
        let mut buffer = vec![0; 64 * 1024];
        let mut is_there = false;
        while begun.elapsed() < Duration::from_secs(5) {
            if next <= Instant::now() {
                next += Duration::from_millis(50);
                let path = "/services/api/providers/10.0.0.1:80";
                if is_there {
                    kazoo.delete(path);
                } else {
                    kazoo.create(path, b"", false);
                }
                is_there = !is_there;
                changes += 1;
            }
            let asked = Instant::now();
            assert_eq!(dig(dns, "SRV api.service").status, "NOERROR");
            slowest = slowest.max(asked.elapsed());
            for one in &mut readers {
                if let Ok(length @ 1..) = one.stream.read(&mut buffer) {
                    one.reads += 1;
                    one.text.extend_from_slice(&buffer[..length]);
                }
            }
        }
        let last = json(admin, "/v1/events?limit=1")["index"].clone();
        let id = format!("\"index\":{last}");
        until("everybody has the last event", || {
            for one in &mut readers {
                if let Ok(length @ 1..) = one.stream.read(&mut buffer) {
                    one.text.extend_from_slice(&buffer[..length]);
                }
            }
            let has = |one: &Reader| one.text.windows(id.len()).any(|part| part == id.as_bytes());
            readers.iter().all(has).then_some(())
        });
        let grown = memory().saturating_sub(before) / 1024;
        let seconds = begun.elapsed().as_secs_f64();
        let most = readers.iter().map(|one| one.reads).max().unwrap_or_default();
        let mut said = String::new();
        let _ =
            write!(said, "{changes} changes in {seconds:.1} s: at most {most} writes to a reader, {grown} MiB more");
        println!("{said}, the slowest dig {slowest:?}");
        assert!(grown <= 100, "{said}");
        // Ten a second, and the head.
        #[allow(clippy::cast_precision_loss)]
        let allowed = seconds * 10.0 + 2.0;
        #[allow(clippy::cast_precision_loss)]
        let is_bundled = (most as f64) <= allowed;
        assert!(is_bundled, "{said}");
        assert!(slowest < Duration::from_secs(2), "{said}: {slowest:?}");
        ours.signal("TERM");
        ours.wait();
    })
    .await;
}
