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
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::timeout;

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
    /// Held by the one that asks the store.
    asking: Arc<Mutex<()>>,
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
    /// Whether a message that came now could be worked on. A store that hangs is asked once, not once more by each that
    /// wants to know.
    async fn readiness(&self) -> Result<(), &'static str> {
        if self.drain.has_begun() {
            return Err("about to end");
        }
        let asked = async {
            let turn = self.asking.clone().lock_owned().await;
            let server = self.server.clone();
            let answer = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                // Nobody has this name; to know that, the store has to look.
                server.store().directory().login("").is_ok()
            });
            answer.await.unwrap_or(false)
        };
        match timeout(PATIENCE, asked).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the store fails"),
            Err(_) => Err("the store does not answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Verifier;
    use crate::message::Timestamp;
    use crate::session::ServerConfig;
    use crate::store::{
        AccountNo, AuditRow, BookNo, Directory, Dirty, KeySet, Keys, Login, Principal, Result, Store, StoreError,
        Subscribers, Tx, Verdict,
    };
    use tokio::runtime::Runtime;

    /// A store that has its keys and nothing else any more.
    struct Gone;

    fn gone<T>() -> Result<T> {
        Err(StoreError::Failed("gone".to_owned()))
    }

    impl Subscribers for Gone {
        fn login(&self, _: &str) -> Result<Option<Login>> {
            gone()
        }

        fn principal(&self, _: &str) -> Result<Option<Principal>> {
            gone()
        }

        fn granted(&self, _: &str, _: &str) -> Result<Option<AccountNo>> {
            gone()
        }
    }

    impl Directory for Gone {
        fn put_login(&self, _: &str, _: &Verifier) -> Result<AccountNo> {
            gone()
        }

        fn account(&self, _: &str) -> Result<Option<AccountNo>> {
            gone()
        }

        fn accounts(&self) -> Result<Vec<(String, AccountNo)>> {
            gone()
        }

        fn put_principal(&self, _: &str, _: &Principal) -> Result<()> {
            gone()
        }

        fn principals(&self) -> Result<Vec<String>> {
            gone()
        }

        fn set_grant(&self, _: &str, _: &str, _: bool) -> Result<()> {
            gone()
        }

        fn grants(&self) -> Result<Vec<(String, String)>> {
            gone()
        }

        fn dirty(&self, _: &str, _: (AccountNo, BookNo), _: usize) -> Result<Vec<Dirty>> {
            gone()
        }

        fn audit(&self, _: (Timestamp, i64), _: usize) -> Result<Vec<AuditRow>> {
            gone()
        }
    }

    impl Store for Gone {
        fn step(&self, _: AccountNo, _: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
            gone()
        }

        fn directory(&self) -> &dyn Directory {
            self
        }

        fn keys(&self) -> Result<Keys> {
            Ok(Keys(vec![KeySet { number: 1, since: Timestamp(0), nonce: [1; 32], token: [2; 32] }]))
        }
    }

    #[test]
    fn a_server_without_its_store_is_not_ready() {
        let server = Arc::new(Server::new(Arc::new(Gone), ServerConfig::default()).unwrap());
        let monitor = Monitor::new(server, Arc::default(), Drain::default());
        let ask = |path: &'static str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            Runtime::new().unwrap().block_on(handle(State(monitor.inner.clone()), request)).status().as_u16()
        };
        assert_eq!([ask("/readyz"), ask("/readyz"), ask("/healthz"), ask("/metrics")], [503, 503, 200, 200]);
    }
}
