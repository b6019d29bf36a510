//! TLS: what `[dns.tls]` (RFC 7858) and the like say, and the certificates that the server shows.
//!
//! Certificates are renewed by others, at any time: their files are looked at every few seconds and read when they are
//! others. One that cannot be used is told of and changes nothing. A server whose certificate could not be read yet
//! refuses every handshake and answers on its other addresses.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::disk;
use crate::disk::stamp::{Stamp, stamp};
use crate::dns::lists::read_listen;
use crate::dns::transport::Transport;
use crate::settings::{Section, fixed, live};

/// Time between two looks at the files.
const POLL: Duration = Duration::from_secs(5);
/// Time that the files have at the start.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// Port of DNS over TLS (RFC 7858 §3.1).
pub const PORT: u16 = 853;

/// The table `[dns.tls]`, or that part of another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Addresses to answer on.
    pub listen: Vec<SocketAddr>,
    /// Files with the certificate and its chain, and with its key, in PEM.
    pub files: Files,
}

/// Files that make a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and those that vouch for it up to an authority's.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Config {
    /// Reads the table; `port` is the usual one.
    pub fn read(section: &mut Section<'_>, port: u16) -> Self {
        let listen = section.value(fixed("listen")).map(|value| read_listen(value, section.name(), section.problems()));
        if listen.is_none() {
            let problem = format!("`listen` is missing in [{}]: {port} is the port", section.name());
            section.problems().add(section.span(), problem);
        }
        let listen = listen.unwrap_or_default();
        Self { listen, files: Files::read(section) }
    }
}

impl Files {
    /// Reads the keys `cert` and `key` of a table.
    pub fn read(section: &mut Section<'_>) -> Self {
        let mut file = |key| section.required::<PathBuf>(key).map(|file| file.value).unwrap_or_default();
        Self { cert: file(live("cert")), key: file(live("key")) }
    }

    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// The file, and what is wrong with it.
    pub fn load(&self) -> Result<Arc<CertifiedKey>, String> {
        let (cert, key) = (self.cert.display(), self.key.display());
        let read = |path: &Path| disk::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let chain = CertificateDer::pem_slice_iter(&read(&self.cert)?).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| format!("{cert}: {error}"))?;
        if chain.is_empty() {
            return Err(format!("{cert}: there is no certificate in it"));
        }
        let private = PrivateKeyDer::from_pem_slice(&read(&self.key)?)
            .map_err(|error| format!("{key}: there is no private key in it: {error}"))?;
        let pair = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider());
        Ok(Arc::new(pair.map_err(|error| format!("{key} does not go with {cert}: {error}"))?))
    }

    fn stamps(&self) -> [Option<Stamp>; 2] {
        [stamp(&self.cert), stamp(&self.key)]
    }
}

/// The certificate that the server shows, as its files have it.
#[derive(Debug)]
pub struct Certificate(Mutex<CertificateState>);

#[derive(Debug)]
struct CertificateState {
    /// Name of what shows it, for messages: `DNS over TLS`.
    service: String,
    files: Files,
    /// Stamps of the files when they were read last, right or wrong.
    stamps: Option<[Option<Stamp>; 2]>,
    shown: Option<Arc<CertifiedKey>>,
    trouble: Option<String>,
}

impl Certificate {
    /// The certificate of a service of this name (`DNS over TLS`), of these files, which are read now, as far as their
    /// disk answers at once.
    pub fn new(service: impl Into<String>, files: Files) -> Arc<Self> {
        let state = CertificateState { service: service.into(), files, stamps: None, shown: None, trouble: None };
        let certificate = Arc::new(Self(Mutex::new(state)));
        let looking = Arc::clone(&certificate);
        // Where the disk hangs, `follow` takes what comes.
        let _ = disk::within(FIRST_LOOK, move || looking.look());
        certificate
    }

    /// Takes other files; they are read with the next look.
    pub fn change(&self, files: &Files) {
        let mut state = self.lock();
        if state.files != *files {
            (state.files, state.stamps) = (files.clone(), None);
        }
    }

