//! What is meant by the NAME that somebody wants explained: a path, an address, an endpoint, or a DNS name with or
//! without its zone.

use std::collections::HashSet;
use std::net::IpAddr;

use super::local::{local, outside};
use crate::admin::reply::Refusal;
use crate::admin::sources::{RegistrySource, Sources};
use crate::format;
use crate::model::Endpoint;
use crate::settings;
use crate::zone::Zone;
use crate::zone::name::{Name, NameError};
use crate::zone::record::rtype;
use crate::zone::records::address::{self, is_reverse, reverse_name};
use crate::zone::records::label;

/// Names to explain, each for a type, and what was made of what was asked.
#[derive(Debug, Default)]
pub(super) struct Meant {
    pub(super) names: Vec<(Name, u16)>,
    pub(super) notes: Vec<String>,
}

/// Finds what `asked` means.
pub(super) fn find(sources: &Sources, asked: &str, rtype: Option<u16>) -> Result<Meant, Refusal> {
    let mut meant = look(sources, asked, rtype)?;
    let mut seen = HashSet::new();
    meant.names.retain(|name| seen.insert(name.clone()));
    Ok(meant)
}

fn look(sources: &Sources, asked: &str, rtype: Option<u16>) -> Result<Meant, Refusal> {
    if asked.trim().is_empty() {
        return Err(Refusal::bad("`name` is empty".to_owned()));
    }
    let bare = asked.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(at_address(sources, address.to_canonical(), rtype));
    }
    let is_path = asked.contains('/')
        || sources.registries.iter().any(|source| !asked.is_empty() && source.reader.read(asked).is_some());
    if is_path {
        return Ok(at_path(sources, asked.trim_end_matches('/'), rtype.unwrap_or(rtype::A)));
    }
    let mut notes = Vec::new();
    match format::endpoint(asked) {
        Ok(endpoint) => return Ok(at_endpoint(sources, &endpoint, rtype)),
        // Of a name nobody would say that it is not an endpoint.
        Err(error)
            if asked.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())) =>
        {
            notes.push(format!("{asked} is not an endpoint: {error}"));
        }
        Err(_) => {}
    }
    let parsed = Name::parse(asked).map(|name| name.folded());
    let exists =
        |name: &Name| sources.zones.find(name.wire()).is_some_and(|zone| zone.load().get(name.wire()).is_some());
    if !parsed.as_ref().is_ok_and(exists)
        && let Some(path) = before_zone(sources, asked)
    {
        return Ok(at_path(sources, path, rtype.unwrap_or(rtype::A)));
    }
    let parsed = match parsed {
        Err(NameError::LongLabel) => cut(asked, &mut notes).ok_or_else(|| refused(asked, NameError::LongLabel))?,
        parsed => parsed.map_err(|error| refused(asked, error))?,
    };
    let rtype = rtype.unwrap_or(rtype::A);
    if sources.zones.find(parsed.wire()).is_some() {
        return Ok(Meant { names: vec![(parsed, rtype)], notes });
    }
    let within = |zone: &&Zone| !is_reverse(zone.origin()) && !zone.origin().is_root();
    let zones = sources.zones.iter().map(AsRef::as_ref).filter(within);
    let names = zones.filter_map(|zone| Name::from_labels(parsed.labels().chain(zone.origin().labels())).ok());
    // Names elsewhere, such as example.com, are not meant to be in a zone of ours.
    let is_ours = |name: &Name| {
        let Some(zone) = sources.zones.find(name.wire()) else { return false };
        let leads_to = |source: &RegistrySource| {
            let found = source.reader.explain(zone.origin(), name);
            found.is_some_and(|found| found.known.is_some() || !found.sources.is_empty())
        };
        zone.load().get(name.wire()).is_some()
            || sources.registries.iter().any(leads_to)
            || !local(sources, name).is_empty()
    };
    let names: Vec<_> = names.filter(is_ours).map(|name| (name, rtype)).collect();
    if names.is_empty() && !notes.is_empty() {
        notes.push(outside(sources));
    }
    Ok(Meant { names, notes })
}

fn refused(asked: &str, error: NameError) -> Refusal {
    let help = match error {
        NameError::LongLabel | NameError::LongName => "; give the path of the service, and its names are listed",
        _ => "",
    };
    Refusal::bad(format!("`{asked}` is not a valid name: {error}{help}"))
}

