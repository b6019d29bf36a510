//! A selection of the simulated znodes: the service `b` is left out, as is what is below `c/d`; of `c` only that it is
//! there is mirrored.

use crate::registry::selection::{Selected, Selection};

/// The selection.
#[derive(Debug)]
pub(super) struct Chosen;

impl Selection for Chosen {
    fn selected(&self, below: &str) -> Option<Selected> {
        match below.split('/').collect::<Vec<_>>()[..] {
            ["b", ..] | ["c", "d", _, ..] => None,
            ["c"] => Some(Selected { data: false, children: true }),
            ["c", "d"] => Some(Selected { data: true, children: false }),
            _ => Some(Selected::WHOLE),
        }
    }
}
