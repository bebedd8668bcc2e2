//! What is of one account, or of one device, is not reached by another's ids: every call of [`Tx`], by a table.

use super::support::*;
use crate::contact::search::TermQuery;
use crate::message::Op;
use crate::store::search::ItemTerms;
use crate::store::{
    AccountNo, AuditRow, BlobNo, BookNo, DeviceNo, Direction, Guid, ItemRow, LensNo, MapRow, PairRow, PartialRow,
    Principal, PrincipalKind, RestoreRow, Result, Revision, RevisionRow, SentRef, SessionKey, Store, StoreError,
    TX_METHODS, Token, Tx, Verdict,
};
use std::borrow::Cow;
use std::fmt::Debug;

/// Ids, as a call may be handed them.
#[derive(Clone, Copy)]
struct Ids {
    device_id: &'static str,
    device: DeviceNo,
    session_id: &'static str,
    token: Token,
    book: BookNo,
    guid: Guid,
    revision: Revision,
    luid: &'static str,
    epoch: i64,
    content: &'static str,
    blob: BlobNo,
    seq: i64,
    lens: LensNo,
}

/// Those of what [`fill`] writes.
const THEIRS: Ids = Ids {
    device_id: "phone",
    device: DeviceNo(1),
    session_id: "1",
    token: Token([1; 16]),
    book: BOOK,
    guid: Guid(1),
    revision: Revision(3),
    luid: "1",
    epoch: 2,
    content: "uno",
    blob: BlobNo(1),
    seq: 1,
    lens: LensNo(9),
};

/// Those of nothing.
const NOBODYS: Ids = Ids {
    device_id: "nothing",
    device: DeviceNo(77),
    session_id: "77",
    token: Token([77; 16]),
    book: BookNo(4),
    guid: Guid(77),
    revision: Revision(77),
    luid: "77",
    epoch: 77,
    content: "nowhere",
    blob: BlobNo(77),
    seq: 77_777,
    lens: LensNo(77),
};

/// How far apart what a call is about is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// By account.
    ByAccount,
    /// By device, too.
    ByDevice,
}

use Kept::{ByAccount, ByDevice};

struct Probe {
    method: &'static str,
    kept: Kept,
    run: fn(&mut dyn Tx, &Ids) -> String,
}

/// An answer without what differs by nature: failures tell what was asked for.
fn shown<T: Debug>(answer: Result<T>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(StoreError::Corrupt(_)) => "contradiction".to_owned(),
        Err(StoreError::NotFound(_)) => "not found".to_owned(),
        Err(error) => format!("failure: {error}"),
    }
}

fn item_of(ids: &Ids) -> ItemRow<'static> {
    ItemRow {
        guid: ids.guid,
        revision: Revision(1_000),
        deleted: false,
        parent: None,
        depth: 0,
        media_type: None,
        content: Cow::Borrowed(b"mine"),
        blob: None,
        fingerprint: print("mine"),
        keys: Cow::Borrowed(&[]),
        origin: None,
        at: NOW,
    }
}

fn past_of(ids: &Ids) -> RevisionRow {
    RevisionRow {
        guid: ids.guid,
        revision: Revision(900),
        deleted: false,
        parent: None,
        depth: 0,
        media_type: None,
        content: b"mine".to_vec(),
        blob: None,
        origin: None,
        at: NOW,
        until: Some((Revision(901), NOW)),
    }
}

/// Makes a write with its book locked.
fn in_book<T: Debug>(tx: &mut dyn Tx, ids: &Ids, write: impl FnOnce(&mut dyn Tx) -> Result<T>) -> String {
    shown(tx.lock_books(&[ids.book]).and_then(|_| write(tx)))
}

const AT: SentRef = SentRef { msg_id: 1, cmd_id: 2 };

macro_rules! probes {
    ($($method:ident $kept:ident: $run:expr,)*) => {
        const PROBES: &[Probe] = &[$(Probe { method: stringify!($method), kept: $kept, run: $run },)*];
    };
}

