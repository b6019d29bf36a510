//! The transports by themselves: which address answers, what a connection may do, and what garbage cannot.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::harness::app::{Running, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;

const TREE: &str = "/services\n  /api\n    /providers\n      /10.0.0.1:80\n      /10.0.0.2:80\n";

/// A server on these addresses, that has read its registry.
async fn serve(listen: &str) -> (Running, SocketAddr) {
    let seed = scratch("seed.tree");
    std::fs::write(&seed, TREE).unwrap();
    let server = Running::start_on(
        &format!("[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n", seed.display()),
        listen,
    );
    let local = match server.dns {
        SocketAddr::V4(address) if address.ip().is_unspecified() => ([127, 0, 0, 1], address.port()).into(),
        address => address,
    };
    eventually("an answer", async || (dig(local, "A api.service").status == "NOERROR").then_some(())).await;
    (server, local)
}

fn query(id: u16, name: &str) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

async fn next_message(stream: &mut TcpStream) -> Message {
    let length = timeout(Duration::from_secs(10), stream.read_u16()).await.expect("in time").expect("a length");
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await.expect("a message");
    Message::from_vec(&message).expect("DNS")
}

/// RFC 1035 §7.3: a resolver takes an answer from the address it asked, and from no other.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_wildcard_the_answer_comes_from_the_address_that_was_asked() {
    let (server, local) = serve("0.0.0.0:0").await;
    for last in [1, 2, 77] {
        let asked: SocketAddr = ([127, 0, 0, last], local.port()).into();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        // An unusual query goes the other way through the server, and must come back the same.
        for packet in [query(7, "api.service."), [&[0, 7, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]].concat()] {
            socket.send_to(&packet, asked).await.unwrap();
            let mut buffer = [0; 1500];
            let received = timeout(Duration::from_secs(5), socket.recv_from(&mut buffer)).await.expect("in time");
            assert_eq!(received.unwrap().1, asked);
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_is_answered_over_udp_and_tcp() {
    let (server, local) = serve("[::1]:0").await;
    assert!(local.is_ipv6());
    assert_eq!(dig(local, "A api.service").data(), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(dig(local, "A api.service +tcp").data(), ["10.0.0.1", "10.0.0.2"]);
    server.stop().await;
}

/// RFC 7766 §6.2.1.1.
#[tokio::test(flavor = "multi_thread")]
async fn queries_on_one_connection_may_come_all_at_once_or_byte_by_byte() {
    let (server, local) = serve("127.0.0.1:0").await;
    let mut stream = TcpStream::connect(local).await.unwrap();
    let all: Vec<u8> = (0..200).flat_map(|id| framed(&query(id, "api.service."))).collect();
    stream.write_all(&all).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..200 {
        let answer = next_message(&mut stream).await;
        assert_eq!(answer.answers.len(), 2);
        ids.push(answer.metadata.id);
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..200).collect::<Vec<_>>());
    for byte in framed(&query(300, "nobody.service.")) {
        stream.write_all(&[byte]).await.unwrap();
        stream.flush().await.unwrap();
    }
    let answer = next_message(&mut stream).await;
    assert_eq!((answer.metadata.id, answer.metadata.response_code), (300, ResponseCode::NXDomain));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_and_those_that_never_read_keep_nobody_out() {
    let (server, local) = serve("127.0.0.1:0").await;
    let mut held = Vec::new();
    for i in 0..500_u32 {
        // More than one client: one has a bound of its own.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 1, u8::try_from(i % 8).unwrap() + 1], 0).into()).unwrap();
        let mut stream = socket.connect(local).await.unwrap();
        if i % 5 == 0 {
            // Asks for much and takes nothing.
            let many: Vec<u8> = (0..400).flat_map(|id| framed(&query(id, "api.service."))).collect();
            let _ = timeout(Duration::from_millis(50), stream.write_all(&many)).await;
        }
        held.push(stream);
    }
    for _ in 0..10 {
        assert_eq!(dig(local, "A api.service").data().len(), 2);
        assert_eq!(dig(local, "A api.service +tcp").data().len(), 2);
    }
    drop(held);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_gets_dns_or_silence_and_changes_nothing() {
    let (server, local) = serve("127.0.0.1:0").await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(local).await.unwrap();
    let mut rng = fastrand::Rng::with_seed(11);
    let before = resident();
    let mut answered = 0;
    for round in 0..20_000 {
        let mut packet = query(round, "api.service.");
        for _ in 0..rng.usize(1..6) {
            match rng.u8(..3) {
                0 => packet.truncate(rng.usize(..=packet.len())),
                1 => packet.extend((0..rng.usize(..40)).map(|_| rng.u8(..))),
                _ if packet.is_empty() => {}
                _ => {
                    let at = rng.usize(..packet.len());
                    packet[at] = rng.u8(..);
                }
            }
        }
        let _ = socket.send(&packet).await;
        let mut buffer = [0; 4096];
        while let Ok(length) = socket.try_recv(&mut buffer) {
            Message::from_vec(&buffer[..length]).expect("every reply is DNS");
            answered += 1;
        }
        if round % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert!(answered > 1_000, "{answered}");
    assert_eq!(dig(local, "A api.service").data(), ["10.0.0.1", "10.0.0.2"]);
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more than before");
    // A connection that begins with nonsense ends, and takes nobody along.
    let mut stream = TcpStream::connect(local).await.unwrap();
    stream.write_all(&[0, 3, 1, 2, 3]).await.unwrap();
    stream.write_all(&framed(&query(1, "api.service."))).await.unwrap();
    assert_eq!(next_message(&mut stream).await.answers.len(), 2);
    server.stop().await;
}

/// Longer than what is announced as the most that is taken, which nobody sends who is not up to something: what does
/// not fit the buffer is cut, and the rest is malformed. Padding makes it long (RFC 7830).
#[tokio::test(flavor = "multi_thread")]
async fn a_query_longer_than_is_read_is_malformed() {
    let (server, local) = serve("127.0.0.1:0").await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(local).await.unwrap();
    for (length, expected) in [
        (1232, ResponseCode::NoError),
        (1344, ResponseCode::NoError),
        (1345, ResponseCode::FormErr),
        (4096, ResponseCode::FormErr),
        (60_000, ResponseCode::FormErr),
    ] {
        let mut packet = query(5, "api.service.");
        packet[11] = 1;
        let options = u16::try_from(length - packet.len() - 11).unwrap();
        packet.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0]);
        packet.extend(options.to_be_bytes());
        packet.extend([0, 12]);
        packet.extend((options - 4).to_be_bytes());
        packet.resize(length, 0);
        socket.send(&packet).await.unwrap();
        let mut buffer = [0; 1500];
        let received = timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await.expect("in time").unwrap();
        let answer = Message::from_vec(&buffer[..received]).unwrap();
        assert_eq!((answer.metadata.id, answer.metadata.response_code), (5, expected), "{length} bytes");
    }
    server.stop().await;
}

/// Whoever answers responses can be made to talk to himself.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_never_answered() {
    let (server, local) = serve("127.0.0.1:0").await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut response = query(5, "api.service.");
    response[2] |= 0x80;
    for packet in [&response[..], &response[..12], &response[..20]] {
        socket.send_to(packet, local).await.unwrap();
        let mut buffer = [0; 1500];
        assert!(timeout(Duration::from_millis(200), socket.recv_from(&mut buffer)).await.is_err());
    }
    server.stop().await;
}

/// Memory of this process, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
