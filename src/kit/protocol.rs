//! Conversations in which a store's promises matter (DESIGN "Store kit"): a store that passes [`CASES`] keeps contacts
//! through concurrent edits, lost replies, repeated messages and crashes between them.

use super::phone::{Heard, Phone};
use crate::auth::{Secret, Verifier};
use crate::message::{AlertCode, Change, Op, StatusCode, Timestamp};
use crate::session::{Refusal, Server, ServerConfig};
use crate::store::{AccountNo, BookNo, BookWriter, Draft, Guid, ItemRow, Revision, Store, Verdict};
use std::sync::Arc;

/// A case: its name, and what it does to an empty store.
pub struct Case {
    /// What it is about, with the invariant it defends.
    pub name: &'static str,
    run: fn(Arc<dyn Store>) -> Result<(), String>,
}

impl Case {
    /// Runs the case on an empty store.
    ///
    /// # Errors
    /// A sentence that says which promise was broken.
    pub fn run(&self, store: Arc<dyn Store>) -> Result<(), String> {
        (self.run)(store)
    }
}

/// All cases.
pub const CASES: &[Case] = &[
    Case { name: "i1_status_after_a_concurrent_edit_agrees_on_what_was_sent", run: status_after_a_concurrent_edit },
    Case { name: "i2_map_before_replace_in_one_message", run: map_before_replace },
    Case { name: "i2_map_of_an_item_deleted_meanwhile_queues_its_delete", run: map_of_a_deleted_item },
    Case { name: "i2_map_of_an_item_deleted_two_sessions_ago_queues_its_delete", run: late_map_of_a_deleted_item },
    Case { name: "i3_add_of_a_known_luid_with_another_person", run: add_of_a_known_luid },
    Case { name: "i3_a_luid_used_again_after_its_delete", run: luid_used_again },
    Case { name: "i6_lost_last_reply_then_a_delete_on_another_device", run: lost_last_reply },
    Case { name: "i10_replay_without_credentials", run: replay_without_credentials },
    Case { name: "x1_every_message_twice", run: every_message_twice },
    Case { name: "i2_a_slow_sync_broken_off_is_carried_on", run: broken_slow_sync },
    Case { name: "i1_delete_against_a_change_keeps_the_change", run: delete_against_change },
];

const BOOK: BookNo = BookNo::CONTACTS;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

type Outcome = Result<(), String>;

struct Kit {
    store: Arc<dyn Store>,
    server: Server,
    account: AccountNo,
}

impl Kit {
    fn new(store: Arc<dyn Store>) -> Result<Self, String> {
        let verifier = Verifier::Password(Secret::new("secret".to_owned()));
        let account = store.directory().put_login("alice", &verifier).map_err(text)?;
        let server = Server::new(store.clone(), ServerConfig::default()).map_err(text)?;
        Ok(Self { store, server, account })
    }

