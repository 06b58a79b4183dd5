//! gRPC: tonic's health service, and servers that are none.

use tokio_rustls::TlsAcceptor;
use tonic::transport::{Identity, ServerTlsConfig};
use tonic_health::ServingStatus;

use super::tls::{Authority, Kind};
use super::*;

fn grpc(entries: &[(&str, Setting)]) -> Probe {
    probe(ProbeType::Grpc, entries)
}

/// A server that is well as a whole, with a service that is not.
async fn healthy(tls: Option<ServerTlsConfig>) -> SocketAddr {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("ill", ServingStatus::NotServing).await;
    reporter.set_service_status("well", ServingStatus::Serving).await;
    reporter.set_service_status("unknown", ServingStatus::Unknown).await;
    let incoming = tonic::transport::server::TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let mut server = tonic::transport::Server::builder();
    if let Some(tls) = tls {
        server = server.tls_config(tls).unwrap();
    }
    tokio::spawn(server.add_service(service).serve_with_incoming(incoming));
    address
}

#[tokio::test]
async fn what_the_health_service_says_decides() {
    let address = healthy(None).await;
    let asking = |service: &str| grpc(&[("grpc_service", text(service))]);
    assert_eq!(outcome(grpc(&[]), address, LONG).await, Outcome::Healthy);
    assert_eq!(outcome(asking("well"), address, LONG).await, Outcome::Healthy);
    assert_eq!(failure(asking("ill"), address, LONG).await, "status NOT_SERVING, expected SERVING");
    assert_eq!(failure(asking("unknown"), address, LONG).await, "status UNKNOWN, expected SERVING");
    assert_eq!(failure(asking("none"), address, LONG).await, "the backend knows no service \"none\"");
}

#[tokio::test]
async fn a_server_without_the_health_service_is_told_as_such() {
    let incoming = tonic::transport::server::TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let routes = tonic::service::Routes::default();
    tokio::spawn(tonic::transport::Server::builder().add_routes(routes).serve_with_incoming(incoming));
    assert_eq!(failure(grpc(&[]), address, LONG).await, "the backend has no gRPC health service");
}

#[tokio::test]
async fn over_tls_both_must_speak_http_2() {
    let authority = Authority::new("ours");
    authority.issue("web", &["127.0.0.1", "shop"], Kind::Good);
    let read = |file: &str| std::fs::read(authority.path(file)).unwrap();
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(read("web.pem"), read("web.key")));
    let address = healthy(Some(tls)).await;
    let trusting = [("tls", Setting::Flag(true)), ("tls_ca_file", authority.setting("ca.pem"))];
    assert_eq!(outcome(grpc(&trusting), address, LONG).await, Outcome::Healthy);
    let named = [trusting.to_vec(), vec![("host", text("shop"))]].concat();
    assert_eq!(outcome(grpc(&named), address, LONG).await, Outcome::Healthy);
    let system = [("tls", Setting::Flag(true)), ("tls_verify", Setting::Flag(false))];
    assert_eq!(outcome(grpc(&system), address, LONG).await, Outcome::Healthy);

    let config = authority.server("web", false, &[]);
    let old = Server::start(move |served| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move { acceptor.accept(served.stream).await.map(drop) }
    })
    .await;
    assert_eq!(
        failure(grpc(&trusting), old.address, LONG).await,
        "the backend did not choose HTTP/2 (ALPN h2)"
    );
    assert!(
        failure(grpc(&[]), address, LONG).await.contains("HTTP/2"),
        "TLS to a server that is asked without"
    );
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

/// A server that says frames after the settings, once, or again and again.
async fn framing(frames: Vec<u8>, again: bool) -> Server {
    Server::start(move |mut served| {
        let frames = frames.clone();
        async move {
            served.say(&frame(4, 0, 0, &[])).await?;
            // The preface, the settings and the request.
            let mut scratch = vec![0; 24];
            served.stream.read_exact(&mut scratch).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
            served.say(&frames).await?;
            if !again {
                return served.hold().await;
            }
            loop {
                served.say(&frames.repeat(100)).await?;
            }
        }
    })
    .await
}

#[tokio::test]
async fn whatever_a_server_says_ends_in_a_reason() {
    let goaway = frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11]);
    let reset = frame(3, 0, 1, &8_u32.to_be_bytes());
    // `:status: 200` alone, 404, and 200 with the end of the stream.
    let (head, missing, bare) = (frame(1, 4, 1, &[0x88]), frame(1, 5, 1, &[0x8d]), frame(1, 5, 1, &[0x88]));
    for (frames, expected) in [
        (goaway, "the backend ended the connection (GOAWAY ENHANCE_YOUR_CALM)"),
        (reset, "the backend reset the request (CANCEL)"),
        (missing, "HTTP status 404, expected 200"),
        (bare, "the answer is not gRPC but \"\""),
        (head, "the answer is not gRPC but \"\""),
    ] {
        let server = framing(frames, false).await;
        assert_eq!(failure(grpc(&[]), server.address, LONG).await, expected);
    }
    let http = Server::saying("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let reason = failure(grpc(&[]), http.address, LONG).await;
    assert!(reason.starts_with("the answer is not HTTP/2: "), "{reason}");
    let silent = Server::start(Served::hold).await;
    assert_eq!(
        failure(grpc(&[]), silent.address, SHORT).await,
        "timed out after 300ms: waiting for the answer"
    );
    let reset = Server::start(|mut served| async move {
        served.stream.read_u8().await?;
        served.reset()
    })
    .await;
    assert_eq!(failure(grpc(&[]), reset.address, LONG).await, "connection reset: waiting for the answer");
}

#[tokio::test]
async fn frames_without_an_end_are_not_taken_without_an_end() {
    // A header that begins and goes on for ever; settings; pings; frames of no type that is known.
    let mut header = frame(1, 0, 1, &[0x88]);
    header.extend(frame(9, 0, 1, &[0; 8000]).repeat(10));
    for frames in [header, frame(4, 0, 0, &[]), frame(6, 0, 0, &[0; 8]), frame(200, 0, 0, &[0; 8000])] {
        let server = framing(frames, true).await;
        let reason = failure(grpc(&[]), server.address, Duration::from_secs(5)).await;
        assert!(!reason.starts_with("timed out"), "{reason}");
        assert!(server.written() < BUFFERED, "{} bytes: {reason}", server.written());
    }
}
