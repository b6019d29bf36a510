//! What `zonekeeper status` says of this host's registrations: where they are not and why, and what went wrong last.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::process::Command;

use serde_json::Value;

use crate::agent::{blocking, node, registry, service, until};
use crate::harness::admin::page;
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::kazoo::Kazoo;
use crate::harness::{relay, zk};

const ADDRESSES: &str = "ip link set lo up && ip link add eth0 type veth peer name far && \
    ip addr add 10.1.0.5/24 dev eth0 && ip addr add 169.254.20.10/16 dev eth0 && ip link set eth0 up && \
    ip link set far up && ip link add down0 type veth peer name down1 && ip addr add 10.9.9.5/24 dev down0";

#[tokio::test(flavor = "multi_thread")]
async fn status_says_at_which_addresses_nothing_is_registered_and_why() {
    blocking(|servers| {
        let host = relay::host(&["-n"]);
        let enter = ["nsenter", "-t", &host.id().to_string(), "-n"].map(str::to_owned);
        let set = Command::new(&enter[0]).args(&enter[1..]).args(["sh", "-c", ADDRESSES]).status();
        assert!(set.expect("`nsenter` (package util-linux)").success(), "`ip` (package iproute2)");
        let relayed = relay::serve(zk::shared().socket(), &host, "127.0.0.1");
        let config = scratch("zonekeeper.toml");
        let near = servers.replace(&zk::shared().address(), "127.0.0.1:2181");
        let service = |name: &str, more: &str| format!("[[service]]\nname = \"{name}\"\nport = 80\n{more}\n");
        let text = registry(&near)
            + "[admin]\nlisten = \"127.0.0.1:5380\"\n"
            + &service("web", "")
            + &service("api", "exclude = [\"10.1.0.0/16\"]");
        std::fs::write(&config, text).expect("a configuration");
        let by: Vec<_> = enter.iter().map(String::as_str).collect();
        let binary = Binary::run_by(&by, &["serve", "--config", &config.to_string_lossy()]);
        let status = || {
            let mut command = Command::new(&enter[0]);
            command.args(&enter[1..]).arg(env!("CARGO_BIN_EXE_zonekeeper")).args([
                "status",
                "--admin",
                "127.0.0.1:5380",
            ]);
            String::from_utf8_lossy(&command.output().expect("the binary").stdout).into_owned()
        };
        let registered = "/services/web/providers/10.1.0.5:80 registered by ";
        let (said, _) = until("a registration", || Some(status()).filter(|said| said.contains(registered)));
        for line in [
            "  not at 10.9.9.5 (down0): its interface is not up and running (web, api)\n",
            "  not at 169.254.20.10 (eth0): it is link-local (web, api)\n",
            "  not at 10.1.0.5 (eth0): `exclude` names it (api)\n",
        ] {
            assert!(said.contains(line), "{line:?} is not in\n{said}{}", binary.log());
        }
        assert!(!said.contains("loopback"), "{said}");
        for mut child in [host, relayed] {
            let _ = child.kill();
            let _ = child.wait();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chroot_that_does_not_exist_is_named_and_stays_the_last_error_when_it_does() {
    blocking(|servers| {
        let admin = free_port();
        let (server, chroot) = servers.split_once('/').expect("a chroot");
        let below = format!("{server}/{chroot}/missing");
        let text = registry(&below) + &format!("[admin]\nlisten = \"127.0.0.1:{admin}\"\n") + &service("web", 80, "");
        let binary = Binary::serve(&text);
        let status = || -> Option<Value> {
            std::net::TcpStream::connect(("127.0.0.1", admin)).ok()?;
            let page = page(([127, 0, 0, 1], admin).into(), "/v1/status");
            let (begin, end) = (page.find('{')?, page.rfind('}')?);
            serde_json::from_str(&page[begin..=end]).ok()
        };
        let first = || Some(status()?["registrations"][0].clone());
        let missing = format!("its parents cannot be created: /{chroot}/missing does not exist: create it, or correct");
        let is_told = |one: &Value| one["reason"].as_str().is_some_and(|reason| reason.starts_with(&missing));
        let (one, _) = until(&missing, || first().filter(is_told));
        assert_eq!(one["last_error"], one["reason"], "{}", binary.log());
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create("/missing", b"", false);
        let path = format!("/missing{}", node("web", 80));
        until("a registration", || kazoo.get(&path));
        let (one, _) = until("its state", || first().filter(|one| one["state"] == "registered"));
        assert!(
            one["reason"].is_null() && one["last_error"].as_str().is_some_and(|it| it.starts_with(&missing)),
            "{one}"
        );
    })
    .await;
}
