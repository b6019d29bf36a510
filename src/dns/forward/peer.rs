//! One name server that is asked: its connections, and how it has done lately.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use hickory_proto::op::{DnsRequest, Message};
use hickory_proto::rr::Name;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::DnsHandle as _;
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use rustls::{ClientConfig, RootCertStore};

use super::upstream::Upstream;
use crate::dns::Error;

/// A name server.
pub(super) struct Peer {
    pub(super) upstream: Upstream,
    /// A name that nobody else has: a question for it that comes back comes from there.
    pub(super) probe: Name,
    pool: NameServerPool<TokioRuntimeProvider>,
    failed: Mutex<Option<Instant>>,
    is_probed: AtomicBool,
    is_loop: AtomicBool,
}

/// How long one that did not answer stays behind the others.
const AVOID: Duration = Duration::from_secs(10);
/// How long a packet to it may take in all; whoever asks waits no longer than that, and mostly less.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Questions that may be on one connection.
const ON_A_CONNECTION: usize = 1024;

/// How certificates are judged.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    /// Whom it trusts.
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

    /// Whether both trust the same.
    pub(super) fn trusts_like(&self, other: &Self) -> bool {
        self.roots == other.roots
    }
}

impl Peer {
    pub(super) fn new(upstream: Upstream, tls: &Tls) -> Self {
        let mut options = ResolverOpts::default();
        options.timeout = TIMEOUT;
        options.num_concurrent_reqs = 1;
        options.max_active_requests = ON_A_CONNECTION;
        let mut connections = match &upstream.tls {
            Some(name) => vec![ConnectionConfig::tls(name.as_str().into())],
            None => vec![ConnectionConfig::udp(), ConnectionConfig::tcp()],
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
            failed: Mutex::default(),
            is_probed: AtomicBool::new(false),
            is_loop: AtomicBool::new(false),
        }
    }

    /// Asks it.
    pub(super) async fn ask(&self, request: DnsRequest) -> Result<Message, NetError> {
        let mut responses = self.pool.send(request);
        Ok(responses.next().await.ok_or(NetError::Timeout)??.into_message())
    }

    /// In the order in which they are to be asked: those that failed lately behind the others, those that lead back here
    /// not at all.
    pub(super) fn in_order(peers: &[Arc<Self>], now: Instant) -> Vec<Arc<Self>> {
        let usable = || peers.iter().filter(|peer| !peer.is_loop.load(Ordering::Relaxed));
        let (good, bad): (Vec<_>, Vec<_>) = usable().cloned().partition(|peer| !peer.is_avoided(now));
        good.into_iter().chain(bad).collect()
    }

    fn is_avoided(&self, now: Instant) -> bool {
        self.lock().is_some_and(|failed| now.saturating_duration_since(failed) < AVOID)
    }

    pub(super) fn answered(&self) {
        *self.lock() = None;
    }

    pub(super) fn failed(&self, now: Instant) {
        *self.lock() = Some(now);
    }

    /// Whether it was not probed yet; from now on it was.
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
            () => "",
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