probes! {
    device ByAccount: |tx, ids| shown(tx.device(ids.device_id)),
    device_by_no ByAccount: |tx, ids| shown(tx.device_by_no(ids.device)),
    devices ByAccount: |tx, _| shown(tx.devices()),
    put_device ByAccount: |tx, ids| {
        let row = crate::store::DeviceRow { device: ids.device, ..device_row(ids.device_id) };
        shown(tx.put_device(&row))
    },
    session ByAccount: |tx, ids| {
        let by_ids = shown(tx.session(SessionKey::Ids(ids.device, ids.session_id)));
        by_ids + &shown(tx.session(SessionKey::Token(&ids.token)))
    },
    put_session ByAccount: |tx, ids| {
        let row = crate::store::SessionRow { token: ids.token, ..session_row(0, ids.device, ids.session_id) };
        shown(tx.put_session(&row))
    },
    drop_rival_sessions ByDevice: |tx, ids| {
        shown(tx.drop_rival_sessions(ids.device, &[ids.book], &Token([99; 16])))
    },
    count_sessions ByDevice: |tx, ids| shown(tx.count_sessions(ids.device)),
    audit ByAccount: |tx, ids| shown(tx.audit(&AuditRow::new(NOW, "host", "test", format!("book {}", ids.book)))),
    expire_sessions ByAccount: |tx, _| shown(tx.expire_sessions(NOW.plus_seconds(1_000))),
    queue_statuses ByAccount: |tx, ids| shown(tx.queue_statuses(&ids.token, &[b"mine".to_vec()])),
    queued_statuses ByAccount: |tx, ids| shown(tx.queued_statuses(&ids.token, 9)),
    drop_statuses ByAccount: |tx, ids| shown(tx.drop_statuses(&ids.token, i64::MAX)),
    lock_books ByAccount: |tx, ids| {
        // Its number was asked for, and its stamp is drawn.
        let rows = tx.lock_books(&[ids.book]);
        shown(rows.map(|rows| rows.iter().map(|row| (row.head, row.live_items, row.live_bytes)).collect::<Vec<_>>()))
    },
    book ByAccount: |tx, ids| shown(tx.book(ids.book)),
    put_book ByAccount: |tx, ids| in_book(tx, ids, |tx| {
        let mut row = tx.lock_books(&[])?.pop();
        if row.is_none() {
            row = tx.book(ids.book)?;
        }
        row.map_or(Ok(()), |row| tx.put_book(&row))
    }),
    books ByAccount: |tx, _| shown(tx.books()),
    adopt_book ByAccount: |tx, ids| in_book(tx, ids, |tx| {
        let row = tx.book(ids.book)?;
        row.map_or(Ok(()), |row| tx.adopt_book(&row))
    }),
    mark_dirty ByAccount: |tx, ids| in_book(tx, ids, |tx| tx.mark_dirty(ids.book)),
    clear_dirty ByAccount: |tx, ids| in_book(tx, ids, |tx| tx.clear_dirty(ids.device_id, ids.book)),
    items ByAccount: |tx, ids| shown(tx.items(ids.book, &[ids.guid])),
    insert_items ByAccount: |tx, ids| in_book(tx, ids, |tx| tx.insert_items(ids.book, &[item_of(ids)])),
    update_items ByAccount: |tx, ids| in_book(tx, ids, |tx| tx.update_items(ids.book, &[item_of(ids)])),
    changes ByAccount: |tx, ids| shown(tx.changes(ids.book, Revision(0), ALL, 9)),
    revisions ByAccount: |tx, ids| shown(tx.revisions(ids.book, &[(ids.guid, ids.revision), (ids.guid, Revision(1))])),
    history ByAccount: |tx, ids| shown(tx.history(ids.book, ids.guid, 9)),
    as_of ByAccount: |tx, ids| shown(tx.as_of(ids.book, ids.revision, &[ids.guid])),
    states ByAccount: |tx, ids| shown(tx.states(ids.book, ids.revision, Guid(0), 9)),
    log ByAccount: |tx, ids| shown(tx.log(ids.book, Some(ids.guid), ALL, 9)) + &shown(tx.log(ids.book, None, ALL, 9)),
    superseded ByAccount: |tx, ids| shown(tx.superseded(ids.book, Revision(0), 1, 9)),
    purge ByAccount: |tx, ids| in_book(tx, ids, |tx| tx.purge(ids.book, &[(ids.guid, Revision(1))])),
    put_past ByAccount: |tx, ids| in_book(tx, ids, |tx| tx.put_past(ids.book, &[past_of(ids)])),
    conflicts ByAccount: |tx, ids| shown(tx.conflicts(ids.book, ALL, 9)),
    conflicts_at ByAccount: |tx, ids| shown(tx.conflicts_at(ids.book, &[Revision(ids.revision.0 - 1)])),
    put_conflicts ByAccount: |tx, ids| in_book(tx, ids, |tx| {
        tx.put_conflicts(ids.book, &[conflict_row(2), conflict_row(3)])
    }),
    restores ByAccount: |tx, ids| shown(tx.restores(ids.book, 9)),
    put_restore ByAccount: |tx, ids| in_book(tx, ids, |tx| {
        tx.put_restore(ids.book, &RestoreRow { target: Revision(99), ..restore_row(3) })
    }),
    by_fingerprint ByAccount: |tx, ids| shown(tx.by_fingerprint(ids.book, &[print(ids.content)], 9)),
    by_match_key ByAccount: |tx, ids| {
        shown(tx.by_match_key(ids.book, &[ids.content.bytes().next().map_or(0, u64::from)], 9))
    },
    children ByAccount: |tx, ids| shown(tx.children(ids.book, ids.guid, Guid(0), 9)),
    index_more ByAccount: |tx, ids| in_book(tx, ids, |tx| tx.index_more(ids.book, 9)),
    pair ByDevice: |tx, ids| shown(tx.pair(ids.device, ids.book)),
    put_pair ByDevice: |tx, ids| shown(tx.put_pair(&PairRow::new(ids.device, ids.book))),
    maps_by_luid ByDevice: |tx, ids| shown(tx.maps_by_luid(ids.device, ids.book, ids.epoch, &[ids.luid])),
    maps_by_guid ByDevice: |tx, ids| shown(tx.maps_by_guid(ids.device, ids.book, ids.epoch, &[ids.guid])),
    put_maps ByDevice: |tx, ids| {
        shown(tx.put_maps(ids.device, ids.book, &[MapRow { guid: Guid(5), ..map_row(ids.epoch, ids.luid, 5) }]))
    },
    carry_maps ByDevice: |tx, ids| shown(tx.carry_maps(ids.device, ids.book, ids.epoch, 9)),
    drop_maps ByDevice: |tx, ids| shown(tx.drop_maps(ids.device, ids.book, 99)),
    map_page ByDevice: |tx, ids| shown(tx.map_page(ids.device, ids.book, ids.epoch, Guid(0), 9)),
    words_upto ByAccount: |tx, _| shown(tx.words_upto()),
    put_words ByAccount: |tx, ids| {
        shown(tx.put_words(ids.book, &[ItemTerms { guid: ids.guid, terms: vec!["awmine".to_owned()] }], ids.revision))
    },
    by_words ByAccount: |tx, ids| {
        shown(tx.by_words(Some(ids.book), &TermQuery::Prefix(format!("aw{}", ids.content)), -1, 9))
            + &shown(tx.by_words(None, &TermQuery::Prefix(format!("aw{}", ids.content)), -1, 9))
    },
    all_maps ByDevice: |tx, ids| shown(tx.all_maps(ids.device, ids.book, (i64::MIN, ""), 9)),
    unconfirmed_maps ByDevice: |tx, ids| shown(tx.unconfirmed_maps(ids.device, ids.book, ids.epoch, 9)),
    // What a device is not agreed on is all of the book, which all devices of the account share.
    differences ByAccount: |tx, ids| {
        shown(tx.differences((ids.device, ids.book), ids.epoch, Revision(0), ALL, 9))
    },
    count_differences ByAccount: |tx, ids| {
        shown(tx.count_differences((ids.device, ids.book), ids.epoch, Revision(0), ALL))
    },
    lens ByAccount: |tx, ids| shown(tx.lens(ids.lens)),
    put_lens ByAccount: |tx, ids| shown(tx.put_lens(ids.lens, b"mine")),
    outgoing ByDevice: |tx, ids| shown(tx.outgoing(ids.device, ids.book, &[ids.guid])),
    outgoing_page ByDevice: |tx, ids| shown(tx.outgoing_page(ids.device, ids.book, Guid(0), 9)),
    outgoing_by_ref ByDevice: |tx, ids| shown(tx.outgoing_by_ref(ids.device, &ids.token, &[AT])),
    outgoing_by_view ByDevice: |tx, ids| {
        shown(tx.outgoing_by_view(ids.device, ids.book, &[[ids.guid.0 as u8; 16]]))
    },
    put_outgoing ByDevice: |tx, ids| shown(tx.put_outgoing(ids.device, ids.book, &[outgoing_row(ids.guid.0, 9, None)])),
    drop_outgoing ByDevice: |tx, ids| shown(tx.drop_outgoing(ids.device, ids.book, &[ids.guid])),
    clear_outgoing ByDevice: |tx, ids| shown(tx.clear_outgoing(ids.device, ids.book)),
    stage ByDevice: |tx, ids| {
        shown(tx.stage(ids.device, ids.book, &[staged_change(ids.epoch, ids.luid, Op::Add, "mine")]))
    },
    staged ByDevice: |tx, ids| shown(tx.staged(ids.device, ids.book, 0, 9)),
    staged_under ByDevice: |tx, ids| shown(tx.staged_under(ids.device, ids.book, ids.epoch, &[ids.luid])),
    drop_staged ByDevice: |tx, ids| shown(tx.drop_staged(ids.device, ids.book, &[ids.seq])),
    unstage ByDevice: |tx, ids| shown(tx.unstage(ids.device, ids.book, ids.epoch, &[ids.luid])),
    count_staged ByDevice: |tx, ids| shown(tx.count_staged(ids.device, ids.book, Op::Delete)),
    append_blob ByAccount: |tx, ids| {
        // Which number a new one gets is drawn by its account alone.
        shown(tx.append_blob(Some(ids.blob), b"mine").map(drop)) + &shown(tx.append_blob(None, b"mine").map(drop))
    },
    blob ByAccount: |tx, ids| shown(tx.blob(ids.blob)),
    read_blob ByAccount: |tx, ids| shown(tx.read_blob(ids.blob, 0, 99)),
    cut_blob ByAccount: |tx, ids| shown(tx.cut_blob(ids.blob, 0)),
    drop_blobs ByAccount: |tx, ids| shown(tx.drop_blobs(&[ids.blob])),
    blob_bytes ByAccount: |tx, _| shown(tx.blob_bytes()),
    partial ByDevice: |tx, ids| shown(tx.partial(ids.device, ids.book, Direction::In)),
    put_partial ByDevice: |tx, ids| {
        shown(tx.put_partial(ids.device, ids.book, &PartialRow { blob: ids.blob, ..partial_row(ids.luid) }))
    },
    drop_partial ByDevice: |tx, ids| shown(tx.drop_partial(ids.device, ids.book, Direction::In)),
    errands ByDevice: |tx, ids| shown(tx.errands(ids.device, 0, 9)),
    put_errand ByDevice: |tx, ids| shown(tx.put_errand(ids.device, 1, b"mine")),
    drop_errands ByDevice: |tx, ids| shown(tx.drop_errands(ids.device)),
}

