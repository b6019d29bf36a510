//! Connections to servers: all addresses of all servers, soon one after the other and none waited for alone.
//!
//! The client library knows servers by name and tries one address of each. Here every address is a server of its own
//! (RFC 8305): the next attempt begins as soon as one has failed, or has had no answer for a moment, while that one may
//! still succeed. Each failure keeps its cause.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::names::ServerNames;
use super::servers::{ServerAddress, ServerCandidate, Servers, spread};
use crate::registry::{Cause, Error};
use crate::zookeeper::security::Certificates;

/// Time that an address may be silent before the next is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);

/// A connection to a server, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that stands, and where it goes.
pub(super) type Connected = (ServerCandidate, Box<dyn Stream>);

type Tried = (ServerCandidate, Result<Box<dyn Stream>, Failure>);

/// Attempts at one ensemble's servers, under way.
pub(super) struct Dialing {
    servers: Arc<Servers>,
    tls: Option<TlsConnector>,
    /// Time that an address may take to accept the connection, TLS included.
    limit: Duration,
    waiting: VecDeque<ServerCandidate>,
    trying: FuturesUnordered<BoxFuture<'static, Tried>>,
    failures: Failures,
}

/// A failed attempt: its cause, and what was wrong, for a person.
pub(super) type Failure = (Cause, String);

/// The failed attempts, each with its server's index.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<(usize, Failure)>);

impl Dialing {
    /// Looks the servers' names up. Nothing is connected to yet.
    pub(super) async fn start(
        servers: &Arc<Servers>,
        names: &ServerNames,
        tls: Option<TlsConnector>,
        limit: Duration,
    ) -> Self {
        let mut failures = Failures::default();
        let mut addresses = Vec::new();
        for (server, found) in join_all(servers.list.iter().map(async |server| match &*server.addresses {
            [] => names.look_up(&server.host).await,
            known => Ok(known.to_vec()),
        }))
        .await
        .into_iter()
        .enumerate()
        {
            addresses.push(found.unwrap_or_else(|failure| {
                failures.add(server, failure);
                Vec::new()
            }));
        }
        let waiting = spread(&servers.list, addresses, &mut fastrand::Rng::new()).into();
        Self { servers: Arc::clone(servers), tls, limit, waiting, trying: FuturesUnordered::new(), failures }
    }

    /// The next connection that stands; none once no address is left.
    pub(super) async fn next(&mut self) -> Option<Connected> {
        loop {
            if self.trying.is_empty() && !self.begin() {
                return None;
            }
            let tried = tokio::select! {
                tried = self.trying.next() => tried,
                () = sleep(STAGGER), if !self.waiting.is_empty() => None,
            };
            match tried {
                Some((candidate, Ok(stream))) => return Some((candidate, stream)),
                Some((candidate, Err(failure))) => self.failures.add(candidate.server, failure),
                None => {}
            }
            self.begin();
        }
    }

    /// Tries an address once more, before all others.
    pub(super) fn again(&mut self, candidate: ServerCandidate) {
        self.waiting.push_front(candidate);
    }

    /// A connection stood, but there was no session over it.
    pub(super) fn failed(&mut self, candidate: &ServerCandidate, failure: Failure) {
        self.failures.add(candidate.server, failure);
    }

    /// Number of addresses that may still be tried.
    pub(super) fn left(&self) -> u32 {
        u32::try_from(self.waiting.len() + self.trying.len()).unwrap_or(u32::MAX)
    }

    /// Everything that went wrong, as one error.
    pub(super) fn error(&self) -> Error {
        self.failures.error(&self.servers)
    }

    fn begin(&mut self) -> bool {
        let Some(candidate) = self.waiting.pop_front() else { return false };
        let server = self.servers.list[candidate.server].clone();
        let (tls, limit) = (self.tls.clone().filter(|_| server.encrypted), self.limit);
        self.trying.push(Box::pin(async move {
            let connecting = connect(&candidate, &server, tls);
            let connected = timeout(limit, connecting).await;
            let connected = connected.unwrap_or_else(|_| Err((Cause::Silent, format!("no answer within {limit:?}"))));
            (candidate, connected)
        }));
        true
    }
}

async fn connect(
    candidate: &ServerCandidate,
    server: &ServerAddress,
    tls: Option<TlsConnector>,
) -> Result<Box<dyn Stream>, Failure> {
    let stream = TcpStream::connect(candidate.address).await.map_err(|error| failure(&error))?;
    // Requests are small, and each is waited for.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        if server.encrypted {
            return Err((Cause::Tls, "it is to be spoken to over TLS, and no certificates are configured".to_owned()));
        }
        return Ok(Box::new(stream));
    };
    let name = ServerName::try_from(server.host.clone())
        .map_err(|_| (Cause::Tls, format!("no certificate can be for \"{}\"", server.host)))?;
    let stream = tls.connect(name, stream).await.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            (Cause::Tls, format!("no TLS with it: {error}"))
        }
        _ => failure(&error),
    })?;
    Ok(Box::new(stream))
}

