//! Orders to the running process: take the configuration, go on as a new image, end. Here is who may give them; whoever
//! reads the other end of the channel carries them out.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, header};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::disk;
use crate::publish::events::Events;
use crate::publish::events::event::EventKind;

/// Order to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlOrder {
    /// Read the configuration again and take it.
    Reload,
    /// Check the configuration with the program's file, and go on as that.
    Restart,
    /// Take the registrations out and end.
    Leave,
}

/// Outcome of an order: a text for the person who gave it, or why it was not carried out.
pub type Outcome = Result<String, String>;

/// An order, and where its outcome goes.
#[derive(Debug)]
pub struct ControlRequest {
    /// The order.
    pub order: ControlOrder,
    /// Takes the outcome.
    pub reply: oneshot::Sender<Outcome>,
}

/// Way of orders to the process, and what became of the last restart; clones are the same.
#[derive(Debug, Clone)]
pub struct Control {
    orders: mpsc::Sender<ControlRequest>,
    failed: Arc<Mutex<Option<String>>>,
    configuration: Arc<Mutex<Configuration>>,
    started: SystemTime,
    events: Events,
    /// The file with the token that changes need; none while they need none.
    token_file: Arc<Mutex<Option<PathBuf>>>,
}

/// The configuration in force, and what is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Time at which the one in force was read.
    pub taken_at: SystemTime,
    /// Since when the file has another one that is not taken, and what is wrong with that.
    pub rejected: Option<(SystemTime, String)>,
    /// Tables and keys that differ from those of the start and wait for a restart.
    pub pending: Vec<String>,
}

/// The process, as `/v1/process` shows it.
#[derive(Debug, Serialize)]
pub(super) struct Process {
    version: &'static str,
    pid: u32,
    /// Time at which this image began, in milliseconds since 1970: another one after each restart.
    started: u128,
    /// Reason for which the last restart failed, so that this image goes on.
    restart_failed: Option<String>,
}

impl Control {
    /// A control, and the orders given through it.
    pub fn new() -> (Self, mpsc::Receiver<ControlRequest>) {
        let (orders, given) = mpsc::channel(8);
        let started = SystemTime::now();
        let configuration = Configuration { taken_at: started, rejected: None, pending: Vec::new() };
        let configuration = Arc::new(Mutex::new(configuration));
        (
            Self {
                orders,
                failed: Arc::default(),
                configuration,
                started,
                events: Events::default(),
                token_file: Arc::default(),
            },
            given,
        )
    }

    /// From now on changes need the token in this file, or none.
    pub fn set_token_file(&self, file: Option<PathBuf>) {
        *self.token_file.lock().unwrap_or_else(PoisonError::into_inner) = file;
    }

