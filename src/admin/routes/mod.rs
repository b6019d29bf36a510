//! The endpoints, a line each, and how their answers become HTTP.

mod events;
mod prometheus;
mod services;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router, middleware};
use tokio::sync::Semaphore;

use crate::admin::control::{ClientAddress, Control, ControlOrder};
use crate::admin::page::Pages;
use crate::admin::rate::Rate;
use crate::admin::ready::{self, ReadyQuestion};
use crate::admin::reply::{JSON, Refusal, TEXT, answer, as_json, problem, text};
use crate::admin::snapshot::Snapshot;
use crate::admin::sources::Sources;
use crate::admin::{
    compress, control, dump, explain as explaining, json, metrics, openapi, overview, query, registrations,
};
use crate::announce::identity;
use crate::disk;
use crate::export::Form;
use crate::log;

/// Endpoints, and what each is for.
pub(super) const ENDPOINTS: &[(&str, &str)] = &[
    ("/", "all of this as pages for browsers: /services/{path}, /events, /explain; this list for others"),
    ("/healthz", "200 while the process lives"),
    (
        "/readyz",
        "503 while a whole zone is SERVFAIL, else 200; ?zone=ORIGIN asks about one; ?fresh: 503 for stale ones",
    ),
    ("/metrics", "metrics for Prometheus, in its text format, or as OpenMetrics if Accept says so"),
    ("/v1/openapi.json", "a description of all endpoints for programs (OpenAPI 3.1)"),
    ("/v1/status", "configuration, mirrors, zones and registrations, with what is wrong, as JSON; ?as=text"),
    ("/v1/registrations", "what is registered from here and how its checks stand, as text"),
    ("/v1/heartbeat/{path}", "POST or PUT: the service registered from here says that it is well, for its check.ttl"),
    ("/v1/process", "the version, process id and start of the process, as JSON"),
    (
        "/v1/reload",
        "POST, from this host or with the token: read the configuration again; what was taken, or why it was not",
    ),
    (
        "/v1/restart",
        "POST, from this host or with the token: check the configuration with the installed program, and go on as that",
    ),
    ("/v1/leave", "POST, from this host or with the token: take the registrations out and end"),
    (
        "/v1/services",
        "all services as JSON; ?registry=NAME (NAME/READER is one of its readers), prefix=PATH, state=empty, drained, \
         lost or doubtful, fields=path,in,… and limit=N choose, after=NEXT goes on; &index=N&wait=30s waits for a change; \
         If-None-Match takes the ETag",
    ),
    (
        "/v1/services/{path}",
        "one service, by its path or DNS name; ?registry=NAME where several registries have it; ?index=N&wait=30s waits",
    ),
    ("/v1/instances?name={name}", "the instances of a service that DNS gives; &index=N&wait=30s waits for a change"),
    (
        "/v1/events?since=1h",
        "what came, changed and went, as JSON; without `since` and `limit` as server-sent events; &name=NAME chooses; \
         ?index=N&wait=30s waits for the next",
    ),
    (
        "/v1/prometheus",
        "instances in DNS as targets for Prometheus' http_sd_configs; ?registry=NAME, ?prefix=PATH and ?port=NAME choose",
    ),
    ("/v1/dump", "whole zones: ?as=zone, json or hosts; ?zone=ORIGIN chooses one"),
    (
        "/v1/explain?name={name}",
        "why a name, path or address is answered as it is; &type=SRV for another type than A; &as=json",
    ),
];

