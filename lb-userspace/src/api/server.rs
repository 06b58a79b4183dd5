//! Serves the API: bounded in connections, time and size.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::UnixStream, sync::Semaphore, task::JoinSet, time};

use super::socket::Socket;

/// Connections served at once; further ones wait.
const CONNECTIONS: usize = 64;
/// Longest wait for a request's header, also on a connection that is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest life of a connection.
const CONNECTION_LIFE: Duration = Duration::from_secs(120);
/// Pause after a failure to accept (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long requests may still run after `shutdown`.
const GRACE: Duration = Duration::from_secs(2);

/// Serves until `shutdown` is done; requests under way get two seconds more. The socket's file is gone afterwards.
pub async fn serve(socket: Socket, router: Router, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let mut connections = JoinSet::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accept = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, socket.listener.accept().await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (permit, accepted) = accept => match (permit, accepted) {
                (Ok(permit), Ok((stream, _))) => {
                    let router = router.clone();
                    connections.spawn(async move {
                        connection(stream, router).await;
                        drop(permit);
                    });
                }
                (_, Err(error)) => {
                    tracing::warn!(%error, "cannot accept a connection to the API");
                    time::sleep(ACCEPT_PAUSE).await;
                }
                (Err(_), _) => break,
            },
        }
    }
    drop(socket);
    let finish = async { while connections.join_next().await.is_some() {} };
    let _ = time::timeout(GRACE, finish).await;
}

async fn connection(stream: UnixStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match time::timeout(CONNECTION_LIFE, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "connection to the API"),
        Err(_) => tracing::debug!("a connection to the API was open for too long"),
    }
}