    fn phone(&self, device_id: &str) -> Phone<'_> {
        Phone::new(&self.server, device_id, "alice", "secret", NOW)
    }

    /// An edit by the host itself; `None` adds.
    fn put(&self, guid: Option<Guid>, content: &str) -> Result<Guid, String> {
        let mut result = Guid(0);
        self.write(|tx, writer| {
            let draft = Draft::of(BOOK, content.as_bytes().to_vec());
            result = match guid {
                None => writer.add(draft).guid,
                Some(guid) => match tx.items(BOOK, &[guid])?.pop().flatten() {
                    Some(old) => writer.replace(&old, draft).guid,
                    None => guid,
                },
            };
            Ok(())
        })?;
        Ok(result)
    }

    fn delete(&self, guid: Guid) -> Outcome {
        self.write(|tx, writer| {
            if let Some(old) = tx.items(BOOK, &[guid])?.pop().flatten() {
                writer.delete(&old);
            }
            Ok(())
        })
    }

    fn write(
        &self,
        mut work: impl FnMut(&mut dyn crate::store::Tx, &mut BookWriter<'static>) -> crate::store::Result<()>,
    ) -> Outcome {
        self.store
            .step(self.account, &mut |tx| {
                let row = tx.lock_books(&[BOOK])?.remove(0);
                let mut writer = BookWriter::new(row, None, NOW);
                work(tx, &mut writer)?;
                writer.flush(tx)?;
                Ok(Verdict::Commit)
            })
            .map_err(text)
    }

    fn live(&self) -> Result<Vec<ItemRow<'static>>, String> {
        let mut all = Vec::new();
        self.store
            .step(self.account, &mut |tx| {
                all = tx.changes(BOOK, Revision(0), Revision(i64::MAX), 10_000)?;
                Ok(Verdict::Rollback)
            })
            .map_err(text)?;
        all.retain(|item| !item.deleted);
        Ok(all)
    }

    fn contents(&self) -> Result<String, String> {
        Ok(self.live()?.iter().map(|item| String::from_utf8_lossy(&item.content).into_owned()).collect())
    }

    fn find(&self, what: &str) -> Result<Guid, String> {
        let hits: Vec<Guid> = self
            .live()?
            .iter()
            .filter(|item| String::from_utf8_lossy(&item.content).contains(what))
            .map(|item| item.guid)
            .collect();
        match hits[..] {
            [one] => Ok(one),
            _ => Err(format!("{what:?} is in {} items, not in one", hits.len())),
        }
    }
}

/// A first sync in which the phone brings `cards` as LUIDs 1, 2, … and confirms whatever it is sent as LUIDs 101, 102, ….
fn first_sync(phone: &mut Phone<'_>, cards: &[&str], next: &str) -> Result<Vec<String>, String> {
    let heard = phone.begin(AlertCode::SLOW, None, next).map_err(refused)?;
    let changes: Vec<Change<'static>> =
        cards.iter().enumerate().map(|(place, card)| phone.change(Op::Add, &(place + 1).to_string(), card)).collect();
    exchange(phone, &heard, changes, 101)
}

/// Package 3 with `changes`, then package 5 confirming what came; the contents that came.
fn exchange(
    phone: &mut Phone<'_>,
    heard: &Heard,
    changes: Vec<Change<'static>>,
    luid: usize,
) -> Result<Vec<String>, String> {
    let sync = phone.sync(changes);
    let heard = phone.say_after(heard, vec![sync], true).map_err(refused)?;
    confirm(phone, &heard, luid)?;
    Ok(heard.changes.into_iter().map(|told| told.content).collect())
}

fn confirm(phone: &mut Phone<'_>, heard: &Heard, luid: usize) -> Result<Heard, String> {
    let mut commands = Vec::new();
    let mut pairs = Vec::new();
    for (place, told) in heard.changes.iter().enumerate() {
        let code = if told.op == Op::Add { StatusCode::ITEM_ADDED } else { StatusCode::OK };
        commands.push(phone.status(heard, told, code));
        if told.op == Op::Add {
            pairs.push((told.source.clone(), (luid + place).to_string()));
        }
    }
    if !pairs.is_empty() {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(guid, luid)| (guid.as_str(), luid.as_str())).collect();
        commands.push(phone.map(&pairs));
    }
    let heard = phone.say_after(heard, commands, true).map_err(refused)?;
    check(heard.last, "the session's last message has its Final")?;
    Ok(heard)
}

fn two_way(phone: &mut Phone<'_>, last: &str, next: &str) -> Result<Heard, String> {
    let heard = phone.begin(AlertCode::TWO_WAY, Some(last), next).map_err(refused)?;
    check(heard.alerts.first().map(|alert| alert.0) == Some(AlertCode::TWO_WAY), "the sync asked for is held")?;
    Ok(heard)
}

