//! Schemas of the answers, in JSON Schema as `OpenAPI` 3.1 has it. An object has the listed fields and no others, so
//! that one that is added to an answer and not here fails a test.

#![expect(clippy::needless_pass_by_value, reason = "schemas are put together of each other")]

use serde_json::{Map, Value, json};

/// Fields of an object: name, with `?` behind one that may be missing, and schema.
type FieldList<'a> = &'a [(&'a str, Value)];

fn text() -> Value {
    json!({ "type": "string" })
}

/// A whole number from 0 on.
fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// A number with a fraction.
fn number() -> Value {
    json!({ "type": "number" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

/// A time as RFC 3339 writes it.
fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn one_of(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

/// An object with any keys.
fn map(of: Value) -> Value {
    json!({ "type": "object", "additionalProperties": of })
}

fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn object(fields: FieldList<'_>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, schema) in fields {
        let bare = name.trim_end_matches('?');
        if bare == *name {
            required.push(bare);
        }
        properties.insert(bare.to_owned(), schema.clone());
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// All of them, by name.
pub(super) fn all() -> Value {
    let mut all = Map::new();
    for (name, schema) in services().into_iter().chain(others()).chain(status()) {
        all.insert(name.to_owned(), schema);
    }
    Value::Object(all)
}

fn services() -> Vec<(&'static str, Value)> {
    let metadata = || map(text());
    vec![
        ("Malformed", object(&[("path", text()), ("reason", text())])),
        (
            "Drain",
            object(&[
                ("instance", nullable(text())),
                ("until", nullable(time())),
                ("reason", text()),
                ("by", text()),
                ("at", nullable(time())),
            ]),
        ),
        (
            "Service",
            object(&[
                ("index?", count()),
                ("registry", text()),
                ("reader?", text()),
                ("path?", text()),
                ("full_path?", text()),
                ("format?", text()),
                ("pattern?", text()),
                ("names?", list(text())),
                ("in?", count()),
                ("out?", count()),
                ("ttl?", nullable(count())),
                (
                    "defaults?",
                    object(&[
                        ("weight", nullable(count())),
                        ("priority", nullable(count())),
                        ("ttl", nullable(count())),
                        ("state", text()),
                        ("metadata", metadata()),
                    ]),
                ),
                ("drains?", list(of("Drain"))),
                ("instances?", list(of("Instance"))),
                ("malformed?", list(of("Malformed"))),
                ("lost?", list(of("Malformed"))),
                ("doubtful?", list(of("Malformed"))),
                ("guard?", nullable(object(&[("instances", count()), ("until", time())]))),
            ]),
        ),
        (
            "Instance",
            object(&[
                ("name", text()),
                ("host", text()),
                ("port", count()),
                ("protocol", one_of(&["tcp", "udp"])),
                ("weight", nullable(count())),
                ("priority", nullable(count())),
                ("ttl", nullable(count())),
                ("state", text()),
                ("tags", list(text())),
                ("ports", list(object(&[("name", text()), ("host", text()), ("port", count())]))),
                ("metadata", metadata()),
                ("remarks", list(text())),
                ("in", flag()),
                ("reason", nullable(text())),
                ("effective", object(&[("weight", count()), ("priority", count()), ("ttl", nullable(count()))])),
                ("znode", text()),
                ("owner", nullable(text())),
                ("ctime", nullable(time())),
                ("czxid", text()),
                ("mzxid", text()),
            ]),
        ),
        ("Services", object(&[("index", count()), ("services", list(of("Service"))), ("next", nullable(text()))])),
        (
            "Instances",
            object(&[
                ("index", count()),
                ("name", text()),
                (
                    "instances",
                    list(object(&[
                        ("registry", text()),
                        ("service", text()),
                        ("instance", text()),
                        ("host", text()),
                        ("port", count()),
                        ("weight", count()),
                        ("priority", count()),
                        ("ttl", count()),
                    ])),
                ),
                ("ttl", count()),
                ("gone_s", nullable(number())),
            ]),
        ),
    ]
}

fn others() -> Vec<(&'static str, Value)> {
    let values = object(&[
        ("endpoint", nullable(text())),
        ("state", text()),
        ("weight", nullable(count())),
        ("priority", nullable(count())),
        ("ttl", nullable(count())),
        ("tags", list(text())),
        ("session", nullable(text())),
    ]);
    let counts = object(&[("added", count()), ("changed", count()), ("gone", count())]);
    vec![
        (
            "Problem",
            object(&[
                ("type", text()),
                ("title", text()),
                ("status", count()),
                ("detail", text()),
                ("error", text()),
                ("endpoints?", list(text())),
            ]),
        ),
        (
            "Event",
            object(&[
                ("id", text()),
                ("index", count()),
                ("time", nullable(time())),
                ("kind", text()),
                ("registry?", text()),
                ("reader?", text()),
                ("path", nullable(text())),
                ("service", nullable(text())),
                ("name", nullable(text())),
                ("instance", nullable(text())),
                ("session", nullable(text())),
                ("cause", nullable(text())),
                ("before", nullable(values.clone())),
                ("after", nullable(values)),
                ("detail", nullable(text())),
                ("counts", nullable(counts)),
                ("resync", flag()),
                ("text", text()),
            ]),
        ),
        ("Events", object(&[("index", count()), ("reset", flag()), ("events", list(of("Event")))])),
        (
            "Process",
            object(&[
                ("version", text()),
                ("pid", count()),
                ("started", count()),
                ("restart_failed", nullable(text())),
            ]),
        ),
        (
            "Targets",
            list(object(&[
                ("targets", json!({ "type": "array", "items": text(), "minItems": 1, "maxItems": 1 })),
                ("labels", map(text())),
            ])),
        ),
        (
            "Zone",
            object(&[
                ("origin", text()),
                ("freshness", text()),
                (
                    "names",
                    list(object(&[
                        ("name", text()),
                        ("records", list(object(&[("type", text()), ("ttl", count()), ("data", text())]))),
                    ])),
                ),
                ("services", list(object(&[("path", text()), ("names", list(text()))]))),
                ("lost", list(of("Malformed"))),
                ("doubtful", list(of("Malformed"))),
            ]),
        ),
        ("Explanation", explanation()),
    ]
}

fn explanation() -> Value {
    let instance = object(&[("name", text()), ("in", flag()), ("why", text()), ("notes", list(text()))]);
    let service = object(&[
        ("path", text()),
        ("names", list(text())),
        ("form", text()),
        ("hidden_by", nullable(text())),
        ("notes", list(text())),
        ("instances", list(instance)),
        ("lost", list(of("Malformed"))),
        ("doubtful", list(of("Malformed"))),
    ]);
    let registry = object(&[
        ("registry", text()),
        ("format", text()),
        ("pattern", text()),
        ("mirror", text()),
        ("age_s", nullable(count())),
        ("known", nullable(text())),
        ("services", list(service)),
    ]);
    let local = object(&[
        ("registry", text()),
        ("service", text()),
        ("znode", nullable(text())),
        ("state", text()),
        ("reason", nullable(text())),
        ("is_registered", flag()),
        ("checks", list(object(&[("check", text()), ("state", text()), ("said", text())]))),
    ]);
    let name = object(&[
        ("name", text()),
        ("type", text()),
        ("zone", text()),
        ("answer", list(text())),
        ("zone_file", list(object(&[("place", text()), ("name", text()), ("type", text())]))),
        ("registries", list(registry)),
        ("this_host", list(local)),
    ]);
    let server = object(&[("host", text()), ("admin", text()), ("version", text()), ("pid", count())]);
    object(&[
        ("server", server),
        ("asked", text()),
        ("type", text()),
        ("notes", list(text())),
        ("names", list(name)),
        ("did_you_mean", nullable(text())),
    ])
}

/// The answer of `/v1/status`, of which only the outermost fields are said one by one: the inner ones are added to.
fn status() -> Vec<(&'static str, Value)> {
    let any = || json!({ "type": "object" });
    vec![(
        "Status",
        object(&[
            ("version", text()),
            ("uptime_s", number()),
            ("ready", flag()),
            ("wrong", list(text())),
            ("config", nullable(any())),
            ("registries", list(any())),
            ("zones", list(any())),
            ("queries_per_s", nullable(number())),
            ("announcers", list(any())),
            ("registrations", list(any())),
            ("not_registered", list(any())),
            ("checks", list(any())),
            ("upstreams", list(any())),
            ("files", list(any())),
        ]),
    )]
}
