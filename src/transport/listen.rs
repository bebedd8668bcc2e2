//! Taking connections, a thread for each, and the end of it: what is in hand is answered, the rest is closed.

use super::places::Places;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tracing::{info, warn};

/// Before the next try when no connection could be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener heeds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Whether nobody on the way can read along, as the host guarantees.
    pub protected: bool,
    /// How long a connection may wait for its next message.
    pub idle: Duration,
    /// How long a message may take to arrive, and its answer to leave.
    pub timeout: Duration,
    /// How many connections may be open at once; more are closed at once.
    pub max_connections: usize,
    /// How many of them from one address, or one network of 64 bits of IPv6; those from this machine do not count.
    pub max_connections_per_address: usize,
    /// How long messages in hand may take when the listener ends.
    pub grace: Duration,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            protected: false,
            idle: Duration::from_secs(60),
            timeout: Duration::from_secs(120),
            max_connections: 1_000,
            max_connections_per_address: 64,
            grace: Duration::from_secs(30),
        }
    }
}

/// A listener that has an address and does not serve yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    options: ListenOptions,
    shared: Arc<Shared>,
}

/// Ends a listener from elsewhere.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    ending: AtomicBool,
    /// Connections that are open, by number.
    open: Mutex<HashMap<u64, TcpStream>>,
    changed: Condvar,
}

/// A connection, as a protocol sees it.
#[derive(Clone, Copy)]
pub(super) struct Connection<'c> {
    pub(super) stream: &'c TcpStream,
    pub(super) peer: IpAddr,
    pub(super) options: &'c ListenOptions,
    shared: &'c Shared,
}

impl Connection<'_> {
    /// Whether new messages are told to come again.
    pub(super) fn is_ending(&self) -> bool {
        self.shared.ending.load(Ordering::Acquire)
    }
}

impl Stop {
    /// From now on nothing new is taken; what is in hand is answered.
    pub fn stop(&self) {
        if self.0.ending.swap(true, Ordering::AcqRel) {
            return;
        }
        // Those that wait for a message are woken; those that answer one still can.
        for stream in self.0.open().values() {
            drop(stream.shutdown(Shutdown::Read));
        }
        // And so is who waits for a connection.
        let mut address = self.0.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        drop(TcpStream::connect_timeout(&address, Duration::from_secs(1)));
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// Listens there; port 0 takes a free one.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(address: impl ToSocketAddrs, options: ListenOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared =
            Shared { address, ending: AtomicBool::new(false), open: Mutex::default(), changed: Condvar::new() };
        Ok(Self { listener, options, shared: Arc::new(shared) })
    }

    /// Where.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// What ends it.
    #[must_use]
    pub fn stopper(&self) -> Stop {
        Stop(Arc::clone(&self.shared))
    }

    /// Takes connections until [`Stop::stop`], and returns when those in hand have ended, or after
    /// [`ListenOptions::grace`].
    pub(super) fn serve(self, handle: Arc<dyn Fn(Connection<'_>) + Send + Sync>) {
        let places = Places::new(self.options.max_connections, self.options.max_connections_per_address);
        let (options, shared) = (Arc::new(self.options), self.shared);
        for number in 0.. {
            let accepted = self.listener.accept();
            if shared.ending.load(Ordering::Acquire) {
                break;
            }
            let Ok((stream, peer)) = accepted else {
                // One connection failed, or there are too many open files: the others go on.
                thread::sleep(ACCEPT_PAUSE);
                continue;
            };
            let peer = peer.ip().to_canonical();
            let Some(place) = places.enter((!peer.is_loopback()).then_some(peer)) else { continue };
            let Ok(known) = stream.try_clone() else { continue };
            shared.open().insert(number, known);
            if shared.ending.load(Ordering::Acquire) {
                drop(stream.shutdown(Shutdown::Read));
            }
            let (work, of, handle) = (Arc::clone(&shared), Arc::clone(&options), Arc::clone(&handle));
            let entry = Entry { shared: Arc::clone(&shared), number };
            let started = thread::Builder::new().name("syncml-connection".to_owned()).spawn(move || {
                let (_entry, _place) = (entry, place);
                drop(stream.set_nodelay(true));
                handle(Connection { stream: &stream, peer, options: &of, shared: &work });
                drop(stream.shutdown(Shutdown::Both));
            });
            if started.is_err() {
                thread::sleep(ACCEPT_PAUSE);
            }
        }
        drop(self.listener);
        let waiting = shared.changed.wait_timeout_while(shared.open(), options.grace, |open| !open.is_empty());
        let left = waiting.map_or(0, |(open, _)| open.len());
        match left {
            0 => info!("all messages are answered"),
            left => warn!(left, "some messages were not answered in time"),
        }
    }
}

/// That a connection is open, until this is dropped.
struct Entry {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.shared.open().remove(&self.number);
        self.shared.changed.notify_all();
    }
}
