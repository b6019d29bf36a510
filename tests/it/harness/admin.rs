//! What the admin server says.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// The page at `path`, with its head.
pub(crate) fn page(admin: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(admin).expect("the admin server");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// The metrics as they are now: gives the number of a series, such as `dns_dropped_total{transport="udp"}`.
pub(crate) fn metrics(admin: SocketAddr) -> impl Fn(&str) -> u64 {
    let page = page(admin, "/metrics");
    move |series| {
        let value = page.lines().find_map(|line| line.split_once(&format!("{series} ")));
        value.unwrap_or_else(|| panic!("{series}: {page}")).1.parse().expect("a number")
    }
}
