//! Links in trees of a few znodes.

use super::followed::MAX_MOUNTS;
use super::*;
use crate::registry::tree::{Entry, Known};

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

struct World {
    tree: Tree,
    links: Links,
}

impl World {
    fn new(paths: &[&str], links: &[(&str, &str, &str)]) -> Self {
        let mut world = Self { tree: Tree::default(), links: Links::new(path("/s")) };
        world.tree.cover(&path("/s"));
        for at in paths {
            world.add(at);
        }
        for (holder, ..) in links {
            let held = links.iter().filter(|(other, ..)| other == holder);
            let links = held.map(|(_, name, target)| ((*name).into(), (*target).into())).collect();
            world.links.set(&path(holder), NodeLinks { links, properties: Vec::new() });
        }
        world.links.follow(&world.tree);
        world
    }

    fn add(&mut self, at: &str) {
        let known = Known { data: (*b"").into(), czxid: 1, mzxid: 1, ephemeral_owner: 0, ctime: 0 };
        self.tree.put(&path(at), Entry::Known(known), 1);
    }

    fn real(&self, shown: &str) -> String {
        self.links.real(&path(shown)).to_string()
    }

    fn shown(&self, real: &str) -> Vec<String> {
        let mut shown: Vec<_> = self.links.shown(&path(real)).iter().map(ToString::to_string).collect();
        shown.sort();
        shown
    }

    fn broken(&self) -> Vec<String> {
        self.links.broken().iter().map(|(holder, reason)| format!("{holder}: {reason}")).collect()
    }
}

#[test]
fn relative_and_absolute_targets_are_followed_and_seen_from_both_sides() {
    let world = World::new(
        &["/s", "/s/a", "/s/a/p", "/s/a/p/1", "/s/b"],
        &[("/s/b", "p", "../a/p"), ("/s", "c", "/s/./x/../a"), ("/s", "d", "b")],
    );
    assert_eq!(world.real("/s/b/p/1"), "/s/a/p/1");
    assert_eq!(world.real("/s/c/p/1"), "/s/a/p/1");
    assert_eq!(world.real("/s/d/p/1"), "/s/a/p/1", "a link seen through a link");
    assert_eq!(world.real("/s/a/p/1"), "/s/a/p/1");
    assert_eq!(world.shown("/s/a/p/1"), ["/s/b/p/1", "/s/c/p/1", "/s/d/p/1"]);
    assert_eq!(world.shown("/s/b"), ["/s/d"]);
    assert_eq!(world.broken(), [""; 0]);
    let mounts: Vec<_> = world.links.mounts_in(&world.links.root).map(|(shown, _)| shown.to_string()).collect();
    assert_eq!(mounts, ["/s/c", "/s/d"]);
}

#[test]
fn any_element_of_a_target_may_be_a_link() {
    let world = World::new(
        &["/s", "/s/a", "/s/a/p", "/s/a/p/1"],
        &[("/s", "b", "/s/a"), ("/s", "c", "/s/b/p"), ("/s/a", "q", "p")],
    );
    assert_eq!(world.real("/s/c/1"), "/s/a/p/1");
    assert_eq!(world.real("/s/b/q/1"), "/s/a/p/1");
    assert_eq!(world.broken(), [""; 0]);
}

#[test]
fn a_real_child_goes_before_the_link_when_it_comes_and_after_it_went() {
    let mut world = World::new(&["/s", "/s/a"], &[("/s", "b", "/s/a")]);
    assert_eq!(world.real("/s/b/x"), "/s/a/x");
    assert!(!world.links.may_lead_elsewhere(&world.tree, &path("/s/b")));
    world.add("/s/b");
    assert!(world.links.may_lead_elsewhere(&world.tree, &path("/s/b")));
    assert_eq!(world.links.follow(&world.tree).mounts, BTreeSet::from([path("/s/b")]));
    assert_eq!(world.real("/s/b/x"), "/s/b/x");
    world.tree.remove(&path("/s/b"));
    assert_eq!(world.links.follow(&world.tree).mounts, BTreeSet::from([path("/s/b")]));
    assert_eq!(world.real("/s/b/x"), "/s/a/x");
}

#[test]
fn loops_are_reported_and_their_neighbours_followed() {
    let world = World::new(
        &["/s", "/s/a", "/s/b", "/s/c"],
        &[
            ("/s/a", "up", ".."),
            ("/s/a", "self", "/s/a"),
            ("/s", "x", "/s/y"),
            ("/s", "y", "/s/x"),
            ("/s/b", "c", "/s/c"),
            ("/s/c", "b", "/s/b"),
        ],
    );
    assert_eq!(world.real("/s/a/up/z"), "/s/a/up/z");
    assert_eq!(world.real("/s/b/c/z"), "/s/c/z");
    assert_eq!(world.real("/s/b/c/b/z"), "/s/c/b/z", "not followed a second time");
    let broken = world.broken();
    for holder in ["/s/a: the link `up`", "/s/a: the link `self`", "/s: the link `x`", "/s: the link `y`"] {
        assert!(broken.iter().any(|reason| reason.starts_with(holder)), "{holder} in {broken:?}");
    }
}

