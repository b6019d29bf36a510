//! The admin page in a browser: Chromium without a window, which runs whatever script it is given.

use std::process::Stdio;
use std::time::Duration;

use crate::harness::app::{Running, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::kazoo::Kazoo;
use crate::harness::zk;

/// The document at `url` as it stands when the browser is done with it.
async fn browsed(url: &str) -> String {
    let profile = scratch("browser");
    let mut browser = tokio::process::Command::new("chromium");
    browser.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
    ]);
    browser.arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
    browser.arg(format!("--user-data-dir={}", profile.display())).arg("--dump-dom").arg(url);
    browser.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), browser.output()).await.expect("a browser that ends");
    let output = output.expect("`chromium`, of the Debian package chromium");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_what_is_drained_and_runs_nothing_of_what_a_registry_says() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    let hostile = r#"<script>document.title="taken"</script><img src=x onerror='document.title="taken"'>"#;
    let flag = serde_json::json!({ "drain": [{ "instance": "10.0.0.2:80", "reason": hostile }] });
    kazoo.create("/services/api_x", flag.to_string().as_bytes(), false);
    for name in ["10.0.0.1:80", "10.0.0.2:80", "<b>bold</b>"] {
        kazoo.create(&format!("/services/api_x/providers/{name}"), b"{}", true);
    }
    let server = Running::over_zookeeper(&servers, "");
    eventually("the answer without the drained instance", async || {
        (dig(server.dns, "A api_x.service").data() == ["10.0.0.1"]).then_some(())
    })
    .await;
    let page = browsed(&format!("http://{}/", server.admin)).await;
    for shown in ["<title>zonekeeper</title>", "<td>api_x</td>", "10.0.0.2:80", "/providers/&lt;b&gt;bold&lt;/b&gt;"] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"), "{page}");
    let explained = browsed(&format!("http://{}/v1/explain?name=api_x.service&type=A", server.admin)).await;
    assert!(explained.contains("OUT  drained by an operator: &lt;script&gt;"), "{explained}");
    server.stop().await;
}
