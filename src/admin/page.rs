//! The page at `/` for people with a browser: what is wrong first of all, and what is drained, held back and
//! registered.
//!
//! It needs no script and nothing from elsewhere, which its policy (`Content-Security-Policy`) also says: what stands
//! in a registry is not trusted, and everything is escaped as it is put in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maud::{DOCTYPE, Markup, html};

use super::snapshot::{AnnouncerSnapshot, RegistrySnapshot, Snapshot, ZoneSnapshot};
use crate::announce::check::health;
use crate::announce::{CheckStatus, RegistrationState};
use crate::format;
use crate::model::{Drain, Malformed};
use crate::publish::collisions::Clash;
use crate::registry::status::Phase;
use crate::zone::Freshness;

/// Rights of the page in a browser: to be shown.
pub(super) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Rows of one table; who wants more asks for the JSON.
const ROWS: usize = 200;

const STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;margin:1.5em auto;max-width:80em;padding:0 1em;color:#222;background:#fff}\
h1{font-size:1.4em}h2{font-size:1.1em;margin:1.6em 0 .4em}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.2em .8em .2em 0;border-bottom:1px solid #ddd;vertical-align:top;overflow-wrap:anywhere}\
th{font-weight:600;color:#666}.bad{color:#b00020;font-weight:600}.quiet{color:#777}form{margin:.4em 0}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td{border-color:#444}.bad{color:#ff7080}a{color:#8ab4f8}}";

/// The page. It loads itself again every `refresh` seconds, or never.
pub(super) fn render(snapshot: &Snapshot, ready: bool, refresh: Option<u16>, endpoints: &[(&str, &str)]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                @if let Some(seconds) = refresh { meta http-equiv="refresh" content=(seconds); }
                title { "zonekeeper" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "zonekeeper " (env!("CARGO_PKG_VERSION")) }
                p {
                    @if ready { "Ready" } @else { span.bad { "Not ready: not every registry was read yet" } }
                    ", up for " (time(snapshot.uptime)) ". "
                    @match refresh {
                        Some(seconds) => { "Loads again every " (seconds) " s; " a href="/" { "stop" } "." }
                        None => { a href="/?refresh=5" { "Load again every 5 s" } "." }
                    }
                }
                (configuration(snapshot))
                (explain())
                h2 { "Registries" }
                @if snapshot.registries.is_empty() { (none("no registry is mirrored")) } @else { (registries(&snapshot.registries)) }
                h2 { "Zones" }
                @if snapshot.zones.is_empty() { (none("no zone is served")) } @else { (zones(&snapshot.zones)) }
                h2 { "Drained by hand" }
                (drains(&snapshot.registries))
                (guards(&snapshot.registries))
                h2 { "Registered from here" }
                (registrations(&snapshot.announcers))
                h2 { "Lost znodes" }
                (wrong(&snapshot.registries, |one| &one.lost, "every znode is served"))
                h2 { "Doubtful znodes" }
                p.quiet { "They are served, with a default or with what they said before." }
                (wrong(&snapshot.registries, |one| &one.doubtful, "every znode is understood"))
                (clashes(&snapshot.registries))
                h2 { "For programs" }
                table { @for (path, purpose) in endpoints { tr { td { (link(path)) } td { (purpose) } } } }
            }
        }
    };
    page.into_string()
}

/// Nothing where the configuration is in force as it stands.
fn configuration(snapshot: &Snapshot) -> Markup {
    html! {
        @if let Some((configuration, failed)) = &snapshot.configuration {
            @if let Some((since, problems)) = &configuration.rejected {
                p.bad { "The configuration is not taken since " (moment(*since)) ", the one before is in force:" }
                pre { (problems) }
            }
            @if !configuration.pending.is_empty() {
                p { span.bad { "Waits for a restart: " } (configuration.pending.join(", ")) }
            }
            @if let Some(why) = failed { p { span.bad { "The last restart failed: " } (why) } }
        }
    }
}

