//! The `[[zone]]` table.

use std::path::PathBuf;
use std::time::Duration;

use super::name::Name;
use super::order::Order;
use super::records;
use super::source::Merge;
use crate::diagnostic::{Problems, Span};
use crate::settings::{Key, Located, Section, fixed, live};

/// One zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its apex, in lower case.
    pub origin: Name,
    /// The registry that fills it; none for a zone that is its file and nothing else.
    pub registry: Option<String>,
    /// The part of the registry it shows: a path below the root, without slashes at its ends; empty for all of it.
    pub under: String,
    /// Its master file.
    pub file: Option<PathBuf>,
    /// Time to live of the registry's records where nobody says another, in seconds.
    pub ttl: u32,
    /// Time to live of negative answers, in seconds.
    pub negative_ttl: u32,
    /// The forms of its names.
    pub names: records::config::Config,
    /// Settings that a reload takes.
    pub live: Live,
}

/// The settings of a zone that a reload takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// True if positive answers leave out the zone's NS records (RFC 1034 §4.3.2 step 6 would have them).
    pub minimal_responses: bool,
    /// Choice of an answer's first record.
    pub order: Order,
    /// True if secondaries get the names that are only browsed, too.
    pub transfer_browse: bool,
    /// Fate of services that several readers of the registry have.
    pub merge: Merge,
}

impl Default for Live {
    fn default() -> Self {
        Self { minimal_responses: true, order: Order::default(), transfer_browse: false, merge: Merge::default() }
    }
}

impl Live {
    fn read(section: &mut Section<'_>) -> Self {
        let Self { minimal_responses, transfer_browse, .. } = Self::default();
        Self {
            minimal_responses: section.optional(live("minimal_responses")).unwrap_or(minimal_responses),
            order: read_order(section),
            transfer_browse: section.optional(live("transfer_browse")).unwrap_or(transfer_browse),
            merge: read_merge(section),
        }
    }
}

/// Times to live where none is said: short, as a change must show soon, and above 0, as that is not cached at all.
pub const DEFAULT_TTL: u32 = 5;

/// RFC 2181 §8 allows more; a week is what caches keep at most.
const MAX_TTL: Duration = Duration::from_secs(7 * 86_400);

impl Config {
    /// A zone at `origin` over all of `registry`.
    pub fn new(origin: Name, registry: Option<String>) -> Self {
        Self {
            origin,
            registry,
            under: String::new(),
            file: None,
            ttl: DEFAULT_TTL,
            negative_ttl: DEFAULT_TTL,
            names: records::config::Config::default(),
            live: Live::default(),
        }
    }

    /// Returns this configuration with the settings that a reload takes at their defaults: what only a start can take.
    pub fn fixed(&self) -> Self {
        Self { live: Live::default(), names: self.names.fixed(), ..self.clone() }
    }

    /// Reads what a zone's table says of the zone itself, whatever is wrong with it.
    pub fn read(section: &mut Section<'_>) -> ReadZone {
        let origin = section.required::<String>(fixed("origin"));
        let registry = section.located::<String>(fixed("registry"));
        let under = section.located::<String>(fixed("under")).filter(|under| !under.value.is_empty());
        let file = section.optional(fixed("file"));
        let ttl = time_to_live(section, fixed("ttl"));
        let negative_ttl = time_to_live(section, fixed("negative_ttl"));
        let names = records::config::Config::read(section);
        let live = Live::read(section);
        let path = under.as_ref().map_or(String::new(), |under| read_under(under, section.problems()));
        ReadZone {
            origin: origin.as_ref().map_or(section.span(), |origin| origin.span),
            under: under.map(|under| under.span),
            config: origin.and_then(|origin| read_origin(&origin, section.problems())).map(|origin| {
                let registry = registry.as_ref().map(|registry| registry.value.clone());
                Self { under: path, file, ttl, negative_ttl, names, live, ..Self::new(origin, registry) }
            }),
            registry,
        }
    }
}

/// A zone's table as it was read, with what only the whole configuration can check.
#[derive(Debug, Clone)]
pub struct ReadZone {
    /// The zone; none when it has no usable origin.
    pub config: Option<Config>,
    /// Span of its origin, or of a table without one.
    pub origin: Span,
    /// The registry it names.
    pub registry: Option<Located<String>>,
    /// Span of `under`, where it shows a part of the registry only.
    pub under: Option<Span>,
}

fn read_origin(Located { value, span }: &Located<String>, problems: &Problems) -> Option<Name> {
    const HELP: &str = "for example \"service.\", or \"sd.example.com.\"";
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        let help = "a name in another script is written as in DNS: \"xn--…\"";
        problems.add_with_help(*span, "`origin` must be made of ASCII characters, without spaces", help);
        return None;
    }
    match Name::parse(value) {
        Ok(_) if value.is_empty() => problems.add_with_help(*span, "`origin` must not be empty", HELP),
        Ok(origin) => return Some(origin.folded()),
        Err(error) => problems.add_with_help(*span, format!("`origin` must be a domain name: {error}"), HELP),
    }
    None
}

/// A path below the registry's root, without slashes at its ends.
fn read_under(Located { value, span }: &Located<String>, problems: &Problems) -> String {
    let path = value.trim_matches('/');
    if path.is_empty() || path.split('/').any(|element| matches!(element, "" | "." | "..")) {
        let help = "elements separated by single slashes, such as \"staging\"; \"\" is all of the registry";
        problems.add_with_help(*span, "`under` must be a path below the registry's root", help);
    }
    path.to_owned()
}

fn read_order(section: &mut Section<'_>) -> Order {
    let Some(Located { value, span }) = section.located::<String>(live("order")) else { return Order::default() };
    Order::parse(&value).unwrap_or_else(|| {
        let message = format!("`order` must be \"weighted\", \"uniform\" or \"fixed\", not \"{value}\"");
        section.problems().add(span, message);
        Order::default()
    })
}

fn read_merge(section: &mut Section<'_>) -> Merge {
    let Some(Located { value, span }) = section.located::<String>(live("merge")) else { return Merge::default() };
    Merge::parse(&value).unwrap_or_else(|| {
        let help = "\"first\": of one service in two readers that of the first; \"union\": the instances of both";
        let message = format!("`merge` must be \"first\" or \"union\", not \"{value}\"");
        section.problems().add_with_help(span, message, help);
        Merge::default()
    })
}

/// A time to live: a duration of whole seconds up to a week.
fn time_to_live(section: &mut Section<'_>, key: Key) -> u32 {
    let Some(Located { value, span }) = section.located::<Duration>(key) else { return DEFAULT_TTL };
    if value > MAX_TTL || value.subsec_nanos() != 0 {
        section.problems().add(span, format!("`{key}` must be whole seconds, at most a week"));
        return DEFAULT_TTL;
    }
    u32::try_from(value.as_secs()).unwrap_or(DEFAULT_TTL)
}
