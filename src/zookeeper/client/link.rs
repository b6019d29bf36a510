//! A session over its connections: as long as somebody has it, a connection that is lost is followed by another one to
//! any of the servers, in our own pace, and the session is over when its time-out has passed without one.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use zookeeper_client::SessionState;

use super::attach::{Attached, attach};
use super::dial::{Dialing, connector};
use super::host::Tasks;
use super::relay::End;
use super::servers::Servers;
use super::shared::SharedClient;
use crate::backoff::Backoff;
use crate::registry::{Cause, Error};

/// State of a session.
#[derive(Debug, Clone)]
pub(super) enum Connectivity {
    /// Over this connection, the session's so many'th.
    Connected(u64, Arc<Attached>),
    /// Without a connection, and why.
    Disconnected(Arc<str>),
    /// It is over.
    Over(Error),
}

/// Keeps a session until `closed`, or until it is over.
pub(super) struct Link {
    pub(super) shared: SharedClient,
    pub(super) tasks: Tasks,
    pub(super) standing: watch::Sender<Connectivity>,
    pub(super) closed: CancellationToken,
    pub(super) zxid: Arc<AtomicI64>,
}

/// Time between two looks for a better server while a session reads from one without quorum.
const SEEK: Duration = Duration::from_secs(5);

impl Link {
    pub(super) async fn run(self, first: Arc<Attached>, ended: oneshot::Receiver<End>) {
        let closed = self.closed.clone();
        let over = tokio::select! {
            () = closed.cancelled() => Error::SessionExpired,
            over = self.keep(first, ended) => over,
        };
        // With the last mention of its client the library closes the session.
        self.standing.send_replace(Connectivity::Over(over));
    }

    async fn keep(&self, first: Arc<Attached>, ended: oneshot::Receiver<End>) -> Error {
        let timeout = first.client.session_timeout();
        let (mut attached, mut ended) = (first, ended);
        let mut number = 0;
        loop {
            let is_readonly = attached.client.session().is_readonly();
            let end = tokio::select! {
                end = &mut ended => end.unwrap_or(End::Closed),
                () = self.writable_elsewhere(), if is_readonly => {
                    info!(ensemble = &*self.shared.servers, "a server that has its quorum is back: leaving the one without");
                    return Error::SessionExpired;
                }
            };
            let lost = Instant::now();
            let (_, why) = match end {
                End::Lost(failure) | End::Refused(failure) => failure,
                End::Closed => (Cause::Closed, "the session's connection was closed".to_owned()),
            };
            match attached.client.state() {
                SessionState::AuthFailed => return Error::AuthFailed,
                _ if is_readonly => return Error::SessionExpired,
                _ => {}
            }
            debug!(ensemble = &*self.shared.servers, server = %attached.address, why, "the connection is lost");
            self.standing.send_replace(Connectivity::Disconnected(why.into()));
            let session = attached.client.session().clone();
            let could = attached.abilities;
            drop(attached);
            let mut pace = Backoff::new(Duration::from_millis(100), Duration::from_millis(1500), timeout);
            let deadline = lost + timeout;
            let next = loop {
                match attach(&self.shared, &self.tasks, Some(&session), &self.zxid, deadline).await {
                    Ok(next) => break next,
                    Err(error @ (Error::SessionExpired | Error::AuthFailed)) => return error,
                    Err(error) => {
                        let pause = pace.failed(Instant::now(), fastrand::f64());
                        debug!(ensemble = &*self.shared.servers, %error, ?pause, "the session has no connection");
                        self.standing.send_replace(Connectivity::Disconnected(error.to_string().into()));
                        if Instant::now() + pause >= deadline {
                            return Error::SessionExpired;
                        }
                        sleep(pause).await;
                    }
                }
            };
            (attached, ended) = (Arc::new(next.0), next.1);
            if could.is_complete() && !attached.abilities.is_complete() {
                // Its user goes by what could be done before.
                return Error::SessionExpired;
            }
            number += 1;
            debug!(server = %attached.address, after = ?lost.elapsed(), "the session has a connection again");
            self.standing.send_replace(Connectivity::Connected(number, Arc::clone(&attached)));
        }
    }

    /// Returns once a server says that it takes writes.
    async fn writable_elsewhere(&self) {
        loop {
            sleep(SEEK.mul_f64(0.5 + fastrand::f64())).await;
            let Ok(credentials) = self.shared.credentials().await else { continue };
            let Ok(tls) = credentials.tls.as_ref().map(connector).transpose() else { continue };
            let Ok(servers) = Servers::parse(&self.shared.servers, tls.is_some()) else { continue };
            let limit = Duration::from_secs(2);
            let mut dialing = Dialing::start(&Arc::new(servers), &self.shared.names, tls, limit).await;
            while let Some((_, mut stream)) = dialing.next().await {
                let asking = async {
                    stream.write_all(b"isro").await?;
                    stream.flush().await?;
                    let mut answer = [0; 2];
                    stream.read_exact(&mut answer).await.map(|_| answer)
                };
                if timeout(limit, asking).await.is_ok_and(|answer| answer.is_ok_and(|answer| &answer == b"rw")) {
                    return;
                }
            }
        }
    }
}
