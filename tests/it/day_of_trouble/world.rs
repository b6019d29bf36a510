//! What stands around the binary: ZooKeeper behind a proxy, services whose health the script holds in its hand, and the
//! configuration. It knows what must be registered, and compares that with ZooKeeper and DNS.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path as FilePath, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use zonekeeper::registry::{Error, Path};
use zonekeeper::zookeeper::client::{ZooKeeper, ZooKeeperSession};
use zonekeeper::zookeeper::session::{Access, Ensemble as _, Mode, Read, Reply, Session as _};

use super::around::{FAR_SIDE, OWN, Switch, beat, listen, name_server, touch};
use super::faults::There;
use crate::agent::{OK, Web};
use crate::harness::PATIENCE;
use crate::harness::admin;
use crate::harness::app::{free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::house::{House, Housed};
use crate::harness::proxy::Proxy;
use crate::harness::zk;

/// How long it may take after the end of a fault until all is as it should be.
const QUIET: Duration = Duration::from_secs(45);
/// Where all services of this host are registered.
const ADDRESS: &str = "192.0.2.10";
/// The service that another host has registered.
const FAR: &str = "far";
/// The checked services, and three without checks: `plain` and `net` of the main file, `extra` of a snippet. Each has
/// its place, from 1, as its port.
const SERVICES: [&str; 9] = ["port", "web", "job", "beat", "plain", "extra", "named", "posted", "net"];
/// Big znodes that somebody puts there, of a megabyte.
const BLOBS: u8 = 12;
/// Settings of checks, of which one edit takes the next.
const SETTINGS: [&str; 4] = [
    "interval = \"300ms\", timeout = \"1s\", rise = 1, fall = 2",
    "interval = \"200ms\", timeout = \"1500ms\", rise = 1, fall = 2",
    "interval = \"400ms\", timeout = \"1s\", rise = 2, fall = 3",
    "interval = \"300ms\", timeout = \"2s\", rise = 2, fall = 1",
];
/// Resident memory may grow by so much from the first quiet moment of a process on.
const GROWTH: u64 = 24 << 20;
/// Descriptors may be so many more than at the first quiet moment of a process: connections of checks come and go.
const SPARE: usize = 16;

pub(super) struct World {
    pub(super) zookeeper: zk::Server,
    pub(super) proxy: Proxy,
    pub(super) house: House,
    pub(super) ours: Housed,
    pub(super) dns: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) web: Web,
    pub(super) manner: usize,
    pub(super) listening: Switch,
    pub(super) beating: Switch,
    pub(super) resolving: Switch,
    /// Whether nothing else is going wrong.
    pub(super) alone: bool,
    /// Whether there is time for what takes long.
    pub(super) is_long: bool,
    /// Whether the file with this host's identity was taken away since the start of the process: the next one is
    /// somebody else.
    pub(super) identity_lost: bool,
    /// Whether the address of [`OWN`] is there, and should be missed where it is not.
    pub(super) has_address: bool,
    pub(super) there: There,
    /// The file that the exec check wants, and with the ending `.hang` the one that makes it hang.
    pub(super) job: PathBuf,
    /// What the snippet in force holds.
    pub(super) has_extra: bool,
    config: PathBuf,
    port: u16,
    beat: PathBuf,
    /// The binary, where everybody can read it, and the user that it runs as.
    program: PathBuf,
    pub(super) user: String,
    settings: usize,
    /// The last bytes of the addresses of [`FAR`].
    far: BTreeSet<u8>,
    runtime: Runtime,
    /// Process id, start, resident memory and descriptors at the first quiet moment of this image.
    level: Option<(String, u64, usize)>,
}

