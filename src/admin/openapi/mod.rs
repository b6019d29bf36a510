//! A description of the endpoints for programs, in `OpenAPI` 3.1: what may be asked, and what an answer looks like. It
//! is made once, of the rows here and the schemas beside them; tests compare the rows with the routes, and the schemas
//! with answers.

mod schemas;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::listing::Condition;
use super::reply::{HTML, JSON, PROBLEM, TEXT};
use super::services::FIELDS;

/// Type of a stream of events.
const STREAM: &str = "text/event-stream";
/// Type of the JSON documents of several zones, a line each.
pub(super) const LINES: &str = "application/x-ndjson";
/// Types of metrics.
const METRICS: [&str; 2] = ["text/plain; version=0.0.4", "application/openmetrics-text"];

/// A method of an endpoint.
struct Operation {
    path: &'static str,
    method: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    /// Content types of a good answer, each with the name of its schema; none for text.
    answers: &'static [(&'static str, Option<&'static str>)],
    /// Statuses other than 200, with their meanings.
    others: &'static [(u16, &'static str)],
}

/// A parameter of a request.
struct Parameter {
    name: &'static str,
    kind: ParameterKind,
    is_required: bool,
    description: &'static str,
}

/// Kind of a parameter's value.
enum ParameterKind {
    /// A part of the path, which may have slashes in it.
    Path,
    Text,
    /// A whole number from this on.
    Number(u64),
    /// A duration such as `30s`.
    Duration,
    OneOf(&'static [&'static str]),
    /// Names of fields of a service, with commas between them.
    Fields,
    /// Condition of a service.
    State,
}

use ParameterKind::{Duration, Fields, Number, OneOf, Path, State, Text};

const fn optional(name: &'static str, kind: ParameterKind, description: &'static str) -> Parameter {
    Parameter { name, kind, is_required: false, description }
}

const fn required(name: &'static str, kind: ParameterKind, description: &'static str) -> Parameter {
    Parameter { name, kind, is_required: true, description }
}

const REGISTRY: Parameter = optional("registry", Text, "Name of a registry, or NAME/READER for one of its readers");
const INDEX: Parameter = optional("index", Number(0), "Wait for an event after this index");
const WAIT: Parameter = optional("wait", Duration, "Longest time to wait; needs `index`");
const PREFIX: Parameter = optional("prefix", Text, "Only services at or below this path");
const FIELDS_WANTED: Parameter = optional("fields", Fields, "Only these fields, with commas between them");

const PLAIN: &[(&str, Option<&str>)] = &[(TEXT, None)];
const BAD: (u16, &str) = (400, "A parameter is unknown, given twice or cannot be read");
const NOT_FOUND: (u16, &str) = (404, "There is no such thing");
const BUSY: (u16, &str) = (503, "As many requests wait as may at once, or the registry is not known now");
const NOT_MODIFIED: (u16, &str) = (304, "If-None-Match has the present ETag");
const ORDER: &[(u16, &str)] = &[
    (401, "The token of `[admin] token_file` is missing or another one"),
    (403, "It is not asked for from this host, directly"),
    NOT_FOUND,
    (422, "It was not carried out, with the reason"),
];

