//! Those who write into the world.

use super::links;
use super::world::{GROUPED, PATHS, World, path};
use crate::registry::Path;

impl World {
    pub(super) fn write(&mut self) {
        if self.script.links && self.rng.u8(..4) == 0 {
            return self.link();
        }
        let path = path(PATHS[self.rng.usize(..PATHS.len())]);
        match self.rng.u8(..12) {
            0..5 => self.create(&path),
            5..7 => self.set(&path),
            7..9 => self.delete_below(&path),
            9..11 => self.write_together(),
            // The same path gone and back within one moment: its events must not cancel out.
            _ => {
                self.delete_below(&path);
                self.create(&path);
            }
        }
    }

    fn create(&mut self, path: &Path) {
        let parent_exists = path.parent().is_none_or(|parent| parent == "/" || self.znodes.contains_key(parent));
        if !parent_exists || self.znodes.contains_key(path) {
            return;
        }
        self.zxid += 1;
        self.znodes.insert(path.clone(), (self.zxid.to_string().into(), self.zxid, self.zxid));
        self.changed(&[path]);
    }

    fn set(&mut self, path: &Path) {
        let same = self.rng.bool();
        if let Some((data, _, mzxid)) = self.znodes.get_mut(path) {
            self.zxid += 1;
            // Half of the time to the bytes it already has: a new transaction all the same.
            if !same {
                *data = self.zxid.to_string().into();
            }
            *mzxid = self.zxid;
            self.changed(&[path]);
        }
    }

    /// Writes where no rest is to be: the same few znodes again and again, one transaction or several.
    pub(super) fn write_restlessly(&mut self) {
        for path in ["/s", "/s/a", GROUPED.0].map(path) {
            self.create(&path);
        }
        if self.rng.u8(..3) == 0 {
            self.write_together();
        } else {
            let path = path(GROUPED.1[self.rng.usize(..GROUPED.1.len())]);
            if self.znodes.contains_key(&path) { self.set(&path) } else { self.create(&path) }
        }
    }

    /// Has a znode hold other links, or none.
    fn link(&mut self) {
        let holder = path(links::HOLDERS[self.rng.usize(..links::HOLDERS.len())]);
        let chosen = links::CHOICES.iter().filter(|_| self.rng.u8(..4) == 0).copied().collect::<Vec<_>>();
        if let Some((data, _, mzxid)) = self.znodes.get_mut(&holder) {
            self.zxid += 1;
            *data = links::encode(self.zxid, &chosen);
            *mzxid = self.zxid;
            self.changed(&[&holder]);
        }
    }

    /// One transaction that changes, creates or deletes several znodes of one directory.
    fn write_together(&mut self) {
        if !self.znodes.contains_key(GROUPED.0) {
            return;
        }
        self.zxid += 1;
        let delete = self.rng.u8(..4) == 0;
        let mut changed = Vec::new();
        for path in GROUPED.1.map(path) {
            if delete {
                if self.znodes.remove(&path).is_none() {
                    continue;
                }
            } else {
                let czxid = self.znodes.get(&path).map_or(self.zxid, |(_, czxid, _)| *czxid);
                self.znodes.insert(path.clone(), (self.zxid.to_string().into(), czxid, self.zxid));
            }
            changed.push(path);
        }
        self.changed(&changed.iter().collect::<Vec<_>>());
    }

    fn delete_below(&mut self, path: &Path) {
        let mut gone: Vec<Path> = self.znodes.keys().filter(|other| other.below(path).is_some()).cloned().collect();
        gone.reverse();
        for path in gone {
            self.zxid += 1;
            self.znodes.remove(&path);
            self.changed(&[&path]);
        }
    }
}
