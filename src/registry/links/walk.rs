//! One following of all links: from the root down, through every symbolic link, and from every property link to where
//! the property is.

use std::collections::HashSet;
use std::ops::Bound;

use super::followed::{Broken, Followed, Holders, LinkSource, MAX_MOUNTS, join};
use super::linking::PropertyLink;
use crate::registry::Path;
use crate::registry::tree::Tree;

/// One following of all links.
pub(super) struct Walk<'w> {
    pub(super) tree: &'w Tree,
    pub(super) holders: &'w Holders,
    pub(super) root: &'w Path,
    pub(super) followed: Followed,
}

impl Walk<'_> {
    /// Follows the links held at or below `real`, which is shown at `shown`; `chain` are the holders of the links that
    /// led here.
    pub(super) fn expand(&mut self, shown: &Path, real: &Path, chain: &mut Vec<Path>) {
        let holders = self.holders;
        let below = holders.range::<str, _>((Bound::Included(real.as_str()), Bound::Unbounded));
        for (holder, held) in below.take_while(|(holder, _)| holder.as_str().starts_with(real.as_str())) {
            // A name that goes on with something before '/' stands between a path and what is below it.
            let Some(rest) = holder.below(real) else { continue };
            let at = join(shown, rest);
            chain.push(holder.clone());
            for property in &held.properties {
                match self.property(&at, holder, property) {
                    Ok(source) => self.followed.sources.entry(at.clone()).or_default().push(source),
                    Err(broken) => drop(self.followed.broken.insert((holder.clone(), broken.to_string()))),
                }
            }
            for (name, target) in &held.links {
                if let Err(broken) = self.link(&at, holder, name, target, chain) {
                    self.followed.broken.insert((holder.clone(), broken.to_string()));
                }
            }
            chain.pop();
        }
    }

    fn link(
        &mut self,
        at: &Path,
        holder: &Path,
        name: &str,
        target: &str,
        chain: &mut Vec<Path>,
    ) -> Result<(), Broken> {
        let real_child = holder.child(name);
        let is_shadowed = self.tree.get(real_child.as_str()).is_some();
        self.followed.looked_at.insert(real_child, is_shadowed);
        if is_shadowed {
            return Ok(());
        }
        let real = self.resolve(holder, name, target, &mut HashSet::new())?;
        if chain.iter().any(|holder| holder.below(&real).is_some()) {
            return Err(Broken::Loop(name.into()));
        }
        if self.followed.mounts.len() >= MAX_MOUNTS {
            return Err(Broken::TooMany(name.into()));
        }
        if real.below(self.root).is_none() {
            self.followed.outside.insert(real.clone());
        }
        let shown = at.child(name);
        self.followed.mounts.insert(shown.clone(), real.clone());
        self.expand(&shown, &real, chain);
        Ok(())
    }

    /// Resolves a symbolic link.
    fn resolve(
        &mut self,
        holder: &Path,
        name: &str,
        target: &str,
        under_way: &mut HashSet<(Path, Box<str>)>,
    ) -> Result<Path, Broken> {
        if !under_way.insert((holder.clone(), name.into())) {
            return Err(Broken::Loop(name.into()));
        }
        let target = absolute(holder, target).ok_or_else(|| Broken::NoPath(name.into(), target.into()))?;
        let real = self.walk(&target, name, under_way)?;
        under_way.remove(&(holder.clone(), name.into()));
        Ok(real)
    }

    /// Finds the source of a property. `at` is the path at which its holder was looked for.
    fn property(&mut self, at: &Path, holder: &Path, link: &PropertyLink) -> Result<LinkSource, Broken> {
        let label = || format!("{} =>", link.name).into_boxed_str();
        let (mut at, mut next) = (at.clone(), link.clone());
        let mut source = LinkSource { name: link.name.clone(), hops: Vec::new() };
        loop {
            at = absolute(&at, &next.path).ok_or_else(|| Broken::NoPath(label(), next.path.clone()))?;
            let real = self.walk(&at, &label(), &mut HashSet::new())?;
            if real.below(self.root).is_none() {
                self.followed.outside.insert(real.clone());
            }
            let hop = (real, next.property);
            if source.hops.contains(&hop) || (hop.0 == *holder && hop.1 == link.name) {
                return Err(Broken::Loop(label()));
            }
            let held = self.holders.get(hop.0.as_str());
            let on = held.and_then(|held| held.properties.iter().find(|on| on.name == hop.1)).cloned();
            source.hops.push(hop);
            match on {
                Some(on) => next = on,
                None => return Ok(source),
            }
        }
    }

    /// The znode at `target`, which the link `name` leads to, element by element, as each may be a link.
    fn walk(&mut self, target: &Path, name: &str, under_way: &mut HashSet<(Path, Box<str>)>) -> Result<Path, Broken> {
        let mut real = Path::root();
        for element in target.as_str().split('/').filter(|element| !element.is_empty()) {
            let next = real.child(element);
            let known = self.tree.get(next.as_str()).is_some();
            self.followed.looked_at.insert(next.clone(), known);
            let link =
                self.holders.get(real.as_str()).and_then(|held| held.links.iter().find(|(name, _)| **name == *element));
            real = match link {
                Some((inner, target)) if !known => self.resolve(&real, inner, target, under_way)?,
                None if !known && self.tree.covers(&next) => {
                    // Where nothing is, something may come: what is not mirrored any more would be looked at again.
                    if next.below(self.root).is_none() {
                        self.followed.outside.insert(next.clone());
                    }
                    return Err(Broken::Missing(name.into(), next));
                }
                // There, or outside of what is mirrored: then it is mirrored, and looked at again.
                _ => next,
            };
        }
        Ok(real)
    }
}

/// A target as an absolute path, `.` and `..` taken out of the text.
fn absolute(holder: &Path, target: &str) -> Option<Path> {
    let mut elements: Vec<&str> = Vec::new();
    let base = if target.starts_with('/') { "" } else { holder.as_str() };
    for element in base.split('/').chain(target.split('/')) {
        match element {
            "" | "." => {}
            ".." => drop(elements.pop()),
            other => elements.push(other),
        }
    }
    Path::new(&format!("/{}", elements.join("/"))).ok()
}
