//! One name server that is asked: its connections, and how it has done lately.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use hickory_proto::op::{DnsRequest, Message, ResponseCode};
use hickory_proto::rr::Name;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::DnsHandle as _;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use rustls::{ClientConfig, RootCertStore};

use tracing::{info, warn};

use super::plain;
use super::upstream::Upstream;
use crate::dns::Error;

/// A name server.
pub(super) struct UpstreamPeer {
    pub(super) upstream: Upstream,
    /// A name that nobody else has: a question for it that comes back comes from there.
    pub(super) probe: Name,
    pool: NameServerPool<TokioRuntimeProvider>,
    state: Mutex<PeerState>,
    is_probed: AtomicBool,
    is_loop: AtomicBool,
}

/// Time for which one that did not answer stays behind the others.
const AVOID: Duration = Duration::from_secs(10);
/// Limit of the time that a packet to it may take in all; whoever asks waits no longer than that, and mostly less.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Questions that may be on one connection.
const ON_A_CONNECTION: usize = 1024;

/// Time for which it is remembered that a server does not know EDNS.
const REMEMBER: Duration = Duration::from_secs(900);
/// Number of silences in a row before that is worth a line: one silence may be the name's.
const SILENCES: u32 = 3;

/// State of a name server.
#[derive(Debug, Default)]
struct PeerState {
    /// Time at which it did not answer last, unless it has since.
    failed: Option<Instant>,
    /// Since when it does not answer, and how often in a row.
    down: Option<(Instant, u32)>,
    /// True if that was logged.
    is_logged: bool,
    /// Time at which it last answered like a server that does not know EDNS.
    no_edns: Option<Instant>,
    answers: u64,
    failures: u64,
}

/// A name server's state, for those who show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamReport {
    /// Its address as the configuration has it.
    pub upstream: String,
    /// True if it answered when it was asked last.
    pub is_up: bool,
    /// State for people; empty where it does well.
    pub state: &'static str,
    /// Questions it answered.
    pub answers: u64,
    /// Questions it did not answer.
    pub failures: u64,
}

/// Judge of certificates.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    /// Authorities that it trusts.
    roots: Vec<TrustAnchor<'static>>,
}

impl Tls {
    /// Trusts the authorities in a PEM file; without one nobody, for those who are not asked over TLS.
    pub(super) fn trusting(path: Option<&Path>) -> Result<Self, Error> {
        let path_of_error = path.unwrap_or(Path::new("")).to_owned();
        let failed = |why: String| Error::Authorities { path: path_of_error.clone(), why };
        let mut roots = RootCertStore::empty();
        if let Some(path) = path {
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                // Systems have certificates among theirs that are not understood everywhere.
                let _ = roots.add(certificate);
            }
            if roots.is_empty() {
                return Err(failed("there is no certificate in it".to_owned()));
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| failed(error.to_string()))?;
        let trusted = roots.roots.clone();
        Ok(Self { config: Arc::new(builder.with_root_certificates(roots).with_no_client_auth()), roots: trusted })
    }

    /// Returns whether both trust the same.
    pub(super) fn trusts_like(&self, other: &Self) -> bool {
        self.roots == other.roots
    }
}

impl UpstreamPeer {
    pub(super) fn new(upstream: Upstream, tls: &Tls) -> Self {
        let mut options = ResolverOpts::default();
        options.timeout = TIMEOUT;
        options.num_concurrent_reqs = 1;
        options.max_active_requests = ON_A_CONNECTION;
        let mut connections = match &upstream.tls {
            Some(name) => vec![ConnectionConfig::tls(name.as_str().into())],
            None => Vec::new(),
        };
        for connection in &mut connections {
            connection.port = upstream.address.port();
        }
        let config = NameServerConfig::new(upstream.address.ip(), true, connections);
        let context = Arc::new(PoolContext::new(options, TlsConfig { config: (*tls.config).clone() }));
        let pool = NameServerPool::from_config([config], context, TokioRuntimeProvider::default());
        let probe = format!("{:016x}.loop-check.zonekeeper.test.", fastrand::u64(..));
        Self {
            upstream,
            probe: Name::from_ascii(probe).unwrap_or_default(),
            pool,
            state: Mutex::default(),
            is_probed: AtomicBool::new(false),
            is_loop: AtomicBool::new(false),
        }
    }

