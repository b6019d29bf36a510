//! Ends and starts of the agent at bad moments: killed without a word, edited while it reads, stopped while everything
//! around it hangs.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::agent::{SESSION, blocking, node, registry, serve, service, until};
use crate::harness::app::{free_port, scratch};
use crate::harness::house::House;
use crate::harness::kazoo::Kazoo;
use crate::harness::looker::Looker;
use crate::harness::zk::Server;

/// Says to the admin server that a service is well. Returns whether it was heard.
fn beat(admin: SocketAddr, name: &str) -> bool {
    let heard = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(admin)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "PUT /v1/heartbeat/{name} HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.contains("200 OK"))
    };
    heard().unwrap_or(false)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_a_service_with_a_heartbeat_stays_until_it_was_silent_for_its_time() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let ttl = Duration::from_secs(4);
        let config = registry(&servers)
            + &format!("[admin]\nlisten = \"{admin}\"\n")
            + &service("web", 80, "check.ttl = { ttl = \"4s\" }");
        let (mut first, _) = serve(&config);
        until("it is heard", || beat(admin, "web").then_some(()));
        let path = node("web", 80);
        until(&path, || kazoo.get(&path));
        let before = kazoo.czxid(&path);
        let looker = Looker::start(&servers, vec![path.clone()]);
        first.signal("KILL");
        first.wait();
        let (second, _) = serve(&config);
        // It is taken over without a heartbeat, and the end of the session before takes nothing away.
        until("it is taken over", || (kazoo.czxid(&path) != before).then_some(()));
        until("it is heard again", || beat(admin, "web").then_some(()));
        let begun = Instant::now();
        while begun.elapsed() < SESSION + Duration::from_secs(2) {
            sleep(Duration::from_millis(500));
            beat(admin, "web");
        }
        let seen = looker.stop();
        assert!(seen.looks > 50 && seen.absent.is_empty(), "{seen:?} {}", second.log());

        // Silence counts from when it can be heard.
        let last = Instant::now();
        until("it is out", || kazoo.get(&path).is_none().then_some(()));
        assert!(last.elapsed() + Duration::from_secs(1) > ttl, "{:?}", last.elapsed());
        assert!(second.log().contains("withdrawn"), "{}", second.log());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_snippet_while_the_configuration_is_being_read_is_not_lost() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let house = House::silent(&[("version", "7\n")]);
        let path = scratch("zonekeeper.toml");
        let snippets = path.with_file_name("conf.d");
        std::fs::create_dir_all(&snippets).expect("conf.d");
        let version = house.disk().join("version").display().to_string();
        // Read in the order of their names: the first is read when the second waits for its disk.
        let edit = |port: u16| std::fs::write(snippets.join("a.toml"), service("web", port, "")).expect("a snippet");
        edit(80);
        let slow = service("slow", 90, &format!("properties = {{ version = {{ file = \"{version}\" }} }}"));
        std::fs::write(snippets.join("b.toml"), slow).expect("a snippet");
        let main = "include = [\"conf.d/*.toml\"]\n".to_owned() + &registry(&servers);
        std::fs::write(&path, &main).expect("a configuration");
        let ours = house.run(&[], &["serve", "--config", &path.to_string_lossy()]);
        sleep(Duration::from_secs(2));
        assert!(!ours.log().contains("starting"), "it waits for the disk: {}", ours.log());
        edit(81);
        house.answer();
        until("the edit during the start", || kazoo.get(&node("web", 81)));
        until("the place before", || kazoo.get(&node("web", 80)).is_none().then_some(()));

        // The same while it runs.
        let again = "reading the configuration again";
        let before = ours.log().matches(again).count();
        let silence = house.silence(house.disk());
        std::fs::write(&path, main + "# edited\n").expect("a configuration");
        until("it reads", || (ours.log().matches(again).count() > before).then_some(()));
        // Two seconds after it began, it goes on without the value.
        sleep(Duration::from_millis(400));
        edit(82);
        sleep(Duration::from_millis(400));
        assert!(kazoo.get(&node("web", 81)).is_some(), "{}", ours.log());
        drop(silence);
        until("the edit during the reading", || kazoo.get(&node("web", 82)));
    })
    .await;
}

#[test]
fn sigterm_ends_it_in_time_while_the_log_the_ensemble_and_on_stop_hang() {
    let server = Server::start();
    let house = House::with_disk(64);
    let mut kazoo = Kazoo::connect(&server.address());
    let began = scratch("began");
    let chatty = (0..20).map(|index| {
        let say =
            "[\"/bin/sh\", \"-c\", \"head -c 900 /dev/urandom | base64 -w0; exit $(( $(date +%N | tail -c 2) % 2 ))\"]";
        service(
            &format!("chatty{index}"),
            80,
            &format!("check.exec = {{ command = {say}, interval = \"100ms\", rise = 1, fall = 1 }}"),
        )
    });
    let chatty = chatty.collect::<String>();
    let config = |name: &str, port: u16, on_stop: &str| {
        let path = scratch(name);
        let announce = format!("[announce]\non_stop = [{on_stop}]\n");
        let text = registry(&server.address()) + &announce + &service("web", port, "") + &chatty;
        std::fs::write(&path, text).expect("a configuration");
        house.run(&[], &["serve", "--log", "trace", "--config", &path.to_string_lossy()])
    };
    let hung = format!("\"/bin/sh\", \"-c\", \"touch {}; trap '' TERM; sleep 1000\"", began.display());
    // With `on_stop`, ten seconds more.
    let mut both = [(config("plain.toml", 81, ""), 10), (config("hung.toml", 82, &hung), 20)];
    for port in [81, 82] {
        until("the registration", || kazoo.get(&node("web", port)));
    }
    for (ours, _) in &both {
        ours.read_log(false);
    }
    // Until the pipes are full.
    sleep(Duration::from_secs(3));
    server.freeze();
    for (ours, bound) in &mut both {
        let (status, took) = ours.stop();
        assert!(took < Duration::from_secs(*bound), "{took:?}, {status}");
    }
    assert!(began.exists(), "`on_stop` was run");
    server.thaw();
}
