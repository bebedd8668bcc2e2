//! The client's HTTP binding: posts one message, takes its answer.
//!
//! A failed post is repeated with the identical bytes, which a server answers from what it stored. The very first
//! message of a session is repeated only when the server certainly did nothing for it: otherwise it may have begun a
//! session (§9.1).

mod apart;
mod drive;
mod error;

pub use self::drive::{HttpTransport, ask, run};
pub use self::error::HttpError;
pub use crate::transport::{Answer, Cancel, Event, Retry, RunError, Watch};

use self::apart::apart;
use self::error::failed;
use super::coding::{self, Coding, Unpacking};
use super::{MAC_HEADER, authority, body_limit, next_address, shown};
use crate::codec::Encoding;
use crate::session::Outgoing;
use crate::transport::drive::{Ended, repeat};
use crate::transport::retry::retry_after;
use crate::transport::{Conduct, Tell};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::{Response, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy};

/// Hops through redirections before giving up.
const MAX_REDIRECTS: usize = 5;

/// How much of an answer is read between two looks at [`Options::cancel`] and the limit, in bytes.
const CHUNK: usize = 16 * 1024;

/// How a client posts. `Debug` does not show the proxy's address, which may hold a password.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a whole exchange may take, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// How long a whole session may take ([`run`]), pauses and repetitions included; `None` is without end. A session
    /// that is stopped so loses nothing: the next one continues.
    pub deadline: Option<Duration>,
    /// When a message is posted again.
    pub retry: Retry,
    /// Certificates (PEM) to trust instead of those that come with the crate.
    pub roots: Option<Vec<u8>>,
    /// The proxy's address, `http://[user:password@]host:port` or `https://…`; it must allow CONNECT to the server's port.
    /// The environment is not looked at.
    pub proxy: Option<String>,
    /// Whether packed answers are asked for, and messages packed for servers that say they take it.
    pub gzip: bool,
    /// Whether redirections to another scheme, host or port are followed, and a server that wants the next message at one
    /// (RespURI). The messages hold credentials and cards. To TLS at the same host is followed in any case.
    pub other_hosts: bool,
    /// The largest message announced to the server, in bytes; answers may overshoot it somewhat, unpacked.
    pub max_msg_size: u64,
    /// `User-Agent`.
    pub user_agent: String,
    /// Stops a session from elsewhere.
    pub cancel: Cancel,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(20),
            timeout: Duration::from_secs(120),
            deadline: None,
            retry: Retry::default(),
            roots: None,
            proxy: None,
            gzip: true,
            other_hosts: false,
            max_msg_size: 150_000,
            user_agent: concat!("syncml/", env!("CARGO_PKG_VERSION")).to_owned(),
            cancel: Cancel::new(),
        }
    }
}

impl Options {
    /// How [`run`] drives a session.
    #[must_use]
    pub fn conduct(&self) -> Conduct {
        Conduct { cancel: self.cancel.clone(), deadline: self.deadline, retry: self.retry }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("deadline", &self.deadline)
            .field("retry", &self.retry)
            .field("roots", &self.roots.is_some())
            .field("proxy", &self.proxy.is_some())
            .field("gzip", &self.gzip)
            .field("other_hosts", &self.other_hosts)
            .field("max_msg_size", &self.max_msg_size)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}

/// Posts messages. Keeps connections, not cookies.
#[derive(Clone)]
pub struct HttpClient {
    agent: Agent,
    options: Arc<Options>,
    /// Servers that said they take gzip.
    unpackers: Arc<Mutex<BTreeSet<String>>>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What is posted: the same bytes however often.
struct Packet<'a> {
    content_type: &'a str,
    /// The message, packed or not.
    body: Cow<'a, [u8]>,
    mac: Option<&'a str>,
    deadline: Option<Instant>,
}

impl Packet<'_> {
    const fn is_packed(&self) -> bool {
        matches!(self.body, Cow::Owned(_))
    }
}

