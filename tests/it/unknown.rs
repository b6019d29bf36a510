//! What is not known is not said: roots and parts of a registry that are missing, gone or not to be read, as `dig` and
//! `/readyz` show them.

use std::net::SocketAddr;

use crate::harness::admin::{metrics, page};
use crate::harness::app::{Running, scratch};
use crate::harness::dig::{Response, dig};
use crate::harness::kazoo::Kazoo;
use crate::harness::proxy::Proxy;
use crate::harness::{eventually, zk};

/// Whose znodes are locked, and who that is not.
const OWNER: &str = "owner:secret";

fn extended(response: &Response) -> String {
    response.edns.iter().find(|line| line.starts_with("EDE")).cloned().unwrap_or_default()
}

/// `NOERROR 10.0.0.1`, `SERVFAIL EDE: 14 (Not Ready)`.
pub(crate) fn shown(server: SocketAddr, query: &str) -> String {
    let response = dig(server, query);
    [vec![response.status.clone()], response.data(), vec![extended(&response)]].concat().join(" ").trim().to_owned()
}

pub(crate) async fn shows(server: SocketAddr, query: &str, expected: &str) {
    let mut last = String::new();
    for _ in 0..1_500 {
        last = shown(server, query);
        if last == expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{query}: {last}, not {expected}");
}

/// The state of readiness and what is said of it.
pub(crate) fn readiness(server: &Running, query: &str) -> String {
    let page = page(server.admin, &format!("/readyz{query}"));
    let code = page.split(' ').nth(1).unwrap_or_default().to_owned();
    format!("{code} {}", page.rsplit("\r\n\r\n").next().unwrap_or_default().trim())
}

pub(crate) fn trouble(server: &Running) -> String {
    let page = page(server.admin, "/v1/status");
    let status: serde_json::Value = serde_json::from_str(page.rsplit("\r\n\r\n").next().unwrap()).unwrap();
    status["registries"][0]["trouble"].as_str().unwrap_or_default().to_owned()
}

pub(crate) async fn has_trouble(server: &Running, expected: &str) {
    let mut last = String::new();
    for _ in 0..1_500 {
        last = trouble(server);
        if last == expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the trouble is `{last}`, not `{expected}`");
}

/// A server over a chroot of its own with these settings of the registry, kazoo there, and the root's full path.
async fn start(settings: &str, prepare: impl FnOnce(&mut Kazoo) + Send + 'static) -> (Running, Kazoo, String) {
    let servers = zk::shared().namespace().await;
    let root = format!("/{}/services", servers.split_once('/').unwrap().1);
    let address = servers.clone();
    let kazoo = tokio::task::spawn_blocking(move || {
        let mut kazoo = Kazoo::connect(&address);
        prepare(&mut kazoo);
        kazoo
    });
    let kazoo = kazoo.await.expect("kazoo");
    (serve(&servers, settings), kazoo, root)
}

fn serve(servers: &str, settings: &str) -> Running {
    Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nsession_timeout = \"4s\"\n{settings}\n[[zone]]\norigin = \"service.\"\n"
    ))
}

