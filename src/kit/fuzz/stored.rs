//! A server whose store gives back other things than it was given: a file damaged, or written by another release (I7).
//!
//! A conversation is held up to a point, a row is damaged, and the conversation goes on. Whatever becomes of it, the
//! answers are SyncML or refusals, and the other account is not touched.

use super::Input;
use super::talk::{BOOK, NOW, card, damage, dump, edit, login};
use crate::auth::{parse_token, token_in};
use crate::codec::{Encoding, Limits, decode};
use crate::kit::phone::{Heard, Phone};
use crate::message::{AlertCode, Op, StatusCode, Timestamp};
use crate::session::{Server, ServerConfig, held};
use crate::store::memory::MemoryStore;
use crate::store::{
    AccountNo, BlobNo, DeviceRow, Direction, Guid, Hold, HoldReason, LensNo, MapState, OutgoingState, PartialRow,
    Phase, Result, Revision, SentRef, SessionKey, Store, Token, Tx, Verdict,
};
use std::sync::Arc;

/// Plays what the choices say.
pub fn stored(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new([3; 32]));
    let (alice, bob) = (login(store.as_ref(), "alice", "secret"), login(store.as_ref(), "bob", "hidden"));
    for name in 0..3 {
        edit(store.as_ref(), alice, None, Some(&card(&format!("hers-{name}-"), name)), NOW);
        edit(store.as_ref(), bob, None, Some(&card(&format!("his-{name}-"), name)), NOW);
    }
    let server = Server::new(store.clone(), ServerConfig::default()).expect("a server over a store in memory");
    let his = dump(store.as_ref(), bob);
    let mut phone = Phone::new(&server, "phone", "alice", "secret", NOW);
    let stop = input.below(6);
    let mut step = 0;
    let mut heard = Heard::default();
    for session in ["1", "2"] {
        let last = (session == "2").then_some("1");
        let code = if session == "1" { AlertCode::SLOW } else { AlertCode::TWO_WAY };
        for part in 0..3 {
            if step == stop {
                for _ in 0..=input.below(3) {
                    harm(store.as_ref(), alice, &phone, &mut input);
                }
            }
            step += 1;
            let said = match part {
                0 => phone.begin(code, last, session),
                1 => {
                    let add = phone.change(Op::Add, session, &card(&format!("token-{session}-"), 3));
                    let replace = phone.change(Op::Replace, "1", &card("token-3-", 2));
                    let delete = phone.change(Op::Delete, "12", "");
                    let sync = phone.sync(vec![add, replace, delete]);
                    phone.say_after(&heard, vec![sync], true)
                }
                _ => confirm(&mut phone, &heard),
            };
            match said {
                Ok(answer) => heard = answer,
                Err(_) => heard = Heard::default(),
            }
        }
    }
    // What a person looks at, and how a host decides.
    let _ = held(store.as_ref(), alice, None);
    assert_eq!(dump(store.as_ref(), bob), his, "nobody else's account is touched");
    if let Some((uri, bytes)) = phone.said()
        && let Ok(reply) = phone.post(uri, bytes)
    {
        assert!(decode(&reply, Encoding::Xml, &Limits::default()).is_ok(), "an answer is SyncML");
    }
}

fn confirm(phone: &mut Phone<'_>, heard: &Heard) -> std::result::Result<Heard, crate::session::Refusal> {
    let mut commands = Vec::new();
    let mut pairs = Vec::new();
    for (place, told) in heard.changes.iter().enumerate() {
        let code = if told.op == Op::Add { StatusCode::ITEM_ADDED } else { StatusCode::OK };
        commands.push(phone.status(heard, told, code));
        if told.op == Op::Add {
            pairs.push((told.source.clone(), (11 + place).to_string()));
        }
    }
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(guid, luid)| (guid.as_str(), luid.as_str())).collect();
    commands.push(phone.map(&pairs));
    phone.say_after(heard, commands, true)
}

