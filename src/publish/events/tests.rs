//! Events of a publisher, from a tree that changes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Events;
use super::event::{Cause, EventKind};
use crate::format;
use crate::publish::layout::Layout;
use crate::publish::{Publisher, Target};
use crate::registry::shown::ShownTree;
use crate::registry::tree::{Entry, Known, Tree};
use crate::registry::view::{Contact, Freshness, Observer};
use crate::registry::withdrawn::Withdrawn;
use crate::registry::{Path, ReaderName};
use crate::zone::ZoneBuilder;
use crate::zone::name::Name;

/// A registry in memory, its publisher and the events of that.
struct Site {
    tree: ShownTree,
    publisher: Publisher,
    events: Events,
    withdrawn: Withdrawn,
    told: u64,
}

fn path(below: &str) -> Path {
    Path::new(&format!("/services{below}")).unwrap()
}

fn node(data: &str, ephemeral_owner: i64) -> Entry {
    Entry::Known(Known { data: data.as_bytes().into(), czxid: 1, mzxid: 1, ephemeral_owner, ctime: 0 })
}

impl Site {
    fn of(nodes: &[(&str, &str, i64)]) -> Self {
        let writer = Arc::new(Mutex::new(ZoneBuilder::new(Name::parse("service").unwrap(), 5, 5).build()));
        let layout = Layout::new(path(""), format::Config::default());
        let publisher = Publisher::new(layout, vec![Target::new(5, writer)], Duration::from_secs(60));
        let (events, withdrawn) = (Events::default(), Withdrawn::default());
        let mut publisher = publisher.telling(events.clone(), ReaderName::only("main"), withdrawn.clone());
        let tree = Tree::of(nodes.iter().map(|(below, data, owner)| (path(below), node(data, *owner))));
        let changed: BTreeSet<Path> = tree.iter().map(|(path, _)| path.clone()).collect();
        let mut tree = ShownTree::from(tree);
        publisher.publish(&tree, &changed);
        tree.tree_mut().shown_now();
        publisher.freshness(Freshness::Fresh);
        let told = events.last() - 1;
        Self { tree, publisher, events, withdrawn, told }
    }

    /// Puts znodes in and takes them out in one step.
    fn change(&mut self, nodes: &[(&str, Option<(&str, i64)>)]) {
        let mut changed = BTreeSet::new();
        for (below, to) in nodes {
            let path = path(below);
            match to {
                Some((data, owner)) => self.tree.tree_mut().put(&path, node(data, *owner), 1),
                None => self.tree.tree_mut().remove(&path),
            };
            changed.insert(path);
        }
        self.publisher.publish(&self.tree, &changed);
        self.tree.tree_mut().shown_now();
    }

    /// Sentences of the events since this was last asked.
    fn told(&mut self) -> Vec<String> {
        let page = self.events.after(self.told, usize::MAX);
        self.told = page.last;
        page.events.iter().map(|event| event.sentence()).collect()
    }
}

const SITE: &[(&str, &str, i64)] =
    &[("", "", 0), ("/a", "", 0), ("/a/10.0.0.1:80", "", 7), ("/a/10.0.0.2:80", "", 8), ("/b", "", 0)];

