//! The query log: a line for each query of some clients, about some names, or of a sample, with its outcome. Off unless
//! the configuration chooses some.
//!
//! No answer waits for it: a line goes through a bounded queue to a thread that writes it, and one for which there is
//! no room is counted and told.

use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::access::Networks;
use super::metrics::{Metrics, outcome_name};
use super::outcome::Outcome;
use crate::dns::lists::read_list;
use crate::dns::transport::Transport;
use crate::settings::{Section, live};
use crate::zone::name::Name;
use crate::zone::rdata;

/// Lines that may wait to be written.
const WAITING: usize = 4096;
/// Time between two lines about those for which there was no room.
const TELLING: Duration = Duration::from_secs(10);

/// The table `[dns.query_log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Clients whose queries are logged.
    pub clients: Networks,
    /// Names about which queries are logged, with all below them; in lower case.
    pub names: Vec<Name>,
    /// One in so many of all queries is logged besides; 0 for none.
    pub sample: u32,
}

impl Default for Config {
    /// Off.
    fn default() -> Self {
        Self { clients: Networks::nobody(), names: Vec::new(), sample: 0 }
    }
}

impl Config {
    /// Reads the table.
    pub fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let name = |text: &String| {
            Name::parse(text).map(|name| name.folded()).map_err(|why| format!("must be a name, not \"{text}\": {why}"))
        };
        let names = |list: &[String]| {
            let names = list.iter().enumerate().map(|(place, text)| name(text).map_err(|why| (place, why)));
            names.collect::<Result<Vec<_>, _>>()
        };
        Self {
            clients: read_list(section, live("clients"), Networks::parse).unwrap_or(default.clients),
            names: read_list(section, live("names"), names).unwrap_or(default.names),
            sample: section.or(live("sample"), default.sample),
        }
    }
}

/// The log of a policy, which chooses queries.
#[derive(Debug)]
pub struct QueryLog {
    config: Config,
    sink: QuerySink,
}

/// A query that ended, as far as a line shows it.
#[derive(Debug)]
struct QueryLine {
    client: IpAddr,
    transport: Transport,
    /// Name in the form of the wire; empty where there is no question.
    name: Box<[u8]>,
    rtype: u16,
    outcome: Outcome,
}

impl QueryLog {
    /// The log that `config` chooses, with its lines to `sink`; none where it chooses nothing.
    pub fn new(config: &Config, sink: &QuerySink) -> Option<Arc<Self>> {
        (*config != Config::default()).then(|| Arc::new(Self { config: config.clone(), sink: sink.clone() }))
    }

    /// Logs a query about `name` (in lower case, in the form of the wire) if it is chosen. Never waits.
    pub fn note(&self, client: IpAddr, transport: Transport, (name, rtype): (&[u8], u16), outcome: Outcome) {
        if self.wants(client, name) {
            self.sink.push(QueryLine { client, transport, name: name.into(), rtype, outcome });
        }
    }

    fn wants(&self, client: IpAddr, name: &[u8]) -> bool {
        let Config { clients, names, sample } = &self.config;
        clients.decide(&client)
            || names.iter().any(|wanted| is_at_or_below(name, wanted.wire()))
            || (*sample > 0 && fastrand::u32(..*sample) == 0)
    }
}

/// Returns whether a name in the form of the wire is another one, or below it.
fn is_at_or_below(mut name: &[u8], above: &[u8]) -> bool {
    while name.len() > above.len() {
        let Some(rest) = name.first().and_then(|length| name.get(usize::from(*length) + 1..)) else { return false };
        name = rest;
    }
    name == above
}

/// Queue of lines, for all policies of a server one after the other; clones are the same. Its thread begins with the
/// first line.
#[derive(Debug, Clone)]
pub struct QuerySink {
    queue: Arc<OnceLock<Option<SyncSender<QueryLine>>>>,
    metrics: Arc<Metrics>,
}

impl QuerySink {
    /// A queue that counts what it has no room for in `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { queue: Arc::default(), metrics }
    }

    fn push(&self, line: QueryLine) {
        let sender = self.queue.get_or_init(|| start(Arc::clone(&self.metrics)));
        if sender.as_ref().is_none_or(|sender| sender.try_send(line).is_err()) {
            self.metrics.not_logged();
        }
    }
}

/// Starts the thread that writes; none where the system has no more threads.
fn start(metrics: Arc<Metrics>) -> Option<SyncSender<QueryLine>> {
    let (sender, lines) = sync_channel(WAITING);
    let writing = thread::Builder::new().name("query-log".to_owned()).spawn(move || write(&lines, &metrics));
    writing.inspect_err(|error| error!(%error, "no thread for the query log: no query is logged")).ok()?;
    Some(sender)
}

