//! All writers side by side in one ensemble, each with its own library and reader: after random changes of all of them
//! DNS has for each service what that library's own users find.
//!
//! `ZONEKEEPER_CHANGES=1000` makes so many changes with each, as .ci/run does; `ZONEKEEPER_SEED=7` others.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::foreign_writers::{RECIPES, reconfigurable};
use crate::harness::app::Running;
use crate::harness::asker::{Asker, Over};
use crate::harness::foreign::Foreign;

/// Moments at which DNS and the libraries are compared.
const MOMENTS: u64 = 50;
/// The time after the last change within which DNS is to follow.
const SOON: Duration = Duration::from_millis(200);
/// The time within which it must, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(5);
/// Hosts of each service, of which about one half is registered.
const HOSTS: u8 = 12;

const READERS: &str = "read = [{ format = \"zc\", root = \"/zc\", as = \"zc\" }, \
     { format = \"nd\", root = \"/nd\", as = \"nd\" }, { format = \"curator\", as = \"curator\" }, \
     { format = \"serverset\", root = \"/aurora\", as = \"aurora\" }, { format = \"dubbo\", as = \"dubbo\" }, \
     { format = \"sofa\", as = \"sofa\" }, { format = \"ranger\", root = \"/ranger\", as = \"ranger\" }, \
     { format = \"patroni\", as = \"patroni\" }, { format = \"party\", as = \"party\" }, \
     { format = \"shallow\", as = \"shallow\" }, { format = \"election\", as = \"election\" }, \"ensemble\"]";

/// A library with the services that it writes.
struct Writer {
    name: &'static str,
    library: Foreign,
    /// The library's name of each service, and that in DNS.
    services: Vec<(String, String)>,
    /// The first three bytes of its addresses.
    net: &'static str,
    /// What it has registered: the number of a service, and the last byte of an address.
    registered: BTreeSet<(usize, u8)>,
    rng: Rng,
    changes: u64,
}

impl Writer {
    fn new(name: &'static str, library: Foreign, place: &str, words: [&str; 3], seed: u64) -> Self {
        let services = words.map(|word| (word.to_owned(), format!("{word}.{place}.service."))).to_vec();
        let net = "192.0.2";
        Self { name, library, services, net, registered: BTreeSet::new(), rng: Rng::with_seed(seed), changes: 0 }
    }

    /// Registers an instance that is not there, or takes back one that is.
    fn change(&mut self) {
        let service = self.rng.usize(..self.services.len());
        let last = self.rng.u8(1..=HOSTS);
        let (host, port) = (format!("{}.{last}", self.net), 7000 + u16::from(last));
        let (name, _) = &self.services[service];
        if self.registered.remove(&(service, last)) {
            self.library.remove(name, &host, port);
        } else {
            self.registered.insert((service, last));
            self.library.add(name, &host, port);
        }
        self.changes += 1;
    }

    /// What DNS has of each service.
    fn answered(&self, asker: &mut Asker) -> Vec<Vec<String>> {
        self.services.iter().map(|(_, name)| listed(asker, name)).collect()
    }

    /// Where that is not what the library finds: both.
    fn differences(&mut self, answered: &[Vec<String>]) -> Vec<String> {
        let mut differences = Vec::new();
        for ((service, _), answered) in self.services.iter().zip(answered) {
            let found = self.library.list(service);
            if *answered != found {
                differences.push(format!("{} {service}: DNS has {answered:?}, the library {found:?}", self.name));
            }
        }
        differences
    }
}

