//! Znodes that are shown elsewhere than they are, as their paths do not lead from a service to its instances. Pure.
//!
//! A reader of `/brokers/ids/0`, an instance of the service `kafka`, sees it as a child of `<root>/kafka`. The child's
//! name is the znode's own path below the root, behind a mark that no znode's name can have ([`below_of`] reads it), so
//! that it leads back without a table. Each change of a znode is a change at the path where it is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use super::Path;
use super::tree::Tree;

/// The first character of the name of an instance that is shown elsewhere, and what slashes are in it. ZooKeeper takes
/// neither.
const MARK: char = '\u{1}';

/// Place at which a znode is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It is an instance, shown as a child of the service at this path below the root.
    Child(String),
    /// It holds the instances of the service at this path: while it is there, so is the service.
    Home(String),
    /// It is not shown, and decides about instances of the service at this path.
    Beside(String),
    /// It is not shown, and decides about instances of any service.
    BesideAll,
    /// It leads to others, of which services cannot be told.
    Way,
    /// It is not shown at all.
    Nowhere,
}

/// Says where znodes are shown.
pub trait Placing: Debug + Send + Sync {
    /// The place of the znode at `below`, its path under the root; empty for the root.
    fn place(&self, below: &str) -> Place;
}

/// The path below the root of the znode that is shown as a child called `name`; none for a name that is its own.
pub fn below_of(name: &str) -> Option<String> {
    Some(name.strip_prefix(MARK)?.replace(MARK, "/"))
}

/// Splits the path of something shown into its service and the name of the instance, if it is one.
pub fn instance(shown: &str) -> Option<(&str, &str)> {
    let (service, name) = shown.rsplit_once('/').unwrap_or(("", shown));
    name.starts_with(MARK).then_some((service, name))
}

/// A service, as its znodes are found.
#[derive(Debug, Default)]
struct PlacedService {
    /// The znodes that hold instances.
    homes: BTreeSet<Path>,
    /// The instances, as they are.
    instances: BTreeSet<Path>,
}

/// The znodes of a tree that are shown elsewhere.
#[derive(Debug)]
pub struct Placed {
    root: Path,
    placing: Arc<dyn Placing>,
    /// By the paths at which they are shown.
    services: BTreeMap<Path, PlacedService>,
}

impl Placed {
    /// Shows nothing yet of the znodes below `root`.
    pub fn new(root: Path, placing: Arc<dyn Placing>) -> Self {
        Self { root, placing, services: BTreeMap::new() }
    }

    fn place(&self, real: &Path) -> Place {
        real.below(&self.root).map_or(Place::Nowhere, |below| self.placing.place(below))
    }

    fn service(&self, path: &str) -> Path {
        path.split('/').filter(|element| !element.is_empty()).fold(self.root.clone(), |path, name| path.child(name))
    }

    fn child(&self, service: &Path, real: &Path) -> Path {
        let below = real.below(&self.root).unwrap_or_default();
        let mut name = String::with_capacity(1 + below.len());
        name.push(MARK);
        name.extend(below.chars().map(|c| if c == '/' { MARK } else { c }));
        service.child(&name)
    }

    /// Takes all znodes of `tree`.
    pub fn take_all(&mut self, tree: &Tree) {
        self.services.clear();
        let paths: BTreeSet<Path> = tree.subtree(&self.root).map(|(path, _)| path.clone()).collect();
        self.take(tree, &paths);
    }

    /// Takes the changed znodes. Returns the paths at which something else is seen than before.
    pub fn take(&mut self, tree: &Tree, changed: &BTreeSet<Path>) -> BTreeSet<Path> {
        let mut seen = BTreeSet::new();
        let mut is_all = false;
        for real in changed {
            let is_there = tree.get(real.as_str()).is_some();
            match self.place(real) {
                Place::Child(path) => {
                    let shown = self.service(&path);
                    seen.insert(self.child(&shown, real));
                    self.edit(shown, is_there, real, |service| &mut service.instances);
                }
                Place::Home(path) => {
                    let shown = self.service(&path);
                    seen.insert(shown.clone());
                    self.edit(shown, is_there, real, |service| &mut service.homes);
                }
                Place::Beside(path) => {
                    seen.insert(self.service(&path));
                }
                Place::BesideAll => is_all = true,
                Place::Way | Place::Nowhere => {}
            }
        }
        if is_all {
            seen.extend(self.services.keys().cloned());
        }
        seen
    }

    fn edit(
        &mut self,
        shown: Path,
        is_there: bool,
        real: &Path,
        of: impl Fn(&mut PlacedService) -> &mut BTreeSet<Path>,
    ) {
        if is_there {
            of(self.services.entry(shown).or_default()).insert(real.clone());
        } else if let Some(service) = self.services.get_mut(shown.as_str()) {
            of(service).remove(real);
            if service.homes.is_empty() && service.instances.is_empty() {
                self.services.remove(shown.as_str());
            }
        }
    }

    /// Path of the znode that is shown at `shown`: of an instance, whether it is there or not; of a service, that of
    /// the first znode that holds its instances. None for what shows no znode.
    pub fn real(&self, shown: &Path) -> Option<Path> {
        if let Some(below) = below_of(shown.name()) {
            return Some(if below.is_empty() { self.root.clone() } else { self.root.child(&below) });
        }
        self.services.get(shown.as_str())?.homes.first().cloned()
    }

