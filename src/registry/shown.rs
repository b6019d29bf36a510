//! A tree as its observers see it: links are resolved here, and nobody above follows one; where znodes are shown as
//! children of services elsewhere, nobody above knows where they are.
//!
//! An observer deals in *shown* paths, see [`links`](super::links). It hears of the shown paths of every znode that has
//! changed, wherever that is seen, and reads what is shown at a path without knowing which znode that is.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};

use super::links::{LinkSource, LinkedProperty, Linking, Links, NoLinks, join};
use super::placed::{Placed, Placing};
use super::root::{Root, RootRefusal};
use super::tree::{Entry, Known, Tree};
use super::{Error, Path};

/// The mirrored tree, for its one writer and those who look something up in it.
pub type SharedTree = Arc<RwLock<ShownTree>>;

/// A tree, and the links in it.
#[derive(Debug)]
pub struct ShownTree {
    tree: Tree,
    links: Links,
    linking: Arc<dyn Linking>,
    /// Znodes that are shown elsewhere. Where there are such, there are no links.
    placed: Option<Placed>,
    /// Number of times that znodes were changed.
    revision: u64,
}

/// A znode as it is seen.
#[derive(Debug, Clone)]
pub struct ShownNode<'t> {
    /// Path at which it is seen.
    pub path: Path,
    /// Path at which it is.
    pub real: Path,
    /// The znode.
    pub entry: &'t Entry,
}

/// Data of a znode that can be understood.
#[derive(Debug)]
pub struct Readable<'t> {
    /// The data, with the properties that links take from other znodes.
    pub data: Cow<'t, [u8]>,
    /// Links to properties that cannot be used, in words.
    pub remarks: Vec<String>,
    /// True if these are earlier data: the present ones are not understood.
    pub is_kept: bool,
    /// The server's refusal to show the znode now: the data are those of its last reading.
    pub refusal: Option<&'t Error>,
}

impl ShownTree {
    /// An empty tree, seen from `root`, in which links are written as `linking` reads them.
    pub fn new(root: Path, linking: Arc<dyn Linking>) -> Self {
        Self { tree: Tree::default(), links: Links::new(root), linking, placed: None, revision: 0 }
    }

    /// The same, in which znodes are shown where `placing` says.
    pub fn placed(self, placing: Option<Arc<dyn Placing>>) -> Self {
        let placed = placing.map(|placing| Placed::new(self.links.root().clone(), placing));
        Self { placed, ..self }
    }

    /// Returns whether znodes are shown elsewhere than they are.
    pub fn is_placed(&self) -> bool {
        self.placed.is_some()
    }

    /// The znodes as they are.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The znodes as they are, to be edited; [`Self::follow`] has to hear of what is edited.
    pub fn tree_mut(&mut self) -> &mut Tree {
        &mut self.tree
    }

    /// Replaces all znodes by those of another tree, and follows the links in it.
    pub fn set_tree(&mut self, tree: Tree) {
        self.revision += 1;
        self.tree = tree;
        match &mut self.placed {
            Some(placed) => placed.take_all(&self.tree),
            None => self.links.take_all(&self.tree, &*self.linking),
        }
    }

