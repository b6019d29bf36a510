//! Samples of what writers leave in ZooKeeper (tests/fixtures), written there, and the DNS answers that follow.

use std::net::SocketAddr;

use serde_json::Value;

use super::dig::dig;
use super::eventually;
use super::kazoo::Kazoo;

/// Creates a sample's znodes that are not there yet; those above them come with them.
pub(crate) fn write(kazoo: &mut Kazoo, sample: &Value) {
    for node in sample["nodes"].as_array().expect("a list") {
        let path = node["path"].as_str().expect("a path");
        let data = match (node["hex"].as_str(), node["data"].as_str()) {
            (Some(hex), _) => data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).expect("hexadecimal"),
            (None, text) => text.unwrap_or_default().as_bytes().to_vec(),
        };
        if kazoo.get(path).is_none() {
            kazoo.create(path, &data, node["kind"] == "ephemeral");
        }
    }
}

/// The same, of a sample's text.
pub(crate) fn write_text(kazoo: &mut Kazoo, sample: &str) {
    write(kazoo, &serde_json::from_str(sample).expect("a sample"));
}

/// Waits until a question has these answers, in any order.
pub(crate) async fn answers(dns: SocketAddr, question: &str, expected: &[&str]) {
    eventually(&format!("{question}: {expected:?}"), async || {
        let mut data: Vec<_> = dig(dns, question).data().iter().map(ToString::to_string).collect();
        data.sort();
        (data == expected).then_some(())
    })
    .await;
}
