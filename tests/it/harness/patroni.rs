//! A real Patroni with a real PostgreSQL: a cluster of two members on this machine.
//!
//! It needs the Debian package `postgresql` and what `tests/fetch-readers` fetches. PostgreSQL does not run as root:
//! where the tests do, it runs as the user `postgres`.

#![allow(clippy::disallowed_methods)] // it is called where one may block

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::readers::fetched;
use super::{app, spawner};

/// The cluster's name for Patroni.
pub(crate) const SCOPE: &str = "orders-db";
/// How long a first start or a switchover may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long Patroni may take to end PostgreSQL.
const END: Duration = Duration::from_secs(15);

/// The cluster. Dropping it ends its processes and removes its data.
pub(crate) struct Cluster {
    directory: PathBuf,
    members: Vec<Member>,
}

struct Member {
    name: String,
    /// PostgreSQL's port, and that of Patroni's REST interface.
    port: u16,
    api: u16,
    child: Child,
}

impl Cluster {
    /// Starts both members, and returns when the second one replicates from the first.
    pub(crate) fn start(servers: &str) -> Self {
        let directory = directory();
        let mut cluster = Self { directory, members: Vec::new() };
        for name in ["pg1", "pg2"] {
            let member = cluster.launch(servers, name);
            cluster.members.push(member);
        }
        cluster.settled();
        cluster
    }

    /// Each member's name and the port of its PostgreSQL.
    pub(crate) fn ports(&self) -> Vec<(&str, u16)> {
        self.members.iter().map(|member| (&*member.name, member.port)).collect()
    }

    /// Has the replica and the primary change their parts, and returns when both are well again.
    pub(crate) fn switch_over(&self) {
        let leader = self.settled();
        let candidate = self.members.iter().find(|member| member.name != leader).expect("two members");
        let begun = Instant::now();
        loop {
            let order = json!({"leader": leader, "candidate": candidate.name}).to_string();
            // It may refuse for a while, until it knows that the candidate has everything.
            match request(candidate.api, "POST", "/switchover", &order) {
                Ok((200, _)) => break,
                answer => assert!(begun.elapsed() < PATIENCE, "no switchover: {answer:?}\n{}", self.logs()),
            }
            // An order whose answer did not come in time may have been carried out all the same.
            if self.settled() == candidate.name {
                break;
            }
            sleep(Duration::from_millis(200));
        }
        assert_eq!(self.settled(), candidate.name, "the candidate leads");
    }

    /// Waits until a member leads and the other one replicates from it, and gives the leader's name.
    fn settled(&self) -> String {
        let begun = Instant::now();
        loop {
            let shown = request(self.members[0].api, "GET", "/cluster", "").map(|(_, body)| body).unwrap_or_default();
            let shown: Value = serde_json::from_str(&shown).unwrap_or_default();
            let members = shown["members"].as_array().map_or(&[][..], Vec::as_slice);
            let find = |role: &str, state: &str| {
                members.iter().find(|member| member["role"] == role && member["state"] == state)
            };
            if let (Some(leader), Some(replica)) = (find("leader", "running"), find("replica", "streaming"))
                && leader["timeline"] == replica["timeline"]
            {
                return leader["name"].as_str().expect("a name").to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "the cluster does not settle: {shown}\n{}", self.logs());
            sleep(Duration::from_millis(100));
        }
    }

