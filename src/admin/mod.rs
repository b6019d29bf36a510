//! Readiness, metrics, JSON and a page over HTTP: what the process knows of itself, for probes, Prometheus and people.
//!
//! It runs on a thread and a runtime of its own, so that a probe is answered while all the others are busy. It reads
//! statuses of mirrors and announcers, the registries' trees, the zones; a request takes a [`snapshot`] and renders it,
//! and rendering is pure. Two things change something: a heartbeat, and an order, which [`control`] hands on to the
//! process from whoever may give one.
//!
//! - [`server`]: connections and their limits; `patience` ends those whose client does not read.
//! - [`routes`]: a line an endpoint, each described in [`openapi`]; [`query`] reads what was asked; [`services`] shows
//!   one service, [`listing`] pages of them, a piece at a time; [`named`] finds those that a name means; [`events`]
//!   lists or streams what has changed; [`explain`] says why a name is answered as it is. [`validator`] spares clients
//!   what they have already, and [`compress`] makes the rest short.
//! - [`snapshot`]: one moment, as plain data; [`ready`], [`json`], [`registrations`] and [`metrics`] say it in words.
//! - [`page`]: pages for browsers; [`history`] has the last hour for their charts.
//! - [`config`]: what `[admin]` says; [`socket`]: the place of its Unix socket.
//!
//! Credentials are never shown. There are none here but the token of its orders; an ensemble's description is shown as
//! its `describe` gives it.

mod compress;
pub mod config;
pub mod control;
mod dump;
mod events;
mod explain;
mod history;
mod json;
mod kept_files;
mod listing;
mod metrics;
pub(crate) mod named;
mod openapi;
mod overview;
mod page;
mod pieces;
mod query;
mod rate;
mod ready;
mod registrations;
mod reply;
mod routes;
mod seats;
mod server;
mod services;
mod shapes;
mod snapshot;
pub mod socket;
mod sources;
#[cfg(test)]
mod tests;
mod validator;
mod wrong;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::dns::listen::tls::Handshakes;
pub use sources::{RegistrySource, Sources};

/// Reasons for which HTTP is not served, or not any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (TCP, admin)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The thread or its runtime cannot be started.
    #[error("cannot start the admin thread")]
    Start(#[source] std::io::Error),
    /// The listening socket failed for good.
    #[error("the admin socket failed")]
    Accept(#[source] std::io::Error),
    /// The thread panicked.
    #[error("the admin thread panicked")]
    Panicked,
}

/// Connections that may wait to be accepted: enough for a probe to find a place behind many others.
const QUEUE: i32 = 1024;

/// Listens on `address`; connections wait until [`spawn`] takes them.
///
/// # Errors
/// [`Error::Bind`].
pub fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Connections of a process before this one may still linger.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(QUEUE)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    listen().map_err(|source| Error::Bind { address, source })
}

/// Serves `sources` on `listener`, over TLS where there are handshakes, and on `socket`, to so many connections at
/// once, until `stop`, and a second longer at most for requests that are being answered then. The thread is its own.
/// The future ends with it, with whatever ended that unasked; dropping the future stops the thread.
///
/// # Errors
/// [`Error::Start`].
#[expect(clippy::needless_pass_by_value, reason = "every part takes its stop so")]
pub fn spawn(
    listener: TcpListener,
    tls: Option<Handshakes>,
    socket: Option<UnixListener>,
    sources: Sources,
    connections: usize,
    stop: CancellationToken,
) -> Result<impl Future<Output = Result<(), Error>> + Send + 'static, Error> {
    let stop = stop.child_token();
    let stopped_with_the_future = stop.clone().drop_guard();
    let (ended, end) = oneshot::channel();
    let thread = std::thread::Builder::new().name("admin".to_owned());
    // The thread is not joined, as that would block: what it sends at its end says all there is to know.
    thread
        .spawn(move || {
            // Nobody is left to be told when the future was dropped.
            let _ = ended.send(run((listener, tls), socket, sources, connections, stop));
        })
        .map_err(Error::Start)?;
    Ok(async move {
        let _guard = stopped_with_the_future;
        end.await.unwrap_or(Err(Error::Panicked))
    })
}

fn run(
    (listener, tls): (TcpListener, Option<Handshakes>),
    socket: Option<UnixListener>,
    sources: Sources,
    connections: usize,
    stop: CancellationToken,
) -> Result<(), Error> {
    let limits = server::SeatLimits { connections, ..server::SeatLimits::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Start)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::Start)?;
        let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
        let announcers: Vec<_> = sources.announcements.iter().map(|(_, status)| status.clone()).collect();
        let set_hearing = move |can_hear| {
            let now = std::time::Instant::now();
            for status in &announcers {
                status.set_hearing(can_hear, now);
            }
        };
        let router = routes::router(sources, &address, connections);
        let socket = socket.map(tokio::net::UnixListener::from_std).transpose().map_err(Error::Start)?;
        server::serve((listener, tls), socket, router, limits, set_hearing, stop).await.map_err(Error::Accept)
    })
}
