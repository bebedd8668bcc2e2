//! Checks of what becomes of cards: the six kinds of sync, maps, anchors, conflicts.

use super::answer::Sent;
use super::device::{Do, Done, Kit, stored};
use super::opening::slow_instead;
use super::{Check, Needs, Outcome, Stop, expect, status};
use crate::message::{AlertCode, Change, Command, Container, ContainerKind, Item, Location, Op, Version};

pub(super) const CHECKS: &[Check] = &[
    cards("ANC-1", "a first sync that asks for changes only is made slow", first_sync),
    cards("SYNC-2", "a slow sync: an Add is answered 201 and reaches the other device", slow),
    cards("HDR-1", "the session ends with a message of the server, be it a mere Status", last_package),
    cards("SYNC-1", "a two-way sync after a clean one carries nothing", nothing_changed),
    cards("SYNC-1", "a Replace of an unknown item is an Add", replace_of_unknown),
    cards("CON-6", "a Replace reaches the other device, with its LUID as Target only", replace),
    cards("CON-7", "a Delete reaches the other device, with its LUID as Target only", delete),
    cards("CON-1", "replaced on both sides: a verdict, and both devices end alike", both_replaced),
    cards("CON-4", "deleted on both sides is no error", both_deleted),
    cards("DEL-1", "a Delete of what was never there is not reported as done", delete_of_unknown),
    cards("DEL-3", "a Delete that asks for an archive is done", archive),
    cards("STA-1", "statuses of changes come in the order of the changes", status_order),
    cards("STA-4", "NoResp on a command: no Status for it", no_resp),
    cards("SYNC-2", "a slow sync of the same cards doubles nothing", slow_again),
    cards("ANC-2", "an anchor that does not fit: 508, an Alert 201, and nothing is doubled", wrong_anchor),
    cards("ANC-4", "a session that breaks off moves no anchors, and what came again is there once", broken_off),
    cards("MAP-1", "a Map is answered, and what it binds is not sent again", map),
    cards("MAP-1", "a Map of a GUID that is none is refused", map_of_unknown),
    cards("MAP-4", "a Map that comes again is answered", map_again),
    cards("SYNC-3", "one way from the client: its changes are taken, ours wait", from_client),
    cards("SYNC-5", "one way from the server: an empty Sync is answered with changes", from_server),
    cards("SYNC-6", "refresh from the server: everything comes as Adds", refresh_from_server),
    book("SYNC-4", "refresh from the client: what it sends is all there is", refresh_from_client),
    cards("INIT-1", "Alert and Sync in one package", combined),
    cards("NOC-1", "NumberOfChanges, where it is sent, counts", number_of_changes),
    cards("ATO-1", "Atomic is done as a whole or refused as a whole", atomic),
];

const fn cards(id: &'static str, name: &'static str, run: fn(&mut Kit<'_>) -> Outcome) -> Check {
    Check { id, name, needs: Needs::Cards, run }
}

const fn book(id: &'static str, name: &'static str, run: fn(&mut Kit<'_>) -> Outcome) -> Check {
    Check { id, name, needs: Needs::Book, run }
}

/// The name in a card: what finds it again, however a server writes it.
pub(super) fn name_of(card: &str) -> String {
    let line = card.lines().find(|line| line.starts_with("FN:")).unwrap_or_default();
    line.trim_start_matches("FN:").split(' ').next().unwrap_or_default().to_owned()
}

/// Those of the server's changes that are about a card.
pub(super) fn about<'d>(done: &'d Done, card: &str) -> Vec<&'d Sent> {
    let name = name_of(card);
    done.told.iter().filter(|sent| sent.content.contains(&name)).collect()
}

fn told(done: &Done) -> String {
    let lines: Vec<String> = done
        .told
        .iter()
        .map(|sent| format!("{} {:?} {:?}", sent.op.name(), sent.target.as_deref(), name_of(&sent.content)))
        .collect();
    format!("{} changes: {}", lines.len(), lines.join(", "))
}

