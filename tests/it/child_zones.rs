//! Zones of one server below each other: the parent delegates to the child in its transfers, so that secondaries of the
//! parent alone lead to it, and answers DS questions about it.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::app::{Running, scratch};
use crate::harness::dig::{dig, transfer};
use crate::harness::{admin, eventually};

const TREE: &str = "\
/services
  /top
    /providers
      /10.0.0.1:80
  /eu
    /api
      /providers
        /10.0.0.2:80
  /lab
    /lost
      /providers
        /10.0.0.3:80
";

/// A registry in `service.`, a part of it in `eu.service.`, and the file of `lab.service.`, whose table has `lab` as
/// well.
fn config(lab: &str) -> (String, PathBuf) {
    let (seed, file) = (scratch("seed.tree"), scratch("lab.zone"));
    std::fs::write(&seed, TREE).unwrap();
    std::fs::write(&file, "$TTL 5\n@ NS ns1\n@ NS ns.elsewhere.example.\nns1 A 192.0.2.5\nhost A 192.0.2.6\n").unwrap();
    let text = format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n[[zone]]\norigin = \"eu.service.\"\nunder = \"eu\"\n\
         [[zone]]\norigin = \"lab.service.\"\nregistry = \"\"\nfile = \"{}\"\n{lab}\n\
         [dns]\nlisten = [\"127.0.0.1:0\"]\nallow_transfer = [\"any\"]\n",
        seed.display(),
        file.display()
    );
    (text, file)
}

async fn start(text: &str) -> Running {
    let server = Running::start_with(text);
    eventually("the registry", async || (dig(server.dns, "A api.eu.service").status == "NOERROR").then_some(())).await;
    server
}

