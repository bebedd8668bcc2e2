//! A lost device: what may be ordered of it, and what became of that (mission R5).
//!
//! Nothing is ordered in one step: a page says what will happen, and its form brings the proof that just this was shown.

use super::Asked;
use super::answer::{Answer, Wrong};
use super::books::name;
use super::devices::{Shown, all, last_sync};
use super::form::Fields;
use super::frame::{Frame, action, button, hidden, moment, post, table, warning};
use super::html::{Element, Html, Link, el};
use super::phrases::Phrase;
use super::session::{Posted, SignedIn};
use crate::message::Timestamp;
use crate::service::control::{self, ControlError, Options, Order, OrderState, Overview, Task};
use axum::http::StatusCode;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Orders shown, the newest.
const MOST: usize = 50;

/// The name under which a browser saves a key.
const KEY_FILE: &str = "device.key";

/// What is said on the device once it has its key.
const JOIN: &str = "syncml control join FILE.orders --key-file device.key --clear FOLDER";

/// What somebody wants of a device.
#[derive(Clone, Copy)]
struct Wanted {
    task: Task,
    forced: bool,
}

impl Wanted {
    fn of(task: Task, fields: &Fields) -> Self {
        let keep = fields.get("keep").is_some();
        let task = if matches!(task, Task::Clear { .. }) { Task::Clear { keep } } else { task };
        Self { task, forced: fields.get("force").is_some() }
    }

    const fn word(self) -> &'static str {
        if matches!(self.task, Task::Stop) { "stop" } else { "clear" }
    }

    const fn keeps(self) -> bool {
        matches!(self.task, Task::Clear { keep: true })
    }

    /// Where it is asked, and done.
    fn link(self, device: &Shown) -> Link {
        let link = link(device).then(self.word());
        let link = if self.keeps() { link.with("keep", "1") } else { link };
        if self.forced { link.with("force", "1") } else { link }
    }

    /// What a form has to prove that it was shown. After one more order the page is too old.
    fn shown(self, device: &Shown, orders: &[Order]) -> String {
        let last = orders.last().map_or(0, |order| order.number);
        format!("{} {} forced={} of {} after {last}", self.word(), self.keeps(), self.forced, device.row.device)
    }

    /// What will happen.
    fn says(self) -> Vec<Phrase> {
        let when = if self.forced { Phrase::OrderAtOnce } else { Phrase::OrderOnceBackedUp };
        let what = match self.task {
            Task::Stop => Phrase::OrderStops,
            Task::Clear { keep: true } => Phrase::OrderPutsAside,
            Task::Clear { keep: false } => Phrase::OrderClears,
        };
        let lost = (self.forced && self.task == Task::Clear { keep: false }).then_some(Phrase::OrderLoses);
        let rest = [Phrase::OrderKeepsHere, Phrase::OrderNotUnderstood, Phrase::OrderHolds];
        [when, what].into_iter().chain(lost).chain(rest).collect()
    }
}

fn link(device: &Shown) -> Link {
    Link::new("/lost").number(device.row.device.0)
}

/// The device of that number, if it is one of this account.
fn device(who: &SignedIn, asked: &Asked) -> Result<Shown, Wrong> {
    let found = who.look(all)?.into_iter().find(|shown| shown.row.device.0 == asked.number(0));
    found.ok_or(Wrong::NotFound)
}

fn known(who: &SignedIn, asked: &Asked, device: &Shown) -> Result<Overview, Wrong> {
    Ok(control::overview(who.store(), who.account(), &device.row.device_id, asked.now)?)
}

/// Who ordered it, as the audit may say it: without a name.
fn actor(who: &SignedIn) -> String {
    format!("login of account {}", who.account())
}

/// Each UUID of version 4 has 122 random bits.
fn random() -> [u8; 32] {
    let parts = (0..4).map(|_| Uuid::new_v4());
    parts
        .fold(Sha256::new_with_prefix(b"syncml device key\0"), |all, part| all.chain_update(part.as_bytes()))
        .finalize()
        .into()
}

