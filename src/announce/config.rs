//! The `[[service]]` tables: which services of this host to register.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use super::address::{self, LocalAddress, Selection};
use super::check::Check;
use super::settings::Settings;
use super::values;
use super::written::written;
use crate::diagnostic::{Problems, Span};
use crate::format::{self, Property};
use crate::model::{Endpoint, Host};
use crate::registry::Path;
use crate::settings::{Kind, Located, Section, Value, live};

/// All services to register.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// In the order of the file.
    pub services: Vec<ServiceConfig>,
    /// Settings that hold for all of them.
    pub settings: Settings,
}

/// One service to register.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceConfig {
    /// Path below the registry's root: `api_x`, `staging/api_x`.
    pub name: Located<String>,
    /// The file that it was read from.
    pub file: PathBuf,
    /// The registry to register in; none for the only one.
    pub registry: Option<Located<String>>,
    /// The root to register below; none for the registry's only one.
    pub root: Option<Located<Path>>,
    /// The format to write it in; none for that of the registry's reader.
    pub format: Option<Located<String>>,
    /// The port, 1–65535.
    pub port: u16,
    /// The address or host name to register; none for addresses of this host.
    pub address: Option<Host>,
    /// Selection among this host's, then.
    pub selection: Selection,
    /// Checks that must be well for it to be registered.
    pub checks: Vec<Check>,
    /// Properties of the instance, in the order of the file.
    pub properties: Vec<(String, Property)>,
    /// Span of the properties, or of the table without them.
    pub properties_span: Span,
}

impl ServiceConfig {
    /// A service with defaults for everything else.
    pub fn new(name: &str, port: u16) -> Self {
        Self {
            name: Located { value: name.to_owned(), span: Span::default() },
            file: PathBuf::new(),
            registry: None,
            root: None,
            format: None,
            port,
            address: None,
            selection: Selection::default(),
            checks: Vec::new(),
            properties: Vec::new(),
            properties_span: Span::default(),
        }
    }

    /// The registration as a person reads it, a line each: at which of a host's addresses, why not at the others, and
    /// the checks with their targets. With a warning where the checks may look at something else than what is
    /// registered.
    pub fn outline(&self, all: &[LocalAddress]) -> (Vec<String>, Option<String>) {
        let mut lines = Vec::new();
        if let Some(host) = &self.address {
            lines.push(format!("{} at {}", self.name.value, Endpoint { host: host.clone(), port: self.port }));
        } else {
            let chosen = all.iter().filter(|own| self.selection.refuses(own).is_none());
            let chosen: Vec<_> = chosen.map(|own| format!("{} ({})", own.address, own.interface)).collect();
            let chosen = if chosen.is_empty() { "no address of this host yet".to_owned() } else { chosen.join(", ") };
            lines.push(format!("{}, port {}, at {chosen}", self.name.value, self.port));
            for own in all {
                if let Some(why) = self.selection.refuses(own) {
                    lines.push(format!("  not at {} ({}): {why}", own.address, own.interface));
                }
            }
        }
        lines.extend(self.checks.iter().map(|check| format!("  check {check}")));
        let here = loopback(self.port).to_string();
        let looks_here = self.checks.iter().any(|check| check.kind.address() == Some(&here));
        let is_elsewhere = match &self.address {
            Some(Host::V4(address)) => !all.iter().any(|own| own.address == IpAddr::V4(*address)),
            Some(Host::V6(address)) => !all.iter().any(|own| own.address == IpAddr::V6(*address)),
            _ => false,
        };
        let warning = (looks_here && is_elsewhere).then(|| {
            format!(
                "`{}` is registered at an address that is not this host's, and its checks look at {here}",
                self.name.value
            )
        });
        (lines, warning)
    }

    /// Key that tells it from the others of the configuration: `api_x:8080`, `api_x at 10.0.0.1:8080 as curator`.
    pub fn key(&self) -> Arc<str> {
        let format = self.format.as_ref().map(|format| format!(" as {}", format.value)).unwrap_or_default();
        match &self.address {
            None => format!("{}:{}{format}", self.name.value, self.port).into(),
            Some(host) => {
                let endpoint = Endpoint { host: host.clone(), port: self.port };
                format!("{} at {endpoint}{format}", self.name.value).into()
            }
        }
    }
}