/// One probe in a step of its own.
fn ask(store: &dyn Store, account: AccountNo, probe: &Probe, ids: &Ids, verdict: Verdict) -> String {
    let mut answer = String::new();
    let done = store.step(account, &mut |tx| {
        answer = (probe.run)(tx, ids);
        Ok(verdict)
    });
    // A failed call cannot be committed past.
    drop(done);
    answer
}

fn no_method_is_missing() -> Outcome {
    let mut probed: Vec<_> = PROBES.iter().map(|probe| probe.method).collect();
    let mut all = TX_METHODS.to_vec();
    probed.sort_unstable();
    all.sort_unstable();
    same("methods with a row in this table", probed, all)
}

pub(super) fn nothing_of_another_account(store: &dyn Store) -> Outcome {
    no_method_is_missing()?;
    let (ann, bob) = (account(store, "ann")?, account(store, "bob")?);
    let directory = store.directory();
    directory.put_principal("phone", &Principal { kind: PrincipalKind::Platform, verifiers: Vec::new() })?;
    for name in ["bob", "ann"] {
        directory.set_grant("phone", name, true)?;
    }
    let seq = write(store, bob, |tx| {
        fill(tx)?;
        tx.put_lens(THEIRS.lens, b"theirs")?;
        Ok(tx.staged(THEIRS.device, BOOK, 0, 1)?.first().map_or(0, |row| row.seq))
    })?;
    let theirs = Ids { seq, ..THEIRS };
    let seen = || -> Outcome<String> {
        let rows = read(store, bob, |tx| Ok((dump(tx)?, tx.lens(THEIRS.lens)?)))?;
        let news = directory.dirty("phone", (AccountNo(0), BookNo(0)), 99)?;
        let news: Vec<_> = news.into_iter().filter(|news| news.account == bob).collect();
        Ok(format!("{rows:?} {news:?}"))
    };
    let before = seen()?;
    for probe in PROBES {
        let [asked, never] = [&theirs, &NOBODYS].map(|ids| ask(store, ann, probe, ids, Verdict::Rollback));
        same(&format!("{} with an id of another account, and one never used", probe.method), asked, never)?;
    }
    for probe in PROBES {
        ask(store, ann, probe, &theirs, Verdict::Commit);
        same(&format!("the other account after {}", probe.method), seen()?, before.clone())?;
    }
    Ok(())
}