/// All of them, in the order of the routes.
const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/",
        method: "get",
        summary: "A page for browsers; the list of endpoints for others",
        parameters: &[optional("refresh", Number(1), "Seconds after which the page loads itself again")],
        answers: &[(TEXT, None), (HTML, None)],
        others: &[BAD],
    },
    Operation {
        path: "/healthz",
        method: "get",
        summary: "Whether the process lives",
        parameters: &[],
        answers: PLAIN,
        others: &[],
    },
    Operation {
        path: "/readyz",
        method: "get",
        summary: "Whether every zone is answered",
        parameters: &[
            optional("zone", Text, "Origin of the one zone that is asked about"),
            optional("fresh", OneOf(&["", "true"]), "Also not ready where answers may be out of date"),
        ],
        answers: PLAIN,
        others: &[BAD, NOT_FOUND, (503, "A whole zone is SERVFAIL; its name is in the text")],
    },
    Operation {
        path: "/metrics",
        method: "get",
        summary: "Metrics for Prometheus",
        parameters: &[],
        answers: &[(METRICS[0], None), (METRICS[1], None)],
        others: &[],
    },
    Operation {
        path: "/v1/openapi.json",
        method: "get",
        summary: "This description",
        parameters: &[],
        answers: &[(JSON, None)],
        others: &[],
    },
    Operation {
        path: "/v1/status",
        method: "get",
        summary: "Configuration, registries, zones and registrations, with what is wrong",
        parameters: &[optional("as", OneOf(&["json", "text"]), "Form of the answer")],
        answers: &[(JSON, Some("Status")), (TEXT, None)],
        others: &[BAD],
    },
    Operation {
        path: "/v1/registrations",
        method: "get",
        summary: "Services registered from here, with their checks",
        parameters: &[],
        answers: PLAIN,
        others: &[],
    },
    Operation {
        path: "/v1/heartbeat/{path}",
        method: "post",
        summary: "The service registered from here is well, for its check.ttl",
        parameters: &[required("path", Path, "Path of the service")],
        answers: PLAIN,
        others: HEARTBEAT,
    },
    Operation {
        path: "/v1/heartbeat/{path}",
        method: "put",
        summary: "The same as POST",
        parameters: &[required("path", Path, "Path of the service")],
        answers: PLAIN,
        others: HEARTBEAT,
    },
    Operation {
        path: "/v1/process",
        method: "get",
        summary: "Version, process id and start of the process",
        parameters: &[],
        answers: &[(JSON, Some("Process"))],
        others: &[NOT_FOUND],
    },
    Operation {
        path: "/v1/reload",
        method: "post",
        summary: "Read the configuration again",
        parameters: &[],
        answers: PLAIN,
        others: ORDER,
    },
    Operation {
        path: "/v1/restart",
        method: "post",
        summary: "Go on as the installed program",
        parameters: &[],
        answers: PLAIN,
        others: ORDER,
    },
    Operation {
        path: "/v1/leave",
        method: "post",
        summary: "Take the registrations out and end",
        parameters: &[],
        answers: PLAIN,
        others: ORDER,
    },
    Operation {
        path: "/v1/services",
        method: "get",
        summary: "Services; `next`, and the Link header, lead to the next page",
        parameters: &[
            REGISTRY,
            PREFIX,
            optional("state", State, "Only services in this condition"),
            FIELDS_WANTED,
            optional("limit", Number(1), "Services on a page"),
            optional("after", Text, "Value of `next` of the page before, or a path"),
            INDEX,
            WAIT,
        ],
        answers: &[(JSON, Some("Services"))],
        others: &[NOT_MODIFIED, BAD, NOT_FOUND, BUSY],
    },
    Operation {
        path: "/v1/services/{path}",
        method: "get",
        summary: "One service",
        parameters: &[required("path", Path, "Path or DNS name of the service"), REGISTRY, FIELDS_WANTED, INDEX, WAIT],
        answers: &[(JSON, Some("Service"))],
        others: &[NOT_MODIFIED, BAD, NOT_FOUND, (409, "Several registries have it"), BUSY],
    },
    Operation {
        path: "/v1/instances",
        method: "get",
        summary: "Instances of a service that DNS gives",
        parameters: &[
            required("name", Text, "Path or DNS name of the service"),
            optional("instance", Text, "Name, endpoint or path of one instance"),
            INDEX,
            WAIT,
        ],
        answers: &[(JSON, Some("Instances"))],
        others: &[BAD, BUSY],
    },
    Operation {
        path: "/v1/events",
        method: "get",
        summary: "What came, changed and went: a list where `since`, `limit` or `index` is given or JSON is accepted, else \
                  a stream that goes on after Last-Event-ID",
        parameters: &[
            optional("name", Text, "Path or DNS name of a service"),
            REGISTRY,
            optional("since", Text, "A time (RFC 3339), seconds since 1970, or how long ago (`1h`)"),
            optional("limit", Number(0), "Events at most, the last ones"),
            INDEX,
            WAIT,
        ],
        answers: &[(JSON, Some("Events")), (STREAM, None)],
        others: &[BAD, BUSY],
    },
    Operation {
        path: "/v1/prometheus",
        method: "get",
        summary: "Instances in DNS as targets for Prometheus' http_sd_configs",
        parameters: &[
            REGISTRY,
            optional("prefix", Text, "Only services whose paths begin with this"),
            optional("port", Text, "Name of the port that is scraped, in place of the instance's own"),
        ],
        answers: &[(JSON, Some("Targets"))],
        others: &[BAD, NOT_FOUND, BUSY],
    },
    Operation {
        path: "/v1/dump",
        method: "get",
        summary: "Whole zones",
        parameters: &[
            optional("as", OneOf(&["zone", "json", "hosts"]), "Form of the answer"),
            optional("zone", Text, "Origin of the one zone that is wanted"),
        ],
        answers: &[(TEXT, None), (JSON, Some("Zone")), (LINES, None)],
        others: &[BAD, NOT_FOUND],
    },
    Operation {
        path: "/v1/explain",
        method: "get",
        summary: "Why a name, path or address is answered as it is",
        parameters: &[
            required("name", Text, "DNS name, path or address"),
            optional("type", Text, "Type of the question, A if there is none"),
            optional("as", OneOf(&["text", "json"]), "Form of the answer"),
        ],
        answers: &[(TEXT, None), (JSON, Some("Explanation"))],
        others: &[BAD, NOT_FOUND],
    },
];

