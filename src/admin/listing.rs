//! The list of services: which of them a question chooses, a page of them, and the way to the next.

use std::collections::BTreeSet;

use axum::body::Body;
use form_urlencoded::byte_serialize;

use super::events::LongPoll;
use super::pieces;
use super::query::parameters;
use super::reply::Refusal;
use super::services::{Fields, ServiceJson};
use crate::inspect::reader::Reader;
use crate::inspect::standing::InstanceStanding;
use crate::model::{Harm, State};
use crate::publish::events::event::EventRecord;
use crate::publish::reading::Reading;

/// Services that are looked at before others have their turn on the thread.
const AT_ONCE: usize = 64;

/// The services that are asked for, and the fields of them. Nothing asked for is no limit.
#[derive(Debug, Default)]
pub(super) struct ServicesQuestion {
    /// Name of the registry.
    pub(super) registry: Option<String>,
    prefix: Option<String>,
    state: Option<Condition>,
    after: Option<String>,
    limit: Option<usize>,
    fields: Fields,
    pub(super) poll: Option<LongPoll>,
}

/// Condition of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Empty,
    Drained,
    Lost,
    Doubtful,
}

impl Condition {
    /// The conditions, by their names.
    pub(super) const ALL: [(&'static str, Self); 4] =
        [("empty", Self::Empty), ("drained", Self::Drained), ("lost", Self::Lost), ("doubtful", Self::Doubtful)];

    pub(super) fn is_of(self, reading: &Reading, standing: &[InstanceStanding]) -> bool {
        let has = |harm| reading.malformed.iter().any(|one| one.harm == harm);
        let Reading { service, .. } = reading;
        match self {
            Self::Empty => standing.iter().all(|one| one.out.is_some()),
            Self::Drained => {
                let states = service.instances.iter().map(|one| one.state).chain([service.defaults.state]);
                !service.defaults.drains.is_empty() || states.into_iter().any(|state| state == State::Drain)
            }
            Self::Lost => has(Harm::Lost),
            Self::Doubtful => has(Harm::Doubtful),
        }
    }
}

/// A page of services: the paths of those on it, by reader.
#[derive(Debug)]
pub(super) struct ServicesPage {
    chosen: Vec<(Reader, Vec<String>)>,
    fields: Fields,
    /// Value of `after` for the next page; none on the last.
    pub(super) next: Option<String>,
}

impl ServicesQuestion {
    /// Reads what a list of services is asked with.
    pub(super) fn read(query: Option<&str>) -> Result<Self, Refusal> {
        let known = "`registry`, `prefix`, `state`, `fields`, `limit`, `after`, `index` and `wait`";
        let names = ["registry", "prefix", "state", "fields", "limit", "after", "index", "wait"];
        let [registry, prefix, state, fields, limit, after, index, wait] = parameters(query, names, known)?;
        let state = state.map(|word| {
            let found = Condition::ALL.iter().find(|(name, _)| *name == word).map(|(_, state)| *state);
            let unknown = || Refusal::bad(format!("`state` is empty, drained, lost or doubtful, not `{word}`"));
            found.ok_or_else(unknown)
        });
        let limit = limit.map(|text| match text.parse() {
            Ok(0) | Err(_) => Err(Refusal::bad(format!("`limit` is a number from 1 on, not `{text}`"))),
            Ok(limit) => Ok(limit),
        });
        Ok(Self {
            registry,
            prefix,
            state: state.transpose()?,
            after,
            limit: limit.transpose()?,
            fields: Fields::read(fields)?,
            poll: LongPoll::read(index, wait)?,
        })
    }

    /// Returns whether the list may be another one after an event.
    pub(super) fn is_changed_by(&self, event: &EventRecord) -> bool {
        let is_of = |registry: &String| event.registry.as_ref().is_none_or(|name| name.is_of(registry));
        let is_below = |prefix: &String| event.service.is_none() || event.is_about(prefix);
        self.registry.as_ref().is_none_or(is_of) && self.prefix.as_ref().is_none_or(is_below)
    }

    /// Chooses the services of `readers` that are on the page.
    pub(super) async fn page(self, readers: Vec<Reader>) -> ServicesPage {
        // A page goes on with the reader that the one before ended with.
        let resumed = self.after.as_deref().and_then(|after| resumed(&readers, after));
        let (is_one, first) = (readers.len() == 1, resumed.map_or(0, |(first, _)| first));
        let (mut chosen, mut left, mut next) = (Vec::new(), self.limit.unwrap_or(usize::MAX), None);
        let (mut last, mut looked) = (None, 0_usize);
        for (place, reader) in readers.into_iter().enumerate().skip(first) {
            let after = match resumed {
                Some((first, path)) => (first == place).then_some(path),
                None => self.after.as_deref(),
            };
            let mut paths = Vec::new();
            for path in self.paths(&reader, after) {
                looked += 1;
                if looked.is_multiple_of(AT_ONCE) {
                    tokio::task::yield_now().await;
                }
                if !self.is_meant(&reader, &path) {
                    continue;
                }
                if left == 0 {
                    next = last.take();
                    break;
                }
                left -= 1;
                last = Some(if is_one { path.clone() } else { format!("{}:{path}", reader.name) });
                paths.push(path);
            }
            chosen.push((reader, paths));
            if next.is_some() {
                break;
            }
        }
        ServicesPage { chosen, fields: self.fields, next }
    }

    /// Returns whether there is a service at `path`, in the condition that is asked for.
    fn is_meant(&self, reader: &Reader, path: &str) -> bool {
        let Some(state) = self.state else { return reader.is_service(path) };
        reader.read(path).is_some_and(|reading| state.is_of(&reading, &reader.standing(&reading)))
    }

    /// Paths at which services of a reader may be, of those that lie where the question says.
    fn paths(&self, reader: &Reader, after: Option<&str>) -> BTreeSet<String> {
        let mut paths = reader.candidates();
        if let Some(prefix) = &self.prefix {
            match reader.below(prefix.trim_end_matches('/')) {
                Some(prefix) => paths.retain(|path| is_at_or_below(path, prefix)),
                None => paths.clear(),
            }
        }
        if let Some(after) = after {
            paths = paths.split_off(after);
            paths.remove(after);
        }
        paths
    }
}

impl ServicesPage {
    /// The services, as they are when their turn comes, of the event `index` or later.
    pub(super) fn render(self, index: u64) -> Body {
        let Self { chosen, fields, next } = self;
        let services = chosen.into_iter().flat_map(move |(reader, paths)| {
            let fields = fields.clone();
            paths.into_iter().filter_map(move |path| {
                // One that went away meanwhile is left out.
                let reading = reader.read(&path)?;
                let standing = reader.standing(&reading);
                Some(ServiceJson::render(&reader, &reading, &standing, &fields))
            })
        });
        let next = serde_json::Value::from(next);
        pieces::list(format!("{{\"index\":{index},\"services\":["), services, format!("],\"next\":{next}}}"))
    }
}

/// The reader that `READER:PATH` names among several, and the path; none for a path alone.
fn resumed<'a>(readers: &[Reader], after: &'a str) -> Option<(usize, &'a str)> {
    let (name, path) = after.split_once(':').filter(|_| readers.len() > 1)?;
    let place = readers.iter().position(|reader| reader.name.to_string() == name)?;
    Some((place, path))
}

/// The address of the next page, relative to the present one's query.
pub(super) fn next_page(path: &str, query: Option<&str>, next: &str) -> String {
    let is_kept = |pair: &&str| !pair.is_empty() && !["after", "index", "wait"].iter().any(|key| has_key(pair, key));
    let mut pairs: Vec<&str> = query.unwrap_or_default().split('&').filter(is_kept).collect();
    let after = format!("after={}", byte_serialize(next.as_bytes()).collect::<String>());
    pairs.push(&after);
    format!("{path}?{}", pairs.join("&"))
}

fn has_key(pair: &str, key: &str) -> bool {
    pair.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

/// Returns whether `path` is `prefix` or lies below it.
pub(super) fn is_at_or_below(path: &str, prefix: &str) -> bool {
    prefix.is_empty() || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::Site;

    #[test]
    fn a_prefix_ends_where_an_element_does() {
        for (path, prefix, is_in) in [
            ("team1", "team1", true),
            ("team1/a", "team1", true),
            ("team10", "team1", false),
            ("team10/a", "team1", false),
            ("a", "", true),
        ] {
            assert_eq!(is_at_or_below(path, prefix), is_in, "{path} {prefix}");
        }
    }

    #[test]
    fn the_next_page_is_asked_for_like_this_one() {
        let of = |query| next_page("/v1/services", query, "main:a b&c");
        assert_eq!(of(None), "/v1/services?after=main%3Aa+b%26c");
        assert_eq!(
            of(Some("limit=2&after=a&fields=path&index=1&wait=1s")),
            "/v1/services?limit=2&fields=path&after=main%3Aa+b%26c"
        );
        assert_eq!(of(Some("afterwards=1&after")), "/v1/services?afterwards=1&after=main%3Aa+b%26c");
    }

    /// The paths of all pages, by following `next`, each with its registry.
    fn walked(site: &Site, query: &str) -> Vec<String> {
        let (mut target, mut all) = (format!("/v1/services?{query}"), Vec::new());
        loop {
            let reply = site.get(&target);
            assert_eq!(reply.status, 200, "{target}: {}", reply.body);
            let page: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
            let services = page["services"].as_array().unwrap();
            all.extend(services.iter().map(|one| format!("{}:{}", one["registry"], one["path"]).replace('"', "")));
            let Some(next) = page["next"].as_str() else {
                assert!(!reply.head.contains("link:"), "{}", reply.head);
                return all;
            };
            let (path, query) = target.split_once('?').unwrap();
            target = next_page(path, Some(query), next);
            let link = format!("link: <{target}>; rel=\"next\"").to_ascii_lowercase();
            assert!(reply.head.contains(&link), "{link}: {}", reply.head);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pages_have_every_service_once_whatever_their_size() {
        for names in [&["main"][..], &["main", "far"]] {
            let site = Site::open(names).await;
            let whole = walked(&site, "fields=path");
            assert_eq!(whole.len(), 3 * names.len(), "{whole:?}");
            for limit in 1..=7 {
                assert_eq!(walked(&site, &format!("fields=path&limit={limit}")), whole, "{limit}");
            }
            let empty = walked(&site, "fields=path&state=empty");
            assert_eq!(walked(&site, "fields=path&state=empty&limit=1"), empty);
            assert_eq!(empty.len(), 2 * names.len(), "{empty:?}");
            // A path alone holds for each registry, as it did before there were pages.
            let after = walked(&site, "fields=path&after=api_x");
            assert_eq!(after.len(), 2 * names.len(), "{after:?}");
            for bad in ["limit=0", "limit=-1", "limit=x"] {
                assert_eq!(site.get(&format!("/v1/services?{bad}")).status, 400, "{bad}");
            }
            site.stop.cancel();
        }
    }
}
