//! Drains by flag, of registrations that hold a state.

use super::*;
use crate::diagnostic::Span;
use crate::settings::Located;
use crate::zookeeper::session::Watch as _;

const SERVICE: &str = "/services/a";

fn curator(port: u16) -> ServiceConfig {
    let format = Some(Located { value: "curator".to_owned(), span: Span::default() });
    ServiceConfig { format, ..service("a", port) }
}

/// The states of the registered instances, by their ports.
fn states(memory: &Memory) -> Vec<(u16, String)> {
    let mut states: Vec<_> = memory
        .dump()
        .into_iter()
        .filter(|(path, znode)| path.as_str().starts_with("/services/a/") && znode.stat.ephemeral_owner != 0)
        .map(|(_, znode)| {
            let data: serde_json::Value = serde_json::from_slice(&znode.data).unwrap();
            let status = data["payload"]["metadata"]["instance_status"].as_str().unwrap();
            (u16::try_from(data["port"].as_u64().unwrap()).unwrap(), status.to_owned())
        })
        .collect();
    states.sort();
    states
}

fn is(memory: &Memory, expected: &[(u16, &str)]) -> bool {
    states(memory) == expected.iter().map(|(port, state)| (*port, (*state).to_owned())).collect::<Vec<_>>()
}

async fn flag(memory: &Memory, data: &str) {
    let session = memory.connect().await.unwrap();
    session.set(&path(SERVICE), data.as_bytes(), None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drained_instance_goes_out_of_service_in_its_own_znode_and_comes_back() {
    let memory = Memory::new("memory");
    let process = Process::start(&memory, 1, vec![curator(80), curator(81)]);
    process.registered().await;
    until("both are up", || is(&memory, &[(80, "UP"), (81, "UP")])).await;
    let session = process.session();
    flag(&memory, r#"{"drain":[{"instance":"10.0.0.1:80"}]}"#).await;
    until("one is out", || is(&memory, &[(80, "OUT_OF_SERVICE"), (81, "UP")])).await;
    flag(&memory, r#"{"drain":[{}]}"#).await;
    until("both are out", || is(&memory, &[(80, "OUT_OF_SERVICE"), (81, "OUT_OF_SERVICE")])).await;
    // Another session changes nothing of it, and neither do services that come.
    memory.expire(session);
    until("another session", || process.status.session().is_some_and(|now| now.id != session)).await;
    until("both are out", || is(&memory, &[(80, "OUT_OF_SERVICE"), (81, "OUT_OF_SERVICE")])).await;
    process.services.set(vec![curator(81), curator(82)]).unwrap();
    until("those are out", || is(&memory, &[(81, "OUT_OF_SERVICE"), (82, "OUT_OF_SERVICE")])).await;
    flag(&memory, "").await;
    until("both are up", || is(&memory, &[(81, "UP"), (82, "UP")])).await;
    process.stop().await;
    assert_eq!(states(&memory), []);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_drained_at_the_start_is_never_registered_as_up() {
    let memory = Memory::new("memory");
    for (path, data) in [("/services", ""), (SERVICE, r#"{"drain":[{}]}"#)] {
        memory.create(&super::path(path), data.as_bytes()).unwrap();
    }
    let (observer, tree) = (memory.connect().await.unwrap(), memory.clone());
    let mut watch = observer.watch(&path(SERVICE)).await.unwrap();
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Ok(Event::Changed(_)) = timeout(Duration::from_secs(30), watch.next()).await {
            seen.extend(states(&tree));
        }
        seen
    });
    let first = Process::start(&memory, 1, vec![curator(80)]);
    let mut processes = vec![first];
    for _ in 0..2 {
        processes.last().unwrap().registered().await;
        assert!(is(&memory, &[(80, "OUT_OF_SERVICE")]), "{:?}", states(&memory));
        processes.pop().unwrap().kill(&memory).await;
        processes.push(Process::start(&memory, 2, vec![curator(80)]));
    }
    processes.last().unwrap().registered().await;
    processes.pop().unwrap().stop().await;
    let seen = seen.await.unwrap();
    assert!(seen.len() >= 3 && seen.iter().all(|(_, state)| state == "OUT_OF_SERVICE"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn what_holds_no_state_is_not_rewritten_for_a_drain() {
    let memory = Memory::new("memory");
    let process = Process::start(&memory, 1, vec![service("a", 80)]);
    process.registered().await;
    let before = znode(&memory, A).unwrap().stat.czxid;
    flag(&memory, r#"{"drain":[{}]}"#).await;
    pause(10).await;
    assert_eq!(znode(&memory, A).unwrap().stat.czxid, before);
    process.stop().await;
}

/// Of a registry that is read as Curator's, whose services' own znodes have no flags.
#[tokio::test(start_paused = true)]
async fn an_instance_of_a_registry_with_a_drain_tree_goes_out_of_service_by_the_flag_there() {
    let memory = Memory::new("memory");
    let curators = format::Config::of_writers("curator", "providers").unwrap();
    let writer = InstanceWriter { format: curators, drains: Some(path("/ours")), ..writer(1) };
    let process = Process::run(Announcer::new(memory.clone(), writer, vec![curator(80), curator(81)]).unwrap());
    process.registered().await;
    until("both are up", || is(&memory, &[(80, "UP"), (81, "UP")])).await;
    flag(&memory, r#"{"drain":[{}]}"#).await;
    for (path, data) in
        [("/ours", ""), ("/ours/services", ""), ("/ours/services/a", r#"{"drain":[{"instance":"10.0.0.1:81"}]}"#)]
    {
        memory.create(&super::path(path), data.as_bytes()).unwrap();
    }
    until("one is out, and Curator's own znode has no flags", || is(&memory, &[(80, "UP"), (81, "OUT_OF_SERVICE")]))
        .await;
    let session = memory.connect().await.unwrap();
    session.delete(&path("/ours/services/a"), None).await.unwrap();
    until("both are up again", || is(&memory, &[(80, "UP"), (81, "UP")])).await;
    process.stop().await;
}
