//! Registries of Apache Curator's x-discovery over a real ZooKeeper: what Curator, Spring Cloud and Dubbo wrote is in
//! DNS, and follows its znodes.

use std::process::Command;

use crate::harness::admin::page;
use crate::harness::app::{Running, free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::kazoo::Kazoo;
use crate::harness::samples::{answers, write_text};
use crate::harness::zk;

fn server(servers: &str, more: &str) -> Running {
    Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\nformat = \"curator\"\nlinger = \"0s\"\n\
         {more}[[zone]]\norigin = \"service.\"\n"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_spring_and_dubbo_registered_is_in_dns_and_follows_its_znodes() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    write_text(&mut kazoo, include_str!("../fixtures/curator/spring.json"));
    write_text(&mut kazoo, include_str!("../fixtures/curator/dubbo.json"));
    write_text(&mut kazoo, include_str!("../fixtures/curator/dubbo-go.json"));
    let server = server(&servers, "");
    // The second instance of payments is out of service.
    answers(server.dns, "SRV _payments._tcp.service", &["0 10 8080 app1.example.com."]).await;
    answers(server.dns, "A demo-provider.service", &["192.0.2.31"]).await;
    answers(server.dns, "SRV _demo-go._tcp.service", &["0 10 20000 192-0-2-34.addr.service."]).await;
    answers(server.dns, "SRV _tri._tcp.demo-provider.service", &["0 10 50051 192-0-2-31.addr.service."]).await;
    // An instance is no service of its own, and what leads to services is none either.
    let id = "c0000000-0000-4000-8000-000000000001";
    assert_eq!(dig(server.dns, &format!("A {id}.payments.service")).status, "NXDOMAIN");
    let services = page(server.admin, "/v1/services");
    assert!(services.contains("\"demo-provider\"") && !services.contains(&format!("\"payments/{id}\"")), "{services}");

    // It comes back as its actuator rewrites the data in place.
    let other = "/services/payments/c0000000-0000-4000-8000-000000000002";
    let (data, _) = kazoo.get(other).expect("the znode");
    let data = String::from_utf8(data).expect("text").replace("OUT_OF_SERVICE", "UP");
    kazoo.set(other, data.as_bytes());
    let both = ["0 10 8080 app1.example.com.", "0 10 8080 app2.example.com."];
    answers(server.dns, "SRV _payments._tcp.service", &both).await;
    // One whose data turn bad goes on with what it said, and one whose data never gave an endpoint is lost.
    kazoo.set(other, b"{");
    kazoo.create("/services/payments/x", br#"{"name":"payments","id":"x","address":"","port":80}"#, true);
    eventually("a doubtful and a lost instance", async || {
        let page = page(server.admin, "/v1/services/payments");
        (page.contains("it is served with what it said before") && page.contains("it has no `address`")).then_some(())
    })
    .await;
    answers(server.dns, "SRV _payments._tcp.service", &both).await;
    kazoo.delete(other);
    answers(server.dns, "SRV _payments._tcp.service", &both[..1]).await;
    kazoo.delete(&format!("/services/payments/{id}"));
    answers(server.dns, "SRV _payments._tcp.service", &[]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_of_any_depth_and_their_paths_are_explained() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    write_text(&mut kazoo, include_str!("../fixtures/curator/plain.json"));
    write_text(&mut kazoo, include_str!("../fixtures/curator/others.json"));
    let server = server(&servers, "root = \"/\"\n");
    let orders = ["192.0.2.11", "192.0.2.13", "192.0.2.14", "192.0.2.15", "192.0.2.16"];
    answers(server.dns, "A orders.discovery.service +tcp", &orders).await;
    answers(server.dns, "SRV _servers._tcp.services.oozie.service", &["0 10 11000 192-0-2-111.addr.service."]).await;
    answers(server.dns, "A hazelcast.hazelcast.discovery.service", &["192.0.2.114"]).await;
    answers(server.dns, "A billing.discovery.service", &[]).await;
    let explained = page(server.admin, "/v1/explain?name=billing.discovery.service");
    assert!(explained.contains("192.0.2.21:9000") && explained.contains("drain"), "{explained}");
    let explained = page(server.admin, "/v1/explain?name=/discovery/billing/b1");
    assert!(explained.contains("192.0.2.21:9000"), "{explained}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_into_a_registry_that_is_only_read() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    write_text(&mut kazoo, include_str!("../fixtures/curator/spring.json"));
    let file = scratch("curator.toml");
    let registry =
        format!("[registry.main]\nzookeeper = \"{servers}\"\nformat = \"curator\"\n[[zone]]\norigin = \"service.\"\n");
    let nerve = registry.replace("curator", "nerve");
    std::fs::write(&file, format!("{nerve}[[service]]\nname = \"api\"\nport = 80\n")).expect("a file");
    let checked = Command::new(env!("CARGO_BIN_EXE_zonekeeper"))
        .args(["check", "--config", &file.to_string_lossy()])
        .output()
        .expect("the binary");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
    assert!(said.contains("services cannot be registered in the format \"nerve\""), "{said}");
    std::fs::write(&file, format!("{registry}[dns]\nlisten = [\"127.0.0.1:{}\"]\n", free_port())).expect("a file");
    let arguments = ["drain", "payments", "--config", &file.to_string_lossy()];
    let drained = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(arguments).output().expect("the binary");
    let said = String::from_utf8_lossy(&drained.stderr).into_owned();
    assert!(!drained.status.success() && said.contains("is read as \"curator\", which has no drain flags"), "{said}");
    assert_eq!(kazoo.get("/services/payments").expect("the znode").0, b"");
}
