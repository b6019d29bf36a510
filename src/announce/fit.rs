//! Judges whether a service's registration says to its readers what its table says: by the convention that it is
//! written in, and the one that its registry is read by.

use std::time::SystemTime;

use super::config::ServiceConfig;
use super::written::written;
use crate::diagnostic::Problems;
use crate::format::{self, Node, NodeKind, Origin, Registration};
use crate::model::{Endpoint, Host, Instance, State};

/// An instance id, as long as those that are written.
const SOME_ID: &str = "0123456789abcdef";

impl ServiceConfig {
    /// The convention that it is written in, in a registry that is read by `reader`.
    pub fn format_in(&self, reader: &format::Config) -> format::Config {
        let own = self.format.as_ref().and_then(|name| format::Config::of_writers(&name.value, &reader.providers));
        own.unwrap_or_else(|| reader.clone())
    }

    /// Checks what only the conventions can tell: that the name is a place for a service, that what we write is what we
    /// would read, and that the registry's reader, `reader`, reads it. Warns of what cannot be written.
    pub fn check(&self, reader: &format::Config, problems: &Problems) {
        let format = self.format_in(reader);
        if !format.is_written() {
            let message = format!("services cannot be registered in the format \"{}\"", format.name());
            let help = format!("its registry is only read; `format` = {}, or another `registry`", written());
            return problems.add_with_help(self.name.span, message, help);
        }
        let misplaced = [&format, reader].into_iter().find(|format| {
            let place = format.place(&self.name.value);
            !format.is_placed() && !matches!(place, NodeKind::Service { .. } | NodeKind::Leaf { .. })
        });
        if let Some(format) = misplaced {
            let message = format!("`{}` is not the path of a service in its registry", self.name.value);
            let help = format!("an element that is {} stands for instances there", format.reserved());
            problems.add_with_help(self.name.span, message, help);
        }
        let host = self.address.clone().unwrap_or(Host::V4([127, 0, 0, 1].into()));
        let endpoint = Endpoint { host, port: self.port };
        let registration = Registration {
            service: &self.name.value,
            endpoint: &endpoint,
            is_drained: false,
            properties: &self.properties,
            instance_id: SOME_ID,
            origin: &Origin::default(),
            pid: u32::MAX,
            created: SystemTime::UNIX_EPOCH,
        };
        let Some(data) = format.encode(&registration) else { return };
        let name = format.node_name(&endpoint, SOME_ID);
        let meant = registration.instance();
        let add = |remark: &String| problems.add(self.properties_span, remark.as_str());
        meant.remarks.iter().for_each(add);
        format.objections(&registration).iter().for_each(add);
        match format.decode(&Node::alone(&name, &data)).map(|mut read| read.pop()) {
            Ok(Some(read)) => {
                // In words of its own, the same.
                read.remarks.iter().filter(|_| meant.remarks.is_empty()).for_each(add);
                self.warn_of_lost(&format, &meant, &read, problems);
            }
            Ok(None) => {}
            Err(error) => add(&format!("with these properties, nobody reads it: {error}")),
        }
        let below = format.instance_path("", &self.name.value, &name);
        if misplaced.is_none() && !reader.takes(&self.name.value, below.trim_start_matches('/'), &data) {
            let at = self.format.as_ref().map_or(self.name.span, |format| format.span);
            let message = format!(
                "`{}` will not be in DNS: its registry is read as \"{}\", which does not read the format \"{}\"",
                self.name.value,
                reader.name(),
                format.name()
            );
            problems.warn(at, message, "read it as \"auto\", or with another reader (`read`) and its `root`");
        }
    }

