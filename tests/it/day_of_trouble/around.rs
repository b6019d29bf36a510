//! What the services of the day are: a host of its own (a network namespace), a name server, listeners and heartbeats.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::harness::app::scratch;
use crate::harness::spawner;

/// Set where the day runs on the host of its own.
const INSIDE: &str = "ZONEKEEPER_DAY_HOST";
/// The address behind which ZooKeeper is.
pub(super) const FAR_SIDE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 6);
/// The address of the interface that one service is registered at.
pub(super) const OWN: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 10);
/// Where the name server listens that resolv.conf names.
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// Gives the host its interfaces, and goes on as the test.
const HOST: &str = "set -e
ip link set lo up
ip link add far0 type veth peer name far1 && ip link set far0 up && ip link set far1 up && ip addr add 10.1.0.6/24 dev far0
ip link add own0 type veth peer name own1 && ip link set own0 up && ip link set own1 up && ip addr add 10.2.0.10/24 dev own0
exec \"$@\"";

/// Runs this test again on a host of its own, and returns false; true there. `shown` has what it says printed as it
/// goes.
pub(super) fn is_inside(test: &str, shown: bool) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let log = scratch("day.log");
    let child = spawner::spawn("unshare", |command| {
        command.args(["--net", "sh", "-c", HOST, "sh"]).arg(std::env::current_exe().expect("this program"));
        command.args(["--exact", "--nocapture", test]).env(INSIDE, "1").stdin(Stdio::null());
        if !shown {
            let file = std::fs::File::create(&log).expect("a file");
            command.stdout(file.try_clone().expect("a file")).stderr(file);
        }
    });
    let status = child.expect("`unshare` (package util-linux)").wait().expect("its end");
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    assert!(status.success(), "on a host of its own, which takes root and `ip` (package iproute2):\n{said}");
    assert!(shown || said.contains("1 passed"), "no such test: {test}");
    print!("{said}");
    false
}

/// Does something to an interface of the host.
pub(super) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.expect("`ip` (package iproute2)").success(), "ip {arguments}");
}

/// Something that threads do while it is wanted.
#[derive(Clone)]
pub(super) struct Switch(Arc<AtomicBool>);

impl Switch {
    pub(super) fn on() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn set(&self, is_on: bool) {
        self.0.store(is_on, Ordering::SeqCst);
    }

    pub(super) fn turn(&self) {
        self.0.fetch_xor(true, Ordering::SeqCst);
    }
}

/// Listens on a port while it is wanted, and closes what comes.
pub(super) fn listen(wanted: Switch, address: SocketAddr) {
    std::thread::spawn(move || {
        let mut listener: Option<TcpListener> = None;
        loop {
            sleep(Duration::from_millis(5));
            if !wanted.is_on() {
                listener = None;
                continue;
            }
            if listener.is_none() {
                listener = TcpListener::bind(address).ok();
            }
            if let Some(listener) = &listener {
                listener.set_nonblocking(true).expect("a socket");
                while listener.accept().is_ok() {}
            }
        }
    });
}

/// Touches a file while it is wanted.
pub(super) fn touch(wanted: Switch, file: PathBuf) {
    std::thread::spawn(move || {
        loop {
            if wanted.is_on()
                && let Ok(mut file) = std::fs::File::create(&file)
            {
                let _ = file.write_all(b"well\n");
            }
            sleep(Duration::from_millis(200));
        }
    });
}

/// Sends heartbeats of a service to the admin server while it is wanted.
pub(super) fn beat(wanted: Switch, admin: SocketAddr, service: &'static str) {
    let send = move || -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&admin, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(
            stream,
            "PUT /v1/heartbeat/{service} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )?;
        stream.read_to_end(&mut Vec::new()).map(|_| ())
    };
    std::thread::spawn(move || {
        loop {
            if wanted.is_on() {
                // One that is not heard is followed by the next.
                let _ = send();
            }
            sleep(Duration::from_millis(300));
        }
    });
}

/// A name server for which every host is this one, while it is wanted, and which is silent otherwise. Returns the file
/// to be resolv.conf.
pub(super) fn name_server(wanted: Switch) -> PathBuf {
    const A: [u8; 2] = [0, 1];
    let socket = UdpSocket::bind((NAME_SERVER, 53)).expect("port 53 of this host");
    let resolv = scratch("resolv.conf");
    std::fs::write(&resolv, format!("nameserver {NAME_SERVER}\noptions timeout:2 attempts:2\n")).expect("a file");
    std::thread::spawn(move || {
        let mut message = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut message) {
            // The question's name begins behind the head, and ends with an empty label.
            let name = message[12..length].iter().position(|byte| *byte == 0).unwrap_or_default();
            let end = 12 + name + 5;
            if !wanted.is_on() || end > length {
                continue;
            }
            let is_a = message[end - 4..end - 2] == A;
            let mut response = message[..end].to_vec();
            response[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
            if is_a {
                response.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
            }
            let _ = socket.send_to(&response, client);
        }
    });
    resolv
}
