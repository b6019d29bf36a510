//! Names that a service does not have to itself: the zone's name server, an alias of the zone file, a delegation. What
//! is served there, and where people see it.

use std::net::SocketAddr;

use crate::harness::app::{Binary, Running, scratch};
use crate::harness::dig::{dig, transfer};
use crate::harness::{admin, eventually};

const TREE: &str = "\
/services
  /ns
    /providers
      /10.77.66.6:8600
  /plain
    /providers
      /10.0.0.1:80
  /www
    /providers
      /10.0.0.2:80
  /sub
    /job
      /providers
        /10.0.0.3:80
";

const FILE: &str = "\
$TTL 5
www CNAME elsewhere.example.
sub NS ns.sub
ns.sub A 192.0.2.99
";

fn config(file: Option<&str>) -> String {
    let (seed, zone) = (scratch("seed.tree"), scratch("service.zone"));
    std::fs::write(&seed, TREE).unwrap();
    let file = file.map(|text| {
        std::fs::write(&zone, text).unwrap();
        format!("file = \"{}\"\n", zone.display())
    });
    let file = file.unwrap_or_default();
    format!("[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n{file}", seed.display())
}

async fn start(file: Option<&str>) -> Running {
    let server = Running::start_with(&format!(
        "{}[dns]\nlisten = [\"127.0.0.1:0\"]\nallow_transfer = [\"any\"]\n",
        config(file)
    ));
    eventually("an answer", async || (dig(server.dns, "A plain.service").status == "NOERROR").then_some(())).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_called_ns_is_not_taken_for_the_name_server_of_the_zone() {
    let server = start(None).await;
    let response = dig(server.dns, "NS service");
    assert_eq!(response.data(), ["ns.service."]);
    assert_eq!(response.additional, ["ns.service. 5 IN A 127.0.0.1"]);
    for query in ["A ns.service", "A ns.service +tcp"] {
        assert_eq!(dig(server.dns, query).data(), ["127.0.0.1"], "{query}");
    }
    // The service is there under its other names.
    assert_eq!(dig(server.dns, "SRV _ns._tcp.service").answer.len(), 1);
    let clash = "ns.service. is a name server of the zone: its own addresses are served, not those of /services/ns";
    let status = admin::page(server.admin, "/v1/status");
    assert!(status.contains("\"clashes_total\":1,") && status.contains(clash), "{status}");
    assert!(admin::page(server.admin, "/metrics").contains("zonekeeper_clashes{registry=\"main\"} 1\n"));
    assert!(
        admin::page(server.admin, "/v1/registrations")
            .contains(&format!("registry main: 1 clashing names\n  {clash}\n"))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_in_the_zone_file_hides_the_service_of_that_name_everywhere() {
    let server = start(Some(FILE)).await;
    let alias = ["www.service. 5 IN CNAME elsewhere.example."];
    for query in ["A www.service", "SRV www.service", "TXT www.service", "CNAME www.service", "A www.service +tcp"] {
        assert_eq!(dig(server.dns, query).answer, alias, "{query}");
    }
    let transferred = transfer(server.dns, "service.");
    let of = |owner: &str| transferred.iter().filter(|line| line.starts_with(&format!("{owner} "))).count();
    assert_eq!((of("www.service."), of("job.sub.service."), of("sub.service.")), (1, 0, 1), "{transferred:?}");
    assert_eq!(dig(server.dns, "A job.sub.service").authority, ["sub.service. 5 IN NS ns.sub.service."]);
    let status = admin::page(server.admin, "/v1/status");
    for reason in [
        "the zone file has a CNAME at www.service.: /services/www is not served there",
        "job.sub.service. lies below sub.service., which is another zone or leads elsewhere: /services/sub/job is not",
    ] {
        assert!(status.contains(reason), "{reason} in {status}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clash_that_a_zone_file_brings_is_logged_once_and_goes_with_it() {
    let (seed, zone, path) = (scratch("seed.tree"), scratch("service.zone"), scratch("zonekeeper.toml"));
    std::fs::write(&seed, TREE).unwrap();
    std::fs::write(&zone, "$TTL 5\ntxt TXT x\n").unwrap();
    let (dns, web) = (crate::harness::app::free_port(), crate::harness::app::free_port());
    let text = format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\nfile = \"{}\"\n[dns]\nlisten = [\"127.0.0.1:{dns}\"]\n[admin]\nlisten = \"127.0.0.1:{web}\"\n",
        seed.display(),
        zone.display()
    );
    std::fs::write(&path, text).unwrap();
    let server = Binary::run(&["serve", "--config", &path.to_string_lossy()]);
    eventually("a start", async || server.log().contains("is in DNS").then_some(())).await;
    let web = SocketAddr::from(([127, 0, 0, 1], web));
    let clashes = async |count: usize| {
        let shown = format!("\"clashes_total\":{count},");
        eventually("clashes", async || admin::page(web, "/v1/status").contains(&shown).then_some(())).await;
    };
    clashes(1).await;
    std::fs::write(&zone, FILE).unwrap();
    clashes(3).await;
    let told = server.log().matches("the zone file has a CNAME at www.service.").count();
    assert_eq!(told, 1, "{}", server.log());
    std::fs::write(&zone, "$TTL 5\ntxt TXT y\n").unwrap();
    clashes(1).await;
}
