//! A box: chosen items of a device's applications, saved and brought back (missions C1 to C6).
//!
//! A [`CloudBox`] has a folder for each [`Application`], and in it a [`Shortcut`] for each item that somebody chose; the items
//! stay where they are. [`plan`] says which of them are to be uploaded now and when to ask again: the host has the clock, the
//! threads and the files. At the server each application has a book of its own, called by a [`BoxId`]: contacts are one of
//! contacts, all else is one of files, whose items are [`FileObject`]s of any content type.
//!
//! An upload is an ordinary sync to the server only ([`session`](crate::session)); what is in the box is its
//! [`Book`](crate::store::replica::Book), and what was taken out of it stays in the backup. A restore gets an application's book
//! whole, finds the shortcut of each item ([`Finder`]) and adds what is missing ([`add_to`]): nothing on the device is replaced,
//! and what was there before is [`Kept`] until [`expired`] says that it may go.

mod application;
mod file;
mod model;
mod restore;
mod retention;
mod schedule;

pub use application::{Application, BoxId, NotAnApplication, media_type};
pub use file::FileObject;
pub use model::{
    Added, BoxError, CloudBox, Folder, Kept, KeptItem, MAX_FOLDERS, MAX_ITEM, MAX_PATH, MAX_RUNS, MAX_SHORTCUTS, Run,
    Shortcut, Upload,
};
pub use restore::{CloudItem, Finder, Restored, Undo, add_to, undo};
pub use retention::{Expired, Retention, expired};
pub use schedule::{Due, Mode, Plan, Schedule, plan};
