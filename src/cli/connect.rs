//! Connections to the admin server of a running process: `host:port`, `https://host:port`, or `unix:/path`.

mod pinned;

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use pinned::Pinned;

/// Time to connect to each address.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest line of a head.
const MAX_LINE: u64 = 16 * 1024;
/// Places where systems keep the certificates that they believe: Debian and Alpine, Red Hat, SUSE, BSD.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Address of an admin server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AdminAddress {
    /// A host, by name or address, and a port.
    Tcp(String, u16),
    /// The same with TLS.
    Tls(String, u16),
    /// The same with TLS and the certificate in this file, whatever names it has.
    Pinned(String, u16, PathBuf),
    /// The path of a socket.
    Unix(PathBuf),
}

/// A text that is no address of an admin server.
#[derive(Debug, thiserror::Error)]
#[error("write host:port, https://host:port or unix:/path")]
pub(super) struct NoAddress;

impl FromStr for AdminAddress {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(NoAddress) };
        }
        let of = |rest: &str| host_and_port(rest.trim_end_matches('/'));
        if let Some(rest) = text.strip_prefix("https://") {
            return of(rest).map(|(host, port)| Self::Tls(host, port));
        }
        of(text.strip_prefix("http://").unwrap_or(text)).map(|(host, port)| Self::Tcp(host, port))
    }
}

fn host_and_port(text: &str) -> Result<(String, u16), NoAddress> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok((address.ip().to_string(), address.port()));
    }
    let (host, port) = text.split_once(':').ok_or(NoAddress)?;
    let port = port.parse().map_err(|_| NoAddress)?;
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '?' | '#' | '[' | ']' | ':');
    if host.is_empty() || host.contains(is_odd) { Err(NoAddress) } else { Ok((host.to_owned(), port)) }
}

impl From<SocketAddr> for AdminAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(reachable(address).to_string(), address.port())
    }
}

/// The address at which a server that listens on `address` is asked: one that listens everywhere, on this host.
fn reachable(address: SocketAddr) -> IpAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
        _ => Ipv6Addr::LOCALHOST.into(),
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "{}:{port}", bracketed(host)),
            Self::Tls(host, port) | Self::Pinned(host, port, _) => write!(f, "https://{}:{port}", bracketed(host)),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A connection, whatever it is made of.
pub(super) trait AdminStream: Read + Write {}
impl<T: Read + Write> AdminStream for T {}

/// An answer: its status, and its body as it comes.
pub(super) struct Answer {
    pub(super) status: u16,
    body: BufReader<Box<dyn AdminStream>>,
}

impl AdminAddress {
    /// The address of this host's server that listens on `listen` and shows the certificate in the file `cert`.
    pub(super) fn of_certificate(listen: SocketAddr, cert: PathBuf) -> Self {
        Self::Pinned(reachable(listen).to_string(), listen.port(), cert)
    }

