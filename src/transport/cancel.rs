//! Stopping a sync from elsewhere.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Stops a sync from another thread, politely or at once. All clones are the same handle.
///
/// [`suspend`](Self::suspend) lets the message in hand be answered and tells the server (224). [`cancel`](Self::cancel)
/// waits for nobody, a server that says nothing least of all; what it answers after that is not looked at, and comes again
/// with the next sync. Either ends a pause between two attempts, and the session with it: nothing can be told then.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    wish: Mutex<Wish>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    #[default]
    GoOn,
    Suspend,
    Stop,
}

impl Cancel {
    /// A handle that nobody has used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Breaks the session off, so that the server knows; gives whether somebody had asked for that or for more before.
    pub fn suspend(&self) -> bool {
        self.wish(Wish::Suspend) >= Wish::Suspend
    }

    /// Stops the sync at once; gives whether somebody had done so before.
    pub fn cancel(&self) -> bool {
        self.wish(Wish::Stop) == Wish::Stop
    }

    /// Whether the session is to be broken off, or to stop.
    #[must_use]
    pub fn is_suspending(&self) -> bool {
        *self.0.wish.lock().unwrap_or_else(PoisonError::into_inner) >= Wish::Suspend
    }

    /// Whether the sync is to stop at once.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.0.wish.lock().unwrap_or_else(PoisonError::into_inner) == Wish::Stop
    }

    /// Waits, at most until the sync is to end; gives whether it is.
    pub fn wait(&self, pause: Duration) -> bool {
        let guard = self.0.wish.lock().unwrap_or_else(PoisonError::into_inner);
        match self.0.changed.wait_timeout_while(guard, pause, |wish| *wish == Wish::GoOn) {
            Ok((wish, _)) => *wish > Wish::GoOn,
            Err(poisoned) => *poisoned.into_inner().0 > Wish::GoOn,
        }
    }

    /// Sets a wish that is stronger than the one before; gives that.
    fn wish(&self, wish: Wish) -> Wish {
        let before = {
            let mut current = self.0.wish.lock().unwrap_or_else(PoisonError::into_inner);
            let before = *current;
            *current = before.max(wish);
            before
        };
        self.0.changed.notify_all();
        before
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

    #[test]
    fn a_stronger_wish_stays() {
        let cancel = Cancel::new();
        assert!(!cancel.suspend());
        assert!(cancel.is_suspending() && !cancel.is_cancelled());
        assert!(cancel.suspend() && !cancel.cancel());
        assert!(cancel.suspend(), "more was asked for");
        assert!(cancel.is_suspending() && cancel.is_cancelled());
        assert!(cancel.wait(Duration::from_secs(60)));
    }
}
