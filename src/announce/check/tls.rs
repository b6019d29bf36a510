//! TLS for the check `http`: who may vouch for the service, and a connection to it.
//!
//! Without `ca` those whom the system believes, from the file in which it keeps them, read once; with it, only those in
//! that file, read with the configuration. With `verify = false` anybody: the check then asks whether it answers, not who.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::target::Stream;
use crate::settings::Section;

/// Where systems keep the certificates that they believe: Debian and Alpine, Red Hat, SUSE, BSD.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whom to believe.
#[derive(Clone)]
pub struct Tls {
    trust: Trust,
    /// What a connection needs for it; none where that cannot be had, and why.
    config: Result<Arc<ClientConfig>, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Trust {
    /// Whom the system believes.
    System,
    /// Those in this file, with what was in it.
    File(PathBuf, Vec<u8>),
    /// Anybody.
    Anybody,
}

/// Two are the same when they believe the same.
impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.trust == other.trust
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.trust).finish()
    }
}

impl Tls {
    /// Reads the keys `verify` and `ca`.
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let verify = section.located::<bool>("verify");
        let ca = section.located::<PathBuf>("ca");
        let trust = match (ca, verify.is_none_or(|verify| verify.value)) {
            (None, true) => Trust::System,
            (None, false) => Trust::Anybody,
            (Some(ca), false) => {
                section.problems().add(ca.span, "`ca` says whom to believe, and `verify = false` to believe anybody");
                Trust::Anybody
            }
            (Some(ca), true) => match pem(&ca.value) {
                Ok(bytes) => Trust::File(ca.value, bytes),
                Err(why) => {
                    section.problems().add(ca.span, format!("`ca` {why}"));
                    Trust::System
                }
            },
        };
        let tls = Self { config: trust.config(), trust };
        if let (Trust::File(path, _), Err(why)) = (&tls.trust, &tls.config) {
            section.problems().add(section.span(), format!("{}: {why}", path.display()));
        }
        tls
    }

    /// A connection over `stream`, whose other side shows that it is `host` where that is asked.
    ///
    /// # Errors
    /// Why there is none, in a sentence.
    pub(super) async fn connect(&self, host: &str, stream: Stream) -> Result<TlsStream<Stream>, String> {
        let config = Arc::clone(self.config.as_ref().map_err(Clone::clone)?);
        let name = server_name(host).ok_or_else(|| format!("no certificate can be for \"{host}\""))?;
        let connected = TlsConnector::from(config).connect(name, stream).await;
        connected.map_err(|error| format!("there is no TLS with it: {error}"))
    }
}

/// The host as a certificate has it; none for what no certificate can hold (RFC 5280 §4.2.1.6).
pub(super) fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).ok()
}

fn pem(path: &Path) -> Result<Vec<u8>, String> {
    if !path.is_absolute() {
        return Err("must be an absolute path".to_owned());
    }
    std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}

impl Trust {
    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        match self {
            Self::File(_, bytes) => believing(bytes),
            // The system's are a hundred and more, and the same for each of a thousand checks.
            Self::System => {
                static SYSTEMS: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
                SYSTEMS.get_or_init(systems).clone()
            }
            Self::Anybody => {
                static ANYBODY: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
                ANYBODY.get_or_init(anybody).clone()
            }
        }
    }
}

fn systems() -> Result<Arc<ClientConfig>, String> {
    let found = SYSTEM.iter().find_map(|path| std::fs::read(path).ok());
    believing(&found.ok_or("this system has no file of certificates that it believes: give `ca`")?)
}

fn believing(pem: &[u8]) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        // One that is too odd for the library vouches for nobody; the others do.
        let _ = roots.add(certificate.map_err(|error| format!("it is no PEM file of certificates: {error}"))?);
    }
    if roots.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(Arc::new(builder()?.with_root_certificates(roots).with_no_client_auth()))
}

fn anybody() -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Anybody(Arc::clone(&provider)));
    Ok(Arc::new(builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    // The provider by name: nothing says which one is the process's.
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be used: {error}"))
}

/// Believes that a server is whoever it says, as long as it has the key of what it shows.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
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
