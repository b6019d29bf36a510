//! Sessions that show who they are and check who the servers are, against a real ZooKeeper that asks.

use std::path::Path;
use std::process::Command;

use hickory_proto::op::ResponseCode;

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::authority::Authority;
use crate::harness::client::Client;
use crate::harness::zk::{self, Server, Setup};
use crate::harness::{eventually, release::Release};

/// The password of every test: it must not be seen anywhere.
const PASSWORD: &str = "swordfish";

/// Registers one open service and one that only the user `reader` may read.
const REGISTER: &str = r#"
import sys
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl
client = KazooClient(hosts=sys.argv[1])
client.start(timeout=20)
client.create("/services/open/providers/10.0.0.1:80", b"{}", makepath=True)
acl = [make_digest_acl("reader", sys.argv[2], all=True)]
client.add_auth("digest", "reader:" + sys.argv[2])
for path in ["/services/closed", "/services/closed/providers", "/services/closed/providers/10.0.0.2:80"]:
    client.create(path, b"{}", acl=acl)
client.stop()
"#;

fn register(servers: &str) {
    let status = Command::new("/usr/bin/python3").args(["-c", REGISTER, servers, PASSWORD]).status();
    assert!(status.expect("python3, with the package python3-kazoo").success());
}

/// The binary over `servers`, and a client of it.
struct Served {
    binary: Binary,
    client: Client,
}

impl Served {
    async fn start(servers: &str, more: &str) -> Self {
        let port = free_port();
        let config = format!(
            "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n{more}\n[[zone]]\norigin = \"service.\"\n\
             [dns]\nlisten = [\"127.0.0.1:{port}\"]\n"
        );
        let binary = Binary::serve(&config);
        Self { binary, client: Client::new(([127, 0, 0, 1], port).into()).await }
    }

    async fn shows(&mut self, name: &str, code: ResponseCode, addresses: &[&str]) {
        let begun = std::time::Instant::now();
        loop {
            let answer = self.client.addresses(name).await;
            if answer.as_ref().is_some_and(|answer| answer.0 == code && answer.1 == addresses) {
                return;
            }
            assert!(begun.elapsed() < crate::harness::PATIENCE, "{name} is {answer:?}, not {code} {addresses:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn says(&self, line: &str) {
        eventually(line, async || self.binary.log().contains(line).then_some(())).await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        assert!(!self.binary.log().contains(PASSWORD), "the password is in the log");
        // What `ps` shows, to everybody; of one that has ended there is nothing.
        for shown in ["cmdline", "environ", "comm"] {
            let shown = std::fs::read(format!("/proc/{}/{shown}", self.binary.id())).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&shown).contains(PASSWORD), "the password is in the list of processes");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn znodes_that_we_may_not_read_are_reported_and_hurt_nobody() {
    let servers = zk::shared().namespace().await;
    register(&servers);
    for auth in ["", "auth = \"digest:reader:wrong\""] {
        let mut front = Served::start(&servers, auth).await;
        front.shows("open.service.", ResponseCode::NoError, &["10.0.0.1"]).await;
        front.says("/services/closed").await;
        front.says("the znode's ACL does not allow it").await;
        assert_ne!(front.client.addresses("closed.service.").await.map(|answer| answer.1.len()), Some(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_digest_credentials_closed_services_are_served() {
    let secret = scratch("secret");
    std::fs::write(&secret, format!("digest:reader:{PASSWORD}\n")).unwrap();
    let from_file = format!("auth_file = {}", quoted(&secret));
    for (release, auth) in [
        (Release::System, format!("auth = \"digest:reader:{PASSWORD}\"")),
        (Release::System, from_file.clone()),
        (Release::V3_4, from_file),
    ] {
        let servers = zk::shared_of(release).namespace().await;
        register(&servers);
        let mut front = Served::start(&servers, &auth).await;
        front.shows("closed.service.", ResponseCode::NoError, &["10.0.0.2"]).await;
        front.shows("open.service.", ResponseCode::NoError, &["10.0.0.1"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_sasl_password_says_so_and_keeps_trying_until_its_file_is_right() {
    let jaas = scratch("jaas.conf");
    let module = "org.apache.zookeeper.server.auth.DigestLoginModule";
    std::fs::write(&jaas, format!("Server {{ {module} required user_reader=\"{PASSWORD}\"; }};\n")).unwrap();
    let server = Server::with(&Setup {
        config: "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n\
                 sessionRequireClientSASLAuth=true\n"
            .to_owned(),
        java: vec![format!("-Djava.security.auth.login.config={}", jaas.display())],
        ..Setup::default()
    });
    let secret = scratch("secret");
    std::fs::write(&secret, "sasl:reader:wrong\n").unwrap();
    let mut front = Served::start(&server.address(), &format!("auth_file = \"{}\"", secret.display())).await;
    front.says("ZooKeeper refused the credentials").await;
    front.shows("open.service.", ResponseCode::ServFail, &[]).await;
    std::fs::write(&secret, format!("sasl:reader:{PASSWORD}\n")).unwrap();
    front.says("the mirror is live").await;
    front.says("the root /services does not exist").await;
    front.shows("open.service.", ResponseCode::ServFail, &[]).await;
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_both_sides_check_whom_they_talk_to() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.issue("server");
    authority.issue("client");
    let both = ["server.pem", "server.key"].map(|name| std::fs::read_to_string(authority.file(name)).unwrap());
    std::fs::write(authority.file("keystore.pem"), both.concat()).unwrap();
    let port = free_port();
    let server = Server::with(&Setup {
        config: format!(
            "secureClientPort={port}\nsecureClientPortAddress=127.0.0.1\n\
             serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
             ssl.keyStore.location={}\nssl.keyStore.type=PEM\nssl.trustStore.location={}\nssl.trustStore.type=PEM\n",
            authority.file("keystore.pem").display(),
            authority.file("ca.pem").display(),
        ),
        ..Setup::default()
    });
    register(&server.address());
    let [ca, cert, key, other] = [
        quoted(&authority.file("ca.pem")),
        quoted(&authority.file("client.pem")),
        quoted(&authority.file("client.key")),
        quoted(&stranger.file("ca.pem")),
    ];
    let good = format!("tls = {{ ca = {ca}, cert = {cert}, key = {key} }}");
    for servers in [format!("127.0.0.1:{port}"), format!("tcp+tls://127.0.0.1:{port}")] {
        let mut front = Served::start(&servers, &good).await;
        front.shows("open.service.", ResponseCode::NoError, &["10.0.0.1"]).await;
    }
    // A server that another authority vouches for; and no certificate of our own, where one is asked for.
    for bad in [format!("tls = {{ ca = {other}, cert = {cert}, key = {key} }}"), format!("tls = {{ ca = {ca} }}")] {
        let mut front = Served::start(&format!("127.0.0.1:{port}"), &bad).await;
        front.says("cannot connect to ZooKeeper").await;
        front.shows("open.service.", ResponseCode::ServFail, &[]).await;
    }
}

#[tokio::test]
async fn a_missing_certificate_is_said_at_the_start() {
    let mut front = Served::start("127.0.0.1:1", "tls = { ca = \"nowhere/ca.pem\" }").await;
    assert!(!front.binary.wait().success());
    assert!(front.binary.log().contains("nowhere/ca.pem: No such file"), "{}", front.binary.log());
}
