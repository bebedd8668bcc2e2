//! Devices, sessions, queued statuses.

use super::support::{
    BOOK, NOW, OTHER_BOOK, Outcome, account, device_row, holds, read, refused, same, session_row, write,
};
use crate::message::Timestamp;
use crate::store::{BookNo, DeviceNo, DeviceRow, SessionKey, SessionRow, Store, Token};

pub(super) fn devices(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    same("devices of a new account", read(store, ann, |tx| tx.devices())?, Vec::new())?;
    same("an unknown device", read(store, ann, |tx| tx.device("phone"))?, None)?;
    let (phone, tablet) =
        write(store, ann, |tx| Ok((tx.put_device(&device_row("phone"))?, tx.put_device(&device_row("tablet"))?)))?;
    holds("devices get numbers of their own", phone != tablet && phone != DeviceNo::NEW && tablet != DeviceNo::NEW)?;
    let full = DeviceRow {
        device: tablet,
        device_id: "täblet".to_owned(),
        devinf: Some(vec![0, 1, 255]),
        profile: Some("profile".to_owned()),
        nonce_count: i64::MAX,
        nonce_out: Some(Vec::new()),
        nonce_in: Some(vec![7; 16]),
        last_seen: Timestamp(-1),
    };
    same("the number after an update", write(store, ann, |tx| tx.put_device(&full))?, tablet)?;
    same("by its new id", read(store, ann, |tx| tx.device("täblet"))?, Some(full.clone()))?;
    same("by its old id", read(store, ann, |tx| tx.device("tablet"))?, None)?;
    same("by its number", read(store, ann, |tx| tx.device_by_no(tablet))?, Some(full.clone()))?;
    for unknown in [DeviceNo::NEW, DeviceNo(999)] {
        same("by an unknown number", read(store, ann, |tx| tx.device_by_no(unknown))?, None)?;
    }
    let plain = DeviceRow { device: phone, ..device_row("phone") };
    let mut both = vec![plain, full];
    both.sort_by_key(|row| row.device);
    same("all, ascending", read(store, ann, |tx| tx.devices())?, both)?;
    let again = DeviceRow { nonce_count: 5, ..device_row("phone") };
    same("a known id put as new", write(store, ann, |tx| tx.put_device(&again))?, phone)?;
    let found = read(store, ann, |tx| tx.device("phone"))?;
    same("is updated", found, Some(DeviceRow { device: phone, ..again }))?;
    let unknown = DeviceRow { device: DeviceNo(999), ..device_row("other") };
    refused("updating an unknown number", write(store, ann, |tx| tx.put_device(&unknown)))?;
    let taken = DeviceRow { device: tablet, ..device_row("phone") };
    refused("giving a device another's id", write(store, ann, |tx| tx.put_device(&taken)))
}

pub(super) fn session_rows(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let full = SessionRow {
        token: Token(*b"\0\x01\x02\xff0123456789ab"),
        device: DeviceNo(4),
        session_id: "ä#1".to_owned(),
        books: vec![BookNo::FILES, BookNo(i64::MAX), BookNo(-1)],
        last_msg_id: u32::MAX,
        last_digest: [1; 32],
        recent_digests: vec![[2; 32], [3; 32]],
        last_reply: vec![0x5a; 200_000],
        reply_type: "application/vnd.syncml+wbxml".to_owned(),
        state_version: 3,
        state: vec![5; 16_384],
        deadline: NOW,
    };
    let empty = SessionRow { token: full.token, device: DeviceNo(4), ..session_row(0, DeviceNo(4), "") };
    for row in [full.clone(), empty, full.clone()] {
        write(store, ann, |tx| tx.put_session(&row))?;
        let found = read(store, ann, |tx| tx.session(SessionKey::Token(&row.token)))?;
        same("by token", found, Some(row.clone()))?;
        let found = read(store, ann, |tx| tx.session(SessionKey::Ids(row.device, &row.session_id)))?;
        same("by ids", found, Some(row))?;
    }
    for (what, key) in [
        ("another token", SessionKey::Token(&Token([9; 16]))),
        ("another device", SessionKey::Ids(DeviceNo(5), &full.session_id)),
        ("another session id", SessionKey::Ids(DeviceNo(4), "")),
    ] {
        same(what, read(store, ann, |tx| tx.session(key))?, None)?;
    }
    Ok(())
}

pub(super) fn session_newest(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    // Neither the order of tokens nor a later update makes a session newer.
    for token in [5, 9, 2] {
        write(store, ann, |tx| tx.put_session(&session_row(token, DeviceNo(1), "1")))?;
    }
    let older = SessionRow { last_msg_id: 7, ..session_row(9, DeviceNo(1), "1") };
    write(store, ann, |tx| tx.put_session(&older))?;
    let found = read(store, ann, |tx| tx.session(SessionKey::Ids(DeviceNo(1), "1")))?;
    same("the newest", found.map(|row| row.token), Some(Token([2; 16])))
}

/// Sessions of tokens 1 to `count`, each with one queued status.
fn sessions_with_statuses(store: &dyn Store, rows: &[SessionRow]) -> Outcome<crate::store::AccountNo> {
    let ann = account(store, "ann")?;
    write(store, ann, |tx| {
        for row in rows {
            tx.put_session(row)?;
            tx.queue_statuses(&row.token, &[b"status".to_vec()])?;
        }
        Ok(())
    })?;
    Ok(ann)
}

