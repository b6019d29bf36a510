//! Hosts that are copies of one image, with one machine-id: network and mount namespaces (as root) before one
//! ZooKeeper.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::agent::{blocking, node, service, until};
use crate::harness::app::{Binary, scratch};
use crate::harness::kazoo::Kazoo;
use crate::harness::{relay, zk};

/// A host with this boot id and address, and ZooKeeper at 127.0.0.1:2181.
struct Host {
    process: Child,
    relay: Child,
}

impl Host {
    fn new(boot: &str, address: &str) -> Self {
        let process = relay::host(&["-n", "-m"]);
        let boot_id = scratch("boot_id");
        std::fs::write(&boot_id, format!("{boot}\n")).expect("a boot id");
        let script = format!(
            "ip link set lo up && ip link add d0 type veth peer name d1 && ip addr add {address}/24 dev d0 && \
             ip link set d0 up && ip link set d1 up && mount --bind {} /proc/sys/kernel/random/boot_id",
            boot_id.display()
        );
        let relay = relay::serve(zk::shared().socket(), &process, "127.0.0.1");
        let host = Self { process, relay };
        host.run(&script);
        host
    }

    /// One whose kernel says that it was booted now.
    fn just_booted(boot: &str, address: &str) -> Self {
        let (host, stat) = (Self::new(boot, address), scratch("stat"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        std::fs::write(&stat, format!("btime {now}\n")).expect("a file");
        host.run(&format!("mount --bind {} /proc/stat", stat.display()));
        host
    }

    fn enter(&self) -> Vec<String> {
        ["nsenter", "-t", &self.process.id().to_string(), "-n", "-m"].map(str::to_owned).to_vec()
    }

    fn run(&self, script: &str) {
        let enter = self.enter();
        let status = Command::new(&enter[0]).args(&enter[1..]).args(["sh", "-c", script]).status();
        assert!(status.expect("`nsenter` (package util-linux)").success(), "{script}");
    }

    /// The agent, with what all of these hosts have in common.
    fn serve(&self, config: &str) -> Binary {
        let (path, enter) = (scratch("zonekeeper.toml"), self.enter());
        std::fs::write(&path, config).expect("a configuration");
        let enter: Vec<_> = enter.iter().map(String::as_str).collect();
        Binary::run_by(&enter, &["serve", "--config", &path.to_string_lossy()])
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for child in [&mut self.process, &mut self.relay] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn says(binary: &Binary, what: &str) {
    until(what, || binary.log().contains(what).then_some(()));
}

const DOUBLE: &str = "of another host with the same machine-id has registered the same";

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_one_image_never_take_each_others_registrations_and_a_reboot_takes_its_own() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let identity = scratch("identity");
        std::fs::write(&identity, "4c1f0000\n").expect("an identity");
        let near = servers.replace(&zk::shared().address(), "127.0.0.1:2181");
        let config = format!(
            "[registry.main]\nzookeeper = \"{near}\"\nsession_timeout = \"20s\"\n[announce]\nstate = \"{}\"\n",
            identity.display()
        ) + &service("web", 80, "");
        let path = node("web", 80);
        let one = Host::new("one", "10.1.0.5");
        let mut first = one.serve(&config);
        until(&path, || kazoo.get(&path));
        let others = [Host::new("two", "10.1.0.6"), Host::new("one", "10.1.0.7"), Host::new("four", "10.1.0.5")];
        let running: Vec<_> = others.iter().map(|host| host.serve(&config)).collect();
        for binary in &running {
            says(binary, DOUBLE);
            assert!(!binary.log().contains("INFO registered"), "{}", binary.log());
        }
        assert!(!first.log().contains("lost"), "{}", first.log());
        first.signal("KILL");
        first.wait();
        let begun = Instant::now();
        let again = one.serve(&config);
        says(&again, "taken over from an earlier session");
        assert!(begun.elapsed() < Duration::from_secs(15), "it waited for the session to expire");
        let mut again = again;
        again.signal("KILL");
        again.wait();
        let begun = Instant::now();
        let booted = Host::just_booted("one, later", "10.1.0.5");
        let last = booted.serve(&config);
        says(&last, "taken over from an earlier session");
        assert!(begun.elapsed() < Duration::from_secs(15), "it waited for the session to expire");
        for binary in &running {
            assert!(!binary.log().contains("taken over"), "{}", binary.log());
        }
    })
    .await;
}

/// The znodes of a service.
fn places(kazoo: &mut Kazoo, addresses: &[&str]) -> Vec<String> {
    let path = |address: &&str| format!("/services/web/providers/{address}:80");
    addresses.iter().map(path).filter(|path| kazoo.get(path).is_some()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_has_another_address_after_its_reboot_is_registered_there_at_once() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let identity = scratch("identity");
        std::fs::write(&identity, "4c1f0001\n").expect("an identity");
        let near = servers.replace(&zk::shared().address(), "127.0.0.1:2181");
        let config = format!(
            "[registry.main]\nzookeeper = \"{near}\"\nsession_timeout = \"40s\"\n[announce]\nstate = \"{}\"\n\
             [[service]]\nname = \"web\"\nport = 80\n",
            identity.display()
        );
        let (before, after) = ("10.1.0.5", "10.1.0.9");
        let host = Host::new("one", before);
        let mut first = host.serve(&config);
        until("the registration", || (places(&mut kazoo, &[before]).len() == 1).then_some(()));
        first.signal("KILL");
        first.wait();
        drop(host);
        let host = Host::just_booted("one, later", after);
        let second = host.serve(&config);
        let ((), took) = until("the registration", || (!places(&mut kazoo, &[after]).is_empty()).then_some(()));
        assert!(took < Duration::from_secs(15), "{took:?}, until the session before ends: {}", second.log());
        // What was registered before the reboot goes with its session.
        assert_eq!(places(&mut kazoo, &[before, after]).len(), 2, "{}", second.log());
        assert!(!second.log().contains(DOUBLE), "{}", second.log());
    })
    .await;
}
