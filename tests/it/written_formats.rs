//! Services registered in formats of others: what Curator's and Prometheus' own readers find, that a service has one
//! znode whatever becomes of its process, and whose that is.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::{blocking, until};
use crate::harness::admin::page;
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::consumer::Consumer;
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::samples;
use crate::harness::spring::Spring;

/// The binary with a registry that is read in this format, DNS, an admin server, and services that can be edited.
struct Agent {
    binary: Binary,
    config: PathBuf,
    head: String,
    dns: SocketAddr,
    admin: u16,
}

impl Agent {
    fn start(servers: &str, format: &str, services: &str) -> Self {
        Self::start_below(servers, "/services", format, services)
    }

    fn start_below(servers: &str, root: &str, format: &str, services: &str) -> Self {
        let (dns, admin) = (free_port(), free_port());
        let head = format!(
            "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"8s\"\nroot = \"{root}\"\nformat = \"{format}\"\n\
             [[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:{dns}\"]\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n"
        );
        let config = scratch("zonekeeper.toml");
        std::fs::write(&config, format!("{head}{services}")).expect("a configuration");
        let binary = Self::run(&config);
        Self { binary, config, head, dns: (Ipv4Addr::LOCALHOST, dns).into(), admin }
    }

    fn run(config: &Path) -> Binary {
        Binary::run(&["serve", "--config", &config.to_string_lossy()])
    }

    /// Gives it other services.
    fn edit(&self, services: &str) {
        let new = self.config.with_extension("new");
        std::fs::write(&new, format!("{}{services}", self.head)).expect("a configuration");
        std::fs::rename(&new, &self.config).expect("a configuration");
    }

    /// Waits until a question has these answers.
    fn answers(&self, question: &str, expected: &[&str]) {
        until(&format!("{question}: {expected:?}\n{}", self.binary.log()), || {
            (dig(self.dns, question).data() == expected).then_some(())
        });
    }

    fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
        let output = command.args(arguments).args(["--admin", &format!("127.0.0.1:{}", self.admin)]).output();
        let output = output.expect("the binary");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Starts another process with the same configuration.
    fn again(&mut self) {
        self.binary = Self::run(&self.config);
    }
}

fn service(format: &str, more: &str) -> String {
    let format = if format.is_empty() { String::new() } else { format!("format = \"{format}\"\n") };
    format!("[[service]]\nname = \"shop/web\"\n{format}port = 8080\naddress = \"192.0.2.10\"\n{more}\n")
}

