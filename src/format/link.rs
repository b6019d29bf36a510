//! zc.zk's links, as the data of a znode says them: `{"name ->": "/path"}` stands for a child called `name`.
//!
//! Source: `zc/zk/__init__.py` of the 2.1.0 release (`resolve`). Where a link leads is not for this file.

use super::json;

const ARROW: &str = " ->";

/// A link that a znode's data holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Name of the child it stands for.
    pub name: String,
    /// The path as written: absolute, or relative to the znode that holds it.
    pub target: String,
}

/// The links that `data` holds, in the order of their names, and a sentence for each that cannot be used. Data that is no
/// JSON object holds none; that it is malformed is for others to say.
pub fn links(data: &[u8]) -> (Vec<Link>, Vec<String>) {
    let (mut links, mut remarks) = (Vec::new(), Vec::new());
    // Nearly no znode has one, and all are asked.
    if !data.windows(2).any(|pair| pair == b"->") {
        return (links, remarks);
    }
    for (key, value) in json::properties(data).unwrap_or_default() {
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
    fn what_is_no_link_is_said_and_what_is_no_json_holds_none() {
        let (found, remarks) = links(br#"{"a ->": 5, "b/c ->": "/x", " ->": "/x", "d ->": "", "e ->": "/e"}"#);
        assert_eq!((found.len(), remarks.len()), (1, 4), "{remarks:?}");
        for data in [b"a -> b".as_slice(), b"{\"a ->\": ", b"", b"\xff->"] {
            assert_eq!(links(data), (vec![], vec![]));
        }
    }
}
