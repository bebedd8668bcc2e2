//! The server's HTTP binding: an axum router over a [`Server`].
//!
//! Every path is answered, because users type what they were once told. A message is decided on a thread that may
//! block; the runtime's own threads only move bytes. No cookie is ever set: some phones break on one. Packed messages are
//! taken; packed replies, and the word that packed messages are taken, go to those only who say that they unpack. Each
//! request has an id ([`REQUEST_ID_HEADER`]): it is in the answer and in all that is logged of it.

mod drain;
mod monitor;
mod request_id;

pub use self::drain::{Drain, serve};
pub use self::monitor::Monitor;
pub use self::request_id::REQUEST_ID_HEADER;
pub use crate::transport::{OnFailure, OnReport};

use super::coding::{self, Coding, Unpacking};
use super::{MAC_HEADER, body_limit, now, token};
use crate::codec::Encoding;
use crate::session::metrics::Counter;
use crate::session::{Refusal, Reply, Request as Message, Server};
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER,
    VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{Instrument as _, Span, debug, info_span};

/// What a browser gets to see.
const PAGE: &str = "This is a SyncML server (OMA Data Synchronization 1.0, 1.1 and 1.2).\n\
    Enter this address in a device or program that speaks SyncML; there is nothing to see in a browser.\n";

/// When to come again to a server that is about to end, in seconds: by then another one has taken its place.
const COME_AGAIN: &str = "5";

/// What the host knows about its HTTP side. The default suits a plain listener.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Whether everything that reaches the router came over TLS, as a proxy in front of it guarantees. Then no peer
    /// counts as being on this machine, whatever its address: it is the proxy's.
    pub protected: bool,
    /// How long the head of a request may take to arrive ([`serve`]; a connection that is kept open waits as long).
    pub header_timeout: Duration,
    /// How long a message's body may take to arrive, however fast it comes.
    pub body_timeout: Duration,
    /// How long it may take beside the time that its bytes need at [`body_rate`](Self::body_rate).
    pub body_grace: Duration,
    /// The slowest that a body may come, in bytes a second, from its first byte on and on average; 0 for as slow as it
    /// likes.
    pub body_rate: u32,
    /// How many connections may be open at once ([`serve`]); more are closed at once.
    pub max_connections: usize,
    /// How many of them from one address, or one network of 64 bits of IPv6. Those from this machine do not count: a proxy
    /// may be there that speaks for all.
    pub max_connections_per_address: usize,
    /// Count those from this machine, too.
    pub count_loopback: bool,
    /// The header in which the proxy in front says whose request it is, such as `x-forwarded-for`; the last name in it
    /// counts, which is the one the proxy itself wrote. Without it all who come by a proxy are slowed down together when
    /// one of them guesses at a password.
    pub address_header: Option<HeaderName>,
    /// Whether the server is about to end, for whoever wants to know it or to say so; [`serve`] says so itself.
    pub drain: Drain,
    /// How long messages in hand may take when the server is about to end ([`serve`]).
    pub grace: Duration,
    /// Called with the report of every session that ends, on a thread that may block. The answer does not wait for it.
    pub on_report: Option<Arc<OnReport>>,
    /// Called on a thread that may block; see [`OnFailure`].
    pub on_failure: Option<Arc<OnFailure>>,
    /// Paths of the host's own, which are not SyncML's: all others are.
    pub beside: Option<Router>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            protected: false,
            header_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(120),
            body_grace: Duration::from_secs(30),
            body_rate: 200,
            max_connections: 10_000,
            max_connections_per_address: 256,
            count_loopback: false,
            address_header: None,
            drain: Drain::default(),
            grace: Duration::from_secs(30),
            on_report: None,
            on_failure: None,
            beside: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("protected", &self.protected)
            .field("header_timeout", &self.header_timeout)
            .field("body_timeout", &self.body_timeout)
            .field("body_grace", &self.body_grace)
            .field("body_rate", &self.body_rate)
            .field("max_connections", &self.max_connections)
            .field("max_connections_per_address", &self.max_connections_per_address)
            .field("count_loopback", &self.count_loopback)
            .field("address_header", &self.address_header)
            .field("drain", &self.drain)
            .field("grace", &self.grace)
            .field("on_report", &self.on_report.is_some())
            .field("on_failure", &self.on_failure.is_some())
            .field("beside", &self.beside.is_some())
            .finish()
    }
}

struct Binding {
    server: Arc<Server>,
    options: Options,
}

