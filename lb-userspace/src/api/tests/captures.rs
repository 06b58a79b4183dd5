//! Captures: what is refused, and to whom.

use hyper::Method;

use super::fixture::Daemon;
use crate::api::NewCapture;

#[tokio::test]
async fn a_capture_that_cannot_be_is_refused_with_what_was_expected() {
    let daemon = Daemon::start();
    for (body, status, path, message) in [
        (r#"{"filter": "service="}"#, 400, "filter", "column 9: expected a value"),
        (r#"{"filter": "servce=web"}"#, 400, "filter", "expected one of service, backend, client"),
        (r#"{"filter": "service=wbe"}"#, 400, "filter", "there is no service \"wbe\"; expected one of"),
        (r#"{"filter": "verdict=forward"}"#, 400, "filter", "expected one of pass, drop, transmit, redirect"),
        (r#"{"sample": 0}"#, 400, "sample", "expected 1 to 1000000"),
        (r#"{"snap": 9217}"#, 400, "snap", "expected 14 to 9216"),
        (r#"{"rate": 0}"#, 400, "rate", "expected 1 to 1000000"),
        (r#"{"count": 0}"#, 400, "count", "expected at least 1"),
        (r#"{"duration": "25h"}"#, 400, "duration", "expected up to 24h"),
        (r#"{"duration": "soon"}"#, 400, "duration", "expected one such as"),
        ("{}", 409, "", "4 captures are under way, which is the limit"),
    ] {
        let refusal = daemon.refusal(Method::POST, "/v1/captures", body).await;
        assert_eq!((refusal.0.as_u16(), refusal.2.as_str()), (status, path), "{body}: {refusal:?}");
        assert!(refusal.3.contains(message), "{body}: {refusal:?}");
    }
    let refusal = daemon.refusal(Method::DELETE, "/v1/captures/7", "").await;
    assert_eq!((refusal.0.as_u16(), refusal.3.as_str()), (404, "there is no capture 7; it may have ended"));
    assert_eq!(daemon.get("/v1/captures").await["captures"], serde_json::json!([]));
}

#[test]
fn what_is_left_out_of_a_capture_is_left_out() {
    assert_eq!(serde_json::to_string(&NewCapture::default()).unwrap(), "{}");
}
