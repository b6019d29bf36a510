//! Checks over TLS against an nginx that is called otherwise than it is addressed, and demands a certificate.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::agent::{blocking, node, registry, serve, service, until};
use crate::harness::app::{free_port, scratch};
use crate::harness::authority::Authority;
use crate::harness::kazoo::Kazoo;
use crate::harness::looker::Looker;
use crate::harness::spawner;
use crate::stays::{Agent, rounds};

/// An nginx for app.example.com that refuses other names, demands a certificate of `authority`'s and offers HTTP/2.
/// What it was asked is in the file: protocol, host and the client's name, a line each.
fn nginx(authority: &Authority) -> (Child, u16, PathBuf) {
    authority.issue_for("app", "DNS:app.example.com");
    let port = free_port();
    let directory = scratch("nginx").parent().expect("a directory").to_owned();
    let file = |name: &str| authority.file(name).display().to_string();
    // SERVING: not compressed, the length of the message, and its field.
    std::fs::write(directory.join("serving"), [0, 0, 0, 0, 2, 8, 1]).expect("a file");
    let config = format!(
        "daemon off; master_process off; pid {0}/pid;\nevents {{}}\nhttp {{\n\
         client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0}; uwsgi_temp_path {0}; scgi_temp_path {0};\n\
         log_format told '$server_protocol $host $ssl_client_s_dn $request';\n\
         access_log {0}/told.log told;\n\
         server {{ listen 127.0.0.1:{port} ssl http2 default_server; ssl_reject_handshake on; }}\n\
         server {{ listen 127.0.0.1:{port} ssl http2; server_name app.example.com;\n\
         ssl_certificate {1}; ssl_certificate_key {2}; ssl_client_certificate {3}; ssl_verify_client on;\n\
         location / {{ return 200 \"all is well\"; }}\n\
         location = /grpc.health.v1.Health/Check {{ root {0}; error_page 405 =200 /serving; }}\n\
         location = /serving {{ internal; root {0}; default_type application/grpc; }} }} }}\n",
        directory.display(),
        file("app.pem"),
        file("app.key"),
        file("ca.pem"),
    );
    let path = directory.join("nginx.conf");
    std::fs::write(&path, config).expect("a configuration");
    std::fs::create_dir_all(directory.join("grpc.health.v1.Health")).expect("a directory");
    std::fs::write(directory.join("grpc.health.v1.Health/Check"), "").expect("a file");
    let nginx = spawner::spawn("/usr/sbin/nginx", |command| {
        command.args(["-e", "stderr", "-c", &path.to_string_lossy()]).stdin(Stdio::null());
    });
    let nginx = nginx.expect("nginx (package nginx)");
    until("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    (nginx, port, directory.join("told.log"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_called_otherwise_and_wants_a_certificate_is_checked() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let authority = Authority::new();
        authority.issue("client");
        let (mut nginx, port, told) = nginx(&authority);
        let file = |name: &str| authority.file(name).display().to_string();
        let http = |more: &str| {
            format!(
                "check.http = {{ url = \"https://127.0.0.1:{port}/\", interval = \"200ms\", rise = 1, ca = \"{}\", {more} }}",
                file("ca.pem")
            )
        };
        let identity = format!("cert = \"{}\", key = \"{}\"", file("client.pem"), file("client.key"));
        let named = "server_name = \"app.example.com\"";
        let grpc = format!(
            "check.grpc = {{ address = \"127.0.0.1:{port}\", interval = \"200ms\", rise = 1, ca = \"{}\", {named}, {identity} }}",
            file("ca.pem")
        );
        let config = registry(&servers)
            + &service("well", 80, &http(&format!("{named}, {identity}, contains = \"all is well\"")))
            + &service("nameless", 81, &http(&identity))
            + &service("stranger", 82, &http(named))
            + &service("grpc", 83, &grpc);
        let (ours, _) = serve(&config);
        for path in [node("well", 80), node("grpc", 83)] {
            until(&path, || kazoo.get(&path));
        }
        until("an alert for who asks for 127.0.0.1", || ours.log().contains("UnrecognisedName").then_some(()));
        until("who shows no certificate is refused", || ours.log().contains("it answers 400 Bad Request").then_some(()));
        assert!(kazoo.get(&node("nameless", 81)).is_none() && kazoo.get(&node("stranger", 82)).is_none());
        let told = std::fs::read_to_string(told).expect("nginx's log");
        for line in [
            "HTTP/2.0 app.example.com CN=client GET /",
            "HTTP/2.0 app.example.com CN=client POST /grpc.health.v1.Health/Check",
        ] {
            assert!(told.lines().any(|told| told.starts_with(line)), "{line}: {told}");
        }
        nginx.kill().expect("the end of nginx");
        nginx.wait().expect("the end of nginx");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_edit_of_a_checks_tls_takes_a_healthy_service_out_and_a_dead_one_leaves_during_one() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let authority = Authority::new();
        for name in ["client", "other"] {
            authority.issue(name);
        }
        let (mut nginx, port, _) = nginx(&authority);
        let file = |name: &str| authority.file(name).display().to_string();
        std::fs::copy(authority.file("ca.pem"), authority.file("copy.pem")).expect("a copy");
        let every = "interval = \"300ms\", fall = 2";
        let config = |ca: &str, client: &str, name: &str, more: &str| {
            let tls = format!(
                "ca = \"{}\", cert = \"{}\", key = \"{}\", server_name = \"{name}\", {every}{more}",
                file(ca),
                file(&format!("{client}.pem")),
                file(&format!("{client}.key")),
            );
            registry(&servers)
                + &service("web", 80, &format!("check.http = {{ url = \"https://127.0.0.1:{port}/\", {tls} }}"))
                + &service("grpc", 81, &format!("check.grpc = {{ address = \"127.0.0.1:{port}\", {tls} }}"))
        };
        let name = "app.example.com";
        let edits = [
            config("copy.pem", "client", name, ""),
            config("copy.pem", "other", name, ""),
            config("ca.pem", "other", "APP.example.com", ""),
            config("ca.pem", "other", name, ", rise = 9"),
            config("ca.pem", "client", name, ", timeout = \"2s\""),
            config("ca.pem", "client", name, ", initial = \"healthy\""),
            config("ca.pem", "client", name, ""),
        ];
        let agent = Agent::start(&edits[6]);
        let nodes = [node("web", 80), node("grpc", 81)];
        for path in &nodes {
            until(path, || kazoo.get(path));
        }
        let looker = Looker::start(&servers, nodes.to_vec());
        for edit in std::iter::repeat_n(&edits, rounds().unwrap_or(1)).flatten() {
            agent.edit(edit);
            std::thread::sleep(Duration::from_millis(400));
        }
        let seen = looker.stop();
        assert!(seen.looks > 100 && seen.absent.is_empty(), "{seen:?}");
        nginx.kill().expect("the end of nginx");
        nginx.wait().expect("the end of nginx");
        let begun = Instant::now();
        agent.edit(&edits[1]);
        for path in &nodes {
            until("it is out", || kazoo.get(path).is_none().then_some(()));
        }
        assert!(begun.elapsed() < Duration::from_millis(1_600), "{:?}", begun.elapsed());
        println!("{} looks, none at an absent znode; noticed after {:?}", seen.looks, begun.elapsed());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_that_is_renewed_is_taken_without_a_reload() {
    blocking(|servers| {
        let mut kazoo = Kazoo::connect(&servers);
        let (authority, former) = (Authority::new(), Authority::new());
        authority.issue("client");
        former.issue("client");
        let (mut nginx, port, _) = nginx(&authority);
        let directory = scratch("identity").parent().expect("a directory").to_owned();
        let put = |from: &Authority| {
            for name in ["client.pem", "client.key"] {
                let new = directory.join(format!("{name}.new"));
                std::fs::copy(from.file(name), &new).expect("a copy");
                std::fs::rename(new, directory.join(name)).expect("a file");
            }
        };
        put(&former);
        let check = format!(
            "check.http = {{ url = \"https://127.0.0.1:{port}/\", interval = \"200ms\", rise = 1, fall = 1, ca = \"{}\", \
             server_name = \"app.example.com\", cert = \"{1}/client.pem\", key = \"{1}/client.key\" }}",
            authority.file("ca.pem").display(),
            directory.display()
        );
        let (ours, _) = serve(&(registry(&servers) + &service("well", 80, &check)));
        let path = node("well", 80);
        until("the former certificate is refused", || ours.log().contains("400 Bad Request").then_some(()));
        assert!(kazoo.get(&path).is_none());
        put(&authority);
        until("the new one is shown", || kazoo.get(&path));
        // Half a renewal: what was read before goes on.
        std::fs::write(directory.join("client.pem"), "nonsense").expect("a file");
        until("it is told", || ours.log().contains("a check's certificates are not taken").then_some(()));
        assert!(kazoo.get(&path).is_some());
        nginx.kill().expect("the end of nginx");
        nginx.wait().expect("the end of nginx");
    })
    .await;
}
