//! The metrics, as Prometheus' own tools read them (Debian's package prometheus).

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use crate::harness::app::{Running, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::kazoo::Kazoo;
use crate::harness::zk;

/// Head and body of the metrics for a client that accepts this.
async fn metrics(admin: SocketAddr, accept: &'static str) -> (String, String) {
    let scrape = move || {
        let mut stream = TcpStream::connect(admin).expect("the admin server");
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: x\r\nAccept: {accept}\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let (head, body) = page.split_once("\r\n\r\n").expect("a head");
        (head.to_ascii_lowercase(), body.to_owned())
    };
    tokio::task::spawn_blocking(scrape).await.expect("no panic")
}

/// Verdict of `promtool` with these arguments about a text on its standard input: whether all is well, and what it
/// says.
fn promtool(arguments: &[&str], page: &str) -> (bool, String) {
    let mut command = Command::new("promtool");
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().expect("`promtool`, of the Debian package prometheus");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_wrong_and_queries_are_counted_by_zone_type_and_outcome() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", true);
    kazoo.create("/services/api/providers/10.0.0.2:80", br#"{"state": "drain"}"#, true);
    kazoo.create("/services/api/providers/nonsense", b"", true);
    let server = Running::over_zookeeper(&servers, "");
    eventually("the answer", async || (dig(server.dns, "A api.service").data() == ["10.0.0.1"]).then_some(())).await;
    let page = metrics(server.admin, "*/*").await.1;
    let of = |page: &str, series: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix("zonekeeper_")?.strip_prefix(series));
        line.map_or(0, |value| value.trim().parse::<u64>().unwrap())
    };
    let series = |transport: &str, kind: &str, rcode: &str, zone: &str| {
        format!("dns_queries_total{{zone=\"{zone}\",transport=\"{transport}\",type=\"{kind}\",rcode=\"{rcode}\"}}")
    };
    let counted = [
        ("SRV _x._tcp.api.service", ("udp", "SRV", "NXDOMAIN", "service.")),
        ("SRV api.service", ("udp", "SRV", "NOERROR", "service.")),
        ("SRV api.service +tcp", ("tcp", "SRV", "NOERROR", "service.")),
        ("AAAA api.service", ("udp", "AAAA", "NODATA", "service.")),
        ("MX api.service +tcp", ("tcp", "MX", "NODATA", "service.")),
        ("A elsewhere.example", ("udp", "A", "REFUSED", "")),
        ("TYPE1234 api.service", ("udp", "other", "NODATA", "service.")),
        // The slow path's.
        ("ANY api.service +notcp", ("udp", "ANY", "NOERROR", "service.")),
    ];
    for (query, _) in counted {
        dig(server.dns, query);
    }
    let (head, after) = metrics(server.admin, "text/plain;version=0.0.4;q=0.5, */*;q=0.1").await;
    for (query, (transport, kind, rcode, zone)) in counted {
        let series = series(transport, kind, rcode, zone);
        assert_eq!(of(&after, &series) - of(&page, &series), 1, "{query}: {series}\n{after}");
    }
    for (state, count) in [("in", 1), ("out", 2)] {
        let series = format!("service_instances{{registry=\"main\",service=\"api\",state=\"{state}\"}}");
        assert_eq!(of(&after, &series), count, "{after}");
    }
    assert_eq!(of(&after, "dns_extended_error_codes_total{transport=\"udp\",code=\"20\"}"), 1, "{after}");
    assert!(of(&after, "dns_response_time_seconds_count{transport=\"udp\"}") >= 1, "{after}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let (is_well, said) = promtool(&["check", "metrics"], &after);
    assert!(is_well && said.is_empty(), "{said}\n{after}");

    // What Prometheus sends.
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let (head, page) = metrics(server.admin, accept).await;
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(page.ends_with("# EOF\n") && page.contains("# TYPE zonekeeper_dns_queries counter\n"), "{page}");
    server.stop().await;
}

#[test]
fn the_alert_rules_fire_when_they_should_and_not_before() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/alerts.yml");
    let (is_well, said) = promtool(&["check", "rules", rules], "");
    assert!(is_well, "{said}");
    let tests = scratch("alerts.test.yml");
    let text = include_str!("../fixtures/prometheus/alerts.test.yml").replace("RULES", rules);
    std::fs::write(&tests, text).expect("a file");
    let (is_well, said) = promtool(&["test", "rules", &tests.to_string_lossy()], "");
    assert!(is_well, "{said}");
}
