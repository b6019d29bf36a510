//! Connections: taken by threads of their own, each with a runtime that nobody else wakes. A connection is cut when it
//! is idle or there for too long, when it does not take its answers, or when it is the longest idle one and another
//! wants its place ([`super::connections`]). None of this is UDP's business.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::connections::ConnectionPermit;
use super::limits::Limits;
use super::stream::StreamContext;
use super::tls::Handshakes;
use super::{https, tcp};
use crate::backoff::Throttle;

/// Pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(50);

/// One thread's listener.
pub(super) struct Acceptor {
    pub(super) shared: Arc<StreamContext>,
    pub(super) protocol: Protocol,
}

/// Around the messages on a connection.
#[derive(Clone)]
pub(super) enum Protocol {
    /// Their lengths.
    Tcp,
    /// TLS besides.
    Tls(Handshakes),
    /// TLS and HTTP, with this path.
    Https(Handshakes, Arc<str>),
}

impl Acceptor {
    /// Takes connections until `stop`, on a thread of its own.
    ///
    /// # Errors
    /// When there is no runtime to be had, or the listener is not to be used.
    pub(super) fn run(self, listener: std::net::TcpListener, stop: &CancellationToken) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        runtime.block_on(async {
            accept(TcpListener::from_std(listener)?, Arc::new(self), stop).await;
            Ok(())
        })
    }
}

async fn accept(listener: TcpListener, acceptor: Arc<Acceptor>, stop: &CancellationToken) {
    let mut connections = JoinSet::new();
    // Clients that come back as soon as they are turned away cost no more than this.
    let (mut turned_away, mut is_failing) = (Throttle::new(Duration::from_millis(100), 50), false);
    loop {
        let Limits { connections: most, per_client, idle, total, .. } = acceptor.shared.front.policy().tcp;
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            // A timer for all of them, and none for none.
            () = sleep(idle.min(total) / 8), if !connections.is_empty() => {
                acceptor.shared.open.sweep(idle, total);
                continue;
            }
        };
        match accepted {
            Ok((stream, client)) => {
                is_failing = false;
                let is_full = acceptor.shared.open.is_full(most);
                let place = acceptor.shared.open.enter(client.ip(), most, per_client);
                if is_full || place.is_none() {
                    let pause = turned_away.record(std::time::Instant::now());
                    if !pause.is_zero() {
                        sleep(pause).await;
                    }
                }
                let Some(place) = place else { continue };
                let (id, connection) = (place.id(), Arc::clone(&acceptor));
                let task = connections.spawn(async move {
                    if let Err(error) = begin(stream, client, &connection, &place).await {
                        let transport = connection.shared.transport.name();
                        debug!(%client, transport, %error, "a connection ended");
                    }
                });
                acceptor.shared.open.began(id, task);
            }
            // Out of descriptors or memory, or a client that has gone already: neither ends the server.
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    warn!(%error, transport = acceptor.shared.transport.name(), "cannot accept connections; trying again");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

async fn begin(
    stream: TcpStream,
    client: SocketAddr,
    acceptor: &Acceptor,
    place: &ConnectionPermit,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let shared = &acceptor.shared;
    // A handshake that does not come to its end is swept away like any connection without a query.
    match &acceptor.protocol {
        Protocol::Tcp => tcp::serve(stream, client, shared, place).await,
        Protocol::Tls(tls) => tcp::serve(tls.accept(stream).await?, client, shared, place).await,
        Protocol::Https(tls, path) => https::serve(tls.accept(stream).await?, client, shared, (place, path)).await,
    }
}
