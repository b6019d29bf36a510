//! Libraries that register into ZooKeeper, the real ones: what each has registered is in DNS as its own users find it,
//! and leaves with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::admin::page;
use crate::harness::app::Running;
use crate::harness::dig::dig;
use crate::harness::foreign::Foreign;
use crate::harness::samples::answers;
use crate::harness::zk::{CLIENT, Server, Setup, free_port, shared};
use crate::harness::{PATIENCE, eventually};

fn server(servers: &str, format: &str, more: &str) -> Running {
    Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\nformat = \"{format}\"\nlinger = \"0s\"\n\
         {more}\n[[zone]]\norigin = \"service.\"\n"
    ))
}

/// `host:port` of each instance in DNS, sorted: addresses are in the targets' names.
fn listed(dns: SocketAddr, name: &str) -> Vec<String> {
    let record = |data: &String| {
        let words: Vec<&str> = data.split(' ').collect();
        let address = words[3].split('.').next().unwrap_or_default().replace('-', ".");
        format!("{address}:{}", words[2])
    };
    let mut listed: Vec<String> = dig(dns, &format!("SRV {name}.service +tcp")).data().iter().map(record).collect();
    listed.sort();
    listed
}

/// Waits until the library finds so many instances of its service, and DNS has them for a name.
async fn agree(dns: SocketAddr, name: &str, foreign: &mut Foreign, service: &str, count: usize) {
    let (begun, mut found) = (Instant::now(), foreign.list(service));
    while found.len() != count {
        assert!(begun.elapsed() < PATIENCE, "{service}: the library finds {found:?}");
        // Libraries that keep what they have read follow later.
        tokio::time::sleep(Duration::from_millis(20)).await;
        found = foreign.list(service);
    }
    eventually(&format!("{name}: {found:?}"), async || (listed(dns, name) == found).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_twitters_library_joins_is_in_dns_with_its_shards_and_named_ports() {
    let servers = shared().namespace().await;
    let mut twitter = Foreign::serverset(&servers);
    let server = server(&servers, "serverset", "");
    let name = "shop.prod.role.aurora";
    twitter.tell(
        "add",
        json!({"service": "shop", "host": "192.0.2.1", "port": 80, "shard": 0, "more": {"health": 8080, "admin": 9990}}),
    );
    twitter.tell("add", json!({"service": "shop", "host": "node2", "port": 81, "shard": 1, "inet": "192.0.2.2"}));
    let (first, second) = ("0 10 80 192-0-2-1.addr.service.", "0 10 81 node2.addr.service.");
    answers(server.dns, &format!("SRV {name}.service"), &[first, second]).await;
    answers(server.dns, &format!("SRV shard-0.{name}.service"), &[first]).await;
    answers(server.dns, &format!("SRV _health._tcp.{name}.service"), &["0 10 8080 192-0-2-1.addr.service."]).await;
    answers(server.dns, &format!("A shard-1.{name}.service"), &["192.0.2.2"]).await;
    twitter.remove("shop", "node2", 81);
    agree(server.dns, name, &mut twitter, "shop", 1).await;
    // A process that is killed leaves its members until its session ends.
    drop(twitter);
    answers(server.dns, &format!("SRV {name}.service"), &[]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dubbos_python_library_registers_is_in_dns_by_the_dotted_name() {
    let servers = shared().namespace().await;
    let mut dubbo = Foreign::dubbo(&servers);
    let server = server(&servers, "dubbo", "");
    let service = "com.acme.shop.CartService";
    let first = json!({"service": service, "host": "192.0.2.1", "port": 50051, "version": "1.0.0", "weight": 7});
    dubbo.tell("add", first);
    dubbo.add(service, "192.0.2.2", 50051);
    answers(server.dns, &format!("SRV 1-0-0.{service}.service"), &["0 7 50051 192-0-2-1.addr.service."]).await;
    let both = ["0 100 50051 192-0-2-2.addr.service.", "0 7 50051 192-0-2-1.addr.service."];
    answers(server.dns, "SRV _tri._tcp.com-acme-shop-cartservice.service", &both).await;
    agree(server.dns, "CartService.shop.acme.com", &mut dubbo, service, 2).await;
    dubbo.remove(service, "192.0.2.1", 50051);
    agree(server.dns, service, &mut dubbo, service, 1).await;
    drop(dubbo);
    answers(server.dns, &format!("SRV {service}.service"), &[]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sofarpcs_library_registers_is_in_dns_and_its_consumers_are_not() {
    let servers = shared().namespace().await;
    let mut sofa = Foreign::sofa(&servers);
    let server = server(&servers, "sofa", "");
    let service = "com.acme.pay.PaymentService";
    sofa.tell("add", json!({"service": service, "host": "192.0.2.1", "port": 12200, "weight": 200}));
    sofa.add(service, "192.0.2.2", 12200);
    let both = ["0 100 12200 192-0-2-2.addr.service.", "0 200 12200 192-0-2-1.addr.service."];
    answers(server.dns, &format!("SRV {service}.service"), &both).await;
    // To list is to subscribe: that leaves a consumer's znode.
    agree(server.dns, service, &mut sofa, service, 2).await;
    sofa.remove(service, "192.0.2.1", 12200);
    agree(server.dns, "com-acme-pay-paymentservice", &mut sofa, service, 1).await;
    let services = page(server.admin, "/v1/services");
    assert!(services.contains("\"malformed\":[]") && !services.contains("consumers"), "{services}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranger_nodes_that_are_written_every_second_make_no_new_serial_and_follow_their_health() {
    let servers = shared().namespace().await;
    let mut ranger = Foreign::ranger(&servers);
    let server = server(&servers, "ranger", "root = \"/ranger\"");
    ranger.add("catalog", "192.0.2.1", 9090);
    ranger.add("catalog", "192.0.2.2", 9090);
    agree(server.dns, "catalog", &mut ranger, "catalog", 2).await;
    answers(server.dns, "A canary.catalog.service", &["192.0.2.1", "192.0.2.2"]).await;
    let serial = || dig(server.dns, "SOA service").data();
    let (before, events) = (serial(), || {
        crate::harness::admin::metrics(server.admin)("zonekeeper_registry_events_total{registry=\"main\"}")
    });
    let seen = events();
    eventually("both are written again, twice", async || (events() >= seen + 4).then_some(())).await;
    assert_eq!(serial(), before, "nothing has changed in DNS");
    ranger.tell("change", json!({"service": "catalog", "host": "192.0.2.1", "port": 9090, "up": false}));
    agree(server.dns, "catalog", &mut ranger, "catalog", 1).await;
    ranger.tell("change", json!({"service": "catalog", "host": "192.0.2.1", "port": 9090, "up": true}));
    agree(server.dns, "catalog", &mut ranger, "catalog", 2).await;
    ranger.remove("catalog", "192.0.2.1", 9090);
    agree(server.dns, "catalog", &mut ranger, "catalog", 1).await;
    server.stop().await;
}

/// The descriptions that read kazoo's recipes where identifiers are `host:port`.
pub(crate) const RECIPES: &str = "[format.party]\nroot = \"/party\"\npath = \"{service}/{id}__party__\"\ndata = \"text\"\n\
     endpoint = \"{}\"\n[format.shallow]\nroot = \"/shallow\"\npath = \"{service}/{id}-{host}:{port}\"\n\
     data = \"none\"\n[format.election]\nroot = \"/election\"\npath = \"{service}/{id}__lock__{seq}\"\ndata = \"text\"\n\
     endpoint = \"{}\"\nleader = \"lowest\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn members_of_kazoos_parties_and_who_leads_its_elections_are_in_dns_by_descriptions() {
    let servers = shared().namespace().await;
    let readers =
        "read = [\"party\", {{ format = \"shallow\", as = \"shallow\" }}, {{ format = \"election\", as = \"lead\" }}]";
    let server = Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\nlinger = \"0s\"\nmissing_root = \"empty\"\n\
         {}\n{RECIPES}[[zone]]\norigin = \"service.\"\n",
        readers.replace("{{", "{").replace("}}", "}"),
    ));
    for (kind, name) in [("party", "team"), ("shallow", "team.shallow"), ("election", "team.lead")] {
        let mut kazoo = Foreign::recipe(&servers, kind);
        for last in 1..4 {
            kazoo.add("team", &format!("192.0.2.{last}"), 7000 + last);
        }
        agree(server.dns, name, &mut kazoo, "team", 3).await;
        if kind == "election" {
            let mut left = BTreeMap::from([("1", 7001), ("2", 7002), ("3", 7003)]);
            // The leader goes each time, the last of all as well.
            while !left.is_empty() {
                let leader = kazoo.tell("leader", json!({"service": "team"}));
                let (host, port) = leader.as_str().and_then(|leader| leader.split_once(':')).expect("a leader");
                let wanted = format!("0 10 {port} {}.addr.service.", host.replace('.', "-"));
                answers(server.dns, &format!("SRV leader.{name}.service"), &[&wanted]).await;
                kazoo.remove("team", host, port.parse().expect("a port"));
                left.remove(host.rsplit('.').next().expect("a number"));
            }
            answers(server.dns, &format!("SRV leader.{name}.service"), &[]).await;
        }
        kazoo.tell("list", json!({"service": "team"}));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_join_and_leave_an_ensemble_do_so_in_dns() {
    let (ours, mut kazoo) = tokio::task::spawn_blocking(|| {
        let ours = reconfigurable();
        let kazoo = Foreign::ensemble(&ours.address());
        (ours, kazoo)
    })
    .await
    .expect("no panic");
    let server = server(&ours.address(), "ensemble", "");
    agree(server.dns, "zookeeper", &mut kazoo, "zookeeper", 1).await;
    kazoo.add("zookeeper", "127.0.0.2", 2182);
    kazoo.add("zookeeper", "127.0.0.3", 2183);
    agree(server.dns, "zookeeper", &mut kazoo, "zookeeper", 3).await;
    answers(server.dns, "A observer.zookeeper.service", &["127.0.0.2", "127.0.0.3"]).await;
    kazoo.remove("zookeeper", "127.0.0.2", 2182);
    agree(server.dns, "zookeeper", &mut kazoo, "zookeeper", 2).await;
    server.stop().await;
}

/// A ZooKeeper whose ensemble, of itself, can be changed by everybody. Containers go soon after their last child.
pub(crate) fn reconfigurable() -> Server {
    let (quorum, election) = (free_port(), free_port());
    let config = format!(
        "initLimit=20\nsyncLimit=6\nstandaloneEnabled=false\nreconfigEnabled=true\n\
         server.1=127.0.0.1:{quorum}:{election};{CLIENT}\n"
    );
    let java = ["-Dzookeeper.skipACL=yes", "-Dznode.container.checkIntervalMs=500"].map(str::to_owned).to_vec();
    Server::with(&Setup { config, java, id: Some(1), ..Setup::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn curators_instances_of_every_type_are_in_dns_and_survive_what_their_type_survives() {
    let servers = shared().namespace().await;
    let mut curator = Foreign::curator(&servers);
    let server = server(&servers, "curator", "");
    let types = ["DYNAMIC", "DYNAMIC_SEQUENTIAL", "STATIC", "PERMANENT"];
    for (last, kind) in (1..).zip(types) {
        let host = format!("192.0.2.{last}");
        curator.tell("add", json!({"service": "orders", "host": host, "port": 8000, "type": kind}));
    }
    agree(server.dns, "orders", &mut curator, "orders", 4).await;

    // Started again after a crash: its new node is beside the old one until that session ends, as the same instance.
    drop(curator);
    let mut curator = Foreign::curator(&servers);
    curator.add("orders", "192.0.2.1", 8000);
    let all: Vec<String> = (1..=4).map(|last| format!("192.0.2.{last}:8000")).collect();
    assert_eq!(listed(server.dns, "orders"), all);
    let left = [&*all[0], &*all[2], &*all[3]];
    eventually("those of the old session are gone", async || (listed(server.dns, "orders") == left).then_some(()))
        .await;
    agree(server.dns, "orders", &mut curator, "orders", 3).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_curator_instance_that_is_not_enabled_leaves_dns_where_its_writer_says_so() {
    let servers = shared().namespace().await;
    let mut curator = Foreign::curator(&servers);
    let server = server(&servers, "curator", "");
    let disabled = |last: u8| json!({"service": "orders", "host": format!("192.0.2.{last}"), "port": 8000, "enabled": false, "type": "STATIC"});
    curator.add("orders", "192.0.2.1", 8000);
    // The usual serializer loses that word, for Curator's own readers as well.
    curator.tell("add", disabled(2));
    agree(server.dns, "orders", &mut curator, "orders", 2).await;
    curator.tell("open", json!({"base": "/services", "compatible": false}));
    curator.tell("add", disabled(3));
    agree(server.dns, "orders", &mut curator, "orders", 2).await;
    eventually("it is drained", async || {
        page(server.admin, "/v1/services/orders").contains("192.0.2.3:8000").then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_with_springs_payload_follows_the_status_that_its_actuator_sets() {
    let servers = shared().namespace().await;
    let mut curator = Foreign::curator(&servers);
    let server = server(&servers, "curator", "");
    let metadata = json!({"instance_status": "UP", "weight": "3", "gRPC_port": "9090"});
    curator.tell(
        "add",
        json!({"service": "orders", "host": "192.0.2.1", "port": 8000, "ssl": 8443, "metadata": metadata}),
    );
    answers(server.dns, "SRV orders.service", &["0 3 8000 192-0-2-1.addr.service."]).await;
    answers(server.dns, "SRV _https._tcp.orders.service", &["0 3 8443 192-0-2-1.addr.service."]).await;
    answers(server.dns, "SRV _grpc._tcp.orders.service", &["0 3 9090 192-0-2-1.addr.service."]).await;
    for (status, count) in [("OUT_OF_SERVICE", 0), ("UP", 1), ("DOWN", 0), ("UP", 1)] {
        let change = json!({"service": "orders", "host": "192.0.2.1", "port": 8000, "status": status});
        curator.tell("change", change);
        agree(server.dns, "orders", &mut curator, "orders", count).await;
    }
    // Closing in order takes out what was registered.
    curator.tell("close", json!({}));
    answers(server.dns, "SRV orders.service", &[]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_curator_service_whose_container_goes_stays_known_and_comes_back() {
    let (ours, mut curator) = tokio::task::spawn_blocking(|| {
        let ours = reconfigurable();
        let curator = Foreign::curator(&ours.address());
        (ours, curator)
    })
    .await
    .expect("no panic");
    let server = Running::start(&format!(
        "[registry.main]\nzookeeper = \"{}\"\nsession_timeout = \"4s\"\nformat = \"curator\"\n[[zone]]\n\
         origin = \"service.\"\n",
        ours.address()
    ));
    for round in 0..2 {
        curator.add("orders", "192.0.2.1", 8000);
        agree(server.dns, "orders", &mut curator, "orders", 1).await;
        curator.remove("orders", "192.0.2.1", 8000);
        eventually("the root is gone with the last container", async || {
            page(server.admin, "/v1/status").contains("the root /services is gone").then_some(())
        })
        .await;
        assert_eq!(dig(server.dns, "A orders.service").status, "NOERROR", "round {round}");
        assert_eq!(dig(server.dns, "A orders.service").data().len(), 0, "round {round}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leads_by_curators_latch_and_by_its_selector_is_the_leader_in_dns() {
    let servers = shared().namespace().await;
    let server = server(&servers, "nifi", "missing_root = \"empty\"");
    for (op, role, name) in
        [("latch", "Cluster Coordinator", "cluster-coordinator"), ("select", "Primary Node", "primary-node")]
    {
        // A latch asks by a session of its own; the names of their znodes begin with something random.
        let mut curator = Foreign::curator(&servers);
        let path = format!("/nifi/leaders/{role}");
        let ids: Vec<String> = (1..4).map(|last| format!("192.0.2.{last}:11443")).collect();
        for id in &ids {
            curator.tell(op, json!({"path": path, "id": id}));
        }
        eventually("all three", async || (listed(server.dns, &format!("{name}.nifi")) == ids).then_some(())).await;
        for _ in &ids {
            // The library is asked again each time: one that has just resigned may lead for a moment more.
            let begun = Instant::now();
            let leader = loop {
                let leader = curator.tell("leader", json!({})).as_str().expect("a leader").to_owned();
                let of = listed(server.dns, &format!("leader.{name}.nifi"));
                if of == [leader.as_str()] {
                    break leader;
                }
                assert!(begun.elapsed() < PATIENCE, "{leader} leads, and DNS has {of:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            curator.tell("resign", json!({"id": leader}));
        }
        answers(server.dns, &format!("SRV leader.{name}.nifi.service"), &[]).await;
    }
    server.stop().await;
}