#[test]
fn each_change_of_an_instance_is_told_once_with_what_was_and_why_it_went() {
    let mut site = Site::of(SITE);
    assert_eq!(site.told(), ["registry main read: 2 services, 2 instances in and 0 out"]);
    site.change(&[("/b/10.0.0.3:80", Some((r#"{"weight": 3}"#, 9)))]);
    assert_eq!(site.told(), ["b: 10.0.0.3:80 added", "b first: an instance is in DNS again, or for the first time"]);
    site.change(&[("/b/10.0.0.3:80", Some((r#"{"weight": 4}"#, 9)))]);
    assert_eq!(site.told(), ["b: 10.0.0.3:80 changed: weight 3 → 4"]);
    site.change(&[("/a/10.0.0.1:80", Some((r#"{"state": "drain"}"#, 7)))]);
    assert_eq!(site.told(), ["a: 10.0.0.1:80 drained: state up → drain"]);
    site.change(&[("/a/10.0.0.1:80", None)]);
    assert_eq!(site.told(), ["a: 10.0.0.1:80 gone, its session 0x7 is over"]);
    site.withdrawn.note(&path("/a/10.0.0.2:80"), Instant::now());
    site.change(&[("/a/10.0.0.2:80", None)]);
    assert_eq!(
        site.told(),
        ["a: 10.0.0.2:80 gone, withdrawn by this agent", "a last: no instance is in DNS any longer"]
    );
    site.change(&[("/b/10.0.0.3:80", Some(("no endpoint {", 9))), ("/a/nonsense", Some(("", 1)))]);
    assert_eq!(site.told(), ["b: 10.0.0.3:80 changed: weight 4 → default"]);
    site.change(&[("/b", Some((r#"{"ttl": 9}"#, 0)))]);
    assert_eq!(site.told(), ["b changed: TTL default → 9"]);
    let event = site.events.since(0, 1, |event| event.kind == EventKind::Added).events.remove(0);
    assert_eq!(event.path, "/services/b/10.0.0.3:80");
    assert_eq!((event.name.as_deref(), event.session), (Some("b.service."), 9));
}

#[test]
fn an_instance_whose_session_has_others_is_gone_by_deletion_unless_they_follow_at_once() {
    let nodes = [("", "", 0), ("/a", "", 0), ("/a/10.0.0.1:80", "", 7), ("/b", "", 0), ("/b/10.0.0.1:81", "", 7)];
    let mut site = Site::of(&nodes);
    site.told();
    site.change(&[("/a/10.0.0.1:80", None)]);
    assert_eq!(site.told(), ["a last: no instance is in DNS any longer"], "it waits");
    site.change(&[("/b/10.0.0.1:81", None)]);
    let told = site.told();
    let over = |service| format!("{service} gone, its session 0x7 is over");
    assert_eq!(told[..2], [over("a: 10.0.0.1:80"), over("b: 10.0.0.1:81")]);
    let mut site = Site::of(&nodes);
    site.change(&[("/a/10.0.0.1:80", None)]);
    site.told();
    site.publisher.tick(&site.tree, Instant::now() + Duration::from_secs(1));
    assert_eq!(site.told(), ["a: 10.0.0.1:80 gone, its znode was deleted"]);
}

#[test]
fn drains_are_told_when_they_begin_and_when_their_time_is_over() {
    let mut site = Site::of(SITE);
    site.told();
    let drain = r#"{"drain": [{"instance": "10.0.0.1:80", "reason": "disk", "by": "alice@web7"}]}"#;
    site.change(&[("/a", Some((drain, 0)))]);
    assert_eq!(site.told(), ["a: 10.0.0.1:80 drained: by alice@web7: disk"]);
    site.change(&[("/a", Some(("", 0)))]);
    assert_eq!(site.told(), ["a: 10.0.0.1:80 undrained: by alice@web7: disk"]);
}

#[test]
fn what_is_found_on_reading_again_says_so_and_nothing_is_said_of_what_is_the_same() {
    let mut site = Site::of(SITE);
    site.publisher.contact(Contact::Lost { reason: "Connection refused" });
    site.publisher.freshness(Freshness::Stale(Duration::from_secs(1)));
    site.told();
    site.change(&[]);
    assert!(site.told().is_empty());
    site.change(&[("/a/10.0.0.1:80", None), ("/a/10.0.0.2:80", Some(("", 8)))]);
    site.publisher.contact(Contact::Live { after: Some(Duration::from_secs(72)) });
    assert_eq!(
        site.told(),
        [
            "a: 10.0.0.1:80 gone, its session 0x7 is over (found on reading again)",
            "registry main live: after 72 s, 2 znodes have changed"
        ]
    );
    let cause = site.events.since(0, 1, |event| event.cause.is_some()).events.remove(0).cause;
    assert_eq!(cause, Some(Cause::Session));
}

#[test]
fn over_a_thousand_changes_of_a_reading_again_are_one_line_a_service() {
    let mut site = Site::of(SITE);
    site.publisher.freshness(Freshness::Stale(Duration::from_secs(1)));
    site.told();
    let new: Vec<String> = (0..1_500).map(|i| format!("/a/10.1.{}.{}:80", i / 250, i % 250)).collect();
    let mut changes: Vec<(&str, Option<(&str, i64)>)> = new.iter().map(|path| (path.as_str(), Some(("", 9)))).collect();
    changes.push(("/a/10.0.0.1:80", None));
    changes.push(("/b/10.0.0.3:80", Some(("", 9))));
    site.change(&changes);
    assert_eq!(
        site.told(),
        [
            "a many: 1500 added, 0 changed, 1 gone (found on reading again)",
            "b many: 1 added, 0 changed, 0 gone (found on reading again)",
            "b first: an instance is in DNS again, or for the first time (found on reading again)",
        ]
    );
}
