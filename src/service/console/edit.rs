//! Seeing and changing a card.

use super::Asked;
use super::answer::{Answer, Wrong};
use super::books::{self, is_of_contacts, item, label, link};
use super::card::{self, Field, Group, KINDS, NEW_KIND, Rest};
use super::form::Fields;
use super::frame::{Frame, action, button, hidden, moment, post, warning};
use super::html::{Element, Html, el};
use super::past::{self, Origins};
use super::phrases::Phrase;
use super::session::{Posted, SignedIn};
use crate::contact::merge::{Prefer, merge3};
use crate::store::{BookNo, BookWriter, Draft, Guid, ItemRow, Revision, StoreError, Tx, Verdict};
use axum::http::StatusCode;

/// The largest card that is written here, in bytes, as for devices (4,000,000 of contacts).
const LARGEST_CARD: usize = 4_000_000;

/// The item that the address names, if it is there and not deleted.
fn current(who: &SignedIn, asked: &Asked) -> Result<(BookNo, ItemRow<'static>), Wrong> {
    let book = books::book(who, asked.number(0))?;
    let guid = Guid(asked.number(1));
    let found = who.look(|tx| Ok(tx.items(book, &[guid])?.pop().flatten()))?;
    let found = found.filter(|item| !item.deleted).ok_or(Wrong::NotFound)?;
    Ok((book, found))
}

pub(super) fn show(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    let (book, row) = current(who, asked)?;
    let say = |phrase| asked.language.say(phrase);
    let origins = Origins::of(who)?;
    let by = origins.name(asked, row.origin);
    let here = item(book, row.guid);
    let groups = card::groups(&row.content).filter(|_| is_of_contacts(book));
    let can = groups.is_some();
    let mut facts = el("dl").class("facts");
    for group in groups.iter().flatten() {
        for field in group.fields.iter().filter(|field| !field.value.is_empty()) {
            let types = (!field.types.is_empty()).then(|| el("small").text(field.types.to_lowercase()));
            let value = el("dd").add(el("bdi").class("value").text(&field.value)).add(" ").add(types);
            facts = facts.add(el("dt").text(say(field.label))).add(value);
        }
    }
    let changed = say(Phrase::LastChange).split("{}").zip([Html::from(moment(row.at)), by.as_str().into(), "".into()]);
    let changed = changed.map(|(text, value)| [Html::from(text), value].into_iter().collect::<Html>());
    let actions = el("p")
        .class("actions")
        .add(can.then(|| action(&here.clone().then("edit"), say(Phrase::Edit))))
        .add(action(&here.clone().then("history"), say(Phrase::History)))
        .add(action(&link(book), say(Phrase::Back)));
    let size = asked.language.fill(Phrase::NoCard, &[&row.content_len().to_string()]);
    let delete = post(who, &here.then("delete"))
        .class("delete")
        .add(hidden("revision", &row.revision.to_string()))
        .add(el("p").text(say(Phrase::DeleteHint)))
        .add(button(say(Phrase::Delete)).class("danger"));
    let content: Html = [
        Html::from(el("h2").add(el("bdi").text(label(asked, book, &row.content)))),
        actions.into(),
        can.then_some(facts).into(),
        (!can).then(|| el("p").text(size)).into(),
        (!is_of_contacts(book)).then(|| el("p").text(say(Phrase::ReadOnlyBook))).into(),
        can.then(|| others(asked, &row.content)).into(),
        el("p").class("fine").add_all(changed).into(),
        can.then_some(delete).into(),
    ]
    .into_iter()
    .collect();
    Ok(Frame::new(who, asked, Phrase::Contacts).ok(content))
}