    /// Warns of properties that would mean something in DNS and do not in this convention.
    fn warn_of_lost(&self, format: &format::Config, meant: &Instance, read: &Instance, problems: &Problems) {
        let has = |key: &str| self.properties.iter().any(|(own, _)| own == key);
        let is_up = |one: &Instance| one.state == State::Up;
        let lost = [
            ("weight", meant.weight.is_some() && meant.weight != read.weight),
            ("priority", meant.priority.is_some() && meant.priority != read.priority),
            ("ttl", meant.ttl.is_some() && meant.ttl != read.ttl),
            ("protocol", meant.protocol != read.protocol),
            ("tags", !meant.tags.iter().all(|tag| read.tags.contains(tag))),
            ("ports", !meant.ports.iter().all(|port| read.ports.contains(port))),
            ("state", is_up(meant) != is_up(read)),
        ];
        let lost: Vec<_> = lost.iter().filter(|(key, is_lost)| *is_lost && has(key)).map(|(key, _)| *key).collect();
        if lost.is_empty() {
            return;
        }
        let keys: Vec<_> = lost.iter().map(|key| format!("`{key}`")).collect();
        let (format, keys) = (format.name(), keys.join(", "));
        let some_ports = lost == ["ports"];
        let message = if some_ports {
            format!("some of `ports` will not be in DNS: the format \"{format}\" has no place for them")
        } else {
            format!("{keys} will have no effect in DNS: the format \"{format}\" has no place for that")
        };
        let help = "they are written as metadata where that is possible; \"zc\" and \"nd\" have a place for all";
        problems.warn(self.properties_span, message, help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Severity, Span};
    use crate::format::Property;
    use crate::settings::Located;

    fn text(value: &str) -> Property {
        Property::Text(value.into())
    }

    /// What is said of a service in this format, in a registry that is read by that one.
    fn said(format: &str, reader: &str, properties: &[(&str, Property)]) -> Vec<(Severity, String)> {
        let mut service = ServiceConfig::new("shop/web", 80);
        service.format =
            Some(Located { value: format.to_owned(), span: Span::default() }).filter(|_| !format.is_empty());
        service.properties = properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let row = format::CONVENTIONS.iter().find(|row| row.name == reader).unwrap();
        let problems = Problems::default();
        service.check(&format::Config::new(row, "providers"), &problems);
        problems.into_vec().into_iter().map(|problem| (problem.severity, problem.message)).collect()
    }

    #[test]
    fn every_written_format_takes_a_plain_service_and_is_read_by_itself_and_by_auto() {
        assert_eq!(written(), "\"zc\", \"nd\", \"curator\", \"serverset\"");
        for format in ["zc", "nd", "curator", "serverset"] {
            for reader in [format, "auto"] {
                assert_eq!(
                    said(format, reader, &[("weight", Property::Integer(5))]).len(),
                    usize::from(format == "serverset")
                );
                assert_eq!(said(format, reader, &[("owner", text("shop"))]), [], "{format} {reader}");
            }
            assert_eq!(said("", format, &[]), []);
        }
    }

    #[test]
    fn what_a_format_has_no_place_for_is_warned_of() {
        let ports = |name: &str| ("ports", Property::Table(vec![(name.to_owned(), Property::Integer(81))]));
        let tags = ("tags", Property::List(vec![text("a")]));
        let warned = |format: &str, properties: &[(&str, Property)]| {
            let mut said = said(format, format, properties);
            assert_eq!(said.len(), 1, "{said:?}");
            let (severity, message) = said.remove(0);
            assert_eq!(severity, Severity::Warning);
            message
        };
        let nowhere = "the format \"curator\" has no place for that";
        assert_eq!(
            warned("curator", &[tags.clone(), ("ttl", Property::Integer(9)), ("priority", Property::Integer(1))]),
            format!("`priority`, `ttl`, `tags` will have no effect in DNS: {nowhere}")
        );
        assert_eq!(
            warned("curator", &[ports("admin")]),
            "some of `ports` will not be in DNS: the format \"curator\" has no place for them"
        );
        for name in ["https", "grpc"] {
            assert_eq!(said("curator", "curator", &[ports(name)]), [], "{name}");
        }
        assert!(warned("serverset", &[tags, ports("admin")]).starts_with("`tags` will have no effect in DNS"));
        for state in ["drain", "down"] {
            for format in ["curator", "serverset"] {
                assert_eq!(said(format, format, &[("state", text(state))]), []);
            }
        }
    }

    #[test]
    fn mistakes_in_properties_are_told_in_every_format() {
        for format in ["zc", "curator", "serverset"] {
            let said = said(format, "auto", &[("weight", Property::Integer(70_000))]);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].0 == Severity::Error && said[0].1.starts_with("`weight` is 70000"), "{said:?}");
        }
        for shard in [Property::Integer(-1), text("1"), Property::Integer(1 << 31)] {
            let said = said("serverset", "serverset", &[("shard", shard)]);
            assert!(said.len() == 1 && said[0].1.contains("a whole number from 0 to 2147483647"), "{said:?}");
        }
        assert_eq!(said("serverset", "serverset", &[("shard", Property::Integer(3))]), []);
        assert!(said("curator", "curator", &[("x", text(&"y".repeat(70_000)))])[0].1.contains("nobody reads it"));
    }

    #[test]
    fn a_registry_that_is_read_otherwise_or_only_read_is_told() {
        let not_in_dns = said("curator", "zc", &[]);
        let expected = "`shop/web` will not be in DNS: its registry is read as \"zc\", which does not read the format \
                        \"curator\"";
        assert_eq!(not_in_dns, [(Severity::Warning, expected.to_owned())]);
        assert_eq!(said("zc", "curator", &[]).len(), 1);
        let only_read = said("", "nerve", &[]);
        assert_eq!(only_read, [(Severity::Error, "services cannot be registered in the format \"nerve\"".to_owned())]);
    }
}
