//! Samples of what writers have left in ZooKeeper, read as a convention reads them; and garbage.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::format::convention::Convention;
use crate::format::kind::NodeKind;
use crate::format::placement::{Beside, Decoded, Node, Placement};
use crate::model::Instance;

/// The znodes of a sample below a root.
#[derive(Debug, Default)]
struct Znodes(BTreeMap<String, Vec<u8>>);

impl Beside for Znodes {
    fn data(&self, below: &str) -> Option<&[u8]> {
        self.0.get(below).map(Vec::as_slice)
    }

    fn children(&self, below: &str) -> Vec<&str> {
        let child = |path: &'_ str| {
            let rest = if below.is_empty() { Some(path) } else { path.strip_prefix(below)?.strip_prefix('/') };
            rest.filter(|rest| !rest.is_empty() && !rest.contains('/')).map(str::len)
        };
        self.0.keys().filter_map(|path| child(path).map(|length| &path[path.len() - length..])).collect()
    }
}

/// Reads the services of a sample, each with its instances.
pub(super) fn read(convention: &dyn Convention, root: &str, sample: &Value) -> BTreeMap<String, Vec<Instance>> {
    let mut znodes = Znodes::default();
    for node in sample["nodes"].as_array().expect("a list") {
        let path = node["path"].as_str().expect("a path");
        if let Some(below) = path.strip_prefix(root) {
            let data = node["data"].as_str().unwrap_or_default().as_bytes();
            znodes.0.insert(below.trim_start_matches('/').to_owned(), data.to_vec());
        }
    }
    let mut services: BTreeMap<String, Vec<Decoded<'_>>> = BTreeMap::new();
    for (below, data) in &znodes.0 {
        let service = if convention.is_placed() {
            match convention.placement(below) {
                Placement::Instance(service) => service,
                Placement::Directory(service) => {
                    services.entry(service).or_default();
                    continue;
                }
                _ => continue,
            }
        } else {
            match convention.place(below) {
                NodeKind::Instance { service, .. } => service.to_owned(),
                NodeKind::Service { path } if convention.is_told_by_data_as_well() => match path.rsplit_once('/') {
                    Some((service, name)) if convention.is_instance(name, data) => service.to_owned(),
                    _ => continue,
                },
                NodeKind::Leaf { service, name, .. } if convention.is_instance(name, data) => service.to_owned(),
                _ => continue,
            }
        };
        let name = below.rsplit('/').next().unwrap_or_default();
        let decoded = convention.decode(&Node { below, name, data, beside: &znodes });
        let decoded = decoded.unwrap_or_else(|error| panic!("{below}: {error}")).into_iter();
        let service = services.entry(service).or_default();
        let node = service.len();
        service.extend(decoded.map(|instance| Decoded { below, node, instance }));
    }
    let finished = services.into_iter().map(|(service, mut decoded)| {
        convention.finish(&service, &mut decoded, &znodes);
        (service, decoded.into_iter().map(|one| one.instance).collect())
    });
    finished.collect()
}

/// Reads a sample below `root`, and compares it with what it says that a reader should make of it.
pub(super) fn check(convention: &dyn Convention, root: &str, sample: &str) {
    let sample: Value = serde_json::from_str(sample).expect("a sample");
    let mut found: Vec<(String, Instance)> = Vec::new();
    for (service, instances) in read(convention, root, &sample) {
        found.extend(instances.into_iter().map(|one| (service.clone(), one)));
    }
    let expected = sample["expect"].as_array().expect("a list");
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for expected in expected {
        let host = expected["host"].as_str().expect("a host");
        let is_it = |(service, one): &&(String, Instance)| {
            expected["service"] == service.as_str()
                && one.endpoint.host.to_string() == host
                && expected["port"] == one.endpoint.port
        };
        let (_, one) = found.iter().find(is_it).unwrap_or_else(|| panic!("{expected} is not in {found:#?}"));
        assert_eq!(&*one.name, one.endpoint.to_string(), "the name for people");
        assert_eq!(one.remarks, [""; 0], "{expected}");
        assert_eq!(expected.get("state").unwrap_or(&json!("up")), one.state.as_str(), "{expected}");
        if let Some(ports) = expected.get("ports") {
            let found: BTreeMap<_, _> =
                one.ports.iter().map(|(name, endpoint)| (&**name, endpoint.to_string())).collect();
            assert_eq!(&json!(found), ports, "{expected}");
        }
        if let Some(weight) = expected.get("weight") {
            assert_eq!(Some(weight.as_u64().expect("a number")), one.weight.map(u64::from), "{expected}");
        }
        let texts = |list: &Value| -> BTreeSet<String> {
            list.as_array().into_iter().flatten().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
        };
        if let Some(tags) = expected.get("tags") {
            assert_eq!(one.tags.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), texts(tags), "{expected}");
        }
        let addresses: BTreeSet<String> = one.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, texts(expected.get("addresses").unwrap_or(&Value::Null)), "{expected}");
    }
}

/// Has a convention read seeded variations of these paths and data, and random ones. `ZONEKEEPER_FUZZ=1000000` has it
/// read more of them, `ZONEKEEPER_SEED=7` others.
pub(super) fn throw_garbage(convention: &dyn Convention, paths: &[&str], data: &[&str]) {
    let setting = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let mut rng = Rng::with_seed(setting("ZONEKEEPER_SEED", 1989));
    let spoil = |rng: &mut Rng, text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..rng.usize(..4) {
            let at = rng.usize(..=bytes.len());
            match rng.u8(..4) {
                0 => bytes.insert(at, rng.u8(..)),
                1 => bytes.truncate(at),
                2 if at < bytes.len() => bytes[at] = rng.u8(..),
                3 => {
                    let from = rng.usize(..=at);
                    let piece = bytes[from..at].to_vec();
                    bytes.extend(piece);
                }
                _ => {}
            }
        }
        bytes
    };
    for _ in 0..setting("ZONEKEEPER_FUZZ", 20_000) {
        let mut znodes = Znodes::default();
        for _ in 0..rng.usize(1..4) {
            let (path, data) = (paths[rng.usize(..paths.len())], data[rng.usize(..data.len())]);
            let (path, data) = (spoil(&mut rng, path), spoil(&mut rng, data));
            znodes.0.insert(String::from_utf8_lossy(&path).into_owned(), data);
        }
        let mut decoded = Vec::new();
        for (node, (below, data)) in znodes.0.iter().enumerate() {
            let name = below.rsplit('/').next().unwrap_or_default();
            let _ = (convention.place(below), convention.placement(below), convention.is_instance(name, data));
            let _ = (convention.check(data), convention.endpoint(below), convention.decode_service(data));
            if let Ok(instances) = convention.decode(&Node { below, name, data, beside: &znodes }) {
                for instance in instances {
                    assert!(!instance.name.is_empty());
                    decoded.push(Decoded { below, node, instance });
                }
            }
        }
        convention.finish("s", &mut decoded, &znodes);
    }
}
