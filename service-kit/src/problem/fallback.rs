//! What answers when no handler does: unknown routes and methods. It must never be reached by a route that exists.

use axum::Router;
use http::{Method, Uri};

use super::{Problem, codes};

/// Adds problem documents for unknown routes (404) and for methods a route does not allow (405).
/// Call it after the routes are added: the method fallback covers the routes present at that time.
pub fn with_fallbacks<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.fallback(route_not_found).method_not_allowed_fallback(method_not_allowed)
}

async fn route_not_found(method: Method, uri: Uri) -> Problem {
    Problem::new(codes::ROUTE_NOT_FOUND).detail(format!("Nothing answers {method} {}.", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(codes::METHOD_NOT_ALLOWED).detail(format!("{} does not allow {method}.", uri.path()))
}
