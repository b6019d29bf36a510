//! A rolling restart of a service behind a proxy that does not try twice: deploy/rolling-restart, under load.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::{JoinHandle, JoinSet};

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::consumer::{Consumer, deployed, written};
use crate::harness::dig::dig;
use crate::harness::{eventually, zk};

/// Addresses of the instances, and their number.
const FIRST: u8 = 71;
const INSTANCES: u8 = 20;

/// An instance: an HTTP server that takes its time, and can be killed with all that it is doing.
struct Instance {
    address: SocketAddr,
    tasks: Mutex<JoinSet<()>>,
    served: Arc<AtomicUsize>,
    /// Number of times that it was killed with a request under way.
    cut: AtomicUsize,
    busy: Arc<AtomicUsize>,
}

impl Instance {
    async fn start(address: SocketAddr) -> Option<Arc<Self>> {
        let instance = Arc::new(Self {
            address,
            tasks: Mutex::default(),
            served: Arc::default(),
            cut: AtomicUsize::default(),
            busy: Arc::default(),
        });
        instance.listen(TcpListener::bind(address).await.ok()?);
        Some(instance)
    }

    fn listen(&self, listener: TcpListener) {
        let (served, busy) = (Arc::clone(&self.served), Arc::clone(&self.busy));
        let serving = async move {
            let mut requests = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                requests.spawn(answer(stream, Arc::clone(&served), Arc::clone(&busy)));
                while requests.try_join_next().is_some() {}
            }
        };
        self.tasks.lock().expect("no panic").spawn(serving);
    }

    /// Dies at once, and is back after a while.
    async fn restart(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().expect("no panic"));
        self.cut.fetch_add(usize::from(self.busy.swap(0, Ordering::SeqCst) > 0), Ordering::SeqCst);
        tasks.shutdown().await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let listener = eventually("the port", async || TcpListener::bind(self.address).await.ok()).await;
        self.listen(listener);
    }
}

async fn answer(mut stream: TcpStream, served: Arc<AtomicUsize>, busy: Arc<AtomicUsize>) {
    let mut request = [0; 4096];
    // Checks connect and say nothing.
    if !matches!(stream.read(&mut request).await, Ok(length) if length > 0) {
        return;
    }
    busy.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let said = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfine").await;
    served.fetch_add(usize::from(said.is_ok()), Ordering::SeqCst);
    let _ = busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1));
}

/// The status line of one request through the proxy; what went wrong in place of one.
async fn request(port: u16) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        Ok::<_, std::io::Error>(said)
    };
    match exchange.await {
        Ok(said) if said.ends_with("\r\n\r\nfine") => "200".to_owned(),
        Ok(said) => said.lines().next().unwrap_or("nothing was said").to_owned(),
        Err(error) => error.to_string(),
    }
}

/// One process that serves DNS and registers all of them, each while its check holds: its port, its configuration.
async fn serving(servers: &str, instances: &[Arc<Instance>]) -> (u16, PathBuf, Binary) {
    let (dns, admin) = (free_port(), free_port());
    let mut config = format!(
        "[registry.main]\nzookeeper = \"{servers}\"\n[[zone]]\norigin = \"service.\"\nttl = \"1s\"\nnegative_ttl = \"1s\"\n\
         [dns]\nlisten = [\"127.0.0.1:{dns}\"]\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n"
    );
    for instance in instances {
        let _ = write!(
            config,
            "[[service]]\nname = \"api_x\"\naddress = \"{}\"\nport = {}\nproperties = {{ weight = 256 }}\n\
             check.tcp = {{ interval = \"100ms\", rise = 1, fall = 1 }}\n",
            instance.address.ip(),
            instance.address.port()
        );
    }
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, config).expect("a configuration");
    let zonekeeper = Binary::run(&["serve", "--config", &path.to_string_lossy()]);
    eventually("all of them are in DNS", async || {
        let answer = dig(([127, 0, 0, 1], dns).into(), "SRV _api_x._tcp.service +tcp");
        (answer.answer.len() == usize::from(INSTANCES)).then_some(())
    })
    .await;
    (dns, path, zonekeeper)
}

