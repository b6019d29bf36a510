//! Looks at a registry as a stranger would: whether its znodes are of another convention than the one that is
//! configured, and which of them are instances by their data alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::core::Core;
use super::layout::Layout;
use crate::format::{self, Node, NodeKind, Placement, Signature};
use crate::model::Malformed;
use crate::registry::Path;
use crate::registry::shown::ShownTree;
use crate::registry::tree::Entry;

/// The part of the registry under which it is reported. No path of a service begins with a slash.
const LOOKS: &str = "/looks";
/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(60);
/// Znodes that are looked at.
const MOST: usize = 50_000;

/// Numbers of znodes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Looks {
    /// Instances that can be read.
    read: usize,
    /// Of those, the ones that are told by their data, by their writers.
    by_data: BTreeMap<Signature, ToldByData>,
    /// Those that are not read, and look as if a writer had left them that another convention is for.
    others: BTreeMap<Signature, usize>,
}

/// Instances that are told by their data.
#[derive(Debug, Default, PartialEq, Eq)]
struct ToldByData {
    /// Their number.
    znodes: usize,
    /// The path of the first.
    first: String,
    /// The path of the first that has instances below it: version 0.1, which made a service of each, served those.
    above_others: Option<String>,
}

impl Layout {
    /// Returns whether instances are below the znode at `path`.
    fn is_above_instances(&self, tree: &ShownTree, path: &Path) -> bool {
        let kinds =
            tree.tree().children(path).filter_map(|(child, _)| Some(self.kind_by_path(child.below(&self.root)?)));
        let mut kinds = kinds;
        kinds.any(|kind| matches!(kind, NodeKind::Instance { .. } | NodeKind::Directory { .. }))
    }

    fn looks(&self, tree: &ShownTree) -> Looks {
        let mut looks = Looks::default();
        for (path, entry) in tree.tree().subtree(&self.root).take(MOST) {
            let (Some(below), Entry::Known(known)) = (path.below(&self.root), entry) else { continue };
            if below.is_empty() || self.is_system(below) {
                continue;
            }
            let (name, data) = (path.name(), &*known.data);
            let (is_instance, is_by_data) = if self.format.is_placed() {
                (matches!(self.format.placement(below), Placement::Instance(_)), false)
            } else {
                match self.kind_by_path(below) {
                    NodeKind::Instance { .. } => (true, false),
                    NodeKind::Leaf { name, .. } => (self.format.is_instance(name, data), true),
                    _ => (false, false),
                }
            };
            let node = Node { below, name, data, beside: &crate::format::Nothing };
            let signature = || Signature::of(name, data);
            if is_instance && self.format.decode(&node).is_ok() {
                looks.read += 1;
                if let Some(signature) = is_by_data.then(signature).flatten() {
                    let told = looks.by_data.entry(signature).or_default();
                    if told.znodes == 0 {
                        told.first = path.to_string();
                    }
                    told.znodes += 1;
                    if told.above_others.is_none() && self.is_above_instances(tree, path) {
                        told.above_others = Some(path.to_string());
                    }
                }
            } else if let Some(signature) = signature().filter(|one| one.format() != self.format.name()) {
                *looks.others.entry(signature).or_default() += 1;
            }
        }
        looks
    }
}

impl Core {
    /// Looks at the registry once it was read, and again now and then while there are no instances: others may have
    /// come that are not read.
    pub(super) fn look_as_a_stranger(&mut self, tree: &ShownTree, now: Instant) {
        let is_due = self.looked.is_none_or(|at| now.saturating_duration_since(at) >= PAUSE);
        if !self.complete || !is_due {
            return;
        }
        let is_first = self.looked.replace(now).is_none();
        let report = self.census.report();
        if is_first || report.serving + report.out == 0 || self.problems.has(LOOKS) {
            let looks = self.layout.looks(tree);
            self.report_looks(&looks);
            if is_first && self.layout.format.is_told_by_data_as_well() {
                self.tell_by_data(looks);
            }
        }
    }

