//! Parts that `http` and `grpc` share: driving a connection, and reading an answer to a limit.

use std::error::Error;
use std::future::poll_fn;

use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};

/// Outcome of `exchange`. The connection has to be driven for as long as that lasts, and no longer.
pub(super) async fn drive<T>(connection: impl Future, exchange: impl Future<Output = T>) -> T {
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        found = &mut exchange => found,
        // It ends when the server closes; what it has read until then is still to be taken.
        _ = &mut connection => exchange.await,
    }
}

/// The body of an answer.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// Its bytes up to the limit; none where they were not asked for.
    pub(super) bytes: Vec<u8>,
    /// True if the limit did not cut it off.
    pub(super) is_whole: bool,
    /// Trailers behind it.
    pub(super) trailers: Option<HeaderMap>,
}

/// Reads a body to its end, or its first `limit` bytes, which are kept where they are asked for.
pub(super) async fn read(body: Incoming, limit: usize, is_kept: bool) -> Result<Body, hyper::Error> {
    let mut body = std::pin::pin!(body);
    let (mut read, mut length) = (Body { is_whole: true, ..Body::default() }, 0);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        match frame?.into_data() {
            Ok(data) => {
                let room = limit - length;
                length += data.len().min(room);
                if is_kept {
                    read.bytes.extend_from_slice(&data[..data.len().min(room)]);
                }
                if data.len() > room {
                    read.is_whole = false;
                    break;
                }
            }
            Err(frame) => read.trailers = frame.into_trailers().ok(),
        }
    }
    Ok(read)
}

/// An error with what is behind it, as hyper's own say little.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