/// Exactly one Add of a card.
pub(super) fn one_add<'d>(done: &'d Done, card: &str) -> Outcome<&'d Sent> {
    match about(done, card)[..] {
        [sent] if sent.op == Op::Add => Ok(sent),
        _ => Err(Stop::Fail { rule: "§3.4", expected: format!("one Add of {}", name_of(card)), got: told(done) }),
    }
}

fn nothing(done: &Done, rule: &'static str, what: &str) -> Outcome {
    expect(done.told.is_empty(), rule, what, || told(done))
}

fn first_sync(kit: &mut Kit<'_>) -> Outcome {
    let session = kit.open(0, AlertCode::TWO_WAY, None)?;
    slow_instead(&session.heard)
}

fn slow(kit: &mut Kit<'_>) -> Outcome {
    let card = kit.card("Slow");
    let (_, done) = kit.first(0, std::slice::from_ref(&card))?;
    status(done.codes.first().copied(), &[201, 200], "§3.4", "an Add")?;
    nothing(&done, "§3.4", "no change back")?;
    let (_, done) = kit.first(1, &[])?;
    let sent = one_add(&done, &card)?;
    let fits = sent.target.is_none() && sent.source.is_some();
    expect(fits, "§2.3", "an Add with a Source and without a Target", || {
        format!("{:?}, {:?}", sent.target, sent.source)
    })
}

fn last_package(kit: &mut Kit<'_>) -> Outcome {
    let (_, done) = kit.first(0, &[])?;
    expect(
        done.end.header == Some(200) || done.end.header == Some(212),
        "§3.2",
        "package 6 with a header's Status",
        || done.end.outline(),
    )?;
    expect(done.end.last, "§3.2", "Final in package 6", || done.end.outline())
}

fn nothing_changed(kit: &mut Kit<'_>) -> Outcome {
    let card = kit.card("Quiet");
    kit.first(0, &[card])?;
    let done = kit.whole(0, AlertCode::TWO_WAY, Vec::new())?;
    nothing(&done, "§3.1", "no changes")
}

fn replace_of_unknown(kit: &mut Kit<'_>) -> Outcome {
    kit.first(0, &[])?;
    let (luid, card) = (kit.luid(0), kit.card("Unknown"));
    let done = kit.whole(0, AlertCode::TWO_WAY, vec![Do::Replace(luid, card.clone())])?;
    status(done.codes.first().copied(), &[201, 200], "§2.2", "a Replace of an unknown item")?;
    let (_, done) = kit.first(1, &[])?;
    one_add(&done, &card).map(drop)
}

/// Two devices that agree about a card; its LUIDs at both.
fn shared(kit: &mut Kit<'_>, card: &str) -> Outcome<[String; 2]> {
    let (luids, _) = kit.first(0, &[card.to_owned()])?;
    let (_, done) = kit.first(1, &[])?;
    one_add(&done, card)?;
    let name = name_of(card);
    let theirs = kit.devices[1].held.iter().find(|(_, content)| content.contains(&name));
    let theirs = theirs.map(|(luid, _)| luid.clone()).unwrap_or_default();
    Ok([luids[0].clone(), theirs])
}

fn edited(card: &str, number: &str) -> String {
    card.replace("END:VCARD", &format!("NOTE:edited {number}\r\nEND:VCARD"))
}

fn replace(kit: &mut Kit<'_>) -> Outcome {
    let card = kit.card("Edit");
    let [mine, theirs] = shared(kit, &card)?;
    let done = kit.whole(0, AlertCode::TWO_WAY, vec![Do::Replace(mine, edited(&card, "once"))])?;
    status(done.codes.first().copied(), &[200], "§6.2", "a Replace")?;
    nothing(&done, "§6.2", "nothing back to who changed it")?;
    let done = kit.whole(1, AlertCode::TWO_WAY, Vec::new())?;
    match &done.told[..] {
        [sent] if sent.op == Op::Replace && sent.content.contains("edited once") => {
            let fits = sent.target.as_deref() == Some(&theirs) && sent.source.is_none();
            expect(fits, "§2.3", &format!("Target {theirs:?} and no Source"), || {
                format!("{:?}, {:?}", sent.target, sent.source)
            })
        }
        _ => expect(false, "§3.1", "one Replace", || told(&done)),
    }
}

