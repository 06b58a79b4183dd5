//! Cases of the probe against real sockets.

use std::{net::SocketAddr, time::Duration};

use super::{Outcome, close, probe};
use crate::model::Probe;

fn refused() -> Outcome {
    Outcome::Failed("connection refused".into())
}

#[tokio::test]
async fn a_probe_tells_listening_from_refusing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limit = Duration::from_secs(5);
    let (outcome, stream) = probe(&Probe::Tcp, address, limit).await;
    assert_eq!(outcome, Outcome::Healthy);

    // A greeting that nobody reads would make the kernel answer with a RST.
    let (mut served, _) = listener.accept().await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut served, b"hello").await.unwrap();
    let server = tokio::spawn(async move {
        let mut rest = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut served, &mut rest).await
    });
    close(stream.unwrap(), limit).await;
    assert_eq!(server.await.unwrap().unwrap(), 0, "the server sees a FIN, not a RST");

    drop(listener);
    assert_eq!(probe(&Probe::Tcp, address, limit).await.0, refused());
}

#[tokio::test]
async fn a_destination_without_a_route_is_unreachable() {
    // 255.255.255.255 is no TCP destination: the kernel says so at once.
    let address = SocketAddr::from(([255, 255, 255, 255], 9));
    assert_eq!(
        probe(&Probe::Tcp, address, Duration::from_secs(5)).await.0,
        Outcome::Failed("unreachable".into())
    );
}
