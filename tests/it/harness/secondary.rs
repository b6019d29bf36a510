//! Other people's name servers as secondaries of ours, or beside ours with a zone file of their own: NSD, Knot DNS and
//! BIND, as Debian packages them, each on a free port of the loopback interface with a directory of its own. None is
//! ever run as a service.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::app::{free_port, scratch};
use super::consumer::Consumer;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nsd,
    Knot,
    Bind,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Nsd, Self::Knot, Self::Bind];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nsd => "NSD",
            Self::Knot => "Knot",
            Self::Bind => "BIND",
        }
    }

    /// The Debian package.
    fn package(self) -> &'static str {
        match self {
            Self::Nsd => "nsd",
            Self::Knot => "knot",
            Self::Bind => "bind9",
        }
    }

    fn command(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Nsd => ("/usr/sbin/nsd", &["-d", "-c"]),
            Self::Knot => ("/usr/sbin/knotd", &["-c"]),
            Self::Bind => ("/usr/sbin/named", &["-g", "-n", "1", "-c"]),
        }
    }
}

/// The key that secondaries sign with: its name, and its secret in base64.
pub(crate) const KEY: (&str, &str) = ("xfr", "c2VjcmV0cyBhcmUgZm9yIHNlY29uZGFyaWVzIG9ubHk=");

/// Where a secondary's zone comes from.
#[derive(Debug, Clone, Copy)]
struct Primary {
    address: SocketAddr,
    /// Whether it must sign what it tells.
    must_sign: bool,
}

/// A secondary. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Secondary {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    directory: PathBuf,
    /// Dropping it ends it.
    program: Consumer,
}

impl Secondary {
    /// A port for one, before it runs: the primary has to be told.
    pub(crate) fn port() -> SocketAddr {
        ([127, 0, 0, 1], free_port()).into()
    }

    /// Starts a secondary of zone `service.` at `primary`, signing its requests with [`KEY`].
    pub(crate) fn start(kind: Kind, address: SocketAddr, primary: SocketAddr) -> Self {
        Self::launch(kind, address, Some(Primary { address: primary, must_sign: false }), |_| {})
    }

    /// The same, of one that takes no NOTIFY that is not signed with [`KEY`]. (BIND takes every one from a primary.)
    pub(crate) fn start_strict(kind: Kind, address: SocketAddr, primary: SocketAddr) -> Self {
        Self::launch(kind, address, Some(Primary { address: primary, must_sign: true }), |_| {})
    }

    /// Starts one that serves this text as its zone `service.`, and asks nobody.
    pub(crate) fn with_file(kind: Kind, address: SocketAddr, text: &str) -> Self {
        let write = |directory: &Path| std::fs::write(directory.join("service.zone"), text).expect("a zone file");
        Self::launch(kind, address, None, write)
    }

    fn launch(kind: Kind, address: SocketAddr, primary: Option<Primary>, prepare: impl FnOnce(&Path)) -> Self {
        let config = scratch("config");
        let directory = config.parent().expect("a directory").to_owned();
        prepare(&directory);
        std::fs::write(&config, configuration(kind, address, primary, &directory)).expect("a configuration");
        // Knot takes no differences without a place for its journal, and says only that something does not exist.
        std::fs::create_dir_all(directory.join("database")).expect("a directory");
        let (program, arguments) = kind.command();
        let config = config.to_string_lossy();
        let program = Consumer::start(program, kind.package(), &[arguments, &[&*config]].concat());
        Self { kind, address, directory, program }
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        self.program.log() + &std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

/// The whole configuration; without a primary the zone is what its file says.
fn configuration(kind: Kind, address: SocketAddr, primary: Option<Primary>, directory: &Path) -> String {
    let (port, directory) = (address.port(), directory.display().to_string());
    match kind {
        Kind::Nsd => of_nsd(port, primary, &directory),
        Kind::Knot => of_knot(port, primary, &directory),
        Kind::Bind => of_bind(port, primary, &directory),
    }
}

fn of_nsd(port: u16, primary: Option<Primary>, directory: &str) -> String {
    let (name, secret) = KEY;
    let request = primary.map_or(String::new(), |Primary { address, must_sign }| {
        let key = if must_sign { name } else { "NOKEY" };
        format!("request-xfr: 127.0.0.1@{} {name}\n  allow-notify: 127.0.0.1 {key}", address.port())
    });
    format!(
        "server:
  ip-address: 127.0.0.1@{port}
  username: \"\"
  server-count: 1
  zonesdir: \"{directory}\"
  database: \"\"
  pidfile: \"{directory}/pid\"
  xfrdfile: \"{directory}/xfrd\"
  zonelistfile: \"{directory}/zones\"
  xfrdir: \"{directory}\"
  logfile: \"{directory}/log\"
  verbosity: 2
  rrl-ratelimit: 0
remote-control:
  control-enable: no
key:
  name: {name}
  algorithm: hmac-sha256
  secret: \"{secret}\"
zone:
  name: service.
  zonefile: service.zone
  {request}
  provide-xfr: 127.0.0.1 NOKEY
"
    )
}

fn of_knot(port: u16, primary: Option<Primary>, directory: &str) -> String {
    let (name, secret) = KEY;
    let told = if primary.is_some_and(|primary| primary.must_sign) { format!("key: {name}") } else { String::new() };
    let master = if primary.is_some() { "master: primary" } else { "" };
    let primary = primary.map_or(0, |primary| primary.address.port());
    format!(
        "server:
  rundir: \"{directory}\"
  listen: 127.0.0.1@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: \"{directory}/log\"
    any: info
database:
  storage: \"{directory}/database\"
key:
  - id: {name}
    algorithm: hmac-sha256
    secret: {secret}
remote:
  - id: primary
    address: 127.0.0.1@{primary}
    key: {name}
acl:
  - id: local
    address: 127.0.0.1
    action: transfer
  - id: told
    address: 127.0.0.1
    action: notify
    {told}
zone:
  - domain: service.
    storage: \"{directory}\"
    {master}
    acl: [local, told]
"
    )
}

fn of_bind(port: u16, primary: Option<Primary>, directory: &str) -> String {
    let (name, secret) = KEY;
    let source = primary.map_or("type primary;".into(), |Primary { address, .. }| {
        format!("type secondary; primaries {{ 127.0.0.1 port {} key {name}; }};", address.port())
    });
    format!(
        "options {{
  directory \"{directory}\";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  pid-file \"{directory}/pid\";
  session-keyfile \"{directory}/session\";
  recursion no;
  dnssec-validation no;
  notify no;
  allow-transfer {{ any; }};
}};
controls {{ }};
key \"{name}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};
zone \"service\" {{
  file \"service.zone\";
  {source}
}};
"
    )
}