/// `host:port` of each instance in DNS, sorted: addresses are in the targets' names.
fn listed(asker: &mut Asker, name: &str) -> Vec<String> {
    let mut query = Message::query();
    query.metadata.id = fastrand::u16(..);
    query.edns = Some(Edns::new());
    query.add_query(Query::query(Name::from_ascii(name).expect("a name"), RecordType::SRV));
    let answer = asker.ask(&query.to_vec().expect("a message"), Over::Tcp, LIMIT).expect("an answer");
    let message = Message::from_vec(&answer).expect("a DNS message");
    let of = |data: &RData| match data {
        RData::SRV(srv) => {
            let target = srv.target.to_string();
            let address = target.split('.').next().unwrap_or_default().replace('-', ".");
            Some(format!("{address}:{}", srv.port))
        }
        _ => None,
    };
    let mut listed: Vec<String> = message.answers.iter().filter_map(|record| of(&record.data)).collect();
    listed.sort();
    listed
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn writers(servers: &str, seed: u64) -> Vec<Writer> {
    let words = ["alpha", "beta", "gamma"];
    let dotted = ["com.acme.Alpha", "com.acme.Beta", "org.example.Gamma"];
    let mut number = seed;
    let mut writer = |name, library, place, words| {
        number += 1;
        Writer::new(name, library, place, words, number)
    };
    let mut writers = vec![
        writer("zc.zk", Foreign::zc(servers), "zc", words),
        writer("nd_service_registry", Foreign::nd(servers), "nd", words),
        writer("Curator", Foreign::curator(servers), "curator", words),
        writer("twitter.common.zookeeper", Foreign::serverset(servers), "prod.role.aurora", words),
        writer("apache-dubbo", Foreign::dubbo(servers), "dubbo", dotted),
        writer("sofa-rpc-node", Foreign::sofa(servers), "sofa", dotted),
        writer("serviceprovider (Ranger)", Foreign::ranger(servers), "ranger", words),
        writer("Patroni", Foreign::store(servers), "patroni", words),
        writer("kazoo's Party", Foreign::recipe(servers, "party"), "party", words),
        writer("kazoo's ShallowParty", Foreign::recipe(servers, "shallow"), "shallow", words),
        writer("kazoo's Election", Foreign::recipe(servers, "election"), "election", words),
        writer("the ensemble", Foreign::ensemble(servers), "", words),
    ];
    let ensemble = writers.last_mut().expect("the ensemble");
    ensemble.services = vec![("zookeeper".to_owned(), "zookeeper.service.".to_owned())];
    ensemble.net = "127.0.1";
    writers
}

#[tokio::test(flavor = "multi_thread")]
async fn all_writers_side_by_side_are_in_dns_as_their_own_libraries_list_them() {
    let (ours, writers) = tokio::task::spawn_blocking(|| {
        let ours = reconfigurable();
        let writers = writers(&ours.address(), setting("ZONEKEEPER_SEED", 2181));
        (ours, writers)
    })
    .await
    .expect("no panic");
    let server = Running::start(&format!(
        "[registry.main]\nzookeeper = \"{}\"\nsession_timeout = \"10s\"\nmissing_root = \"empty\"\n{READERS}\n{RECIPES}\
         [[zone]]\norigin = \"service.\"\n",
        ours.address()
    ));
    let dns = server.dns;
    let begun = Instant::now();
    let (soon, late, writers) =
        tokio::task::spawn_blocking(move || compare(writers, dns, setting("ZONEKEEPER_CHANGES", 60)))
            .await
            .expect("no panic");
    let made: Vec<String> = writers.iter().map(|writer| format!("{} {}", writer.name, writer.changes)).collect();
    println!(
        "side by side: {soon} of {MOMENTS} moments agreed within {SOON:?} after the last change, and the others later: \
         {late:?}; {:.0?} in all; changes: {}",
        begun.elapsed(),
        made.join(", ")
    );
    tokio::task::spawn_blocking(move || drop(writers)).await.expect("no panic");
    server.stop().await;
}

/// Has all writers make changes at once, and compares after each round: how often DNS agreed at once, how late it did
/// otherwise, and the writers.
#[allow(clippy::disallowed_methods)] // on a thread that may block
fn compare(mut writers: Vec<Writer>, dns: SocketAddr, changes: u64) -> (u64, Vec<Duration>, Vec<Writer>) {
    let mut rng = Rng::with_seed(setting("ZONEKEEPER_SEED", 2181));
    // Random moments: numbers of changes after which all wait.
    let mut cuts: Vec<u64> = (1..MOMENTS).map(|_| rng.u64(..=changes)).collect();
    cuts.push(changes);
    cuts.sort_unstable();
    let mut asker = Asker::new(dns);
    let (mut soon, mut late) = (0, Vec::new());
    for until in cuts {
        std::thread::scope(|scope| {
            for writer in &mut writers {
                scope.spawn(move || {
                    while writer.changes < until {
                        writer.change();
                    }
                });
            }
        });
        let last = Instant::now();
        std::thread::sleep(SOON);
        // All of DNS first: what it has then is judged.
        let answered: Vec<_> = writers.iter().map(|writer| writer.answered(&mut asker)).collect();
        let mut waited = None;
        for (writer, mut answered) in writers.iter_mut().zip(answered) {
            loop {
                let differences = writer.differences(&answered);
                if differences.is_empty() {
                    break;
                }
                assert!(last.elapsed() < LIMIT, "after {} changes: {}", writer.changes, differences.join("; "));
                std::thread::sleep(Duration::from_millis(20));
                (waited, answered) = (Some(last.elapsed()), writer.answered(&mut asker));
            }
        }
        match waited {
            None => soon += 1,
            Some(waited) => late.push(waited),
        }
    }
    (soon, late, writers)
}