    /// Connects. A server that says nothing for `patience` is an error while it is read.
    fn open(&self, patience: Option<Duration>, ca: Option<&Path>) -> anyhow::Result<Box<dyn AdminStream>> {
        match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(patience)?;
                Ok(Box::new(stream))
            }
            Self::Tcp(host, port) => Ok(Box::new(connect(host, *port, patience)?)),
            Self::Tls(host, port) | Self::Pinned(host, port, _) => {
                let name =
                    ServerName::try_from(host.clone()).with_context(|| format!("`{host}` is not a valid host name"))?;
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                let config = ClientConfig::builder_with_provider(Arc::clone(&provider));
                let config = config.with_safe_default_protocol_versions()?;
                let config = match self {
                    Self::Pinned(.., file) if ca.is_none() => config
                        .dangerous()
                        .with_custom_certificate_verifier(Pinned::of_file(file, provider)?)
                        .with_no_client_auth(),
                    _ => config.with_root_certificates(roots(ca)?).with_no_client_auth(),
                };
                let tls = ClientConnection::new(Arc::new(config), name)?;
                Ok(Box::new(StreamOwned::new(tls, connect(host, *port, patience)?)))
            }
        }
    }

    /// Asks, with these headers.
    pub(super) fn send(
        &self,
        (method, target): (&str, &str),
        headers: &[(&str, &str)],
        patience: Option<Duration>,
        ca: Option<&Path>,
    ) -> anyhow::Result<Answer> {
        let mut stream = self.open(patience, ca)?;
        let host = match self {
            Self::Tcp(host, port) | Self::Tls(host, port) | Self::Pinned(host, port, _) => {
                format!("{}:{port}", bracketed(host))
            }
            Self::Unix(_) => "localhost".to_owned(),
        };
        let lines: Vec<String> = headers.iter().map(|(key, value)| format!("{key}: {value}\r\n")).collect();
        // With version 1.0 the answer ends with the connection, and is in one piece.
        write!(stream, "{method} {target} HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\n{}\r\n", lines.concat())?;
        stream.flush()?;
        let mut body = BufReader::new(stream);
        let mut line = String::new();
        body.by_ref().take(MAX_LINE).read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let Some(status) = status.filter(|_| line.starts_with("HTTP/")) else {
            bail!("the server's answer is no HTTP")
        };
        loop {
            line.clear();
            if body.by_ref().take(MAX_LINE).read_line(&mut line)? == 0 {
                bail!("the server's answer ends in its head");
            }
            if line.trim_end().is_empty() {
                return Ok(Answer { status, body });
            }
        }
    }

    /// Returns whether the server takes connections.
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Unix(path) => UnixStream::connect(path).is_ok(),
            Self::Tcp(host, port) | Self::Tls(host, port) | Self::Pinned(host, port, _) => {
                connect(host, *port, None).is_ok()
            }
        }
    }
}

impl Answer {
    /// The whole body.
    pub(super) fn text(&mut self) -> io::Result<String> {
        let mut body = Vec::new();
        match self.body.read_to_end(&mut body) {
            // A server that ends a connection of TLS without saying so has sent all the same.
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            _ => Ok(String::from_utf8_lossy(&body).into_owned()),
        }
    }
}

fn connect(host: &str, port: u16, patience: Option<Duration>) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                stream.set_read_timeout(patience)?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The certificates that are believed: those in the file `ca`, or the system's.
fn roots(ca: Option<&Path>) -> anyhow::Result<RootCertStore> {
    let system = SYSTEM.iter().map(Path::new).find(|path| path.exists());
    let file = ca.or(system).context("this system has no certificates that it believes: name some with --ca")?;
    let mut roots = RootCertStore::empty();
    let read = || format!("cannot read the certificates in {}", file.display());
    let certificates = CertificateDer::pem_file_iter(file).with_context(read)?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().with_context(read)?;
    // The system's may have some that are of no use.
    if roots.add_parsable_certificates(certificates).0 == 0 {
        bail!("there is no certificate in {}", file.display());
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_people_write_them() {
        let tcp = |host: &str, port| AdminAddress::Tcp(host.to_owned(), port);
        for (text, address) in [
            ("localhost:80", tcp("localhost", 80)),
            ("http://web7:81/", tcp("web7", 81)),
            ("10.0.0.1:5380", tcp("10.0.0.1", 5380)),
            ("[::1]:5380", tcp("::1", 5380)),
            ("https://web7.example:5380", AdminAddress::Tls("web7.example".into(), 5380)),
            ("unix:/run/zonekeeper/admin", AdminAddress::Unix("/run/zonekeeper/admin".into())),
            ("unix:///run/x", AdminAddress::Unix("/run/x".into())),
        ] {
            assert_eq!(text.parse::<AdminAddress>().ok(), Some(address.clone()), "{text}");
            assert_eq!(address.to_string().parse::<AdminAddress>().ok(), Some(address), "{text}");
        }
        for text in [
            "",
            "nonsense",
            "::1",
            "https://x",
            ":5380",
            "unix:",
            "unix:x",
            "a b",
            "http://",
            "localhost:x",
            "a@b:1",
            "a:1:2",
        ] {
            assert!(text.parse::<AdminAddress>().is_err(), "{text}");
        }
    }
}
