//! The `[dns]` table.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::dns::forward;
use crate::dns::forward::local::PrivateReverse;
use crate::dns::forward::upstream::{UpstreamSource, is_ours};
use crate::dns::listen::limits::Limits;
use crate::dns::listen::{https, tls};
use crate::dns::lists::{read_list, read_listen};
use crate::dns::message::options::MAX_NSID;
use crate::dns::serve::access::{Networks, Transfers};
use crate::dns::serve::cookie::{Mode, Secrets};
use crate::dns::serve::{query_log, rate};
use crate::dns::transport::Transport;
use crate::settings::{Located, Section, fixed, live};
use crate::zone::name::Name;

/// The DNS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The addresses to answer on, UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// True if to listen on addresses that no interface has yet.
    pub freebind: bool,
    /// UDP threads for each address; 0 for as many as there are cores.
    pub threads: usize,
    /// Clients that may ask.
    pub allow_query: Networks,
    /// Clients that may transfer zones which say nothing else themselves.
    pub allow_transfer: Transfers,
    /// File in which the serials of the zones are kept for the next start.
    pub serial_file: Option<PathBuf>,
    /// Use of cookies.
    pub cookies: Mode,
    /// The file with the secrets they are made with; none for a random one.
    pub cookie_secret_file: Option<PathBuf>,
    /// Its secrets.
    pub cookie_secrets: Option<Secrets>,
    /// Addresses in an answer to a question for them; 0 for all.
    pub max_answers: usize,
    /// This server's name for those who ask for it; empty for none, `hostname` for the host's.
    pub nsid: String,
    /// True if questions of class CH about this server are answered.
    pub identity: bool,
    /// Name servers for names outside the zones; none where it is empty.
    pub forward: Vec<UpstreamSource>,
    /// For whom questions are forwarded.
    pub allow_recursion: Networks,
    /// Limits of questions that are forwarded.
    pub forward_limits: forward::ForwardLimits,
    /// File with the authorities that may vouch for upstreams over TLS.
    pub forward_ca: PathBuf,
    /// Limits of TCP connections.
    pub tcp: Limits,
    /// DNS over TLS; none where it is not served.
    pub tls: Option<tls::Config>,
    /// DNS over HTTPS; none where it is not served.
    pub https: Option<https::Config>,
    /// DNS over QUIC; none where it is not served.
    pub quic: Option<tls::Config>,
    /// Limit of responses to a network.
    pub rate: rate::Config,
    /// Queries that are logged.
    pub query_log: query_log::Config,
}

impl Default for Config {
    /// A port that needs no privilege, for this host alone.
    fn default() -> Self {
        Self {
            listen: vec![(Ipv4Addr::LOCALHOST, 5300).into()],
            freebind: true,
            threads: 0,
            allow_query: Networks::everybody(),
            allow_transfer: Transfers::default(),
            serial_file: None,
            cookies: Mode::default(),
            cookie_secret_file: None,
            cookie_secrets: None,
            max_answers: 0,
            nsid: String::new(),
            identity: true,
            forward: Vec::new(),
            allow_recursion: Networks::near(),
            forward_limits: forward::ForwardLimits::default(),
            forward_ca: "/etc/ssl/certs/ca-certificates.crt".into(),
            tcp: Limits::default(),
            tls: None,
            https: None,
            quic: None,
            rate: rate::Config::default(),
            query_log: query_log::Config::default(),
        }
    }
}

/// Each question takes a socket, and a process has some ten thousand.
const MAX_OUTSTANDING: usize = 16_384;

/// More threads than this are a mistake, or a machine that this was never tried on.
const MAX_THREADS: usize = 1024;

impl Config {
    /// Reads the `[dns]` table. `keys` are the names of the keys that there are; a relative `cookie_secret_file` is
    /// relative to `directory`.
    pub fn read(section: &mut Section<'_>, keys: &[Name], directory: &Path) -> Self {
        let mut config = Self::default();
        if let Some(value) = section.value(fixed("listen")) {
            config.listen = read_listen(value, "dns", section.problems());
        }
        config.freebind = section.or(fixed("freebind"), config.freebind);
        if let Some(Located { value, span }) = section.located(fixed("threads")) {
            if value <= MAX_THREADS {
                config.threads = value;
            } else {
                section.problems().add(span, format!("`threads` must be at most {MAX_THREADS}"));
            }
        }
        section.removed("gather", "replies leave as soon as they are written");
        if let Some(allowed) = read_list(section, live("allow_query"), Networks::parse) {
            config.allow_query = allowed;
        }
        if let Some(allowed) = read_list(section, live("allow_transfer"), |list| Transfers::parse(list, keys)) {
            config.allow_transfer = allowed;
        }
        config.serial_file = section.optional(fixed("serial_file"));
        config.read_cookies(section, directory);
        config.max_answers = section.or(live("max_answers"), config.max_answers);
        if let Some(Located { value, span }) = section.located::<String>(live("nsid")) {
            if value.len() > MAX_NSID {
                section.problems().add(span, format!("`nsid` must be at most {MAX_NSID} bytes"));
            }
            config.nsid = value;
        }
        config.identity = section.or(live("identity"), config.identity);
        config.read_forward(section);
        if let Some(mut tcp) = section.section(live("tcp")) {
            config.tcp = Limits::read(&mut tcp);
            tcp.finish();
        }
        if let Some(mut tls) = section.section(live("tls")) {
            config.tls = Some(tls::Config::read(&mut tls, tls::PORT));
            tls.finish();
        }
        if let Some(mut https) = section.section(live("https")) {
            config.https = Some(https::Config::read(&mut https));
            https.finish();
        }
        if let Some(mut quic) = section.section(live("quic")) {
            config.quic = Some(tls::Config::read(&mut quic, tls::PORT));
            quic.finish();
        }
        if let Some(mut rate) = section.section(live("rate")) {
            config.rate = rate::Config::read(&mut rate);
            rate.finish();
        }
        if let Some(mut log) = section.section(live("query_log")) {
            config.query_log = query_log::Config::read(&mut log);
            log.finish();
        }
        config
    }

