//! What `zonekeeper explain` knows besides the instances of a name: checks of this host, lines of zone files, near
//! names, addresses, paths, names without their zone, and which server answers.

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

/// A server of this tree alone.
async fn of_tree(tree: &str) -> Running {
    let seed = scratch("seed.tree");
    std::fs::write(&seed, format!("/services\n{tree}  /there\n    /10.9.9.9:9\n")).unwrap();
    let config = format!("[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n", seed.display());
    let server = Running::start(&config);
    eventually("an answer", async || (dig(server.dns, "A there.service").answer.len() == 1).then_some(())).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_the_zones_own_name_server_hides_is_out_and_that_is_told() {
    let server = of_tree("  /ns\n    /10.77.66.6:8600\n").await;
    let text = explained(&server, &["ns.service"]);
    assert!(text.contains("ns.service. 5 A 127.0.0.1\nthe zone itself makes this name"), "{text}");
    assert!(text.contains("10.77.66.6:8600          OUT  hidden by the zone's own name server"), "{text}");
    let srv = explained(&server, &["ns.service", "SRV"]);
    assert!(srv.contains("10.77.66.6:8600          IN "), "its SRV record is served: {srv}");
    assert_eq!(dig(server.dns, "SRV ns.service").answer.len(), 1);
    assert!(!explained(&server, &["there.service"]).contains("makes this name"));
    for rtype in ["HTTPS", "ds", "DNAME", "TYPE65", "caa"] {
        assert!(explained(&server, &["there.service", rtype]).contains("answer: NODATA"), "{rtype}");
    }
    assert!(explained(&server, &["service", "SOA"]).contains("the zone itself makes this name"));
    server.stop().await;
    let (server, zone) = site();
    ready(&server).await;
    std::fs::write(&zone, ZONE.replace("sub NS", "staging NS")).unwrap();
    let text = eventually("the delegation", async || {
        Some(explained(&server, &["db.staging.service"])).filter(|text| text.contains("a referral"))
    })
    .await;
    assert!(text.contains("10.0.0.1:5432            OUT  hidden by the zone file, "), "{text}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_nodes_of_one_endpoint_the_one_that_is_served_is_named_and_not_another_that_is_not() {
    let three = ["10.0.0.9:0080", "10.0.0.9:080", "10.0.0.9:80"];
    let seed = |last: &str| {
        let nodes: Vec<String> = three.iter().map(|name| format!("      /{name}\n")).collect();
        format!("  /twice\n    /providers\n{}{last}", nodes.concat())
    };
    let server = of_tree(&seed("")).await;
    let text = explained(&server, &["twice.service"]);
    let reason = "doubtful: it is the same endpoint as 10.0.0.9:80, which is served in its place\n";
    assert_eq!(text.matches(reason).count(), 2, "{text}");
    assert!(text.contains("10.0.0.9:80              IN "), "{text}");
    server.stop().await;
    let server = of_tree(&seed("        state = 'down'\n")).await;
    let text = explained(&server, &["twice.service"]);
    let reason = "the same endpoint as 10.0.0.9:80, which goes before it and has the state \"down\"\n";
    assert_eq!(text.matches(reason).count(), 2, "{text}");
    assert_eq!(dig(server.dns, "A twice.service").answer.len(), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_explained_by_the_services_that_have_it() {
    let tree = "  /api\n    /10.0.0.1:80\n      ports = {'admin': 81}\n  /db\n    /db.example.com:5432\n  /web\n    /10.0.0.1:80\n";
    let server = of_tree(tree).await;
    for (asked, expected) in [
        ("10.0.0.1:80", "10.0.0.1:80 is an instance, or a port of one, of /services/api in registry main\n"),
        ("10.0.0.1:80", "of /services/web in registry main\n"),
        ("10.0.0.1:80", "api.service. SRV\n"),
        ("10.0.0.1:81", "10.0.0.1:81 is an instance, or a port of one, of /services/api in registry main\n"),
        ("DB.example.com:5432", "of /services/db in registry main\n"),
        (
            "10.0.0.1:443",
            "no instance is at 10.0.0.1:443\n10.0.0.1 has other ports, or none:\n10-0-0-1.addr.service. A\n",
        ),
        ("[2001:db8::7]:80", "no instance is at [2001:db8::7]:80\n"),
        ("/services", "the root in registry main has the names service.\nservice. A\n"),
    ] {
        let text = explained(&server, &[asked]);
        assert!(text.contains(expected), "{asked}: {expected} in {text}");
        assert!(!text.contains("no zone of this server has the name"), "{text}");
        assert!(text.matches("\napi.service. SRV\n").count() <= 1, "{text}");
    }
    assert!(!explained(&server, &["10.0.0.1:81"]).contains("/services/web"));
    for (asked, why) in
        [("10.0.0.300:80", "ends in a number"), ("localhost:80", "another host"), ("10.0.0.1:0", "from 1 to")]
    {
        let text = explained(&server, &[asked]);
        assert!(text.contains(&format!("{asked} is not an endpoint: ")) && text.contains(why), "{text}");
    }
    assert_eq!(run(&server, &["explain", ""]).status.code(), Some(1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_seen_in_a_name_is_escaped_and_json_stays_json() {
    let server = of_tree("  /odd\n    /providers\n      /non\u{200b}sense\u{202e}x\n").await;
    let text = explained(&server, &["odd.service"]);
    assert!(text.contains("non\\u{200b}sense\\u{202e}x") && !text.contains(['\u{200b}', '\u{202e}']), "{text}");
    let json = explained(&server, &["odd.service", "--json"]);
    assert!(!json.contains(['\u{200b}', '\u{202e}']), "{json}");
    let found: Value = serde_json::from_str(&json).unwrap();
    let lost = &found["names"][0]["registries"][0]["services"][0]["lost"][0]["path"];
    assert_eq!(lost, "/services/odd/providers/non\u{200b}sense\u{202e}x");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_a_name_of_more_than_63_bytes_is_found_by_it() {
    let (fits, long, dotted) = ("b".repeat(63), "c".repeat(64), format!("com.example.{}", "d".repeat(60)));
    let service = |name: &String| format!("  /{name}\n    /10.0.0.1:80\n");
    let server = of_tree(&[&fits, &long, &dotted].map(service).concat()).await;
    let cut = format!("{}-3d3bb39181dc91e5", "c".repeat(46));
    for (asked, name) in [
        (format!("{fits}.service"), format!("{fits}.service.")),
        (format!("{long}.service"), format!("{cut}.service.")),
        (format!("/services/{long}"), format!("{cut}.service.")),
        (long.clone(), format!("{cut}.service.")),
        (format!("{dotted}.service."), "com\\.example\\.".to_owned()),
    ] {
        let text = explained(&server, &[&asked]);
        let instance = "10.0.0.1:80              IN ";
        assert!(text.contains(&name) && text.contains(instance), "{asked}: {text}");
    }
    let absent = "x".repeat(64);
    let text = explained(&server, &[&format!("{absent}.service")]);
    let told = "a label of DNS has at most 63 bytes and this one 64: a service of that name is xxxx";
    assert!(text.contains(told) && text.contains("answer: NXDOMAIN"), "{text}");
    let text = explained(&server, &[&format!("{absent}.example.com")]);
    assert!(text.contains(told) && text.contains("no zone of this server has the name"), "{text}");
    let wrong = run(&server, &["explain", &vec!["y".repeat(60); 5].join(".")]);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("is not a valid name: the name is longer than 255 bytes"), "{said}");
    // Over sockets these names are what is told.
    for name in [&fits, &cut] {
        assert_eq!(dig(server.dns, &format!("A {name}.service")).data(), ["10.0.0.1"], "{name}");
    }
    let names = explained(&server, &[&format!("/services/{fits}")]);
    let underscored = names.split_whitespace().find(|name| name.starts_with("_bbb")).expect("its name of RFC 2782");
    assert_eq!(underscored.split('.').next().map(str::len), Some(63), "{underscored}");
    assert_eq!(dig(server.dns, &format!("SRV {underscored}")).answer.len(), 1);
    server.stop().await;
}
