//! Keys of `[registry.NAME]` about the ensemble itself.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use super::dns_srv;
use super::security;
use crate::diagnostic::Span;
use crate::registry::root::MissingRoot;
use crate::registry::{Error, Path};
use crate::settings::{Kind, Located, Section, Setting, Value, fixed, live};

/// Settings of one registry's ensemble and mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Source of its znodes.
    pub source: Backing,
    /// The znode below which services stand.
    pub root: Path,
    /// The session time-out to ask for; the server may grant another.
    pub session_timeout: Duration,
    /// Time that answers survive without contact to ZooKeeper.
    pub max_stale: Duration,
    /// Credentials and certificates of sessions.
    pub security: security::Config,
    /// Meaning of a root that does not exist and was never seen.
    pub missing_root: MissingRoot,
    /// Time for which an ensemble that is older than what was seen of it is not believed.
    pub hold: Duration,
    /// Time from one verification of the mirror to the next; zero for none.
    pub verify: Duration,
    /// Znodes that are mirrored, at most.
    pub znodes_max: usize,
    /// The znode below which drains of services stand whose own znodes have none; none for none. It needs not exist.
    pub drains: Option<Path>,
    /// File that keeps the last known registry for a start without ZooKeeper; none keeps none.
    pub cache_file: Option<PathBuf>,
}

/// Source of a registry's znodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backing {
    /// In an ensemble: its connect string.
    ZooKeeper(String),
    /// In this process, seeded from a tree text, which is followed.
    Memory(PathBuf),
}

/// Bounds of the session time-out: below, a slow network looks like death; above, the dead stay in DNS for too long.
const SESSION_TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

/// Bounds of the time between two verifications.
const VERIFY: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=MAX_PERIOD;

/// The longest that an ensemble is not believed.
const MAX_PERIOD: Duration = Duration::from_secs(7 * 86_400);

/// Longer than anybody serves old answers, and short enough to be added to any moment.
const MAX_MAX_STALE: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Config {
    /// Settings for `source`, all else as it is where nobody says otherwise: services below `/services`, zc.zk's
    /// session time-out of 10 s, answers for a day without ZooKeeper.
    pub fn new(source: Backing) -> Self {
        Self {
            source,
            root: Path::root().child("services"),
            session_timeout: Duration::from_secs(10),
            max_stale: Duration::from_secs(86_400),
            missing_root: MissingRoot::Wait,
            hold: Duration::from_secs(300),
            verify: Duration::from_secs(600),
            znodes_max: 2_000_000,
            security: security::Config::default(),
            drains: None,
            cache_file: None,
        }
    }

    /// Reads a registry's table to its end, but for the keys of its format. None when it does not say where the znodes
    /// are.
    pub fn read(section: &mut Section<'_>) -> Option<Self> {
        let source = read_source(section);
        let mut config = Self::new(Backing::Memory(PathBuf::new()));
        if let Some(Located { value, span }) = section.located::<String>(fixed("root")) {
            match Path::new(&value) {
                Ok(root) => config.root = root,
                Err(error) => {
                    let message = format!("`root` must be the path of a znode: {}", reason(&error));
                    section.problems().add_with_help(span, message, "for example \"/services\"");
                }
            }
        }
        if let Some(Located { value, span }) = section.located(fixed("session_timeout")) {
            if SESSION_TIMEOUT.contains(&value) {
                config.session_timeout = value;
            } else {
                section.problems().add(span, "`session_timeout` must be from 1s to 5m");
            }
        }
        if let Some(Located { value, span }) = section.located(fixed("max_stale")) {
            if value <= MAX_MAX_STALE {
                config.max_stale = value;
            } else {
                section.problems().add(span, "`max_stale` must be at most ten years");
            }
        }
        if let Some(missing) = section.optional(fixed("missing_root")) {
            config.missing_root = missing;
        }
        if let Some(Located { value, span }) = section.located(fixed("hold")) {
            if value <= MAX_PERIOD {
                config.hold = value;
            } else {
                section.problems().add(span, "`hold` must be at most 7d");
            }
        }
        if let Some(Located { value, span }) = section.located::<Duration>(live("verify")) {
            if value.is_zero() || VERIFY.contains(&value) {
                config.verify = value;
            } else {
                section.problems().add(span, "`verify` must be from 1s to 7d, or \"0s\" for never");
            }
        }
        if let Some(Located { value, span }) = section.located::<u32>(fixed("znodes_max")) {
            match usize::try_from(value) {
                Ok(znodes) if znodes > 0 => config.znodes_max = znodes,
                _ => section.problems().add(span, "`znodes_max` must be at least 1"),
            }
        }
        if let Some(Located { value, span }) = section.located::<String>(fixed("drains")) {
            config.drains = read_drains(section, &value, span, source.as_ref());
        }
        config.security = security::Config::read(section);
        if let Some(Backing::ZooKeeper(servers)) = &source {
            check_tls(section, servers, config.security.tls.is_some());
        }
        if let Some(Located { value, span }) = section.located::<PathBuf>(fixed("cache_file")) {
            if let Some(Backing::Memory(_)) = source {
                section
                    .problems()
                    .add(span, "`cache_file` has no use beside `memory`: its file is there at every start");
            }
            config.cache_file = Some(value);
        }
        source.map(|source| Self { source, ..config })
    }

    /// Time for which an unchanged cache file may stand: its time says for how long it may be served.
    pub fn cache_refresh(&self) -> Duration {
        (self.max_stale / 4).clamp(Duration::from_secs(60), Duration::from_secs(3600))
    }
}

