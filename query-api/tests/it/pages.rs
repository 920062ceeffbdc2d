//! The playground and the dashboard, which work without a network.

use std::path::Path;

use muster_service_kit::codes;
use serde_json::{Value, json};

use crate::support::{Server, World};

/// Attributes and statements that make a browser load something.
const LOADS: [&str; 6] = ["src=\"", "href=\"", "from \"", "import(\"", "url(", "fetch(\""];

fn loaded(text: &str) -> Vec<String> {
    LOADS
        .iter()
        .flat_map(|start| text.split(start).skip(1))
        .map(|rest| rest.split(['"', ')']).next().unwrap_or_default().to_owned())
        .filter(|target| !target.starts_with("data:"))
        .collect()
}

#[tokio::test]
async fn pages_load_only_what_the_service_itself_serves() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    for page in ["/", "/graphiql"] {
        let response = server.http.get(format!("{}{page}", server.url)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"));
        let html = response.text().await.unwrap();
        let targets = loaded(&html);
        assert!(targets.len() > 4, "{targets:?}");
        for target in targets {
            assert!(target.starts_with('/') && !target.starts_with("//"), "{page} loads {target}");
            let response = server.http.get(format!("{}{target}", server.url)).send().await.unwrap();
            assert_eq!(response.status(), 200, "{page} loads {target}");
            let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
            assert!(!media_type.starts_with("application/octet"), "{target}: {media_type}");
        }
    }
}

#[tokio::test]
async fn our_scripts_and_styles_name_no_other_host_and_import_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dashboard = root.join("../dashboard/public");
    let mut files = vec![root.join("assets/playground/page.js"), root.join("assets/playground/page.css")];
    for folder in [dashboard.clone(), dashboard.join("js")] {
        files.extend(
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()),
        );
    }
    assert!(files.len() > 8);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for target in loaded(&text) {
            let here = target.starts_with('/') || file.parent().unwrap().join(&target).is_file();
            assert!(here && !target.starts_with("//"), "{} loads {target:?}", file.display());
        }
    }
    // The one style sheet that is not ours carries its fonts with it.
    let css = std::fs::read_to_string(root.join("assets/playground/vendor/graphiql.css")).unwrap();
    assert_eq!(loaded(&css), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_known_is_not_sent_again_and_what_is_not_there_is_missing() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let url = format!("{}/graphiql/assets/page.js", server.url);
    let response = server.http.get(&url).send().await.unwrap();
    let tag = response.headers()["etag"].clone();
    assert_eq!(server.http.get(&url).header("if-none-match", tag).send().await.unwrap().status(), 304);
    for missing in ["/app/none.js", "/graphiql/assets/../README.md", "/graphiql/assets/vendor.sh"] {
        let response = server.http.get(format!("{}{missing}", server.url)).send().await.unwrap();
        assert_eq!(response.status(), 404, "{missing}");
    }
    let browser = server.http.get(format!("{}/graphql", server.url)).header("accept", "text/html");
    let response = browser.send().await.unwrap();
    assert_eq!(response.url().path(), "/graphiql");
}

#[tokio::test]
async fn the_type_of_every_problem_leads_to_its_page() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    for code in codes::CODES {
        let response = server.http.get(format!("{}/docs/errors/{}", server.url, code.code)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{}", code.code);
        assert_eq!(response.headers()["content-type"], "text/markdown; charset=utf-8");
        assert!(response.text().await.unwrap().starts_with(&format!("# {}\n", code.code)));
    }
    let problem: Value = server.get("ada", "/events/x").await.json().await.unwrap();
    let page = problem["type"].as_str().unwrap();
    assert_eq!(server.http.get(format!("{}{page}", server.url)).send().await.unwrap().status(), 200);
    for unknown in ["nothing", "..%2FREADME", "..%2F..%2FCargo.toml"] {
        let response = server.http.get(format!("{}/docs/errors/{unknown}", server.url)).send().await.unwrap();
        assert_eq!(response.status(), 404, "{unknown}");
        assert_eq!(response.json::<Value>().await.unwrap()["code"], json!("route_not_found"));
    }
}
