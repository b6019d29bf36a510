//! Events, as a list or as a stream.

use std::sync::Arc;

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use tokio::sync::Semaphore;

use super::services::{indexed, permit};
use crate::admin::events::{EventsQuestion, STREAM};
use crate::admin::reply::{JSON, Refusal, answer};
use crate::admin::sources::Sources;

/// The event after which a stream goes on.
const LAST_EVENT: &str = "last-event-id";

/// A stream, unless the query or `Accept` wants a list.
pub(super) async fn events(
    sources: &Sources,
    waiting: &Arc<Semaphore>,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let question = EventsQuestion::read(sources, query)?;
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (mut takes_stream, mut takes_json) = (false, false);
    accepted.by_ref().for_each(|value| {
        takes_stream |= value.contains("text/event-stream");
        takes_json |= value.contains("application/json");
    });
    if question.is_list || (takes_json && !takes_stream) {
        let _permit = question.poll.is_some().then(|| permit(waiting)).transpose()?;
        let list = question.list(&sources.events).await?;
        return Ok(indexed(answer(StatusCode::OK, JSON, list + "\n"), sources.events.last()));
    }
    let last = headers.get(LAST_EVENT).map(|value| value.to_str().unwrap_or_default());
    let body = question.stream(sources.events.clone(), last, permit(waiting)?);
    Ok(answer(StatusCode::OK, STREAM, body))
}
