//! A DNS client that is fast enough to ask hundreds of times a second, for load and for staleness.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// A socket of its own towards one server.
pub(crate) struct Client {
    socket: UdpSocket,
    id: u16,
}

impl Client {
    pub(crate) async fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        socket.connect(server).await.expect("an address");
        Self { socket, id: 0 }
    }

    /// One question; none when no answer comes within a second.
    pub(crate) async fn ask(&mut self, name: &str, rtype: RecordType) -> Option<Message> {
        self.send(name, rtype, None).await
    }

    async fn send(&mut self, name: &str, rtype: RecordType, edns: Option<Edns>) -> Option<Message> {
        self.id = self.id.wrapping_add(1);
        let mut message = Message::query();
        message.edns = edns;
        message.metadata.id = self.id;
        message.add_query(Query::query(Name::from_ascii(name).expect("a name"), rtype));
        self.socket.send(&message.to_vec().expect("a message")).await.ok()?;
        let mut buffer = [0; 4096];
        loop {
            let length = timeout(Duration::from_secs(1), self.socket.recv(&mut buffer)).await.ok()?.ok()?;
            let answer = Message::from_vec(&buffer[..length]).expect("a DNS message");
            if answer.metadata.id == self.id {
                return Some(answer);
            }
        }
    }

    /// The A records of a name, sorted, and the response code.
    pub(crate) async fn addresses(&mut self, name: &str) -> Option<(ResponseCode, Vec<String>)> {
        self.ask(name, RecordType::A).await.as_ref().map(addresses)
    }

    /// As [`addresses`](Self::addresses), and whether the answer says that it is stale (RFC 8914 §4.4).
    pub(crate) async fn addresses_and_staleness(&mut self, name: &str) -> Option<((ResponseCode, Vec<String>), bool)> {
        let answer = self.send(name, RecordType::A, Some(Edns::new())).await?;
        let error = answer.edns.as_ref().and_then(|edns| edns.option(EdnsCode::from(15)));
        let stale =
            error.is_some_and(|option| matches!(option, EdnsOption::Unknown(_, code) if code.starts_with(&[0, 3])));
        Some((addresses(&answer), stale))
    }
}

fn addresses(answer: &Message) -> (ResponseCode, Vec<String>) {
    let address = |record: &Record| match &record.data {
        RData::A(address) => Some(address.to_string()),
        _ => None,
    };
    let mut addresses: Vec<String> = answer.answers.iter().filter_map(address).collect();
    addresses.sort();
    (answer.metadata.response_code, addresses)
}
