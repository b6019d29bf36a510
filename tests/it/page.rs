//! The pages of the admin server in a browser.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::app::{Running, scratch};
use crate::harness::browser::Browser;
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::kazoo::Kazoo;
use crate::harness::zk;

/// A server of a registry that is a tree in a file.
fn over_tree(path: &Path) -> Running {
    Running::start(&format!("[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n", path.display()))
}

/// Head and body of what a browser gets at `path`, in one piece.
fn fetched(admin: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(admin).expect("the admin server");
    let accept = "Accept: text/html,application/json;q=0.9";
    write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n{accept}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// Waits until the registry is read.
async fn ready(server: &Running) {
    eventually("a ready server", async || fetched(server.admin, "/readyz").0.starts_with("HTTP/1.0 200").then_some(()))
        .await;
}

/// A registry of 3,000 services in 30 parts, 40 of which have a znode that cannot be served.
fn large() -> std::path::PathBuf {
    let mut tree = "/services\n".to_owned();
    for part in 0..30 {
        let _ = writeln!(tree, "  /team{part}");
        for service in 0..100 {
            let _ = writeln!(tree, "    /svc_{part}_{service}\n      /providers");
            for instance in 0..(part * 7 + service) % 4 {
                let _ = writeln!(tree, "        /10.{part}.{service}.{}:8080", instance + 1);
                if service % 25 == 3 {
                    let _ = writeln!(tree, "          state = 'drain'");
                }
            }
            if part < 4 && service % 10 == 0 {
                let _ = writeln!(tree, "        /<i>garbage{service}");
            }
        }
    }
    let path = scratch("large.tree");
    std::fs::write(&path, tree).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_what_is_drained_and_runs_nothing_of_what_a_registry_says() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    let hostile = r#"<script>document.title="taken"</script><img src=x onerror='document.title="taken"'>"#;
    let flag = serde_json::json!({ "drain": [{ "instance": "10.0.0.2:80", "reason": hostile }] });
    kazoo.create("/services/api_x", flag.to_string().as_bytes(), false);
    for name in ["10.0.0.1:80", "10.0.0.2:80", "<b>bold<\u{200b}"] {
        kazoo.create(&format!("/services/api_x/providers/{name}"), b"{}", true);
    }
    kazoo.create("/services/a?b#c%20 d/providers/10.0.0.3:80", b"{}", true);
    let server = Running::over_zookeeper(&servers, "");
    eventually("the answer without the drained instance", async || {
        (dig(server.dns, "A api_x.service").data() == ["10.0.0.1"]).then_some(())
    })
    .await;
    let mut browser = Browser::start();
    for path in ["/", "/services/api_x", "/explain?name=api_x.service&type=A", "/events"] {
        browser.go(&format!("http://{}{path}", server.admin));
        let strange =
            "document.querySelectorAll('script:not([src]), main img, main b:not(.legend b), [onerror]').length";
        assert_eq!(browser.value(strange), 0, "{path}");
        assert_ne!(browser.value("document.title"), "taken", "{path}");
        let text = browser.value("document.body.innerText");
        assert!(path == "/events" || text.as_str().unwrap().contains("<script>document.title"), "{path}: {text}");
    }
    browser.go(&format!("http://{}/", server.admin));
    // It is registered last, and comes by itself.
    browser.until("document.getElementById('list').innerText.includes('a?b#c%20 d')");
    browser
        .value("[...document.querySelectorAll('#list a')].find((a) => a.textContent.includes('a?b#c%20 d')).click()");
    browser.until(
        "document.querySelector('h1').textContent === 'a?b#c%20 d' && document.body.innerText.includes('10.0.0.3:80')",
    );
    assert_eq!(browser.errors(), [""; 0]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_appears_within_a_second_without_a_reload() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api_x/providers/10.0.0.1:80", b"{}", true);
    kazoo.create("/services/shop/providers/10.0.1.1:80", b"{}", true);
    let server = Running::over_zookeeper(&servers, "");
    ready(&server).await;
    let mut browser = Browser::start();
    browser.go(&format!("http://{}/", server.admin));
    browser.value("window.stays = true");
    browser.until("document.getElementById('live').textContent === 'live'");
    let row = |service: &str| {
        format!(
            "[...document.querySelectorAll('#list tbody tr')].find((row) => row.querySelector('a').textContent === '{service}')"
        )
    };
    let number = |service: &str| format!("{}?.querySelector('[data-label=\"In DNS\"]').textContent", row(service));
    let mut quickest = Duration::MAX;
    for instance in 2..=6 {
        tokio::time::sleep(Duration::from_millis(600)).await;
        kazoo.create(&format!("/services/api_x/providers/10.0.0.{instance}:80"), b"{}", true);
        let begun = Instant::now();
        browser.until(&format!("{} === '{instance}'", number("api_x")));
        quickest = quickest.min(begun.elapsed());
    }
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    kazoo.create("/services/fresh/providers/10.0.2.1:80", b"{}", true);
    browser.until(&format!("{} === '1'", number("fresh")));
    browser.until("document.getElementById('news').textContent.includes('fresh')");
    browser.until("document.getElementById('changes').innerText.includes('10.0.2.1:80 added')");
    kazoo.set("/services/shop", br#"{"drain": [{"reason": "new disk"}]}"#);
    browser.until(&format!("{}?.innerText.includes('drained')", row("shop")));
    browser.until("document.getElementById('drains').innerText.includes('new disk')");
    // A search as it is typed, kept while things change.
    browser.value("document.getElementById('q').focus()");
    browser.write("api");
    browser.until("document.querySelectorAll('#list tbody tr').length === 1");
    assert_eq!(browser.value("location.search"), "?q=api");
    kazoo.delete("/services/api_x/providers/10.0.0.6:80");
    browser.until(&format!("{} === '5'", number("api_x")));
    assert_eq!(
        browser.value("[document.querySelectorAll('#list tbody tr').length, document.activeElement.id]"),
        serde_json::json!([1, "q"])
    );
    assert_eq!(browser.value("window.stays"), true, "it is the same document");
    // The page of the service follows as well, and says what left.
    browser.go(&format!("http://{}/services/api_x", server.admin));
    browser.until("document.getElementById('live').textContent === 'live'");
    browser.value("window.stays = true; document.querySelector('#instances details').open = true");
    kazoo.delete("/services/api_x/providers/10.0.0.5:80");
    browser.until("document.getElementById('changes').innerText.includes('10.0.0.5:80 gone, its znode was deleted')");
    assert!(browser.value("document.getElementById('instances').innerText.includes('10.0.0.5')") == false);
    let kept = "[window.stays, document.querySelector('#instances details').open, document.querySelectorAll('code[data-copy] + button').length > 4]";
    assert_eq!(browser.value(kept), serde_json::json!([true, true, true]));
    assert_eq!(browser.errors(), [""; 0]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_work_without_scripts() {
    let tree = large();
    let server = over_tree(&tree);
    ready(&server).await;
    let mut browser = Browser::start();
    browser.tell("Emulation.setScriptExecutionDisabled", &serde_json::json!({"value": true}));
    browser.go(&format!("http://{}/", server.admin));
    let rows = "[...document.querySelectorAll('#list tbody a')].map((a) => a.textContent)";
    let first = browser.value(rows);
    assert_eq!(first.as_array().map(Vec::len), Some(50));
    browser.value("document.querySelector('#list a[rel=next]').click()");
    browser.until("document.querySelector('.pages')?.textContent.includes('51–100 of 3,000')");
    assert_ne!(browser.value(rows), first);
    browser.value("document.getElementById('q').value = 'svc_29_99'; document.querySelector('#search button').click()");
    browser.until("location.search === '?q=svc_29_99' && document.readyState === 'complete'");
    assert_eq!(browser.value(rows), serde_json::json!(["team29/svc_29_99"]));
    browser.value("[...document.querySelectorAll('footer a')].at(-1).click()");
    browser.until("document.querySelector('meta[http-equiv=refresh]')?.content === '5'");
    assert_eq!(browser.value("location.search"), "?q=svc_29_99&refresh=5");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_no_barrier_on_any_width_in_either_palette() {
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&pictures).unwrap();
    let dev = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones/dev.tree");
    // The page that is not there says so whenever it is loaded, also as the next one is opened.
    let is_expected = |error: &String| error.contains("404") && error.contains("/services/serch");
    let mut browser = Browser::start();
    for (tree, kind) in [(dev, "dev"), (large(), "large")] {
        let server = over_tree(&tree);
        ready(&server).await;
        let (name, of) =
            if kind == "dev" { ("search", "search.service") } else { ("team1/svc_1_0", "svc_1_0.team1.service") };
        let pages = [
            ("front", "/".to_owned()),
            ("lost", "/?state=lost".to_owned()),
            ("service", format!("/services/{name}")),
            ("changes", "/events".to_owned()),
            ("explain", format!("/explain?name={of}&type=SRV")),
            ("unknown", "/services/serch".to_owned()),
        ];
        for (width, is_dark) in [(1280, false), (1280, true), (360, false), (360, true)] {
            browser.view(width, 1400, is_dark);
            for (page, path) in &pages {
                let seen = format!("{page}-{kind}-{width}-{}", if is_dark { "dark" } else { "light" });
                browser.go(&format!("http://{}{path}", server.admin));
                browser.until("document.getElementById('live').textContent === 'live'");
                assert_eq!(browser.value("document.documentElement.scrollWidth"), width, "{seen}");
                assert_eq!(browser.barriers(), [""; 0], "{seen}");
                browser.picture(&pictures.join(format!("{seen}.png")));
                let errors = browser.errors();
                assert!(errors.iter().all(is_expected), "{seen}: {errors:?}");
            }
        }
        // The first that the keyboard reaches leads past the navigation.
        browser.go(&format!("http://{}/", server.admin));
        browser.press("Tab", 9);
        assert_eq!(browser.value("document.activeElement.getAttribute('href')"), "#main");
        assert_eq!(browser.value("getComputedStyle(document.activeElement).outlineStyle"), "solid");
        // A page whose server ends would complain.
        browser.go("about:blank");
        let errors = browser.errors();
        assert!(errors.iter().all(is_expected), "{errors:?}");
        server.stop().await;
    }
}

/// The text of each element with this opening, without tags.
fn texts(page: &str, opening: &str) -> Vec<String> {
    let rest = page.split(opening).skip(1);
    let text = |piece: &str| {
        let inner = piece.split("</t").next().unwrap_or_default();
        let text: String =
            format!(">{inner}").split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
        text.trim_start_matches('>').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace(',', "")
    };
    rest.map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_what_the_json_says() {
    let tree = large();
    let server = over_tree(&tree);
    ready(&server).await;
    let json = |path: &str| serde_json::from_str::<Value>(&fetched(server.admin, path).1).unwrap();
    let mut seen = 0;
    for state in ["", "empty", "drained", "lost", "doubtful"] {
        let filter = if state.is_empty() { String::new() } else { format!("state={state}&") };
        let url = format!("/v1/services?{filter}fields=path,in,out,names");
        let expected: BTreeSet<_> = json(&url)["services"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["path"].as_str().unwrap().to_owned(), one["in"].to_string(), one["out"].to_string()))
            .collect();
        let mut shown = BTreeSet::new();
        for number in 1..=expected.len().div_ceil(50).max(1) {
            let page = fetched(server.admin, &format!("/?{filter}page={number}")).1;
            let list = page.split("id=\"list\"").nth(1).unwrap().split("</section>").next().unwrap();
            let column = |opening| texts(list, opening);
            let (names, serving) = (column("data-label=\"Service\""), column("data-label=\"In DNS\""));
            let rows = names.into_iter().zip(serving).zip(column("data-label=\"Out\""));
            shown.extend(rows.map(|((name, serving), out)| (name, serving, out)));
        }
        assert_eq!(shown, expected, "{state}");
        seen += shown.len();
    }
    assert!(seen > 3_000);
    let (status, page) = (json("/v1/status"), fetched(server.admin, "/").1);
    let registry = &status["registries"][0];
    let tiles: Vec<String> =
        page.split("<dd").skip(1).take(5).map(|one| one.split(['>', '<']).nth(1).unwrap().replace(',', "")).collect();
    let expected = ["services", "instances_in", "instances_out", "lost_total", "doubtful_total"];
    assert_eq!(tiles, expected.map(|key| registry[key].to_string()), "{registry}");
    let sentence = status["wrong"][0].as_str().unwrap().replace('<', "&lt;").replace('>', "&gt;");
    assert!(page.contains(&sentence), "{sentence}");
    let one = json("/v1/services/team1/svc_1_0");
    let service = if one["services"].is_array() { &one["services"][0] } else { &one };
    let (format, pattern) = (service["format"].as_str().unwrap(), service["pattern"].as_str().unwrap());
    let page = fetched(server.admin, "/services/team1/svc_1_0").1;
    assert!(page.contains(&format!("<dt>Read as</dt><dd>{format}: {pattern}</dd>")), "{service}");
    let events = json("/v1/events?since=1h");
    let page = fetched(server.admin, "/events").1;
    let shown = texts(&page, "data-label=\"What happened\"");
    let told: Vec<_> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|event| event["text"].as_str().unwrap().replace(',', ""))
        .collect();
    assert_eq!(shown, told);
    let (service, page) = (json("/v1/services/team0/svc_0_3"), fetched(server.admin, "/services/team0/svc_0_3").1);
    for instance in service["instances"].as_array().unwrap() {
        let name = instance["name"].as_str().unwrap().replace('.', ".<wbr>").replace(':', ":<wbr>");
        assert!(
            page.contains(&name) && page.contains(&instance["reason"].as_str().unwrap().replace('"', "&quot;")),
            "{instance}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_nobody_knows_is_not_found_and_others_are_offered() {
    let dev = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones/dev.tree");
    let server = over_tree(&dev);
    ready(&server).await;
    for (asked, offered) in
        [("apx_x", "api_x"), ("memcach", "staging/uswest2/memcache"), ("staging/memcache", "staging/uswest2/memcache")]
    {
        let (head, page) = fetched(server.admin, &format!("/services/{asked}"));
        assert!(head.starts_with("HTTP/1.0 404"), "{head}");
        assert!(page.contains(&format!("href=\"/services/{offered}\"")), "{asked}: {page}");
    }
    for path in ["/services/api_x", "/services/api_x.service", "/services?path=/services/api_x", "/services?path=api_x"]
    {
        let (head, page) = fetched(server.admin, path);
        assert!(head.starts_with("HTTP/1.0 200") && page.contains("dig @127.0.0.1 -p"), "{path}: {head}");
        assert!(!page.contains("onclick") && !page.contains("style="), "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_may_ask_nobody_else_and_bad_questions_are_refused() {
    let dev = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones/dev.tree");
    let server = over_tree(&dev);
    ready(&server).await;
    let pages =
        ["/?refresh=30", "/services/api_x", "/services/staging/uswest2/memcache", "/events", "/explain?name=api_x"];
    for path in pages.into_iter().chain(["/services/nobody"]) {
        let (head, page) = fetched(server.admin, path);
        for header in [
            "content-type: text/html; charset=utf-8",
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
        ] {
            assert!(head.contains(header), "{path}: {head}");
        }
        for file in page.split("src=\"").chain(page.split("rel=\"stylesheet\" href=\"")).skip(1) {
            let file = file.split('"').next().unwrap();
            if file.starts_with('/') {
                assert!(fetched(server.admin, file).0.starts_with("HTTP/1.0 200"), "{file}");
            }
        }
    }
    for bad in [
        "/?refresh=0",
        "/?refresh=soon",
        "/?reload=5",
        "/?page=0",
        "/?state=well",
        "/events?before=x",
        "/explain?name=a..b",
    ] {
        assert!(fetched(server.admin, bad).0.starts_with("HTTP/1.0 400"), "{bad}");
    }
    assert!(fetched(server.admin, "/?registry=other").0.starts_with("HTTP/1.0 404"));
    server.stop().await;
}
