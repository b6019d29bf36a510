//! TLS for the checks `http` and `grpc`: who may vouch for the service, what it must be called, which certificate we
//! show, and a connection to it.
//!
//! Without `ca` those whom the system believes, from the file in which it keeps them, read once; with it, only those in
//! that file. With `verify = false` anybody: the check then asks whether it answers, not who. `ca`, `cert` and `key`
//! are read again when they were replaced, as certificates are renewed while checks go on; one that cannot be used
//! leaves what was read before in force.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme, WantsVerifier};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::warn;

use super::looks;
use super::outcome::ProbeFailure;
use super::target::Stream;
use crate::disk::looks::look_now;
use crate::disk::stamp::{Stamp, stamp};
use crate::settings::{Key, Section, live};

/// Places where systems keep the certificates that they believe: Debian and Alpine, Red Hat, SUSE, BSD.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The time that a look at the files may take: with those that were read before there is still time for a handshake.
const POLL: Duration = Duration::from_millis(200);

/// Time that the reading of a configuration waits for them.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Reason for having no certificates while their disk is silent.
const SILENT: &str = "the disk with the certificates does not answer";

/// Protocols to offer, most wanted first (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlpnOffer {
    /// HTTP/2, and HTTP/1.1.
    Http,
    /// HTTP/2 alone.
    Http2,
}

impl AlpnOffer {
    fn protocols(self) -> Vec<Vec<u8>> {
        let offered: &[&[u8]] = match self {
            Self::Http => &[b"h2", b"http/1.1"],
            Self::Http2 => &[b"h2"],
        };
        offered.iter().map(|protocol| protocol.to_vec()).collect()
    }
}

/// Encryption of connections.
#[derive(Debug, Clone)]
pub struct CheckTls {
    settings: Settings,
    /// Settings of connections, shared by all clones.
    loaded: Arc<Mutex<LoadedFiles>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    trust: ServerTrust,
    /// The name that the service's certificate must have and that it is asked for by, where that is not its host.
    server_name: Option<ServerName<'static>>,
    /// Files of our certificate and its key.
    identity: Option<(PathBuf, PathBuf)>,
    offer: AlpnOffer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ServerTrust {
    /// Whom the system believes.
    System,
    /// Those in this file.
    File(PathBuf),
    /// Anybody.
    NoVerification,
}

/// Content of the files; none where it cannot be used, and the reason.
struct LoadedFiles {
    stamps: Vec<Option<Stamp>>,
    /// The files that were not taken, and told of.
    refused: Option<Vec<Option<Stamp>>>,
    config: Result<Arc<ClientConfig>, String>,
}

impl std::fmt::Debug for LoadedFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("stamps", &self.stamps).finish_non_exhaustive()
    }
}

/// Two are the same when they have the same settings.
impl PartialEq for CheckTls {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

/// The keys of TLS.
pub(super) const KEYS: [&str; 5] = ["verify", "ca", "server_name", "cert", "key"];

impl CheckTls {
    /// Reads the keys `verify`, `ca`, `server_name`, `cert` and `key`.
    pub(super) fn read(section: &mut Section<'_>, offer: AlpnOffer) -> Self {
        let verify = section.located::<bool>(live("verify"));
        let ca = read_path(section, live("ca"));
        let trust = match (ca, verify.is_none_or(|verify| verify.value)) {
            (None, true) => ServerTrust::System,
            (None, false) => ServerTrust::NoVerification,
            (Some(_), false) => {
                if let Some(value) = section.value(live("ca")) {
                    let message = "`ca` says whom to believe, and `verify = false` to believe anybody";
                    section.problems().add(value.span, message);
                }
                ServerTrust::NoVerification
            }
            (Some(ca), true) => ServerTrust::File(ca),
        };
        let server_name = section.located::<String>(live("server_name")).and_then(|said| {
            let name = server_name(&said.value);
            if name.is_none() {
                let message = format!("`server_name` must be a name or an address, not \"{}\"", said.value);
                section.problems().add(said.span, message);
            }
            name
        });
        let identity = match (read_path(section, live("cert")), read_path(section, live("key"))) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (cert, _) => {
                let (said, other) = if cert.is_some() { ("cert", "key") } else { ("key", "cert") };
                if let Some(value) = section.value(live(said)) {
                    let message = format!("`{said}` needs `{other}`: a certificate and its key come together");
                    section.problems().add(value.span, message);
                }
                None
            }
        };
        let settings = Settings { trust, server_name, identity, offer };
        let loaded = settings.load_first();
        if let Err(why) = &loaded.config
            && settings.files().next().is_some()
            && why != SILENT
        {
            section.problems().add(section.span(), why.clone());
        }
        Self { settings, loaded: Arc::new(Mutex::new(loaded)) }
    }

    /// The name that the service is asked by, where that is not its host.
    pub(super) fn name(&self) -> Option<String> {
        self.settings.server_name.as_ref().map(|name| name.to_str().into_owned())
    }

    /// A connection over `stream`, whose other side shows that it is `host`, or `server_name`, where that is asked.
    ///
    /// # Errors
    /// A bad result, or none where the files cannot be read for now.
    pub(super) async fn connect(&self, host: &str, stream: Stream) -> Result<TlsStream<Stream>, ProbeFailure> {
        let config = self.current().await?;
        let name = self.settings.server_name.clone().or_else(|| server_name(host));
        let name = name.ok_or_else(|| format!("no certificate can be for \"{host}\": set `server_name`"))?;
        let connected = TlsConnector::from(config).connect(name, stream).await;
        connected.map_err(|error| format!("TLS handshake: {error}").into())
    }

