//! Middleware: a request whose handler finds that the partition is another instance's goes there as it came.
//! It must never pass on what was passed on, nor believe that of anyone but an instance, nor trust such a request more than
//! any other.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next as Inner;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use muster_schemas::api::IDEMPOTENCY_KEY_HEADER;
use muster_service_kit::Problem;
use muster_service_kit::problem::read_body;
use uuid::Uuid;

use crate::problem::too_many_bytes;
use crate::room::Taken;
use crate::service::{
    CommandService, Elsewhere, FORWARDED_HEADER, Journey, NOT_OWNER_HEADER, NOT_OWNER_IN_DOUBT, Next, OWNER_HEADER,
    Original,
};

/// Handles a request here, or passes it on; again while the partition changes hands.
pub(super) async fn answer_here_or_pass_on(
    State(service): State<CommandService>,
    request: Request,
    handler: Inner,
) -> Response {
    let was_passed_on = request.headers().contains_key(FORWARDED_HEADER);
    if was_passed_on && !service.is_instance(request.headers()) {
        return super::internal::refused();
    }
    let mut room = service.room();
    let (original, extensions) = match read(request, &mut room).await {
        Ok(read) => read,
        Err(problem) => return problem.into_response(),
    };
    let mut journey = Journey::default();
    loop {
        let mut response = handler.clone().run(original.request(&extensions)).await;
        let Some(elsewhere) = response.extensions().get::<Elsewhere>().copied() else {
            if let Ok(url) = HeaderValue::from_str(service.url()) {
                response.headers_mut().entry(OWNER_HEADER).or_insert(url);
            }
            return journey.answer(response);
        };
        if was_passed_on {
            let value = if elsewhere.in_doubt { NOT_OWNER_IN_DOUBT } else { "true" };
            response.headers_mut().insert(NOT_OWNER_HEADER, HeaderValue::from_static(value));
            return response;
        }
        // Rare, and large: kept out of what each request moves about.
        match Box::pin(service.pass_on_to_owner(&original, elsewhere, &mut journey)).await {
            Ok(Next::Here) => {}
            Ok(Next::Answered(response)) => return journey.answer(response),
            Err(problem) => return problem.into_response(),
        }
    }
}

/// The request with its whole body, and with an idempotency key: sent to another instance after it was sent to one, it
/// must still be carried out once. Its body is in `room` from the first byte: of many that come slowly none would be
/// whole, and all of them would be kept.
async fn read(request: Request, room: &mut Taken) -> Result<(Arc<Original>, http::Extensions), Problem> {
    let (parts, body) = request.into_parts();
    let http::request::Parts { method, uri, mut headers, extensions, .. } = parts;
    let keep = |bytes| if room.grow(bytes) { Ok(()) } else { Err(too_many_bytes()) };
    let body = read_body(body, extensions.get().copied(), keep).await?;
    if !headers.contains_key(IDEMPOTENCY_KEY_HEADER) {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = Uuid::now_v7().hyphenated().encode_lower(&mut text);
        if let Ok(key) = HeaderValue::from_str(text) {
            headers.insert(IDEMPOTENCY_KEY_HEADER, key);
        }
    }
    Ok((Arc::new(Original { method, uri, headers, body }), extensions))
}
