//! Checks of sizes: several messages, large objects, suspend and resume.

use super::changes::{about, one_add};
use super::device::{Do, Kit, Session};
use super::{Check, Needs, Outcome, Stop, expect, status};
use crate::message::{AlertCode, Change, Command, Data, Meta, Version};

pub(super) const CHECKS: &[Check] = &[
    cards(
        "MSG-1",
        "a package of two messages: the first is answered without Final, nothing is sent too early",
        two_messages,
    ),
    cards("MSG-4", "a Sync goes on in the next message", sync_goes_on),
    cards("MSG-3", "no answer is larger than the device's MaxMsgSize, and everything comes", small_messages),
    cards("MSG-2", "Final in the last message of a package only", finals),
    cards("LO-1", "an object in three chunks: 213, 213, 201", three_chunks),
    cards("LO-2", "an object that is not of the size declared: refused", wrong_size),
    cards("LO-3", "something new before an object's end: 223", broken_object),
    cards("LO-4", "an object larger than MaxObjSize: refused, the next one is taken", too_large),
    cards("LO-1", "an object larger than the device's messages comes in chunks", chunks_from_the_server),
    cards("RES-1", "224 is taken, and 225 goes on where it was", suspended),
    cards("RES-5", "what is said again after a break is not doubled", broken_slow_sync),
];

const fn cards(id: &'static str, name: &'static str, run: fn(&mut Kit<'_>) -> Outcome) -> Check {
    Check { id, name, needs: Needs::Cards, run }
}

/// Says a Sync with these commands, and hears one answer.
fn say_sync(kit: &mut Kit<'_>, session: &mut Session, commands: Vec<Command<'static>>, last: bool) -> Outcome {
    let mut body = session.confirmations(kit);
    body.push(session.sync(kit, commands));
    kit.say(session, body, last)
}

fn two_messages(kit: &mut Kit<'_>) -> Outcome {
    let theirs = kit.card("Waiting");
    kit.first(0, &[theirs])?;
    let mut session = kit.opened(1, AlertCode::SLOW)?;
    let add = Do::Add(kit.luid(1), kit.card("First"));
    let add = session.change(&add);
    say_sync(kit, &mut session, vec![add], false)?;
    let heard = &session.heard;
    expect(!heard.last, "§3.7", "no Final while the device's package is open", || heard.outline())?;
    expect(heard.changes.is_empty(), "§3.2", "no changes before the device's package is complete", || {
        heard.outline()
    })?;
    let spoke = heard.alerts.iter().any(|alert| alert.code == 222) || heard.status("Add").is_some();
    expect(spoke, "§3.7", "statuses, or an Alert 222", || heard.outline())?;
    say_sync(kit, &mut session, Vec::new(), true)?;
    let mut done = kit.hear(&mut session)?;
    kit.confirm(&mut session, &mut done)
}

fn sync_goes_on(kit: &mut Kit<'_>) -> Outcome {
    let cards: Vec<String> = (0..3).map(|_| kit.card("Part")).collect();
    kit.first(0, &[])?;
    let mut session = kit.opened(0, AlertCode::TWO_WAY)?;
    for (place, card) in cards.iter().enumerate() {
        let add = Do::Add(kit.luid(0), card.clone());
        let add = session.change(&add);
        say_sync(kit, &mut session, vec![add], place == 2)?;
    }
    let mut done = kit.hear(&mut session)?;
    kit.confirm(&mut session, &mut done)?;
    let (_, done) = kit.first(1, &[])?;
    cards.iter().try_for_each(|card| one_add(&done, card).map(drop))
}

fn small_messages(kit: &mut Kit<'_>) -> Outcome {
    let cards: Vec<String> = (0..8).map(|_| noted(&kit.card("Small"), 700)).collect();
    kit.first(0, &cards)?;
    let most = 5_000;
    kit.devices[1].max_msg_size = most;
    let (_, done) = kit.first(1, &[])?;
    expect(done.longest as u64 <= most, "§3.7", &format!("answers of at most {most} bytes"), || {
        format!("one of {} bytes", done.longest)
    })?;
    cards.iter().try_for_each(|card| one_add(&done, card).map(drop))
}

fn finals(kit: &mut Kit<'_>) -> Outcome {
    let session = kit.opened(0, AlertCode::SLOW)?;
    expect(session.heard.last, "§3.2", "Final in package 2", || session.heard.outline())
}

/// A card with a note of so many bytes.
fn noted(card: &str, length: usize) -> String {
    let note: String = "all work and no play ".chars().cycle().take(length).collect();
    card.replace("END:VCARD", &format!("NOTE:{note}\r\nEND:VCARD"))
}

/// Large objects came with 1.1 and may be left out.
fn takes_objects(kit: &Kit<'_>, session: &Session) -> Outcome<u64> {
    if kit.config.version == Version::V10 {
        return Err(Stop::Unsupported("large objects came with 1.1".to_owned()));
    }
    let declared = session.heard.alerts.first().and_then(|alert| alert.max_obj_size);
    declared.ok_or_else(|| Stop::Unsupported("the server's Alert declares no MaxObjSize".to_owned()))
}

/// A chunk of an Add.
fn chunk(session: &mut Session, luid: &str, text: &str, size: Option<u64>, more: bool) -> Command<'static> {
    match session.change(&Do::Add(luid.to_owned(), text.to_owned())) {
        Command::Change(mut change) => {
            change.items[0].more_data = more;
            change.items[0].data = Some(Data::text(text.to_owned()));
            Command::Change(Change { meta: Some(Meta { size, ..Meta::of_type("text/vcard") }), ..change })
        }
        other => other,
    }
}

