//! The first page over the moment that the tests of all renderings share.

use std::time::{Duration, UNIX_EPOCH};

use super::front::Front;
use super::list::{ListQuestion, ServiceList};
use super::shell::{Frame, Heading};
use crate::admin::explain::ServerJson;
use crate::admin::snapshot::Snapshot;
use crate::admin::sources::Sources;
use crate::admin::tests::sample;
use crate::model::{Drain, Malformed};

fn page(snapshot: &Snapshot, is_ready: bool, query: &str) -> String {
    let sources = Sources::default();
    let server = ServerJson { host: "dns1".into(), admin: "127.0.0.1:5380".into(), version: "0.0.0", pid: 7 };
    let question = ListQuestion::read(Some(query)).ok().unwrap();
    let list = ServiceList::take(&sources, &question).ok().unwrap();
    let endpoints = &[("/metrics", "for Prometheus"), ("/v1/services/{path}", "one service")];
    let front = Front { sources: &sources, snapshot, question: &question, list: &list, samples: &[], endpoints };
    let (url, refresh) = (question.url(), question.refresh);
    Frame { server: &server, snapshot, is_ready, heading: Heading::Overview, url, refresh }.page(&front.body())
}

/// The words of a page, each after a space.
fn words(page: &str) -> String {
    let mut text = String::new();
    for piece in page.split('<') {
        let words = piece.split_once('>').map_or(piece, |(_, words)| words);
        let is_glued = piece.starts_with("wbr>") || piece.starts_with("span") || piece.starts_with("/span");
        if !is_glued {
            text.push(' ');
        }
        text.push_str(words);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_not_as_it_should_be_is_said() {
    let page = page(&sample(), false, "");
    let text = words(&page);
    for shown in [
        "<title>dns1 · zonekeeper</title>",
        r#"<p class="banner bad" role="status">"#,
        r#"<td data-label="Exact" class="bad">never yet</td>"#,
        r#"<span class="badge bad">offline</span> for 1s"#,
        r#"<a href="/metrics"><code>/metrics</code></a>"#,
        "<dt><code>/v1/services/{path}</code></dt>",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    for shown in [
        "Not ready.",
        "cache file: No space left on device",
        "service.zone:3:1: oops",
        "the RRset &lt;a&gt; is too large",
        "api 10.0.0.1:80 2023-11-14T22:13:20Z disk alice@web7",
        "and 1,300 more: zonekeeper drain --list",
        "30 instances of 2 services of main are gone and still in DNS, for 4m 0s more:",
        "blocked a persistent znode is in its place; delete it if nobody needs it",
        "unhealthy for 8s, flapping refused",
        "1,200 lost znodes Not served.",
        "/services/a/providers/x it has no port",
        "700 doubtful znodes",
        "ns.service. /services/ns",
        "A newer one was rejected",
        "zonekeeper.toml:3:1: error: oops",
        "Waits for a restart: [registry], [dns] listen",
        "No service is registered yet.",
    ] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words} in {text}"));
    let order = ["lost znodes", "doubtful znodes", "clashing names", "Others", "Find a service"];
    let places: Vec<_> = order.iter().map(|words| place(words)).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(place("10.0.0.2:80 blocked") < place("providers/10.0.0.1:80 registered"), "what is wrong comes first");
}

#[test]
fn what_a_registry_says_is_never_taken_for_the_page() {
    let mut snapshot = sample();
    let hostile = "</td><script>alert(\"1\")</script>&amp;\u{202e}";
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
    let page = page(&snapshot, true, "q=%3Cscript%3E%22");
    assert_eq!(page.matches("<script").count(), 1, "the page's own: {page}");
    assert!(!page.contains('\u{202e}'), "what turns the direction of writing around is written out");
    assert!(page.contains(r#"value="&lt;script&gt;&quot;""#), "{page}");
    let escaped = "script&gt;alert(&quot;1&quot;)&lt;/";
    assert!(page.matches(escaped).count() > 10, "{page}");
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
    let page = page(&nothing, true, "refresh=5");
    assert!(page.contains(r#"<meta http-equiv="refresh" content="5">"#), "{page}");
    let text = words(&page);
    for shown in
        ["All is well.", "No registry is mirrored.", "No zone is served.", "Nothing is registered from this host."]
    {
        assert!(text.contains(shown), "{shown} in {text}");
    }
}
