//! Compression of long answers (RFC 9110 §8.4) for clients that take it, a piece at a time as they are rendered.

use std::io::Write as _;
use std::mem::take;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt as _, stream};

use super::reply::{HTML, JSON, TEXT};

/// Answers below this size, in bytes, are sent as they are.
const SHORT: u64 = 1024;

/// Compresses the answer to `request` where that is worth it. A stream of events is never held up by it.
pub(super) async fn compress(request: Request, next: Next) -> Response {
    let takes_gzip = takes_gzip(request.headers());
    let mut response = next.run(request).await;
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_meant = kind.is_some_and(|kind| [JSON, HTML, TEXT].contains(&kind)) && response.status() == StatusCode::OK;
    // Of a list that is still to be rendered the size is not known.
    let is_short = response.body().size_hint().exact().is_some_and(|size| size < SHORT);
    if !is_meant || is_short {
        return response;
    }
    response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    if !takes_gzip {
        return response;
    }
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.map(gzip)
}

/// Returns whether a client takes gzip: it names that, or whatever there is, and not with a quality of 0.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings = values.flat_map(|value| value.split(','));
    let mut qualities = [None; 2];
    for coding in codings {
        let mut parts = coding.split(';').map(str::trim);
        let place = match parts.next() {
            Some(name) if name.eq_ignore_ascii_case("gzip") => 0,
            Some("*") => 1,
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
        qualities[place] = Some(quality.is_ok_and(|quality| quality > 0.0));
    }
    let [gzip, any] = qualities;
    gzip.or(any).unwrap_or(false)
}

fn gzip(body: Body) -> Body {
    let begun = Some((body.into_data_stream(), GzEncoder::new(Vec::new(), Compression::fast())));
    Body::from_stream(stream::unfold(begun, async |state| {
        let (mut pieces, mut encoder) = state?;
        while let Some(piece) = pieces.next().await {
            match piece.and_then(|piece| encoder.write_all(&piece).map_err(axum::Error::new)) {
                // What it keeps for later is little.
                Ok(()) if encoder.get_ref().is_empty() => {}
                Ok(()) => return Some((Ok(Bytes::from(take(encoder.get_mut()))), Some((pieces, encoder)))),
                Err(error) => return Some((Err(error), None)),
            }
        }
        Some((encoder.finish().map(Bytes::from).map_err(axum::Error::new), None))
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn takes(values: &[&'static str]) -> bool {
        takes_gzip(&values.iter().map(|value| (ACCEPT_ENCODING, HeaderValue::from_static(value))).collect())
    }

    #[test]
    fn only_those_who_take_gzip_get_it() {
        for values in [&["gzip"][..], &["br, GZIP;q=0.5"], &["*"], &["br", "gzip"], &["identity, *;q=0.1"]] {
            assert!(takes(values), "{values:?}");
        }
        for values in [&[][..], &[""], &["br"], &["gzip;q=0"], &["*, gzip;q=0"], &["x-gzip"], &["gzip;q=nonsense"]] {
            assert!(!takes(values), "{values:?}");
        }
    }

    #[tokio::test]
    async fn what_comes_in_pieces_is_one_whole_and_an_error_is_no_end() {
        let pieces: Vec<String> = (0..100).map(|number| format!("{number}-").repeat(1000)).collect();
        let whole = pieces.concat();
        let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, axum::Error>)));
        let packed = axum::body::to_bytes(gzip(body), usize::MAX).await.unwrap();
        assert!(packed.len() < whole.len() / 10);
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(&*packed).read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked, whole);
        let broken = stream::iter([Ok("a"), Err(std::io::Error::other("it broke"))]);
        assert!(axum::body::to_bytes(gzip(Body::from_stream(broken)), usize::MAX).await.is_err());
    }
}
