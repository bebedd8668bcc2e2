//! What the cases share: steps that return something, comparisons that say what was wrong, sample rows.

use crate::auth::Verifier;
use crate::contact::search::TermQuery;
use crate::message::{Op, Timestamp};
use crate::store::search::ItemTerms;
use crate::store::{
    self, AccountNo, BlobNo, BookNo, BookWriter, ConflictRow, DeviceNo, DeviceRow, Direction, Draft, Guid, Hold,
    HoldReason, ItemRow, LensNo, MapRow, MapState, NewStaged, OutgoingRow, OutgoingState, PairRow, PartialRow, Phase,
    RestoreRow, Revision, SentRef, SessionRow, Store, StoreError, Token, Tx, Verdict, Winner,
};
use std::fmt::Debug;

/// What the store did instead of what it promised.
#[derive(Debug)]
pub(super) struct Failure(pub(super) String);

pub(super) type Outcome<T = ()> = Result<T, Failure>;

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(format!("unexpected failure: {error}"))
    }
}

pub(super) const BOOK: BookNo = BookNo::CONTACTS;
pub(super) const OTHER_BOOK: BookNo = BookNo::NOTES;
pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000);
pub(super) const ALL: Revision = Revision(i64::MAX);

/// Fails unless the two are equal.
pub(super) fn same<T: PartialEq + Debug>(what: &str, found: T, wanted: T) -> Outcome {
    if found == wanted {
        return Ok(());
    }
    let short = |value: T| {
        let mut text = format!("{value:?}");
        if let Some((cut, _)) = text.char_indices().nth(400) {
            text.truncate(cut);
            text.push('…');
        }
        text
    };
    Err(Failure(format!("{what}: found {}, wanted {}", short(found), short(wanted))))
}

/// Fails unless it is so.
pub(super) fn holds(what: &str, so: bool) -> Outcome {
    if so { Ok(()) } else { Err(Failure(format!("not so: {what}"))) }
}

/// Fails unless the step was refused as a contradiction.
pub(super) fn refused<T>(what: &str, answer: store::Result<T>) -> Outcome {
    match answer {
        Err(StoreError::Corrupt(_)) => Ok(()),
        Err(other) => Err(Failure(format!("{what}: refused, but not as Corrupt: {other}"))),
        Ok(_) => Err(Failure(format!("{what}: not refused"))),
    }
}

/// A new account.
pub(super) fn account(store: &dyn Store, name: &str) -> Outcome<AccountNo> {
    Ok(store.directory().put_login(name, &Verifier::Md5([1; 16]))?)
}

/// A committed step.
pub(super) fn write<R>(
    store: &dyn Store,
    account: AccountNo,
    work: impl FnMut(&mut dyn Tx) -> store::Result<R>,
) -> store::Result<R> {
    step(store, account, Verdict::Commit, work)
}

/// A step that leaves nothing.
pub(super) fn read<R>(
    store: &dyn Store,
    account: AccountNo,
    work: impl FnMut(&mut dyn Tx) -> store::Result<R>,
) -> store::Result<R> {
    step(store, account, Verdict::Rollback, work)
}

fn step<R>(
    store: &dyn Store,
    account: AccountNo,
    verdict: Verdict,
    mut work: impl FnMut(&mut dyn Tx) -> store::Result<R>,
) -> store::Result<R> {
    let mut answer = None;
    store.step(account, &mut |tx| {
        answer = Some(work(tx)?);
        Ok(verdict)
    })?;
    answer.ok_or_else(|| StoreError::Failed("the step's work was not run".to_owned()))
}

/// Locks a book and hands out its writer.
pub(super) fn writer<'a>(tx: &mut dyn Tx, book: BookNo) -> store::Result<BookWriter<'a>> {
    let row = tx.lock_books(&[book])?.pop();
    let row = row.ok_or_else(|| StoreError::Failed("locking one book answered no row".to_owned()))?;
    Ok(BookWriter::new(row, Some(DeviceNo(3)), NOW))
}

