//! A book that is watched, and backed up as soon as it changes (missions R1 and R2).
//!
//! A [`Tree`] has the names in a folder with the digests of their contents. Two states of it – what was backed up, and what is
//! there – are compared in time proportional to what differs. The digests are the truth; that something was written, as the
//! platform tells it, is but a hint which names to look at, and a [`Stamp`] spares reading what was read. What the tree was is
//! kept in a [`Journal`], with what the book was [`Known`] by: that another card is in the phone, or the folder belongs to
//! another device, is a change, too.
//!
//! When to look, when to try again: that is [`Pace`], a function of the times that the host hands in. The host lists, reads and
//! writes files; the backup itself is that of [`book`](super::book).

mod journal;
mod known;
mod pace;
mod tree;

pub use journal::{Journal, Written};
pub use known::{IdentityChange, Known};
pub use pace::{Pace, Timing};
pub use tree::{Changes, Digest, Leaf, Stamp, Tree};
