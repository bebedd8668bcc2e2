//! What books held before.

use super::Asked;
use super::answer::{Answer, Wrong};
use super::books::{self, label, link, name};
use super::conflicts;
use super::frame::{Frame, action, button, hidden, moment, post, table};
use super::html::{Element, Html, Link, el};
use super::phrases::Phrase;
use super::restore;
use super::session::SignedIn;
use crate::contact::diff::diff;
use crate::store::history::{conflicts_at, read, revisions};
use crate::store::{BookNo, ConflictRow, DeviceNo, Guid, Revision, RevisionRow};
use std::collections::HashMap;

/// Revisions per page.
const PAGE: usize = 50;
/// The longest content that is compared, in bytes.
const LONGEST: usize = 8 << 20;

/// Who may have made a revision: devices by their ids, programs by their names.
pub(super) struct Origins(HashMap<DeviceNo, String>);

impl Origins {
    pub(super) fn of(who: &SignedIn) -> Result<Self, Wrong> {
        let rows = who.look(|tx| tx.devices())?;
        let named = rows.into_iter().map(|row| {
            let name = if row.is_local() { row.device_id.trim_end_matches(':') } else { &row.device_id };
            (row.device, name.to_owned())
        });
        Ok(Self(named.collect()))
    }

    pub(super) fn name(&self, asked: &Asked, origin: Option<DeviceNo>) -> String {
        let known = origin.and_then(|origin| self.0.get(&origin)).cloned();
        known.unwrap_or_else(|| asked.language.say(Phrase::Host).to_owned())
    }
}

/// The books that have a past; straight to it where there is one only.
pub(super) fn books(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    let rows = books::all(who)?;
    if let [] | [_] = &rows[..] {
        let book = rows.first().map_or(BookNo::CONTACTS, |row| row.book);
        return log(who, asked, book, None);
    }
    let links = rows.iter().map(|row| {
        let link = el("a").to("href", &link(row.book).then("history")).text(name(asked, row.book));
        el("li").add(link)
    });
    Ok(Frame::new(who, asked, Phrase::History).ok(el("ul").class("cards").add_all(links)))
}

pub(super) fn book(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    log(who, asked, books::book(who, asked.number(0))?, None)
}

pub(super) fn item(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    log(who, asked, books::book(who, asked.number(0))?, Some(Guid(asked.number(1))))
}

fn log(who: &SignedIn, asked: &Asked, book: BookNo, of: Option<Guid>) -> Result<Answer, Wrong> {
    let say = |phrase| asked.language.say(phrase);
    let before = Revision(asked.query.number("before").unwrap_or(i64::MAX));
    let rows = revisions(who.store(), who.account(), book, of, before, PAGE)?;
    if of.is_some() && rows.is_empty() && before == Revision(i64::MAX) {
        return Err(Wrong::NotFound);
    }
    let origins = Origins::of(who)?;
    let numbers: Vec<Revision> = rows.iter().map(|row| row.revision).collect();
    let decided = conflicts_at(who.store(), who.account(), book, &numbers)?;
    let mut lines = Vec::new();
    for (row, decided) in rows.iter().zip(&decided) {
        let text = called(who, asked, book, row)?;
        let link = el("a").to("href", &place(book, row)).add(el("bdi").text(text));
        let kind = match decided {
            Some(_) if !row.deleted => say(Phrase::ChangedConflict),
            _ => say(what(row)),
        };
        let by = origins.name(asked, row.origin);
        lines.push(vec![moment(row.at).into(), kind.into(), link.into(), el("bdi").text(by).into()]);
    }
    let columns = [Phrase::When, Phrase::What, Phrase::Name, Phrase::By].map(say);
    let here = of.map_or_else(|| link(book).then("history"), |guid| books::item(book, guid).then("history"));
    let older = rows.last().filter(|row| rows.len() == PAGE && row.revision > Revision(1));
    let older = older.map(|last| action(&here.with("before", &last.revision.to_string()), say(Phrase::Older)));
    let heading = match (of, rows.first()) {
        (Some(_), Some(row)) => called(who, asked, book, row)?,
        _ => name(asked, book),
    };
    let content: Html = [
        Html::from(el("h2").add(el("bdi").text(asked.language.fill(Phrase::HistoryOf, &[&heading])))),
        of.is_none().then(|| restore::question(asked, book)).into(),
        rows.is_empty().then(|| el("p").text(say(Phrase::NoHistory))).into(),
        (!rows.is_empty()).then(|| table(&columns, lines)).into(),
        el("p").class("pages").add(older).into(),
        el("p").class("actions").add(action(&conflicts::address(book), say(Phrase::Conflicts))).into(),
        match of {
            None => restore::earlier(who, asked, book)?,
            Some(_) => Html::default(),
        },
    ]
    .into_iter()
    .collect();
    Ok(Frame::new(who, asked, Phrase::History).ok(content))
}

/// The address of a revision.
fn place(book: BookNo, row: &RevisionRow) -> Link {
    books::item(book, row.guid).then("history").number(row.revision.0)
}

const fn what(row: &RevisionRow) -> Phrase {
    match row.deleted {
        true => Phrase::DeletedThen,
        false if row.revision.0 == row.guid.0 => Phrase::Added,
        false => Phrase::Changed,
    }
}

/// What an item was called then; one that was deleted, what it was called last.
fn called(who: &SignedIn, asked: &Asked, book: BookNo, row: &RevisionRow) -> Result<String, Wrong> {
    if !row.deleted {
        return Ok(label(asked, book, &row.content));
    }
    let before = revisions(who.store(), who.account(), book, Some(row.guid), row.revision, 1)?;
    Ok(label(asked, book, before.first().map_or(&[], |row| &row.content)))
}

