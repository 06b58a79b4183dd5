//! What is served, and to whom.

use axum::{
    body::{Body, to_bytes},
    http::request::Builder,
};
use tower::ServiceExt as _;

use super::*;

/// An API that would do everything.
fn page() -> Router {
    router(Router::new().fallback(async |request: Request| request.uri().path().to_owned()))
}

async fn ask(request: Builder) -> (StatusCode, Response) {
    let response = page().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    (response.status(), response)
}

#[tokio::test]
async fn the_page_and_what_it_reads_are_served() {
    for (path, kind, content) in FILES {
        let (status, response) = ask(Request::get(*path)).await;
        assert_eq!(
            (status, &response.headers()[CONTENT_TYPE]),
            (StatusCode::OK, &HeaderValue::from_static(kind))
        );
        assert_eq!(to_bytes(response.into_body(), usize::MAX).await.unwrap(), content.as_bytes(), "{path}");
    }
    for path in READ {
        assert_eq!(ask(Request::get(*path)).await.0, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn nothing_else_of_the_api_can_be_reached() {
    for path in ["/v1/config", "/v1/services", "/v1/status", "/v1/overview/", "/v1/../v1/config", "/x"] {
        assert_eq!(ask(Request::get(path)).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        for path in ["/", "/v1/overview"] {
            let (status, _) = ask(Request::builder().method(method.clone()).uri(path)).await;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn other_pages_of_a_browser_may_not_read_it() {
    for site in ["cross-site", "same-site", "something"] {
        let (status, _) = ask(Request::get("/v1/overview").header("sec-fetch-site", site)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{site}");
    }
    for site in ["same-origin", "none"] {
        assert_eq!(ask(Request::get("/").header("sec-fetch-site", site)).await.0, StatusCode::OK, "{site}");
    }
}

#[tokio::test]
async fn browsers_are_told_to_load_nothing_from_elsewhere() {
    for path in ["/", "/app.js", "/v1/overview", "/none"] {
        let (_, response) = ask(Request::get(path)).await;
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
    }
    for (path, _, content) in FILES {
        let outside = ["https://", "http://", "//cdn", "<style", " style=", "onclick"];
        let content = content.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.iter().any(|text| content.contains(text)), "{path}");
    }
}