fn delete(kit: &mut Kit<'_>) -> Outcome {
    let card = kit.card("Gone");
    let [mine, theirs] = shared(kit, &card)?;
    let done = kit.whole(0, AlertCode::TWO_WAY, vec![Do::Delete(mine)])?;
    status(done.codes.first().copied(), &[200], "§6.2", "a Delete")?;
    nothing(&done, "§6.2", "nothing back to who deleted it")?;
    let done = kit.whole(1, AlertCode::TWO_WAY, Vec::new())?;
    match &done.told[..] {
        [sent] if sent.op == Op::Delete => {
            let fits = sent.target.as_deref() == Some(&theirs) && sent.source.is_none();
            expect(fits, "§2.3", &format!("Target {theirs:?} and no Source"), || {
                format!("{:?}, {:?}", sent.target, sent.source)
            })
        }
        _ => expect(false, "§3.1", "one Delete", || told(&done)),
    }
}

fn both_replaced(kit: &mut Kit<'_>) -> Outcome {
    let card = kit.card("Both");
    let [mine, theirs] = shared(kit, &card)?;
    kit.whole(0, AlertCode::TWO_WAY, vec![Do::Replace(mine, edited(&card, "here"))])?;
    let done = kit.whole(1, AlertCode::TWO_WAY, vec![Do::Replace(theirs, edited(&card, "there"))])?;
    let allowed = [200, 201, 207, 208, 209, 409, 419];
    status(done.codes.first().copied(), &allowed, "§6.1", "a Replace against a Replace")?;
    kit.whole(0, AlertCode::TWO_WAY, Vec::new())?;
    kit.whole(1, AlertCode::TWO_WAY, Vec::new())?;
    // Alike: as many cards, with the same edits. Which, is the server's policy.
    let edits = |device: usize| {
        let held = kit.devices[device].held.values();
        let mut edits: Vec<[bool; 2]> =
            held.map(|card| [card.contains("edited here"), card.contains("edited there")]).collect();
        edits.sort_unstable();
        edits
    };
    expect(edits(0) == edits(1), "§6.1", "both devices to hold the same in the end", || {
        format!("{:?} and {:?} (edited here, edited there)", edits(0), edits(1))
    })
}

fn both_deleted(kit: &mut Kit<'_>) -> Outcome {
    let card = kit.card("Twice");
    let [mine, theirs] = shared(kit, &card)?;
    kit.whole(0, AlertCode::TWO_WAY, vec![Do::Delete(mine)])?;
    let done = kit.whole(1, AlertCode::TWO_WAY, vec![Do::Delete(theirs)])?;
    status(done.codes.first().copied(), &[200, 211, 404, 410], "§6.2", "a Delete of what is deleted")
}

fn delete_of_unknown(kit: &mut Kit<'_>) -> Outcome {
    kit.first(0, &[])?;
    let luid = kit.luid(0);
    let done = kit.whole(0, AlertCode::TWO_WAY, vec![Do::Delete(luid)])?;
    status(done.codes.first().copied(), &[211, 404, 410], "§3.12", "a Delete of an unknown item")
}

fn archive(kit: &mut Kit<'_>) -> Outcome {
    let card = kit.card("Archive");
    let (luids, _) = kit.first(0, std::slice::from_ref(&card))?;
    let mut session = kit.opened(0, AlertCode::TWO_WAY)?;
    let Command::Change(plain) = session.change(&Do::Delete(luids[0].clone())) else { return Ok(()) };
    let mut body = session.confirmations(kit);
    let change = Command::Change(Change { archive: true, ..plain });
    body.push(session.sync(kit, vec![change]));
    kit.say(&mut session, body, true)?;
    let mut done = kit.hear(&mut session)?;
    status(done.codes.first().copied(), &[200, 210], "§3.12", "a Delete with Archive")?;
    kit.confirm(&mut session, &mut done)
}