/// The records at or below a name in a transfer of `service.`, sorted.
fn below(server: &Running, name: &str) -> Vec<String> {
    let records = transfer(server.dns, "service.").into_iter();
    let is_below = |line: &String| {
        let owner = line.split(' ').next().unwrap_or_default();
        owner == name || owner.ends_with(&format!(".{name}"))
    };
    let mut records: Vec<String> = records.filter(is_below).collect();
    records.sort();
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_delegates_to_the_zones_of_the_same_server_below_it() {
    let (text, file) = config("");
    let server = start(&text).await;
    assert_eq!(
        below(&server, "eu.service."),
        ["eu.service. 5 IN NS ns.eu.service.", "ns.eu.service. 5 IN A 127.0.0.1"]
    );
    let lab = ["lab.service. 5 IN NS ns.elsewhere.example.", "lab.service. 5 IN NS ns1.lab.service."];
    assert_eq!(below(&server, "lab.service."), [lab[0], lab[1], "ns1.lab.service. 5 IN A 192.0.2.5"]);
    // Who asks is answered by the child, as before.
    for transport in ["", " +tcp"] {
        let ask = |words: &str| dig(server.dns, &format!("{words}{transport}"));
        assert_eq!(ask("A api.eu.service").data(), ["10.0.0.2"]);
        assert_eq!(ask("A host.lab.service").data(), ["192.0.2.6"]);
        assert_eq!(ask("A lost.lab.service").status, "NXDOMAIN");
        assert_eq!(ask("A top.service").data(), ["10.0.0.1"]);
    }
    // The same service under the same name is not lost; one that the child does not have is.
    let status = admin::page(server.admin, "/v1/status");
    assert!(
        status.contains("\"clashes_total\":1,") && status.contains("/services/lab/lost is not served there"),
        "{status}"
    );
    // Another name server of the child.
    std::fs::write(&file, "$TTL 5\n@ NS ns2\nns2 A 192.0.2.7\n").unwrap();
    let expected = ["lab.service. 5 IN NS ns2.lab.service.", "ns2.lab.service. 5 IN A 192.0.2.7"];
    eventually("the new delegation", async || (below(&server, "lab.service.") == expected).then_some(())).await;
    server.stop().await;
}

/// RFC 4035 §3.1.4.1.
#[tokio::test(flavor = "multi_thread")]
async fn a_ds_question_at_the_apex_of_a_child_is_answered_by_the_parent() {
    for lab in ["", "allow_transfer = [\"192.0.2.1\"]"] {
        let (text, _) = config(lab);
        let server = start(&text).await;
        for transport in ["", " +tcp"] {
            for name in ["eu.service", "lab.service", "service", "top.service"] {
                let response = dig(server.dns, &format!("DS {name}{transport}"));
                assert_eq!((&*response.status, response.answer.len()), ("NOERROR", 0), "{response:?}");
                assert!(response.has_flag("aa") && response.authority[0].starts_with("service. "), "{response:?}");
            }
            let inside = dig(server.dns, &format!("DS api.eu.service{transport}"));
            assert!(inside.authority[0].starts_with("eu.service. "), "{inside:?}");
        }
        server.stop().await;
    }
}

/// RFC 4035 §2.4, §3.1.4.1.
#[tokio::test(flavor = "multi_thread")]
async fn a_ds_record_in_a_childs_own_file_is_not_its_to_answer() {
    let (text, file) = config("");
    let ds = |first: &str| format!("DS 12345 13 2 {first}{}", "0".repeat(62));
    std::fs::write(&file, format!("$TTL 5\n@ NS ns1\nns1 A 192.0.2.5\n@ {}\nsub NS ns1\nsub {}\n", ds("aa"), ds("bb")))
        .unwrap();
    let server = start(&text).await;
    for transport in ["", " +tcp"] {
        let ask = |words: &str| dig(server.dns, &format!("{words}{transport}"));
        let response = ask("DS lab.service");
        assert_eq!((&*response.status, response.answer.len()), ("NOERROR", 0), "{response:?}");
        assert!(response.authority[0].starts_with("service. ") && response.has_flag("aa"), "{response:?}");
        assert!(ask("ANY lab.service").answer.iter().all(|line| !line.contains(" DS ")));
        assert!(ask("DS sub.lab.service").data()[0].starts_with("12345 13 2 BB"), "this one is its own");
    }
    assert!(transfer(server.dns, "lab.service").iter().all(|line| !line.contains("2 AA")));
    server.stop().await;
    // Also where nobody here has the zone above.
    let alone = format!(
        "[[zone]]\norigin = \"lab.service.\"\nregistry = \"\"\nfile = \"{}\"\n[dns]\nlisten = [\"127.0.0.1:0\"]\n",
        file.display()
    );
    let server = Running::start_with(&alone);
    for transport in ["", " +tcp"] {
        let response = dig(server.dns, &format!("DS lab.service{transport}"));
        assert_eq!((&*response.status, response.answer.len()), ("NOERROR", 0), "{response:?}");
    }
    server.stop().await;
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, alone).unwrap();
    let check =
        Command::new(env!("CARGO_BIN_EXE_zonekeeper")).arg("check").arg("--config").arg(&path).output().unwrap();
    let told = String::from_utf8_lossy(&check.stderr).into_owned() + &String::from_utf8_lossy(&check.stdout);
    assert!(
        check.status.success() && told.contains("a DS record of lab.service. belongs into the zone above it"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_nobody_may_transfer_delegates_to_its_child_as_nothing_is_against_it() {
    for (transfers, delegates) in [("[]", true), ("[\"any\"]", false)] {
        let (text, _) =
            config(&format!("allow_transfer = {}", if delegates { "[\"any\"]" } else { "[\"192.0.2.1\"]" }));
        let server =
            start(&text.replace("allow_transfer = [\"any\"]\n", &format!("allow_transfer = {transfers}\n"))).await;
        let is_told = || admin::page(server.admin, "/v1/status").contains("/services/lab/lost is not served there");
        if delegates {
            eventually("the delegation", async || is_told().then_some(())).await;
        }
        assert_eq!(is_told(), delegates);
        assert_eq!(dig(server.dns, "A lost.lab.service").status, "NXDOMAIN", "it is the child's");
        let ds = dig(server.dns, "DS lab.service");
        assert_eq!((&*ds.status, ds.answer.len()), ("NOERROR", 0));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_does_not_delegate_to_one_that_its_secondaries_may_not_transfer_and_check_says_so() {
    let (text, _) = config("allow_transfer = [\"192.0.2.1\"]");
    let server = start(&text).await;
    let lost = below(&server, "lab.service.");
    assert!(lost.iter().any(|line| line == "lost.lab.service. 5 IN A 10.0.0.3"), "{lost:?}");
    assert!(!lost.iter().any(|line| line.starts_with("lab.service. ") && line.contains(" NS ")), "{lost:?}");
    assert_eq!(below(&server, "eu.service.").len(), 2);
    server.stop().await;
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, text).unwrap();
    let check =
        Command::new(env!("CARGO_BIN_EXE_zonekeeper")).arg("check").arg("--config").arg(&path).output().unwrap();
    let told = String::from_utf8(check.stderr).unwrap();
    let expected = "lab.service. lies below service., whose secondaries may not transfer it";
    assert!(check.status.success() && told.contains(expected) && !told.contains("eu.service. lies"), "{told}");
}
