//! The loop that takes connections, and its end: what is in hand is answered, what comes new is told to come again.

use super::{Options, router};
use crate::session::Server;
use crate::transport::places::{Place, Places};
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
/// This is `axum::serve` with limits which that one has not, on the time that a request's head may take and on the number
/// of connections: else anybody could hold connections open for nothing.
///
/// # Errors
/// None today: what the listener reports passes, or is waited out.
pub async fn serve<F>(listener: TcpListener, server: Arc<Server>, options: Options, shutdown: F) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (drain, grace) = (options.drain.clone(), options.grace);
    let door = Door {
        listener,
        http: builder(options.header_timeout),
        places: Places::new(options.max_connections, options.max_connections_per_address),
        count_loopback: options.count_loopback,
        router: router(server, options),
    };
    let (graceful, mut shutdown) = (GracefulShutdown::new(), pin!(shutdown));
    loop {
        tokio::select! {
            taken = door.take() => taken.serve(&door.http, Some(&graceful)),
            () = &mut shutdown => break,
        }
    }
    drain.begin();
    info!("about to end: what is in hand is finished, new messages are told to come again");
    tokio::select! {
        () = graceful.shutdown() => info!("all messages are answered"),
        () = tokio::time::sleep(grace) => warn!(seconds = grace.as_secs(), "some messages were not answered in time"),
        () = door.take_all() => {}
    }
    Ok(())
}

/// Serves a router until this is dropped.
pub(super) async fn serve_plainly(listener: TcpListener, router: Router, header_timeout: Duration) {
    let (http, places) = (builder(header_timeout), Places::new(usize::MAX, usize::MAX));
    Door { listener, http, places, count_loopback: true, router }.take_all().await;
}

/// Where connections come in.
struct Door {
    listener: TcpListener,
    http: http1::Builder,
    places: Arc<Places>,
    count_loopback: bool,
    router: Router,
}

/// A connection that has come in.
struct Taken {
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    place: Place,
}

impl Door {
    /// Waits for a connection that there is a place for. Others are closed.
    async fn take(&self) -> Taken {
        loop {
            let (stream, peer) = accept(&self.listener).await;
            let address = peer.ip().to_canonical();
            let counted = (self.count_loopback || !address.is_loopback()).then_some(address);
            if let Some(place) = self.places.enter(counted) {
                return Taken { stream, peer, router: self.router.clone(), place };
            }
        }
    }

    async fn take_all(&self) {
        loop {
            self.take().await.serve(&self.http, None);
        }
    }
}

impl Taken {
    /// Serves it on a task of its own. How it ends is the peer's affair.
    fn serve(self, http: &http1::Builder, graceful: Option<&GracefulShutdown>) {
        let service = TowerToHyperService::new(self.router.layer(Extension(ConnectInfo(self.peer))));
        let connection = http.serve_connection(TokioIo::new(self.stream), service);
        let place = self.place;
        match graceful.map(|graceful| graceful.watcher()) {
            Some(watcher) => drop(tokio::spawn(async move {
                drop(watcher.watch(connection).await);
                drop(place);
            })),
            None => drop(tokio::spawn(async move {
                drop(connection.await);
                drop(place);
            })),
        }
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
