//! Vectors of `ServerSets`: `<path>/vector_<ten digits>` beside a service's members, with JSON that weighs them:
//!
//! ```json
//! {"vector": [{"select": "member=member_0000000001", "weight": 0.5, "priority": 1}, {"select": "shard=2", "weight": 3.0}]}
//! ```
//! The weight of a member is the product of the weights whose selector takes it, 1.0 where there are none. Source:
//! `JsonCodec.scala`, `Vector` and `Selector` of Finagle 24.5, which reads no weight that is written as a whole number
//! (`2` for `2.0`), and no priority. In DNS 1.0 is 100, for all members of a service with a vector.

use serde_json::Value;

use super::fields;
use crate::format::error::Error;
use crate::format::json;
use crate::format::name;
use crate::format::placement::{Beside, Decoded};
use crate::model::Endpoint;

/// Beginning of a vector's name, in front of ten digits.
const VECTOR: &str = "vector_";
/// SRV weight of a member of weight 1.0.
const UNIT: f64 = 100.0;

/// A selector with its weight.
#[derive(Debug, PartialEq)]
struct Weighing {
    selector: Selector,
    weight: f64,
}

/// Selection of members.
#[derive(Debug, PartialEq)]
enum Selector {
    /// By the endpoint of the service.
    Endpoint(Endpoint),
    /// By the name of the znode.
    Member(String),
    Shard(String),
}