    /// Follows the links that the changed znodes hold. Returns the paths at which something else is shown than before,
    /// those of the changed znodes and those at which they, or properties of them, are seen elsewhere.
    pub fn follow<'c>(&mut self, changed: &'c BTreeSet<Path>) -> Cow<'c, BTreeSet<Path>> {
        self.revision += u64::from(!changed.is_empty());
        if let Some(placed) = &mut self.placed {
            return Cow::Owned(placed.take(&self.tree, changed));
        }
        let mut seen = self.links.take(&self.tree, &*self.linking, changed);
        if seen.is_empty() {
            return Cow::Borrowed(changed);
        }
        seen.extend(changed.iter().cloned());
        Cow::Owned(seen)
    }

    /// Number of times that znodes were changed: while it stays, so does what is shown.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Targets of links that lie outside the root.
    pub fn outside(&self) -> &BTreeSet<Path> {
        self.links.outside()
    }

    /// Returns whether everything that links lead to is mirrored.
    pub fn is_complete(&self) -> bool {
        self.links.outside().iter().all(|root| self.tree.covers(root))
    }

    /// The links that are not followed: the znode that holds each, and the reason.
    pub fn broken(&self) -> &BTreeSet<(Path, String)> {
        self.links.broken()
    }

    /// Number of times that links were followed anew: while it stays, so does [`Self::broken`].
    pub fn followed(&self) -> u64 {
        self.links.times_followed()
    }

    /// The znode shown at `path`.
    pub fn get(&self, path: &Path) -> Option<ShownNode<'_>> {
        let real = match &self.placed {
            Some(placed) => placed.real(path)?,
            None => self.links.real(path),
        };
        let entry = self.tree.get(real.as_str())?;
        Some(ShownNode { path: path.clone(), real, entry })
    }

    /// The znodes shown right below `directory`, and whether there may be anything deeper.
    pub fn children(&self, directory: &Path) -> (Vec<ShownNode<'_>>, bool) {
        if let Some(placed) = &self.placed {
            let children = placed.children(directory).into_iter().filter_map(|(path, real)| {
                let entry = self.tree.get(real.as_str())?;
                Some(ShownNode { path, real: real.clone(), entry })
            });
            return (children.collect(), false);
        }
        let real = self.links.real(directory);
        let mut own = self.tree.children(&real);
        let child = |(child, entry): (&Path, _)| ShownNode {
            path: if real == *directory { child.clone() } else { directory.child(child.name()) },
            real: child.clone(),
            entry,
        };
        let mut seen: Vec<_> = own.by_ref().map(child).collect();
        let before = seen.len();
        seen.extend(self.links.mounts_in(directory).filter_map(|(shown, real)| {
            let entry = self.tree.get(real.as_str())?;
            Some(ShownNode { path: shown.clone(), real: real.clone(), entry })
        }));
        let jumped = own.jumped() || seen.len() > before;
        (seen, jumped)
    }

    /// Calls `each` with every path that is shown below the root; some may come twice.
    pub fn each_path(&self, mut each: impl FnMut(&Path)) {
        if let Some(placed) = &self.placed {
            return placed.each_path(each);
        }
        self.tree.subtree(self.links.root()).for_each(|(path, _)| each(path));
        for (shown, real) in self.links.mounts() {
            for below in self.tree.subtree(real).filter_map(|(path, _)| path.below(real)) {
                each(&join(shown, below));
            }
        }
    }

    /// The paths at which the znode shown at `path`, and whatever is below it, are seen, wherever that is.
    pub fn around(&self, path: &Path) -> BTreeSet<Path> {
        if let Some(placed) = &self.placed {
            return placed.around(path);
        }
        let real = self.links.real(path);
        let below: BTreeSet<Path> = self.tree.subtree(&real).map(|(path, _)| path.clone()).collect();
        let mut all = BTreeSet::new();
        self.links.add_seen(&below, &mut all);
        all.extend(below);
        all
    }

    /// The znodes that the server does not show now: the path at which each is seen, the one at which it is, and the
    /// refusal.
    pub fn refused(&self) -> impl Iterator<Item = (Path, &Path, &RootRefusal)> {
        self.tree.refused().flat_map(|(real, refusal)| {
            let shown = match &self.placed {
                Some(placed) => placed.shown(real).into_iter().collect(),
                None => std::iter::once(real.clone()).chain(self.links.shown(real)).collect::<Vec<_>>(),
            };
            shown.into_iter().map(move |shown| (shown, real, refusal))
        })
    }

    /// The path at which the znode at `real` is shown first; none for one that is not.
    pub fn shown(&self, real: &Path) -> Option<Path> {
        match &self.placed {
            Some(placed) => placed.shown(real),
            None => Some(real.clone()),
        }
    }

    /// A number that is another one whenever something else is refused.
    pub fn refusals(&self) -> u64 {
        self.tree.refusals()
    }

    /// State of the mirrored `root`.
    pub fn root(&self, root: &Path) -> Root {
        self.tree.root(root)
    }

    /// Data of a znode: the last that could be understood; none where it never was read.
    pub fn data<'t>(&'t self, shown: &ShownNode<'t>) -> Option<&'t [u8]> {
        match shown.entry {
            Entry::Known(known) => Some(self.tree.kept(shown.real.as_str()).unwrap_or(&known.data)),
            Entry::Unreadable(_) => None,
        }
    }

    /// Data that can be understood of a znode that was read.
    pub fn readable<'t>(&'t self, shown: &ShownNode<'t>, known: &'t Known) -> Readable<'t> {
        let kept = self.tree.kept(shown.real.as_str());
        let said = kept.unwrap_or(&known.data);
        let (data, missing) = self.resolved(&shown.path, said);
        let mut remarks = self.linking.remarks(said);
        remarks.extend(missing);
        let refusal = self.tree.refusal(shown.real.as_str()).map(|refusal| &refusal.error);
        Readable { data, remarks, is_kept: kept.is_some(), refusal }
    }

    /// `data` of the znode shown at `path`, with the properties that its links take from other znodes, and the links
    /// that lead to none.
    fn resolved<'d>(&self, path: &Path, data: &'d [u8]) -> (Cow<'d, [u8]>, Vec<String>) {
        let sources = self.links.sources(path);
        let taken = sources.iter().filter_map(|source| {
            let (path, property) = source.hops.last()?;
            let data = self.tree.known(path.as_str()).map(|known| &*known.data);
            Some(LinkedProperty { name: &source.name, data, property })
        });
        let taken: Vec<LinkedProperty<'_>> = taken.collect();
        if taken.is_empty() {
            return (Cow::Borrowed(data), Vec::new());
        }
        let (data, missing) = self.linking.resolve(data, &taken);
        let mut remarks = Vec::new();
        for name in missing {
            let hop = sources.iter().find(|source| *source.name == *name).and_then(|source| source.hops.last());
            remarks
                .extend(hop.map(|(path, property)| format!("`{name} =>` leads to {path}, which has no `{property}`")));
        }
        (Cow::Owned(data), remarks)
    }

    /// Path of the znode that is shown at `path`, whether it is there or not.
    pub fn real(&self, path: &Path) -> Path {
        match &self.placed {
            Some(placed) => placed.real(path).unwrap_or_else(|| path.clone()),
            None => self.links.real(path),
        }
    }

    /// Sources of the properties of the znode shown at `path` that are other znodes'.
    pub fn sources(&self, path: &Path) -> &[LinkSource] {
        self.links.sources(path)
    }
}

/// A tree without links.
impl From<Tree> for ShownTree {
    fn from(tree: Tree) -> Self {
        Self { tree, ..Self::new(Path::root(), Arc::new(NoLinks)) }
    }
}
