//! Services that are not where they were after the configuration has changed: gone, or at another place.

use std::fmt;

use super::config::{Config, ServiceConfig};

/// A service as it was, and as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Move<'c> {
    /// As it was.
    pub from: &'c ServiceConfig,
    /// As it is; none where it has left the configuration.
    pub to: Option<&'c ServiceConfig>,
}

/// Finds the services of `before` that are elsewhere, or nowhere, in `after`.
pub fn find<'c>(before: &'c [ServiceConfig], after: &'c [ServiceConfig]) -> Vec<Move<'c>> {
    let moved = before.iter().filter(|from| !after.iter().any(|to| is_same_place(from, to)));
    moved.map(|from| Move { from, to: destination(from, before, after) }).collect()
}

impl Config {
    /// The services of this one that are elsewhere, or nowhere, in `after`.
    pub fn moves_to<'c>(&'c self, after: &'c Self) -> Vec<Move<'c>> {
        find(&self.services, &after.services)
    }
}

fn is_same_place(one: &ServiceConfig, other: &ServiceConfig) -> bool {
    is_same_name(one, other) && (one.port, &one.address) == (other.port, &other.address)
}

fn is_same_name(one: &ServiceConfig, other: &ServiceConfig) -> bool {
    one.name.value == other.name.value && one.target() == other.target()
}

/// The most similar service that is new.
fn destination<'c>(
    from: &ServiceConfig,
    before: &[ServiceConfig],
    after: &'c [ServiceConfig],
) -> Option<&'c ServiceConfig> {
    let is_new =
        |to: &&ServiceConfig| to.name.value == from.name.value && !before.iter().any(|other| is_same_place(other, to));
    let difference = |to: &&ServiceConfig| {
        (!is_same_name(from, to), to.port != from.port, to.file != from.file, to.address != from.address)
    };
    after.iter().filter(is_new).min_by_key(difference)
}

/// The reason, as the end of a sentence: `its address was 10.0.0.1 and is not in web.toml any more, …`.
impl fmt::Display for Move<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(to) = self.to else { return f.write_str("it has left the configuration") };
        let (from, file) = (self.from, to.file.display());
        if from.registry_and_root() == to.registry_and_root() && !is_same_name(from, to) {
            let format = to.format.as_ref().map_or("that of its registry", |format| &*format.value);
            return write!(f, "its format is {format} now, by {file}");
        }
        if !is_same_name(from, to) {
            let registry = to.registry.as_ref().map_or("the only registry", |registry| &*registry.value);
            let root = to.root.as_ref().map(|root| format!(" below {}", root.value)).unwrap_or_default();
            return write!(f, "it is registered in {registry}{root} now, by {file}");
        }
        if from.port != to.port {
            return write!(f, "its port was {} and is {} now, by {file}", from.port, to.port);
        }
        match (&from.address, &to.address) {
            (Some(from), None) => write!(
                f,
                "its address was {from} and is not in {file} any more: it is registered at this host's own addresses now"
            ),
            (None, Some(to)) => {
                write!(f, "it was registered at this host's own addresses, and is at {to} now, by {file}")
            }
            (Some(from), Some(to)) => {
                write!(f, "its address was {from} and is {to} now, by {file}")
            }
            (None, None) => f.write_str("this host's addresses have changed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Span;
    use crate::format;
    use crate::settings::Located;

    fn service(name: &str, registry: &str, address: &str, port: u16) -> ServiceConfig {
        let registry = Some(Located { value: registry.to_owned(), span: Span::default() });
        let address = (!address.is_empty()).then(|| format::host(address).unwrap());
        ServiceConfig {
            registry: registry.filter(|registry| !registry.value.is_empty()),
            address,
            file: "web.toml".into(),
            ..ServiceConfig::new(name, port)
        }
    }

    #[test]
    fn a_service_that_moves_is_told_from_one_that_leaves() {
        let was = service("web", "", "10.0.0.1", 80);
        for (after, expected) in [
            (vec![was.clone()], None),
            (vec![], Some("it has left the configuration")),
            (vec![service("other", "", "10.0.0.1", 80)], Some("it has left the configuration")),
            (
                vec![service("web", "", "", 80)],
                Some(
                    "its address was 10.0.0.1 and is not in web.toml any more: it is registered at this host's own addresses now",
                ),
            ),
            (
                vec![service("web", "", "10.0.0.2", 80)],
                Some("its address was 10.0.0.1 and is 10.0.0.2 now, by web.toml"),
            ),
            (vec![service("web", "", "10.0.0.1", 81)], Some("its port was 80 and is 81 now, by web.toml")),
            (vec![service("web", "far", "10.0.0.1", 80)], Some("it is registered in far now, by web.toml")),
        ] {
            let before = [was.clone()];
            let told = find(&before, &after).first().map(ToString::to_string);
            assert_eq!(told.as_deref(), expected, "{after:?}");
        }
    }

    #[test]
    fn what_was_there_before_is_nobodys_destination() {
        let (one, two) = (service("web", "", "", 80), service("web", "", "", 81));
        let before = [one, two.clone()];
        let told: Vec<_> = find(&before, &before[1..]).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["it has left the configuration"]);
        let here = service("web", "", "10.0.0.1", 81);
        let after = [here];
        let moved = find(&before[1..], &after);
        assert!(moved[0].to_string().starts_with("it was registered at this host's own addresses, and is at 10.0.0.1"));
    }
}
