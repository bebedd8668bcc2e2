//! Contacts from and to the files of other programs: what `import`, `export` and `convert` share.

pub(crate) mod convert;
pub(crate) mod export;
mod fonts;
pub(crate) mod link;
mod source;
mod target;

pub(crate) use source::{SourceArgs, Taken};
