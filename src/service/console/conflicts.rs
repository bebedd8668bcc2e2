//! What both sides had changed in earlier syncs, and who won.

use super::Asked;
use super::answer::{Answer, Wrong};
use super::books::{self, label, link, name};
use super::frame::{Frame, action, button, hidden, moment, post, table};
use super::html::{Html, Link, el};
use super::past::Origins;
use super::phrases::Phrase;
use super::restore::refused;
use super::session::{Posted, SignedIn};
use crate::store::history::{conflicts, restore_lost, revisions};
use crate::store::{BookNo, ConflictRow, DeviceNo, Guid, Result as StoreResult, Revision, Tx, Winner};

/// Conflicts per page.
const PAGE: usize = 50;
/// Conflicts of a book that are counted by their devices.
pub(super) const COUNTED: usize = 100;

/// The conflicts of a book, newest first.
pub(super) fn page(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    let book = books::book(who, asked.number(0))?;
    let say = |phrase| asked.language.say(phrase);
    let before = Revision(asked.query.number("before").unwrap_or(i64::MAX));
    let rows = conflicts(who.store(), who.account(), book, before, PAGE)?;
    let origins = Origins::of(who)?;
    let lines = rows.iter().map(|row| line(who, asked, book, row, &origins)).collect::<Result<Vec<_>, Wrong>>()?;
    let columns = [Phrase::When, Phrase::Name, Phrase::By, Phrase::Fields, Phrase::Outcome, Phrase::LostValue].map(say);
    let older = rows.last().filter(|_| rows.len() == PAGE);
    let older = older.map(|last| address(book).with("before", &last.revision.to_string()));
    let content: Html = [
        Html::from(el("h2").add(el("bdi").text(name(asked, book)))),
        el("p").text(say(Phrase::ConflictsAre)).into(),
        rows.is_empty().then(|| el("p").text(say(Phrase::NoConflicts))).into(),
        (!rows.is_empty()).then(|| table(&columns, lines)).into(),
        el("p").class("pages").add(older.map(|older| action(&older, say(Phrase::Older)))).into(),
        el("p").class("actions").add(action(&link(book).then("history"), say(Phrase::History))).into(),
    ]
    .into_iter()
    .collect();
    Ok(Frame::new(who, asked, Phrase::Conflicts).ok(content))
}

/// Takes back what a conflict took away.
pub(super) fn take(who: &SignedIn, asked: &Asked, form: &Posted) -> Result<Answer, Wrong> {
    let book = books::book(who, asked.number(0))?;
    let decided = Revision(form.number("revision").ok_or(Wrong::BadRequest)?);
    match restore_lost(who.store(), who.account(), book, decided, asked.now, true) {
        Ok(_) => Ok(Answer::see(&address(book).with("done", "restored"))),
        Err(error) => refused(who, asked, book, error),
    }
}

/// The address of the conflicts of a book.
pub(super) fn address(book: BookNo) -> Link {
    link(book).then("conflicts")
}

fn line(who: &SignedIn, asked: &Asked, book: BookNo, row: &ConflictRow, origins: &Origins) -> Result<Vec<Html>, Wrong> {
    let say = |phrase| asked.language.say(phrase);
    let item = books::item(book, row.guid).then("history");
    let fields = if row.fields.is_empty() { say(Phrase::WholeItem).to_owned() } else { row.fields.join(", ") };
    let lost: Html = match row.lost {
        Some(lost) => {
            let text = asked.language.fill(Phrase::RevisionNumber, &[&lost.to_string()]);
            let take = post(who, &address(book).then("take"))
                .add(hidden("revision", &row.revision.to_string()))
                .add(button(say(Phrase::TakeBackLost)));
            let see = el("a").to("href", &item.clone().number(lost.0)).text(text);
            [see, take].into_iter().collect()
        }
        // The copy is what the revision made, where both were kept.
        None => {
            let link = books::item(book, copy(who, book, row)?).then("history");
            el("a").to("href", &link).text(say(Phrase::SeeCopy)).into()
        }
    };
    Ok(vec![
        moment(row.at).into(),
        el("a").to("href", &item).add(el("bdi").text(called(who, asked, book, row.guid)?)).into(),
        el("bdi").text(origins.name(asked, row.origin)).into(),
        el("bdi").text(fields).into(),
        say(outcome(row.won)).into(),
        lost,
    ])
}

/// Who won.
pub(super) const fn outcome(won: Winner) -> Phrase {
    match won {
        Winner::Here => Phrase::WonHere,
        Winner::Peer => Phrase::WonPeer,
        Winner::Both => Phrase::WonBoth,
    }
}

/// What the item is called now; one that is gone, what it was called last.
fn called(who: &SignedIn, asked: &Asked, book: BookNo, guid: Guid) -> Result<String, Wrong> {
    let newest = revisions(who.store(), who.account(), book, Some(guid), Revision(i64::MAX), 2)?;
    let last = newest.iter().find(|row| !row.deleted);
    Ok(label(asked, book, last.map_or(&[], |row| &row.content)))
}

/// The item that was made where both were kept.
fn copy(who: &SignedIn, book: BookNo, row: &ConflictRow) -> Result<Guid, Wrong> {
    let after = Revision(row.revision.0.saturating_add(1));
    let made = revisions(who.store(), who.account(), book, None, after, 1)?;
    Ok(made.first().filter(|made| made.revision == row.revision).map_or(row.guid, |made| made.guid))
}

/// How many of a book's newest conflicts came with this device.
pub(super) fn counted(newest: &[ConflictRow], device: DeviceNo) -> usize {
    newest.iter().filter(|row| row.origin == Some(device)).count()
}

/// The newest conflicts of a book, as many as are counted.
pub(super) fn newest(tx: &mut dyn Tx, book: BookNo) -> StoreResult<Vec<ConflictRow>> {
    tx.conflicts(book, Revision(i64::MAX), COUNTED)
}
