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
use syncml::notify::{Initiator, SAN_MEDIA_TYPE, San, UiMode};
use syncml::session::Client;
use syncml::transport::obex::{self, Dial, ObexOptions, ObexTransport, Plain, Wire};
use syncml::transport::{
    Event, ListenOptions, Medium, Reception, RunError, Transport as _, TransportError, Watch, now, run,
};

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

/// A phone that takes notifications, and answers one by a session over the same connection.
fn phone(mut stream: UnixStream, mut client: Client) -> (Vec<obex::Object>, Client) {
    let (mut machine, mut came) = (obex::ServerMachine::new(600, 100_000, 1), Vec::new());
    let mut framer = obex::Framer::new(obex::MAX_PACKET);
    loop {
        let mut bytes = vec![0; framer.missing().unwrap()];
        if stream.read_exact(&mut bytes).is_err() {
            return (came, client);
        }
        let Some(packet) = framer.take(&bytes).unwrap().1 else { continue };
        let said = match machine.received(&packet).unwrap() {
            obex::Turn::Say(said) | obex::Turn::Close(said) => said,
            obex::Turn::Ask(object) => {
                if object.content_type == SAN_MEDIA_TYPE {
                    came.push(object);
                } else {
                    client.received(&object.content_type, &object.body, now()).unwrap();
                }
                let next = client.outgoing().map(|next| (next.content_type.to_owned(), next.body));
                let (content_type, body) = next.unwrap_or_default();
                machine.answered(Ok(obex::Object { content_type, mac: None, body })).unwrap()
            }
        };
        stream.write_all(&said).unwrap();
    }
}

/// One stream that stands already.
struct Standing(Option<UnixStream>);

impl Dial for Standing {
    fn dial(&mut self, _: Option<Instant>) -> Result<Box<dyn Wire>, TransportError> {
        Ok(Box::new(Plain(self.0.take().expect("one connection is enough"))))
    }
}

fn notification() -> obex::Object {
    let san = San {
        ui: UiMode::Background,
        initiator: Initiator::Server,
        session_id: 7,
        server_id: "syncml".to_owned(),
        syncs: Vec::new(),
        vendor: Vec::new(),
    };
    obex::Object { content_type: SAN_MEDIA_TYPE.to_owned(), mac: None, body: san.write(None).unwrap() }
}

#[test]
fn r6_a_server_that_is_the_obex_client_notifies_a_device_and_serves_it_over_the_same_cable() {
    for max_packet in [255, 2_000] {
        let place = Place::new();
        (0..20).for_each(|n| place.put(&numbered(n)));
        let device = device("dev", "obex:cable", Encoding::Wbxml);
        fill(&device, 10..30);
        for round in 0..2 {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let client = Client::begin(device.store.clone(), device.account, device.config.clone(), now()).unwrap();
            let phone = thread::spawn(move || phone(theirs, client));
            let mut options = ObexOptions::default();
            options.max_packet = max_packet;
            let mut cable = ObexTransport::new(Box::new(Standing(Some(ours))), "obex:cable", options);
            let messages = cable.call(notification(), Encoding::Wbxml.media_type(), &place.reception, true).unwrap();
            cable.close();
            drop(cable);
            let (came, client) = phone.join().unwrap();
            assert_eq!(came, [notification()], "it was put once");
            assert!(messages >= 3 && client.report().clean, "{max_packet}, {round}: {messages}");
            assert_eq!((place.cards().len(), device.cards().len()), (30, 30));
        }
    }
}

#[test]
fn r6_a_notification_is_pushed_and_what_refuses_it_is_told() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let place = Place::new();
    let reception = place.reception;
    // A server takes messages, and no notifications.
    let server = thread::spawn(move || obex::serve_stream(&mut Plain(theirs), &reception, false));
    let mut cable = ObexTransport::new(Box::new(Standing(Some(ours))), "obex:cable", ObexOptions::default());
    let refused = cable.push(notification()).unwrap_err();
    assert!(matches!(refused, TransportError::Refused { status: 415, .. }), "{refused}");
    cable.close();
    drop(cable);
    server.join().unwrap().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let mut cable = ObexTransport::new(Box::new(Standing(Some(ours))), "obex:cable", ObexOptions::default());
    assert!(matches!(cable.push(notification()), Err(TransportError::Unreachable { .. })));
}
