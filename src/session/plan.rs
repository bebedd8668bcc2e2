//! A dry run of a first or slow sync against a book, without a session and without writing anything.

use super::datastore;
use crate::contact::identity::{Kind, MatchRules};
use crate::store::{AccountNo, BookNo, Guid, Result, Revision, Store};
use crate::sync::{Plan, Planner, Side};

/// Items read at a time.
const PAGE: usize = 500;

/// What a sync would make of a book and these items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BookPlan {
    /// The plan; items here are numbered as in [`guids`](Self::guids), those of the other side as they were given.
    pub plan: Plan,
    /// The book's items.
    pub guids: Vec<Guid>,
}

/// Plans the first sync of a book with somebody who has `cards`. The book is read page by page, as it is at that moment of
/// each page; of large contents the beginning only.
///
/// # Errors
/// The store's own failure.
pub fn plan<C: AsRef<[u8]>>(store: &dyn Store, account: AccountNo, book: BookNo, cards: &[C]) -> Result<BookPlan> {
    let kind = datastore::by_number(book).map_or(Kind::Other, |datastore| datastore.kind);
    let mut planner = Planner::new(kind, MatchRules::default());
    let mut guids = Vec::new();
    let (mut after, mut upto) = (Revision(0), None);
    loop {
        let mut page = Vec::new();
        store.look(account, &mut |tx| {
            let head = match upto {
                Some(head) => head,
                None => tx.book(book)?.map_or(Revision(0), |row| row.head),
            };
            upto = Some(head);
            page = tx.changes(book, after, head, PAGE)?;
            Ok(())
        })?;
        let Some(last) = page.last() else { break };
        after = last.revision;
        for item in page.iter().filter(|item| !item.deleted) {
            planner.here(&item.content);
            guids.push(item.guid);
        }
    }
    cards.iter().for_each(|card| planner.there(card.as_ref()));
    let plan = planner.finish(|side, which| match side {
        Side::There => Ok(which.iter().map(|at| cards[*at].as_ref().to_vec()).collect()),
        Side::Here => {
            let wanted: Vec<Guid> = which.iter().map(|at| guids[*at]).collect();
            let mut contents = Vec::new();
            store.look(account, &mut |tx| {
                let items = tx.items(book, &wanted)?;
                contents =
                    items.into_iter().map(|item| item.map_or_else(Vec::new, |i| i.content.into_owned())).collect();
                Ok(())
            })?;
            Ok(contents)
        }
    })?;
    Ok(BookPlan { plan, guids })
}
