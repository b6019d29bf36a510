//! Getting ready for the first sight of a large registry while it is still being read, so that it is in DNS soon after.
//!
//! What is built goes into zones that nobody is served from yet. Services may be half there as yet, and what links lead to
//! is nowhere: a service that gets another znode is built again, links are followed when everything is there, and what is
//! wrong is told then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use super::{Built, Core, Target, unix_now};
use crate::keeper::Path;
use crate::keeper::tree::Tree;
use crate::zone::name::Name;

/// Services built before the first time, by their paths in lower case, without what they offer: the zones have that.
pub(super) type Prepared = BTreeMap<String, Built>;

impl Core {
    /// Builds the services that these znodes are of, before anything is shown for the first time. They may be half there
    /// as yet, so nothing is told of them before [`Core::publish`].
    pub(super) fn prepare(&mut self, tree: &Tree, changed: &[Path]) {
        let services = self.services_of(changed);
        let origins: Vec<Name> = self.targets.iter().map(Target::origin).collect();
        let (links, now) = (self.links(), unix_now());
        let links = links.read().unwrap_or_else(PoisonError::into_inner);
        let mut piece: Vec<Built> =
            services.into_iter().map(|folded| self.build(tree, &links, &origins, folded, now)).collect();
        self.show_ahead(&mut piece);
        drop(links);
        self.prepared.get_or_insert_default().extend(piece.into_iter().map(|built| (built.folded.clone(), built)));
    }

    /// The services that these znodes are of, in lower case, whatever links lead to them.
    pub(super) fn services_of<'p>(&mut self, changed: impl IntoIterator<Item = &'p Path>) -> BTreeSet<String> {
        let own: BTreeSet<&str> = changed.into_iter().filter_map(|path| self.layout.service_of(path)).collect();
        let own: Vec<String> = own.into_iter().map(str::to_owned).collect();
        self.folded(own)
    }

    /// Puts what was built into the zones. Where nobody is served yet, it is not kept twice until all of it is there.
    pub(super) fn show_ahead(&self, piece: &mut [Built]) {
        for (i, target) in self.targets.iter().enumerate() {
            // While one thread has the writer, the others build.
            let mut writer = target.lock();
            for built in &mut *piece {
                if let Some(offers) = built.offered.get_mut(i).and_then(Option::take) {
                    writer.put(&built.folded, offers);
                }
            }
            writer.prepare();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::super::Publisher;
    use super::super::registry::Layout;
    use super::*;
    use crate::format;
    use crate::keeper::driver::{Freshness, Observer as _};
    use crate::keeper::tree::{Entry, Known};
    use crate::zone::ZoneBuilder;
    use crate::zone::packed::Packed;

    fn publisher() -> Publisher {
        let layout = Layout { root: Path::new("/services").unwrap(), format: format::Config::default() };
        let writer = ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build();
        Publisher::new(layout, vec![Target::new(5, Arc::new(Mutex::new(writer)))], Duration::from_secs(60))
    }

    fn tree(nodes: &[(&str, &str)]) -> Tree {
        let known = |data: &str| Known { data: data.as_bytes().into(), czxid: 1, mzxid: 1, ephemeral_owner: 0 };
        Tree::of(nodes.iter().map(|(path, data)| (Path::new(path).unwrap(), Entry::Known(known(data)))))
    }

    /// Every name but the apex, whose serial differs, in order; and what is wrong.
    fn shown(publisher: &Publisher) -> (Vec<Packed>, Vec<String>) {
        let view = publisher.views().remove(0);
        let mut entries: Vec<Packed> = view.zone.load().entries().into_iter().collect();
        entries.retain(|entry| entry.name() != view.zone.origin().wire());
        entries.sort_by(|a, b| a.name().cmp(b.name()));
        let malformed = publisher.problems().all().into_iter().map(|one| format!("{}: {}", one.path, one.reason));
        (entries, malformed.collect())
    }

    #[test]
    fn what_was_prepared_in_any_pieces_is_shown_as_if_all_had_been_built_at_the_end() {
        let nodes: &[(&str, &str)] = &[
            ("/services", ""),
            ("/services/a", r#"{"ttl": 9, "other ->": "/services/b", "weight =>": "/services/b"}"#),
            ("/services/a/providers", ""),
            ("/services/a/providers/10.0.0.1:80", r#"{"tags": ["x"], "owner =>": "/services/b"}"#),
            ("/services/a/providers/10.0.0.2:80", "{"),
            ("/services/A", ""),
            ("/services/A/providers/10.0.0.3:80", ""),
            ("/services/b", r#"{"weight": 3, "owner": "x"}"#),
            ("/services/b/providers/10.0.0.1:81", ""),
            ("/services/b/providers/server1:82", ""),
            ("/services/b/providers/server1:82/deep", ""),
            ("/services/staging/c/providers/10.0.0.4:80", ""),
            ("/services/staging/d", r#"{"gone ->": "/services/nowhere"}"#),
            ("/services/staging/d/10.0.0.5:80", ""),
        ];
        let whole = tree(nodes);
        let all: BTreeSet<Path> = whole.iter().map(|(path, _)| path.clone()).collect();
        let mut at_once = publisher();
        at_once.publish(&whole, &all);
        at_once.freshness(Freshness::Fresh);
        let expected = shown(&at_once);
        assert!(expected.0.len() > 15 && expected.1.len() > 3, "{expected:?}");
        let mut rng = fastrand::Rng::with_seed(1);
        for round in 0..300 {
            let mut order: Vec<(&str, &str)> = nodes.to_vec();
            rng.shuffle(&mut order);
            let mut publisher = publisher();
            let mut preparation = publisher.preparation().unwrap();
            // A znode that is gone before everything was read, and one that was something else.
            let early = [("/services/gone/providers/10.0.0.9:80", ""), ("/services/b", r#"{"ttl": 77}"#)];
            let early_paths = early.map(|(path, _)| Path::new(path).unwrap());
            preparation(&tree(&early), &early_paths);
            let (mut done, mut pending) = (0, early_paths.to_vec());
            while done < order.len() {
                let more = rng.usize(1..=order.len() - done);
                pending.extend(order[done..done + more].iter().map(|(path, _)| Path::new(path).unwrap()));
                done += more;
                if done < order.len() || rng.bool() {
                    preparation(&tree(&order[..done]), &std::mem::take(&mut pending));
                }
            }
            publisher.publish(&whole, &pending.into_iter().collect());
            publisher.freshness(Freshness::Fresh);
            assert_eq!(shown(&publisher), expected, "round {round}");
        }
    }
}