fn status_after_a_concurrent_edit(store: Arc<dyn Store>) -> Outcome {
    let kit = Kit::new(store)?;
    let guid = kit.put(None, &card("Ann", "1111111"))?;
    let mut phone = kit.phone("phone");
    first_sync(&mut phone, &[], "1")?;
    kit.put(Some(guid), &card("Ann", "2222222"))?;
    let heard = two_way(&mut phone, "1", "2")?;
    let sync = phone.sync(Vec::new());
    let heard = phone.say_after(&heard, vec![sync], true).map_err(refused)?;
    check(heard.changes.len() == 1 && heard.changes[0].content.contains("2222222"), "the edit is sent")?;
    // While the phone stores it, somebody edits again.
    kit.put(Some(guid), &card("Ann", "3333333"))?;
    confirm(&mut phone, &heard, 101)?;
    let heard = two_way(&mut phone, "2", "3")?;
    let sync = phone.sync(Vec::new());
    let heard = phone.say_after(&heard, vec![sync], true).map_err(refused)?;
    check(heard.changes.len() == 1 && heard.changes[0].content.contains("3333333"), "the second edit is sent, too")
}

/// Catalogue: MAP-3
fn map_before_replace(store: Arc<dyn Store>) -> Outcome {
    let kit = Kit::new(store)?;
    kit.put(None, &card("Ann", "1111111"))?;
    let mut phone = kit.phone("phone");
    let heard = phone.begin(AlertCode::SLOW, None, "1").map_err(refused)?;
    let sync = phone.sync(Vec::new());
    let heard = phone.say_after(&heard, vec![sync], true).map_err(refused)?;
    let guid = heard.changes.first().map(|told| told.source.clone()).ok_or("the item is sent")?;
    // The Map of that Add is cached and comes with the next session's changes, one of which is of that very item.
    let heard = phone.begin(AlertCode::SLOW, None, "2").map_err(refused)?;
    let map = phone.map(&[(&guid, "9")]);
    let edited = phone.change(Op::Replace, "9", &card("Ann", "1111111\r\nNOTE:edited"));
    let sync = phone.sync(vec![edited]);
    phone.say_after(&heard, vec![map, sync], true).map_err(refused)?;
    check(kit.live()?.len() == 1, "the item is one item")?;
    check(kit.contents()?.contains("edited"), "and has the edit")
}

fn map_of_a_deleted_item(store: Arc<dyn Store>) -> Outcome {
    let kit = Kit::new(store)?;
    let guid = kit.put(None, &card("Ann", "1111111"))?;
    let mut phone = kit.phone("phone");
    let heard = phone.begin(AlertCode::SLOW, None, "1").map_err(refused)?;
    let sync = phone.sync(Vec::new());
    let heard = phone.say_after(&heard, vec![sync], true).map_err(refused)?;
    kit.delete(guid)?;
    let heard = confirm(&mut phone, &heard, 101)?;
    check(heard.codes("Map") == [200], "the Map is accepted")?;
    let heard = two_way(&mut phone, "1", "2")?;
    let sync = phone.sync(Vec::new());
    let heard = phone.say_after(&heard, vec![sync], true).map_err(refused)?;
    check(
        heard.changes.len() == 1 && heard.changes[0].op == Op::Delete && heard.changes[0].target == "101",
        "the device is told to delete it",
    )
}

fn late_map_of_a_deleted_item(store: Arc<dyn Store>) -> Outcome {
    let kit = Kit::new(store)?;
    let guid = kit.put(None, &card("Ann", "1111111"))?;
    let mut phone = kit.phone("phone");
    let heard = phone.begin(AlertCode::SLOW, None, "1").map_err(refused)?;
    let sync = phone.sync(Vec::new());
    let sent = phone.say_after(&heard, vec![sync], true).map_err(refused)?;
    let text = sent.changes.first().map(|told| told.source.clone()).ok_or("the item is sent")?;
    // The phone stored it, and its answer was lost. The item is deleted, and a whole sync goes by.
    kit.delete(guid)?;
    first_sync(&mut phone, &[], "2")?;
    let heard = two_way(&mut phone, "2", "3")?;
    let map = phone.map(&[(&text, "7")]);
    let sync = phone.sync(Vec::new());
    let heard = phone.say_after(&heard, vec![map, sync], true).map_err(refused)?;
    check(heard.codes("Map") == [200], "the late Map is accepted")?;
    check(
        heard.changes.len() == 1 && heard.changes[0].op == Op::Delete && heard.changes[0].target == "7",
        "the device is told to delete it",
    )
}

