//! Data of a znode that its readers last understood, kept while the same znode says something that they do not.

#[cfg(test)]
mod tests;

use super::Mirror;
use crate::registry::tree::{Entry, Tree};
use crate::registry::{Error, Path};

impl Mirror {
    /// Looks at what is about to be put into the tree at `path`; none says that the znode went.
    pub(super) fn keep(&self, path: &Path, entry: Option<&Entry>, tree: &mut Tree) {
        let Some(before) = tree.known(path.as_str()) else { return };
        let Some(entry) = entry else { return tree.keep(path, None) };
        match entry {
            Entry::Known(now) if now.czxid != before.czxid => tree.keep(path, None),
            Entry::Known(now) if now.data == before.data => {}
            Entry::Known(now) if self.grouping.is_understood(path, &now.data) => tree.keep(path, None),
            Entry::Known(_) if self.grouping.is_understood(path, &before.data) => {
                let data = before.data.clone();
                tree.keep(path, Some(data));
            }
            // Another znode, of which nothing was ever read.
            Entry::Unreadable(Error::TooMuchData { czxid, .. }) if *czxid != before.czxid => {
                tree.remove(path);
            }
            Entry::Known(_) | Entry::Unreadable(_) => {}
        }
    }
}
