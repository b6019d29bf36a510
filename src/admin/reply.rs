//! Answers of the admin server, and refusals.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::json;
use super::query::BadQuery;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const JSON: &str = "application/json";

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
        as_json(self.0, &json::ErrorJson::new(&self.1))
    }
}

pub(super) fn text(status: StatusCode, body: String) -> Response {
    answer(status, TEXT, body)
}

pub(super) fn as_json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(body) => answer(status, JSON, body + "\n"),
        Err(failed) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the answer as JSON: {failed}\n")),
    }
}

/// Every answer is about this moment: none may be kept.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    (status, [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")], body.into()).into_response()
}
