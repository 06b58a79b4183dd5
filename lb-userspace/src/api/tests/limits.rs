//! Connections: how many, how long, and what becomes of them at the end.

use std::time::Duration;

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

#[tokio::test(start_paused = true)]
async fn more_connections_than_are_served_wait() {
    let daemon = Daemon::start();
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(UnixStream::connect(&daemon.socket).await.unwrap());
    }
    let client = daemon.client.clone();
    let mut request = tokio::spawn(async move { client.get::<serde_json::Value>("/v1/services").await });
    timeout(Duration::from_secs(5), &mut request).await.expect_err("it waits");
    drop(silent);
    assert!(request.await.unwrap().unwrap().is_array());
}

#[tokio::test]
async fn the_socket_is_gone_when_serving_has_ended() {
    let daemon = Daemon::start();
    daemon.get("/v1/services").await;
    let socket = daemon.socket.clone();
    daemon.stop().await;
    assert!(!socket.exists());
}
