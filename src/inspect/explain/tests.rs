//! Each reason for which an instance is absent, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::format;
use crate::publish::Target;
use crate::publish::layout::Layout;
use crate::registry::shown::ShownTree;
use crate::registry::tree::{Entry, Known, Tree};
use crate::registry::{Error, Path};
use crate::zone::ZoneBuilder;
use crate::zone::entry::RrSet;
use crate::zone::offer::Offer;

fn known(data: &str) -> Entry {
    Entry::Known(Known { data: data.as_bytes().into(), czxid: 1, mzxid: 1, ephemeral_owner: 0, ctime: 0 })
}

fn layout() -> Layout {
    Layout::new(Path::new("/services").unwrap(), format::Config::default())
}

fn explained(nodes: &[(&'static str, &str)], unreadable: &str, origin: &str, name: &str) -> String {
    explained_with(nodes, unreadable, origin, name, &BTreeMap::new(), &[])
}

/// With services that the guard holds, and names with an address that DNS has.
fn explained_with(
    nodes: &[(&'static str, &str)],
    unreadable: &str,
    origin: &str,
    name: &str,
    held: &BTreeMap<String, u32>,
    in_dns: &[(&str, [u8; 4])],
) -> String {
    let path = |path: &str| Path::new(&format!("/services/{path}")).unwrap();
    let above = |at: &'static str| at.match_indices('/').map(move |(end, _)| &at[..end]);
    let mut entries: Vec<_> = nodes.iter().flat_map(|(at, _)| above(at)).map(|at| (path(at), known(""))).collect();
    entries.extend(nodes.iter().map(|(at, data)| (path(at), known(data))));
    if !unreadable.is_empty() {
        entries.push((path(unreadable), Entry::Unreadable(Error::NoAuth)));
    }
    let tree = ShownTree::from(Tree::of(entries));
    let (origin, forward) = (Name::parse(origin).unwrap(), (String::new(), Name::parse("service").unwrap()));
    let mut writer = ZoneBuilder::new(origin.clone(), 5, 5).build();
    for (name, address) in in_dns {
        let sets = [RrSet::new(rtype::A, 5, vec![*address])].into();
        writer.put(name, vec![Offer { owner: Name::parse(name).unwrap(), rank: Rank::Real, sets }]);
    }
    writer.commit(0);
    let mut target = Target::new(5, Arc::new(std::sync::Mutex::new(writer)));
    if records::address::is_reverse(&origin) {
        target.reverse_of.push(forward);
    }
    let layout = layout();
    sources(
        &RegistryView { layout: &layout, tree: &tree, now: 1_000, held, until: 3600 },
        &TargetState::new(&target, Arc::default(), BTreeMap::new()),
        &Name::parse(name).unwrap(),
    )
    .to_string()
}

fn line<'t>(text: &'t str, beginning: &str) -> &'t str {
    text.lines()
        .find(|line| line.trim_start().starts_with(beginning))
        .unwrap_or_else(|| panic!("{beginning} in {text}"))
}

#[test]
fn every_reason_for_an_instances_absence_is_told() {
    let large = format!("{{\"x\": \"{}\"}}", "x".repeat(70_000));
    let nodes = [
        ("api_x", r#"{"ttl": 30}"#),
        ("api_x/providers/10.0.0.1:80", r#"{"tags": ["canary"], "weight": 7}"#),
        ("api_x/providers/10.0.0.2:80", r#"{"state": "drain"}"#),
        ("api_x/providers/10.0.0.3:80", "{"),
        ("api_x/providers/10.0.0.4:80", &large),
        ("api_x/providers/10.0.0.5:80", r#"{"weight": -1}"#),
        ("api_x/providers/nonsense", ""),
    ];
    let text = explained(&nodes, "api_x/providers/10.0.0.6:80", "service", "canary.api_x.service");
    assert!(text.starts_with("/services/api_x: its instances with the tags canary\n"), "{text}");
    assert!(line(&text, "10.0.0.1:80").contains("IN   ttl 30 (the service's), weight 7 (its own)"));
    assert!(line(&text, "10.0.0.2:80").contains("OUT  drained"));
    assert!(text.contains("doubtful: its data begins like a JSON object"), "{text}");
    assert!(text.contains("more than 65536 are not read; it is served with defaults"), "{text}");
    assert!(line(&text, "10.0.0.5:80").contains("OUT  tag mismatch: it has no tag canary"));
    assert!(text.contains("doubtful: `weight` is -1"), "{text}");
    assert!(text.contains(&format!("doubtful: {}", Error::NoAuth)), "{text}");
    assert!(line(&text, "nonsense").contains("not of the form host:port"));
}

#[test]
fn what_operators_have_drained_is_told_for_as_long_as_it_holds() {
    let flags = r#"{"drain": [{"instance": "10.0.0.1:80", "until": "1970-01-01T00:16:41Z", "reason": "disk"},
        {"instance": "10.0.0.2:80", "until": "1970-01-01T00:16:40Z"}, {"instance": "10.0.0.3:80"}]}"#;
    let nodes = [
        ("a", flags),
        ("a/providers/10.0.0.1:80", ""),
        ("a/providers/10.0.0.2:80", ""),
        ("a/providers/10.0.0.3:80", r#"{"state": "down"}"#),
        ("b", r#"{"drain": [{"reason": "moved"}]}"#),
        ("b/10.0.0.1:80", ""),
    ];
    let text = explained(&nodes, "", "service", "a.service");
    let drained = "OUT  drained by an operator until 1970-01-01T00:16:41Z: disk";
    assert!(line(&text, "10.0.0.1:80").ends_with(drained), "{text}");
    assert!(line(&text, "10.0.0.2:80").contains("IN "), "it has ended: {text}");
    assert!(line(&text, "10.0.0.3:80").ends_with("OUT  drained by an operator"), "{text}");
    let text = explained(&nodes, "", "service", "b.service");
    assert!(line(&text, "10.0.0.1:80").ends_with("OUT  the whole service is drained by an operator: moved"), "{text}");
}

#[test]
fn what_a_real_node_hides_is_told() {
    let nodes = [
        ("a/providers/10.0.0.1:80", r#"{"tags": ["b"]}"#),
        ("a/b/providers/10.0.0.2:80", ""),
        ("c_d/providers/10.0.0.3:80", ""),
        ("c-d", ""),
    ];
    let text = explained(&nodes, "", "service", "b.a.service");
    assert!(text.contains("/services/a/b: the service itself\n  10.0.0.2:80"), "{text}");
    assert!(
        text.contains("tags b\n  hidden by /services/a/b, which goes before it\n  10.0.0.1:80              OUT "),
        "{text}"
    );
    let text = explained(&nodes, "", "service", "c-d.service");
    assert!(text.contains("/services/c-d: the service itself\n  it is there and has no instance"), "{text}");
    assert!(text.contains("/services/c_d: the service itself\n  hidden by /services/c-d"), "{text}");
}

#[test]
fn of_one_endpoint_under_two_spellings_one_is_in() {
    let nodes = [("a/10.0.0.1:80", ""), ("A/10.0.0.1:80", r#"{"weight": 7}"#), ("A/10.0.0.2:80", "")];
    let text = explained(&nodes, "", "service", "a.service");
    assert_eq!(text.matches("10.0.0.1:80              IN ").count(), 1, "{text}");
    assert!(text.contains("10.0.0.1:80              OUT  it is the same endpoint as /services/"), "{text}");
    assert_eq!(text.matches("10.0.0.2:80              IN ").count(), 1, "{text}");
}

#[test]
fn every_form_is_led_back_to_its_service() {
    let data = r#"{"ports": {"http": 81}, "tags": ["x", "y"]}"#;
    let nodes = [("stage/a_b/providers/10.0.0.1:80", data), ("c/providers/10.0.0.1:1", r#"{"protocol": "udp"}"#)];
    for (name, form) in [
        ("a_b.stage.service", "the service itself"),
        ("a-b.stage.service", "the service itself"),
        ("_a_b._tcp.stage.service", "its instances that speak TCP"),
        ("_http._tcp.a_b.stage.service", "the port http of its instances that speak TCP"),
        ("10\\.0\\.0\\.1:80._a_b._tcp.stage.service", "its instance 10.0.0.1:80"),
        ("y.x.a_b.stage.service", "its instances with the tags y, x"),
        ("_x._tcp.a_b.stage.service", "its instances with the tag x that speak TCP"),
        ("_http._tcp.y.a_b.stage.service", "the port http of its instances with the tag y that speak TCP"),
        ("10-0-0-1.addr.service", "its instances at 10.0.0.1"),
    ] {
        let text = explained(&nodes, "", "service", name);
        assert!(
            text.contains(&format!("/services/stage/a_b: {form}\n  10.0.0.1:80              IN ")),
            "{name}: {text}"
        );
    }
    let text = explained(&nodes, "", "service", "_c._tcp.service");
    assert!(text.contains("OUT  it speaks UDP, not TCP"), "{text}");
    let text = explained(&nodes, "", "in-addr.arpa", "1.0.0.10.in-addr.arpa");
    assert!(
        text.contains("/services/c: its instances at 10.0.0.1\n") && text.contains("/services/stage/a_b: "),
        "{text}"
    );
    assert_eq!(explained(&nodes, "", "service", "nobody.service"), "", "no znode leads to it");
}

#[test]
fn what_the_guard_holds_is_told_with_its_addresses_also_where_the_service_is_gone() {
    let held = BTreeMap::from([("api_x".to_owned(), 1), ("staging/db".to_owned(), 2)]);
    let in_dns = [("api_x.service", [10, 0, 0, 9]), ("db.staging.service", [10, 0, 0, 7])];
    let explained = |name| explained_with(&[("api_x/providers/10.0.0.1:80", "")], "", "service", name, &held, &in_dns);
    let text = explained("api_x.service");
    let until = "until 1970-01-01T01:00:00Z: until then DNS shows the service as it was";
    assert!(line(&text, "the guard").contains(&format!("the loss of 1 instances {until}")), "{text}");
    assert!(line(&text, "in DNS").ends_with("not in ZooKeeper any more: 10.0.0.9"), "{text}");
    assert!(line(&text, "10.0.0.1:80").contains("IN "), "{text}");
    for name in ["db.staging.service", "_db._tcp.staging.service", "10-0-0-7.addr.service"] {
        let text = explained(name);
        assert!(text.starts_with("/services/staging/db: "), "{name}: {text}");
        assert!(line(&text, "in DNS").ends_with("10.0.0.7"), "{name}: {text}");
    }
    assert!(!explained("10-0-0-1.addr.service").contains("staging"), "another's address");
}
