//! Tests of `[format.NAME]` and of `format`.

use super::*;

#[test]
fn a_registry_follows_a_description_of_its_own_or_one_that_is_built_in() {
    let own = "[format.mine]\nroot = \"/acme\"\npath = \"{service}/{host}:{port}\"\n";
    let registry = |format: &str| {
        format!("[registry.main]\nmemory = \"m\"\nformat = \"{format}\"\n[[zone]]\norigin = \"a\"\n[dns]\n")
    };
    let config = read(&format!("{}{own}", registry("mine")));
    let main = &config.registries[0];
    assert_eq!((main.format.name(), main.zookeeper.root.as_str()), ("mine", "/acme"));
    let config = read(&registry("kafka"));
    assert_eq!(config.registries[0].zookeeper.root.as_str(), "/brokers/ids");
    let replaced = read(&format!("{}{}", registry("kafka"), own.replace("mine", "kafka")));
    assert_eq!(replaced.registries[0].zookeeper.root.as_str(), "/acme");
    assert_eq!(config.fixed_differences(&replaced), ["[registry.main] root", "[registry.main] format"]);
    let report = |text: &str| parse(Path::new("c.toml"), text).unwrap_err().to_string();
    let text = report(&registry("kafak"));
    assert!(text.contains("there is no znode format \"kafak\"") && text.contains("did you mean \"kafka\"?"), "{text}");
    // A mistake is told once, in its table.
    let text = report(&format!("{}{}", registry("mine"), own.replace("{port}", "{prt}")));
    assert_eq!(text.matches("error: ").count(), 1, "{text}");
    let text = report(&format!("{}{}", registry("zc"), own.replace("mine", "curator")));
    assert!(text.contains("\"curator\" is a format of zonekeeper's own"), "{text}");
    let text = report(&format!("format = \"x\"\n{}", registry("zc")));
    assert!(text.contains("`format` must be a table of descriptions"), "{text}");
}
