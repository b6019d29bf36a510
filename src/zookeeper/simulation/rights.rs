//! Znodes that the mirror's sessions may not read for a while.

use super::world::{PATHS, World, path};
use crate::registry::Path;
use crate::registry::status::Phase;

impl World {
    /// Storms while nothing, something and nothing again is refused.
    pub(super) fn live_with_rights(&mut self, steps: usize) -> Result<(), String> {
        let mut left = steps;
        for _ in 0..2 {
            self.storm(&mut left);
            self.settle()?;
            self.refuse();
            self.verify_all()?;
            self.compare()?;
            self.storm(&mut left);
            // What came to be meanwhile and is refused has raised no event either.
            self.verify_all()?;
            self.compare()?;
            self.say(|| "nothing is refused any more".into());
            self.refused.clear();
            self.kept.clear();
            // Until everything that was refused has been asked for again.
            let until = self.now + std::time::Duration::from_secs(2);
            while self.now < until || self.mirror.phase() != Phase::Live {
                self.step();
            }
            self.settle()?;
        }
        Ok(())
    }

    /// Refuses a few znodes from now on, and those that come to be in their places.
    fn refuse(&mut self) {
        for _ in 0..self.rng.u8(1..4) {
            let path = path(PATHS[self.rng.usize(..PATHS.len())]);
            self.say(|| format!("refused {path}"));
            if let (Some(known), Some((_, czxid, _))) = (self.tree.known(path.as_str()), self.znodes.get(&path))
                && known.czxid == *czxid
            {
                self.kept.insert(path.clone(), *czxid);
            }
            self.refused.insert(path);
        }
    }

    /// Returns whether nothing is told of `path`: it is refused itself, or below what is.
    pub(super) fn is_hidden(&self, path: &Path) -> bool {
        self.refused.iter().any(|refused| path.below(refused).is_some())
    }

    /// Checks that what was read before it was refused is still there, as long as it is.
    pub(super) fn compare_kept(&self) -> Result<(), String> {
        let is_there = |path: &Path, created: i64| self.znodes.get(path).is_some_and(|(_, czxid, _)| *czxid == created);
        let forgotten = self
            .kept
            .iter()
            .find(|(path, created)| is_there(path, **created) && self.tree.known(path.as_str()).is_none());
        match forgotten {
            Some((path, _)) => Err(format!("{path} was read before it was refused, and is forgotten")),
            None => Ok(()),
        }
    }
}
