//! Keys that requests are signed with: `[[key]]` tables, and the HMAC each stands for. Secrets are never printed.

use std::fmt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac as _};
use sha2::{Sha256, Sha384, Sha512};

use crate::settings::{Kind, Located, Section, Table, live};
use crate::zone::name::Name;

/// The MACs that are strong enough to be offered (RFC 8945 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `hmac-sha256`, the one that everybody has.
    Sha256,
    /// `hmac-sha384`
    Sha384,
    /// `hmac-sha512`
    Sha512,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its name in the configuration, and in messages as a domain name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "hmac-sha256",
            Self::Sha384 => "hmac-sha384",
            Self::Sha512 => "hmac-sha512",
        }
    }

    /// Its name in wire form.
    pub fn wire(self) -> &'static [u8] {
        match self {
            Self::Sha256 => b"\x0bhmac-sha256\0",
            Self::Sha384 => b"\x0bhmac-sha384\0",
            Self::Sha512 => b"\x0bhmac-sha512\0",
        }
    }

    /// Bytes of a MAC.
    pub fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// A key: what two servers share.
#[derive(Clone, PartialEq, Eq)]
pub struct TsigKey {
    /// Its name, in lower case: both sides must call it the same.
    pub name: Name,
    /// Algorithm that it is used with.
    pub algorithm: Algorithm,
    secret: Vec<u8>,
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.name).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Shorter secrets are for guessing. NIST SP 800-107 asks for 112 bits.
const MIN_SECRET: usize = 14;

impl TsigKey {
    /// A key with this secret.
    pub fn new(name: &Name, algorithm: Algorithm, secret: Vec<u8>) -> Self {
        Self { name: name.folded(), algorithm, secret }
    }

    /// The MAC of these pieces, one behind the other.
    pub fn mac(&self, pieces: &[&[u8]]) -> Vec<u8> {
        let secret = &self.secret;
        match self.algorithm {
            Algorithm::Sha256 => over::<Hmac<Sha256>>(secret, pieces).map(|mac| mac.finalize().into_bytes().to_vec()),
            Algorithm::Sha384 => over::<Hmac<Sha384>>(secret, pieces).map(|mac| mac.finalize().into_bytes().to_vec()),
            Algorithm::Sha512 => over::<Hmac<Sha512>>(secret, pieces).map(|mac| mac.finalize().into_bytes().to_vec()),
        }
        .unwrap_or_default()
    }

    /// Returns whether `claimed` is the MAC of these pieces, whole; takes the same time wherever it differs.
    pub fn verify(&self, pieces: &[&[u8]], claimed: &[u8]) -> bool {
        let secret = &self.secret;
        match self.algorithm {
            Algorithm::Sha256 => {
                over::<Hmac<Sha256>>(secret, pieces).is_some_and(|mac| mac.verify_slice(claimed).is_ok())
            }
            Algorithm::Sha384 => {
                over::<Hmac<Sha384>>(secret, pieces).is_some_and(|mac| mac.verify_slice(claimed).is_ok())
            }
            Algorithm::Sha512 => {
                over::<Hmac<Sha512>>(secret, pieces).is_some_and(|mac| mac.verify_slice(claimed).is_ok())
            }
        }
    }

    /// The file that a `[[key]]` table names.
    pub fn file(table: &Table) -> Option<&Path> {
        match &table.get("secret_file")?.kind {
            Kind::String(path) => Some(Path::new(path)),
            _ => None,
        }
    }

    /// Reads a `[[key]]` table; a relative `secret_file` is relative to `directory`. Gives its name, and
    /// the key unless it has a problem.
    pub fn read(section: &mut Section<'_>, directory: &Path) -> (Option<Name>, Option<Self>) {
        let name = section.required::<String>(live("name"));
        let algorithm = section.located::<String>(live("algorithm"));
        let secret = section.located::<String>(live("secret"));
        let file = section.located::<PathBuf>(live("secret_file"));
        let problems = section.problems();
        let name = name.and_then(|Located { value, span }| match Name::parse(&value) {
            Ok(name) if !value.is_empty() && !name.is_root() => Some(name.folded()),
            _ => {
                problems.add(span, "`name` must be a domain name, the same on both sides");
                None
            }
        });
        let algorithm = match algorithm {
            None => Some(Algorithm::Sha256),
            Some(Located { value, span }) => {
                let found = Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == value);
                if found.is_none() {
                    let known = Algorithm::ALL.map(Algorithm::as_str).join(", ");
                    problems.add(span, format!("`algorithm` must be one of {known}, not \"{value}\""));
                }
                found
            }
        };
        let secret = match (secret, file) {
            // Not where it stands: the report shows the line.
            (Some(secret), None) => Some((secret.value, section.span(), "secret")),
            (None, Some(Located { value, span })) => match crate::disk::looks::read_text_now(&directory.join(&value)) {
                Ok(text) => Some((text, span, "secret_file")),
                Err(error) => {
                    problems.add(span, format!("`secret_file` cannot be read: {error}"));
                    None
                }
            },
            (Some(_), Some(Located { span, .. })) => {
                problems.add(span, "`secret` and `secret_file` exclude each other");
                None
            }
            (None, None) => {
                let help = "for example the output of `openssl rand -base64 32`";
                problems.add_with_help(section.span(), "a key needs a `secret` or a `secret_file`", help);
                None
            }
        };
        let secret = secret.and_then(|(text, span, key)| match data_encoding::BASE64.decode(text.trim().as_bytes()) {
            Ok(secret) if secret.len() >= MIN_SECRET => Some(secret),
            Ok(_) => {
                problems.add(span, format!("`{key}` is shorter than {MIN_SECRET} bytes: it could be guessed"));
                None
            }
            // What is wrong with it would tell something of it.
            Err(_) => {
                problems.add(span, format!("`{key}` must be in base64"));
                None
            }
        });
        let parts = name.clone().zip(algorithm).zip(secret);
        (name, parts.map(|((name, algorithm), secret)| Self::new(&name, algorithm, secret)))
    }
}

/// The state of a MAC over these pieces. HMAC takes keys of any length (RFC 2104 §3): there is always one.
fn over<M: hmac::Mac + hmac::KeyInit>(secret: &[u8], pieces: &[&[u8]]) -> Option<M> {
    let mut mac = <M as hmac::KeyInit>::new_from_slice(secret).ok()?;
    for piece in pieces {
        mac.update(piece);
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 §4.3, test case 2.
    #[test]
    fn the_macs_are_those_of_rfc4231() {
        for (algorithm, expected) in [
            (Algorithm::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                Algorithm::Sha384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                Algorithm::Sha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let key = TsigKey::new(&Name::parse("k").unwrap(), algorithm, b"Jefe".to_vec());
            let mac = key.mac(&[b"what do ya want ", b"for nothing?"]);
            assert_eq!(data_encoding::HEXLOWER.encode(&mac), expected);
            assert_eq!(mac.len(), algorithm.length());
            assert!(key.verify(&[b"what do ya want for nothing?"], &mac));
            assert!(!key.verify(&[b"what do ya want for nothing!"], &mac));
            assert!(!key.verify(&[b"what do ya want for nothing?"], &mac[1..]));
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let key = TsigKey::new(&Name::parse("k").unwrap(), Algorithm::Sha256, b"hush".to_vec());
        assert!(!format!("{key:?}").contains("104"), "{key:?}");
    }
}
