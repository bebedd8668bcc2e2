//! XML: quick-xml tells the elements apart when reading; writing is done by hand. No type of quick-xml leaves this folder.

mod chars;
mod read;
mod write;

pub use chars::xml_can_carry;
pub(super) use read::Source;
pub(super) use write::Sink;
