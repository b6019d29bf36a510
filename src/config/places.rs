//! Positions of a configuration's keys, for problems that only show when it is used.

use crate::diagnostic::{Problem, Report, Severity, SourceText, Span};
use crate::settings::{Kind, Table, Value};

/// The files of a configuration, and where in them its keys are.
#[derive(Debug)]
pub struct Places {
    pub(super) table: Table,
    pub(super) sources: Vec<SourceText>,
}

impl Places {
    /// The value of a key, by the keys that lead to it, where a number is a place in a list: `["registry", "main",
    /// "root"]`. Where that is not set, the nearest of those above it.
    pub fn of(&self, keys: &[&str]) -> Span {
        let mut span = Span::default();
        let mut table = Some(&self.table);
        let mut list: Option<&Vec<Value>> = None;
        for key in keys {
            let found = match (table, list) {
                (Some(table), _) => {
                    table.entries.iter().find(|(name, ..)| name == key).map(|(_, at, value)| (at, value))
                }
                (_, Some(list)) => {
                    key.parse().ok().and_then(|at: usize| list.get(at)).map(|value| (&value.span, value))
                }
                (None, None) => None,
            };
            let Some((at, value)) = found else { break };
            (span, table, list) = match &value.kind {
                Kind::Table(inner) => (*at, Some(inner), None),
                Kind::Array(inner) => (value.span, None, Some(inner)),
                _ => (value.span, None, None),
            };
        }
        span
    }

    /// A report of one problem at a position.
    pub fn problem(&self, at: Span, severity: Severity, message: impl Into<String>, help: Option<String>) -> Report {
        Report::new(&self.sources, &[Problem { at, message: message.into(), help, severity }])
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Snippets, parse_with};
    use super::*;

    #[test]
    fn keys_are_found_in_their_files_and_those_that_are_not_set_by_what_is_above_them() {
        let text =
            "[registry.main]\nzookeeper = \"a:1\"\nread = [\"zc\", { format = \"nd\", root = \"/nd\" }]\n[dns]\n";
        let parsed = parse_with(Path::new("z.toml"), text, &Snippets::default());
        let (_, _, places) = parsed.unwrap_or_else(|(report, _)| panic!("{report}"));
        let told = |keys: &[&str]| {
            let report = places.problem(places.of(keys), Severity::Error, "x", None).to_string();
            report.lines().next().unwrap_or_default().to_owned()
        };
        assert_eq!(told(&["registry", "main", "zookeeper"]), "z.toml:2:13: error: x");
        assert_eq!(told(&["registry", "main", "read", "1", "root"]), "z.toml:3:39: error: x");
        assert_eq!(told(&["registry", "main", "read", "0", "root"]), "z.toml:3:9: error: x");
        assert_eq!(told(&["registry", "main", "root"]), "z.toml:1:11: error: x");
        assert_eq!(told(&["admin", "listen"]), "z.toml: error: x");
    }
}
