//! Checks that take the whole configuration: that a registry which is named is there, that one is named where there
//! are several, that no address is listened on twice, that who keeps znodes to himself is somebody.

use std::net::SocketAddr;

use super::whole::{Config, Registry, RegistryReader};
use crate::announce;
use crate::diagnostic::{Problems, Span};
use crate::dns::transfer::secondaries::Allowed;
use crate::format::{self, NodeKind};
use crate::publish::target::below;
use crate::settings::{Kind, Located, Table, nearest};
use crate::zone;
use crate::zone::records::address::is_reverse;
use crate::zookeeper::config::{Backing, servers};
use crate::zookeeper::session::Access;

/// The registries by their names, whether or not their tables are good: a mistake in one is told once, in its table.
pub(super) struct Registries<'a> {
    names: Vec<&'a str>,
    /// True if the configuration says that there is none. No names alone can also come of a mistake, told elsewhere.
    none: bool,
    problems: &'a Problems,
}

impl<'a> Registries<'a> {
    pub(super) fn new(names: Vec<&'a str>, file: &Table, problems: &'a Problems) -> Self {
        Self { names, none: file.get("registry").is_none(), problems }
    }

    /// The registry that fills a zone, whose table stands at `table`: the one it names, or the only one there is.
    /// None for one that is its file and nothing else: because it says so with `registry = ""`, or there is no
    /// registry.
    pub(super) fn of_zone(&self, zone: &zone::config::ReadZone, table: Span) -> Option<String> {
        let wants_none = zone.registry.as_ref().is_some_and(|registry| registry.value.is_empty());
        if wants_none || (self.none && zone.registry.is_none()) {
            if let Some(zone) = zone.config.as_ref().filter(|zone| zone.file.is_none()) {
                let help = if wants_none {
                    "give it a `file`"
                } else {
                    "add a [registry.main] table, or give the zone a `file`"
                };
                self.problems.add_with_help(table, format!("zone {} has nothing to show", zone.origin), help);
            }
            if let Some(under) = zone.under {
                self.problems.add(under, "`under` is a part of a registry, and there is none");
            }
        }
        if wants_none { None } else { self.meant(zone.registry.as_ref(), "zone", table) }
    }

    /// Checks what services say of their registries, and what only the registry's convention can tell of them.
    pub(super) fn check_services(&self, config: &Config) {
        for service in &config.announce.services {
            let Some(name) = self.meant(service.registry.as_ref(), "service", service.name.span) else {
                if self.none && service.registry.is_none() {
                    let help = "add a [registry.main] table";
                    self.problems.add_with_help(service.name.span, "there is no registry to register it in", help);
                }
                continue;
            };
            let Some(registry) = config.registries.iter().find(|registry| registry.name == name) else { continue };
            if let Some(format) = self.format_of(service, registry) {
                service.check(format, self.problems);
            }
        }
    }

    /// The convention that a service is written in: that of the reader whose root it names.
    fn format_of<'r>(&self, service: &announce::ServiceConfig, registry: &'r Registry) -> Option<&'r format::Config> {
        let roots = || registry.read.iter().map(|one| format!("\"{}\"", one.root)).collect::<Vec<_>>().join(", ");
        match (&service.root, &*registry.read) {
            (None, []) => Some(&registry.format),
            (Some(root), []) if root.value == registry.zookeeper.root => Some(&registry.format),
            (Some(root), []) => {
                let message = format!("[registry.{}] does not read {}", registry.name, root.value);
                let help = format!("its root is {}; leave `root` out", registry.zookeeper.root);
                self.problems.add_with_help(root.span, message, help);
                None
            }
            (None, _) => {
                let message = format!("`{}` must say the `root` that it is registered below", service.name.value);
                let help = format!("[registry.{}] reads several: root = one of {}", registry.name, roots());
                self.problems.add_with_help(service.name.span, message, help);
                None
            }
            (Some(root), all) => {
                let found = all.iter().find(|one| one.root == root.value);
                if found.is_none() {
                    let message = format!("no reader of [registry.{}] has the root {}", registry.name, root.value);
                    self.problems.add_with_help(root.span, message, format!("there are: {}", roots()));
                }
                found.map(|one| &one.format)
            }
        }
    }

    /// The registry that is meant; none, and told why, where that cannot be said; none where there is none.
    fn meant(&self, named: Option<&Located<String>>, who: &str, at: Span) -> Option<String> {
        let all = || format!("there are: {}", self.names.join(", "));
        match (named, &*self.names) {
            (Some(Located { value, .. }), known) if known.contains(&value.as_str()) => Some(value.clone()),
            (Some(Located { value, span }), known) => {
                let help = match nearest(value, known) {
                    Some(name) => format!("did you mean \"{name}\"?"),
                    None if known.is_empty() => format!("add a [registry.{value}] table"),
                    None => all(),
                };
                self.problems.add_with_help(*span, format!("there is no [registry.{value}]"), help);
                None
            }
            (None, []) => None,
            (None, [only]) => Some((*only).to_owned()),
            (None, _) => {
                let message = format!("a {who} must say its `registry` where there are several");
                self.problems.add_with_help(at, message, all());
                None
            }
        }
    }
}

