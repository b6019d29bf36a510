//! Registries of other writers over a real ZooKeeper: what they wrote is in DNS, and follows its znodes.

use std::net::SocketAddr;

use crate::harness::admin::page;
use crate::harness::app::{Binary, Running, free_port};
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::kazoo::Kazoo;
use crate::harness::samples::{answers, write_text};
use crate::harness::zk;

fn server(servers: &str, format: &str, more: &str) -> Running {
    Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\nformat = \"{format}\"\nlinger = \"0s\"\n\
         {more}[[zone]]\norigin = \"service.\"\n"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_twitter_common_registered_is_in_dns_and_follows_its_znodes() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    write_text(&mut kazoo, include_str!("../fixtures/conventions/serverset.json"));
    let server = server(&servers, "serverset", "");
    let name = "frontend.prod.web.service.twitter.service";
    let of = |what: &str| format!("SRV {what}{name}");
    let all = ["0 10 31000 192-0-2-41.addr.service.", "0 10 31010 node2.example.com.", "0 10 31020 node3.example.com."];
    answers(server.dns, &of(""), &all).await;
    answers(server.dns, &of("_thrift._tcp."), &["0 10 31001 192-0-2-41.addr.service."]).await;
    answers(server.dns, &of("shard-1."), &all[1..2]).await;
    // Nobody has looked up the third: its addresses are registered.
    let explained = page(server.admin, &format!("/v1/explain?name={name}&type=AAAA"));
    assert!(explained.contains("node3.example.com is registered with 2 addresses"), "{explained}");
    answers(server.dns, &format!("AAAA {name}"), &["2001:db8::43"]).await;

    // Vectors weigh members while they are there, and are no services.
    let vector = "/twitter/service/web/prod/frontend/vector_0000000003";
    let half = br#"{"vector":[{"select":"member=member_0000000000","weight":0.5,"priority":1},{"select":"shard=1","weight":2.0}]}"#;
    kazoo.create(vector, half, false);
    let weighed =
        ["0 100 31020 node3.example.com.", "0 200 31010 node2.example.com.", "0 50 31000 192-0-2-41.addr.service."];
    answers(server.dns, &of(""), &weighed).await;
    let explained = page(server.admin, &format!("/v1/explain?name={name}"));
    assert!(explained.contains("weight 50 (vector_0000000003)"), "{explained}");
    assert_eq!(dig(server.dns, &format!("SRV vector_0000000003.{name}")).status, "NXDOMAIN");
    kazoo.delete(vector);
    answers(server.dns, &of(""), &all).await;

    // A member that stops leaves, one of which nothing can be read hurts no other, and what is no member is none.
    let path = "/twitter/service/web/prod/frontend/member_000000000";
    let (data, _) = kazoo.get(&format!("{path}0")).expect("the znode");
    let data = String::from_utf8(data).expect("text").replace("ALIVE", "STOPPING");
    kazoo.set(&format!("{path}0"), data.as_bytes());
    kazoo.create(&format!("{path}9"), b"\x0c\0\x01\x0b\0\x01\0\0\0\x01a\x08\0\x02\0\0\0\x50\0\0", true);
    kazoo.create("/twitter/service/web/prod/frontend/lock", b"{", true);
    answers(server.dns, &of(""), &all[1..]).await;
    let service = page(server.admin, "/v1/services/twitter/service/web/prod/frontend");
    assert!(service.contains("binary Thrift"), "{service}");
    kazoo.delete(&format!("{path}1"));
    answers(server.dns, &of(""), &all[2..]).await;
    kazoo.delete(&format!("{path}2"));
    answers(server.dns, &of(""), &[]).await;
    assert_eq!(dig(server.dns, &format!("A {name}")).status, "NOERROR", "the service is there");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nerve_registered_is_in_dns_and_follows_its_znodes() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    write_text(&mut kazoo, include_str!("../fixtures/conventions/nerve.json"));
    let server = server(&servers, "nerve", "");
    let all = ["0 10 3000 192-0-2-102.addr.service.", "0 5 3000 192-0-2-101.addr.service."];
    answers(server.dns, "SRV search.service", &all).await;
    answers(server.dns, "A az-a.search.service", &["192.0.2.101"]).await;
    assert_eq!(dig(server.dns, "A services.service").status, "NXDOMAIN", "it is no part of the names");

    // One of the same host and port in a name, after a restart and before the old session ends, is the same instance.
    let json = r#"{"host":"192.0.2.102","port":3000,"name":"i-0abd","haproxy_server_options":"backup"}"#;
    let text = data_encoding::BASE64URL.encode(json.as_bytes());
    let path = "/nerve/services/search/services";
    kazoo.create(&format!("{path}/base64_{}_{text}_0000000044", text.len()), b"", true);
    kazoo.create(&format!("{path}/i-0abe_0000000045"), b"{", true);
    let both = [all[1], "1 10 3000 192-0-2-102.addr.service."];
    answers(server.dns, "SRV search.service", &both).await;
    kazoo.delete(&format!("{path}/i-0abd_0000000043"));
    kazoo.delete(&format!("{path}/i-0abc_0000000042"));
    answers(server.dns, "SRV _search._tcp.service", &both[1..]).await;
    let service = page(server.admin, "/v1/services/search");
    assert!(service.contains("begins like a JSON object and is none"), "{service}");
    let explained = page(server.admin, "/v1/explain?name=search.service&type=SRV");
    assert!(explained.contains("192.0.2.102:3000"), "{explained}");
    kazoo.delete(&format!("{path}/base64_{}_{text}_0000000044", text.len()));
    answers(server.dns, "SRV search.service", &[]).await;
    assert_eq!(dig(server.dns, "A search.service").status, "NOERROR", "the service is there");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dubbo_registered_is_in_dns_by_all_its_names_and_follows_overrides_at_once() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    write_text(&mut kazoo, include_str!("../fixtures/conventions/dubbo-interface.json"));
    write_text(&mut kazoo, include_str!("../fixtures/conventions/dubbo-python.json"));
    let server = server(&servers, "dubbo", "");
    let both = ["0 200 20880 192-0-2-31.addr.service.", "0 200 50051 192-0-2-31.addr.service."];
    for name in ["com.acme.FooService", "FooService.acme.com", "com-acme-fooservice", "com\\.acme\\.FooService"] {
        answers(server.dns, &format!("SRV {name}.service"), &both).await;
        answers(server.dns, &format!("SRV 1-0-0.{name}.service"), &both[..1]).await;
        answers(server.dns, &format!("SRV blue.1-0-0.{name}.service"), &both[..1]).await;
        answers(server.dns, &format!("SRV _tri._tcp.{name}.service"), &both[1..]).await;
    }
    answers(server.dns, "SRV org.example.demo.Greeter.service", &["0 100 50051 127-0-0-1.addr.service."]).await;
    for name in ["metadata", "config", "providers", "consumers"] {
        assert_eq!(dig(server.dns, &format!("A {name}.service")).status, "NXDOMAIN", "{name}");
    }
    assert_eq!(dig(server.dns, "A FooService.service").data(), [""; 0], "there is no bare name of a class");
    for name in ["com.acme.FooService", "FooService.acme.com", "com-acme-fooservice", "1-0-0.com.acme.FooService"] {
        let explained = page(server.admin, &format!("/v1/explain?name={}.service&type=SRV", name.to_lowercase()));
        assert!(explained.contains("192.0.2.31:20880") && explained.contains("192.0.2.33:20880"), "{explained}");
    }
    let services = page(server.admin, "/v1/services");
    assert!(services.contains("\"com.acme.fooservice.service.\""), "{services}");

    // The override is taken back, another comes, and YAML about the application.
    let path = "/dubbo/com.acme.FooService/configurators/override%3A%2F%2F";
    let query = "%2Fcom.acme.FooService%3Fcategory%3Dconfigurators%26dis\
                 abled%3Dtrue%26dynamic%3Dfalse%26enabled%3Dtrue";
    kazoo.delete(&format!("{path}192.0.2.33%3A20880{query}"));
    let third = "0 200 20880 192-0-2-33.addr.service.";
    answers(server.dns, "SRV com.acme.FooService.service", &[both[0], third, both[1]]).await;
    kazoo.create(&format!("{path}0.0.0.0%3A20880{query}"), b"", false);
    answers(server.dns, "SRV com.acme.FooService.service", &both[1..]).await;
    kazoo.delete(&format!("{path}0.0.0.0%3A20880{query}"));
    answers(server.dns, "SRV com.acme.FooService.service", &[both[0], third, both[1]]).await;
    let yaml = b"scope: application\nkey: demo-provider\nconfigs:\n- side: provider\n  parameters: {weight: 7}\n";
    kazoo.set("/dubbo/config/dubbo/demo-provider.configurators", yaml);
    let light = both.map(|one| one.replace("200", "7"));
    let light: Vec<&str> = light.iter().map(String::as_str).collect();
    answers(server.dns, "SRV com.acme.FooService.service", &[light[0], "0 7 20880 192-0-2-33.addr.service.", light[1]])
        .await;
    kazoo.set("/dubbo/config/dubbo/demo-provider.configurators", b"configs: [");
    eventually("a word about the YAML", async || {
        page(server.admin, "/v1/services/com.acme.FooService").contains("is not followed: it is not YAML").then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sofarpc_registered_is_in_dns_and_goes_offline_by_its_data() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    write_text(&mut kazoo, include_str!("../fixtures/conventions/sofa-rpc.json"));
    let server = server(&servers, "sofa", "");
    let both = ["0 100 8341 192-0-2-62.addr.service.", "0 200 12200 192-0-2-61.addr.service."];
    answers(server.dns, "SRV com.acme.pay.PaymentService.service", &both).await;
    answers(server.dns, "A PaymentService.pay.acme.com.service", &["192.0.2.61", "192.0.2.62"]).await;
    let path = "/sofa-rpc/com.acme.pay.PaymentService/providers/rest%3A%2F%2F192.0.2.62%3A8341";
    kazoo.set(path, b"\0");
    answers(server.dns, "SRV com-acme-pay-paymentservice.service", &both[1..]).await;
    kazoo.set(path, b"\x01");
    answers(server.dns, "SRV com-acme-pay-paymentservice.service", &both).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tritons_registrar_registered_is_in_dns_with_the_port_of_its_service() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    write_text(&mut kazoo, include_str!("../fixtures/conventions/triton-registrar.json"));
    let other =
        br#"{"type":"load_balancer","address":"192.0.2.132","load_balancer":{"address":"192.0.2.132","ttl":20}}"#;
    kazoo.create("/com/example/dc1/web/other", other, true);
    kazoo.create("/com/example/dc1/db", br#"{"type":"db_host","db_host":{"address":"192.0.2.140"}}"#, false);
    let server = server(&servers, "registrar", "");
    let name = "web.dc1.example.com.service";
    answers(server.dns, &format!("A {name}"), &["192.0.2.131", "192.0.2.132"]).await;
    let of = |last: u8, port: u16| format!("0 10 {port} 192-0-2-{last}.addr.service.");
    let all = [of(131, 443), of(131, 80), of(132, 80)];
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    answers(server.dns, &format!("SRV _http._tcp.{name}"), &all).await;
    answers(server.dns, &format!("A other.{name}"), &["192.0.2.132"]).await;
    let shown = dig(server.dns, &format!("A other.{name}")).answer;
    assert!(shown[0].contains(" 20 "), "its own time to live: {shown:?}");
    // Records of hosts alone: znodes that are services and their own instances, with others below them or not.
    answers(server.dns, "A db.dc1.example.com.service", &["192.0.2.140"]).await;
    let database = br#"{"type":"database","database":{"primary":"tcp://pg@192.0.2.141:5432/moray","ttl":15}}"#;
    kazoo.create("/com/example/dc1/db/pg", database, true);
    answers(server.dns, "A pg.db.dc1.example.com.service", &["192.0.2.141"]).await;
    answers(server.dns, "A db.dc1.example.com.service", &["192.0.2.140"]).await;
    answers(server.dns, "SRV db.dc1.example.com.service", &[]).await;
    let services = page(server.admin, "/v1/services/com/example/dc1/db/pg");
    assert!(services.contains("192.0.2.141"), "{services}");
    kazoo.set("/com/example/dc1/db/pg", br#"{"type":"host","host":{"address":"192.0.2.142"}}"#);
    answers(server.dns, "A pg.db.dc1.example.com.service", &["192.0.2.142"]).await;
    let events = page(server.admin, "/v1/events?since=1h&limit=1000");
    assert!(events.contains(r#""service":"com/example/dc1/db/pg""#), "{events}");
    kazoo.delete("/com/example/dc1/db/pg");
    eventually("the end of the name", async || {
        (dig(server.dns, "A pg.db.dc1.example.com.service").status == "NXDOMAIN").then_some(())
    })
    .await;

    // The service's own record decides about those that say no port, at once.
    let (data, _) = kazoo.get("/com/example/dc1/web").expect("the znode");
    let data = String::from_utf8(data).expect("text").replace("\"port\":80", "\"port\":8080");
    kazoo.set("/com/example/dc1/web", data.as_bytes());
    let moved = of(132, 8080);
    answers(server.dns, &format!("SRV _http._tcp.{name}"), &[all[0], all[1], &moved]).await;
    kazoo.delete("/com/example/dc1/web/other");
    answers(server.dns, &format!("A {name}"), &["192.0.2.131"]).await;
    server.stop().await;
}

/// The binary with a registry of this format, and where it answers.
fn binary(servers: &str, format: &str) -> (Binary, SocketAddr, SocketAddr) {
    let (dns, admin) = (free_port(), free_port());
    let text = format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\nformat = \"{format}\"\n[[zone]]\n\
         origin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:{dns}\"]\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n"
    );
    (Binary::serve(&text), ([127, 0, 0, 1], dns).into(), ([127, 0, 0, 1], admin).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_reads_by_their_data_what_no_path_tells_and_says_so_once() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    write_text(&mut kazoo, include_str!("../fixtures/conventions/spring.json"));
    kazoo.create("/services/api/providers/192.0.2.1:80", b"", true);
    kazoo.create("/services/api/notes/plain", br#"{"weight":1}"#, false);
    kazoo.create("/services/org.Greeter/providers/tri%3A%2F%2F192.0.2.7%3A50051%3Fweight%3D5", b"", true);
    let member = br#"{"serviceEndpoint":{"host":"192.0.2.9","port":31000},"status":"ALIVE","additionalEndpoints":{}}"#;
    kazoo.create("/services/web/member_0000000003", member, true);
    let (server, dns, _) = binary(&servers, "auto");
    let is_up = || ["DNS, UDP and TCP", "the registry is in DNS"].iter().all(|line| server.log().contains(line));
    eventually("the registry", async || is_up().then_some(())).await;
    answers(dns, "SRV _payments._tcp.service", &["0 10 8080 app1.example.com."]).await;
    answers(dns, "A api.service", &["192.0.2.1"]).await;
    answers(dns, "SRV web.service", &["0 10 31000 192-0-2-9.addr.service."]).await;
    answers(dns, "SRV org-greeter.service", &["0 5 50051 192-0-2-7.addr.service."]).await;
    assert_eq!(dig(dns, "A plain.notes.api.service").status, "NOERROR", "it is a service as before");
    let told = || server.log().lines().filter(|line| line.contains("znodes look like Spring (Curator)")).count();
    eventually("a line of the log", async || (told() == 1).then_some(())).await;
    let warned = || server.log().lines().any(|line| line.contains(" WARN ") && line.contains("znodes look like"));
    assert!(!warned(), "no name of 0.1 is gone:\n{}", server.log());

    // Of what 0.1 served below such a znode, as that was a service, the name is gone.
    let spring = br#"{"name":"old","id":"i-1","address":"192.0.2.8","port":80}"#;
    kazoo.create("/services/old/i-1", spring, false);
    kazoo.create("/services/old/i-1/10.0.0.1:80", b"", false);
    let (server, ..) = binary(&servers, "auto");
    let warned = || {
        let log = server.log();
        let line = log.lines().find(|line| line.contains(" WARN ") && line.contains("znodes look like"))?;
        Some(line.contains("path=/services/old/i-1") || line.contains("/services/old/i-1"))
    };
    assert!(eventually("a warning", async || warned()).await, "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_of_another_format_says_which_it_looks_like() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    write_text(&mut kazoo, include_str!("../fixtures/conventions/spring.json"));
    let (server, _, admin) = binary(&servers, "zc");
    let words = "looks like Spring (Curator): format = ";
    eventually("a line of the log", async || server.log().contains(words).then_some(())).await;
    let status = page(admin, "/v1/status");
    assert!(status.contains(words), "{status}");
}