fn api(kazoo: &mut Kazoo) {
    kazoo.create("/services/api/providers/10.0.0.1:80", b"{}", false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_root_is_servfail_and_not_an_empty_zone() {
    let (server, mut kazoo, root) = start("", |_| {}).await;
    has_trouble(&server, &format!("the root {root} does not exist")).await;
    for query in ["A api.service", "SRV nobody.service", "TXT a.b.service"] {
        assert_eq!(shown(server.dns, query), "SERVFAIL EDE: 14 (Not Ready)");
    }
    let waiting = readiness(&server, "");
    assert!(waiting.starts_with("503 service.: ") && waiting.ends_with(&format!("the root {root} does not exist")));
    assert!(readiness(&server, "?zone=service").starts_with("503"));
    // Created later, it is there at once.
    api(&mut kazoo);
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    shows(server.dns, "A nobody.service", "NXDOMAIN").await;
    has_trouble(&server, "").await;
    assert_eq!(readiness(&server, "?fresh"), "200 ready");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_root_that_is_said_to_be_empty_is_an_empty_zone() {
    let (server, _kazoo, root) = start("missing_root = \"empty\"", |_| {}).await;
    shows(server.dns, "A api.service", "NXDOMAIN").await;
    assert_eq!(readiness(&server, ""), "200 ready");
    has_trouble(&server, &format!("the root {root} does not exist")).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_chroot_is_servfail_and_its_path_is_told() {
    let servers = format!("{}/nowhere/at/all", zk::shared().address());
    let server = serve(&servers, "");
    has_trouble(&server, "the root /nowhere/at/all/services does not exist").await;
    assert_eq!(shown(server.dns, "A api.service"), "SERVFAIL EDE: 14 (Not Ready)");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_may_not_be_read_is_servfail_until_it_may() {
    let lock = |kazoo: &mut Kazoo| {
        api(kazoo);
        kazoo.lock("/services", OWNER);
    };
    let (server, mut kazoo, root) = start("auth = \"digest:team:x\"", lock).await;
    let refused = format!("not allowed to read {root} (digest user team)");
    has_trouble(&server, &refused).await;
    assert_eq!(shown(server.dns, "A api.service"), "SERVFAIL EDE: 14 (Not Ready)");
    assert!(readiness(&server, "").ends_with(&refused), "{}", readiness(&server, ""));
    // No event tells of a changed ACL.
    kazoo.unlock("/services");
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    shows(server.dns, "A nobody.service", "NXDOMAIN").await;
    assert_eq!(readiness(&server, ""), "200 ready");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_may_not_be_read_after_a_password_was_changed_keeps_its_answers_until_max_stale() {
    let servers = zk::shared().namespace().await;
    let (address, chroot) = servers.split_once('/').unwrap();
    let root = format!("/{chroot}/services");
    let proxy = Proxy::start(address.parse().unwrap());
    let (secret, through) = (scratch("secret"), format!("{}/{chroot}", proxy.address()));
    std::fs::write(&secret, "digest:team:old\n").unwrap();
    let mut kazoo = Kazoo::connect(&servers);
    api(&mut kazoo);
    for path in ["/services/api/providers/10.0.0.1:80", "/services/api/providers", "/services/api", "/services"] {
        kazoo.lock(path, "team:old");
    }
    let server = serve(&through, &format!("max_stale = \"12s\"\nauth_file = \"{}\"", secret.display()));
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    // The file is rotated, and the session is lost a while later.
    std::fs::write(&secret, "digest:team:new\n").unwrap();
    proxy.cut();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    proxy.heal();
    has_trouble(
        &server,
        &format!(
            "not allowed to read {root} (digest user team); not allowed to read {root}/api (digest user \
        team)"
        ),
    )
    .await;
    assert_eq!(shown(server.dns, "A api.service"), "NOERROR 10.0.0.1 EDE: 3 (Stale Answer)");
    assert_eq!(readiness(&server, ""), "200 ready");
    assert!(readiness(&server, "?fresh").starts_with("503"));
    shows(server.dns, "A api.service", "SERVFAIL EDE: 22 (No Reachable Authority)").await;
    assert!(readiness(&server, "").starts_with("503 service.: "));
    // The right password again, with the next session.
    std::fs::write(&secret, "digest:team:old\n").unwrap();
    proxy.cut();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    proxy.heal();
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    has_trouble(&server, "").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_gone_leaves_its_services_empty_and_not_denied() {
    let (server, mut kazoo, root) = start("", api).await;
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    for path in ["/services/api/providers/10.0.0.1:80", "/services/api/providers", "/services/api", "/services"] {
        kazoo.delete(path);
    }
    has_trouble(&server, &format!("the root {root} is gone")).await;
    assert_eq!(shown(server.dns, "A api.service"), "NOERROR");
    assert_eq!(shown(server.dns, "A never.service"), "NXDOMAIN");
    assert_eq!(readiness(&server, ""), "200 ready");
    kazoo.create("/services/web/providers/10.0.0.2:80", b"{}", false);
    shows(server.dns, "A web.service", "NOERROR 10.0.0.2").await;
    has_trouble(&server, "").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_may_not_be_read_is_servfail_and_its_neighbours_are_not() {
    let lock = |kazoo: &mut Kazoo| {
        api(kazoo);
        kazoo.create("/services/pay/providers/10.0.0.2:80", b"{}", false);
        kazoo.create("/services/half/providers/10.0.0.3:80", b"{}", false);
        kazoo.lock("/services/pay", OWNER);
        kazoo.lock("/services/half/providers", OWNER);
    };
    let (server, mut kazoo, root) = start("", lock).await;
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    let said =
        |path: &str| format!("SERVFAIL EDE: 0 (Other): (not allowed to read {root}/{path} (without credentials))");
    for query in ["A pay.service", "SRV pay.service", "A x.y.pay.service", "SRV _pay._tcp.service"] {
        assert_eq!(shown(server.dns, query), said("pay"), "{query}");
    }
    assert_eq!(shown(server.dns, "A half.service"), said("half/providers"));
    assert_eq!(shown(server.dns, "A nobody.service"), "NXDOMAIN");
    assert_eq!(readiness(&server, ""), "200 ready");
    has_trouble(
        &server,
        &format!(
            "not allowed to read {root}/half/providers (without credentials); not allowed to read {root}/pay (without \
         credentials)"
        ),
    )
    .await;
    kazoo.unlock("/services/pay");
    kazoo.unlock("/services/half/providers");
    shows(server.dns, "A pay.service", "NOERROR 10.0.0.2").await;
    shows(server.dns, "A half.service", "NOERROR 10.0.0.3").await;
    shows(server.dns, "A x.y.pay.service", "NXDOMAIN").await;
    has_trouble(&server, "").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_created_at_run_time_with_a_foreign_acl_is_soon_servfail_or_doubtful() {
    // ZooKeeper tells a watcher nothing of a znode that it may not read: the lists of children show it.
    let (server, mut kazoo, root) = start("", api).await;
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    assert_eq!(shown(server.dns, "A pay.service"), "NXDOMAIN");
    kazoo.create_locked("/services/pay", b"", OWNER);
    kazoo.create_locked("/services/pay/providers", b"", OWNER);
    kazoo.create_locked("/services/api/providers/10.0.0.2:80", b"{\"weight\": 7}", OWNER);
    kazoo.create("/services/half", b"", false);
    kazoo.create_locked("/services/half/providers", b"", OWNER);
    let said =
        |path: &str| format!("SERVFAIL EDE: 0 (Other): (not allowed to read {root}/{path} (without credentials))");
    shows(server.dns, "A pay.service", &said("pay")).await;
    shows(server.dns, "SRV x._pay._tcp.service", &said("pay")).await;
    shows(server.dns, "A half.service", &said("half/providers")).await;
    // The name of an instance says enough.
    let both = || {
        let mut data = dig(server.dns, "A api.service").data();
        data.sort();
        data
    };
    eventually("both instances", async || (both() == ["10.0.0.1", "10.0.0.2"]).then_some(())).await;
    assert_eq!(shown(server.dns, "A nobody.service"), "NXDOMAIN");
    assert_eq!(readiness(&server, ""), "200 ready");
    assert_eq!(metrics(server.admin)("zonekeeper_registry_doubtful{registry=\"main\"}"), 1);
    // `half/providers` may have been met while `half` was read.
    let differences = |kind| {
        metrics(server.admin)(&format!("zonekeeper_mirror_differences_total{{registry=\"main\",kind=\"{kind}\"}}"))
    };
    eventually("they are counted", async || (2..=3).contains(&differences("rights")).then_some(())).await;
    assert_eq!(differences("missed"), 0);
    kazoo.unlock("/services/api/providers/10.0.0.2:80");
    kazoo.unlock("/services/pay");
    kazoo.unlock("/services/pay/providers");
    shows(server.dns, "A pay.service", "NOERROR").await;
    let weights = || dig(server.dns, "SRV api.service").data().iter().any(|record| record.starts_with("0 7 80 "));
    eventually("its data", async || weights().then_some(())).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_creates_a_missing_root_before_any_check_has_passed_but_never_a_chroot() {
    let servers = zk::shared().namespace().await;
    let agent = |servers: &str| {
        Running::start(&format!(
            "[registry.main]\nzookeeper = \"{servers}\"\nroot = \"/a/services\"\nsession_timeout = \"4s\"\n\
             [[zone]]\norigin = \"service.\"\n[[service]]\nname = \"api\"\naddress = \"10.0.0.1\"\nport = 80\n\
             check.tcp = {{ address = \"127.0.0.1:1\", interval = \"1s\" }}\n"
        ))
    };
    let server = agent(&servers);
    shows(server.dns, "A nobody.service", "NXDOMAIN").await;
    assert!(Kazoo::connect(&servers).get("/a/services").is_some());
    server.stop().await;
    let wrong = format!("{servers}/typo");
    let server = agent(&wrong);
    let chroot = format!("/{}", wrong.split_once('/').unwrap().1);
    has_trouble(&server, &format!("the root {chroot}/a/services does not exist")).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(shown(server.dns, "A nobody.service"), "SERVFAIL EDE: 14 (Not Ready)");
    assert!(Kazoo::connect(&servers).get("/typo").is_none());
    server.stop().await;
}

/// Wipes the ensemble below a server that has `api` of it, with what `prepare` adds, behind this chroot.
async fn wiped(chroot: &str, prepare: impl FnOnce(&mut Kazoo)) {
    let mut before = tokio::task::spawn_blocking(zk::Server::start).await.unwrap();
    let proxy = Proxy::start(before.socket());
    Kazoo::connect(&before.address()).create(&format!("{chroot}/services"), b"", false);
    let (direct, servers) = (format!("{}{chroot}", before.address()), format!("{}{chroot}", proxy.address()));
    let mut kazoo = Kazoo::connect(&direct);
    for i in 0..200 {
        kazoo.create(&format!("/other/{i}"), b"", false);
    }
    api(&mut kazoo);
    prepare(&mut kazoo);
    let server = serve(&servers, "hold = \"8s\"");
    shows(server.dns, "A api.service", "NOERROR 10.0.0.1").await;
    drop(kazoo);
    before.kill();
    before.wipe();
    let before = tokio::task::spawn_blocking(move || {
        before.start_again();
        before
    })
    .await
    .unwrap();
    // What may not be read is trouble, too.
    let went_back = format!("{servers} is not the ensemble it was (zxid went back)");
    eventually("the trouble", async || trouble(&server).starts_with(&went_back).then_some(())).await;
    assert_eq!(shown(server.dns, "A api.service"), "NOERROR 10.0.0.1 EDE: 3 (Stale Answer)");
    assert_eq!(readiness(&server, ""), "200 ready");
    shows(server.dns, "A api.service", "NOERROR").await;
    has_trouble(&server, &format!("the root {chroot}/services is gone")).await;
    let mut kazoo = Kazoo::connect(&before.address());
    kazoo.create(&format!("{chroot}/services/web/providers/10.0.0.2:80"), b"{}", false);
    shows(server.dns, "A web.service", "NOERROR 10.0.0.2").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ensemble_that_was_wiped_is_not_believed_for_a_while() {
    wiped("", |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_or_large_znode_hides_no_wiped_ensemble() {
    let prepare = |kazoo: &mut Kazoo| {
        kazoo.create("/services/closed/providers/10.0.0.7:80", b"{}", false);
        kazoo.lock("/services/closed", OWNER);
        kazoo.create("/services/large", &vec![b'x'; 100_000], false);
    };
    wiped("", prepare).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ensemble_that_lost_its_chroot_is_not_believed_for_a_while() {
    wiped("/tenant/a", |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_with_more_znodes_than_are_mirrored_is_servfail_and_trouble_and_not_half_a_registry() {
    let servers = zk::shared().namespace().await;
    let mut kazoo = Kazoo::connect(&servers);
    for service in 0..20 {
        kazoo.create(&format!("/services/s{service}/providers/192.0.2.1:80"), b"", true);
    }
    let server = Running::start(&format!(
        "[registry.main]\nzookeeper = \"{servers}\"\nznodes_max = 40\n[[zone]]\norigin = \"service.\"\n"
    ));
    eventually("trouble", async || page(server.admin, "/v1/status").contains("`znodes_max`").then_some(())).await;
    assert_eq!(dig(server.dns, "A s1.service").status, "SERVFAIL");
}
