//! The shapes that a file can have without a template.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::list::{InstanceList, ListedInstance};

/// Shape of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Addresses of the service's name, as in hosts(5).
    Hosts,
    /// All that is known of the instances.
    Json,
    /// Targets for Prometheus' `file_sd_configs`.
    FileSd,
    /// A `backend` section for `HAProxy`.
    HaProxy,
    /// An `upstream` block for nginx.
    Nginx,
}

/// Largest weight that `HAProxy` takes.
const HAPROXY_WEIGHT: u32 = 256;

/// First line of the files that can have comments.
const COMMENT: &str = "# Kept by zonekeeper, which writes it anew at each change.\n";

impl Shape {
    /// All of them, with their words in the configuration.
    pub(super) const ALL: [(&'static str, Self); 5] = [
        ("hosts", Self::Hosts),
        ("json", Self::Json),
        ("file_sd", Self::FileSd),
        ("haproxy", Self::HaProxy),
        ("nginx", Self::Nginx),
    ];

    /// Writes a list.
    ///
    /// # Errors
    /// Only when JSON fails: there is no list that cannot be written.
    pub(super) fn render(self, list: &InstanceList) -> Result<String, serde_json::Error> {
        Ok(match self {
            Self::Hosts => {
                // A name that hosts(5) cannot say is left out.
                let is_said = !list.name.contains(|c: char| c.is_whitespace() || "\\#*".contains(c));
                let line = |address: &std::net::IpAddr| format!("{address}\t{}\n", list.name);
                COMMENT.to_owned() + &list.addresses.iter().filter(|_| is_said).map(line).collect::<String>()
            }
            Self::Json => serde_json::to_string_pretty(list)? + "\n",
            Self::FileSd => {
                let groups: Vec<_> =
                    list.instances.iter().filter(|one| one.port > 0).map(|one| group(list, one)).collect();
                serde_json::to_string_pretty(&groups)? + "\n"
            }
            Self::HaProxy => haproxy(list),
            Self::Nginx => nginx(list),
        })
    }
}

/// A group of one target, with the labels of `/v1/prometheus`.
fn group(list: &InstanceList, one: &ListedInstance) -> Value {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let mut labels = Map::new();
    for (key, value) in &one.metadata {
        let key = format!("__meta_zonekeeper_metadata_{}", key.chars().map(word).collect::<String>());
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        labels.entry(key).or_insert(value.into());
    }
    let tags = if one.tags.is_empty() { String::new() } else { format!(",{},", one.tags.join(",")) };
    for (label, value) in
        [("registry", &list.registry), ("service", &list.service), ("instance", &one.name), ("tags", &tags)]
    {
        labels.insert(format!("__meta_zonekeeper_{label}"), value.clone().into());
    }
    json!({ "targets": [one.endpoint], "labels": labels })
}

/// Name of a section: letters, digits and what both programs take besides.
fn section(list: &InstanceList) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    list.name.chars().map(word).collect()
}

/// A host as it may stand in a configuration of another program: nothing that ends the word, or begins another.
fn is_plain(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c))
}

fn haproxy(list: &InstanceList) -> String {
    let largest = list.instances.iter().map(|one| u32::from(one.weight)).max().unwrap_or_default();
    let mut text = format!("{COMMENT}backend {}\n", section(list));
    for one in list.instances.iter().filter(|one| one.port > 0 && is_plain(&one.host)) {
        let name: String = one.endpoint.chars().filter(|c| !"[]".contains(*c)).collect();
        let _ = write!(text, "    server {name} {}", one.endpoint);
        if largest > 0 {
            let weight = u32::from(one.weight);
            let scaled = if largest > HAPROXY_WEIGHT { weight * HAPROXY_WEIGHT / largest } else { weight };
            // Weight 0 would take no connections at all, which is not what it is in an SRV record.
            let _ = write!(text, " weight {}", scaled.max(1));
        }
        if one.is_backup {
            text.push_str(" backup");
        }
        // HAProxy would not start with a name that has no address now.
        if one.host.parse::<std::net::IpAddr>().is_err() {
            text.push_str(" init-addr last,libc,none");
        }
        text.push('\n');
    }
    text
}

