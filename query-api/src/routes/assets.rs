//! Files that are part of the program: the playground, the dashboard and the pages of errors. No page loads anything from another host, and
//! the policy sent with each makes browsers refuse to.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};
use muster_service_kit::{Problem, codes};
use rust_embed::{Embed, EmbeddedFile};

use super::Service;

const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Embed)]
#[folder = "assets/playground"]
struct Playground;

#[derive(Embed)]
#[folder = "../dashboard/public"]
struct Dashboard;

/// What the `type` of a problem leads to.
#[derive(Embed)]
#[folder = "../docs/errors"]
struct ErrorPages;

/// The routes.
pub fn routes() -> Router<Service> {
    Router::new()
        .route("/", get(|headers: HeaderMap| async move { file(Dashboard::get("index.html"), "index.html", &headers) }))
        .route("/app/{*path}", get(dashboard))
        .route("/graphiql", get(|headers: HeaderMap| async move { playground_file("graphiql.html", &headers) }))
        .route("/graphiql/", get(|| async { Redirect::permanent("/graphiql") }))
        .route("/graphiql/assets/{*path}", get(playground))
        .route("/docs/errors/{code}", get(error_page))
}

async fn playground(Path(path): Path<String>, headers: HeaderMap) -> Response {
    playground_file(&path, &headers)
}

fn playground_file(path: &str, headers: &HeaderMap) -> Response {
    file(Playground::get(path), path, headers)
}

async fn dashboard(Path(path): Path<String>, headers: HeaderMap) -> Response {
    file(Dashboard::get(&path), &path, &headers)
}

/// The page of an error; pages name each other with their ending.
async fn error_page(Path(code): Path<String>, headers: HeaderMap) -> Response {
    let path = format!("{}.md", code.strip_suffix(".md").unwrap_or(&code));
    file(ErrorPages::get(&path), &path, &headers)
}

fn file(found: Option<EmbeddedFile>, path: &str, headers: &HeaderMap) -> Response {
    let Some(found) = found else {
        return Problem::new(codes::ROUTE_NOT_FOUND).detail("There is no such file.").into_response();
    };
    let tag = format!("\"{}\"", hex(&found.metadata.sha256_hash()));
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let always = [(CACHE_CONTROL, "no-cache"), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer")];
    if known == Some(tag.as_str()) {
        return (StatusCode::NOT_MODIFIED, always, [(ETAG, tag)]).into_response();
    }
    let described = [(CONTENT_TYPE, media_type(path)), (CONTENT_SECURITY_POLICY, POLICY)];
    (always, described, [(ETAG, tag)], found.data).into_response()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().take(16).fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("md") => "text/markdown; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}