#[test]
fn targets_outside_are_asked_for_and_missing_ones_reported() {
    let mut world = World::new(
        &["/s", "/s/a"],
        &[("/s", "out", "/t/x"), ("/s", "deeper", "/t/x/y"), ("/s", "gone", "/s/a/b"), ("/s", "bad", "/a\u{1}")],
    );
    assert_eq!(world.links.outside(), &BTreeSet::from([path("/t/x")]), "one watch for both");
    let broken = world.broken();
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert_eq!(broken[1], "/s: the link `gone` leads to /s/a/b, which does not exist");
    world.tree.cover(&path("/t/x"));
    assert!(world.links.follow(&world.tree).mounts.len() == 2, "both lead nowhere now that it is known");
    assert_eq!(world.broken().len(), 4);
    assert_eq!(world.links.outside(), &BTreeSet::from([path("/t/x")]), "something may come");
    world.add("/t/x");
    world.add("/t/x/y");
    world.links.follow(&world.tree);
    assert_eq!(world.real("/s/deeper/1"), "/t/x/y/1");
    assert_eq!(world.shown("/t/x/y/1"), ["/s/deeper/1", "/s/out/y/1"]);
}

#[test]
fn links_that_multiply_are_bounded() {
    let names: Vec<String> = (0..40).map(|i| format!("/s/n{i:02}")).collect();
    let mut paths = vec!["/s"];
    paths.extend(names.iter().map(String::as_str));
    let mut links = Vec::new();
    for pair in names.windows(2) {
        links.push((&*pair[0], "l", &*pair[1]));
        links.push((&*pair[0], "r", &*pair[1]));
    }
    let world = World::new(&paths, &links);
    assert_eq!(world.links.followed.mounts.len(), MAX_MOUNTS);
    assert!(world.broken().iter().any(|reason| reason.contains("more than 10000")));
}

fn property(name: &str, path: &str, property: &str) -> PropertyLink {
    PropertyLink { name: name.into(), path: path.into(), property: property.into() }
}

fn hold(world: &mut World, holder: &str, links: &[(&str, &str)], properties: &[PropertyLink]) -> ViewChange {
    let links = links.iter().map(|(name, target)| ((*name).into(), (*target).into())).collect();
    world.links.set(&path(holder), NodeLinks { links, properties: properties.to_vec() });
    world.links.follow(&world.tree)
}

/// Source of a property, hop by hop.
fn hops(world: &World, shown: &str) -> Vec<String> {
    let sources = world.links.sources(&path(shown)).iter();
    sources.flat_map(|source| source.hops.iter().map(|(path, property)| format!("{path} {property}"))).collect()
}

#[test]
fn a_property_is_taken_by_way_of_links_and_its_givers_takers_are_known() {
    let mut world = World::new(&["/s", "/s/a", "/s/b", "/s/c", "/s/c/d"], &[("/s", "l", "/s/c")]);
    let moved = hold(&mut world, "/s/a", &[], &[property("ttl", "/s/l/d", "x")]);
    assert_eq!(moved.dependents, BTreeSet::from([path("/s/a")]));
    assert!(moved.mounts.is_empty());
    assert_eq!(hops(&world, "/s/a"), ["/s/c/d x"]);
    assert!(world.links.dependents(&path("/s/c/d")).eq([&path("/s/a")]));
    // The property there is a link again, relative to where the znode was looked for and not to where it stands.
    let moved = hold(&mut world, "/s/c/d", &[], &[property("x", "../../b", "y")]);
    assert_eq!(moved.dependents, BTreeSet::from([path("/s/a"), path("/s/c/d"), path("/s/l/d")]));
    assert_eq!(hops(&world, "/s/a"), ["/s/c/d x", "/s/b y"]);
    assert_eq!(world.links.dependents(&path("/s/b")).count(), 3);
    assert_eq!(world.links.dependents(&path("/s/c/d")).count(), 0);
    // What is on the way goes, and the link with it.
    world.tree.remove(&path("/s/b"));
    assert!(world.links.may_lead_elsewhere(&world.tree, &path("/s/b")));
    world.links.follow(&world.tree);
    assert_eq!(hops(&world, "/s/a"), [""; 0]);
    assert!(world.broken().contains(&"/s/a: the link `ttl =>` leads to /s/b, which does not exist".to_owned()));
}

#[test]
fn property_links_in_circles_are_reported_and_givers_outside_asked_for() {
    let mut world = World::new(&["/s", "/s/a", "/s/b"], &[]);
    hold(
        &mut world,
        "/s/a",
        &[],
        &[property("x", "/s/b", "y"), property("own", ".", "own"), property("out", "/t/x", "z")],
    );
    hold(&mut world, "/s/b", &[], &[property("y", "../a", "x")]);
    assert_eq!(hops(&world, "/s/a"), ["/t/x z"]);
    assert_eq!(world.links.outside(), &BTreeSet::from([path("/t/x")]));
    let broken = world.broken();
    for link in
        ["/s/a: the link `x =>` leads back", "/s/a: the link `own =>` leads back", "/s/b: the link `y =>` leads"]
    {
        assert!(broken.iter().any(|reason| reason.starts_with(link)), "{link} in {broken:?}");
    }
}
