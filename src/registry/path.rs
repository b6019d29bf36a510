//! Paths of znodes.

use std::fmt;
use std::sync::Arc;

use super::error::Error;

/// Full path of a znode: absolute, no empty elements, no final slash (but for the root itself). Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

impl Path {
    /// Checks and takes a path as ZooKeeper defines one.
    ///
    /// # Errors
    /// When it is not absolute, ends in a slash, has an empty element, `.` or `..`, or a character that servers
    /// refuse.
    pub fn new(path: &str) -> Result<Self, Error> {
        let elements = match path.strip_prefix('/') {
            Some("") => return Ok(Self::root()),
            Some(elements) => elements,
            None => return Err(Error::BadPath { path: path.into(), reason: "it must begin with a slash" }),
        };
        for element in elements.split('/') {
            let reason = match element {
                "" => "it has an empty element or a final slash",
                "." | ".." => "it has a relative element",
                _ if element.contains(refused) => "it has a character that ZooKeeper does not take",
                _ => continue,
            };
            return Err(Error::BadPath { path: path.into(), reason });
        }
        Ok(Self(path.into()))
    }

    /// A path from a server, taken as it is.
    pub(crate) fn trusted(path: &str) -> Self {
        Self(path.into())
    }

    /// `/`.
    pub fn root() -> Self {
        Self("/".into())
    }

    /// The child called `name`; `name` is one element, as ZooKeeper lists it.
    pub fn child(&self, name: &str) -> Self {
        // By hand: a scan makes the path of every znode so.
        let mut path = String::with_capacity(self.0.len() + 1 + name.len());
        path.push_str(if self.is_root() { "" } else { &self.0 });
        path.push('/');
        path.push_str(name);
        Self(path.into())
    }

    /// The parent's path; none for the root.
    pub fn parent(&self) -> Option<&str> {
        match self.0.rfind('/') {
            Some(0) if self.0.len() > 1 => Some("/"),
            Some(0) | None => None,
            Some(slash) => Some(&self.0[..slash]),
        }
    }

    /// The last element; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The path that `other` would have if this were the root: `/drains` and `/services/api` make
    /// `/drains/services/api`.
    pub fn with(&self, other: &Self) -> Self {
        match (self.is_root(), other.is_root()) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            _ => Self::trusted(&format!("{self}{other}")),
        }
    }

    /// The path of `self` below `ancestor`, without a leading slash: empty for `ancestor` itself, none elsewhere.
    pub fn below(&self, ancestor: &Self) -> Option<&str> {
        if ancestor.is_root() {
            return Some(&self.0[1..]);
        }
        match self.0.strip_prefix(&*ancestor.0)? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        }
    }

    /// Order of a walk through a tree: parents before their children, siblings by name. (As texts, `/a-b` comes between
    /// `/a` and `/a/c`.)
    pub fn cmp_in_tree(&self, other: &Self) -> std::cmp::Ordering {
        if self.is_root() || other.is_root() {
            return other.is_root().cmp(&self.is_root());
        }
        let shared = self.0.bytes().zip(other.0.bytes()).take_while(|(one, other)| one == other).count();
        match (self.0.as_bytes().get(shared), other.0.as_bytes().get(shared)) {
            (Some(b'/'), Some(_)) => std::cmp::Ordering::Less,
            (Some(_), Some(b'/')) => std::cmp::Ordering::Greater,
            (one, other) => one.cmp(&other),
        }
    }

    /// Returns whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, private use, specials, and all beyond U+FFFF (surrogates, to a server), as servers check paths.
fn refused(character: char) -> bool {
    matches!(character, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

impl std::borrow::Borrow<str> for Path {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    #[test]
    fn paths_know_their_parents_and_names() {
        let deep = path("/services/api_x/providers");
        assert_eq!(deep.parent(), Some("/services/api_x"));
        assert_eq!(deep.name(), "providers");
        assert_eq!(path("/services").parent(), Some("/"));
        assert_eq!(Path::root().parent(), None);
        assert_eq!(Path::root().child("a"), path("/a"));
        assert_eq!(path("/a").child("b"), path("/a/b"));
    }

    #[test]
    fn below_is_about_elements_not_about_prefixes() {
        let services = path("/services");
        assert_eq!(path("/services/a/b").below(&services), Some("a/b"));
        assert_eq!(services.below(&services), Some(""));
        assert_eq!(path("/services2/a").below(&services), None);
        assert_eq!(path("/a").below(&Path::root()), Some("a"));
    }

    #[test]
    fn a_walk_meets_parents_first_and_what_is_below_a_znode_together() {
        let walk = ["/", "/a", "/a/b", "/a/b/c", "/a/b-c", "/a-b", "/a-b/x", "/a.b", "/b"];
        let mut sorted: Vec<Path> = walk.iter().rev().map(|text| path(text)).collect();
        sorted.sort_by(Path::cmp_in_tree);
        assert_eq!(sorted.iter().map(Path::as_str).collect::<Vec<_>>(), walk);
    }

    #[test]
    fn what_zookeeper_refuses_is_refused_with_a_reason() {
        for bad in ["", "a", "/a/", "/a//b", "/a/../b", "/a/./b", "/a\u{0}b", "/a\u{85}", "/a\u{e000}", "/\u{1f600}"] {
            assert!(Path::new(bad).is_err(), "{bad:?}");
        }
        for good in ["/", "/a", "/a b/ü", "/192.168.0.42:8080", "/..a"] {
            assert!(Path::new(good).is_ok(), "{good:?}");
        }
    }
}