/// The only child of the service, with its data.
fn only(kazoo: &mut Kazoo) -> Option<(String, Value)> {
    let children = kazoo.children("/services/shop/web");
    let [name] = &*children else { return None };
    let path = format!("/services/shop/web/{name}");
    Some((path.clone(), serde_json::from_slice(&kazoo.get(&path)?.0).ok()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn springs_reader_lists_what_we_register_and_sees_it_go_out_of_service_and_away() {
    blocking(|servers| {
        let web = |state: &str| {
            service("", &format!("properties = {{ weight = 7, zone = \"z1\", tags = [\"a\", \"b\"], ports = {{ grpc = 9090 }}{state} }}"))
        };
        let pay = "[[service]]\nname = \"pay\"\nport = 8443\naddress = \"pay1.example.com\"\nproperties = { ports = { https = 8443 } }\n";
        let agent = Agent::start(&servers, "curator", &(web("") + pay));
        agent.answers("SRV web.shop.service", &["0 7 8080 192-0-2-10.addr.service."]);
        agent.answers("SRV _grpc._tcp.web.shop.service", &["0 7 9090 192-0-2-10.addr.service."]);
        agent.answers("SRV _https._tcp.pay.service", &["0 10 8443 pay1.example.com."]);

        let mut spring = Spring::connect(&servers, "/services");
        assert_eq!(spring.names(), ["pay", "shop"]);
        let found = spring.instances("shop/web");
        let [one] = &*found else { panic!("{found:?}") };
        let id = one["id"].as_str().expect("an id").to_owned();
        assert_eq!(
            (&one["name"], &one["address"], &one["port"], &one["sslPort"], &one["type"], &one["enabled"], &one["uri"]),
            (
                &json!("shop/web"),
                &json!("192.0.2.10"),
                &json!(8080),
                &json!(null),
                &json!("DYNAMIC"),
                &json!(true),
                &json!("http://192.0.2.10:8080")
            )
        );
        let payload = &one["payload"];
        assert_eq!((&payload["id"], &payload["name"]), (&json!(id), &json!("shop/web")));
        let metadata = payload["metadata"].as_object().expect("a table");
        for (key, value) in [("instance_status", "UP"), ("weight", "7"), ("zone", "z1"), ("tags", "a,b"), ("gRPC_port", "9090")] {
            assert_eq!(metadata[key], value, "{metadata:?}");
        }
        assert_eq!(metadata["instance_id"], json!(id), "by which a process knows it again");
        let pay_found = spring.instances("pay");
        assert_eq!((&pay_found[0]["sslPort"], &pay_found[0]["address"]), (&json!(8443), &json!("pay1.example.com")));

        let status = |spring: &mut Spring| Some(spring.cached("shop/web").first()?["payload"]["metadata"]["instance_status"].clone());
        until("in its cache", || (status(&mut spring)? == "UP").then_some(()));
        agent.edit(&(web(", state = \"drain\"") + pay));
        until("out of service", || (status(&mut spring)? == "OUT_OF_SERVICE").then_some(()));
        agent.answers("SRV web.shop.service", &[]);
        agent.edit(&(web("") + pay));
        until("up", || (status(&mut spring)? == "UP").then_some(()));
        assert_eq!(spring.instances("shop/web")[0]["id"], json!(id));
        agent.answers("SRV web.shop.service", &["0 7 8080 192-0-2-10.addr.service."]);
        agent.edit(pay);
        until("gone", || spring.cached("shop/web").is_empty().then_some(()));
        assert_eq!(spring.instances("pay").len(), 1);
        let said = agent.command(&["leave"]);
        until(&format!("all gone: {said}"), || spring.instances("pay").is_empty().then_some(()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_has_one_znode_of_the_same_name_through_kill_sigusr2_and_a_restart_in_place() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        for format in ["curator", "serverset"] {
            let mut agent = Agent::start(&servers, "auto", &service(format, ""));
            let log = agent.binary.log();
            let ((path, _), _) = until(&format!("a registration\n{log}"), || only(&mut kazoo));
            let mut owner = kazoo.get(&path).expect("a znode").1;
            let ends: [&dyn Fn(&mut Agent); 3] = [
                &|agent| {
                    agent.binary.signal("KILL");
                    agent.binary.wait();
                    agent.again();
                },
                &|agent| {
                    agent.binary.signal("USR2");
                    assert!(agent.binary.wait().success());
                    agent.again();
                },
                &|agent| assert!(agent.command(&["restart"]).contains("process"), "{}", agent.binary.log()),
            ];
            for end in ends {
                end(&mut agent);
                until(&format!("the next process has it\n{}", agent.binary.log()), || {
                    let next = kazoo.get(&path)?.1;
                    (next != owner).then(|| owner = next)
                });
                assert_eq!(kazoo.children("/services/shop/web").len(), 1, "{}", agent.binary.log());
            }
            assert!(agent.binary.log().contains("taken over from an earlier session"), "{}", agent.binary.log());
            let shown = page(([127, 0, 0, 1], agent.admin).into(), "/v1/status?as=text");
            assert!(shown.contains(&format!("{path} (192.0.2.10:8080) registered")), "{shown}");
            agent.binary.signal("TERM");
            assert!(agent.binary.wait().success());
            assert_eq!(kazoo.children("/services/shop/web"), [""; 0]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_znode_of_another_host_is_left_alone_and_one_without_marks_of_a_host_is_taken_over() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        for format in ["curator", "serverset"] {
            let mut agent = Agent::start(&servers, "auto", &service(format, ""));
            let ((path, data), _) = until("a registration", || only(&mut kazoo));
            agent.binary.signal("TERM");
            assert!(agent.binary.wait().success());
            let marks = if format == "curator" { "/payload/metadata" } else { "/metadata" };
            let changed = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
                let mut data = data.clone();
                change(data.pointer_mut(marks).and_then(Value::as_object_mut).expect("marks"));
                data.to_string()
            };
            let theirs = changed(&|marks| {
                marks.insert("boot_id".into(), json!("another"));
                marks.insert("host_addresses".into(), json!("192.0.2.99"));
            });
            let before = changed(&|marks| {
                marks.remove("boot_id");
                marks.remove("host_addresses");
            });
            let strangers = changed(&|marks| drop(marks.insert("instance_id".into(), json!("somebody"))));

            for (data, reason) in [
                (&theirs, "of another host with the same machine-id has registered the same"),
                (&strangers, "has registered the same"),
            ] {
                kazoo.create(&path, data.as_bytes(), true);
                let czxid = kazoo.czxid(&path);
                agent.again();
                until(&format!("{reason}\n{}", agent.binary.log()), || {
                    let log = agent.binary.log();
                    log.lines().any(|line| line.contains("not registered") && line.contains(reason)).then_some(())
                });
                agent.binary.signal("TERM");
                assert!(agent.binary.wait().success());
                assert_eq!(kazoo.czxid(&path), czxid, "{}", agent.binary.log());
                kazoo.delete(&path);
            }

            kazoo.create(&path, before.as_bytes(), true);
            let czxid = kazoo.czxid(&path);
            agent.again();
            until(&format!("taken over\n{}", agent.binary.log()), || (kazoo.czxid(&path)? != czxid?).then_some(()));
            assert_eq!(kazoo.children("/services/shop/web").len(), 1);
            agent.binary.signal("TERM");
            assert!(agent.binary.wait().success());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_gets_another_format_is_never_absent_and_one_in_two_formats_is_one_instance() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let agent = Agent::start(&servers, "auto", &service("", ""));
        let zc = "/services/shop/web/providers/192.0.2.10:8080";
        until("a registration", || kazoo.get(zc));
        let srv = ["0 10 8080 192-0-2-10.addr.service."];
        agent.answers("SRV web.shop.service", &srv);

        agent.edit(&(service("", "") + &service("curator", "") + &service("serverset", "")));
        until(&format!("three znodes\n{}", agent.binary.log()), || {
            (kazoo.children("/services/shop/web").len() == 3).then_some(())
        });
        sleep(Duration::from_millis(300));
        agent.answers("SRV web.shop.service", &srv);

        agent.edit(&service("curator", ""));
        until(&format!("one znode\n{}", agent.binary.log()), || {
            let children = kazoo.children("/services/shop/web");
            (children.iter().filter(|name| *name != "providers").count() == 1 && kazoo.get(zc).is_none()).then_some(())
        });
        agent.answers("SRV web.shop.service", &srv);
        agent.edit(&service("serverset", ""));
        let words = ["withdrawn", "its format is serverset now, by ", "endpoint=\"192.0.2.10:8080\""];
        until(&format!("withdrawn\n{}", agent.binary.log()), || {
            agent.binary.log().lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
        });
        agent.answers("SRV web.shop.service", &srv);
    })
    .await;
}

/// Flags are DNS's alone; whoever reads Curator's znodes sees the drain in them.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_by_hand_is_seen_by_springs_reader_and_ends_for_it_as_well() {
    blocking(|servers| {
        let agent = Agent::start(&servers, "auto", &(service("", "") + &service("curator", "")));
        agent.answers("SRV web.shop.service", &["0 10 8080 192-0-2-10.addr.service."]);
        let mut spring = Spring::connect(&servers, "/services");
        let status = |spring: &mut Spring| {
            Some(spring.cached("shop/web").first()?["payload"]["metadata"]["instance_status"].clone())
        };
        let config = agent.config.display().to_string();
        let run = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
            let output = command.args(arguments).args(["--config", &config]).output().expect("the binary");
            assert!(output.status.success(), "{arguments:?}: {output:?}");
        };
        until("up", || (status(&mut spring)? == "UP").then_some(()));
        for (drain, undrain) in [
            (&["drain", "shop/web"][..], &["undrain", "shop/web"][..]),
            (
                &["drain", "shop/web", "--instance", "192.0.2.10:8080"],
                &["undrain", "shop/web", "--instance", "192.0.2.10:8080"],
            ),
        ] {
            run(drain);
            until(&format!("out of service\n{}", agent.binary.log()), || {
                (status(&mut spring)? == "OUT_OF_SERVICE").then_some(())
            });
            agent.answers("SRV web.shop.service", &[]);
            run(undrain);
            until(&format!("up\n{}", agent.binary.log()), || (status(&mut spring)? == "UP").then_some(()));
            agent.answers("SRV web.shop.service", &["0 10 8080 192-0-2-10.addr.service."]);
        }
        run(&["drain", "shop/web", "--for", "2s"]);
        until("out of service", || (status(&mut spring)? == "OUT_OF_SERVICE").then_some(()));
        until("up when its time is over", || (status(&mut spring)? == "UP").then_some(()));
    })
    .await;
}

/// The targets of a job of Prometheus', with their labels before relabelling.
fn targets(prometheus: SocketAddr, job: &str) -> Option<Vec<Value>> {
    std::net::TcpStream::connect(prometheus).ok()?;
    let page = page(prometheus, "/api/v1/targets?state=any");
    let (_, body) = page.split_once("\r\n\r\n")?;
    let json: Value = serde_json::from_str(body.get(body.find('{')?..=body.rfind('}')?)?).ok()?;
    let all = json["data"]["activeTargets"].as_array()?.iter().map(|target| target["discoveredLabels"].clone());
    let mut of_job: Vec<_> = all.filter(|labels| labels["job"] == job).collect();
    of_job.sort_by_key(|labels| labels["__address__"].to_string());
    Some(of_job)
}

fn addresses(targets: &[Value]) -> Vec<&str> {
    targets.iter().filter_map(|labels| labels["__address__"].as_str()).collect()
}

/// Prometheus with its own discovery of `ServerSets` and Nerve below `/services` and `/nerve`.
fn prometheus(servers: &str) -> (Consumer, SocketAddr) {
    let (server, chroot) = servers.split_once('/').expect("a chroot");
    let job = |kind: &str, path: &str| {
        format!(
            "- job_name: {kind}\n  scrape_interval: 1h\n  {kind}_sd_configs:\n  - servers: [\"{server}\"]\n    paths: [\"/{chroot}{path}\"]\n    timeout: 4s\n"
        )
    };
    let config = scratch("prometheus.yml");
    let jobs = job("serverset", "/services/shop/web") + &job("nerve", "/nerve/services/search/services");
    std::fs::write(&config, format!("scrape_configs:\n{jobs}")).expect("a configuration");
    let at: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
    let (config, storage) = (format!("--config.file={}", config.display()), scratch("data"));
    let storage = format!("--storage.tsdb.path={}", storage.display());
    let arguments = [&*config, &*storage, &*format!("--web.listen-address={at}")];
    (Consumer::start("/usr/bin/prometheus", "prometheus", &arguments), at)
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_own_discovery_of_serversets_and_nerve_lists_what_dns_lists() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let member = |port: u16, more: &str| {
            let properties =
                format!("properties = {{ shard = {}, ports = {{ admin = {} }}{more} }}", port % 10, port + 1000);
            service("", &properties).replace("8080", &port.to_string())
        };
        let agent = Agent::start(&servers, "serverset", &(member(8081, "") + &member(8082, "")));
        agent.answers("SRV shard-2.web.shop.service", &["0 10 8082 192-0-2-10.addr.service."]);
        samples::write_text(&mut kazoo, include_str!("../fixtures/conventions/nerve.json"));
        let (consumer, at) = prometheus(&servers);
        let sets = |expected: &[&str]| {
            let what = || format!("{expected:?}\n{}\n{}", consumer.log(), agent.binary.log());
            until(&what(), || {
                let targets = targets(at, "serverset")?;
                (addresses(&targets) == expected).then_some(targets)
            })
            .0
        };
        let srv = |expected: &[&str]| agent.answers("SRV _admin._tcp.web.shop.service", expected);
        let found = sets(&["192.0.2.10:8081", "192.0.2.10:8082"]);
        srv(&["0 10 9081 192-0-2-10.addr.service.", "0 10 9082 192-0-2-10.addr.service."]);
        for (label, value) in [
            ("__meta_serverset_endpoint_host", "192.0.2.10"),
            ("__meta_serverset_endpoint_port", "8082"),
            ("__meta_serverset_endpoint_port_admin", "9082"),
            ("__meta_serverset_status", "ALIVE"),
            ("__meta_serverset_shard", "2"),
        ] {
            assert_eq!(found[1][label], value, "{label}: {}", found[1]);
        }

        // Prometheus lists all, whatever their state: what DNS has not is not ALIVE.
        agent.edit(&(member(8081, "") + &member(8082, ", state = \"drain\"")));
        srv(&["0 10 9081 192-0-2-10.addr.service."]);
        until("the state", || {
            (targets(at, "serverset")?.get(1)?["__meta_serverset_status"] == "STOPPING").then_some(())
        });
        agent.edit(&(member(8082, "") + &member(8083, "")));
        sets(&["192.0.2.10:8082", "192.0.2.10:8083"]);
        srv(&["0 10 9082 192-0-2-10.addr.service.", "0 10 9083 192-0-2-10.addr.service."]);

        let reader = Agent::start_below(&servers, "/nerve/services", "nerve", "");
        let (listed, _) =
            until(&format!("nerve's\n{}", consumer.log()), || targets(at, "nerve").filter(|found| found.len() == 2));
        let dotted = |record: &String| {
            let mut fields = record.split(' ').skip(2);
            let port = fields.next()?;
            let host = fields.next()?.split('.').next()?.replace('-', ".");
            Some(format!("{host}:{port}"))
        };
        until(&format!("{listed:?}\n{}", reader.binary.log()), || {
            let mut ours: Vec<_> = dig(reader.dns, "SRV search.service").data().iter().filter_map(dotted).collect();
            ours.sort();
            (ours == addresses(&listed)).then_some(())
        });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_a_format_cannot_carry_and_which_formats_there_are() {
    tokio::task::spawn_blocking(|| {
        let check = |format: &str, services: &str| {
            let path = scratch("zonekeeper.toml");
            let registry = format!("[registry.main]\nzookeeper = \"127.0.0.1:1\"\nformat = \"{format}\"\n");
            std::fs::write(&path, registry + services).expect("a configuration");
            let mut command = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
            let output = command.args(["check", "--config", &path.to_string_lossy()]).output().expect("the binary");
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            (output.status.success(), said)
        };
        for (format, properties, warning) in [
            (
                "curator",
                "priority = 1",
                "`priority` will have no effect in DNS: the format \"curator\" has no place for that",
            ),
            ("curator", "ports = { admin = 81 }", "some of `ports` will not be in DNS"),
            ("serverset", "weight = 3, tags = [\"a\"]", "`weight`, `tags` will have no effect in DNS"),
        ] {
            let (is_good, said) = check("auto", &service(format, &format!("properties = {{ {properties} }}")));
            assert!(is_good && said.contains(warning) && said.contains("no errors, 1 warning"), "{said}");
        }
        let (is_good, said) = check("zc", &service("curator", ""));
        assert!(is_good && said.contains("`shop/web` will not be in DNS: its registry is read as \"zc\""), "{said}");
        let (is_good, said) = check("auto", &service("nerve", ""));
        let formats = "`format` is one of \"zc\", \"nd\", \"curator\", \"serverset\"";
        assert!(
            !is_good
                && said.contains("services cannot be registered in the format \"nerve\"")
                && said.contains(formats),
            "{said}"
        );
        let (is_good, said) = check("auto", &service("serverset", "properties = { shard = \"x\" }"));
        assert!(!is_good && said.contains("`shard` is \"x\", not a whole number from 0 to 2147483647"), "{said}");
        let (is_good, said) = check("curator", &service("", ""));
        assert!(is_good && said.contains("no problems") && said.contains("shop/web at 192.0.2.10:8080"), "{said}");
    })
    .await
    .expect("no panic");
}
