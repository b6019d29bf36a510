//! What a configuration that was read again says otherwise than the one in force and only a start can take: tables and
//! keys, as they are written in the file.

use super::whole::{Config, Registry};
use crate::zookeeper::security::AuthSource;
use crate::{admin, announce, dns, zone, zookeeper};

impl Config {
    /// Of what `other` says otherwise than this one, that which only a start can take: `[dns] listen`,
    /// `[registry.main] root`, `[[zone]] service. ttl`; a table that is new or gone without a key.
    pub fn fixed_differences(&self, other: &Self) -> Vec<String> {
        let mut all = Vec::new();
        let names = self.registries.iter().chain(&other.registries).map(|registry| &registry.name);
        let of = |config: &Self, name: &str| config.registries.iter().find(|one| one.name == name).cloned();
        let mut seen: Vec<&String> = Vec::new();
        for name in names {
            if !seen.contains(&name) {
                seen.push(name);
                let (before, after) = (of(self, name), of(other, name));
                add(&mut all, &format!("[registry.{name}]"), before.as_ref(), after.as_ref(), registry);
            }
        }
        let mut seen = Vec::new();
        for origin in self.zones.iter().chain(&other.zones).map(|zone| &zone.origin) {
            if !seen.contains(&origin) {
                seen.push(origin);
                let of = |config: &Self| {
                    config.zones.iter().find(|one| one.origin == *origin).map(zone::config::Config::fixed)
                };
                add(&mut all, &format!("[[zone]] {origin}"), of(self).as_ref(), of(other).as_ref(), zone_keys);
            }
        }
        add(&mut all, "[admin]", self.admin.as_ref(), other.admin.as_ref(), admin_keys);
        add(&mut all, "[announce]", Some(&self.announce.settings), Some(&other.announce.settings), announce_keys);
        add(&mut all, "[dns]", self.dns.as_ref(), other.dns.as_ref(), dns::config::Config::fixed_differences);
        all
    }
}

/// Adds the keys of a table that differ, or the table where only one side has it.
fn add<T>(
    all: &mut Vec<String>,
    table: &str,
    before: Option<&T>,
    after: Option<&T>,
    keys: impl Fn(&T, &T) -> Vec<&'static str>,
) {
    match (before, after) {
        (Some(before), Some(after)) => all.extend(keys(before, after).iter().map(|key| format!("{table} {key}"))),
        (None, None) => {}
        _ => all.push(table.to_owned()),
    }
}

