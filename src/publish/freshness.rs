//! Freshness of the zones, and the parts of a registry that cannot be read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tracing::warn;

use super::clock::unix_now;
use super::core::Core;
use super::target::below;
use super::unread::Sight;
use crate::registry::shown::ShownTree;
use crate::registry::view::Freshness;
use crate::zone;
use crate::zone::records::unread;
use crate::zone::unknown::{Scope, Unknown};

/// The source under which a part that cannot be read is offered, in front of its path.
const UNREAD: &str = "/unread/";

impl Core {
    /// Brings what cannot be read, and what can be again, into the zones, and commits. Returns whether there was such.
    pub(super) fn look(&mut self, tree: &ShownTree, now: Instant) -> bool {
        let moved = self.unread.look(&self.layout, tree, now, self.max_stale);
        if !moved.is_different {
            return false;
        }
        let mut touched: BTreeSet<String> = moved.services.into_iter().collect();
        for part in &moved.parts {
            self.offer_unread(part);
            touched.extend(self.touched(tree, Some(&tree.around(&self.layout.full(part)))));
            touched.insert(part.clone());
        }
        if !touched.is_empty() {
            self.rebuild(tree, touched.into_iter().collect());
        }
        // Whatever becomes unknown must not be denied for a moment, and what becomes known must be there first.
        self.show_freshness(|sight| sight > Sight::Stale);
        self.commit();
        self.show_freshness(|_| true);
        self.show_stale();
        true
    }

    /// Tells the zones which of their names are answered as they last were. A zone that is stale as a whole says so
    /// itself.
    fn show_stale(&self) {
        for target in self.targets.iter().filter(|target| target.reverse_of.is_empty()) {
            let mut writer = target.lock();
            let origin = writer.zone().origin().clone();
            let is_dotted = self.layout.format.are_dots_borders();
            let paths = self.unread.stale().filter_map(|part| target.shown(part));
            let names = paths.filter(|path| !path.is_empty()).flat_map(|path| unread::names(&origin, &path, is_dotted));
            writer.source(target.source).set_stale(names.map(|(name, _)| name.folded()));
        }
    }

    /// Offers that the names of a part are unknown, where they are.
    fn offer_unread(&self, folded: &str) {
        let unknown = self.unread.part(folded).filter(|part| part.sight > Sight::Stale).map(|part| {
            let code = if part.sight == Sight::Expired { Unknown::NO_ADDRESS } else { 0 };
            Unknown { scope: Scope::Everything, below: true, code, text: self.unread.wording.of(&part.path).into() }
        });
        for target in self.targets.iter().filter(|target| target.reverse_of.is_empty()) {
            let mut writer = target.lock();
            let offers = match (&unknown, target.shown(folded)) {
                (Some(unknown), Some(path)) if !path.is_empty() => {
                    let is_dotted = self.layout.format.are_dots_borders();
                    unread::subtree(writer.zone().origin(), &path, is_dotted, unknown)
                }
                _ => Vec::new(),
            };
            writer.source(target.source).put(&format!("{UNREAD}{folded}"), offers);
        }
    }

    pub(super) fn freshness(&mut self, freshness: Freshness) {
        self.freshness = freshness;
        let is_expired = matches!(freshness, Freshness::Stale(age) if age > self.max_stale);
        self.tell_expired(is_expired && self.complete);
        self.show_freshness(|_| true);
        self.tell_due();
    }

    /// Tells the zones how far their data can be trusted: those that are seen so.
    fn show_freshness(&self, wanted: impl Fn(Sight) -> bool) {
        let followed = match self.freshness {
            _ if !self.complete => zone::Freshness::Loading,
            Freshness::Loading => zone::Freshness::Loading,
            Freshness::Fresh => zone::Freshness::Fresh,
            Freshness::Stale(age) if age > self.max_stale => zone::Freshness::Expired,
            Freshness::Stale(_) => zone::Freshness::Stale,
        };
        for target in &self.targets {
            let sight = self.unread.of_zone(|part| below(&target.under, &target.placed(part)).is_some());
            if !wanted(sight) {
                continue;
            }
            let freshness = match (followed, sight) {
                (zone::Freshness::Loading, _) | (_, Sight::Unknown) => zone::Freshness::Loading,
                (zone::Freshness::Expired, _) | (_, Sight::Expired) => zone::Freshness::Expired,
                (zone::Freshness::Stale, _) | (_, Sight::Stale) => zone::Freshness::Stale,
                (zone::Freshness::Fresh, Sight::Clear) => zone::Freshness::Fresh,
            };
            let mut writer = target.lock();
            let zone = Arc::clone(writer.zone());
            let mut source = writer.source(target.source);
            if source.freshness() != freshness && freshness == zone::Freshness::Expired {
                warn!(zone = %zone.origin(), "ZooKeeper has been away for longer than max_stale: answering SERVFAIL");
            }
            source.set_freshness(freshness, unix_now());
        }
    }
}
