//! The page of all formats, as Markdown: deploy/docs/conventions.md.

use std::fmt::Write as _;

use super::names::{self, ExampleRecord};
use super::words::{full_path, place, shown};
use crate::format::Formats;

/// DNS names that are shown of an example: the rest are more of the same.
const NAMES: usize = 8;

const HEAD: &str = "\
# Conventions

Programs that keep themselves in ZooKeeper do so each in its own way. `format = \"NAME\"` of a registry says in which:

```toml
[registry.kafka]
zookeeper = \"zk1:2181,zk2:2181\"
format    = \"kafka\"                 # and `root`, where it is not the usual one

[[zone]]
origin   = \"kafka.example.com.\"
registry = \"kafka\"
```

`zonekeeper formats` lists them, `zonekeeper formats NAME` shows one as TOML. This page is `zonekeeper formats --markdown`:
after a change of src/format/declared/builtin.toml write it again,
`cargo run -q -- formats --markdown > deploy/docs/conventions.md`.

## A description of one's own

A table `[format.NAME]` of the configuration says where instances are, and what of their paths and data means what. One
that is called like a built-in one replaces it. `zonekeeper check` tells every mistake with its line, and
`zonekeeper formats NAME --config FILE` shows the DNS names of its `example`.

| key | means | default |
| --- | --- | --- |
| `root` | the znode below which all of it is; a registry's `root` replaces it | `/`; required where `path` begins with a capture |
| `path` | pattern of the instances' paths below `root`: `{x}` takes a part of one element, the shortest that fits, `{host}` the longest, `{port}` 1 to 5 digits, `{seq}` ten digits. A prefix `_c_<uuid>-` (Curator's protection) does not count | required |
| `service` | template of the service's path, of captures alone | `\"{service}\"` |
| `endpoint` | template of `host:port`, a host, or a URL, of which user and path are dropped. A list, or a text of several with commas, names ports after its schemes, the first is the main one; the keys of a table are endpoints, its values weights | `\"{host}:{port}\"` |
| `port` | the port where `endpoint` has none; 0: none, and addresses only | |
| `ports` | table: name → template of a port or an endpoint; absent ones are left out | `{}` |
| `data` | `json`, `text`, `pairs` (`k=v;…`, or a `k: v` a line), `query` (of a URL), `protobuf` (by field numbers), `java` (the first string of a serialization stream), `none` (not read) | `json` |
| `weight`, `weight_unit` | template of the SRV weight, which is multiplied by the unit and rounded, a positive one never to 0 | , 1 |
| `tags` | templates; lists spread, absent ones are dropped, odd characters become hyphens | `[]` |
| `roles` | tags that pass from one instance to another: `ROLE.NAME` is NODATA while no instance has it, not NXDOMAIN; `leader` is one wherever there is a `leader` | `[]` |
| `up` | table: template → allowed values, `\"\"` for absent; where one does not hold, the instance is drained | `{}` |
| `needs`, `unless` | pattern of another znode, relative to `root`, that must (not) exist; else the instance is drained | |
| `leader` | `\"lowest\"`: the instance with the least last ten digits gets the tag `leader`; or a pattern of a znode, relative to `root`, whose text is the leader's `{id}` | |
| `doc`, `writers`, `example` | for people; `example` is a list of znodes: `path`, and `data` or `hex` | |

Templates: `{capture}` of `path`, `{/json/pointer}` (RFC 6901; of protobuf, field numbers: `{/3/1}`), `{}` for all of the
data, `{a|b}` for the first that is there. Absent, null, the empty text and -1 are the same; a template of which a part is
absent is absent. What does not match `path` is ignored; what matches and cannot be read is told (`lost`, or `doubtful`
where its path gives the endpoint).
";

/// The page.
pub(super) fn markdown() -> String {
    let formats = Formats::default();
    let mut text = HEAD.to_owned();
    text.push_str("\n## All\n\n\
         Registries are read in all of them; services are registered in those that are written (in `auto` as in `zc`).\n\n\
         | name | znodes | written | |\n| --- | --- | --- | --- |\n");
    for (name, chosen) in formats.all() {
        let word = if chosen.description().is_some() { format!("[{name}](#{name})") } else { name.to_owned() };
        let written = if chosen.is_written() { "yes" } else { "" };
        let doc = chosen.doc().replace('|', "\\|");
        let _ = writeln!(text, "| {word} | `{}` | {written} | {doc} |", place(chosen));
    }
    for (name, chosen) in formats.all() {
        let Some(description) = chosen.description() else { continue };
        let _ = writeln!(text, "\n## {name}\n\n{} Written by: {}.\n", description.doc, description.writers);
        let table = description.toml.split("\n[[").next().unwrap_or_default();
        let keys = table.lines().filter(|line| !line.starts_with("doc ") && !line.starts_with("writers "));
        text.push_str("```toml\n");
        keys.for_each(|line| {
            let _ = writeln!(text, "{line}");
        });
        text.push_str("```\n\n```text\n");
        for example in &description.examples {
            let _ = writeln!(text, "{}", full_path(description, &example.path));
            shown(&example.data).lines().for_each(|line| {
                let _ = writeln!(text, "    {line}");
            });
        }
        text.push('\n');
        let (names, _) = names::of_example(description);
        for ExampleRecord { owner, rtype, data } in names.iter().take(NAMES) {
            let _ = writeln!(text, "{owner} {rtype} {data}");
        }
        if names.len() > NAMES {
            let _ = writeln!(text, "… and {} more", names.len() - NAMES);
        }
        text.push_str("```\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_that_of_the_built_in_formats() {
        let page = include_str!("../../../deploy/docs/conventions.md");
        let help = "write it again: cargo run -q -- formats --markdown > deploy/docs/conventions.md";
        assert!(page == markdown(), "{help}");
    }
}
