//! What watches a server: its numbers, whether it lives, and whether it can work. None of it asks who wants to know, so it
//! is served on an address of its own, where only those may come who should.

use super::drain::serve_plainly;
use super::{Drain, plain, respond};
use crate::session::Server;
use crate::transport::http::prometheus::{CONTENT_TYPE, Prometheus};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// How long the store may take to answer before it counts as not answering.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the head of a request may take to arrive.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers `/metrics` (Prometheus text), `/healthz` (200 while the process answers at all) and `/readyz` (200 while the
/// store answers and the server is not about to end; else 503).
#[derive(Clone)]
pub struct Monitor {
    inner: Arc<Inner>,
}

struct Inner {
    server: Arc<Server>,
    numbers: Arc<Prometheus>,
    drain: Drain,
    asking: Arc<AtomicBool>,
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Monitor")
    }
}

impl Monitor {
    /// Watches `server`, whose numbers are kept in `numbers` and whose end `drain` tells of.
    #[must_use]
    pub fn new(server: Arc<Server>, numbers: Arc<Prometheus>, drain: Drain) -> Self {
        Self { inner: Arc::new(Inner { server, numbers, drain, asking: Arc::default() }) }
    }

    /// The router with the three paths.
    pub fn router(self) -> Router {
        Router::new().fallback(handle).with_state(self.inner)
    }

    /// Serves them until this is dropped.
    pub async fn serve(self, listener: TcpListener) {
        serve_plainly(listener, self.router(), HEADER_TIMEOUT).await;
    }
}

async fn handle(State(inner): State<Arc<Inner>>, request: Request) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "There is nothing to change here.\n".to_owned());
    }
    match request.uri().path() {
        "/metrics" => {
            respond(StatusCode::OK, HeaderValue::from_static(CONTENT_TYPE), inner.numbers.to_string().into_bytes())
        }
        "/healthz" => plain(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => match inner.readiness().await {
            Ok(()) => plain(StatusCode::OK, "ok\n".to_owned()),
            Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        _ => plain(StatusCode::NOT_FOUND, "There are /metrics, /healthz and /readyz.\n".to_owned()),
    }
}

impl Inner {
    /// Whether a message that came now could be worked on. A store that hangs is asked once, not once more for each that
    /// wants to know.
    async fn readiness(&self) -> Result<(), &'static str> {
        if self.drain.has_begun() {
            return Err("about to end");
        }
        if self.asking.swap(true, Ordering::AcqRel) {
            return Err("the store is still being asked");
        }
        let (server, asking) = (self.server.clone(), self.asking.clone());
        let asked = tokio::task::spawn_blocking(move || {
            // Nobody has this name; to know that, the store has to look.
            let answered = server.store().directory().login("").is_ok();
            asking.store(false, Ordering::Release);
            answered
        });
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err("the store fails"),
            Ok(Err(_)) => {
                self.asking.store(false, Ordering::Release);
                Err("the store fails")
            }
            Err(_) => Err("the store does not answer"),
        }
    }
}
