//! Events as JSON, as a list or as a stream (WHATWG HTML §9.2, server-sent events).

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{sleep, timeout};

use super::named;
use super::query::parameters;
use super::reply::Refusal;
use super::shapes::{ReaderJson, session, time_of};
use super::sources::Sources;
use crate::publish::events::Events;
use crate::publish::events::event::{Cause, EventRecord, Values};

/// Events in a list, and in one piece of a stream, at most.
const MAX_LISTED: usize = 10_000;
const MAX_AT_ONCE: usize = 500;
/// Time between two pieces of a stream: a burst is one.
const PAUSE: Duration = Duration::from_millis(100);
/// Time after which a stream says that it is there.
const QUIET: Duration = Duration::from_secs(15);
/// Time that long polling waits, where it does not say one, and at most.
const WAIT: Duration = Duration::from_secs(300);
const MAX_WAIT: Duration = Duration::from_secs(600);
/// The type of a stream.
pub(super) const STREAM: &str = "text/event-stream; charset=utf-8";

/// Waits for something new: `?index=N&wait=30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LongPoll {
    pub(super) index: u64,
    pub(super) wait: Duration,
}

impl LongPoll {
    /// Reads the values of `index` and `wait`.
    pub(super) fn read(index: Option<String>, wait: Option<String>) -> Result<Option<Self>, Refusal> {
        let Some(index) = index else {
            return match wait {
                None => Ok(None),
                Some(_) => Err(Refusal::bad("`wait` goes with `index`".to_owned())),
            };
        };
        let number = index.parse().map_err(|_| Refusal::bad(format!("`index` is not a number: `{index}`")))?;
        let wait = wait.map_or(Ok(WAIT), |wait| duration("wait", &wait))?.min(MAX_WAIT);
        Ok(Some(Self { index: number, wait }))
    }

    /// Waits until there is an event after the index that `is_wanted` takes, or the time is over.
    pub(super) async fn wait(self, events: &Events, is_wanted: impl Fn(&EventRecord) -> bool) {
        let mut last = events.follow();
        let mut after = self.index;
        let found = async {
            loop {
                let seen = *last.borrow_and_update();
                if events.last_of(after, &is_wanted).is_some() {
                    return;
                }
                after = seen;
                if last.changed().await.is_err() {
                    return;
                }
            }
        };
        // Over is over.
        let _ = timeout(self.wait, found).await;
    }
}

fn duration(key: &str, text: &str) -> Result<Duration, Refusal> {
    humantime::parse_duration(text).map_err(|error| Refusal::bad(format!("`{key}`: `{text}`: {error}")))
}

/// The events that are wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct EventFilter {
    registry: Option<String>,
    /// A path as it was given; of a name the services, each with its registry.
    path: Option<String>,
    services: Option<Vec<(String, String)>>,
}

impl EventFilter {
    /// Those of a registry, or all, about what `name` means, or all.
    pub(super) fn new(sources: &Sources, registry: Option<String>, name: Option<String>) -> Self {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Self { registry, ..Self::default() } };
        if named::is_path(sources, &name) {
            return Self { registry, path: Some(name), services: None };
        }
        let services = named::services(sources, &name);
        let services = services.into_iter().map(|one| (one.source.name.to_string(), one.below.to_ascii_lowercase()));
        Self { registry, path: None, services: Some(services.collect()) }
    }

    pub(super) fn takes(&self, event: &EventRecord) -> bool {
        let of_registry = |name: &String| event.registry.as_ref().is_some_and(|registry| registry.is_of(name));
        let of_services = |services: &Vec<(String, String)>| {
            let Some((registry, service)) = event.registry.as_ref().zip(event.service.as_ref()) else { return false };
            services.iter().any(|(of, one)| *of == registry.to_string() && service.eq_ignore_ascii_case(one))
        };
        self.registry.as_ref().is_none_or(of_registry)
            && self.path.as_ref().is_none_or(|path| event.is_about(path))
            && self.services.as_ref().is_none_or(of_services)
    }
}

/// A request for events.
#[derive(Debug)]
pub(super) struct EventsQuestion {
    filter: EventFilter,
    /// Milliseconds since 1970.
    since: u64,
    limit: usize,
    pub(super) poll: Option<LongPoll>,
    /// True if a list is wanted, and no stream, whatever else the request says.
    pub(super) is_list: bool,
}

