//! What must hold for any znode that is read by a description, and for any table that is read as one.

use std::path::Path;

use zonekeeper::config;
use zonekeeper::format::declared::{Description, builtin};
use zonekeeper::format::{Beside, Decoded, Placement};

/// A registry in which every path is a znode with these data.
#[derive(Debug)]
struct Everywhere<'d>(&'d [u8]);

impl Beside for Everywhere<'_> {
    fn data(&self, _: &str) -> Option<&[u8]> {
        Some(self.0)
    }

    fn children(&self, _: &str) -> Vec<&str> {
        Vec::new()
    }
}

/// Reads `input`: the number of a built-in description, or 255 for a table that follows up to a byte 0xff; the length
/// of a path, the path, and the znode's data.
pub(crate) fn check(input: &[u8]) {
    let Some((number, rest)) = input.split_first() else { return };
    if *number < 255 {
        let all = builtin();
        return znode(&all[usize::from(*number) % all.len()], rest);
    }
    let (table, rest) = rest.split_at(rest.iter().position(|byte| *byte == 0xff).unwrap_or(rest.len()));
    let text = format!("[format.x]\n{}", String::from_utf8_lossy(table));
    let whole = format!("{text}\n[registry.main]\nmemory = \"m\"\nformat = \"x\"\n[dns]\n");
    match config::parse(Path::new("x.toml"), &whole) {
        Ok(config) => {
            let description = config.registries.iter().find_map(|registry| registry.format.description.as_ref());
            if let Some(description) = description {
                let _ = description.example_services();
                znode(description, rest.get(1..).unwrap_or_default());
            }
        }
        Err(report) => assert!(!report.to_string().is_empty()),
    }
}

fn znode(description: &Description, input: &[u8]) {
    let Some((length, rest)) = input.split_first() else { return };
    let (path, data) = rest.split_at(rest.len().min((*length).into()));
    let path = String::from_utf8_lossy(path);
    let below = path.trim_matches('/');
    let Placement::Instance(service) = description.placement(below) else { return };
    assert!(!service.is_empty());
    let by_path = description.endpoint(below);
    match description.decode(below, data, &Everywhere(data)) {
        Ok(instance) => {
            if let Ok(endpoint) = by_path {
                assert_eq!(endpoint, instance.endpoint, "its path gives another one");
            }
            assert!(instance.tags.iter().all(|tag| !tag.is_empty() && tag.is_ascii()), "{instance:?}");
            assert!(instance.ports.len() <= 256 && instance.remarks.len() <= 512, "{instance:?}");
            description.elect(&mut [Decoded { below, node: 0, instance }]);
        }
        Err(error) => {
            let told = error.to_string();
            assert!(told.starts_with("its ") && told.len() < 1000, "{told}");
        }
    }
}
