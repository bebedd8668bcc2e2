//! What a server counts, and the trait of whoever keeps the numbers.
//!
//! Every number has its row in one table, [`Counter`] and [`Histogram`]: a name, what it means, its labels. Labels have
//! few values, none of them a person's: no account, device, address or name is among them.

use std::time::Duration;

/// What a number is called and means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name, as Prometheus has names.
    pub name: &'static str,
    /// What it counts, in a sentence without its full stop.
    pub help: &'static str,
    /// The names of its labels, in the order in which their values are given.
    pub labels: &'static [&'static str],
}

macro_rules! families {
    ($(#[$doc:meta])* $enum:ident { $($variant:ident $name:literal [$($label:literal),*] $help:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $enum {
            $(#[doc = concat!("`", $name, "`: ", $help, ".")] $variant,)*
        }

        impl $enum {
            /// The table, in its order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its row of the table.
            #[must_use]
            pub const fn family(self) -> Family {
                match self {
                    $(Self::$variant => Family { name: $name, help: $help, labels: &[$($label),*] },)*
                }
            }
        }
    };
}

families! {
    /// A number that only grows.
    Counter {
        Messages "syncml_messages_total" ["outcome"]
            "Messages received: done, again (a stored reply was sent once more), refused (not let in), busy, gone (of a session that is over), unreadable, failed";
        SessionsBegun "syncml_sessions_begun_total" []
            "Sessions begun: their first message was let in";
        SessionsEnded "syncml_sessions_ended_total" ["outcome"]
            "Sessions that were brought to their end: clean, problems (of a book at least the anchors stay), suspended; of the others nothing more was heard";
        Commands "syncml_commands_total" ["op", "status"]
            "Commands of devices that were answered, by their name and the status of the answer";
        Items "syncml_items_total" ["direction", "outcome"]
            "Items: in (because of devices) or out (sent, and answered by devices), by what became of them: added, changed, deleted, matched, refused";
        Conflicts "syncml_conflicts_total" []
            "Conflicts decided: both sides had changed a field, or one had deleted what the other changed";
        Holds "syncml_holds_total" ["reason"]
            "What was made to wait for a person's decision: deletes, vanished, slow-sync";
        AuthFailures "syncml_auth_failures_total" ["reason"]
            "Messages that were not let in: missing, wrong, slowed (too many failures before), scheme (one that is not taken), malformed; and book: a book's own credential was wrong";
        SlowSyncs "syncml_slow_syncs_total" ["reason"]
            "Syncs of everything: asked (by the device), first-sync, no-anchor, mismatch, purged, not-kept, not-known (the device does not know our anchor)";
        Resent "syncml_replies_resent_total" []
            "Stored replies that were sent once more, because the same request came again";
        Busy "syncml_busy_total" []
            "Messages answered that there is too much to do";
        Requests "syncml_http_requests_total" ["status"]
            "HTTP requests answered, by status";
    }
}

families! {
    /// A number whose distribution counts.
    Histogram {
        StepSeconds "syncml_step_seconds" []
            "Seconds that the store took for a message's transaction, waiting for locks included";
        MessageBytes "syncml_message_bytes" ["direction"]
            "Bytes of messages before any packing: in, out";
    }
}

impl Histogram {
    /// Upper bounds of the buckets that suit it, ascending; whatever is larger is counted without a bound.
    #[must_use]
    pub const fn buckets(self) -> &'static [f64] {
        match self {
            Self::StepSeconds => &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0],
            Self::MessageBytes => &[500.0, 1e3, 2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6],
        }
    }
}

/// Keeps the numbers of a server ([`Server::with_metrics`](super::Server::with_metrics)). It is called a few times for each
/// message, from all threads that answer messages, after what it tells of is durable; so it should be quick.
pub trait Metrics: Send + Sync {
    /// Adds to a counter. `labels` are the values of its [`Family::labels`], in their order.
    fn count(&self, counter: Counter, labels: &[&str], by: u64) {
        let _ = (counter, labels, by);
    }

    /// Adds an observation.
    fn observe(&self, histogram: Histogram, labels: &[&str], value: f64) {
        let _ = (histogram, labels, value);
    }

    /// The time since any fixed moment, never less than before. The engine has no clock of its own: without this, nothing
    /// is told of how long steps take.
    fn clock(&self) -> Option<Duration> {
        None
    }
}

/// Nothing is kept.
impl Metrics for () {}

#[cfg(test)]
mod tests {
    use super::{Counter, Family, Histogram};
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_in_order() {
        let counters = Counter::ALL.iter().map(|counter| counter.family());
        let histograms = Histogram::ALL.iter().map(|histogram| histogram.family());
        let all: Vec<Family> = counters.clone().chain(histograms).collect();
        let names: BTreeSet<_> = all.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), all.len(), "no name twice");
        assert!(counters.into_iter().all(|family| family.name.ends_with("_total")));
        let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        for family in all {
            assert!(is_word(family.name) && family.labels.iter().all(|label| is_word(label)), "{family:?}");
            assert!(family.name.starts_with("syncml_") && !family.help.ends_with('.'), "{family:?}");
        }
        for histogram in Histogram::ALL {
            assert!(histogram.buckets().is_sorted_by(|a, b| a < b), "{histogram:?}");
        }
    }
}
