//! The HTTP server. It is meant for a scraper or two, and must not mind strangers.

use std::{convert::Infallible, future::Future, pin::pin, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, Semaphore},
};

/// Connections served at once; more wait.
const CONNECTIONS: usize = 512;
/// How long a request's head may take, and a connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection may last.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a scrape is good for those that come right after it.
const FRESH: Duration = Duration::from_millis(100);
/// Most bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;

/// What is served: [`prometheus::TEXT_FORMAT`], and how it is encoded.
const CONTENT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where the text comes from. It is called on a thread for blocking work.
pub type Source = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Serves `GET /metrics` on `listener` until `stop` is ready.
pub async fn serve(listener: TcpListener, source: Source, stop: impl Future<Output = ()>) {
    let scrapes = Arc::new(Scrapes { source, last: Arc::default() });
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (listener.accept().await, slot)
        };
        tokio::select! {
            () = &mut stop => return,
            (accepted, slot) = accepted => match accepted {
                Ok((stream, _)) => {
                    let scrapes = Arc::clone(&scrapes);
                    tokio::spawn(async move {
                        connection(stream, scrapes).await;
                        drop(slot);
                    });
                }
                // No file descriptors left, or the peer is gone already.
                Err(error) => {
                    tracing::debug!(%error, "metrics: accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
}

async fn connection(stream: TcpStream, scrapes: Arc<Scrapes>) {
    let service = service_fn(move |request| {
        let scrapes = Arc::clone(&scrapes);
        async move { Ok::<_, Infallible>(answer(&request, &scrapes).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // What goes wrong on a connection is the peer's affair.
    let _: Result<_, _> = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
}

async fn answer(request: &Request<Incoming>, scrapes: &Scrapes) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "not found; the metrics are at /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is possible\n");
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match scrapes.text().await {
        Ok(text) => {
            let mut response = Response::new(Full::new(text));
            let format = hyper::header::HeaderValue::from_static(CONTENT_FORMAT);
            response.headers_mut().insert(CONTENT_TYPE, format);
            response
        }
        Err(reason) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}\n")),
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}

/// One scrape at a time, and its result shared by those who ask at the same time.
struct Scrapes {
    source: Source,
    last: Arc<Mutex<Option<Bytes>>>,
}

impl Scrapes {
    async fn text(&self) -> Result<Bytes, String> {
        let mut last = self.last.lock().await;
        if let Some(text) = &*last {
            return Ok(text.clone());
        }
        let source = Arc::clone(&self.source);
        let text =
            tokio::task::spawn_blocking(move || source()).await.map_err(|error| error.to_string())??;
        let text = Bytes::from(text);
        *last = Some(text.clone());
        let kept = Arc::clone(&self.last);
        tokio::spawn(async move {
            tokio::time::sleep(FRESH).await;
            *kept.lock().await = None;
        });
        Ok(text)
    }
}
