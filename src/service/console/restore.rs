//! The way back.

use super::Asked;
use super::answer::{Answer, Wrong};
use super::books::{self, link, name};
use super::frame::{Frame, action, button, hidden, moment, post, spelt, warning};
use super::html::{Element, Html, el};
use super::phrases::Phrase;
use super::session::{Posted, SignedIn};
use crate::message::Timestamp;
use crate::store::history::{At, HistoryError, plan_book, resolve, restore_book, restore_item};
use crate::store::{BookNo, Guid, Revision};
use axum::http::StatusCode;

/// Earlier restores shown.
const EARLIER: usize = 5;

/// Brings a revision of an item back.
pub(super) fn item(who: &SignedIn, asked: &Asked, form: &Posted) -> Result<Answer, Wrong> {
    let book = books::book(who, asked.number(0))?;
    let guid = Guid(asked.number(1));
    let at = At::Revision(Revision(form.number("revision").ok_or(Wrong::BadRequest)?));
    match restore_item(who.store(), who.account(), book, guid, at, asked.now, true) {
        Ok(_) => Ok(Answer::see(&books::item(book, guid).then("history").with("done", "restored"))),
        Err(error) => refused(who, asked, book, error),
    }
}

/// Asks for a moment to go back to.
pub(super) fn question(asked: &Asked, book: BookNo) -> Element {
    let say = |phrase| asked.language.say(phrase);
    let now = spelt(asked.now).replace(' ', "T");
    let moment = el("input")
        .attr("id", "at")
        .attr("name", "at")
        .attr("type", "datetime-local")
        .attr("step", "1")
        .attr("value", now)
        .flag("required", true);
    let form = el("form")
        .class("inline")
        .attr("method", "get")
        .to("action", &link(book).then("restore"))
        .add(el("label").attr("for", "at").text(say(Phrase::RestoreMoment)))
        .add(moment)
        .add(button(say(Phrase::RestorePreview)));
    el("details").add(el("summary").text(say(Phrase::RestoreBook))).add(form)
}

/// The restores there were, which can be undone.
pub(super) fn earlier(who: &SignedIn, asked: &Asked, book: BookNo) -> Result<Html, Wrong> {
    let say = |phrase| asked.language.say(phrase);
    let rows = who.look(|tx| tx.restores(book, EARLIER))?;
    if rows.is_empty() {
        return Ok(Html::default());
    }
    let items = rows.iter().map(|row| {
        let counts = [row.revived, row.changed, row.deleted].map(|count| count.to_string());
        let text = asked.language.fill(Phrase::RestorePlan, &[&counts[0], &counts[1], &counts[2]]);
        let undo = link(book).then("restore").with("revision", &row.id.to_string());
        el("li").add(moment(row.begun)).add(": ").add(&*text).add(" ").add(action(&undo, say(Phrase::UndoRestore)))
    });
    Ok([Html::from(el("h3").text(say(Phrase::Restores))), el("ul").add_all(items).into()].into_iter().collect())
}

/// Where the address wants to go back to: a moment, to the end of its second, or a revision.
fn target(asked: &Asked) -> Option<At> {
    if let Some(revision) = asked.query.number("revision") {
        return Some(At::Revision(Revision(revision)));
    }
    moment_of(asked.query.text("at")).map(At::Time)
}

/// A moment as browsers write it: with seconds or without, in UTC.
fn moment_of(text: &str) -> Option<Timestamp> {
    let text = text.trim_end_matches('Z').replace(' ', "T");
    let text = if text.matches(':').count() == 1 { text + ":00" } else { text };
    let text = text.split('.').next().unwrap_or_default();
    Timestamp::from_rfc3339(&format!("{text}Z")).map(|at| Timestamp(at.0.saturating_add(999)))
}

/// Tells what would happen, and asks once more.
pub(super) fn plan(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    let book = books::book(who, asked.number(0))?;
    let say = |phrase| asked.language.say(phrase);
    let Some(at) = target(asked) else { return Ok(sorry(who, asked, book, Phrase::RestoreWrongTime)) };
    let planned = resolve(who.store(), who.account(), book, at)
        .and_then(|target| plan_book(who.store(), who.account(), book, At::Revision(target), asked.now));
    let planned = match planned {
        Ok(planned) => planned,
        Err(error) => return refused(who, asked, book, error),
    };
    let counts = [planned.revived, planned.changed, planned.deleted].map(|count| count.to_string());
    let text = asked.language.fill(Phrase::RestorePlan, &[&counts[0], &counts[1], &counts[2]]);
    let nothing = [planned.revived, planned.changed, planned.deleted] == [0; 3];
    // The revision, not the moment: what is done is what was shown.
    let form = post(who, &link(book).then("restore"))
        .class("actions")
        .add(hidden("revision", &planned.target.to_string()))
        .add((!nothing).then(|| button(say(Phrase::RestoreNow)).class("danger")))
        .add(action(&link(book).then("history"), say(Phrase::Cancel)));
    let content: Html = [
        Html::from(el("h2").add(el("bdi").text(name(asked, book)))),
        el("p").text(if nothing { say(Phrase::Same) } else { text.as_str() }).into(),
        form.into(),
    ]
    .into_iter()
    .collect();
    Ok(Frame::new(who, asked, Phrase::RestoreBook).ok(content))
}

pub(super) fn book(who: &SignedIn, asked: &Asked, form: &Posted) -> Result<Answer, Wrong> {
    let book = books::book(who, asked.number(0))?;
    let at = At::Revision(Revision(form.number("revision").ok_or(Wrong::BadRequest)?));
    match restore_book(who.store(), who.account(), book, at, asked.now, &mut |_| ()) {
        Ok(_) => Ok(Answer::see(&link(book).then("history").with("done", "book-restored"))),
        Err(error) => refused(who, asked, book, error),
    }
}

pub(super) fn refused(who: &SignedIn, asked: &Asked, book: BookNo, error: HistoryError) -> Result<Answer, Wrong> {
    match error {
        HistoryError::Purged { .. } => Ok(sorry(who, asked, book, Phrase::RestorePurged)),
        HistoryError::Future { .. } => Ok(sorry(who, asked, book, Phrase::RestoreWrongTime)),
        HistoryError::NoConflict { .. } => Ok(sorry(who, asked, book, Phrase::NoSuchConflict)),
        HistoryError::Overtaken => Ok(sorry(who, asked, book, Phrase::ChangedMeanwhile)),
        error => Err(error.into()),
    }
}

fn sorry(who: &SignedIn, asked: &Asked, book: BookNo, why: Phrase) -> Answer {
    let back = action(&link(book).then("history"), asked.language.say(Phrase::Back));
    let content: Html = [warning(asked.language.say(why)), el("p").class("actions").add(back)].into_iter().collect();
    Frame::new(who, asked, Phrase::History).answer(StatusCode::UNPROCESSABLE_ENTITY, content)
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, moment_of};

    #[test]
    fn moments_are_read_as_browsers_write_them() {
        for (text, expected) in [
            ("1970-01-01T00:00:01", Some(1_999)),
            ("1970-01-01T00:01", Some(60_999)),
            ("1970-01-01 00:00:01", Some(1_999)),
            ("1970-01-01T00:00:01.5", Some(1_999)),
            ("1970-01-01T00:00:01Z", Some(1_999)),
            ("", None),
            ("yesterday", None),
            ("1970-01-01", None),
        ] {
            assert_eq!(moment_of(text), expected.map(Timestamp), "{text}");
        }
    }
}
