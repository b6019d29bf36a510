//! Orders to a running server: over its socket, with a token, and from nobody else.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};

use crate::agent::{serve, until};
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::authority::Authority;

/// The status of the answer to a POST with this head.
fn post(admin: SocketAddr, path: &str, head: &str) -> u16 {
    let mut stream = TcpStream::connect(admin).unwrap();
    write!(stream, "POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n{head}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(arguments).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_come_over_the_socket_and_need_the_token_where_there_is_one() {
    tokio::task::spawn_blocking(|| {
        let [seed, socket, token] = ["seed.tree", "admin.sock", "token"].map(scratch);
        std::fs::write(&seed, "/services\n  /api\n    /10.0.0.1:80\n").unwrap();
        std::fs::write(&token, "open sesame\n").unwrap();
        let [dns, admin] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let config = |more: &str| {
            format!(
                "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"{dns}\"]\n\
                 [admin]\nlisten = \"{admin}\"\nsocket = \"{}\"\n{more}",
                seed.display(),
                socket.display()
            )
        };
        let (mut ours, path) = serve(&config(""));
        let unix = format!("unix:{}", socket.display());
        until("the socket", || run(&["status", "--admin", &unix]).status.success().then_some(()));
        let reload = |more: &[&str]| run(&[&["reload"], more].concat());
        assert!(reload(&["--admin", &unix]).status.success());
        assert_eq!(post(admin, "/v1/reload", ""), 200, "from this host, directly");
        assert_eq!(post(admin, "/v1/reload", "Origin: http://evil.example\r\n"), 403);
        std::fs::write(&path, config(&format!("token_file = \"{}\"\n", token.display()))).unwrap();
        until("a token is needed", || (post(admin, "/v1/reload", "") == 401).then_some(()));
        assert_eq!(post(admin, "/v1/reload", "Authorization: Bearer nonsense\r\n"), 401);
        assert_eq!(post(admin, "/v1/heartbeat/api", ""), 401, "heartbeats need it as well");
        let proxied = "Authorization: Bearer open sesame\r\nX-Forwarded-For: 10.0.0.9\r\n";
        assert_eq!(post(admin, "/v1/reload", proxied), 200, "whoever has it may come from anywhere");
        let without = reload(&["--admin", &unix, "--config", &seed.to_string_lossy()]);
        assert_eq!(without.status.code(), Some(1), "{without:?}");
        let with = reload(&["--admin", &unix, "--token-file", &token.to_string_lossy()]);
        assert!(with.status.success(), "{with:?}");
        let by_config = reload(&["--config", &path.to_string_lossy()]);
        assert!(by_config.status.success(), "the configuration says where the server is, and the token: {by_config:?}");
        assert!(run(&["services", "--config", &path.to_string_lossy()]).status.success());
        std::fs::write(&token, "another\n").unwrap();
        assert_eq!(post(admin, "/v1/reload", "Authorization: Bearer open sesame\r\n"), 401, "it is read again");
        ours.signal("TERM");
        ours.wait();
        // What is left of the socket is no hindrance.
        let (mut ours, _) = serve(&config(""));
        until("the socket again", || run(&["status", "--admin", &unix]).status.success().then_some(()));
        ours.signal("TERM");
        ours.wait();
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_find_the_socket_in_the_runtime_directory_and_a_taken_one_stops_nobody() {
    tokio::task::spawn_blocking(|| {
        let [seed, runtime] = ["seed.tree", "run"].map(scratch);
        std::fs::write(&seed, "/services\n  /api\n    /10.0.0.1:80\n").unwrap();
        let [dns, admin] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let config = |admin: SocketAddr, dns: SocketAddr| {
            let path = scratch("zonekeeper.toml");
            let text = format!(
                "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"{dns}\"]\n\
                 [admin]\nlisten = \"{admin}\"\n",
                seed.display()
            );
            std::fs::write(&path, text).unwrap();
            path.to_string_lossy().into_owned()
        };
        let path = config(admin, dns);
        let variable = format!("XDG_RUNTIME_DIR={}", runtime.display());
        let serve = |path: &str| Binary::run_by(&["env", &variable], &["serve", "--config", path]);
        let command = |path: &str, order: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
            command.args([order, "--config", path]).env("XDG_RUNTIME_DIR", &runtime).output().unwrap()
        };
        let mut ours = serve(&path);
        let socket = runtime.join(format!("zonekeeper/admin-{admin}.sock"));
        until("the socket", || command(&path, "status").status.success().then_some(()));
        assert!(std::os::unix::net::UnixStream::connect(&socket).is_ok(), "{}", socket.display());
        // Over the address it would be refused: the configuration has moved on.
        let elsewhere = config(SocketAddr::from(([127, 0, 0, 1], 1)), dns);
        assert_eq!(command(&elsewhere, "status").status.code(), Some(2), "another address has another socket");
        // A socket that is another's, and one that is only left over.
        let (other_dns, other) = (free_port(), SocketAddr::from(([127, 0, 0, 1], free_port())));
        let taken = runtime.join(format!("zonekeeper/admin-{other}.sock"));
        let holder = std::os::unix::net::UnixListener::bind(&taken).unwrap();
        let other_path = config(other, SocketAddr::from(([127, 0, 0, 1], other_dns)));
        let mut second = serve(&other_path);
        until("the address of the second", || TcpStream::connect(other).is_ok().then_some(()));
        drop(holder);
        until("the second over its address", || command(&other_path, "status").status.success().then_some(()));
        for one in [&mut ours, &mut second] {
            one.signal("TERM");
            assert!(one.wait().success());
        }
        assert!(socket.exists(), "it is left");
        let mut ours = serve(&path);
        until("the socket again", || std::os::unix::net::UnixStream::connect(&socket).ok());
        assert!(command(&path, "reload").status.success());
        ours.signal("TERM");
        ours.wait();
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_server_with_a_certificate_speaks_https_and_takes_a_renewed_one() {
    tokio::task::spawn_blocking(|| {
        let authority = Authority::new();
        for name in ["admin", "renewed"] {
            authority.issue(name);
        }
        let seed = scratch("seed.tree");
        std::fs::write(&seed, "/services\n  /api\n    /10.0.0.1:80\n").unwrap();
        let [dns, admin] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let config = |name: &str| {
            format!(
                "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"{dns}\"]\n\
                 [admin]\nlisten = \"{admin}\"\ntls = {{ cert = \"{}\", key = \"{}\" }}\n",
                seed.display(),
                authority.file(&format!("{name}.pem")).display(),
                authority.file(&format!("{name}.key")).display(),
            )
        };
        let (mut ours, path) = serve(&config("admin"));
        let path = path.to_string_lossy().into_owned();
        // The runtime directory of the server is not that of the commands: they go by its address.
        until("the server", || run(&["status", "--config", &path]).status.success().then_some(()));
        let ca = authority.file("ca.pem");
        let ca = ca.to_str().expect("a path");
        let https = format!("https://localhost:{}", admin.port());
        assert!(run(&["status", "--admin", &https, "--ca", ca]).status.success(), "by its name and authority");
        let plain = run(&["status", "--admin", &admin.to_string()]);
        assert_eq!(plain.status.code(), Some(2), "it speaks no HTTP without TLS: {plain:?}");
        // Clients that never shake hands hold nobody up.
        let _silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(admin).unwrap()).collect();
        assert!(run(&["services", "--config", &path]).status.success());
        std::fs::write(&path, config("renewed")).unwrap();
        until("the other certificate", || run(&["status", "--config", &path]).status.success().then_some(()));
        let shown = || {
            let out = Command::new("openssl")
                .args(["s_client", "-connect", &admin.to_string(), "-CAfile", ca])
                .stdin(std::process::Stdio::null())
                .output()
                .expect("the command `openssl` (package openssl)");
            String::from_utf8_lossy(&out.stdout).contains("CN = renewed")
        };
        until("the renewed certificate", || shown().then_some(()));
        ours.signal("TERM");
        ours.wait();
    })
    .await
    .expect("no panic");
}
