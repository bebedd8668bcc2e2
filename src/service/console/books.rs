//! The books of an account, and what is in one.

use super::Asked;
use super::answer::{Answer, Wrong};
use super::frame::{Frame, action, button};
use super::html::{Element, Html, Link, el};
use super::phrases::Phrase;
use super::search::{Found, Listed, Wanted, find};
use super::session::SignedIn;
use crate::contact::card::{Card, Property, decode_document};
use crate::contact::identity::{Kind, identify};
use crate::session::datastore::title;
use crate::store::{BookNo, BookRow, Guid};

/// The book of that number, if it is one that the account has; that of the contacts it always has.
pub(super) fn book(who: &SignedIn, number: i64) -> Result<BookNo, Wrong> {
    let book = BookNo(number);
    let known = book == BookNo::CONTACTS || who.look(|tx| Ok(tx.book(book)?.is_some()))?;
    if known { Ok(book) } else { Err(Wrong::NotFound) }
}

/// The books of an account, the one of the contacts first.
pub(super) fn all(who: &SignedIn) -> Result<Vec<BookRow>, Wrong> {
    Ok(who.look(|tx| tx.books())?)
}

/// Whether what is in it can be edited here.
pub(super) fn is_of_contacts(book: BookNo) -> bool {
    book.kind() == Kind::Contact
}

/// What a book is called.
pub(super) fn name(asked: &Asked, book: BookNo) -> String {
    match book {
        BookNo::CONTACTS => asked.language.say(Phrase::Contacts).to_owned(),
        book => title(book).into_owned(),
    }
}

/// What an item is called.
pub(super) fn label(asked: &Asked, book: BookNo, content: &[u8]) -> String {
    let label = identify(book.kind(), content).label.map(|label| label.trim().to_owned());
    label.filter(|label| !label.is_empty()).unwrap_or_else(|| asked.language.say(Phrase::NoName).to_owned())
}

/// The address of a book.
pub(super) fn link(book: BookNo) -> Link {
    Link::new("/book").number(book.0)
}

/// The address of an item.
pub(super) fn item(book: BookNo, guid: Guid) -> Link {
    link(book).then("item").number(guid.0)
}

pub(super) fn home(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    show(who, asked, BookNo::CONTACTS)
}

pub(super) fn list(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    show(who, asked, book(who, asked.number(0))?)
}

fn show(who: &SignedIn, asked: &Asked, book: BookNo) -> Result<Answer, Wrong> {
    let say = |phrase| asked.language.say(phrase);
    let rows = all(who)?;
    let others = rows.iter().filter(|row| row.live_items > 0 || row.book == book).map(|row| {
        let count = asked.language.fill(Phrase::CountOfItems, &[&row.live_items.to_string()]);
        let link = el("a").to("href", &link(row.book)).text(name(asked, row.book));
        let link = if row.book == book { link.attr("aria-current", "true") } else { link };
        el("li").add(link).add(" ").add(el("small").text(count))
    });
    let books = el("nav").class("books").attr("aria-label", say(Phrase::Books)).add(el("ul").add_all(others));
    let search = el("form")
        .class("search")
        .attr("role", "search")
        .attr("method", "get")
        .to("action", &link(book))
        .add(el("label").attr("for", "q").text(say(Phrase::Search)))
        .add(
            el("input")
                .attr("type", "search")
                .attr("id", "q")
                .attr("name", "q")
                .attr("value", asked.query.text("q"))
                .attr("placeholder", say(Phrase::SearchHint))
                .attr("autocomplete", "off")
                .attr("aria-controls", "results")
                .to("data-live", &link(book).then("rows")),
        )
        .add(button(say(Phrase::Search)));
    let content: Html = [
        Html::from((rows.len() > 1).then_some(books)),
        search.into(),
        is_of_contacts(book).then(|| el("p").add(action(&link(book).then("new"), say(Phrase::NewContact)))).into(),
        el("div").attr("id", "results").add(results(who, asked, book)?).into(),
    ]
    .into_iter()
    .collect();
    Ok(Frame::new(who, asked, Phrase::Contacts).ok(content))
}

/// What is found, for the script.
pub(super) fn rows(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    let book = book(who, asked.number(0))?;
    Ok(Answer::fragment(results(who, asked, book)?))
}

fn results(who: &SignedIn, asked: &Asked, book: BookNo) -> Result<Html, Wrong> {
    let say = |phrase| asked.language.say(phrase);
    let text = asked.query.text("q");
    let (wanted, after) = (Wanted::parse(text), asked.query.text("after"));
    let Found { items, next } = find(who, book, &wanted, after)?;
    let count = match (items.is_empty(), wanted.is_all() && after.is_empty()) {
        (true, true) => say(Phrase::EmptyBook).to_owned(),
        (true, false) => say(Phrase::NothingFound).to_owned(),
        (false, _) => asked.language.fill(Phrase::Shown, &[&items.len().to_string()]),
    };
    let here = |link: Link| if text.is_empty() { link } else { link.with("q", text) };
    let more = if wanted.is_all() { Phrase::More } else { Phrase::SearchOn };
    let pages = el("p")
        .class("pages")
        .add((!after.is_empty()).then(|| action(&here(link(book)), say(Phrase::FromTheStart))))
        .add(next.map(|next| action(&here(link(book)).with("after", &next), say(more))));
    let list = el("ul").class("cards").add_all(items.iter().map(|item| line(asked, book, item)));
    Ok([
        Html::from(el("p").attr("role", "status").class("count").text(count)),
        (!items.is_empty()).then_some(list).into(),
        pages.into(),
    ]
    .into_iter()
    .collect())
}

/// An item as the list shows it: its name, and what it is reached by; its book, if another one is shown.
fn line(asked: &Asked, shown: BookNo, listed: &Listed) -> Element {
    let book = listed.book;
    let label = el("bdi").text(label(asked, book, &listed.content));
    let mut line = el("li").add(el("a").to("href", &item(book, listed.guid)).add(label));
    if is_of_contacts(book) {
        let content = decode_document(&listed.content);
        let card = Card::parse(&content).ok();
        let reached = |name| -> Option<String> {
            let found = card.as_ref()?.all(name).map(Property::text).find(|text| !text.trim().is_empty());
            found.map(|text| text.trim().to_owned())
        };
        for text in ["TEL", "EMAIL", "ORG"].into_iter().filter_map(reached) {
            line = line.add(" ").add(el("small").add(el("bdi").text(text)));
        }
    }
    if book != shown {
        line = line.add(" ").add(el("small").class("book").text(name(asked, book)));
    }
    line
}
