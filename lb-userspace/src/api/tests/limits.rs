//! Connections: how many, how long, and what becomes of them at the end.

use std::time::Duration;

use hyper::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

use super::fixture::Daemon;

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed() {
    let daemon = Daemon::start();
    let mut stream = UnixStream::connect(&daemon.socket).await.unwrap();
    stream.write_all(b"GET /v1/status HT").await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
    read.expect("closed by the daemon").unwrap();
}

/// What a client sends that never ends its request.
const HALF_OPEN: &[&[u8]] = &[
    b"",
    b"GET /v1/status HT",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"POST /v1/services HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n",
    b"POST /v1/services HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n{",
];

#[tokio::test]
async fn hundreds_of_half_open_clients_do_not_keep_a_real_one_waiting() {
    let daemon = Daemon::start();
    let mut half_open = Vec::new();
    for sent in HALF_OPEN.iter().cycle().take(600) {
        let mut stream = UnixStream::connect(&daemon.socket).await.unwrap();
        stream.write_all(sent).await.unwrap();
        half_open.push(stream);
    }
    for _ in 0..10 {
        let answer = timeout(Duration::from_secs(1), daemon.get("/v1/services")).await;
        assert!(answer.expect("answered in time").is_array());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_worked_on_is_not_sent_away() {
    let daemon = Daemon::start();
    let change = daemon.call(Method::PATCH, "/v1/services/web/backends/b1", r#"{"weight": 7}"#);
    let crowd = async {
        let mut silent = Vec::new();
        for _ in 0..300 {
            silent.push(UnixStream::connect(&daemon.socket).await.unwrap());
        }
        silent
    };
    let (changed, _silent) = tokio::join!(change, crowd);
    assert_eq!(changed["weight"], 7);
}

#[tokio::test]
async fn a_gigabyte_is_refused_without_being_read() {
    let daemon = Daemon::start();
    let mut stream = UnixStream::connect(&daemon.socket).await.unwrap();
    stream
        .write_all(b"POST /v1/services HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n")
        .await
        .unwrap();
    let (mut from, mut to) = stream.into_split();
    let sent = tokio::spawn(async move {
        let (chunk, mut sent) = (vec![b' '; 64 << 10], 0);
        while sent < 1 << 30 && to.write_all(&chunk).await.is_ok() {
            sent += chunk.len();
        }
        sent
    });
    let mut answer = Vec::new();
    // The connection is closed with the rest unread, which may count as reset.
    let _ = from.read_to_end(&mut answer).await;
    let sent = sent.await.unwrap();
    assert!(sent < 8 << 20, "{sent} bytes were taken");
    assert!(
        answer.starts_with(b"HTTP/1.1 413 ") || answer.is_empty(),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test]
async fn garbage_is_answered_with_400_and_harms_nobody() {
    let daemon = Daemon::start();
    for garbage in
        [&b"\x00\xff\xfe\r\n\r\n"[..], b"GET\r\n\r\n", b"{\"jsonrpc\": \"2.0\"}\r\n\r\n", &[b'A'; 200_000]]
    {
        let mut stream = UnixStream::connect(&daemon.socket).await.unwrap();
        // The daemon need not read all of it.
        let _ = stream.write_all(garbage).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{answer}");
    }
    assert!(daemon.get("/v1/services").await.is_array());
}

#[tokio::test]
async fn the_socket_is_gone_when_serving_has_ended() {
    let daemon = Daemon::start();
    daemon.get("/v1/services").await;
    let socket = daemon.socket.clone();
    daemon.stop().await;
    assert!(!socket.exists());
}
