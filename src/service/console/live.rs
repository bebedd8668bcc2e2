//! What devices are doing just now.

use super::Asked;
use super::answer::{Answer, Wrong};
use super::books::name;
use super::devices::{Shown, all, mode};
use super::frame::action;
use super::html::{Html, Link, el};
use super::phrases::Phrase;
use super::session::SignedIn;
use crate::message::AlertCode;
use crate::store::Phase;
use crate::sync::SyncType;

/// The same list alone, which the script asks for again and again.
pub(super) fn fragment(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    let found = who.look(all)?;
    Ok(Answer::fragment(list(asked, &found, who)?))
}

/// The syncs that are open, with how far they are.
pub(super) fn list(asked: &Asked, found: &[Shown], who: &SignedIn) -> Result<Html, Wrong> {
    let say = |phrase| asked.language.say(phrase);
    let mut items = Vec::new();
    for device in found {
        for shown in device.books.iter().filter(|shown| shown.pair.phase != Phase::Idle) {
            let (book, pair) = (&shown.book, &shown.pair);
            let phase = match pair.phase {
                Phase::Idle => continue,
                Phase::Receiving => Phrase::PhaseReceiving,
                Phase::Settling => Phrase::PhaseSettling,
                Phase::Sending => Phrase::PhaseSending,
                Phase::Confirming => Phrase::PhaseConfirming,
            };
            let done = (book.head.0 - pair.start_head.0).max(0).to_string();
            let upto = if pair.upto > pair.cursor { pair.upto } else { book.head };
            let left = who.look(|tx| tx.count_differences((pair.device, pair.book), pair.epoch, pair.cursor, upto))?;
            let kind = SyncType::from_alert(AlertCode(pair.sync_type)).map(|kind| format!(" ({})", say(mode(kind))));
            let counts = asked.language.fill(Phrase::LiveCounts, &[&done, &left.to_string()]);
            items.push(
                el("li")
                    .add(el("bdi").text(&device.row.device_id))
                    .text(format!(" – {}{}: ", name(asked, book.book), kind.unwrap_or_default()))
                    .add(el("strong").text(say(phase)))
                    .text(format!(" – {counts}")),
            );
        }
    }
    let reload = el("p").class("no-script").add(action(&Link::new("/devices"), say(Phrase::Reload)));
    let list = match items.is_empty() {
        true => el("p").text(say(Phrase::LiveNone)),
        false => el("ul").add_all(items),
    };
    Ok([list, reload].into_iter().collect())
}
