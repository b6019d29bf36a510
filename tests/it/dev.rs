//! `zonekeeper dev`, as somebody who tries it out uses it.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use crate::agent::until;
use crate::harness::app::{Binary, scratch};
use crate::harness::dig::dig;

/// `dev` in a directory without a seed, and the addresses and the seed that it names.
fn run() -> (Binary, SocketAddr, PathBuf) {
    let directory = scratch("").to_string_lossy().into_owned();
    let dev = Binary::run_by(&["env", "-C", &directory, &format!("TMPDIR={directory}")], &["dev"]);
    let between = |before: &str, behind: &str| {
        let log = dev.log();
        Some(log.split_once(before)?.1.split_once(behind)?.0.to_owned())
    };
    let (dns, _) = until("its address", || between("DNS on ", " (UDP")?.parse().ok());
    let (seed, _) = until("its seed", || between("The registry is ", ": edit"));
    (dev, dns, seed.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_usual_ports_are_in_use_dev_takes_others() {
    tokio::task::spawn_blocking(|| {
        // Ours, or somebody else's.
        let _taken = [5300, 5380].map(|port| TcpListener::bind(("127.0.0.1", port)));
        let (mut dev, dns, _) = run();
        assert_ne!(dns.port(), 5300);
        until("an answer", || (dig(dns, "SRV api_x.service +tries=1").data().len() == 2).then_some(()));
        assert!(dev.is_alive());
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_of_dev_is_kept_where_it_was_edited_and_removed_where_not() {
    tokio::task::spawn_blocking(|| {
        let (mut dev, _, seed) = run();
        dev.signal("TERM");
        assert!(dev.wait().success() && !seed.exists());
        let (mut dev, dns, seed) = run();
        let text = std::fs::read_to_string(&seed).expect("the sample");
        std::fs::write(&seed, text + "\n  /mine\n    /providers\n      /192.168.0.99:1\n").expect("an edit");
        until("the edit", || (dig(dns, "SRV mine.service +tries=1").data().len() == 1).then_some(()));
        dev.signal("TERM");
        assert!(dev.wait().success() && seed.exists());
        assert!(dev.log().contains(&format!("--seed {}", seed.display())), "{}", dev.log());
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zone_file_beside_the_seed_is_the_zones() {
    tokio::task::spawn_blocking(|| {
        let dev = Binary::run(&["dev", "--dns", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        let (dns, _) = until("its address", || {
            dev.log().split_once("DNS on ")?.1.split_once(" (UDP")?.0.parse::<SocketAddr>().ok()
        });
        until("the file's names", || {
            let found = dig(dns, "A status.service +tries=1").data();
            found.iter().any(|data| data.contains("127.0.0.1")).then_some(())
        });
    })
    .await
    .expect("no panic");
}
