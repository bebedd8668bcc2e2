//! An exchange in a thread of its own, so that nobody has to wait for its end.

use super::{Cancel, HttpError, shown};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// How long it takes at most until a wish to stop is noticed.
const LOOK: Duration = Duration::from_millis(40);

enum Said<T> {
    Came(u64),
    Done(T),
}

/// Runs `exchange` in another thread and waits for it, or until the sync is to stop; `came` hears what it tells meanwhile.
pub(super) fn apart<T: Send + 'static>(
    uri: &str,
    cancel: &Cancel,
    exchange: impl FnOnce(&mut dyn FnMut(u64)) -> T + Send + 'static,
    came: &mut dyn FnMut(u64),
) -> Result<T, HttpError> {
    let (says, hears) = channel();
    let work = move || {
        // Nobody listens any more once the sync was stopped.
        let done = exchange(&mut |bytes| drop(says.send(Said::Came(bytes))));
        drop(says.send(Said::Done(done)));
    };
    let broken = |reason: String| HttpError::Broken { uri: shown(uri), reason };
    thread::Builder::new().name("syncml-post".to_owned()).spawn(work).map_err(|error| broken(error.to_string()))?;
    loop {
        match hears.recv_timeout(LOOK) {
            Ok(Said::Done(done)) => return Ok(done),
            Ok(Said::Came(bytes)) => came(bytes),
            Err(RecvTimeoutError::Disconnected) => return Err(broken("it ended without a word".to_owned())),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if cancel.is_cancelled() {
            return Err(HttpError::Cancelled);
        }
    }
}