/// Checks that DNS and the admin server do not want the same TCP port.
pub(super) fn check_addresses(table: &Table, config: &Config, problems: &Problems) {
    let (Some(dns), Some(admin)) = (&config.dns, &config.admin) else { return };
    let clash = |dns: &&SocketAddr| {
        let same = dns.ip() == admin.listen.ip();
        let all = dns.is_ipv4() == admin.listen.is_ipv4()
            && (dns.ip().is_unspecified() || admin.listen.ip().is_unspecified());
        dns.port() == admin.listen.port() && dns.port() != 0 && (same || all)
    };
    if let Some(dns) = dns.listen.iter().find(clash) {
        let part = table.get("admin");
        let span = part.map_or(table.span, |part| part.setting("listen").map_or(part.span, |value| value.span));
        problems.add(span, format!("[dns] listens on {dns} as well"));
    }
}

/// Checks that who registers is somebody, where only the creator of a znode is to change it.
pub(super) fn check_creator(table: &Table, config: &Config, problems: &Problems) {
    let announce::Settings { acl, parent_acl, .. } = &config.announce.settings;
    for (key, access) in [("acl", acl), ("parent_acl", parent_acl)] {
        let nobody = config.registries.iter().find(|registry| {
            registry.zookeeper.security.auth.is_none() && !config.services_of(&registry.name).is_empty()
        });
        if let (Access::Creator, Some(registry)) = (access, nobody) {
            let span = table.get("announce").and_then(|part| part.setting(key)).map_or(table.span, |value| value.span);
            let help = format!("give [registry.{}] an `auth_file`", registry.name);
            problems.add_with_help(span, format!("`{key} = \"creator\"` needs somebody to be"), help);
        }
    }
}

/// Warns of zones below others whose secondaries may not transfer them: they are not delegated to.
pub(super) fn check_children(table: &Table, config: &Config, problems: &Problems) {
    let Some(dns) = &config.dns else { return };
    let span = table.get("zone").map_or(table.span, |zones| zones.span);
    let allowed = Allowed::new(dns.allow_transfer.clone(), &config.secondaries);
    let origins = || config.zones.iter().map(|zone| &zone.origin);
    for lower in origins() {
        let above = origins().filter(|upper| *upper != lower && lower.is_at_or_below(upper));
        for upper in above.filter(|upper| !allowed.is_nobody(upper) && !allowed.covers(lower, upper)) {
            let message = format!(
                "{lower} lies below {upper}, whose secondaries may not transfer it: {upper} does not delegate to it"
            );
            problems.warn(span, message, format!("allow the transfer of {lower} to all that may transfer {upper}"));
        }
    }
}

