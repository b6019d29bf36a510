//! What `zonekeeper explain` knows besides the instances of a name: checks of this host, lines of zone files, near names,
//! addresses, paths, names without their zone, and which server answers.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::app::{Running, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;

const TREE: &str = "\
/services
  /api_x
    /providers
      /10.0.0.1:8080
      /[2001:db8::1]:8080
      /nonsense
  /plain
    /10.1.2.7:99
  /staging
    /db
      /10.0.0.1:5432
";

const ZONE: &str = "\
$TTL 60
@ NS ns.example.com.
; a comment
plain A 1.2.3.4
only A 1.2.3.5
*.wild A 1.2.3.6
sub NS ns.elsewhere.example.
";

fn site() -> (Running, PathBuf) {
    let (seed, zone) = (scratch("seed.tree"), scratch("service.zone"));
    std::fs::write(&seed, TREE).unwrap();
    std::fs::write(&zone, ZONE).unwrap();
    let config = format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\nfile = \"{}\"\n\
         [[zone]]\norigin = \"stage.\"\nunder = \"staging\"\n[[zone]]\norigin = \"10.in-addr.arpa.\"\n\
         [[service]]\nname = \"mine\"\nport = 1\naddress = \"127.0.0.1\"\ncheck.exec = {{ command = [\"false\"] }}\n",
        seed.display(),
        zone.display()
    );
    (Running::start(&config), zone)
}

fn run(server: &Running, arguments: &[&str]) -> Output {
    let admin = server.admin.to_string();
    Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(arguments).args(["--admin", &admin]).output().unwrap()
}

fn explained(server: &Running, arguments: &[&str]) -> String {
    let output = run(server, &[&["explain"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn ready(server: &Running) {
    eventually("an answer", async || (dig(server.dns, "A api_x.service").answer.len() == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_this_host_that_its_check_keeps_out_is_explained_with_the_check() {
    let (server, _) = site();
    ready(&server).await;
    let text = eventually("the check's verdict", async || {
        let text = explained(&server, &["mine.service"]);
        text.contains(" unhealthy: ").then_some(text)
    })
    .await;
    assert!(
        text.contains("registered from this host into main: /services/mine/providers/127.0.0.1:1 unhealthy: "),
        "{text}"
    );
    assert!(text.contains("  check exec false unhealthy for "), "{text}");
    assert!(!text.contains("did you mean"), "{text}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_zone_file_shadows_is_out_and_the_line_is_named() {
    let (server, zone) = site();
    ready(&server).await;
    let line = |number: usize| format!("{}:{number}", zone.display());
    let text = explained(&server, &["plain.service"]);
    assert!(text.contains("plain.service. 60 A 1.2.3.4\n"), "{text}");
    assert!(text.contains(&format!("zone file {}: plain.service. A\n", line(4))), "{text}");
    assert!(
        text.contains(&format!("/services/plain: the service itself\n  hidden by the zone file, {}\n", line(4))),
        "{text}"
    );
    assert!(text.contains("10.1.2.7:99              OUT  hidden by the zone file"), "{text}");
    let srv = explained(&server, &["plain.service", "SRV"]);
    assert!(srv.contains("10.1.2.7:99              IN "), "the file says nothing of that type: {srv}");
    let text = explained(&server, &["only.service"]);
    assert!(text.contains(&format!("zone file {}: only.service. A\n", line(5))), "{text}");
    let text = explained(&server, &["a.wild.service"]);
    assert!(text.contains(&format!("zone file {}: *.wild.service. A\n", line(6))), "{text}");
    let text = explained(&server, &["x.sub.service"]);
    assert!(
        text.contains("a referral") && text.contains(&format!("zone file {}: sub.service. NS\n", line(7))),
        "{text}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn near_names_addresses_paths_and_names_without_a_zone_are_understood() {
    let (server, _) = site();
    ready(&server).await;
    for (asked, expected) in [
        ("apix.service", "did you mean api_x.service?\n"),
        ("/services/apix", "no registry of this server has /services/apix\ndid you mean api_x?\n"),
        ("api_x", "api_x in registry main has the names "),
        ("/services/api_x/providers/10.0.0.1:8080", "api_x.service. A\nzone service., serial "),
        ("staging/db", "db.staging.service. A\n"),
        ("/services/staging/db", "\ndb.stage. A\n"),
        ("staging/db/10.0.0.9:1", "staging/db/10.0.0.9:1 does not exist in registry main; its service does\n"),
        ("db.staging", "db.staging.service. A\n"),
        ("db", "db.stage. A\nzone stage., serial "),
        ("API-x", "api-x.service. A\n"),
        ("10.0.0.1", "/services/api_x: its instances at 10.0.0.1\n"),
        ("10.0.0.1", "/services/staging/db: its instances at 10.0.0.1\n"),
        ("10.0.0.1", "1.0.0.10.in-addr.arpa. PTR\n"),
        ("2001:db8::1", "[2001:db8::1]:8080       IN  "),
        ("10.99.0.1", "no instance is at 10.99.0.1\n"),
        ("example.com", "no zone of this server has the name: REFUSED\n"),
        ("nothing-like-it.service", "answer: NXDOMAIN"),
    ] {
        let text = explained(&server, &[asked]);
        assert!(text.contains(expected), "{asked}: {expected} in {text}");
        assert!(text.contains(&format!(", admin {})\n", server.admin)) && text.contains("(answered by "), "{text}");
    }
    let names = explained(&server, &["/services/api_x"]);
    for name in [" _api_x._tcp.service.", " api-x.service.", " api_x.service."] {
        assert!(names.lines().next().is_some_and(|line| line.contains(name)), "{name} in {names}");
    }
    assert!(!explained(&server, &["nothing-like-it.service"]).contains("did you mean"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_as_json_says_the_same() {
    let (server, zone) = site();
    ready(&server).await;
    let json = |asked: &str| -> Value { serde_json::from_str(&explained(&server, &[asked, "--json"])).unwrap() };
    let found = json("api_x.service");
    assert_eq!((&found["asked"], &found["type"]), (&"api_x.service".into(), &"A".into()));
    assert_eq!(found["server"]["admin"], server.admin.to_string());
    assert!(found["server"]["host"].as_str().is_some_and(|host| !host.is_empty()) && found["server"]["pid"].is_u64());
    let service = &found["names"][0]["registries"][0]["services"][0];
    assert_eq!((&service["path"], &service["instances"][0]["in"]), (&"/services/api_x".into(), &true.into()));
    assert!(service["names"].as_array().unwrap().contains(&"_api_x._tcp.service.".into()), "{service}");
    assert_eq!(service["lost"][0]["path"], "/services/api_x/providers/nonsense");
    let shadowed = json("plain.service");
    assert_eq!(shadowed["names"][0]["zone_file"][0]["place"], format!("{}:4", zone.display()));
    assert_eq!(shadowed["names"][0]["registries"][0]["services"][0]["instances"][0]["in"], false);
    assert_eq!(json("apix.service")["did_you_mean"], "api_x.service");
    let wrong = run(&server, &["explain", "a..service"]);
    assert_eq!(wrong.status.code(), Some(1));
    server.stop().await;
}