/// What the form does not know of a card.
fn others(asked: &Asked, content: &[u8]) -> Html {
    let rest = card::rest(content);
    if rest.is_empty() {
        return Html::default();
    }
    let mut list = el("dl").class("facts");
    for one in rest {
        let (name, value) = match one {
            Rest::Text(name, text) => (name, text),
            Rest::Binary(name, len) => (name, asked.language.fill(Phrase::BinaryData, &[&len.to_string()])),
        };
        list = list.add(el("dt").text(name)).add(el("dd").add(el("bdi").class("value").text(value)));
    }
    el("details")
        .add(el("summary").text(asked.language.say(Phrase::Other)))
        .add(el("p").text(asked.language.say(Phrase::OtherHint)))
        .add(list)
        .into()
}

pub(super) fn form(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    let (book, row) = current(who, asked)?;
    let groups = card::groups(&row.content).filter(|_| is_of_contacts(book)).ok_or(Wrong::NotFound)?;
    let inputs = groups.iter().map(|group| inputs(asked, group));
    let form = post(who, &item(book, row.guid).then("edit"))
        .class("card")
        .add(hidden("revision", &row.revision.to_string()))
        .add_all(inputs)
        .add(buttons(asked, &action(&item(book, row.guid), asked.language.say(Phrase::Cancel))));
    let content: Html = [Html::from(form), others(asked, &row.content)].into_iter().collect();
    Ok(Frame::new(who, asked, Phrase::Edit).ok(content))
}

pub(super) fn blank(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    let book = books::book(who, asked.number(0))?;
    is_of_contacts(book).then_some(()).ok_or(Wrong::NotFound)?;
    Ok(blank_form(who, asked, book, StatusCode::OK, None))
}

fn blank_form(who: &SignedIn, asked: &Asked, book: BookNo, status: StatusCode, problem: Option<Phrase>) -> Answer {
    let groups = card::groups(&card::blank()).unwrap_or_default();
    let form = post(who, &link(book).then("new"))
        .class("card")
        .add(problem.map(|phrase| warning(asked.language.say(phrase))))
        .add_all(groups.iter().map(|group| inputs(asked, group)))
        .add(buttons(asked, &action(&link(book), asked.language.say(Phrase::Cancel))));
    Frame::new(who, asked, Phrase::NewContact).answer(status, form)
}

fn buttons(asked: &Asked, cancel: &Element) -> Element {
    el("p").class("actions").add(button(asked.language.say(Phrase::Save))).add(cancel.clone())
}

fn inputs(asked: &Asked, group: &Group) -> Element {
    let fields = group.fields.iter().map(|field| input(asked, field));
    match group.fields.len() {
        1 => {
            let kind = group.name == "TEL" && group.fields[0].new;
            el("div").class("field").add_all(fields).add(kind.then(|| kinds(asked)))
        }
        _ => el("fieldset").add(el("legend").text(asked.language.say(group.label))).add_all(fields),
    }
}

fn input(asked: &Asked, field: &Field) -> Element {
    let mut text = asked.language.say(field.label).to_owned();
    if field.another {
        text = asked.language.fill(Phrase::Another, &[&text]);
    }
    let types = (!field.types.is_empty()).then(|| el("small").text(format!(" {}", field.types.to_lowercase())));
    let label = el("label").attr("for", &field.id).text(text).add(types);
    let input = if field.long {
        // A line feed at its begin is not part of a text area.
        el("textarea").attr("rows", "4").text("\n").text(&field.value)
    } else {
        el("input").attr("type", "text").attr("value", &field.value)
    };
    let input = input.attr("id", &field.id).attr("name", &field.id).attr("dir", "auto").attr("autocomplete", "off");
    el("p").add(label).add(input)
}

fn kinds(asked: &Asked) -> Element {
    let options = KINDS.iter().map(|(word, phrase)| el("option").attr("value", word).text(asked.language.say(*phrase)));
    el("p")
        .add(el("label").attr("for", NEW_KIND).text(asked.language.say(Phrase::Kind)))
        .add(el("select").attr("id", NEW_KIND).attr("name", NEW_KIND).add_all(options))
}