/// Writes lines until the last sender has gone.
fn write(lines: &Receiver<QueryLine>, metrics: &Metrics) {
    let (mut told, mut told_at) = (metrics.queries_not_logged(), Instant::now());
    loop {
        match lines.recv_timeout(TELLING) {
            Ok(line) => line.write(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let lost = metrics.queries_not_logged() - told;
        if lost > 0 && told_at.elapsed() >= TELLING {
            (told, told_at) = (told + lost, Instant::now());
            warn!(lost, "the query log has no lines for some queries: choose fewer in [dns.query_log]");
        }
    }
}

impl QueryLine {
    fn write(&self) {
        let Self { client, transport, name, rtype, outcome } = self;
        let name = Name::from_wire(name).map_or_else(|| "-".to_owned(), |(name, _)| name.to_string());
        let (client, transport) = (client.to_canonical(), transport.label());
        let (rtype, outcome) = (rdata::mnemonic(*rtype), words(*outcome));
        info!(%client, transport, name, r#type = rtype, outcome, "query");
    }
}

/// The outcome in a word, as metrics have it, with the code of an extended error: `SERVFAIL EDE 22`.
fn words(outcome: Outcome) -> String {
    match outcome {
        Outcome::Response { rcode, truncated, extended, is_empty } => {
            let truncated = if truncated { " TC" } else { "" };
            let extended = extended.map(|code| format!(" EDE {}", code.place())).unwrap_or_default();
            format!("{}{truncated}{extended}", outcome_name(rcode, is_empty))
        }
        Outcome::Slip => "slipped".to_owned(),
        Outcome::Limited => "limited".to_owned(),
        Outcome::Dropped => "dropped".to_owned(),
        Outcome::Transfer(kind) => kind.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::serve::answer::Rcode;

    fn log(clients: &[&str], names: &[&str], sample: u32) -> QueryLog {
        let clients: Vec<String> = clients.iter().map(|text| (*text).to_owned()).collect();
        let names = names.iter().map(|text| Name::parse(text).unwrap().folded()).collect();
        let config = Config { clients: Networks::parse(&clients).unwrap(), names, sample };
        QueryLog { config, sink: QuerySink::new(Arc::default()) }
    }

    fn wants(log: &QueryLog, client: &str, name: &str) -> bool {
        log.wants(client.parse().unwrap(), Name::parse(name).unwrap().folded().wire())
    }

    #[test]
    fn queries_are_chosen_by_client_name_or_sample() {
        let chosen = log(&["10.1.0.0/16", "!10.1.0.9"], &["API_x.service"], 0);
        for (client, name, is_wanted) in [
            ("10.1.2.3", "other.service", true),
            ("10.1.0.9", "other.service", false),
            ("192.0.2.1", "api_x.service", true),
            ("192.0.2.1", "_http._tcp.api_x.service", true),
            ("192.0.2.1", "xapi_x.service", false),
            ("192.0.2.1", "service", false),
            ("192.0.2.1", ".", false),
        ] {
            assert_eq!(wants(&chosen, client, name), is_wanted, "{client} {name}");
        }
        assert!(!chosen.wants("192.0.2.1".parse().unwrap(), b""), "no question");
        assert!(wants(&log(&[], &["."], 0), "192.0.2.1", "a.b"), "everything is below the root");
        let sampled = log(&[], &[], 10);
        let count = (0..10_000).filter(|_| wants(&sampled, "192.0.2.1", "a.service")).count();
        assert!((700..1300).contains(&count), "{count}");
        assert!((0..100).all(|_| wants(&log(&[], &[], 1), "192.0.2.1", "a.service")));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_nobody_waits() {
        let metrics = Arc::new(Metrics::default());
        let (sender, lines) = sync_channel(3);
        let sink = QuerySink { queue: Arc::new(OnceLock::from(Some(sender))), metrics: Arc::clone(&metrics) };
        let outcome = Outcome::Response { rcode: Rcode::ServFail, truncated: true, extended: None, is_empty: false };
        let log = QueryLog { sink, ..log(&["any"], &[], 0) };
        for _ in 0..10 {
            log.note([192, 0, 2, 1].into(), Transport::Udp, (b"\x01a\0", 1), outcome);
        }
        assert_eq!((lines.try_iter().count(), metrics.queries_not_logged()), (3, 7));
        let none = QuerySink { queue: Arc::new(OnceLock::from(None)), metrics: Arc::clone(&metrics) };
        QueryLog { sink: none, ..log }.note([192, 0, 2, 1].into(), Transport::Udp, (b"", 0), outcome);
        assert_eq!(metrics.queries_not_logged(), 8, "without a thread");
        assert_eq!(words(outcome), "SERVFAIL TC");
    }
}
