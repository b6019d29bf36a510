//! Long lists as JSON. One may be hundreds of megabytes, and the thread has probes to answer in between: it is rendered
//! a piece at a time, as fast as the client reads.

use std::iter;

use axum::body::Body;
use futures_util::stream;

/// Size at which a piece is sent, in bytes.
const CHUNK: usize = 32 * 1024;

/// A body of `opening`, the items, one a line with commas between them, and `closing`.
pub(super) fn list(
    opening: String,
    items: impl Iterator<Item = serde_json::Result<Vec<u8>>> + Send + 'static,
    closing: impl Into<String>,
) -> Body {
    let pieces = Box::new(pieces(opening, items, closing.into()));
    Body::from_stream(stream::unfold(pieces, async |mut pieces| {
        // The next piece is always ready: without this, a fast client would have the thread for itself.
        tokio::task::yield_now().await;
        Some((pieces.next()?, pieces))
    }))
}

fn pieces(
    opening: String,
    mut items: impl Iterator<Item = serde_json::Result<Vec<u8>>> + Send,
    closing: String,
) -> impl Iterator<Item = serde_json::Result<Vec<u8>>> + Send {
    let mut is_first = true;
    let mut is_over = false;
    iter::from_fn(move || {
        let mut piece = Vec::new();
        while !is_over && piece.len() < CHUNK {
            match items.next() {
                Some(Ok(item)) => {
                    let separator = if std::mem::take(&mut is_first) { &opening } else { "," };
                    piece.extend_from_slice(separator.as_bytes());
                    piece.push(b'\n');
                    piece.extend_from_slice(&item);
                }
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    is_over = true;
                    if is_first {
                        piece.extend_from_slice(opening.as_bytes());
                        piece.push(b'\n');
                    }
                    piece.push(b'\n');
                    piece.extend_from_slice(closing.as_bytes());
                    piece.push(b'\n');
                }
            }
        }
        (!piece.is_empty()).then_some(Ok(piece))
    })
}
