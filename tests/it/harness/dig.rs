//! `dig`, the reader that nobody here wrote.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

/// What dig said of one response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: String,
    /// `qr aa rd`.
    pub(crate) flags: Vec<String>,
    /// The sections' records, a line each with single spaces, in the order of the response.
    pub(crate) answer: Vec<String>,
    pub(crate) authority: Vec<String>,
    pub(crate) additional: Vec<String>,
    /// The lines about EDNS.
    pub(crate) edns: Vec<String>,
    /// Bytes of the message.
    pub(crate) size: usize,
    pub(crate) tcp: bool,
}

impl Response {
    /// The data of the answers, sorted.
    pub(crate) fn data(&self) -> Vec<String> {
        let mut data: Vec<String> =
            self.answer.iter().map(|line| line.splitn(5, ' ').nth(4).unwrap_or_default().to_owned()).collect();
        data.sort();
        data
    }

    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|other| other == flag)
    }
}

/// Asks `server`; `query` is dig's own words: `SRV api_x.service +tcp`.
///
/// dig's socket shares its port with whoever shares one (`SO_REUSEPORT`), and the kernel may give it the server's: then
/// dig hears its own query, which is no response, and asks again.
#[allow(clippy::disallowed_methods)] // it blocks as dig itself does
pub(crate) fn dig(server: SocketAddr, query: &str) -> Response {
    for _ in 0..25 {
        let output = Command::new("dig")
            .arg(format!("@{}", server.ip()))
            .args(["-p", &server.port().to_string(), "+tries=2", "+time=5", "+nocookie"])
            .args(query.split_whitespace())
            .output()
            .unwrap_or_else(|error| panic!("cannot run `dig`: install the package bind9-dnsutils ({error})"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // A server that was started just now has not bound its sockets yet.
        if !output.status.success() && text.contains("connection refused") {
            std::thread::sleep(Duration::from_millis(200));
            continue;
        }
        assert!(output.status.success(), "dig {query} @{server}: {text}");
        if !text.contains("Warning: query response not set") {
            return parse(&text);
        }
    }
    panic!("dig {query} @{server}: nobody answers, or it hears itself, or a server that says no response is one");
}

/// The records of a zone as a transfer has them, a line each with single spaces.
pub(crate) fn transfer(server: SocketAddr, zone: &str) -> Vec<String> {
    let output = Command::new("dig")
        .arg(format!("@{}", server.ip()))
        .args(["-p", &server.port().to_string(), "+tries=1", "+time=5", "+noall", "+answer", "AXFR", zone])
        .output()
        .unwrap_or_else(|error| panic!("cannot run `dig`: install the package bind9-dnsutils ({error})"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let records = text.lines().filter(|line| !line.starts_with(';') && !line.is_empty());
    records.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn parse(text: &str) -> Response {
    let mut response = Response::default();
    let mut section = "";
    for line in text.lines() {
        if let Some(rest) = line.split_once("status: ") {
            rest.1.split(',').next().unwrap_or_default().clone_into(&mut response.status);
        } else if let Some(flags) = line.strip_prefix(";; flags: ") {
            let flags = flags.split(';').next().unwrap_or_default();
            response.flags = flags.split_whitespace().map(str::to_owned).collect();
        } else if let Some(size) = line.strip_prefix(";; MSG SIZE  rcvd: ") {
            response.size = size.trim().parse().unwrap_or_default();
        } else if line.starts_with(";; SERVER:") {
            response.tcp = line.contains("(TCP)");
        } else if line.starts_with(";; ") && line.ends_with("SECTION:") {
            section = line.trim_start_matches(";; ").split(' ').next().unwrap_or_default();
        } else if section == "OPT" && line.starts_with("; ") {
            response.edns.push(line.trim_start_matches("; ").to_owned());
        } else if !line.is_empty() && !line.starts_with(';') {
            let record = line.split_whitespace().collect::<Vec<_>>().join(" ");
            match section {
                "ANSWER" => response.answer.push(record),
                "AUTHORITY" => response.authority.push(record),
                "ADDITIONAL" => response.additional.push(record),
                _ => {}
            }
        }
    }
    response
}