/// Route of an endpoint, and what serves it.
type RouteRow = (&'static str, fn() -> MethodRouter<Arc<Context>>);

/// All routes. Each has a line in [`ENDPOINTS`] and is described in `admin::openapi`.
pub(super) const ROUTES: &[RouteRow] = &[
    ("/", || get(index)),
    ("/healthz", || get(healthz)),
    ("/readyz", || get(readyz)),
    ("/metrics", || get(metrics)),
    ("/v1/openapi.json", || get(described)),
    ("/v1/status", || get(status)),
    ("/v1/registrations", || get(registered)),
    ("/v1/heartbeat/{*path}", || post(heartbeat).put(heartbeat)),
    ("/v1/process", || get(process)),
    ("/v1/reload", || post(reload)),
    ("/v1/restart", || post(restart)),
    ("/v1/leave", || post(leave)),
    ("/v1/services", || get(all_services)),
    ("/v1/services/{*path}", || get(one_service)),
    ("/v1/instances", || get(instances)),
    ("/v1/events", || get(all_events)),
    ("/v1/prometheus", || get(targets)),
    ("/v1/dump", || get(whole_zones)),
    ("/v1/explain", || get(explain)),
];

/// The router of all endpoints, for so many connections at once.
pub(super) fn router(sources: Sources, admin: &str, connections: usize) -> Router {
    let server = explaining::ServerJson {
        host: identity::host_name().unwrap_or_else(|| "unknown host".to_owned()),
        admin: admin.to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
    };
    let rate = sources.dns.clone().map(Rate::new);
    if let Some(rate) = rate.clone() {
        tokio::spawn(rate.follow());
    }
    let waiting = Arc::new(Semaphore::new((connections - connections / 4).max(1)));
    let started = Instant::now();
    let pages = Pages::new(sources.clone(), server.clone(), rate.clone(), started, ENDPOINTS);
    let pages_router = pages.router();
    let shared = Context { sources, server, rate, waiting, started, pages };
    let router = ROUTES.iter().fold(Router::new(), |router, (path, served)| router.route(path, served()));
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::new(shared))
        .merge(pages_router)
        .layer(middleware::from_fn(compress::compress))
}

/// State that the requests share.
#[derive(Debug)]
pub(super) struct Context {
    sources: Sources,
    /// The process itself, for people who wonder which it is.
    server: explaining::ServerJson,
    rate: Option<Rate>,
    /// Room for requests that wait for events: as many connections are always left for others.
    waiting: Arc<Semaphore>,
    started: Instant,
    pages: Pages,
}

type App = State<Arc<Context>>;

impl Context {
    /// As of now, and whether the process is ready.
    fn look(&self) -> (Snapshot, bool) {
        let queries = self.rate.as_ref().map(Rate::now);
        let snapshot = Snapshot { queries, ..Snapshot::take(&self.sources, self.started, Instant::now()) };
        let ready = ready::is_ready(&snapshot);
        (snapshot, ready)
    }

    /// Returns whether the request has the token that changes need; false where they need none.
    async fn has_token(&self, headers: &HeaderMap) -> Result<bool, Refusal> {
        let Some(file) = self.sources.control.as_ref().and_then(Control::token_file) else { return Ok(false) };
        let headers = headers.clone();
        let unauthorized = |why| Refusal(StatusCode::UNAUTHORIZED, why);
        aside(move || control::has_token(&file, &headers).map_err(unauthorized)).await?;
        Ok(true)
    }

    fn control(&self) -> Result<&Control, Refusal> {
        let none = || Refusal::not_found("this process takes no orders".to_owned());
        self.sources.control.as_ref().ok_or_else(none)
    }
}

/// A page for browsers, which say that they take HTML; the list of endpoints for `curl` and its like.
async fn index(State(shared): App, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Refusal> {
    let takes_html =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| value.contains("text/html"));
    if !takes_html {
        let lines = ENDPOINTS.iter().map(|(path, purpose)| format!("{path:<25}{purpose}\n"));
        let list = format!("zonekeeper {}\n\n{}", env!("CARGO_PKG_VERSION"), lines.collect::<String>());
        return Ok(text(StatusCode::OK, list));
    }
    shared.pages.front(query).await
}

async fn healthz() -> Response {
    text(StatusCode::OK, "ok\n".to_owned())
}

async fn readyz(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let (snapshot, asked) = (shared.look().0, ReadyQuestion::read(query.as_deref())?);
    let waiting = ready::waiting(&snapshot, &asked)?;
    Ok(match waiting.as_str() {
        "" => text(StatusCode::OK, format!("ready\n{}", ready::unserved(&snapshot, &asked))),
        _ => text(StatusCode::SERVICE_UNAVAILABLE, waiting),
    })
}

