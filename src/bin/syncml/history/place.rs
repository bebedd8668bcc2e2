//! Books, items and times as the command line names them.

use crate::books::{self, BookKind};
use crate::database::{self, DatabaseArgs};
use crate::failure::{Failure, Result};
use std::collections::HashMap;
use std::sync::Arc;
use syncml::message::Timestamp;
use syncml::store::history::{At, resolve, revisions, states};
use syncml::store::{AccountNo, DeviceNo, Guid, Revision, RevisionRow, Store};

/// Items per step.
const PAGE: usize = 200;

/// Items shown when a name means several.
const MOST_SHOWN: usize = 10;

#[derive(Debug, clap::Args)]
pub(crate) struct PlaceArgs {
    #[command(flatten)]
    db: DatabaseArgs,
    /// The account
    #[arg(long, value_name = "NAME")]
    user: String,
    /// The book, contacts unless said: contacts, calendar, tasks, notes, bookmarks or files
    #[arg(long, value_name = "NAME")]
    book: Option<String>,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which item.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct WhichArgs {
    /// The item, as `syncml list` shows it
    #[arg(long)]
    pub(crate) guid: Option<i64>,
    /// The item by its name or a part of that, also if it is deleted
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
}

/// A book of an account in an open database.
pub(crate) struct Place {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) account: AccountNo,
    pub(crate) book: &'static BookKind,
}

impl PlaceArgs {
    pub(crate) fn open(&self) -> Result<Place> {
        Place::open(&self.db, &self.user, self.book.as_deref().unwrap_or("contacts"))
    }

    pub(crate) const fn names_a_book(&self) -> bool {
        self.book.is_some()
    }
}

impl Place {
    pub(crate) fn open(db: &DatabaseArgs, user: &str, book: &str) -> Result<Self> {
        let book = books::named(book)?;
        let store = db.open()?;
        let account = database::account(store.as_ref(), user)?;
        Ok(Self { store, account, book })
    }

    /// The item that is meant, if one is named.
    pub(crate) fn item(&self, which: &WhichArgs) -> Result<Option<Guid>> {
        match (&which.guid, &which.name) {
            (Some(guid), _) => Ok(Some(Guid(*guid))),
            (None, Some(name)) => self.find(name).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The item that is meant, which must be named.
    pub(crate) fn one_item(&self, which: &WhichArgs) -> Result<Guid> {
        self.item(which)?.ok_or_else(|| Failure::usage("say which item: --guid N or --name TEXT"))
    }

    /// The one item whose name has this text in it, deleted or not.
    fn find(&self, text: &str) -> Result<Guid> {
        let wanted = text.to_lowercase();
        let mut found: Vec<(Guid, String)> = Vec::new();
        let mut exact = Vec::new();
        self.for_each(|row| {
            let Some(name) = self.name(row)? else { return Ok(()) };
            let lower = name.to_lowercase();
            if lower == wanted {
                exact.push(row.guid);
            }
            if lower.contains(&wanted) {
                found.push((row.guid, if row.deleted { format!("{name} (deleted)") } else { name }));
            }
            Ok(())
        })?;
        match (&found[..], &exact[..]) {
            ([], _) => Err(Failure::usage(format!("no {} is or was called {text:?}", self.book.noun))),
            ([(guid, _)], _) | (_, [guid]) => Ok(*guid),
            _ => {
                let shown = found.iter().take(MOST_SHOWN).map(|(guid, name)| format!("{guid} {name}"));
                let shown = shown.collect::<Vec<_>>().join(", ");
                let more = if found.len() > MOST_SHOWN { " …" } else { "" };
                let (count, noun) = (found.len(), self.book.noun);
                Err(Failure::usage(format!("{text:?} may be {count} {noun}s; say which by --guid: {shown}{more}")))
            }
        }
    }

    /// What an item is called; one that is deleted, what it was called last.
    pub(crate) fn name(&self, row: &RevisionRow) -> Result<Option<String>> {
        if !row.deleted {
            return Ok(self.book.label(&row.content));
        }
        let before = revisions(self.store.as_ref(), self.account, self.book.book, Some(row.guid), row.revision, 1)?;
        Ok(before.first().and_then(|row| self.book.label(&row.content)))
    }

    /// Visits all items as they are now, the deleted ones too.
    fn for_each(&self, mut visit: impl FnMut(&RevisionRow) -> Result<()>) -> Result<()> {
        let (store, book) = (self.store.as_ref(), self.book.book);
        let head = resolve(store, self.account, book, At::Time(Timestamp(i64::MAX)))?;
        let mut after = Guid(0);
        loop {
            let page = states(store, self.account, book, head, after, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = *last;
            page.iter().filter_map(|(_, row)| row.as_ref()).try_for_each(&mut visit)?;
        }
    }

    /// Who may have made a revision: devices by their ids, programs by their names.
    pub(crate) fn origins(&self) -> Result<HashMap<DeviceNo, String>> {
        let mut origins = HashMap::new();
        self.store.look(self.account, &mut |tx| {
            let named = |row: syncml::store::DeviceRow| {
                let name = if row.is_local() { row.device_id.trim_end_matches(':') } else { &row.device_id };
                (row.device, name.to_owned())
            };
            origins = tx.devices()?.into_iter().map(named).collect();
            Ok(())
        })?;
        Ok(origins)
    }
}

/// Reads a revision number or a time.
pub(crate) fn when(text: &str) -> std::result::Result<At, String> {
    if let Ok(revision) = text.parse() {
        return Ok(At::Revision(Revision(revision)));
    }
    match Timestamp::from_rfc3339(text) {
        // What is shown to the second is meant to its end.
        Some(at) if !text.contains('.') => Ok(At::Time(Timestamp(at.0.saturating_add(999)))),
        Some(at) => Ok(At::Time(at)),
        None => Err("it is neither a revision (a number) nor a time such as 2026-11-21T05:48:04Z".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{At, Revision, Timestamp, when};

    #[test]
    fn times_and_revisions_are_told_apart() {
        assert_eq!(when("17"), Ok(At::Revision(Revision(17))));
        assert_eq!(when("1970-01-01T00:00:01Z"), Ok(At::Time(Timestamp(1_999))));
        assert_eq!(when("1970-01-01T00:00:01.000Z"), Ok(At::Time(Timestamp(1_000))));
        assert!(when("yesterday").is_err_and(|text| text.contains("2026-11-21T05:48:04Z")));
    }
}