pub(super) fn page(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    let say = |phrase| asked.language.say(phrase);
    let device = device(who, asked)?;
    let known = known(who, asked, &device)?;
    let seen = |at: Option<Timestamp>| at.map_or_else(|| say(Phrase::Never).into(), |at| Html::from(moment(at)));
    let last_seen = Some(device.row.last_seen).filter(|at| *at > Timestamp(0));
    let facts = el("dl")
        .class("facts")
        .add(el("dt").text(say(Phrase::LastSeen)))
        .add(el("dd").add(seen(last_seen)))
        .add(el("dt").text(say(Phrase::KeyHandedOut)))
        .add(el("dd").add(seen(known.enrolled)));
    let columns = [Phrase::Book, Phrase::LastSync, Phrase::BackupConfirmed].map(say);
    let rows = device.books.iter().map(|shown| {
        let confirmed = known.confirmed.get(&shown.book.book).copied();
        vec![el("bdi").text(name(asked, shown.book.book)).into(), last_sync(asked, &shown.pair), seen(confirmed)]
    });
    let order = |task| Wanted { task, forced: false }.link(&device);
    let choose = el("p")
        .class("actions")
        .add(action(&order(Task::Stop), say(Phrase::StopIt)))
        .add(action(&order(Task::Clear { keep: false }), say(Phrase::ClearIt)))
        .add(action(&Link::new("/devices"), say(Phrase::Back)));
    let content: Html = [
        Html::from(heading(&device)),
        facts.into(),
        known.enrolled.is_none().then(|| enrolment(who, asked, &device)).into(),
        choose.into(),
        el("h3").text(say(Phrase::Backup)).into(),
        table(&columns, rows).into(),
        el("h3").text(say(Phrase::Orders)).into(),
        orders(who, asked, &device, &known.orders).into(),
    ]
    .into_iter()
    .collect();
    Ok(Frame::new(who, asked, Phrase::Lost).ok(content))
}

fn heading(device: &Shown) -> Element {
    el("h2").add(el("bdi").text(&device.row.device_id))
}

/// How a device comes to take orders.
fn enrolment(who: &SignedIn, asked: &Asked, device: &Shown) -> Element {
    let say = |phrase| asked.language.say(phrase);
    el("div")
        .class("warning")
        .add(el("p").text(say(Phrase::NotEnrolled)))
        .add(el("p").add(el("code").text(JOIN)))
        .add(el("p").text(say(Phrase::KeyIsSecret)))
        .add(post(who, &link(device).then("enrol")).add(button(say(Phrase::MakeKey))))
}

/// What was ordered, the newest first.
fn orders(who: &SignedIn, asked: &Asked, device: &Shown, orders: &[Order]) -> Element {
    let say = |phrase| asked.language.say(phrase);
    if orders.is_empty() {
        return el("p").text(say(Phrase::NoOrders));
    }
    let columns = [Phrase::Order, Phrase::What, Phrase::Given, Phrase::HoldsUntil, Phrase::State, Phrase::DeviceSays];
    let rows = orders.iter().rev().take(MOST).map(|order| {
        let words = match &order.state {
            OrderState::Done { text } | OrderState::Failed { text } => text.as_str(),
            _ => "",
        };
        let cancel = matches!(order.state, OrderState::Waiting { .. }).then(|| {
            post(who, &link(device).then("cancel"))
                .add(hidden("order", &order.number.to_string()))
                .add(button(say(Phrase::TakeBack)).class("quiet"))
        });
        let forced = if order.forced { say(Phrase::Forced) } else { "" };
        vec![
            order.number.to_string().as_str().into(),
            el("span").text(say(task(order.task))).text(forced).into(),
            moment(order.issued).into(),
            moment(order.expires).into(),
            [Html::from(el("span").text(state(asked, &order.state))), cancel.into()].into_iter().collect(),
            el("bdi").text(words).into(),
        ]
    });
    table(&columns.map(say), rows)
}

const fn task(task: Task) -> Phrase {
    match task {
        Task::Stop => Phrase::TaskStop,
        Task::Clear { keep: true } => Phrase::TaskPutAside,
        Task::Clear { keep: false } => Phrase::TaskClear,
    }
}

fn state(asked: &Asked, state: &OrderState) -> String {
    let (phrase, code) = match state {
        OrderState::Waiting { code: None } => (Phrase::OrderWaiting, None),
        OrderState::Waiting { code: Some(code) } => (Phrase::OrderPutOff, Some(*code)),
        OrderState::Told => (Phrase::OrderTold, None),
        OrderState::Taken => (Phrase::OrderTaken, None),
        OrderState::Done { .. } => (Phrase::OrderDone, None),
        OrderState::Failed { .. } => (Phrase::OrderFailed, None),
        OrderState::Refused { code: 501 } => (Phrase::OrderUnknown, None),
        OrderState::Refused { code } => (Phrase::OrderRefused, Some(*code)),
        OrderState::Cancelled => (Phrase::OrderCancelled, None),
        OrderState::Expired => (Phrase::OrderExpired, None),
    };
    asked.language.fill(phrase, &[&code.map(|code| code.to_string()).unwrap_or_default()])
}

pub(super) fn ask_stop(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    ask(who, asked, Task::Stop)
}

pub(super) fn ask_clear(who: &SignedIn, asked: &Asked) -> Result<Answer, Wrong> {
    ask(who, asked, Task::Clear { keep: false })
}

