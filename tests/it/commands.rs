//! `zonekeeper explain` and `zonekeeper dump`: the binary asks a running server.

use std::process::{Command, Output};

use crate::harness::app::{Running, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;

const TREE: &str = "\
/services
  /api_x
    /providers
      /10.0.0.1:8080
        tags = ['canary']
      /10.0.0.2:8080
        state = 'drain'
      /nonsense
";

async fn site() -> Running {
    let seed = scratch("seed.tree");
    std::fs::write(&seed, TREE).unwrap();
    let zones = "[[zone]]\norigin = \"service.\"\n[[zone]]\norigin = \"10.in-addr.arpa.\"\n";
    let server = Running::start(&format!("[registry.main]\nmemory = \"{}\"\n{zones}", seed.display()));
    eventually("an answer", async || (dig(server.dns, "A api_x.service").answer.len() == 1).then_some(())).await;
    server
}

fn run(server: &Running, arguments: &[&str]) -> Output {
    let admin = server.admin.to_string();
    Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(arguments).args(["--admin", &admin]).output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_what_is_in_and_what_is_out() {
    let server = site().await;
    let text = printed(&run(&server, &["explain", "API_x.service", "srv"]));
    for expected in [
        "api_x.service. SRV\nzone service., serial ",
        "answer: 1 records\n  api_x.service. 5 SRV 0 10 8080 10-0-0-1.addr.service.\n",
        "registry main: mirror live, exact 0 s ago\n/services/api_x: the service itself\n",
        "  10.0.0.1:8080            IN   ttl 5 (the zone's), weight 10 (the default)\n",
        "  10.0.0.2:8080            OUT  drained: its state is \"drain\"\n",
        "  nonsense                 OUT  lost: its name is not of the form host:port\n",
    ] {
        assert!(text.contains(expected), "{expected}\nin\n{text}");
    }
    let text = printed(&run(&server, &["explain", "nobody.service"]));
    assert!(text.contains("answer: NXDOMAIN") && text.contains("no znode leads to this name"), "{text}");
    let text = printed(&run(&server, &["explain", "1.0.0.10.in-addr.arpa", "PTR"]));
    assert!(text.contains("PTR 10-0-0-1.addr.service.") && text.contains("its instances at 10.0.0.1\n"), "{text}");
    assert!(printed(&run(&server, &["explain", "example.com"])).contains("no zone of this server"));
    let wrong = run(&server, &["explain", "a.service", "NONSENSE"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("there is no type `NONSENSE`"), "{wrong:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dump_writes_the_zone_in_every_form() {
    let server = site().await;
    let zone = printed(&run(&server, &["dump", "--as", "zone", "--zone", "service"]));
    assert!(zone.contains("10-0-0-1.addr.service.\t5\tIN\tA\t10.0.0.1\n"), "{zone}");
    assert_eq!(zone.matches("\tSOA\t").count(), 1, "{zone}");
    let hosts = printed(&run(&server, &["dump", "--as", "hosts"]));
    assert!(
        hosts.contains("10.0.0.1\t10-0-0-1.addr.service api-x.service api_x.service canary.api_x.service\n"),
        "{hosts}"
    );
    let json = printed(&run(&server, &["dump", "--as", "json", "--zone", "10.in-addr.arpa."]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["origin"], "10.in-addr.arpa.");
    for (text, mark) in [(&zone, ";"), (&hosts, "#")] {
        let lost = format!("\n{mark} lost /services/api_x/providers/nonsense: its name is not of the form host:port\n");
        assert!(text.contains(&format!("\n{mark} service api_x: ")) && text.contains(&lost), "{text}");
    }
    let line = zone.lines().find(|line| line.starts_with("; service api_x: ")).unwrap();
    for name in [" _api_x._tcp.service.", " api-x.service.", " api_x.service.", " canary.api_x.service."] {
        assert!(line.contains(name), "{name} in {line}");
    }
    let json = printed(&run(&server, &["dump", "--as", "json", "--zone", "service"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["services"][0]["path"], "api_x");
    assert!(json["services"][0]["names"].as_array().unwrap().contains(&"api_x.service.".into()), "{json}");
    assert_eq!(
        (&json["lost"][0]["path"], json["doubtful"].as_array().map(Vec::len)),
        (&"/services/api_x/providers/nonsense".into(), Some(0))
    );
    let service = crate::harness::admin::page(server.admin, "/v1/services/api_x");
    assert!(service.contains("\"names\":[") && service.contains("\"api-x.service.\""), "{service}");
    assert_eq!(run(&server, &["dump", "--zone", "other"]).status.code(), Some(1));
    assert_eq!(run(&server, &["dump", "--as", "nothing"]).status.code(), Some(64));
    checked_by_bind("service", &zone);
    server.stop().await;
}

/// BIND's own checker takes the zone form, where it is installed.
fn checked_by_bind(origin: &str, zone: &str) {
    let path = scratch("dump.zone");
    std::fs::write(&path, zone).unwrap();
    match Command::new("named-checkzone").args(["-i", "none", "-k", "ignore", origin]).arg(&path).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
    }
}

#[test]
fn nobody_who_answers_is_an_error_and_not_a_hang() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(["dump", "--admin", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot ask the server's admin address 127.0.0.1:1"));
}
