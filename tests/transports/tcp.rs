//! Frames over a socket, and the choice between ways.

use super::{Place, Served, comes_and_stays_in_step, device, fill, hasty, sync, sync_with};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};
use syncml::codec::Encoding;
use syncml::session::{Client, Outgoing};
use syncml::transport::tcp::{Frame, TcpOptions, TcpTransport};
use syncml::transport::{Answer, Choice, ListenOptions, Medium, Tell, Transport, TransportError, now};

fn tcp_to(uri: &str) -> TcpTransport {
    TcpTransport::new(uri, TcpOptions::default()).unwrap()
}

#[test]
fn a_sync_over_a_socket() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let place = Place::new();
        let served = Served::tcp(&place, ListenOptions::default());
        let device = device("dev", &served.uri(), encoding);
        comes_and_stays_in_step(&place, &device, &mut tcp_to(&served.uri()));
    }
}

/// A transport whose connection is lost before or after each exchange.
struct Lossy<T> {
    inner: T,
    count: usize,
    lost: usize,
}

impl<T: Transport> Transport for Lossy<T> {
    fn exchange(
        &mut self,
        request: &Outgoing,
        until: Option<Instant>,
        tell: Tell<'_>,
    ) -> Result<Answer, TransportError> {
        self.count += 1;
        self.inner.close();
        let answer = self.inner.exchange(request, until, tell)?;
        // Every second answer does not arrive, but for the first one: a session is not opened twice.
        if self.count.is_multiple_of(2) {
            self.lost += 1;
            return Err(TransportError::Broken { to: "it".to_owned(), reason: "lost".to_owned() });
        }
        Ok(answer)
    }
}

/// Catalogue: X1
#[test]
fn lost_answers_over_a_socket_are_given_again() {
    let place = Place::new();
    let served = Served::tcp(&place, ListenOptions::default());
    let device = device("dev", &served.uri(), Encoding::Xml);
    fill(&device, 0..30);
    let mut lossy = Lossy { inner: tcp_to(&served.uri()), count: 0, lost: 0 };
    let report = sync_with(&device, &mut lossy, &hasty()).unwrap();
    assert!(report.clean && lossy.lost > 3, "{} lost, {report:?}", lossy.lost);
    assert_eq!(place.cards().len(), 30);
}

/// What the server says to these bytes.
fn says(served: &Served, bytes: &[u8]) -> Option<Frame> {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    let frame = Frame::read(&mut stream, 10_000, &mut |_| ()).unwrap();
    if frame.as_ref().is_some_and(|frame| frame.status == 400 && !frame.body.starts_with(b"the message")) {
        // And then it hangs up.
        assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
    frame
}

#[test]
fn strangers_at_the_socket_are_told_why() {
    let place = Place::new();
    let served = Served::tcp(&place, ListenOptions::default());
    let status = |bytes: &[u8]| says(&served, bytes).map(|frame| frame.status);
    let request = |content_type: &str, body: &[u8]| {
        let mut bytes = Vec::new();
        Frame::new(0, content_type, None, body.to_vec()).write(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(status(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"), Some(400));
    assert_eq!(status(b"SML1\0\0\0\0\0\xff\xff\xff\xff"), Some(413), "before it is sent");
    assert_eq!(status(&request("text/html", b"<p>")), Some(415));
    assert_eq!(status(&request("application/vnd.syncml+xml", b"<SyncML")), Some(400));
    let mut answer = request("application/vnd.syncml+xml", b"<SyncML/>");
    answer[4..6].copy_from_slice(&200_u16.to_be_bytes());
    assert_eq!(status(&answer), Some(400), "an answer is no request");
    // Who goes in the midst of a frame leaves nothing behind.
    drop(TcpStream::connect(served.address).unwrap().write_all(b"SML1\0"));
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    let place = Place::new();
    let mut options = ListenOptions::default();
    options.idle = Duration::from_millis(30);
    options.timeout = Duration::from_millis(30);
    let served = Served::tcp(&place, options);
    for bytes in [&b""[..], b"SML1"] {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.write_all(bytes).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)), "it hung up");
    }
    let mut options = ListenOptions::default();
    options.max_connections = 1;
    let served = Served::tcp(&place, options);
    let one = TcpStream::connect(served.address).unwrap();
    thread::sleep(Duration::from_millis(50));
    let mut two = TcpStream::connect(served.address).unwrap();
    two.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(matches!(two.read(&mut [0; 1]), Ok(0) | Err(_)), "there is one place");
    drop(one);
}

/// What is in hand is answered; who waits is let go; who comes later finds nobody.
#[test]
fn a_listener_ends_gently() {
    let place = Place::new();
    let mut served = Served::tcp(&place, ListenOptions::default());
    let device = device("dev", &served.uri(), Encoding::Xml);
    let mut idle = TcpStream::connect(served.address).unwrap();
    let mut transport = tcp_to(&served.uri());
    let client = Client::begin(device.store.clone(), device.account, device.config.clone(), now()).unwrap();
    let first = client.outgoing().unwrap();
    transport.exchange(&first, None, &mut |_| ()).unwrap();
    served.end();
    idle.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(matches!(idle.read(&mut [0; 1]), Ok(0) | Err(_)), "it was let go");
    let error = transport.exchange(&first, None, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TransportError::Broken { .. }), "{error}");
    let error = transport.exchange(&first, None, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TransportError::Unreachable { .. }), "{error}");
    assert!(TcpStream::connect(served.address).is_err());
}

