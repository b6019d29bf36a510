use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::*;
use crate::format::{Beside, CONVENTIONS, Decoded, Placement};
use crate::model::{Instance, State};

/// Znodes by their paths below a root.
#[derive(Debug)]
struct Znodes(BTreeMap<String, Vec<u8>>);

impl Beside for Znodes {
    fn data(&self, below: &str) -> Option<&[u8]> {
        self.0.get(below).map(|data| &**data)
    }

    fn children(&self, _: &str) -> Vec<&str> {
        Vec::new()
    }
}

fn named(name: &str) -> &'static Description {
    builtin().iter().find(|description| &*description.name == name).unwrap_or_else(|| panic!("{name}"))
}

/// Instances by their services.
type Services<'z> = BTreeMap<String, Vec<Decoded<'z>>>;

/// The instances of each service, and why others are none.
fn read<'z>(description: &Description, znodes: &'z Znodes) -> (Services<'z>, Vec<String>) {
    let (mut services, mut bad) = (Services::new(), Vec::new());
    for (node, (below, data)) in znodes.0.iter().enumerate() {
        let Placement::Instance(service) = description.placement(below) else { continue };
        match description.decode(below, data, znodes) {
            Ok(instance) => services.entry(service).or_default().push(Decoded { below, node, instance }),
            Err(error) => bad.push(format!("{below}: {error}")),
        }
    }
    for instances in services.values_mut() {
        description.elect(instances);
    }
    (services, bad)
}

fn shown(service: &str, instance: &Instance) -> Json {
    let mut shown = Map::new();
    shown.insert("service".into(), service.into());
    shown.insert("host".into(), instance.endpoint.host.to_string().into());
    shown.insert("port".into(), instance.endpoint.port.into());
    if !instance.ports.is_empty() {
        let ports = instance.ports.iter().map(|(name, endpoint)| (name.to_string(), Json::from(endpoint.to_string())));
        shown.insert("ports".into(), ports.collect::<Map<_, _>>().into());
    }
    if !instance.tags.is_empty() {
        shown.insert("tags".into(), instance.tags.iter().map(|tag| Json::from(&**tag)).collect());
    }
    if instance.state != State::Up {
        shown.insert("state".into(), instance.state.as_str().into());
    }
    if let Some(weight) = instance.weight {
        shown.insert("weight".into(), weight.into());
    }
    shown.into()
}

fn sample(path: &std::path::Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The znodes of a sample that are below a root.
fn znodes(sample: &Json, root: &str) -> Znodes {
    let below = |path: &str| path.strip_prefix(root.trim_end_matches('/'))?.strip_prefix('/').map(ToOwned::to_owned);
    let data = |node: &Json| match node["hex"].as_str() {
        Some(hex) => data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap(),
        None => node["data"].as_str().unwrap_or_default().as_bytes().to_vec(),
    };
    let nodes = sample["nodes"].as_array().unwrap().iter();
    Znodes(nodes.filter_map(|node| Some((below(node["path"].as_str().unwrap())?, data(node)))).collect())
}

#[test]
fn the_built_in_descriptions_have_no_mistakes() {
    let problems = Problems::default();
    let tree = tree::parse(TEXT, 0);
    for (name, _, value) in &tree.table.entries {
        let Kind::Table(table) = &value.kind else { panic!("{name}") };
        compile(name, table, &problems);
    }
    let table = tree.table.clone();
    assert_eq!(tree.problems(TEXT, problems.into_vec()), []);
    let names: Vec<_> = table.entries.iter().map(|(name, ..)| name.as_str()).collect();
    assert!(names.is_sorted() && names.len() == builtin().len(), "{names:?}");
    for description in builtin() {
        assert!(description.doc.ends_with('.') && !description.writers.is_empty(), "{}", description.name);
        assert!(CONVENTIONS.iter().all(|row| *row.name != *description.name), "{} is code", description.name);
        let examples = description.examples.iter().map(|one| (one.path.clone(), one.data.clone()));
        let znodes = Znodes(examples.collect());
        let (services, bad) = read(description, &znodes);
        assert!(!services.is_empty() && bad.is_empty(), "{}: {bad:?}", description.name);
    }
}

#[test]
fn every_sample_of_a_writer_gives_what_it_says() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conventions");
    let mut used = BTreeSet::new();
    for file in std::fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let sample = sample(&file);
        let Some(name) = sample["preset"].as_str() else { continue };
        used.insert(name.to_owned());
        let description = named(name);
        let znodes = znodes(&sample, &description.root);
        let (services, bad) = read(description, &znodes);
        assert_eq!(bad, [""; 0], "{}", file.display());
        let mut found = Vec::new();
        for (service, instances) in &services {
            for Decoded { instance, .. } in instances {
                assert_eq!(instance.remarks, [""; 0], "{}", file.display());
                // A space of a service's name stays in the name; its alias has a hyphen.
                found.push(shown(&service.replace(' ', "-"), instance));
            }
        }
        let key = |one: &Json| (one["service"].to_string(), one["host"].to_string(), one["port"].to_string());
        let mut expected = sample["expect"].as_array().unwrap().clone();
        found.sort_by_key(key);
        expected.sort_by_key(key);
        assert_eq!(json!(found), json!(expected), "{}", file.display());
    }
    let all: BTreeSet<_> = builtin().iter().map(|description| description.name.to_string()).collect();
    assert_eq!(used, all, "each has a sample");
}