    fn launch(&self, servers: &str, name: &str) -> Member {
        let [port, api] = [app::free_port(), app::free_port()];
        let own = self.directory.join(name);
        fs::create_dir_all(&own).expect("a directory");
        let file = own.join("patroni.yml");
        fs::write(&file, config(servers, name, &own, port, api)).expect("a configuration");
        let log = File::create(own.join("log")).expect("a log file");
        let errors = log.try_clone().expect("a log file");
        let mut words = Vec::new();
        if is_root() {
            let owned = Command::new("chown").args(["-R", "postgres:"]).arg(&self.directory).status();
            assert!(owned.expect("`chown` (package coreutils)").success(), "install the package postgresql");
            words.extend(["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]);
        }
        // The wish to die with the parent ends with a change of the user, so it comes once more.
        words.extend(["setpriv", "--pdeathsig", "TERM", "--", "/usr/bin/python3", "-m", "patroni"]);
        let child = spawner::spawn(words[0], |command| {
            command.args(&words[1..]).arg(&file).current_dir(&own).env("PYTHONPATH", fetched("python3"));
            command.env("HOME", &own).stdin(Stdio::null()).stdout(log).stderr(errors);
        });
        Member { name: name.to_owned(), port, api, child: child.expect("`setpriv` (package util-linux)") }
    }

    /// The end of what the members have said.
    fn logs(&self) -> String {
        self.members.iter().fold(String::new(), |mut all, member| {
            let text = fs::read_to_string(self.directory.join(&member.name).join("log")).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let _ = writeln!(all, "{}:\n{}", member.name, lines[lines.len().saturating_sub(20)..].join("\n"));
            all
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // PostgreSQL is no child of ours: Patroni ends it, and where that failed it is looked for.
        for member in &self.members {
            let _ = Command::new("kill").arg(member.child.id().to_string()).status();
        }
        for member in &mut self.members {
            let begun = Instant::now();
            while member.child.try_wait().is_ok_and(|status| status.is_none()) && begun.elapsed() < END {
                sleep(Duration::from_millis(20));
            }
            let _ = member.child.kill();
            let _ = member.child.wait();
            let lock = fs::read_to_string(self.directory.join(&member.name).join("data/postmaster.pid"));
            if let Some(process) = lock.ok().as_deref().and_then(|text| text.lines().next()) {
                let _ = Command::new("kill").args(["-QUIT", process]).status();
            }
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn config(servers: &str, name: &str, own: &Path, port: u16, api: u16) -> String {
    let binaries = binaries();
    format!(
        r"
scope: {SCOPE}
name: {name}
zookeeper: {{hosts: '{servers}'}}
restapi: {{listen: '127.0.0.1:{api}', connect_address: '127.0.0.1:{api}'}}
bootstrap:
  dcs: {{loop_wait: 1, retry_timeout: 3, ttl: 20}}
  initdb: [{{encoding: UTF8}}, {{locale: C}}, no-sync]
postgresql:
  listen: 127.0.0.1:{port}
  connect_address: 127.0.0.1:{port}
  bin_dir: {binaries}
  data_dir: {own}/data
  pgpass: {own}/pgpass
  basebackup: [{{checkpoint: fast}}, no-sync]
  authentication:
    superuser: {{username: postgres}}
    replication: {{username: replicator}}
  pg_hba: ['local all all trust', 'host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust']
  parameters: {{fsync: 'off', shared_buffers: 16MB, max_connections: 20, unix_socket_directories: '{own}'}}
",
        binaries = binaries.display(),
        own = own.display(),
    )
}

/// The directory of PostgreSQL's programs, of the newest release that is installed.
fn binaries() -> PathBuf {
    let all = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = all.map(|entry| entry.path().join("bin")).filter(|path| path.join("postgres").exists()).max();
    newest.expect("install the package postgresql")
}

/// A new directory with a short name, as sockets need one, which others may enter.
fn directory() -> PathBuf {
    let all = std::env::temp_dir();
    for entry in fs::read_dir(&all).into_iter().flatten().flatten() {
        // A PostgreSQL whose tests are gone notices within a minute that its data are, and ends.
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(process) = name.strip_prefix("zonekeeper-pg-")
            && !Path::new("/proc").join(process).exists()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let own = all.join(format!("zonekeeper-pg-{}", std::process::id()));
    fs::create_dir_all(&own).expect("a directory");
    own
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("`id` (package coreutils)");
    output.stdout.trim_ascii() == b"0"
}

/// Status and body of a response of Patroni's REST interface.
fn request(port: u16, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    Ok((status, answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned())))
}
