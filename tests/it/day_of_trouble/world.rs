//! What stands around the binary: ZooKeeper behind a proxy, services whose health the script holds in its hand, and the
//! configuration. It knows what must be registered, and compares that with ZooKeeper and DNS.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path as FilePath, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use zonekeeper::keeper::session::{Access, Ensemble as _, Mode, Read, Reply, Session as _};
use zonekeeper::keeper::zookeeper::ZooKeeper;
use zonekeeper::keeper::{Error, Path};

use crate::agent::{OK, Web};
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
/// The checked services, and two without checks: `plain` of the main file, `extra` of a snippet.
const SERVICES: [&str; 6] = ["port", "web", "job", "beat", "plain", "extra"];
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

/// Something that threads do while it is wanted.
#[derive(Clone)]
pub(super) struct Switch(Arc<AtomicBool>);

impl Switch {
    fn on() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn turn(&self) {
        self.0.fetch_xor(true, Ordering::SeqCst);
    }
}

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
    /// The file that the exec check wants, and with the ending `.hang` the one that makes it hang.
    pub(super) job: PathBuf,
    /// What the snippet in force holds.
    pub(super) has_extra: bool,
    config: PathBuf,
    port: u16,
    beat: PathBuf,
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
        let proxy = Proxy::start(zookeeper.socket());
        let house = House::with_disk(256);
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (dns, admin, port) = (local(free_port()), local(free_port()), free_port());
        let config = scratch("zonekeeper.toml");
        let (job, beat) = (config.with_file_name("job"), config.with_file_name("beat"));
        std::fs::write(&job, "").expect("a file");
        let (listening, beating) = (Switch::on(), Switch::on());
        listen(listening.clone(), local(port));
        touch(beating.clone(), beat.clone());
        std::fs::create_dir_all(config.with_file_name("conf.d")).expect("a directory");
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
            job,
            has_extra: true,
            config,
            port,
            beat,
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
        self.ours = self.house.run(&["--nofile=400:400"], &["serve", "--log", "debug", "--config", &config]);
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
             [registry.main]\nzookeeper = \"{}\"\nsession_timeout = \"3s\"\nlinger = \"0s\"\ncache_file = \"{disk}/cache\"\n\
             [[zone]]\norigin = \"service.\"\n\
             [dns]\nlisten = [\"{}\"]\nserial_file = \"{disk}/serials\"\n[dns.tcp]\nper_client = 100000\n\
             [admin]\nlisten = \"{}\"\n[announce]\nstate = \"{disk}/identity\"\n{}{}{}{}{}",
            self.proxy.address(),
            self.dns,
            self.admin,
            service("port", 1, &format!("check.tcp = {{ address = \"127.0.0.1:{}\", {common} }}", self.port)),
            service("web", 2, &format!("check.http = {{ url = \"http://{}/\", {common} }}", self.web.address)),
            service("job", 3, &format!("check.exec = {{ command = [\"/bin/sh\", \"-c\", \"{script}\"], {common} }}")),
            service("beat", 4, &format!("check.ttl = {{ file = \"{}\", ttl = \"2s\" }}", self.beat.display())),
            service("plain", 5, ""),
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

    /// Has another host register one more instance, or take that one out.
    pub(super) fn put_far(&mut self, last: u8) {
        let path = |text: &str| Path::new(text).expect("a path");
        let node = format!("/services/{FAR}/providers/10.9.9.{last}:80");
        let is_new = self.far.insert(last);
        let zookeeper = ZooKeeper::new(&self.zookeeper.address(), Duration::from_secs(30));
        self.runtime.block_on(async {
            let session = zookeeper.connect().await.expect("a session");
            for parent in ["/services", "/services/far", "/services/far/providers"] {
                match session.create(&path(parent), b"", Mode::Persistent, &Access::Open).await {
                    Ok(_) | Err(Error::NodeExists) => {}
                    Err(error) => panic!("{parent}: {error}"),
                }
            }
            if is_new {
                session.create(&path(&node), b"{}", Mode::Persistent, &Access::Open).await.expect("a znode");
            } else {
                session.delete(&path(&node), None).await.expect("the znode");
            }
        });
        if !is_new {
            self.far.remove(&last);
        }
    }

    /// The services that must be registered now.
    fn healthy(&self) -> BTreeSet<&'static str> {
        let is_well = |name: &&str| match *name {
            "port" => self.listening.is_on(),
            "web" => self.manner == OK,
            "job" => self.job.exists() && !hanging(&self.job).exists(),
            "beat" => self.beating.is_on(),
            "extra" => self.has_extra,
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

    /// What ZooKeeper or DNS say that is not true.
    fn difference(&self) -> Option<String> {
        let healthy = self.healthy();
        for (number, name) in (1..).zip(SERVICES) {
            let children = match self.children(&format!("/services/{name}/providers")) {
                Ok(children) => children,
                Err(error) => return Some(format!("ZooKeeper: {error}")),
            };
            let expected = healthy.contains(name).then(|| format!("{ADDRESS}:{number}"));
            if children != expected.into_iter().collect::<Vec<_>>() {
                return Some(format!("{name} has the znodes {children:?}, and is healthy: {}", healthy.contains(name)));
            }
            let answer = dig(self.dns, &format!("A {name}.service"));
            let expected = if healthy.contains(name) { vec![ADDRESS] } else { vec![] };
            let is_known = ["NOERROR", "NXDOMAIN"].contains(&&*answer.status);
            if answer.data() != expected || !is_known {
                return Some(format!("{name} is {} {:?} in DNS, not {expected:?}", answer.status, answer.data()));
            }
        }
        let mut far: Vec<_> = self.far.iter().map(|last| format!("10.9.9.{last}")).collect();
        far.sort();
        let answer = dig(self.dns, &format!("A {FAR}.service")).data();
        (answer != far).then(|| format!("{FAR} is {answer:?} in DNS, not {far:?}"))
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

    /// DNS must go on with what other hosts have, whatever is going on: asked while a fault is there.
    pub(super) fn answers(&self) {
        let answer = dig(self.dns, &format!("A {FAR}.service"));
        let data = answer.data();
        assert!(answer.status == "NOERROR" && data.contains(&"10.9.9.1".to_owned()), "{} {data:?}", answer.status);
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

/// The file that makes the job hang.
pub(super) fn hanging(job: &FilePath) -> PathBuf {
    job.with_extension("hang")
}

/// Listens on a port while it is wanted, and closes what comes.
fn listen(wanted: Switch, address: SocketAddr) {
    std::thread::spawn(move || {
        let mut listener: Option<TcpListener> = None;
        loop {
            sleep(Duration::from_millis(5));
            if !wanted.is_on() {
                listener = None;
                continue;
            }
            if listener.is_none() {
                listener = TcpListener::bind(address).ok();
            }
            if let Some(listener) = &listener {
                listener.set_nonblocking(true).expect("a socket");
                while listener.accept().is_ok() {}
            }
        }
    });
}

/// Touches a file while it is wanted.
fn touch(wanted: Switch, file: PathBuf) {
    std::thread::spawn(move || {
        loop {
            if wanted.is_on()
                && let Ok(mut file) = std::fs::File::create(&file)
            {
                let _ = file.write_all(b"well\n");
            }
            sleep(Duration::from_millis(200));
        }
    });
}
