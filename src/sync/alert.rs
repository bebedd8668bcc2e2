//! An alert and the anchors decide which sync is held (§3.3, DESIGN "Anchors").

use super::SyncType;
use crate::message::{AlertCode, StatusCode, Timestamp};

/// What is known when an alert asks for a sync of a book.
#[derive(Clone, Copy, Debug)]
pub struct AlertFacts<'a> {
    /// The code asked for.
    pub requested: AlertCode,
    /// The peer's Last.
    pub last: Option<&'a str>,
    /// The peer's anchor of the last clean sync.
    pub stored: Option<&'a str>,
    /// The one before, which a peer shows when our last reply was lost.
    pub previous: Option<&'a str>,
    /// Whether superseded revisions that this peer's cursor needs have been purged.
    pub purged: bool,
    /// The sync of this peer and book that was begun and not ended, if any: what can be resumed.
    pub open: Option<SyncType>,
    /// The sync whose alerts were said, and nothing of its changes: suspended too, if the peer did say some (§3.13).
    pub alerted: Option<SyncType>,
    /// The kinds this side holds.
    pub supported: &'a [SyncType],
}

/// Why a slow sync is held although none was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowReason {
    /// This peer and book never finished a sync, or a refresh of all that the peer has was begun and did not end.
    FirstSync,
    /// The peer says it has no anchor: absent, empty, or one of the reset patterns.
    NoAnchor,
    /// The peer's anchor is neither the last nor the one before.
    Mismatch,
    /// The peer was away longer than history is kept.
    Purged,
    /// The peer wants to resume a suspended sync, which is not kept here: comparing everything loses nothing.
    NotKept,
}

impl SlowReason {
    /// A word for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstSync => "first-sync",
            Self::NoAnchor => "no-anchor",
            Self::Mismatch => "mismatch",
            Self::Purged => "purged",
            Self::NotKept => "not-kept",
        }
    }

    /// A sentence for the report.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::FirstSync => "this is the first sync of this device and book, or a refresh of it did not end",
            Self::NoAnchor => "the peer has no anchor of an earlier sync",
            Self::Mismatch => "the peer's anchor is not the one of the last sync",
            Self::Purged => "the last sync is longer ago than history is kept",
            Self::NotKept => "the sync that the peer wants to resume is not kept",
        }
    }
}

/// What to do with an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertDecision {
    /// Hold the sync asked for, answer 200. `lost_reply`: the peer shows the anchor before the last, because our last
    /// reply did not reach it; show it ours from then, too.
    Hold {
        /// The kind.
        sync: SyncType,
        /// Whether the peer missed the end of the last sync.
        lost_reply: bool,
    },
    /// Answer 508 and hold a sync of everything.
    Escalate {
        /// The kind.
        sync: SyncType,
        /// Why.
        reason: SlowReason,
    },
    /// Answer this, hold nothing.
    Refuse(StatusCode),
}

/// Decides about an alert of a known book.
#[must_use]
pub fn decide_alert(facts: &AlertFacts<'_>) -> AlertDecision {
    if facts.requested == AlertCode::RESUME {
        return decide_resume(facts);
    }
    let Some(sync) = SyncType::from_alert(facts.requested) else {
        return AlertDecision::Refuse(StatusCode::UNSUPPORTED_FEATURE);
    };
    if !facts.supported.contains(&sync) {
        return AlertDecision::Refuse(StatusCode::UNSUPPORTED_FEATURE);
    }
    if sync.is_full() {
        return AlertDecision::Hold { sync, lost_reply: false };
    }
    let escalate = |reason| AlertDecision::Escalate { sync: sync.full(), reason };
    let Some(stored) = facts.stored else { return escalate(SlowReason::FirstSync) };
    let last = match facts.last {
        Some(last) if !is_no_anchor(last) => last,
        _ => return escalate(SlowReason::NoAnchor),
    };
    if facts.purged {
        return escalate(SlowReason::Purged);
    }
    if last == stored {
        AlertDecision::Hold { sync, lost_reply: false }
    } else if facts.previous == Some(last) {
        AlertDecision::Hold { sync, lost_reply: true }
    } else {
        escalate(SlowReason::Mismatch)
    }
}

