//! Answers of the admin server, and refusals.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::query::BadQuery;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const JSON: &str = "application/json";

pub(super) const PROBLEM: &str = "application/problem+json";

/// An error, as a problem document (RFC 9457), and what there is instead.
#[derive(Debug, Serialize)]
struct ProblemJson<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    /// The same as `detail`, by the name that it had first.
    error: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    endpoints: &'a [&'a str],
}

/// A request that gets no answer, and why.
pub(super) struct Refusal(pub(super) StatusCode, pub(super) String);

impl Refusal {
    pub(super) fn not_found(message: String) -> Self {
        Self(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn bad(message: String) -> Self {
        Self(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn failed(message: String) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

impl From<BadQuery> for Refusal {
    fn from(bad: BadQuery) -> Self {
        Self(StatusCode::BAD_REQUEST, bad.to_string())
    }
}

impl From<PathRejection> for Refusal {
    fn from(bad: PathRejection) -> Self {
        Self(StatusCode::BAD_REQUEST, bad.body_text())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        problem(self.0, &self.1, &[])
    }
}

pub(super) fn text(status: StatusCode, body: String) -> Response {
    answer(status, TEXT, body)
}

/// A problem document; `endpoints` are those that can be asked for instead.
pub(super) fn problem(status: StatusCode, detail: &str, endpoints: &[&str]) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let code = status.as_u16();
    let document = ProblemJson { r#type: "about:blank", title, status: code, detail, error: detail, endpoints };
    written(status, PROBLEM, &document)
}

pub(super) fn as_json(status: StatusCode, value: &impl Serialize) -> Response {
    written(status, JSON, value)
}

fn written(status: StatusCode, content_type: &'static str, value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(body) => answer(status, content_type, body + "\n"),
        Err(failed) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the answer as JSON: {failed}\n")),
    }
}

/// Every answer is about this moment: none may be kept.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    (status, [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")], body.into()).into_response()
}
