//! Names of the readers of registries.

use std::fmt;

/// Name of a reader: that of its registry and, where the registry has several, its own. Shown as `main`, or
/// `main/kafka`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReaderName {
    /// The registry's.
    pub registry: String,
    /// Its own; none for the only reader of a registry.
    pub reader: Option<String>,
}

impl ReaderName {
    /// Name of the only reader of a registry.
    pub fn only(registry: &str) -> Self {
        Self { registry: registry.to_owned(), reader: None }
    }

    /// Returns whether it is one of the registry called so, or called so itself.
    pub fn is_of(&self, name: &str) -> bool {
        match (name.split_once('/'), &self.reader) {
            (Some((registry, reader)), Some(own)) => (registry, reader) == (self.registry.as_str(), own.as_str()),
            (Some(_), None) => false,
            (None, _) => self.registry == name,
        }
    }
}

impl fmt::Display for ReaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reader {
            None => f.write_str(&self.registry),
            Some(reader) => write!(f, "{}/{reader}", self.registry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_name_is_that_of_all_its_readers() {
        let of = |reader: Option<&str>| ReaderName { registry: "main".into(), reader: reader.map(str::to_owned) };
        assert_eq!((of(None).to_string(), of(Some("nd")).to_string()), ("main".into(), "main/nd".into()));
        assert!(of(None).is_of("main") && of(Some("nd")).is_of("main") && of(Some("nd")).is_of("main/nd"));
        assert!(!of(None).is_of("main/nd") && !of(Some("nd")).is_of("main/zc") && !of(Some("nd")).is_of("nd"));
    }
}
