//! Keys of a `[[zone]]` table about the forms of its names.

use super::{label, txt};
use crate::settings::{Located, Section, fixed, live};
use crate::zone::name::Name;

/// Settings of a zone for what it shows of services beyond their places.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Properties that are shown in TXT records, in their order there; none by default.
    pub txt: Vec<String>,
    /// The domain of hosts registered by a single label, in lower case and without a final dot. Without it they stand
    /// below `addr` in the zone.
    pub host_domain: Option<String>,
    /// Answer for hosts of which no address is known.
    pub unknown_host: UnknownHost,
    /// Paths of services below what the zone shows whose names are known without a znode.
    pub expect: Vec<String>,
    /// True if services have HTTPS records (RFC 9460).
    pub https: bool,
}

/// Answer to A and AAAA questions at the name of a service whose hosts' addresses are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownHost {
    /// SERVFAIL, until an address is known.
    #[default]
    ServFail,
    /// A CNAME to the host, where there is one alone, and nothing else at that name; otherwise SERVFAIL.
    Alias,
}

impl Config {
    /// The part that only a start takes.
    pub fn fixed(&self) -> Self {
        let Self { txt, host_domain, .. } = self.clone();
        Self { txt, host_domain, ..Self::default() }
    }

    /// Returns this configuration, which was read again, as far as a reload takes it from `before`.
    #[must_use]
    pub fn reloaded(&self, before: &Self) -> Self {
        let Self { txt, host_domain, .. } = before.clone();
        Self { txt, host_domain, ..self.clone() }
    }

    /// Reads the keys `txt`, `host_domain`, `expect`, `https` and `unknown_host`.
    pub fn read(section: &mut Section<'_>) -> Self {
        let mut config = Self::default();
        if let Some(Located { value, span }) = section.located::<Vec<String>>(fixed("txt")) {
            for bad in value.iter().filter(|key| !txt::is_key(key)) {
                let help = "RFC 6763 section 6.4: printable ASCII characters but \"=\"";
                section.problems().add_with_help(
                    span,
                    format!("`txt` holds {bad:?}, which is no key of a TXT record"),
                    help,
                );
            }
            config.txt = value;
        }
        let domain = section.located::<String>(fixed("host_domain")).filter(|domain| !domain.value.is_empty());
        if let Some(Located { value, span }) = domain {
            match Name::parse(&value) {
                Ok(name) if !name.is_root() && value.is_ascii() => {
                    config.host_domain = Some(value.trim_end_matches('.').to_ascii_lowercase());
                }
                _ => section.problems().add_with_help(
                    span,
                    "`host_domain` must be a domain name",
                    "such as \"example.com\"",
                ),
            }
        }
        if let Some(Located { value, span }) = section.located::<Vec<String>>(live("expect")) {
            for path in value {
                let path = path.trim_matches('/');
                let example = Name::root();
                if path.is_empty() || label::owner(&example, path).is_err() {
                    let help = "below the part of the registry that the zone shows, such as \"pay\" or \"staging/db\"";
                    section.problems().add_with_help(
                        span,
                        format!("`expect` holds {path:?}, which is not the path of a service"),
                        help,
                    );
                } else {
                    config.expect.push(path.to_ascii_lowercase());
                }
            }
        }
        config.https = section.or(live("https"), config.https);
        if let Some(Located { value, span }) = section.located::<String>(live("unknown_host")) {
            match &*value {
                "servfail" => config.unknown_host = UnknownHost::ServFail,
                "alias" => config.unknown_host = UnknownHost::Alias,
                _ => {
                    let help = "\"servfail\" (the default), or \"alias\" for a CNAME to the host";
                    section.problems().add_with_help(span, format!("`unknown_host` cannot be \"{value}\""), help);
                }
            }
        }
        config
    }
}
