//! JSON in, JSON out, and errors: `{"error_code": 40403, "message": "..."}`.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wire::ErrorCode;

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    code: u32,
    message: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, 503, message)
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 400, message)
    }

    /// A refusal of the Kafka API, by REST's numbers: 40403 is an unknown topic, 40002 what cannot be done to one.
    pub(super) fn refused(code: ErrorCode, message: Option<&str>) -> Self {
        let words = message.filter(|m| !m.is_empty()).unwrap_or(code.message());
        let (status, number) = match code {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID => {
                (StatusCode::NOT_FOUND, 40403)
            }
            ErrorCode::TOPIC_AUTHORIZATION_FAILED | ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
                (StatusCode::FORBIDDEN, 40301)
            }
            code if code.is_retriable() => (StatusCode::SERVICE_UNAVAILABLE, 50302),
            ErrorCode::UNKNOWN_SERVER_ERROR => (StatusCode::INTERNAL_SERVER_ERROR, 50002),
            _ => (StatusCode::BAD_REQUEST, 40002),
        };
        Self::new(status, number, format!("{}: {words}", code.name()))
    }

    /// `Err` unless the code is none.
    pub(super) fn check(code: ErrorCode, message: Option<&str>) -> Result<(), Self> {
        if code == ErrorCode::NONE { Ok(()) } else { Err(Self::refused(code, message)) }
    }

    pub(super) fn unread(error: wire::DecodeError) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            500,
            format!("an answer that cannot be read: {error}"),
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        say(self.status, &json!({ "error_code": self.code, "message": self.message }))
    }
}

/// JSON with its status.
pub(super) fn say(status: StatusCode, document: &Value) -> Response {
    let mut text = document.to_string();
    text.push('\n');
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// What has worked and has nothing to say.
pub(super) fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A link to another resource, as v3 phrases links. That a resource is linked does not say that it is served here.
pub(super) fn related(at: impl Into<String>) -> Value {
    json!({ "related": at.into() })
}

/// A list, as v3 phrases lists. All of it is one page.
pub(super) fn list(kind: &str, at: &str, data: Vec<Value>) -> Response {
    let document = json!({
        "kind": kind,
        "metadata": { "self": at, "next": null },
        "data": data,
    });
    say(StatusCode::OK, &document)
}

/// Reads a body. It must say that it is JSON: a page of another origin cannot send that to this address unasked.
pub(super) fn body<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<T, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|k| k.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            415,
            "the body must have the content type application/json",
        ));
    }
    let bytes = body.map_err(|e| {
        let status = e.status();
        Problem::new(status, status.as_u16().into(), e.body_text())
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Problem::bad(format!("the body cannot be read: {e}")))
}

/// Where this server is, for links: as the caller has found it.
pub(super) fn base(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    format!("http://{}", host.unwrap_or("localhost"))
}

/// One part of a path.
pub(super) fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for b in name.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}