/// Which of tokens 1 to 5 have a session, and which have statuses.
fn left(store: &dyn Store, account: crate::store::AccountNo) -> Outcome<(Vec<u8>, Vec<u8>)> {
    Ok(read(store, account, |tx| {
        let mut left = (Vec::new(), Vec::new());
        for number in 1..=5 {
            let token = Token([number; 16]);
            left.0.extend(tx.session(SessionKey::Token(&token))?.map(|_| number));
            left.1.extend(tx.queued_statuses(&token, 1)?.first().map(|_| number));
        }
        Ok(left)
    })?)
}

pub(super) fn session_superseded(store: &dyn Store) -> Outcome {
    let session = |token, device, books: &[BookNo]| SessionRow {
        books: books.to_vec(),
        ..session_row(token, DeviceNo(device), "1")
    };
    let rows = [
        session(1, 1, &[OTHER_BOOK, BOOK]),
        session(2, 1, &[BOOK]),
        session(3, 2, &[BOOK]),
        session(4, 1, &[BookNo::FILES]),
        session(5, 1, &[]),
    ];
    let ann = sessions_with_statuses(store, &rows)?;
    let supersede = |device, books: &[BookNo], keep: u8| {
        write(store, ann, |tx| tx.drop_rival_sessions(DeviceNo(device), books, &Token([keep; 16])))
    };
    let both = |tokens: &[u8]| (tokens.to_vec(), tokens.to_vec());
    same("those of a device without any", supersede(7, &[BOOK], 2)?, 0)?;
    same("sessions and statuses left", left(store, ann)?, both(&[1, 2, 3, 4, 5]))?;
    same("one that shares a book, one that has none", supersede(1, &[BookNo::TASKS, BOOK], 2)?, 2)?;
    same("sessions and statuses left", left(store, ann)?, both(&[2, 3, 4]))?;
    same("again", supersede(1, &[BookNo::TASKS, BOOK], 2)?, 0)?;
    write(store, ann, |tx| tx.put_session(&session(4, 1, &[])))?;
    same("of no books: those that have none either", supersede(1, &[], 9)?, 1)?;
    same("sessions and statuses left", left(store, ann)?, both(&[2, 3]))?;
    write(store, ann, |tx| tx.put_session(&session(2, 1, &[BookNo::TASKS])))?;
    same("about other books by now", supersede(1, &[BOOK], 9)?, 0)?;
    same("with all there are", supersede(1, &[BOOK, OTHER_BOOK, BookNo::TASKS], 9)?, 1)?;
    same("another device's", left(store, ann)?, both(&[3]))
}

pub(super) fn session_expiry(store: &dyn Store) -> Outcome {
    let rows = (1..=4).map(|token| SessionRow {
        deadline: Timestamp(NOW.0 + i64::from(token)),
        ..session_row(token, DeviceNo(1), "1")
    });
    let ann = sessions_with_statuses(store, &rows.collect::<Vec<_>>())?;
    let expire = |now| write(store, ann, |tx| tx.expire_sessions(Timestamp(now)));
    same("none is past", expire(NOW.0 + 1)?, 0)?;
    same("two are past", expire(NOW.0 + 3)?, 2)?;
    same("sessions and statuses left", left(store, ann)?, (vec![3, 4], vec![3, 4]))?;
    same("the others, long after", expire(i64::MAX)?, 2)?;
    same("nothing left", left(store, ann)?, (vec![], vec![]))
}

pub(super) fn statuses(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let (one, two) = (Token([1; 16]), Token([2; 16]));
    let bodies = |count: u32, from: u32| (from..from + count).map(|n| n.to_be_bytes().to_vec()).collect::<Vec<_>>();
    write(store, ann, |tx| {
        tx.queue_statuses(&one, &[])?;
        tx.queue_statuses(&one, &bodies(300, 0))?;
        tx.queue_statuses(&two, &[Vec::new()])
    })?;
    write(store, ann, |tx| tx.queue_statuses(&one, &bodies(2, 300)))?;
    let queued = |token: Token, limit| read(store, ann, move |tx| tx.queued_statuses(&token, limit));
    let plain = |rows: &[(i64, Vec<u8>)]| rows.iter().map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>();
    let all = queued(one, usize::MAX)?;
    same("all, in their order", plain(&all), bodies(302, 0))?;
    holds("sequence numbers ascend", all.is_sorted_by(|(one, _), (next, _)| one < next))?;
    same("the first two", queued(one, 2)?, all[..2].to_vec())?;
    same("none", queued(one, 0)?, Vec::new())?;
    write(store, ann, |tx| tx.drop_statuses(&one, all[9].0))?;
    same("after ten were dropped", queued(one, usize::MAX)?, all[10..].to_vec())?;
    same("another session's", plain(&queued(two, usize::MAX)?), vec![Vec::new()])?;
    write(store, ann, |tx| tx.drop_statuses(&one, i64::MAX))?;
    same("after all were dropped", queued(one, usize::MAX)?, Vec::new())
}

pub(super) fn session_counts(store: &dyn Store) -> Outcome {
    let (ann, bob) = (account(store, "ann")?, account(store, "bob")?);
    let count = |account, device| read(store, account, move |tx| tx.count_sessions(DeviceNo(device)));
    for (token, device) in [(1, 1), (2, 1), (3, 2), (2, 1)] {
        write(store, ann, |tx| tx.put_session(&session_row(token, DeviceNo(device), "1")))?;
    }
    same("of each device", [count(ann, 1)?, count(ann, 2)?, count(ann, 3)?, count(bob, 1)?], [2, 1, 0, 0])?;
    write(store, ann, |tx| tx.drop_rival_sessions(DeviceNo(1), &[], &Token([2; 16])))?;
    same("after one is removed", count(ann, 1)?, 1)
}