/// Adds items of these contents to a book.
pub(super) fn add(tx: &mut dyn Tx, book: BookNo, contents: &[&str]) -> store::Result<Vec<ItemRow<'static>>> {
    let mut writer = writer(tx, book)?;
    let added = contents.iter().map(|content| writer.add(draft(content))).collect();
    writer.flush(tx)?;
    Ok(added)
}

/// The current item, which must be there.
pub(super) fn item(tx: &mut dyn Tx, book: BookNo, guid: Guid) -> store::Result<ItemRow<'static>> {
    let item = tx.items(book, &[guid])?.pop().flatten();
    item.ok_or_else(|| StoreError::Failed(format!("item {guid} is not there")))
}

/// Replaces an item's content.
pub(super) fn replace(tx: &mut dyn Tx, book: BookNo, guid: Guid, content: &str) -> store::Result<Revision> {
    let mut writer = writer(tx, book)?;
    let old = item(tx, book, guid)?;
    let new = writer.replace(&old, draft(content));
    writer.flush(tx)?;
    Ok(new.revision)
}

/// Makes an item a tombstone.
pub(super) fn delete(tx: &mut dyn Tx, book: BookNo, guid: Guid) -> store::Result<Revision> {
    let mut writer = writer(tx, book)?;
    let old = item(tx, book, guid)?;
    let new = writer.delete(&old);
    writer.flush(tx)?;
    Ok(new.revision)
}

/// A draft with this content, a fingerprint of it and two match keys: its first and its last letter.
pub(super) fn draft(content: &str) -> Draft<'static> {
    let keys = [content.bytes().next(), content.bytes().next_back()];
    Draft {
        content: content.as_bytes().to_vec().into(),
        fingerprint: print(content),
        keys: keys.into_iter().flatten().map(u64::from).collect(),
        ..Draft::default()
    }
}

/// Not a good fingerprint, but one: texts that differ in their first 15 octets or in length have different ones.
pub(super) fn print(content: &str) -> [u8; 16] {
    let mut print = [0; 16];
    for (to, from) in print.iter_mut().zip(content.bytes()) {
        *to = from;
    }
    print[15] = content.len() as u8;
    print
}

pub(super) fn device_row(device_id: &str) -> DeviceRow {
    DeviceRow {
        device: DeviceNo::NEW,
        device_id: device_id.to_owned(),
        devinf: None,
        profile: None,
        nonce_count: 0,
        nonce_out: None,
        nonce_in: None,
        last_seen: NOW,
    }
}

pub(super) fn session_row(token: u8, device: DeviceNo, session_id: &str) -> SessionRow {
    let row = SessionRow::new(Token([token; 16]), device, session_id, 1, NOW);
    SessionRow { last_msg_id: 1, last_digest: [token; 32], ..row }
}

/// A pair with something in every column.
pub(super) fn pair_row(device: DeviceNo, book: BookNo) -> PairRow {
    PairRow {
        device,
        book,
        peer_next: Some("20240101T000000Z".to_owned()),
        peer_prev: Some(String::new()),
        own_next: Some("1".to_owned()),
        own_prev: None,
        cursor: Revision(3),
        upto: Revision(5),
        start_head: Revision(4),
        epoch: 2,
        lens: Some(LensNo(9)),
        filter_hash: Some(vec![0, 255]),
        sync_type: 201,
        last_type: 200,
        phase: Phase::Confirming,
        holds: vec![Hold {
            reason: HoldReason::Deletes,
            at: NOW,
            snapshot: Revision(4),
            items: 21,
            live: 40,
            cause: Some("a \"storm\"".to_owned()),
            released: true,
        }],
    }
}

pub(super) fn map_row(epoch: i64, luid: &str, guid: i64) -> MapRow {
    MapRow {
        epoch,
        luid: luid.to_owned(),
        guid: Guid(guid),
        agreed_revision: Revision(guid),
        lens: None,
        view_fp: [guid as u8; 16],
        state: MapState::Live,
    }
}