    /// Tells what is read by its data alone where paths tell instances, too. An earlier release had taken it for
    /// services, which had names where instances were below them: a warning only for those, as their names are gone.
    fn tell_by_data(&self, looks: Looks) {
        for (signature, ToldByData { znodes, first, above_others }) in looks.by_data {
            let (root, format, words) = (&self.layout.root, signature.format(), signature.words());
            if let Some(path) = above_others {
                warn!(
                    %root, znodes, path,
                    "znodes look like {words}: they are served as instances, where version 0.1 made a service of each; \
                     what is registered below them is not served any more"
                );
            } else {
                info!(
                    %root, znodes, first,
                    "znodes look like {words}: they are served as instances; format = \"{format}\" reads the root as \
                     that alone"
                );
            }
        }
    }

    /// Says that the registry looks like another convention's, while it does: where that reads more of it than the
    /// configured one, which reads nothing.
    fn report_looks(&self, looks: &Looks) {
        let best = looks.others.iter().filter(|_| looks.read == 0).max_by_key(|(_, znodes)| **znodes);
        let told = best.map(|(signature, znodes)| {
            let own = self.layout.format.name();
            let reason = format::looks_like(signature.words(), signature.format(), *znodes, own);
            Malformed::lost(self.layout.root.as_str(), reason)
        });
        self.report(LOOKS, told.into_iter().collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{CONVENTIONS, Config};
    use crate::registry::tree::{Known, Tree};

    fn looks(format: &str, znodes: &[(&str, &str)]) -> Looks {
        let row = CONVENTIONS.iter().find(|row| row.name == format).unwrap();
        let layout = Layout::new(Path::new("/r").unwrap(), Config::new(row, "providers"));
        let known =
            |data: &str| Known { data: data.as_bytes().into(), czxid: 1, mzxid: 1, ephemeral_owner: 0, ctime: 0 };
        let entry = |(path, data): &(&str, &str)| (Path::new(path).unwrap(), Entry::Known(known(data)));
        layout.looks(&ShownTree::from(Tree::of(znodes.iter().map(entry).collect::<Vec<_>>())))
    }

    const SPRING: &str =
        r#"{"name":"a","id":"7","address":"10.0.0.1","port":80,"payload":{"@class":"org.springframework.X"}}"#;

    #[test]
    fn what_is_not_read_is_counted_by_the_convention_that_it_looks_like() {
        let spring = [("/r", ""), ("/r/a", ""), ("/r/a/7", SPRING)];
        let found = looks("zc", &spring);
        assert_eq!((found.read, found.others), (0, BTreeMap::from([(Signature::Spring, 1)])));
        let found = looks("dubbo", &spring);
        assert_eq!((found.read, found.others), (0, BTreeMap::from([(Signature::Spring, 1)])));
        let found = looks("curator", &spring);
        assert_eq!((found.read, found.others.len(), found.by_data.len()), (1, 0, 1));
        let found = looks("auto", &spring);
        let mut told = ToldByData { znodes: 1, first: "/r/a/7".to_owned(), above_others: None };
        assert_eq!((found.read, found.by_data.get(&Signature::Spring)), (1, Some(&told)));
        let found = looks("auto", &[&spring[..], &[("/r/a/7/10.0.0.1:80", "")]].concat());
        told.above_others = Some("/r/a/7".to_owned());
        assert_eq!(found.by_data.get(&Signature::Spring), Some(&told), "0.1 served what is below");
        let found = looks("curator", &[("/r/a", ""), ("/r/a/10.0.0.1:80", ""), ("/r/a/b", "{}")]);
        assert_eq!((found.read, found.others), (0, BTreeMap::from([(Signature::HostPort, 1)])));
        assert_eq!(looks("auto", &[("/r/a", ""), ("/r/a/10.0.0.1:80", "")]).others, BTreeMap::new());
    }
}
