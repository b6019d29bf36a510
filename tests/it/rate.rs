//! Response rate limiting, through real sockets.

use std::net::SocketAddr;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::harness::PATIENCE;
use crate::harness::admin::metrics;
use crate::harness::app::serve;
use crate::harness::dig::dig;

/// The answers to so many queries at once, all of which are answered.
async fn burst(server: SocketAddr, rtype: RecordType, count: usize) -> Vec<Message> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_ascii("api.service.").unwrap(), rtype));
    let query = query.to_vec().unwrap();
    for _ in 0..count {
        socket.send(&query).await.unwrap();
    }
    let mut answers = Vec::new();
    while answers.len() < count {
        let mut buffer = [0; 1500];
        let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("in time").unwrap();
        answers.push(Message::from_vec(&buffer[..length]).expect("DNS"));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_gets_too_many_responses_is_sent_to_tcp() {
    let server = serve("[dns.rate]\nresponses = 1\nslip = 1\n").await;
    let mut cut = 0;
    // ANY takes the long way, and counts alike.
    for rtype in [RecordType::A, RecordType::ANY] {
        let answers = burst(server.dns, rtype, 50).await;
        assert!(answers.iter().all(|answer| answer.metadata.truncation == answer.answers.is_empty()), "{answers:?}");
        let now = answers.iter().filter(|answer| answer.metadata.truncation).count();
        assert!(now > 0, "{rtype}");
        cut += now;
    }
    assert_eq!(metrics(server.admin)("dns_rate_slipped_total{transport=\"udp\"}"), cut as u64, "each is counted");
    // Whoever is there comes again over TCP.
    assert_eq!(dig(server.dns, "A api.service").data(), ["10.0.0.1"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_are_exempt_or_show_a_cookie_get_all_they_ask_for() {
    for config in ["responses = 1\nslip = 1\nexempt = [\"127.0.0.0/8\"]\n", "responses = 0\n"] {
        let server = serve(&format!("[dns.rate]\n{config}")).await;
        for _ in 0..20 {
            assert_eq!(dig(server.dns, "A api.service +ignore").data(), ["10.0.0.1"]);
        }
        server.stop().await;
    }
    let server = serve("[dns.rate]\nresponses = 1\nslip = 1\n").await;
    let first = dig(server.dns, "A api.service +cookie=0102030405060708 +tcp");
    let line = first.edns.iter().find_map(|line| line.strip_prefix("COOKIE: ")).expect("a cookie");
    let cookie = line.split(' ').next().unwrap_or_default();
    for _ in 0..20 {
        assert_eq!(dig(server.dns, &format!("A api.service +ignore +cookie={cookie}")).data(), ["10.0.0.1"]);
    }
    server.stop().await;
}
