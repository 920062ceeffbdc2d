//! Who a request acts for: the middleware that finds out and the extractor that tells the handler.
//! It must never trust a header of an ordinary user about who they are.

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::{Authenticator, Principal};
use crate::problem::{Problem, codes, only_header};

/// An admin names the user it acts for here.
pub const ON_BEHALF_OF_HEADER: &str = "muster-on-behalf-of";
/// Where the request comes from: `tui`, `web`, `mobile`, `cli`, `orchestrator` or `agent:<role>`.
pub const SOURCE_HEADER: &str = "muster-source";

const HEADER_VALUE_MAX_BYTES: usize = 200;

/// Who a request acts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user whose rights count: the token's, or the one an admin acts for.
    pub principal: Principal,
    /// The admin that forwarded the request, if one did.
    pub forwarded_by: Option<String>,
    /// The text of `Muster-Source`, unchecked, if it was sent.
    pub source: Option<String>,
}

impl Caller {
    /// The user whose rights count.
    pub fn user(&self) -> &str {
        &self.principal.user
    }

    /// Finds the caller by the request's headers: `unauthenticated` without a known token, `forbidden` when a caller
    /// that is no admin acts for another.
    pub fn from_headers(authenticator: &Authenticator, headers: &HeaderMap) -> Result<Self, Problem> {
        let token = bearer_token(headers)?;
        let principal = authenticator
            .principal(token)
            .cloned()
            .ok_or_else(|| Problem::new(codes::UNAUTHENTICATED).detail("The bearer token is not known."))?;
        let source = text(headers, SOURCE_HEADER)?.map(str::to_owned);
        let Some(user) = text(headers, ON_BEHALF_OF_HEADER)? else {
            return Ok(Self { principal, forwarded_by: None, source });
        };
        if user == principal.user {
            return Ok(Self { principal, forwarded_by: None, source });
        }
        if !principal.admin {
            return Err(Problem::new(codes::FORBIDDEN)
                .detail(format!("{} may not act for {user}: only an admin's token may.", principal.user)));
        }
        let acted_for = Principal { user: user.to_owned(), admin: authenticator.is_admin(user) };
        Ok(Self { principal: acted_for, forwarded_by: Some(principal.user), source })
    }
}

fn bearer_token(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing =
        || Problem::new(codes::UNAUTHENTICATED).detail("Send the token in the header `Authorization: Bearer <token>`.");
    let value = only_header(headers, AUTHORIZATION.as_str())?.ok_or_else(missing)?.to_str().map_err(|_| missing())?;
    let (scheme, token) = value.split_once(' ').ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(missing()) }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let Some(value) = only_header(headers, name)? else { return Ok(None) };
    let value = value.to_str().ok().map(str::trim).filter(|value| value.len() <= HEADER_VALUE_MAX_BYTES);
    match value {
        Some("") => Ok(None),
        Some(value) => Ok(Some(value)),
        None => Err(Problem::new(codes::INVALID_ARGUMENT)
            .detail(format!("The header {name} must be printable ASCII of at most {HEADER_VALUE_MAX_BYTES} bytes."))
            .with("header", name)),
    }
}

/// Middleware: only a request with a known token passes, and its handler finds the [`Caller`].
/// `router.layer(axum::middleware::from_fn_with_state(authenticator, require_caller))`
pub async fn require_caller(State(authenticator): State<Authenticator>, mut request: Request, next: Next) -> Response {
    match Caller::from_headers(&authenticator, request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    /// The caller that [`require_caller`] found; a route outside of it refuses everyone.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::new(codes::UNAUTHENTICATED).detail("This route needs a token."))
    }
}