pub(super) fn outgoing_row(guid: i64, session: u8, place: Option<(u32, u32)>) -> OutgoingRow {
    OutgoingRow {
        guid: Guid(guid),
        op: Op::Add,
        sent_revision: Revision(guid),
        sent_view_fp: [guid as u8; 16],
        temp_guid: None,
        state: OutgoingState::Sent,
        reason: 0,
        session: place.map(|_| Token([session; 16])),
        sent_as: place.map(|(msg_id, cmd_id)| SentRef { msg_id, cmd_id }),
    }
}

pub(super) fn staged_change(epoch: i64, luid: &str, op: Op, content: &str) -> NewStaged<'static> {
    NewStaged {
        epoch,
        luid: luid.to_owned().into(),
        op,
        place: None,
        media_type: None,
        content: content.as_bytes().to_vec().into(),
        view_fp: print(content),
        blob: None,
        keys: vec![1, u64::MAX].into(),
    }
}

pub(super) fn conflict_row(revision: i64) -> ConflictRow {
    ConflictRow {
        revision: Revision(revision),
        guid: Guid(1),
        origin: Some(DeviceNo(1)),
        at: NOW,
        won: Winner::Peer,
        lost: Some(Revision(revision - 1)),
        fields: vec!["TEL".to_owned(), "X-\"ODD\0".to_owned()],
    }
}

pub(super) fn restore_row(id: i64) -> RestoreRow {
    RestoreRow {
        id: Revision(id),
        target: Revision(id - 1),
        cursor: Revision(id),
        begun: NOW,
        ended: None,
        revived: 1,
        changed: 2,
        deleted: u64::MAX >> 1,
    }
}

pub(super) fn partial_row(uri: &str) -> PartialRow {
    PartialRow {
        direction: Direction::In,
        uri: uri.to_owned(),
        op: Op::Replace,
        meta: vec![0, 255],
        declared: u64::MAX >> 1,
        received: 4,
        unconfirmed: 3,
        blob: BlobNo(7),
        last_status: None,
    }
}

