//! Master files while the server runs: a new version is taken without a signal, a broken one is not; zones that are a
//! file and nothing else, and several zones over one registry.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use serde_json::Value;

use crate::harness::app::{Running, scratch};
use crate::harness::dig::{Response, dig};
use crate::harness::eventually;

/// `/v1/status`.
fn status(admin: SocketAddr) -> Value {
    let mut stream = TcpStream::connect(admin).expect("the admin server");
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    serde_json::from_str(page.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
}

/// Writes a file as editors do: beside it, and then into its place.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

async fn becomes(server: &Running, query: &str, expected: &[&str]) -> Response {
    eventually(&format!("{query} is {expected:?}"), async || {
        let answer = dig(server.dns, query);
        (answer.data() == expected).then_some(answer)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_file_and_what_it_includes_are_read_again_when_they_change() {
    let main = scratch("static.zone");
    let hosts = main.with_file_name("hosts.inc");
    let with_hosts = "$TTL 60\n@ NS ns.example.net.\n$INCLUDE hosts.inc\n";
    std::fs::write(&hosts, "www A 192.0.2.1\n").unwrap();
    std::fs::write(&main, with_hosts).unwrap();
    let server = Running::start(&format!("[[zone]]\norigin = \"static.example.\"\nfile = \"{}\"\n", main.display()));
    becomes(&server, "A www.static.example", &["192.0.2.1"]).await;
    let serial = |response: &Response| response.data()[0].split(' ').nth(2).unwrap().parse::<u32>().unwrap();
    let first = serial(&dig(server.dns, "SOA static.example"));

    replace(&hosts, "www A 192.0.2.2\nmail A 192.0.2.25\n");
    becomes(&server, "A www.static.example", &["192.0.2.2"]).await;
    assert_eq!(dig(server.dns, "A mail.static.example").data(), ["192.0.2.25"]);
    assert!(serial(&dig(server.dns, "SOA static.example")) > first);

    replace(&main, "$TTL 60\n@ NS ns.example.net.\nwww A 192.0.2.3\n");
    becomes(&server, "A www.static.example", &["192.0.2.3"]).await;
    assert_eq!(dig(server.dns, "A mail.static.example").status, "NXDOMAIN");

    // A file that is not included any more may change as it likes; one that is included again counts again.
    replace(&hosts, "nonsense\n");
    replace(&main, with_hosts);
    eventually("the refusal", async || {
        let status = status(server.admin);
        let file = &status["zones"][0]["file"];
        (file["problems_total"] == 1 && file["problems"][0].as_str()?.contains("hosts.inc:1:")).then_some(())
    })
    .await;
    assert_eq!(dig(server.dns, "A www.static.example").data(), ["192.0.2.3"], "the version before is in force");

    // Only the included file is mended.
    replace(&hosts, "www A 192.0.2.4\n");
    becomes(&server, "A www.static.example", &["192.0.2.4"]).await;
    let mended = status(server.admin);
    assert_eq!(mended["zones"][0]["file"]["problems_total"], 0, "{mended}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_include_that_comes_later_and_a_file_that_goes_change_nothing_until_all_is_there() {
    let main = scratch("static.zone");
    let late = main.with_file_name("late.inc");
    std::fs::write(&main, "$TTL 60\nwww A 192.0.2.1\n").unwrap();
    let server = Running::start(&format!("[[zone]]\norigin = \"static.example.\"\nfile = \"{}\"\n", main.display()));
    becomes(&server, "A www.static.example", &["192.0.2.1"]).await;
    replace(&main, "$TTL 60\nwww A 192.0.2.2\n$INCLUDE late.inc\n");
    eventually("the refusal", async || (status(server.admin)["zones"][0]["file"]["problems_total"] == 1).then_some(()))
        .await;
    assert_eq!(dig(server.dns, "A www.static.example").data(), ["192.0.2.1"]);
    replace(&late, "late A 192.0.2.9\n");
    becomes(&server, "A late.static.example", &["192.0.2.9"]).await;
    assert_eq!(dig(server.dns, "A www.static.example").data(), ["192.0.2.2"]);
    std::fs::remove_file(&main).unwrap();
    std::fs::write(&late, "late A 192.0.2.10\n").unwrap();
    assert_eq!(dig(server.dns, "A late.static.example").data(), ["192.0.2.9"]);
    std::fs::write(&main, "$TTL 60\nwww A 192.0.2.3\n").unwrap();
    becomes(&server, "A www.static.example", &["192.0.2.3"]).await;
    server.stop().await;
}

/// A zone that is only its file is numbered by the file; a change without a new serial still shows at secondaries.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_is_only_its_file_has_the_serial_of_its_file() {
    let file = scratch("static.zone");
    let text = |serial: u32, last: u8| {
        format!(
            "$TTL 60\n@ SOA ns.example. hostmaster.example. {serial} 60 10 600 5\n@ NS ns.example.\nwww A 192.0.2.{last}\n"
        )
    };
    std::fs::write(&file, text(7, 1)).unwrap();
    let server = Running::start(&format!(
        "[[zone]]\norigin = \"static.example.\"\nregistry = \"\"\nfile = \"{}\"\n",
        file.display()
    ));
    let soa = |serial: u32| format!("ns.example. hostmaster.example. {serial} 60 10 600 5");
    becomes(&server, "SOA static.example", &[&soa(7)]).await;
    for (written, last, served) in [(9, 1, 9), (9, 2, 10), (10, 3, 11), (2026, 3, 2026)] {
        replace(&file, &text(written, last));
        becomes(&server, "SOA static.example", &[&soa(served)]).await;
        becomes(&server, "A www.static.example", &[&format!("192.0.2.{last}")]).await;
    }
    server.stop().await;
}

/// `registry = ""` beside a registry: the zone is its file, and none of the services.
#[tokio::test(flavor = "multi_thread")]
async fn a_static_zone_stands_beside_zones_over_parts_of_one_registry() {
    let (seed, file) = (scratch("seed.tree"), scratch("static.zone"));
    let tree = "/services\n  /api\n    /providers\n      /10.0.0.1:80\n  /staging\n    /api\n      /providers\n        /10.0.1.1:80\n    /db\n      /providers\n        /10.0.1.2:5432\n";
    std::fs::write(&seed, tree).unwrap();
    std::fs::write(&file, "$TTL 60\nwww A 192.0.2.1\n").unwrap();
    let server = Running::start(&format!(
        "[registry.main]\nmemory = \"{}\"\n\
         [[zone]]\norigin = \"service.\"\n\
         [[zone]]\norigin = \"staging.example.\"\nunder = \"staging\"\n\
         [[zone]]\norigin = \"static.example.\"\nregistry = \"\"\nfile = \"{}\"\n",
        seed.display(),
        file.display()
    ));
    becomes(&server, "A api.service", &["10.0.0.1"]).await;
    becomes(&server, "A api.staging.example", &["10.0.1.1"]).await;
    let answers = |query| dig(server.dns, query);
    assert_eq!(answers("A api.staging.service").data(), ["10.0.1.1"]);
    assert_eq!(answers("SRV db.staging.example").data(), ["0 10 5432 10-0-1-2.addr.staging.example."]);
    assert_eq!(answers("A staging.staging.example").status, "NXDOMAIN");
    assert_eq!(answers("A www.static.example").data(), ["192.0.2.1"]);
    for absent in ["A api.static.example", "A staging.static.example", "A www.service"] {
        assert_eq!(answers(absent).status, "NXDOMAIN", "{absent}");
    }
    assert_eq!(answers("A example").status, "REFUSED");
    // A change shows in every zone that has it.
    replace(&seed, &tree.replace("10.0.1.1", "10.0.1.3"));
    becomes(&server, "A api.staging.example", &["10.0.1.3"]).await;
    becomes(&server, "A api.staging.service", &["10.0.1.3"]).await;
    server.stop().await;
}
