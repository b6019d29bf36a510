//! Asks the running server's admin address: what `explain` and `dump` have in common.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use super::config_file::ConfigFile;
use crate::{admin, config};

/// A server that says nothing for this long is not going to.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Server that is asked.
#[derive(Debug, Args)]
pub(super) struct AdminServer {
    /// The admin address of the running server [default: what the configuration says, else 127.0.0.1:5380]
    #[arg(long, value_name = "ADDR:PORT")]
    admin: Option<SocketAddr>,
    #[command(flatten)]
    file: ConfigFile,
}

impl AdminServer {
    fn address(&self) -> anyhow::Result<SocketAddr> {
        if let Some(address) = self.admin {
            return Ok(address);
        }
        // Without any configuration it is `zonekeeper dev` that is asked.
        let path = match self.file.path() {
            Ok(path) => path,
            Err(error) if self.file.config.is_some() => return Err(error.into()),
            Err(_) => return Ok(admin::config::Config::default().listen),
        };
        let Some(admin) = config::load(&path)?.admin else {
            bail!("{} has no [admin] table, so its server cannot be asked", path.display());
        };
        Ok(admin.listen)
    }

    /// Finds out which address is meant.
    ///
    /// # Errors
    /// When the configuration does not say it.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.address().map(drop)
    }

    /// Gives the server an order.
    pub(super) fn post(&self, path: &str) -> anyhow::Result<String> {
        self.ask("POST", path)
    }

    /// Returns whether the server takes connections.
    pub(super) fn is_there(&self) -> bool {
        self.address().is_ok_and(|address| TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_ok())
    }

    /// Asks the server for `path` with these parameters.
    pub(super) fn get(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<String> {
        let pairs = parameters.iter().map(|(key, value)| format!("{key}={}", encoded(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        self.ask("GET", &format!("{path}?{query}"))
    }

    fn ask(&self, method: &str, target: &str) -> anyhow::Result<String> {
        let address = self.address()?;
        let asked = || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            // With version 1.0 the answer ends with the connection, and is in one piece.
            write!(stream, "{method} {target} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n")?;
            let mut response = Vec::new();
            stream.read_to_end(&mut response)?;
            Ok(response)
        };
        let response = asked().with_context(|| format!("cannot ask the server's admin address {address}"))?;
        let response = String::from_utf8_lossy(&response);
        let (head, body) = response.split_once("\r\n\r\n").context("the server's answer is no HTTP")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        if status != "200" {
            let error = serde_json::from_str::<serde_json::Value>(body).ok();
            let error = error.as_ref().and_then(|error| error["error"].as_str());
            bail!("the server at {address} answers {status}: {}", error.unwrap_or(body).trim());
        }
        Ok(body.to_owned())
    }
}

/// Percent-encoding (RFC 3986 §2.1) of all but the plainest bytes.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_odd_is_encoded() {
        assert_eq!(encoded("_a._tcp.x-1"), "_a._tcp.x-1");
        assert_eq!(encoded("a b\\&=%ä"), "a%20b%5C%26%3D%25%C3%A4");
    }
}