#[test]
fn every_znode_has_its_place() {
    let patroni = named("patroni");
    let instance = |service: &str| Placement::Instance(service.into());
    for (below, place) in [
        ("", Placement::Way),
        ("orders", Placement::Way),
        ("orders/members", Placement::Directory("orders".into())),
        ("orders/members/pg1", instance("orders")),
        ("orders/members/pg1/x", Placement::Foreign),
        ("orders/leader", Placement::Beside(Some("orders".into()))),
        ("orders/history", Placement::Foreign),
    ] {
        assert_eq!(patroni.placement(below), place, "{below}");
    }
    let hbase = named("hbase");
    for (below, place) in [
        ("", Placement::Way),
        ("rs", Placement::Directory("hbase-regionserver".into())),
        ("draining", Placement::Way),
        ("table", Placement::Foreign),
        ("rs/h,1,2", instance("hbase-regionserver")),
        ("draining/h,1,2", Placement::Beside(Some("hbase-regionserver".into()))),
    ] {
        assert_eq!(hbase.placement(below), place, "{below}");
    }
    assert_eq!(named("kafka").placement(""), Placement::Directory("kafka".into()));
    let protected = "_c_c8f42650-b940-423d-ba20-c583da585d8a-serverUri=h:1;version=1;sequence=0000000000";
    assert_eq!(named("kyuubi").placement(protected), instance("kyuubi"));
    assert_eq!(named("kyuubi").placement("_c_x-serverUri=h:1;version=1;sequence=0000000000"), Placement::Foreign);
}

