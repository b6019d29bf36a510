//! The descriptions that are built in: builtin.toml, compiled once.

use std::sync::{Arc, LazyLock};

use super::compile::compile;
use super::description::Description;
use crate::diagnostic::Problems;
use crate::settings::{Kind, tree};

/// Text of the descriptions that are built in.
pub(super) const TEXT: &str = include_str!("builtin.toml");

static ALL: LazyLock<Vec<Arc<Description>>> = LazyLock::new(|| {
    // A test proves that there are no problems.
    let problems = Problems::default();
    let entries = tree::parse(TEXT, 0).table.entries.into_iter();
    let compiled = entries.filter_map(|(name, _, value)| match &value.kind {
        Kind::Table(table) => compile(&name, table, &problems).map(Arc::new),
        _ => None,
    });
    compiled.collect()
});

/// The descriptions that are built in, in the order of the alphabet.
pub fn builtin() -> &'static [Arc<Description>] {
    &ALL
}

#[cfg(test)]
mod tests;