impl HttpClient {
    /// A client that posts as the options say.
    ///
    /// # Errors
    /// [`HttpError::Invalid`] when [`Options::roots`] holds no certificate or [`Options::proxy`] is no address.
    pub fn new(options: Options) -> Result<Self, HttpError> {
        let mut tls = TlsConfig::builder();
        if let Some(pem) = &options.roots {
            tls = tls.root_certs(RootCerts::Specific(Arc::new(certificates(pem)?)));
        }
        let proxy = options.proxy.as_deref().map(Proxy::new).transpose();
        // The address may hold a password: it is not repeated.
        let proxy = proxy.map_err(|error| HttpError::Invalid(format!("the proxy's address is none: {error}")))?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .timeout_connect(Some(options.connect_timeout))
            .user_agent(options.user_agent.as_str())
            .tls_config(tls.build())
            .build();
        Ok(Self { agent: config.new_agent(), options: Arc::new(options), unpackers: Arc::default() })
    }

    /// How it posts.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Posts one message, once, and follows redirections.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn post(&self, uri: &str, content_type: &str, body: &[u8], mac: Option<&str>) -> Result<Answer, HttpError> {
        let packet = Packet { content_type, body: self.packed(uri, body), mac, deadline: None };
        self.attempt(uri, &packet, body, &mut |_| ())
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
        let packet = Packet { content_type, body: self.packed(uri, body), mac, deadline: None };
        let again = |error: &HttpError| error.is_temporary().then(|| error.retry_after());
        let once = &mut |tell: Tell<'_>| self.attempt(uri, &packet, body, tell);
        repeat(&self.options.conduct(), None, again, &mut |_| (), once).map_err(|ended| match ended {
            Ended::Failed(error) => error,
            Ended::Cancelled => HttpError::Cancelled,
        })
    }

    /// Posts a session's next message, once.
    fn deliver(
        &self,
        uri: &str,
        request: &Outgoing,
        deadline: Option<Instant>,
        tell: Tell<'_>,
    ) -> Result<Answer, HttpError> {
        let body = request.body.as_slice();
        let mac = request.mac.as_deref();
        let packet = Packet { content_type: request.content_type, body: self.packed(uri, body), mac, deadline };
        self.attempt(uri, &packet, body, tell)
    }

    /// Once, through redirections. A server that unlearned to unpack gets the message as it is: it did nothing for it.
    fn attempt(&self, uri: &str, packet: &Packet<'_>, plain: &[u8], tell: Tell<'_>) -> Result<Answer, HttpError> {
        match self.follow(uri, packet, tell) {
            Err(HttpError::Status { status: 415, .. }) if packet.is_packed() => {
                self.unpackers.lock().unwrap_or_else(PoisonError::into_inner).remove(authority(uri));
                self.follow(uri, &Packet { body: Cow::Borrowed(plain), ..*packet }, tell)
            }
            other => other,
        }
    }

    fn follow(&self, uri: &str, packet: &Packet<'_>, tell: Tell<'_>) -> Result<Answer, HttpError> {
        let mut uri = uri.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            match self.post_once(&uri, packet, tell)? {
                Step::Done(answer) => return Ok(answer),
                Step::Elsewhere(next) => uri = next,
            }
        }
        Err(HttpError::Redirect { location: shown(&uri), uri: shown(&uri), reason: "there were too many" })
    }

    /// The message as it is posted there.
    fn packed<'b>(&self, uri: &str, body: &'b [u8]) -> Cow<'b, [u8]> {
        let known = self.unpackers.lock().unwrap_or_else(PoisonError::into_inner).contains(authority(uri));
        match known.then(|| coding::gzip(body)).flatten() {
            Some(packed) => Cow::Owned(packed),
            None => Cow::Borrowed(body),
        }
    }

    fn post_once(&self, uri: &str, packet: &Packet<'_>, tell: Tell<'_>) -> Result<Step, HttpError> {
        let left = packet.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(HttpError::Deadline);
        }
        let timeout = left.map_or(self.options.timeout, |left| left.min(self.options.timeout));
        let mut request = self
            .agent
            .post(uri)
            .header("Content-Type", packet.content_type)
            .header("Accept", "application/vnd.syncml+xml, application/vnd.syncml+wbxml")
            .header("Accept-Charset", "utf-8")
            .header("Accept-Encoding", if self.options.gzip { coding::ACCEPTED } else { "identity" })
            .header("Cache-Control", "no-store");
        if let Some(mac) = packet.mac {
            request = request.header(MAC_HEADER, mac);
        }
        if packet.is_packed() {
            request = request.header("Content-Encoding", "gzip");
        }
        let request = request.config().timeout_per_call(Some(timeout)).build();
        tell(Event::Connecting { uri });
        tell(Event::Sending { bytes: packet.body.len() as u64 });
        // Both wait for a server that may say nothing: in a thread of their own, which is left behind when nobody cares
        // any more and ends with its timeout.
        let (client, address, body) = (self.clone(), uri.to_owned(), packet.body.to_vec());
        let exchange = move |came: &mut dyn FnMut(u64)| {
            let response = request.send(&body[..]).map_err(|error| failed(&address, error))?;
            client.take(&address, response, came)
        };
        apart(uri, &self.options.cancel, exchange, &mut |bytes| tell(Event::Receiving { bytes }))?
    }

    /// Takes what comes back; `came` hears how many bytes there are so far.
    fn take(&self, uri: &str, mut response: Response<Body>, came: &mut dyn FnMut(u64)) -> Result<Step, HttpError> {
        let header = |name: &str| {
            response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let (status, location, mac) = (response.status(), header("Location"), header(MAC_HEADER));
        let (answer_type, packing) = (header("Content-Type").unwrap_or_default(), header("Content-Encoding"));
        let (takes, retry) = (header("Accept-Encoding"), retry_after(header("Retry-After").as_deref()));
        if status.is_redirection() {
            return self.redirected(uri, status, &location.unwrap_or_default());
        }
        let read = self.read(uri, &mut response, packing.as_deref(), came);
        if status != StatusCode::OK {
            let text = first_line(&answer_type, &read.unwrap_or_default());
            return Err(HttpError::Status { uri: shown(uri), status: status.as_u16(), text, retry_after: retry });
        }
        let body = read?;
        if Encoding::from_content_type(&answer_type).is_none() {
            return Err(HttpError::ContentType { uri: shown(uri), content_type: answer_type });
        }
        if self.options.gzip && takes.is_some_and(|takes| coding::takes_gzip(&takes)) {
            self.unpackers.lock().unwrap_or_else(PoisonError::into_inner).insert(authority(uri).to_owned());
        }
        Ok(Step::Done(Answer { uri: uri.to_owned(), content_type: answer_type, body, mac }))
    }

    /// Reads a body and unpacks it, both up to the limit.
    fn read(
        &self,
        uri: &str,
        response: &mut Response<Body>,
        packing: Option<&str>,
        came: &mut dyn FnMut(u64),
    ) -> Result<Vec<u8>, HttpError> {
        let limit = body_limit(self.options.max_msg_size);
        let too_large = || HttpError::TooLarge { uri: shown(uri), limit };
        let undone = |coding: &str| HttpError::Coding { uri: shown(uri), coding: coding.to_owned() };
        let coding = Coding::from_header(packing).map_err(|coding| undone(&coding))?;
        if response.body().content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut reader = response.body_mut().as_reader();
        let (mut body, mut chunk) = (Vec::new(), vec![0; CHUNK]);
        loop {
            if self.options.cancel.is_cancelled() {
                return Err(HttpError::Cancelled);
            }
            match reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) if n > limit - body.len() => return Err(too_large()),
                Ok(n) => body.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(HttpError::Broken { uri: shown(uri), reason: error.to_string() }),
            }
            came(body.len() as u64);
        }
        match coding.map(|coding| coding.unpack(&body, limit)) {
            None => Ok(body),
            Some(Ok(body)) => Ok(body),
            Some(Err(Unpacking::TooLarge)) => Err(too_large()),
            Some(Err(Unpacking::Broken)) => Err(undone(packing.unwrap_or_default())),
        }
    }

    fn redirected(&self, uri: &str, status: StatusCode, location: &str) -> Result<Step, HttpError> {
        let refuse = |reason| HttpError::Redirect { uri: shown(uri), location: shown(location), reason };
        // 301 and 302 turn other posts into page views; a message is a message wherever the server has gone.
        if !matches!(status.as_u16(), 301 | 302 | 307 | 308) {
            return Err(refuse("it leads to a page, not to a server; enter the address itself"));
        }
        let next = next_address(uri, location, self.options.other_hosts).map_err(refuse)?;
        Ok(Step::Elsewhere(next))
    }
}

enum Step {
    Done(Answer),
    Elsewhere(String),
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

/// The first line of a text, without control characters and not too long.
fn first_line(content_type: &str, body: &[u8]) -> String {
    if !content_type.trim_start().to_ascii_lowercase().starts_with("text/plain") {
        return String::new();
    }
    let text = String::from_utf8_lossy(body);
    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests;
