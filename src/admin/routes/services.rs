//! Services: all, one, and the instances of one that DNS gives.

use std::sync::Arc;

use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::admin::events::{EventFilter, LongPoll};
use crate::admin::listing::{ServicesQuestion, next_page};
use crate::admin::named::{self, NamedService};
use crate::admin::query::parameters;
use crate::admin::reply::{JSON, Refusal, answer, as_json};
use crate::admin::services::{Fields, ServiceFacts, ServiceJson};
use crate::admin::sources::Sources;
use crate::admin::validator::Validator;
use crate::inspect::reader::Reader;
use crate::inspect::standing::{self, InDns};
use crate::model::Instance;
use crate::publish::events::event::{EventKind, EventRecord};
use crate::publish::reading::Reading;

/// The index of the last event, with each answer that can be waited for.
const INDEX: &str = "x-zonekeeper-index";

/// Adds the index to an answer.
pub(super) fn indexed(mut response: Response, index: u64) -> Response {
    response.headers_mut().insert(INDEX, HeaderValue::from(index));
    response
}

/// Waits, if that is wanted, for an event after an index, among no more requests than may wait at once.
async fn wait(
    sources: &Sources,
    waiting: &Arc<Semaphore>,
    poll: Option<LongPoll>,
    is_wanted: impl Fn(&EventRecord) -> bool,
) -> Result<(), Refusal> {
    if let Some(poll) = poll {
        let _permit = permit(waiting)?;
        poll.wait(&sources.events, is_wanted).await;
    }
    Ok(())
}

/// Room for one more request that waits.
pub(super) fn permit(waiting: &Arc<Semaphore>) -> Result<tokio::sync::OwnedSemaphorePermit, Refusal> {
    let full = |_| Refusal(StatusCode::SERVICE_UNAVAILABLE, "as many requests wait as may at once".to_owned());
    Arc::clone(waiting).try_acquire_owned().map_err(full)
}

/// The registry called `name`, or all of them.
fn readers(sources: &Sources, name: Option<&str>) -> Result<Vec<Reader>, Refusal> {
    let all = sources.registries.iter().map(|source| &source.reader);
    let readers = all.filter(|reader| name.is_none_or(|name| reader.name.is_of(name))).cloned().collect::<Vec<_>>();
    match name {
        Some(name) if readers.is_empty() => Err(Refusal::not_found(format!("there is no registry `{name}` here"))),
        _ => Ok(readers),
    }
}

/// All services that `?registry=`, `prefix`, `state`, `after` and `limit` choose.
pub(super) async fn all(
    sources: &Sources,
    waiting: &Arc<Semaphore>,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let question = ServicesQuestion::read(query)?;
    let readers = readers(sources, question.registry.as_deref())?;
    wait(sources, waiting, question.poll, |event| question.is_changed_by(event)).await?;
    let (index, validator) = (sources.events.last(), Validator::of(sources, &readers));
    if let Some(response) = validator.not_modified(headers) {
        return Ok(indexed(response, index));
    }
    let page = question.page(readers).await;
    let next = page.next.as_ref().map(|next| format!("<{}>; rel=\"next\"", next_page("/v1/services", query, next)));
    let mut response = validator.mark(answer(StatusCode::OK, JSON, page.render(index)));
    if let Some(Ok(next)) = next.map(|next| HeaderValue::from_str(&next)) {
        response.headers_mut().insert(LINK, next);
    }
    Ok(indexed(response, index))
}

/// The service at a path, or of a DNS name.
pub(super) async fn one(
    sources: &Sources,
    waiting: &Arc<Semaphore>,
    asked: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let known = "`registry`, `fields`, `index` and `wait`";
    let [registry, fields, index, wait_for] = parameters(query, ["registry", "fields", "index", "wait"], known)?;
    let (fields, poll) = (Fields::read(fields)?, LongPoll::read(index, wait_for)?);
    let readers = readers(sources, registry.as_deref())?;
    let filter = EventFilter::new(sources, registry, Some(asked.to_owned()));
    wait(sources, waiting, poll, |event| filter.takes(event)).await?;
    let (index, validator) = (sources.events.last(), Validator::of(sources, &readers));
    if let Some(response) = validator.not_modified(headers) {
        return Ok(indexed(response, index));
    }
    let mut found: Vec<(&Reader, Reading)> =
        readers.iter().filter_map(|reader| Some((reader, reader.read(reader.below(asked)?)?))).collect();
    if found.is_empty() {
        let named = named::services(sources, asked);
        found = named
            .iter()
            .filter_map(|one| {
                let reader = readers.iter().find(|reader| reader.name == one.source.name)?;
                Some((reader, reader.read(&one.below)?))
            })
            .collect();
    }
    match &*found {
        [] => Err(Refusal::not_found(format!("there is no service `{asked}`"))),
        [(reader, reading)] => {
            let standing = reader.standing(reading);
            let facts = ServiceFacts::new(reader, reading, &standing, &fields);
            let service = ServiceJson::new(reading, &facts, &fields).indexed(index);
            Ok(indexed(validator.mark(as_json(StatusCode::OK, &service)), index))
        }
        several => {
            let names = several.iter().map(|(reader, _)| reader.name.to_string()).collect::<Vec<_>>().join("`, `");
            let message = format!("`{asked}` is in the registries `{names}`: choose one with ?registry=");
            Err(Refusal(StatusCode::CONFLICT, message))
        }
    }
}

