//! What a `[[zone]]` table says about the forms of its names.

use super::super::name::Name;
use super::txt;
use crate::settings::{Located, Section};

/// What a zone shows of its services beyond their places.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Properties that are shown in TXT records, in their order there; none by default.
    pub txt: Vec<String>,
    /// The domain of hosts registered by a single label, in lower case and without a final dot. Without it they stand
    /// below `addr` in the zone.
    pub host_domain: Option<String>,
}

impl Config {
    /// Reads the keys `txt` and `host_domain`.
    pub fn read(section: &mut Section<'_>) -> Self {
        let mut config = Self::default();
        if let Some(Located { value, span }) = section.located::<Vec<String>>("txt") {
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
        let domain = section.located::<String>("host_domain").filter(|domain| !domain.value.is_empty());
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
        config
    }
}
