//! `services`, `service`, `watch` and `wait`, over a real `ZooKeeper`.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::agent::{blocking, serve, through, until};
use crate::events::{ask, json, printed, site};
use crate::harness::app::scratch;
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;

fn ready(dns: SocketAddr, admin: SocketAddr, name: &str) {
    until("an answer", || {
        TcpStream::connect(admin).ok()?;
        (!dig(dns, &format!("SRV {name}")).answer.is_empty()).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_dns_and_what_is_not_is_listed_with_the_reason_and_the_session() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create("/services/team1/api/providers/10.0.0.1:80", br#"{"weight": 7}"#, true);
        kazoo.create("/services/team1/api/providers/10.0.0.2:80", br#"{"state": "drain"}"#, true);
        kazoo.create("/services/team1/api/providers/nonsense", b"", true);
        kazoo.create("/services/team10/api/providers/10.0.0.3:80", b"", true);
        kazoo.create("/services/idle", b"", false);
        let owner = kazoo.get("/services/team1/api/providers/10.0.0.1:80").unwrap().1;
        let (config, dns, admin) = site(&servers, "");
        let (mut ours, _) = serve(&config);
        ready(dns, admin, "api.team1.service");
        let paths = |more: &[&str]| {
            let lines = printed(&ask(admin, &[&["services"], more].concat()));
            lines.lines().skip(1).map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(paths(&[]), ["idle", "team1/api", "team10/api"]);
        assert_eq!(paths(&["team1"]), ["team1/api"], "team10 is another");
        assert_eq!(paths(&["/services/team1/"]), ["team1/api"]);
        assert_eq!(paths(&["--empty"]), ["idle"]);
        assert_eq!(paths(&["--drained"]), ["team1/api"]);
        assert_eq!(paths(&["--lost"]), ["team1/api"]);
        assert_eq!(paths(&["--doubtful"]), Vec::<String>::new());
        let lines = printed(&ask(admin, &["services", "team1"]));
        assert!(lines.ends_with("team1/api\t1\t2\t1 lost\tapi.team1.service.\n"), "{lines}");
        // Its own name, not that of a tag or the one without an underscore.
        kazoo.create("/services/the_shop/providers/10.0.0.4:80", br#"{"tags": ["blue"]}"#, true);
        until("the name", || {
            let lines = printed(&ask(admin, &["services", "the_shop"]));
            lines.ends_with("the_shop\t1\t0\tok\tthe_shop.service.\n").then_some(())
        });
        for name in ["team1/api", "/services/team1/api", "api.team1.service", "api.team1", "API.Team1.Service."] {
            let shown = printed(&ask(admin, &["service", name]));
            for row in [
                format!("10.0.0.1:80\tin\t7\t0\t5\t{owner:#x}\t20"),
                format!("10.0.0.2:80\tout\t10\t0\t5\t{owner:#x}\t20"),
                "nonsense\tlost\t-".to_owned(),
                "name\tapi.team1.service.\n".to_owned(),
                "instances\t1 in, 2 out, ttl 5\n".to_owned(),
            ] {
                assert!(shown.contains(&row), "{name}: {row} in {shown}");
            }
            assert!(shown.contains("\tdrained: its state is \"drain\"\n"), "{shown}");
        }
        let service: serde_json::Value =
            serde_json::from_str(&printed(&ask(admin, &["service", "api.team1", "--json"]))).unwrap();
        assert_eq!(service["instances"][0]["effective"]["weight"], 7);
        assert_eq!(ask(admin, &["service", "nobody.service"]).status.code(), Some(1));
        let page = json(admin, "/v1/services?limit=1&after=idle&fields=path");
        assert_eq!(page["services"], serde_json::json!([{"registry": "main", "path": "team1/api"}]));
        ours.signal("TERM");
        ours.wait();
    })
    .await;
}

/// A `watch` that runs, and the lines that it prints.
struct Watching(Child, Receiver<String>);

impl Watching {
    fn start(admin: SocketAddr, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
        command.args(["watch", "--admin", &admin.to_string()]).args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (lines, read) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        Self(child, read)
    }

    /// The next list.
    fn list(&self) -> Vec<String> {
        let mut list = Vec::new();
        loop {
            match self.1.recv_timeout(Duration::from_secs(30)).expect("a list").as_str() {
                "" => return list,
                line => list.push(line.to_owned()),
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_prints_the_instances_after_each_change_and_none_are_gone_only_because_zookeeper_is_away() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create("/services/api/providers/10.0.0.1:80", b"", true);
        let proxy = Proxy::start(servers.split_once('/').unwrap().0.parse().unwrap());
        let (config, dns, admin) = site(&through(&proxy, &servers), "");
        let (mut ours, _) = serve(&config.replace("linger", "max_stale = \"2s\"\nlinger"));
        ready(dns, admin, "api.service");
        let watching = Watching::start(admin, &["api.service"]);
        assert_eq!(watching.list(), ["10.0.0.1 80 10 0"]);
        kazoo.create("/services/api/providers/[2001:db8::1]:81", br#"{"weight": 3, "priority": 1}"#, true);
        assert_eq!(watching.list(), ["10.0.0.1 80 10 0", "2001:db8::1 81 3 1"]);
        proxy.cut();
        until("max_stale", || (dig(dns, "SRV api.service").status == "SERVFAIL").then_some(()));
        assert!(watching.1.recv_timeout(Duration::from_secs(2)).is_err(), "the last list holds");
        proxy.heal();
        until("answers", || (dig(dns, "SRV api.service").answer.len() == 2).then_some(()));
        kazoo.delete("/services/api/providers/10.0.0.1:80");
        assert_eq!(watching.list(), ["2001:db8::1 81 3 1"], "and nothing was printed for the outage");
        let out = scratch("lines");
        let script = format!("(echo $ZONEKEEPER_NAME; cat) >> {}", out.display());
        let running = Watching::start(admin, &["api", "--exec", "sh", "-c", &script]);
        let read = || std::fs::read_to_string(&out).unwrap_or_default();
        until("the command", || (read() == "api\n2001:db8::1 81 3 1\n").then_some(()));
        kazoo.delete("/services/api/providers/[2001:db8::1]:81");
        until("an empty list that is true", || (read() == "api\n2001:db8::1 81 3 1\napi\n").then_some(()));
        drop(running);
        ours.signal("TERM");
        ours.wait();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_returns_when_an_instance_is_in_dns_or_out_of_it_and_out_of_caches() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create("/services/api/providers/10.0.0.1:80", br#"{"ttl": 2}"#, true);
        let (config, dns, admin) = site(&servers, "");
        let (mut ours, _) = serve(&config.replace("origin = \"service.\"", "origin = \"service.\"\nttl = \"1s\""));
        ready(dns, admin, "api.service");
        let wait = |more: &[&str]| ask(admin, &[&["wait", "api.service"], more].concat());
        assert!(wait(&["--up"]).status.success());
        let late = wait(&["--up", "--instance", "10.0.0.2:80", "--timeout", "1s"]);
        assert_eq!(late.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&late.stderr).contains("10.0.0.2:80 of api.service is not in DNS after 1s"));
        let late = wait(&["--gone", "--timeout", "500ms"]);
        assert_eq!(late.status.code(), Some(1), "it is there");
        assert_eq!(wait(&[]).status.code(), Some(64), "either of them");
        let waiting = std::thread::spawn(move || {
            let done = ask(admin, &["wait", "api", "--up", "--instance", "10.0.0.2:80"]);
            (done.status.success(), dig(dns, "SRV api.service").answer.len())
        });
        std::thread::sleep(Duration::from_millis(300));
        kazoo.create("/services/api/providers/10.0.0.2:80", br#"{"ttl": 2}"#, true);
        assert_eq!(waiting.join().unwrap(), (true, 2), "it is in DNS");
        kazoo.delete("/services/api/providers/10.0.0.1:80");
        let begun = Instant::now();
        assert!(wait(&["--gone", "--instance", "10.0.0.1:80", "--ttl", "0s"]).status.success());
        assert_eq!(dig(dns, "SRV api.service").answer.len(), 1);
        assert!(wait(&["--gone", "--instance", "10.0.0.1:80"]).status.success());
        assert!(
            begun.elapsed() >= Duration::from_millis(1_700),
            "caches had it for two seconds: {:?}",
            begun.elapsed()
        );
        let begun = Instant::now();
        assert!(wait(&["--gone", "--instance", "10.0.0.1:80"]).status.success());
        assert!(begun.elapsed() < Duration::from_millis(1_500), "that time is over: {:?}", begun.elapsed());
        ours.signal("TERM");
        ours.wait();
    })
    .await;
}
