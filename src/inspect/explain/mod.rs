//! Why a name is answered as it is, for the person who is on call: which znodes it is made of, which instances are in
//! the answer and which are not, and why not. Pure: it reads one state of the tree and one of the zone.

mod candidates;
mod held;
pub mod outcome;
mod room;
pub(super) mod seen;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::format;
use crate::model::{Host, Instance, State};
use crate::publish::reading::Reading;
use crate::publish::target::TargetState;
use crate::registry::Path;
use crate::zone::build::build;
use crate::zone::lookup::{self, LookupResult};
use crate::zone::name::Name;
use crate::zone::offer::Rank;
use crate::zone::packed::PackedSet;
use crate::zone::record::rtype;
use crate::zone::{Freshness, Zone, records};
use candidates::Candidate;
use outcome::{Explained, InstanceOutcome, NameSource};
use seen::RegistryView;

/// A zone's answer to a question.
#[derive(Debug)]
pub struct ZoneAnswer {
    /// The answer in a few lines.
    pub text: String,
    /// True if the name lies at or below a delegation, or below a DNAME: nothing else that has it shows.
    pub is_cut: bool,
}

/// Answers a question as the zone does. `data` writes a record's type and data.
pub fn answer(zone: &Zone, name: &Name, rtype: u16, data: &dyn Fn(u16, &[u8]) -> String) -> ZoneAnswer {
    let mut text = format!("zone {}, serial {}, {}\n", zone.origin(), zone.serial(), zone.freshness().as_str());
    let unknown = match zone.freshness() {
        Freshness::Loading => Some("the registry was not read completely yet"),
        Freshness::Expired => Some("ZooKeeper has been away for longer than max_stale"),
        Freshness::Fresh | Freshness::Stale => None,
    };
    // The SOA's serial is the whole zone's.
    if zone.stale().cover(name.wire()) {
        text += "stale: its part of the registry may not be read any more; these are the last answers\n";
    }
    let is_soa = rtype == rtype::SOA && name == zone.origin();
    let table = match zone.fixed().filter(|_| unknown.is_some() && !is_soa) {
        Some(fixed) => fixed.load(),
        None => zone.load(),
    };
    let mut line = |words: String| {
        let _ = writeln!(text, "{words}");
    };
    let mut set = |head: String, owner: &Name, set: PackedSet<'_>| {
        line(head);
        set.iter().for_each(|rdata| line(format!("  {owner} {} {}", set.ttl, data(set.rtype, &rdata))));
        if let Some(words) = room::lacking(owner, set) {
            line(format!("  {words}"));
        }
    };
    let (mut name, mut is_cut) = (name.clone(), false);
    // Each alias is a hop; the server follows as many.
    for hop in 0..=8 {
        let found = match unknown {
            None => lookup::find(zone, &table, name.wire(), rtype),
            Some(why) => {
                let found = zone.fixed().and_then(|_| lookup::find_fixed(zone, &table, name.wire(), rtype));
                let Some(found) = found else {
                    line(format!("answer: SERVFAIL: {why}"));
                    break;
                };
                found
            }
        };
        is_cut |= hop == 0 && matches!(found, LookupResult::Delegation(_) | LookupResult::Redirection(_));
        match found {
            LookupResult::Answer(found) => set(format!("answer: {} records", found.count), &name, found),
            LookupResult::All(entry) => {
                let sets = entry.sets().count();
                line(format!("answer: one of the {sets} sets of records that the name has (RFC 8482)"));
            }
            LookupResult::Alias(found) => {
                set("answer: an alias".to_owned(), &name, found);
                let target = found.iter().next().and_then(|rdata| lookup::target(&rdata)).map(|target| target.folded());
                if let Some(target) = target.filter(|target| target.is_at_or_below(zone.origin())) {
                    name = target;
                    continue;
                }
            }
            LookupResult::Redirection(entry) => {
                if let Some((from, found)) = Name::from_wire(entry.name()).zip(entry.set(rtype::DNAME)) {
                    set("answer: a name below one that is redirected (RFC 6672)".to_owned(), &from.0, found);
                }
                match lookup::redirected(name.wire(), entry).map(|target| target.folded()) {
                    Some(target) if target.is_at_or_below(zone.origin()) => {
                        name = target;
                        continue;
                    }
                    Some(target) => line(format!("answer: an alias of {target}")),
                    None => line("answer: YXDOMAIN: where it leads to is too long for a name".to_owned()),
                }
            }
            LookupResult::NoData => line("answer: NODATA: the name exists and has nothing of that type".to_owned()),
            LookupResult::Unknown(unknown) => line(format!("answer: SERVFAIL: {}", unknown.text)),
            LookupResult::NxDomain => line("answer: NXDOMAIN: there is no such name".to_owned()),
            LookupResult::Delegation(_) => {
                line("answer: a referral: the zone's file delegates the name to others".to_owned());
            }
        }
        break;
    }
    ZoneAnswer { text, is_cut }
}

