//! One event, and the sentence for it.

use std::fmt::{self, Write as _};

use crate::model::{Instance, State};
use crate::registry::ReaderName;

/// Tags that are kept of an instance.
const MAX_TAGS: usize = 16;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Its place among the events of all processes of this server: later ones have larger numbers, also after a
    /// restart. Given by the ring.
    pub index: u64,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
    /// Its kind.
    pub kind: EventKind,
    /// The registry, or the reader of one; `None` for what is of the process.
    pub registry: Option<ReaderName>,
    /// Full path of the znode, of the service for one of a service; empty for none.
    pub path: String,
    /// Path of the service below the root; `None` for what is of no service.
    pub service: Option<String>,
    /// The service's DNS name.
    pub name: Option<String>,
    /// Name of the instance.
    pub instance: Option<Box<str>>,
    /// The session that owns, or owned, the znode; 0 for none.
    pub session: i64,
    /// Reason for which an instance is gone.
    pub cause: Option<Cause>,
    /// Values before.
    pub before: Option<Values>,
    /// Values after.
    pub after: Option<Values>,
    /// More in words, such as a reason; may be empty.
    pub detail: String,
    /// Numbers, where it stands for many.
    pub counts: Option<ChangeCounts>,
    /// True if it was found when the registry was read again, and happened at any time before.
    pub is_resync: bool,
}

/// Kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// An instance is registered.
    Added,
    /// What an instance, or a service about all of its own, says is different.
    Changed,
    /// An instance or a service is drained.
    Drained,
    /// It is no longer.
    Undrained,
    /// An instance is no longer registered.
    Gone,
    /// A service has its first instance in DNS.
    First,
    /// A service has no instance in DNS any longer.
    Last,
    /// Many changes of one service.
    Many,
    /// A registry was read for the first time.
    Read,
    /// A registry is followed.
    Live,
    /// A registry is not followed any longer.
    Lost,
    /// Answers are those of the cache file.
    Stale,
    /// A registry was not followed for `max_stale`.
    Expired,
    /// A configuration was taken.
    Taken,
    /// A configuration was rejected.
    Rejected,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Added,
        Self::Changed,
        Self::Drained,
        Self::Undrained,
        Self::Gone,
        Self::First,
        Self::Last,
        Self::Many,
        Self::Read,
        Self::Live,
        Self::Lost,
        Self::Stale,
        Self::Expired,
        Self::Taken,
        Self::Rejected,
    ];

    /// One word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Drained => "drained",
            Self::Undrained => "undrained",
            Self::Gone => "gone",
            Self::First => "first",
            Self::Last => "last",
            Self::Many => "many",
            Self::Read => "read",
            Self::Live => "live",
            Self::Lost => "lost",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Taken => "taken",
            Self::Rejected => "rejected",
        }
    }
}

/// Reason for which an instance is gone, as far as its znode tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// This process took it out.
    Withdrawn,
    /// All znodes of its session went at once.
    Session,
    /// It was deleted.
    Deleted,
    /// Its znode is there and cannot be used.
    Malformed,
}

impl Cause {
    /// One word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Withdrawn => "withdrawn",
            Self::Session => "session",
            Self::Deleted => "deleted",
            Self::Malformed => "malformed",
        }
    }
}

/// Values of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// Its address and port.
    pub endpoint: String,
    /// Its state.
    pub state: State,
    /// Its weight, if it says one.
    pub weight: Option<u16>,
    /// Its priority, if it says one.
    pub priority: Option<u16>,
    /// Its time to live in seconds, if it says one.
    pub ttl: Option<u32>,
    /// Its first tags.
    pub tags: Vec<Box<str>>,
    /// The session that owns its znode; 0 for none.
    pub session: i64,
}

impl Values {
    /// Values of `instance`, whose znode `session` owns.
    pub fn of(instance: &Instance, session: i64) -> Self {
        Self {
            endpoint: instance.endpoint.to_string(),
            state: instance.state,
            weight: instance.weight,
            priority: instance.priority,
            ttl: instance.ttl,
            tags: instance.tags.iter().take(MAX_TAGS).cloned().collect(),
            session,
        }
    }
}

/// Numbers of instances, where an event stands for many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangeCounts {
    /// Those that were registered.
    pub added: u64,
    /// Those that changed.
    pub changed: u64,
    /// Those that are gone.
    pub gone: u64,
}

impl EventRecord {
    /// An event of now with nothing but its kind.
    pub fn new(kind: EventKind, unix_ms: u64) -> Self {
        Self {
            index: 0,
            unix_ms,
            kind,
            registry: None,
            path: String::new(),
            service: None,
            name: None,
            instance: None,
            session: 0,
            cause: None,
            before: None,
            after: None,
            detail: String::new(),
            counts: None,
            is_resync: false,
        }
    }

