//! The description, compared with the routes and with answers.

use std::collections::BTreeSet;

use super::*;
use crate::admin::routes::{ENDPOINTS, ROUTES};
use crate::admin::tests::{Site, request};

#[test]
fn every_route_is_described_and_listed_and_no_other() {
    let routes: BTreeSet<String> = ROUTES.iter().map(|(path, _)| path.replace("{*", "{")).collect();
    let described: BTreeSet<String> = OPERATIONS.iter().map(|one| one.path.to_owned()).collect();
    assert_eq!(described, routes);
    let bare = |path: &str| path.split('?').next().unwrap_or_default().to_owned();
    let listed: BTreeSet<String> = ENDPOINTS.iter().map(|(path, _)| bare(path)).collect();
    assert_eq!(listed, routes);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_takes_the_described_methods_alone() {
    let site = Site::open(&["main"]).await;
    for path in OPERATIONS.iter().map(|one| one.path).collect::<BTreeSet<_>>() {
        for method in ["get", "post", "put", "delete", "patch"] {
            let is_described = OPERATIONS.iter().any(|one| one.path == path && one.method == method);
            if method == "post" && is_described && path != "/v1/heartbeat/{path}" {
                // An order: it would be waited for.
                continue;
            }
            let target = match path {
                "/v1/events" => "/v1/events?since=1h",
                "/v1/instances" => "/v1/instances?name=api_x",
                "/v1/explain" => "/v1/explain?name=api_x",
                path => &path.replace("{path}", "api_x"),
            };
            let reply = request(site.address, &method.to_uppercase(), target);
            assert_eq!(reply.status != 405, is_described, "{method} {target}: {}", reply.status);
        }
    }
    site.stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_they_are_described() {
    let site = Site::open(&["main", "far"]).await;
    let document: Value = serde_json::from_str(&site.get("/v1/openapi.json").body).unwrap();
    for (target, path) in [
        ("/v1/status", "/v1/status"),
        ("/v1/process", "/v1/process"),
        ("/v1/services", "/v1/services"),
        ("/v1/services?limit=1&fields=path,in", "/v1/services"),
        ("/v1/services/api_x?registry=main", "/v1/services/{path}"),
        ("/v1/services/api_x", "/v1/services/{path}"),
        ("/v1/services/nothing", "/v1/services/{path}"),
        ("/v1/instances?name=api_x", "/v1/instances"),
        ("/v1/events?limit=100", "/v1/events"),
        ("/v1/prometheus", "/v1/prometheus"),
        ("/v1/dump?as=json&zone=main.", "/v1/dump"),
        ("/v1/dump?as=xml", "/v1/dump"),
        ("/v1/explain?name=api_x&as=json", "/v1/explain"),
        ("/v1/explain", "/v1/explain"),
        ("/v1/openapi.json", "/v1/openapi.json"),
    ] {
        let reply = site.get(target);
        let response = &document["paths"][path]["get"]["responses"][reply.status.to_string()];
        let kind = if reply.status == 200 { JSON } else { PROBLEM };
        let schema = &response["content"][kind]["schema"];
        assert!(reply.head.contains(&format!("content-type: {kind}\r\n")), "{target}: {}", reply.head);
        assert!(schema.is_object(), "{target}: {} is not described", reply.status);
        let answer = serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{target}: {error}"));
        conforms(&document, schema, &answer, target);
    }
    site.stop.cancel();
}

/// Fails where a value is not as its schema says, as far as the schemas here go.
fn conforms(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.trim_start_matches("#/components/schemas/");
        let named = &document["components"]["schemas"][name];
        assert!(named.is_object(), "{place}: there is no schema {name}");
        return conforms(document, named, value, place);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let some = any.iter().find(|one| (one["type"] == "null") == value.is_null());
        return conforms(document, some.expect("one of them"), value, place);
    }
    let is_of_type = match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        other => panic!("{place}: {other:?}"),
    };
    assert!(is_of_type, "{place}: {value} is not {}", schema["type"]);
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{place}: {value}");
    }
    for (place_in_list, item) in value.as_array().into_iter().flatten().enumerate() {
        conforms(document, &schema["items"], item, &format!("{place}[{place_in_list}]"));
    }
    let Some(fields) = value.as_object() else { return };
    for (name, field) in fields {
        let known = &schema["properties"][name];
        let of = if known.is_object() { known } else { &schema["additionalProperties"] };
        match of {
            // An object whose inner fields are not said.
            Value::Null | Value::Bool(true) => assert!(schema.get("additionalProperties").is_none(), "{place}"),
            Value::Bool(false) => panic!("{place}: the field {name} is not described"),
            of => conforms(document, of, field, &format!("{place}.{name}")),
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(fields.contains_key(name), "{place}: {name} is missing");
    }
}
