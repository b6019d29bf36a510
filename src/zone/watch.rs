//! Names that a look-up has to watch for on its way down. All others are found in one step, whatever else is in the
//! zone.

use std::collections::HashSet;

use foldhash::fast::FixedState;

use super::exceptions::Exceptions;
use super::name::{self, Name};

/// Names in wire form and lower case.
type WatchedNames = HashSet<Box<[u8]>, FixedState>;

/// Names by what they do to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// Owners of NS records below the apex: they and all names below are somebody else's.
    delegations: WatchedNames,
    /// Owners of DNAME records: all names below lead elsewhere.
    redirections: WatchedNames,
    /// Names right below which there is a wildcard: it may answer for names below that are not there.
    wildcards: WatchedNames,
    /// Names below which those that are not there are unknown.
    unknown: WatchedNames,
}

/// Effect of one name on others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) delegates: bool,
    pub(super) redirects: bool,
    pub(super) is_wildcard: bool,
    pub(super) covers: bool,
}

impl Watch {
    /// Takes what `owner` does from now on.
    pub(super) fn note(&mut self, owner: &Name, effect: Effect) {
        let owner = owner.wire();
        // The name above a wildcard, whose first label is `*`.
        let parent = owner.get(2..).unwrap_or_default();
        let is_of_wildcard = name::labels(owner).next() == Some(b"*");
        set(&mut self.delegations, owner, effect.delegates);
        set(&mut self.redirections, owner, effect.redirects);
        set(&mut self.unknown, owner, effect.covers);
        if is_of_wildcard {
            set(&mut self.wildcards, parent, effect.is_wildcard);
        }
    }

    /// Number of names of each kind.
    pub(super) fn counts(&self) -> Exceptions {
        let count = |names: &WatchedNames| u32::try_from(names.len()).unwrap_or(u32::MAX);
        Exceptions {
            delegations: count(&self.delegations),
            wildcards: count(&self.wildcards),
            redirections: count(&self.redirections),
            unknown: count(&self.unknown),
        }
    }

    /// Returns whether the entry of a name, in wire form and lower case, is not the answer to a question about it: it
    /// lies at or below a delegation, or below a DNAME.
    pub fn shades(&self, name: &[u8]) -> bool {
        let is_cut = |start: usize| {
            self.delegations.contains(&name[start..]) || (start > 0 && self.redirections.contains(&name[start..]))
        };
        !(self.delegations.is_empty() && self.redirections.is_empty()) && name::suffixes(name).any(is_cut)
    }

    /// Returns whether a name that is not there may be answered with something else than that.
    pub fn concerns(&self, name: &[u8]) -> bool {
        let is_open = |start: usize| {
            start > 0 && (self.wildcards.contains(&name[start..]) || self.unknown.contains(&name[start..]))
        };
        self.shades(name) || name::suffixes(name).any(is_open)
    }
}

fn set(names: &mut WatchedNames, name: &[u8], is_in: bool) {
    if is_in {
        names.insert(name.into());
    } else {
        names.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn each_kind_concerns_the_names_it_can_change_and_no_others() {
        let mut watch = Watch::default();
        watch.note(&name("sub.service"), Effect { delegates: true, ..Effect::default() });
        watch.note(&name("dn.service"), Effect { redirects: true, ..Effect::default() });
        watch.note(&name("*.w.service"), Effect { is_wildcard: true, ..Effect::default() });
        watch.note(&name("u.service"), Effect { covers: true, ..Effect::default() });
        for (owner, shades, concerns) in [
            ("sub.service", true, true),
            ("x.y.sub.service", true, true),
            ("dn.service", false, false),
            ("x.dn.service", true, true),
            ("w.service", false, false),
            ("x.w.service", false, true),
            ("u.service", false, false),
            ("x.u.service", false, true),
            ("other.service", false, false),
            ("xsub.service", false, false),
            ("service", false, false),
        ] {
            let owner = name(owner);
            assert_eq!((watch.shades(owner.wire()), watch.concerns(owner.wire())), (shades, concerns), "{owner}");
        }
        assert_eq!(watch.counts(), Exceptions { delegations: 1, wildcards: 1, redirections: 1, unknown: 1 });
        for owner in ["sub.service", "dn.service", "*.w.service", "u.service"] {
            watch.note(&name(owner), Effect::default());
        }
        assert_eq!(watch, Watch::default());
    }
}
