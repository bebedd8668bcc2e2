//! The client's side.

use super::frame::{Frame, FrameError};
use crate::codec::Encoding;
use crate::session::Outgoing;
use crate::transport::cancel::Cancel;
use crate::transport::line::Line;
use crate::transport::{Answer, Event, Tell, Transport, TransportError, body_limit, shown};
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// The scheme of its addresses.
const SCHEME: &str = "tcp://";

/// How a client sends frames.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TcpOptions {
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long an exchange may take, once connected.
    pub timeout: Duration,
    /// The largest message announced to the server, in bytes; answers may overshoot it somewhat.
    pub max_msg_size: u64,
    /// Stops an exchange from elsewhere.
    pub cancel: Cancel,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(20),
            timeout: Duration::from_secs(120),
            max_msg_size: 150_000,
            cancel: Cancel::new(),
        }
    }
}

/// Frames over one connection, which is kept until the session ends.
#[derive(Debug)]
pub struct TcpTransport {
    /// `tcp://host:port`, as it may be shown.
    uri: String,
    host: String,
    options: TcpOptions,
    line: Option<Line>,
}

impl TcpTransport {
    /// To `tcp://host:port`; what follows a further `/` is not looked at.
    ///
    /// # Errors
    /// [`TransportError::Invalid`] when it is no such address.
    pub fn new(uri: &str, options: TcpOptions) -> Result<Self, TransportError> {
        let host = authority(uri, SCHEME)?;
        Ok(Self { uri: shown(uri), host, options, line: None })
    }

    fn once(
        &self,
        line: &mut Line,
        request: &Outgoing,
        until: Option<Instant>,
        tell: Tell<'_>,
    ) -> Result<Frame, FrameError> {
        let left = until.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        line.wait_for(self.options.timeout.min(left));
        tell(Event::Sending { bytes: request.body.len() as u64 });
        Frame::new(0, request.content_type, request.mac.as_deref(), request.body.clone()).write(line)?;
        let limit = body_limit(self.options.max_msg_size);
        let answer = Frame::read(line, limit, &mut |bytes| tell(Event::Receiving { bytes }))?;
        answer.ok_or_else(|| FrameError::Io(io::ErrorKind::UnexpectedEof.into()))
    }

    fn failed(&self, error: FrameError, until: Option<Instant>) -> TransportError {
        let to = self.uri.clone();
        match error {
            FrameError::Io(_) if self.options.cancel.is_cancelled() => TransportError::Cancelled,
            FrameError::Io(_) if is_past(until) => TransportError::Deadline,
            FrameError::Io(error) => TransportError::broken(&to, &error),
            FrameError::TooLarge { limit, .. } => TransportError::TooLarge { to, limit },
            error => TransportError::Garbled { to, reason: error.to_string() },
        }
    }
}

impl Transport for TcpTransport {
    fn exchange(
        &mut self,
        request: &Outgoing,
        until: Option<Instant>,
        tell: Tell<'_>,
    ) -> Result<Answer, TransportError> {
        let mut line = match self.line.take() {
            Some(line) => line,
            None => {
                tell(Event::Connecting { uri: &self.uri });
                let stream = connect(&self.uri, &self.host, self.options.connect_timeout, until)?;
                Line::new(stream, self.options.timeout, Some(self.options.cancel.clone()))
            }
        };
        let frame = self.once(&mut line, request, until, tell).map_err(|error| self.failed(error, until))?;
        if frame.status != 200 {
            let text = String::from_utf8_lossy(&frame.body);
            let text = text.chars().filter(|char| !char.is_control()).take(200).collect();
            return Err(TransportError::Refused { to: self.uri.clone(), status: frame.status, text });
        }
        if Encoding::from_content_type(&frame.content_type).is_none() {
            let reason = format!("its answer is {:?} instead of SyncML", frame.content_type);
            return Err(TransportError::Garbled { to: self.uri.clone(), reason });
        }
        self.line = Some(line);
        Ok(Answer { uri: self.uri.clone(), content_type: frame.content_type, body: frame.body, mac: frame.mac })
    }

    fn close(&mut self) {
        self.line = None;
    }
}

/// Host and port of an address of that scheme.
pub(in crate::transport) fn authority(uri: &str, scheme: &str) -> Result<String, TransportError> {
    let is_scheme = uri.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let rest = if is_scheme { &uri[scheme.len()..] } else { "" };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port = host.rsplit_once(':').and_then(|(name, port)| port.parse::<u16>().ok().filter(|_| !name.is_empty()));
    match port {
        Some(_) if !host.contains('@') => Ok(host.to_owned()),
        _ => Err(TransportError::Invalid(format!("{:?} is no address of the kind {scheme}HOST:PORT", shown(uri)))),
    }
}

/// Connects to the first of a host's addresses that takes it.
pub(in crate::transport) fn connect(
    uri: &str,
    host: &str,
    patience: Duration,
    until: Option<Instant>,
) -> Result<TcpStream, TransportError> {
    if is_past(until) {
        return Err(TransportError::Deadline);
    }
    let unreachable = |reason: String| TransportError::Unreachable { to: uri.to_owned(), reason };
    let addresses = host.to_socket_addrs().map_err(|error| unreachable(error.to_string()))?;
    let mut last = "there is no host of that name".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => {
                drop(stream.set_nodelay(true));
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                last = "nothing listens there (connection refused)".to_owned();
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(unreachable(last))
}

pub(in crate::transport) fn is_past(until: Option<Instant>) -> bool {
    until.is_some_and(|at| at <= Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        for (uri, expected) in [
            ("tcp://h:1", Some("h:1")),
            ("TCP://h:1/x?y", Some("h:1")),
            ("tcp://[::1]:80", Some("[::1]:80")),
            ("tcp://h", None),
            ("tcp://:1", None),
            ("tcp://h:x", None),
            ("tcp://u@h:1", None),
            ("http://h:1", None),
            ("tcp", None),
            ("", None),
        ] {
            assert_eq!(authority(uri, SCHEME).ok().as_deref(), expected, "{uri}");
        }
    }
}
