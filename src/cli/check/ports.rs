//! The look of `check --connect` at the addresses that would be listened on: free, or held, and by whom.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use super::findings::CheckFindings;
use crate::config::{Config, Places};
use crate::diagnostic::Severity;

/// Time for the answer of a server that runs.
const PATIENCE: Duration = Duration::from_secs(3);

/// Kind of socket.
#[derive(Debug, Clone, Copy)]
enum Socket {
    Udp,
    Tcp,
}

/// Tries each address for a moment.
pub(super) fn try_all(config: &Config, places: &Places, found: &mut CheckFindings) {
    let mut wanted: Vec<(Vec<&str>, SocketAddr, Socket)> = Vec::new();
    if let Some(dns) = &config.dns {
        for address in &dns.listen {
            wanted.extend([Socket::Udp, Socket::Tcp].map(|socket| (vec!["dns", "listen"], *address, socket)));
        }
        for (transport, tls) in dns.encrypted() {
            let socket = if transport.label() == "quic" { Socket::Udp } else { Socket::Tcp };
            wanted
                .extend(tls.listen.iter().map(|address| (vec!["dns", transport.label(), "listen"], *address, socket)));
        }
    }
    if let Some(admin) = &config.admin {
        wanted.push((vec!["admin", "listen"], admin.listen, Socket::Tcp));
    }
    let running = config.admin.as_ref().and_then(|admin| running(admin.listen));
    for (keys, address, socket) in wanted {
        let kind = match socket {
            Socket::Udp => "UDP",
            Socket::Tcp => "TCP",
        };
        let tried = match socket {
            _ if address.port() == 0 => continue,
            Socket::Udp => UdpSocket::bind(address).map(drop),
            Socket::Tcp => TcpListener::bind(address).map(drop),
        };
        let Err(error) = tried else {
            found.lines.push(format!("{address} ({kind}) is free"));
            continue;
        };
        let (severity, message, help) = match (error.kind(), &running) {
            (ErrorKind::AddrInUse, Some(running)) => {
                found.lines.push(format!("{address} ({kind}) is in use: {running} is running"));
                continue;
            }
            (ErrorKind::AddrInUse, None) if config.admin.is_none() => (
                Severity::Warning,
                format!("{address} ({kind}) is in use: by the zonekeeper that runs, or by another program"),
                "with [admin] this could be told",
            ),
            (ErrorKind::AddrInUse, None) => (
                Severity::Error,
                format!("{address} ({kind}) is in use by another program"),
                "`ss -lntup` shows which; stop it, or listen on another address or port",
            ),
            (ErrorKind::PermissionDenied, _) => (
                Severity::Error,
                format!("this user may not listen on {address} ({kind})"),
                "ports below 1024 need CAP_NET_BIND_SERVICE, which the unit in deploy/ gives",
            ),
            (ErrorKind::AddrNotAvailable, _)
                if config.dns.as_ref().is_some_and(|dns| dns.freebind) && keys[0] == "dns" =>
            {
                (
                    Severity::Warning,
                    format!("no interface has the address {}", address.ip()),
                    "it is listened on all the same, and answers once an interface has it (`freebind`)",
                )
            }
            _ => (Severity::Error, format!("{address} ({kind}) cannot be listened on: {error}"), ""),
        };
        let help = Some(help.to_owned()).filter(|help| !help.is_empty());
        found.report.extend(places.problem(places.of(&keys), severity, message, help));
    }
}

/// The zonekeeper that answers at an admin address: its version, and its process.
fn running(admin: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET /v1/status HTTP/1.0\r\nHost: {admin}\r\n\r\n").ok()?;
    let mut response = Vec::new();
    stream.take(16 << 20).read_to_end(&mut response).ok()?;
    let response = String::from_utf8_lossy(&response);
    let (_, body) = response.split_once("\r\n\r\n")?;
    let status: serde_json::Value = serde_json::from_str(body).ok()?;
    let version = status["version"].as_str()?;
    Some(format!("zonekeeper {version}"))
}
