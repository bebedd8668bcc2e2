//! OBEX over socket pairs and over TCP.

use super::{Place, Served, comes_and_stays_in_step, device, fill, hasty, sync};
use crate::common::numbered;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use syncml::codec::Encoding;
use syncml::session::Client;
use syncml::transport::obex::{self, Dial, ObexOptions, ObexTransport, Plain, Wire};
use syncml::transport::{Event, ListenOptions, Medium, Reception, RunError, TransportError, Watch, now, run};

/// Streams to servers of their own, one for each connection; each breaks when so many reads were made in all.
struct Pairs {
    reception: Reception,
    left: Arc<AtomicUsize>,
}

struct Brittle {
    stream: UnixStream,
    left: Arc<AtomicUsize>,
}

impl io::Read for Brittle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.stream.shutdown(Shutdown::Both).unwrap();
        }
        self.stream.read(buffer)
    }
}

impl io::Write for Brittle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Dial for Pairs {
    fn dial(&mut self, _: Option<Instant>) -> Result<Box<dyn Wire>, TransportError> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let reception = self.reception.clone();
        thread::spawn(move || drop(obex::serve_stream(&mut Plain(theirs), &reception, false)));
        Ok(Box::new(Plain(Brittle { stream: ours, left: Arc::clone(&self.left) })))
    }
}

/// OBEX over socket pairs, in packets of that size.
fn paired(place: &Place, max_packet: u16, reads: usize) -> ObexTransport {
    let dial = Pairs { reception: place.reception.clone(), left: Arc::new(AtomicUsize::new(reads)) };
    let mut options = ObexOptions::default();
    options.max_packet = max_packet;
    options.medium = Medium::Usb;
    ObexTransport::new(Box::new(dial), "obex:pair", options)
}

/// Catalogue: OBEX-1
#[test]
fn a_sync_over_obex() {
    for (encoding, max_packet) in
        [(Encoding::Xml, 255), (Encoding::Wbxml, 255), (Encoding::Xml, 1_000), (Encoding::Wbxml, obex::MAX_PACKET)]
    {
        let place = Place::new();
        let device = device("dev", "obex:pair", encoding);
        comes_and_stays_in_step(&place, &device, &mut paired(&place, max_packet, usize::MAX));
    }
}

/// Catalogue: X1
#[test]
fn obex_that_breaks_at_every_packet_loses_nothing() {
    let mut broke = 0;
    for reads in (0..).step_by(3) {
        let place = Place::new();
        let device = device("dev", "obex:pair", Encoding::Wbxml);
        fill(&device, 0..6);
        (4..9).for_each(|n| place.put(&numbered(n)));
        let mut transport = paired(&place, 400, reads);
        let mut events = 0;
        let mut client = Client::begin(device.store.clone(), device.account, device.config.clone(), now()).unwrap();
        let ended = run(&mut client, &mut transport, &hasty(), &mut Repeated(&mut events));
        if let Err(error) = &ended {
            // The first message is not sent again; the next session is.
            assert!(matches!(error, RunError::Transport(TransportError::Broken { .. })), "{error}");
            assert!(sync(&device, &mut transport).unwrap().clean, "{reads}");
        } else {
            assert!(client.report().clean, "{reads}");
        }
        assert_eq!((place.cards().len(), device.cards().len()), (9, 9), "{reads}");
        if ended.is_ok() && events == 0 {
            break;
        }
        broke += 1;
    }
    assert!(broke > 8, "{broke}");
}

/// Counts what is sent again.
struct Repeated<'a>(&'a mut usize);

impl Watch for Repeated<'_> {
    fn event(&mut self, event: &Event<'_>) {
        *self.0 += usize::from(matches!(event, Event::Waiting { .. }));
    }
}

#[test]
fn obex_over_tcp_and_what_others_say_there() {
    let place = Place::new();
    let served = Served::obex(&place);
    let uri = format!("obex://{}", served.address);
    let device = device("dev", &uri, Encoding::Wbxml);
    let mut transport = ObexTransport::tcp(&uri, ObexOptions::default()).unwrap();
    comes_and_stays_in_step(&place, &device, &mut transport);
    // Who does not speak OBEX is not waited for.
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)), "it hung up");
    // Neither is a server that does not.
    let other = Served::tcp(&place, ListenOptions::default());
    let wrong = format!("obex://{}", other.address);
    let error = sync(&device, &mut ObexTransport::tcp(&wrong, ObexOptions::default()).unwrap()).unwrap_err();
    // What it says looks like the beginning of a long packet.
    assert!(matches!(error, RunError::Transport(TransportError::Unreachable { .. })), "{error}");
    for bad in ["obex://h", "tcp://h:1", "obex:/dev/x"] {
        assert!(ObexTransport::tcp(bad, ObexOptions::default()).is_err(), "{bad}");
    }
}
