//! Asks the running server: what all commands that do so have in common.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use super::config_file::ConfigFile;
use super::connect::{AdminAddress, Answer};
use crate::{admin, config};

/// A server that says nothing for this long is not going to.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Server that is asked.
#[derive(Debug, Args)]
pub(super) struct AdminServer {
    /// The admin server of the running process: host:port, `https://host:port` or `unix:/path` [default: its socket
    /// on this host, where it has one, else the address in the configuration, else 127.0.0.1:5380]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<AdminAddress>,
    /// Certificates to believe of an https server [default: the system's]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The file with the token that orders need [default: what the configuration says]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    file: ConfigFile,
}

/// An answer other than the one that was hoped for.
#[derive(Debug, thiserror::Error)]
#[error("the server at {address} answers {status}: {message}")]
pub(super) struct Refused {
    pub(super) address: AdminAddress,
    pub(super) status: u16,
    pub(super) message: String,
}

impl AdminServer {
    fn address(&self) -> anyhow::Result<AdminAddress> {
        if let Some(address) = &self.admin {
            return Ok(address.clone());
        }
        let admin = match self.file.path() {
            Ok(path) => match config::load(&path)?.admin {
                Some(admin) => admin,
                None => bail!("{} has no [admin] table, so its server cannot be asked", path.display()),
            },
            Err(error) if self.file.config.is_some() => return Err(error.into()),
            // Without any configuration it is `zonekeeper dev` that is asked.
            Err(_) => admin::config::Config::default(),
        };
        // This host's own way, where it is there: nobody else can listen on it.
        let mut sockets = admin::socket::candidates(&admin).into_iter().map(AdminAddress::Unix);
        Ok(sockets.find(AdminAddress::is_there).unwrap_or_else(|| match admin.tls {
            None => admin.listen.into(),
            Some(files) => AdminAddress::of_certificate(admin.listen, files.cert),
        }))
    }

    /// The token that orders need, if they need one.
    fn token(&self) -> anyhow::Result<Option<String>> {
        let of_config = || config::load(&self.file.path().ok()?).ok()?.admin?.token_file;
        let Some(file) = self.token_file.clone().or_else(of_config) else { return Ok(None) };
        match std::fs::read_to_string(&file) {
            Ok(token) => Ok(Some(token.trim().to_owned())),
            Err(error) => Err(error).with_context(|| format!("cannot read the token in {}", file.display())),
        }
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
        self.ask("POST", path, TIMEOUT)
    }

    /// Returns whether the server takes connections.
    pub(super) fn is_there(&self) -> bool {
        self.address().is_ok_and(|address| address.is_there())
    }

    /// Asks the server for `path` with these parameters.
    pub(super) fn get(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<String> {
        self.get_within(path, parameters, TIMEOUT)
    }

    /// The same where an answer may take as long as `patience`.
    pub(super) fn get_within(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        patience: Duration,
    ) -> anyhow::Result<String> {
        self.ask("GET", &target(path, parameters), patience)
    }

    fn ask(&self, method: &str, target: &str, patience: Duration) -> anyhow::Result<String> {
        // Whatever reads needs none.
        let token = if method == "POST" { self.token()? } else { None };
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> =
            bearer.as_deref().map(|bearer| ("Authorization", bearer)).into_iter().collect();
        let mut answer = self.send(method, target, &headers, patience)?;
        let address = self.address()?;
        answer.text().with_context(|| format!("cannot read the answer of the admin server {address}"))
    }

    fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], patience: Duration) -> anyhow::Result<Answer> {
        let address = self.address()?;
        let mut answer = address
            .send((method, target), headers, Some(patience), self.ca.as_deref())
            .with_context(|| format!("cannot ask the server's admin address {address}"))?;
        if answer.status != 200 {
            let body = answer.text().unwrap_or_default();
            let error = serde_json::from_str::<serde_json::Value>(&body).ok();
            let error = error.as_ref().and_then(|error| error["error"].as_str());
            let message = error.unwrap_or(&body).trim().to_owned();
            return Err(Refused { address, status: answer.status, message }.into());
        }
        Ok(answer)
    }
}

fn target(path: &str, parameters: &[(&str, &str)]) -> String {
    let pairs = parameters.iter().map(|(key, value)| format!("{key}={}", encoded(value)));
    match pairs.collect::<Vec<_>>().join("&") {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// Percent-encoding (RFC 3986 §2.1) of all but the plainest bytes.
pub(super) fn encoded(text: &str) -> String {
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