impl Config {
    /// Reads the keys `announce` and `service` of the whole configuration.
    pub fn read(root: &mut Section<'_>) -> Self {
        let mut config = Self::default();
        if let Some(mut section) = root.section(live("announce")) {
            config.settings = Settings::read(&mut section);
            section.finish();
        }
        let Some(value) = root.value(live("service")) else { return config };
        let Kind::Array(tables) = &value.kind else {
            let message = format!("`service` must be a list of tables, not {}", value.kind.name());
            root.problems().add_with_help(value.span, message, "write [[service]], with two brackets");
            return config;
        };
        for table in tables {
            let Some(service) = read_service(table, root.problems()) else { continue };
            let same = |other: &ServiceConfig| {
                other.name.value == service.name.value
                    && other.target() == service.target()
                    && (other.port, &other.address) == (service.port, &service.address)
            };
            if config.services.iter().any(same) {
                let message = format!("`{}` is here twice with the same port and address", service.name.value);
                root.problems().add(service.name.span, message);
            } else {
                config.services.push(service);
            }
        }
        config
    }
}

impl Config {
    /// The services of this one that are otherwise in `before`.
    pub fn changed_since<'c>(&'c self, before: &'c Self) -> impl Iterator<Item = &'c ServiceConfig> {
        let same = |one: &ServiceConfig, other: &ServiceConfig| {
            (&one.name.value, one.target(), one.port) == (&other.name.value, other.target(), other.port)
        };
        let equal = |one: &ServiceConfig, other: &ServiceConfig| {
            (&one.address, &one.selection, &one.checks, &one.properties)
                == (&other.address, &other.selection, &other.checks, &other.properties)
        };
        let changed = move |one: &&ServiceConfig| {
            let mut before = before.services.iter().filter(|other| same(one, other)).peekable();
            before.peek().is_some() && !before.any(|other| equal(one, other))
        };
        self.services.iter().filter(changed)
    }
}

impl ServiceConfig {
    /// The registry, the root and the format that it names.
    pub(super) fn target(&self) -> ((Option<&str>, Option<&Path>), Option<&str>) {
        (self.registry_and_root(), self.format.as_ref().map(|format| &*format.value))
    }

    /// The registry and the root that it names.
    pub(super) fn registry_and_root(&self) -> (Option<&str>, Option<&Path>) {
        (self.registry.as_ref().map(|registry| &*registry.value), self.root.as_ref().map(|root| &root.value))
    }
}

/// Reads one table to its end, whatever is wrong with it; none when it makes no service.
fn read_service(value: &Value, problems: &Problems) -> Option<ServiceConfig> {
    let Kind::Table(table) = &value.kind else {
        problems.add(value.span, format!("`service` must be a list of tables; this is {}", value.kind.name()));
        return None;
    };
    let mut section = Section::new(table, "service", problems);
    let name = section.required::<String>(live("name")).filter(|name| check_name(name, problems));
    let registry = section.located(live("registry"));
    let root = read_root(&mut section);
    let format = read_format(&mut section);
    let port = section.required::<u16>(live("port"));
    if let Some(port) = port.as_ref().filter(|port| port.value == 0) {
        problems.add(port.span, "`port` must be a whole number from 1 to 65535, not 0");
    }
    let address = section.located::<String>(live("address")).filter(|address| !address.value.is_empty());
    let host = address.as_ref().map(|address| (address.span, format::host(&address.value)));
    if let Some((span, Err(error))) = &host {
        let (message, help) = match error {
            format::Error::Unusable(what) => (
                format!("`address` is {what}: nobody can reach the service there"),
                "give an address of this host that others reach, or leave it out for all of them",
            ),
            _ => (
                "`address` must be an address or a host name".to_owned(),
                "give an IPv4 or IPv6 address or a host name, without a port; \"\" is every IPv4 address of this host",
            ),
        };
        problems.add_with_help(*span, message, help);
    }
    let (selection, chosen_at) = Selection::read(&mut section);
    if let (Some(span), Some(_)) = (chosen_at, &host) {
        let message = "a service with an `address` cannot choose among those of this host";
        section.problems().add_with_help(span, message, "leave out `address`, or else this");
    }
    let given = host.as_ref().and_then(|(_, host)| host.as_ref().ok());
    let target = default_target(given, port.as_ref().map_or(0, |port| port.value), address::is_own);
    let checks = Check::read_all(&mut section, &target);
    let (properties, properties_span) = read_properties(&mut section);
    section.finish();

    let port = port?.value;
    let address = match host {
        Some((_, Err(_))) => return None,
        Some((_, Ok(host))) => Some(host),
        None => None,
    };
    let name = name?;
    let file = PathBuf::new();
    let service = ServiceConfig {
        name,
        file,
        registry,
        root,
        format,
        port,
        address,
        selection,
        checks,
        properties,
        properties_span,
    };
    (port != 0).then_some(service)
}

