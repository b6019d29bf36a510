//! The name server that a zone gets whose file names none: at the addresses that are really listened on, of both
//! families.

use std::process::Command;

use crate::harness::app::{Binary, scratch};
use crate::harness::eventually;

/// A host with an address of each family besides loopback and link-local ones.
const HOST: &str = "ip link set lo up && ip link add e0 type veth peer name e1 && ip link set e0 up && \
     ip link set e1 up && ip addr add 192.0.2.53/24 dev e0 && ip addr add 2001:db8::53/64 dev e0 nodad && \
     while ! ip -br link show e0 | grep -q UP; do sleep 0.05; done; exec \"$0\" \"$@\"";

/// What `ns.service` has there, by the addresses that are listened on.
async fn glue(listen: &str, server: &str) -> Vec<String> {
    let (seed, config) = (scratch("seed.tree"), scratch("zonekeeper.toml"));
    std::fs::write(&seed, "/services\n").unwrap();
    let text = format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [{listen}]\n",
        seed.display()
    );
    std::fs::write(&config, text).unwrap();
    let arguments = ["serve", "--config", &config.to_string_lossy()];
    let running = Binary::run_by(&["unshare", "--net", "sh", "-c", HOST], &arguments);
    eventually("a start", async || running.log().contains("DNS, UDP and TCP").then_some(())).await;
    let dig = Command::new("nsenter")
        .args(["-t", &running.id().to_string(), "-n", "dig", &format!("@{server}"), "-p", "5300", "+tries=1"])
        .args(["+time=5", "+noall", "+additional", "NS", "service"])
        .output();
    let text = String::from_utf8(dig.expect("`nsenter` and `dig`").stdout).expect("text");
    let records = text.lines().filter(|line| line.starts_with("ns.service."));
    records.map(|line| line.split_whitespace().skip(3).collect::<Vec<_>>().join(" ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_made_up_name_server_is_where_somebody_listens() {
    for (listen, server, expected) in [
        ("\"[::]:5300\"", "2001:db8::53", &["AAAA 2001:db8::53"][..]),
        ("\"0.0.0.0:5300\"", "192.0.2.53", &["A 192.0.2.53"]),
        ("\"0.0.0.0:5300\", \"[::]:5300\"", "127.0.0.1", &["A 192.0.2.53", "AAAA 2001:db8::53"]),
        ("\"127.0.0.1:5300\", \"[::1]:5300\"", "127.0.0.1", &["A 127.0.0.1", "AAAA ::1"]),
    ] {
        assert_eq!(glue(listen, server).await, expected, "{listen}");
    }
}
