//! The service manager that has started this process, where there is one: what is told to it (`sd_notify(3)`), and the
//! sockets that it has passed (`sd_listen_fds(3)`).
//!
//! Messages are sent without waiting: a manager that does not read them holds nothing up.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr as Address, UnixDatagram};
use std::time::Duration;

use listenfd::ListenFd;
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::admin::RegistrySource;
use crate::dns::listen::Inherited;
use crate::zone::{Freshness, Zones};

/// Variables by which sockets are passed. They are this image's alone.
pub(super) const PASSED: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"];
/// Time between two looks at the state, of which the manager shows a sentence.
const LOOK: Duration = Duration::from_secs(1);

/// Takes the sockets that the manager has passed to this process, for DNS and for the admin server: none where it has
/// not.
/// Their names (`FileDescriptorName=`) say what they are for: `tls`, `https`, `quic`, `admin`; any other is plain DNS.
///
/// # Errors
/// When one is neither UDP nor TCP, or none.
pub(super) fn sockets() -> io::Result<(Inherited, Option<TcpListener>)> {
    let (mut dns, mut admin) = (Inherited::default(), None);
    let own = std::process::id().to_string();
    // Another process's are in the environment of its children.
    if env::var_os(PASSED[0]).is_none_or(|id| id != OsString::from(own)) {
        return Ok((dns, admin));
    }
    let names = env::var(PASSED[2]).unwrap_or_default();
    let mut names = names.split(':');
    let mut passed = ListenFd::from_env();
    for number in 0..passed.len() {
        let name = names.next().unwrap_or_default();
        let wrong = |_| {
            let hint = "the socket unit may have ListenDatagram= and ListenStream= with IP addresses";
            io::Error::other(format!("socket {} ({name}) is neither UDP nor TCP: {hint}", number + 1))
        };
        if let Ok(Some(socket)) = passed.take_udp_socket(number) {
            let to = if name == "quic" { &mut dns.udp } else { &mut dns.passed.udp };
            to.push(socket);
            continue;
        }
        let Some(listener) = passed.take_tcp_listener(number).map_err(wrong)? else { continue };
        match name {
            "admin" => {
                listener.set_nonblocking(true)?;
                admin = Some(listener);
            }
            "tls" | "https" => dns.tcp.push(listener),
            _ => dns.passed.tcp.push(listener),
        }
    }
    info!(number = passed.len(), "sockets of the service manager are used: `listen` of [dns] has no effect");
    Ok((dns, admin))
}

/// A message to the manager; nothing without one.
fn tell(message: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    let send = || {
        let address = match path.as_bytes() {
            #[cfg(target_os = "linux")]
            [b'@', name @ ..] => <Address as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)?,
            _ => Address::from_pathname(&path)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(message.as_bytes(), &address)
    };
    if let Err(error) = send() {
        debug!(%error, path = %path.display(), "cannot tell the service manager");
    }
}

/// Tells that a start or a reading of the configuration has ended.
pub(super) fn ready() {
    tell("READY=1\n");
}

/// Tells that the configuration is being read, or that another image is about to go on.
pub(super) fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={}\n", now.tv_sec * 1_000_000 + now.tv_nsec / 1_000));
}

/// Tells that the process ends, and how.
pub(super) fn stopping(status: &str) {
    tell(&format!("STOPPING=1\nSTATUS={status}\n"));
}

/// Time between two messages that the manager's watchdog wants; none where it wants none.
fn watchdog() -> Option<Duration> {
    let own = std::process::id().to_string();
    if env::var("WATCHDOG_PID").is_ok_and(|id| id != own) {
        return None;
    }
    let limit = env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    // Two of them may be late.
    Some(Duration::from_micros(limit) / 3)
}

/// Tells the manager a sentence on the state whenever it changes, and its watchdog that the runtime turns, until
/// `stop`.
pub(super) async fn follow(zones: Zones, registries: Vec<RegistrySource>, stop: CancellationToken) {
    if env::var_os("NOTIFY_SOCKET").is_none() {
        return stop.cancelled().await;
    }
    let watchdog = watchdog();
    let look = watchdog.map_or(LOOK, |period| period.min(LOOK));
    let (mut told, mut since_told) = (String::new(), Duration::ZERO);
    loop {
        let now = sentence(&zones, &registries);
        if now != told {
            tell(&format!("STATUS={now}\n"));
            told = now;
        }
        if let Some(period) = watchdog
            && since_told >= period.saturating_sub(look)
        {
            tell("WATCHDOG=1\n");
            since_told = Duration::ZERO;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(look) => since_told += look,
        }
    }
}

/// A sentence on what is answered, with the trouble of the first registry that has one.
fn sentence(zones: &Zones, registries: &[RegistrySource]) -> String {
    let of = |freshness: &[Freshness]| -> Vec<String> {
        let meant = zones.iter().filter(|zone| freshness.contains(&zone.freshness()));
        meant.map(|zone| zone.origin().to_string()).collect()
    };
    let (silent, stale) = (of(&[Freshness::Loading, Freshness::Expired]), of(&[Freshness::Stale]));
    let mut sentence = match (silent.as_slice(), stale.as_slice()) {
        ([], []) if zones.iter().next().is_none() => "No zone is served".to_owned(),
        ([], []) => "Answering from live data".to_owned(),
        ([], stale) => format!("Answering with stale data: {}", stale.join(", ")),
        (silent, _) => format!("SERVFAIL: {}", silent.join(", ")),
    };
    let troubles = registries.iter().filter_map(|registry| {
        let report = registry.status.report();
        Some((registry.name.to_string(), report.ensemble, report.trouble?))
    });
    if let Some((name, ensemble, trouble)) = troubles.into_iter().next() {
        let _ = write!(sentence, "; registry {name} ({ensemble}): {trouble}");
    }
    // The protocol has a line for each message.
    sentence.replace(['\n', '\r'], " ")
}

/// Warns of sockets that were passed and that nothing listens on.
pub(super) fn warn_of_unused(sockets: &Inherited, has_dns: bool) {
    if !has_dns && !sockets.passed.is_empty() {
        warn!(
            "the service manager has passed sockets for DNS, and the configuration has no [dns]: nothing answers there"
        );
    }
}
