//! Extractors whose refusals are problem documents: JSON bodies, query strings, path segments.
//! They must never accept more than the type says, nor guess at a type that was not sent.

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;

use super::{Problem, codes, read_body};
use crate::json::parse_json;

/// The bytes of a body that is sent as JSON.
#[derive(Debug, Clone, Default)]
pub struct ProblemBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for ProblemBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        if !is_json(only_header(request.headers(), CONTENT_TYPE.as_str())?) {
            return Err(Problem::new(codes::UNSUPPORTED_MEDIA_TYPE)
                .detail("Send the body as JSON with the header `Content-Type: application/json`."));
        }
        let encoding = only_header(request.headers(), CONTENT_ENCODING.as_str())?;
        if encoding.is_some_and(|encoding| encoding != "identity") {
            return Err(Problem::new(codes::UNSUPPORTED_MEDIA_TYPE)
                .detail("Send the body as it is: a `Content-Encoding` is not understood."));
        }
        let limit = request.extensions().get().copied();
        read_body(request.into_body(), limit, |_| Ok(())).await.map(Self)
    }
}

/// The value of a header that counts once: of two it would be anyone's guess which is meant, and whoever stands between
/// the caller and this process may guess otherwise.
pub fn only_header<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h HeaderValue>, Problem> {
    let mut given = headers.get_all(name).iter();
    let first = given.next();
    match given.next() {
        None => Ok(first),
        Some(_) => Err(Problem::new(codes::INVALID_ARGUMENT)
            .detail(format!("The header {name} is given more than once."))
            .with("header", name)),
    }
}

/// A JSON body. `T` should carry `#[serde(deny_unknown_fields)]`, or unknown fields are passed over.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ProblemJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let ProblemBytes(bytes) = ProblemBytes::from_request(request, state).await?;
        parse_json(&bytes).map(Self)
    }
}

/// `application/json` or `application/<anything>+json`, with or without parameters.
fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let Some(value) = content_type.and_then(|value| value.to_str().ok()) else { return false };
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
