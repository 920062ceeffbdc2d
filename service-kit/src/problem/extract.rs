//! Extractors whose refusals are problem documents: JSON bodies, query strings, path segments.
//! They must never accept more than the type says, nor guess at a type that was not sent.

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::{Problem, codes};
use crate::limits::BodyLimit;

/// A JSON body. `T` should carry `#[serde(deny_unknown_fields)]`, or unknown fields are passed over.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ProblemJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(codes::UNSUPPORTED_MEDIA_TYPE)
                .detail("Send the body as JSON with the header `Content-Type: application/json`."));
        }
        let limit = request.extensions().get::<BodyLimit>().copied();
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                BodyLimit::problem(limit)
            } else {
                Problem::new(codes::INVALID_BODY).detail("The body ended early or could not be read.")
            }
        })?;
        parse_json(&bytes).map(Self)
    }
}

/// Parses a JSON body as [`ProblemJson`] does, for handlers that need the raw bytes as well.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        json_problem(error.inner(), &path)
    })?;
    deserializer.end().map_err(|error| json_problem(&error, "."))?;
    Ok(value)
}

fn json_problem(error: &serde_json::Error, path: &str) -> Problem {
    let message = error.to_string();
    if error.classify() != Category::Data {
        let problem = Problem::new(codes::MALFORMED_JSON).detail(format!("Not valid JSON: {message}."));
        return problem.with("line", error.line()).with("column", error.column());
    }
    let located = |problem: Problem| if path == "." { problem } else { problem.with("path", path) };
    if let Some(field) = quoted_after(&message, "unknown field `") {
        return located(Problem::new(codes::UNKNOWN_FIELD).detail(format!("{message}."))).with("field", field);
    }
    let problem = located(Problem::new(codes::INVALID_BODY).detail(format!("{message}.")));
    match quoted_after(&message, "missing field `") {
        Some(field) => problem.with("field", field),
        None => problem,
    }
}

fn quoted_after<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message.strip_prefix(start)?.split('`').next()
}

/// `application/json` or `application/<anything>+json`, with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some(subtype) = essence.strip_prefix("application/") else { return false };
    subtype == "json" || subtype.ends_with("+json")
}

/// Segments of the path; a refusal is `invalid_argument`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ProblemPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                Err(Problem::new(codes::INVALID_ARGUMENT).detail(error.body_text()))
            }
            Err(error) => Err(Problem::internal(error)),
        }
    }
}

/// The query string; a refusal is `invalid_argument`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ProblemQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Query::<T>::from_request_parts(parts, state)
            .await
            .map(|Query(value)| Self(value))
            .map_err(|error: QueryRejection| Problem::new(codes::INVALID_ARGUMENT).detail(error.body_text()))
    }
}
