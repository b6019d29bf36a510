//! What is wrong with the znodes of a registry, kept current: *lost* ones, which are not served, and *doubtful* ones,
//! which are served with a default or with what they said before.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Harm, Malformed};

/// The malformed nodes of a registry, by the service they belong to. Cheap to share.
#[derive(Debug, Clone, Default)]
pub struct Problems(Arc<Mutex<BTreeMap<String, Vec<Malformed>>>>);

impl Problems {
    /// All of them, in the order of their services.
    pub fn all(&self) -> Vec<Malformed> {
        self.lock().values().flatten().cloned().collect()
    }

    /// The first of them, at most `limit`, in the order of their services.
    pub fn first(&self, limit: usize) -> Vec<Malformed> {
        self.lock().values().flatten().take(limit).cloned().collect()
    }

    /// How many there are; a znode may have several.
    pub fn count(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }

    /// How many znodes are lost, or doubtful, and the first things that are wrong with those, at most `limit`.
    pub fn of(&self, harm: Harm, limit: usize) -> (usize, Vec<Malformed>) {
        let (mut count, mut first) = (0, Vec::new());
        for service in self.lock().values() {
            let mut before: Option<&str> = None;
            for one in service.iter().filter(|one| one.harm == harm) {
                // Those of one znode stand together.
                count += usize::from(before.replace(&one.path) != Some(&one.path));
                if first.len() < limit {
                    first.push(one.clone());
                }
            }
        }
        (count, first)
    }

    /// Returns whether there are any of this service.
    pub(super) fn has(&self, service: &str) -> bool {
        self.lock().contains_key(service)
    }

    /// Replaces those of one service. Returns those that were not there before.
    pub(super) fn replace(&self, service: &str, malformed: Vec<Malformed>) -> Vec<Malformed> {
        let mut all = self.lock();
        let before = all.remove(service).unwrap_or_default();
        let before: HashSet<&Malformed> = before.iter().collect();
        let new = malformed.iter().filter(|one| !before.contains(one)).cloned().collect();
        if !malformed.is_empty() {
            all.insert(service.to_owned(), malformed);
        }
        new
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Malformed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_and_doubtful_znodes_are_counted_apart_and_each_once() {
        let problems = Problems::default();
        let all = vec![Malformed::doubtful("/a", "1"), Malformed::doubtful("/a", "2"), Malformed::lost("/b", "3")];
        assert_eq!(problems.replace("s", all.clone()).len(), 3);
        problems.replace("t", vec![Malformed::doubtful("/a", "4"), Malformed::lost("/c", "5")]);
        assert_eq!((problems.of(Harm::Doubtful, 9).0, problems.of(Harm::Lost, 9).0, problems.count()), (2, 2, 5));
        assert_eq!(problems.of(Harm::Doubtful, 2).1, all[..2]);
        assert_eq!(problems.of(Harm::Lost, 1).1, all[2..]);
    }
}
