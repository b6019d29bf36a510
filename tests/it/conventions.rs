//! Registries of other writers over a real ZooKeeper: what they wrote is in DNS, and follows its znodes.

use std::net::SocketAddr;

use serde_json::Value;

use crate::harness::admin::page;
use crate::harness::app::Running;
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::kazoo::Kazoo;
use crate::harness::zk;

fn server(servers: &str, format: &str, more: &str) -> Running {
    Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\nformat = \"{format}\"\nlinger = \"0s\"\n\
         {more}[[zone]]\norigin = \"service.\"\n"
    ))
}

/// Creates the znodes of a sample.
fn write(kazoo: &mut Kazoo, sample: &str) {
    let sample: Value = serde_json::from_str(sample).expect("a sample");
    for node in sample["nodes"].as_array().expect("a list") {
        let (path, data) = (node["path"].as_str().expect("a path"), node["data"].as_str().unwrap_or_default());
        if kazoo.get(path).is_none() {
            kazoo.create(path, data.as_bytes(), node["kind"] == "ephemeral");
        }
    }
}

async fn answers(dns: SocketAddr, question: &str, expected: &[&str]) {
    eventually(&format!("{question}: {expected:?}"), async || {
        let mut data: Vec<_> = dig(dns, question).data().iter().map(ToString::to_string).collect();
        data.sort();
        (data == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_twitter_common_registered_is_in_dns_and_follows_its_znodes() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    write(&mut kazoo, include_str!("../fixtures/serverset/python.json"));
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
