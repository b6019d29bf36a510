//! A verification of the mirror, on a session whose server may lag.

use std::sync::Arc;
use std::time::Duration;

use super::world::{World, path};
use crate::registry::status::Phase;
use crate::zookeeper::mirror::Input;
use crate::zookeeper::session::Reply;
use crate::zookeeper::verify::{Round, Step};

impl World {
    /// One step of the verification. Returns whether that ended a round.
    pub(super) fn verify(&mut self) -> bool {
        let epoch = (self.mirror.phase() == Phase::Live).then(|| self.mirror.counters().epochs);
        if epoch != self.verified_in || epoch.is_none() {
            self.round.interrupted();
            self.verified_in = epoch;
        }
        if epoch.is_none() {
            return false;
        }
        match self.round.next(&self.tree, self.now) {
            Step::Rest(_) => false,
            Step::Over => {
                self.round = Round::of((path("/s"), Arc::clone(&self.selection)));
                true
            }
            Step::Read(batch) => {
                let behind = self.lagging.as_ref().filter(|_| self.is_stormy).unwrap_or(&self.znodes);
                let replies: Vec<Reply> = batch.iter().map(|read| self.read_of(behind, read)).collect();
                let differing = self.round.replied(batch, &replies, &self.tree, self.now);
                if !differing.is_empty() {
                    self.say(|| format!("verified {differing:?}"));
                    self.feed(Input::Differs(differing));
                }
                false
            }
        }
    }

    /// A whole round of verification in a quiet world.
    pub(super) fn verify_all(&mut self) -> Result<(), String> {
        self.fall_quiet()?;
        self.round = Round::of((path("/s"), Arc::clone(&self.selection)));
        for _ in 0..20_000 {
            if self.verify() {
                // A root that is not there is asked for now and then, and nothing else is.
                let until = self.now + Duration::from_secs(1);
                while self.now < until {
                    self.step();
                }
                return self.fall_quiet();
            }
            self.step();
        }
        Err("the verification never ends".into())
    }

    /// Lets the world fall quiet, verifies, and compares.
    pub(super) fn settle_verified(&mut self) -> Result<(), String> {
        self.verify_all()?;
        self.compare()?;
        let (missed, rights) = (self.mirror.counters().missed, self.mirror.counters().rights);
        if !self.script.lose_events && (missed, rights) != (0, 0) {
            return Err(format!("{missed} events are said to be missed, {rights} rights to be changed"));
        }
        Ok(())
    }
}
