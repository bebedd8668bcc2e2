//! Contacts from and for other programs (missions I1, I2, I3, I5 to I7).
//!
//! A file goes in by [`read`], contact after contact, each a card with the line it is from; a [`Selection`] takes some of them and
//! some of each, a [`Combiner`] makes one of those that are one; [`Import`] puts them into a book, and asks where the book says
//! something else. Out they go by a [`Writer`], in a [`Layout`] – which columns, in which order, called what –, with an account of
//! what had no place there. Nothing is lost silently, either way: a column that nobody knows is kept in the card ([`COLUMN`]), a
//! row that cannot be used is named by its line.
//!
//! Files, fonts, the clock and whoever is asked are the host's. Memory is bounded: tables, sheets, cards and LDIF are streams. Documents of
//! office programs and PDF are the feature `documents`.

mod ask;
mod cells;
mod charset;
pub mod ends;
mod error;
mod field;
mod fields;
mod into;
mod kind;
mod layout;
mod read;
mod record;
mod select;
mod table;
mod write;

pub use ask::{Chat, Question};
pub use cells::LeftOut;
pub use charset::{Decoded, detect};
pub use error::{InterchangeError, Limits, Result};
pub use field::{Field, MAX_NTH, NoField};
pub use into::{Choice, Decide, Difference, Import, ImportBuilder, Imported};
pub use layout::{Layout, LayoutError};
pub use read::{Entries, Entry, Format, ReadOptions, Reading, read};
pub use record::{COLUMN, COLUMN_NAME};
pub use select::{Combiner, Selection};
pub use table::quoted;
#[cfg(feature = "documents")]
pub use write::{Face, Faces};
pub use write::{Target, Writer, Written};

#[cfg(test)]
mod tests;
