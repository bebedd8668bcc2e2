//! The machines over streams.

use super::client::{ClientMachine, Heard};
use super::framer::Framer;
use super::object::Object;
use super::packet::{Code, ObexError};
use super::server::{ServerMachine, Turn};
use super::{MAX_PACKET, MIN_PACKET};
use crate::codec::Encoding;
use crate::session::Outgoing;
use crate::transport::line::Line;
use crate::transport::listen::Listener;
use crate::transport::reception::{Incoming, Reception};
use crate::transport::tcp::{authority, connect, is_past};
use crate::transport::{Answer, Cancel, Event, Medium, Tell, Transport, TransportError, body_limit, shown};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::debug;

/// The scheme of addresses over TCP.
const SCHEME: &str = "obex://";

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// A stream of bytes between two.
pub trait Wire: Read + Write {
    /// From now on, how long may be waited; then it fails with [`io::ErrorKind::TimedOut`]. A stream that cannot do that waits
    /// for ever.
    fn be_patient(&mut self, patience: Duration) {
        let _ = patience;
    }
}

impl Wire for Line {
    fn be_patient(&mut self, patience: Duration) {
        self.wait_for(patience);
    }
}

/// Any stream, which is waited for as long as it likes.
#[derive(Debug)]
pub struct Plain<S>(pub S);

impl<S: Read> Read for Plain<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<S: Write> Write for Plain<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<S: Read + Write> Wire for Plain<S> {}

/// Makes a stream to a server.
pub trait Dial {
    /// Whether it is worth a try now ([`Transport::is_available`]).
    fn is_available(&mut self) -> bool {
        true
    }

    /// Makes it.
    ///
    /// # Errors
    /// [`TransportError`]; nothing was sent.
    fn dial(&mut self, until: Option<Instant>) -> Result<Box<dyn Wire>, TransportError>;
}

/// How a client speaks OBEX.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ObexOptions {
    /// What the stream runs over.
    pub medium: Medium,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long an exchange may take, once connected.
    pub timeout: Duration,
    /// The largest packet that is taken, in bytes.
    pub max_packet: u16,
    /// The largest message announced to the server, in bytes; answers may overshoot it somewhat.
    pub max_msg_size: u64,
    /// Stops an exchange from elsewhere.
    pub cancel: Cancel,
}

impl Default for ObexOptions {
    fn default() -> Self {
        Self {
            medium: Medium::Wireless,
            connect_timeout: Duration::from_secs(20),
            timeout: Duration::from_secs(120),
            max_packet: MAX_PACKET,
            max_msg_size: 150_000,
            cancel: Cancel::new(),
        }
    }
}

/// OBEX as a session's transport.
pub struct ObexTransport {
    dial: Box<dyn Dial>,
    /// The server, as it may be shown.
    uri: String,
    options: ObexOptions,
    link: Option<Link>,
}

impl fmt::Debug for ObexTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObexTransport").field("uri", &self.uri).field("options", &self.options).finish_non_exhaustive()
    }
}

/// A connection that stands.
struct Link {
    wire: Box<dyn Wire>,
    framer: Framer,
    machine: ClientMachine,
}

