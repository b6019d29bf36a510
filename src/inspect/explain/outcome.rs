//! What an explanation says, as plain data and as text.

use std::fmt;

use crate::model::{Harm, Malformed};

/// Origins of a name in one registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explained {
    /// Reason for which the name is known although no znode leads to it.
    pub known: Option<String>,
    /// The services that the name could be of.
    pub sources: Vec<NameSource>,
}

/// A service that a name could be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameSource {
    /// Its path below the root.
    pub service: String,
    /// Its whole path.
    pub path: String,
    /// Form of the name.
    pub form: String,
    /// Owner of the records that are shown at the name in its place.
    pub hidden_by: Option<String>,
    /// Effects of links and the guard.
    pub notes: Vec<String>,
    /// True if its znode is there.
    pub exists: bool,
    /// Its instances.
    pub instances: Vec<InstanceOutcome>,
    /// Problems of its znodes.
    pub malformed: Vec<Malformed>,
}

/// Place of an instance in the answer or out of it, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceOutcome {
    /// Its name.
    pub name: String,
    /// True if it is in.
    pub is_in: bool,
    /// Reason for which it is not, or what it is in with.
    pub words: String,
    /// Links that it is seen through.
    pub notes: Vec<String>,
}

impl NameSource {
    /// Something else is shown at the name in its place.
    pub fn hide(&mut self, by: &str) {
        self.hidden_by = Some(by.to_owned());
        for instance in self.instances.iter_mut().filter(|instance| instance.is_in) {
            instance.is_in = false;
            instance.words = format!("hidden by {by}");
        }
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(known) = &self.known {
            writeln!(f, "{known}")?;
        }
        self.sources.iter().try_for_each(|source| source.fmt(f))
    }
}

impl fmt::Display for NameSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.path, self.form)?;
        if let Some(by) = &self.hidden_by {
            writeln!(f, "  hidden by {by}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))?;
        if self.exists && self.instances.is_empty() && self.malformed.is_empty() {
            writeln!(f, "  it is there and has no instance")?;
        }
        for InstanceOutcome { name, is_in, words, notes } in &self.instances {
            writeln!(f, "  {name:<24} {}  {words}", if *is_in { "IN " } else { "OUT" })?;
            notes.iter().try_for_each(|note| writeln!(f, "  {note}"))?;
        }
        for Malformed { harm, path, reason } in &self.malformed {
            let node = path.strip_prefix(&self.path).map_or("", |rest| rest.trim_start_matches('/'));
            let kind = match harm {
                Harm::Doubtful => "doubtful",
                Harm::Lost => "OUT  lost",
            };
            writeln!(f, "  {:<24} {kind}: {reason}", node.rsplit('/').next().unwrap_or(node))?;
        }
        Ok(())
    }
}