/// Reads `drains`, the path of a znode that is not the root.
fn read_drains(section: &Section<'_>, value: &str, span: Span, source: Option<&Backing>) -> Option<Path> {
    let example = "for example \"/zonekeeper/drains\"";
    let problems = section.problems();
    if let Some(Backing::Memory(_)) = source {
        problems.add(span, "`drains` has no use beside `memory`: drains are written into ZooKeeper");
        return None;
    }
    match Path::new(value) {
        Ok(path) if path.is_root() || path.as_str() == "/zookeeper" || path.as_str().starts_with("/zookeeper/") => {
            problems.add_with_help(span, format!("`drains` must be a znode of its own, not {path}"), example);
            None
        }
        Ok(path) => Some(path),
        Err(error) => {
            let message = format!("`drains` must be the path of a znode: {}", reason(&error));
            problems.add_with_help(span, message, example);
            None
        }
    }
}

/// Reads where the znodes are. A table that says neither, or both, is a problem, as is a bad value.
fn read_source(section: &mut Section<'_>) -> Option<Backing> {
    let (zookeeper, memory) = (section.value(fixed("zookeeper")), section.value(fixed("memory")));
    let servers = section.optional(fixed("zookeeper")).map(|Servers(servers)| Backing::ZooKeeper(servers));
    let seed = section.optional(fixed("memory")).map(Backing::Memory);
    match (zookeeper, memory) {
        (None, None) => {
            let message = format!("[{}] does not say where its znodes are", section.name());
            let help = "set `zookeeper = \"host:2181,…\"`, or `memory = \"FILE\"` for a registry in this process";
            section.problems().add_with_help(section.span(), message, help);
            None
        }
        (Some(_), Some(memory)) => {
            section.problems().add_with_help(
                memory.span,
                "`memory` and `zookeeper` exclude each other",
                "take one of them out; the znodes of a registry are in one place",
            );
            None
        }
        _ => servers.or(seed),
    }
}

/// Reason why a path is wrong, without the path.
fn reason(error: &Error) -> String {
    match error {
        Error::BadPath { reason, .. } => (*reason).to_owned(),
        other => other.to_string(),
    }
}

/// A connect string: `host[:port],…[/chroot]`.
struct Servers(String);

impl Setting for Servers {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        let text = String::read(value)?;
        if let Some(source) = dns_srv::parse(&text) {
            return source.map(|_| Self(text.clone())).map_err(|why| (value.span, why));
        }
        let (servers, chroot) = text.split_at(chroot(&text));
        let chroot = if chroot.is_empty() { "/" } else { chroot };
        if let Err(error) = Path::new(chroot) {
            let message = format!("must end in a chroot that is the path of a znode, or in none: {}", reason(&error));
            return Err((value.span, message));
        }
        match servers.split(',').find(|server| !is_server(server)) {
            Some("") => {
                Err((value.span, "must be servers, host:port, separated by single commas; one is empty".into()))
            }
            Some(server) => {
                Err((value.span, format!("must be servers, host:port, separated by commas; \"{server}\" is none")))
            }
            None => Ok(Self(text)),
        }
    }
}

/// Checks a connect string.
///
/// # Errors
/// The mistake, as the end of a sentence.
pub fn is_connect_string(text: &str) -> Result<(), String> {
    let value = Value { kind: Kind::String(text.to_owned()), span: Span::default() };
    Servers::read(&value).map(drop).map_err(|(_, why)| why)
}

