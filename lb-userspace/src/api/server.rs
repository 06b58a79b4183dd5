//! Serves the API: bounded in connections, time and size.

use std::{future::Future, io, pin::pin, time::Duration};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time,
};

use super::{
    access::Who,
    seats::{Seat, Seats},
};

/// Connections of a listener at once. A new one takes the place of the one that was idle for the longest time.
pub(super) const CONNECTIONS: usize = 128;
/// Longest wait for a request's header, also on a connection that is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest life of a connection.
const CONNECTION_LIFE: Duration = Duration::from_secs(120);
/// Room for a request's header, and for what is read ahead of a body.
const BUFFER_BYTES: usize = 64 << 10;
/// Pause after a failure to accept (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long requests may still run after `shutdown`.
const GRACE: Duration = Duration::from_secs(2);

/// A way in.
pub(super) trait Door: Send + Sync {
    /// Who came in.
    type Visitor: Send;

    /// Waits for somebody.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Visitor>> + Send;

    /// The seats for such a visitor.
    fn seats(&self, visitor: &Self::Visitor) -> &Seats;

    /// Serves a visitor to the end.
    fn serve(&self, visitor: Self::Visitor, seat: Seat) -> impl Future<Output = ()> + Send + 'static;
}

/// Serves until `shutdown` is done; requests under way get two seconds more. A socket's file is gone afterwards.
pub(super) async fn serve(door: impl Door, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let visitor = door.accept().await?;
            let seat = door.seats(&visitor).take().await;
            Ok::<_, io::Error>((visitor, seat))
        };
        tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => match accepted {
                Ok((visitor, seat)) => drop(connections.spawn(door.serve(visitor, seat))),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the API");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(door);
    let finish = async { while connections.join_next().await.is_some() {} };
    let _ = time::timeout(GRACE, finish).await;
}

/// Serves HTTP on a connection until its end, or until its seat is needed.
pub(super) async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    seat: &Seat,
    who: Who,
) {
    let progress = seat.progress();
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(progress.clone());
        request.extensions_mut().insert(who.clone());
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = seat.evicted() => tracing::debug!("an idle connection to the API made room for a new one"),
        () = life(seat) => tracing::debug!("a connection to the API was open for too long"),
        served = served => if let Err(error) = served {
            tracing::debug!(%error, "connection to the API");
        },
    }
}

/// Waits for the end of a connection's life.
async fn life(seat: &Seat) {
    time::sleep(CONNECTION_LIFE).await;
    // Asked only then: the answer that takes longer had begun before.
    time::sleep(seat.longer()).await;
}
