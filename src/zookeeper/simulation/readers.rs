//! View of the readers, rebuilt from each publish, path by path; and what there ever was to be seen.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::links::{self, Through};
use crate::registry::Path;
use crate::registry::grouping::Grouping;
use crate::registry::links::Links;
use crate::registry::selection::Selected;
use crate::registry::tree::Tree;

/// The znodes of a group and their data.
type State = BTreeMap<Path, Vec<u8>>;

/// A service is what stands at or below the second element of a path.
#[derive(Debug)]
pub(super) struct Services;

impl Grouping for Services {
    fn group<'p>(&self, path: &'p Path) -> &'p str {
        group(path)
    }
}

/// Everybody for themselves.
#[derive(Debug)]
pub(super) struct Alone;

impl Grouping for Alone {
    fn group<'p>(&self, path: &'p Path) -> &'p str {
        path.as_str()
    }
}

pub(super) fn group(path: &Path) -> &str {
    let path = path.as_str();
    path.match_indices('/').nth(2).map_or(path, |(end, _)| &path[..end])
}

fn state<'z>(of: &str, znodes: impl IntoIterator<Item = (&'z Path, &'z Vec<u8>)>) -> State {
    let inside = znodes.into_iter().filter(|(path, _)| group(path) == of);
    inside.map(|(path, data)| (path.clone(), data.clone())).collect()
}

/// Every state that each group had after a transaction.
#[derive(Default)]
pub(super) struct History {
    now: HashMap<String, State>,
    /// Time at which each of the others was the state last.
    before: HashMap<String, HashMap<State, Instant>>,
}

impl History {
    pub(super) fn note<'z>(&mut self, of: &str, znodes: impl Iterator<Item = (&'z Path, &'z Vec<u8>)>, now: Instant) {
        if let Some(before) = self.now.insert(of.to_owned(), state(of, znodes)) {
            self.before.entry(of.to_owned()).or_default().insert(before, now);
        }
    }

    /// Returns whether the part of the group that is mirrored ever was as it is `shown`.
    fn was(&self, of: &str, shown: &State, selected: &dyn Fn(&Path) -> Option<Selected>) -> bool {
        let states = self.now.get(of).into_iter().chain(self.before.get(of).into_iter().flat_map(HashMap::keys));
        let part = |state: &State| -> State {
            let selected = state.iter().filter_map(|(path, data)| Some((path, data, selected(path)?.data)));
            selected
                .map(|(path, data, is_kept)| (path.clone(), if is_kept { data.clone() } else { Vec::new() }))
                .collect()
        };
        let mut parts = states.map(part);
        shown.is_empty() || parts.any(|part| part == *shown)
    }

    /// For how long `shown` has not been the state of the group; none when it never was.
    fn age(&self, of: &str, shown: &State, now: Instant) -> Option<Duration> {
        match (self.now.get(of), self.before.get(of).and_then(|before| before.get(shown))) {
            (None, _) => shown.is_empty().then_some(Duration::ZERO),
            (Some(current), _) if current == shown => Some(Duration::ZERO),
            (_, Some(until)) => Some(now - *until),
            (_, None) => shown.is_empty().then_some(Duration::ZERO),
        }
    }
}

/// Those who are shown the mirror.
pub(super) struct Readers {
    pub(super) published: State,
    pub(super) links: Links,
    /// View through links.
    pub(super) through: Through,
}

impl Readers {
    pub(super) fn new(root: Path, deaf: bool) -> Self {
        let mut links = Links::new(root);
        links.is_deaf = deaf;
        Self { published: BTreeMap::new(), links, through: Through::default() }
    }

    /// Takes in a publish. Gives the groups of which it shows something that never was.
    pub(super) fn publish(
        &mut self,
        tree: &Tree,
        paths: &BTreeSet<Path>,
        history: &History,
        selected: &dyn Fn(&Path) -> Option<Selected>,
    ) -> Vec<String> {
        for path in paths {
            match tree.known(path.as_str()) {
                Some(known) => self.published.insert(path.clone(), known.data.to_vec()),
                None => self.published.remove(path),
            };
        }
        self.look_through(tree, paths);
        let groups: BTreeSet<&str> = paths.iter().map(group).collect();
        let never = groups.into_iter().filter(|of| !history.was(of, &state(of, &self.published), selected));
        never.map(|of| format!("readers see {of} as it never was: {:?}", state(of, &self.published))).collect()
    }

    /// For how long what is shown of a group has not been its state.
    pub(super) fn behind(&self, of: &str, history: &History, now: Instant) -> Option<Duration> {
        history.age(of, &state(of, &self.published), now)
    }

    /// Edits the view through links where a change is said to be seen, and nowhere else.
    fn look_through(&mut self, tree: &Tree, paths: &BTreeSet<Path>) {
        let mut seen = self.links.take(tree, &links::Simulated, paths);
        for shown in &seen {
            let real = self.links.real(shown);
            match tree.known(real.as_str()).filter(|_| real != *shown) {
                Some(known) => self.through.znodes.insert(shown.clone(), known.data.to_vec()),
                None => self.through.znodes.remove(shown),
            };
        }
        seen.extend(paths.iter().cloned());
        for dependent in &seen {
            self.take(tree, dependent);
        }
    }

    /// Looks anew where the properties of the znode shown at `dependent` come from.
    fn take(&mut self, tree: &Tree, dependent: &Path) {
        self.through.properties.retain(|(path, _), _| path != dependent);
        for source in self.links.sources(dependent) {
            if let Some(known) = source.hops.last().and_then(|(path, _)| tree.known(path.as_str())) {
                self.through.properties.insert((dependent.clone(), source.name.clone()), known.data.to_vec());
            }
        }
    }
}
