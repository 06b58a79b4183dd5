//! The way in by the Unix socket: only those come in who may.

use std::io;

use axum::{Router, http::StatusCode, routing::any};
use tokio::net::UnixStream;

use super::{
    access::{Peer, Who},
    error::ApiError,
    quiet::Quiet,
    seats::{Seat, Seats},
    server::{CONNECTIONS, Door, connection, serve},
    socket::Socket,
};

/// Connections at once of those who may not come in; they get an explanation.
const STRANGERS: usize = 8;

/// The Unix socket with those who come in by it.
#[derive(Debug)]
pub struct Local {
    socket: Socket,
    router: Router,
    refusal: Router,
    seats: Seats,
    strangers: Seats,
    quiet: Quiet,
}

/// Somebody who connected, and whether they may use the API.
#[derive(Debug)]
pub(super) struct Visitor {
    stream: UnixStream,
    who: Who,
    admitted: bool,
}

impl Local {
    /// Serves `router` to those who may use the socket.
    #[must_use]
    pub fn new(socket: Socket, router: Router) -> Self {
        Self {
            socket,
            router,
            refusal: Router::new().fallback(any(refused)),
            seats: Seats::new(CONNECTIONS),
            strangers: Seats::new(STRANGERS),
            quiet: Quiet::default(),
        }
    }

    /// Serves until `shutdown` is done; requests under way get two seconds more. The socket's file is gone afterwards.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        serve(self, shutdown).await;
    }

    fn tell(&self, peer: &Peer) {
        let (uid, pid) = (peer.uid.as_raw(), peer.pid);
        self.quiet.say(|| {
            tracing::warn!(
                uid,
                pid,
                "refused a connection to the API: neither root nor a member of the group"
            );
        });
    }
}

impl Door for Local {
    type Visitor = Visitor;

    async fn accept(&self) -> io::Result<Visitor> {
        loop {
            let (stream, _) = self.socket.listener.accept().await?;
            // Who is gone already need not be served.
            let Ok(peer) = Peer::of(&stream) else { continue };
            let admitted = self.socket.access.admits(&peer);
            if !admitted {
                self.tell(&peer);
            }
            return Ok(Visitor { stream, who: Who::local(&peer), admitted });
        }
    }

    fn seats(&self, visitor: &Visitor) -> &Seats {
        if visitor.admitted { &self.seats } else { &self.strangers }
    }

    fn serve(&self, visitor: Visitor, seat: Seat) -> impl Future<Output = ()> + Send + 'static {
        let router = if visitor.admitted { self.router.clone() } else { self.refusal.clone() };
        async move { connection(visitor.stream, router, &seat, visitor.who).await }
    }
}

async fn refused() -> ApiError {
    let message =
        "you may not use this API; run this as root or as a member of the socket's group (`[api] group`)";
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", "", message)
}