pub(super) fn add(who: &SignedIn, asked: &Asked, form: &Posted) -> Result<Answer, Wrong> {
    let book = books::book(who, asked.number(0))?;
    is_of_contacts(book).then_some(()).ok_or(Wrong::NotFound)?;
    let empty = card::blank();
    let content = card::apply(&empty, form).ok_or(Wrong::BadRequest)?;
    let problem = match content.len() {
        _ if content == empty => Some(Phrase::EmptyCard),
        size if size > LARGEST_CARD => Some(Phrase::TooLarge),
        _ => None,
    };
    if let Some(problem) = problem {
        return Ok(blank_form(who, asked, book, StatusCode::UNPROCESSABLE_ENTITY, Some(problem)));
    }
    let guid = who.step(|tx| {
        let mut writer = writer(who, asked, tx, book)?;
        let added = writer.add(Draft::of(book, content.as_slice())).guid;
        writer.flush(tx)?;
        Ok((added, Verdict::Commit))
    })?;
    Ok(Answer::see(&item(book, guid).with("done", "saved")))
}

fn writer<'a>(who: &SignedIn, asked: &Asked, tx: &mut dyn Tx, book: BookNo) -> Result<BookWriter<'a>, StoreError> {
    let row = tx.lock_books(&[book])?.pop();
    let row = row.ok_or_else(|| StoreError::Corrupt("a locked book has no row".to_owned()))?;
    Ok(BookWriter::new(row, Some(who.origin()), asked.now))
}

/// What became of an edit.
enum Edited {
    /// It says nothing new.
    Same,
    Saved,
    /// Saved, with what was changed meanwhile.
    Merged,
    /// Both sides changed the same fields; what is there now, at which revision, and what the form made.
    Conflict(Vec<u8>, Revision, Vec<u8>),
    /// It is not there any more.
    Gone,
    TooLarge,
    /// The form speaks of what the item never held, or what is not kept any more.
    Unknown,
}

pub(super) fn save(who: &SignedIn, asked: &Asked, form: &Posted) -> Result<Answer, Wrong> {
    let book = books::book(who, asked.number(0))?;
    is_of_contacts(book).then_some(()).ok_or(Wrong::NotFound)?;
    let guid = Guid(asked.number(1));
    let shown = Revision(form.number("revision").ok_or(Wrong::BadRequest)?);
    // Which version the person saw and overrules.
    let overruled = form.number("overrule").map(Revision);
    let edited = who.step(|tx| {
        let mut writer = writer(who, asked, tx, book)?;
        let Some(now) = tx.items(book, &[guid])?.pop().flatten() else {
            return Ok((Edited::Unknown, Verdict::Rollback));
        };
        if now.deleted {
            return Ok((Edited::Gone, Verdict::Rollback));
        }
        let base = match now.revision == shown {
            true => Some(now.content.to_vec()),
            false => {
                tx.revisions(book, &[(guid, shown)])?.pop().flatten().filter(|row| !row.deleted).map(|row| row.content)
            }
        };
        let (content, edited) = decide(base.as_deref(), &now, shown, overruled, form);
        let Some(content) = content else { return Ok((edited, Verdict::Rollback)) };
        writer.replace(&now, Draft::of(book, content));
        writer.flush(tx)?;
        Ok((edited, Verdict::Commit))
    })?;
    let here = item(book, guid);
    let done = |word| Ok(Answer::see(&here.clone().with("done", word)));
    match edited {
        Edited::Same => done("same"),
        Edited::Saved => done("saved"),
        Edited::Merged => done("merged"),
        Edited::Conflict(theirs, revision, yours) => {
            Ok(conflict(who, asked, (book, guid), form, (&theirs, revision, &yours)))
        }
        Edited::Gone => Ok(stopped(who, asked, (book, guid), StatusCode::CONFLICT, Phrase::GoneMeanwhile)),
        Edited::TooLarge => Ok(stopped(who, asked, (book, guid), StatusCode::UNPROCESSABLE_ENTITY, Phrase::TooLarge)),
        Edited::Unknown => Err(Wrong::NotFound),
    }
}