/// An error of the system's, for a person.
pub(super) fn failure(error: &io::Error) -> Failure {
    let cause = Cause::of(error);
    let message = error.to_string();
    let words = message.split(" (os error").next().unwrap_or_default().to_lowercase();
    let words = match cause {
        Cause::Descriptors => format!("no file descriptor is left: {words}"),
        _ => words,
    };
    (cause, words)
}

impl Failures {
    fn add(&mut self, server: usize, failure: Failure) {
        if !self.0.contains(&(server, failure.clone())) {
            self.0.push((server, failure));
        }
    }

    /// One error of all: what was wrong once, before it the servers of which it is true, in the order of the connect
    /// string, so that the same trouble makes the same words.
    fn error(&self, servers: &Servers) -> Error {
        let mut kinds: Vec<(&Failure, Vec<usize>)> = Vec::new();
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_by_key(|(server, failure)| (*server, failure.clone()));
        for (server, failure) in sorted {
            match kinds.iter_mut().find(|(known, _)| *known == failure) {
                Some((_, list)) => list.push(*server),
                None => kinds.push((failure, vec![*server])),
            }
        }
        let words = |(failure, list): &(&Failure, Vec<usize>)| {
            let list: Vec<_> = list.iter().map(|server| servers.list[*server].to_string()).collect();
            format!("{}: {}", list.join(", "), failure.1)
        };
        // The worst is what most of them have.
        let most = kinds.iter().rev().max_by_key(|(_, list)| list.len());
        let cause = most.map_or(Cause::Other, |(failure, _)| failure.0);
        let detail = kinds.iter().map(words).collect::<Vec<_>>().join("; ");
        Error::NoServer { cause, detail: detail.into() }
    }
}

/// A connector that trusts `certificates` and shows its own where it is asked.
///
/// # Errors
/// [`Error::Credentials`].
pub(super) fn connector(Certificates { ca, identity }: &Certificates) -> Result<TlsConnector, Error> {
    let wrong = |error: String| Error::Credentials(error);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        let certificate =
            certificate.map_err(|error| wrong(format!("`ca` is not a PEM file of certificates: {error}")))?;
        roots.add(certificate).map_err(|error| wrong(format!("a certificate in `ca` cannot be used: {error}")))?;
    }
    if roots.is_empty() {
        return Err(wrong("there is no certificate in `ca`".to_owned()));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert.as_bytes()).collect();
            let chain = chain.map_err(|error| wrong(format!("`cert` is not a PEM file of certificates: {error}")))?;
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|error| wrong(format!("`key` is not a PEM file of a private key: {error}")))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| wrong(format!("`cert` and `key`: {error}")))?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_every_server_and_each_trouble_once() {
        let servers = Servers::parse("a:1,b:2,c:3", false).unwrap();
        let mut failures = Failures::default();
        for server in [2, 0, 0] {
            failures.add(server, (Cause::Refused, "connection refused".into()));
        }
        failures.add(1, (Cause::Silent, "no answer".into()));
        let Error::NoServer { cause, detail } = failures.error(&servers) else { panic!() };
        assert_eq!((cause, &*detail), (Cause::Refused, "a:1, c:3: connection refused; b:2: no answer"));
    }

    #[tokio::test]
    async fn a_silent_address_does_not_hold_up_the_next() {
        // A full backlog: a further connect has no answer.
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let port = silent.local_addr().unwrap().port();
        let _silent = silent.listen(0).unwrap();
        let mut full = Vec::new();
        while let Ok(Ok(stream)) = timeout(Duration::from_millis(100), TcpStream::connect(("127.0.0.2", port))).await {
            full.push(stream);
        }
        let listener = tokio::net::TcpListener::bind(("127.0.0.3", port)).await.unwrap();
        let servers = Arc::new(Servers::parse(&format!("127.0.0.2:{port},127.0.0.3:{port}"), false).unwrap());
        for _ in 0..4 {
            let mut dialing = Dialing::start(&servers, &ServerNames::default(), None, Duration::from_secs(3)).await;
            let begun = std::time::Instant::now();
            let (candidate, _) = dialing.next().await.unwrap();
            assert_eq!(candidate.server, 1);
            assert!(begun.elapsed() < Duration::from_secs(2));
        }
        drop(listener);
    }
}
