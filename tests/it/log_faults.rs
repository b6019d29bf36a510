//! A log that nobody reads: decisions, the mirror and the stop go on, and the lost lines are counted.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::agent::{blocking, registry, until};
use crate::harness::admin;
use crate::harness::app::{free_port, scratch};
use crate::harness::dig::dig;
use crate::harness::kazoo::Kazoo;
use crate::harness::spawner;

/// The binary, whose standard error is a pipe that is read only when the test says so.
struct Unread {
    child: Child,
    reader: std::io::PipeReader,
}

impl Unread {
    fn serve(config: &str) -> Self {
        let path = scratch("zonekeeper.toml");
        std::fs::write(&path, config).expect("a configuration");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let child = spawner::spawn(env!("CARGO_BIN_EXE_zonekeeper"), |command| {
            command.args(["serve", "--log", "trace", "--config"]).arg(&path).stdin(Stdio::null()).stderr(writer);
        });
        Self { child: child.expect("`setpriv` (package util-linux)"), reader }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.expect("the command `kill`").success());
    }

    /// Ends it in order, and returns how long that took.
    fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        self.signal("TERM");
        until("the end after SIGTERM", || self.child.try_wait().expect("a state"));
        begun.elapsed()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lost(address: &str) -> u64 {
    let page = admin::page(address.parse().expect("an address"), "/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix("zonekeeper_log_lines_lost_total{stream=\"stderr\"} "));
    line.expect("the metric of lost lines").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_service_is_withdrawn_while_nobody_reads_the_log() {
    blocking(|servers| {
        let (admin, alive) = (format!("127.0.0.1:{}", free_port()), scratch("alive"));
        std::fs::write(&alive, "").expect("a file");
        let service = |name: &str, command: &str| {
            format!(
                "[[service]]\nname = \"{name}\"\nport = 80\naddress = \"192.0.2.10\"\n\
                 check.exec = {{ command = {command}, interval = \"100ms\", timeout = \"5s\", rise = 1, fall = 1 }}\n"
            )
        };
        let victim = service("victim", &format!("[\"test\", \"-e\", \"{}\"]", alive.display()));
        // Ill, and each time for another reason of a thousand characters.
        let chatty = (0..20).map(|index| {
            let command = "[\"/bin/sh\", \"-c\", \"head -c 900 /dev/urandom | base64 -w0; exit $(( $(date +%N | tail -c 2) % 2 ))\"]";
            service(&format!("chatty{index}"), command)
        });
        let config = format!(
            "{}{victim}{}[[zone]]\norigin = \"service.\"\n[admin]\nlisten = \"{admin}\"\n",
            registry(&servers),
            chatty.collect::<String>()
        );
        let mut server = Unread::serve(&config);
        let mut kazoo = Kazoo::connect(&servers);
        let node = "/services/victim/providers/192.0.2.10:80";
        until("the registration", || kazoo.get(node).map(|_| ()));
        // A pipe takes 64 KiB, the queue 4 MiB: the pipe is full at once, the queue need not be.
        std::thread::sleep(Duration::from_secs(3));
        std::fs::remove_file(&alive).expect("a file");
        until("the withdrawal", || kazoo.get(node).is_none().then_some(()));
        let took = server.stop();
        assert!(took < Duration::from_secs(10), "SIGTERM takes {took:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_full_of_malformed_znodes_is_answered_from_while_nobody_reads_the_log() {
    tokio::task::spawn_blocking(|| {
        let (dns, admin) = (free_port(), format!("127.0.0.1:{}", free_port()));
        let (seed, zone) = (scratch("seed.tree"), scratch("service.zone"));
        let foreign = (0..5_000)
            .fold(String::from("  /locks\n    /providers\n"), |text, lock| text + &format!("      /lock-{lock:07}\n"));
        std::fs::write(&seed, format!("/services\n  /api\n    /providers\n      /10.0.0.1:80\n{foreign}")).unwrap();
        // One WARN for each, at each reload: some 100 KB, of which the queue takes 4 MiB.
        let doubles = (0..1_000).fold(String::new(), |text, name| text + &format!("a{name} A 127.0.0.1\n").repeat(2));
        std::fs::write(&zone, format!("$TTL 1h\n@ SOA ns host 1 1h 15m 1w 5s\n@ NS ns\nns A 127.0.0.1\n{doubles}"))
            .unwrap();
        let config = format!(
            "[registry.main]\nmemory = {seed:?}\n[[zone]]\norigin = \"service.\"\nfile = {zone:?}\n\
             [dns]\nlisten = [\"127.0.0.1:{dns}\"]\n[admin]\nlisten = \"{admin}\"\n"
        );
        let mut server = Unread::serve(&config);
        let address = ([127, 0, 0, 1], dns).into();
        until("the admin socket", || std::net::TcpStream::connect(&admin).ok());
        // It is accepted once the zone file is read.
        admin::page(admin.parse().expect("an address"), "/healthz");
        until("an answer", || (dig(address, "A api.service").data() == ["10.0.0.1"]).then_some(()));
        until("lost lines in the metrics", || {
            server.signal("HUP");
            (lost(&admin) > 0).then_some(())
        });
        // The reader is back: the log goes on and says how many lines it lacks.
        let mut reader = server.reader.try_clone().expect("a pipe");
        let (sender, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let (mut text, mut piece) = (String::new(), vec![0; 1 << 16]);
            while let Ok(length @ 1..) = reader.read(&mut piece) {
                text.push_str(&String::from_utf8_lossy(&piece[..length]));
                if let Some(at) = text.find("log lines were lost") {
                    let _ = sender.send(text[at..].to_owned());
                }
            }
        });
        let line = said.recv_timeout(crate::harness::PATIENCE).expect("a line that says how many were lost");
        assert!(line.contains("lost="), "{line}");
        let took = server.stop();
        assert!(took < Duration::from_secs(10), "SIGTERM takes {took:?}");
    })
    .await
    .expect("no panic");
}

#[test]
fn a_log_on_a_fifo_whose_reader_stops_does_not_hold_up_a_start_that_fails() {
    let fifo = scratch("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("`mkfifo`").success());
    // Open for both, so that the open does not wait; full from the start.
    let mut full = OpenOptions::new().read(true).write(true).custom_flags(0o4000).open(&fifo).expect("a FIFO");
    while std::io::Write::write(&mut full, &[b'x'; 4096]).is_ok() {}
    let writer = OpenOptions::new().write(true).open(&fifo).expect("a FIFO");
    let begun = Instant::now();
    let child = spawner::spawn(env!("CARGO_BIN_EXE_zonekeeper"), |command| {
        command.args(["serve", "--config", "/nonexistent/zonekeeper.toml"]).stdin(Stdio::null()).stderr(writer);
    });
    let mut child = child.expect("`setpriv` (package util-linux)");
    let (status, _) = until("the end", || child.try_wait().expect("a state"));
    assert_eq!(status.code(), Some(64));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