#[test]
fn what_cannot_be_used_is_told_and_its_neighbours_count() {
    let none = Znodes(BTreeMap::new());
    let decode = |name: &str, below: &str, data: &str| named(name).decode(below, data.as_bytes(), &none);
    let reason = |name, below, data| decode(name, below, data).unwrap_err().to_string();
    assert_eq!(reason("kafka", "1", "{\"host\":null}"), "its data give no endpoint: it is not there");
    assert_eq!(reason("kafka", "1", ""), "its data give no endpoint: it is not there");
    assert_eq!(reason("kafka", "1", "{"), "its data are not JSON: EOF while parsing an object at line 1 column 1");
    assert_eq!(
        reason("solr", "10.0.0.300:8983_solr", ""),
        "its name gives no endpoint: its host is \"10.0.0.300\", neither an address nor a host name"
    );
    assert_eq!(
        reason("solr", "h:0_solr", ""),
        "its name gives no endpoint: its port is \"0\", not a number from 1 to 65535"
    );
    // A name that gives the endpoint is served.
    let one = decode("rpcx", "A/tcp@h:1", "\u{fffd}").unwrap();
    assert_eq!((one.remarks.len(), one.state), (0, State::Up));
    let one = named("rpcx").decode("A/tcp@h:1", b"\xff", &none).unwrap();
    assert_eq!(one.remarks, ["its data is not UTF-8 text; it is served with defaults"]);
    let weights = [
        ("7", Some(7)),
        ("0", Some(0)),
        ("0.2", Some(1)),
        ("65535.4", Some(65535)),
        ("65536", None),
        ("-3", None),
        ("x", None),
        ("1e999", None),
        ("NaN", None),
    ];
    for (weight, expected) in weights {
        let one = decode("rpcx", "A/tcp@h:1", &format!("weight={weight}")).unwrap();
        assert_eq!((one.weight, one.remarks.len()), (expected, usize::from(expected.is_none())), "{weight}");
    }
    let one = decode("ranger", "n/s/h:1", r#"{"healthcheckStatus":"unhealthy","routingWeight":1e9}"#).unwrap();
    assert_eq!(
        (one.state, &*one.remarks[0]),
        (State::Drain, "its weight is 1000000000.0 times 10, not a number from 0 to 65535; the default is used")
    );
    let one = decode("jodis", "p/x", r#"{"addr":"10.0.0.1:1","admin":"nowhere","state":"online"}"#).unwrap();
    assert_eq!(one.remarks, ["its port `admin` is \"nowhere\", neither a port nor an endpoint; it is left out"]);
}

/// A pattern, its templates and each kind of data on seeded garbage: nothing panics, and what is read can be shown.
#[test]
fn seeded_garbage_is_malformed_or_an_instance() {
    let setting =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let mut rng = fastrand::Rng::with_seed(setting("ZONEKEEPER_SEED", 20));
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conventions");
    let samples: Vec<_> = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    let samples: Vec<Json> = samples
        .iter()
        .filter(|path| path.extension().is_some_and(|one| one == "json"))
        .map(|path| sample(path))
        .collect();
    let good: Vec<_> = samples.iter().filter_map(|one| Some((named(one["preset"].as_str()?), one))).collect();
    let good: Vec<_> =
        good.iter().map(|(description, sample)| (*description, znodes(sample, &description.root))).collect();
    let (mut instances, mut malformed) = (0, 0);
    for _ in 0..setting("ZONEKEEPER_FUZZ", 20_000) {
        let (description, znodes) = &good[rng.usize(..good.len())];
        let keys: Vec<_> = znodes.0.iter().collect();
        let (below, data) = keys[rng.usize(..keys.len())];
        let (mut below, mut data) = (below.clone().into_bytes(), data.clone());
        for bytes in [&mut below, &mut data] {
            for _ in 0..rng.usize(..4) {
                let at = rng.usize(..=bytes.len());
                match rng.u8(..4) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at, *rng.choice(b"{}[]\",:/-0\xff\x00\x80;=&%\n").unwrap()),
                    _ if at < bytes.len() => bytes[at] = rng.u8(..),
                    _ => bytes.extend_from_within(at / 2..),
                }
            }
        }
        let below = String::from_utf8_lossy(&below);
        let Placement::Instance(service) = description.placement(&below) else { continue };
        match description.decode(&below, &data, znodes) {
            Ok(instance) => {
                instances += 1;
                let _ = shown(&service, &instance);
                assert!(instance.tags.iter().all(|tag| !tag.is_empty() && tag.is_ascii()), "{instance:?}");
                assert!(instance.weight.is_none() || instance.remarks.iter().all(|one| !one.starts_with("its weight")));
            }
            Err(error) => {
                malformed += 1;
                assert!(error.to_string().starts_with("its "), "{error}");
            }
        }
    }
    assert!(instances > 1000 && malformed > 100, "{instances} and {malformed}");
}