fn nginx(list: &InstanceList) -> String {
    let has_weights = list.instances.iter().any(|one| one.weight > 0);
    let mut text = format!("{COMMENT}upstream {} {{\n", section(list));
    let mut is_empty = true;
    for one in list.instances.iter().filter(|one| one.port > 0 && is_plain(&one.host)) {
        let _ = write!(text, "    server {}", one.endpoint);
        if has_weights {
            let _ = write!(text, " weight={}", one.weight.max(1));
        }
        text.push_str(if one.is_backup { " backup;\n" } else { ";\n" });
        is_empty = false;
    }
    if is_empty {
        // nginx takes no upstream without servers: with this one it answers 502 at once.
        text.push_str("    server 127.0.0.1:9 down;\n");
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::super::list::samples::{instance, list};
    use super::*;

    #[test]
    fn every_shape_is_what_its_reader_takes() {
        let list = list(vec![
            instance("2001:db8::1", 80, 10, 0),
            instance("10.0.0.2", 80, 30, 5),
            instance("10.0.0.1", 8080, 0, 0),
            instance("web1.example", 80, 10, 0),
        ]);
        let text = |shape: Shape| shape.render(&list).unwrap().replace(COMMENT, "");
        assert_eq!(
            text(Shape::Hosts),
            "10.0.0.1\tapi_x.staging.service\n10.0.0.2\tapi_x.staging.service\n2001:db8::1\tapi_x.staging.service\n"
        );
        assert_eq!(
            text(Shape::HaProxy),
            "backend api_x.staging.service
    server 10.0.0.1:8080 10.0.0.1:8080 weight 1
    server 2001:db8::1:80 [2001:db8::1]:80 weight 10
    server web1.example:80 web1.example:80 weight 10 init-addr last,libc,none
    server 10.0.0.2:80 10.0.0.2:80 weight 30 backup\n"
        );
        assert_eq!(
            text(Shape::Nginx),
            "upstream api_x.staging.service {
    server 10.0.0.1:8080 weight=1;
    server [2001:db8::1]:80 weight=10;
    server web1.example:80 weight=10;
    server 10.0.0.2:80 weight=30 backup;\n}\n"
        );
        let groups: Value = serde_json::from_str(&text(Shape::FileSd)).unwrap();
        assert_eq!(groups[0]["targets"], json!(["10.0.0.1:8080"]));
        assert_eq!(groups[0]["labels"]["__meta_zonekeeper_tags"], ",blue,v1,");
        assert_eq!(groups[0]["labels"]["__meta_zonekeeper_metadata_team"], "web \"x\"");
        assert_eq!(groups[0]["labels"]["__meta_zonekeeper_metadata_cores"], "4");
        let whole: Value = serde_json::from_str(&text(Shape::Json)).unwrap();
        assert_eq!(whole["instances"][3]["is_backup"], true);
        assert_eq!(whole["instances"][3]["ports"][0]["endpoint"], "10.0.0.2:9000");
    }

    #[test]
    fn weights_beyond_what_haproxy_takes_are_scaled() {
        let list = list(vec![instance("10.0.0.1", 80, 65_535, 0), instance("10.0.0.2", 80, 100, 0)]);
        let text = Shape::HaProxy.render(&list).unwrap();
        assert!(text.contains("10.0.0.1:80 weight 256\n") && text.contains("10.0.0.2:80 weight 1\n"), "{text}");
    }

    #[test]
    fn a_service_without_instances_is_a_section_that_can_be_loaded() {
        let empty = list(Vec::new());
        assert!(Shape::Nginx.render(&empty).unwrap().contains("server 127.0.0.1:9 down;"));
        assert_eq!(Shape::FileSd.render(&empty).unwrap(), "[]\n");
        assert_eq!(Shape::HaProxy.render(&empty).unwrap(), format!("{COMMENT}backend api_x.staging.service\n"));
    }

    #[test]
    fn what_a_registry_says_cannot_end_a_line_or_begin_a_directive() {
        let mut list = list(vec![instance("a; } evil", 80, 1, 0), instance("b\nserver evil", 80, 1, 0)]);
        list.name = "x {\n evil".into();
        for shape in [Shape::HaProxy, Shape::Nginx] {
            let text = shape.render(&list).unwrap();
            assert!(!text.contains("evil\n ") && !text.contains("a; }") && !text.contains("server evil"), "{text}");
            assert!(text.contains("x____evil"), "{text}");
        }
    }
}