/// Finds where the name could come from in a registry, and what has become of each instance.
pub(super) fn sources(seen: &RegistryView<'_>, state: &TargetState, name: &Name) -> Explained {
    let candidates = candidates::find(seen, state, name);
    if candidates.is_empty() {
        return Explained { known: state.known.get(name).cloned(), sources: Vec::new() };
    }
    let offers: Vec<Option<Rank>> = candidates.iter().map(|candidate| rank(seen, state, name, candidate)).collect();
    let order = |i: &usize| (offers[*i], candidates[*i].path.len());
    let best = (0..candidates.len()).filter(|&i| offers[i].is_some()).max_by_key(order);
    let hidden_by = |i: usize| {
        let best = best.filter(|&best| best != i && hides(offers[best], offers[i]))?;
        Some(format!("{}, which goes before it", seen.layout.full(&candidates[best].path)))
    };
    let sources = candidates.iter().enumerate().map(|(i, candidate)| {
        let mut source = source(seen, state, candidate, spelled(seen, &candidates, &candidate.path).as_ref());
        if let Some(by) = hidden_by(i) {
            source.hide(&by);
        }
        source
    });
    Explained { known: None, sources: sources.collect() }
}

/// Unites the candidates whose paths are `path` in some spelling; `None` where there is one alone.
fn spelled(seen: &RegistryView<'_>, candidates: &[Candidate], path: &str) -> Option<Reading> {
    let paths: BTreeSet<&str> = candidates.iter().map(|one| &*one.path).collect();
    let mut alike = paths.into_iter().filter(|other| other.eq_ignore_ascii_case(path));
    let (first, second) = (alike.next()?, alike.next()?);
    let mut united = seen.read(first)?;
    for other in std::iter::once(second).chain(alike).filter_map(|path| seen.read(path)) {
        united.unite(other);
    }
    Some(united)
}

fn source(seen: &RegistryView<'_>, state: &TargetState, candidate: &Candidate, united: Option<&Reading>) -> NameSource {
    let full = seen.layout.full(&candidate.path);
    let mut source = NameSource {
        service: candidate.path.clone(),
        path: full.to_string(),
        form: candidate.form.describe(),
        hidden_by: None,
        notes: lines_of(&(held::lines(seen, state, &candidate.path) + &hops(seen, &full))),
        exists: false,
        instances: Vec::new(),
        malformed: Vec::new(),
    };
    let Some(reading) = seen.read(&candidate.path) else { return source };
    source.exists = true;
    let service = &reading.service;
    for (instance, path) in reading.instances() {
        let links = seen.layout.directories(&full).into_iter().map(|at| hops(seen, &at.child(&instance.name)));
        let (is_in, words) = match verdict(service, instance, candidate, state) {
            Ok(words) => match united.and_then(|united| united.double(path)) {
                None => (true, words),
                Some(why) => (false, why.to_owned()),
            },
            Err(words) => (false, words),
        };
        let name = instance.name.to_string();
        let mut notes = lines_of(&links.collect::<String>());
        // The name does not tell the znode.
        notes.extend(seen.layout.format.is_placed().then(|| format!("its znode is {path}")));
        source.instances.push(InstanceOutcome { name, is_in, words, notes });
    }
    source.malformed = reading.malformed;
    source
}

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// Tells where links lead that the znode shown at `shown` is seen through, or takes properties by.
fn hops(seen: &RegistryView<'_>, shown: &Path) -> String {
    let mut text = String::new();
    let real = seen.tree.real(shown);
    if real != *shown {
        let _ = if seen.layout.format.is_placed() {
            writeln!(text, "  its znodes are at {real}, as the format \"{}\" has them", seen.layout.format.name())
        } else {
            writeln!(text, "  by a link, {shown} is {real}")
        };
    }
    for source in seen.tree.sources(shown) {
        let _ = write!(text, "  by a link, `{}`", source.name);
        for (path, property) in &source.hops {
            let _ = write!(text, " is `{property}` of {path}");
        }
        text.push('\n');
    }
    text
}