/// A session in which the server said that it takes large objects.
fn opened(kit: &mut Kit<'_>) -> Outcome<(Session, u64)> {
    kit.first(0, &[])?;
    let session = kit.opened(0, AlertCode::TWO_WAY)?;
    let most = takes_objects(kit, &session)?;
    Ok((session, most))
}

fn three_chunks(kit: &mut Kit<'_>) -> Outcome {
    let (mut session, _) = opened(kit)?;
    let (luid, card) = (kit.luid(0), noted(&kit.card("Chunks"), 900));
    let size = Some(card.len() as u64);
    for (text, size, more, code) in
        [(&card[..400], size, true, 213), (&card[400..800], None, true, 213), (&card[800..], None, false, 201)]
    {
        let add = chunk(&mut session, &luid, text, size, more);
        say_sync(kit, &mut session, vec![add], !more)?;
        let allowed: &[u16] = if code == 201 { &[201, 200] } else { &[213] };
        status(session.heard.status("Add"), allowed, "§3.8", if more { "a chunk" } else { "the last chunk" })?;
    }
    let mut done = kit.hear(&mut session)?;
    kit.confirm(&mut session, &mut done)?;
    let (_, done) = kit.first(1, &[])?;
    let sent = one_add(&done, &card)?;
    let kept = sent.content.split_whitespace().collect::<String>();
    let end: String = card[700..900].split_whitespace().collect();
    expect(kept.contains(&end), "§3.8", "the whole object", || {
        format!("{} of {} bytes", sent.content.len(), card.len())
    })
}

fn wrong_size(kit: &mut Kit<'_>) -> Outcome {
    let (mut session, _) = opened(kit)?;
    let (luid, card) = (kit.luid(0), kit.card("Size"));
    let add = chunk(&mut session, &luid, &card[..60], Some(card.len() as u64 + 500), true);
    say_sync(kit, &mut session, vec![add], false)?;
    status(session.heard.status("Add"), &[213], "§3.8", "a chunk")?;
    let add = chunk(&mut session, &luid, &card[60..], None, false);
    say_sync(kit, &mut session, vec![add], true)?;
    let code = session.heard.status("Add");
    expect(matches!(code, Some(400..=599)), "§3.8", "424 for an object of another size", || session.heard.outline())?;
    let mut done = kit.hear(&mut session)?;
    kit.confirm(&mut session, &mut done)?;
    let (_, done) = kit.first(1, &[])?;
    expect(about(&done, &card).is_empty(), "§3.8", "nothing of it stored", || "an Add of it".to_owned())
}

fn broken_object(kit: &mut Kit<'_>) -> Outcome {
    let (mut session, _) = opened(kit)?;
    let (luid, other) = (kit.luid(0), kit.luid(0));
    let (card, whole) = (kit.card("Half"), kit.card("Whole"));
    let add = chunk(&mut session, &luid, &card[..60], Some(card.len() as u64), true);
    say_sync(kit, &mut session, vec![add], false)?;
    status(session.heard.status("Add"), &[213], "§3.8", "a chunk")?;
    let add = session.change(&Do::Add(other, whole.clone()));
    say_sync(kit, &mut session, vec![add], true)?;
    let alerted = session.heard.alerts.iter().any(|alert| alert.code == 223);
    expect(alerted, "§3.8", "an Alert 223", || session.heard.outline())?;
    let mut done = kit.hear(&mut session)?;
    kit.confirm(&mut session, &mut done)?;
    let (_, done) = kit.first(1, &[])?;
    one_add(&done, &whole)?;
    expect(about(&done, &card).is_empty(), "§3.8", "nothing of the broken object", || "an Add of it".to_owned())
}

