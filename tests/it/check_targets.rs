//! Where checks go, and what is seen of the secrets that they send.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use crate::agent::until;
use crate::harness::admin;
use crate::harness::app::{Binary, free_port, scratch};
use crate::shortage::{base, line, status};

fn serve(config: &str) -> Binary {
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, config).expect("a configuration");
    Binary::run(&["serve", "--config", &path.to_string_lossy()])
}

#[test]
fn a_service_is_checked_at_its_own_address_and_not_at_the_loopback_one() {
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let listen = |last| TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), 0)).expect("a port");
    // One listens where it is registered, the other where nobody is sent to.
    let (here, elsewhere) = (listen(2), listen(1));
    let [own, loopback] = [&here, &elsewhere].map(|listener| listener.local_addr().expect("an address").port());
    let service = |name: &str, port: u16| {
        let every = "interval = \"200ms\", rise = 1, fall = 1";
        format!("[[service]]\nname = \"{name}\"\nport = {port}\naddress = \"127.0.0.2\"\ncheck.tcp = {{ {every} }}\n")
    };
    let ours = serve(&(base(admin.port()) + &service("own", own) + &service("loopback", loopback)));
    until("the first is registered", || {
        std::net::TcpStream::connect(admin).ok()?;
        status(admin).contains(&format!("/services/own/providers/127.0.0.2:{own} registered")).then_some(())
    });
    until("the second is ill", || {
        status(admin).contains(&format!("/services/loopback/providers/127.0.0.2:{loopback} unhealthy")).then_some(())
    });
    let shown = line(&status(admin), &format!("tcp 127.0.0.2:{loopback}"));
    assert!(shown.contains("refused"), "{shown}: {}", ours.log());
}

/// A server that keeps what it is asked, and is ill.
fn listener() -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let (address, heard) = (listener.local_addr().expect("an address"), Arc::new(Mutex::new(String::new())));
    let kept = Arc::clone(&heard);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap_or_default();
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = String::from_utf8_lossy(&request[..length]).into();
            let _ =
                write!(stream, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (address, heard)
}

#[test]
fn credentials_of_a_check_are_sent_and_in_no_log_status_metric_page_nor_explanation() {
    let admin_port = free_port();
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, admin_port));
    let (web, heard) = listener();
    let every = "interval = \"200ms\", rise = 1, fall = 1";
    let config = base(admin_port)
        + "[[zone]]\norigin = \"service.\"\n"
        + &format!(
            "[[service]]\nname = \"web\"\nport = 80\naddress = \"192.0.2.10\"\n\
             check.http = {{ url = \"http://somebody:tops3cret@{web}/health\", {every} }}\n"
        );
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, config).expect("a configuration");
    let ours = Binary::run(&["serve", "--log", "debug", "--config", &path.to_string_lossy()]);
    until("it is ill", || ours.log().contains("503 Service Unavailable").then_some(()));
    // somebody:tops3cret in Base64.
    let request = heard.lock().unwrap_or_else(PoisonError::into_inner).to_lowercase();
    assert!(request.contains("authorization: basic c29tzwjvzhk6dg9wcznjcmv0"), "{request}");
    let pages = [
        "/",
        "/metrics",
        "/v1/status",
        "/v1/status?as=json",
        "/v1/registrations",
        "/v1/services",
        "/v1/events?limit=100",
    ];
    let explain = Command::new(env!("CARGO_BIN_EXE_zonekeeper"))
        .args(["explain", "A", "web.service", "--admin", &admin.to_string()])
        .output()
        .expect("the binary");
    let explained = format!("{}{}", String::from_utf8_lossy(&explain.stdout), String::from_utf8_lossy(&explain.stderr));
    let check = Command::new(env!("CARGO_BIN_EXE_zonekeeper")).args(["check", "--config"]).arg(&path).output();
    let check = check.expect("the binary");
    let checked = format!("{}{}", String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr));
    assert!(checked.contains(&web.to_string()), "the target is shown: {checked}");
    let said = pages.map(|path| (path, admin::page(admin, path)));
    let said = said.into_iter().chain([("explain", explained), ("check", checked), ("the log", ours.log())]);
    for (place, text) in said {
        assert!(!text.contains("tops3cret") && !text.contains("dG9wczNjcmV0"), "{place}: {text}");
    }
}
