//! Names of services that were deleted, or are expected: NODATA, which no resolver and no client takes for the end of a
//! service.

use std::net::SocketAddr;
use std::path::Path;

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;

const TREE: &str = "\
/services
  /api_x
    /providers
      /192.0.2.1:80
        tags = ['blue']
  /staging
    /db
      /providers
        /192.0.2.2:80
  /other
    /providers
      /192.0.2.3:80
        tags = ['taken']
  /taken.other
    /providers
      /192.0.2.4:80
";

/// The code of the answer, or the data that it has.
fn ask(dns: SocketAddr, query: &str) -> String {
    let response = dig(dns, query);
    if response.answer.is_empty() { response.status } else { response.data().join(" ") }
}

async fn until(dns: SocketAddr, query: &str, answer: &str) {
    eventually(&format!("{query} is {answer}"), async || (ask(dns, query) == answer).then_some(())).await;
}

fn configure(path: &Path, seed: &Path, dns: SocketAddr, registry: &str, zone: &str, more: &str) {
    let text = format!(
        "[registry.main]\nmemory = \"{}\"\n{registry}\n[[zone]]\norigin = \"service.\"\n{zone}\n[dns]\nlisten = [\"{dns}\"]\n{more}\n",
        seed.display()
    );
    std::fs::write(path, text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_a_deleted_service_have_no_data_for_a_while_and_only_then_do_not_exist() {
    let (seed, config) = (scratch("seed.tree"), scratch("zonekeeper.toml"));
    let dns = SocketAddr::from(([127, 0, 0, 1], free_port()));
    std::fs::write(&seed, TREE).unwrap();
    configure(&config, &seed, dns, "", "", "");
    let server = Binary::run(&["serve", "--config", &config.to_string_lossy()]);
    eventually("DNS", async || server.log().contains("is in DNS").then_some(())).await;
    until(dns, "A api_x.service", "192.0.2.1").await;
    assert_eq!(ask(dns, "A never.service"), "NXDOMAIN");

    std::fs::write(&seed, "/services\n  /other\n    /providers\n      /192.0.2.3:80\n        tags = ['db.staging']\n")
        .unwrap();
    until(dns, "A api_x.service", "NOERROR").await;
    for name in ["api-x.service", "blue.api_x.service", "_api_x._tcp.service", "db.staging.service", "staging.service"]
    {
        assert_eq!(ask(dns, &format!("SRV {name}")), "NOERROR", "{name}");
    }
    assert_eq!(ask(dns, "A never.service"), "NXDOMAIN");
    assert_eq!(ask(dns, "A x.api_x.service"), "NXDOMAIN");
    // Back again, and gone again.
    std::fs::write(&seed, TREE).unwrap();
    until(dns, "A api_x.service", "192.0.2.1").await;
    std::fs::write(&seed, "/services\n  /other\n").unwrap();
    until(dns, "A api_x.service", "NOERROR").await;

    configure(&config, &seed, dns, "linger = \"0s\"", "", "");
    server.signal("HUP");
    until(dns, "A api_x.service", "NXDOMAIN").await;
    until(dns, "A staging.service", "NXDOMAIN").await;
    assert_eq!(ask(dns, "A other.service"), "NOERROR");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_else_owns_the_name_of_a_deleted_service_has_it() {
    let (seed, config, zone) = (scratch("seed.tree"), scratch("zonekeeper.toml"), scratch("service.zone"));
    let dns = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let tree = |services: &str| {
        let rest = "  /other\n    /providers\n      /192.0.2.3:80\n        tags = ['taken']\n";
        std::fs::write(&seed, format!("/services\n{services}{rest}")).unwrap();
    };
    tree("  /wild\n    /providers\n      /192.0.2.1:80\n  /a\n    /b\n      /providers\n        /192.0.2.2:80\n");
    std::fs::write(&zone, "$TTL 60\n@ NS ns\nns A 192.0.2.99\n").unwrap();
    configure(&config, &seed, dns, "", &format!("file = \"{}\"", zone.display()), "");
    let server = Binary::run(&["serve", "--config", &config.to_string_lossy()]);
    eventually("DNS", async || server.log().contains("is in DNS").then_some(())).await;
    until(dns, "A wild.service", "192.0.2.1").await;
    tree("");
    until(dns, "A wild.service", "NOERROR").await;
    until(dns, "A b.a.service", "NOERROR").await;
    // A wildcard comes, for all of them, and goes.
    std::fs::write(&zone, "$TTL 60\n@ NS ns\nns A 192.0.2.99\n* A 192.0.2.50\n").unwrap();
    server.signal("HUP");
    until(dns, "A wild.service", "192.0.2.50").await;
    for name in ["b.a.service", "a.service", "x.a.service", "never.service"] {
        assert_eq!(ask(dns, &format!("A {name}")), "192.0.2.50", "{name}");
    }
    std::fs::write(&zone, "$TTL 60\n@ NS ns\nns A 192.0.2.99\na A 192.0.2.60\n").unwrap();
    server.signal("HUP");
    until(dns, "A a.service", "192.0.2.60").await;
    assert_eq!(ask(dns, "A b.a.service"), "NOERROR");
    assert_eq!(ask(dns, "A wild.service"), "NOERROR");
    assert_eq!(ask(dns, "A taken.other.service"), "192.0.2.3");
}

#[tokio::test(flavor = "multi_thread")]
async fn expected_services_and_those_of_this_host_are_never_nxdomain() {
    let (seed, config) = (scratch("seed.tree"), scratch("zonekeeper.toml"));
    let dns = SocketAddr::from(([127, 0, 0, 1], free_port()));
    std::fs::write(&seed, "/services\n  /other\n").unwrap();
    let service = "[[service]]\nname = \"staging/mine_x\"\nport = 80\naddress = \"192.0.2.1\"\n\
                   check = { exec = { command = [\"false\"] } }\n";
    configure(&config, &seed, dns, "", "expect = [\"pay\", \"a/b\"]", service);
    let server = Binary::run(&["serve", "--config", &config.to_string_lossy()]);
    eventually("DNS", async || server.log().contains("is in DNS").then_some(())).await;
    until(dns, "A other.service", "NOERROR").await;
    for name in [
        "pay.service",
        "_pay._tcp.service",
        "b.a.service",
        "a.service",
        "mine_x.staging.service",
        "mine-x.staging.service",
    ] {
        assert_eq!(ask(dns, &format!("A {name}")), "NOERROR", "{name}");
    }
    assert_eq!(ask(dns, "A never.service"), "NXDOMAIN");
    std::fs::write(&seed, "/services\n  /pay\n    /providers\n      /192.0.2.5:80\n").unwrap();
    until(dns, "A pay.service", "192.0.2.5").await;
    configure(&config, &seed, dns, "", "expect = [\"late\"]", "");
    server.signal("HUP");
    until(dns, "A late.service", "NOERROR").await;
    for name in ["b.a.service", "a.service"] {
        assert_eq!(ask(dns, &format!("A {name}")), "NXDOMAIN", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expected_service_that_a_zone_below_shows_is_no_nxdomain_there() {
    let (seed, config) = (scratch("seed.tree"), scratch("zonekeeper.toml"));
    let dns = SocketAddr::from(([127, 0, 0, 1], free_port()));
    std::fs::write(&seed, "/services\n  /other\n").unwrap();
    let below = "[[zone]]\norigin = \"staging.service.\"\nunder = \"staging\"\nexpect = [\"own\"]\n";
    configure(&config, &seed, dns, "", "expect = [\"staging/pay\"]", below);
    let server = Binary::run(&["serve", "--config", &config.to_string_lossy()]);
    eventually("DNS", async || server.log().contains("is in DNS").then_some(())).await;
    until(dns, "A other.service", "NOERROR").await;
    for name in ["pay.staging.service", "_pay._tcp.staging.service", "own.staging.service"] {
        assert_eq!(ask(dns, &format!("A {name}")), "NOERROR", "{name}");
    }
    assert_eq!(ask(dns, "A never.staging.service"), "NXDOMAIN");
}