/// Catalogue: CON-8
fn add_of_a_known_luid(store: Arc<dyn Store>) -> Outcome {
    let kit = Kit::new(store)?;
    let mut phone = kit.phone("phone");
    first_sync(&mut phone, &[&card("Ann", "1111111")], "1")?;
    let heard = two_way(&mut phone, "1", "2")?;
    let add = phone.change(Op::Add, "1", &card("Bob", "2222222"));
    exchange(&mut phone, &heard, vec![add], 101)?;
    kit.find("Ann")?;
    kit.find("Bob")?;
    check(kit.live()?.len() == 2, "both people are there, once each")
}

fn luid_used_again(store: Arc<dyn Store>) -> Outcome {
    let kit = Kit::new(store)?;
    let mut phone = kit.phone("phone");
    first_sync(&mut phone, &[&card("Ann", "1111111")], "1")?;
    let heard = two_way(&mut phone, "1", "2")?;
    let delete = phone.change(Op::Delete, "1", "");
    let add = phone.change(Op::Add, "1", &card("Bob", "2222222"));
    let came = exchange(&mut phone, &heard, vec![delete, add], 101)?;
    check(came.is_empty(), "nothing comes back")?;
    kit.find("Bob")?;
    check(kit.live()?.len() == 1, "Ann is deleted, Bob is there")
}

/// Catalogue: ANC-4
fn lost_last_reply(store: Arc<dyn Store>) -> Outcome {
    let kit = Kit::new(store)?;
    let mut one = kit.phone("one");
    let mut two = kit.phone("two");
    first_sync(&mut one, &[&card("Ann", "1111111"), &card("Bob", "2222222")], "1")?;
    first_sync(&mut two, &[], "1")?;
    // One syncs again; the server's last reply never reaches it, so it keeps its old anchor.
    let heard = two_way(&mut one, "1", "2")?;
    exchange(&mut one, &heard, Vec::new(), 101)?;
    // Meanwhile two deletes Ann.
    let heard = two_way(&mut two, "1", "2")?;
    let delete = two.change(Op::Delete, "101", "");
    exchange(&mut two, &heard, vec![delete], 201)?;
    // One shows the anchor of before: no slow sync, and the delete arrives.
    let heard = two_way(&mut one, "1", "3")?;
    check(heard.status("Alert") == Some(200), "the anchor before the last is still good")?;
    let sync = one.sync(Vec::new());
    let heard = one.say_after(&heard, vec![sync], true).map_err(refused)?;
    check(heard.changes.len() == 1 && heard.changes[0].op == Op::Delete, "the delete arrives")?;
    confirm(&mut one, &heard, 301)?;
    check(kit.live()?.len() == 1, "Ann is gone, Bob is there")
}

fn replay_without_credentials(store: Arc<dyn Store>) -> Outcome {
    let kit = Kit::new(store)?;
    let mut phone = kit.phone("phone");
    first_sync(&mut phone, &[&card("Ann", "1111111")], "1")?;
    let heard = two_way(&mut phone, "1", "2")?;
    let sync = phone.sync(Vec::new());
    let heard = phone.say_after(&heard, vec![sync], true).map_err(refused)?;
    let (uri, bytes) = phone.said().map(|(uri, bytes)| (uri.to_owned(), bytes.to_vec())).ok_or("something was said")?;
    let before = kit.contents()?;
    // The stored reply is for who has the session's address; the same bytes elsewhere are nobody's, whatever the ids.
    let address = uri.split('?').next().unwrap_or_default().to_owned();
    let text = String::from_utf8_lossy(&bytes).replace(&uri, &address);
    let stranger = phone.post(&address, text.as_bytes()).map_err(refused)?;
    check(stranger != heard.bytes, "a stored reply is not given to a stranger")?;
    check(String::from_utf8_lossy(&stranger).contains("<Data>407</Data>"), "a stranger is asked for a credential")?;
    check(!String::from_utf8_lossy(&stranger).contains("BEGIN:VCARD"), "and is told nothing")?;
    check(kit.contents()? == before, "and changes nothing")
}

