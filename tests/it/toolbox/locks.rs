//! `zonekeeper lock` among kazoo's locks and semaphores, and `nd_service_registry`'s: who holds it when, whatever
//! happens to connections, sessions and processes.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{RELEASES, ensemble};
use crate::harness::app::scratch;
use crate::harness::eventually;
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;
use crate::harness::release::Release;
use crate::harness::spawner;
use crate::harness::zk;

const DRIVER: &str = include_str!("../harness/lock_driver.py");

/// Those who contend for one lock, and what they wrote.
struct Site {
    directory: PathBuf,
    config: PathBuf,
    driver: PathBuf,
    servers: String,
    nd: PathBuf,
}

/// A span of time in which somebody held the lock, in seconds since 1970.
#[derive(Debug, Clone)]
struct Span {
    name: String,
    from: f64,
    to: f64,
    /// Its fencing token.
    zxid: Option<i64>,
    /// When it was told to end.
    told: Option<f64>,
    /// Process of the command.
    pid: Option<i32>,
}

impl Site {
    /// `ours` are the servers that our processes connect to, with this session time-out.
    fn new(servers: &str, ours: &str, session: &str) -> Self {
        let config = scratch("zonekeeper.toml");
        let text = format!(
            "[registry.main]\nzookeeper = \"{ours}\"\nsession_timeout = \"{session}\"\n[admin]\nlisten = \"127.0.0.1:1\"\n"
        );
        std::fs::write(&config, text).expect("a configuration");
        let directory = config.parent().expect("a directory").to_owned();
        let driver = directory.join("lock_driver.py");
        std::fs::write(&driver, DRIVER).expect("a script");
        std::fs::create_dir(directory.join("spans")).expect("a directory");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
        Self { directory, config, driver, servers: servers.to_owned(), nd: target.join("readers/nd") }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join("spans").join(name)
    }

    /// One of ours, who holds the lock for so many seconds.
    fn ours(&self, name: &str, arguments: &[&str], seconds: f64) -> Child {
        self.ours_with(name, arguments, seconds, &[])
    }

    fn ours_with(&self, name: &str, arguments: &[&str], seconds: f64, variables: &[(&str, &str)]) -> Child {
        let child = spawner::spawn(env!("CARGO_BIN_EXE_zonekeeper"), |command| {
            command.arg("lock").arg("--config").arg(&self.config).args(arguments).arg("--").arg("/usr/bin/python3");
            command.arg(&self.driver).arg("hold").arg(self.file(name)).arg(seconds.to_string());
            command.envs(variables.iter().copied()).stdin(Stdio::null()).stderr(Stdio::null());
        });
        child.expect("`setpriv` (package util-linux)")
    }

    /// One of kazoo's or `nd_service_registry`'s.
    fn theirs(&self, kind: &str, name: &str, path: &str, seconds: f64) -> Child {
        let child = spawner::spawn("/usr/bin/python3", |command| {
            command.arg(&self.driver).args([kind, &self.servers, path]).arg(self.file(name)).arg(seconds.to_string());
            command.env("PYTHONPATH", &self.nd).stdin(Stdio::null()).stderr(Stdio::null());
        });
        child.expect("the packages python3 and python3-kazoo")
    }

