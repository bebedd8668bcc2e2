//! The HTTP server towards who holds on to it: slow heads, slow bodies, idle and many connections, bodies without end
//! (§9.1). On real sockets; nothing is measured but that the server lets go.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use syncml::session::{Server, ServerConfig};
use syncml::store::memory::MemoryStore;
use syncml::transport::http::server::{Options, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Longer than any wait here: a read that takes it has failed.
const LONG: Duration = Duration::from_secs(60);

struct Running {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
    _runtime: Runtime,
}

fn start(change: impl FnOnce(&mut Options)) -> Running {
    let mut options = Options::default();
    change(&mut options);
    let runtime = Runtime::new().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = Arc::new(Server::new(Arc::new(MemoryStore::new([1; 32])), ServerConfig::default()).unwrap());
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(serve(listener, server, options, async { drop(stopped.await) }));
    Running { address, _stop: stop, _runtime: runtime }
}

impl Running {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    /// A request of somebody who does nothing wrong, on a connection of its own.
    fn is_well(&self) -> bool {
        let mut stream = self.connect();
        let sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        sent.is_ok() && to_the_end(&mut stream).starts_with("HTTP/1.1 200")
    }
}

/// What comes until the server closes the connection.
fn to_the_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        // A connection that is closed while something is still being sent to it is reset.
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn post(length: &str) -> String {
    format!("POST /syncml HTTP/1.1\r\nHost: h\r\nContent-Type: application/vnd.syncml+xml\r\n{length}\r\n\r\n")
}

#[test]
fn a_head_that_never_ends_is_not_waited_for() {
    let server = start(|options| options.header_timeout = Duration::from_millis(200));
    let mut slow: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for stream in &mut slow {
        stream.write_all(b"POST /syncml HTTP/1.1\r\nX-Slow: a").unwrap();
    }
    assert!(server.is_well());
    for stream in &mut slow {
        let heard = to_the_end(stream);
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 408"), "{heard}");
    }
}

#[test]
fn a_connection_that_is_kept_and_not_used_is_closed() {
    let server = start(|options| options.header_timeout = Duration::from_millis(200));
    let mut idle = server.connect();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let heard = to_the_end(&mut idle);
    assert_eq!(heard.matches("HTTP/1.1 ").count(), 1, "{heard}");
}

#[test]
fn a_body_that_comes_too_slowly_is_not_waited_for() {
    // It would have all the time there is, at its own rate.
    let server = start(|options| {
        options.body_timeout = LONG * 10;
        options.body_grace = Duration::from_millis(300);
        options.body_rate = 100_000;
    });
    let mut slow = server.connect();
    slow.write_all(post("Content-Length: 100000").as_bytes()).unwrap();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(25));
        if slow.write_all(b"<").is_err() {
            break;
        }
    }
    assert!(server.is_well());
    let heard = to_the_end(&mut slow);
    assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 408"), "{heard}");
    // Whoever sends what was announced is not held to it.
    let mut quick = server.connect();
    quick.write_all(post("Connection: close\r\nContent-Length: 50000").as_bytes()).unwrap();
    quick.write_all(&vec![b'<'; 50_000]).unwrap();
    assert!(to_the_end(&mut quick).starts_with("HTTP/1.1 400"), "it is nonsense, but it was read");
}

#[test]
fn a_body_without_end_is_refused() {
    let server = start(|_| {});
    let mut announced = server.connect();
    announced.write_all(post("Content-Length: 999999999999").as_bytes()).unwrap();
    let mut heard = [0; 12];
    announced.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"HTTP/1.1 413", "without waiting for it");
    let mut endless = server.connect();
    endless.write_all(post("Transfer-Encoding: chunked").as_bytes()).unwrap();
    let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 0x10000], b"\r\n".to_vec()].concat();
    let mut sent = 0;
    while sent < 64 << 20 && endless.write_all(&chunk).is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 64 << 20, "it is read for ever");
    assert!(server.is_well());
}

#[test]
fn one_address_has_so_many_connections() {
    let server = start(|options| {
        options.max_connections_per_address = 2;
        options.count_loopback = true;
    });
    let hello = |stream: &mut TcpStream| {
        let mut heard = [0; 12];
        let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        asked.is_ok() && stream.read_exact(&mut heard).is_ok() && &heard == b"HTTP/1.1 200"
    };
    let mut held = [server.connect(), server.connect()];
    assert!(held.iter_mut().all(hello));
    assert!(!hello(&mut server.connect()), "the third is closed");
    let [first, second] = held;
    drop(first);
    // As soon as the server has noticed.
    assert!((0..1_000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        hello(&mut server.connect())
    }));
    drop(second);
}

#[test]
fn all_together_have_so_many_connections() {
    let server = start(|options| options.max_connections = 3);
    let held: Vec<_> = (0..3).map(|_| server.connect()).collect();
    // Those before it may be taken later than it asks.
    assert!((0..1_000).any(|_| !server.is_well()));
    drop(held);
    assert!((0..1_000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        server.is_well()
    }));
}
