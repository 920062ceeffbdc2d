//! Problem documents, and the extractors and fallbacks that answer with them.

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::Request;
use muster_service_kit::problem::{ProblemDocument, with_fallbacks};
use muster_service_kit::{Code, Config, Problem, ProblemJson, ProblemPath, ProblemQuery, codes, limits};
use serde::Deserialize;
use serde_json::json;
use utoipa::{PartialSchema, ToSchema};

use crate::support::{get as get_path, post_json, send};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    title: String,
    #[serde(default)]
    criteria: Vec<Criterion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Criterion {
    #[expect(dead_code, reason = "only its presence matters here")]
    text: String,
}

#[derive(Deserialize)]
struct Page {
    first: u32,
}

fn router() -> Router {
    let router = Router::new()
        .route(
            "/tasks",
            post(
                |ProblemJson(task): ProblemJson<Task>| async move { format!("{} {}", task.title, task.criteria.len()) },
            ),
        )
        .route("/tasks/{number}", get(|ProblemPath(number): ProblemPath<u32>| async move { number.to_string() }))
        .route("/list", get(|ProblemQuery(page): ProblemQuery<Page>| async move { page.first.to_string() }));
    let mut config = Config::default();
    config.http.max_body_bytes = 200;
    limits::standard_layers(router, &config)
}

#[tokio::test]
async fn a_good_body_is_taken() {
    let answer = post_json(&router(), "/tasks", r#"{"title":"t","criteria":[{"text":"c"}]}"#).await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "t 1");
}

#[tokio::test]
async fn text_that_is_not_json_is_malformed_at_its_place() {
    for body in ["{\n\"title\": }", "", "{\"title\":\"t\"} trailing", "\u{0}"] {
        let problem = post_json(&router(), "/tasks", body).await.problem("malformed_json");
        assert!(problem["line"].is_u64() && problem["column"].is_u64(), "{problem}");
    }
    let problem = post_json(&router(), "/tasks", "{\n\"title\": }").await.problem("malformed_json");
    assert_eq!(problem["line"], 2);
    let not_utf8 = post_json(&router(), "/tasks", b"{\"title\":\"\xff\"}".to_vec()).await;
    assert_eq!(not_utf8.status, 400);
}

#[tokio::test]
async fn an_unknown_field_is_named_with_its_path() {
    let top = post_json(&router(), "/tasks", r#"{"titel":"t"}"#).await.problem("unknown_field");
    let nested = post_json(&router(), "/tasks", r#"{"title":"t","criteria":[{"txt":"c"}]}"#).await;

    assert_eq!(top["field"], "titel");
    let nested = nested.problem("unknown_field");
    assert_eq!(nested["field"], "txt");
    assert_eq!(nested["path"], "criteria[0].txt");
}

#[tokio::test]
async fn a_missing_field_or_a_wrong_type_is_an_invalid_body() {
    let missing = post_json(&router(), "/tasks", "{}").await.problem("invalid_body");
    let wrong = post_json(&router(), "/tasks", r#"{"title":7}"#).await.problem("invalid_body");

    assert_eq!(missing["field"], "title");
    assert_eq!(wrong["path"], "title");
}

#[tokio::test]
async fn a_body_without_the_media_type_is_refused() {
    let router = router();
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")]
    {
        let mut request = Request::post("/tasks");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let answer = send(&router, request.body(Body::from(r#"{"title":"t"}"#)).unwrap()).await;
        assert_eq!(answer.status, 415);
        answer.problem("unsupported_media_type");
    }
    let request = Request::post("/tasks").header("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(send(&router, request.body(Body::from(r#"{"title":"t"}"#)).unwrap()).await.status, 200);
}

#[tokio::test]
async fn a_large_body_is_refused_whether_its_length_is_declared_or_not() {
    let body = format!(r#"{{"title":"{}"}}"#, "x".repeat(300));
    let declared = Request::post("/tasks")
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .body(Body::from(body.clone()))
        .unwrap();
    let chunks: Vec<Result<Vec<u8>, std::io::Error>> =
        body.as_bytes().chunks(50).map(|chunk| Ok(chunk.to_vec())).collect();
    let streamed = Body::from_stream(futures::stream::iter(chunks));

    for answer in [send(&router(), declared).await, post_json(&router(), "/tasks", streamed).await] {
        assert_eq!(answer.status, 413);
        assert_eq!(answer.problem("body_too_large")["limit_bytes"], 200);
    }
}

#[tokio::test]
async fn bad_path_segments_and_query_strings_are_invalid_arguments() {
    let router = router();

    get_path(&router, "/tasks/seven").await.problem("invalid_argument");
    get_path(&router, "/list?first=many").await.problem("invalid_argument");
    get_path(&router, "/list").await.problem("invalid_argument");
    assert_eq!(get_path(&router, "/tasks/7").await.text(), "7");
    assert_eq!(get_path(&router, "/list?first=7").await.text(), "7");
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    let router = router();

    let route = get_path(&router, "/nowhere").await;
    let method = get_path(&router, "/tasks").await;

    assert_eq!(route.status, 404);
    assert!(route.problem("route_not_found")["detail"].as_str().unwrap().contains("/nowhere"));
    assert_eq!(method.status, 405);
    method.problem("method_not_allowed");
    assert_eq!(method.header("allow"), "POST");
}

#[tokio::test]
async fn a_handler_answers_with_members_and_headers() {
    const OWN: Code = Code::new("own_code", 418, "A code of another crate");
    let router = with_fallbacks(
        Router::new()
            .route(
                "/conflict",
                get(|| async {
                    Problem::new(codes::SEQUENCE_MISMATCH)
                        .detail("The task is at 7.")
                        .instance("/tasks/1")
                        .with("current_sequence", 7)
                }),
            )
            .route("/busy", get(|| async { Problem::new(codes::OVERLOADED).retry_after_s(2) }))
            .route("/own", get(|| async { Problem::from(OWN) }))
            .route("/who", get(|| async { Problem::new(codes::UNAUTHENTICATED) })),
    );

    let conflict = get_path(&router, "/conflict").await;
    let document: ProblemDocument = serde_json::from_slice(&conflict.body).unwrap();
    assert_eq!(conflict.status, 409);
    assert_eq!(document.instance.as_deref(), Some("/tasks/1"));
    assert_eq!(document.extensions["current_sequence"], 7);
    assert_eq!(
        conflict.json(),
        json!({
            "type": "/docs/errors/sequence_mismatch",
            "title": codes::SEQUENCE_MISMATCH.title,
            "status": 409,
            "detail": "The task is at 7.",
            "code": "sequence_mismatch",
            "instance": "/tasks/1",
            "current_sequence": 7,
        })
    );
    assert_eq!(get_path(&router, "/busy").await.header("retry-after"), "2");
    assert_eq!(get_path(&router, "/own").await.problem("own_code")["detail"], OWN.title);
    assert!(get_path(&router, "/who").await.header("www-authenticate").starts_with("Bearer"));
}

#[test]
fn a_problem_fits_the_error_side_of_a_result() {
    assert!(size_of::<Problem>() <= 96, "{}", size_of::<Problem>());
}

#[test]
fn the_schema_shows_the_standard_members() {
    let schema = serde_json::to_value(ProblemDocument::schema()).unwrap().to_string();

    assert_eq!(ProblemDocument::name(), "Problem");
    for member in ["type", "title", "status", "detail", "code", "instance"] {
        assert!(schema.contains(&format!("\"{member}\":{{")), "{member} is missing in {schema}");
    }
    assert!(!schema.contains("\"extensions\""), "further members lie beside the standard ones: {schema}");
}