/// The path of a service as it is spelled in front of a zone's name: one with dots in it, or too long for a label, has
/// another name in DNS.
fn before_zone<'a>(sources: &Sources, asked: &'a str) -> Option<&'a str> {
    let bare = asked.trim_end_matches('.');
    sources.zones.iter().filter(|zone| !zone.origin().is_root()).find_map(|zone| {
        let origin = format!(".{}", zone.origin().to_string().trim_end_matches('.'));
        let split = bare.len().checked_sub(origin.len()).filter(|&at| at > 0 && bare.is_char_boundary(at))?;
        let (front, end) = bare.split_at(split);
        let is_there = || sources.registries.iter().any(|source| source.reader.read(front).is_some());
        (end.eq_ignore_ascii_case(&origin) && is_there()).then_some(front)
    })
}

/// The name that one with labels of more than 63 bytes is cut to, as the names of services are.
fn cut(asked: &str, notes: &mut Vec<String>) -> Option<Name> {
    let bare = asked.trim_end_matches('.');
    let mut labels = Vec::new();
    for label in bare.split('.') {
        if label.len() <= label::LONGEST {
            let label = Name::parse(label).ok()?;
            labels.push(label.labels().next()?.to_vec());
            continue;
        }
        let cut = match label.strip_prefix('_') {
            Some(rest) => label::underscored(&label::exact(rest).ok()?),
            None => label::exact(label).ok()?,
        };
        let shown = String::from_utf8_lossy(&cut);
        let length = label.len();
        notes.push(format!(
            "a label of DNS has at most 63 bytes and this one {length}: a service of that name is {shown}"
        ));
        labels.push(cut);
    }
    Name::from_labels(labels.iter().map(Vec::as_slice)).ok().map(|name| name.folded())
}

/// Names that are listed of a service: tags make many.
const MAX_NAMES: usize = 40;

/// Services that are listed of an endpoint.
const MAX_SERVICES: usize = 16;

fn at_endpoint(sources: &Sources, endpoint: &Endpoint, rtype: Option<u16>) -> Meant {
    let mut meant = Meant::default();
    for source in &sources.registries {
        let found = source.reader.at_endpoint(endpoint);
        for (full, service) in found.iter().take(MAX_SERVICES) {
            meant
                .notes
                .push(format!("{endpoint} is an instance, or a port of one, of {full} in registry {}", source.name));
            let owners = source.reader.owners(service).into_iter();
            meant.names.extend(owners.map(|name| (name, rtype.unwrap_or(rtype::SRV))));
        }
        if let Some(more) = found.len().checked_sub(MAX_SERVICES + 1) {
            meant.notes.push(format!("and of {} more", more + 1));
        }
    }
    if meant.notes.is_empty() {
        meant.notes.push(format!("no instance is at {endpoint}"));
        if let Some(address) = endpoint.host.ip() {
            let elsewhere = at_address(sources, address, rtype);
            if !elsewhere.names.is_empty() {
                meant.notes.push(format!("{address} has other ports, or none:"));
            }
            meant.names = elsewhere.names;
        }
    }
    meant
}

fn at_address(sources: &Sources, address: IpAddr, rtype: Option<u16>) -> Meant {
    let mut meant = Meant::default();
    let of_family = if address.is_ipv4() { rtype::A } else { rtype::AAAA };
    for zone in sources.zones.iter().filter(|zone| !is_reverse(zone.origin())) {
        let Ok(name) = address::name(zone.origin(), address) else { continue };
        let has_any = |source: &RegistrySource| {
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
    let (mut meant, mut unshown) = (Meant::default(), Vec::new());
    for source in &sources.registries {
        let Some(below) = source.reader.below(asked) else { continue };
        let (service, is_there) = source.reader.service_at(below);
        let has_service = source.reader.read(&service).is_some();
        let why = source.reader.unshown(below);
        if !has_service && (!is_there || why.is_some()) {
            unshown.extend(why.map(|why| format!("registry {} shows nothing at {asked}: {why}", source.name)));
            continue;
        }
        if !is_there {
            meant.notes.push(format!("{asked} does not exist in registry {}; its service does", source.name));
        }
        // The service's own before those of its tags.
        let mut names = source.reader.names(&service);
        names.sort_by_key(|name| name.labels().count());
        let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        let shown = if service.is_empty() { "the root" } else { &service };
        let more = names.len().saturating_sub(MAX_NAMES);
        names.truncate(MAX_NAMES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        meant.notes.push(match &*names {
            [] => format!("{shown} in registry {} has no name in a zone of this server", source.name),
            names => format!("{shown} in registry {} has the names {}{more}", source.name, names.join(" ")),
        });
        meant.names.extend(source.reader.owners(&service).into_iter().map(|name| (name, rtype)));
    }
    if meant.notes.is_empty() {
        meant.notes.push(format!("no registry of this server has {asked}"));
        meant.notes.append(&mut unshown);
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
