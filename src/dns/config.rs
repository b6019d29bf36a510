//! What `[dns]` says.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::access::{Networks, Transfers};
use crate::settings::{Kind, Located, Problems, Section, Setting, Value};
use crate::zone::name::Name;

/// The DNS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The addresses to answer on, UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// UDP threads for each address; 0 for as many as there are cores.
    pub threads: usize,
    /// Who may ask.
    pub allow_query: Networks,
    /// Who may transfer zones.
    pub allow_transfer: Transfers,
    /// Where the serials of the zones are kept for the next start.
    pub serial_file: Option<PathBuf>,
}

impl Default for Config {
    /// A port that needs no privilege, for this host alone.
    fn default() -> Self {
        Self {
            listen: vec![(Ipv4Addr::LOCALHOST, 5300).into()],
            threads: 0,
            allow_query: Networks::everybody(),
            allow_transfer: Transfers::default(),
            serial_file: None,
        }
    }
}

/// More threads than this are a mistake, or a machine that this was never tried on.
const MAX_THREADS: usize = 1024;

impl Config {
    /// Reads the `[dns]` table. `keys` are the names of the keys that there are.
    pub fn read(section: &mut Section<'_>, keys: &[Name]) -> Self {
        let mut config = Self::default();
        if let Some(value) = section.value("listen") {
            config.listen = read_listen(value, section.problems());
        }
        if let Some(Located { value, span }) = section.located("threads") {
            if value <= MAX_THREADS {
                config.threads = value;
            } else {
                section.problems().add(span, format!("`threads` must be at most {MAX_THREADS}"));
            }
        }
        if let Some(allowed) = read_list(section, "allow_query", Networks::parse) {
            config.allow_query = allowed;
        }
        if let Some(allowed) = read_list(section, "allow_transfer", |list| Transfers::parse(list, keys)) {
            config.allow_transfer = allowed;
        }
        config.serial_file = section.optional("serial_file");
        config
    }
}

/// Every address by itself, so that all that are wrong are told at once.
fn read_listen(value: &Value, problems: &Problems) -> Vec<SocketAddr> {
    let Kind::Array(items) = &value.kind else {
        let help = "for example [\"127.0.0.1:5300\", \"[::1]:5300\"]";
        problems.add_with_help(value.span, format!("`listen` must be a list, not {}", value.kind.name()), help);
        return Vec::new();
    };
    let mut listen = Vec::new();
    for item in items {
        match SocketAddr::read(item) {
            Err((span, message)) => problems.add(span, format!("`listen` has an element that {message}")),
            // Port 0 is a free port each time.
            Ok(address) if address.port() != 0 && listen.contains(&address) => {
                problems.add(item.span, format!("`listen` names {address} twice"));
            }
            Ok(address) => listen.push(address),
        }
    }
    if items.is_empty() {
        let help = "leave the [dns] table out to serve no DNS";
        problems.add_with_help(value.span, "`listen` must name an address", help);
    }
    listen
}

/// A list of strings that `parse` makes something of; its problem is told at the element it is about.
fn read_list<T>(
    section: &mut Section<'_>,
    key: &'static str,
    parse: impl FnOnce(&[String]) -> Result<T, (usize, String)>,
) -> Option<T> {
    let Located { value, span } = section.located::<Vec<String>>(key)?;
    let (index, problem) = match parse(&value) {
        Ok(parsed) => return Some(parsed),
        Err(problem) => problem,
    };
    let element = match section.value(key).map(|value| &value.kind) {
        Some(Kind::Array(elements)) => elements.get(index).map_or(span, |element| element.span),
        _ => span,
    };
    section.problems().add(element, format!("`{key}` has an element that {problem}"));
    None
}