fn differing<const N: usize>(keys: [(&'static str, bool); N]) -> Vec<&'static str> {
    keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

fn registry(before: &Registry, after: &Registry) -> Vec<&'static str> {
    // What a reload takes is not looked at.
    let Registry { name: _, zookeeper: one, guard, format, linger: _, read } = before;
    let other = &after.zookeeper;
    let zookeeper::config::Config {
        source,
        root,
        session_timeout,
        max_stale,
        security,
        missing_root,
        hold,
        verify: _,
        znodes_max,
        drains,
        cache_file,
    } = one;
    let names_file = |auth: &Option<AuthSource>| matches!(auth, Some(AuthSource::File(_)));
    let differs = security.auth != other.security.auth;
    let from_file = [&security.auth, &other.security.auth].into_iter().any(names_file);
    let is_memory = |source: &zookeeper::config::Backing| matches!(source, zookeeper::config::Backing::Memory(_));
    let memory = is_memory(source) && is_memory(&other.source);
    differing([
        ("zookeeper", *source != other.source && !memory),
        ("memory", *source != other.source && memory),
        ("root", *root != other.root),
        ("znodes_max", *znodes_max != other.znodes_max),
        ("providers", format.providers != after.format.providers),
        ("format", (format.name(), &format.description) != (after.format.name(), &after.format.description)),
        ("session_timeout", *session_timeout != other.session_timeout),
        ("max_stale", *max_stale != other.max_stale),
        ("missing_root", *missing_root != other.missing_root),
        ("hold", *hold != other.hold),
        ("drains", *drains != other.drains),
        ("cache_file", *cache_file != other.cache_file),
        ("guard", *guard != after.guard),
        ("read", *read != after.read),
        ("auth", differs && !from_file),
        ("auth_file", differs && from_file),
        ("tls", security.tls != other.security.tls),
    ])
}

fn zone_keys(before: &zone::config::Config, after: &zone::config::Config) -> Vec<&'static str> {
    let zone::config::Config { origin: _, registry, under, file, ttl, negative_ttl, names, live: _ } = before;
    differing([
        ("registry", *registry != after.registry),
        ("under", *under != after.under),
        ("file", *file != after.file),
        ("ttl", *ttl != after.ttl),
        ("negative_ttl", *negative_ttl != after.negative_ttl),
        ("txt", names.txt != after.names.txt),
        ("host_domain", names.host_domain != after.names.host_domain),
    ])
}

fn admin_keys(before: &admin::config::Config, after: &admin::config::Config) -> Vec<&'static str> {
    let admin::config::Config { listen, socket, tls, token_file: _, metrics_per_service } = before;
    differing([
        ("listen", *listen != after.listen),
        ("socket", *socket != after.socket),
        ("tls", tls.is_some() != after.tls.is_some()),
        ("metrics_per_service", *metrics_per_service != after.metrics_per_service),
    ])
}

fn announce_keys(before: &announce::Settings, after: &announce::Settings) -> Vec<&'static str> {
    let announce::Settings { state, acl, parent_acl, readonly, drain, on_stop } = before;
    differing([
        ("state", *state != after.state),
        ("acl", *acl != after.acl),
        ("parent_acl", *parent_acl != after.parent_acl),
        ("readonly", *readonly != after.readonly),
        ("drain", *drain != after.drain),
        ("on_stop", *on_stop != after.on_stop),
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use crate::config::parse;
    use crate::settings::tests::ROWS;

    #[test]
    fn what_waits_for_a_restart_is_named_by_its_key() {
        let base = "[registry.main]\nzookeeper = \"a:1\"\n[[zone]]\norigin = \"service.\"\n[admin]\nlisten = \"127.0.0.1:1\"\n";
        let read = |text: &str| parse(Path::new("z.toml"), text).unwrap_or_else(|report| panic!("{report}"));
        for (from, to, expected) in [
            ("zookeeper = \"a:1\"", "zookeeper = \"b:1\"", vec!["[registry.main] zookeeper"]),
            ("zookeeper = \"a:1\"", "memory = \"b\"", vec!["[registry.main] zookeeper"]),
            (
                "a:1\"",
                "a:1\"\nroot = \"/x\"\nformat = \"nd\"\nlinger = \"2h\"\nverify = \"1h\"",
                vec!["[registry.main] root", "[registry.main] format"],
            ),
            (
                "a:1\"",
                "a:1\"\nauth = \"digest:u:p\"\nguard = {}",
                vec!["[registry.main] guard", "[registry.main] auth"],
            ),
            ("a:1\"", "a:1\"\nauth_file = \"x\"", vec!["[registry.main] auth_file"]),
            (
                "service.\"",
                "service.\"\nttl = \"9s\"\ntxt = [\"a\"]\norder = \"fixed\"\nexpect = [\"x\"]",
                vec!["[[zone]] service. ttl", "[[zone]] service. txt"],
            ),
            ("service.\"", "other.\"", vec!["[[zone]] service.", "[[zone]] other."]),
            ("[admin]\nlisten = \"127.0.0.1:1\"", "[dns]\nlisten = [\"127.0.0.1:1\"]", vec!["[admin]", "[dns]"]),
            ("127.0.0.1:1", "127.0.0.1:2", vec!["[admin] listen"]),
            ("127.0.0.1:1\"", "127.0.0.1:1\"\nmetrics_per_service = 5", vec!["[admin] metrics_per_service"]),
            (
                "[admin]",
                "[announce]\ndrain = \"1s\"\nacl = \"open\"\n[admin]",
                vec!["[announce] acl", "[announce] drain"],
            ),
            (
                "[admin]",
                "[registry.far]\nzookeeper = \"c:1\"\n[[zone]]\norigin = \"far.\"\nregistry = \"far\"\n[admin]",
                vec!["[registry.far]", "[[zone]] far."],
            ),
        ] {
            let (before, after) = (base, base.replacen(from, to, 1));
            let after = if to.contains("registry.far") {
                after.replacen("service.\"", "service.\"\nregistry = \"main\"", 1)
            } else {
                after
            };
            assert_eq!(read(before).fixed_differences(&read(&after)), expected, "{after}");
        }
    }

    #[test]
    fn what_waits_for_a_restart_is_what_the_rows_of_the_keys_say() {
        let with = |registry: &str, more: &str| {
            format!("[registry.main]\n{registry}\n[[zone]]\norigin = \"service.\"\nregistry = \"main\"\n{more}")
        };
        let all = [
            "root = \"/x\"\nproviders = \"p\"\nformat = \"zc\"\nsession_timeout = \"9s\"\nmax_stale = \"1h\"",
            "missing_root = \"empty\"\nhold = \"1h\"\nznodes_max = 9\nlinger = \"1h\"\nverify = \"1h\"\ncache_file = \"c\"",
            "drains = \"/d\"\ntls = { ca = \"ca\" }\nguard = {}",
        ]
        .join("\n");
        let files = "under = \"a\"\nttl = \"9s\"\nnegative_ttl = \"9s\"\ntxt = [\"a\"]\nhost_domain = \"h.\"
            order = \"fixed\"\nexpect = [\"x\"]
            [dns]\nlisten = [\"127.0.0.1:9\"]\nfreebind = false\nthreads = 3\nserial_file = \"s\"\nmax_answers = 3
            tls = { listen = [\"127.0.0.1:9\"], cert = \"c\", key = \"k\" }
            https = { listen = [\"127.0.0.1:6\"], cert = \"c\", key = \"k\", path = \"/d\" }
            quic = { listen = [\"127.0.0.1:6\"], cert = \"c\", key = \"k\" }\n[admin]\nlisten = \"127.0.0.1:8\"\nmetrics_per_service = 5\nsocket = \"s\"
            tls = { cert = \"c\", key = \"k\" }
            [announce]\nstate = \"s\"\nacl = \"open\"\nparent_acl = \"read\"\nreadonly = true\ndrain = \"9s\"\non_stop = [\"true\"]";
        let none = "[dns]\ntls = { listen = [\"127.0.0.1:7\"], cert = \"c\", key = \"k\" }
            https = { listen = [\"127.0.0.1:5\"], cert = \"c\", key = \"k\" }
            quic = { listen = [\"127.0.0.1:5\"], cert = \"c\", key = \"k\" }\n[admin]\n";
        ROWS.with_borrow_mut(Vec::clear);
        let mut pending = BTreeSet::new();
        for (before, after) in [
            (
                with("zookeeper = \"a:1\"", none),
                with(&format!("zookeeper = \"b:2\"\nauth = \"digest:u:p\"\n{all}"), files),
            ),
            (with("zookeeper = \"a:1\"", "[admin]"), with("zookeeper = \"a:1\"\nauth_file = \"f\"", "[admin]")),
            (with("memory = \"a\"", "[admin]"), with("memory = \"b\"", "[admin]")),
            (
                with("memory = \"a\"", "[admin]"),
                with("memory = \"a\"\nread = [{ format = \"nd\", root = \"/nd\", as = \"nd\" }]", "[admin]"),
            ),
            (
                with("memory = \"a\"", "[admin]"),
                with("memory = \"a\"", "[admin]").replace("registry = \"main\"", "file = \"f\"\nregistry = \"\""),
            ),
        ] {
            let read = |text: &str| parse(Path::new("z.toml"), text).unwrap_or_else(|report| panic!("{report}"));
            pending.extend(read(&before).fixed_differences(&read(&after)));
        }
        // `[[zone]] service. ttl` and `[dns] tls listen`, as the rows have them: a table and a key.
        let pending: BTreeSet<(String, String)> = pending
            .iter()
            .map(|one| {
                one.replace("[[zone]] service.", "[zone]")
                    .replace("[dns] tls", "[dns.tls]")
                    .replace("[dns] https", "[dns.https]")
                    .replace("[dns] quic", "[dns.quic]")
            })
            .map(|one| one.trim_start_matches('[').split_once("] ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap())
            .collect();
        let rows = ROWS.with_borrow(Clone::clone);
        let fixed =
            |table: &str, key: &str| rows.iter().any(|(name, row)| name == table && row.name == key && !row.is_live);
        let said: BTreeSet<(String, String)> = rows
            .iter()
            .filter(|(_, key)| !key.is_live)
            // A table as a whole is what is named, and a zone of another origin is another zone.
            .filter(|(table, key)| !(table == "zone" && key.name == "origin"))
            .filter(|(table, _)| !table.rsplit_once('.').is_some_and(|(outer, inner)| fixed(outer, inner)))
            .map(|(table, key)| (table.clone(), key.name.to_owned()))
            .collect();
        assert_eq!(said, pending);
        assert!(rows.len() > 200 && said.len() > 30, "{} rows, {} of them wait", rows.len(), said.len());
    }
}
