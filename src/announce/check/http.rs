//! The check `http`: whether a URL answers with the expected status and, where that is asked, with a body that says so.
//!
//! On a connection of its own each time, as a new client would come: HTTP/1.1, or over TLS (see [`super::tls`]) HTTP/2
//! where the service offers it. Redirects are answers, not followed. The body is read to its end, up to a limit: a
//! service that does not finish its answers is not well.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use regex_automata::meta::Regex;
use tokio::io::{AsyncRead, AsyncWrite};

use super::outcome::{ProbeFailure, Probed};
use super::probe::{Stage, kept};
use super::target::{CheckTarget, Stream};
use super::tls::{self, AlpnOffer, CheckTls};
use super::url::{Url, shown};
use super::wire;
use crate::diagnostic::Span;
use crate::settings::{Kind, Section, Setting, Size, Value, live};

/// Bytes of an answer's body that are read, where nobody says otherwise.
const BODY_LIMIT: usize = 1 << 20;
/// Bytes of an answer's body that can be asked for.
const MAX_BODY_LIMIT: usize = 64 << 20;

/// The check `http`: a request, and the answers that are good.
#[derive(Debug, Clone)]
pub struct Config {
    /// The URL.
    pub url: Url,
    /// The Unix socket to ask it on, in place of its host and port.
    pub socket: Option<PathBuf>,
    /// Encryption, if any.
    pub tls: Option<Box<CheckTls>>,
    /// The method.
    pub method: Method,
    /// Headers to send beside those that every request has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Good statuses.
    pub status: Statuses,
    /// Text that the body must hold.
    pub contains: Option<String>,
    /// Pattern that the body must match.
    pub matches: Option<Pattern>,
    /// Bytes of the body that are read.
    pub body_limit: usize,
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        let whole = |one: &Self| (one.url.clone(), one.socket.clone(), one.method.clone(), one.headers.clone());
        whole(self) == whole(other)
            && (&self.contains, &self.matches, &self.tls) == (&other.contains, &other.matches, &other.tls)
            && (&self.status, self.body_limit) == (&other.status, other.body_limit)
    }
}

/// Good statuses: `200`, `"200-299"`, or a list of such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![200..=299])
    }
}

impl Setting for Statuses {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        let one = |value: &Value| {
            let range = match &value.kind {
                Kind::Integer(number) => u16::try_from(*number).ok().map(|status| status..=status),
                Kind::String(text) => {
                    let (first, last) = text.split_once('-').unwrap_or((text, text));
                    first.trim().parse().ok().zip(last.trim().parse().ok()).map(|(first, last)| first..=last)
                }
                _ => None,
            };
            let is_good =
                |range: &RangeInclusive<u16>| 100 <= *range.start() && *range.end() <= 599 && !range.is_empty();
            let expected = "must be a status from 100 to 599, a range such as \"200-299\", or a list of them";
            range.filter(is_good).ok_or_else(|| (value.span, expected.to_owned()))
        };
        match &value.kind {
            Kind::Array(values) if !values.is_empty() => Ok(Self(values.iter().map(one).collect::<Result<_, _>>()?)),
            _ => Ok(Self(vec![one(value)?])),
        }
    }
}

/// A regular expression; it takes linear time, whatever it is matched with.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Setting for Pattern {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        let text = String::read(value)?;
        match Regex::new(&text) {
            Ok(regex) => Ok(Self { text, regex }),
            Err(error) => {
                let why = error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string);
                // Its last line says what is wrong; those before it draw what our caret shows.
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                Err((value.span, format!("must be a regular expression: {why}")))
            }
        }
    }
}