    fn read_cookies(&mut self, section: &mut Section<'_>, directory: &Path) {
        let problems = section.problems();
        if let Some(Located { value, span }) = section.located::<String>(live("cookies")) {
            match Mode::parse(&value) {
                Some(mode) => self.cookies = mode,
                None => {
                    problems.add(span, format!("`cookies` must be \"off\", \"on\" or \"required\", not \"{value}\""));
                }
            }
        }
        let Some(Located { value, span }) = section.located::<PathBuf>(live("cookie_secret_file")) else { return };
        let path = directory.join(value);
        match crate::disk::looks::read_text_now(&path)
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|text| Secrets::parse(&text))
        {
            Ok(secrets) => self.cookie_secrets = Some(secrets),
            Err(problem) => {
                let help = "a line of 32 hexadecimal digits each, as from `openssl rand -hex 16`; the first is in use";
                problems.add_with_help(span, format!("`cookie_secret_file` {problem}"), help);
            }
        }
        self.cookie_secret_file = Some(path);
    }
}

impl Config {
    /// Of what `other` says otherwise than this one, that which only a start can take.
    pub fn fixed_differences(&self, other: &Self) -> Vec<&'static str> {
        let path = |https: &https::Config| https.path.clone();
        let parts = [
            ("listen", self.listen != other.listen),
            ("freebind", self.freebind != other.freebind),
            ("threads", self.threads != other.threads),
            ("serial_file", self.serial_file != other.serial_file),
            ("tls listen", self.listen_on(Transport::Tls) != other.listen_on(Transport::Tls)),
            ("https listen", self.listen_on(Transport::Https) != other.listen_on(Transport::Https)),
            ("quic listen", self.listen_on(Transport::Quic) != other.listen_on(Transport::Quic)),
            ("https path", self.https.as_ref().map(path) != other.https.as_ref().map(path)),
        ];
        parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part).collect()
    }

    fn read_forward(&mut self, section: &mut Section<'_>) {
        let listen = self.listen.clone();
        if let Some(sources) = read_list(section, live("forward"), |list| read_sources(list, &listen)) {
            self.forward = sources;
        }
        if let Some(allowed) = read_list(section, live("allow_recursion"), Networks::parse) {
            self.allow_recursion = allowed;
        }
        if let Some(Located { value, span }) = section.located(live("forward_outstanding")) {
            if (1..=MAX_OUTSTANDING).contains(&value) {
                self.forward_limits.outstanding = value;
            } else {
                section.problems().add(span, format!("`forward_outstanding` must be from 1 to {MAX_OUTSTANDING}"));
            }
        }
        if let Some(Located { value, span }) = section.located::<String>(live("private_reverse")) {
            match value.as_str() {
                "forward" => self.forward_limits.private_reverse = PrivateReverse::Forward,
                "local" => self.forward_limits.private_reverse = PrivateReverse::Local,
                _ => section
                    .problems()
                    .add(span, format!("`private_reverse` must be \"forward\" or \"local\", not \"{value}\"")),
            }
        }
        if let Some(path) = section.optional(live("forward_ca")) {
            self.forward_ca = path;
        }
    }

    /// The paths of files, to make them relative to something.
    pub fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let files = self.forward.iter_mut().filter_map(|source| match source {
            UpstreamSource::File(path) => Some(path),
            UpstreamSource::Server(_) => None,
        });
        let tables = self.tls.iter_mut().chain(self.https.iter_mut().map(|https| &mut https.tls)).chain(&mut self.quic);
        let certificates = tables.flat_map(|tls| [&mut tls.files.cert, &mut tls.files.key]);
        self.serial_file.iter_mut().chain(files).chain([&mut self.forward_ca]).chain(certificates)
    }

    /// The transports that are encrypted, and the tables of those that are served.
    pub fn encrypted(&self) -> impl Iterator<Item = (Transport, &tls::Config)> {
        let https = self.https.as_ref().map(|https| (Transport::Https, &https.tls));
        let tls = self.tls.as_ref().map(|tls| (Transport::Tls, tls));
        let quic = self.quic.as_ref().map(|tls| (Transport::Quic, tls));
        tls.into_iter().chain(https).chain(quic)
    }

    /// Addresses of an encrypted transport.
    fn listen_on(&self, transport: Transport) -> &[SocketAddr] {
        self.encrypted().find(|(one, _)| *one == transport).map_or(&[], |(_, tls)| &tls.listen)
    }
}

fn read_sources(list: &[String], listen: &[SocketAddr]) -> Result<Vec<UpstreamSource>, (usize, String)> {
    let read = |(i, text): (usize, &String)| match UpstreamSource::parse(text).map_err(|problem| (i, problem))? {
        UpstreamSource::Server(upstream) if is_ours(upstream.address, listen, &[]) => {
            Err((i, format!("is this server itself: \"{text}\"")))
        }
        source => Ok(source),
    };
    list.iter().enumerate().map(read).collect()
}
