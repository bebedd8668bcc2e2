//! The devices of an account, and how far each is.

use super::Asked;
use super::answer::{Answer, Wrong};
use super::books::name;
use super::conflicts;
use super::frame::{Frame, action, moment, table};
use super::html::{Element, Html, Link, el};
use super::live;
use super::phrases::Phrase;
use super::session::SignedIn;
use crate::codec::{Limits, decode_devinf};
use crate::contact::lens::Lens;
use crate::message::{AlertCode, Timestamp};
use crate::service::device::is_forgotten;
use crate::store::{BookRow, DeviceRow, PairRow, Phase, Result as StoreResult, Tx};
use crate::sync::SyncType;

/// A device and what it and the books agree on.
pub(super) struct Shown {
    pub(super) row: DeviceRow,
    pub(super) books: Vec<ShownBook>,
}

pub(super) struct ShownBook {
    pub(super) book: BookRow,
    pub(super) pair: PairRow,
    /// Conflicts that came with the device, among the newest of the book.
    conflicts: usize,
    /// The fields that the device can hold; none said: all.
    holds: Vec<String>,
}

/// The devices that synced, with their books.
pub(super) fn all(tx: &mut dyn Tx) -> StoreResult<Vec<Shown>> {
    let books = tx.books()?;
    let decided = books.iter().map(|row| conflicts::newest(tx, row.book)).collect::<StoreResult<Vec<_>>>()?;
    let mut found = Vec::new();
    for row in tx.devices()?.into_iter().filter(|row| !row.is_local() && !is_forgotten(row)) {
        let mut of_device = Vec::new();
        for (book, decided) in books.iter().zip(&decided) {
            let Some(pair) = tx.pair(row.device, book.book)? else { continue };
            let lens = match pair.lens {
                Some(number) if number.0 < 0 => tx.lens(number)?.and_then(|bytes| Lens::decode(&bytes)),
                _ => None,
            };
            let holds = lens.map(|lens| lens.held()).unwrap_or_default();
            let conflicts = conflicts::counted(decided, row.device);
            of_device.push(ShownBook { book: book.clone(), pair, conflicts, holds });
        }
        found.push(Shown { row, books: of_device });
    }
    Ok(found)
}

pub(super) fn page(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    let say = |phrase| asked.language.say(phrase);
    let found = who.look(all)?;
    let under_way = el("section")
        .attr("aria-labelledby", "live-title")
        .add(el("h2").attr("id", "live-title").text(say(Phrase::LiveTitle)))
        .add(
            el("div")
                .attr("id", "live")
                .attr("aria-live", "polite")
                .to("data-refresh", &Link::new("/devices/live"))
                .add(live::list(asked, &found, who)?),
        );
    let none = found.is_empty().then(|| el("p").text(say(Phrase::NoDevices)));
    let devices = found.iter().map(|device| one(asked, device));
    let content: Html = [Html::from(under_way), none.into(), devices.collect()].into_iter().collect();
    Ok(Frame::new(who, asked, Phrase::Devices).ok(content))
}

fn one(asked: &Asked, device: &Shown) -> Element {
    let say = |phrase| asked.language.say(phrase);
    let row = &device.row;
    let seen = match row.last_seen > Timestamp(0) {
        true => Html::from(moment(row.last_seen)),
        false => say(Phrase::Never).into(),
    };
    let is = row.devinf.as_deref().map(itself).unwrap_or_default();
    let columns = [Phrase::Book, Phrase::LastSync, Phrase::Mode, Phrase::Result, Phrase::Behind, Phrase::CanHold];
    let rows = device.books.iter().map(|shown| line(asked, shown));
    let held = device.books.iter().any(|shown| !shown.pair.holds.is_empty());
    el("section")
        .class("device")
        .add(el("h2").add(el("bdi").text(&row.device_id)))
        .add((!is.is_empty()).then(|| el("p").add(el("bdi").text(is))))
        .add(el("p").add(say(Phrase::LastSeen)).add(": ").add(seen))
        .add(held.then(|| el("p").add(action(&Link::new("/held"), say(Phrase::WaitingToDecide)))))
        .add((!device.books.is_empty()).then(|| table(&columns.map(say), rows)))
        .add(el("p").add(action(&Link::new("/lost").number(row.device.0), say(Phrase::LostLink))))
}

fn line(asked: &Asked, shown: &ShownBook) -> Vec<Html> {
    let say = |phrase| asked.language.say(phrase);
    let pair = &shown.pair;
    let named = |code| SyncType::from_alert(AlertCode(code)).map_or("–", |kind| say(mode(kind)));
    let (kind, result) = match (pair.sync_type, pair.phase, &pair.own_next) {
        (0, _, None) => (pair.last_type, Phrase::Never),
        (0, ..) => (pair.last_type, Phrase::ResultGood),
        (kind, Phase::Idle, _) => (kind, Phrase::ResultBroken),
        (kind, ..) => (kind, Phrase::ResultOpen),
    };
    let decided = shown.conflicts;
    let decided = (decided > 0).then(|| {
        let count = if decided < conflicts::COUNTED { decided.to_string() } else { format!("{decided}+") };
        let text = asked.language.fill(Phrase::SomeConflicts, &[&count]);
        [Html::from(" "), el("a").to("href", &conflicts::address(shown.book.book)).text(text).into()]
    });
    let behind = (shown.book.head.0 - pair.cursor.0).max(0).to_string();
    let holds = match shown.holds.is_empty() {
        true => say(Phrase::Everything).to_owned(),
        false => shown.holds.join(", "),
    };
    let holds = el("span").class("holds").text(holds);
    vec![
        el("bdi").text(name(asked, shown.book.book)).into(),
        last_sync(asked, pair),
        named(kind).into(),
        std::iter::once(Html::from(say(result))).chain(decided.into_iter().flatten()).collect(),
        behind.as_str().into(),
        holds.into(),
    ]
}

/// When a device and a book last were in step: our own anchor is the moment of the last clean sync.
pub(super) fn last_sync(asked: &Asked, pair: &PairRow) -> Html {
    pair.own_next.as_deref().map_or_else(|| asked.language.say(Phrase::Never).into(), anchor)
}

/// The moment in an anchor of ours; what is none stands for itself.
fn anchor(text: &str) -> Html {
    let parts = (text.get(..4), text.get(4..6), text.get(6..8), text.get(9..11), text.get(11..13), text.get(13..15));
    let (Some(y), Some(mo), Some(d), Some(h), Some(mi), Some(s)) = parts else { return el("bdi").text(text).into() };
    match Timestamp::from_rfc3339(&format!("{y}-{mo}-{d}T{h}:{mi}:{s}Z")) {
        Some(at) => moment(at).into(),
        None => el("bdi").text(text).into(),
    }
}

pub(super) const fn mode(mode: SyncType) -> Phrase {
    match mode {
        SyncType::TwoWay => Phrase::ModeTwoWay,
        SyncType::Slow => Phrase::ModeSlow,
        SyncType::OneWayFromClient => Phrase::ModeFromClient,
        SyncType::OneWayFromServer => Phrase::ModeFromServer,
        SyncType::RefreshFromClient => Phrase::ModeRefreshFromClient,
        SyncType::RefreshFromServer => Phrase::ModeRefreshFromServer,
    }
}

/// What a device says of itself, in words.
fn itself(devinf: &[u8]) -> String {
    let Ok(devinf) = decode_devinf(devinf, &Limits::default()) else { return String::new() };
    let said = [devinf.man, devinf.model, devinf.fwv, devinf.swv].into_iter().flatten();
    said.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
}
