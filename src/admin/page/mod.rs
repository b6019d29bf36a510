//! The pages for people with a browser. They are made here, whole, and need no script: with one they follow what
//! happens. Everything they show comes from the functions that make the JSON.
//!
//! - [`front`]: the first page; [`list`] its services, [`problems`] what is wrong, [`state`] the parts of the process,
//!   [`charts`] the last hour.
//! - [`mod@service`], [`changes`], [`explained`]: the other pages.
//! - [`shell`]: the frame around each, with its policy (`Content-Security-Policy`); [`parts`]: what they are made of.
//! - `page.js`: loads a page again when an event says so, and puts the new one in place of each part marked
//!   `data-live`. What it shows is what the server has written.

mod changes;
mod charts;
mod explained;
mod front;
mod list;
mod parts;
mod problems;
mod service;
mod shell;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::explain::ServerJson;
use super::history::{History, Sample};
use super::rate::Rate;
use super::ready;
use super::reply::{HTML, Refusal, answer};
use super::snapshot::Snapshot;
use super::sources::Sources;
use crate::disk;
use changes::ChangesQuestion;
use explained::ExplainQuestion;
use front::Front;
use list::{ListQuestion, ServiceList};
use service::{Found, ServiceQuestion};
use shell::{Frame, Heading, ICON, POLICY, SCRIPT, STYLE};

/// Sources of the pages. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Pages(Arc<PagesState>);

#[derive(Debug)]
struct PagesState {
    sources: Sources,
    server: ServerJson,
    rate: Option<Rate>,
    history: History,
    started: Instant,
    endpoints: &'static [(&'static str, &'static str)],
}

impl Pages {
    /// Pages about `sources`, which has been running since `started`, for the process `server`. `endpoints` are the
    /// paths for programs, and what each is for. Samples are taken from now on.
    pub(super) fn new(
        sources: Sources,
        server: ServerJson,
        rate: Option<Rate>,
        started: Instant,
        endpoints: &'static [(&'static str, &'static str)],
    ) -> Self {
        let history = History::default();
        tokio::spawn(history.clone().follow(sources.clone()));
        Self(Arc::new(PagesState { sources, server, rate, history, started, endpoints }))
    }

    /// The routes of all pages but the first, and of the files that go with them.
    pub(super) fn router(&self) -> Router {
        Router::new()
            .route("/events", get(events))
            .route("/explain", get(explain))
            .route("/services", get(service_in_query))
            .route("/services/", get(service_in_query))
            .route("/services/{*path}", get(service))
            .route("/page.css", get(async || file("text/css; charset=utf-8", STYLE)))
            .route("/page.js", get(async || file("text/javascript; charset=utf-8", SCRIPT)))
            .route("/icon.svg", get(async || file("image/svg+xml", ICON)))
            .with_state(self.clone())
    }

    /// The first page.
    pub(super) async fn front(&self, query: Option<String>) -> Result<Response, Refusal> {
        self.make(move |pages| {
            let question = ListQuestion::read(query.as_deref())?;
            let list = ServiceList::take(&pages.sources, &question)?;
            let snapshot = pages.look();
            let samples = pages.history.until(Sample::take(&pages.sources, Instant::now()));
            let (sources, endpoints) = (&pages.sources, pages.endpoints);
            let front =
                Front { sources, snapshot: &snapshot, question: &question, list: &list, samples: &samples, endpoints };
            let frame = pages.frame(&snapshot, Heading::Overview, question.url(), question.refresh);
            Ok((StatusCode::OK, frame.page(&front.body())))
        })
        .await
    }

    /// Makes a page on another thread, as long lists take a while and this one has probes to answer.
    async fn make(
        &self,
        make: impl FnOnce(&PagesState) -> Result<(StatusCode, String), Refusal> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let pages = Arc::clone(&self.0);
        let outcome = disk::aside(move || make(&pages)).await;
        let (status, page) = outcome.map_err(|error| Refusal::failed(error.to_string()))??;
        let mut response = answer(status, HTML, page);
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Ok(response)
    }
}

impl PagesState {
    fn look(&self) -> Snapshot {
        let queries = self.rate.as_ref().map(Rate::now);
        Snapshot { queries, ..Snapshot::take(&self.sources, self.started, Instant::now()) }
    }

    fn frame<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        heading: Heading<'a>,
        url: String,
        refresh: Option<u16>,
    ) -> Frame<'a> {
        Frame { server: &self.server, snapshot, is_ready: ready::is_ready(snapshot), heading, url, refresh }
    }
}

async fn events(State(pages): State<Pages>, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    pages
        .make(move |pages| {
            let question = ChangesQuestion::read(query.as_deref())?;
            let snapshot = pages.look();
            let frame = pages.frame(&snapshot, Heading::Changes, question.url(), question.refresh);
            Ok((StatusCode::OK, frame.page(&changes::body(&pages.sources, &question))))
        })
        .await
}

async fn explain(State(pages): State<Pages>, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    pages
        .make(move |pages| {
            let question = ExplainQuestion::read(query.as_deref())?;
            let snapshot = pages.look();
            let frame = pages.frame(&snapshot, Heading::Explain, question.url(), question.refresh);
            let (body, refusal) = question.body(&pages.sources, &pages.server);
            Ok((refusal.map_or(StatusCode::OK, |refusal| refusal.0), frame.page(&body)))
        })
        .await
}

async fn service(
    State(pages): State<Pages>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let Path(path) = path?;
    one_service(&pages, Some(path), query).await
}

/// A service of which the path is in the query, as it cannot be in the address.
async fn service_in_query(State(pages): State<Pages>, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    one_service(&pages, None, query).await
}

async fn one_service(pages: &Pages, path: Option<String>, query: Option<String>) -> Result<Response, Refusal> {
    pages
        .make(move |pages| {
            let question = ServiceQuestion::read(path, query.as_deref())?;
            let (sources, snapshot) = (&pages.sources, pages.look());
            let found = question.find(sources);
            let shown = match &found {
                Found::One(source, below) => {
                    let url = parts::service_url(sources, source, below);
                    service::body(sources, source, below).map(|body| (StatusCode::OK, url, body))
                }
                Found::Several(found) => {
                    Some((StatusCode::MULTIPLE_CHOICES, "/".to_owned(), question.several(sources, found)))
                }
                Found::Nothing => None,
            };
            let (status, url, body) =
                shown.unwrap_or_else(|| (StatusCode::NOT_FOUND, "/".to_owned(), question.nothing(sources)));
            let frame = pages.frame(&snapshot, Heading::Service(question.asked()), url, question.refresh);
            Ok((status, frame.page(&body)))
        })
        .await
}

/// A file of this version: its address has its tag, so that it may be kept.
fn file(content_type: &'static str, text: &'static str) -> Response {
    let mut response = answer(StatusCode::OK, content_type, text);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
