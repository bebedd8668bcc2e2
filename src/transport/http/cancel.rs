//! Stopping a sync from elsewhere.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Stops a sync from another thread. All clones are the same handle.
///
/// A pause between two attempts ends at once; otherwise it takes effect before the next message and between two pieces of
/// an answer. A server that says nothing at all is waited for until the timeout.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cancelled: Mutex<bool>,
    changed: Condvar,
}

impl Cancel {
    /// A handle that nobody has used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the sync; gives whether somebody had done so before.
    pub fn cancel(&self) -> bool {
        let before = std::mem::replace(&mut *self.0.cancelled.lock().unwrap_or_else(PoisonError::into_inner), true);
        self.0.changed.notify_all();
        before
    }

    /// Whether the sync is to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.0.cancelled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, at most until the sync is to stop; gives whether it is.
    pub(super) fn wait(&self, pause: Duration) -> bool {
        let guard = self.0.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
        match self.0.changed.wait_timeout_while(guard, pause, |cancelled| !*cancelled) {
            Ok((cancelled, _)) => *cancelled,
            Err(poisoned) => *poisoned.into_inner().0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn ends_a_wait() {
        let cancel = Cancel::new();
        assert!(!cancel.wait(Duration::ZERO));
        let other = cancel.clone();
        let start = Instant::now();
        let thread = std::thread::spawn(move || other.wait(Duration::from_secs(60)));
        assert!(!cancel.cancel());
        assert!(thread.join().unwrap());
        assert!(start.elapsed() < Duration::from_secs(30));
        assert!(cancel.cancel(), "it was before");
        assert!(cancel.is_cancelled());
    }
}