    /// The instances shown right below the service at `shown`: path there, and path of the znode.
    pub fn children(&self, shown: &Path) -> Vec<(Path, &Path)> {
        let instances = self.services.get(shown.as_str()).into_iter().flat_map(|service| &service.instances);
        instances.map(|real| (self.child(shown, real), real)).collect()
    }

    /// Calls `each` with every path that is shown.
    pub fn each_path(&self, mut each: impl FnMut(&Path)) {
        for (shown, service) in &self.services {
            each(shown);
            service.instances.iter().for_each(|real| each(&self.child(shown, real)));
        }
    }

    /// The path at which the znode at `real` is shown or, of one that only leads to others, that of the root, as it
    /// concerns them all. None for one that is nowhere.
    pub fn shown(&self, real: &Path) -> Option<Path> {
        match self.place(real) {
            Place::Child(path) => Some(self.child(&self.service(&path), real)),
            Place::Home(path) | Place::Beside(path) => Some(self.service(&path)),
            Place::Way | Place::BesideAll => Some(self.root.clone()),
            Place::Nowhere => None,
        }
    }

    /// The paths of everything that is shown at `shown` or below it.
    pub fn around(&self, shown: &Path) -> BTreeSet<Path> {
        let mut all = BTreeSet::new();
        self.each_path(|path| {
            if path.below(shown).is_some() {
                all.insert(path.clone());
            }
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::tree::{Entry, Known};

    /// `ids/<n>` are instances of `kafka`, `roles/<role>/<n>` of `druid/<role>`; `leader` is beside the former.
    #[derive(Debug)]
    struct Brokers;

    impl Placing for Brokers {
        fn place(&self, below: &str) -> Place {
            match below.split('/').collect::<Vec<_>>()[..] {
                ["ids"] => Place::Home("kafka".to_owned()),
                ["ids", _] => Place::Child("kafka".to_owned()),
                ["roles", role] => Place::Home(format!("druid/{role}")),
                ["roles", role, _] => Place::Child(format!("druid/{role}")),
                ["leader"] => Place::Beside("kafka".to_owned()),
                ["all"] => Place::BesideAll,
                ["" | "roles"] => Place::Way,
                _ => Place::Nowhere,
            }
        }
    }

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    fn set(paths: &[&str]) -> BTreeSet<Path> {
        paths.iter().map(|text| path(text)).collect()
    }

    fn tree(paths: &[&str]) -> Tree {
        let entry = || Entry::Known(Known { data: Box::default(), czxid: 1, mzxid: 1, ephemeral_owner: 0, ctime: 0 });
        Tree::of(paths.iter().map(|text| (path(text), entry())))
    }

    fn texts(paths: &BTreeSet<Path>) -> Vec<String> {
        paths.iter().map(|path| path.as_str().replace(MARK, "!")).collect()
    }

    #[test]
    fn a_change_of_a_znode_is_one_where_it_is_shown_and_leads_back() {
        let all = ["/b", "/b/ids", "/b/ids/0", "/b/ids/1", "/b/roles", "/b/roles/BROKER", "/b/roles/BROKER/x", "/b/no"];
        let mut placed = Placed::new(path("/b"), Arc::new(Brokers));
        let now = tree(&all);
        assert_eq!(
            texts(&placed.take(&now, &set(&all))),
            ["/b/druid/BROKER", "/b/druid/BROKER/!roles!BROKER!x", "/b/kafka", "/b/kafka/!ids!0", "/b/kafka/!ids!1"]
        );
        let kafka = path("/b/kafka");
        let children = placed.children(&kafka);
        assert_eq!(children.iter().map(|(_, real)| real.as_str()).collect::<Vec<_>>(), ["/b/ids/0", "/b/ids/1"]);
        for (shown, real) in &children {
            assert_eq!((placed.real(shown).as_ref(), placed.shown(real).as_ref()), (Some(*real), Some(shown)));
            let below = shown.below(&path("/b")).unwrap();
            assert_eq!(instance(below).map(|(service, name)| (service, below_of(name))), {
                Some(("kafka", real.below(&path("/b")).map(str::to_owned)))
            });
        }
        assert_eq!((placed.real(&kafka), placed.real(&path("/b/druid"))), (Some(path("/b/ids")), None));
        assert_eq!(texts(&placed.take(&now, &set(&["/b/leader", "/b/no", "/b/roles"]))), ["/b/kafka"]);
        assert_eq!(texts(&placed.take(&now, &set(&["/b/all"]))), ["/b/druid/BROKER", "/b/kafka"]);
        assert_eq!(placed.shown(&path("/b/roles")), Some(path("/b")), "what is refused there concerns all");
        assert_eq!(placed.shown(&path("/b/no")), None);
    }

    #[test]
    fn a_service_is_there_while_its_home_or_an_instance_is() {
        let mut placed = Placed::new(Path::root(), Arc::new(Brokers));
        placed.take_all(&tree(&["/ids", "/ids/0"]));
        let shown = |placed: &Placed| {
            let mut all = BTreeSet::new();
            placed.each_path(|path| {
                all.insert(path.clone());
            });
            texts(&all)
        };
        assert_eq!(shown(&placed), ["/kafka", "/kafka/!ids!0"]);
        assert_eq!(texts(&placed.take(&tree(&["/ids"]), &set(&["/ids/0"]))), ["/kafka/!ids!0"]);
        assert_eq!(shown(&placed), ["/kafka"]);
        assert_eq!(texts(&placed.take(&tree(&[]), &set(&["/ids"]))), ["/kafka"]);
        assert_eq!(shown(&placed), [""; 0]);
    }
}