/// Checks that the drains of a registry are not among what its readers take for services.
pub(super) fn check_drains(table: &Table, config: &Config, problems: &Problems) {
    for registry in &config.registries {
        let Some(drains) = &registry.zookeeper.drains else { continue };
        let is_taken = |reader: &RegistryReader| {
            let RegistryReader { registry: Registry { zookeeper, format, .. }, .. } = reader;
            let is_service = |below: &str| {
                let is_placed = format.is_placed();
                let is_theirs = is_placed && !matches!(format.placement(below), format::Placement::Foreign);
                is_theirs
                    || !is_placed && matches!(format.place(below), NodeKind::Service { .. } | NodeKind::Leaf { .. })
            };
            zookeeper.root.below(drains).is_some() || drains.below(&zookeeper.root).is_some_and(is_service)
        };
        let Some(reader) = registry.readers().into_iter().find(is_taken) else { continue };
        let own = table.get("registry").and_then(|all| all.setting(&registry.name));
        let span = own.and_then(|own| own.setting("drains")).map_or(table.span, |value| value.span);
        let root = &reader.registry.zookeeper.root;
        let message = if root.below(drains).is_some() {
            format!("`drains` is {drains}, and the root {root} of reader {} is in it", reader.name)
        } else {
            format!("`drains` is {drains}, which is within the root {root} of reader {}", reader.name)
        };
        let help = "give drains a znode of their own, where no services are: drains = \"/zonekeeper/drains\"";
        problems.add_with_help(span, message, help);
    }
}

/// Warns of readers of ZooKeeper's own servers behind a chroot, through which nobody sees them.
pub(super) fn check_ensembles(table: &Table, config: &Config, problems: &Problems) {
    for registry in &config.registries {
        let Backing::ZooKeeper(text) = &registry.zookeeper.source else { continue };
        let (_, chroot) = servers(text);
        let mut readers = registry.readers().into_iter();
        let is_system = |reader: RegistryReader| {
            let root = &reader.registry.zookeeper.root;
            reader.registry.format.name() == "ensemble" && root.as_str().starts_with("/zookeeper")
        };
        if chroot.trim_end_matches('/').is_empty() || !readers.any(is_system) {
            continue;
        }
        let own = table.get("registry").and_then(|all| all.setting(&registry.name));
        let span = own.and_then(|own| own.setting("zookeeper")).map_or(table.span, |value| value.span);
        let message = format!("\"ensemble\" reads /zookeeper/config, which nobody sees through the chroot {chroot}");
        problems.warn(span, message, "give it a [registry.NAME] of its own whose `zookeeper` has no chroot");
    }
}

/// Warns of readers whose services no zone shows: `as` puts them beside the parts that the zones have.
pub(super) fn check_places(table: &Table, config: &Config, problems: &Problems) {
    let items = |registry: &str| match &table.get("registry")?.setting(registry)?.setting("read")?.kind {
        Kind::Array(items) => Some(items.clone()),
        _ => None,
    };
    for registry in &config.registries {
        let of_registry = |zone: &&zone::config::Config| zone.registry.as_ref() == Some(&registry.name);
        let zones: Vec<_> = config.zones.iter().filter(of_registry).filter(|zone| !is_reverse(&zone.origin)).collect();
        let is_shown = |place: &str| {
            zones.iter().any(|zone| below(place, &zone.under).is_some() || below(&zone.under, place).is_some())
        };
        for (reader, item) in registry.read.iter().zip(items(&registry.name).unwrap_or_default()) {
            if zones.is_empty() || is_shown(&reader.place) {
                continue;
            }
            let span = item.setting("as").map_or(item.span, |value| value.span);
            let parts: Vec<String> =
                zones.iter().map(|zone| format!("\"{}\" in {}", zone.under, zone.origin)).collect();
            let message = format!(
                "no zone shows the services of reader \"{}\", which are below \"{}\"",
                reader.name, reader.place
            );
            problems.warn(span, message, format!("the zones of the registry show {}", parts.join(", ")));
        }
    }
}

/// Checks that the names of addresses have a zone to point to. `origins` is where each zone's origin stands.
pub(super) fn check_reverse(zones: &[zone::config::Config], origins: &[Span], problems: &Problems) {
    for (zone, span) in zones.iter().zip(origins).filter(|(zone, _)| is_reverse(&zone.origin)) {
        let Some(registry) = &zone.registry else { continue };
        if !zones.iter().any(|other| other.registry == zone.registry && !is_reverse(&other.origin)) {
            let message = format!("the addresses in {} have no names: no zone shows the services", zone.origin);
            let help = format!("add a [[zone]] for registry {registry}, such as \"service.\"");
            problems.add_with_help(*span, message, help);
        }
    }
}
