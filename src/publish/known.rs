//! Names that zones know without a znode, and what a reload changes about them.

use std::collections::BTreeMap;

use super::clock::unix_now;
use super::core::Core;
use super::past::Wishes;
use super::target::{Target, below};
use crate::model::Protocol;
use crate::registry::shown::ShownTree;
use crate::zone::name::Name;
use crate::zone::records::config::Config;
use crate::zone::records::{label, srv};

/// Names that a service at `path` below what a zone shows has, whatever it holds; `is_dotted` as of a
/// [`Service`](crate::model::Service).
pub fn names_of(origin: &Name, path: &str, is_dotted: bool) -> Vec<Name> {
    let Ok(owner) = label::owner(origin, path) else { return Vec::new() };
    let mut names = label::aliases(origin, path, is_dotted);
    if owner != *origin
        && let Some((domain, first)) = owner.parent().zip(owner.labels().next())
    {
        names.extend(srv::service_name(&domain, first, Protocol::Tcp));
    }
    names.push(owner);
    names
}

impl Core {
    /// The names that `target` had for a service that goes: those of the service alone.
    pub(super) fn names_before(target: &Target, folded: &str) -> Vec<Name> {
        if !target.reverse_of.is_empty() {
            return Vec::new();
        }
        let mut writer = target.lock();
        let origin = writer.zone().origin().clone();
        let addr = origin.child(b"addr").ok();
        let is_shared = |name: &Name| {
            name.labels().any(|label| label == b"_dns-sd")
                || addr.as_ref().is_some_and(|addr| name.is_at_or_below(addr))
        };
        let owners = writer.source(target.source).owners(&target.placed(folded)).into_iter();
        owners.filter(|name| *name != origin && !is_shared(name)).collect()
    }

    /// The names that are known of `target`, with the reason for a person.
    pub(super) fn known_names(&self, target: &Target) -> BTreeMap<Name, String> {
        let mut known = BTreeMap::new();
        if !target.reverse_of.is_empty() {
            return known;
        }
        let origin = target.origin();
        let is_dotted = self.layout.format.are_dots_borders();
        let of = |path: &str| names_of(&origin, path, is_dotted);
        for (name, path, at) in self.past.names().filter(|(name, ..)| name.is_at_or_below(&origin)) {
            let until = crate::format::moment(at.saturating_add(self.past.linger.as_secs()));
            let at = crate::format::moment(at);
            let path = self.layout.full(path);
            known.insert(name.clone(), format!("{path} was deleted at {at}; its names are NODATA until {until}"));
        }
        for path in self.unread.empty() {
            for name in target.shown(path).map(|path| of(&path)).unwrap_or_default() {
                known.insert(name, format!("the root {} is gone, and it had {path}", self.layout.root));
            }
        }
        // A zone of a part of the registry takes the names there from the zone of all of it.
        for expecting in &self.targets {
            for path in &expecting.names.expect {
                let whole = [&*expecting.under, "/", path].concat().to_ascii_lowercase();
                let full = whole.trim_start_matches('/');
                for name in below(full, &target.under).map(of).unwrap_or_default() {
                    known.insert(name, format!("`expect` of a zone has {path}, and no znode is there"));
                }
            }
        }
        for path in &self.registered {
            let folded = path.to_ascii_lowercase();
            for name in target.shown(&folded).map(|path| of(&path)).unwrap_or_default() {
                known.insert(name, format!("[[service]] {path} of this process is not registered now"));
            }
        }
        known.remove(&origin);
        known
    }

    /// Tells the zones which names are known. They show it with their next commit.
    pub(super) fn follow_past(&mut self) {
        self.past.expire(unix_now());
        let now = (self.past.changes(), self.wished, self.unread.empty_as_of());
        if std::mem::replace(&mut self.known_as_of, now) == now {
            return;
        }
        for target in &self.targets {
            let known = self.known_names(target);
            target.lock().source(target.source).know(known.into_keys());
        }
    }

    /// Takes what a reload has changed. Gives whether all is to be built anew.
    pub(super) fn take_wishes(&mut self, tree: &ShownTree) {
        let Some(Wishes { linger, registered, zones }) = self.wishes.take() else { return };
        self.past.linger = linger;
        self.registered = registered;
        self.wished += 1;
        let mut is_different = false;
        for target in &mut self.targets {
            let origin = target.origin();
            if let Some((_, names)) = zones.iter().find(|(zone, _)| *zone == origin) {
                let names = names.reloaded(&target.names);
                // Names that are known without a znode are told without anything being built.
                is_different |= Config { expect: Vec::new(), ..names.clone() }
                    != Config { expect: Vec::new(), ..target.names.clone() };
                target.names = names;
            }
        }
        if is_different {
            let services = self.touched(tree, None).into_iter().collect();
            self.rebuild(tree, services);
        }
        self.commit();
    }
}