/// A sync that broke off goes on where it was (§3.13). A refresh does not: whether it was meant to delete is not known
/// any more. A sync of everything was held because anchors disagreed, so they are not asked again. Of a sync of changes
/// nothing need be kept: what the peer has no answer to, it says again. Of one of everything it says only the rest.
fn decide_resume(facts: &AlertFacts<'_>) -> AlertDecision {
    let slow = |reason| AlertDecision::Escalate { sync: SyncType::Slow, reason };
    match facts.open.or_else(|| facts.alerted.filter(|sync| !sync.is_full())) {
        Some(SyncType::Slow) => AlertDecision::Hold { sync: SyncType::Slow, lost_reply: false },
        None | Some(SyncType::RefreshFromClient | SyncType::RefreshFromServer) => slow(SlowReason::NotKept),
        Some(_) if facts.purged => slow(SlowReason::Purged),
        Some(sync) => match facts.last.filter(|last| !is_no_anchor(last)) {
            Some(last) if facts.stored != Some(last) && facts.previous != Some(last) => slow(SlowReason::Mismatch),
            last => AlertDecision::Hold { sync, lost_reply: last.is_some() && facts.stored != last },
        },
    }
}

/// Our Next of a new sync: the time, or later than our Last when both fall into one second.
#[must_use]
pub fn next_anchor(now: Timestamp, last: Option<&str>) -> String {
    let at = |seconds| now.plus_seconds(seconds).to_string();
    let Some(last) = last else { return at(0) };
    // A clock that was set back a long way begins anew.
    (0..=60).map(at).find(|next| next.as_str() > last).unwrap_or_else(|| at(0))
}

/// Whether a Last says "none": phones write it in several ways (§3.3, field note 10).
#[must_use]
pub fn is_no_anchor(last: &str) -> bool {
    let last = last.trim();
    last.is_empty() || last == "0" || last == "00000000T000000Z"
}

#[cfg(test)]
mod tests {
    use super::{AlertDecision, AlertFacts, SlowReason, decide_alert, next_anchor};
    use crate::message::{AlertCode, StatusCode, Timestamp};
    use crate::sync::SyncType;

    #[test]
    fn our_next_is_later_than_our_last() {
        let now = Timestamp(1_700_000_400_000);
        for (last, next) in [
            (None, "20231114T222000Z"),
            (Some("20231114T221959Z"), "20231114T222000Z"),
            (Some("20231114T222000Z"), "20231114T222001Z"),
            (Some("20231114T222007Z"), "20231114T222008Z"),
            (Some("20251114T222000Z"), "20231114T222000Z"),
        ] {
            assert_eq!(next_anchor(now, last), next, "{last:?}");
        }
    }