/// Damages a row, if there is one; what a store refuses to take is not damaged.
fn harm(store: &dyn Store, account: AccountNo, phone: &Phone<'_>, input: &mut Input<'_>) {
    let token = phone.said().and_then(|(uri, _)| token_in(uri)).and_then(parse_token);
    let token = token.map(|(_, token)| Token(token));
    let mut choices = *input;
    drop(store.step(account, &mut |tx| {
        choices = *input;
        tx.lock_books(&[BOOK])?;
        harm_row(tx, token, &mut choices)?;
        Ok(Verdict::Commit)
    }));
    *input = choices;
}

fn harm_row(tx: &mut dyn Tx, token: Option<Token>, input: &mut Input<'_>) -> Result<()> {
    let signed = |input: &mut Input<'_>| input.number().cast_signed();
    let device = tx.device("phone")?;
    match input.below(10) {
        0..=2 => {
            let Some(mut row) =
                token.and_then(|token| tx.session(SessionKey::Token(&token)).transpose()).transpose()?
            else {
                return Ok(());
            };
            match input.below(6) {
                0 => row.state_version = signed(input),
                1 => row.state = input.bytes().to_vec(),
                2 | 3 => row.last_msg_id = input.number() as u32,
                _ => edit_state(&mut row.state, input),
            }
            tx.put_session(&row)?;
        }
        3 => {
            let Some(token) = token else { return Ok(()) };
            let mut status = br#"{"cmd":"Add","msg_ref":"1","cmd_ref":"3","code":200}"#.to_vec();
            damage(&mut status, input);
            tx.queue_statuses(&token, &[status])?;
        }
        4 => {
            let Some(DeviceRow { device, .. }) = device else { return Ok(()) };
            let Some(mut row) = tx.pair(device, BOOK)? else { return Ok(()) };
            let phases = [Phase::Idle, Phase::Receiving, Phase::Settling, Phase::Sending, Phase::Confirming];
            match input.below(8) {
                0 => row.cursor = Revision(signed(input)),
                1 => row.upto = Revision(signed(input)),
                2 => row.start_head = Revision(signed(input)),
                3 => row.epoch = signed(input),
                4 => row.lens = Some(LensNo(signed(input))),
                5 => (row.sync_type, row.phase) = (input.number() as u16, input.pick(&phases)),
                6 => row.filter_hash = Some(input.bytes().to_vec()),
                _ => row.holds.push(Hold {
                    reason: input.pick(&[HoldReason::Deletes, HoldReason::Vanished, HoldReason::SlowSync]),
                    at: Timestamp(signed(input)),
                    snapshot: Revision(signed(input)),
                    items: input.number(),
                    live: input.number(),
                    cause: Some(input.text()),
                    released: input.chance(2),
                }),
            }
            tx.put_pair(&row)?;
        }
        5 => {
            let Some(DeviceRow { device, .. }) = device else { return Ok(()) };
            let (Some(pair), lens) = (tx.pair(device, BOOK)?, LensNo(signed(input))) else { return Ok(()) };
            tx.put_lens(lens, input.bytes())?;
            let mut rows = tx.map_page(device, BOOK, pair.epoch, Guid(0), 100)?;
            rows.iter_mut().for_each(|row| row.lens = Some(lens));
            tx.put_maps(device, BOOK, &rows)?;
            let mut pair = pair;
            pair.lens = Some(lens);
            tx.put_pair(&pair)?;
        }
        6 => {
            let Some(mut row) = device else { return Ok(()) };
            match input.below(4) {
                0 => row.devinf = Some(input.bytes().to_vec()),
                1 => row.profile = Some(input.text()),
                2 => row.nonce_count = signed(input),
                _ => row.nonce_out = Some(input.bytes().to_vec()),
            }
            tx.put_device(&row)?;
        }
        7 => {
            let Some(DeviceRow { device, .. }) = device else { return Ok(()) };
            let states = [
                OutgoingState::Unsent,
                OutgoingState::Sent,
                OutgoingState::AckedUnmapped,
                OutgoingState::Withheld,
                OutgoingState::Refused,
                OutgoingState::Resent,
            ];
            let mut rows = tx.outgoing_page(device, BOOK, Guid(0), 100)?;
            for row in &mut rows {
                match input.below(5) {
                    0 => row.sent_revision = Revision(signed(input)),
                    1 => row.state = input.pick(&states),
                    2 => row.op = input.pick(&[Op::Add, Op::Replace, Op::Delete, Op::Copy, Op::Move]),
                    3 => row.sent_as = Some(SentRef { msg_id: input.number() as u32, cmd_id: input.number() as u32 }),
                    _ => row.temp_guid = Some(input.text()),
                }
            }
            tx.put_outgoing(device, BOOK, &rows)?;
        }
        8 => {
            let Some(DeviceRow { device, .. }) = device else { return Ok(()) };
            let Some(pair) = tx.pair(device, BOOK)? else { return Ok(()) };
            let states = [
                MapState::Live,
                MapState::Gone,
                MapState::Filtered,
                MapState::SoftDeleted,
                MapState::Refused,
                MapState::Held,
                MapState::Unconfirmed,
            ];
            let mut rows = tx.map_page(device, BOOK, pair.epoch, Guid(0), 100)?;
            for row in &mut rows {
                match input.below(3) {
                    0 => row.agreed_revision = Revision(signed(input)),
                    1 => row.state = input.pick(&states),
                    _ => row.lens = Some(LensNo(signed(input))),
                }
            }
            tx.put_maps(device, BOOK, &rows)?;
        }
        _ => {
            let Some(DeviceRow { device, .. }) = device else { return Ok(()) };
            let blob = if input.chance(2) { BlobNo(signed(input)) } else { tx.append_blob(None, input.bytes())? };
            let row = PartialRow {
                direction: input.pick(&[Direction::In, Direction::Out]),
                uri: input.pick(&["1", "2", "3"]).to_owned(),
                op: input.pick(&[Op::Add, Op::Replace, Op::Delete]),
                meta: input.bytes().to_vec(),
                declared: input.number(),
                received: input.number(),
                unconfirmed: input.number(),
                blob,
                last_status: input.chance(2).then(|| input.number() as u16),
            };
            tx.put_partial(device, BOOK, &row)?;
        }
    }
    Ok(())
}

