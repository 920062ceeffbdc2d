//! What every request says about itself: who, through which surface, under which idempotency key.

use std::sync::Arc;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use muster_domain::id::CommandId;
use muster_schemas::api::IDEMPOTENCY_KEY_HEADER;
use muster_service_kit::problem::only_header;
use muster_service_kit::{Caller, Problem, codes};
use uuid::Uuid;

use crate::service::{Original, Submitted, Who};

/// Says that the command had been carried out by an earlier request with the same key.
pub(super) const REPLAYED_HEADER: &str = "idempotency-replayed";

/// The caller and the command's id; a fresh one where the request names none.
pub(super) struct Asked {
    pub who: Who,
    pub key: CommandId,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let original = parts.extensions.get::<Arc<Original>>().cloned();
        let caller = Caller::from_request_parts(parts, state).await?;
        let key = key(&parts.headers)?.unwrap_or_else(Uuid::now_v7);
        Ok(Self { who: Who { original, ..Who::of(&caller)? }, key: CommandId(key) })
    }
}

/// The command's id, where the request names one.
fn key(headers: &HeaderMap) -> Result<Option<Uuid>, Problem> {
    let Some(value) = only_header(headers, IDEMPOTENCY_KEY_HEADER)? else { return Ok(None) };
    let key = value.to_str().ok().and_then(|text| Uuid::parse_str(text.trim()).ok());
    key.map(Some).ok_or_else(|| {
        Problem::new(codes::INVALID_ARGUMENT)
            .detail("The header Idempotency-Key must be a UUID.")
            .with("header", IDEMPOTENCY_KEY_HEADER)
    })
}

impl IntoResponse for Submitted {
    fn into_response(self) -> Response {
        let mut response = Json(self.outcome).into_response();
        if self.repeated {
            response.headers_mut().insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
        }
        response
    }
}