    /// Returns whether it is about what `wanted` names: a path of an instance, a service or a part of the registry,
    /// with or without the root, or the DNS name of a service.
    pub fn is_about(&self, wanted: &str) -> bool {
        let is_at_or_below = |path: &str, above: &str| {
            path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let path = wanted.trim_end_matches('/');
        let of_path = if wanted.starts_with('/') {
            is_at_or_below(&self.path, path)
        } else {
            self.service.as_deref().is_some_and(|service| is_at_or_below(service, path))
        };
        of_path || self.name.as_deref().is_some_and(|name| is_name(name, wanted))
    }

    /// The event in one sentence, without its time.
    pub fn sentence(&self) -> String {
        let mut text = String::new();
        match (&self.service, &self.registry) {
            (Some(service), _) => text.push_str(if service.is_empty() { &self.path } else { service }),
            (None, Some(registry)) => {
                // A string can be written to always.
                let _ = write!(text, "registry {registry}");
            }
            (None, None) => text.push_str("configuration"),
        }
        if let Some(instance) = &self.instance {
            let _ = write!(text, ": {instance}");
        }
        let _ = write!(text, " {}", self.kind.as_str());
        let _ = self.write_more(&mut text);
        if !self.detail.is_empty() {
            let _ = write!(text, ": {}", self.detail);
        }
        if self.is_resync {
            text.push_str(" (found on reading again)");
        }
        text
    }

    fn write_more(&self, text: &mut String) -> fmt::Result {
        match self.kind {
            EventKind::First => text.push_str(": an instance is in DNS again, or for the first time"),
            EventKind::Last => text.push_str(": no instance is in DNS any longer"),
            _ => {}
        }
        match self.cause {
            Some(Cause::Withdrawn) => text.push_str(", withdrawn by this agent"),
            Some(Cause::Session) => write!(text, ", its session {:#x} is over", self.session)?,
            Some(Cause::Deleted) => text.push_str(", its znode was deleted"),
            Some(Cause::Malformed) => text.push_str(", its znode cannot be used"),
            None => {}
        }
        if let (Some(before), Some(after)) = (&self.before, &self.after) {
            write_difference(before, after, text)?;
        }
        if let Some(ChangeCounts { added, changed, gone }) = self.counts {
            write!(text, ": {added} added, {changed} changed, {gone} gone")?;
        }
        Ok(())
    }
}

/// Returns whether `wanted` is the domain name `name`, with or without its final labels and dot.
fn is_name(name: &str, wanted: &str) -> bool {
    let (name, wanted) = (name.trim_end_matches('.'), wanted.trim_end_matches('.'));
    let Some((head, rest)) = name.split_at_checked(wanted.len()) else { return false };
    !wanted.is_empty() && head.eq_ignore_ascii_case(wanted) && (rest.is_empty() || rest.starts_with('.'))
}

fn write_difference(before: &Values, after: &Values, text: &mut String) -> fmt::Result {
    fn number<T: fmt::Display>(value: Option<T>) -> String {
        value.map_or_else(|| "default".to_owned(), |value| value.to_string())
    }
    let pairs = [
        ("", before.endpoint.clone(), after.endpoint.clone()),
        ("state ", before.state.as_str().to_owned(), after.state.as_str().to_owned()),
        ("weight ", number(before.weight), number(after.weight)),
        ("priority ", number(before.priority), number(after.priority)),
        ("TTL ", number(before.ttl), number(after.ttl)),
        ("tags ", before.tags.join(","), after.tags.join(",")),
        ("session ", format!("{:#x}", before.session), format!("{:#x}", after.session)),
    ];
    let mut separator = ": ";
    for (what, before, after) in pairs.iter().filter(|(_, before, after)| before != after) {
        let shown = |value: &str| if value.is_empty() { "none".to_owned() } else { value.to_owned() };
        write!(text, "{separator}{what}{} → {}", shown(before), shown(after))?;
        separator = ", ";
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, Host};

    fn values(weight: u16) -> Values {
        let instance = Instance::new("10.0.0.1:80", Endpoint { host: Host::V4([10, 0, 0, 1].into()), port: 80 });
        Values { weight: Some(weight), ..Values::of(&instance, 7) }
    }

    fn event(kind: EventKind) -> EventRecord {
        EventRecord {
            registry: Some(ReaderName::only("main")),
            path: "/services/team1/api_x/10.0.0.1:80".into(),
            service: Some("team1/api_x".into()),
            name: Some("api_x.team1.service.".into()),
            instance: Some("10.0.0.1:80".into()),
            session: 7,
            ..EventRecord::new(kind, 0)
        }
    }

    #[test]
    fn an_event_is_about_its_instance_its_service_what_is_above_it_and_its_name() {
        let event = event(EventKind::Added);
        for wanted in [
            "/services/team1/api_x/10.0.0.1:80",
            "/services/team1/api_x",
            "/services/team1/",
            "team1/api_x",
            "team1",
            "api_x.team1.service.",
            "API_X.team1.service",
            "api_x.team1",
            "api_x",
        ] {
            assert!(event.is_about(wanted), "{wanted}");
        }
        for wanted in ["/services/team", "team", "team10", "api", "team1.service", "/", "", "x"] {
            assert!(!event.is_about(wanted) || wanted == "/", "{wanted}");
        }
    }

    #[test]
    fn a_sentence_says_what_was_and_what_is() {
        let changed = EventRecord { before: Some(values(1)), after: Some(values(5)), ..event(EventKind::Changed) };
        assert_eq!(changed.sentence(), "team1/api_x: 10.0.0.1:80 changed: weight 1 → 5");
        let gone = EventRecord { cause: Some(Cause::Session), is_resync: true, ..event(EventKind::Gone) };
        let sentence = "team1/api_x: 10.0.0.1:80 gone, its session 0x7 is over (found on reading again)";
        assert_eq!(gone.sentence(), sentence);
        let lost = EventRecord {
            registry: Some(ReaderName::only("main")),
            detail: "Connection refused".into(),
            ..EventRecord::new(EventKind::Lost, 0)
        };
        assert_eq!(lost.sentence(), "registry main lost: Connection refused");
    }
}
