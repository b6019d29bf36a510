//! `zonekeeper register`: a command that is registered while it runs and is well.

use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{RELEASES, ensemble};
use crate::harness::app::{Running, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;
use crate::harness::kazoo::Kazoo;
use crate::harness::spawner;

const PATH: &str = "/services/api/providers/192.0.2.10:8080";

fn register(servers: &str, arguments: &[&str]) -> Child {
    let config = scratch("zonekeeper.toml");
    let text = format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n[admin]\nlisten = \"127.0.0.1:1\"\n"
    );
    std::fs::write(&config, text).expect("a configuration");
    let child = spawner::spawn(env!("CARGO_BIN_EXE_zonekeeper"), |command| {
        command.arg("register").arg("--config").arg(&config);
        command.args(["api", "--port", "8080", "--address", "192.0.2.10"]).args(arguments);
        command.stdin(Stdio::null()).stderr(Stdio::null());
    });
    child.expect("`setpriv` (package util-linux)")
}

async fn end(child: &mut Child) -> ExitStatus {
    eventually("the end", || std::future::ready(child.try_wait().expect("a state"))).await
}

fn kill(child: &Child, signal: &str) {
    let status = std::process::Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
    assert!(status.expect("the command `kill`").success());
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_registered_when_it_is_well_and_taken_out_before_it_is_told_to_end() {
    for release in RELEASES {
        let servers = ensemble(release).await;
        let server = Running::over_zookeeper(&servers, "");
        let mut kazoo = Kazoo::connect(&servers);
        let (ready, told) = (scratch("ready"), scratch("told"));
        let check = format!("exec:test -e {}", ready.display());
        let script = format!("trap 'date +%s.%N > {}; exit 5' TERM; while :; do sleep 0.1; done", told.display());
        let mut ours = register(
            &servers,
            &["--check", &check, "--property", "weight:=7", "--drain", "1s", "--", "bash", "-c", &script],
        );
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(kazoo.get(PATH).is_none(), "{release:?}: it is not well yet");
        std::fs::write(&ready, "").expect("a file");
        eventually("the registration in DNS", async || {
            (dig(server.dns, "SRV api.service").data() == ["0 7 8080 192-0-2-10.addr.service."]).then_some(())
        })
        .await;
        kill(&ours, "TERM");
        eventually("the withdrawal", || std::future::ready(kazoo.get(PATH).is_none().then_some(()))).await;
        let gone = now();
        assert_eq!(end(&mut ours).await.code(), Some(5), "{release:?}");
        let told: f64 = std::fs::read_to_string(&told).expect("it was told").trim().parse().expect("a time");
        assert!(gone < told, "{release:?}: gone at {gone}, told at {told}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_not_registered_any_more() {
    for release in RELEASES {
        let servers = ensemble(release).await;
        let mut kazoo = Kazoo::connect(&servers);
        let mut ours = register(&servers, &["--", "sh", "-c", "sleep 3; exit 9"]);
        eventually("the registration", || std::future::ready(kazoo.get(PATH))).await;
        assert_eq!(end(&mut ours).await.code(), Some(9));
        assert!(kazoo.get(PATH).is_none(), "{release:?}: taken out before ours ends");
        // Killed, with its command; the session takes the registration along.
        let mut ours = register(&servers, &["--", "sleep", "60"]);
        let (data, _) = eventually("the registration", || std::future::ready(kazoo.get(PATH))).await;
        let data: serde_json::Value = serde_json::from_slice(&data).expect("JSON");
        let pid = data["pid"].as_u64().expect("the command's process");
        assert_ne!(pid, u64::from(ours.id()));
        kill(&ours, "KILL");
        ours.wait().expect("an end");
        let process = format!("/proc/{pid}");
        eventually("the end of the command", async || (!std::path::Path::new(&process).exists()).then_some(())).await;
        eventually("the end of the registration", || std::future::ready(kazoo.get(PATH).is_none().then_some(()))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_before_anything_runs() {
    let servers = ensemble(RELEASES[0]).await;
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
        command.args(["register", "--zookeeper", &servers, "--port", "80"]).args(arguments);
        let output = command.args(["--", "echo", "ran"]).output().expect("the binary");
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    assert!(run(&["api", "--check", "ping"]).contains("`ping` is not a check: tcp, tcp:ADDRESS:PORT"));
    assert!(run(&["api", "--address", "not an address"]).contains("the command line:"));
    assert!(run(&["api", "--property", "weight"]).contains("must be NAME=TEXT"));
}
