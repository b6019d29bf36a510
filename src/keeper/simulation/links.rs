//! Links in the simulated world: how its znodes hold them, and what is seen through them, found the slow and plain way.

use std::collections::BTreeMap;

use super::world::Znodes;
use crate::keeper::Path;

/// Who holds links now and then.
pub(super) const HOLDERS: [&str; 4] = ["/s", "/s/a", "/s/b", "/t/x"];

/// The links they hold: to each other, to themselves, in circles, out of the root and back.
pub(super) const CHOICES: [(&str, &str); 10] = [
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
];

/// Data that hold these links.
pub(super) fn encode(zxid: i64, links: &[(&str, &str)]) -> Vec<u8> {
    let links: String = links.iter().map(|(name, target)| format!(";{name}>{target}")).collect();
    format!("{zxid}{links}").into()
}

/// The links that data hold; of two with one name the last.
pub(super) fn decode(data: &[u8]) -> Vec<(Box<str>, Box<str>)> {
    let text = String::from_utf8_lossy(data);
    let links: BTreeMap<&str, &str> = text.split(';').skip(1).filter_map(|link| link.split_once('>')).collect();
    links.into_iter().map(|(name, target)| (name.into(), target.into())).collect()
}

/// All that is seen through links below `root`: each shown path, and the data there.
pub(super) fn seen(znodes: &Znodes, root: &Path) -> BTreeMap<Path, Vec<u8>> {
    let mut seen = BTreeMap::new();
    look(znodes, root, root, &mut Vec::new(), &mut seen);
    seen
}

fn look(znodes: &Znodes, shown: &Path, real: &Path, chain: &mut Vec<Path>, seen: &mut BTreeMap<Path, Vec<u8>>) {
    let Some((data, ..)) = znodes.get(real) else { return };
    if shown != real {
        seen.insert(shown.clone(), data.clone());
    }
    for child in znodes.keys().filter(|path| path.parent() == Some(real.as_str())) {
        look(znodes, &shown.child(child.name()), child, chain, seen);
    }
    chain.push(real.clone());
    for (name, target) in decode(data) {
        let is_shadowed = znodes.contains_key(&real.child(&name));
        if let Some(target) = resolve(znodes, real, &target, 0).filter(|_| !is_shadowed)
            && chain.iter().all(|holder| holder.below(&target).is_none())
        {
            look(znodes, &shown.child(&name), &target, chain, seen);
        }
    }
    chain.pop();
}

/// Where a link leads; nowhere, where nothing is there, or after more links than there can be without a circle.
fn resolve(znodes: &Znodes, holder: &Path, target: &str, depth: usize) -> Option<Path> {
    let text = if target.starts_with('/') { target.to_owned() } else { format!("{holder}/{target}") };
    let mut elements = Vec::new();
    for element in text.split('/') {
        match element {
            "" | "." => {}
            ".." => drop(elements.pop()),
            name => elements.push(name),
        }
    }
    let mut real = Path::root();
    for element in elements {
        let next = real.child(element);
        if !znodes.contains_key(&next) {
            let (data, ..) = znodes.get(&real)?;
            let (_, target) = decode(data).into_iter().find(|(name, _)| **name == *element)?;
            real = if depth < 50 { resolve(znodes, &real, &target, depth + 1)? } else { return None };
        } else {
            real = next;
        }
    }
    Some(real)
}