    /// The settings of a connection, from the files as they are now. A disk that does not answer leaves what was read
    /// before in force.
    async fn current(&self) -> Result<Arc<ClientConfig>, ProbeFailure> {
        let looked = if let Some(file) = self.settings.files().next() {
            let all = self.clone();
            looks::look(file, POLL, move || all.refresh()).await
        } else {
            self.refresh();
            Ok(())
        };
        let config = self.loaded().config.clone();
        config.map_err(|why| looked.err().unwrap_or(ProbeFailure::Bad(why)))
    }

    fn loaded(&self) -> MutexGuard<'_, LoadedFiles> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files where they were replaced, or could not be used. Waits for their disk.
    fn refresh(&self) {
        let stamps = self.settings.stamps();
        let is_good = {
            let loaded = self.loaded();
            if stamps == loaded.stamps && loaded.config.is_ok() {
                return;
            }
            loaded.config.is_ok()
        };
        let read = self.settings.load();
        let mut loaded = self.loaded();
        match read {
            Ok(config) => (loaded.config, loaded.stamps, loaded.refused) = (Ok(config), stamps, None),
            // Told once; tried again at each look, as the fault may be this process's own.
            Err(_) if is_good && loaded.refused.as_ref() == Some(&stamps) => {}
            Err(why) if is_good => {
                warn!(why, "a check's certificates are not taken; those before are");
                loaded.refused = Some(stamps);
            }
            Err(why) => loaded.config = Err(why),
        }
    }
}

impl Settings {
    fn files(&self) -> impl Iterator<Item = &Path> {
        let ca = if let ServerTrust::File(path) = &self.trust { Some(path.as_path()) } else { None };
        let identity = self.identity.iter().flat_map(|(cert, key)| [cert.as_path(), key.as_path()]);
        ca.into_iter().chain(identity)
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.files().map(stamp).collect()
    }

    /// Content of the files when the configuration is read. A disk that does not answer does not hold that up: the
    /// checks read the files once it does.
    fn load_first(&self) -> LoadedFiles {
        let loaded = |stamps, config| LoadedFiles { stamps, refused: None, config };
        let Some(file) = self.files().next() else { return loaded(Vec::new(), self.load()) };
        let all = self.clone();
        if let Ok((stamps, config)) = look_now(file, TIMEOUT, move || (all.stamps(), all.load())) {
            return loaded(stamps, config);
        }
        warn!(file = %file.display(), "a check's certificates are left out until their disk answers");
        loaded(Vec::new(), Err(SILENT.to_owned()))
    }

    fn load(&self) -> Result<Arc<ClientConfig>, String> {
        // The system's certificates are a hundred and more, and the same for each of a thousand checks.
        // One that could not be read is tried again.
        static SYSTEMS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
        let builder = builder()?;
        let builder = match &self.trust {
            ServerTrust::System => {
                let known = SYSTEMS.get().map(Arc::clone);
                let roots = known.map_or_else(systems, Ok)?;
                builder.with_root_certificates(Arc::clone(SYSTEMS.get_or_init(|| roots)))
            }
            ServerTrust::File(path) => {
                let roots = read(path).and_then(|pem| roots(&pem).map_err(|why| format!("{}: {why}", path.display())));
                builder.with_root_certificates(roots?)
            }
            ServerTrust::NoVerification => {
                let verifier = Arc::new(NoVerification(Arc::new(aws_lc_rs::default_provider())));
                builder.dangerous().with_custom_certificate_verifier(verifier)
            }
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = CertificateDer::pem_slice_iter(&read(cert)?)
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| format!("{}: not a PEM file of certificates: {error}", cert.display()))?;
                if chain.is_empty() {
                    return Err(format!("{}: there is no certificate in it", cert.display()));
                }
                let secret = PrivateKeyDer::from_pem_slice(&read(key)?)
                    .map_err(|error| format!("{}: not a PEM file of a private key: {error}", key.display()))?;
                builder
                    .with_client_auth_cert(chain, secret)
                    .map_err(|error| format!("{} and {}: {error}", cert.display(), key.display()))?
            }
        };
        config.alpn_protocols = self.offer.protocols();
        Ok(Arc::new(config))
    }
}

/// The host as a certificate has it; none for what no certificate can hold (RFC 5280 §4.2.1.6).
pub(super) fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).ok()
}

/// Reads the path of a file, which must be absolute.
fn read_path(section: &mut Section<'_>, key: Key) -> Option<PathBuf> {
    let path = section.located::<PathBuf>(key)?;
    if !path.value.is_absolute() {
        section.problems().add(path.span, format!("`{key}` must be an absolute path"));
        return None;
    }
    Some(path.value)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    crate::disk::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn systems() -> Result<Arc<RootCertStore>, String> {
    let found = SYSTEM.iter().find_map(|path| std::fs::read(path).ok());
    roots(&found.ok_or("this system has no file of certificates that it believes: set `ca`")?)
}

fn roots(pem: &[u8]) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        // One that is too odd for the library vouches for nobody; the others do.
        let _ = roots.add(certificate.map_err(|error| format!("not a PEM file of certificates: {error}"))?);
    }
    if roots.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(Arc::new(roots))
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, String> {
    // The provider by name: nothing says which one is the process's.
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be used: {error}"))
}

/// Believes that a server is whoever it says, as long as it has the key of what it shows.
#[derive(Debug)]
struct NoVerification(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