/// The instances of a service that DNS gives now.
#[derive(Debug, Serialize)]
struct InstancesJson {
    index: u64,
    /// The name that was asked for.
    name: String,
    instances: Vec<InstanceInDns>,
    /// The largest time to live that any instance was given with, in seconds, as far as that is known.
    ttl: u32,
    /// Seconds since an instance went, of what was asked for; `null` where none is known to have gone.
    gone_s: Option<f64>,
}

/// An instance that DNS gives.
#[derive(Debug, Serialize)]
struct InstanceInDns {
    registry: String,
    service: String,
    instance: String,
    host: String,
    port: u16,
    weight: u16,
    priority: u16,
    ttl: u32,
}

/// The instances of `?name=` that DNS gives, or of them `instance`.
pub(super) async fn instances(
    sources: &Sources,
    waiting: &Arc<Semaphore>,
    query: Option<&str>,
) -> Result<Response, Refusal> {
    let known = "`name`, `instance`, `index` and `wait`";
    let [name, instance, index, wait_for] = parameters(query, ["name", "instance", "index", "wait"], known)?;
    let name = name.ok_or_else(|| Refusal::bad("`name` is missing".to_owned()))?;
    let poll = LongPoll::read(index, wait_for)?;
    let filter = EventFilter::new(sources, None, Some(name.clone()));
    wait(sources, waiting, poll, |event| filter.takes(event) || event.service.is_none()).await?;
    let index = sources.events.last();
    let services = named::services(sources, &name);
    for source in services.iter().map(|one| one.source) {
        if source.is_stale().is_none() {
            let message = format!("the registry `{}` is not known now", source.name);
            return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, message));
        }
    }
    let is_meant = |name: &str, endpoint: &str| {
        instance
            .as_deref()
            .is_none_or(|wanted| wanted == name || wanted == endpoint || wanted.ends_with(&format!("/{name}")))
    };
    let mut found = Vec::new();
    let mut ttl = 0;
    for NamedService { source, below } in &services {
        ttl = ttl.max(source.reader.ttl(below).unwrap_or_default());
        let Some(reading) = source.reader.read(below) else { continue };
        let owners = source.reader.owners(below);
        ttl = ttl.max(reading.service.defaults.ttl.unwrap_or_default());
        for one in &reading.service.instances {
            if !is_meant(&one.name, &one.endpoint.to_string()) {
                continue;
            }
            ttl = ttl.max(one.ttl.unwrap_or_default());
            let in_dns = owners.iter().find_map(|owner| {
                let zone = source.zones.iter().find(|zone| owner.is_at_or_below(zone.origin()))?;
                standing::in_dns(zone, owner, &one.endpoint)
            });
            if let Some(in_dns) = in_dns {
                ttl = ttl.max(in_dns.ttl);
                found.push(row(source.name.to_string(), below, one, in_dns));
            }
        }
    }
    // What went may have been given for longer than what is there.
    let went = sources.events.since(0, usize::MAX, |event| {
        let is_gone = matches!(
            event.kind,
            EventKind::Gone | EventKind::Drained | EventKind::Last | EventKind::Changed | EventKind::Many
        );
        let before = event.before.as_ref().map_or("", |before| &before.endpoint);
        is_gone && filter.takes(event) && event.instance.as_deref().is_none_or(|name| is_meant(name, before))
    });
    for event in &went.events {
        ttl = ttl.max(event.before.as_ref().and_then(|before| before.ttl).unwrap_or_default());
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let gone_s = went
        .events
        .last()
        .map(|event| now.saturating_sub(std::time::Duration::from_millis(event.unix_ms)).as_secs_f64());
    let instances = InstancesJson { index, name, instances: found, ttl, gone_s };
    Ok(indexed(as_json(StatusCode::OK, &instances), index))
}

fn row(registry: String, below: &str, one: &Instance, in_dns: InDns) -> InstanceInDns {
    InstanceInDns {
        registry,
        service: below.to_owned(),
        instance: one.name.to_string(),
        host: one.endpoint.host.to_string(),
        port: one.endpoint.port,
        weight: in_dns.weight,
        priority: in_dns.priority,
        ttl: in_dns.ttl,
    }
}