/// All there is to see of an account's books 1 to 6, device ids `phone` and `tablet` and sessions `[1; 16]` to
/// `[3; 16]`, as text. Locks nothing and creates nothing.
pub(super) fn dump(tx: &mut dyn Tx) -> store::Result<String> {
    let mut lines = Vec::new();
    let mut say = |what: &str, found: &dyn Debug| lines.push(format!("{what}: {found:?}"));
    let guids = (1..=12).map(Guid).collect::<Vec<_>>();
    let pairs = guids.iter().flat_map(|guid| (1..=12).map(|revision| (*guid, Revision(revision)))).collect::<Vec<_>>();
    let prints = ["one", "two", "uno"].map(print);
    let places = (1..=3).flat_map(|msg| (1..=3).map(move |cmd_id| SentRef { msg_id: msg, cmd_id })).collect::<Vec<_>>();
    say("devices", &tx.devices()?);
    for device in (1..=3).map(DeviceNo) {
        say("device by number", &tx.device_by_no(device)?);
        say("errands", &tx.errands(device, i64::MIN, usize::MAX)?);
    }
    for device_id in ["phone", "tablet"] {
        say("device", &tx.device(device_id)?);
    }
    for token in [1, 2, 3].map(|token| Token([token; 16])) {
        say("session", &tx.session(store::SessionKey::Token(&token))?);
        say("statuses", &tx.queued_statuses(&token, usize::MAX)?);
    }
    for book in (1..=6).map(BookNo) {
        say("book", &tx.book(book)?);
        say("items", &tx.items(book, &guids)?);
        say("changes", &tx.changes(book, Revision(0), ALL, usize::MAX)?);
        say("revisions", &tx.revisions(book, &pairs)?);
        for guid in &guids {
            say("history", &tx.history(book, *guid, usize::MAX)?);
        }
        say("log", &tx.log(book, None, ALL, usize::MAX)?);
        say("superseded", &tx.superseded(book, Revision(0), 1, usize::MAX)?);
        for at in (1..=12).map(Revision) {
            say("states", &tx.states(book, at, Guid(0), usize::MAX)?);
            say("as of", &tx.as_of(book, at, &guids)?);
        }
        say("conflicts", &tx.conflicts(book, ALL, usize::MAX)?);
        say("conflicts at", &tx.conflicts_at(book, &(1..=12).map(Revision).collect::<Vec<_>>())?);
        say("restores", &tx.restores(book, usize::MAX)?);
        say("prints", &tx.by_fingerprint(book, &prints, 32)?);
        say("keys", &tx.by_match_key(book, &[b'o', b'e', b't', b'u'].map(u64::from), 32)?);
        for device in (1..=3).map(DeviceNo) {
            say("by ids", &tx.session(store::SessionKey::Ids(device, "1"))?);
            say("pair", &tx.pair(device, book)?);
            for epoch in 0..=3 {
                say("luids", &tx.maps_by_luid(device, book, epoch, &["1", "2", "a", "b"])?);
                say("guids", &tx.maps_by_guid(device, book, epoch, &guids)?);
                say("map", &tx.map_page(device, book, epoch, Guid(0), usize::MAX)?);
                say("unconfirmed", &tx.unconfirmed_maps(device, book, epoch, usize::MAX)?);
                say("differences", &tx.differences((device, book), epoch, Revision(0), ALL, usize::MAX)?);
                say("count", &tx.count_differences((device, book), epoch, Revision(0), ALL)?);
            }
            say("outgoing", &tx.outgoing(device, book, &guids)?);
            say("outgoing page", &tx.outgoing_page(device, book, Guid(0), usize::MAX)?);
            say("by view", &tx.outgoing_by_view(device, book, &[1, 2, 3].map(|view| [view; 16]))?);
            for token in [1, 2, 3].map(|token| Token([token; 16])) {
                say("by ref", &tx.outgoing_by_ref(device, &token, &places)?);
            }
            say("staged", &tx.staged(device, book, 0, usize::MAX)?);
            for op in [Op::Add, Op::Replace, Op::Delete] {
                say("count", &tx.count_staged(device, book, op)?);
            }
            for direction in [Direction::In, Direction::Out] {
                say("partial", &tx.partial(device, book, direction)?);
            }
        }
    }
    say("words", &tx.words_upto()?);
    let found = tx.by_words(None, &TermQuery::Prefix("aw".to_owned()), -1, usize::MAX)?;
    say("by words", &found.iter().map(|place| (place.book, place.guid)).collect::<Vec<_>>());
    for blob in (1..=4).map(BlobNo) {
        say("blob", &tx.blob(blob)?);
        say("its bytes", &tx.read_blob(blob, 0, 100)?);
    }
    say("blobs", &tx.blob_bytes()?);
    Ok(lines.join("\n"))
}

/// Writes something into every table of an account, starting from nothing.
pub(super) fn fill(tx: &mut dyn Tx) -> store::Result<()> {
    let phone = tx.put_device(&device_row("phone"))?;
    tx.put_errand(phone, 1, b"errand")?;
    tx.put_session(&session_row(1, phone, "1"))?;
    tx.queue_statuses(&Token([1; 16]), &[b"status".to_vec()])?;
    for book in [BOOK, OTHER_BOOK] {
        let added = add(tx, book, &["one", "two"])?;
        replace(tx, book, added[0].guid, "uno")?;
        tx.index_more(book, 100)?;
        delete(tx, book, added[1].guid)?;
        tx.put_words(book, &[ItemTerms { guid: added[0].guid, terms: vec!["awuno".to_owned()] }], Revision(4))?;
        tx.put_conflicts(book, &[conflict_row(2)])?;
        tx.put_restore(book, &restore_row(3))?;
        tx.put_pair(&pair_row(phone, book))?;
        let unconfirmed = MapRow { state: MapState::Unconfirmed, ..map_row(2, "2", 3) };
        tx.put_maps(phone, book, &[map_row(2, "1", 1), map_row(2, "a", 2), unconfirmed])?;
        tx.carry_maps(phone, book, 2, 3)?;
        tx.put_outgoing(phone, book, &[outgoing_row(1, 1, Some((1, 2)))])?;
        tx.stage(phone, book, &[staged_change(2, "1", Op::Delete, "")])?;
        let blob = tx.append_blob(None, b"chunk")?;
        tx.put_partial(phone, book, &PartialRow { blob, ..partial_row("1") })?;
    }
    Ok(())
}

