//! Who passes, as whom, and who is refused.

use std::fs;

use axum::body::Body;
use axum::routing::get;
use axum::{Router, middleware};
use http::{HeaderMap, Request};
use muster_service_kit::auth::{self, INSTANCE_TOKEN_HEADER, InstanceToken, require_caller};
use muster_service_kit::config::{AuthConfig, TokenConfig};
use muster_service_kit::{Authenticator, Caller, Principal};

use crate::support::{Answer, get as get_path, send};

fn principal(user: &str, admin: bool) -> Principal {
    Principal { user: user.to_owned(), admin }
}

fn authenticator() -> Authenticator {
    Authenticator::new([
        ("alice-token".to_owned(), principal("alice", false)),
        ("service-token".to_owned(), principal("query-api", true)),
        ("root-token".to_owned(), principal("root", true)),
    ])
    .unwrap()
}

fn router() -> Router {
    Router::new()
        .route(
            "/whoami",
            get(|caller: Caller| async move {
                let Caller { principal: Principal { user, admin }, forwarded_by, source } = caller;
                format!("{user} {admin} {forwarded_by:?} {source:?}")
            }),
        )
        .layer(middleware::from_fn_with_state(authenticator(), require_caller))
}

async fn whoami(headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get("/whoami");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(&router(), request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_known_token_gives_its_principal_and_source() {
    let answer = whoami(&[("authorization", "Bearer alice-token"), ("muster-source", "agent:coder")]).await;

    assert_eq!(answer.text(), r#"alice false None Some("agent:coder")"#);
}

#[tokio::test]
async fn without_a_known_token_nobody_passes() {
    let attempts: [&[(&str, &str)]; 5] = [
        &[],
        &[("authorization", "Bearer nobody")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Basic alice-token")],
        &[("authorization", "alice-token")],
    ];
    for headers in attempts {
        let answer = whoami(headers).await;
        assert_eq!(answer.status, 401, "{headers:?}");
        answer.problem("unauthenticated");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
}

#[tokio::test]
async fn without_configured_tokens_everyone_is_refused() {
    let nobody = Authenticator::from_config(&AuthConfig::default()).unwrap();

    assert!(nobody.is_empty());
    assert_eq!(nobody.principal(""), None);
}

#[tokio::test]
async fn an_admin_acts_for_another_with_that_users_rights() {
    let for_alice = whoami(&[("authorization", "Bearer service-token"), ("muster-on-behalf-of", "alice")]).await;
    let for_root = whoami(&[("authorization", "Bearer service-token"), ("muster-on-behalf-of", "root")]).await;
    let for_stranger = whoami(&[("authorization", "Bearer service-token"), ("muster-on-behalf-of", "eve")]).await;

    assert_eq!(for_alice.text(), r#"alice false Some("query-api") None"#);
    assert_eq!(for_root.text(), r#"root true Some("query-api") None"#);
    assert_eq!(for_stranger.text(), r#"eve false Some("query-api") None"#);
}

#[tokio::test]
async fn whoever_says_twice_who_they_are_is_refused() {
    let service = ("authorization", "Bearer service-token");
    let alice = ("muster-on-behalf-of", "alice");
    for headers in [
        &[service, ("authorization", "Bearer alice-token")][..],
        &[service, alice, ("muster-on-behalf-of", "root")],
        &[service, alice, alice],
        &[service, ("muster-source", "cli"), ("muster-source", "web")],
    ] {
        let answer = whoami(headers).await;
        assert_eq!(answer.status, 400, "{headers:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn an_ordinary_user_acts_for_nobody_else() {
    let other = whoami(&[("authorization", "Bearer alice-token"), ("muster-on-behalf-of", "root")]).await;
    let own = whoami(&[("authorization", "Bearer alice-token"), ("muster-on-behalf-of", "alice")]).await;

    assert_eq!(other.status, 403);
    other.problem("forbidden");
    assert_eq!(own.text(), "alice false None None");
}

#[tokio::test]
async fn a_header_that_is_too_long_is_refused() {
    let long = "x".repeat(201);
    let answer = whoami(&[("authorization", "Bearer alice-token"), ("muster-source", &long)]).await;

    assert_eq!(answer.problem("invalid_argument")["header"], "muster-source");
}

#[tokio::test]
async fn a_route_outside_the_middleware_refuses_a_handler_that_needs_a_caller() {
    let router = Router::new().route("/", get(|caller: Caller| async move { caller.user().to_owned() }));

    get_path(&router, "/").await.problem("unauthenticated");
}

#[test]
fn an_instance_is_known_by_the_secret_it_shares() {
    let config = AuthConfig { instance_token: Some("shared-by-the-instances".into()), ..AuthConfig::default() };
    let [one, two] = [(); 2].map(|()| InstanceToken::from_config(&config).unwrap());
    let mut headers = HeaderMap::new();
    assert!(!one.is_in(&headers));
    two.put_into(&mut headers);
    assert!(one.is_in(&headers) && !InstanceToken::random().is_in(&headers));
    for other in ["", "shared-by-the-instance", "shared-by-the-instances-", "\u{e9}"] {
        headers.insert(INSTANCE_TOKEN_HEADER, other.parse().unwrap());
        assert!(!one.is_in(&headers), "{other}");
    }
    assert!(InstanceToken::from_config(&AuthConfig::default()).is_none());
    assert_eq!(format!("{one:?}"), "InstanceToken");
}

#[test]
fn tokens_come_from_files_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "file-token\n").unwrap();
    let entry = |path: &std::path::Path| AuthConfig {
        tokens: vec![TokenConfig { token: None, token_file: Some(path.to_owned()), user: "bob".into(), admin: false }],
        ..AuthConfig::default()
    };

    let authenticator = Authenticator::from_config(&entry(&path)).unwrap();
    assert_eq!(authenticator.principal("file-token"), Some(&principal("bob", false)));

    let absent = Authenticator::from_config(&entry(&dir.path().join("absent"))).unwrap_err();
    assert!(matches!(absent, auth::Error::TokenFile { .. }), "{absent}");
    fs::write(&path, " \n").unwrap();
    let empty = Authenticator::from_config(&entry(&path)).unwrap_err();
    assert!(matches!(empty, auth::Error::EmptyToken { .. }), "{empty}");
}

#[test]
fn one_token_cannot_stand_for_two_users() {
    let tokens = [("t".to_owned(), principal("a", false)), ("t".to_owned(), principal("b", true))];

    let error = Authenticator::new(tokens).unwrap_err();

    assert!(matches!(error, auth::Error::SharedToken { .. }), "{error}");
}

#[test]
fn debug_shows_users_and_no_token() {
    let shown = format!("{:?}", authenticator());

    assert!(shown.contains("alice"));
    assert!(!shown.contains("alice-token"));
}
