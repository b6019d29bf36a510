//! The first stage: from changed paths to the services that they touch, and each of those read.

use std::collections::BTreeSet;

use super::core::Core;
use super::reading::Reading;
use crate::model::Malformed;
use crate::registry::Path;
use crate::registry::shown::ShownTree;

/// The part of the registry under which broken links are reported. No path of a service begins with a slash.
const LINKS: &str = "/links";

/// A service that is touched, and what was read of it.
#[derive(Debug)]
pub(super) struct Touched {
    /// Its path in lower case.
    pub(super) folded: String,
    pub(super) read: ReadOf,
}

/// Reading of a service, now or later.
#[derive(Debug)]
pub(super) enum ReadOf {
    /// Nothing yet.
    Later,
    /// This; `None` if there is no such service.
    Done(Option<Box<Reading>>),
}

impl Touched {
    /// A service that is read when it is built.
    pub(super) fn later(folded: String) -> Self {
        Self { folded, read: ReadOf::Later }
    }
}

impl Core {
    /// The services that a batch of changed paths touches, in lower case; without any, all that there are.
    pub(super) fn touched(&mut self, tree: &ShownTree, changed: Option<&BTreeSet<Path>>) -> BTreeSet<String> {
        if self.followed != tree.followed() {
            self.followed = tree.followed();
            let malformed = |(path, reason): &(Path, String)| Malformed::lost(path.as_str(), reason.clone());
            self.report(LINKS, tree.broken().iter().map(malformed).collect());
        }
        let services = changed.map_or_else(|| self.layout.paths(tree), |changed| self.layout.services_of(changed));
        let mut touched = BTreeSet::new();
        for service in services {
            let folded = service.to_ascii_lowercase();
            if folded != service {
                self.spellings.entry(folded.clone()).or_default().insert(service);
            }
            touched.insert(folded);
        }
        touched
    }

    /// Reads all that DNS takes for the service `folded`; none when there is no such thing.
    pub(super) fn read(&self, tree: &ShownTree, folded: &str, now: u64) -> Option<Reading> {
        #[cfg(test)]
        self.reads.lock().unwrap().push(folded.to_owned());
        let spellings = self.spellings.get(folded).into_iter().flatten().map(String::as_str);
        let mut readings = std::iter::once(folded).chain(spellings).filter_map(|one| self.layout.read(tree, one, now));
        let mut united = readings.next()?;
        for other in readings {
            let reason = format!("differs only in case from `{}`: they are one service in DNS", united.service.path);
            united.malformed.push(Malformed::doubtful(self.layout.full(&other.service.path).as_str(), reason));
            united.unite(other);
        }
        Some(united)
    }
}