const HEARTBEAT: &[(u16, &str)] = &[
    BAD,
    (401, "The token of `[admin] token_file` is missing or another one"),
    NOT_FOUND,
    (409, "It has no check that waits for heartbeats"),
];

/// The document.
pub(super) fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", value()));
    &DOCUMENT
}

fn value() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let methods = paths.entry(operation.path).or_insert_with(|| json!({}));
        methods[operation.method] = operation.value();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "zonekeeper",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The admin server of zonekeeper, DNS for a ZooKeeper service registry.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" }
        },
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } }
        }
    })
}

impl Operation {
    fn value(&self) -> Value {
        let content = |answers: &[(&str, Option<&str>)]| {
            let each = answers.iter().map(|(kind, schema)| {
                let schema = match schema {
                    Some(name) => json!({ "$ref": format!("#/components/schemas/{name}") }),
                    None if *kind == JSON => json!({ "type": "object" }),
                    None => json!({ "type": "string" }),
                };
                ((*kind).to_owned(), json!({ "schema": schema }))
            });
            Value::Object(each.collect())
        };
        let mut responses = Map::new();
        responses.insert("200".to_owned(), json!({ "description": "The answer", "content": content(self.answers) }));
        for (status, description) in self.others {
            let mut response = json!({ "description": description });
            // What is not ready says why in plain text.
            let is_plain = self.path == "/readyz" && *status == 503;
            if is_plain {
                response["content"] = content(PLAIN);
            } else if *status >= 400 {
                response["content"] = content(&[(PROBLEM, Some("Problem"))]);
            }
            responses.insert(status.to_string(), response);
        }
        let parameters: Vec<Value> = self.parameters.iter().map(Parameter::value).collect();
        let mut operation = json!({ "summary": self.summary, "parameters": parameters, "responses": responses });
        if self.method != "get" {
            // Without a token it is taken from this host alone.
            operation["security"] = json!([{}, { "token": [] }]);
        }
        operation
    }
}

impl Parameter {
    fn value(&self) -> Value {
        let schema = match &self.kind {
            Path => json!({ "type": "string", "minLength": 1 }),
            Text => json!({ "type": "string" }),
            Number(least) => json!({ "type": "integer", "minimum": least }),
            Duration => json!({ "type": "string", "pattern": "^[0-9]{1,3}(ms|s)$" }),
            OneOf(words) => json!({ "type": "string", "enum": words }),
            Fields => {
                let one = FIELDS.join("|");
                json!({ "type": "string", "pattern": format!("^({one})(,({one}))*$") })
            }
            State => json!({ "type": "string", "enum": Condition::ALL.map(|(name, _)| name) }),
        };
        let place = if matches!(self.kind, Path) { "path" } else { "query" };
        json!({
            "name": self.name,
            "in": place,
            "required": self.is_required,
            "description": self.description,
            "schema": schema
        })
    }
}

#[cfg(test)]
mod tests;