/// A router that answers SyncML on every path; nest it where a host wants it. For a peer's address (back-off, loopback)
/// serve it with `into_make_service_with_connect_info::<SocketAddr>()`.
pub fn router(server: Arc<Server>, mut options: Options) -> Router {
    let beside = options.beside.take().unwrap_or_default();
    beside.merge(Router::new().fallback(handle).with_state(Arc::new(Binding { server, options })))
}

/// Who a request comes from, as far as the connection and a proxy in front say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// Whether it came over TLS ([`Options::protected`]).
    pub protected: bool,
    /// Whether it came from this machine, and not by a proxy.
    pub loopback: bool,
    /// Its address, for what is counted.
    pub address: Option<String>,
}

impl Caller {
    /// Who sent the request with this head.
    #[must_use]
    pub fn of(options: &Options, head: &Parts) -> Self {
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        let address = forwarded(&head.headers, options.address_header.as_ref());
        let protected = options.protected;
        Self {
            protected,
            loopback: !protected && peer.is_some_and(|ip| ip.is_loopback()),
            address: address.or_else(|| peer.map(|ip| ip.to_string())),
        }
    }
}

/// A request in its span, under its id.
async fn handle(State(binding): State<Arc<Binding>>, request: Request) -> Response<Body> {
    let id = request_id::of(request.headers());
    let span = info_span!("request", id = id.to_str().unwrap_or_default());
    let metrics = binding.server.metrics().clone();
    let mut response = answer(binding, request).instrument(span).await;
    metrics.count(Counter::Requests, &[response.status().as_str()], 1);
    response.headers_mut().insert(request_id::HEADER, id);
    response
}

async fn answer(binding: Arc<Binding>, request: Request) -> Response<Body> {
    match *request.method() {
        Method::POST if binding.options.drain.has_begun() => ending(),
        Method::POST => post(binding, request).await,
        Method::GET | Method::HEAD => plain(StatusCode::OK, PAGE.to_owned()),
        _ => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "SyncML messages are posted.\n".to_owned());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, GET, HEAD"));
            response
        }
    }
}

async fn post(binding: Arc<Binding>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let content_type = text(&parts.headers, &CONTENT_TYPE).unwrap_or_default();
    if Encoding::from_content_type(&content_type).is_none() {
        return refused(&Refusal::UnknownType(content_type));
    }
    let Ok(packing) = Coding::from_header(text(&parts.headers, &CONTENT_ENCODING).as_deref()) else {
        let mut response = plain(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("Messages are taken plain or packed as {}.\n", coding::ACCEPTED),
        );
        response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(coding::ACCEPTED));
        return response;
    };
    let unpacks = text(&parts.headers, &ACCEPT_ENCODING).is_some_and(|header| coding::takes_gzip(&header));
    let limit = body_limit(binding.server.config().max_msg_size);
    let body = match read(&parts.headers, body, limit, &Patience::from(&binding.options)).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let span = Span::current();
    let answering = tokio::task::spawn_blocking(move || {
        let _entered = span.entered();
        let body = match packing.map(|coding| coding.unpack(&body, limit)) {
            None => Cow::Borrowed(&*body),
            Some(Ok(body)) => Cow::Owned(body),
            Some(Err(why)) => return not_unpacked(why, limit),
        };
        let caller = Caller::of(&binding.options, &parts);
        debug!(address = caller.address.as_deref(), "a message has come");
        let mac = text(&parts.headers, &HeaderName::from_static(MAC_HEADER));
        let message = Message {
            content_type: &content_type,
            body: &body,
            token: token(parts.uri.query()),
            mac: mac.as_deref(),
            protected: caller.protected,
            loopback: caller.loopback,
            address: caller.address.as_deref(),
            now: now(),
        };
        match binding.server.answer(&message) {
            Ok(mut reply) => {
                let report = reply.report.take();
                let response = answered(reply, unpacks);
                if let (Some(report), Some(tell)) = (report, binding.options.on_report.clone()) {
                    // Whoever is told may be slow, or fail: that is no reason to keep the device waiting.
                    tokio::task::spawn_blocking(move || tell(&report));
                }
                response
            }
            Err(refusal) => {
                if let (Refusal::Unavailable(why) | Refusal::Failed(why), Some(tell)) =
                    (&refusal, &binding.options.on_failure)
                {
                    tell(why);
                }
                refused(&refusal)
            }
        }
    });
    match answering.await {
        Ok(response) => response,
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "The server failed on this message.\n".to_owned()),
    }
}