/// Changes a session's state so that it can still be read: one number, flag or text of it becomes another.
fn edit_state(state: &mut Vec<u8>, input: &mut Input<'_>) {
    let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(state) else { return };
    let mut leaves = Vec::new();
    paths(&value, String::new(), &mut leaves);
    for _ in 0..=input.below(3) {
        let at = (input.below(256) << 8 | input.below(256)) % leaves.len().max(1);
        let Some(leaf) = leaves.get(at).and_then(|path| value.pointer_mut(path)) else { return };
        *leaf = match (&*leaf, input.below(4)) {
            (serde_json::Value::Bool(flag), _) => serde_json::Value::Bool(!flag),
            (_, 0) => serde_json::Value::Null,
            (serde_json::Value::Number(_), 1) => serde_json::Value::from(input.number().cast_signed()),
            (serde_json::Value::Number(_), _) => serde_json::Value::from(input.number()),
            (_, 1) => serde_json::Value::from(input.number()),
            (_, 2) => input
                .pick(&[
                    "Init",
                    "Changes",
                    "Settling",
                    "Sending",
                    "Confirming",
                    "Over",
                    "Start",
                    "End",
                    "Slow",
                    "TwoWay",
                    "RefreshFromClient",
                ])
                .into(),
            _ => serde_json::Value::from(input.text()),
        };
    }
    *state = serde_json::to_vec(&value).unwrap_or_default();
}

fn paths(value: &serde_json::Value, at: String, all: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| paths(field, format!("{at}/{name}"), all))
        }
        serde_json::Value::Array(list) if !list.is_empty() => {
            list.iter().enumerate().for_each(|(place, item)| paths(item, format!("{at}/{place}"), all));
        }
        _ => all.push(at),
    }
}
