//! Why a request failed, on its way to the caller: as a problem document over REST, as an error with `code` and `status`
//! in its extensions over GraphQL. What only the log should say never gets here.

use std::fmt;

use async_graphql::{ErrorExtensionValues, Value as GraphqlValue};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use muster_client::api::Problem as ForwardedProblem;
use muster_service_kit::problem::PROBLEM_JSON;
use muster_service_kit::{Code, Problem, codes};
use serde_json::{Map, Value};

/// A failed request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Refused here.
    Here(Problem),
    /// Refused by the command service, whose answer is passed on as it is.
    Forwarded(Box<ForwardedProblem>),
}

/// The result of everything that answers a caller.
pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    /// A refusal of that code, with what happened in words for a person.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self::Here(Problem::new(code).detail(detail))
    }

    /// The caller is no member of the project, or there is no such project: both look the same.
    pub fn forbidden() -> Self {
        Self::new(codes::FORBIDDEN, "You are not a member of this project, or it does not exist.")
    }

    /// An argument that cannot be used.
    pub fn invalid(argument: &str, reason: impl fmt::Display) -> Self {
        Self::Here(
            Problem::new(codes::INVALID_ARGUMENT).detail(format!("{argument}: {reason}.")).with("argument", argument),
        )
    }

    /// The stable code, in lower snake case.
    pub fn code(&self) -> &str {
        match self {
            Self::Here(problem) => problem.code().code,
            Self::Forwarded(problem) => &problem.code,
        }
    }

    /// `code` in upper snake case, `status`, and the problem's further members.
    pub(crate) fn graphql_extensions(&self) -> ErrorExtensionValues {
        let (status, extensions) = match self {
            Self::Here(problem) => (problem.code().status, problem.document().extensions),
            Self::Forwarded(problem) => (problem.status, problem.extensions.clone()),
        };
        values(self.code(), status, extensions)
    }
}

fn values(code: &str, status: u16, extensions: Map<String, Value>) -> ErrorExtensionValues {
    let mut values = ErrorExtensionValues::default();
    for (name, value) in extensions {
        values.set(name, GraphqlValue::from_json(value).unwrap_or_default());
    }
    values.set("code", code.to_ascii_uppercase());
    values.set("status", status);
    values
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(problem) => formatter.write_str(problem.message()),
            Self::Forwarded(problem) if problem.detail.is_empty() => formatter.write_str(&problem.title),
            Self::Forwarded(problem) => formatter.write_str(&problem.detail),
        }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Here(problem)
    }
}

impl From<muster_read_store::Error> for Fault {
    fn from(error: muster_read_store::Error) -> Self {
        Self::Here(Problem::internal(error))
    }
}

impl From<muster_client::Error> for Fault {
    fn from(error: muster_client::Error) -> Self {
        match error {
            muster_client::Error::Problem(problem) => Self::Forwarded(problem),
            muster_client::Error::Unreachable { .. } => {
                tracing::warn!(%error, "the command service does not answer");
                Self::Here(
                    Problem::new(codes::UNAVAILABLE)
                        .detail("The command service does not answer. Send the command again with the same key.")
                        .retry_after_s(1),
                )
            }
            error => Self::Here(Problem::internal(error)),
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Self::Here(problem) => problem.into_response(),
            Self::Forwarded(problem) => {
                let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
                let mut response = (status, axum::Json(*problem)).into_response();
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
                response
            }
        }
    }
}