#[test]
fn stops_and_deadlines_end_an_exchange() {
    // Takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("tcp://{}", silent.local_addr().unwrap());
    let device = device("dev", &uri, Encoding::Xml);
    let client = Client::begin(device.store.clone(), device.account, device.config.clone(), now()).unwrap();
    let first = client.outgoing().unwrap();
    let mut options = TcpOptions::default();
    options.timeout = Duration::from_millis(20);
    let error = TcpTransport::new(&uri, options.clone()).unwrap().exchange(&first, None, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TransportError::Broken { .. }), "{error}");
    options.timeout = Duration::from_secs(600);
    let cancel = options.cancel.clone();
    let mut transport = TcpTransport::new(&uri, options).unwrap();
    let soon = Some(Instant::now() + Duration::from_millis(20));
    let error = transport.exchange(&first, soon, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TransportError::Deadline), "{error}");
    let thread = thread::spawn(move || {
        thread::sleep(Duration::from_millis(30));
        cancel.cancel();
    });
    let error = transport.exchange(&first, None, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TransportError::Cancelled), "{error}");
    thread.join().unwrap();
}

/// A way that says it is a cable, and is pulled out after so many exchanges.
struct Cable {
    inner: TcpTransport,
    left: usize,
}

impl Transport for Cable {
    fn medium(&self) -> Medium {
        Medium::Usb
    }

    fn is_available(&mut self) -> bool {
        self.left > 0
    }

    fn exchange(
        &mut self,
        request: &Outgoing,
        until: Option<Instant>,
        tell: Tell<'_>,
    ) -> Result<Answer, TransportError> {
        self.left -= 1;
        let answer = self.inner.exchange(request, until, tell)?;
        if self.left == 0 {
            // Pulled out with the answer on it.
            return Err(TransportError::Broken { to: "usb".to_owned(), reason: "pulled out".to_owned() });
        }
        Ok(answer)
    }
}

/// The cable is pulled out at every message of a session: it goes on over the network, and nothing is lost or doubled.
///
/// Catalogue: X1
#[test]
fn a_session_goes_on_over_the_next_way() {
    for left in [0, 2, 3, 5, 8, 1_000] {
        let place = Place::new();
        let served = Served::tcp(&place, ListenOptions::default());
        let device = device("dev", &served.uri(), Encoding::Wbxml);
        fill(&device, 0..40);
        let cable = Cable { inner: tcp_to(&served.uri()), left };
        let mut choice = Choice::new(vec![Box::new(tcp_to(&served.uri())), Box::new(cable)]);
        let report = sync(&device, &mut choice).unwrap();
        assert!(report.clean, "{left}: {report:?}");
        assert_eq!(place.cards().len(), 40, "{left}");
    }
}
