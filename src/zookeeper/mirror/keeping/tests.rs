//! Tests of what is kept of a znode, and for how long.

use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::registry::grouping::Grouping;
use crate::registry::tree::Known;
use crate::zookeeper::mirror::limits::{MirrorLimits, delays};

/// Understands what begins with a letter.
#[derive(Debug)]
struct Letters;

impl Grouping for Letters {
    fn group<'p>(&self, path: &'p Path) -> &'p str {
        path.parent().unwrap_or_default()
    }

    fn is_understood(&self, _: &Path, data: &[u8]) -> bool {
        data.first().is_some_and(u8::is_ascii_alphabetic)
    }
}

#[test]
fn the_last_words_that_were_understood_are_kept_as_long_as_the_znode_lives() {
    let (path, mut tree) = (Path::new("/a").unwrap(), Tree::default());
    let limits = MirrorLimits::for_session(std::time::Duration::from_secs(4));
    let mut mirror = Mirror::new(Path::root(), limits, delays(), Instant::now(), 1).grouped(Arc::new(Letters));
    let known = |data: &str, czxid| {
        Entry::Known(Known { data: data.as_bytes().into(), czxid, mzxid: 1, ephemeral_owner: 0, ctime: 0 })
    };
    let mut put = |entry: Option<Entry>| {
        mirror.put_all(Instant::now(), [(path.clone(), entry)].into(), &mut tree);
        tree.kept("/a").map(|data| String::from_utf8(data.to_vec()).unwrap())
    };
    assert_eq!(put(Some(known("{", 1))), None, "nothing was said before");
    assert_eq!(put(Some(known("good", 1))), None);
    assert_eq!(put(Some(known("{", 1))).as_deref(), Some("good"));
    assert_eq!(put(Some(known("{{", 1))).as_deref(), Some("good"));
    assert_eq!(put(Some(Entry::Unreadable(Error::NoAuth))).as_deref(), Some("good"));
    assert_eq!(put(Some(known("{{", 1))).as_deref(), Some("good"));
    assert_eq!(put(Some(known("better", 1))), None);
    assert_eq!(put(Some(known("{", 1))).as_deref(), Some("better"));
    assert_eq!(put(Some(known("{", 2))), None, "another znode");
    assert_eq!(put(Some(known("good", 2))), None);
    assert_eq!(put(Some(known("{", 2))).as_deref(), Some("good"));
    assert_eq!(put(None), None);
    put(Some(known("good", 3)));
    put(Some(Entry::Unreadable(Error::TooMuchData { bytes: 70_000, czxid: 3 })));
    assert!(tree.known("/a").is_some_and(|known| &*known.data == b"good"), "it is the same znode");
    let mut mirror = Mirror::new(Path::root(), limits, delays(), Instant::now(), 1);
    let other = Entry::Unreadable(Error::TooMuchData { bytes: 70_000, czxid: 4 });
    mirror.put_all(Instant::now(), [(path.clone(), Some(other))].into(), &mut tree);
    assert!(tree.known("/a").is_none(), "the words of another one");
}
