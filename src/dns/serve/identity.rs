//! The names under which name servers are asked about themselves (RFC 4892, and BIND's before it): TXT records of class
//! CH, which are in no zone. Pure.

use std::sync::Arc;

use crate::dns::message::options::MAX_NSID;
use crate::zone::record::rtype;

/// The class CH (RFC 1035 §3.2.4).
pub const CHAOS: u16 = 3;

/// A server's answers about itself. Texts are at most 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// For `version.bind` and `version.server`: the program and its version.
    version: &'static str,
    /// For `hostname.bind`: the host's name.
    host: Arc<str>,
    /// For `id.server`: the name that `[dns] nsid` has, else the host's.
    server: Arc<str>,
}

/// A value of `nsid` that stands for the host's name.
pub const HOSTNAME: &str = "hostname";

/// The bytes that go out as NSID, where the configuration has this value and the host this name.
pub fn nsid<'a>(configured: &'a str, host: &'a str) -> &'a str {
    let name = if configured == HOSTNAME { host } else { configured };
    cut(name, MAX_NSID)
}

/// As much of a text as so many bytes hold.
fn cut(text: &str, bytes: usize) -> &str {
    (0..=bytes.min(text.len())).rev().find_map(|end| text.get(..end)).unwrap_or_default()
}

impl Identity {
    /// An identity on the host of this name, with this value of `nsid`.
    pub fn new(configured: &str, host: &str) -> Self {
        let own = nsid(configured, host);
        let host = cut(host, 255);
        Self {
            version: concat!("zonekeeper ", env!("CARGO_PKG_VERSION")),
            host: host.into(),
            server: if own.is_empty() { host } else { own }.into(),
        }
    }

    /// Returns the text for a name of class CH, by its labels in lower case; none where the name or the type is
    /// another's.
    pub fn text(&self, labels: &[impl AsRef<[u8]>], wanted: u16) -> Option<&str> {
        let [first, second] = labels else { return None };
        if ![rtype::TXT, rtype::ANY].contains(&wanted) {
            return None;
        }
        match (first.as_ref(), second.as_ref()) {
            (b"version", b"bind" | b"server") => Some(self.version),
            (b"hostname", b"bind") => Some(&self.host),
            (b"id", b"server") => Some(&self.server),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<'i>(identity: &'i Identity, name: &str, wanted: u16) -> Option<&'i str> {
        let labels: Vec<&str> = name.split('.').collect();
        identity.text(&labels, wanted)
    }

    #[test]
    fn four_names_have_a_text_and_no_others() {
        let identity = Identity::new("", "ns7");
        let version = Some(concat!("zonekeeper ", env!("CARGO_PKG_VERSION")));
        for (name, expected) in [
            ("version.bind", version),
            ("version.server", version),
            ("id.server", Some("ns7")),
            ("hostname.bind", Some("ns7")),
            ("hostname.server", None),
            ("id.bind", None),
            ("authors.bind", None),
            ("x.version.bind", None),
            ("bind", None),
            ("", None),
        ] {
            assert_eq!(text(&identity, name, rtype::TXT), expected, "{name}");
            assert_eq!(text(&identity, name, rtype::ANY), expected, "{name}");
            assert_eq!(text(&identity, name, rtype::A), None, "{name}");
        }
    }

    #[test]
    fn the_servers_own_name_is_the_configured_one() {
        for (configured, sent, id) in [("", "", "ns7"), ("hostname", "ns7", "ns7"), ("edge-1", "edge-1", "edge-1")] {
            assert_eq!(nsid(configured, "ns7"), sent);
            let identity = Identity::new(configured, "ns7");
            assert_eq!(text(&identity, "id.server", rtype::TXT), Some(id));
            assert_eq!(text(&identity, "hostname.bind", rtype::TXT), Some("ns7"));
        }
        let long = "ä".repeat(200);
        assert_eq!(nsid("hostname", &long).len(), MAX_NSID);
        assert_eq!(text(&Identity::new("", &long), "hostname.bind", rtype::TXT).map(str::len), Some(254));
    }
}
