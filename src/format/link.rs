//! zc.zk's links, as the data of a znode says them: `{"name ->": "/path"}` stands for a child called `name`, and
//! `{"name =>": "/path property"}` for a property called `name`, which is a property of the znode at `/path`.
//!
//! Source: `zc/zk/__init__.py` of the 2.1.0 release (`resolve`, `Properties`). Where a link leads is not for this file.

use serde_json::{Map, Value};

use super::json;

const ARROW: &str = " ->";
const DOUBLE_ARROW: &str = " =>";

/// A link that a znode's data holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Name of the child it stands for.
    pub name: String,
    /// The path as written: absolute, or relative to the znode that holds it.
    pub target: String,
}

/// A property that is another znode's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyLink {
    /// Its name.
    pub name: String,
    /// The other znode's path as written: absolute, or relative to where the znode that holds the link was looked for.
    pub path: String,
    /// Name of the property there.
    pub property: String,
}

/// The property links that `data` holds, in the order of their names, and a sentence for each that cannot be used. One
/// whose property is there itself is left out, as it counts for nothing.
pub fn property_links(data: &[u8]) -> (Vec<PropertyLink>, Vec<String>) {
    let (mut links, mut remarks) = (Vec::new(), Vec::new());
    // As below.
    if !data.windows(2).any(|pair| pair == b"=>") {
        return (links, remarks);
    }
    let properties = json::object(data).unwrap_or_default();
    for (key, value) in &properties {
        let Some(name) = key.strip_suffix(DOUBLE_ARROW).map(str::trim) else { continue };
        let words: Vec<&str> = value.as_str().unwrap_or_default().split_whitespace().collect();
        match words[..] {
            _ if properties.contains_key(name) => {}
            [path] if !name.is_empty() => links.push(PropertyLink::new(name, path, name)),
            [path, property] if !name.is_empty() => links.push(PropertyLink::new(name, path, property)),
            _ => remarks.push(format!("`{key}` is no link from a property's name to a path and a property")),
        }
    }
    (links, remarks)
}

impl PropertyLink {
    fn new(name: &str, path: &str, property: &str) -> Self {
        Self { name: name.to_owned(), path: path.to_owned(), property: property.to_owned() }
    }
}

/// A property to be taken from another znode.
#[derive(Debug, Clone, Copy)]
pub struct LinkedProperty<'d> {
    /// Its name.
    pub name: &'d str,
    /// The other znode's data, where that is known.
    pub data: Option<&'d [u8]>,
    /// Name of the property there.
    pub property: &'d str,
}

/// `data` with these properties in the place of the links to them. One that the other znode does not have is left out;
/// the names of those are given as well.
pub fn with_properties(data: &[u8], taken: &[LinkedProperty<'_>]) -> (Vec<u8>, Vec<String>) {
    let (Ok(mut own), mut missing) = (json::object(data), Vec::new()) else { return (data.to_vec(), Vec::new()) };
    let is_taken =
        |key: &str| key.strip_suffix(DOUBLE_ARROW).is_some_and(|key| taken.iter().any(|t| t.name == key.trim()));
    own.retain(|key, _| !is_taken(key));
    for LinkedProperty { name, data, property } in taken {
        let theirs: Option<Map<String, Value>> = data.and_then(|data| json::object(data).ok());
        match theirs.and_then(|mut theirs| theirs.remove(*property)) {
            Some(value) => drop(own.insert((*name).to_owned(), value)),
            None => missing.push((*name).to_owned()),
        }
    }
    (Value::Object(own).to_string().into_bytes(), missing)
}

/// The links that `data` holds, in the order of their names, and a sentence for each that cannot be used. Data that is
/// no JSON object holds none; that it is malformed is for others to say.
pub fn links(data: &[u8]) -> (Vec<Link>, Vec<String>) {
    let (mut links, mut remarks) = (Vec::new(), Vec::new());
    // Nearly no znode has one, and all are asked.
    if !data.windows(2).any(|pair| pair == b"->") {
        return (links, remarks);
    }
    for (key, value) in json::object(data).unwrap_or_default() {
        let Some(name) = key.strip_suffix(ARROW).map(str::trim) else { continue };
        let is_name = !matches!(name, "" | "." | "..") && !name.contains('/');
        match value.as_str().map(str::trim) {
            Some(target) if is_name && !target.is_empty() => {
                links.push(Link { name: name.to_owned(), target: target.to_owned() });
            }
            _ => remarks.push(format!("`{key}` is no link from a child's name to a path")),
        }
    }
    (links, remarks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_told_from_properties() {
        let (links, remarks) = links(br#"{"b ->": "/x/b", "a ->": "../y", "ttl": 5, "note": "a -> b"}"#);
        let links: Vec<_> = links.iter().map(|link| (&*link.name, &*link.target)).collect();
        assert_eq!(links, [("a", "../y"), ("b", "/x/b")]);
        assert!(remarks.is_empty());
    }

    #[test]
    fn property_links_are_read_unless_the_property_is_there() {
        let data = br#"{"ttl =>": "/x", "weight =>": "../y  heavy ", "state =>": "/z", "state": "up", "a ->": "/a"}"#;
        let (links, remarks) = property_links(data);
        let links: Vec<_> = links.iter().map(|link| (&*link.name, &*link.path, &*link.property)).collect();
        assert_eq!(links, [("ttl", "/x", "ttl"), ("weight", "../y", "heavy")]);
        assert!(remarks.is_empty());
        let (links, remarks) = property_links(br#"{"a =>": 5, "b =>": "", "c =>": "/x y z", " =>": "/x"}"#);
        assert_eq!((links.len(), remarks.len()), (0, 4), "{remarks:?}");
    }

    #[test]
    fn a_taken_property_stands_in_the_place_of_its_link() {
        let taken = |name, data, property| LinkedProperty { name, data, property };
        let (ttl, weight) = (br#"{"ttl": 7}"#.as_slice(), br#"{"heavy": 90}"#.as_slice());
        let all = [taken("ttl", Some(ttl), "ttl"), taken("weight", Some(weight), "heavy"), taken("no", None, "no")];
        let data = br#"{"ttl =>": "/x", "weight =>": "/y heavy", "no =>": "/z", "pid": 1}"#;
        let (data, missing) = with_properties(data, &all);
        assert_eq!(String::from_utf8(data).unwrap(), r#"{"pid":1,"ttl":7,"weight":90}"#);
        assert_eq!(missing, ["no"]);
    }

    #[test]
    fn what_is_no_link_is_said_and_what_is_no_json_holds_none() {
        let (found, remarks) = links(br#"{"a ->": 5, "b/c ->": "/x", " ->": "/x", "d ->": "", "e ->": "/e"}"#);
        assert_eq!((found.len(), remarks.len()), (1, 4), "{remarks:?}");
        for data in [b"a -> b".as_slice(), b"{\"a ->\": ", b"", b"\xff->"] {
            assert_eq!(links(data), (vec![], vec![]));
        }
    }
}