/// Catalogue: X1, HDR-2
fn every_message_twice(store: Arc<dyn Store>) -> Outcome {
    let kit = Kit::new(store)?;
    kit.put(None, &card("Zoe", "9999999"))?;
    let mut phone = kit.phone("phone");
    let heard = phone.begin(AlertCode::SLOW, None, "1").map_err(refused)?;
    check(phone.repeat().map_err(refused)?.bytes == heard.bytes, "the first message has one answer")?;
    let add = phone.change(Op::Add, "1", &card("Ann", "1111111"));
    let sync = phone.sync(vec![add]);
    let heard = phone.say_after(&heard, vec![sync], true).map_err(refused)?;
    check(phone.repeat().map_err(refused)?.bytes == heard.bytes, "the changes have one answer")?;
    let done = confirm(&mut phone, &heard, 101)?;
    check(phone.repeat().map_err(refused)?.bytes == done.bytes, "the last message has one answer")?;
    check(kit.live()?.len() == 2, "nothing was done twice")
}

/// Catalogue: RES-5
fn broken_slow_sync(store: Arc<dyn Store>) -> Outcome {
    let kit = Kit::new(store)?;
    kit.put(None, &card("Ann", "1111111"))?;
    let mut phone = kit.phone("phone");
    // Half of the phone's book arrives, among it Ann with a number more, and the connection is gone.
    let heard = phone.begin(AlertCode::SLOW, None, "1").map_err(refused)?;
    let ann = phone.change(Op::Add, "1", &card("Ann", "1111111\r\nTEL:3333333"));
    let bob = phone.change(Op::Add, "2", &card("Bob", "2222222"));
    let sync = phone.sync(vec![ann, bob]);
    let heard = phone.say_after(&heard, vec![sync], false).map_err(refused)?;
    check(heard.codes("Add") == [201, 201], "both are acknowledged")?;
    // It begins again, with all of it.
    let heard = phone.begin(AlertCode::SLOW, None, "2").map_err(refused)?;
    let ann = phone.change(Op::Add, "1", &card("Ann", "1111111\r\nTEL:3333333"));
    let bob = phone.change(Op::Add, "2", &card("Bob", "2222222"));
    let cid = phone.change(Op::Add, "3", &card("Cid", "4444444"));
    exchange(&mut phone, &heard, vec![ann, bob, cid], 101)?;
    check(kit.live()?.len() == 3, "three people, once each")?;
    kit.find("3333333").map(drop)
}

fn delete_against_change(store: Arc<dyn Store>) -> Outcome {
    let kit = Kit::new(store)?;
    let mut phone = kit.phone("phone");
    first_sync(&mut phone, &[&card("Ann", "1111111")], "1")?;
    let guid = kit.find("Ann")?;
    kit.put(Some(guid), &card("Ann", "2222222"))?;
    let heard = two_way(&mut phone, "1", "2")?;
    let delete = phone.change(Op::Delete, "1", "");
    let sync = phone.sync(vec![delete]);
    let heard = phone.say_after(&heard, vec![sync], true).map_err(refused)?;
    check(heard.status("Delete") == Some(200), "the delete is answered 200")?;
    check(
        heard.changes.len() == 1 && heard.changes[0].op == Op::Add && heard.changes[0].content.contains("2222222"),
        "the changed item comes back as an Add",
    )?;
    confirm(&mut phone, &heard, 101)?;
    check(kit.live()?.len() == 1, "it is there, once")
}

fn card(name: &str, number: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:{name};;;;\r\nFN:{name}\r\nTEL:{number}\r\nEND:VCARD\r\n")
}

fn check(holds: bool, promise: &str) -> Outcome {
    if holds { Ok(()) } else { Err(format!("broken: {promise}")) }
}

fn refused(refusal: Refusal) -> String {
    format!("the server refused: {refusal}")
}

fn text(error: crate::store::StoreError) -> String {
    error.to_string()
}
