//! What `http` and `grpc` share: a request's body, driving a connection, and reading an answer to a limit.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

/// A body of one piece, or of none.
#[derive(Debug, Default)]
pub(super) struct Once(Option<Bytes>);

impl Once {
    pub(super) fn new(bytes: impl Into<Bytes>) -> Self {
        Self(Some(bytes.into()).filter(|bytes| !bytes.is_empty()))
    }
}

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// What `exchange` comes to. The connection has to be driven for as long as that lasts, and no longer.
pub(super) async fn drive<T>(connection: impl Future, exchange: impl Future<Output = T>) -> T {
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        found = &mut exchange => found,
        // It ends when the server closes; what it has read until then is still to be taken.
        _ = &mut connection => exchange.await,
    }
}

/// The first `limit` bytes of a body, and the trailers behind it where it ends before.
pub(super) async fn read(body: Incoming, limit: usize) -> Result<(Vec<u8>, Option<HeaderMap>), hyper::Error> {
    let mut body = std::pin::pin!(body);
    let mut bytes = Vec::new();
    while bytes.len() < limit {
        let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await else { return Ok((bytes, None)) };
        match frame?.into_data() {
            Ok(data) => bytes.extend_from_slice(&data[..data.len().min(limit - bytes.len())]),
            Err(frame) => return Ok((bytes, frame.into_trailers().ok())),
        }
    }
    Ok((bytes, None))
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
