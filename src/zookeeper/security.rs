//! Identity of sessions, and checks of the servers': credentials, certificates, and the files they come from.
//!
//! Files are read anew for each session, so that a renewed certificate or a changed password needs no restart. Secrets
//! are never shown: not in messages, not by `Debug`, and a problem with `auth` points at its table instead of its line.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::registry::Error;
use crate::settings::{Located, Section, fixed};

/// Keys of `[registry.NAME]` about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Our credentials; none for none.
    pub auth: Option<AuthSource>,
    /// Encryption of connections; none for none.
    pub tls: Option<Tls>,
}

/// Source of credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthSource {
    /// From the configuration itself.
    Said(Auth),
    /// From a file that holds nothing else.
    File(PathBuf),
}

/// Credentials: a name and a password, and how they are shown to the servers.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    /// Scheme by which they are shown.
    pub scheme: Scheme,
    user: String,
    password: String,
}

/// Scheme by which credentials are shown to the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// ZooKeeper's own `digest`: as soon as the connection stands, and never refused; ACLs decide what it is good for.
    Digest,
    /// SASL with DIGEST-MD5 (RFC 2831): servers refuse wrong ones.
    Sasl,
}

/// Encryption of connections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Certificates (PEM) of those who may vouch for servers.
    pub ca: PathBuf,
    /// Our own certificate (PEM) and its private key (PEM), for servers that ask.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Everything that a session needs, read.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Our credentials.
    pub auth: Option<Auth>,
    /// The certificates, if connections are to be encrypted.
    pub tls: Option<Certificates>,
}

/// Certificates and keys, as PEM.
#[derive(Clone)]
pub struct Certificates {
    /// Those who may vouch for servers.
    pub ca: String,
    /// Our certificate and its key.
    pub identity: Option<(String, String)>,
}

impl Auth {
    /// Reads `digest:user:password` or `sasl:user:password`.
    ///
    /// # Errors
    /// The fault in it, without the secret.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = text.splitn(3, ':');
        let scheme = match parts.next() {
            Some("digest") => Scheme::Digest,
            Some("sasl") => Scheme::Sasl,
            _ => return Err("must begin with `digest:` or `sasl:`"),
        };
        match (parts.next(), parts.next()) {
            (Some(user), Some(password)) if !user.is_empty() && !password.is_empty() => {
                Ok(Self { scheme, user: user.to_owned(), password: password.to_owned() })
            }
            _ => Err("must be SCHEME:USER:PASSWORD"),
        }
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The scheme and the user, which may be shown.
    pub fn identity(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Digest => "digest",
            Scheme::Sasl => "sasl",
        };
        format!("{scheme} user {}", self.user)
    }

    /// The password.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("auth", &self.auth).finish_non_exhaustive()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("scheme", &self.scheme).field("user", &self.user).finish_non_exhaustive()
    }
}

impl Config {
    /// Reads the keys `auth`, `auth_file` and `tls`.
    pub fn read(section: &mut Section<'_>) -> Self {
        let auth = section.located::<String>(fixed("auth"));
        let file = section.located::<PathBuf>(fixed("auth_file"));
        let auth = match (auth, file) {
            (Some(_), Some(file)) => {
                section.problems().add(file.span, "`auth` and `auth_file` exclude each other");
                None
            }
            (Some(Located { value, .. }), None) => match Auth::parse(&value) {
                Ok(auth) => Some(AuthSource::Said(auth)),
                Err(reason) => {
                    // At the table: the line holds the password.
                    let message = format!("`auth` of [{}] {reason}", section.name());
                    section.problems().add(section.span(), message);
                    None
                }
            },
            (None, file) => file.map(|file| AuthSource::File(file.value)),
        };
        let tls = section.section(fixed("tls")).and_then(|mut section| {
            let ca = section.required::<PathBuf>(fixed("ca"));
            let cert = section.located::<PathBuf>(fixed("cert"));
            let key = section.located::<PathBuf>(fixed("key"));
            let identity = match (cert, key) {
                (Some(cert), Some(key)) => Some((cert.value, key.value)),
                (None, None) => None,
                (Some(one), None) | (None, Some(one)) => {
                    section.problems().add(one.span, "`cert` and `key` go together");
                    None
                }
            };
            section.finish();
            Some(Tls { ca: ca?.value, identity })
        });
        Self { auth, tls }
    }