fn moment(at: SystemTime) -> String {
    format::moment(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

fn explain() -> Markup {
    html! {
        form action="/v1/explain" {
            label { "Why is " input name="name" size="40" placeholder="api_x.service" required; } " "
            label { "type " select name="type" { @for name in ["A", "AAAA", "SRV", "TXT", "PTR", "ANY"] { option { (name) } } } }
            " answered as it is? " button { "Explain" }
        }
    }
}

fn registries(registries: &[RegistrySnapshot]) -> Markup {
    html! {
        table {
            tr { th { "name" } th { "ensemble" } th { "mirror" } th { "exact" } th { "znodes" } th { "lost" } th { "doubtful" } th { "trouble" } }
            @for one in registries {
                tr {
                    td { (one.name) }
                    td { (one.report.ensemble) }
                    td class=[bad(one.report.phase != Phase::Live)] { (one.report.phase.as_str()) " for " (time(one.in_phase)) }
                    td class=[bad(!one.synced || one.is_stale())] { (exact(one)) }
                    td { (one.report.znodes) }
                    td class=[bad(one.lost.0 > 0)] { (one.lost.0) }
                    td class=[bad(one.doubtful.0 > 0)] { (one.doubtful.0) }
                    td.bad {
                        @if let Some(trouble) = &one.report.trouble { (trouble) " " }
                        @if let Some(trouble) = one.report.cache.as_ref().and_then(|cache| cache.trouble.as_ref()) {
                            "cache file: " (trouble)
                        }
                    }
                }
            }
        }
    }
}

/// Tells how far what is known of a registry can be relied on.
fn exact(registry: &RegistrySnapshot) -> String {
    match registry.age {
        None => "never yet".to_owned(),
        Some(age) if registry.is_stale() => format!("{} ago", time(age)),
        Some(_) => "now".to_owned(),
    }
}

fn zones(zones: &[ZoneSnapshot]) -> Markup {
    html! {
        table {
            tr { th { "origin" } th { "view" } th { "names" } th { "serial" } th { "file" } }
            @for ZoneSnapshot { origin, serial, names, freshness, file, warnings, .. } in zones {
                tr {
                    td {
                        (origin)
                        @for warning in warnings { br; span.bad { (warning) } }
                    }
                    td class=[bad(*freshness != Freshness::Fresh)] { (freshness.as_str()) }
                    td { (names) }
                    td { (serial) }
                    td {
                        @if let Some(file) = file {
                            (file.path)
                            @for problem in &file.problems { br; span.bad { (problem) } }
                        }
                    }
                }
            }
        }
    }
}

fn drains(registries: &[RegistrySnapshot]) -> Markup {
    let all =
        || registries.iter().flat_map(|one| one.drains.1.iter().map(move |(service, drain)| (one, service, drain)));
    let total = registries.iter().map(|one| one.drains.0).sum();
    if total == 0 {
        return none("nothing is drained");
    }
    html! {
        table {
            tr { th { "registry" } th { "service" } th { "what" } th { "until" } th { "reason" } th { "by" } th { "since" } }
            @for (registry, service, Drain { instance, until, reason, by, at }) in all().take(ROWS) {
                tr {
                    td { (registry.name) }
                    td { (service) }
                    td.bad { @match instance { Some(instance) => (instance), None => "all of it" } }
                    td { @match until { Some(until) => (format::moment(*until)), None => "it is undrained" } }
                    td { (reason) }
                    td { (by) }
                    td { @if let Some(at) = at { (format::moment(*at)) } }
                }
            }
        }
        (more(total, "zonekeeper drain --list"))
    }
}

/// Nothing where no guard is: it is off by default.
fn guards(registries: &[RegistrySnapshot]) -> Markup {
    html! {
        @for (registry, (guard, left)) in registries.iter().filter_map(|one| Some((one, one.guard.as_ref()?))) {
            h2 { "Held back by the guard of " (registry.name) }
            @if guard.held.is_empty() { (none("nothing is held back")) } @else {
                p.bad {
                    (guard.instances) " instances of " (guard.held.len()) " services are gone and still shown, for "
                    (time(*left)) " more"
                }
                p { @for service in guard.held.keys().take(ROWS) { (service) " " } }
                (more(guard.held.len(), "/v1/status"))
            }
        }
    }
}

fn registrations(announcers: &[AnnouncerSnapshot]) -> Markup {
    let total = announcers.iter().map(|one| one.registrations.len()).sum();
    if total == 0 {
        return none("nothing is registered from here");
    }
    // What is not as it should be comes first.
    let mut all: Vec<_> =
        announcers.iter().flat_map(|one| one.registrations.iter().map(move |each| (one, each))).collect();
    all.sort_by_key(|(_, (registration, _))| registration.state == RegistrationState::Registered);
    html! {
        @for one in announcers.iter().filter(|one| !one.session.is_some_and(|session| session.connected)) {
            @if !one.services.is_empty() {
                p.bad { "Not connected to the ZooKeeper of registry " (one.registry) ": nothing can be registered or changed there" }
            }
        }
        table {
            tr { th { "znode" } th { "state" } th { "for" } th { "checks" } }
            @for (announcer, (registration, standing)) in all.into_iter().take(ROWS) {
                tr {
                    td { (registration.place()) }
                    td class=[bad(registration.state != RegistrationState::Registered)] {
                        (registration.state.as_str())
                        @if let Some(reason) = registration.state.reason() { ": " (reason) }
                    }
                    td { (time(*standing)) }
                    td {
                        @for (check, standing) in announcer.checks.iter().filter(|(check, _)| check.service == registration.service) {
                            div { (checked(check, *standing)) }
                        }
                    }
                }
            }
        }
        (more(total, "zonekeeper status"))
    }
}

fn checked(check: &CheckStatus, standing: Duration) -> Markup {
    html! {
        (check.check) " "
        span class=[bad(check.state != health::CheckState::Well || check.is_flapping)] {
            (check.state.as_str()) " for " (time(standing)) @if check.is_flapping { ", flapping" }
        }
        ": " (check.words())
    }
}

/// Znodes that something is wrong with, of each registry; `fine` where there are none.
fn wrong(registries: &[RegistrySnapshot], of: fn(&RegistrySnapshot) -> &(usize, Vec<Malformed>), fine: &str) -> Markup {
    let total = registries.iter().map(|one| of(one).0).sum();
    if total == 0 {
        return none(fine);
    }
    html! {
        table {
            tr { th { "znode" } th { "what is wrong" } }
            @for Malformed { path, reason, .. } in registries.iter().flat_map(|one| &of(one).1).take(ROWS) {
                tr { td { (path) } td { (reason) } }
            }
        }
        (more(total, "/v1/status"))
    }
}

/// Nothing where no names clash.
fn clashes(registries: &[RegistrySnapshot]) -> Markup {
    let total = registries.iter().map(|one| one.clashes.0).sum();
    html! {
        @if total > 0 {
            h2 { "Clashing names" }
            table {
                tr { th { "name" } th { "znodes" } th { "what is served" } }
                @for Clash { name, paths, reason, .. } in registries.iter().flat_map(|one| &one.clashes.1).take(ROWS) {
                    tr { td.bad { (name) } td { @for path in paths { (path) " " } } td { (reason) } }
                }
            }
            (more(total, "/v1/status"))
        }
    }
}

/// The class of what is not as it should be.
fn bad(is_bad: bool) -> Option<&'static str> {
    is_bad.then_some("bad")
}

/// That there is more than is shown, and where it is.
fn more(total: usize, place: &str) -> Markup {
    html! { @if total > ROWS { p.quiet { "and " (total - ROWS) " more: " (place) } } }
}

fn none(words: &str) -> Markup {
    html! { p.quiet { (words) } }
}

/// Link to the path, where it can be asked for as it stands.
fn link(path: &str) -> Markup {
    html! { @if path.contains('{') { (path) } @else { a href=(path) { (path) } } }
}

/// To the second, for people.
fn time(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::sample;

    fn page(snapshot: &Snapshot) -> String {
        render(snapshot, false, None, &[("/metrics", "for Prometheus"), ("/v1/services/{path}", "one service")])
    }

    #[test]
    fn what_is_not_as_it_should_be_is_marked() {
        let page = page(&sample());
        for shown in [
            r#"<span class="bad">Not ready: not every registry was read yet</span>, up for 1m 1s."#,
            r#"<td class="bad">offline for 1s</td><td class="bad">never yet</td>"#,
            "<td>live for 1s</td><td>now</td>",
            r#"<td class="bad">cache file: No space left on device</td>"#,
            r#"<td class="bad">loading</td>"#,
            r#"<br><span class="bad">service.zone:3:1: oops</span>"#,
            r#"<br><span class="bad">the RRset &lt;a&gt; is too large</span>"#,
            r#"<td>api</td><td class="bad">10.0.0.1:80</td><td>2023-11-14T22:13:20Z</td><td>disk</td><td>alice@web7</td><td>2023-11-14T21:56:40Z</td>"#,
            "and 1300 more: zonekeeper drain --list",
            "30 instances of 2 services are gone and still shown, for 4m more",
            r#"<td class="bad">blocked: a persistent znode is in its place; delete it if nobody needs it</td>"#,
            r#"<span class="bad">unhealthy for 8s, flapping</span>: refused"#,
            "<td>/services/a/providers/x</td><td>it has no port</td>",
            r#"<td class="bad">ns.service.</td><td>/services/ns </td>"#,
            r#"<td><a href="/metrics">/metrics</a></td>"#,
            "<td>/v1/services/{path}</td>",
            "taken since 2023-11-14T22:15:00Z, the one before is in force:</p><pre>zonekeeper.toml:3:1: error: oops</pre>",
            r#"<span class="bad">Waits for a restart: </span>[registry], [dns] listen"#,
        ] {
            assert!(page.contains(shown), "{shown} in {page}");
        }
        let (blocked, registered) = (page.find("10.0.0.2:80").unwrap(), page.find("providers/10.0.0.1:80").unwrap());
        assert!(blocked < registered, "what is wrong comes first");
    }

    #[test]
    fn what_a_registry_says_is_never_taken_for_the_page() {
        let mut snapshot = sample();
        let hostile = "</td><script>alert(\"1\")</script>&amp;";
        let drain = Drain { reason: hostile.into(), by: hostile.into(), ..Drain::default() };
        snapshot.registries[0].drains = (1, vec![(hostile.to_owned(), drain)]);
        if let Some((configuration, failed)) = &mut snapshot.configuration {
            configuration.rejected = Some((UNIX_EPOCH, hostile.into()));
            configuration.pending = vec![hostile.into()];
            *failed = Some(hostile.into());
        }
        snapshot.registries[0].lost = (1, vec![Malformed::lost(hostile, hostile)]);
        snapshot.registries[0].doubtful = (1, vec![Malformed::doubtful(hostile, hostile)]);
        snapshot.registries[1].report.trouble = Some(hostile.into());
        let page = page(&snapshot);
        assert!(!page.contains("<script"), "{page}");
        let escaped = "&lt;/td&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;amp;";
        assert_eq!(page.matches(escaped).count(), 11, "{page}");
    }

    #[test]
    fn nothing_at_all_is_told_as_such() {
        let nothing = Snapshot {
            queries: None,
            upstreams: Vec::new(),
            files: Vec::new(),
            uptime: Duration::from_secs(3_600),
            configuration: None,
            resident: None,
            registries: Vec::new(),
            zones: Vec::new(),
            announcers: Vec::new(),
        };
        let page = render(&nothing, true, Some(5), &[]);
        assert!(page.contains(r#"<meta http-equiv="refresh" content="5">"#), "{page}");
        for words in
            ["no registry is mirrored", "no zone is served", "nothing is drained", "nothing is registered from here"]
        {
            assert!(page.contains(words), "{words} in {page}");
        }
    }
}
