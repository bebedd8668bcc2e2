//! Whole syncs over the transports beside HTTP, and what they do when somebody hangs up, floods or crashes.
#![cfg(unix)] // socket pairs
// It opens sockets and files; what fails here fails the test.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod letters;
mod obex;
mod openobex;
mod tcp;

use common::{Device, cards, numbered, put};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use syncml::auth::{Secret, Verifier};
use syncml::codec::Encoding;
use syncml::message::Timestamp;
use syncml::session::{Client, Report, Server, ServerConfig};
use syncml::store::memory::MemoryStore;
use syncml::store::{AccountNo, BookNo, Store};
use syncml::transport::{Conduct, ListenOptions, Listener, Reception, RunError, Stop, Transport, now, run};

/// A server's store, with the account alice.
struct Place {
    store: Arc<dyn Store>,
    account: AccountNo,
    reception: Reception,
}

impl Place {
    fn new() -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new([1; 32]));
        let verifier = Verifier::Password(Secret::new(common::PASSWORD.to_owned()));
        let account = store.directory().put_login("alice", &verifier).unwrap();
        let server = Server::new(Arc::clone(&store), ServerConfig::default()).unwrap();
        Self { store, account, reception: Reception::new(Arc::new(server)) }
    }

    fn put(&self, content: &str) {
        put(self.store.as_ref(), self.account, BookNo::CONTACTS, None, content, Timestamp(0));
    }

    fn cards(&self) -> Vec<String> {
        cards(self.store.as_ref(), self.account, BookNo::CONTACTS)
    }
}

/// A device that speaks to that address, in messages so small that many are needed.
fn device(name: &str, uri: &str, encoding: Encoding) -> Device {
    let mut device = Device::new(name);
    device.config.server_uri = uri.to_owned();
    device.config.encoding = encoding;
    device.config.max_msg_size = 4_000;
    device
}

/// Cards of the device's user.
fn fill(device: &Device, cards: Range<usize>) {
    for number in cards {
        device.put(&numbered(number));
    }
}

fn sync(device: &Device, transport: &mut dyn Transport) -> Result<Report, RunError> {
    sync_with(device, transport, &Conduct::default())
}

fn sync_with(device: &Device, transport: &mut dyn Transport, conduct: &Conduct) -> Result<Report, RunError> {
    let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now()).unwrap();
    run(&mut client, transport, conduct, &mut ())?;
    Ok(client.report())
}

/// Both sides have cards; afterwards both have all, and once more there is nothing to do.
fn comes_and_stays_in_step(place: &Place, device: &Device, transport: &mut dyn Transport) {
    (0..20).for_each(|n| place.put(&numbered(n)));
    fill(device, 10..40);
    let report = sync(device, transport).unwrap();
    assert!(report.clean && report.messages >= 8, "{report:?}");
    assert_eq!((place.cards().len(), device.cards().len()), (40, 40));
    device.put(&numbered(90));
    place.put(&numbered(91));
    let report = sync(device, transport).unwrap();
    assert!(report.clean && report.books[0].mode == "two-way", "{report:?}");
    assert_eq!((place.cards().len(), device.cards().len()), (42, 42));
    let report = sync(device, transport).unwrap();
    assert_eq!((report.books[0].sent.added, report.books[0].received.added), (0, 0));
}

struct Served {
    address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn tcp(place: &Place, options: ListenOptions) -> Self {
        let listener = Listener::bind("127.0.0.1:0", options).unwrap();
        let (address, stop, reception) = (listener.address(), listener.stopper(), place.reception.clone());
        Self { address, stop, thread: Some(thread::spawn(move || syncml::transport::tcp::serve(listener, reception))) }
    }

    fn obex(place: &Place) -> Self {
        let listener = Listener::bind("127.0.0.1:0", ListenOptions::default()).unwrap();
        let (address, stop, reception) = (listener.address(), listener.stopper(), place.reception.clone());
        Self { address, stop, thread: Some(thread::spawn(move || syncml::transport::obex::serve(listener, reception))) }
    }

    fn uri(&self) -> String {
        format!("tcp://{}", self.address)
    }

    fn end(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}

fn hasty() -> Conduct {
    let mut conduct = Conduct::default();
    conduct.retry.pause = Duration::from_millis(1);
    conduct
}