impl World {
    pub(super) fn start() -> Self {
        let zookeeper = zk::Server::start();
        let proxy = Proxy::start_at(FAR_SIDE, zookeeper.socket());
        let resolving = Switch::on();
        let house = House::with_resolver(256, &name_server(resolving.clone()));
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (dns, admin, port) = (local(free_port()), local(free_port()), free_port());
        let config = scratch("zonekeeper.toml");
        let (job, file) = (config.with_file_name("job"), config.with_file_name("beats").join("beat"));
        std::fs::write(&job, "").expect("a file");
        for directory in ["conf.d", "beats"] {
            std::fs::create_dir_all(config.with_file_name(directory)).expect("a directory");
        }
        let (listening, beating) = (Switch::on(), Switch::on());
        listen(listening.clone(), local(port));
        touch(beating.clone(), file.clone());
        beat(beating.clone(), admin, "posted");
        let user = fastrand::u32(200_000..2_000_000).to_string();
        let program = std::env::temp_dir().join(format!("zonekeeper-day-{}", std::process::id()));
        std::fs::copy(env!("CARGO_BIN_EXE_zonekeeper"), &program).expect("a copy of the binary");
        let ours = house.run(&[], &["--version"]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut world = Self {
            zookeeper,
            proxy,
            house,
            ours,
            dns,
            admin,
            web: Web::start(),
            manner: OK,
            listening,
            beating,
            resolving,
            alone: true,
            is_long: false,
            identity_lost: false,
            has_address: true,
            there: There::default(),
            job,
            has_extra: true,
            config,
            port,
            beat: file,
            program,
            user,
            settings: 0,
            far: BTreeSet::new(),
            runtime,
            level: None,
        };
        world.put_far(1);
        world.write_config();
        world.write_snippet(&world.extra());
        world.run();
        world
    }

    /// Starts the binary. It gets few descriptors, so that they can be taken.
    pub(super) fn run(&mut self) {
        let config = self.config.to_string_lossy().into_owned();
        let (program, user) = (self.program.to_string_lossy(), &*self.user);
        let ours =
            ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--pdeathsig", "KILL", "--", &program];
        self.ours = self.house.run_by(&["--nofile=400:400"], &ours, &["serve", "--log", "debug", "--config", &config]);
        let begun = Instant::now();
        while TcpStream::connect(self.dns).is_err() {
            assert!(begun.elapsed() < PATIENCE, "it does not listen");
            sleep(Duration::from_millis(20));
        }
    }

    /// Writes the main file with the next settings of checks.
    pub(super) fn edit(&mut self) {
        self.settings = (self.settings + 1) % SETTINGS.len();
        self.write_config();
    }

    /// Writes the main file as it is meant.
    pub(super) fn write_config(&self) {
        let (disk, common) = (self.house.disk().display(), SETTINGS[self.settings]);
        let service = |name: &str, port: u16, check: &str| {
            format!("[[service]]\nname = \"{name}\"\nport = {port}\naddress = \"{ADDRESS}\"\n{check}\n")
        };
        let job = self.job.display();
        let script = format!("test -e {job}.hang && sleep 60; test -e {job}");
        let text = format!(
            "include = [\"conf.d/*.toml\"]\n\
             [registry.main]\nzookeeper = \"{}\"\nsession_timeout = \"3s\"\nlinger = \"0s\"\nhold = \"5s\"\n\
             cache_file = \"{disk}/cache\"\n\
             [[zone]]\norigin = \"service.\"\n\
             [dns]\nlisten = [\"{}\"]\nserial_file = \"{disk}/serials\"\n[dns.tcp]\nper_client = 100000\n\
             [admin]\nlisten = \"{}\"\n[announce]\nstate = \"{disk}/identity\"\n{}{}{}{}{}{}{}{}",
            self.proxy.address(),
            self.dns,
            self.admin,
            service("port", 1, &format!("check.tcp = {{ address = \"127.0.0.1:{}\", {common} }}", self.port)),
            service("web", 2, &format!("check.http = {{ url = \"http://{}/\", {common} }}", self.web.address)),
            service("job", 3, &format!("check.exec = {{ command = [\"/bin/sh\", \"-c\", \"{script}\"], {common} }}")),
            service("beat", 4, &format!("check.ttl = {{ file = \"{}\", ttl = \"2s\" }}", self.beat.display())),
            service("plain", 5, ""),
            service("named", 7, &format!("check.tcp = {{ address = \"db.example.com:{}\", {common} }}", self.port)),
            service("posted", 8, "check.ttl = { ttl = \"3s\" }"),
            "[[service]]\nname = \"net\"\nport = 9\ninterface = \"own0\"\n",
        );
        std::fs::write(&self.config, text).expect("a configuration");
    }

    /// Writes something else into the main file.
    pub(super) fn break_config(&self) {
        std::fs::write(&self.config, "[registry.main\nzookeeper = ((\n").expect("a configuration");
    }

    pub(super) fn write_snippet(&self, text: &str) {
        std::fs::write(self.config.with_file_name("conf.d").join("extra.toml"), text).expect("a snippet");
    }

    /// The snippet as it is meant.
    #[expect(clippy::unused_self, reason = "it is a part of the configuration")]
    pub(super) fn extra(&self) -> String {
        format!("[[service]]\nname = \"extra\"\nport = 6\naddress = \"{ADDRESS}\"\n")
    }

    /// What of the configuration is read: one of the main file, the snippet and its directory.
    pub(super) fn readable(&self, variant: u8) -> PathBuf {
        let snippets = self.config.with_file_name("conf.d");
        match variant % 3 {
            0 => self.config.clone(),
            1 => snippets.join("extra.toml"),
            _ => snippets,
        }
    }

    /// The directory of the file that says that a service is well.
    pub(super) fn beats(&self) -> &FilePath {
        self.beat.parent().expect("a directory")
    }

    /// Has another host register one more instance, or take that one out.
    pub(super) fn put_far(&mut self, last: u8) {
        if self.far.insert(last) {
            self.restore_far();
        } else {
            self.far.remove(&last);
            self.write(async |session| {
                session.delete(&path(&far(last)), None).await.expect("the znode");
            });
        }
    }

    /// Creates what another host has registered, where it is not there.
    pub(super) fn restore_far(&self) {
        self.write(async |session| {
            create(session, "/services", b"").await;
            create(session, "/services/far", b"").await;
            create(session, "/services/far/providers", b"").await;
            for last in &self.far {
                create(session, &far(*last), b"{}").await;
            }
        });
    }

    /// Puts big znodes beside the services, or takes them away.
    pub(super) fn put_blobs(&self, is_there: bool) {
        let blob = |number: u8| format!("/services/artifacts/build-{number}");
        self.write(async |session| {
            create(session, "/services/artifacts", b"").await;
            for number in 0..BLOBS {
                if is_there {
                    create(session, &blob(number), &vec![b'x'; 1_000_000]).await;
                } else {
                    session.delete(&path(&blob(number)), None).await.expect("the znode");
                }
            }
        });
    }

    fn write(&self, work: impl AsyncFnOnce(&ZooKeeperSession)) {
        let zookeeper = ZooKeeper::new(&self.zookeeper.address(), Duration::from_secs(30));
        self.runtime.block_on(async { work(&zookeeper.connect().await.expect("a session")).await });
    }

    /// The services that must be registered now.
    pub(super) fn healthy(&self) -> BTreeSet<&'static str> {
        let is_well = |name: &&str| match *name {
            "port" | "named" => self.listening.is_on(),
            "web" => self.manner == OK,
            "job" => self.job.exists() && !hanging(&self.job).exists(),
            "beat" | "posted" => self.beating.is_on(),
            "extra" => self.has_extra,
            "net" => self.has_address,
            _ => true,
        };
        SERVICES.into_iter().filter(is_well).collect()
    }

