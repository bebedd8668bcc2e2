//! What all pages have around them, and what many have in them.

use super::Asked;
use super::answer::Answer;
use super::html::{Element, Html, Link, el};
use super::phrases::Phrase;
use super::session::SignedIn;
use crate::message::Timestamp;
use axum::http::StatusCode;

/// A page that is being made.
pub(super) struct Frame<'a> {
    pub(super) asked: &'a Asked,
    /// Who is signed in; on the pages before that, nobody.
    pub(super) who: Option<&'a SignedIn>,
    pub(super) title: Phrase,
    /// What was just done.
    pub(super) notice: Option<String>,
}

impl<'a> Frame<'a> {
    /// The page of somebody, with what the address says was just done.
    pub(super) fn new(who: &'a SignedIn, asked: &'a Asked, title: Phrase) -> Self {
        let done = asked.query.get("done").and_then(notice);
        let notice = done.map(|phrase| asked.language.say(phrase).to_owned());
        Self { asked, who: Some(who), title, notice }
    }

    pub(super) fn ok(&self, content: impl Into<Html>) -> Answer {
        self.answer(StatusCode::OK, content)
    }

    pub(super) fn answer(&self, status: StatusCode, content: impl Into<Html>) -> Answer {
        let language = self.asked.language;
        let say = |phrase| language.say(phrase);
        let head = el("head")
            .add(el("meta").attr("charset", "utf-8"))
            .add(el("meta").attr("name", "viewport").attr("content", "width=device-width, initial-scale=1"))
            .add(el("meta").attr("name", "color-scheme").attr("content", "light dark"))
            .add(el("title").text(format!("{} – {}", say(self.title), say(Phrase::Title))))
            .add(el("link").attr("rel", "stylesheet").to("href", &Link::new("/style.css")))
            .add(el("script").to("src", &Link::new("/script.js")).flag("defer", true));
        let other = language.other();
        let choose = el("a")
            .to("href", &Link::new("/language").with("to", other.code()))
            .attr("lang", other.code())
            .attr("hreflang", other.code())
            .text(other.name());
        let banner = el("header")
            .add(el("a").class("home").to("href", &Link::new("")).text(say(Phrase::Title)))
            .add(self.who.map(|_| self.navigation()))
            .add(el("div").class("who").add(choose).add(self.who.map(|who| self.sign_out(who))));
        let main = el("main")
            .attr("id", "main")
            .attr("tabindex", "-1")
            .add(el("h1").text(say(self.title)))
            .add(self.notice.as_ref().map(|text| el("p").class("notice").attr("role", "status").text(text)))
            .add(content);
        let body = el("body")
            .add(el("a").class("skip").anchored("main").text(say(Phrase::SkipToContent)))
            .add(banner)
            .add(main);
        Answer::page(status, el("html").attr("lang", language.code()).add(head).add(body).into())
    }

    fn navigation(&self) -> Element {
        let places = [
            (Phrase::Contacts, Link::new(""), "/book"),
            (Phrase::History, Link::new("/history"), "/history"),
            (Phrase::Devices, Link::new("/devices"), "/devices"),
            (Phrase::Held, Link::new("/held"), "/held"),
        ];
        let past = self.asked.path.contains("/history")
            || self.asked.path.ends_with("/conflicts")
            || self.asked.path.ends_with("/restore");
        let here = match self.asked.path.as_str() {
            _ if past => "/history",
            path if path.starts_with("/lost") => "/devices",
            path => path,
        };
        let items = places.into_iter().map(|(phrase, link, begin)| {
            let current = here.starts_with(begin) || begin == "/book" && here.is_empty();
            let link = el("a").to("href", &link).text(self.asked.language.say(phrase));
            el("li").add(if current { link.attr("aria-current", "page") } else { link })
        });
        el("nav").attr("aria-label", self.asked.language.say(Phrase::Navigation)).add(el("ul").add_all(items))
    }

    fn sign_out(&self, who: &SignedIn) -> Element {
        let language = self.asked.language;
        post(who, &Link::new("/sign-out"))
            .add(el("span").text(language.fill(Phrase::SignedInAs, &[who.name()])))
            .add(button(language.say(Phrase::SignOut)).class("quiet"))
    }
}

/// What an address may say was done: it is not to put other words on the page.
fn notice(word: &str) -> Option<Phrase> {
    Some(match word {
        "saved" => Phrase::Saved,
        "merged" => Phrase::SavedMerged,
        "same" => Phrase::NothingChanged,
        "deleted" => Phrase::Deleted,
        "restored" => Phrase::RestoredItem,
        "ordered" => Phrase::Ordered,
        "taken-back" => Phrase::TakenBack,
        "book-restored" => Phrase::RestoredBook,
        _ => return None,
    })
}

pub(super) fn warning(text: &str) -> Element {
    el("p").class("warning").attr("role", "alert").text(text)
}

/// A form that is posted, with what proves that it is this page's.
pub(super) fn post(who: &SignedIn, link: &Link) -> Element {
    el("form").attr("method", "post").to("action", link).add(hidden("token", &who.form_token()))
}

pub(super) fn hidden(name: &str, value: &str) -> Element {
    el("input").attr("type", "hidden").attr("name", name).attr("value", value)
}

pub(super) fn button(text: &str) -> Element {
    el("button").attr("type", "submit").text(text)
}

/// A link that looks like something to press.
pub(super) fn action(link: &Link, text: &str) -> Element {
    el("a").class("action").to("href", link).text(text)
}

/// A table whose first row names its columns; narrow screens show each cell with the name of its column.
pub(super) fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<Html>>) -> Element {
    let head = el("thead").add(el("tr").add_all(columns.iter().map(|name| el("th").attr("scope", "col").text(name))));
    let rows = rows.into_iter().map(|cells| {
        let cells = cells.into_iter().zip(columns).map(|(cell, name)| el("td").attr("data-name", name).add(cell));
        el("tr").add_all(cells)
    });
    el("table").add(head).add(el("tbody").add_all(rows))
}

/// A moment, to the second.
pub(super) fn moment(at: Timestamp) -> Element {
    let text = spelt(at);
    el("time").attr("datetime", text.replace(' ', "T") + "Z").text(format!("{text} UTC"))
}

/// A moment as `2026-11-21 05:48:04`.
pub(super) fn spelt(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..4), text.get(4..6), text.get(6..8), text.get(9..11), text.get(11..13), text.get(13..15)) {
        (Some(y), Some(mo), Some(d), Some(h), Some(mi), Some(s)) => format!("{y}-{mo}-{d} {h}:{mi}:{s}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, spelt};

    #[test]
    fn moments_are_spelt() {
        assert_eq!(spelt(Timestamp(1_763_704_084_000)), "2025-11-21 05:48:04");
        assert_eq!(spelt(Timestamp(0)), "1970-01-01 00:00:00");
    }
}
