//! Storms over a real ensemble of three: whatever breaks, when it is over every name is what ZooKeeper holds, and
//! meanwhile no answer is lost or wrong.
//!
//! Each storm does its damage while a writer changes services; a witness asks all the while for a service that never
//! changes. Then every name is compared with a fresh read of ZooKeeper. `ZONEKEEPER_STORMS=N` runs each storm N times
//! (once otherwise), `ZONEKEEPER_STORM=cuts` only that one; the table of all of them is printed at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use tokio::task::block_in_place;
use tokio::time::sleep;
use zonekeeper::registry::{Error, Path};
use zonekeeper::zookeeper::client::{ZooKeeper, ZooKeeperSession};
use zonekeeper::zookeeper::session::{Access, Ensemble as _, Mode, Read, Reply, Session as _};

use crate::harness::app::Running;
use crate::harness::client::Client;
use crate::harness::ensemble::Ensemble;
use crate::harness::eventually;
use crate::harness::proxy::{Proxy, Side};

/// Services that the writer changes.
const SERVICES: usize = 24;

/// How long until every name must be right again. What is seen is printed; this leaves room for a busy machine.
const BOUND: Duration = Duration::from_secs(10);

type Answer = (ResponseCode, Vec<String>);

/// A kind of damage: its name, and how it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storm {
    Cuts,
    Refusal,
    SlowLinks,
    SilentServer,
    SilentClient,
    Kill,
    KillLeader,
    Freeze,
    RollingRestart,
    Expiry,
    LaggingFollower,
    Everything,
}

const STORMS: [(Storm, &str); 12] = [
    (Storm::Cuts, "connections cut at random"),
    (Storm::Refusal, "connections refused for 3 s"),
    (Storm::SlowLinks, "slow links"),
    (Storm::SilentServer, "silence from the servers"),
    (Storm::SilentClient, "silence towards the servers"),
    (Storm::Kill, "SIGKILL of a member"),
    (Storm::KillLeader, "SIGKILL of the leader"),
    (Storm::Freeze, "SIGSTOP of a member for 3 s"),
    (Storm::RollingRestart, "rolling restart"),
    (Storm::Expiry, "session expired"),
    (Storm::LaggingFollower, "a follower that lags"),
    (Storm::Everything, "all of them, mixed"),
];