impl EventsQuestion {
    /// Reads `?name=`, `registry`, `since`, `limit`, `index` and `wait`.
    pub(super) fn read(sources: &Sources, query: Option<&str>) -> Result<Self, Refusal> {
        let known = "`name`, `registry`, `since`, `limit`, `index` and `wait`";
        let [name, registry, since, limit, index, wait] =
            parameters(query, ["name", "registry", "since", "limit", "index", "wait"], known)?;
        let is_list = since.is_some() || limit.is_some() || index.is_some();
        let since = since.map_or(Ok(0), |since| moment(&since))?;
        let limit = match limit {
            None => MAX_LISTED,
            Some(text) => {
                let limit = text.parse().map_err(|_| Refusal::bad(format!("`limit` is not a number: `{text}`")))?;
                usize::min(limit, MAX_LISTED)
            }
        };
        let poll = LongPoll::read(index, wait)?;
        Ok(Self { filter: EventFilter::new(sources, registry, name), since, limit, poll, is_list })
    }

    /// The list, as JSON, once there is something new where that is waited for.
    pub(super) async fn list(self, events: &Events) -> Result<String, Refusal> {
        let Self { filter, since, limit, poll, .. } = self;
        if let Some(poll) = poll {
            poll.wait(events, |event| filter.takes(event)).await;
        }
        let (after, is_reset) = match poll {
            Some(poll) => (poll.index, events.after(poll.index, 0).is_reset),
            None => (0, false),
        };
        let is_new = |event: &EventRecord| is_reset || event.index > after;
        let page = events.since(since, limit, |event| is_new(event) && filter.takes(event));
        let list = EventsJson {
            index: page.last,
            reset: is_reset,
            events: page.events.iter().map(|event| EventJson::new(events, event)).collect(),
        };
        serde_json::to_string(&list).map_err(|error| Refusal::failed(format!("cannot write the events: {error}")))
    }

    /// The stream: what comes after the event `last`, or from now on. `permit` is held as long.
    pub(super) fn stream(self, events: Events, last: Option<&str>, permit: OwnedSemaphorePermit) -> Body {
        let follow = events.follow();
        let index = match last {
            None => Some(events.last()),
            Some(id) => events.index_of(id),
        };
        let opening = Some("retry: 1000\n\n".to_owned());
        let stream = EventStream { events, follow, index, filter: self.filter, opening, _permit: permit };
        Body::from_stream(stream::unfold(stream, async |mut stream| {
            let piece = stream.next().await?;
            Some((Ok::<_, Infallible>(piece), stream))
        }))
    }
}

/// Milliseconds since 1970 of `1h` (ago), a time as RFC 3339 writes it, or seconds since 1970.
fn moment(text: &str) -> Result<u64, Refusal> {
    let millis = |at: SystemTime| {
        u64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    };
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(seconds.saturating_mul(1000));
    }
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(SystemTime::now().checked_sub(ago).map_or(0, millis));
    }
    let error = || Refusal::bad(format!("`since` is neither a time (1h, 2026-11-30T12:00:00Z) nor seconds: `{text}`"));
    humantime::parse_rfc3339_weak(text).map(millis).map_err(|_| error())
}

/// A stream of events on its way to one reader.
struct EventStream {
    events: Events,
    follow: watch::Receiver<u64>,
    /// Index of the last event that was sent; `None` where the reader's is of no event that is known.
    index: Option<u64>,
    filter: EventFilter,
    /// The event that goes before all others.
    opening: Option<String>,
    _permit: OwnedSemaphorePermit,
}

impl EventStream {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        let mut text = self.opening.take().unwrap_or_default();
        if text.is_empty() {
            sleep(PAUSE).await;
        }
        loop {
            self.follow.borrow_and_update();
            self.take(&mut text);
            if !text.is_empty() {
                return Some(text);
            }
            match timeout(QUIET, self.follow.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => return Some(":\n\n".to_owned()),
            }
        }
    }

    /// Takes what there is after the last event that was sent.
    fn take(&mut self, text: &mut String) {
        let page = self.events.after(self.index.unwrap_or(u64::MAX), MAX_AT_ONCE);
        if page.is_reset {
            // It has missed some: what it knows is worth nothing, and it begins with what is true now.
            self.index = Some(page.last);
            let id = self.events.id(page.last);
            // A string can be written to always.
            let _ = write!(text, "event: reset\nid: {id}\ndata: {{\"index\":{}}}\n\n", page.last);
            return;
        }
        for event in page.events {
            self.index = Some(event.index);
            if !self.filter.takes(&event) {
                continue;
            }
            // Nothing in it cannot be written as JSON.
            if let Ok(json) = serde_json::to_string(&EventJson::new(&self.events, &event)) {
                let _ = write!(text, "id: {}\ndata: {json}\n\n", self.events.id(event.index));
            }
        }
    }
}

