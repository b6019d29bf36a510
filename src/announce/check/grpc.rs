//! The check `grpc`: what the standard health service says (`grpc.health.v1.Health/Check`, from the gRPC repository's
//! doc/health-checking.md). Only SERVING is good.
//!
//! HTTP/2, in cleartext with prior knowledge or over TLS (see [`super::tls`]). The two messages have one field each and
//! are written out here: a string as field 1, and an enumeration as field 1.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use super::outcome::{ProbeFailure, Probed};
use super::probe::{Stage, check_target, kept};
use super::target::{CheckTarget, Stream};
use super::tls::{self, AlpnOffer, CheckTls};
use super::wire;
use crate::settings::{Section, live};

/// Bytes of an answer that are looked at; a health answer has seven.
const LOOKED_AT: usize = 1024;
/// Bytes of a service's name: the length of what it is in takes one byte then.
const LONGEST: usize = 120;

/// Whom to ask, and about what.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `HOST:PORT` or `unix:/path`.
    pub target: String,
    /// The gRPC service; empty for the server as a whole.
    pub service: String,
    /// Encryption, if any.
    pub tls: Option<Box<CheckTls>>,
}

impl Config {
    /// Reads the keys `address`, by default the service itself, `service`, and `tls` with those that belong to it.
    pub(super) fn read(section: &mut Section<'_>, default: &str) -> Option<Self> {
        let target = check_target(section, default);
        let service = section.located::<String>(live("service"));
        if let Some(said) = service.as_ref().filter(|said| said.value.len() > LONGEST) {
            section.problems().add(said.span, format!("`service` must have at most {LONGEST} bytes"));
            return None;
        }
        let is_encrypted = section.optional::<bool>(live("tls"));
        let implied = tls::KEYS.into_iter().find_map(|key| section.value(live(key)).map(|value| (key, value.span)));
        if let (Some(false), Some((key, span))) = (is_encrypted, implied) {
            section.problems().add(span, format!("`{key}` is for TLS, and `tls = false` says that there is none"));
        }
        let tls =
            is_encrypted.unwrap_or(implied.is_some()).then(|| Box::new(CheckTls::read(section, AlpnOffer::Http2)));
        Some(Self { target: target?, service: service.map(|said| said.value).unwrap_or_default(), tls })
    }

    /// The host that its certificate must be for.
    fn host(&self) -> String {
        match CheckTarget::parse(&self.target) {
            Some(CheckTarget::Host(host, _)) => host.into_owned(),
            _ => "localhost".to_owned(),
        }
    }

    pub(super) async fn probe(&self, stream: Stream, stage: &Stage) -> Probed {
        let Some(tls) = &self.tls else { return self.ask(stream, stage).await };
        stage.enter("no TLS handshake");
        self.ask(tls.connect(&self.host(), stream).await?, stage).await
    }

    async fn ask(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, stage: &Stage) -> Probed {
        stage.enter("no answer");
        let failed = |error: hyper::Error| ProbeFailure::of("no answer", &error);
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(failed)?;
        let exchange = async {
            let answer = sender.send_request(self.request()?).await.map_err(failed)?;
            if !answer.status().is_success() {
                return Err(format!("it answers HTTP {}", answer.status()).into());
            }
            // An answer that is an error may have everything in its headers.
            if let Some(error) = status(answer.headers()) {
                return Err(error.into());
            }
            let body = wire::read(answer.into_body(), LOOKED_AT, true).await.map_err(failed)?;
            match body.trailers.as_ref().and_then(status) {
                Some(error) => Err(error.into()),
                None => judge(&body.bytes),
            }
        };
        wire::drive(connection, exchange).await
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        Request::builder()
            .method(Method::POST)
            .uri(format!("{}://{}/grpc.health.v1.Health/Check", self.scheme(), self.authority()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(self.message().into()))
            .map_err(|error| format!("it cannot be asked: {error}"))
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The target as a URL has it, or the name that it has by its certificate; a socket is on this host.
    fn authority(&self) -> String {
        let own = if self.target.starts_with("unix:") { "localhost" } else { &self.target };
        self.tls.as_ref().and_then(|tls| tls.name()).unwrap_or_else(|| own.to_owned())
    }

    /// The request as a gRPC message: not compressed, its length, and `string service = 1`.
    fn message(&self) -> Vec<u8> {
        // `read` has seen to it that both lengths fit one byte.
        let length = u8::try_from(self.service.len()).unwrap_or_default();
        let field = if length == 0 { Vec::new() } else { [&[0x0a, length], self.service.as_bytes()].concat() };
        let length = u32::try_from(field.len()).unwrap_or_default();
        [&[0][..], &length.to_be_bytes(), &field].concat()
    }
}

/// The error that headers or trailers tell, if they tell one.
fn status(headers: &HeaderMap) -> Option<String> {
    let status = headers.get("grpc-status")?.to_str().unwrap_or("?");
    if status == "0" {
        return None;
    }
    let message = headers.get("grpc-message").and_then(|message| message.to_str().ok()).unwrap_or_default();
    Some(kept(&format!("it answers with gRPC status {status} {message}")))
}

/// Reads the answer: `ServingStatus status = 1`, which is left out where it is 0.
fn judge(body: &[u8]) -> Probed {
    let status = match body {
        [0, 0, 0, 0, 0, ..] => 0,
        [0, 0, 0, 0, _, 0x08, status, ..] => *status,
        _ => return Err("its answer is not a health message".into()),
    };
    match status {
        1 => Ok("SERVING".to_owned()),
        0 => Err("UNKNOWN".into()),
        2 => Err("NOT_SERVING".into()),
        3 => Err("SERVICE_UNKNOWN".into()),
        other => Err(format!("an unknown status, {other}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_what_protobuf_makes_of_them() {
        let config = |service: &str| Config { target: "127.0.0.1:1".into(), service: service.into(), tls: None };
        assert_eq!(config("").message(), [0, 0, 0, 0, 0]);
        assert_eq!(config("ab").message(), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(judge(&[0, 0, 0, 0, 2, 8, 1]), Ok("SERVING".to_owned()));
        assert_eq!(judge(&[0, 0, 0, 0, 2, 8, 2]), Err("NOT_SERVING".into()));
        assert_eq!(judge(&[0, 0, 0, 0, 0]), Err("UNKNOWN".into()));
        for odd in [&[][..], &[0], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 2]] {
            assert!(judge(odd).is_err(), "{odd:?}");
        }
    }
}
