//! The client's HTTP binding: posts one message, takes its answer.
//!
//! A failed post is repeated with the identical bytes, which a server answers from what it stored. The very first
//! message of a session is never repeated unasked: the server may have begun a session for it (§9.1).

use super::{MAC_HEADER, body_limit, now, resolve};
use crate::codec::Encoding;
use crate::session::{Client, ClientError, Outgoing, Report};
use std::io;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;
use thiserror::Error;
use ureq::http::StatusCode;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Timeout};

/// Hops through 307 and 308 before giving up.
const MAX_REDIRECTS: usize = 5;

/// How a client posts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a whole exchange may take, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// How often a message is posted at most, the first time included.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles with each further one.
    pub pause: Duration,
    /// Certificates (PEM) to trust instead of those that come with the crate.
    pub roots: Option<Vec<u8>>,
    /// The largest message announced to the server, in bytes; answers may overshoot it somewhat.
    pub max_msg_size: u64,
    /// `User-Agent`.
    pub user_agent: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(20),
            timeout: Duration::from_secs(120),
            attempts: 4,
            pause: Duration::from_millis(500),
            roots: None,
            max_msg_size: 150_000,
            user_agent: concat!("syncml/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Why a message got no SyncML answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No connection came about; nothing was sent.
    #[error("cannot reach {uri}: {reason}")]
    Unreachable {
        /// The address.
        uri: String,
        /// Why.
        reason: String,
    },
    /// The connection broke; whether the server got the message is unknown.
    #[error("the connection to {uri} broke: {reason}")]
    Broken {
        /// The address.
        uri: String,
        /// Why.
        reason: String,
    },
    /// The server could not prove who it is.
    #[error("no trusted TLS connection to {uri}: {reason}")]
    Tls {
        /// The address.
        uri: String,
        /// Why.
        reason: String,
    },
    /// An HTTP status other than 200.
    #[error("{uri} answered HTTP {status}{}", detail(text))]
    Status {
        /// The address.
        uri: String,
        /// The status.
        status: u16,
        /// The first line of what it said, if that was text.
        text: String,
    },
    /// A redirection that cannot be followed.
    #[error("{uri} redirects to {location:?}, which is not followed: {reason}")]
    Redirect {
        /// The address.
        uri: String,
        /// Where it points.
        location: String,
        /// Why not.
        reason: &'static str,
    },
    /// An answer that is not SyncML.
    #[error("{uri} answered with {content_type:?} instead of SyncML; is it the address of a SyncML server?")]
    ContentType {
        /// The address.
        uri: String,
        /// Its Content-Type.
        content_type: String,
    },
    /// An answer larger than this client accepts.
    #[error("the answer of {uri} is larger than {limit} bytes")]
    TooLarge {
        /// The address.
        uri: String,
        /// The limit.
        limit: usize,
    },
    /// The address, a header or a certificate file is malformed.
    #[error("{0}")]
    Invalid(String),
}

fn detail(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

impl HttpError {
    /// Whether the same bytes may succeed later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => matches!(status, 502..=504),
            _ => false,
        }
    }
}

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its Content-Type.
    pub content_type: String,
    /// Its bytes.
    pub body: Vec<u8>,
    /// Its `x-syncml-hmac` header.
    pub mac: Option<String>,
}

/// Posts messages. Keeps connections, not cookies.
#[derive(Clone, Debug)]
pub struct HttpClient {
    agent: Agent,
    options: Options,
}

impl HttpClient {
    /// A client that posts as the options say.
    ///
    /// # Errors
    /// [`HttpError::Invalid`] when [`Options::roots`] holds no certificate.
    pub fn new(options: Options) -> Result<Self, HttpError> {
        let mut tls = TlsConfig::builder();
        if let Some(pem) = &options.roots {
            tls = tls.root_certs(RootCerts::Specific(Arc::new(certificates(pem)?)));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(options.connect_timeout))
            .timeout_per_call(Some(options.timeout))
            .user_agent(options.user_agent.as_str())
            .tls_config(tls.build())
            .build();
        Ok(Self { agent: config.new_agent(), options })
    }

