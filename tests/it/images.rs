//! The container image and the objects of Kubernetes, without either: the image's last stage in a chroot with nothing
//! but libraries, as its user on a read-only root; the objects by their schemas.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::app::scratch;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_zonekeeper");
const DOCKERFILE: &str = include_str!("../../deploy/Dockerfile");

/// The words of an instruction's JSON list in the last stage.
fn instruction(name: &str) -> Vec<String> {
    let stage = DOCKERFILE.rsplit_once("\nFROM ").expect("a stage").1;
    let line = stage.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
    let list = &line[line.find('[').expect("a list")..];
    serde_json::from_str(list).expect("a list")
}

fn copy(from: &Path, root: &Path, to: &str) {
    let to = root.join(to.trim_start_matches('/'));
    std::fs::create_dir_all(to.parent().expect("a directory")).expect("a directory");
    std::fs::copy(from, to).expect("a copy");
}

/// Runs the image's command in the background, waits for its health check, asks, and ends it.
const RUN: &str = r#"set -e
root=$1 user=$2 health=$3 command=$4
ip link set lo up
mount --bind "$root" "$root"
mount --bind /proc "$root/proc"; mount --bind /dev "$root/dev"
for own in var/cache/zonekeeper run/zonekeeper; do mount -t tmpfs -o mode=0755,uid="${user%:*}" own "$root/$own"; done
mount -o remount,bind,ro "$root"
! touch "$root/x" 2>/dev/null
inside() { chroot --userspec="$user" "$root" "$@"; }
outcome=0; inside $health 2>/dev/null || outcome=$?
[ $outcome = 2 ]
chroot --userspec="$user" "$root" $command & child=$!
for i in $(seq 200); do inside $health >/dev/null 2>&1 && break; sleep 0.05; done
inside $health
dig @127.0.0.1 -p 5300 +short +tries=1 SRV api_x.service
grep Uid "/proc/$child/status"
kill -TERM $child; wait $child
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_image_runs_as_its_user_on_a_read_only_root_without_a_shell_and_its_health_check_is_true() {
    tokio::task::spawn_blocking(|| {
        let root = scratch("root");
        for directory in ["proc", "dev", "var/cache/zonekeeper", "run/zonekeeper", "etc/zonekeeper"] {
            std::fs::create_dir_all(root.join(directory)).expect("a directory");
        }
        let entry = instruction("ENTRYPOINT");
        copy(Path::new(PROGRAM), &root, &entry[0]);
        // What the base image has: the C library and libgcc.
        let libraries = Command::new("ldd").arg(PROGRAM).output().expect("ldd");
        for word in String::from_utf8_lossy(&libraries.stdout).split_whitespace().filter(|word| word.starts_with('/')) {
            let is_of_base = ["libc.so", "libm.so", "libgcc_s.so", "ld-linux"].iter().any(|name| word.contains(name));
            assert!(is_of_base, "the base image has no {word}");
            copy(Path::new(word), &root, word);
        }
        std::fs::write(
            root.join("etc/zonekeeper/dev.tree"),
            "/services\n  /api_x\n    /providers\n      /10.0.0.1:80\n",
        )
        .expect("a seed");
        // The configuration of Kubernetes, but for ZooKeeper.
        let text = include_str!("../../deploy/kubernetes/zonekeeper.toml");
        let lines = text.lines().map(|line| match line {
            line if line.starts_with("zookeeper =") => "memory = \"dev.tree\"",
            line => line,
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        std::fs::write(root.join("etc/zonekeeper/zonekeeper.toml"), text).expect("a configuration");
        let stage = DOCKERFILE.rsplit_once("\nFROM ").expect("a stage").1;
        let user = stage.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
        assert!(user.split(':').all(|part| part.parse::<u32>().is_ok_and(|id| id > 0)), "{user} is not a number");
        let command = [entry, instruction("CMD")].concat().join(" ");
        let output = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", RUN, "bash"])
            .arg(&root)
            .args([user, &instruction("HEALTHCHECK").join(" "), &command])
            .output()
            .expect("unshare");
        let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}{log}");
        assert!(said.contains("ready") && said.contains("0 10 80 10-0-0-1.addr.service."), "{said}{log}");
        assert!(said.contains(&format!("Uid:\t{}", user.split(':').next().expect("a user"))), "{said}");
    })
    .await
    .expect("no panic");
}

#[test]
fn the_objects_of_kubernetes_are_valid_and_fit_the_configuration() {
    let directory = Path::new(ROOT).join("deploy/kubernetes");
    let files: Vec<PathBuf> =
        ["deployment.yaml", "service.yaml", "poddisruptionbudget.yaml", "daemonset/daemonset.yaml"]
            .iter()
            .map(|file| directory.join(file))
            .collect();
    let output = Command::new("/usr/bin/python3")
        .arg(Path::new(ROOT).join("tests/it/harness/kubernetes_driver.py"))
        .arg(&directory)
        .args(&files)
        .env("PYTHONPATH", Path::new(ROOT).join("target/readers/kubernetes-validate"))
        .output()
        .expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.lines().count(), files.len(), "{said}");
    for file in ["zonekeeper.toml", "daemonset/zonekeeper.toml"] {
        let output = Command::new(PROGRAM).args(["check", "--config"]).arg(directory.join(file)).output();
        assert!(output.expect("the binary").status.success(), "{file}");
    }
    let same = |file: &str| std::fs::read(directory.join(file)).expect("a configuration");
    assert_eq!(same("zonekeeper.toml"), same("daemonset/zonekeeper.toml"));
}