impl Config {
    /// Reads the keys `url`, `socket`, `method`, `headers`, `status`, `contains`, `matches` and `body_limit`, and for
    /// `https` those of TLS.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let url = section.required::<Url>(live("url"));
        let socket = section.located::<PathBuf>(live("socket"));
        if let Some(socket) = socket.as_ref().filter(|socket| !socket.value.is_absolute()) {
            section.problems().add(socket.span, "`socket` must be an absolute path");
        }
        let method = section.located::<String>(live("method")).map_or(Some(Method::GET), |said| {
            let method = said.value.parse::<Method>().ok();
            if method.is_none() {
                section.problems().add(said.span, format!("`method` must be an HTTP method, not \"{}\"", said.value));
            }
            method
        });
        let headers = read_headers(section);
        let status = section.or(live("status"), Statuses::default());
        let contains = section.optional::<String>(live("contains"));
        let matches = section.optional::<Pattern>(live("matches"));
        let body_limit = section.located::<Size>(live("body_limit")).map_or(BODY_LIMIT, |said| {
            if said.value.0 == 0 || said.value.0 > MAX_BODY_LIMIT {
                section.problems().add(said.span, "`body_limit` must be from 1 byte to 64MiB");
            }
            said.value.0
        });
        let url = url?.value;
        let tls = url.is_encrypted().then(|| Box::new(CheckTls::read(section, AlpnOffer::Http)));
        if tls.is_none() {
            for key in tls::KEYS {
                if let Some(value) = section.value(live(key)) {
                    let help = "write https:// in `url`, or leave it out";
                    section.problems().add_with_help(value.span, format!("`{key}` is for https alone"), help);
                }
            }
        }
        let socket = socket.map(|socket| socket.value);
        Some(Self { url, socket, tls, method: method?, headers, status, contains, matches, body_limit })
    }

    pub(super) fn target(&self) -> CheckTarget<'_> {
        match &self.socket {
            Some(socket) => CheckTarget::Unix(socket.clone()),
            None => CheckTarget::Host(self.url.host().into(), self.url.port()),
        }
    }

    pub(super) async fn probe(&self, stream: Stream, stage: &Stage) -> Probed {
        let Some(tls) = &self.tls else { return self.ask(stream, stage).await };
        stage.enter("no TLS handshake");
        let stream = tls.connect(self.url.host(), stream).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => self.ask_http2(stream, stage).await,
            _ => self.ask(stream, stage).await,
        }
    }

    async fn ask(&self, stream: impl AsyncRead + AsyncWrite + Unpin, stage: &Stage) -> Probed {
        stage.enter("no answer");
        let failed = |error: hyper::Error| ProbeFailure::of("no answer", &error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let exchange = async {
            let request = self.request(Version::HTTP_11)?;
            self.judge(sender.send_request(request).await.map_err(failed)?, stage).await
        };
        wire::drive(connection, exchange).await
    }

    async fn ask_http2(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, stage: &Stage) -> Probed {
        stage.enter("no answer");
        let failed = |error: hyper::Error| ProbeFailure::of("no answer", &error);
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(failed)?;
        let exchange = async {
            let request = self.request(Version::HTTP_2)?;
            self.judge(sender.send_request(request).await.map_err(failed)?, stage).await
        };
        wire::drive(connection, exchange).await
    }

    /// The name that the service has by its certificate, where that is set: servers want to be asked by it.
    fn name(&self) -> Option<String> {
        self.tls.as_ref()?.name()
    }

    fn request(&self, version: Version) -> Result<Request<Full<Bytes>>, String> {
        let uri = &self.url.uri;
        let said = |name: &HeaderName| self.headers.iter().find(|(other, _)| other == name);
        let mut request = Request::builder().method(self.method.clone()).version(version);
        if version == Version::HTTP_2 {
            // The host is part of the URL there (RFC 9113 §8.3.1).
            let host = said(&HOST).and_then(|(_, host)| host.to_str().ok()).map(str::to_owned).or_else(|| self.name());
            let authority = host.and_then(|host| host.parse().ok());
            let mut parts = uri.clone().into_parts();
            parts.authority = authority.or(parts.authority);
            request = request.uri(Uri::from_parts(parts).map_err(|error| format!("it cannot be asked: {error}"))?);
        } else {
            request = request.uri(uri.path_and_query().map_or("/", |path| path.as_str()));
            if said(&HOST).is_none() {
                let own = || uri.authority().map_or("", |authority| authority.as_str()).to_owned();
                request = request.header(HOST, self.name().unwrap_or_else(own));
            }
            if said(&CONNECTION).is_none() {
                request = request.header(CONNECTION, "close");
            }
        }
        if said(&USER_AGENT).is_none() {
            request = request.header(USER_AGENT, concat!("zonekeeper/", env!("CARGO_PKG_VERSION")));
        }
        if let Some(credentials) = self.url.credentials.as_ref().filter(|_| said(&AUTHORIZATION).is_none()) {
            request = request.header(AUTHORIZATION, credentials);
        }
        // Those of a connection have no place in HTTP/2 (RFC 9113 §8.2.2).
        let is_sent = |name: &HeaderName| version != Version::HTTP_2 || ![HOST, CONNECTION].contains(name);
        for (name, value) in self.headers.iter().filter(|(name, _)| is_sent(name)) {
            request = request.header(name, value);
        }
        request.body(Full::default()).map_err(|error| format!("it cannot be asked: {error}"))
    }

    async fn judge(&self, answer: Response<hyper::body::Incoming>, stage: &Stage) -> Probed {
        let status = answer.status();
        let to = answer.headers().get(LOCATION).filter(|_| status.is_redirection());
        let to =
            to.map(|to| format!(", to {}", kept(&shown(&String::from_utf8_lossy(to.as_bytes()))))).unwrap_or_default();
        if !self.status.0.iter().any(|good| good.contains(&status.as_u16())) {
            return Err(format!("it answers {status}{to}").into());
        }
        stage.enter("no end of its answer");
        let is_kept = self.contains.is_some() || self.matches.is_some();
        let failed = |error: hyper::Error| ProbeFailure::of("its answer breaks off", &error);
        let body = wire::read(answer.into_body(), self.body_limit, is_kept).await.map_err(failed)?;
        if is_kept { self.judge_body(&body) } else { Ok(format!("it answers {status}{to}")) }
    }

    /// The body itself is not shown: health pages have settings, and with them passwords.
    fn judge_body(&self, body: &wire::Body) -> Probed {
        let bytes = &body.bytes;
        let count = bytes.len();
        let (whole, verb) = if body.is_whole {
            (format!("its answer of {count} bytes"), "does")
        } else {
            (format!("the first {count} bytes of its answer"), "do")
        };
        if let Some(text) = self.contains.as_ref().filter(|text| find(bytes, text.as_bytes()).is_none()) {
            return Err(kept(&format!("{whole} {verb} not contain \"{text}\"")).into());
        }
        if let Some(pattern) = self.matches.as_ref().filter(|pattern| !pattern.regex.is_match(bytes)) {
            return Err(kept(&format!("{whole} {verb} not match \"{}\"", pattern.text)).into());
        }
        Ok("it answers as it should".to_owned())
    }
}

fn find(body: &[u8], text: &[u8]) -> Option<usize> {
    if text.is_empty() { Some(0) } else { body.windows(text.len()).position(|window| window == text) }
}

fn read_headers(section: &mut Section<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let Some(value) = section.value(live("headers")) else { return Vec::new() };
    let Kind::Table(table) = &value.kind else {
        section.problems().add(value.span, "`headers` must be a table of strings");
        return Vec::new();
    };
    let mut headers = Vec::new();
    for (name, span, value) in &table.entries {
        let Kind::String(text) = &value.kind else {
            section.problems().add(value.span, format!("the header `{name}` must be a string"));
            continue;
        };
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(text)) {
            (Ok(name), Ok(mut value)) => {
                // Tokens and cookies: not for a log.
                value.set_sensitive(true);
                headers.push((name, value));
            }
            (Err(_), _) => section.problems().add(*span, format!("there cannot be a header called `{name}`")),
            (_, Err(_)) => section.problems().add(value.span, format!("the header `{name}` cannot have this value")),
        }
    }
    headers
}
