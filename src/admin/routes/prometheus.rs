//! Targets for Prometheus' `http_sd_configs`: a group for each instance that is in DNS.
//!
//! Prometheus keeps its last targets when it gets no list, and drops those that a list lacks: what is not known is no
//! list. 503 stands for a registry that is not read yet, that is past `max_stale`, or whose guard holds back what DNS
//! still has.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::admin::pieces;
use crate::admin::query::parameters;
use crate::admin::reply::{JSON, Refusal, answer};
use crate::admin::sources::{RegistrySource, Sources};
use crate::model::Instance;
use crate::registry::ReaderName;

/// One target, as Prometheus' `http_sd` format has it.
#[derive(Debug, Serialize)]
struct TargetGroup {
    targets: [String; 1],
    labels: Labels,
}

/// Labels that relabelling can use. They are gone after it, being `__meta_` ones.
#[derive(Debug, Serialize)]
struct Labels {
    __meta_zonekeeper_registry: String,
    /// Name of the reader among several of the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    __meta_zonekeeper_reader: Option<String>,
    /// Path of the service below the registry's root.
    __meta_zonekeeper_service: String,
    /// Name of the instance's znode.
    __meta_zonekeeper_instance: String,
    /// Name of the port; empty for the instance's own.
    __meta_zonekeeper_port: String,
    /// Tags with a comma before and after each, so that `.*,blue,.*` finds one.
    __meta_zonekeeper_tags: String,
    /// `true` while the registry cannot be reached, and these are its last known instances.
    __meta_zonekeeper_stale: &'static str,
    /// Properties that are words for Prometheus, by key.
    #[serde(flatten, serialize_with = "metadata")]
    metadata: Vec<(String, String)>,
}

fn metadata<S: serde::Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

/// Lists the targets that `?registry=NAME`, `?prefix=PATH` and `?port=NAME` choose; `port` takes that named port of
/// each instance in place of its own, and leaves out those that have none.
pub(super) fn list(sources: &Sources, query: Option<&str>) -> Result<Response, Refusal> {
    let known = "`registry`, `prefix` and `port`";
    let [registry, prefix, port] = parameters(query, ["registry", "prefix", "port"], known)?;
    let is_meant = |source: &&RegistrySource| registry.as_ref().is_none_or(|name| source.name.is_of(name));
    let chosen: Vec<&RegistrySource> = sources.registries.iter().filter(is_meant).collect();
    if let (Some(name), []) = (&registry, &*chosen) {
        return Err(Refusal::not_found(format!("there is no registry `{name}` here")));
    }
    let (prefix, port) = (prefix.unwrap_or_default(), port.unwrap_or_default());
    let mut readers = Vec::new();
    for source in chosen {
        let Some(is_stale) = source.is_stale() else {
            let message =
                format!("the registry `{}` is not known now: no list is better than a wrong one", source.name);
            return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, message));
        };
        let held = source.reader.guard().unwrap_or_default().held;
        if held.keys().any(|path| path.starts_with(&prefix.to_lowercase())) {
            let message =
                format!("the guard of the registry `{}` holds back its losses: the last list holds", source.name);
            return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, message));
        }
        readers.push((source.reader.clone(), if is_stale { "true" } else { "false" }));
    }
    let groups = readers.into_iter().flat_map(move |(reader, stale)| {
        let mut paths = reader.paths();
        paths.retain(|path| path.starts_with(&prefix));
        let port = port.clone();
        paths.into_iter().filter_map(move |path| {
            if reader.is_preceded(&path) {
                return None;
            }
            let service = reader.read(&path)?.service;
            let up = service.up();
            let groups: Vec<_> = up.filter_map(|one| group(&reader.name, &path, one, &port, stale)).collect();
            let lines: Result<Vec<String>, _> = groups.iter().map(serde_json::to_string).collect();
            match lines {
                Ok(lines) if lines.is_empty() => None,
                lines => Some(lines.map(|lines| lines.join(",\n").into_bytes())),
            }
        })
    });
    Ok(answer(StatusCode::OK, JSON, pieces::list("[".to_owned(), groups, "]")))
}

fn group(registry: &ReaderName, path: &str, one: &Instance, port: &str, stale: &'static str) -> Option<TargetGroup> {
    let endpoint = match port {
        "" => &one.endpoint,
        name => &one.ports.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1,
    };
    // Nothing can be scraped without a port.
    if endpoint.port == 0 {
        return None;
    }
    let tags = if one.tags.is_empty() { String::new() } else { format!(",{},", one.tags.join(",")) };
    let label = |key: &str| -> String {
        let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        format!("__meta_zonekeeper_metadata_{}", key.chars().map(word).collect::<String>())
    };
    let mut metadata: Vec<(String, String)> =
        one.metadata.iter().map(|(key, value)| (label(key), value.to_string())).collect();
    metadata.sort();
    // Two keys may be one word.
    metadata.dedup_by(|one, other| one.0 == other.0);
    Some(TargetGroup {
        targets: [endpoint.to_string()],
        labels: Labels {
            __meta_zonekeeper_registry: registry.registry.clone(),
            __meta_zonekeeper_reader: registry.reader.clone(),
            __meta_zonekeeper_service: path.to_owned(),
            __meta_zonekeeper_instance: one.name.to_string(),
            __meta_zonekeeper_port: port.to_owned(),
            __meta_zonekeeper_tags: tags,
            __meta_zonekeeper_stale: stale,
            metadata,
        },
    })
}
