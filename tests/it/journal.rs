//! The log as systemd's journal takes it.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use crate::agent::until;
use crate::harness::app::{Binary, scratch};

/// The journal shows lines by their priorities, and has times of its own.
#[tokio::test(flavor = "multi_thread")]
async fn lines_for_the_journal_have_priorities_and_no_second_time() {
    tokio::task::spawn_blocking(|| {
        let config = scratch("zonekeeper.toml");
        std::fs::write(&config, "[registry.main]\nzookeeper = \"127.0.0.1:1\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:0\"]\n").unwrap();
        let arguments = ["serve", "--config", &config.to_string_lossy()];
        let run = |script: &str| {
            let ours = Binary::run_by(&["sh", "-c", script, "sh"], &arguments);
            until("a warning of the registry", || ours.log().contains("WARN").then(|| ours.log())).0
        };
        let log = run("JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"");
        assert!(log.lines().all(|line| line.starts_with("<6>") || line.starts_with("<4>")), "{log}");
        assert!(log.lines().any(|line| line.starts_with("<4> WARN")), "{log}");
        assert!(log.lines().any(|line| line.starts_with("<6> INFO")), "{log}");
        // The journal's, but another file's than that of the log.
        let log = run("JOURNAL_STREAM=1:2 exec \"$@\"");
        assert!(log.lines().all(|line| line.starts_with("20")), "with times, and without priorities: {log}");
    })
    .await
    .expect("no panic");
}
