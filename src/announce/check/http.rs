//! The check `http`: whether a URL answers with the expected status and, where that is asked, with a body that says so.
//!
//! HTTP/1.1 on a connection of its own each time, as a new client would come. Redirects are answers, not followed.
//! With `https` in the URL it goes over TLS, see [`super::tls`].

use std::ops::RangeInclusive;

use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Uri};
use hyper_util::rt::TokioIo;
use regex_automata::meta::Regex;
use tokio::io::{AsyncRead, AsyncWrite};

use super::outcome::{Failure, Probed};
use super::target::{Stream, Target};
use super::tls::{self, Tls};
use super::wire::{self, Once};
use super::{Stage, kept};
use crate::settings::{Kind, Section, Setting, Span, Value};

/// Bytes of an answer's body that are looked at.
const LOOKED_AT: usize = 64 * 1024;

/// What to ask, and which answers are good.
#[derive(Debug, Clone)]
pub struct Config {
    /// The URL; `http` or `https` always.
    pub url: Uri,
    /// How it is encrypted, where it is.
    pub tls: Option<Box<Tls>>,
    /// The method.
    pub method: Method,
    /// Headers to send beside those that every request has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Good statuses.
    pub status: Statuses,
    /// What the body must hold.
    pub contains: Option<String>,
    /// What the body must match.
    pub matches: Option<Pattern>,
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        let whole = |one: &Self| (one.url.clone(), one.method.clone(), one.headers.clone(), one.status.clone());
        whole(self) == whole(other)
            && (&self.contains, &self.matches, &self.tls) == (&other.contains, &other.matches, &other.tls)
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

/// A URL that can be checked.
struct Url(Uri);

impl Setting for Url {
    fn read(value: &Value) -> Result<Self, (Span, String)> {
        let text = String::read(value)?;
        let url: Uri = text.parse().map_err(|error| (value.span, format!("must be a URL: {error}")))?;
        match (url.scheme_str(), url.host()) {
            (Some("https"), Some(host)) if tls::server_name(bare(host)).is_none() => {
                Err((value.span, format!("has a host that no certificate can be for: \"{host}\"")))
            }
            (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(Self(url)),
            _ => Err((value.span, "must be a URL such as \"http://127.0.0.1:8080/health\"".to_owned())),
        }
    }
}

impl Config {
    /// Reads the keys `url`, `method`, `headers`, `status`, `contains` and `matches`, and for `https` `verify` and `ca`.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let url = section.required::<Url>("url");
        let method = section.located::<String>("method").map_or(Some(Method::GET), |said| {
            let method = said.value.parse::<Method>().ok();
            if method.is_none() {
                section.problems().add(said.span, format!("`method` must be an HTTP method, not \"{}\"", said.value));
            }
            method
        });
        let headers = read_headers(section);
        let status = section.or("status", Statuses::default());
        let contains = section.optional::<String>("contains");
        let matches = section.optional::<Pattern>("matches");
        let url = url?.value.0;
        let tls = (url.scheme_str() == Some("https")).then(|| Box::new(Tls::read(section)));
        if tls.is_none() {
            for key in ["verify", "ca"] {
                if let Some(value) = section.value(key) {
                    let help = "write https:// in `url`, or leave it out";
                    section.problems().add_with_help(value.span, format!("`{key}` is for https alone"), help);
                }
            }
        }
        Some(Self { url, tls, method: method?, headers, status, contains, matches })
    }

    pub(super) fn target(&self) -> Option<Target<'_>> {
        let port = self.url.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        Some(Target::Host(bare(self.url.host()?).into(), port))
    }

    pub(super) async fn probe(&self, stream: Stream, stage: &Stage) -> Probed {
        let host = bare(self.url.host().unwrap_or_default());
        stage.enter(if self.tls.is_some() { "no TLS handshake" } else { "no answer" });
        match &self.tls {
            None => self.ask(stream, stage).await,
            Some(tls) => self.ask(tls.connect(host, stream).await?, stage).await,
        }
    }

    async fn ask(&self, stream: impl AsyncRead + AsyncWrite + Unpin, stage: &Stage) -> Probed {
        stage.enter("no answer");
        let failed = |error: hyper::Error| Failure::of("no answer", &error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let exchange = async {
            let answer = sender.send_request(self.request()?).await.map_err(failed)?;
            let status = answer.status();
            if !self.status.0.iter().any(|good| good.contains(&status.as_u16())) {
                return Err(format!("it answers {status}").into());
            }
            if self.contains.is_none() && self.matches.is_none() {
                return Ok(format!("it answers {status}"));
            }
            let (body, _) = wire::read(answer.into_body(), LOOKED_AT).await.map_err(failed)?;
            self.judge(&body)
        };
        wire::drive(connection, exchange).await
    }

    fn request(&self) -> Result<Request<Once>, String> {
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder().method(self.method.clone()).uri(path);
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let own =
            [(HOST, host), (CONNECTION, "close"), (USER_AGENT, concat!("zonekeeper/", env!("CARGO_PKG_VERSION")))];
        for (name, value) in own.into_iter().filter(|(name, _)| !self.headers.iter().any(|(said, _)| said == name)) {
            request = request.header(name, value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Once::default()).map_err(|error| format!("it cannot be asked: {error}"))
    }

    fn judge(&self, body: &[u8]) -> Probed {
        if let Some(text) = self.contains.as_ref().filter(|text| find(body, text.as_bytes()).is_none()) {
            let body = kept(&String::from_utf8_lossy(body));
            return Err(format!("its answer does not contain \"{text}\": {body}").into());
        }
        if let Some(pattern) = self.matches.as_ref().filter(|pattern| !pattern.regex.is_match(body)) {
            let body = kept(&String::from_utf8_lossy(body));
            return Err(format!("its answer does not match \"{}\": {body}", pattern.text).into());
        }
        Ok("it answers as it should".to_owned())
    }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn find(body: &[u8], text: &[u8]) -> Option<usize> {
    if text.is_empty() { Some(0) } else { body.windows(text.len()).position(|window| window == text) }
}

fn read_headers(section: &mut Section<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let Some(value) = section.value("headers") else { return Vec::new() };
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
            (Ok(name), Ok(value)) => headers.push((name, value)),
            (Err(_), _) => section.problems().add(*span, format!("there cannot be a header called `{name}`")),
            (_, Err(_)) => section.problems().add(value.span, format!("the header `{name}` cannot have this value")),
        }
    }
    headers
}