/// The servers of a connect string, as they are written there, and the chroot; empty for none. A name of SRV records is
/// one of them.
pub fn servers(text: &str) -> (Vec<&str>, &str) {
    let servers = &text[..chroot(text)];
    let is_list = !text.starts_with(dns_srv::SCHEME);
    let before = if is_list { servers } else { servers.split('?').next().unwrap_or_default() };
    (before.split(',').collect(), chroot_of(text))
}

/// The chroot of a connect string, without what may follow it; empty for none.
pub(super) fn chroot_of(text: &str) -> &str {
    let chroot = &text[chroot(text)..];
    if text.starts_with(dns_srv::SCHEME) { chroot.split('?').next().unwrap_or_default() } else { chroot }
}

/// Start of the chroot: at the first slash that is none of a scheme's.
pub(super) fn chroot(text: &str) -> usize {
    let of_scheme = |at: usize| text[..at].ends_with(':') || text[..at].ends_with(":/");
    text.match_indices('/').map(|(at, _)| at).find(|at| !of_scheme(*at)).unwrap_or(text.len())
}

/// Prefix of a server that is connected to with TLS, and of one that is not, whatever the others are.
const ENCRYPTED: &str = "tcp+tls://";
const PLAIN: &str = "tcp://";

/// Checks that servers with TLS and certificates come together.
fn check_tls(section: &mut Section<'_>, servers: &str, certificates: bool) {
    if servers.starts_with(dns_srv::SCHEME) {
        // Names of servers are those that the records have then.
        return;
    }
    let span = section.value(fixed("zookeeper")).map_or(section.span(), |value| value.span);
    let servers: Vec<&str> = servers[..chroot(servers)].split(',').collect();
    if !certificates && servers.iter().any(|server| server.starts_with(ENCRYPTED)) {
        let help = "name those who may vouch for the servers: tls = { ca = \"FILE\" }";
        section.problems().add_with_help(span, "`tcp+tls://` needs `tls`", help);
    }
    // No certificate can be for such a name (RFC 5280 §4.2.1.6), and the client library does not survive it.
    let encrypted = |server: &str| certificates && !server.starts_with(PLAIN);
    if let Some(server) = servers.iter().find(|server| encrypted(server) && server.contains('_')) {
        section.problems().add(span, format!("has a server whose name no certificate can hold: \"{server}\""));
    }
}

/// Returns whether this is `host`, `host:port`, `[v6]` or `[v6]:port`, with a scheme or without.
fn is_server(server: &str) -> bool {
    let server = [ENCRYPTED, PLAIN].iter().find_map(|scheme| server.strip_prefix(scheme)).unwrap_or(server);
    let (good_host, port) = if let Some(rest) = server.strip_prefix('[') {
        let (host, port) = rest.split_once(']').unwrap_or_default();
        (host.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (host, port) = server.split_at(server.find(':').unwrap_or(server.len()));
        (!host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), port)
    };
    let good_port = match port.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0),
        None => port.is_empty(),
    };
    good_host && good_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chroot_begins_at_the_first_slash_that_is_no_schemes() {
        for (text, servers) in [
            ("zk1:2181,zk2/a/b", "zk1:2181,zk2"),
            ("tcp+tls://zk1:2281,tcp://zk2/a", "tcp+tls://zk1:2281,tcp://zk2"),
            ("tcp+tls://zk1", "tcp+tls://zk1"),
        ] {
            assert_eq!(&text[..chroot(text)], servers);
        }
    }

    #[test]
    fn connect_strings_are_checked_server_by_server() {
        for good in ["zk1", "zk1:2181", "10.0.0.1:2181", "[::1]:2181", "[::1]", "zk_1.example.com:1"] {
            assert!(is_server(good), "{good}");
        }
        for good in ["tcp://zk1:2181", "tcp+tls://zk1:2281", "tcp+tls://[::1]:2281"] {
            assert!(is_server(good), "{good}");
        }
        for bad in ["udp://zk1", "tcp+tls://", "tcp://tcp://zk1"] {
            assert!(!is_server(bad), "{bad}");
        }
        for bad in ["", ":2181", "zk1:", "zk1:0", "zk1:99999", "zk 1:2181", "[zk1]:2181", "::1:2181", "[::1]2181"] {
            assert!(!is_server(bad), "{bad}");
        }
    }
}
