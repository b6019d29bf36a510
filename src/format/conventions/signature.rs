//! Writers told by what they leave: an instance of theirs by the name of its znode and its data.

use super::{curator, dubbo, nerve, registrar, serverset};
use crate::format::json;
use crate::format::name;

/// A writer whose znodes can be told from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signature {
    /// Apache Curator's x-discovery.
    Curator,
    /// The same by Spring Cloud Zookeeper.
    Spring,
    /// `ServerSets`.
    ServerSet,
    /// Nerve.
    Nerve,
    /// Triton's registrar.
    Registrar,
    /// Dubbo's interfaces.
    Dubbo,
    /// `zc.zk` or `nd_service_registry`.
    HostPort,
}

impl Signature {
    /// The writer of the instance that a znode of this name with these data is; none where it is of no known one.
    pub fn of(name: &str, data: &[u8]) -> Option<Self> {
        if dubbo::is_url(name) {
            return Some(Self::Dubbo);
        }
        Self::of_data(name, data).or_else(|| name::has_shape(name).then_some(Self::HostPort))
    }

    /// The same by the data, which have to tell.
    pub(super) fn of_data(name: &str, data: &[u8]) -> Option<Self> {
        if nerve::is_instance_name(name) && nerve::is_instance(name, data) {
            return Some(Self::Nerve);
        }
        // Most znodes that are none have no data.
        if data.first() != Some(&b'{') {
            return None;
        }
        if serverset::is_member(name) {
            let has_endpoint = json::object(data).is_ok_and(|said| said.contains_key("serviceEndpoint"));
            return has_endpoint.then_some(Self::ServerSet);
        }
        if registrar::is_member(data) {
            return Some(Self::Registrar);
        }
        let is_springs = || data.windows(SPRING.len()).any(|part| part == SPRING);
        curator::is_instance(data).then(|| if is_springs() { Self::Spring } else { Self::Curator })
    }

    /// The word for its convention in the configuration.
    pub fn format(self) -> &'static str {
        match self {
            Self::Curator | Self::Spring => curator::ROW.name,
            Self::ServerSet => serverset::ROW.name,
            Self::Nerve => nerve::ROW.name,
            Self::Registrar => registrar::ROW.name,
            Self::Dubbo => dubbo::ROW.name,
            Self::HostPort => "auto",
        }
    }

    /// Its name for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Curator => "Curator",
            Self::Spring => "Spring (Curator)",
            Self::ServerSet => "ServerSets",
            Self::Nerve => "Nerve",
            Self::Registrar => "Triton's registrar",
            Self::Dubbo => "Dubbo",
            Self::HostPort => "zc.zk or nd_service_registry",
        }
    }
}

/// Says that what `own` reads nothing of looks like `words`, of which `format` reads `znodes`: in the log, in status
/// and by `check`.
pub fn looks_like(words: &str, format: &str, znodes: usize, own: &str) -> String {
    format!(
        "looks like {words}: format = \"{format}\" reads {znodes} of its znodes, of which none is an instance as \
         \"{own}\" reads them"
    )
}

/// Beginning of the class of what Spring writes.
const SPRING: &[u8] = b"org.springframework.";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn writers_are_told_by_the_instances_of_their_samples_and_by_nothing_else() {
        let member = Signature::ServerSet;
        for (sample, expected) in [
            (include_str!("../../../tests/fixtures/conventions/spring.json"), Signature::Spring),
            (include_str!("../../../tests/fixtures/conventions/curator.json"), Signature::Curator),
            (include_str!("../../../tests/fixtures/conventions/dubbo-app.json"), Signature::Curator),
            (include_str!("../../../tests/fixtures/conventions/serverset.json"), member),
            (include_str!("../../../tests/fixtures/conventions/nerve.json"), Signature::Nerve),
            (include_str!("../../../tests/fixtures/conventions/triton-registrar.json"), Signature::Registrar),
            (include_str!("../../../tests/fixtures/conventions/dubbo-python.json"), Signature::Dubbo),
            (include_str!("../../../tests/fixtures/conventions/sofa-rpc.json"), Signature::Dubbo),
        ] {
            let sample: Value = serde_json::from_str(sample).unwrap();
            for node in sample["nodes"].as_array().unwrap() {
                let path = node["path"].as_str().unwrap();
                let (name, data) = (path.rsplit('/').next().unwrap(), node["data"].as_str().unwrap_or_default());
                let found = Signature::of(name, data.as_bytes());
                let is_instance = found.is_some();
                assert!(!is_instance || found == Some(expected), "{path}: {found:?}");
                if node["kind"] == "ephemeral" {
                    assert_eq!(found, Some(expected), "{path}");
                }
            }
        }
        for (name, data) in [("a", ""), ("a", "{"), ("member_0000000001", "{}"), ("i_0000000001", r#"{"host":"a"}"#)] {
            assert_eq!(Signature::of(name, data.as_bytes()), None, "{name} {data}");
        }
        assert_eq!(Signature::of("10.0.0.1:80", b""), Some(Signature::HostPort));
    }
}