    /// Asks it: without EDNS (RFC 6891 §7) where it has not understood that.
    pub(super) async fn ask(&self, request: DnsRequest) -> Result<Message, NetError> {
        if self.upstream.tls.is_some() {
            let mut responses = self.pool.send(request);
            return Ok(responses.next().await.ok_or(NetError::Timeout)??.into_message());
        }
        let (mut message, _) = request.into_parts();
        let is_known = self.lock().no_edns.is_some_and(|when| when.elapsed() < REMEMBER);
        if !is_known {
            match plain::exchange(&self.upstream, message.clone()).await? {
                plain::Response::Message(outcome) => return *outcome,
                plain::Response::NoEdns(_) => {}
            }
        }
        message.edns = None;
        let response = plain::exchange(&self.upstream, message).await?;
        self.lock().no_edns = match &response {
            plain::Response::Message(_) => Some(Instant::now()),
            plain::Response::NoEdns(_) => None,
        };
        match response {
            plain::Response::Message(outcome) => *outcome,
            plain::Response::NoEdns(rcode) => Err(DnsError::ResponseCode(ResponseCode::from(0, rcode)).into()),
        }
    }

    /// In the order in which they are to be asked: those that failed lately behind the others, those that lead back
    /// here not at all.
    pub(super) fn in_order(peers: &[Arc<Self>], now: Instant) -> Vec<Arc<Self>> {
        let usable = || peers.iter().filter(|peer| !peer.is_loop.load(Ordering::Relaxed));
        let (good, bad): (Vec<_>, Vec<_>) = usable().cloned().partition(|peer| !peer.is_avoided(now));
        good.into_iter().chain(bad).collect()
    }

    fn is_avoided(&self, now: Instant) -> bool {
        self.lock().failed.is_some_and(|failed| now.saturating_duration_since(failed) < AVOID)
    }

    /// Notes an answer; logs the end of an outage.
    pub(super) fn answered(&self) {
        let mut state = self.lock();
        state.answers += 1;
        state.failed = None;
        let down = state.down.take().filter(|_| std::mem::take(&mut state.is_logged));
        drop(state);
        if let Some((since, _)) = down {
            let length = humantime::format_duration(Duration::from_secs(since.elapsed().as_secs()));
            info!(upstream = %self.upstream, "answers again after {length}");
        }
    }

    /// Notes that there was no answer; logs the begin of an outage: at once where the host says so, else after some in
    /// a row.
    pub(super) fn failed(&self, now: Instant, error: &NetError) {
        let mut state = self.lock();
        state.failures += 1;
        state.failed = Some(now);
        let (since, silences) = state.down.map_or((now, 1), |(since, silences)| (since, silences.saturating_add(1)));
        state.down = Some((since, silences));
        let is_worth_a_line = silences >= SILENCES || matches!(error, NetError::Io(_));
        let is_news = is_worth_a_line && !state.is_logged;
        state.is_logged |= is_worth_a_line;
        drop(state);
        if is_news {
            warn!(upstream = %self.upstream, %error, "does not answer: names outside the zones go to the next one, if there is one");
        }
    }

    /// Reports how it has done.
    pub(super) fn report(&self, now: Instant) -> UpstreamReport {
        let (is_up, answers, failures) = {
            let state = self.lock();
            (state.failed.is_none(), state.answers, state.failures)
        };
        UpstreamReport { upstream: self.upstream.to_string(), is_up, state: self.state(now), answers, failures }
    }

    /// Returns whether it was not probed yet; from now on it was.
    pub(super) fn is_new(&self) -> bool {
        !self.is_probed.swap(true, Ordering::Relaxed)
    }

    /// It leads back here. True when that is news.
    pub(super) fn is_loop(&self) -> bool {
        !self.is_loop.swap(true, Ordering::Relaxed)
    }

    /// Behind its address, for people.
    pub(super) fn state(&self, now: Instant) -> &'static str {
        match () {
            () if self.is_loop.load(Ordering::Relaxed) => ", not asked: it forwards to this server",
            () if self.is_avoided(now) => ", behind the others: it did not answer lately",
            () if self.lock().no_edns.is_some() => ", asked without EDNS, which it does not know",
            () => "",
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PeerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
