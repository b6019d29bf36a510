//! DNS over QUIC (RFC 9250): hickory-server's listener, with our [`Service`] as its handler.
//!
//! The listener reads a request itself and takes records, not bytes: what is signed cannot go through it, and each
//! message is read once more than elsewhere. Its handshakes are made one after the other, it answers the queries of a
//! connection one by one, at most 100 of them, and it does not count its connections: all of that is its own to bound.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hickory_proto::op::{Header, HeaderCounts, Message, Metadata, ResponseCode};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::tls::{Certificate, server_config};
use crate::dns::serve::{Reply, Service};
use crate::dns::transport::Transport;

/// One address's listener.
pub(super) struct Listener {
    pub(super) socket: UdpSocket,
    pub(super) certificate: Arc<Certificate>,
    pub(super) service: Service,
    /// Limit of the time that a connection goes without a query.
    pub(super) idle: Duration,
}

impl Listener {
    /// Answers until `stop`, on a thread of its own.
    ///
    /// # Errors
    /// When there is no runtime to be had, or the socket is not to be used.
    pub(super) fn run(self, stop: &CancellationToken) -> io::Result<()> {
        let Self { socket, certificate, service, idle } = self;
        let config = server_config(Transport::Quic, certificate)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        runtime.block_on(async {
            socket.set_nonblocking(true)?;
            let socket = tokio::net::UdpSocket::from_std(socket)?;
            let mut server = Server::new(Handler(service));
            server.register_quic_listener_and_tls_config(socket, idle, config).map_err(io::Error::other)?;
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                ended = server.block_until_done() => ended.map_err(io::Error::other),
            }
        })
    }
}

/// Answers hickory-server's requests.
struct Handler(Service);

impl Handler {
    async fn reply(&self, request: &Request) -> Option<Message> {
        self.0.counters().slow();
        let received = request.as_slice().to_vec().into();
        let message = match self.0.reply_to(received, request.src(), Transport::Quic, Instant::now()) {
            Reply::Message(message) => message?,
            Reply::Later(message) => message.await,
            // The gate refuses them.
            Reply::Transfer(_) => return None,
        };
        Message::from_vec(&message).inspect_err(|error| debug!(%error, "a response cannot go over QUIC")).ok()
    }
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut out: R) -> ResponseInfo {
        let reply = self.reply(request).await.unwrap_or_else(|| {
            let mut metadata = Metadata::response_from_request(&request.metadata);
            metadata.response_code = ResponseCode::ServFail;
            let mut message = Message::response(metadata.id, metadata.op_code);
            message.metadata = metadata;
            message
        });
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &reply.edns {
            builder.edns(edns);
        }
        let (answers, authorities, additionals) = (&reply.answers, &reply.authorities, &reply.additionals);
        let response = builder.build(reply.metadata, answers, authorities, &[], additionals);
        match out.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                debug!(%error, "cannot send a response over QUIC");
                ResponseInfo::from(Header { metadata: reply.metadata, counts: HeaderCounts::default() })
            }
        }
    }
}