/// Returns whether an element is called as vectors are.
pub(super) fn is_vector(element: &str) -> bool {
    let digits = element.strip_prefix(VECTOR);
    digits.is_some_and(|digits| digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Weighs the members of the service at `service` by its vectors. What cannot be used is a remark of the first member.
pub(super) fn weigh(service: &str, members: &mut [Decoded<'_>], beside: &dyn Beside) {
    if members.is_empty() {
        return;
    }
    let (mut all, mut remarks) = (Vec::new(), Vec::new());
    for name in beside.children(service).into_iter().filter(|name| is_vector(name)) {
        let path = if service.is_empty() { name.to_owned() } else { format!("{service}/{name}") };
        let Some(data) = beside.data(&path) else { continue };
        match read(data) {
            Ok((vector, more)) => {
                remarks.extend(more.into_iter().map(|remark| format!("{name}: {remark}")));
                all.extend(vector.into_iter().map(|one| (name, one)));
            }
            Err(error) => remarks.push(format!("{name}: {error}; it weighs no member")),
        }
    }
    if let Some(first) = members.first_mut() {
        first.instance.remarks.extend(fields::few(remarks));
    }
    if all.is_empty() {
        return;
    }
    for member in members {
        let mut origins: Vec<&str> = Vec::new();
        let mut weight = 1.0;
        for (name, one) in all.iter().filter(|(_, one)| one.selector.takes(member)) {
            weight *= one.weight;
            if origins.last() != Some(name) {
                origins.push(name);
            }
        }
        member.instance.weight = Some(in_dns(weight));
        let origin = if origins.is_empty() { "no vector selects it".to_owned() } else { origins.join(" and ") };
        member.instance.weight_origin = Some(origin.into());
    }
}

/// The SRV weight of a weight that is not negative: 0 for 0.0 alone.
fn in_dns(weight: f64) -> u16 {
    let scaled = (weight * UNIT).round().min(f64::from(u16::MAX));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it is in range
    let number = scaled.max(0.0) as u16;
    if weight > 0.0 { number.max(1) } else { number }
}

/// Reads a vector's data, and a sentence for each thing in it that cannot be used.
fn read(data: &[u8]) -> Result<(Vec<Weighing>, Vec<String>), Error> {
    let mut said = json::object(data)?;
    let mut remarks = Vec::new();
    let items = match said.remove("vector") {
        Some(Value::Array(items)) => items,
        other if fields::is_absent(other.as_ref()) => Vec::new(),
        other => {
            remarks.push(format!(
                "`vector` is {}, not a list; it weighs no member",
                json::quote(&other.unwrap_or_default())
            ));
            Vec::new()
        }
    };
    let mut vector = Vec::new();
    for item in items {
        match weighing(&item) {
            Ok(one) => vector.push(one),
            Err(why) => remarks.push(format!("{} weighs no member: {why}", json::quote(&item))),
        }
    }
    Ok((vector, remarks))
}

fn weighing(item: &Value) -> Result<Weighing, String> {
    let select = item.get("select").and_then(Value::as_str).ok_or("it has no `select`")?;
    let selector = Selector::read(select)?;
    match item.get("weight") {
        Some(Value::Number(number)) if number.is_f64() => {
            let weight = number.as_f64().filter(|weight| *weight >= 0.0).ok_or("its `weight` is below 0")?;
            Ok(Weighing { selector, weight })
        }
        Some(Value::Number(_)) => {
            Err("its `weight` has no decimal point, and Finagle reads no such weights".to_owned())
        }
        _ => Err("it has no `weight`".to_owned()),
    }
}

impl Selector {
    fn read(select: &str) -> Result<Self, String> {
        match select.split_once('=') {
            Some(("inet", place)) => match name::endpoint(place) {
                Ok(endpoint) => Ok(Self::Endpoint(endpoint)),
                Err(error) => Err(format!("its `select` is not inet=host:port: {error}")),
            },
            Some(("member", name)) => Ok(Self::Member(name.to_owned())),
            Some(("shard", number)) if number.parse::<i64>().is_ok() => Ok(Self::Shard(number.to_owned())),
            _ => Err("its `select` is none of inet=host:port, member=NAME and shard=NUMBER".to_owned()),
        }
    }

    fn takes(&self, member: &Decoded<'_>) -> bool {
        match self {
            Self::Endpoint(endpoint) => member.instance.endpoint.is_same(endpoint),
            Self::Member(name) => member.below.rsplit('/').next() == Some(name),
            Self::Shard(number) => {
                let mut said = member.instance.metadata.iter();
                said.any(|(key, value)| &**key == "shard" && **value == **number)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::conventions::{samples, serverset};
    use crate::model::Instance;
    use serde_json::json;

    /// The members of a service with these vectors: shard 0 at 10.0.0.1:80, and so on.
    fn weighed(vectors: &[Value]) -> Vec<Instance> {
        let member = |number: u8| {
            let endpoint = json!({"host": format!("10.0.0.{}", number + 1), "port": 80});
            let data =
                json!({"serviceEndpoint": endpoint, "additionalEndpoints": {}, "status": "ALIVE", "shard": number});
            json!({"path": format!("/s/member_{number:010}"), "data": data.to_string()})
        };
        let vector = |(number, data): (usize, &Value)| json!({"path": format!("/s/vector_{number:010}"), "data": data.to_string()});
        let nodes: Vec<Value> = (0..3).map(member).chain(vectors.iter().enumerate().map(vector)).collect();
        let convention = (serverset::ROW.build)("");
        samples::read(&*convention, "/", &json!({ "nodes": nodes })).remove("s").unwrap()
    }

    fn weights(vectors: &[Value]) -> Vec<Option<u16>> {
        weighed(vectors).iter().map(|one| one.weight).collect()
    }

    #[test]
    fn the_weight_of_a_member_is_the_product_of_all_that_select_it() {
        assert_eq!(weights(&[]), [None; 3], "without a vector nobody has a weight");
        let one = json!({"vector": [
            {"select": "inet=10.0.0.1:80", "weight": 0.5, "priority": 1},
            {"select": "member=member_0000000001", "weight": 3.0, "priority": 7},
            {"select": "shard=2", "weight": 1.5e-9},
        ]});
        assert_eq!(weights(std::slice::from_ref(&one)), [Some(50), Some(300), Some(1)]);
        let other = json!({"vector": [{"select": "shard=0", "weight": 0.5}, {"select": "shard=0", "weight": 1e300}]});
        let found = weighed(&[one, other]);
        assert_eq!(found.iter().map(|one| one.weight).collect::<Vec<_>>(), [Some(65535), Some(300), Some(1)]);
        assert_eq!(found[0].weight_origin.as_deref(), Some("vector_0000000000 and vector_0000000001"));
        let none = json!({"vector": [{"select": "member=member_0000000002", "weight": 0.0}]});
        assert_eq!(weights(&[none]), [Some(100), Some(100), Some(0)]);
    }

    #[test]
    fn what_finagle_does_not_read_weighs_nobody_and_is_told_once() {
        for (item, why) in [
            (json!({"select": "shard=1", "weight": 2}), "has no decimal point"),
            (json!({"select": "shard=1", "weight": -2.0}), "below 0"),
            (json!({"select": "shard=1"}), "it has no `weight`"),
            (json!({"select": "shard=one", "weight": 2.0}), "its `select` is none of"),
            (json!({"select": "inet=10.0.0.1", "weight": 2.0}), "not inet=host:port"),
            (json!({"weight": 2.0}), "it has no `select`"),
            (json!(7), "it has no `select`"),
        ] {
            let good = json!({"select": "shard=0", "weight": 2.0});
            let found = weighed(&[json!({"vector": [item, good]})]);
            assert_eq!(
                found.iter().map(|one| one.weight).collect::<Vec<_>>(),
                [Some(200), Some(100), Some(100)],
                "{item}"
            );
            let remarks: Vec<_> = found.iter().flat_map(|one| &one.remarks).collect();
            assert!(
                remarks.len() == 1 && remarks[0].starts_with("vector_0000000000: ") && remarks[0].contains(why),
                "{remarks:?}"
            );
        }
        for data in [json!({"vector": 1}), json!({"vector": null}), json!({}), json!([1])] {
            assert_eq!(weights(&[data]), [None; 3]);
        }
    }

    #[test]
    fn vectors_are_no_services_and_services_are_no_vectors() {
        use crate::format::kind::NodeKind;
        let convention = (serverset::ROW.build)("");
        assert_eq!(convention.place("a/vector_0000000001"), NodeKind::Beside { service: "a" });
        assert_eq!(convention.place("a/vector_0000000001/x"), NodeKind::Beside { service: "a" });
        for service in ["vector_db", "a/vector_1", "vector_0000000001x"] {
            assert_eq!(convention.place(service), NodeKind::Service { path: service });
        }
    }
}