pub(super) fn revision(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    let book = books::book(who, asked.number(0))?;
    let (guid, at) = (Guid(asked.number(1)), Revision(asked.number(2)));
    let say = |phrase| asked.language.say(phrase);
    let after = Revision(at.0.checked_add(1).ok_or(Wrong::NotFound)?);
    let rows = revisions(who.store(), who.account(), book, Some(guid), after, 2)?;
    let row = rows.first().filter(|row| row.revision == at).ok_or(Wrong::NotFound)?;
    let newest = revisions(who.store(), who.account(), book, Some(guid), Revision(i64::MAX), 1)?;
    let newest = newest.first().ok_or(Wrong::NotFound)?;
    let origins = Origins::of(who)?;
    let decided = conflicts_at(who.store(), who.account(), book, &[at])?.pop().flatten();
    let (content, now) = (content(who, row)?, content(who, newest)?);
    let previous = rows.get(1).map(|row| self::content(who, row)).transpose()?.unwrap_or_default();
    let facts = el("dl")
        .class("facts")
        .add(el("dt").text(say(Phrase::When)))
        .add(el("dd").add(moment(row.at)))
        .add(el("dt").text(say(Phrase::What)))
        .add(el("dd").text(say(what(row))))
        .add(el("dt").text(say(Phrase::By)))
        .add(el("dd").add(el("bdi").text(origins.name(asked, row.origin))))
        .add(el("dt").text(say(Phrase::Revision)))
        .add(el("dd").text(row.revision.to_string()))
        .add(decided.map(|decided| conflict(asked, book, &decided)));
    let can = newest.revision != row.revision && !(row.deleted && newest.deleted);
    let restore = post(who, &books::item(book, guid).then("restore"))
        .add(hidden("revision", &row.revision.to_string()))
        .add(button(say(Phrase::RestoreItem)));
    let since = (newest.revision != row.revision).then(|| {
        let differences = differences(asked, &content, &now, [Phrase::Before, Phrase::After]);
        [Html::from(el("h3").text(say(Phrase::SinceThen))), differences].into_iter().collect::<Html>()
    });
    let page: Html = [
        Html::from(el("h2").add(el("bdi").text(called(who, asked, book, row)?))),
        facts.into(),
        el("h3").text(say(Phrase::Difference)).into(),
        differences(asked, &previous, &content, [Phrase::Before, Phrase::After]),
        since.into(),
        can.then_some(restore).into(),
        el("p").class("actions").add(action(&books::item(book, guid).then("history"), say(Phrase::Back))).into(),
    ]
    .into_iter()
    .collect();
    Ok(Frame::new(who, asked, Phrase::History).ok(page))
}

/// What a revision decided: who won, what about, and where the loser is.
fn conflict(asked: &Asked, book: BookNo, row: &ConflictRow) -> Html {
    let say = |phrase| asked.language.say(phrase);
    let fields = if row.fields.is_empty() { say(Phrase::WholeItem).to_owned() } else { row.fields.join(", ") };
    let lost = row.lost.map(|lost| {
        let text = asked.language.fill(Phrase::RevisionNumber, &[&lost.to_string()]);
        let link = el("a").to("href", &books::item(book, row.guid).then("history").number(lost.0)).text(text);
        [Html::from(el("dt").text(say(Phrase::LostValue))), el("dd").add(link).into()].into_iter().collect::<Html>()
    });
    [
        Html::from(el("dt").text(say(Phrase::Conflict))),
        el("dd").add(el("bdi").text(fields)).into(),
        el("dt").text(say(Phrase::Outcome)).into(),
        el("dd").text(say(conflicts::outcome(row.won))).into(),
        lost.into(),
    ]
    .into_iter()
    .collect()
}

/// The content of a revision; none of one that deleted.
fn content(who: &SignedIn, row: &RevisionRow) -> Result<Vec<u8>, Wrong> {
    if row.deleted {
        return Ok(Vec::new());
    }
    Ok(read(who.store(), who.account(), row, 0, LONGEST)?)
}

/// What tells two contents apart, field by field.
pub(super) fn differences(asked: &Asked, before: &[u8], after: &[u8], sides: [Phrase; 2]) -> Html {
    let say = |phrase| asked.language.say(phrase);
    // What was not there had nothing to say.
    const EMPTY: &[u8] = b"BEGIN:VCARD\r\nVERSION:3.0\r\nEND:VCARD\r\n";
    let sided = |content| if <[u8]>::is_empty(content) { EMPTY } else { content };
    let Some(found) = diff(sided(before), sided(after)) else {
        let size = asked.language.fill(Phrase::NoCard, &[&after.len().to_string()]);
        return el("p").text(if before == after { say(Phrase::Same) } else { size.as_str() }).into();
    };
    if found.is_empty() {
        return el("p").text(say(Phrase::Same)).into();
    }
    let columns = [say(Phrase::Field), say(sides[0]), say(sides[1])];
    let values = |name: &'static str, values: &[String]| -> Html {
        let one = |text: &String| -> Element { el(name).add(el("bdi").class("value").text(text)) };
        values.iter().map(one).collect()
    };
    let rows = found.iter().map(|found| {
        let (before, after) = (values("del", &found.before), values("ins", &found.after));
        vec![Html::from(found.property.as_str()), before, after]
    });
    table(&columns, rows).class("diff").into()
}
