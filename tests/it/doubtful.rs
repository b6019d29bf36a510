//! Instances whose data cannot be read: served, with what they said before as long as it is the same znode, and listed
//! apart from those that are not served.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::admin::{metrics, page};
use crate::harness::app::{Binary, Running, free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::kazoo::Kazoo;
use crate::harness::zk;

const ONE: &str = "/services/api/providers/10.0.0.1:80";
const OTHER: &str = "/services/api/providers/10.0.0.2:80";
const GOOD: &[u8] = br#"{"weight": 50, "tags": ["canary"]}"#;

fn json(server: std::net::SocketAddr, path: &str) -> Value {
    let page = page(server, path);
    let (_, body) = page.split_once("\r\n\r\n").expect("a body");
    // In chunks or not.
    let (begin, end) = (body.find('{').expect("an object"), body.rfind('}').expect("its end"));
    serde_json::from_str(&body[begin..=end]).unwrap_or_else(|error| panic!("{error}: {body}"))
}

async fn answers(dns: std::net::SocketAddr, question: &str, expected: &[&str]) {
    eventually(&format!("{question}: {expected:?}"), async || {
        let mut data: Vec<_> = dig(dns, question).data().iter().map(ToString::to_string).collect();
        data.sort();
        (data == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_data_turn_bad_goes_on_with_what_it_said() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create(ONE, GOOD, false);
    kazoo.create(OTHER, b"{", false);
    kazoo.create("/services/api/providers/nonsense", b"", false);
    let server = Running::over_zookeeper(&servers, "");
    answers(server.dns, "A api.service", &["10.0.0.1", "10.0.0.2"]).await;
    let bad: [&[u8]; 4] = [b"{\"weight\": ", &[0xff, 0xfe, 0], &vec![b'x'; 70_000], b"{\"a\":{\"b\":"];
    for bad in bad {
        kazoo.set(ONE, bad);
        eventually("a doubtful instance", async || {
            (json(server.admin, "/v1/status")["registries"][0]["doubtful_total"] == 2).then_some(())
        })
        .await;
        answers(server.dns, "A canary.api.service", &["10.0.0.1"]).await;
        let srv = dig(server.dns, "SRV _api._tcp.service");
        assert!(srv.data().iter().any(|data| data.starts_with("0 50 80 10-0-0-1.")), "{srv:?}");
        let service = json(server.admin, "/v1/services/api");
        let doubt = service["doubtful"].as_array().expect("a list").iter().find(|one| one["path"] == ONE);
        let reason = doubt.expect("the instance")["reason"].as_str().expect("a reason").to_owned();
        assert!(reason.ends_with("it is served with what it said before"), "{reason}");
        kazoo.set(ONE, GOOD);
        eventually("no doubt about it", async || {
            (json(server.admin, "/v1/status")["registries"][0]["doubtful_total"] == 1).then_some(())
        })
        .await;
    }
    let service = json(server.admin, "/v1/services/api");
    assert!(service["doubtful"][0]["reason"].as_str().expect("a reason").ends_with("it is served with defaults"));
    assert_eq!(service["lost"][0]["path"], "/services/api/providers/nonsense");
    assert_eq!(
        (service["lost"].as_array().map(Vec::len), service["doubtful"].as_array().map(Vec::len)),
        (Some(1), Some(1))
    );

    // Another znode of the same name has said nothing yet.
    kazoo.set(ONE, b"{");
    answers(server.dns, "A canary.api.service", &["10.0.0.1"]).await;
    kazoo.delete(ONE);
    kazoo.create(ONE, b"{", false);
    answers(server.dns, "A canary.api.service", &[]).await;
    answers(server.dns, "A api.service", &["10.0.0.1", "10.0.0.2"]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_may_not_be_read_is_doubtful_and_not_lost() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create(ONE, GOOD, false);
    kazoo.create(OTHER, b"{}", false);
    kazoo.lock(ONE, "team:secret");
    let server = Running::over_zookeeper(&servers, "");
    answers(server.dns, "A api.service", &["10.0.0.1", "10.0.0.2"]).await;
    let service = json(server.admin, "/v1/services/api");
    assert_eq!(service["doubtful"][0]["path"], ONE, "{service}");
    assert_eq!(dig(server.dns, "A canary.api.service").data(), Vec::<&str>::new(), "nobody may know that it has a tag");
    let status = json(server.admin, "/v1/status");
    let registry = &status["registries"][0];
    assert_eq!((&registry["doubtful_total"], &registry["lost_total"]), (&1.into(), &0.into()), "{registry}");
    let count = metrics(server.admin);
    assert_eq!(count("registry_doubtful{registry=\"main\"}"), 1);
    assert_eq!(count("registry_lost{registry=\"main\"}"), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_node_that_turns_bad_loses_no_drain() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api", br#"{"drain":[{"instance":"10.0.0.1:80"}],"ttl":7}"#, false);
    kazoo.create(ONE, b"{}", false);
    kazoo.create(OTHER, b"{}", false);
    let server = Running::over_zookeeper(&servers, "");
    answers(server.dns, "A api.service", &["10.0.0.2"]).await;
    for bad in [b"{\"drain\":".as_slice(), &vec![b'x'; 70_000]] {
        kazoo.set("/services/api", bad);
        eventually("a doubtful node", async || {
            (json(server.admin, "/v1/status")["registries"][0]["doubtful_total"] == 1).then_some(())
        })
        .await;
        assert_eq!(dig(server.dns, "A api.service").data(), ["10.0.0.2"]);
    }
    server.stop().await;
    // What was never read is not known to anybody else, and costs nobody an answer.
    let server = Running::over_zookeeper(&servers, "");
    answers(server.dns, "A api.service", &["10.0.0.1", "10.0.0.2"]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_instance_said_outlives_a_restart_with_a_cache_file() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create(ONE, GOOD, false);
    let (port, admin, cache) = (free_port(), free_port(), scratch("cache"));
    let config = format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\ncache_file = \"{}\"\n[[zone]]\norigin = \"service.\"\n\
         [dns]\nlisten = [\"127.0.0.1:{port}\"]\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n",
        cache.display()
    );
    let dns = ([127, 0, 0, 1], port).into();
    let mut server = Binary::serve(&config);
    eventually("the mirror", async || server.log().contains("the mirror is live").then_some(())).await;
    answers(dns, "A canary.api.service", &["10.0.0.1"]).await;
    kazoo.set(ONE, b"{");
    let doubtful = format!("doubtful: the znode is served all the same path=\"{ONE}\"");
    eventually("a line in the log", async || server.log().contains(&doubtful).then_some(())).await;
    server.signal("TERM");
    assert!(tokio::task::block_in_place(|| server.wait()).success());
    drop(server);
    let server = Binary::serve(&config);
    eventually("the mirror", async || server.log().contains("the mirror is live").then_some(())).await;
    answers(dns, "A canary.api.service", &["10.0.0.1"]).await;
    let explained = explain(Path::new(env!("CARGO_BIN_EXE_zonekeeper")), admin);
    assert!(explained.contains("10.0.0.1:80              IN   "), "{explained}");
    assert!(explained.contains("10.0.0.1:80              doubtful: its data begins like a JSON object"), "{explained}");
    // As soon as it says something again, that holds.
    kazoo.set(ONE, b"{}");
    answers(dns, "A canary.api.service", &[]).await;
}

fn explain(program: &Path, admin: u16) -> String {
    let output = Command::new(program)
        .args(["explain", "canary.api.service", "--admin", &format!("127.0.0.1:{admin}")])
        .output()
        .expect("the binary");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Python's `json` writes NaN for a time that nobody set.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_until_nan_does_not_drain_for_ever_and_is_told() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api", br#"{"drain": [{"instance": "10.0.0.2:80"}]}"#, false);
    kazoo.create(ONE, b"{}", false);
    kazoo.create(OTHER, b"{}", false);
    let server = Running::over_zookeeper(&servers, "");
    answers(server.dns, "A api.service", &["10.0.0.1"]).await;
    for flag in [r#"{"until": NaN}"#, r#"{"instance": NaN}"#, r#"{"until": 1e999, "reason": "x\ud83d"}"#] {
        // The flag beside it holds.
        let data = format!(r#"{{"drain": [{flag}, {{"instance": "10.0.0.2:80", "reason": NaN}}]}}"#);
        kazoo.set("/services/api", data.as_bytes());
        eventually("the doubt", async || {
            let service = json(server.admin, "/v1/services/api");
            let told = service["doubtful"].as_array()?.iter().any(|one| {
                one["path"] == "/services/api"
                    && one["reason"].as_str().is_some_and(|why| why.contains("drains nothing"))
            });
            told.then_some(())
        })
        .await;
        answers(server.dns, "A api.service", &["10.0.0.1"]).await;
        kazoo.set("/services/api", b"{}");
        answers(server.dns, "A api.service", &["10.0.0.1", "10.0.0.2"]).await;
    }
    server.stop().await;
}
