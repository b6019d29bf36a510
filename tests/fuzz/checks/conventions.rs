//! What must hold for any znodes, whatever convention they are read by.

use std::collections::BTreeMap;

use zonekeeper::format::{Beside, CONVENTIONS, Config, Decoded, Node, NodeKind, Signature};

/// Znodes by their paths below the root.
#[derive(Debug)]
struct Znodes(BTreeMap<String, Vec<u8>>);

impl Beside for Znodes {
    fn data(&self, below: &str) -> Option<&[u8]> {
        self.0.get(below).map(Vec::as_slice)
    }

    fn children(&self, below: &str) -> Vec<&str> {
        let parts = self.0.keys().filter_map(|path| path.rsplit_once('/'));
        parts.filter(|(parent, _)| *parent == below).map(|(_, name)| name).collect()
    }
}

/// Reads znodes as the convention that the first byte says. They are divided by bytes 0xff: a path, its data, and so
/// on.
pub(crate) fn check(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let convention = Config::new(&CONVENTIONS[usize::from(*first) % CONVENTIONS.len()], "providers");
    let parts: Vec<&[u8]> = rest.split(|byte| *byte == 0xff).collect();
    let path = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_matches('/').to_owned();
    let all = parts.chunks(2).map(|pair| (path(pair[0]), pair.get(1).copied().unwrap_or_default().to_vec()));
    let znodes = Znodes(all.collect());
    let mut decoded = Vec::new();
    for (node, (below, data)) in znodes.0.iter().enumerate() {
        let name = below.rsplit('/').next().unwrap_or_default();
        let _ = (convention.placement(below), convention.check(data), convention.endpoint(below));
        let _ = (convention.decode_service(data), convention.links(data), convention.property_links(data));
        let _ = Signature::of(name, data).map(|one| (one.words(), one.format()));
        if let NodeKind::Instance { service, .. } | NodeKind::Leaf { service, .. } = convention.place(below) {
            assert!(below.starts_with(service), "{below}");
            let _ = convention.is_instance(name, data);
        }
        for instance in convention.decode(&Node { below, name, data, beside: &znodes }).unwrap_or_default() {
            assert!(!instance.name.is_empty(), "{below}");
            assert!(instance.remarks.len() < 100, "{below}: {} remarks", instance.remarks.len());
            decoded.push(Decoded { below, node, instance });
        }
    }
    let before = decoded.len();
    convention.finish("a.B", &mut decoded, &znodes);
    assert!(decoded.len() <= before);
}
