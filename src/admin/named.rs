//! Meaning of the NAME of a service: a path, with or without the root, or a DNS name, with or without its zone.

use std::collections::HashSet;

use super::sources::{RegistrySource, Sources};
use crate::settings;
use crate::zone::Zone;
use crate::zone::name::Name;
use crate::zone::records::address::is_reverse;

/// A service that a name means, whether it is there or not.
#[derive(Debug)]
pub(crate) struct NamedService<'s> {
    /// Its registry.
    pub(crate) source: &'s RegistrySource,
    /// Its path below the root.
    pub(crate) below: String,
}

/// Returns whether `asked` is a path: it has a slash, or is exactly that of a service.
pub(crate) fn is_path(sources: &Sources, asked: &str) -> bool {
    asked.contains('/') || sources.registries.iter().any(|source| source.reader.read(asked).is_some())
}

/// Finds the services that `asked` means. Of those that are not there, where no service is, there may be one in each
/// registry.
pub(crate) fn services<'s>(sources: &'s Sources, asked: &str) -> Vec<NamedService<'s>> {
    let all = if is_path(sources, asked) { at_path(sources, asked) } else { of_name(sources, asked) };
    let (there, absent): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|one| one.source.reader.read(&one.below).is_some());
    if there.is_empty() { absent } else { there }
}

/// Finds services with a path or name like `asked`, at most `limit`: those spelled nearly so, then those of which it is
/// a part or that are a part of it.
pub(super) fn near<'s>(sources: &'s Sources, asked: &str, limit: usize) -> Vec<(&'s RegistrySource, String)> {
    let asked = asked.trim_matches('/').to_lowercase();
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let own = last(&asked);
    let mut found = Vec::new();
    for source in &sources.registries {
        let paths: Vec<String> = source.reader.paths().into_iter().filter(|path| !path.is_empty()).collect();
        let known: Vec<&str> = paths.iter().map(String::as_str).collect();
        let names: Vec<String> = paths.iter().map(|path| last(path)).collect();
        let near = settings::near(&asked, &known);
        let similar = |name: &String| settings::nearest(&own, &[name]).is_some();
        let part =
            |name: &String| !own.is_empty() && (name.contains(&own) || name.len() > 2 && own.contains(name.as_str()));
        let of_name = |is_like: &dyn Fn(&String) -> bool| {
            names.iter().zip(&known).filter(|(name, _)| is_like(name)).map(|(_, path)| *path).collect::<Vec<_>>()
        };
        let mut all: Vec<&str> = near.into_iter().chain(of_name(&similar)).chain(of_name(&part)).collect();
        let mut seen = HashSet::new();
        all.retain(|path| seen.insert(*path));
        found.extend(all.into_iter().take(limit).map(|path| (source, path.to_owned())));
    }
    found.truncate(limit);
    found
}

fn at_path<'s>(sources: &'s Sources, asked: &str) -> Vec<NamedService<'s>> {
    let asked = asked.trim_end_matches('/');
    let at = |source: &'s RegistrySource| {
        let below = source.reader.below(asked)?.to_owned();
        Some(NamedService { source, below })
    };
    sources.registries.iter().filter_map(at).collect()
}

fn of_name<'s>(sources: &'s Sources, asked: &str) -> Vec<NamedService<'s>> {
    let Ok(name) = Name::parse(asked).map(|name| name.folded()) else { return Vec::new() };
    let zones = || sources.zones.iter().map(AsRef::as_ref).filter(|zone: &&Zone| !is_reverse(zone.origin()));
    let within: Vec<Name> = zones().filter(|zone| name.is_at_or_below(zone.origin())).map(|_| name.clone()).collect();
    let names = if within.is_empty() {
        let below = |zone: &Zone| Name::from_labels(name.labels().chain(zone.origin().labels())).ok();
        zones().filter_map(below).collect()
    } else {
        within
    };
    let mut found = Vec::new();
    for source in &sources.registries {
        for name in &names {
            let Some(zone) = source.zones.iter().find(|zone| name.is_at_or_below(zone.origin())) else { continue };
            let front = name.above(zone.origin()).unwrap_or_default();
            let elements: Vec<_> = front.iter().rev().map(|label| String::from_utf8_lossy(label)).collect();
            let plain = elements.join("/");
            let is_it = |below: &String| source.reader.names(below).iter().any(|one| one.folded() == *name);
            // Names of most services are their paths backwards, letter for letter.
            let below = if source.reader.owners(&plain).iter().any(|owner| owner.folded() == *name)
                && source.reader.read(&plain).is_some()
            {
                plain
            } else {
                source.reader.paths().into_iter().find(is_it).unwrap_or(plain)
            };
            found.push(NamedService { source, below });
        }
    }
    found
}