fn too_large(kit: &mut Kit<'_>) -> Outcome {
    let (mut session, most) = opened(kit)?;
    let (luid, card, next) = (kit.luid(0), kit.card("Huge"), kit.card("Next"));
    let add = chunk(&mut session, &luid, &card[..60], Some(most.saturating_add(1)), true);
    say_sync(kit, &mut session, vec![add], false)?;
    let code = session.heard.status("Add");
    expect(matches!(code, Some(413 | 416)), "§3.8", "416 or 413 for an object that is too large", || {
        session.heard.outline()
    })?;
    let add = Do::Add(kit.luid(0), next);
    let add = session.change(&add);
    say_sync(kit, &mut session, vec![add], true)?;
    let mut done = kit.hear(&mut session)?;
    status(done.codes.last().copied(), &[200, 201], "§3.8", "the next Add")?;
    kit.confirm(&mut session, &mut done)
}

fn chunks_from_the_server(kit: &mut Kit<'_>) -> Outcome {
    if kit.config.version == Version::V10 {
        return Err(Stop::Unsupported("large objects came with 1.1".to_owned()));
    }
    let card = noted(&kit.card("Large"), 9_000);
    kit.first(0, std::slice::from_ref(&card))?;
    let most = 4_000;
    kit.devices[1].max_msg_size = most;
    let (_, done) = kit.first(1, &[])?;
    if done.told.is_empty() {
        return Err(Stop::Unsupported("the server keeps back what does not fit into a message".to_owned()));
    }
    expect(done.longest as u64 <= most, "§3.7", &format!("answers of at most {most} bytes"), || {
        format!("one of {} bytes", done.longest)
    })?;
    let sent = one_add(&done, &card)?;
    let size = sent.size.unwrap_or_default();
    expect(size == sent.content.len() as u64, "§3.8", "a Size in the first chunk, of the whole object", || {
        format!("{size}, and {} bytes came", sent.content.len())
    })
}

fn suspended(kit: &mut Kit<'_>) -> Outcome {
    if kit.config.version != Version::V12 {
        return Err(Stop::Unsupported("suspend and resume came with 1.2".to_owned()));
    }
    let cards: Vec<String> = (0..4).map(|_| kit.card("Pause")).collect();
    let luids: Vec<String> = cards.iter().map(|_| kit.luid(0)).collect();
    let adds: Vec<Do> = luids.iter().cloned().zip(cards.clone()).map(|(luid, card)| Do::Add(luid, card)).collect();
    let mut session = kit.opened(0, AlertCode::SLOW)?;
    let first = adds[..2].iter().map(|add| session.change(add)).collect();
    say_sync(kit, &mut session, first, false)?;
    let mut body = session.confirmations(kit);
    body.push(session.device_alert(kit, AlertCode::SUSPEND));
    kit.say(&mut session, body, true)?;
    let alert = session.heard.statuses.iter().find(|told| told.cmd == "Alert").map(|told| told.code);
    status(alert, &[200, 214], "§3.13", "an Alert 224")?;

    let last = kit.devices[0].last.clone();
    let mut session = kit.open(0, AlertCode::RESUME, last.as_deref())?;
    let code = session.heard.status("Alert");
    let left = match code {
        Some(200) => adds[2..].to_vec(),
        // It may refuse: then everything is said again.
        Some(508 | 509) if session.heard.alerts.first().is_some_and(|alert| alert.code == 201) => adds,
        Some(509) => return Err(Stop::Unsupported("225 is answered 509, and no slow sync is begun".to_owned())),
        _ => return status(code, &[200, 508], "§3.13", "an Alert 225"),
    };
    kit.finish(&mut session, left)?;
    let (_, done) = kit.first(1, &[])?;
    cards.iter().try_for_each(|card| one_add(&done, card).map(drop))
}

fn broken_slow_sync(kit: &mut Kit<'_>) -> Outcome {
    let cards: Vec<String> = (0..3).map(|_| kit.card("Break")).collect();
    let mut session = kit.opened(0, AlertCode::SLOW)?;
    let adds: Vec<Do> = cards.iter().map(|card| Do::Add(kit.luid(0), card.clone())).collect();
    let half = adds[..2].iter().map(|add| session.change(add)).collect();
    say_sync(kit, &mut session, half, false)?;
    let mut session = kit.opened(0, AlertCode::SLOW)?;
    kit.finish(&mut session, adds)?;
    let (_, done) = kit.first(1, &[])?;
    cards.iter().try_for_each(|card| one_add(&done, card).map(drop))
}
