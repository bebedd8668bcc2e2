//! OpenOBEX at the other end: the program of `tests/peer/obex.c`, which `tests/run` builds and names in the environment.

use super::{Place, Served, comes_and_stays_in_step, device, fill, sync};
use crate::common::numbered;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Instant;
use syncml::codec::Encoding;
use syncml::session::{Outgoing, Request};
use syncml::transport::obex::{ObexOptions, ObexTransport};
use syncml::transport::{Answer, Tell, Transport, TransportError, now};

/// The program, and its pipes.
struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Peer {
    /// `None` where it was not built.
    fn start(words: &[&str]) -> Option<Self> {
        let Ok(program) = std::env::var("SYNCML_TEST_OPENOBEX") else {
            eprintln!("skipped: SYNCML_TEST_OPENOBEX names no program");
            return None;
        };
        let mut child = Command::new(program).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        Some(Self { child, input, output })
    }

    fn say(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(&u32::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    /// Its next message; `None` at its end.
    fn hear(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.output.read_exact(&mut length).ok()?;
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        self.output.read_exact(&mut bytes).unwrap();
        Some(bytes)
    }

    /// Nothing was wrong.
    fn ends_well(mut self) {
        self.input = None;
        assert!(self.child.wait().unwrap().success(), "see what it says");
    }
}

/// Its client carries what ours says.
struct Carried {
    peer: Peer,
}

impl Transport for Carried {
    fn exchange(&mut self, request: &Outgoing, _: Option<Instant>, _: Tell<'_>) -> Result<Answer, TransportError> {
        self.peer.say(&request.body);
        let body = self.peer.hear().expect("an answer");
        Ok(Answer { uri: request.uri.clone(), content_type: request.content_type.to_owned(), body, mac: None })
    }
}

/// Catalogue: OBEX-1
#[test]
fn its_client_and_our_server() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let place = Place::new();
        let served = Served::obex(&place);
        let port = served.address.port().to_string();
        let Some(peer) = Peer::start(&["client", encoding.media_type(), &port]) else { return };
        let device = device("dev", &format!("obex://{}", served.address), encoding);
        let mut carried = Carried { peer };
        comes_and_stays_in_step(&place, &device, &mut carried);
        carried.peer.ends_well();
    }
}

/// Catalogue: OBEX-1
#[test]
fn our_client_and_its_server() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let place = Place::new();
        (0..20).for_each(|n| place.put(&numbered(n)));
        let device = device("dev", "obex://127.0.0.1:1", encoding);
        fill(&device, 10..40);
        let Some(mut peer) = Peer::start(&["server", encoding.media_type()]) else { return };
        let port = String::from_utf8(peer.hear().unwrap()).unwrap();
        let server = place.reception.server.clone();
        let answers = thread::spawn(move || {
            while let Some(body) = peer.hear() {
                let request = Request {
                    content_type: encoding.media_type(),
                    body: &body,
                    token: None,
                    mac: None,
                    protected: false,
                    loopback: true,
                    address: None,
                    now: now(),
                };
                peer.say(&server.answer(&request).unwrap().body);
            }
            peer.ends_well();
        });
        let mut transport = ObexTransport::tcp(&format!("obex://127.0.0.1:{port}"), ObexOptions::default()).unwrap();
        let report = sync(&device, &mut transport).unwrap();
        answers.join().unwrap();
        assert!(report.clean && report.messages >= 8, "{report:?}");
        assert_eq!((place.cards().len(), device.cards().len()), (40, 40));
    }
}