/// What one kind of storm came to.
#[derive(Debug, Default)]
struct Row {
    runs: usize,
    differences: usize,
    /// For each name of each run: how long after the last fault it was what ZooKeeper holds.
    late: Vec<Duration>,
    converged: Vec<Duration>,
    asked: u64,
    wrong: u64,
    stale: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_every_storm_every_name_is_what_zookeeper_holds() {
    let runs = std::env::var("ZONEKEEPER_STORMS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(1);
    let only = std::env::var("ZONEKEEPER_STORM").unwrap_or_default();
    let mut field = Field::new().await;
    let mut table = Vec::new();
    for (storm, name) in STORMS.into_iter().filter(|(_, name)| name.contains(&only)) {
        let mut row = Row::default();
        for _ in 0..runs {
            field.run(storm, &mut row).await;
        }
        table.push((name, row));
    }
    // In order: a session whose tasks go with the runtime panics in the client library, which waits for them.
    field.server.stop().await;
    println!(
        "| storm | runs | differences | a name right after, p50 | p99 | all right after, p50 | p99 | answers meanwhile | \
         marked stale | wrong or lost |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (name, row) in &mut table {
        let Row { runs, differences, asked, stale, wrong, late, converged } = row;
        let (late, converged) = (shares(late), shares(converged));
        println!("| {name} | {runs} | {differences} | {late} | {converged} | {asked} | {stale} | {wrong} |");
    }
    assert!(table.iter().all(|(_, row)| row.differences == 0 && row.wrong == 0), "see the table");
    let cut_off = [Storm::Refusal, Storm::SilentServer, Storm::SilentClient, Storm::Expiry];
    for (name, row) in table.iter().filter(|(name, _)| STORMS.iter().any(|(s, n)| n == name && cut_off.contains(s))) {
        assert!(row.stale > 0, "{name}: no answer said that it was stale");
    }
}

/// Median and 99th percentile.
fn shares(delays: &mut [Duration]) -> String {
    delays.sort();
    let at = |share: usize| delays[(delays.len() * share).div_ceil(100) - 1].as_millis();
    format!("{} ms | {} ms", at(50), at(99))
}

/// The ensemble, the server over it, and what disturbs them.
struct Field {
    ensemble: Ensemble,
    server: Running,
    rng: fastrand::Rng,
}

impl Field {
    async fn new() -> Self {
        let ensemble = block_in_place(Ensemble::start);
        let session = ZooKeeper::new(&ensemble.direct(), Duration::from_secs(10)).connect().await.expect("a session");
        for path in
            ["/services", "/services/steady", "/services/steady/providers", "/services/steady/providers/10.9.9.9:80"]
        {
            create(&session, path, Mode::Persistent).await.expect("a znode");
        }
        let server = Running::over_zookeeper(&ensemble.proxied(), "");
        eventually("the first answer", async || {
            let answer = Client::new(server.dns).await.addresses("steady.service.").await?;
            (answer == steady()).then_some(())
        })
        .await;
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        Self { ensemble, server, rng: fastrand::Rng::with_seed(seed) }
    }

    /// One storm, from the first damage to the last right answer.
    async fn run(&mut self, storm: Storm, row: &mut Row) {
        let over = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn(write(self.ensemble.direct(), Arc::clone(&over)));
        let witness = Witness::start(&self.server).await;
        self.damage(storm).await;
        over.store(true, Ordering::Relaxed);
        writer.await.expect("no panic");
        let begun = Instant::now();
        let differences = self.differences(begun, &mut row.late).await;
        row.runs += 1;
        row.differences += differences.len();
        row.converged.push(begun.elapsed());
        let (asked, wrong, stale) = witness.stop().await;
        row.asked += asked;
        row.wrong += wrong;
        row.stale += stale;
        for (name, is, should) in differences {
            println!("{storm:?}: {name} is {is:?}, not {should:?}");
        }
    }

    async fn damage(&mut self, storm: Storm) {
        match storm {
            Storm::Cuts => {
                for _ in 0..12 {
                    self.each_proxy(|proxy, rng| match rng.u8(..3) {
                        0 => proxy.blip(),
                        1 => proxy.cut(),
                        _ => proxy.heal(),
                    });
                    self.pause(50..400).await;
                }
            }
            Storm::Refusal => {
                self.each_proxy(|proxy, _| proxy.cut());
                self.pause(3000..3001).await;
            }
            Storm::SlowLinks => {
                for _ in 0..6 {
                    self.each_proxy(|proxy, rng| proxy.delay(Duration::from_millis(rng.u64(20..400))));
                    self.pause(300..700).await;
                }
            }
            Storm::SilentServer | Storm::SilentClient => {
                let side = if storm == Storm::SilentServer { Side::Server } else { Side::Client };
                self.each_proxy(|proxy, _| proxy.mute(side));
                // Events go on while nothing reaches the servers: only a read that is not answered in time tells.
                self.pause(5000..6500).await;
            }
            Storm::Kill => {
                let victim = self.rng.usize(..3);
                self.kill(victim).await;
            }
            Storm::KillLeader => {
                let leader = block_in_place(|| self.ensemble.leader());
                self.kill(leader.unwrap_or(0)).await;
            }
            Storm::Freeze => {
                let victim = self.rng.usize(..3);
                self.ensemble.members[victim].freeze();
                self.pause(3000..3001).await;
                self.ensemble.members[victim].thaw();
            }
            Storm::RollingRestart => {
                for member in &mut self.ensemble.members {
                    block_in_place(|| {
                        member.stop();
                        member.start_again();
                    });
                }
            }
            Storm::Expiry => {
                // The time-out is 4 s; the client gives a session up on its own after 1.4 times that.
                self.each_proxy(|proxy, _| proxy.cut());
                self.pause(6500..7000).await;
            }
            Storm::LaggingFollower => {
                for link in &self.ensemble.links {
                    link.delay(Duration::from_millis(300));
                }
                // Only the lagging member can be reached, and the connection breaks now and then.
                self.ensemble.proxies[0].cut();
                self.ensemble.proxies[1].cut();
                for _ in 0..4 {
                    self.pause(300..1200).await;
                    self.ensemble.proxies[2].blip();
                }
            }
            Storm::Everything => {
                for _ in 0..4 {
                    let (part, _) = STORMS[self.rng.usize(..STORMS.len() - 1)];
                    Box::pin(self.damage(part)).await;
                }
            }
        }
        for proxy in self.ensemble.proxies.iter().chain(&self.ensemble.links) {
            proxy.delay(Duration::ZERO);
            proxy.heal();
        }
    }

    async fn kill(&mut self, victim: usize) {
        block_in_place(|| self.ensemble.members[victim].kill());
        self.pause(500..2000).await;
        block_in_place(|| self.ensemble.members[victim].start_again());
    }

    fn each_proxy(&mut self, mut harm: impl FnMut(&Proxy, &mut fastrand::Rng)) {
        for proxy in &self.ensemble.proxies {
            harm(proxy, &mut self.rng);
        }
    }

    async fn pause(&mut self, milliseconds: std::ops::Range<u64>) {
        sleep(Duration::from_millis(self.rng.u64(milliseconds))).await;
    }

    /// The names that are not what ZooKeeper holds, once the bound is over; returns as soon as there are none.
    async fn differences(&self, begun: Instant, late: &mut Vec<Duration>) -> Vec<(String, Option<Answer>, Answer)> {
        let mut client = Client::new(self.server.dns).await;
        let ensemble = ZooKeeper::new(&self.ensemble.direct(), Duration::from_secs(10));
        let session = eventually("a session", async || ensemble.connect().await.ok()).await;
        let expected = eventually("a fresh read", async || expected(&session).await.ok()).await;
        let mut right: BTreeMap<&String, Duration> = BTreeMap::new();
        loop {
            let mut differences = Vec::new();
            for (name, should) in &expected {
                let is = client.addresses(name).await;
                if is.as_ref() == Some(should) {
                    right.entry(name).or_insert_with(|| begun.elapsed());
                } else {
                    right.remove(name);
                    differences.push((name.clone(), is, should.clone()));
                }
            }
            if differences.is_empty() || begun.elapsed() > BOUND {
                late.extend(right.into_values());
                return differences;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn steady() -> Answer {
    (ResponseCode::NoError, vec!["10.9.9.9".to_owned()])
}

async fn create(session: &ZooKeeperSession, path: &str, mode: Mode) -> Result<(), Error> {
    let path = Path::new(path).expect("a path");
    match session.create(&path, b"{}", mode, &Access::Open).await {
        Ok(_) | Err(Error::NodeExists) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Changes services until it is `over`, through whatever happens to its own session.
async fn write(servers: String, over: Arc<AtomicBool>) {
    let mut rng = fastrand::Rng::new();
    let mut session = None;
    while !over.load(Ordering::Relaxed) {
        let Some(current) = &session else {
            session = ZooKeeper::new(&servers, Duration::from_secs(4)).connect().await.ok();
            continue;
        };
        match change(current, &mut rng).await {
            Err(error) if !error.is_answer() => session = None,
            _ => sleep(Duration::from_millis(rng.u64(..10))).await,
        }
    }
}

async fn change(session: &ZooKeeperSession, rng: &mut fastrand::Rng) -> Result<(), Error> {
    let service = format!("/services/s{}", rng.usize(..SERVICES));
    let providers = format!("{service}/providers");
    let provider = format!("{providers}/10.0.0.{}:80", rng.u8(1..5));
    let path = |text: &str| Path::new(text).expect("a path");
    match rng.u8(..10) {
        0..6 => {
            create(session, &service, Mode::Persistent).await?;
            create(session, &providers, Mode::Persistent).await?;
            create(session, &provider, Mode::Persistent).await
        }
        6..9 => session.delete(&path(&provider), None).await,
        _ => {
            for number in 1..5 {
                let _ = session.delete(&path(&format!("{providers}/10.0.0.{number}:80")), None).await;
            }
            session.delete(&path(&providers), None).await?;
            session.delete(&path(&service), None).await
        }
    }
}

/// What DNS has to say of every name, by a read that begins now.
async fn expected(session: &ZooKeeperSession) -> Result<BTreeMap<String, Answer>, Error> {
    session.sync(&Path::root()).await?;
    let mut expected = BTreeMap::from([("steady.service.".to_owned(), steady())]);
    for number in 0..SERVICES {
        let service = Path::new(&format!("/services/s{number}"))?;
        let replies = session.read(&[Read::Node(service.clone()), Read::Children(service.child("providers"))]).await?;
        let mut addresses: Vec<String> = match &replies[1] {
            Reply::Children(names) => {
                names.iter().filter_map(|name| name.split(':').next().map(ToOwned::to_owned)).collect()
            }
            _ => Vec::new(),
        };
        addresses.sort();
        let exists = matches!(replies[0], Reply::Node(_));
        let code = if exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
        expected.insert(format!("s{number}.service."), (code, addresses));
    }
    Ok(expected)
}

/// Asks for a service that never changes, all the while.
struct Witness {
    over: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(u64, u64, u64)>,
}

impl Witness {
    async fn start(server: &Running) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let mut client = Client::new(server.dns).await;
        let ends = Arc::clone(&over);
        let task = tokio::spawn(async move {
            let (mut asked, mut wrong, mut stale) = (0, 0, 0);
            while !ends.load(Ordering::Relaxed) {
                asked += 1;
                match client.addresses_and_staleness("steady.service.").await {
                    Some((answer, is_stale)) if answer == steady() => stale += u64::from(is_stale),
                    _ => wrong += 1,
                }
                sleep(Duration::from_millis(10)).await;
            }
            (asked, wrong, stale)
        });
        Self { over, task }
    }

    /// Answers asked for, wrong or lost ones, and those that said that they were stale.
    async fn stop(self) -> (u64, u64, u64) {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.expect("no panic")
    }
}
