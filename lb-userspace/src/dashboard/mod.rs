//! The dashboard: a page for browsers on this machine, and the part of the API that it reads. Nothing can be changed by it.

#[cfg(test)]
mod tests;

use axum::{
    Router,
    extract::Request,
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};

/// The files of the page: path, type, content.
const FILES: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("assets/index.html")),
    ("/app.css", "text/css; charset=utf-8", include_str!("assets/app.css")),
    ("/app.js", SCRIPT, include_str!("assets/app.js")),
    ("/charts.js", SCRIPT, include_str!("assets/charts.js")),
    ("/format.js", SCRIPT, include_str!("assets/format.js")),
    ("/rates.js", SCRIPT, include_str!("assets/rates.js")),
    ("/topology.js", SCRIPT, include_str!("assets/topology.js")),
    ("/icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// What the page reads of the API.
const READ: &[&str] = &["/v1/overview", "/v1/history", "/v1/events"];

/// Everything comes from here, nothing is written into the page, and no other page can show it (CSP level 3).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page over an API.
pub fn router(api: Router) -> Router {
    let page = FILES.iter().fold(Router::new(), |page, (path, kind, content)| {
        page.route(path, get(async || ([(CONTENT_TYPE, *kind)], *content)))
    });
    page.merge(api).layer(middleware::from_fn(only_shown))
}

/// Lets through what the page is made of, and says to the browser what it may do with it.
async fn only_shown(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_ours = READ.contains(&path) || FILES.iter().any(|(file, ..)| *file == path);
    let mut response = if !is_ours {
        plain(StatusCode::NOT_FOUND, "there is no such page; the API is at its own socket\n")
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "the dashboard only shows\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        response
    } else if !is_own(&request) {
        plain(StatusCode::FORBIDDEN, "other pages may not read the dashboard\n")
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether the page itself asks, or its user (Fetch Metadata): other pages of the browser may not.
fn is_own(request: &Request) -> bool {
    let site = request.headers().get("sec-fetch-site");
    site.is_none_or(|site| site == "same-origin" || site == "none")
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, text).into_response()
}
