//! zc.zk's `children()` and `nd_service_registry`'s `get()`, the real ones, read what the real binary registers; and
//! what they register is in its DNS.

use serde_json::{Value, json};

use crate::harness::app::{Binary, Running, free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::readers::{Nd, ZcZk};
use crate::harness::{eventually, zk};

fn config(servers: &str, format: &str) -> String {
    format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\nformat = \"{format}\"\n\
         [[service]]\nname = \"staging/api_x\"\nport = 8080\naddress = \"192.0.2.10\"\n\
         properties = {{ weight = 7, tags = [\"a\", \"b\"], owner = \"team \\u00e4\" }}\n\
         [[service]]\nname = \"staging/api_x\"\nport = 8081\naddress = \"192.0.2.10\"\n"
    )
}

/// What both libraries must see of the configured services.
fn assert_ours(found: &Value) {
    let names: Vec<_> = found.as_object().expect("a table").keys().map(String::as_str).collect();
    assert_eq!(names, ["192.0.2.10:8080", "192.0.2.10:8081"], "{found}");
    let first = &found["192.0.2.10:8080"];
    assert_eq!((&first["weight"], &first["tags"], &first["owner"]), (&json!(7), &json!(["a", "b"]), &json!("team ä")));
    assert!(first["pid"].is_u64(), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn zc_zk_finds_what_we_register_and_we_serve_what_it_registers() {
    let servers = zk::shared().namespace().await;
    let mut zc = ZcZk::connect(&servers);
    let ours = Binary::serve(&config(&servers, "zc"));
    eventually("the registrations", async || ours.log().matches(" registered").nth(1).map(drop)).await;
    assert_ours(&zc.children("/services/staging/api_x/providers"));

    let server = Running::over_zookeeper(&servers, "");
    zc.register("/services/staging/api_x/providers", "192.0.2.11:8082", &json!({"weight": 3, "color": "red"}));
    eventually("its registration in our DNS", async || {
        let data = dig(server.dns, "SRV api_x.staging.service").data();
        let expected = [
            "0 10 8081 192-0-2-10.addr.service.",
            "0 3 8082 192-0-2-11.addr.service.",
            "0 7 8080 192-0-2-10.addr.service.",
        ];
        (data == expected).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nd_service_registry_finds_what_we_register_and_we_serve_what_it_registers() {
    let servers = zk::shared().namespace().await;
    let mut nd = Nd::connect(&servers);
    let ours = Binary::serve(&config(&servers, "nd"));
    eventually("the registrations", async || ours.log().matches(" registered").nth(1).map(drop)).await;
    let found = nd.get("/services/staging/api_x");
    assert_ours(&found);
    let created = found["192.0.2.10:8080"]["created"].as_str().expect("a stamp, which that library writes as well");
    assert_eq!(created.len(), "2012-12-14 21:17:50".len());

    let server = Running::over_zookeeper(&servers, "");
    nd.set_node("/services/staging/api_x/192.0.2.11:8082", &json!({"weight": 3}));
    eventually("its registration in our DNS", async || {
        let data = dig(server.dns, "SRV api_x.staging.service").data();
        data.contains(&"0 3 8082 192-0-2-11.addr.service.".to_owned()).then_some(())
    })
    .await;
    server.stop().await;
}

/// zc.zk reads a node's properties as JSON: our flag is one of them, and theirs are as they were.
#[tokio::test(flavor = "multi_thread")]
async fn zc_zk_reads_a_drained_services_properties_as_before() {
    let servers = zk::shared().namespace().await;
    let mut zc = ZcZk::connect(&servers);
    let dns = free_port();
    let text =
        config(&servers, "zc") + &format!("[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:{dns}\"]\n");
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, text).expect("a configuration");
    let path = path.to_string_lossy().into_owned();
    let ours = Binary::run(&["serve", "--config", &path]);
    eventually("the registrations", async || ours.log().matches(" registered").nth(1).map(drop)).await;
    let at = ([127, 0, 0, 1], dns).into();
    eventually("our service in our DNS", async || (dig(at, "A api_x.staging.service").data().len() == 1).then_some(()))
        .await;
    let drain = ["drain", "staging/api_x", "--for", "1h", "--reason", "move", "--config", &path];
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(drain).output().expect("the binary");
    assert!(output.status.success(), "{output:?}");
    let properties = zc.properties("/services/staging/api_x");
    assert_eq!(properties["drain"][0]["reason"], "move", "{properties}");
    eventually("no answer", async || dig(at, "A api_x.staging.service").data().is_empty().then_some(())).await;
    assert_ours(&zc.children("/services/staging/api_x/providers"));
}