    /// Waits until ZooKeeper and DNS say what is true, and fails where they never do.
    pub(super) fn quiet(&mut self) {
        let begun = Instant::now();
        while let Some(difference) = self.difference() {
            let after = begun.elapsed();
            assert!(after < QUIET, "{after:?} after the last fault: {difference}");
            sleep(Duration::from_millis(50));
        }
        self.look_at_level();
    }

    /// As [`Self::quiet`], and waits until nothing is said to be wrong but what is.
    pub(super) fn all_is_well(&mut self) {
        self.quiet();
        let begun = Instant::now();
        loop {
            let wrong = self.wrong();
            if wrong.is_empty() {
                return;
            }
            assert!(begun.elapsed() < QUIET, "{:?} after the last fault it says: {wrong:?}", begun.elapsed());
            sleep(Duration::from_millis(100));
        }
    }

    /// What the status says is wrong, but for services that are ill.
    fn wrong(&self) -> Vec<String> {
        let page = admin::page(self.admin, "/v1/status?as=json");
        let body = page.split_once("\r\n\r\n").expect("a head and a body").1;
        let status: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {page}"));
        let wrong: Vec<String> = serde_json::from_value(status["wrong"].clone()).expect("a list of sentences");
        let healthy = self.healthy();
        let is_ill = |sentence: &String| {
            SERVICES.iter().any(|name| !healthy.contains(name) && sentence.contains(&format!("/services/{name}/")))
        };
        wrong.into_iter().filter(|sentence| !is_ill(sentence)).collect()
    }