fn status_order(kit: &mut Kit<'_>) -> Outcome {
    let cards: Vec<String> = (0..3).map(|_| kit.card("Order")).collect();
    let (luids, _) = kit.first(0, &cards)?;
    let (added, unknown, new) = (kit.luid(0), kit.luid(0), kit.card("Order"));
    let done = kit.whole(
        0,
        AlertCode::TWO_WAY,
        vec![
            Do::Add(added, new),
            Do::Delete(unknown),
            Do::Replace(luids[0].clone(), edited(&cards[0], "first")),
            Do::Delete(luids[1].clone()),
        ],
    )?;
    let fits = matches!(done.codes[..], [200 | 201, 211 | 404 | 410 | 200, 200, 200]);
    expect(fits, "§2.4.3", "201, 211, 200, 200", || format!("{:?}", done.codes))
}

fn no_resp(kit: &mut Kit<'_>) -> Outcome {
    kit.first(0, &[])?;
    let mut session = kit.opened(0, AlertCode::TWO_WAY)?;
    let (silent, spoken) = (Do::Add(kit.luid(0), kit.card("Silent")), Do::Add(kit.luid(0), kit.card("Spoken")));
    let Command::Change(plain) = session.change(&silent) else { return Ok(()) };
    let id = plain.cmd_id.to_string();
    let silent = Command::Change(Change { no_resp: true, ..plain });
    let spoken = session.change(&spoken);
    let mut body = session.confirmations(kit);
    body.push(session.sync(kit, vec![silent, spoken]));
    kit.say(&mut session, body, true)?;
    let answered = session.heard.statuses.iter().any(|told| told.cmd_ref == id);
    let done = kit.hear(&mut session)?;
    expect(!answered && done.codes.len() == 1, "§2.4.7", "one Status, of the other Add", || {
        format!("{:?}", done.codes)
    })
}

fn slow_again(kit: &mut Kit<'_>) -> Outcome {
    let cards: Vec<String> = (0..3).map(|_| kit.card("Again")).collect();
    kit.first(0, &cards)?;
    let (_, done) = kit.first(0, &cards)?;
    nothing(&done, "§3.4", "nothing back to who has it all")?;
    let (_, done) = kit.first(1, &[])?;
    cards.iter().try_for_each(|card| one_add(&done, card).map(drop))
}

fn wrong_anchor(kit: &mut Kit<'_>) -> Outcome {
    let card = kit.card("Anchor");
    kit.first(0, std::slice::from_ref(&card))?;
    let mut session = kit.open(0, AlertCode::TWO_WAY, Some("never"))?;
    slow_instead(&session.heard)?;
    let luid = kit.devices[0].held.keys().next().cloned().unwrap_or_default();
    let done = kit.finish(&mut session, vec![Do::Add(luid, card.clone())])?;
    nothing(&done, "§3.4", "nothing back to who has it all")?;
    let (_, done) = kit.first(1, &[])?;
    one_add(&done, &card).map(drop)
}

fn broken_off(kit: &mut Kit<'_>) -> Outcome {
    kit.first(0, &[])?;
    let (luid, card) = (kit.luid(0), kit.card("Broken"));
    let add = || vec![Do::Add(luid.clone(), card.clone())];
    let mut session = kit.opened(0, AlertCode::TWO_WAY)?;
    // Package 4 is heard, and never confirmed.
    kit.changes(&mut session, add())?;
    let last = kit.devices[0].last.clone();
    let mut session = kit.open(0, AlertCode::TWO_WAY, last.as_deref())?;
    status(session.heard.status("Alert"), &[200], "§3.3.7", "an Alert with the anchor of the last clean sync")?;
    kit.finish(&mut session, add())?;
    let (_, done) = kit.first(1, &[])?;
    one_add(&done, &card).map(drop)
}

fn map(kit: &mut Kit<'_>) -> Outcome {
    let card = kit.card("Map");
    kit.first(0, std::slice::from_ref(&card))?;
    let (_, done) = kit.first(1, &[])?;
    one_add(&done, &card)?;
    status(done.map, &[200], "§3.6", "a Map")?;
    let done = kit.whole(1, AlertCode::TWO_WAY, Vec::new())?;
    nothing(&done, "§3.6", "nothing sent again that was mapped")
}