    /// Runs `zonekeeper lock` to its end.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
        command.arg("lock").arg("--config").arg(&self.config).args(arguments).stdin(Stdio::null());
        command.output().expect("the binary")
    }

    /// What was written so far.
    fn spans(&self) -> Vec<Span> {
        let files = std::fs::read_dir(self.directory.join("spans")).expect("a directory").flatten();
        let span = |entry: std::fs::DirEntry| {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let note = |word: &str| {
                let at = text.find(&format!("{word} "))? + word.len() + 1;
                text[at..].split_whitespace().next().map(str::to_owned)
            };
            let times: Vec<f64> = text.lines().filter_map(|line| line.parse().ok()).collect();
            Some(Span {
                name: entry.file_name().to_string_lossy().into_owned(),
                from: *times.first()?,
                to: *times.last()?,
                zxid: note("zxid").and_then(|number| number.parse().ok()),
                told: note("told").and_then(|number| number.parse().ok()),
                pid: note("pid").and_then(|number| number.parse().ok()),
            })
        };
        let mut spans: Vec<Span> = files.filter_map(span).collect();
        spans.sort_by(|one, other| one.from.total_cmp(&other.from));
        spans
    }

    /// Fails where more than `max` held the lock at once.
    fn check(&self, max: usize, context: &str) -> Vec<Span> {
        let spans = self.spans();
        for span in &spans {
            let at_once = spans.iter().filter(|other| other.from <= span.from && span.from < other.to).count();
            assert!(at_once <= max.max(1), "{context}: {at_once} at once when {} begins: {spans:#?}", span.name);
        }
        spans
    }
}