    /// What ZooKeeper or DNS say that is not true.
    fn difference(&self) -> Option<String> {
        let healthy = self.healthy();
        for (number, name) in (1..).zip(SERVICES) {
            let children = match self.children(&format!("/services/{name}/providers")) {
                Ok(children) => children,
                Err(error) => return Some(format!("ZooKeeper: {error}")),
            };
            let address = if name == "net" { OWN.to_string() } else { ADDRESS.to_owned() };
            let expected = healthy.contains(name).then(|| format!("{address}:{number}"));
            if children != expected.into_iter().collect::<Vec<_>>() {
                return Some(format!("{name} has the znodes {children:?}, and is healthy: {}", healthy.contains(name)));
            }
            let answer = dig(self.dns, &format!("A {name}.service"));
            let expected = if healthy.contains(name) { vec![address] } else { vec![] };
            let is_known = ["NOERROR", "NXDOMAIN"].contains(&&*answer.status);
            if answer.data() != expected || !is_known {
                return Some(format!("{name} is {} {:?} in DNS, not {expected:?}", answer.status, answer.data()));
            }
        }
        let mut far: Vec<_> = self.far.iter().map(|last| format!("10.9.9.{last}")).collect();
        far.sort();
        let answer = dig(self.dns, &format!("A {FAR}.service")).data();
        if answer != far {
            return Some(format!("{FAR} is {answer:?} in DNS, not {far:?}"));
        }
        let ready = admin::page(self.admin, "/readyz");
        (!ready.starts_with("HTTP/1.1 200 OK")).then(|| format!("it is not ready: {ready}"))
    }

    fn children(&self, path: &str) -> Result<Vec<String>, Error> {
        let zookeeper = ZooKeeper::new(&self.zookeeper.address(), Duration::from_secs(30));
        let path = Path::new(path)?;
        self.runtime.block_on(async {
            let replies = zookeeper.connect().await?.read(&[Read::Children(path)]).await?;
            match replies.into_iter().next() {
                Some(Reply::Children(names)) => Ok(names),
                Some(Reply::Failed(Error::NoNode)) => Ok(Vec::new()),
                reply => panic!("{reply:?}"),
            }
        })
    }

    /// DNS goes on with what other hosts have, whatever is going on, or says that it does not know where what it knew
    /// is lost. Asked while a fault is there.
    pub(super) fn answers(&self, knows: bool) {
        let answer = dig(self.dns, &format!("A {FAR}.service"));
        let data = answer.data();
        let is_right = answer.status == "NOERROR" && data.contains(&"10.9.9.1".to_owned());
        assert!(is_right || (!knows && answer.status == "SERVFAIL"), "{} {data:?}", answer.status);
    }

    /// Waits until memory and descriptors are where they were at the first quiet moment of this image of the process.
    fn look_at_level(&mut self) {
        let begun = Instant::now();
        loop {
            let image = self.image();
            let (resident, descriptors) = (self.ours.resident(), self.ours.descriptors());
            let (first, memory, open) = self.level.get_or_insert_with(|| (image.clone(), resident, descriptors));
            if *first != image {
                self.level = None;
                continue;
            }
            if resident <= *memory + GROWTH && descriptors <= *open + SPARE {
                return;
            }
            assert!(
                begun.elapsed() < QUIET,
                "{resident} bytes resident after {memory}, {descriptors} descriptors after {open}"
            );
            sleep(Duration::from_millis(100));
        }
    }

    /// What names one image of the process, which a restart replaces.
    fn image(&self) -> String {
        let page = crate::harness::admin::page(self.admin, "/v1/process");
        page.lines().last().unwrap_or_default().to_owned()
    }

    /// `zonekeeper restart`.
    pub(super) fn restart(&self) {
        let admin = self.admin.to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(["restart", "--admin", &admin]).output();
        let output = output.expect("the binary");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.program);
    }
}

fn path(text: &str) -> Path {
    Path::new(text).expect("a path")
}

/// The znode of another host's instance.
fn far(last: u8) -> String {
    format!("/services/{FAR}/providers/10.9.9.{last}:80")
}

/// Creates a znode, where it is not there.
async fn create(session: &ZooKeeperSession, at: &str, data: &[u8]) {
    match session.create(&path(at), data, Mode::Persistent, &Access::Open).await {
        Ok(_) | Err(Error::NodeExists) => {}
        Err(error) => panic!("{at}: {error}"),
    }
}

/// The file that makes the job hang.
pub(super) fn hanging(job: &FilePath) -> PathBuf {
    job.with_extension("hang")
}
