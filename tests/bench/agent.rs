//! What the agent takes for checking many services: processor time, and by how much checks come too late.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::zk::Server;
use crate::process::processor;

/// How often each service is checked.
const INTERVAL: Duration = Duration::from_secs(2);

/// One service a check of its own kind, `tcp` and then `http`, measured for so many seconds each.
pub(crate) async fn run(services: u32, seconds: u32) {
    let seconds = Duration::from_secs(seconds.into());
    let target = serve();
    for kind in ["tcp", "http"] {
        let check = match kind {
            "tcp" => format!("address = \"{target}\""),
            _ => format!("url = \"http://{target}/health\""),
        };
        tokio::task::spawn_blocking(move || measure(kind, &check, services, seconds)).await.expect("no panic");
    }
}

#[allow(clippy::disallowed_methods)] // it is called where one may block
fn measure(kind: &str, check: &str, services: u32, seconds: Duration) {
    let server = Server::start();
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut config = format!(
        "[registry.main]\nzookeeper = \"{}\"\nsession_timeout = \"20s\"\n[admin]\nlisten = \"{admin}\"\n",
        server.address()
    );
    for service in 1..=services {
        let _ = write!(
            config,
            "[[service]]\nname = \"s{service}\"\nport = 80\naddress = \"192.0.2.10\"\n\
             check.{kind} = {{ {check}, interval = \"{INTERVAL:?}\", timeout = \"1s\", rise = 2, fall = 3 }}\n"
        );
    }
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, config).expect("a configuration");
    let begun = Instant::now();
    let binary = Binary::run(&["--log", "warn", "serve", "--config", &path.to_string_lossy()]);
    let registered = |page: &str| sum(page, "zonekeeper_announce_registered{");
    while page(admin).is_none_or(|page| registered(&page) < f64::from(services)) {
        assert!(begun.elapsed() < Duration::from_secs(120), "not all are registered:\n{}", binary.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    let all = begun.elapsed();
    std::thread::sleep(INTERVAL);
    let results = || {
        let page = page(admin).expect("the metrics");
        (sum(&page, "zonekeeper_check_passes_total{") + sum(&page, "zonekeeper_check_failures_total{"), page)
    };
    // Making the page of a thousand services is work, too: it is made outside of the time that is measured.
    let (before, _) = results();
    let (begun, used) = (Instant::now(), processor(binary.id()));
    std::thread::sleep(seconds);
    let (took, used) = (begun.elapsed(), processor(binary.id()).saturating_sub(used));
    let (after, page) = results();
    println!(
        "{services} services, {kind} every {INTERVAL:?}: all registered after {all:.1?}; {:.0} checks a second, {} of them \
         bad so far; {:.1} % of one core; the latest check since the start came {:.0?} too late",
        (after - before) / took.as_secs_f64(),
        sum(&page, "zonekeeper_check_failures_total{"),
        100.0 * used.as_secs_f64() / took.as_secs_f64(),
        Duration::from_secs_f64(largest(&page, "zonekeeper_check_latest_seconds{")),
    );
}

/// A web server that is always well.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A check `tcp` says nothing and closes.
            if matches!(stream.read(&mut [0; 1024]), Ok(1..)) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        }
    });
    address
}

/// The metrics, once they are there.
fn page(admin: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(admin).ok()?;
    write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.contains("# EOF").then_some(answer)
}

fn values<'p>(page: &'p str, family: &'p str) -> impl Iterator<Item = f64> + 'p {
    let samples = page.lines().filter(move |line| line.starts_with(family));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse().ok())
}

fn sum(page: &str, family: &str) -> f64 {
    values(page, family).sum()
}

fn largest(page: &str, family: &str) -> f64 {
    values(page, family).fold(0.0, f64::max)
}
