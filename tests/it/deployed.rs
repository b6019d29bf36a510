//! What is shipped for deployments, run with the values that the template suggests.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::agent::{blocking, node, registry, service, until};
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::kazoo::Kazoo;

const UNIT: &str = include_str!("../../deploy/zonekeeper.service");

/// The value of a key of the unit.
fn unit(key: &str) -> &'static str {
    let value = UNIT.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("the unit has no {key}="))
}

/// The value of a key that the template has as a comment.
fn suggested(key: &str) -> String {
    let template = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).arg("template").output().expect("the binary");
    let template = String::from_utf8_lossy(&template.stdout).into_owned();
    let line = template.lines().find_map(|line| line.strip_prefix(&format!("# {key} = \"")));
    line.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("no {key} in the template")).to_owned()
}

/// Everything is read-only, as by ProtectSystem=strict, but the two directories of the unit, which its user owns.
const STRICT: &str = "set -e
mount -t tmpfs -o mode=0755 state /var/lib && mkdir \"/var/lib/$1\" && chown \"$2\" \"/var/lib/$1\"
mount -t tmpfs -o mode=0755 cache /var/cache && mkdir \"/var/cache/$3\" && chown \"$2\" \"/var/cache/$3\"
mount -t tmpfs own \"/var/lib/$1\" -o mode=0755,uid=\"$2\" && mount -t tmpfs own \"/var/cache/$3\" -o mode=0755,uid=\"$2\"
mount -o remount,ro state /var/lib && mount -o remount,ro cache /var/cache
mkdir /var/lib/elsewhere 2>/dev/null && exit 1
exec setpriv --reuid \"$2\" --regid \"$2\" --clear-groups --pdeathsig KILL -- \"$4\" serve --config \"$5\"";

#[tokio::test(flavor = "multi_thread")]
async fn under_the_unit_every_file_that_the_template_suggests_can_be_written() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
        let dns = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let [cache, serials, identity] = ["cache_file", "serial_file", "state"].map(suggested);
        let text = registry(&servers)
            + &format!(
                "cache_file = \"{cache}\"\n[[zone]]\norigin = \"service.\"\n\
                 [dns]\nlisten = [\"{dns}\"]\nserial_file = \"{serials}\"\n[announce]\nstate = \"{identity}\"\n"
            )
            + &service("web", 80, "");
        let path = scratch("zonekeeper.toml");
        std::fs::write(&path, text).expect("a configuration");
        let user = fastrand::u32(200_000..2_000_000).to_string();
        let mut ours = Binary::run_by(
            &["unshare", "--mount", "sh", "-c", STRICT, "sh", unit("StateDirectory"), &user, unit("CacheDirectory")],
            &[&path.to_string_lossy()],
        );
        until("it listens", || TcpStream::connect(dns).ok());
        until("the registration", || kazoo.get(&node("web", 80)));
        let root = format!("/proc/{}/root", ours.id());
        for file in [&cache, &serials, &identity] {
            let seen = Path::new(&root).join(file.trim_start_matches('/'));
            until(file, || seen.is_file().then_some(()));
        }
        assert!(!ours.log().contains("cannot") && !ours.log().contains("left out"), "{}", ours.log());
        ours.signal("TERM");
        assert!(ours.wait().success());
    })
    .await;
}

#[test]
fn the_paths_of_the_unit_are_those_of_the_template() {
    let template = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).arg("template").output().expect("the binary");
    let template = String::from_utf8_lossy(&template.stdout).into_owned();
    let paths = template.split(['"', '\n']).filter(|text| text.starts_with('/') && text.contains("zonekeeper"));
    // The tree of drains is in ZooKeeper.
    let paths: Vec<&str> = paths.filter(|path| *path != "/zonekeeper/drains").collect();
    assert!(paths.len() > 5, "{paths:?}");
    let own = [("/var/lib", "StateDirectory"), ("/var/cache", "CacheDirectory"), ("/run", "RuntimeDirectory")];
    let own = own.map(|(base, key)| format!("{base}/{}/", unit(key)));
    for path in paths {
        let is_good = path.starts_with("/etc/zonekeeper/") || own.iter().any(|own| path.starts_with(own));
        assert!(is_good, "{path} is in no directory of the unit");
    }
    // What is written over and over is not in /etc, which is to be read only.
    for key in ["cache_file", "serial_file", "state"] {
        assert!(own.iter().any(|own| suggested(key).starts_with(own)), "{key}");
    }
    let start = unit("ExecStart");
    let help = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(["serve", "--help"]).output().expect("the binary");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let (_, config) = start.split_once("serve --config ").expect("the configuration");
    assert!(help.contains(config), "the place where it is looked for is {config}: {help}");
    assert!(UNIT.contains(&format!("configuration to {config}")));
    for key in ["ProtectProc", "SystemCallFilter", "MemoryDenyWriteExecute", "NoNewPrivileges"] {
        let comments = UNIT.lines().filter(|line| line.starts_with('#'));
        assert!(comments.clone().any(|line| line.contains(key)), "what {key} means for commands of checks is not said");
    }
}
