//! One question to one name server over UDP, and over TCP for what a datagram cannot carry.
//!
//! hickory-resolver's connections carry DNS over TLS, not this: they drop a FORMERR that has no question (from servers
//! older than EDNS), read no datagram that is larger than was announced, and know no addresses with a scope
//! (`fe80::1%eth0`). Its types carry what comes of it, and its cache keeps that.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::ProtoError;
use hickory_proto::op::{DnsResponse, Message, OpCode};
use hickory_resolver::net::{DnsError, NetError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::upstream::Upstream;
#[cfg(test)]
use crate::dns::message::parse::reads;
use crate::dns::message::sizes::HEADER;

/// The time after which a datagram is taken for lost and sent once more.
const RESEND: Duration = Duration::from_millis(600);

/// FORMERR and NOTIMP (RFC 6891 §7): what servers that do not know EDNS answer to an OPT record.
const WITHOUT_EDNS: [u8; 2] = [1, 4];

/// The response to one message.
pub(super) enum Response {
    /// A message, or the error that hickory makes of a negative one.
    Message(Box<Result<Message, NetError>>),
    /// An error that a server gives which does not know EDNS.
    NoEdns(u8),
}

/// Sends `message` to `upstream` under a random ID, from a port of its own, until it has a response. There is no time
/// limit.
///
/// # Errors
/// When the server cannot be reached, or its response cannot be read.
pub(super) async fn exchange(upstream: &Upstream, mut message: Message) -> Result<Response, NetError> {
    message.metadata.id = fastrand::u16(..);
    let query = message.to_vec()?;
    let (socket, address) = connect(upstream).await?;
    let datagram = by_datagram(&socket, &query).await?;
    let is_cut = datagram[2] & 0x02 != 0;
    let reply = if is_cut { by_connection(address, &query).await? } else { datagram };
    let rcode = reply[3] & 0x0f;
    if WITHOUT_EDNS.contains(&rcode) {
        return Ok(Response::NoEdns(rcode));
    }
    let outcome = read(reply)
        .map_err(NetError::from)
        .and_then(|response| DnsError::from_response(response).map(DnsResponse::into_message).map_err(NetError::from));
    Ok(Response::Message(Box::new(outcome)))
}

/// Reads a response. hickory takes records without data (`APL` with no items, RFC 3597's `\\# 0`) for parts of an
/// update, and reads them in nothing else: every response is read as one.
fn read(mut reply: Vec<u8>) -> Result<DnsResponse, ProtoError> {
    #[cfg(test)]
    reads::count();
    if let Some(flags) = reply.get_mut(2) {
        *flags = *flags & 0x87 | u8::from(OpCode::Update) << 3;
    }
    let mut response = DnsResponse::from_buffer(reply)?;
    response.metadata.op_code = OpCode::Query;
    Ok(response)
}

/// A socket that hears nobody but the server (RFC 5452 §9.2), and the server's address with its scope.
async fn connect(upstream: &Upstream) -> Result<(UdpSocket, SocketAddr), NetError> {
    let any = match upstream.address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    let address = match (upstream.address, &upstream.scope) {
        (SocketAddr::V6(mut address), Some(interface)) => {
            let index = rustix::net::netdevice::name_to_index(&socket, interface).map_err(std::io::Error::from)?;
            address.set_scope_id(index);
            address.into()
        }
        (address, _) => address,
    };
    socket.connect(address).await?;
    Ok((socket, address))
}

async fn by_datagram(socket: &UdpSocket, query: &[u8]) -> Result<Vec<u8>, NetError> {
    let mut datagram = vec![0; usize::from(u16::MAX)];
    loop {
        socket.send(query).await?;
        let receive = async {
            loop {
                let length = socket.recv(&mut datagram).await?;
                if is_response(query, &datagram[..length]) {
                    return std::io::Result::Ok(length);
                }
            }
        };
        if let Ok(length) = timeout(RESEND, receive).await {
            datagram.truncate(length?);
            return Ok(datagram);
        }
    }
}

async fn by_connection(address: SocketAddr, query: &[u8]) -> Result<Vec<u8>, NetError> {
    let mut stream = TcpStream::connect(address).await?;
    let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    loop {
        let mut reply = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut reply).await?;
        if is_response(query, &reply) {
            return Ok(reply);
        }
    }
}

/// Returns whether `reply` responds to `query`: it has its ID and its question, or an error and no question at all.
fn is_response(query: &[u8], reply: &[u8]) -> bool {
    let (Some(asked), Some(header)) = (query.get(..HEADER), reply.get(..HEADER)) else { return false };
    if header[..2] != asked[..2] || header[2] & 0xf8 != 0x80 {
        return false;
    }
    if header[4..6] == [0, 0] {
        return header[3] & 0x0f != 0;
    }
    let end = question_end(query);
    header[4..6] == [0, 1]
        && reply.get(HEADER..end).is_some_and(|question| question.eq_ignore_ascii_case(&query[HEADER..end]))
}

/// The end of the question of a message that was written here.
fn question_end(query: &[u8]) -> usize {
    let mut at = HEADER;
    while let Some(&length) = query.get(at).filter(|length| **length > 0) {
        at += 1 + usize::from(length);
    }
    (at + 5).min(query.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01";

    #[test]
    fn a_response_has_the_id_and_the_question_or_an_error_without_one() {
        let reply = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut reply = QUERY.to_vec();
            reply[2] |= 0x80;
            change(&mut reply);
            is_response(QUERY, &reply)
        };
        assert!(reply(&|_| {}));
        assert!(reply(&|reply| reply[13..16].copy_from_slice(b"wWw")), "in any spelling");
        assert!(!reply(&|reply| reply[1] ^= 1), "another ID");
        assert!(!reply(&|reply| reply[2] &= 0x7f), "a query");
        assert!(!reply(&|reply| reply[2] |= 0x20), "another operation");
        assert!(!reply(&|reply| reply[13] = b'v'), "another name");
        assert!(!reply(&|reply| *reply.last_mut().unwrap() = 3), "another class");
        let bare = |rcode: u8| is_response(QUERY, &[0x12, 0x34, 0x81, 0x80 | rcode, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(bare(1) && bare(4) && bare(2), "errors");
        assert!(!bare(0), "no answer without a question");
        for length in 0..QUERY.len() {
            assert!(!is_response(QUERY, &QUERY[..length]));
        }
    }
}