    /// (requested, last, stored, previous, purged) → decision.
    /// Catalogue: ANC-1, ANC-2, ANC-5
    #[test]
    fn anchors_choose_the_type() {
        use AlertDecision::{Escalate, Hold, Refuse};
        use SlowReason::{FirstSync, Mismatch, NoAnchor, NotKept, Purged};
        use SyncType::{RefreshFromClient, RefreshFromServer, Slow, TwoWay};
        type Row<'a> = (u16, Option<&'a str>, Option<&'a str>, Option<&'a str>, bool, AlertDecision);
        let clean = |sync| Hold { sync, lost_reply: false };
        let table: &[Row<'_>] = &[
            // ANC-1: the first sync is slow, whatever the client thinks.
            (200, Some("5"), None, None, false, Escalate { sync: Slow, reason: FirstSync }),
            // The normal case.
            (200, Some("5"), Some("5"), Some("4"), false, clean(TwoWay)),
            // Our last reply was lost: the client still shows the anchor before.
            (200, Some("4"), Some("5"), Some("4"), false, Hold { sync: TwoWay, lost_reply: true }),
            // ANC-2: neither.
            (200, Some("3"), Some("5"), Some("4"), false, Escalate { sync: Slow, reason: Mismatch }),
            // ANC-5: the ways to say "none" (field note 10).
            (200, None, Some("5"), None, false, Escalate { sync: Slow, reason: NoAnchor }),
            (200, Some(""), Some("5"), None, false, Escalate { sync: Slow, reason: NoAnchor }),
            (200, Some("0"), Some("0"), None, false, Escalate { sync: Slow, reason: NoAnchor }),
            (200, Some("00000000T000000Z"), Some("5"), None, false, Escalate { sync: Slow, reason: NoAnchor }),
            // Away longer than history is kept.
            (200, Some("5"), Some("5"), None, true, Escalate { sync: Slow, reason: Purged }),
            // Asked for everything: no anchor needed.
            (201, None, None, None, false, clean(Slow)),
            (201, Some("5"), Some("5"), None, false, clean(Slow)),
            (203, None, None, None, false, clean(RefreshFromClient)),
            // The direction asked for is kept when the anchor is lost (§3.3 rule 4).
            (202, Some("3"), Some("5"), None, false, Escalate { sync: RefreshFromClient, reason: Mismatch }),
            (204, Some("3"), Some("5"), None, false, Escalate { sync: RefreshFromServer, reason: Mismatch }),
            // A by-server code echoed in init counts as the kind it asked for.
            (206, Some("5"), Some("5"), None, false, clean(TwoWay)),
            // RES-2: nothing is kept to be resumed.
            (225, Some("5"), Some("5"), None, false, Escalate { sync: Slow, reason: NotKept }),
            // Not a sync at all.
            (666, None, None, None, false, Refuse(StatusCode::UNSUPPORTED_FEATURE)),
        ];
        for &(code, last, stored, previous, purged, expected) in table {
            let facts = AlertFacts {
                requested: AlertCode(code),
                last,
                stored,
                previous,
                purged,
                open: None,
                alerted: None,
                supported: &SyncType::ALL,
            };
            assert_eq!(decide_alert(&facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn what_can_be_resumed() {
        use SyncType::{OneWayFromClient, OneWayFromServer, RefreshFromClient, RefreshFromServer, Slow, TwoWay};
        let hold = |sync| AlertDecision::Hold { sync, lost_reply: false };
        let slow = |reason| AlertDecision::Escalate { sync: Slow, reason };
        for (open, last, expected, why) in [
            (None, Some("5"), slow(SlowReason::NotKept), "RES-2: nothing is open"),
            (Some(TwoWay), Some("5"), hold(TwoWay), "RES-1: the anchor agrees"),
            (Some(TwoWay), None, hold(TwoWay), "some peers show only Next when they resume"),
            (Some(TwoWay), Some(""), hold(TwoWay), "or an empty Last"),
            (Some(TwoWay), Some("4"), AlertDecision::Hold { sync: TwoWay, lost_reply: true }, "the one before"),
            (Some(TwoWay), Some("3"), slow(SlowReason::Mismatch), "neither"),
            (Some(Slow), Some("3"), hold(Slow), "it was slow because the anchor disagreed"),
            (Some(OneWayFromClient), Some("5"), hold(OneWayFromClient), "one way"),
            (Some(OneWayFromServer), Some("5"), hold(OneWayFromServer), "the other"),
            (Some(RefreshFromClient), Some("5"), slow(SlowReason::NotKept), "nobody knows what it was to delete"),
            (Some(RefreshFromServer), None, slow(SlowReason::NotKept), "the same"),
        ] {
            let facts = AlertFacts {
                requested: AlertCode::RESUME,
                last,
                stored: Some("5"),
                previous: Some("4"),
                purged: false,
                open,
                alerted: None,
                supported: &SyncType::ALL,
            };
            assert_eq!(decide_alert(&facts), expected, "{why}");
            // Where nothing followed the alerts it is the same, but for a sync of everything.
            let again = if open == Some(Slow) { slow(SlowReason::NotKept) } else { expected };
            assert_eq!(decide_alert(&AlertFacts { open: None, alerted: open, ..facts }), again, "only alerted: {why}");
            let purged = if open == Some(TwoWay) { slow(SlowReason::Purged) } else { continue };
            assert_eq!(decide_alert(&AlertFacts { purged: true, ..facts }), purged, "away for too long: {why}");
        }
    }

    #[test]
    fn kinds_not_held_here_are_refused() {
        let facts = AlertFacts {
            requested: AlertCode::REFRESH_FROM_CLIENT,
            last: None,
            stored: None,
            open: None,
            alerted: None,
            previous: None,
            purged: false,
            supported: &[SyncType::TwoWay, SyncType::Slow],
        };
        assert_eq!(decide_alert(&facts), AlertDecision::Refuse(StatusCode::UNSUPPORTED_FEATURE));
    }
}
