//! Names of a zone whose part of the registry can no longer be read: each and all below it are answered as they last
//! were, as stale, while the rest of the zone is current. Beside the table, as nothing in it is different.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use super::name::{Name, suffixes};

/// The stale names of one zone. Nearly always there are none.
#[derive(Debug, Default)]
pub struct StaleNames {
    are_there: AtomicBool,
    names: ArcSwap<HashSet<Box<[u8]>>>,
}

impl StaleNames {
    /// Replaces them; names in lower case.
    pub(super) fn set(&self, names: impl IntoIterator<Item = Name>) {
        let names: HashSet<Box<[u8]>> = names.into_iter().map(|name| name.wire().into()).collect();
        if names == **self.names.load() {
            return;
        }
        let are_there = !names.is_empty();
        self.names.store(Arc::new(names));
        self.are_there.store(are_there, Ordering::Release);
    }

    /// Returns whether there are any.
    pub fn are_there(&self) -> bool {
        self.are_there.load(Ordering::Acquire)
    }

    /// Returns whether a name, in wire form and lower case, is at or below one of them.
    pub fn cover(&self, name: &[u8]) -> bool {
        if !self.are_there() {
            return false;
        }
        let names = self.names.load();
        suffixes(name).any(|start| names.contains(&name[start..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_below_a_stale_one_are_stale_and_its_neighbours_are_not() {
        let stale = StaleNames::default();
        let name = |text: &str| Name::parse(text).unwrap();
        let is_stale = |text: &str| stale.cover(name(text).wire());
        assert!(!is_stale("pay.service"));
        stale.set([name("pay.service"), name("_pay._tcp.service")]);
        for (text, expected) in [
            ("pay.service", true),
            ("a.b.pay.service", true),
            ("_pay._tcp.service", true),
            ("_tcp.service", false),
            ("xpay.service", false),
            ("service", false),
        ] {
            assert_eq!(is_stale(text), expected, "{text}");
        }
        stale.set([]);
        assert!(!stale.are_there() && !is_stale("pay.service"));
    }
}