/// Why an operation failed.
enum Failure {
    Io(io::Error),
    Obex(ObexError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ObexError> for Failure {
    fn from(error: ObexError) -> Self {
        Self::Obex(error)
    }
}

impl ObexTransport {
    /// Over the streams that `dial` makes; `uri` is what the server is called in messages for people.
    #[must_use]
    pub fn new(dial: Box<dyn Dial>, uri: &str, options: ObexOptions) -> Self {
        Self { dial, uri: shown(uri), options, link: None }
    }

    /// Over TCP, to `obex://host:port`.
    ///
    /// # Errors
    /// [`TransportError::Invalid`] when it is no such address.
    pub fn tcp(uri: &str, options: ObexOptions) -> Result<Self, TransportError> {
        let dial = TcpDial {
            uri: shown(uri),
            host: authority(uri, SCHEME)?,
            timeout: options.connect_timeout,
            cancel: options.cancel.clone(),
        };
        Ok(Self::new(Box::new(dial), uri, options))
    }

    /// Puts an object that is no message of a session, such as a notification, to a device (§8.3). Nothing is got.
    ///
    /// # Errors
    /// [`TransportError`]; the device did not say that it has it.
    pub fn push(&mut self, object: Object) -> Result<(), TransportError> {
        let mut link = self.link(None, &mut |_| ())?;
        link.wire.be_patient(self.options.timeout);
        let put = link.put(object);
        self.heard(link, put)
    }

    /// Calls a device and serves it, the server being the OBEX client (§9.2): the notification is put, the device's messages are
    /// got, and their answers put, until it has no more to say. Gives how many messages it had. `protected` says that nobody can
    /// read along, `content_type` how the device writes its messages.
    ///
    /// # Errors
    /// [`TransportError`]. What was answered is done; the device goes on by calling the server, or when it is called again.
    pub fn call(
        &mut self,
        notification: Object,
        content_type: &str,
        reception: &Reception,
        protected: bool,
    ) -> Result<u64, TransportError> {
        self.push(notification)?;
        for messages in 0.. {
            let mut link = self.link(None, &mut |_| ())?;
            link.wire.be_patient(self.options.timeout);
            let got = link.get(content_type, &mut |_| ());
            let message = match got {
                Ok(Ok(message)) if !message.body.is_empty() => message,
                Ok(Ok(_) | Err(Code::NOT_FOUND)) => {
                    self.link = Some(link);
                    return Ok(messages);
                }
                Ok(Err(code)) => return self.heard(link, Ok(Err(code))).map(|()| messages),
                Err(failure) => return Err(self.failed(failure, None)),
            };
            let about = About {
                protected,
                loopback: false,
                address: None,
                idle: Duration::MAX,
                timeout: self.options.timeout,
                is_ending: &|| false,
            };
            let reply = answer(reception, &about, &message).map_err(|status| self.refused(Code::from_http(status)))?;
            let put = link.put(reply);
            self.heard(link, put)?;
        }
        Ok(0)
    }

    /// What became of a PUT; the connection stands if the other side said anything.
    fn heard(&mut self, link: Link, put: Result<Result<(), Code>, Failure>) -> Result<(), TransportError> {
        let said = put.map_err(|failure| self.failed(failure, None))?;
        self.link = Some(link);
        said.map_err(|code| self.refused(code))
    }

    /// A connection, which stands or is made now.
    fn link(&mut self, until: Option<Instant>, tell: Tell<'_>) -> Result<Link, TransportError> {
        if let Some(link) = self.link.take() {
            return Ok(link);
        }
        tell(Event::Connecting { uri: &self.uri });
        let wire = self.dial.dial(until)?;
        let max = self.options.max_packet.max(MIN_PACKET);
        let machine = ClientMachine::new(max, body_limit(self.options.max_msg_size));
        let mut link = Link { wire, framer: Framer::new(max), machine };
        link.wire.be_patient(self.patience(until));
        let connected = link.machine.connect().map_err(Failure::from).and_then(|bytes| link.talk(bytes, &mut |_| ()));
        match connected {
            Ok(Heard::Connected) => Ok(link),
            Ok(Heard::Refused(code)) => Err(self.refused(code)),
            Ok(_) => Err(self.failed(ObexError::Misuse.into(), until)),
            // Nothing of a message was sent.
            Err(failure) => Err(match self.failed(failure, until) {
                TransportError::Broken { to, reason } => TransportError::Unreachable { to, reason },
                other => other,
            }),
        }
    }

    fn patience(&self, until: Option<Instant>) -> Duration {
        let left = until.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        self.options.timeout.min(left)
    }

    fn failed(&self, failure: Failure, until: Option<Instant>) -> TransportError {
        let to = self.uri.clone();
        match failure {
            Failure::Io(_) if self.options.cancel.is_cancelled() => TransportError::Cancelled,
            Failure::Io(_) if is_past(until) => TransportError::Deadline,
            Failure::Io(error) => TransportError::broken(&to, &error),
            Failure::Obex(ObexError::TooLarge(limit)) => TransportError::TooLarge { to, limit },
            Failure::Obex(error) => TransportError::Garbled { to, reason: error.to_string() },
        }
    }

    fn refused(&self, code: Code) -> TransportError {
        let text = match code {
            Code::NOT_FOUND | Code::FORBIDDEN => "there is no SyncML server there, or it has no answer",
            Code::TOO_LARGE => "the message is too large for it",
            Code::UNSUPPORTED_TYPE => "it does not take messages written this way",
            Code::UNAVAILABLE => "it is not up to it at the moment; sync again later",
            _ => "it does not take the message",
        };
        TransportError::Refused { to: self.uri.clone(), status: code.to_http(), text: text.to_owned() }
    }
}

impl Link {
    /// An operation from its first packet to its end.
    fn talk(&mut self, first: Vec<u8>, came: &mut dyn FnMut(u64)) -> Result<Heard, Failure> {
        let (mut bytes, mut all) = (first, 0);
        loop {
            self.wire.write_all(&bytes)?;
            self.wire.flush()?;
            let packet = read(self.wire.as_mut(), &mut self.framer)?
                .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            all += packet.len() as u64;
            came(all);
            match self.machine.received(&packet)? {
                Heard::Send(next) => bytes = next,
                other => return Ok(other),
            }
        }
    }

    /// A message there, and its answer back.
    fn exchange(&mut self, request: &Outgoing, tell: Tell<'_>) -> Result<Result<Object, Code>, Failure> {
        let object = Object {
            content_type: request.content_type.to_owned(),
            mac: request.mac.clone(),
            body: request.body.clone(),
        };
        tell(Event::Sending { bytes: object.body.len() as u64 });
        match self.put(object)? {
            Ok(()) => self.get(request.content_type, &mut |bytes| tell(Event::Receiving { bytes })),
            Err(code) => Ok(Err(code)),
        }
    }

    fn put(&mut self, object: Object) -> Result<Result<(), Code>, Failure> {
        let first = self.machine.put(object)?;
        match self.talk(first, &mut |_| ())? {
            Heard::Put => Ok(Ok(())),
            Heard::Refused(code) => Ok(Err(code)),
            _ => Err(ObexError::Misuse.into()),
        }
    }

    fn get(&mut self, content_type: &str, came: &mut dyn FnMut(u64)) -> Result<Result<Object, Code>, Failure> {
        let first = self.machine.get(content_type)?;
        match self.talk(first, came)? {
            Heard::Got(object) => Ok(Ok(object)),
            Heard::Refused(code) => Ok(Err(code)),
            _ => Err(ObexError::Misuse.into()),
        }
    }
}

impl Transport for ObexTransport {
    fn medium(&self) -> Medium {
        self.options.medium
    }

    fn is_available(&mut self) -> bool {
        self.dial.is_available()
    }

    fn exchange(
        &mut self,
        request: &Outgoing,
        until: Option<Instant>,
        tell: Tell<'_>,
    ) -> Result<Answer, TransportError> {
        let mut link = self.link(until, tell)?;
        link.wire.be_patient(self.patience(until));
        let object = match link.exchange(request, tell) {
            Ok(Ok(object)) => object,
            Ok(Err(code)) => {
                self.link = Some(link);
                return Err(self.refused(code));
            }
            Err(failure) => return Err(self.failed(failure, until)),
        };
        self.link = Some(link);
        // Some do not say what they give; it is what was asked for.
        let content_type = match object.content_type.as_str() {
            "" => request.content_type.to_owned(),
            _ => object.content_type,
        };
        if Encoding::from_content_type(&content_type).is_none() {
            let reason = format!("its answer is {content_type:?} instead of SyncML");
            return Err(TransportError::Garbled { to: self.uri.clone(), reason });
        }
        Ok(Answer { uri: self.uri.clone(), content_type, body: object.body, mac: object.mac })
    }

    fn close(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        link.wire.be_patient(GOODBYE);
        if let Ok(bytes) = link.machine.disconnect() {
            drop(link.talk(bytes, &mut |_| ()));
        }
    }
}

struct TcpDial {
    uri: String,
    host: String,
    timeout: Duration,
    cancel: Cancel,
}

impl Dial for TcpDial {
    fn dial(&mut self, until: Option<Instant>) -> Result<Box<dyn Wire>, TransportError> {
        let stream = connect(&self.uri, &self.host, self.timeout, until)?;
        Ok(Box::new(Line::new(stream, self.timeout, Some(self.cancel.clone()))))
    }
}

/// Serves OBEX over TCP until the listener is stopped ([`Listener::stopper`]); messages in hand are answered then.
pub fn serve(listener: Listener, reception: Reception) {
    listener.serve(Arc::new(move |connection| {
        let Ok(stream) = connection.stream.try_clone() else { return };
        let options = connection.options;
        let address = connection.peer.to_string();
        let about = About {
            protected: options.protected,
            loopback: !options.protected && connection.peer.is_loopback(),
            address: Some(&address),
            idle: options.idle,
            timeout: options.timeout,
            is_ending: &|| connection.is_ending(),
        };
        let mut line = Line::new(stream, options.idle, None);
        if let Err(error) = converse(&mut line, &reception, &about) {
            debug!(%error, "an OBEX connection broke");
        }
    }));
}

/// Serves one stream to its end: a cable, or a link that the host accepted. `protected` says that nobody can read along.
///
/// # Errors
/// What the stream says.
pub fn serve_stream(wire: &mut dyn Wire, reception: &Reception, protected: bool) -> io::Result<()> {
    let about = About {
        protected,
        // A radio link is no part of this machine.
        loopback: false,
        address: None,
        idle: Duration::MAX,
        timeout: Duration::from_secs(120),
        is_ending: &|| false,
    };
    converse(wire, reception, &about)
}

/// What is known of a stream.
struct About<'a> {
    protected: bool,
    loopback: bool,
    address: Option<&'a str>,
    idle: Duration,
    timeout: Duration,
    is_ending: &'a dyn Fn() -> bool,
}

fn converse(wire: &mut dyn Wire, reception: &Reception, about: &About<'_>) -> io::Result<()> {
    let mut framer = Framer::new(MAX_PACKET);
    // There is one connection to a stream, so that any number will do.
    let mut machine = ServerMachine::new(MAX_PACKET, reception.limit(), 1);
    let broken = |error: ObexError| io::Error::new(io::ErrorKind::InvalidData, error);
    loop {
        wire.be_patient(about.idle);
        let Some(packet) = read(wire, &mut framer)? else { return Ok(()) };
        wire.be_patient(about.timeout);
        let (bytes, last) = match machine.received(&packet).map_err(broken)? {
            Turn::Say(bytes) => (bytes, false),
            Turn::Close(bytes) => (bytes, true),
            Turn::Ask(object) => (machine.answered(answer(reception, about, &object)).map_err(broken)?, false),
        };
        wire.write_all(&bytes)?;
        wire.flush()?;
        if last {
            return Ok(());
        }
    }
}

fn answer(reception: &Reception, about: &About<'_>, object: &Object) -> Result<Object, u16> {
    if (about.is_ending)() {
        return Err(503);
    }
    let answered = reception.answer(&Incoming {
        content_type: &object.content_type,
        body: &object.body,
        mac: object.mac.as_deref(),
        protected: about.protected,
        loopback: about.loopback,
        address: about.address,
    });
    match answered {
        Ok(reply) => Ok(Object { content_type: reply.content_type.to_owned(), mac: reply.mac, body: reply.body }),
        Err(refusal) => Err(refusal.http_status()),
    }
}

/// Reads a packet, and nothing beyond it; `None` when the stream ends before it begins.
fn read(wire: &mut dyn Wire, framer: &mut Framer) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = [0; 4_096];
    loop {
        let missing = framer.missing().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let most = missing.min(buffer.len());
        let count = match wire.read(&mut buffer[..most]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if count == 0 {
            return if framer.is_between() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let (_, packet) =
            framer.take(&buffer[..count]).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if packet.is_some() {
            return Ok(packet);
        }
    }
}
