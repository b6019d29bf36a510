//! Which services a name could be of, whether or not they show it: the forms of `zone::build`, backwards.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::held;
use super::seen::RegistryView;
use crate::format::NodeKind;
use crate::model::{Host, Instance, Protocol};
use crate::publish::target::{TargetState, below, start};
use crate::registry::shown::ShownNode;
use crate::zone::name::Name;
use crate::zone::records;
use crate::zone::records::address::{address_of, reverse_name};
use crate::zone::records::label;

/// A service that the name could be of, and what it asks of the service's instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The service's path below the root, as it is spelled there.
    pub(super) path: String,
    /// Form of the name.
    pub(super) form: NameForm,
}

/// Form of a name of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NameForm {
    /// Its own name, or that as a host name.
    Service,
    /// A combination of tags, as labels.
    Tags(Vec<Vec<u8>>),
    /// The name of RFC 2782.
    Protocol(Protocol),
    /// A named port.
    Port(Vec<u8>, Protocol),
    /// A tag, as a name of RFC 2782.
    TagOf(Vec<u8>, Protocol),
    /// A named port of the instances with a tag: port and tag.
    PortOf(Vec<u8>, Vec<u8>, Protocol),
    /// One instance, in DNS-SD.
    Instance(Vec<u8>),
    /// The name of an address, or the reverse.
    Address(IpAddr),
}

impl NameForm {
    /// Describes the name, for a person.
    pub(super) fn describe(&self) -> String {
        let words = |labels: &[Vec<u8>]| labels.iter().map(|l| lossy(l)).collect::<Vec<_>>().join(", ");
        match self {
            Self::Service => "the service itself".to_owned(),
            Self::Tags(tags) => format!("its instances with the tags {}", words(tags)),
            Self::Protocol(protocol) => format!("its instances that speak {}", word(*protocol)),
            Self::Port(port, protocol) => {
                format!("the port {} of its instances that speak {}", lossy(port), word(*protocol))
            }
            Self::TagOf(tag, protocol) => {
                format!("its instances with the tag {} that speak {}", lossy(tag), word(*protocol))
            }
            Self::PortOf(port, tag, protocol) => {
                let (port, tag) = (lossy(port), lossy(tag));
                format!("the port {port} of its instances with the tag {tag} that speak {}", word(*protocol))
            }
            Self::Instance(name) => format!("its instance {}", lossy(name)),
            Self::Address(address) => format!("its instances at {address}"),
        }
    }

    /// Tells why an instance that is up is not meant; `None` when it is.
    pub(super) fn refuses(&self, instance: &Instance, state: &TargetState) -> Option<String> {
        let is = |text: &str, wanted: &[u8]| {
            let spelled = || !text.is_ascii() && label::host_name(text).is_some_and(|label| label == wanted);
            label::exact(text).is_ok_and(|label| label == wanted) || spelled()
        };
        let speaks = |protocol| {
            (instance.protocol != protocol)
                .then(|| format!("it speaks {}, not {}", word(instance.protocol), word(protocol)))
        };
        let lacks_tag = |wanted: &[u8]| {
            let has = instance.tags.iter().any(|tag| is(tag, wanted));
            (!has).then(|| format!("tag mismatch: it has no tag {}", lossy(wanted)))
        };
        let lacks_port = |port: &[u8]| {
            let has = instance.ports.iter().any(|(name, _)| is(name, port));
            (!has).then(|| format!("it has no port called {}", lossy(port)))
        };
        match self {
            Self::Service => None,
            Self::Tags(tags) => tags.iter().find_map(|wanted| lacks_tag(wanted)),
            Self::Protocol(protocol) => speaks(*protocol),
            Self::Port(port, protocol) => lacks_port(port).or_else(|| speaks(*protocol)),
            Self::TagOf(tag, protocol) => lacks_tag(tag).or_else(|| speaks(*protocol)),
            Self::PortOf(port, tag, protocol) => {
                lacks_tag(tag).or_else(|| lacks_port(port)).or_else(|| speaks(*protocol))
            }
            Self::Instance(name) => (!is(&instance.name, name)).then(|| "it is another instance".to_owned()),
            Self::Address(address) => {
                let all =
                    std::iter::once(&instance.endpoint).chain(instance.ports.iter().map(|(_, endpoint)| endpoint));
                let is_registered = instance.addresses.contains(address);
                let here = is_registered
                    || all.map(|endpoint| &endpoint.host).any(|host| match host {
                        Host::Name(name) => {
                            let wanted = records::srv::wanted(state.target.names.host_domain.as_deref(), name);
                            state.hosts.get(&wanted).is_some_and(|known| known.addresses.contains(address))
                        }
                        host => host.ip() == Some(*address),
                    });
                (!here).then(|| "it is at another address".to_owned())
            }
        }
    }
}

