//! Follows a path through zc.zk's symbolic links, read from the registry as far as it goes.
//!
//! The rules are zc.zk's (`resolve` in `zc/zk/__init__.py`), as [`crate::registry::links`] has them: a real child goes
//! before a link of its name, `.` and `..` are taken out of the text first, and any element may be a link.

use futures_util::future::LocalBoxFuture;

use super::place::Opened;
use crate::format;
use crate::registry::{Error, Path};

/// Links that are followed one after the other, at most.
const DEPTH: usize = 40;

/// Failure to find a path's znode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    /// Neither a znode nor a link is there.
    #[error("does not exist{}", in_full(.0))]
    NoNode(String),
    /// A link leads back to itself.
    #[error("is a loop of links, by {0}")]
    Loop(String),
    /// The text of a link is not a path.
    #[error("leads to {0}: {1}")]
    BadLink(String, Error),
    /// A znode on the way cannot be read.
    #[error("cannot be read{}: {error}", in_full(.path))]
    Failed {
        /// Its path; empty where it is the one that was asked for.
        path: String,
        /// The reason.
        error: Error,
    },
}

fn in_full(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" ({path})") }
}

impl Opened {
    /// The path of the znode that PATH leads to through zc.zk's links.
    ///
    /// # Errors
    /// When there is none.
    pub(in crate::cli) async fn find(&self, given: Option<&str>) -> anyhow::Result<Path> {
        let path = self.path(given)?;
        resolve(self, &path).await.map_err(|why| anyhow::anyhow!("{} {why}", self.full(&path)))
    }
}

/// The real path of the znode that `path` leads to.
///
/// # Errors
/// When it leads nowhere.
pub(super) async fn resolve(at: &Opened, path: &Path) -> Result<Path, Unresolved> {
    resolve_text(at, path.as_str()).await
}

/// The real path of the znode that an absolute path leads to, which may hold dots.
///
/// # Errors
/// When it leads nowhere.
pub(super) async fn resolve_text(at: &Opened, path: &str) -> Result<Path, Unresolved> {
    follow(at, path.to_owned(), Vec::new()).await.map_err(|why| match why {
        // Plain as it is.
        Unresolved::NoNode(missing) if missing == path => Unresolved::NoNode(String::new()),
        Unresolved::Failed { path: failed, error } if failed == path => {
            Unresolved::Failed { path: String::new(), error }
        }
        other => other,
    })
}

fn follow(at: &Opened, path: String, seen: Vec<String>) -> LocalBoxFuture<'_, Result<Path, Unresolved>> {
    Box::pin(async move {
        let path = normal(&path);
        let whole = Path::new(&path).map_err(|error| Unresolved::BadLink(path.clone(), error))?;
        let get = async |path: &Path| {
            let failed = |error| Unresolved::Failed { path: path.to_string(), error };
            at.get(path).await.map_err(failed)
        };
        match get(&whole).await {
            // One that may not be read is there.
            Ok(Some(_)) | Err(Unresolved::Failed { error: Error::NoAuth, .. }) => return Ok(whole),
            Ok(None) => {}
            Err(why) => return Err(why),
        }
        if seen.contains(&path) || seen.len() >= DEPTH {
            return Err(Unresolved::Loop(path));
        }
        let Some(parent) = whole.parent() else { return Err(Unresolved::NoNode(path)) };
        let parent = match follow(at, parent.to_owned(), seen.clone()).await {
            Err(Unresolved::NoNode(_)) => return Err(Unresolved::NoNode(path)),
            parent => parent?,
        };
        let child = parent.child(whole.name());
        let Some(holder) = get(&parent).await? else { return Err(Unresolved::NoNode(path)) };
        if child != whole && get(&child).await?.is_some() {
            return Ok(child);
        }
        let links = format::links(&holder.data).0;
        let Some(link) = links.into_iter().find(|link| link.name == whole.name()) else {
            return Err(Unresolved::NoNode(path));
        };
        let target = absolute(&parent, &link.target);
        let seen = seen.into_iter().chain([path]).collect();
        follow(at, target, seen).await
    })
}

/// A link's target as an absolute path, still with its dots.
pub(super) fn absolute(holder: &Path, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    format!("{}/{target}", holder.as_str().trim_end_matches('/'))
}

/// A path without `.` and `..`, and without a final slash.
pub(super) fn normal(path: &str) -> String {
    let mut elements: Vec<&str> = Vec::new();
    for element in path.split('/').skip(1) {
        match element {
            "." => {}
            ".." => drop(elements.pop()),
            element => elements.push(element),
        }
    }
    while elements.last().is_some_and(|last| last.is_empty()) {
        elements.pop();
    }
    format!("/{}", elements.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_taken_out_of_the_text() {
        for (path, expected) in [("/a/./b/../c", "/a/c"), ("/a/..", "/"), ("/", "/"), ("/a/", "/a"), ("/../a", "/a")] {
            assert_eq!(normal(path), expected);
        }
        assert_eq!(absolute(&Path::new("/a/b").unwrap(), "../c"), "/a/b/../c");
        assert_eq!(absolute(&Path::root(), "c"), "/c");
    }
}