/// The last name that a proxy's header gives: those before are the peer's to make up.
fn forwarded(headers: &HeaderMap, name: Option<&HeaderName>) -> Option<String> {
    let last = headers.get_all(name?).iter().next_back()?;
    let text = String::from_utf8_lossy(last.as_bytes()).into_owned();
    let text = text.rsplit(',').next().unwrap_or_default().trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// How long to wait for a body.
struct Patience {
    whole: Duration,
    grace: Duration,
    rate: u32,
}

impl From<&Options> for Patience {
    fn from(options: &Options) -> Self {
        Self { whole: options.body_timeout, grace: options.body_grace, rate: options.body_rate }
    }
}

impl Patience {
    /// Until when after its begin more must have come than so many bytes.
    fn after(&self, bytes: usize) -> Duration {
        let needed = (bytes as u64).saturating_mul(1_000).checked_div(self.rate.into());
        needed.map_or(self.whole, |millis| self.grace.saturating_add(Duration::from_millis(millis)).min(self.whole))
    }
}

/// Why a body was not read to its end.
enum Stopped {
    TooLarge,
    Broken,
    Slow,
}

async fn collect(mut body: Body, limit: usize, patience: &Patience) -> Result<Vec<u8>, Stopped> {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    loop {
        let next = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        match tokio::time::timeout_at(begun + patience.after(bytes.len()), next).await {
            Ok(None) => return Ok(bytes),
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                if data.len() > limit - bytes.len() {
                    return Err(Stopped::TooLarge);
                }
                bytes.extend_from_slice(&data);
            }
            Ok(Some(Err(_))) => return Err(Stopped::Broken),
            Err(_) => return Err(Stopped::Slow),
        }
    }
}

/// Reads the body. What announces itself as too large is refused before a byte of it is read.
async fn read(headers: &HeaderMap, body: Body, limit: usize, patience: &Patience) -> Result<Vec<u8>, Response<Body>> {
    let announced = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if let Some(size) = announced.filter(|size| *size > limit) {
        return Err(refused(&Refusal::TooLarge { size, limit }));
    }
    collect(body, limit, patience).await.map_err(|stopped| match stopped {
        Stopped::TooLarge => {
            let size = announced.unwrap_or_else(|| limit.saturating_add(1));
            refused(&Refusal::TooLarge { size, limit })
        }
        Stopped::Broken => plain(StatusCode::BAD_REQUEST, "The message did not arrive whole.\n".to_owned()),
        Stopped::Slow => last_word(StatusCode::REQUEST_TIMEOUT, "The message took too long to arrive.\n".to_owned()),
    })
}

/// A reply, packed where the client unpacks and it is worth it.
fn answered(reply: Reply, unpacks: bool) -> Response<Body> {
    let packed = if unpacks { coding::gzip(&reply.body) } else { None };
    let is_packed = packed.is_some();
    let content_type = HeaderValue::from_static(reply.content_type);
    let mac = reply.mac.as_deref().and_then(|mac| HeaderValue::from_bytes(mac.as_bytes()).ok());
    let mut response = respond(StatusCode::OK, content_type, packed.unwrap_or(reply.body));
    if let Some(mac) = mac {
        response.headers_mut().insert(HeaderName::from_static(MAC_HEADER), mac);
    }
    if unpacks {
        let headers = response.headers_mut();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding::ACCEPTED));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        if is_packed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    response
}

fn not_unpacked(why: Unpacking, limit: usize) -> Response<Body> {
    match why {
        Unpacking::TooLarge => refused(&Refusal::TooLarge { size: limit.saturating_add(1), limit }),
        Unpacking::Broken => plain(StatusCode::BAD_REQUEST, "The message cannot be unpacked.\n".to_owned()),
    }
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
    plain(status, format!("{refusal}\n"))
}

/// The answer of a server that is about to end. Nothing was done with the message; a device that sends it again meets the
/// next server, or this one when it is back.
fn ending() -> Response<Body> {
    let text = "The server is about to end; send the message again in a moment.\n".to_owned();
    let mut response = last_word(StatusCode::SERVICE_UNAVAILABLE, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(COME_AGAIN));
    response
}

/// An answer after which the connection is closed: what is left of the request is not waited for.
fn last_word(status: StatusCode, text: String) -> Response<Body> {
    let mut response = plain(status, text);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    respond(status, HeaderValue::from_static("text/plain; charset=utf-8"), text.into_bytes())
}