async fn metrics(State(shared): App, headers: HeaderMap) -> Result<Response, Refusal> {
    let (snapshot, ready) = shared.look();
    let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (format, page) = metrics::page(snapshot, ready, &shared.sources, accept)
        .map_err(|_| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written".to_owned()))?;
    Ok(answer(StatusCode::OK, format, page))
}

async fn described() -> Response {
    answer(StatusCode::OK, JSON, openapi::document())
}

async fn status(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let [form] = query::parameters(query.as_deref(), ["as"], "`as`")?;
    let (snapshot, ready) = shared.look();
    match form.as_deref() {
        None | Some("json") => Ok(as_json(StatusCode::OK, &json::StatusJson::new(&snapshot, ready))),
        Some("text") => {
            let words = overview::render(&snapshot, &shared.server, ready);
            Ok(text(StatusCode::OK, log::visible(&words).into_owned()))
        }
        Some(other) => Err(Refusal::bad(format!("there is no form `{other}`, only text and json"))),
    }
}

async fn registered(State(shared): App) -> Response {
    text(StatusCode::OK, registrations::render(&shared.look().0))
}

async fn all_services(State(shared): App, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Refusal> {
    services::all(&shared.sources, &shared.waiting, query.as_deref(), &headers).await
}

async fn instances(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    services::instances(&shared.sources, &shared.waiting, query.as_deref()).await
}

async fn all_events(State(shared): App, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Refusal> {
    events::events(&shared.sources, &shared.waiting, query.as_deref(), &headers).await
}

async fn targets(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    prometheus::list(&shared.sources, query.as_deref())
}

async fn one_service(
    State(shared): App,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Path(path) = path?;
    let path = path.trim_end_matches('/');
    services::one(&shared.sources, &shared.waiting, path, query.as_deref(), &headers).await
}

async fn whole_zones(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let (form, dump) = aside(move || dump::dump(&shared.sources, query.as_deref())).await?;
    let kind = match form {
        Form::Json if dump.lines().count() == 1 => JSON,
        // A document a zone.
        Form::Json => openapi::LINES,
        _ => TEXT,
    };
    Ok(answer(StatusCode::OK, kind, dump))
}

async fn explain(State(shared): App, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let explained = aside(move || explaining::explain(&shared.sources, &shared.server, query.as_deref())).await?;
    let (form, explained) = explained;
    Ok(answer(StatusCode::OK, if form == explaining::AnswerForm::Json { JSON } else { TEXT }, explained))
}

/// Does what may take seconds on another thread: this one has probes to answer.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
    disk::aside(work).await.unwrap_or_else(|error| Err(Refusal::failed(error.to_string())))
}

/// The one thing that can be changed from here: when a service was last heard.
async fn heartbeat(
    State(shared): App,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Path(path) = path?;
    shared.has_token(&headers).await?;
    let path = path.trim_end_matches('/');
    let now = Instant::now();
    // In every registry that it is registered in: it is one service.
    let heard = shared.sources.announcements.iter().filter_map(|(_, status)| status.heartbeat(path, now)).max();
    match heard {
        None => Err(Refusal::not_found(format!("no service `{path}` is registered from here"))),
        Some(false) => {
            let why = format!("the service `{path}` has no check.ttl that waits for heartbeats");
            Err(Refusal(StatusCode::CONFLICT, why))
        }
        Some(true) => Ok(text(StatusCode::OK, "ok\n".to_owned())),
    }
}

async fn process(State(shared): App) -> Result<Response, Refusal> {
    Ok(as_json(StatusCode::OK, &shared.control()?.process()))
}

async fn reload(
    State(shared): App,
    peer: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    order(&shared, ControlOrder::Reload, peer, &headers).await
}

async fn restart(
    State(shared): App,
    peer: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    order(&shared, ControlOrder::Restart, peer, &headers).await
}

async fn leave(
    State(shared): App,
    peer: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    order(&shared, ControlOrder::Leave, peer, &headers).await
}

async fn order(
    shared: &Context,
    order: ControlOrder,
    peer: Option<Extension<ClientAddress>>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let is_free = shared.has_token(headers).await?;
    let refused = |why: &str| Refusal(StatusCode::FORBIDDEN, why.to_owned());
    if !is_free {
        control::may_change(peer.map(|Extension(peer)| peer), headers).map_err(refused)?;
    }
    let outcome = shared.control()?.give(order).await;
    outcome.map(|done| text(StatusCode::OK, done)).map_err(|why| Refusal(StatusCode::UNPROCESSABLE_ENTITY, why))
}

async fn not_found(uri: Uri) -> Response {
    let endpoints = ENDPOINTS.iter().map(|(path, _)| *path).collect::<Vec<_>>();
    let message = format!("there is no {} here", uri.path());
    problem(StatusCode::NOT_FOUND, &message, &endpoints)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    let is_order = ["/v1/reload", "/v1/restart", "/v1/leave"].contains(&uri.path());
    let takes = match uri.path() {
        path if path.starts_with("/v1/heartbeat/") => "POST and PUT",
        _ if is_order => "POST",
        _ => "GET and HEAD",
    };
    Refusal(StatusCode::METHOD_NOT_ALLOWED, format!("{} takes {takes}, not {method}", uri.path()))
}
