//! Orders to a running server: over its socket, with a token, and from nobody else.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};

use crate::agent::{serve, until};
use crate::harness::app::{free_port, scratch};

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