/// Under what rank a candidate offers the name now, if it does.
fn rank(seen: &RegistryView<'_>, state: &TargetState, name: &Name, candidate: &Candidate) -> Option<Rank> {
    let service = seen.read(&candidate.path)?.service;
    let folded = candidate.path.to_ascii_lowercase();
    let (target, origin) = (&state.target, state.zone.origin());
    let context = target.context(origin, &state.hosts, &folded)?;
    let built = build(&context, &target.shown(&folded)?, &service).ok()?;
    built.rank_at(origin, name)
}

/// Offers of one rank are united, but for parts and other spellings of services.
fn hides(best: Option<Rank>, other: Option<Rank>) -> bool {
    best > other || (best == other && matches!(best, Some(Rank::Subset | Rank::Alias)))
}

/// Tells why an instance wants no traffic; none of one that does.
pub(super) fn refusal(service: &crate::model::Service, instance: &Instance) -> Option<String> {
    let words = |state: State| match state {
        State::Up => None,
        State::Drain => Some("drained: its state is \"drain\""),
        State::Down => Some("down: its state is \"down\""),
    };
    if let Some(why) = words(service.defaults.state) {
        return Some(format!("the whole service is {why}"));
    }
    if let Some(drain) = service.defaults.drains.iter().find(|drain| drain.covers(instance)) {
        let whole = if drain.instance.is_none() { "the whole service is " } else { "" };
        let until = drain.until.map(|until| format!(" until {}", format::moment(until))).unwrap_or_default();
        let reason = if drain.reason.is_empty() { String::new() } else { format!(": {}", drain.reason) };
        let by = if drain.by.is_empty() { "an operator" } else { &drain.by };
        let at = drain.at.map(|at| format!(" at {}", format::moment(at))).unwrap_or_default();
        return Some(format!("{whole}drained by {by}{at}{until}{reason}"));
    }
    let why = words(instance.state)?;
    let cause = instance.state_cause.as_ref().map(|cause| format!("{}: {cause}", instance.state.as_past()));
    Some(cause.unwrap_or_else(|| why.to_owned()))
}

/// Tells why an instance is in the answer, or why it is not.
fn verdict(
    service: &crate::model::Service,
    instance: &Instance,
    candidate: &Candidate,
    state: &TargetState,
) -> Result<String, String> {
    if let Some(why) = refusal(service, instance) {
        return Err(why);
    }
    if let Some(why) = candidate.form.refuses(instance, state) {
        return Err(why);
    }
    let of = |own: bool, service: bool, zone: &'static str| match (own, service) {
        (true, _) => "its own",
        (_, true) => "the service's",
        _ => zone,
    };
    let defaults = &service.defaults;
    let ttl = instance.ttl.or(defaults.ttl).unwrap_or(state.target.ttl);
    let ttl_of = of(instance.ttl.is_some(), defaults.ttl.is_some(), "the zone's");
    let weight = instance.weight.or(defaults.weight).unwrap_or(crate::zone::order::DEFAULT_WEIGHT);
    let weight_of = of(instance.weight.is_some(), defaults.weight.is_some(), "the default");
    let weight_of = instance.weight_origin.as_deref().unwrap_or(weight_of);
    let mut words = format!("ttl {ttl} ({ttl_of}), weight {weight} ({weight_of})");
    if let count @ 1.. = instance.addresses.len() {
        let _ = write!(words, "; {} is registered with {count} addresses", instance.endpoint.host);
    } else if let Host::Name(host) = &instance.endpoint.host {
        let host = records::srv::wanted(state.target.names.host_domain.as_deref(), host);
        let _ = match state.hosts.get(&host) {
            Some(known) if known.addresses.is_empty() => {
                write!(words, "; the resolver says that {host} has no address")
            }
            Some(known) => write!(words, "; {host} has {} addresses", known.addresses.len()),
            None => write!(words, "; the addresses of {host} are not known yet: the resolver has not answered"),
        };
    }
    Ok(words)
}
