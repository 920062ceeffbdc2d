//! RFC 9457 problem documents: what a caller reads when a request fails. They must never carry what only the log should
//! say: [`Problem::internal`] writes the cause to the log and tells the caller the request id.

mod body;
pub mod codes;
mod extract;
mod fallback;

use std::fmt;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub use body::read_body;
pub use codes::Code;
pub use extract::{ProblemBytes, ProblemJson, ProblemPath, ProblemQuery, only_header};
pub use fallback::with_fallbacks;

use crate::limits;

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The problem document on the wire: what clients parse and OpenAPI shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Relative reference of the page that explains the code: `/docs/errors/<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short, the same for each occurrence of the code.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened this time, for a person.
    pub detail: String,
    /// Stable, for a program.
    pub code: String,
    /// What it happened to, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Further members by code, such as `field`, `current_sequence` or `limit_bytes`.
    #[serde(flatten)]
    #[schema(additional_properties)]
    pub extensions: Map<String, Value>,
}

/// A failed request, on its way to become a [`ProblemDocument`]. Small, so it fits the error side of a `Result`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    detail: Option<String>,
    more: Option<Box<More>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct More {
    instance: Option<String>,
    retry_after_s: Option<u32>,
    extensions: Map<String, Value>,
}

impl Problem {
    /// A problem of that code, whose detail is the code's title until [`Problem::detail`] says more.
    pub fn new(code: Code) -> Self {
        Self { code, detail: None, more: None }
    }

    /// `internal`: the cause goes to the log at error level, the caller gets the request id to quote.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(%cause, "request failed inside the service");
        let problem = Self::new(codes::INTERNAL)
            .detail("The service failed while handling the request; its log holds the cause under the request id.");
        match limits::current_request_id() {
            Some(id) => problem.with("request_id", id),
            None => problem,
        }
    }

    /// What happened this time, for a person.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// What it happened to, as a relative reference.
    #[must_use]
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.more_mut().instance = Some(instance.into());
        self
    }

    /// A further member. A name of the standard members is refused in debug builds and passed over otherwise.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let standard = ["type", "title", "status", "detail", "code", "instance"].contains(&name);
        debug_assert!(!standard, "`{name}` is a standard member of a problem document");
        if !standard {
            self.more_mut().extensions.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Tells the caller when to try again (`Retry-After`), in seconds.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u32) -> Self {
        self.more_mut().retry_after_s = Some(seconds);
        self
    }

    /// The code, for decisions and tests.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The detail, or the title where there is none.
    pub fn message(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.code.title)
    }

    /// A further member by name.
    pub fn extension(&self, name: &str) -> Option<&Value> {
        self.more.as_ref()?.extensions.get(name)
    }

    /// The document that goes to the caller.
    pub fn document(&self) -> ProblemDocument {
        let more = self.more.as_deref().cloned().unwrap_or_default();
        ProblemDocument {
            kind: format!("/docs/errors/{}", self.code.code),
            title: self.code.title.to_owned(),
            status: self.code.status,
            detail: self.message().to_owned(),
            code: self.code.code.to_owned(),
            instance: more.instance,
            extensions: more.extensions,
        }
    }

    fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_with(Box::default)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.code, self.message())
    }
}

impl std::error::Error for Problem {}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self.document())).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if self.code == codes::UNAUTHENTICATED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"muster\""));
        }
        if let Some(seconds) = self.more.as_ref().and_then(|more| more.retry_after_s) {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
