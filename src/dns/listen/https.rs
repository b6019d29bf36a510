//! DNS over HTTPS (RFC 8484): the table `[dns.https]`, and messages in requests of HTTP/2 and HTTP/1.1.
//!
//! The HTTP is hyper's, which is linked already: hickory-server's listener takes no GET, which RFC 8484 §4.1 demands,
//! bounds neither connections nor streams, and encodes anew what was signed.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use data_encoding::BASE64URL_NOPAD;
use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::connections::{ConnectionPermit, Heard};
use super::stream::{Answered, StreamContext, answer_one};
use super::tls;
use crate::dns::message::walk;
use crate::dns::serve::Reply;
use crate::patience::Patient;
use crate::settings::{Located, Section, fixed};

/// The table `[dns.https]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Addresses and certificate.
    pub tls: tls::Config,
    /// Path of the URL.
    pub path: String,
}

/// The path that most clients are told (RFC 8484 §4.1 has it in its examples).
const PATH: &str = "/dns-query";
/// The usual port of HTTPS.
const PORT: u16 = 443;
/// Media type of messages (RFC 8484 §6).
const MESSAGE: &str = "application/dns-message";

/// Requests of one connection at a time.
const MAX_STREAMS: u32 = 64;
/// Bytes of a request's head, and of a query in it; none that this server can answer is longer.
const MAX_HEAD: u32 = 16 << 10;
const MAX_BODY: usize = 16 << 10;
/// Bytes that are read of a body at most.
const MAX_READ: usize = 1 << 20;

impl Config {
    /// Reads the table.
    pub fn read(section: &mut Section<'_>) -> Self {
        let tls = tls::Config::read(section, PORT);
        let mut path = PATH.to_owned();
        if let Some(Located { value, span }) = section.located::<String>(fixed("path")) {
            let is_path =
                value.starts_with('/') && value.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#{}".contains(&byte));
            if is_path {
                path = value;
            } else {
                let problem = format!("`path` must begin with a slash, as in \"{PATH}\", not be \"{value}\"");
                section.problems().add(span, problem);
            }
        }
        Self { tls, path }
    }
}

/// Answers the requests on a connection until its end.
///
/// # Errors
/// Those of the stream and of HTTP, and when the client does not take its answers.
pub(super) async fn serve(
    stream: TlsStream<TcpStream>,
    client: SocketAddr,
    shared: &Arc<StreamContext>,
    (place, path): (&ConnectionPermit, &Arc<str>),
) -> io::Result<()> {
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = TokioIo::new(Patient::new(stream, shared.front.policy().tcp.write));
    let (shared, path, heard) = (Arc::clone(shared), Arc::clone(path), place.heard());
    let service = service_fn(move |request| {
        let (shared, path, heard) = (Arc::clone(&shared), Arc::clone(&path), heard.clone());
        async move { Ok::<_, Infallible>(respond(request, client, &shared, (&heard, &path)).await) }
    });
    let served = if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.max_concurrent_streams(MAX_STREAMS).max_header_list_size(MAX_HEAD);
        builder.timer(TokioTimer::new()).serve_connection(stream, service).await
    } else {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD as usize).timer(TokioTimer::new()).serve_connection(stream, service).await
    };
    served.map_err(io::Error::other)
}

async fn respond(
    request: Request<Incoming>,
    client: SocketAddr,
    shared: &StreamContext,
    (heard, path): (&Heard, &str),
) -> Response<Full<Bytes>> {
    let packet = match read(request, path).await {
        Ok(packet) => packet,
        Err(status) => return refusal(status),
    };
    heard.hear();
    let response = match answer_one(&packet, client, shared) {
        Answered::Response(response) => Some(response),
        Answered::Nothing => None,
        Answered::Slow(received) => {
            shared.counters.slow();
            match shared.service.reply_to(received, client, shared.transport, Instant::now()) {
                Reply::Message(message) => message,
                Reply::Later(message) => Some(message.await),
                // The gate refuses them.
                Reply::Transfer(_) => None,
            }
        }
    };
    heard.hear();
    // What is no query has no answer.
    response.map_or_else(|| refusal(StatusCode::BAD_REQUEST), answer)
}

/// The message in a request.
async fn read(request: Request<Incoming>, path: &str) -> Result<Vec<u8>, StatusCode> {
    let (head, content) = request.into_parts();
    // First of all: a client that still sends does not look at what it is answered.
    let content = body(content).await;
    if head.uri.path() != path {
        return Err(StatusCode::NOT_FOUND);
    }
    match head.method {
        Method::GET => {
            let mut parameters = head.uri.query().unwrap_or_default().split('&');
            let text = parameters.find_map(|parameter| parameter.strip_prefix("dns="));
            let message = text.and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
            message.filter(|message| !message.is_empty()).ok_or(StatusCode::BAD_REQUEST)
        }
        Method::POST => {
            let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let kind = kind.split(';').next().unwrap_or_default().trim();
            if kind.eq_ignore_ascii_case(MESSAGE) { content } else { Err(StatusCode::UNSUPPORTED_MEDIA_TYPE) }
        }
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// The whole of a body. One that is too long is read on for a while, and not kept.
async fn body(body: Incoming) -> Result<Vec<u8>, StatusCode> {
    let (mut body, mut message, mut length) = (pin!(body), Vec::new(), 0);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let Ok(data) = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data() else { continue };
        length += data.len();
        if length <= MAX_BODY {
            message.extend_from_slice(&data);
        } else if length > MAX_READ {
            break;
        }
    }
    if length > MAX_BODY { Err(StatusCode::PAYLOAD_TOO_LARGE) } else { Ok(message) }
}

/// A response with a message, which may be kept as long as its records (RFC 8484 §5.1).
fn answer(message: Vec<u8>) -> Response<Full<Bytes>> {
    let age = format!("max-age={}", walk::least_ttl(&message).unwrap_or(0));
    let mut response = Response::new(Full::new(message.into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MESSAGE));
    headers.extend(HeaderValue::from_str(&age).ok().map(|age| (CACHE_CONTROL, age)));
    response
}

fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut response = Response::new(Full::new(format!("{reason}\n").into()));
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