/// A list of events.
#[derive(Debug, Serialize)]
struct EventsJson<'e> {
    /// Index to wait for more from.
    index: u64,
    /// True if the index that was given is of no event that is known: these are all that are.
    reset: bool,
    events: Vec<EventJson<'e>>,
}

/// An event.
#[derive(Debug, Serialize)]
struct EventJson<'e> {
    id: String,
    index: u64,
    time: Option<String>,
    kind: &'static str,
    #[serde(flatten)]
    registry: Option<ReaderJson<'e>>,
    path: Option<&'e str>,
    service: Option<&'e str>,
    name: Option<&'e str>,
    instance: Option<&'e str>,
    session: Option<String>,
    cause: Option<&'static str>,
    before: Option<ValuesJson<'e>>,
    after: Option<ValuesJson<'e>>,
    detail: Option<&'e str>,
    counts: Option<CountsJson>,
    resync: bool,
    /// All of it in one sentence.
    text: String,
}

/// Values of an instance.
#[derive(Debug, Serialize)]
struct ValuesJson<'e> {
    endpoint: Option<&'e str>,
    state: &'static str,
    weight: Option<u16>,
    priority: Option<u16>,
    ttl: Option<u32>,
    tags: &'e [Box<str>],
    session: Option<String>,
}

/// Numbers of instances.
#[derive(Debug, Serialize)]
struct CountsJson {
    added: u64,
    changed: u64,
    gone: u64,
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl<'e> EventJson<'e> {
    fn new(events: &Events, event: &'e EventRecord) -> Self {
        Self {
            id: events.id(event.index),
            index: event.index,
            time: time_of(event.unix_ms.cast_signed()),
            kind: event.kind.as_str(),
            registry: event.registry.as_ref().map(ReaderJson::new),
            path: some(&event.path),
            service: event.service.as_deref(),
            name: event.name.as_deref(),
            instance: event.instance.as_deref(),
            session: session(event.session),
            cause: event.cause.map(Cause::as_str),
            before: event.before.as_ref().map(ValuesJson::new),
            after: event.after.as_ref().map(ValuesJson::new),
            detail: some(&event.detail),
            counts: event.counts.map(|counts| CountsJson {
                added: counts.added,
                changed: counts.changed,
                gone: counts.gone,
            }),
            resync: event.is_resync,
            text: event.sentence(),
        }
    }
}

impl<'e> ValuesJson<'e> {
    fn new(values: &'e Values) -> Self {
        Self {
            endpoint: some(&values.endpoint),
            state: values.state.as_str(),
            weight: values.weight,
            priority: values.priority,
            ttl: values.ttl,
            tags: &values.tags,
            session: session(values.session),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::events::event::EventKind;

    #[tokio::test(start_paused = true)]
    async fn long_polling_ends_with_the_first_event_that_is_wanted_or_with_its_time() {
        let events = Events::default();
        let poll = |index| LongPoll { index, wait: Duration::from_secs(30) };
        let begun = tokio::time::Instant::now();
        poll(events.last()).wait(&events, |_| true).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(30));
        let (one, index) = (events.clone(), events.last());
        tokio::spawn(async move {
            for kind in [EventKind::Gone, EventKind::Added] {
                sleep(Duration::from_secs(1)).await;
                one.configuration(kind, "");
            }
        });
        poll(index).wait(&events, |event| event.kind == EventKind::Added).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(32));
        poll(index + 9).wait(&events, |_| false).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(32), "an index that nobody has given waits for nothing");
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let hour = moment("1h").ok().unwrap() / 1000;
        assert!((now - 3601..=now - 3599).contains(&hour));
        assert_eq!(moment("1796073000").ok(), Some(1_796_073_000_000));
        assert_eq!(moment("1970-01-01T00:01:00Z").ok(), Some(60_000));
        assert!(moment("yesterday").is_err());
    }
}