fn map_of_unknown(kit: &mut Kit<'_>) -> Outcome {
    kit.first(0, &[])?;
    let mut session = kit.opened(0, AlertCode::TWO_WAY)?;
    kit.changes(&mut session, Vec::new())?;
    let mut body = session.confirmations(kit);
    body.push(session.map(kit, &[("no-such-guid".to_owned(), "k99999".to_owned())]));
    kit.say(&mut session, body, true)?;
    let code = session.heard.status("Map");
    expect(matches!(code, Some(400..=499)), "§3.6", "404 or 400 for the Map", || session.heard.outline())
}

fn map_again(kit: &mut Kit<'_>) -> Outcome {
    let card = kit.card("Mapped");
    kit.first(0, std::slice::from_ref(&card))?;
    (kit.devices[1].held, kit.devices[1].last) = Default::default();
    let mut session = kit.opened(1, AlertCode::SLOW)?;
    let done = kit.changes(&mut session, Vec::new())?;
    let sent = one_add(&done, &card)?;
    let pair = [(sent.source.clone().unwrap_or_default(), kit.luid(1))];
    for (attempt, last) in [("a Map", false), ("the same Map again", true)] {
        let mut body = session.confirmations(kit);
        for sent in &session.heard.changes.clone() {
            body.push(session.answer_to(sent.op.name(), &sent.cmd_id, stored(sent.op), None));
        }
        body.push(session.map(kit, &pair));
        kit.say(&mut session, body, last)?;
        status(session.heard.status("Map"), &[200], "§3.6", attempt)?;
    }
    Ok(())
}

/// A device with a card that the other changed in the meantime, and with a new one of its own.
fn each_has_news(kit: &mut Kit<'_>, name: &str) -> Outcome<(String, Do, String)> {
    let theirs = kit.card(&format!("{name}There"));
    // The first device first: a server that holds one session at a time waits for what that one left open.
    kit.first(0, &[])?;
    kit.first(1, &[])?;
    let luid = kit.luid(0);
    kit.whole(0, AlertCode::TWO_WAY, vec![Do::Add(luid, theirs.clone())])?;
    let mine = kit.card(&format!("{name}Here"));
    Ok((theirs, Do::Add(kit.luid(1), mine.clone()), mine))
}

fn from_client(kit: &mut Kit<'_>) -> Outcome {
    let (theirs, add, mine) = each_has_news(kit, "Up")?;
    let done = kit.whole(1, AlertCode::ONE_WAY_FROM_CLIENT, vec![add])?;
    status(done.codes.first().copied(), &[200, 201], "§3.5", "an Add")?;
    nothing(&done, "§3.5", "nothing to who only sends")?;
    let done = kit.whole(1, AlertCode::TWO_WAY, Vec::new())?;
    one_add(&done, &theirs)?;
    let done = kit.whole(0, AlertCode::TWO_WAY, Vec::new())?;
    one_add(&done, &mine).map(drop)
}

fn from_server(kit: &mut Kit<'_>) -> Outcome {
    let (theirs, add, mine) = each_has_news(kit, "Down")?;
    let done = kit.whole(1, AlertCode::ONE_WAY_FROM_SERVER, Vec::new())?;
    one_add(&done, &theirs)?;
    let done = kit.whole(1, AlertCode::TWO_WAY, vec![add])?;
    nothing(&done, "§3.5", "nothing that came already")?;
    let done = kit.whole(0, AlertCode::TWO_WAY, Vec::new())?;
    one_add(&done, &mine).map(drop)
}

fn refresh_from_server(kit: &mut Kit<'_>) -> Outcome {
    let cards: Vec<String> = (0..3).map(|_| kit.card("Refresh")).collect();
    kit.first(0, &cards)?;
    kit.first(1, &[])?;
    kit.devices[1].held.clear();
    let done = kit.whole(1, AlertCode::REFRESH_FROM_SERVER, Vec::new())?;
    cards.iter().try_for_each(|card| one_add(&done, card).map(drop))?;
    let done = kit.whole(1, AlertCode::TWO_WAY, Vec::new())?;
    nothing(&done, "§3.5", "no changes after a refresh")
}

