//! Backups that an ensemble is restored from.

use std::time::Duration;

use super::world::World;

/// A little less than the mirror goes on with what it had (see `Limits::hold_old` of the world).
const HELD: Duration = Duration::from_millis(1900);

impl World {
    /// Storms, with a way back between them.
    pub(super) fn live_through_restores(&mut self, steps: usize) -> Result<(), String> {
        let mut left = steps;
        for _ in 0..2 {
            self.storm(&mut left);
            self.settle()?;
            let backup = (self.znodes.clone(), self.zxid);
            self.storm(&mut left);
            self.settle()?;
            // A deletion alone leaves no trace in what a live mirror reads.
            if self.tree.zxid() <= backup.1 {
                continue;
            }
            self.say(|| format!("restored to {}", backup.1));
            self.expire();
            (self.znodes, self.zxid) = backup;
            let (before, until) = (self.readers.published.clone(), self.now + HELD);
            while self.now < until {
                self.step();
                if self.readers.published != before {
                    let shown = &self.readers.published;
                    return Err(format!("readers see {shown:?} of a restored ensemble\n and saw {before:?}"));
                }
            }
            self.settle()?;
        }
        Ok(())
    }
}
