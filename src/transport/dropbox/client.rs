//! The client's side: a letter is left, its answer waited for.

use super::{AROUND, Shelf, Tray, name_of, to_letter};
use crate::codec::Encoding;
use crate::session::Outgoing;
use crate::transport::tcp::Frame;
use crate::transport::{Answer, Cancel, Event, Medium, Tell, Transport, TransportError, body_limit};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a client waits for answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DropOptions {
    /// How long to wait for an answer.
    pub timeout: Duration,
    /// The pause between two looks; at first they are shorter.
    pub pause: Duration,
    /// The largest message announced to the server, in bytes; answers may overshoot it somewhat.
    pub max_msg_size: u64,
    /// Stops the waiting from elsewhere.
    pub cancel: Cancel,
}

impl Default for DropOptions {
    /// Three days; two seconds.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3 * 86_400),
            pause: Duration::from_secs(2),
            max_msg_size: 150_000,
            cancel: Cancel::new(),
        }
    }
}

/// Letters over a shelf.
#[derive(Debug)]
pub struct DropTransport {
    shelf: Arc<dyn Shelf>,
    /// The shelf, as it may be shown.
    uri: String,
    options: DropOptions,
}

/// The first pause between two looks.
const SHORTEST: Duration = Duration::from_millis(20);

impl DropTransport {
    /// Over that shelf; `uri` is what it is called in messages for people.
    pub fn new(shelf: Arc<dyn Shelf>, uri: impl Into<String>, options: DropOptions) -> Self {
        Self { shelf, uri: uri.into(), options }
    }

    fn failed(&self, error: &io::Error) -> TransportError {
        TransportError::File { path: self.uri.clone(), reason: error.to_string() }
    }

    /// Waits for the answer's letter.
    fn wait(&self, name: &str, until: Option<Instant>) -> Result<Vec<u8>, TransportError> {
        let limit = body_limit(self.options.max_msg_size);
        let patience = Instant::now().checked_add(self.options.timeout);
        let mut pause = SHORTEST.min(self.options.pause);
        loop {
            match self.shelf.read(Tray::Out, name, limit + AROUND) {
                Ok(Some(letter)) => return Ok(letter),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    return Err(TransportError::TooLarge { to: self.uri.clone(), limit });
                }
                Err(error) => return Err(self.failed(&error)),
            }
            let now = Instant::now();
            if [until, patience].into_iter().flatten().any(|at| at <= now) {
                return Err(TransportError::Deadline);
            }
            // A wish to suspend cannot be told to who may be days away: it is one to stop.
            if self.options.cancel.wait(pause) {
                return Err(TransportError::Cancelled);
            }
            pause = (pause * 2).min(self.options.pause);
        }
    }
}

impl Transport for DropTransport {
    fn medium(&self) -> Medium {
        Medium::Stored
    }

    fn is_available(&mut self) -> bool {
        self.shelf.list(Tray::Out).is_ok()
    }

    fn exchange(
        &mut self,
        request: &Outgoing,
        until: Option<Instant>,
        tell: Tell<'_>,
    ) -> Result<Answer, TransportError> {
        let frame = Frame::new(0, request.content_type, request.mac.as_deref(), request.body.clone());
        let failed = |error: io::Error| self.failed(&error);
        let letter = to_letter(&frame).map_err(failed)?;
        let name = name_of(&letter);
        tell(Event::Sending { bytes: letter.len() as u64 });
        self.shelf.put(Tray::In, &name, &letter).map_err(failed)?;
        let answer = match self.wait(&name, until) {
            Ok(answer) => answer,
            Err(error) => {
                // Nobody waits for it any more.
                drop(self.shelf.remove(Tray::In, &name));
                return Err(error);
            }
        };
        tell(Event::Receiving { bytes: answer.len() as u64 });
        // In this order: else the letter could be answered once more.
        self.shelf.remove(Tray::In, &name).map_err(failed)?;
        self.shelf.remove(Tray::Out, &name).map_err(failed)?;
        let garbled = |reason: String| TransportError::Garbled { to: self.uri.clone(), reason };
        let frame = Frame::read(&mut &answer[..], answer.len(), &mut |_| ())
            .map_err(|error| garbled(error.to_string()))?
            .ok_or_else(|| garbled("its answer is empty".to_owned()))?;
        if frame.status != 200 {
            let text =
                String::from_utf8_lossy(&frame.body).chars().filter(|char| !char.is_control()).take(200).collect();
            return Err(TransportError::Refused { to: self.uri.clone(), status: frame.status, text });
        }
        if Encoding::from_content_type(&frame.content_type).is_none() {
            return Err(garbled(format!("its answer is {:?} instead of SyncML", frame.content_type)));
        }
        Ok(Answer { uri: self.uri.clone(), content_type: frame.content_type, body: frame.body, mac: frame.mac })
    }
}
