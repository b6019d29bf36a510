//! Targets for Prometheus, by a real one (Debian's package) that follows `/v1/prometheus`.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;

use crate::agent::{blocking, registry, through, until};
use crate::harness::admin::page;
use crate::harness::app::{Binary, Running, free_port, scratch};
use crate::harness::consumer::Consumer;
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;
use crate::harness::{eventually, zk};

/// The labels of the targets that Prometheus has found, before relabelling, by address.
fn found(prometheus: SocketAddr) -> Option<Vec<(String, Value)>> {
    std::net::TcpStream::connect(prometheus).ok()?;
    let page = page(prometheus, "/api/v1/targets?state=any");
    let (_, body) = page.split_once("\r\n\r\n")?;
    // It may be in chunks.
    let json: Value = serde_json::from_str(body.get(body.find('{')?..=body.rfind('}')?)?).ok()?;
    let mut targets: Vec<_> = json["data"]["activeTargets"]
        .as_array()?
        .iter()
        .map(|target| {
            (target["discoveredLabels"]["__address__"].as_str().unwrap().to_owned(), target["discoveredLabels"].clone())
        })
        .collect();
    targets.sort_by(|one, other| one.0.cmp(&other.0));
    Some(targets)
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_follows_the_registry_and_keeps_its_targets_while_it_is_not_known() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let proxy = Proxy::start(servers.split_once('/').unwrap().0.parse().unwrap());
        kazoo.create(
            "/services/api/providers/192.0.2.1:80",
            br#"{"tags": ["blue", "v1"], "ports": {"metrics": 9100}, "team": "x"}"#,
            true,
        );
        kazoo.create("/services/api/providers/192.0.2.2:80", b"{}", true);
        kazoo.create("/services/api/providers/192.0.2.3:80", br#"{"state": "drain"}"#, true);
        let [admin, dns, prometheus] = [(); 3].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        let path = scratch("zonekeeper.toml");
        let text = registry(&through(&proxy, &servers))
            + &format!(
                "max_stale = \"3s\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"{dns}\"]\n[admin]\nlisten = \"{admin}\"\n"
            );
        std::fs::write(&path, text).expect("a configuration");
        let mut ours = Binary::run(&["serve", "--config", &path.to_string_lossy()]);
        until("the list", || {
            std::net::TcpStream::connect(admin).ok()?;
            page(admin, "/v1/prometheus").contains("200 OK").then_some(())
        });

        let config = scratch("prometheus.yml");
        let job = |name: &str, query: &str| {
            format!(
                "- job_name: {name}\n  scrape_interval: 1h\n  http_sd_configs:\n  - url: http://{admin}/v1/prometheus{query}\n    refresh_interval: 200ms\n"
            )
        };
        std::fs::write(&config, format!("scrape_configs:\n{}", job("all", ""))).expect("a configuration");
        let log = Consumer::start(
            "/usr/bin/prometheus",
            "prometheus",
            &[
                &format!("--config.file={}", config.display()),
                &format!("--storage.tsdb.path={}", scratch("data").display()),
                &format!("--web.listen-address={prometheus}"),
            ],
        );
        let addresses = || Some(found(prometheus)?.into_iter().map(|(address, _)| address).collect::<Vec<_>>());
        let are = |wanted: &[&str]| {
            until(&format!("{wanted:?}\n{}", log.log()), || (addresses()? == wanted).then_some(()));
        };
        are(&["192.0.2.1:80", "192.0.2.2:80"]);
        let labels = &found(prometheus).unwrap()[0].1;
        for (label, value) in [
            ("__meta_zonekeeper_registry", "main"),
            ("__meta_zonekeeper_service", "api"),
            ("__meta_zonekeeper_instance", "192.0.2.1:80"),
            ("__meta_zonekeeper_tags", ",blue,v1,"),
            ("__meta_zonekeeper_stale", "false"),
            ("__meta_zonekeeper_metadata_team", "x"),
        ] {
            assert_eq!(labels[label], value, "{label}: {labels}");
        }
        let metrics = page(admin, "/v1/prometheus?port=metrics&prefix=ap&registry=main");
        assert!(metrics.contains("\"192.0.2.1:9100\"") && !metrics.contains("192.0.2.2"), "{metrics}");
        assert!(page(admin, "/v1/prometheus?prefix=other").contains("[\n\n]\n"));
        assert!(page(admin, "/v1/prometheus?registry=other").starts_with("HTTP/1.1 404"));
        assert!(page(admin, "/v1/prometheus?prot=x").starts_with("HTTP/1.1 400"));

        kazoo.delete("/services/api/providers/192.0.2.1:80");
        are(&["192.0.2.2:80"]);

        // The last known ones, and said so; then no list, and Prometheus keeps what it has.
        proxy.cut();
        until("stale", || {
            let labels = found(prometheus)?.into_iter().next()?.1;
            (labels["__meta_zonekeeper_stale"] == "true").then_some(())
        });
        until("too old", || page(admin, "/v1/prometheus").starts_with("HTTP/1.1 503").then_some(()));
        std::thread::sleep(std::time::Duration::from_secs(1));
        are(&["192.0.2.2:80"]);
        proxy.heal();
        until("the list again", || page(admin, "/v1/prometheus").contains("\"false\"").then_some(()));
        ours.signal("TERM");
        assert!(ours.wait().success());
    })
    .await;
}

/// An answer of 503 has Prometheus keep the targets it has, those that are held back among them.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_list_while_the_guard_holds_losses_back_but_one_of_services_that_lost_nothing() {
    let servers = zk::shared().namespace().await;
    let (mut kazoo, mut dying) = (Kazoo::connect(&servers), Kazoo::connect(&servers));
    for service in ["api", "web"] {
        dying.create(&format!("/services/{service}/providers/10.0.0.1:80"), b"{}", true);
        kazoo.create(&format!("/services/{service}/providers/10.0.0.2:80"), b"{}", false);
    }
    kazoo.create("/services/db/providers/10.0.0.3:80", b"{}", false);
    let server = Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nguard = {{ percent = 30, hold = \"4s\" }}\n[[zone]]\norigin = \"service.\"\n"
    ));
    let list = async |query: &str| {
        let (admin, path) = (server.admin, format!("/v1/prometheus{query}"));
        tokio::task::spawn_blocking(move || page(admin, &path)).await.expect("no panic")
    };
    let with = async |targets: usize| {
        eventually(&format!("{targets} targets"), async || {
            let list = list("").await;
            (list.starts_with("HTTP/1.1 200") && list.matches("\"targets\"").count() == targets).then_some(())
        })
        .await;
    };
    with(5).await;
    drop(dying);
    let refused =
        eventually("a refusal", async || Some(list("").await).filter(|it| !it.starts_with("HTTP/1.1 200"))).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("the guard of the registry `main`"), "{refused}");
    assert!(list("?prefix=API").await.starts_with("HTTP/1.1 503"));
    assert!(list("?prefix=db").await.contains("\"10.0.0.3:80\""));
    // It lets them through when its time is over.
    with(3).await;
    server.stop().await;
}
