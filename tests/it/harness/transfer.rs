//! Zone transfers as dig asks for them, and secondaries that follow a primary.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::dig::dig;
use super::secondary::{KEY, Secondary};

/// A zone that dig transferred: its records, sorted, and what dig said in the end.
pub(crate) struct Zone {
    pub(crate) records: Vec<String>,
    pub(crate) summary: String,
}

/// Asks for a transfer of `service.`: `words` are `AXFR` or `IXFR=7`, and dig's own options.
pub(crate) fn transfer(server: SocketAddr, words: &str) -> Zone {
    let output = Command::new("dig")
        .args([format!("@{}", server.ip()), "-p".into(), server.port().to_string()])
        .args(["+tries=1", "+time=20", "+nocookie"])
        .args(if words.contains("-q ") { None } else { Some("service.") })
        .args(words.split_whitespace())
        .output()
        .expect("dig");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.is_empty());
    let (said, records): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with(';'));
    let signatures = |record: &&str| record.contains("\tTSIG\t");
    let mut records: Vec<String> = records
        .into_iter()
        .filter(|record| !signatures(record))
        .map(|record| record.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    records.sort();
    Zone { records, summary: said.join("\n") }
}

pub(crate) fn signed(words: &str) -> String {
    format!("{words} -y hmac-sha256:{}:{}", KEY.0, KEY.1)
}

/// The configuration of a key, and of who may transfer.
pub(crate) fn access(allow_transfer: &str) -> (String, String) {
    let (name, secret) = KEY;
    let key = format!("[[key]]\nname = \"{name}\"\nsecret = \"{secret}\"\n");
    (key, format!("[dns]\nlisten = [\"127.0.0.1:0\"]\nallow_transfer = [{allow_transfer}]\n"))
}

/// The serial that a server answers with.
pub(crate) fn serial(server: SocketAddr) -> Option<u32> {
    let answer = dig(server, "SOA service.");
    answer.data().first()?.split(' ').nth(2)?.parse().ok()
}

/// Waits until our serial stands still and every secondary has it.
pub(crate) async fn follows(primary: SocketAddr, secondaries: &[Secondary]) {
    let begun = Instant::now();
    let mut still = (serial(primary), Instant::now());
    loop {
        let ours = serial(primary);
        if ours != still.0 {
            still = (ours, Instant::now());
        }
        let behind = secondaries.iter().find(|secondary| serial_of(secondary) != ours);
        match behind {
            None if ours.is_some() && still.1.elapsed() > Duration::from_secs(1) => return,
            Some(secondary) if begun.elapsed() > PATIENCE => {
                panic!("{:?} has {:?}, not {ours:?}:\n{}", secondary.kind, serial_of(secondary), secondary.log())
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The serial that a secondary has; none while it starts or has no zone.
pub(crate) fn serial_of(secondary: &Secondary) -> Option<u32> {
    let output = Command::new("dig")
        .args(["@127.0.0.1", "-p", &secondary.address.port().to_string(), "+short", "+tries=1", "+time=1"])
        .args(["SOA", "service."])
        .output()
        .expect("dig");
    String::from_utf8_lossy(&output.stdout).split(' ').nth(2)?.parse().ok()
}
