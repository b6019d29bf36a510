//! Validators of what is said of services (RFC 9110 §8.8.3): a client that has the present one is told so, and nothing
//! is read for it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use super::sources::Sources;
use crate::inspect::reader::Reader;

/// A validator of answers about the services of some readers. To be taken before the services are read: what changes
/// meanwhile has another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validator(String);

impl Validator {
    /// The present one: of the last event, the znodes, what the guard and drains hold back, and the zones.
    pub(super) fn of(sources: &Sources, readers: &[Reader]) -> Self {
        let index = sources.events.last();
        let mut state = DefaultHasher::new();
        for reader in readers {
            reader.revision().hash(&mut state);
            reader.guard().map(|guard| guard.held).hash(&mut state);
            for (service, drain) in reader.drains().first(usize::MAX).1 {
                (service, drain.instance.map(|instance| instance.to_string()), drain.until).hash(&mut state);
                (drain.reason, drain.by, drain.at).hash(&mut state);
            }
        }
        for source in &sources.registries {
            source.status.report().counters.syncs.hash(&mut state);
        }
        for zone in sources.zones.iter() {
            zone.serial().hash(&mut state);
        }
        // Compressed or not, it is the same.
        Self(format!("W/\"{index:x}-{:x}\"", state.finish()))
    }

    /// The answer to a client that has this one already; none for others.
    pub(super) fn not_modified(&self, headers: &HeaderMap) -> Option<Response> {
        let mut values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let is_known = values.any(|value| value.split(',').any(|tag| tag.trim() == "*" || bare(tag) == bare(&self.0)));
        is_known.then(|| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            self.mark(response)
        })
    }

    /// The answer with this validator: it may be kept, but not used without asking.
    pub(super) fn mark(&self, mut response: Response) -> Response {
        if let Ok(tag) = HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(ETAG, tag);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::events::event::EventKind;

    #[test]
    fn a_client_with_the_present_validator_gets_no_body_and_one_with_another_does() {
        let sources = Sources::default();
        let validator = Validator::of(&sources, &[]);
        let asks = |values: &[&str]| {
            let headers = values.iter().map(|value| (IF_NONE_MATCH, HeaderValue::from_str(value).unwrap())).collect();
            validator.not_modified(&headers).map(|response| response.status().as_u16())
        };
        let (own, strong) = (validator.0.as_str(), validator.0.trim_start_matches("W/"));
        for values in [&[own][..], &[strong], &["*"], &["\"x\"", own], &[&format!("\"x\", {own}")]] {
            assert_eq!(asks(values), Some(304), "{values:?}");
        }
        for values in [&[][..], &[""], &["\"x\""], &["W/\"\""]] {
            assert_eq!(asks(values), None, "{values:?}");
        }
        sources.events.configuration(EventKind::Taken, "");
        assert_ne!(Validator::of(&sources, &[]), validator);
    }
}