    /// Returns what is wrong with the files that there are now.
    pub fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// Reads the files anew whenever they have changed, until `stop`.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let looking = Arc::clone(&self);
            // A disk that hangs holds up this alone.
            let looked = disk::aside(move || looking.look());
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looked => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(POLL) => {}
            }
        }
    }

    /// Reads the files if they are not those that were read last.
    fn look(&self) {
        let files = self.lock().files.clone();
        // Before the reading, so that no change between the two is lost.
        let stamps = files.stamps();
        if self.lock().stamps == Some(stamps) {
            return;
        }
        let loaded = files.load();
        let mut state = self.lock();
        if state.files != files {
            return;
        }
        state.stamps = Some(stamps);
        let what = state.service.clone();
        match loaded {
            Ok(pair) => {
                let is_renewed = state.shown.replace(pair).is_some();
                if is_renewed || state.trouble.is_some() {
                    info!(file = %files.cert.display(), "the certificate of {what} was read again");
                }
                state.trouble = None;
            }
            Err(why) => {
                if state.trouble.as_ref() != Some(&why) {
                    let consequence = match state.shown {
                        Some(_) => "the one before is shown on".to_owned(),
                        None => format!("{what} refuses its clients until it can be read"),
                    };
                    warn!("the certificate of {what} cannot be used: {why}; {consequence}");
                }
                state.trouble = Some(why);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, CertificateState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.lock().shown.clone()
    }
}

/// The certificates of all transports that show one.
#[derive(Debug, Clone, Default)]
pub struct Certificates(Vec<(Transport, Arc<Certificate>)>);

impl Certificates {
    /// Certificates of these files.
    pub fn new<'f>(files: impl Iterator<Item = (Transport, &'f Files)>) -> Self {
        let certificate = |transport: Transport, files: &Files| {
            Certificate::new(format!("DNS over {}", transport.name()), files.clone())
        };
        Self(files.map(|(transport, files)| (transport, certificate(transport, files))).collect())
    }

    /// Takes other files, of transports that there were at the start; they are read with the next look.
    pub fn change<'f>(&self, files: impl Iterator<Item = (Transport, &'f Files)>) {
        for (transport, files) in files {
            self.get(transport).inspect(|certificate| certificate.change(files));
        }
    }

    /// The certificate of a transport.
    pub fn get(&self, transport: Transport) -> Option<Arc<Certificate>> {
        self.0.iter().find(|(one, _)| *one == transport).map(|(_, certificate)| Arc::clone(certificate))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.0.iter().map(|(_, certificate)| certificate)
    }
}

/// Names of a transport's protocols in the handshake (IANA's registry of ALPN ids).
fn alpn(transport: Transport) -> &'static [&'static [u8]] {
    match transport {
        Transport::Tls => &[b"dot"],
        Transport::Https => &[b"h2", b"http/1.1"],
        Transport::Quic => &[b"doq"],
        Transport::Udp | Transport::Tcp => &[],
    }
}

/// Terms of a transport's handshakes, in which this certificate is shown.
///
/// # Errors
/// When the library has no protocol version in common with its own ciphers.
pub(super) fn server_config(transport: Transport, certificate: Arc<Certificate>) -> io::Result<Arc<ServerConfig>> {
    terms(alpn(transport), certificate)
}

fn terms(alpn: &[&[u8]], certificate: Arc<Certificate>) -> io::Result<Arc<ServerConfig>> {
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// Handshakes with clients.
#[derive(Clone)]
pub struct Handshakes(TlsAcceptor);

impl Handshakes {
    /// Handshakes of a transport that show this certificate.
    ///
    /// # Errors
    /// When the library has no protocol version in common with its own ciphers.
    pub fn new(transport: Transport, certificate: Arc<Certificate>) -> io::Result<Self> {
        Ok(Self(TlsAcceptor::from(server_config(transport, certificate)?)))
    }

    /// Handshakes of HTTP/1.1 that show this certificate.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn http(certificate: Arc<Certificate>) -> io::Result<Self> {
        Ok(Self(TlsAcceptor::from(terms(&[b"http/1.1"], certificate)?)))
    }

    /// Shakes hands with a client.
    ///
    /// # Errors
    /// Those of the connection and of TLS.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_cannot_be_read_is_trouble_with_its_file() {
        let absent = Files { cert: "/nowhere/cert.pem".into(), key: "/nowhere/key.pem".into() };
        let certificate = Certificate::new("DNS over TLS", absent);
        let trouble = certificate.trouble().unwrap_or_default();
        assert!(trouble.starts_with("/nowhere/cert.pem: "), "{trouble}");
        assert!(certificate.lock().shown.is_none());
    }

    #[test]
    fn a_file_without_a_certificate_says_so() {
        let path = std::env::temp_dir().join(format!("zonekeeper-empty-{}.pem", std::process::id()));
        std::fs::write(&path, "nothing\n").unwrap();
        let error = Files { cert: path.clone(), key: path.clone() }.load().unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(error, format!("{}: there is no certificate in it", path.display()));
    }
}