/// Says what will happen, and asks once more.
fn ask(who: &SignedIn, asked: &Asked, task: Task) -> Result<Answer, Wrong> {
    let say = |phrase| asked.language.say(phrase);
    let device = device(who, asked)?;
    let known = known(who, asked, &device)?;
    let wanted = Wanted::of(task, &asked.query);
    let consequences = wanted.says().into_iter().map(|phrase| el("li").text(say(phrase)));
    let title = if task == Task::Stop { Phrase::StopIt } else { Phrase::ClearIt };
    let form = post(who, &wanted.link(&device))
        .class("actions")
        .add(hidden("sure", &who.proof(&wanted.shown(&device, &known.orders))))
        .add(button(say(Phrase::OrderIt)).class("danger"))
        .add(action(&link(&device), say(Phrase::Cancel)));
    let other = |forced, keep| {
        let task = if task == Task::Stop { task } else { Task::Clear { keep } };
        Wanted { task, forced }.link(&device)
    };
    let forced = if wanted.forced { Phrase::WaitForBackup } else { Phrase::DoNotWait };
    let kept = if wanted.keeps() { Phrase::DeleteIt } else { Phrase::PutItAside };
    let others = el("ul")
        .add(
            (task != Task::Stop)
                .then(|| el("li").add(el("a").to("href", &other(wanted.forced, !wanted.keeps())).text(say(kept)))),
        )
        .add(el("li").add(el("a").to("href", &other(!wanted.forced, wanted.keeps())).text(say(forced))));
    let content: Html = [
        Html::from(heading(&device)),
        known.enrolled.is_none().then(|| el("p").class("warning").text(say(Phrase::HasNoKey))).into(),
        el("ul").add_all(consequences).into(),
        form.into(),
        el("h3").text(say(Phrase::Instead)).into(),
        others.into(),
    ]
    .into_iter()
    .collect();
    Ok(Frame::new(who, asked, title).ok(content))
}

pub(super) fn stop(who: &SignedIn, asked: &Asked, form: &Posted) -> Result<Answer, Wrong> {
    order(who, asked, form, Task::Stop)
}

pub(super) fn clear(who: &SignedIn, asked: &Asked, form: &Posted) -> Result<Answer, Wrong> {
    order(who, asked, form, Task::Clear { keep: false })
}

fn order(who: &SignedIn, asked: &Asked, form: &Posted, task: Task) -> Result<Answer, Wrong> {
    let device = device(who, asked)?;
    let wanted = Wanted::of(task, &asked.query);
    let known = known(who, asked, &device)?;
    if !who.proves(form.get("sure").unwrap_or_default(), &wanted.shown(&device, &known.orders)) {
        return Ok(sorry(who, asked, &device, StatusCode::FORBIDDEN, Phrase::Refused));
    }
    let options = Options { forced: wanted.forced, actor: actor(who).into(), ..Options::new(random()) };
    match control::issue(who.store(), who.account(), &device.row.device_id, wanted.task, &options, asked.now) {
        Ok(_) => Ok(Answer::see(&link(&device).with("done", "ordered"))),
        Err(error) => refused(who, asked, &device, error),
    }
}

pub(super) fn cancel(who: &SignedIn, asked: &Asked, form: &Posted) -> Result<Answer, Wrong> {
    let device = device(who, asked)?;
    let number = form.number("order").ok_or(Wrong::BadRequest)?;
    match control::cancel(who.store(), who.account(), &device.row.device_id, number, &actor(who), asked.now) {
        Ok(()) => Ok(Answer::see(&link(&device).with("done", "taken-back"))),
        Err(error) => refused(who, asked, &device, error),
    }
}

/// Hands out the key of a device that has none: once, and never that of one that has.
pub(super) fn enrol(who: &SignedIn, asked: &Asked, _: &Posted) -> Result<Answer, Wrong> {
    let device = device(who, asked)?;
    if known(who, asked, &device)?.enrolled.is_some() {
        return Ok(sorry(who, asked, &device, StatusCode::CONFLICT, Phrase::HasKey));
    }
    let id = &device.row.device_id;
    let key = control::enrol(who.store(), who.account(), id, random(), false, &actor(who), asked.now)?;
    Ok(Answer::download(KEY_FILE, format!("{}\n", key.to_text().expose())))
}

fn refused(who: &SignedIn, asked: &Asked, device: &Shown, error: ControlError) -> Result<Answer, Wrong> {
    match error {
        ControlError::TooMany => Ok(sorry(who, asked, device, StatusCode::CONFLICT, Phrase::TooManyOrders)),
        ControlError::TooLate(..) => Ok(sorry(who, asked, device, StatusCode::CONFLICT, Phrase::OrderTooLate)),
        error => Err(error.into()),
    }
}

fn sorry(who: &SignedIn, asked: &Asked, device: &Shown, status: StatusCode, why: Phrase) -> Answer {
    let back = action(&link(device), asked.language.say(Phrase::Back));
    let content: Html = [
        Html::from(heading(device)),
        warning(asked.language.say(why)).into(),
        el("p").class("actions").add(back).into(),
    ]
    .into_iter()
    .collect();
    Frame::new(who, asked, Phrase::Lost).answer(status, content)
}
