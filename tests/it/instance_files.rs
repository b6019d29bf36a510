//! `[[file]]`: files that follow a service, for programs that read no SRV records, with the real ones reading them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::agent::through;
use crate::consumers::{Backends, chosen, uses};
use crate::harness::admin::page;
use crate::harness::app::{Running, free_port, scratch};
use crate::harness::consumer::Consumer;
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;
use crate::harness::zk;

/// A `[[file]]` table.
fn file(path: &Path, form: &str, command: &[&str]) -> String {
    let mut table = format!("[[file]]\nservice = \"api.service\"\npath = \"{}\"\n{form}\n", path.display());
    if !command.is_empty() {
        let _ = writeln!(table, "command = {command:?}");
    }
    table
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

async fn status(server: &Running) -> Value {
    let admin = server.admin;
    let page = tokio::task::spawn_blocking(move || page(admin, "/v1/status")).await.expect("no panic");
    let body = page.split_once("\r\n\r\n").expect("a body").1;
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// What a program says of a configuration.
fn checked(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shape_and_a_template_follow_the_service_and_their_programs_take_them() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    let data = br#"{"weight": 20, "tags": ["blue"], "ports": {"admin": 9000}, "team": "web"}"#;
    kazoo.create("/services/api/providers/127.0.0.1:8081", data, true);
    kazoo.create("/services/api/providers/127.0.0.2:8081", br#"{"priority": 1}"#, true);
    kazoo.create("/services/api/providers/127.0.0.3:8081", br#"{"state": "drain"}"#, true);
    let directory = scratch("files").with_file_name("kept");
    let at = |name: &str| directory.join(name);
    let template = scratch("line.j2");
    std::fs::write(
        &template,
        "{% for i in instances %}{{ i.endpoint }} {{ i.metadata.team | default('-') }}\n{% endfor %}",
    )
    .unwrap();
    let shapes = ["hosts", "json", "file_sd", "haproxy", "nginx"];
    let mut tables: String =
        shapes.iter().map(|shape| file(&at(shape), &format!("shape = \"{shape}\"\nmode = \"0600\""), &[])).collect();
    tables += &file(&at("own"), &format!("template = \"{}\"", template.display()), &[]);
    let server = Running::over_zookeeper(&servers, &tables);
    eventually("all files", async || {
        let all = shapes.iter().chain(&["own"]).all(|name| at(name).exists());
        all.then_some(())
    })
    .await;
    assert_eq!(text(&at("own")), "127.0.0.1:8081 web\n127.0.0.2:8081 -\n");
    assert_eq!(
        text(&at("hosts")).lines().skip(1).collect::<Vec<_>>(),
        ["127.0.0.1\tapi.service", "127.0.0.2\tapi.service"]
    );
    let json: Value = serde_json::from_str(&text(&at("json"))).unwrap();
    assert_eq!((&json["service"], &json["name"]), (&"api".into(), &"api.service".into()));
    assert_eq!(json["instances"][0]["ports"][0]["endpoint"], "127.0.0.1:9000", "{json}");
    assert_eq!(json["instances"][1]["is_backup"], true, "{json}");
    let targets: Value = serde_json::from_str(&text(&at("file_sd"))).unwrap();
    assert_eq!(targets[0]["targets"][0], "127.0.0.1:8081");
    assert_eq!(targets[0]["labels"]["__meta_zonekeeper_metadata_team"], "web");

    let base = scratch("haproxy.cfg");
    std::fs::write(
        &base,
        format!(
            "defaults\n    mode tcp\n    timeout connect 1s\n    timeout client 1s\n    timeout server 1s\nfrontend all\n    bind 127.0.0.1:{}\n    default_backend api.service\n",
            free_port()
        ),
    )
    .unwrap();
    let nginx = scratch("nginx.conf");
    let include = at("nginx").display().to_string();
    let error_log = scratch("error.log").display().to_string();
    std::fs::write(
        &nginx,
        format!("pid /dev/null;\nerror_log {error_log};\nevents {{}}\nhttp {{ access_log off; include {include}; }}\n"),
    )
    .unwrap();
    let (base, nginx, part) =
        (base.display().to_string(), nginx.display().to_string(), at("haproxy").display().to_string());
    let programs = || {
        checked("/usr/sbin/haproxy", &["-c", "-f", &base, "-f", &part]);
        checked("/usr/sbin/nginx", &["-t", "-c", &nginx]);
    };
    programs();

    // All of them gone is known, and empty.
    for host in 1..=3 {
        kazoo.delete(&format!("/services/api/providers/127.0.0.{host}:8081"));
    }
    eventually("empty files", async || {
        (text(&at("own")).is_empty() && !text(&at("haproxy")).contains("server")).then_some(())
    })
    .await;
    eventually("an empty upstream", async || text(&at("nginx")).contains("down;").then_some(())).await;
    programs();
    let files = status(&server).await["files"].clone();
    assert_eq!(files.as_array().map(Vec::len), Some(6), "{files}");
    assert!(files.as_array().unwrap().iter().all(|one| one["trouble"].is_null() && one["instances"] == 0), "{files}");
    server.stop().await;
}

/// The contents that a file had each time its command ran.
fn history(directory: &Path) -> Vec<String> {
    let mut runs: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    runs.sort();
    runs.iter().map(|run| text(run)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_follows_a_file_through_an_outage_and_is_never_reloaded_with_an_empty_list() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    let proxy = Proxy::start(servers.split_once('/').unwrap().0.parse().unwrap());
    let backends = Backends::start(&[61, 62, 63]).await;
    for host in [61, 62] {
        kazoo.create(&format!("/services/api/providers/{}", backends.at(host)), b"{}", true);
    }
    let (part, runs, pid) = (scratch("api.cfg"), scratch("x").with_file_name("runs"), scratch("haproxy.pid"));
    std::fs::create_dir_all(&runs).unwrap();
    let http = free_port();
    let base = scratch("haproxy.cfg");
    std::fs::write(
        &base,
        format!("global\n    master-worker\ndefaults\n    mode http\n    timeout connect 1s\n    timeout client 5s\n    timeout server 5s\nfrontend http\n    bind 127.0.0.1:{http}\n    default_backend api.service\n"),
    )
    .unwrap();
    // It keeps what it was reloaded with.
    let script = format!(
        "cp {} {}/$(date +%s%N) && if [ -e {pid} ]; then kill -USR2 $(cat {pid}); fi",
        part.display(),
        runs.display(),
        pid = pid.display()
    );
    let server = Running::over_zookeeper(
        &through(&proxy, &servers),
        &file(&part, "shape = \"haproxy\"", &["sh", "-c", &script]),
    );
    eventually("the file", async || text(&part).contains("127.0.0.62").then_some(())).await;
    let (base, part_path) = (base.display().to_string(), part.display().to_string());
    let pid_path = pid.display().to_string();
    let haproxy =
        Consumer::start("/usr/sbin/haproxy", "haproxy", &["-W", "-db", "-p", &pid_path, "-f", &base, "-f", &part_path]);
    uses(&haproxy, http, &["127.0.0.61", "127.0.0.62"]).await;
    let ready = async || text(&pid).trim().parse::<u32>().ok();
    eventually("its process id", ready).await;

    kazoo.create(&format!("/services/api/providers/{}", backends.at(63)), b"{}", true);
    uses(&haproxy, http, &["127.0.0.61", "127.0.0.62", "127.0.0.63"]).await;

    // ZooKeeper is away; meanwhile one leaves, which nobody can know.
    let before = history(&runs).len();
    proxy.cut();
    eventually("stale answers", async || {
        dig(server.dns, "A api.service").edns.iter().any(|line| line.contains("Stale")).then_some(())
    })
    .await;
    kazoo.delete(&format!("/services/api/providers/{}", backends.at(61)));
    for _ in 0..20 {
        assert!(chosen(http).await.is_some(), "{}", haproxy.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(history(&runs).len(), before, "nothing is known, nothing is written");
    proxy.heal();
    uses(&haproxy, http, &["127.0.0.62", "127.0.0.63"]).await;
    for content in history(&runs) {
        assert!(content.contains("backend api.service\n") && content.contains(" server 127.0.0."), "{content}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_is_told_with_what_to_do_and_written_when_it_can() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", true);
    let directory = scratch("x").with_file_name("way");
    std::fs::write(&directory, "a file in the place of the directory").unwrap();
    let path = directory.join("hosts");
    let server = Running::over_zookeeper(&servers, &file(&path, "shape = \"hosts\"", &[]));
    let wrong = eventually("a complaint", async || {
        let status = status(&server).await;
        let wrong = status["wrong"].to_string();
        wrong.contains("is not as it should be").then_some(wrong)
    })
    .await;
    assert!(wrong.contains(&path.display().to_string()) && wrong.contains("name another path"), "{wrong}");
    std::fs::remove_file(&directory).unwrap();
    eventually("the file", async || text(&path).contains("10.0.0.1\tapi.service").then_some(())).await;
    eventually("all well", async || (status(&server).await["wrong"] == Value::Array(Vec::new())).then_some(())).await;
    server.stop().await;
}