/// Changes or removes something in every table that [`fill`] filled.
pub(super) fn disturb(tx: &mut dyn Tx) -> store::Result<()> {
    let phone = DeviceNo(1);
    let tablet = tx.put_device(&device_row("tablet"))?;
    tx.put_errand(phone, 1, b"done")?;
    tx.put_errand(phone, 2, b"another")?;
    tx.put_errand(tablet, 1, b"a third")?;
    tx.drop_errands(tablet)?;
    tx.put_session(&session_row(2, phone, "1"))?;
    tx.queue_statuses(&Token([1; 16]), &[b"another".to_vec()])?;
    tx.drop_statuses(&Token([1; 16]), i64::MAX)?;
    tx.drop_rival_sessions(phone, &[BOOK], &Token([2; 16]))?;
    tx.expire_sessions(NOW.plus_seconds(1))?;
    tx.lock_books(&[BookNo(5)])?;
    for book in [BOOK, OTHER_BOOK] {
        let added = add(tx, book, &["three"])?;
        delete(tx, book, added[0].guid)?;
        let old = item(tx, book, Guid(2))?;
        let mut writer = writer(tx, book)?;
        writer.replace(&old, draft("two"));
        writer.flush(tx)?;
        tx.put_words(book, &[ItemTerms { guid: Guid(1), terms: Vec::new() }], Revision(7))?;
        tx.put_conflicts(book, &[conflict_row(7)])?;
        tx.purge(book, &[(Guid(1), Revision(1))])?;
        tx.put_restore(book, &restore_row(3))?;
        tx.put_restore(book, &RestoreRow { ended: Some(NOW), ..restore_row(4) })?;
        tx.put_pair(&PairRow::new(phone, book))?;
        tx.put_maps(phone, book, &[MapRow { state: MapState::Gone, ..map_row(2, "1", 1) }, map_row(1, "b", 7)])?;
        tx.carry_maps(phone, book, 2, 1)?;
        tx.drop_maps(phone, book, 1)?;
        tx.drop_outgoing(phone, book, &[Guid(1)])?;
        tx.put_outgoing(tablet, book, &[outgoing_row(1, 3, Some((1, 2)))])?;
        let staged = tx.staged(phone, book, 0, 10)?;
        tx.drop_staged(phone, book, &staged.iter().map(|row| row.seq).collect::<Vec<_>>())?;
        tx.stage(phone, book, &[staged_change(1, "9", Op::Add, "nine")])?;
        tx.unstage(phone, book, 1, &["9"])?;
        let row = tx.partial(phone, book, Direction::In)?;
        if let Some(row) = row {
            tx.append_blob(Some(row.blob), b" and more")?;
            tx.cut_blob(row.blob, 7)?;
            tx.put_partial(phone, book, &PartialRow { uri: "2".to_owned(), ..row.clone() })?;
            tx.drop_partial(phone, BOOK, Direction::In)?;
            tx.drop_blobs(&[row.blob])?;
        }
        tx.stage(phone, book, &[staged_change(2, "9", Op::Add, "nine")])?;
    }
    tx.clear_outgoing(tablet, OTHER_BOOK)
}