pub(super) fn nothing_of_another_device(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let (tablet, seq) = write(store, ann, |tx| {
        fill(tx)?;
        let tablet = tx.put_device(&device_row("tablet"))?;
        Ok((tablet, tx.staged(THEIRS.device, BOOK, 0, 1)?.first().map_or(0, |row| row.seq)))
    })?;
    let theirs = Ids { seq, device: tablet, ..THEIRS };
    let never = Ids { device: tablet, ..NOBODYS };
    let seen = || {
        read(store, ann, |tx| {
            let mut all = Vec::new();
            for book in [BOOK, OTHER_BOOK] {
                all.push(format!("{:?}", tx.pair(THEIRS.device, book)?));
                for epoch in 0..4 {
                    all.push(format!("{:?}", tx.map_page(THEIRS.device, book, epoch, Guid(0), 99)?));
                }
                all.push(format!("{:?}", tx.outgoing_page(THEIRS.device, book, Guid(0), 99)?));
                all.push(format!("{:?}", tx.outgoing_by_ref(THEIRS.device, &THEIRS.token, &[AT])?));
                all.push(format!("{:?}", tx.staged(THEIRS.device, book, 0, 99)?));
                all.push(format!("{:?}", tx.partial(THEIRS.device, book, Direction::In)?));
            }
            all.push(format!("{:?}", tx.errands(THEIRS.device, i64::MIN, 99)?));
            all.push(format!("{:?}", tx.session(SessionKey::Token(&THEIRS.token))?));
            all.push(format!("{:?}", tx.queued_statuses(&THEIRS.token, 99)?));
            Ok(all)
        })
    };
    let before = seen()?;
    let by_device = || PROBES.iter().filter(|probe| probe.kept == ByDevice);
    for probe in by_device() {
        let [asked, never] = [&theirs, &never].map(|ids| ask(store, ann, probe, ids, Verdict::Rollback));
        same(&format!("{} with an id of another device, and one never used", probe.method), asked, never)?;
    }
    for probe in by_device() {
        ask(store, ann, probe, &theirs, Verdict::Commit);
        same(&format!("the other device after {}", probe.method), seen()?, before.clone())?;
    }
    Ok(())
}
