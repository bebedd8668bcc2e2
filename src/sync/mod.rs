//! The decisions: pure functions over values, each a table with a sentence why.
//!
//! Enters: what was said (alert, change) and what is stored (anchors, map entry, item). Leaves: what to do and what to
//! answer. Nothing here touches a store or a message; `session` loads the facts, asks, and carries out.

mod alert;
pub mod filter;
mod guard;
mod kind;
mod outgoing;
mod plan;
mod policy;
mod reconcile;
mod status;

pub use alert::{AlertDecision, AlertFacts, SlowReason, decide_alert, is_no_anchor, next_anchor};
pub use guard::DeletionGuard;
pub use kind::{Role, SyncType};
pub use outgoing::{Confirmation, decide_outgoing};
pub use plan::{MAX_CANDIDATES, Near, Plan, PlanCounts, Planned, Planner, Side, Suspicion};
pub use policy::{Occasion, Policy, Reaction, Treatment};
pub use reconcile::{Action, Decision, Entry, Incoming, ItemNow, Reception, Terms, Twin, decide_incoming};
pub use status::{OnAlert, OnHeader, STATUS_POLICIES, StatusPolicy, decide_confirmation, status_policy};