/// Reads `root`.
fn read_root(section: &mut Section<'_>) -> Option<Located<Path>> {
    let Located { value, span } = section.located::<String>(live("root"))?;
    let read = Path::new(&value).map_err(|error| {
        let message = format!("`root` must be the path of a znode: {error}");
        section.problems().add_with_help(span, message, "it is that of one of the registry's readers");
    });
    Some(Located { value: read.ok()?, span })
}

/// Reads `format`.
fn read_format(section: &mut Section<'_>) -> Option<Located<String>> {
    let format = section.located::<String>(live("format"))?;
    if format.value != "auto" && format::Config::of_writers(&format.value, "").is_some() {
        return Some(format);
    }
    let message = format!("services cannot be registered in the format \"{}\"", format.value);
    section.problems().add_with_help(format.span, message, format!("`format` is one of {}", written()));
    None
}

/// The place where a service's checks go that name none: its address, if that is this host's own or a name. Another
/// address may be that of a proxy or of a host behind it, and the service is here.
fn default_target(address: Option<&Host>, port: u16, is_own: impl Fn(IpAddr) -> bool) -> String {
    let own =
        |address: IpAddr| if is_own(address) { SocketAddr::new(address, port) } else { loopback(port) }.to_string();
    match address {
        None => loopback(port).to_string(),
        Some(Host::V4(address)) => own(IpAddr::V4(*address)),
        Some(Host::V6(address)) => own(IpAddr::V6(*address)),
        Some(name) => Endpoint { host: name.clone(), port }.to_string(),
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn check_name(name: &Located<String>, problems: &Problems) -> bool {
    // As a path it has to make sense; slashes at its ends would be empty elements.
    let good = Path::new(&format!("/{}", name.value)).is_ok_and(|path| !path.is_root());
    if !good {
        let message = format!("`name` must be the path of a znode below the registry's root, not \"{}\"", name.value);
        let help = "elements separated by single slashes, such as \"api_x\" or \"staging/api_x\"";
        problems.add_with_help(name.span, message, help);
    }
    good
}

fn read_properties(section: &mut Section<'_>) -> (Vec<(String, Property)>, Span) {
    let Some(properties) = section.located::<Property>(live("properties")) else { return (Vec::new(), section.span()) };
    let Property::Table(mut entries) = properties.value else {
        section.problems().add(properties.span, "`properties` must be a table");
        return (Vec::new(), properties.span);
    };
    for (key, _) in entries.iter().filter(|(key, _)| format::RESERVED.contains(&key.as_str())) {
        section.problems().add(properties.span, format!("`properties` must not hold `{key}`: it is written by itself"));
    }
    for (_, property) in &mut entries {
        match values::resolve(property.clone()) {
            Ok(resolved) => *property = resolved,
            Err(why) => section.problems().add(properties.span, why),
        }
    }
    (entries, properties.span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Table;

    fn string(text: &str) -> Kind {
        Kind::String(text.to_owned())
    }

    /// Every value gets a span of its own: ten times its place among all keys and tables.
    struct Spans(usize);

    impl Spans {
        fn next(&mut self) -> Span {
            self.0 += 10;
            Span { file: 0, start: self.0, end: self.0 + 1 }
        }

        fn table(&mut self, entries: &[(&str, Kind)]) -> Value {
            let span = self.next();
            let entries = entries
                .iter()
                .map(|(key, kind)| {
                    let span = self.next();
                    ((*key).to_owned(), span, Value { span, kind: kind.clone() })
                })
                .collect();
            Value { span, kind: Kind::Table(Table { span, entries }) }
        }
    }

    fn read(services: &[&[(&str, Kind)]]) -> (Config, Vec<(usize, String)>) {
        let mut spans = Spans(0);
        let tables = services.iter().map(|entries| spans.table(entries)).collect();
        read_value(Kind::Array(tables))
    }

    fn read_value(kind: Kind) -> (Config, Vec<(usize, String)>) {
        let value = Value { span: Span::default(), kind };
        let root = Table { span: Span::default(), entries: vec![("service".into(), Span::default(), value)] };
        let problems = Problems::default();
        let config = Config::read(&mut Section::new(&root, "config", &problems));
        for service in &config.services {
            service.check(&format::Config::default(), &problems);
        }
        (config, problems.into_vec().into_iter().map(|problem| (problem.at.start, problem.message)).collect())
    }

    #[test]
    fn checks_go_to_the_services_own_address_or_name_and_else_to_this_host() {
        let target = |text: &str| {
            let host = format::host(text).unwrap();
            default_target(Some(&host), 80, |address| address.to_string().starts_with("10.") || address.is_ipv6())
        };
        assert_eq!(default_target(None, 80, |_| true), "127.0.0.1:80");
        assert_eq!(target("10.0.0.1"), "10.0.0.1:80");
        assert_eq!(target("192.0.2.1"), "127.0.0.1:80");
        assert_eq!(target("::1"), "[::1]:80");
        assert_eq!(target("db.example.com"), "db.example.com:80");
    }

    #[test]
    fn a_service_needs_a_name_and_a_port() {
        let (config, problems) = read(&[&[("name", string("staging/api_x")), ("port", Kind::Integer(8080))]]);
        assert_eq!(problems, []);
        let service = &config.services[0];
        assert_eq!((&*service.name.value, service.port, &service.address), ("staging/api_x", 8080, &None));
        let (config, problems) = read(&[&[("address", string(""))]]);
        assert_eq!(config.services, []);
        assert_eq!(
            problems,
            [(10, "`name` is missing in [service]".into()), (10, "`port` is missing in [service]".into())]
        );
    }

    #[test]
    fn every_mistake_is_told_where_it_stands_and_good_services_are_read() {
        let good = [("name", string("db")), ("port", Kind::Integer(5432)), ("address", string("[::1]"))];
        let bad = [
            ("name", string("/api//x")),
            ("port", Kind::Integer(0)),
            ("address", string("10.0.0.300")),
            ("chek", Kind::Boolean(true)),
            ("properties", Kind::Integer(1)),
        ];
        let (config, problems) = read(&[&bad, &good]);
        assert_eq!(config.services.len(), 1);
        let places: Vec<_> = problems.iter().map(|(start, _)| *start).collect();
        assert_eq!(places, [20, 30, 40, 50, 60], "{problems:#?}");
        assert!(problems[3].1.contains("unknown key `chek`"));
    }

    #[test]
    fn the_same_twice_is_a_problem_and_another_port_or_address_is_not() {
        let service = |port, address: &str| {
            vec![("name", string("a")), ("port", Kind::Integer(port)), ("address", string(address))]
        };
        let services = [service(1, ""), service(2, ""), service(1, "::1"), service(1, "[::1]")];
        let services: Vec<_> = services.iter().map(Vec::as_slice).collect();
        let (config, problems) = read(&services);
        assert_eq!(config.services.len(), 3);
        assert_eq!(problems, [(140, "`a` is here twice with the same port and address".into())]);
    }

    #[test]
    fn what_nobody_could_read_is_a_problem() {
        let table = |entries: &[(&str, Kind)]| Spans(1000).table(entries).kind;
        let properties = table(&[("weight", Kind::Integer(70_000)), ("pid", Kind::Integer(1))]);
        let service = |name: &str, properties: Kind| {
            vec![("name", string(name)), ("port", Kind::Integer(1)), ("properties", properties)]
        };
        let services = [
            service("a/providers", table(&[])),
            service("b", properties),
            service("c", table(&[("x", string(&"y".repeat(70_000)))])),
        ];
        let services: Vec<_> = services.iter().map(Vec::as_slice).collect();
        let messages: Vec<_> = read(&services).1.into_iter().map(|(_, message)| message).collect();
        assert_eq!(messages.len(), 4, "{messages:#?}");
        assert_eq!(messages[0], "`a/providers` is not the path of a service in its registry");
        assert_eq!(messages[1], "`properties` must not hold `pid`: it is written by itself");
        assert!(messages[2].starts_with("`weight` is 70000"));
        assert!(messages[3].contains("more than 65536"));
    }

    #[test]
    fn one_bracket_too_few_is_said() {
        let (config, problems) = read_value(Spans(0).table(&[("name", string("a"))]).kind);
        assert_eq!(config.services, []);
        assert_eq!(problems[0].1, "`service` must be a list of tables, not a table");
    }
}
