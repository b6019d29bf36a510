//! Weights of replies: the sizes of data in each directory, learnt as replies come.
//!
//! A server makes a reply in its memory, and a request of 500 paths may ask for 500 MB, which kills it. So a request
//! asks for no more than [`REPLY`] by the largest data that its directories were seen to hold; of a directory of which
//! nothing is known for [`FIRST`] znodes only, and for few such directories at once until replies were light. What a
//! connection died of is not asked for again as it was: requests are halved, down to single ones, until everything was
//! read.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;

use crate::registry::Path;
use crate::zookeeper::session::Read;

/// Bytes of data that a request may ask for.
pub(super) const REPLY: usize = 4 << 20;
/// Znodes that are asked for in a directory of which nothing is known.
const FIRST: usize = 4;
/// Znodes in such directories that one request may ask for, at most.
const UNKNOWN: usize = 240;
/// Data of this size and more makes the next requests careful.
const HEAVY: usize = 64 << 10;
/// A child's name in a list, with its length.
const NAME: usize = 48;

/// Known weights. See the module's text.
#[derive(Debug)]
pub(super) struct Weights {
    /// The largest data seen in each directory, by its hash: there may be a million of them.
    largest: HashMap<u64, u32, FixedState>,
    /// The directories being asked for the first time.
    first: HashMap<u64, First, FixedState>,
    /// Limit of znodes of such directories in a request.
    unknown: usize,
    /// Limit of paths in a request, after connections broke.
    ceiling: usize,
}

#[derive(Debug, Default)]
struct First {
    asked: usize,
    /// Others there, to be asked for once the first are answered.
    held: Vec<Path>,
}

/// Weight of the replies to one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    bytes: usize,
    unknown: usize,
}

impl Default for Weights {
    fn default() -> Self {
        Self { largest: HashMap::default(), first: HashMap::default(), unknown: FIRST, ceiling: usize::MAX }
    }
}

fn key(directory: &str) -> u64 {
    FixedState::with_seed(0).hash_one(directory)
}

fn directory(path: &Path) -> u64 {
    key(path.parent().unwrap_or_default())
}

/// The list of the children of a znode, which is no directory's data.
fn list(path: &Path) -> u64 {
    FixedState::with_seed(1).hash_one(path.as_str())
}

impl Weights {
    /// Paths that a request may have, of `most`.
    pub(super) fn paths(&self, most: usize) -> usize {
        most.min(self.ceiling)
    }

    /// Requests that may be outstanding, of `most`: where connections break, it is to be known of which.
    pub(super) fn in_flight(&self, most: usize) -> usize {
        if self.ceiling <= FIRST { 1 } else { most }
    }

    /// The budget of a request that asks for nothing yet.
    pub(super) fn load(&self) -> Load {
        Load { bytes: REPLY, unknown: self.unknown }
    }

    /// Takes place for a read. Returns whether there was enough.
    pub(super) fn take(&self, read: &Read, load: &mut Load) -> bool {
        let (bytes, unknown) = match read {
            Read::Node(path) => match self.largest.get(&directory(path)) {
                Some(largest) => (*largest as usize, 0),
                None => (0, 1),
            },
            Read::Children(path) => (self.largest.get(&list(path)).map_or(0, |bytes| *bytes as usize), 0),
        };
        if bytes > load.bytes || unknown > load.unknown {
            return false;
        }
        load.bytes -= bytes;
        load.unknown -= unknown;
        true
    }

    /// Returns whether `path` has to wait for the first of its directory; then it is kept until they are answered.
    pub(super) fn hold(&mut self, path: &Path) -> bool {
        let directory = directory(path);
        if self.largest.contains_key(&directory) {
            return false;
        }
        let first = self.first.entry(directory).or_default();
        if first.asked == FIRST {
            first.held.push(path.clone());
            return true;
        }
        false
    }

    /// `path` is being asked for.
    pub(super) fn asked(&mut self, path: &Path) {
        if let Some(first) = self.first.get_mut(&directory(path)) {
            first.asked += 1;
        }
    }

    /// The data of `path` has so many bytes, and it has so many children. Gives what waited for that.
    pub(super) fn answered(&mut self, path: &Path, bytes: usize, children: usize) -> Vec<Path> {
        let directory = directory(path);
        let size = u32::try_from(bytes).unwrap_or(u32::MAX);
        let known = self.largest.entry(directory).or_default();
        *known = size.max(*known);
        if children > 1000 {
            self.largest.insert(list(path), u32::try_from(children * NAME).unwrap_or(u32::MAX));
        }
        let first = self.first.remove(&directory);
        if bytes >= HEAVY {
            self.unknown = FIRST;
        } else if first.is_some() {
            self.unknown = (self.unknown * 2).min(UNKNOWN);
        }
        first.map(|first| first.held).unwrap_or_default()
    }

    /// The connection broke with a request of `paths` at most outstanding.
    pub(super) fn broke(&mut self, paths: usize) {
        self.ceiling = (self.ceiling.min(paths.max(1)) / 2).max(1);
        self.unknown = FIRST;
    }

    /// An epoch ended: nothing is outstanding.
    pub(super) fn end_epoch(&mut self) {
        self.first.clear();
    }

    /// Everything was read: larger requests may be tried again. `znodes` are known.
    pub(super) fn scanned(&mut self, znodes: usize) {
        self.ceiling = self.ceiling.saturating_mul(2);
        if self.largest.len() > 2 * znodes + 1000 {
            // Of directories that are gone, mostly.
            self.largest.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    /// Number of these reads that one request takes.
    fn fits(weights: &Weights, reads: &[Read]) -> usize {
        let mut load = weights.load();
        reads.iter().take_while(|read| weights.take(read, &mut load)).count()
    }

    #[test]
    fn of_an_unknown_directory_four_are_asked_for_and_the_rest_wait() {
        let mut weights = Weights::default();
        let all: Vec<Path> = (0..10).map(|n| path(&format!("/s/{n}"))).collect();
        let asked: Vec<&Path> = all
            .iter()
            .filter(|path| {
                let asked = !weights.hold(path);
                if asked {
                    weights.asked(path);
                }
                asked
            })
            .collect();
        assert_eq!(asked.len(), FIRST);
        assert_eq!(weights.answered(asked[0], 1_000_000, 0).len(), 6);
        let reads: Vec<Read> = all.into_iter().map(Read::Node).collect();
        assert_eq!(fits(&weights, &reads), 4, "4 MB by the largest of them");
    }

    #[test]
    fn many_unknown_directories_are_asked_once_replies_were_light_and_few_after_a_heavy_one() {
        let mut weights = Weights::default();
        let reads: Vec<Read> = (0..1000).map(|n| Read::Node(path(&format!("/s/{n}/a")))).collect();
        assert_eq!(fits(&weights, &reads), FIRST);
        for read in &reads[..20] {
            assert!(!weights.hold(read.path()));
            weights.asked(read.path());
            weights.answered(read.path(), 100, 0);
        }
        assert_eq!(fits(&weights, &reads[20..]), UNKNOWN);
        weights.answered(reads[0].path(), HEAVY, 0);
        assert_eq!(fits(&weights, &reads[20..]), FIRST);
    }

    #[test]
    fn requests_are_halved_down_to_single_ones_while_connections_break() {
        let mut weights = Weights::default();
        for _ in 0..10 {
            weights.broke(weights.paths(500));
        }
        assert_eq!((weights.paths(500), weights.in_flight(8)), (1, 1));
        for _ in 0..9 {
            weights.scanned(10);
        }
        assert_eq!((weights.paths(500), weights.in_flight(8)), (500, 8));
    }
}
