//! What waits for a person's decision.

use super::Asked;
use super::answer::{Answer, Wrong};
use super::books::{item, label, link, name};
use super::frame::{Frame, action, button, hidden, moment, post};
use super::html::{Element, Html, Link, el};
use super::phrases::Phrase;
use super::session::{Posted, SignedIn};
use crate::session::{Held, HeldDecision, decide_held, held};
use crate::store::{BookNo, HoldReason};

/// Names of held items shown.
const MOST_NAMES: usize = 20;

pub(super) fn page(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    list(who, asked, None)
}

fn list(who: &SignedIn, asked: &Asked, notice: Option<String>) -> Result<Answer, Wrong> {
    let found = held(who.store(), who.account(), None)?;
    let mut content = Html::default();
    if found.is_empty() {
        content.push(el("p").text(asked.language.say(Phrase::NothingHeld)));
    }
    for held in &found {
        content.push(one(who, asked, held)?);
    }
    Ok(Frame { notice, ..Frame::new(who, asked, Phrase::Held) }.ok(content))
}

fn one(who: &SignedIn, asked: &Asked, held: &Held) -> Result<Element, Wrong> {
    let say = |phrase| asked.language.say(phrase);
    let hold = &held.hold;
    let why = match hold.reason {
        HoldReason::Deletes => Phrase::HeldDeletes,
        HoldReason::Vanished => Phrase::HeldVanished,
        HoldReason::SlowSync => Phrase::HeldSlowSync,
    };
    let since = asked.language.say(Phrase::Since).split("{}");
    let since = since.zip([Html::from(moment(hold.at)), Html::default()]);
    let since = since.map(|(text, value)| [Html::from(text), value].into_iter().collect::<Html>());
    let mut section = el("section")
        .class("held")
        .add(el("h2").add(el("bdi").text(&held.device)).text(" – ").add(el("bdi").text(name(asked, held.book))))
        .add(el("p").text(say(why)))
        .add(el("p").class("fine").add_all(since));
    if !held.items.is_empty() {
        let (count, live) = (held.items.len().to_string(), hold.live.to_string());
        section = section.add(el("p").text(asked.language.fill(Phrase::HeldItems, &[&count, &live])));
        let shown = &held.items[..held.items.len().min(MOST_NAMES)];
        let rows = who.look(|tx| tx.items(held.book, shown))?;
        let names = shown.iter().zip(rows).map(|(guid, row)| {
            let text = label(asked, held.book, row.as_ref().map_or(&[], |row| &row.content));
            el("li").add(el("a").to("href", &item(held.book, *guid)).add(el("bdi").text(text)))
        });
        section = section.add(el("ul").add_all(names));
        let more = held.items.len() - shown.len();
        let more = (more > 0).then(|| el("p").text(asked.language.fill(Phrase::AndMore, &[&more.to_string()])));
        section = section.add(more);
    }
    if hold.released {
        return Ok(section.add(el("p").text(say(Phrase::Released))));
    }
    let form = post(who, &Link::new("/held"))
        .class("actions")
        .add(hidden("book", &held.book.to_string()))
        .add(hidden("device", &held.device))
        .add(button(say(Phrase::Discard)).attr("name", "decision").attr("value", "discard"))
        .add(button(say(Phrase::Release)).class("danger").attr("name", "decision").attr("value", "release"))
        .add(action(&link(held.book).then("history"), say(Phrase::History)));
    Ok(section.add(form))
}

pub(super) fn decide(who: &SignedIn, asked: &Asked, form: &Posted) -> Result<Answer, Wrong> {
    let book = BookNo(form.number("book").ok_or(Wrong::BadRequest)?);
    let device = form.get("device").ok_or(Wrong::BadRequest)?;
    let decision = match form.get("decision") {
        Some("release") => HeldDecision::Release,
        Some("discard") => HeldDecision::Discard,
        _ => return Err(Wrong::BadRequest),
    };
    let done = decide_held(who.store(), who.account(), book, Some(device), decision, asked.now)?;
    let (deleted, kept) = (done.deleted.to_string(), done.kept.to_string());
    let notice = match (decision, done.holds) {
        (_, 0) => asked.language.say(Phrase::NothingHeld).to_owned(),
        (HeldDecision::Release, _) => asked.language.fill(Phrase::DecidedReleased, &[&deleted, &kept]),
        (HeldDecision::Discard, _) => asked.language.fill(Phrase::DecidedDiscarded, &[&kept]),
    };
    list(who, asked, Some(notice))
}
