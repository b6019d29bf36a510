//! A way from a host of its own (a network namespace) to a server of this one: through a file, which is the same for
//! both.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::app::scratch;
use super::spawner;

const RELAY: &str = r"
import socket, sys, threading
def pipe(a, b):
    try:
        while True:
            data = a.recv(65536)
            if not data: break
            b.sendall(data)
    except OSError: pass
    for s in (a, b):
        try: s.shutdown(socket.SHUT_RDWR)
        except OSError: pass
listener = socket.create_server((sys.argv[1], 2181))
while True:
    client, _ = listener.accept()
    server = socket.socket(socket.AF_UNIX)
    server.connect(sys.argv[2])
    for pair in ((client, server), (server, client)):
        threading.Thread(target=pipe, args=pair, daemon=True).start()
";

/// A process in namespaces of its own, by these options of `unshare`: a host as long as it lives.
pub(crate) fn host(options: &[&str]) -> Child {
    let child = spawner::spawn("unshare", |command| {
        command.args(options).args(["sleep", "600"]).stdin(Stdio::null());
    });
    let child = child.expect("`unshare` (package util-linux)");
    let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
    let begun = Instant::now();
    while std::fs::read_link(format!("/proc/{}/ns/net", child.id())).is_ok_and(|net| net == own) {
        assert!(begun.elapsed() < Duration::from_secs(10), "no network namespace: it takes root");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Puts `server` at port 2181 of this address on that host, as long as what is returned lives.
pub(crate) fn serve(server: SocketAddr, host: &Child, address: &str) -> Child {
    let socket = scratch("relay");
    let listener = UnixListener::bind(&socket).expect("a socket");
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(server) else { continue };
            let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            let (mut from, mut to) = (far, near);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    });
    let relay = spawner::spawn("nsenter", |command| {
        let id = host.id().to_string();
        command.args(["-t", &id, "-n", "/usr/bin/python3", "-c", RELAY, address]).arg(&socket);
    });
    relay.expect("`nsenter` (package util-linux)")
}