fn refresh_from_client(kit: &mut Kit<'_>) -> Outcome {
    let (old, new) = (kit.card("Old"), kit.card("New"));
    kit.first(0, std::slice::from_ref(&old))?;
    kit.first(1, &[])?;
    kit.devices[0].held.clear();
    let luid = kit.luid(0);
    let done = kit.whole(0, AlertCode::REFRESH_FROM_CLIENT, vec![Do::Add(luid, new.clone())])?;
    nothing(&done, "§3.5", "nothing to who only sends")?;
    let (_, done) = kit.first(1, &[])?;
    one_add(&done, &new)?;
    expect(about(&done, &old).is_empty(), "§3.5", "nothing of what was there before", || told(&done))
}

fn combined(kit: &mut Kit<'_>) -> Outcome {
    kit.first(0, &[])?;
    let (luid, card, last) = (kit.luid(0), kit.card("Combined"), kit.devices[0].last.clone());
    let (book, add) = (kit.config.book.clone(), Do::Add(luid, card.clone()));
    let mut session = kit.begin(0, &|kit, session| {
        let alert = kit.alert(session, &book, AlertCode::TWO_WAY, last.as_deref());
        let change = session.change(&add);
        vec![alert, session.sync(kit, vec![change])]
    })?;
    status(session.heard.status("Alert"), &[200], "§3.14", "the Alert")?;
    status(session.heard.status("Sync"), &[200], "§3.14", "the Sync")?;
    let mut done = kit.hear(&mut session)?;
    status(done.codes.first().copied(), &[200, 201], "§3.14", "the Add")?;
    kit.confirm(&mut session, &mut done)?;
    let (_, done) = kit.first(1, &[])?;
    one_add(&done, &card).map(drop)
}

fn number_of_changes(kit: &mut Kit<'_>) -> Outcome {
    if kit.config.version == Version::V10 {
        return Err(Stop::Unsupported("NumberOfChanges came with 1.1".to_owned()));
    }
    let cards: Vec<String> = (0..4).map(|_| kit.card("Count")).collect();
    kit.first(0, &cards)?;
    let (_, done) = kit.first(1, &[])?;
    match done.number_of_changes {
        None => Err(Stop::Unsupported("the server sends none".to_owned())),
        Some(count) => {
            expect(count == done.told.len() as u64, "§3.9", &format!("{}", done.told.len()), || count.to_string())
        }
    }
}

fn atomic(kit: &mut Kit<'_>) -> Outcome {
    kit.first(0, &[])?;
    let cards: Vec<String> = (0..2).map(|_| kit.card("Atomic")).collect();
    let mut session = kit.opened(0, AlertCode::TWO_WAY)?;
    let mut commands: Vec<Command<'static>> =
        cards.iter().map(|card| Do::Add(kit.luid(0), card.clone())).map(|add| session.change(&add)).collect();
    // Without data this one cannot be done, and so none.
    let item = Item { source: Some(Location::new("k88888")), ..Item::default() };
    commands.push(Command::Change(Change::new(Op::Add, session.cmd(), item)));
    let kind = ContainerKind::Atomic;
    let atomic = Container { kind, cmd_id: session.cmd(), no_resp: false, meta: None, commands };
    let mut body = session.confirmations(kit);
    body.push(session.sync(kit, vec![Command::Container(atomic)]));
    kit.say(&mut session, body, true)?;
    let code = session.heard.status("Atomic");
    let mut done = kit.hear(&mut session)?;
    kit.confirm(&mut session, &mut done)?;
    let refused = matches!(code, Some(400..=599));
    expect(refused, "§6.3", "406, or 507 since one of its commands cannot be done", || format!("{code:?}"))?;
    let (_, done) = kit.first(1, &[])?;
    expect(cards.iter().all(|card| about(&done, card).is_empty()), "§6.3", "nothing of it done", || told(&done))
}
