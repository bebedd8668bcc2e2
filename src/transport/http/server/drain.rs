//! The loop that takes connections, and its end: what is in hand is answered, what comes new is told to come again.

use super::{Options, router};
use crate::session::Server;
use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tracing::{info, warn};

/// Before the next try when no connection could be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether a server is about to end. Clones are about the same server.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<AtomicBool>);

impl Drain {
    /// From now on new messages are answered 503 with `Retry-After`; those in hand are finished.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether that is so.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Serves until `shutdown` completes. Then messages in hand are answered, new ones are told to come again, and this
/// returns when none is left, or after [`Options::grace`]. What was cut off then did not happen, or is answered when the
/// device sends it again (exactly once).
///
/// This is `axum::serve` with a limit on the time that a request's head may take, which that one has not: else anybody
/// could hold connections open for nothing.
///
/// # Errors
/// None today: what the listener reports passes, or is waited out.
pub async fn serve<F>(listener: TcpListener, server: Arc<Server>, options: Options, shutdown: F) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (drain, grace) = (options.drain.clone(), options.grace);
    let http = builder(options.header_timeout);
    let (router, graceful, mut shutdown) = (router(server, options), GracefulShutdown::new(), pin!(shutdown));
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = &mut shutdown => break,
        };
        let service = TowerToHyperService::new(router.clone().layer(Extension(ConnectInfo(peer))));
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        // How a connection ends is the peer's affair.
        tokio::spawn(async move { drop(connection.await) });
    }
    drain.begin();
    info!("about to end: what is in hand is finished, new messages are told to come again");
    tokio::select! {
        () = graceful.shutdown() => info!("all messages are answered"),
        () = tokio::time::sleep(grace) => warn!(seconds = grace.as_secs(), "some messages were not answered in time"),
        () = take_all(&listener, &http, &router) => {}
    }
    Ok(())
}

/// Serves a router until this is dropped.
pub(super) async fn serve_plainly(listener: TcpListener, router: Router, header_timeout: Duration) {
    take_all(&listener, &builder(header_timeout), &router).await;
}

async fn take_all(listener: &TcpListener, http: &http1::Builder, router: &Router) {
    loop {
        let (stream, peer) = accept(listener).await;
        let service = TowerToHyperService::new(router.clone().layer(Extension(ConnectInfo(peer))));
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // One connection failed, or there are too many open files: the others go on.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn builder(header_timeout: Duration) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(header_timeout);
    http
}
