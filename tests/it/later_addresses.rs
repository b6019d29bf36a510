//! Addresses that come after the start, and link-local ones: on hosts of their own (network namespaces; as root).

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::app::{Binary, scratch};
use crate::harness::{eventually, spawner};

/// A host with an interface `d0`, the other end of which is on the host, too.
struct Host(Child);

impl Host {
    fn new() -> Self {
        let child = spawner::spawn("unshare", |command| {
            command.args(["-n", "sleep", "600"]).stdin(Stdio::null());
        });
        let child = child.expect("`unshare` (package util-linux)");
        let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        let begun = Instant::now();
        while std::fs::read_link(format!("/proc/{}/ns/net", child.id())).is_ok_and(|net| net == own) {
            assert!(begun.elapsed() < Duration::from_secs(10), "no network namespace: it takes root");
            std::thread::sleep(Duration::from_millis(5));
        }
        let host = Self(child);
        host.run(
            "ip link set lo up && ip link add d0 type veth peer name d1 && ip link set d0 up && ip link set d1 up",
        );
        host
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }

    fn run(&self, script: &str) {
        let status = Command::new("nsenter").args(["-t", &self.id(), "-n", "sh", "-c", script]).status();
        assert!(status.expect("`nsenter` (package util-linux)").success(), "{script}: `ip` (package iproute2)");
    }

    /// The binary with a zone `ORIGIN` that has `www`, and these lines in `[dns]`.
    fn serve(&self, origin: &str, dns: &str) -> Binary {
        let (zone, path) = (scratch("zone"), scratch("zonekeeper.toml"));
        std::fs::write(&zone, "$TTL 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.80\n").expect("a zone file");
        let config = format!("[[zone]]\norigin = \"{origin}\"\nfile = \"{}\"\n[dns]\n{dns}\n", zone.display());
        std::fs::write(&path, config).expect("a configuration");
        Binary::run_by(&["nsenter", "-t", &self.id(), "-n"], &["serve", "--config", &path.to_string_lossy()])
    }

    /// What dig prints of the answer, on this host.
    fn dig(&self, words: &str) -> String {
        let mut dig = Command::new("nsenter");
        dig.args(["-t", &self.id(), "-n", "dig", "+short", "+time=2", "+tries=1"]).args(words.split(' '));
        let output = dig.output().expect("dig (package bind9-dnsutils)");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn says(binary: &Binary, what: &str) {
    eventually(what, async || binary.log().contains(what).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_moves_to_this_host_after_the_start_is_answered_on() {
    let host = Host::new();
    let binary = host.serve("service.", "listen = [\"192.0.2.77:5300\", \"[2001:db8::77]:5300\"]");
    says(&binary, "DNS, UDP and TCP").await;
    // It comes, as with keepalived, goes, and comes again.
    for _ in 0..2 {
        host.run("ip addr add 192.0.2.77/32 dev d0 && ip addr add 2001:db8::77/128 dev d0 nodad");
        for (server, transport) in
            [("192.0.2.77", "+notcp"), ("192.0.2.77", "+tcp"), ("2001:db8::77", "+notcp"), ("2001:db8::77", "+tcp")]
        {
            let answer = || host.dig(&format!("@{server} -p 5300 A www.service {transport}"));
            eventually(server, async || (answer() == "192.0.2.80").then_some(())).await;
        }
        host.run("ip addr del 192.0.2.77/32 dev d0 && ip addr del 2001:db8::77/128 dev d0");
    }
    let mut strict = host.serve("service.", "listen = [\"192.0.2.77:5301\"]\nfreebind = false");
    assert!(!strict.wait().success());
    assert!(strict.log().contains("cannot listen on 192.0.2.77:5301"), "{}", strict.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn link_local_clients_are_answered_and_link_local_name_servers_asked() {
    let host = Host::new();
    host.run("ip addr add fe80::77/64 dev d0 nodad");
    let upstream = host.serve("example.", "listen = [\"[::]:5301\"]");
    says(&upstream, "DNS, UDP and TCP").await;
    for transport in ["+notcp", "+tcp"] {
        let answer = host.dig(&format!("@fe80::77%d0 -p 5301 A www.example {transport}"));
        assert_eq!(answer, "192.0.2.80", "{transport}: {}", upstream.log());
    }
    let front = host.serve("service.", "listen = [\"127.0.0.1:5300\"]\nforward = [\"[fe80::77%d0]:5301\"]");
    says(&front, "DNS, UDP and TCP").await;
    for transport in ["+notcp", "+tcp"] {
        for (name, address) in [("www.example", "192.0.2.80"), ("www.service", "192.0.2.80")] {
            let answer = host.dig(&format!("@127.0.0.1 -p 5300 A {name} {transport}"));
            assert_eq!(answer, address, "{name} {transport}: {}", front.log());
        }
    }
}
