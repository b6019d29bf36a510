//! The main job over servers that lack some requests, known by what they answer: each is asked for a thing once.

use std::time::Duration;

use crate::harness::app::Running;
use crate::harness::dig::dig;
use crate::harness::ensemble::Ensemble;
use crate::harness::eventually;
use crate::harness::face::{Face, Front};
use crate::harness::kazoo::Kazoo;
use crate::harness::zk;

async fn shows(server: &Running, query: &str, expected: &[&str]) {
    eventually(&format!("{query} as {expected:?}"), async || {
        let mut shown = dig(server.dns, query).data();
        shown.sort();
        (shown == expected).then_some(())
    })
    .await;
}

/// Changes of every kind are followed, and no unknown request is made oftener than each session must.
async fn the_main_job(face: Face) {
    let server = zk::shared();
    let direct = server.namespace().await;
    let front = Front::before(server.socket(), face);
    let servers = direct.replace(&server.address(), &front.address().to_string());
    let mut kazoo = Kazoo::connect(&direct);
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
    kazoo.create("/services/api/providers/10.0.0.2:80", b"{}", true);
    let running = Running::over_zookeeper(
        &servers,
        "[[service]]\nname = \"own\"\nport = 81\naddress = \"10.9.0.1\"\n[announce]\n",
    );
    shows(&running, "A api.service", &["10.0.0.1", "10.0.0.2"]).await;
    shows(&running, "A own.service", &["10.9.0.1"]).await;
    kazoo.set("/services/api/providers/10.0.0.1:80", br#"{"state":"down"}"#);
    shows(&running, "A api.service", &["10.0.0.2"]).await;
    kazoo.create("/services/api/providers/10.0.0.3:80", b"{}", false);
    shows(&running, "A api.service", &["10.0.0.2", "10.0.0.3"]).await;
    kazoo.delete("/services/api/providers/10.0.0.2:80");
    shows(&running, "A api.service", &["10.0.0.3"]).await;
    kazoo.create("/services/new/deeper/providers/10.0.1.1:80", b"{}", false);
    shows(&running, "A deeper.new.service", &["10.0.1.1"]).await;
    let asked = front.asked();
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Whatever it asked while it got to know the server, it does not ask on and on.
    assert_eq!(front.asked(), asked);
    for kind in &asked {
        let times = asked.iter().filter(|other| *other == kind).count();
        // Mirror and agent have sessions of their own, which may ask at the same moment.
        assert!(times <= 2, "type {kind}: {times} times in {asked:?}");
    }
    drop(kazoo);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_up_on_what_it_does_not_know_is_asked_once() {
    the_main_job(Face::ZETCD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_batches_persistent_watches_and_set_watches_is_followed() {
    the_main_job(Face::FIRST_KEEPER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_batches_of_reads_and_without_persistent_watches_is_followed() {
    the_main_job(Face::LATER_KEEPER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_persistent_watches_and_without_batches_of_reads_is_followed() {
    the_main_job(Face::WATCHES_ALONE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_quorum_that_serves_reads_is_answered_from() {
    let mut ensemble = tokio::task::spawn_blocking(|| {
        Ensemble::start_with(
            "localSessionsEnabled=true\nlocalSessionsUpgradingEnabled=true\n",
            &["-Dreadonlymode.enabled=true"],
        )
    })
    .await
    .expect("no panic");
    let mut kazoo = Kazoo::connect(&ensemble.direct());
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
    drop(kazoo);
    let alone = ensemble.members[0].address();
    ensemble.members[1].kill();
    ensemble.members[2].kill();
    // Started only now, it has nothing but what that server shows.
    let running = Running::over_zookeeper(&alone, "");
    shows(&running, "A api.service", &["10.0.0.1"]).await;
    // With the quorum back, changes are followed again.
    let ensemble = tokio::task::spawn_blocking(move || {
        ensemble.members[1].start_again();
        ensemble.members[2].start_again();
        ensemble
    })
    .await
    .expect("no panic");
    let mut kazoo = Kazoo::connect(&ensemble.direct());
    kazoo.create("/services/api/providers/10.0.0.2:80", b"{}", false);
    shows(&running, "A api.service", &["10.0.0.1", "10.0.0.2"]).await;
    drop(kazoo);
    running.stop().await;
}
