//! Registries whose formats are descriptions, over a real ZooKeeper: what Kafka, Patroni, `HBase` and `ClickHouse`
//! keep there is in DNS, and follows the znodes that decide about it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::admin::page;
use crate::harness::app::{Running, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::kazoo::Kazoo;
use crate::harness::samples::{answers, write_text};
use crate::harness::zk;

/// A server with a zone for each of these formats: `kafka.` for "kafka".
fn server(servers: &str, formats: &[&str], more: &str) -> Running {
    let one = |format: &&str| {
        format!(
            "[registry.{format}]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\nformat = \"{format}\"\n\
             linger = \"0s\"\n[[zone]]\norigin = \"{format}.\"\nregistry = \"{format}\"\n"
        )
    };
    Running::start(&(formats.iter().map(one).collect::<String>() + more))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_patroni_hbase_and_clickhouse_keep_in_zookeeper_is_in_dns_and_follows_it() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    write_text(&mut kazoo, include_str!("../fixtures/conventions/kafka.json"));
    write_text(&mut kazoo, include_str!("../fixtures/conventions/patroni.json"));
    write_text(&mut kazoo, include_str!("../fixtures/conventions/hbase.json"));
    write_text(&mut kazoo, include_str!("../fixtures/conventions/clickhouse.json"));
    let server = server(&servers, &["kafka", "patroni", "hbase", "clickhouse"], "");
    let dns = server.dns;

    // Kafka: listeners are named ports, the rack is a tag.
    let (one, two) = ("0 10 9092 kafka1.example.com.", "0 10 9094 kafka2.example.com.");
    answers(dns, "SRV _kafka._tcp.kafka", &[one, two]).await;
    answers(dns, "SRV _external._tcp.kafka.kafka", &["0 10 9094 kafka1.example.com."]).await;
    answers(dns, "SRV _sasl-ssl._tcp.kafka.kafka", &[two]).await;
    answers(dns, "SRV r1.kafka.kafka", &[one]).await;
    kazoo.create("/brokers/ids/3", b"{\"endpoints\":[]}", true);
    eventually("a broker without a listener is told", async || {
        page(server.admin, "/v1/services/kafka").contains("its data give no endpoint: it is empty").then_some(())
    })
    .await;
    answers(dns, "SRV _kafka._tcp.kafka", &[one, two]).await;
    let explained = page(server.admin, "/v1/explain?name=kafka.kafka");
    for part in ["its znodes are at /brokers/ids, as the format \"kafka\" has them", "its znode is /brokers/ids/1"] {
        assert!(explained.contains(part), "{part} in {explained}");
    }
    assert!(explained.contains("read as \"kafka\": {id}"), "{explained}");
    let service = page(server.admin, "/v1/services/kafka");
    assert!(service.contains(r#""format":"kafka""#) && service.contains(r#""pattern":"{id}""#), "{service}");
    // Why a znode is not shown.
    kazoo.create("/service/orders-db/notes", b"{}", false);
    for (path, why) in [
        ("/service/orders-db/notes", "it does not match the format \"patroni\": {scope}/members/{id}"),
        ("/brokers/ids/1/x", "registry kafka shows nothing at /brokers/ids/1/x: it does not match the format"),
        ("/brokers/ids/77", "/brokers/ids/77 does not exist in registry kafka; its service does"),
        ("/service/orders-db/members/pg1", "orders-db in registry patroni has the names"),
    ] {
        let explained = page(server.admin, &format!("/v1/explain?name={path}"));
        assert!(explained.contains(why), "{path}: {explained}");
    }
    kazoo.delete("/brokers/ids/2");
    answers(dns, "SRV _kafka._tcp.kafka", &[one]).await;
    kazoo.delete("/brokers/ids/1");
    kazoo.delete("/brokers/ids/3");
    answers(dns, "SRV kafka.kafka", &[]).await;
    assert_eq!(dig(dns, "SRV kafka.kafka").status, "NOERROR", "there are none, and the service is known");

    // Patroni: the leader is who the znode beside the members names.
    let (first, second) = ("0 10 15432 127-0-0-1.addr.patroni.", "0 10 15433 127-0-0-1.addr.patroni.");
    answers(dns, "SRV orders-db.patroni", &[first, second]).await;
    answers(dns, "SRV leader.orders-db.patroni", &[first]).await;
    answers(
        dns,
        "SRV _api._tcp.orders-db.patroni",
        &["0 10 18008 127-0-0-1.addr.patroni.", "0 10 18009 127-0-0-1.addr.patroni."],
    )
    .await;
    kazoo.delete("/service/orders-db/leader");
    answers(dns, "SRV leader.orders-db.patroni", &[]).await;
    kazoo.create("/service/orders-db/leader", b"pg2", true);
    answers(dns, "SRV leader.orders-db.patroni", &[second]).await;
    kazoo.set("/service/orders-db/leader", b"pg1");
    answers(dns, "SRV leader.orders-db.patroni", &[first]).await;
    let (member, _) = kazoo.get("/service/orders-db/members/pg1").expect("a member");
    let stopped = String::from_utf8(member).expect("text").replace("running", "stopped");
    kazoo.set("/service/orders-db/members/pg1", stopped.as_bytes());
    answers(dns, "SRV leader.orders-db.patroni", &[]).await;
    answers(dns, "SRV orders-db.patroni", &[second]).await;
    assert_eq!(dig(dns, "SRV members.orders-db.patroni").status, "NXDOMAIN", "a directory is no service");

    // HBase: one that is drained is out as long as the znode is there; its data, which are binary, say nothing.
    let (one, two) = ("0 10 16020 rs1.example.com.", "0 10 16020 rs2.example.com.");
    answers(dns, "SRV hbase-regionserver.hbase", &[one]).await;
    kazoo.delete("/hbase/draining/rs2.example.com,16020,1767225600001");
    answers(dns, "SRV hbase-regionserver.hbase", &[one, two]).await;
    kazoo.create("/hbase/draining/rs1.example.com,16020,1767225600000", b"", false);
    answers(dns, "SRV hbase-regionserver.hbase", &[two]).await;
    let explained = page(server.admin, "/v1/explain?name=hbase-regionserver.hbase");
    assert!(
        explained.contains("OUT  drained: the znode draining/rs1.example.com,16020,1767225600000 is there"),
        "{explained}"
    );

    // ClickHouse: a replica is there for ever, and active as long as another znode is.
    answers(dns, "SRV t.clickhouse.clickhouse", &["0 10 19000 ch1.example.com."]).await;
    kazoo.delete("/clickhouse/tables/01/t/replicas/ch1/is_active");
    answers(dns, "SRV t.clickhouse.clickhouse", &[]).await;
    kazoo.create("/clickhouse/tables/01/t/replicas/ch1/is_active", b"", true);
    answers(dns, "SRV shard-01.t.clickhouse.clickhouse", &["0 10 19000 ch1.example.com."]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_the_leader_is_nodata_between_two_leaders_and_goes_with_the_service() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    write_text(&mut kazoo, include_str!("../fixtures/conventions/patroni.json"));
    kazoo.create("/marathon/leader-curator/_c_5d5a2d5e-0000-0000-0000-000000000000-latch-0000000007", b"m1:80", true);
    kazoo.create("/service/other/config", b"", false);
    let server = server(&servers, &["patroni", "marathon"], "");
    let dns = server.dns;
    let says = |question: &str| {
        let answer = dig(dns, question);
        (answer.status.clone(), answer.data().len())
    };
    let nodata = ("NOERROR".to_owned(), 0);
    let nxdomain = ("NXDOMAIN".to_owned(), 0);

    let (first, second) = ("0 10 15432 127-0-0-1.addr.patroni.", "0 10 15433 127-0-0-1.addr.patroni.");
    answers(dns, "SRV leader.orders-db.patroni", &[first]).await;
    answers(dns, "SRV _leader._tcp.orders-db.patroni", &[first]).await;
    answers(dns, "SRV _api._tcp.leader.orders-db.patroni", &["0 10 18008 127-0-0-1.addr.patroni."]).await;
    kazoo.delete("/service/orders-db/leader");
    answers(dns, "SRV leader.orders-db.patroni", &[]).await;
    for question in ["SRV _leader._tcp.orders-db.patroni", "SRV _api._tcp.leader.orders-db.patroni"] {
        assert_eq!(says(question), nodata, "{question}");
    }
    for known in ["SRV leader.orders-db.patroni", "A leader.orders-db.patroni", "TXT leader.orders-db.patroni"] {
        assert_eq!(says(known), nodata, "{known}");
    }
    assert_eq!(says("TXT _nodata.leader.orders-db.patroni"), ("NOERROR".to_owned(), 1), "for secondaries");
    kazoo.create("/service/orders-db/leader", b"pg2", true);
    answers(dns, "SRV leader.orders-db.patroni", &[second]).await;
    assert_eq!(says("TXT _nodata.leader.orders-db.patroni"), nxdomain);

    kazoo.set("/service/orders-db/members/pg1", br#"{"conn_url":"postgres://127.0.0.1:15432/x","state":"stopped"}"#);
    answers(dns, "SRV orders-db.patroni", &[second]).await;
    let explained = page(server.admin, "/v1/explain?name=orders-db.patroni");
    assert!(explained.contains("OUT  drained: its {/state} is \"stopped\""), "{explained}");

    // Members stop; the scope is still there.
    for member in ["/service/orders-db/members/pg1", "/service/orders-db/members/pg2"] {
        kazoo.delete(member);
    }
    for role in ["leader", "primary", "replica"] {
        answers(dns, &format!("SRV {role}.orders-db.patroni"), &[]).await;
        assert_eq!(says(&format!("A {role}.orders-db.patroni")), nodata, "{role}");
    }
    assert_eq!(says("A nobody.orders-db.patroni"), nxdomain);
    // Nothing of it is left, or there never were members.
    for znode in ["leader", "config", "initialize", "status", "members"] {
        kazoo.delete(&format!("/service/orders-db/{znode}"));
    }
    kazoo.delete("/service/orders-db");
    eventually("the scope is gone", async || (says("A leader.orders-db.patroni") == nxdomain).then_some(())).await;
    assert_eq!(says("A leader.other.patroni"), nxdomain);

    // An election by sequence, and the last candidate goes.
    answers(dns, "SRV leader.marathon.marathon", &["0 10 80 m1.addr.marathon."]).await;
    kazoo.delete("/marathon/leader-curator/_c_5d5a2d5e-0000-0000-0000-000000000000-latch-0000000007");
    answers(dns, "SRV leader.marathon.marathon", &[]).await;
    assert_eq!(says("A leader.marathon.marathon"), nodata);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_description_is_read_and_one_without_ports_gives_addresses() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/acme/live/shop/10.0.0.7:80", br#"{"load":0.04,"zone":"Z 1","state":"UP"}"#, true);
    kazoo.create("/acme/live/shop/10.0.0.8:80", br#"{"load":1,"state":"GONE"}"#, true);
    kazoo.create("/acme/live/shop/junk", b"", true);
    kazoo.create("/tooz/agents/10.0.0.9", b"\x81\xa1a\x01", true);
    let own = "[format.mine]\nroot = \"/acme/live\"\npath = \"{service}/{host}:{port}\"\nweight = \"{/load}\"\n\
               weight_unit = 10\ntags = [\"{/zone}\"]\nup = { \"{/state}\" = [\"UP\", \"\"] }\n";
    let server = server(&servers, &["mine", "tooz"], own);
    answers(server.dns, "SRV shop.mine", &["0 1 80 10-0-0-7.addr.mine."]).await;
    answers(server.dns, "A z-1.shop.mine", &["10.0.0.7"]).await;
    answers(server.dns, "A agents.tooz", &["10.0.0.9"]).await;
    for without_port in ["SRV agents.tooz", "SRV _agents._tcp.tooz"] {
        let answer = dig(server.dns, without_port);
        assert_eq!((&*answer.status, answer.data().len()), ("NOERROR", 0), "{without_port}");
    }
    server.stop().await;
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(arguments).output().expect("the binary");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code().expect("it ends by itself"), text(&output.stdout), text(&output.stderr))
}

#[test]
fn formats_are_listed_and_shown_with_the_names_of_their_examples() {
    let (code, list, _) = run(&["formats"]);
    assert_eq!(code, 0);
    for row in ["zc ", "curator ", "kafka ", "patroni ", "tooz "] {
        assert!(list.lines().any(|line| line.starts_with(row)), "{row} in {list}");
    }
    let is_written = |name: &str| {
        let row = list.lines().find(|line| line.starts_with(&format!("{name} "))).expect("a row");
        row.contains("  read, written  ")
    };
    let written = ["zc", "nd", "curator", "serverset", "nerve", "kafka"].map(is_written);
    assert_eq!(written, [true, true, true, true, false, false], "{list}");
    let (code, kafka, _) = run(&["formats", "kafka"]);
    assert_eq!(code, 0);
    for part in
        ["[format.kafka]\n", "endpoint = \"{/endpoints}\"\n", "/brokers/ids/1\n", "_external._tcp.kafka.service. "]
    {
        assert!(kafka.contains(part), "{part} in {kafka}");
    }
    let (_, json, _) = run(&["formats", "hbase-master", "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["root"], &json["path"], &json["kind"]), (&"/hbase".into(), &"master".into(), &"built-in".into()));
    assert!(json["dns"].as_array().expect("a list").iter().any(|one| one["data"] == "0 10 16000 hm1.example.com."));
    let (_, list, _) = run(&["formats", "--json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert!(list.as_array().expect("a list").len() > 40);
    assert_eq!(list[3]["written"], Value::Bool(true), "{}", list[3]);

    let file = scratch("own.toml");
    let own = |path: &str| {
        let format = format!("[format.mine]\nroot = \"/r\"\npath = \"{path}\"\n");
        let example = "example = [{ path = \"a/10.0.0.1:80\" }, { path = \"a/:80\" }, { path = \"a/0.0.0.0:80\" }]\n";
        std::fs::write(&file, format!("{format}{example}[registry.main]\nzookeeper = \"h\"\n[dns]\n")).expect("a file");
        run(&["formats", "mine", "--config", &file.to_string_lossy()])
    };
    let (code, mine, _) = own("{service}/{host}:{port}");
    assert_eq!(code, 0);
    assert!(mine.contains("a.service.") && mine.contains("10.0.0.1"), "{mine}");
    assert!(
        mine.contains("/r/a/0.0.0.0:80 is not served: its name gives no endpoint: its host is in 0.0.0.0/8"),
        "{mine}"
    );
    let (code, _, told) = own("{service}/{host}:{prt}");
    assert_eq!(code, 64);
    assert!(told.contains("own.toml:3:8: error: nothing gives the port: `path` has no {port}"), "{told}");
    let (code, _, told) = run(&["formats", "kafak"]);
    assert_eq!((code, &*told), (1, "zonekeeper: there is no format kafak: did you mean kafka?\n"));
    assert_eq!(run(&["formats", "--config", &Path::new("/nowhere.toml").to_string_lossy()]).0, 64);
}
