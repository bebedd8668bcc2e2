//! Client and server over HTTP on loopback, with a network between them that breaks at every message in every way.
#![cfg(all(feature = "http", feature = "sqlite"))]
// It opens sockets and starts threads; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

mod common;
#[path = "common/proxy.rs"]
#[allow(unreachable_pub)]
mod proxy;

use common::{Device, PASSWORD, cards, numbered, put};
use proxy::{Fault, Proxy};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use syncml::auth::{Secret, Verifier};
use syncml::message::{Timestamp, Version};
use syncml::session::{Client, Report, Server, ServerConfig};
use syncml::store::sqlite::SqliteStore;
use syncml::store::{AccountNo, BookNo, Store};
use syncml::transport::TransportError;
use syncml::transport::http::client::{HttpClient, HttpError, Options, RunError, run};
use syncml::transport::http::{now, server};
use tokio::runtime::Runtime;

/// Cards that each side adds.
const CARDS: usize = 10;

/// A server on a free port.
struct Site {
    _runtime: Runtime,
    store: Arc<dyn Store>,
    account: AccountNo,
    address: SocketAddr,
}

impl Site {
    fn new() -> Self {
        Self::with(server::Options::default())
    }

    fn with(options: server::Options) -> Self {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open_in_memory().unwrap());
        let password = Verifier::Password(Secret::new(PASSWORD.to_owned()));
        let account = store.directory().put_login("alice", &password).unwrap();
        for n in 0..CARDS {
            put(store.as_ref(), account, BookNo::CONTACTS, None, &numbered(n), Timestamp(0));
        }
        let server = Arc::new(Server::new(Arc::clone(&store), ServerConfig::default()).unwrap());
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(server::serve(listener, server, options, std::future::pending()));
        Self { _runtime: runtime, store, account, address }
    }

    /// Posts by hand; gives the head of the answer.
    fn post(&self, headers: &str, length: usize, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let head = format!(
            "POST /syncml HTTP/1.1\r\nHost: h\r\nContent-Type: application/vnd.syncml+xml\r\n{headers}\
             Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A device with cards of its own that syncs through the proxy.
fn device(proxy: &Proxy) -> Device {
    let mut device = Device::new("phone");
    device.store = Arc::new(SqliteStore::open_in_memory().unwrap());
    device.account = device.store.directory().put_login("local", &Verifier::Md5([0; 16])).unwrap();
    device.config.server_uri = format!("http://{}/syncml", proxy.address);
    device.config.max_msg_size = 2000;
    for n in 0..CARDS {
        device.put(&numbered(CARDS + n));
    }
    device
}

fn options() -> Options {
    let mut options = Options::default();
    options.retry.pause = Duration::ZERO;
    options
}

fn sync(device: &Device, options: Options) -> Result<Report, RunError> {
    let http = HttpClient::new(options).unwrap();
    let mut client = Client::begin(Arc::clone(&device.store), device.account, device.config.clone(), now()).unwrap();
    run(&mut client, &http, &mut ()).map(|()| client.report())
}

/// Both books hold every card once.
fn assert_equal(site: &Site, device: &Device, what: &str) {
    let (here, there) = (device.cards(), cards(site.store.as_ref(), site.account, BookNo::CONTACTS));
    assert_eq!(here.len(), 2 * CARDS, "{what}: {here:#?}");
    assert_eq!(here, there, "{what}");
}

/// The fault at every message of a session.
fn each_message(fault: Fault) {
    let clean = {
        let site = Site::new();
        let proxy = Proxy::before(site.address, 0, None);
        let device = device(&proxy);
        assert!(sync(&device, options()).unwrap().clean);
        assert_equal(&site, &device, "without a fault");
        assert_eq!(proxy.seen().len(), proxy.messages(), "nothing was repeated");
        proxy.messages()
    };
    assert!(clean >= 6, "a session of {clean} messages is too short to break");
    for number in 1..=clean {
        let what = format!("{fault:?} at message {number} of {clean}");
        let site = Site::new();
        let proxy = Proxy::before(site.address, number, Some(fault));
        let device = device(&proxy);
        let mut options = options();
        if fault == Fault::Delay {
            options.timeout = Duration::from_secs(1);
        }
        let first = sync(&device, options.clone());
        // The server may have begun a session for the first message, so that one is not repeated by itself.
        if number == 1 && fault != Fault::Duplicate {
            assert!(
                matches!(first, Err(RunError::Transport(TransportError::Http(HttpError::Broken { .. })))),
                "{what}: {first:?}"
            );
            assert!(sync(&device, options).unwrap().clean, "{what}");
            assert_equal(&site, &device, &what);
            continue;
        }
        assert!(first.unwrap().clean, "{what}");
        assert_equal(&site, &device, &what);
        let seen = proxy.seen();
        let struck = &seen[number - 1];
        match fault {
            Fault::Duplicate if number > 1 => {
                assert_eq!(struck.replies.len(), 2, "{what}");
                assert_eq!(struck.replies[0], struck.replies[1], "{what}: the same answer again");
            }
            Fault::Duplicate => {}
            // Only half of it was seen.
            Fault::CloseMidBody => assert!(seen[number].body.starts_with(&struck.body), "{what}"),
            _ => assert_eq!((&struck.head, &struck.body), (&seen[number].head, &seen[number].body), "{what}"),
        }
        if fault == Fault::DropReply {
            assert_eq!(struck.replies, seen[number].replies, "{what}: the same answer again");
        }
    }
}

#[test]
fn a_dropped_request_is_repeated() {
    each_message(Fault::DropRequest);
}

/// Catalogue: HTTP-2
#[test]
fn a_dropped_reply_is_asked_for_again() {
    each_message(Fault::DropReply);
}

#[test]
fn a_late_reply_is_asked_for_again() {
    each_message(Fault::Delay);
}

#[test]
fn half_a_request_does_nothing() {
    each_message(Fault::CutRequest);
}

#[test]
fn half_a_reply_is_asked_for_again() {
    each_message(Fault::CutReply);
}

/// Catalogue: HTTP-2, HDR-2
#[test]
fn a_doubled_request_is_executed_once() {
    each_message(Fault::Duplicate);
}

#[test]
fn a_connection_that_closes_early_is_made_again() {
    each_message(Fault::CloseMidBody);
}

#[test]
fn a_session_is_packed_both_ways() {
    let site = Site::new();
    let proxy = Proxy::before(site.address, 0, None);
    let device = device(&proxy);
    assert!(sync(&device, options()).unwrap().clean);
    assert_equal(&site, &device, "packed");
    let packed = |seen: &proxy::Seen| seen.head.to_ascii_lowercase().contains("content-encoding: gzip");
    let seen = proxy.seen();
    assert!(!packed(&seen[0]), "not before the server said that it takes it");
    assert!(seen.iter().any(packed));
    assert!(seen.iter().any(|seen| seen.replies[0].starts_with(&[0x1f, 0x8b])));

    let site = Site::new();
    let proxy = Proxy::before(site.address, 0, None);
    let mut plain = options();
    plain.gzip = false;
    assert!(sync(&self::device(&proxy), plain).unwrap().clean);
    assert!(!proxy.seen().iter().any(|seen| packed(seen) || seen.replies[0].starts_with(&[0x1f, 0x8b])));
}

#[test]
fn an_http_error_for_a_version_makes_the_client_try_a_lower_one() {
    let site = Site::new();
    let proxy = Proxy::before(site.address, 0, Some(Fault::Refuse(400, "SyncML/1.2")));
    let device = device(&proxy);
    assert_eq!(device.config.version, Version::V12);
    assert!(sync(&device, options()).unwrap().clean);
    assert_equal(&site, &device, "in 1.1");
    let before = proxy.seen();
    assert!(String::from_utf8_lossy(&before[1].body).contains("SyncML/1.1"));
    assert!(sync(&device, options()).unwrap().clean);
    let after = &proxy.seen()[before.len()..];
    assert!(!after.is_empty());
    assert!(!after.iter().any(|seen| String::from_utf8_lossy(&seen.body).contains("SyncML/1.2")), "remembered");
}

#[test]
fn packed_messages_are_bounded_unpacked() {
    use flate2::{Compression, write::GzEncoder};
    let site = Site::new();
    let limit = syncml::transport::http::body_limit(ServerConfig::default().max_msg_size);
    let pack = |size: usize| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&vec![b' '; size]).unwrap();
        encoder.finish().unwrap()
    };
    let post = |packing: &str, body: &[u8]| {
        site.post(&format!("Content-Encoding: {packing}\r\n"), body.len(), body)[9..12].parse::<u16>().unwrap()
    };
    assert_eq!(post("gzip", &pack(limit + 1)), 413);
    assert_eq!(post("gzip", &pack(limit)), 400, "taken, and no message");
    assert_eq!(post("gzip", b"no gzip"), 400);
    assert_eq!(post("br", b"x"), 415);
}

