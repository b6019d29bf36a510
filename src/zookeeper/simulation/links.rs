//! Links in the simulated world: how its znodes hold them, and what is seen through them, found the slow and plain way.

use std::collections::BTreeMap;

use super::world::Znodes;
use crate::registry::Path;
use crate::registry::links::{LinkedProperty, Linking, NodeLinks, PropertyLink};

/// Znodes that hold links now and then.
pub(super) const HOLDERS: [&str; 4] = ["/s", "/s/a", "/s/b", "/t/x"];

/// The links they hold: to each other, to themselves, in circles, out of the root and back.
pub(super) const CHOICES: [(&str, &str); 15] = [
    ("l", "/t/x"),
    ("m", "/t/y"),
    ("m", "/s/a"),
    ("n", "../b/p"),
    ("o", "/s/l"),
    ("l", "/s/o/1"),
    ("p", "/s/c/d"),
    ("up", "."),
    ("c", "/t/x"),
    ("q", "/t/y/gone"),
    // Properties, of a znode by a path or through a link, of one that takes it from elsewhere itself, of nobody.
    ("v=", "/t/y/1"),
    ("v=", "/s/l/1"),
    ("w=", "../a"),
    ("v=", "/s/b"),
    ("w=", "/t/z"),
];

/// Data that hold these links.
pub(super) fn encode(zxid: i64, links: &[(&str, &str)]) -> Vec<u8> {
    let links = links.iter().map(|(name, target)| format!("{name}>{target}"));
    std::iter::once(zxid.to_string()).chain(links).collect::<Vec<_>>().join(";").into()
}

/// The links that data hold; of two with one name the last. The name of a property ends in `=`, and it is called the
/// same wherever it is.
pub(super) fn decode(data: &[u8]) -> NodeLinks {
    let text = String::from_utf8_lossy(data);
    let links: BTreeMap<&str, &str> = text.split(';').skip(1).filter_map(|link| link.split_once('>')).collect();
    let (properties, links): (Vec<_>, Vec<_>) = links.into_iter().partition(|(name, _)| name.ends_with('='));
    let property =
        |(name, path): (&str, &str)| PropertyLink { name: name.into(), path: path.into(), property: name.into() };
    NodeLinks {
        links: links.into_iter().map(|(name, target)| (name.into(), target.into())).collect(),
        properties: properties.into_iter().map(property).collect(),
    }
}

/// The links of the simulated world.
#[derive(Debug)]
pub(super) struct Simulated;

impl Linking for Simulated {
    fn links(&self, data: &[u8]) -> NodeLinks {
        decode(data)
    }

    fn remarks(&self, _: &[u8]) -> Vec<String> {
        Vec::new()
    }

    fn resolve(&self, data: &[u8], _: &[LinkedProperty<'_>]) -> (Vec<u8>, Vec<String>) {
        (data.to_vec(), Vec::new())
    }
}

/// View through links.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Through {
    /// Shown path -> the data there.
    pub(super) znodes: BTreeMap<Path, Vec<u8>>,
    /// Shown path and property -> the data of the znode that it comes from.
    pub(super) properties: BTreeMap<(Path, Box<str>), Vec<u8>>,
}

/// All that is seen through links below `root`.
pub(super) fn seen(znodes: &Znodes, root: &Path) -> Through {
    let mut seen = Through::default();
    look(znodes, root, root, &mut Vec::new(), &mut seen);
    seen
}

fn look(znodes: &Znodes, shown: &Path, real: &Path, chain: &mut Vec<Path>, seen: &mut Through) {
    let Some((data, ..)) = znodes.get(real) else { return };
    if shown != real {
        seen.znodes.insert(shown.clone(), data.clone());
    }
    for child in znodes.keys().filter(|path| path.parent() == Some(real.as_str())) {
        look(znodes, &shown.child(child.name()), child, chain, seen);
    }
    let held = decode(data);
    for PropertyLink { name, .. } in held.properties {
        if let Some(data) = property(znodes, shown, real, &name, 0) {
            seen.properties.insert((shown.clone(), name), data);
        }
    }
    chain.push(real.clone());
    for (name, target) in held.links {
        let is_shadowed = znodes.contains_key(&real.child(&name));
        if let Some(target) = resolve(znodes, real, &target, 0).filter(|_| !is_shadowed)
            && chain.iter().all(|holder| holder.below(&target).is_none())
        {
            look(znodes, &shown.child(&name), &target, chain, seen);
        }
    }
    chain.pop();
}

/// The data of the znode that has the property for real.
fn property(znodes: &Znodes, at: &Path, real: &Path, name: &str, depth: usize) -> Option<Vec<u8>> {
    let (data, ..) = znodes.get(real)?;
    match decode(data).properties.into_iter().find(|link| *link.name == *name) {
        None => Some(data.clone()),
        Some(link) if depth < 50 => {
            let target = Path::new(&textual(at, &link.path)).ok()?;
            let real = resolve(znodes, at, &link.path, 0)?;
            property(znodes, &target, &real, name, depth + 1)
        }
        Some(_) => None,
    }
}

/// Path to which a link leads; none where nothing is there, or after more links than there can be without a circle.
fn resolve(znodes: &Znodes, holder: &Path, target: &str, depth: usize) -> Option<Path> {
    let mut real = Path::root();
    for element in textual(holder, target).split('/').filter(|element| !element.is_empty()) {
        let next = real.child(element);
        if znodes.contains_key(&next) {
            real = next;
        } else {
            let (data, ..) = znodes.get(&real)?;
            let (_, target) = decode(data).links.into_iter().find(|(name, _)| **name == *element)?;
            real = if depth < 50 { resolve(znodes, &real, &target, depth + 1)? } else { return None };
        }
    }
    Some(real)
}

/// A target as an absolute path.
fn textual(holder: &Path, target: &str) -> String {
    let text = if target.starts_with('/') { target.to_owned() } else { format!("{holder}/{target}") };
    let mut elements = Vec::new();
    for element in text.split('/') {
        match element {
            "" | "." => {}
            ".." => drop(elements.pop()),
            name => elements.push(name),
        }
    }
    format!("/{}", elements.join("/"))
}
