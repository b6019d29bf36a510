//! `zonekeeper status`: one screen, an exit code for scripts, and a configuration that is not in force.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::harness::admin::page;
use crate::harness::app::{Binary, Running, free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;

fn status(admin: &str, more: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
    let Output { status, stdout, .. } = command.args(["status", "--admin", admin]).args(more).output().unwrap();
    (status.code().expect("it ends"), String::from_utf8(stdout).unwrap())
}

fn seed() -> PathBuf {
    let seed = scratch("seed.tree");
    std::fs::write(&seed, "/services\n  /api\n    /10.0.0.1:80\n").unwrap();
    seed
}

fn registry() -> String {
    format!("[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n", seed().display())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_a_server_without_services_is_well_and_speaks_of_no_session() {
    let server = Running::start(&registry());
    let admin = server.admin.to_string();
    let text = eventually("all is well", async || {
        let (code, text) = status(&admin, &[]);
        (code == 0).then_some(text)
    })
    .await;
    assert!(text.ends_with("\nall is well\n") && !text.contains("no session") && !text.contains("this host"), "{text}");
    for words in ["zonekeeper ", &format!(", admin {admin}), up "), "registry main (", "zone service.: fresh, serial "]
    {
        assert!(text.contains(words), "{words} in {text}");
    }
    let (code, json) = status(&admin, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["wrong"]), (0, &serde_json::json!([])));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_what_is_wrong_with_an_exit_code_of_its_own() {
    let closed = free_port();
    let service = format!(
        "[[service]]\nname = \"mine\"\nport = {closed}\naddress = \"127.0.0.1\"\ncheck.tcp = {{ interval = \"200ms\" }}\n"
    );
    let server = Running::start(&(registry() + &service));
    let admin = server.admin.to_string();
    let (code, text) = eventually("a bad check", async || {
        let (code, text) = status(&admin, &[]);
        text.contains(" unhealthy for ").then_some((code, text))
    })
    .await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("this host, 1 services:\n"), "{text}");
    assert!(text.contains(&format!("tcp 127.0.0.1:{closed} unhealthy for ")), "the target: {text}");
    let wrong = text.split("\nwrong:\n").nth(1).expect("what is wrong");
    assert!(wrong.contains(&format!("/services/mine/providers/127.0.0.1:{closed} is unhealthy: ")), "{wrong}");
    assert_eq!(status(&admin, &["--json"]).0, 1);
    server.stop().await;
    let (code, text) = status(&admin, &[]);
    assert_eq!((code, &*text), (2, ""), "nobody answers any more");
    assert_eq!(status("nonsense", &[]).0, 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_configuration_and_what_waits_for_a_restart_are_shown_until_they_are_over() {
    let (dns, admin) = (free_port(), free_port());
    let path = scratch("zonekeeper.toml");
    let registry = registry();
    let text = |ttl: &str, more: &str| {
        format!(
            "{registry}ttl = {ttl}\n[dns]\nlisten = [\"127.0.0.1:{dns}\"]\n{more}[admin]\nlisten = \"127.0.0.1:{admin}\"\n"
        )
    };
    std::fs::write(&path, text("\"5s\"", "")).unwrap();
    let server = Binary::run(&["serve", "--config", &path.to_string_lossy()]);
    let at = format!("127.0.0.1:{admin}");
    let address = at.parse().unwrap();
    let has = |metric: &str| page(address, "/metrics").contains(&format!("\n{metric}\n"));
    eventually("all is well", async || (status(&at, &[]).0 == 0).then_some(())).await;
    assert!(has("zonekeeper_config_rejected 0") && has("zonekeeper_restart_pending 0"));

    std::fs::write(&path, text("\"soon\"", "")).unwrap();
    eventually("the rejection", async || (status(&at, &[]).0 == 1).then_some(())).await;
    let (_, said) = status(&at, &[]);
    assert!(said.contains("configuration REJECTED ") && said.contains("zonekeeper.toml:5:7: error: "), "{said}");
    assert!(said.contains("wrong:\n  the configuration is not taken, the one before is in force: "), "{said}");
    assert!(has("zonekeeper_config_rejected 1"));
    let shown = page(address, "/v1/status");
    assert!(shown.contains("\"rejected\":{\"since\":") && shown.contains("zonekeeper.toml:5:7"), "{shown}");
    assert!(!dig(([127, 0, 0, 1], dns).into(), "A api.service").answer.is_empty(), "the one before is in force");
    // It stays so until a good one is there.
    server.signal("HUP");
    eventually("another rejection", async || (server.log().matches("is not taken").count() > 1).then_some(())).await;
    assert_eq!(status(&at, &[]).0, 1);

    std::fs::write(&path, text("\"6s\"", "nsid = \"x\"\n")).unwrap();
    eventually("a taken configuration", async || (status(&at, &[]).0 == 0).then_some(())).await;
    let (_, said) = status(&at, &[]);
    assert!(said.contains("\nwaits for a restart: [[zone]] service. ttl"), "{said}");
    assert!(has("zonekeeper_config_rejected 0"));
    assert!(has("zonekeeper_restart_pending 1"));
    assert!(page(address, "/v1/status").contains("\"restart_pending\":[\"[[zone]] service. ttl\""));
    std::fs::write(&path, text("\"5s\"", "")).unwrap();
    eventually("nothing that waits", async || has("zonekeeper_restart_pending 0").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_how_many_queries_a_second_there_are() {
    let server = Running::start(&registry());
    let admin = server.admin.to_string();
    let rate = || {
        let json: serde_json::Value = serde_json::from_str(&status(&admin, &["--json"]).1).ok()?;
        json["queries_per_s"].as_f64()
    };
    eventually("a rate", async || rate()).await;
    for _ in 0..10 {
        dig(server.dns, "A api.service");
    }
    eventually("queries", async || rate().filter(|rate| *rate > 0.5)).await;
    let (_, said) = status(&admin, &[]);
    assert!(said.contains("\ndns: ") && said.contains(" queries/s\n"), "{said}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_counts_services_and_the_instances_that_are_in_and_out() {
    let path = scratch("zonekeeper.toml");
    let seed = path.with_file_name("seed.tree");
    let write = |more: &str| {
        let text = "/services\n  /api\n    /10.0.0.1:80\n    /10.0.0.2:80\n      state = 'down'\n    /x:99999\n  /staging\n    /db\n      /10.0.0.3:80\n";
        std::fs::write(&seed, text.to_owned() + more).unwrap();
    };
    write("");
    let admin = free_port();
    let text = format!(
        "[registry.main]\nmemory = \"{}\"\nformat = \"nd\"\n[[zone]]\norigin = \"service.\"\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n",
        seed.display()
    );
    std::fs::write(&path, text).unwrap();
    let _server = Binary::run(&["serve", "--config", &path.to_string_lossy()]);
    let at = format!("127.0.0.1:{admin}");
    let counts = || {
        let (_, json) = status(&at, &["--json"]);
        let json: serde_json::Value = serde_json::from_str(&json).ok()?;
        let registry = &json["registries"][0];
        let of = |key: &str| registry[key].as_u64();
        registry["last_change_s"].as_f64()?;
        Some((of("services")?, of("instances_in")?, of("instances_out")?))
    };
    let is = |expected| async move { (counts() == Some(expected)).then_some(()) };
    eventually("the first counts", async || is((2, 2, 2)).await).await;
    let (_, said) = status(&at, &[]);
    assert!(said.contains(", 2 services, instances 2 in and 2 out, last change "), "{said}");
    let metrics = page(at.parse().unwrap(), "/metrics");
    assert!(metrics.contains("zonekeeper_registry_instances{registry=\"main\",state=\"out\"} 2\n"), "{metrics}");
    write("  /web\n    /10.0.0.4:80\n");
    eventually("one more", async || is((3, 3, 2)).await).await;
    write("");
    eventually("one less", async || is((2, 2, 2)).await).await;
}