/// What a form does to an item: the content to be written, if any, and what to say. Made from an older version, the change is
/// merged with what was changed meanwhile, as a device's would be; where both touched the same, a person decides.
fn decide(
    base: Option<&[u8]>,
    now: &ItemRow<'_>,
    shown: Revision,
    overruled: Option<Revision>,
    form: &Fields,
) -> (Option<Vec<u8>>, Edited) {
    let Some(base) = base else { return (None, Edited::Unknown) };
    let Some(yours) = card::apply(base, form) else { return (None, Edited::Unknown) };
    if yours == base {
        return (None, Edited::Same);
    }
    if yours.len() > LARGEST_CARD {
        return (None, Edited::TooLarge);
    }
    if now.revision == shown {
        return (Some(yours), Edited::Saved);
    }
    match merge3(base, &now.content, &yours, Prefer::Incoming) {
        Some(merged) if merged.conflicts.is_empty() || overruled == Some(now.revision) => match merged.changed {
            true if merged.content.len() > LARGEST_CARD => (None, Edited::TooLarge),
            true => (Some(merged.content), Edited::Merged),
            false => (None, Edited::Same),
        },
        _ => (None, Edited::Conflict(now.content.to_vec(), now.revision, yours)),
    }
}

/// Shows both versions, and lets the person say which.
fn conflict(
    who: &SignedIn,
    asked: &Asked,
    (book, guid): (BookNo, Guid),
    form: &Posted,
    (theirs, revision, yours): (&[u8], Revision, &[u8]),
) -> Answer {
    let say = |phrase| asked.language.say(phrase);
    let again = form.iter().filter(|(name, _)| !matches!(*name, "token" | "overrule"));
    let again = post(who, &item(book, guid).then("edit"))
        .add_all(again.map(|(name, value)| hidden(name, value)))
        .add(hidden("overrule", &revision.to_string()))
        .add(button(say(Phrase::TakeYours)))
        .add(action(&item(book, guid), say(Phrase::KeepTheirs)));
    let content: Html = [
        Html::from(warning(say(Phrase::ConflictHint))),
        past::differences(asked, theirs, yours, [Phrase::Theirs, Phrase::Yours]),
        again.class("actions").into(),
    ]
    .into_iter()
    .collect();
    Frame::new(who, asked, Phrase::ChangedMeanwhile).answer(StatusCode::CONFLICT, content)
}

fn stopped(who: &SignedIn, asked: &Asked, (book, guid): (BookNo, Guid), status: StatusCode, why: Phrase) -> Answer {
    let say = |phrase| asked.language.say(phrase);
    let content: Html = [
        Html::from(warning(say(why))),
        el("p").class("actions").add(action(&item(book, guid).then("history"), say(Phrase::History))).into(),
    ]
    .into_iter()
    .collect();
    Frame::new(who, asked, Phrase::Contacts).answer(status, content)
}

pub(super) fn delete(who: &SignedIn, asked: &Asked, form: &Posted) -> Result<Answer, Wrong> {
    let book = books::book(who, asked.number(0))?;
    is_of_contacts(book).then_some(()).ok_or(Wrong::NotFound)?;
    let guid = Guid(asked.number(1));
    let shown = Revision(form.number("revision").ok_or(Wrong::BadRequest)?);
    let deleted = who.step(|tx| {
        let mut writer = writer(who, asked, tx, book)?;
        let now = tx.items(book, &[guid])?.pop().flatten();
        let Some(now) = now else { return Ok((None, Verdict::Rollback)) };
        if now.revision != shown && !now.deleted {
            return Ok((Some(false), Verdict::Rollback));
        }
        writer.delete(&now);
        writer.flush(tx)?;
        Ok((Some(true), Verdict::Commit))
    })?;
    match deleted {
        None => Err(Wrong::NotFound),
        Some(true) => Ok(Answer::see(&link(book).with("done", "deleted"))),
        Some(false) => Ok(stopped(who, asked, (book, guid), StatusCode::CONFLICT, Phrase::DeleteChanged)),
    }
}
