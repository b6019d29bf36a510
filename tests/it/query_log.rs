//! The query log, as an operator turns it on and off while the server runs.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::net::SocketAddr;
use std::process::Command;

use crate::agent::{serve, until};
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::dig::dig;

/// The lines of the query log that have all of these words.
fn lines(ours: &Binary, words: &[&str]) -> usize {
    let is_meant = |line: &&str| line.contains("query client=") && words.iter().all(|word| line.contains(word));
    ours.log().lines().filter(is_meant).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_logged_by_client_name_or_sample_and_not_unless_chosen() {
    tokio::task::spawn_blocking(|| {
        let seed = scratch("seed.tree");
        std::fs::write(&seed, "/services\n  /api\n    /10.0.0.1:80\n  /other\n    /10.0.0.2:80\n").unwrap();
        let [dns, admin] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let config = |chosen: &str| {
            format!(
                "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"{dns}\"]\n\
                 [admin]\nlisten = \"{admin}\"\n[dns.query_log]\n{chosen}\n",
                seed.display()
            )
        };
        let (mut ours, path) = serve(&config(""));
        until("an answer", || (dig(dns, "A api.service").status == "NOERROR").then_some(()));
        let take = |chosen: &str| {
            std::fs::write(&path, config(chosen)).unwrap();
            let mut reload = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
            let done = reload.args(["reload", "--config"]).arg(&path).output().unwrap();
            assert!(done.status.success(), "{done:?}");
        };
        // The hot path and the slow one, by UDP and TCP.
        let ask = || {
            for question in ["SRV api.service", "A api.service +tcp", "A nothing.api.service", "ANY other.service"] {
                dig(dns, question);
            }
        };
        ask();
        take("names = [\"API.service\"]");
        assert_eq!(lines(&ours, &[]), 0, "nothing was chosen:\n{}", ours.log());
        ask();
        until("lines about the name", || (lines(&ours, &["api.service."]) == 3).then_some(()));
        assert_eq!(lines(&ours, &["udp", "type=\"SRV\"", "NOERROR", "127.0.0.1"]), 1, "{}", ours.log());
        assert_eq!(lines(&ours, &["tcp", "type=\"A\"", "NOERROR"]), 1, "{}", ours.log());
        assert_eq!(lines(&ours, &["name=\"nothing.api.service.\"", "NXDOMAIN"]), 1, "{}", ours.log());
        assert_eq!(lines(&ours, &["other.service"]), 0, "{}", ours.log());
        take("clients = [\"127.0.0.7\"]");
        ask();
        dig(dns, "ANY other.service -b 127.0.0.7 +notcp");
        dig(dns, "A other.service -b 127.0.0.7");
        until("lines of the client", || (lines(&ours, &["client=127.0.0.7", "other.service."]) >= 2).then_some(()));
        assert_eq!(lines(&ours, &["api.service."]), 3, "{}", ours.log());
        take("sample = 1");
        dig(dns, "A other.service");
        until("all of them", || (lines(&ours, &["client=127.0.0.1", "other.service."]) == 1).then_some(()));
        take("");
        let before = lines(&ours, &[]);
        ask();
        take("sample = 0");
        assert_eq!(lines(&ours, &[]), before, "{}", ours.log());
        let wrong = config("clients = [\"nonsense\"]\nnames = [\"a..b\"]");
        std::fs::write(&path, wrong).unwrap();
        let checked = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(["check", "--config"]).arg(&path).output();
        let said = String::from_utf8_lossy(&checked.unwrap().stderr).into_owned();
        assert!(said.contains("`clients` has an element") && said.contains("`names` has an element"), "{said}");
        ours.signal("TERM");
        ours.wait();
    })
    .await
    .expect("no panic");
}