#[test]
fn a_message_that_dribbles_is_given_up() {
    let mut options = server::Options::default();
    options.body_timeout = Duration::from_millis(20);
    let answer = Site::with(options).post("", 100, b"<SyncML>");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

/// A session that is broken off tells the server, which keeps what was done; the next one does the rest.
#[test]
fn a_session_is_broken_off_politely_at_every_message() {
    for stop in 1..30 {
        let site = Site::new();
        let proxy = Proxy::before(site.address, 0, None);
        let device = device(&proxy);
        let mut polite = options();
        let cancel = polite.cancel.clone();
        let mut watch = Polite { cancel, stop, suspended: false, last: Vec::new() };
        polite.retry.attempts = 1;
        let http = HttpClient::new(polite).unwrap();
        let config = device.config.clone();
        let mut client = Client::begin(Arc::clone(&device.store), device.account, config, now()).unwrap();
        match run(&mut client, &http, &mut watch) {
            Ok(()) => assert!(client.report().clean, "message {stop}"),
            Err(error) => assert!(matches!(error, RunError::Stopped), "message {stop}: {error}"),
        }
        let told = String::from_utf8_lossy(&watch.last).contains("<Data>224</Data>");
        if stop == 4 {
            assert!(told, "the server was told");
        }
        assert!(sync(&device, options()).unwrap().clean, "message {stop}");
        assert_equal(&site, &device, &format!("message {stop}"));
        if !watch.suspended {
            assert!(stop > 4, "a session has several messages");
            return;
        }
    }
    panic!("it does not end");
}

struct Polite {
    cancel: syncml::transport::http::client::Cancel,
    stop: u32,
    suspended: bool,
    last: Vec<u8>,
}

impl syncml::transport::http::client::Watch for Polite {
    fn received(&mut self, number: u32, _: &syncml::transport::http::client::Answer, _: &Report) {
        if number == self.stop {
            self.cancel.suspend();
            self.suspended = true;
        }
    }

    fn sending(&mut self, _: u32, request: &syncml::session::Outgoing) {
        self.last.clone_from(&request.body);
    }
}

/// §3.10: the next message goes where the server wants it, but not to a stranger.
#[test]
fn a_server_that_wants_the_next_message_elsewhere_is_followed_only_where_that_is_allowed() {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_in_memory().unwrap());
    store.directory().put_login("alice", &Verifier::Password(Secret::new(PASSWORD.to_owned()))).unwrap();
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut config = ServerConfig::default();
    config.public_uri = Some(format!("http://localhost:{port}/syncml"));
    let site = Arc::new(Server::new(store, config).unwrap());
    runtime.spawn(server::serve(listener, site, server::Options::default(), std::future::pending()));
    let mut device = Device::new("phone");
    device.config.server_uri = format!("http://127.0.0.1:{port}/syncml");
    let error = sync(&device, options()).unwrap_err();
    assert!(matches!(error, RunError::Transport(TransportError::Http(HttpError::Elsewhere { .. }))), "{error}");
    let text = error.to_string();
    assert!(text.contains("wants the next message at \"http://localhost") && text.contains("another"), "{text}");
    let mut lenient = options();
    lenient.other_hosts = true;
    assert!(sync(&device, lenient).unwrap().clean);
}

/// Nobody may hold a connection open for nothing.
#[test]
fn a_head_that_does_not_come_ends_the_connection() {
    let mut options = server::Options::default();
    options.header_timeout = Duration::from_millis(50);
    let site = Site::with(options);
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.write_all(b"POST /syncml HTTP/1.1\r\nHost: h\r\nX-Slow").unwrap();
    let mut answer = Vec::new();
    // Ends when the server hangs up, and not before.
    stream.read_to_end(&mut answer).unwrap();
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"));
    // Others are served.
    let head = site.post("", 0, b"");
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
}
