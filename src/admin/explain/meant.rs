//! What is meant by the NAME that somebody wants explained: a path, an address, or a DNS name with or without its zone.

use std::net::IpAddr;

use crate::admin::Sources;
use crate::admin::routes::Refusal;
use crate::settings;
use crate::zone::Zone;
use crate::zone::name::Name;
use crate::zone::record::rtype;
use crate::zone::records::address::{self, is_reverse, reverse_name};

/// Names to explain, each for a type, and what was made of what was asked.
#[derive(Debug, Default)]
pub(super) struct Meant {
    pub(super) names: Vec<(Name, u16)>,
    pub(super) notes: Vec<String>,
}

/// What `asked` means.
pub(super) fn find(sources: &Sources, asked: &str, rtype: Option<u16>) -> Result<Meant, Refusal> {
    let bare = asked.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(at_address(sources, address.to_canonical(), rtype));
    }
    let is_path = asked.contains('/')
        || sources.registries.iter().any(|source| !asked.is_empty() && source.reader.read(asked).is_some());
    if is_path {
        return Ok(at_path(sources, asked.trim_end_matches('/'), rtype.unwrap_or(rtype::A)));
    }
    let parsed = Name::parse(asked).map_err(|error| Refusal::bad(format!("`{asked}` is no name: {error}")))?.folded();
    let rtype = rtype.unwrap_or(rtype::A);
    if sources.zones.find(parsed.wire()).is_some() {
        return Ok(Meant { names: vec![(parsed, rtype)], notes: Vec::new() });
    }
    let within = |zone: &&Zone| !is_reverse(zone.origin()) && !zone.origin().is_root();
    let zones = sources.zones.iter().map(AsRef::as_ref).filter(within);
    let names = zones.filter_map(|zone| Name::from_labels(parsed.labels().chain(zone.origin().labels())).ok());
    // Names elsewhere, such as example.com, are not meant to be in a zone of ours.
    let is_ours = |name: &Name| {
        let Some(zone) = sources.zones.find(name.wire()) else { return false };
        let leads_to = |source: &crate::admin::RegistrySource| {
            let found = source.reader.explain(zone.origin(), name);
            found.is_some_and(|found| found.known.is_some() || !found.sources.is_empty())
        };
        zone.load().get(name.wire()).is_some()
            || sources.registries.iter().any(leads_to)
            || !super::local(sources, name).is_empty()
    };
    Ok(Meant { names: names.filter(is_ours).map(|name| (name, rtype)).collect(), notes: Vec::new() })
}

fn at_address(sources: &Sources, address: IpAddr, rtype: Option<u16>) -> Meant {
    let mut meant = Meant::default();
    let of_family = if address.is_ipv4() { rtype::A } else { rtype::AAAA };
    for zone in sources.zones.iter().filter(|zone| !is_reverse(zone.origin())) {
        let Ok(name) = address::name(zone.origin(), address) else { continue };
        let has_any = |source: &crate::admin::RegistrySource| {
            source.reader.explain(zone.origin(), &name).is_some_and(|found| !found.sources.is_empty())
        };
        if zone.load().get(name.wire()).is_some() || sources.registries.iter().any(has_any) {
            meant.names.push((name, rtype.unwrap_or(of_family)));
        }
    }
    if meant.names.is_empty() {
        meant.notes.push(format!("no instance is at {address}"));
    }
    let reverse = reverse_name(address);
    if sources.zones.find(reverse.wire()).is_some() {
        meant.names.push((reverse, rtype::PTR));
    }
    meant
}

fn at_path(sources: &Sources, asked: &str, rtype: u16) -> Meant {
    let mut meant = Meant::default();
    for source in &sources.registries {
        let Some(below) = source.reader.below(asked) else { continue };
        let (service, is_there) = source.reader.service_at(below);
        if !is_there && source.reader.read(&service).is_none() {
            continue;
        }
        if !is_there {
            meant.notes.push(format!("{asked} does not exist in registry {}; its service does", source.name));
        }
        let names: Vec<String> = source.reader.names(&service).iter().map(ToString::to_string).collect();
        let service = if service.is_empty() { "the root" } else { &service };
        meant.notes.push(match &*names {
            [] => format!("{service} in registry {} has no name in a zone of this server", source.name),
            names => format!("{service} in registry {} has the names {}", source.name, names.join(" ")),
        });
        meant.names.extend(source.reader.owners(service).into_iter().map(|name| (name, rtype)));
    }
    if meant.notes.is_empty() {
        meant.notes.push(format!("no registry of this server has {asked}"));
    }
    meant
}

/// The nearest name or path to one that nobody knows.
pub(super) fn near(sources: &Sources, asked: &str) -> Option<String> {
    if asked.contains('/') {
        return sources.registries.iter().find_map(|source| {
            let paths = source.reader.paths();
            let known: Vec<&str> = paths.iter().map(String::as_str).collect();
            settings::nearest(source.reader.below(asked)?, &known).map(str::to_owned)
        });
    }
    let asked = asked.trim_end_matches('.').to_ascii_lowercase();
    for zone in sources.zones.iter().filter(|zone| !is_reverse(zone.origin())) {
        let is_plain = |name: &Name| {
            let front = name.above(zone.origin()).unwrap_or_default();
            !front.is_empty()
                && front.last() != Some(&b"addr".as_slice())
                && !front.iter().any(|label| label.starts_with(b"_"))
        };
        let entries: Vec<_> = zone.load().entries().into_iter().collect();
        let names = entries.iter().filter_map(|entry| Some(Name::from_wire(entry.name())?.0)).filter(is_plain);
        let names: Vec<String> = names.map(|name| name.to_string().trim_end_matches('.').to_owned()).collect();
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let origin = zone.origin().to_string();
        let with_zone = format!("{asked}.{}", origin.trim_end_matches('.'));
        let found = settings::nearest(&asked, &known).or_else(|| settings::nearest(&with_zone, &known));
        if let Some(found) = found {
            return Some(spelled(sources, zone, found).unwrap_or_else(|| found.to_owned()));
        }
    }
    None
}

/// The name of a service as its path spells it, where `found` is the same as a host name.
fn spelled(sources: &Sources, zone: &Zone, found: &str) -> Option<String> {
    let name = Name::parse(found).ok()?;
    sources.registries.iter().find_map(|source| {
        let explained = source.reader.explain(zone.origin(), &name)?;
        let [one] = &*explained.sources else { return None };
        let mut owners = source.reader.owners(&one.service).into_iter();
        let owner = owners.find(|owner| owner.is_at_or_below(zone.origin()))?;
        let is_same = owner.labels().count() == name.labels().count();
        is_same.then(|| owner.to_string().trim_end_matches('.').to_owned())
    })
}