/// A program that restarts the instance it is given, in place of a shell on that one's host, and what does its work.
async fn restarter(instances: &[Arc<Instance>]) -> (PathBuf, JoinHandle<()>) {
    let control = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let order = scratch("restart");
    let script = format!(
        "#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/{}\necho \"$1\" >&3\nread -r done <&3\n[ \"$done\" = done ]\n",
        control.local_addr().expect("an address").port()
    );
    std::fs::write(&order, script).expect("a script");
    std::fs::set_permissions(&order, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let restarting = tokio::spawn({
        let instances = instances.to_vec();
        async move {
            loop {
                let (mut stream, _) = control.accept().await.expect("an order");
                let mut said = [0; 64];
                let length = stream.read(&mut said).await.expect("an order");
                let named = String::from_utf8_lossy(&said[..length]);
                let instance = instances.iter().find(|instance| named.trim() == instance.address.to_string());
                instance.unwrap_or_else(|| panic!("{named}")).restart().await;
                stream.write_all(b"done\n").await.expect("an answer");
            }
        }
    });
    (order, restarting)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_behind_haproxy_loses_no_request() {
    let servers = zk::shared().namespace().await;
    let mut instances = Vec::new();
    let port = free_port();
    for number in 0..INSTANCES {
        let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, FIRST + number), port));
        instances.push(Instance::start(address).await.expect("a port that is free on all addresses"));
    }
    let (dns, path, zonekeeper) = serving(&servers, &instances).await;
    let http = free_port();
    let proxy = deployed(
        "haproxy.cfg",
        &[
            ("5300", dns.to_string()),
            ("127.0.0.1:8000", format!("127.0.0.1:{http}")),
            ("timeout resolve 1s", "timeout resolve 300ms".to_owned()),
        ],
    );
    let config = written(
        "haproxy.cfg",
        &format!(
            "defaults\n    mode http\n    retries 0\n    timeout connect 1s\n    timeout client 5s\n    timeout server 5s\n\
             \x20   default-server inter 200ms\n{proxy}"
        ),
    );
    let haproxy = Consumer::start("/usr/sbin/haproxy", "haproxy", &["-db", "-f", &config.to_string_lossy()]);
    eventually("the proxy uses all of them", async || {
        drop(request(http).await);
        instances.iter().all(|instance| instance.served.load(Ordering::SeqCst) > 0).then_some(())
    })
    .await;

    let (order, restarting) = restarter(&instances).await;

    let over = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    for _ in 0..8 {
        let over = Arc::clone(&over);
        load.spawn(async move {
            let mut seen = BTreeMap::<String, usize>::new();
            while !over.load(Ordering::SeqCst) {
                *seen.entry(request(http).await).or_default() += 1;
            }
            seen
        });
    }
    let before: Vec<usize> = instances.iter().map(|instance| instance.served.load(Ordering::SeqCst)).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rolling-restart");
    let output = Command::new(&script)
        .args([Path::new("api_x"), &order])
        .args(instances.iter().map(|instance| instance.address.to_string()))
        .env("ZONEKEEPER", env!("CARGO_BIN_EXE_zonekeeper"))
        .env("ZONEKEEPER_CONFIG", &path)
        // More than twice the proxy's `timeout resolve`.
        .env("ZONEKEEPER_TTL", "1s")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("it runs");
    assert!(output.status.success(), "{output:?}\n{}", zonekeeper.log());
    over.store(true, Ordering::SeqCst);
    let mut all = BTreeMap::<String, usize>::new();
    for (outcome, count) in load.join_all().await.into_iter().flatten() {
        *all.entry(outcome).or_default() += count;
    }
    assert!(all.get("200").is_some_and(|count| *count > 1000), "{all:?}");
    println!("{all:?}");
    assert_eq!(all.len(), 1, "requests were lost: {all:?}\n{}", haproxy.log());
    for (instance, before) in instances.iter().zip(before) {
        assert_eq!(instance.cut.load(Ordering::SeqCst), 0, "{} was restarted with work under way", instance.address);
        assert!(instance.served.load(Ordering::SeqCst) > before, "{} served nothing more", instance.address);
    }
    restarting.abort();
}