/// Waits for the end of all.
async fn ended(children: Vec<(String, Child)>, within: Duration) -> Vec<(String, ExitStatus)> {
    let begun = Instant::now();
    let mut ends = Vec::new();
    for (name, mut child) in children {
        loop {
            if let Some(status) = child.try_wait().expect("a state") {
                ends.push((name, status));
                break;
            }
            assert!(begun.elapsed() < within, "{name} was never served");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    ends
}

/// Waits for the end of one.
async fn end(child: &mut Child) -> ExitStatus {
    eventually("its end", || std::future::ready(child.try_wait().expect("a state"))).await
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64()
}

fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status();
    assert!(status.expect("the command `kill`").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_of_ours_and_kazoos_hold_a_lock_one_after_the_other() {
    for release in RELEASES {
        let servers = ensemble(release).await;
        let site = Site::new(&servers, &servers, "10s");
        let mut children = Vec::new();
        for number in 0..10 {
            children.push((format!("ours{number}"), site.ours(&format!("ours{number}"), &["/locks/one"], 0.1)));
            let name = format!("kazoo{number}");
            children.push((name.clone(), site.theirs("lock", &name, "/locks/one", 0.1)));
        }
        let ends = ended(children, Duration::from_secs(120)).await;
        assert!(ends.iter().all(|(_, status)| status.success()), "{release:?}: {ends:?}");
        let spans = site.check(1, &format!("{release:?}"));
        assert_eq!(spans.len(), 20, "{release:?}: {spans:#?}");
        // In the order of their places in the queue, which is that of their tokens.
        let tokens: Vec<i64> = spans.iter().filter_map(|span| span.zxid).collect();
        assert!(tokens.len() == 10 && tokens.is_sorted(), "{release:?}: {spans:#?}");
        assert_eq!(site.run(&["--list", "/locks/one"]).stdout, b"nobody holds it\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_of_ours_kazoos_and_nds_hold_a_semaphore_two_at_a_time() {
    for release in RELEASES {
        let servers = ensemble(release).await;
        let site = Site::new(&servers, &servers, "10s");
        let mut children = Vec::new();
        for number in 0..20 {
            let name = format!("{}{number}", ["ours", "kazoo", "ours", "nd"][number % 4]);
            let child = match number % 4 {
                0 | 2 => site.ours(&name, &["--max", "2", "/locks/two"], 0.2),
                1 => site.theirs("semaphore", &name, "/locks/two", 0.2),
                _ => site.theirs("nd", &name, "/locks/two", 0.2),
            };
            children.push((name, child));
        }
        let ends = ended(children, Duration::from_secs(120)).await;
        assert!(ends.iter().all(|(_, status)| status.success()), "{release:?}: {ends:?}");
        let spans = site.check(2, &format!("{release:?}"));
        assert_eq!(spans.len(), 20, "{release:?}: {spans:#?}");
        let pairs = spans.windows(2).filter(|pair| pair[1].from < pair[0].to).count();
        assert!(pairs >= 3, "{release:?}: the two leases are used: {spans:#?}");
        let mut kazoo = Kazoo::connect(&servers);
        assert_eq!(kazoo.get("/locks/two").map(|(data, _)| data), Some(b"2".to_vec()));
    }
}

/// Ours behind a proxy that breaks, with kills of ours and kazoo's.
async fn trouble(release: Release, max: usize) {
    let server = zk::shared_of(release);
    let servers = ensemble(release).await;
    let proxy = Proxy::start(server.socket());
    let behind = servers.replace(&server.address(), &proxy.address().to_string());
    let site = Site::new(&servers, &behind, "2s");
    let (path, count) = ("/locks/trouble", max.to_string());
    let arguments: Vec<&str> = if max == 1 { vec![path] } else { vec!["--max", &count, path] };
    let mut children = Vec::new();
    for number in 0..20 {
        let name = format!("{}{number}", ["ours", "ours", "kazoo"][number % 3]);
        let kind = if max == 1 { "lock" } else { "semaphore" };
        let child =
            if number % 3 < 2 { site.ours(&name, &arguments, 0.4) } else { site.theirs(kind, &name, path, 0.4) };
        children.push((name, child));
    }
    let mut killed = Vec::new();
    let mut rng = fastrand::Rng::with_seed(max as u64);
    for round in 0..12 {
        tokio::time::sleep(Duration::from_millis(rng.u64(200..600))).await;
        match round % 4 {
            0 | 2 => proxy.blip(),
            // Longer than the sessions live.
            1 if round == 5 => {
                proxy.cut();
                tokio::time::sleep(Duration::from_millis(3_500)).await;
                proxy.heal();
            }
            1 => {
                proxy.stall();
                tokio::time::sleep(Duration::from_millis(900)).await;
                proxy.heal();
            }
            _ => {
                let name = format!("{}{round}", ["ours", "ours", "kazoo"][round % 3]);
                if let Some((name, child)) = children.iter_mut().find(|(one, _)| *one == name)
                    && child.try_wait().expect("a state").is_none()
                {
                    kill(child.id(), "KILL");
                    killed.push(name.clone());
                }
            }
        }
    }
    let ends = ended(children, Duration::from_secs(180)).await;
    let spans = site.check(max, &format!("{release:?} {max}"));
    for (name, status) in &ends {
        // Told before its interpreter had begun, a command leaves no times.
        let is_told = matches!(status.code(), Some(137 | 143));
        let is_served = is_told || spans.iter().any(|span| span.name == *name);
        assert!(is_served || killed.contains(name), "{release:?}: {name} was not served: {status:?}");
    }
    println!("{release:?} {max}: {} held it, {killed:?} were killed", spans.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_kills_and_expiries_never_give_a_lock_to_two() {
    for release in RELEASES {
        trouble(release, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_kills_and_expiries_never_give_a_semaphore_to_more_than_it_has() {
    for release in RELEASES {
        trouble(release, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_told_at_a_third_of_the_session_and_killed_before_its_end() {
    for release in RELEASES {
        let server = zk::shared_of(release);
        let servers = ensemble(release).await;
        let proxy = Proxy::start(server.socket());
        let behind = servers.replace(&server.address(), &proxy.address().to_string());
        let site = Site::new(&servers, &behind, "6s");
        let mut child = site.ours_with("stubborn", &["/locks/a"], 60.0, &[("STUBBORN", "1")]);
        eventually("the lock", async || site.spans().first().cloned()).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        proxy.stall();
        let stalled = now();
        end(&mut child).await;
        let span = site.spans().remove(0);
        let (told, ended) = (span.told.expect("it was told") - stalled, span.to - stalled);
        println!("{release:?}: told after {told:.2} s, ended after {ended:.2} s");
        assert!((1.5..3.5).contains(&told) && told < ended && ended < 5.8, "{release:?}: {told} {ended}");
        let status = child.try_wait().expect("a state").expect("an end");
        assert_eq!(status.code(), Some(128 + 9), "{status:?}");
        proxy.heal();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_dies_with_a_killed_zonekeeper() {
    let servers = ensemble(Release::System).await;
    let site = Site::new(&servers, &servers, "4s");
    let mut child = site.ours("held", &["/locks/a"], 60.0);
    let pid = eventually("the lock", async || site.spans().first().and_then(|span| span.pid)).await;
    kill(child.id(), "KILL");
    child.wait().expect("an end");
    eventually("the end of the command", async || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())).await;
    // Its session ends, too, and the next one is served.
    assert!(site.run(&["/locks/a", "--timeout", "20s", "--", "true"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_signals_and_the_list_of_contenders() {
    for release in RELEASES {
        let servers = ensemble(release).await;
        let site = Site::new(&servers, &servers, "4s");
        assert_eq!(site.run(&["/locks/a", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
        assert_eq!(site.run(&["/locks/a", "--", "/nowhere/x"]).status.code(), Some(127));
        assert_eq!(site.run(&["/locks/a", "--", "/etc/passwd"]).status.code(), Some(126));
        assert_eq!(site.run(&["/locks/a", "--", "sh", "-c", "kill -KILL $$"]).status.code(), Some(137));
        let token = site.run(&["/locks/a", "--", "sh", "-c", "echo $ZONEKEEPER_LOCK_ZXID"]).stdout;
        let token: i64 = String::from_utf8_lossy(&token).trim().parse().expect("a number");
        assert!(token > 0);

        let mut holder = site.ours("holder", &["/locks/a", "--data", "the first"], 60.0);
        let span = eventually("the lock", async || site.spans().first().cloned()).await;
        assert!(span.zxid > Some(token), "{span:?}");
        let mut waiter = site.ours("waiter", &["/locks/a", "--data", "the second"], 0.1);
        let listed: Value = eventually("two contenders", async || {
            let output = site.run(&["--list", "/locks/a", "--json"]);
            let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            (list.as_array().is_some_and(|list| list.len() == 2)).then_some(list)
        })
        .await;
        let one = |at: usize| (listed[at]["data"].as_str().unwrap_or_default(), listed[at]["holds"] == true);
        assert_eq!((one(0), one(1)), (("the first", true), ("the second", false)), "{listed}");
        let text = String::from_utf8(site.run(&["--list", "/locks/a"]).stdout).expect("text");
        assert!(text.starts_with("holds  since 20") && text.contains("\nwaits  since 20"), "{text}");
        let begun = Instant::now();
        let busy = site.run(&["/locks/a", "--timeout", "300ms", "--", "true"]);
        let said = String::from_utf8_lossy(&busy.stderr).into_owned();
        assert!(busy.status.code() == Some(1) && begun.elapsed() < Duration::from_secs(10), "{busy:?}");
        assert!(said.contains("/locks/a is held by others and was not to be had within 300ms: see --list"), "{said}");
        // What gave up has left nothing behind.
        let list: Value = serde_json::from_slice(&site.run(&["--list", "/locks/a", "--json"]).stdout).expect("JSON");
        assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");

        // A signal for us is one for the command; the next one is served at once.
        let told = now();
        kill(holder.id(), "TERM");
        let status = end(&mut holder).await;
        assert!(status.success() && status.signal().is_none(), "{status:?}");
        end(&mut waiter).await;
        assert!(now() - told < 3.0, "it waits for no session to expire");
        site.check(1, "signals");

        let semaphore = site.run(&["/locks/two", "--max", "2", "--", "true"]);
        assert!(semaphore.status.success(), "{semaphore:?}");
        for (arguments, words) in [
            (&["/locks/two", "--max", "3", "--", "true"][..], "it is a semaphore of 2, not of 3: say --max 2"),
            (&["/locks/two", "--", "true"], "it is a semaphore of 2: say --max 2"),
            (&["/", "--", "true"], "/ cannot be a lock"),
        ] {
            let refused = site.run(arguments);
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(refused.status.code() == Some(1) && said.contains(words), "{refused:?}");
        }
    }
}