fn lossy(label: &[u8]) -> String {
    String::from_utf8_lossy(label).into_owned()
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

fn protocol(label: &[u8]) -> Option<Protocol> {
    match label {
        b"_tcp" => Some(Protocol::Tcp),
        b"_udp" => Some(Protocol::Udp),
        _ => None,
    }
}

/// All services that `name`, in lower case, could be of in the zone that `state` shows.
pub(super) fn find(seen: &RegistryView<'_>, state: &TargetState, name: &Name) -> Vec<Candidate> {
    if let Some(address) = address(seen, state, name) {
        return at(seen, state, address);
    }
    let front = name.above(state.zone.origin()).unwrap_or_default();
    let mut found = Vec::new();
    let mut add = |elements: &[&[u8]], form: &NameForm| {
        let paths = start((&state.target.under, &state.target.place), elements, is)
            .map(|(under, labels)| services_at(seen, under, labels))
            .unwrap_or_default();
        found.extend(paths.into_iter().map(|path| Candidate { path, form: form.clone() }));
    };
    add(&front, &NameForm::Service);
    for i in 0..front.len() {
        let (before, rest) = front.split_at(i);
        let under = |rest: &[&[u8]]| Some((rest.first()?.strip_prefix(b"_")?.to_vec(), protocol(rest.get(1)?)?));
        if let (Some((service, protocol)), 0 | 1) = (under(rest), i) {
            let form = before.first().map_or(NameForm::Protocol(protocol), |name| NameForm::Instance(name.to_vec()));
            let elements = [&[service.as_slice()], &rest[2..]].concat();
            add(&elements, &form);
            if i == 0 && rest.len() > 2 {
                if rest.len() > 3 {
                    add(&rest[3..], &NameForm::PortOf(service.clone(), rest[2].to_vec(), protocol));
                }
                add(&rest[2..], &NameForm::Port(service, protocol));
            }
        } else if (1..=3).contains(&i) && !before.iter().any(|label| label.starts_with(b"_")) {
            add(rest, &NameForm::Tags(before.iter().map(|label| label.to_vec()).collect()));
        }
    }
    // What looks like a port may be a tag, and what looks like a tag an inner part of a path.
    found.retain_mut(|one| {
        let reading = seen.read(&one.path);
        let Some(service) = reading.as_ref().map(|reading| &reading.service) else { return true };
        let has_tag = |wanted: &[u8]| {
            let tags = service.instances.iter().flat_map(|instance| &instance.tags);
            tags.chain(&service.roles).any(|tag| is(tag, wanted))
        };
        match &one.form {
            NameForm::PortOf(_, tag, _) => has_tag(tag),
            NameForm::Port(label, protocol) => {
                let mut ports = service.instances.iter().flat_map(|instance| &instance.ports);
                if !ports.any(|(port, _)| is(port, label)) && has_tag(label) {
                    one.form = NameForm::TagOf(label.clone(), *protocol);
                }
                true
            }
            _ => true,
        }
    });
    found
}

/// The address that a name is made of, if it is one.
fn address(seen: &RegistryView<'_>, state: &TargetState, name: &Name) -> Option<IpAddr> {
    if state.target.reverse_of.is_empty() {
        return address_of(state.zone.origin(), name);
    }
    seen.services().iter().find_map(|path| {
        let service = seen.read(path)?.service;
        service.instances.iter().find_map(|instance| {
            let all = std::iter::once(&instance.endpoint).chain(instance.ports.iter().map(|(_, endpoint)| endpoint));
            all.filter_map(|endpoint| endpoint.host.ip()).find(|ip| reverse_name(*ip) == *name)
        })
    })
}

fn at(seen: &RegistryView<'_>, state: &TargetState, address: IpAddr) -> Vec<Candidate> {
    let form = NameForm::Address(address);
    let is_there = |path: &String| {
        let reading = seen.read(path);
        reading.is_some_and(|reading| reading.service.instances.iter().any(|one| form.refuses(one, state).is_none()))
    };
    let paths = seen.services().into_iter().filter(is_there);
    // What the guard holds is in DNS alone.
    let in_dns = |path: &&String| held::shown(state, path).contains(&address);
    let paths: BTreeSet<String> = paths.chain(seen.held.keys().filter(in_dns).cloned()).collect();
    let paths = paths.into_iter();
    paths.map(|path| Candidate { path, form: form.clone() }).collect()
}

/// The paths below `under` that are these labels, the last of which is the first element.
fn services_at(seen: &RegistryView<'_>, under: &str, labels: &[&[u8]]) -> Vec<String> {
    let mut paths: Vec<String> = if seen.tree.is_placed() {
        let is_dotted = seen.layout.format.are_dots_borders();
        let is_it = |path: &String| is_at(path, under, labels) || (is_dotted && is_dotted_at(path, under, labels));
        seen.services().into_iter().filter(is_it).collect()
    } else {
        labels.iter().rev().fold(vec![under.to_owned()], |paths, wanted| {
            paths.iter().flat_map(|path| children(seen, path, wanted)).collect()
        })
    };
    paths.retain(|path| seen.read(path).is_some());
    paths.extend(seen.gone().filter(|path| is_at(path, under, labels)).cloned());
    paths
}

/// Returns whether the path of a service is these labels below `under`.
fn is_at(path: &str, under: &str, labels: &[&[u8]]) -> bool {
    let Some(below) = below(path, under) else { return false };
    let elements: Vec<&str> = below.rsplit('/').filter(|element| !element.is_empty()).collect();
    elements.len() == labels.len() && elements.iter().zip(labels).all(|(element, label)| is(element, label))
}

/// Returns whether the path of a service, of which dots are borders, is these labels below `under`, as it is written or
/// reversed.
fn is_dotted_at(path: &str, under: &str, labels: &[&[u8]]) -> bool {
    let Some(below) = below(path, under) else { return false };
    let elements = || below.rsplit('/').filter(|element| !element.is_empty());
    let written: Vec<&str> = elements().flat_map(|element| element.split('.')).collect();
    let reversed: Vec<&str> = elements().flat_map(|element| element.rsplit('.')).collect();
    [written, reversed].iter().any(|spelled| {
        spelled.len() == labels.len() && spelled.iter().zip(labels).all(|(element, label)| is(element, label))
    })
}

/// Returns whether a label says this element.
fn is(element: &str, wanted: &[u8]) -> bool {
    label::exact(element).is_ok_and(|label| label == wanted) || label::host_name(element).is_some_and(|l| l == wanted)
}

fn children(seen: &RegistryView<'_>, path: &str, wanted: &[u8]) -> Vec<String> {
    let child = |child: ShownNode<'_>| {
        let below = child.path.below(&seen.layout.root)?;
        let is_service = matches!(seen.layout.kind(seen.tree, &child, below), NodeKind::Service { .. })
            && !seen.layout.is_system(below);
        (is_service && is(child.path.name(), wanted)).then(|| below.to_owned())
    };
    let (children, _) = seen.tree.children(&seen.layout.full(path));
    children.into_iter().filter_map(child).collect()
}
