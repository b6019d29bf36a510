//! The conventions that a configuration can choose: those that are code, those that are built in as descriptions, and
//! its own.

use std::sync::Arc;

use super::convention::Row;
use super::conventions::CONVENTIONS;
use super::declared::{Description, builtin, compile};
use crate::settings::{Kind, Section, live};

/// The conventions that a configuration can choose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Formats {
    /// The tables `[format.NAME]`, in the order of the file.
    own: Vec<Arc<Description>>,
    /// Names of those that have mistakes, which are told.
    mistaken: Vec<String>,
}

/// A convention, as it is chosen by its name.
#[derive(Debug, Clone, Copy)]
pub enum Chosen<'f> {
    /// Code.
    Coded(&'static Row),
    /// A description that is built in.
    BuiltIn(&'f Arc<Description>),
    /// A description of the configuration.
    Own(&'f Arc<Description>),
}

impl Formats {
    /// Reads the tables `[format.NAME]` of a configuration.
    pub fn read(top: &mut Section<'_>) -> Self {
        let problems = top.problems();
        let Some(value) = top.value(live("format")) else { return Self::default() };
        let Kind::Table(table) = &value.kind else {
            problems.add_with_help(value.span, "`format` must be a table of descriptions", "write [format.mine]");
            return Self::default();
        };
        let (mut own, mut mistaken) = (Vec::new(), Vec::new());
        for (name, span, value) in &table.entries {
            let Kind::Table(table) = &value.kind else {
                let message = format!("`format.{name}` must be a table, not {}", value.kind.name());
                problems.add_with_help(*span, message, "a description has a name of its own: write [format.mine]");
                continue;
            };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
                problems.add(*span, "the name of a format is made of letters, digits, `-` and `_`");
            }
            if CONVENTIONS.iter().any(|row| row.name == name) {
                let message = format!("\"{name}\" is a format of zonekeeper's own, which no description replaces");
                problems.add_with_help(*span, message, "give it another name");
            }
            match compile(name, table, problems) {
                Some(description) => own.push(Arc::new(description)),
                None => mistaken.push(name.clone()),
            }
        }
        Self { own, mistaken }
    }

    /// Returns whether `name` is a description of the configuration that has mistakes.
    pub(super) fn is_mistaken(&self, name: &str) -> bool {
        self.mistaken.iter().any(|known| known == name)
    }

    /// All conventions by their names: code, then descriptions. A description of the configuration replaces one that is
    /// built in.
    pub fn all(&self) -> Vec<(&str, Chosen<'_>)> {
        let coded = CONVENTIONS.iter().map(|row| (row.name, Chosen::Coded(row)));
        let own = |name: &str| self.own.iter().any(|one| *one.name == *name);
        let is_code = |name: &str| CONVENTIONS.iter().any(|row| row.name == name);
        let built_in = builtin().iter().filter(|one| !own(&one.name) && !is_code(&one.name));
        let mut described: Vec<_> = self.own.iter().map(|one| (&*one.name, Chosen::Own(one))).collect();
        described.extend(built_in.map(|one| (&*one.name, Chosen::BuiltIn(one))));
        described.sort_by_key(|(name, _)| *name);
        coded.chain(described).collect()
    }

    /// The convention called `name`.
    pub fn find(&self, name: &str) -> Option<Chosen<'_>> {
        self.all().into_iter().find(|(known, _)| *known == name).map(|(_, chosen)| chosen)
    }
}

impl<'f> Chosen<'f> {
    /// Its description; none of code.
    pub fn description(self) -> Option<&'f Arc<Description>> {
        match self {
            Self::Coded(_) => None,
            Self::BuiltIn(description) | Self::Own(description) => Some(description),
        }
    }

    /// Returns whether services can be registered in it.
    pub fn is_written(self) -> bool {
        if let Self::Coded(row) = self { (row.build)("").is_written() } else { false }
    }

    /// One sentence about it.
    pub fn doc(self) -> &'f str {
        self.description().map_or_else(|| if let Self::Coded(row) = self { row.doc } else { "" }, |one| &one.doc)
    }
}