fn respond(status: StatusCode, content_type: HeaderValue, body: Vec<u8>) -> Response<Body> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
    response
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;
    use tokio::runtime::Runtime;

    fn read_with(headers: &[(&HeaderName, &str)], body: Body) -> Result<Vec<u8>, u16> {
        let headers = headers.iter().map(|(name, value)| ((*name).clone(), value.parse().unwrap())).collect();
        let patience = Patience::from(&Options::default());
        let reading =
            async { read(&headers, body, 10, &patience).await.map_err(|response| response.status().as_u16()) };
        Runtime::new().unwrap().block_on(reading)
    }

    #[test]
    fn bodies_are_bounded() {
        assert_eq!(read_with(&[], Body::from(vec![0; 10])).map(|body| body.len()), Ok(10));
        assert_eq!(read_with(&[], Body::from(vec![0; 11])), Err(413));
        assert_eq!(read_with(&[(&CONTENT_LENGTH, "11")], Body::empty()), Err(413), "without reading");
    }

    #[test]
    fn patience_grows_with_what_has_come() {
        let patience = |rate| Patience { whole: Duration::from_secs(100), grace: Duration::from_secs(10), rate };
        for (rate, bytes, seconds) in
            [(100, 0, 10), (100, 1_000, 20), (100, 8_900, 99), (100, 1_000_000, 100), (0, 0, 100), (0, 5, 100)]
        {
            assert_eq!(patience(rate).after(bytes), Duration::from_secs(seconds), "{rate} {bytes}");
        }
    }

    #[test]
    fn a_proxy_says_whose_request_it_is() {
        let name = HeaderName::from_static("x-forwarded-for");
        for (values, expected) in [
            (&[][..], None),
            (&["192.0.2.1"], Some("192.0.2.1")),
            (&["made up, 192.0.2.1"], Some("192.0.2.1")),
            (&["made up", "192.0.2.1 "], Some("192.0.2.1")),
            (&["192.0.2.1,"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(&name, value.parse().unwrap());
            }
            assert_eq!(forwarded(&headers, Some(&name)).as_deref(), expected, "{values:?}");
            assert_eq!(forwarded(&headers, None), None);
        }
    }

    #[test]
    fn what_the_store_says_is_not_told_to_strangers() {
        let why = || StoreError::Failed("/var/lib/secret.db is locked".to_owned());
        for (refusal, status) in [(Refusal::Unavailable(why()), 503), (Refusal::Failed(why()), 500)] {
            let response = refused(&refusal);
            assert_eq!(response.status().as_u16(), status);
            let body = Runtime::new().unwrap().block_on(axum::body::to_bytes(response.into_body(), 1000)).unwrap();
            assert!(!String::from_utf8_lossy(&body).contains("secret"), "{body:?}");
        }
    }

    fn reply(size: usize) -> Reply {
        Reply { content_type: "application/vnd.syncml+xml", body: vec![b'x'; size], mac: None, report: None }
    }

    #[test]
    fn replies_are_packed_for_those_who_unpack() {
        let has =
            |response: &Response<Body>, name| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
        let packed = answered(reply(10_000), true);
        assert_eq!(has(&packed, CONTENT_ENCODING).as_deref(), Some("gzip"));
        assert!(has(&packed, CONTENT_LENGTH).unwrap().parse::<usize>().unwrap() < 1000);
        assert_eq!(has(&packed, ACCEPT_ENCODING).as_deref(), Some("gzip, deflate"));
        let small = answered(reply(100), true);
        assert_eq!((has(&small, CONTENT_ENCODING), has(&small, CONTENT_LENGTH).as_deref()), (None, Some("100")));
        let plain = answered(reply(10_000), false);
        assert_eq!((has(&plain, CONTENT_ENCODING), has(&plain, ACCEPT_ENCODING)), (None, None));
        assert_eq!(has(&plain, CONTENT_LENGTH).as_deref(), Some("10000"));
    }

    /// Catalogue: HTTP-1
    #[test]
    fn answers_are_private_and_have_a_length() {
        let response = refused(&Refusal::UnknownType("text/html".to_owned()));
        let header = |name| response.headers().get(name).unwrap().to_str().unwrap();
        assert_eq!(response.status().as_u16(), 415);
        let length = format!("{}\n", Refusal::UnknownType("text/html".to_owned())).len().to_string();
        assert_eq!((header(CACHE_CONTROL), header(CONTENT_LENGTH)), ("private", length.as_str()));
    }
}
