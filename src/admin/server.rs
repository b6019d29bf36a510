//! Connections and their limits: how many at once, how long a client may take to ask and to read, and how all of them
//! end. It knows HTTP and no endpoint.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::control::ClientAddress;
use super::seats::{Answering, Seats, Usage};
use crate::backoff::Throttle;
use crate::dns::listen::tls::Handshakes;
use crate::patience::Patient;

/// Limits of what clients may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeatLimits {
    /// Connections at once. For more, idle ones make room; while all are being answered, the next ones wait in the
    /// kernel's queue.
    pub(super) connections: usize,
    /// Time that a request's head may take, and so that a connection may idle.
    pub(super) head: Duration,
    /// Time for which a client may read nothing of what is ready for it.
    pub(super) reading: Duration,
    /// Time that requests that are being answered may take after the stop.
    pub(super) grace: Duration,
}

impl Default for SeatLimits {
    /// For few probes, scrapers and people.
    fn default() -> Self {
        let dawdling = Duration::from_secs(10);
        Self { connections: 64, head: dawdling, reading: dawdling, grace: Duration::from_secs(1) }
    }
}

/// Buffer of one connection, and so the longest head, in bytes.
const BUFFER: usize = 16 * 1024;
/// Idle connections that are cut off within a window at most.
const EVICTIONS: u32 = 40;
const EVICTION_WINDOW: Duration = Duration::from_millis(100);
/// Time between two looks for a connection that can make room.
const POLL: Duration = Duration::from_millis(20);
/// Pause after a failed accept, which has the system's reasons (no file descriptors left) more than ours.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves `router` on `listener`, over TLS where there are handshakes, and on `socket`, until `stop`, then ends all
/// connections within the grace. `set_hearing` takes whether connections can be accepted, whenever that changes.
///
/// # Errors
/// When the listener itself is broken.
pub(super) async fn serve(
    (listener, tls): (TcpListener, Option<Handshakes>),
    socket: Option<UnixListener>,
    router: Router,
    limits: SeatLimits,
    set_hearing: impl Fn(bool),
    stop: CancellationToken,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let (mut failing, mut seats) = (false, Seats::default());
    // Clients that come back as soon as they are cut off cost no more than that.
    let mut evictions = Throttle::new(EVICTION_WINDOW, EVICTIONS);
    loop {
        let has_place = seats.len() < limits.connections;
        // Looked at once: between two looks one may become idle, and then nothing would be waited for.
        let can_take = has_place || seats.has_idle();
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, socket.as_ref()), if can_take => match accepted {
                Ok((client, peer)) => {
                    if std::mem::take(&mut failing) {
                        set_hearing(true);
                    }
                    if !has_place {
                        seats.end_longest_idle();
                    }
                    let usage = Usage::new();
                    let router = router.clone().layer(Extension(peer));
                    let (stop, counted) = (stop.clone(), Arc::clone(&usage));
                    let task = match client {
                        ClientStream::Tcp(stream) => {
                            // Answers are whole: waiting to fill a segment only delays them. Where it cannot be set,
                            // they are late.
                            let _ = stream.set_nodelay(true);
                            match tls.clone() {
                                Some(tls) => connections.spawn(encrypted(stream, tls, router, limits, stop, counted)),
                                None => connections.spawn(connection(stream, router, limits, stop, counted)),
                            }
                        }
                        ClientStream::Socket(stream) => {
                            connections.spawn(connection(stream, router, limits, stop, counted))
                        }
                    };
                    seats.enter(task, usage);
                    if !has_place {
                        let pause = evictions.record(Instant::now());
                        if !pause.is_zero() {
                            sleep(pause).await;
                        }
                    }
                }
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(%error, "cannot accept an admin connection; trying on");
                        set_hearing(false);
                    }
                    sleep(PAUSE).await;
                }
            },
            Some(ended) = connections.join_next_with_id() => match ended {
                Ok((task, ())) => seats.leave(task),
                Err(error) => {
                    seats.leave(error.id());
                    if !error.is_cancelled() {
                        warn!(%error, "an admin request panicked");
                    }
                }
            },
            // A connection may have become idle.
            () = sleep(POLL), if !can_take => {}
        }
    }
    drop(listener);
    // Every connection has its own grace, and all of them began it just now.
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// Returns whether `accept` fails for a reason that does not pass: the socket does not listen.
fn is_fatal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

/// A client's connection.
enum ClientStream {
    Tcp(TcpStream),
    Socket(UnixStream),
}

/// The next client, of either listener.
async fn accept(listener: &TcpListener, socket: Option<&UnixListener>) -> io::Result<(ClientStream, ClientAddress)> {
    let of_socket = async {
        match socket {
            Some(socket) => socket.accept().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        accepted = listener.accept() => {
            accepted.map(|(stream, peer)| (ClientStream::Tcp(stream), ClientAddress::Tcp(peer)))
        }
        accepted = of_socket => {
            accepted.map(|(stream, _)| (ClientStream::Socket(stream), ClientAddress::Socket))
        }
    }
}

/// Shakes hands with one client, in the time that a request's head may take, and serves it.
async fn encrypted(
    stream: TcpStream,
    tls: Handshakes,
    router: Router,
    limits: SeatLimits,
    stop: CancellationToken,
    usage: Arc<Usage>,
) {
    let shaken = tokio::select! {
        shaken = timeout(limits.head, tls.accept(stream)) => shaken,
        () = stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => connection(stream, router, limits, stop, usage).await,
        // It speaks no TLS, or does not believe the certificate: its own trouble.
        Ok(Err(error)) => debug!(%error, "a TLS handshake of an admin connection failed"),
        Err(_) => debug!("a TLS handshake of an admin connection did not end in time"),
    }
}

/// Serves one client.
async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    limits: SeatLimits,
    stop: CancellationToken,
    usage: Arc<Usage>,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let (counted, response) = (usage.request(), router.call(request));
        async move { response.await.map(|response| response.map(|body| Answering { body, _request: counted })) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Patient::new(stream, limits.reading)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => note(ended),
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            if let Ok(ended) = timeout(limits.grace, connection).await {
                note(ended);
            } else {
                debug!("an admin request was cut off at the stop");
            }
        }
    }
}

/// Clients that go away, dawdle or speak no HTTP are their own trouble.
fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        debug!(%error, "an admin connection ended early");
    }
}
