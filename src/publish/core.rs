//! The state of one registry's publisher. Each stage has its own file ([`super`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::census::Census;
use super::collisions::Clashes;
use super::drains::Drains;
use super::events::feed::Feed;
use super::guard::Guard;
use super::held_transfers::Holding;
use super::hosts::Hosts;
use super::layout::Layout;
use super::past::{Past, Wishes};
use super::problems::Problems;
use super::target::Target;
use super::telling::Telling;
use super::unread::Unread;
use crate::model::Malformed;
use crate::registry::view::Freshness;
use crate::zone::Zone;
use crate::zone::name::Name;

/// The publisher of one registry.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) layout: Layout,
    pub(super) targets: Vec<Target>,
    pub(super) max_stale: Duration,
    pub(super) problems: Problems,
    /// Problems of them that are to be told.
    pub(super) telling: Telling,
    pub(super) census: Census,
    pub(super) clashes: Clashes,
    /// Spellings of service paths other than in lower case, by the lower case.
    pub(super) spellings: BTreeMap<String, BTreeSet<String>>,
    pub(super) hosts: Hosts,
    /// Zones whose transfers wait for the hosts' addresses.
    pub(super) holding: Holding,
    pub(super) drains: Drains,
    /// Zones whose names are not looked up elsewhere: our own.
    pub(super) own: Vec<Name>,
    /// Those of them that are filled by their files alone.
    pub(super) files: Vec<Arc<Zone>>,
    /// Number of times that links had been followed when those that lead nowhere were reported.
    pub(super) followed: u64,
    /// Everything was read once, what links lead to included.
    pub(super) complete: bool,
    /// Freshness of the view as it was last told.
    pub(super) freshness: Freshness,
    /// Guard that holds storms of removals back.
    pub(super) guard: Option<Guard>,
    /// Parts that cannot be read.
    pub(super) unread: Unread,
    /// Services that were deleted lately.
    pub(super) past: Past,
    /// Services that this process registers, by their paths below the root.
    pub(super) registered: BTreeSet<String>,
    /// Time at which the registry was last looked at as a stranger would.
    pub(super) looked: Option<Instant>,
    /// Changes of a reload that are not taken yet; the number of reloads; and as of when the zones know names.
    pub(super) wishes: Option<Wishes>,
    pub(super) wished: u64,
    pub(super) known_as_of: (u64, u64, u64),
    /// Events, where they are told.
    pub(super) feed: Option<Feed>,
    /// Time at which the next of `times` has come.
    pub(super) due: watch::Sender<Option<Instant>>,
    /// The services that were read, for tests that count.
    #[cfg(test)]
    pub(super) reads: std::sync::Mutex<Vec<String>>,
}

impl Core {
    pub(super) fn new(layout: Layout, targets: Vec<Target>, max_stale: Duration) -> Self {
        Self {
            own: targets.iter().map(Target::origin).collect(),
            targets,
            files: Vec::new(),
            max_stale,
            problems: Problems::default(),
            telling: Telling::default(),
            census: Census::default(),
            clashes: Clashes::default(),
            spellings: BTreeMap::new(),
            hosts: Hosts::new(max_stale),
            holding: Holding::default(),
            drains: Drains::default(),
            followed: 0,
            complete: false,
            freshness: Freshness::Loading,
            guard: None,
            unread: Unread::default(),
            past: Past::default(),
            registered: BTreeSet::new(),
            looked: None,
            wishes: None,
            wished: 0,
            known_as_of: (0, u64::MAX, 0),
            feed: None,
            due: watch::Sender::default(),
            #[cfg(test)]
            reads: std::sync::Mutex::default(),
            layout,
        }
    }

    /// Replaces what is known to be wrong with `part` of the registry, and has told what is new in it.
    pub(super) fn report(&self, part: &str, malformed: Vec<Malformed>) {
        let new = self.problems.replace(part, malformed);
        self.telling.add(part, new);
    }
}