    /// The file with the token that changes need.
    pub(super) fn token_file(&self) -> Option<PathBuf> {
        self.token_file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The events of the process.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Records why this image goes on in spite of a restart, or that one begins.
    pub fn set_failed(&self, why: Option<String>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Records that a configuration was taken, and what of it waits for a restart.
    pub fn taken(&self, pending: Vec<String>) {
        let waits =
            if pending.is_empty() { String::new() } else { format!("waits for a restart: {}", pending.join(", ")) };
        self.events.configuration(EventKind::Taken, &waits);
        *self.configuration() = Configuration { taken_at: SystemTime::now(), rejected: None, pending };
    }

    /// Records why the configuration, or a part of it, was not taken. It stays so until one is taken.
    pub fn rejected(&self, problems: &str) {
        self.events.configuration(EventKind::Rejected, problems);
        let mut configuration = self.configuration();
        let since = configuration.rejected.as_ref().map_or_else(SystemTime::now, |(since, _)| *since);
        configuration.rejected = Some((since, problems.trim().to_owned()));
    }

    fn configuration(&self) -> MutexGuard<'_, Configuration> {
        self.configuration.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// State of the configuration, and why the last restart failed.
    pub(super) fn report(&self) -> (Configuration, Option<String>) {
        (self.configuration().clone(), self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Gives an order and waits for its outcome.
    pub(super) async fn give(&self, order: ControlOrder) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let gone = || "this process is ending".to_owned();
        self.orders.send(ControlRequest { order, reply }).await.map_err(|_| gone())?;
        outcome.await.unwrap_or_else(|_| Err(gone()))
    }

    pub(super) fn process(&self) -> Process {
        Process {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started: self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis(),
            restart_failed: self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// The client.
#[derive(Debug, Clone, Copy)]
pub(super) enum ClientAddress {
    /// Its address.
    Tcp(SocketAddr),
    /// One that may open the socket.
    Socket,
}

/// Returns whether a request with these headers has the token in `file`.
///
/// # Errors
/// The reason for which it has not.
pub(super) fn has_token(file: &Path, headers: &HeaderMap) -> Result<(), String> {
    let token = disk::read_text(file).map_err(|error| format!("the token file cannot be read: {error}"))?;
    let token = token.trim();
    if token.is_empty() {
        return Err("the token file is empty".to_owned());
    }
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(first), None) = (given.next(), given.next()) else {
        return Err("it needs the token of `token_file`, as `Authorization: Bearer TOKEN`".to_owned());
    };
    let first = first.to_str().unwrap_or_default();
    let given = first.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if given.is_some_and(|(_, given)| is_same(given.trim().as_bytes(), token.as_bytes())) {
        Ok(())
    } else {
        Err("the token is another one".to_owned())
    }
}

/// Compares without telling by its time where two texts differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}

/// Whether a request with these headers may change something: it is from this host and meant for it, and neither a page
/// in a browser nor a proxy stands between.
pub(super) fn may_change(peer: Option<ClientAddress>, headers: &HeaderMap) -> Result<(), &'static str> {
    let is_here = match peer {
        Some(ClientAddress::Socket) => return Ok(()),
        Some(ClientAddress::Tcp(peer)) => peer.ip().to_canonical().is_loopback(),
        None => false,
    };
    if !is_here {
        return Err("it can be asked for only from this host, over a loopback address");
    }
    let between =
        ["origin", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"];
    if between.iter().any(|name| headers.contains_key(*name)) {
        return Err("it can be asked for only directly, not by a page in a browser or through a proxy");
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
        (Some(host), None) if is_loopback(host) => Ok(()),
        _ => Err("the Host of the request must be localhost or a loopback address"),
    }
}

/// Returns whether `host`, with or without a port, is a name for this host alone.
fn is_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().to_canonical().is_loopback();
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(peer: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let map = headers.iter().fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(*name, value.parse().unwrap());
            map
        });
        may_change(Some(ClientAddress::Tcp(peer.parse().unwrap())), &map).is_ok()
    }

    #[test]
    fn only_this_host_may_change_things_and_only_directly() {
        for host in ["localhost", "localhost:5380", "127.0.0.1", "127.0.0.9:1", "[::1]:5380", "[::1]", "LOCALHOST:1"] {
            assert!(ask("127.0.0.1:1000", &[("host", host)]), "{host}");
        }
        assert!(ask("[::1]:1000", &[("host", "localhost")]) && ask("[::ffff:127.0.0.1]:1", &[("host", "localhost")]));
        assert!(!ask("10.0.0.1:1000", &[("host", "localhost")]));
        for host in ["", "evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example:5380", "[::2]"] {
            assert!(!ask("127.0.0.1:1000", &[("host", host)]), "{host}");
        }
        assert!(!ask("127.0.0.1:1000", &[]));
        assert!(!ask("127.0.0.1:1000", &[("host", "localhost"), ("host", "evil.example")]));
        for name in ["origin", "forwarded", "x-forwarded-for", "via"] {
            assert!(!ask("127.0.0.1:1000", &[("host", "localhost"), (name, "null")]), "{name}");
        }
        assert!(may_change(None, &HeaderMap::new()).is_err());
        assert!(may_change(Some(ClientAddress::Socket), &HeaderMap::new()).is_ok());
    }

    #[test]
    fn only_the_token_of_the_file_is_taken() {
        let file = std::env::temp_dir().join(format!("zonekeeper-token-{}", std::process::id()));
        let ask = |given: &str| {
            let mut headers = HeaderMap::new();
            if !given.is_empty() {
                headers.append("authorization", given.parse().unwrap());
            }
            has_token(&file, &headers).is_ok()
        };
        assert!(!ask("Bearer x"), "there is no file");
        std::fs::write(&file, "open sesame\n").unwrap();
        assert!(ask("Bearer open sesame") && ask("bearer open sesame"));
        for given in ["", "Bearer", "Bearer open", "Bearer open sesame2", "Basic open sesame", "open sesame"] {
            assert!(!ask(given), "{given}");
        }
        std::fs::write(&file, "\n").unwrap();
        assert!(!ask("Bearer "), "an empty token is none");
        std::fs::remove_file(&file).unwrap();
    }
}