    /// Posts one message, once, and follows redirections that keep the method.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn post(&self, uri: &str, content_type: &str, body: &[u8], mac: Option<&str>) -> Result<Answer, HttpError> {
        let mut uri = uri.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            match self.post_once(&uri, content_type, body, mac)? {
                Step::Done(answer) => return Ok(answer),
                Step::Elsewhere(next) => uri = next,
            }
        }
        Err(HttpError::Redirect { location: uri.clone(), uri, reason: "there were too many" })
    }

    /// Posts one message; where that fails for a passing reason, again, with the identical bytes.
    ///
    /// # Errors
    /// [`HttpError`], of the last attempt.
    pub fn post_until_answered(
        &self,
        uri: &str,
        content_type: &str,
        body: &[u8],
        mac: Option<&str>,
    ) -> Result<Answer, HttpError> {
        let mut pause = self.options.pause;
        for _ in 1..self.options.attempts {
            match self.post(uri, content_type, body, mac) {
                Err(error) if error.is_temporary() => sleep(pause),
                other => return other,
            }
            pause = pause.saturating_mul(2);
        }
        self.post(uri, content_type, body, mac)
    }

    fn post_once(&self, uri: &str, content_type: &str, body: &[u8], mac: Option<&str>) -> Result<Step, HttpError> {
        let mut request = self
            .agent
            .post(uri)
            .header("Content-Type", content_type)
            .header("Accept", "application/vnd.syncml+xml, application/vnd.syncml+wbxml")
            .header("Accept-Charset", "utf-8")
            .header("Cache-Control", "no-store");
        if let Some(mac) = mac {
            request = request.header(MAC_HEADER, mac);
        }
        let mut response = request.send(body).map_err(|error| failed(uri, error))?;
        let header = |name: &str| {
            response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let (status, location, mac) = (response.status(), header("Location"), header(MAC_HEADER));
        let answer_type = header("Content-Type").unwrap_or_default();
        if status.is_redirection() {
            return redirected(uri, status, location.unwrap_or_default());
        }
        let limit = body_limit(self.options.max_msg_size);
        // The reader takes a body of exactly its limit for one that is too large.
        let read = response.body_mut().with_config().limit(limit as u64 + 1).read_to_vec();
        if status != StatusCode::OK {
            let text = first_line(&answer_type, &read.unwrap_or_default());
            return Err(HttpError::Status { uri: uri.to_owned(), status: status.as_u16(), text });
        }
        let body = read.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => HttpError::TooLarge { uri: uri.to_owned(), limit },
            other => HttpError::Broken { uri: uri.to_owned(), reason: other.to_string() },
        })?;
        if Encoding::from_content_type(&answer_type).is_none() {
            return Err(HttpError::ContentType { uri: uri.to_owned(), content_type: answer_type });
        }
        Ok(Step::Done(Answer { content_type: answer_type, body, mac }))
    }
}

enum Step {
    Done(Answer),
    Elsewhere(String),
}

fn redirected(uri: &str, status: StatusCode, location: String) -> Result<Step, HttpError> {
    let refuse = |reason| HttpError::Redirect { uri: uri.to_owned(), location: location.clone(), reason };
    if !matches!(status.as_u16(), 307 | 308) {
        return Err(refuse("only 307 and 308 keep a POST; enter the address itself"));
    }
    resolve(uri, &location).map(Step::Elsewhere).ok_or_else(|| refuse("it leads away from HTTP or from TLS"))
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, HttpError> {
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(HttpError::Invalid(format!("the certificate file cannot be read: {error}"))),
        }
    }
    if found.is_empty() {
        return Err(HttpError::Invalid("the certificate file holds no certificate (PEM is expected)".to_owned()));
    }
    Ok(found)
}

fn failed(uri: &str, error: ureq::Error) -> HttpError {
    let uri = uri.to_owned();
    let reason = error.to_string();
    match error {
        ureq::Error::HostNotFound => HttpError::Unreachable { uri, reason: "there is no host of that name".to_owned() },
        ureq::Error::ConnectionFailed | ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            HttpError::Unreachable { uri, reason }
        }
        ureq::Error::Io(io) => match io.kind() {
            io::ErrorKind::ConnectionRefused => {
                HttpError::Unreachable { uri, reason: "nothing listens there (connection refused)".to_owned() }
            }
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => {
                HttpError::Unreachable { uri, reason }
            }
            // rustls reports a failed handshake this way.
            io::ErrorKind::InvalidData => HttpError::Tls { uri, reason: io.to_string() },
            _ => HttpError::Broken { uri, reason },
        },
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => HttpError::Tls { uri, reason },
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl => {
            HttpError::Invalid(format!("{uri:?} is not an address to post to: {reason}"))
        }
        _ => HttpError::Broken { uri, reason },
    }
}

/// The first line of a text, without control characters and not too long.
fn first_line(content_type: &str, body: &[u8]) -> String {
    if !content_type.trim_start().to_ascii_lowercase().starts_with("text/plain") {
        return String::new();
    }
    let text = String::from_utf8_lossy(body);
    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Why [`run`] ended before the session did.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A message got no SyncML answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The session ended early.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// [`Watch::stop`] asked for it; the next sync continues.
    #[error("stopped; the next sync continues where this one ended")]
    Stopped,
}

/// Looks on while a session runs, and may stop it between two messages.
pub trait Watch {
    /// A message is about to be posted; `number` counts from 1.
    fn sending(&mut self, number: u32, request: &Outgoing) {
        let _ = (number, request);
    }

    /// Its answer has come and was taken.
    fn received(&mut self, number: u32, answer: &Answer, report: &Report) {
        let _ = (number, answer, report);
    }

    /// Whether to stop before the next message.
    fn stop(&mut self) -> bool {
        false
    }
}

/// Nobody looks on.
impl Watch for () {}

/// Drives a session to its end: posts what `client` has to say and hands it the answers. The report is then
/// [`Client::report`].
///
/// # Errors
/// [`RunError`].
pub fn run(client: &mut Client, http: &HttpClient, watch: &mut dyn Watch) -> Result<(), RunError> {
    let mut number = 0;
    while let Some(request) = client.outgoing() {
        if watch.stop() {
            return Err(RunError::Stopped);
        }
        number += 1;
        watch.sending(number, &request);
        let answer = if number == 1 {
            http.post(&request.uri, request.content_type, &request.body, None)?
        } else {
            http.post_until_answered(&request.uri, request.content_type, &request.body, None)?
        };
        let taken = client.received(&answer.content_type, &answer.body, now());
        watch.received(number, &answer, &client.report());
        taken?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