    /// The credentials as far as they may be shown, and as far as no file has to be read for that.
    pub fn identity(&self) -> Option<String> {
        match self.auth.as_ref()? {
            AuthSource::Said(auth) => Some(auth.identity()),
            AuthSource::File(path) => Some(format!("as {} says", path.display())),
        }
    }

    /// Returns whether anything of it is in files.
    pub fn has_files(&self) -> bool {
        self.tls.is_some() || matches!(self.auth, Some(AuthSource::File(_)))
    }

    /// The files it names, to be found from elsewhere.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let auth = match &mut self.auth {
            Some(AuthSource::File(file)) => Some(file),
            _ => None,
        };
        let tls = self.tls.iter_mut().flat_map(|tls| {
            std::iter::once(&mut tls.ca).chain(tls.identity.iter_mut().flat_map(|(cert, key)| [cert, key]))
        });
        auth.into_iter().chain(tls)
    }

    /// Reads the files.
    ///
    /// # Errors
    /// [`Error::Credentials`]: which cannot be read, or does not hold what it should.
    pub fn load(&self) -> Result<Credentials, Error> {
        let auth = match &self.auth {
            None => None,
            Some(AuthSource::Said(auth)) => Some(auth.clone()),
            Some(AuthSource::File(path)) => {
                Some(Auth::parse(text(path)?.trim_end()).map_err(|reason| wrong(path, reason))?)
            }
        };
        let tls = match &self.tls {
            None => None,
            Some(Tls { ca, identity }) => {
                let ca = pem(ca)?;
                let identity = identity.as_ref().map(|(cert, key)| Ok((pem(cert)?, pem(key)?))).transpose()?;
                Some(Certificates { ca, identity })
            }
        };
        Ok(Credentials { auth, tls })
    }
}

fn text(path: &Path) -> Result<String, Error> {
    crate::disk::read_text(path).map_err(|error| wrong(path, error))
}

fn pem(path: &Path) -> Result<String, Error> {
    let text = text(path)?;
    if text.contains("-----BEGIN ") { Ok(text) } else { Err(wrong(path, "is no PEM file")) }
}

fn wrong(path: &Path, reason: impl fmt::Display) -> Error {
    Error::Credentials(format!("{}: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_a_scheme_a_user_and_a_password_with_any_characters() {
        let auth = Auth::parse("digest:reader:pass:word ").unwrap();
        assert_eq!((auth.scheme, auth.user(), auth.password()), (Scheme::Digest, "reader", "pass:word "));
        assert_eq!(Auth::parse("sasl:u:p").unwrap().scheme, Scheme::Sasl);
        for bad in ["", "digest", "digest:", "digest:user", "digest:user:", "digest::p", "user:password", "DIGEST:u:p"]
        {
            assert!(Auth::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let auth = Auth::parse("digest:reader:swordfish").unwrap();
        let config = Config { auth: Some(AuthSource::Said(auth)), tls: None };
        let shown = format!("{config:?}");
        assert!(shown.contains("reader") && !shown.contains("swordfish"), "{shown}");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name_and_without_what_it_holds() {
        let directory = std::env::temp_dir().join(format!("zonekeeper-security-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&directory).unwrap();
        let file = directory.join("secret");
        let config = Config { auth: Some(AuthSource::File(file.clone())), tls: None };
        let told = |config: &Config| config.load().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(told(&config).contains("secret: No such file"), "{}", told(&config));
        std::fs::write(&file, "swordfish\n").unwrap();
        assert!(told(&config).contains("secret: must begin with"), "{}", told(&config));
        assert!(!told(&config).contains("swordfish"), "{}", told(&config));
        std::fs::write(&file, "digest:reader:swordfish\n").unwrap();
        assert_eq!(config.load().unwrap().auth.unwrap().password(), "swordfish");
        let tls = Config { auth: None, tls: Some(Tls { ca: file, identity: None }) };
        assert!(told(&tls).contains("is no PEM file"), "{}", told(&tls));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
