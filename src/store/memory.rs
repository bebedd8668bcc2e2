//! A store in memory: for tests, the simulator and embedders who keep nothing.
//!
//! A step works on a copy of its account and puts it in place when it commits, so that a rollback or an error leaves
//! nothing. Steps of one account wait for each other.

use super::{
    AccountNo, BookNo, BookRow, DeviceNo, DeviceRow, Directory, Guid, ItemRow, Keys, Login, MapRow, MapState,
    NewStaged, OutgoingRow, OutgoingState, PairRow, Principal, Result, Revision, RevisionRow, SentRef, SessionKey,
    SessionRow, StagedRow, Store, StoreError, Subscribers, Token, Tx, Verdict, ViewFp,
};
use crate::auth::Verifier;
use crate::message::{Op, Timestamp};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    seed: [u8; 32],
    people: Mutex<People>,
    accounts: Mutex<BTreeMap<AccountNo, Arc<Mutex<Arc<Account>>>>>,
}

#[derive(Debug, Default)]
struct People {
    logins: BTreeMap<String, Login>,
    principals: BTreeMap<String, Principal>,
    grants: BTreeSet<(String, String)>,
}

type Pair = (DeviceNo, BookNo);

#[derive(Clone, Debug, Default)]
struct Account {
    number: i64,
    devices: BTreeMap<DeviceNo, DeviceRow>,
    sessions: BTreeMap<Token, SessionRow>,
    statuses: BTreeMap<(Token, i64), Vec<u8>>,
    books: BTreeMap<BookNo, BookRow>,
    items: BTreeMap<(BookNo, Guid), ItemRow<'static>>,
    by_revision: BTreeMap<(BookNo, Revision), Guid>,
    superseded: BTreeMap<(BookNo, Guid, Revision), RevisionRow>,
    pairs: BTreeMap<Pair, PairRow>,
    maps: BTreeMap<(Pair, i64, String), MapRow>,
    map_guids: BTreeMap<(Pair, i64, Guid), String>,
    outgoing: BTreeMap<(Pair, Guid), OutgoingRow>,
    staged: BTreeMap<(Pair, i64), StagedRow>,
    counter: i64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panicking test must not hide behind a poisoned lock; the data is a copy that was never half written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStore {
    /// An empty store. Everything that another store draws at random derives from `seed`, so that a run can be repeated.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed, people: Mutex::default(), accounts: Mutex::default() }
    }

    fn derive(&self, what: &str, number: i64) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(what);
        hash.update(number.to_be_bytes());
        hash.finalize().into()
    }

    fn slot(&self, account: AccountNo) -> Arc<Mutex<Arc<Account>>> {
        let fresh = || Arc::new(Mutex::new(Arc::new(Account { number: account.0, ..Account::default() })));
        lock(&self.accounts).entry(account).or_insert_with(fresh).clone()
    }
}

impl Store for MemoryStore {
    fn step(&self, account: AccountNo, work: &mut dyn FnMut(&mut dyn Tx) -> Result<Verdict>) -> Result<()> {
        let slot = self.slot(account);
        let mut current = lock(&slot);
        let mut tx = MemoryTx { account: Account::clone(&current), store: self };
        if work(&mut tx)? == Verdict::Commit {
            *current = Arc::new(tx.account);
        }
        Ok(())
    }

    fn directory(&self) -> &dyn Directory {
        self
    }

    fn keys(&self) -> Result<Keys> {
        Ok(Keys { nonce: self.derive("nonce", 0), token: self.derive("token", 0) })
    }
}

impl Subscribers for MemoryStore {
    fn login(&self, name: &str) -> Result<Option<Login>> {
        Ok(lock(&self.people).logins.get(name).cloned())
    }

    fn principal(&self, device_id: &str) -> Result<Option<Principal>> {
        Ok(lock(&self.people).principals.get(device_id).cloned())
    }

    fn granted(&self, device_id: &str, account: &str) -> Result<Option<AccountNo>> {
        let people = lock(&self.people);
        let granted = people.grants.contains(&(device_id.to_owned(), account.to_owned()));
        Ok(people.logins.get(account).filter(|_| granted).map(|login| login.account))
    }
}

impl Directory for MemoryStore {
    fn put_login(&self, name: &str, verifier: &Verifier) -> Result<AccountNo> {
        let mut people = lock(&self.people);
        let next = AccountNo(people.logins.len() as i64 + 1);
        let account = people.logins.get(name).map_or(next, |login| login.account);
        people.logins.insert(name.to_owned(), Login { account, verifier: verifier.clone() });
        Ok(account)
    }

    fn account(&self, name: &str) -> Result<Option<AccountNo>> {
        Ok(lock(&self.people).logins.get(name).map(|login| login.account))
    }

    fn accounts(&self) -> Result<Vec<(String, AccountNo)>> {
        Ok(lock(&self.people).logins.iter().map(|(name, login)| (name.clone(), login.account)).collect())
    }

    fn put_principal(&self, device_id: &str, principal: &Principal) -> Result<()> {
        lock(&self.people).principals.insert(device_id.to_owned(), principal.clone());
        Ok(())
    }

    fn set_grant(&self, device_id: &str, account: &str, granted: bool) -> Result<()> {
        let mut people = lock(&self.people);
        if !people.logins.contains_key(account) {
            return Err(StoreError::NotFound(format!("account {account:?}")));
        }
        if !people.principals.contains_key(device_id) {
            return Err(StoreError::NotFound(format!("platform {device_id:?}")));
        }
        let grant = (device_id.to_owned(), account.to_owned());
        if granted {
            people.grants.insert(grant);
        } else {
            people.grants.remove(&grant);
        }
        Ok(())
    }

    fn grants(&self) -> Result<Vec<(String, String)>> {
        Ok(lock(&self.people).grants.iter().cloned().collect())
    }
}

struct MemoryTx<'s> {
    account: Account,
    store: &'s MemoryStore,
}

impl MemoryTx<'_> {
    fn map_range(&self, pair: Pair, epoch: i64, after: Guid) -> impl Iterator<Item = &MapRow> {
        let range = (pair, epoch, Guid(after.0 + 1))..=(pair, epoch, Guid(i64::MAX));
        self.account
            .map_guids
            .range(range)
            .filter_map(move |((_, _, _), luid)| self.account.maps.get(&(pair, epoch, luid.clone())))
    }

    fn differing(
        &self,
        pair: Pair,
        epoch: i64,
        after: Revision,
        upto: Revision,
    ) -> impl Iterator<Item = (&ItemRow<'static>, Option<&MapRow>)> {
        let book = pair.1;
        let range =
            (after < upto).then(|| self.account.by_revision.range((book, Revision(after.0 + 1))..=(book, upto)));
        range.into_iter().flatten().filter_map(move |(_, guid)| {
            let item = self.account.items.get(&(book, *guid))?;
            let entry = self.account.map_guids.get(&(pair, epoch, *guid));
            let entry = entry.and_then(|luid| self.account.maps.get(&(pair, epoch, luid.clone())));
            let differs = match entry {
                None => !item.deleted,
                Some(entry) => entry.agreed_revision < item.revision,
            };
            differs.then_some((item, entry))
        })
    }

    fn unlink(&mut self, book: BookNo, guid: Guid) -> Option<ItemRow<'static>> {
        let old = self.account.items.remove(&(book, guid))?;
        self.account.by_revision.remove(&(book, old.revision));
        Some(old)
    }

    fn link(&mut self, book: BookNo, row: &ItemRow<'_>) {
        self.account.by_revision.insert((book, row.revision), row.guid);
        self.account.items.insert((book, row.guid), owned(row));
    }
}

fn owned(row: &ItemRow<'_>) -> ItemRow<'static> {
    ItemRow {
        media_type: row.media_type.clone().map(|text| Cow::Owned(text.into_owned())),
        content: Cow::Owned(row.content.to_vec()),
        keys: Cow::Owned(row.keys.to_vec()),
        ..ItemRow {
            guid: row.guid,
            revision: row.revision,
            deleted: row.deleted,
            parent: row.parent,
            depth: row.depth,
            media_type: None,
            content: Cow::Borrowed(&[]),
            fingerprint: row.fingerprint,
            keys: Cow::Borrowed(&[]),
            origin: row.origin,
            at: row.at,
        }
    }
}

fn as_revision(row: &ItemRow<'_>) -> RevisionRow {
    RevisionRow {
        guid: row.guid,
        revision: row.revision,
        deleted: row.deleted,
        media_type: row.media_type.as_ref().map(ToString::to_string),
        content: row.content.to_vec(),
        origin: row.origin,
        at: row.at,
    }
}

impl Tx for MemoryTx<'_> {
    fn device(&mut self, device_id: &str) -> Result<Option<DeviceRow>> {
        Ok(self.account.devices.values().find(|row| row.device_id == device_id).cloned())
    }

    fn devices(&mut self) -> Result<Vec<DeviceRow>> {
        Ok(self.account.devices.values().cloned().collect())
    }

    fn put_device(&mut self, row: &DeviceRow) -> Result<DeviceNo> {
        let next = DeviceNo(self.account.devices.keys().next_back().map_or(1, |last| last.0 + 1));
        let device = if row.device == DeviceNo::NEW { next } else { row.device };
        self.account.devices.insert(device, DeviceRow { device, ..row.clone() });
        Ok(device)
    }

    fn session(&mut self, key: SessionKey<'_>) -> Result<Option<SessionRow>> {
        Ok(match key {
            SessionKey::Token(token) => self.account.sessions.get(token).cloned(),
            SessionKey::Ids(device, id) => {
                self.account.sessions.values().find(|row| row.device == device && row.session_id == id).cloned()
            }
        })
    }

    fn put_session(&mut self, row: &SessionRow) -> Result<()> {
        self.account.sessions.insert(row.token, row.clone());
        Ok(())
    }

    fn drop_other_sessions(&mut self, device: DeviceNo, keep: &Token) -> Result<()> {
        self.account.sessions.retain(|token, row| row.device != device || token == keep);
        let sessions = &self.account.sessions;
        self.account.statuses.retain(|(token, _), _| sessions.contains_key(token) || token == keep);
        Ok(())
    }

    fn expire_sessions(&mut self, now: Timestamp) -> Result<usize> {
        let before = self.account.sessions.len();
        self.account.sessions.retain(|_, row| row.deadline >= now);
        let sessions = &self.account.sessions;
        self.account.statuses.retain(|(token, _), _| sessions.contains_key(token));
        Ok(before - self.account.sessions.len())
    }

    fn queue_statuses(&mut self, token: &Token, statuses: &[Vec<u8>]) -> Result<()> {
        for bytes in statuses {
            self.account.counter += 1;
            self.account.statuses.insert((*token, self.account.counter), bytes.clone());
        }
        Ok(())
    }

    fn queued_statuses(&mut self, token: &Token, limit: usize) -> Result<Vec<(i64, Vec<u8>)>> {
        let range = self.account.statuses.range((*token, 0)..=(*token, i64::MAX));
        Ok(range.take(limit).map(|((_, seq), bytes)| (*seq, bytes.clone())).collect())
    }

    fn drop_statuses(&mut self, token: &Token, upto: i64) -> Result<()> {
        self.account.statuses.retain(|(of, seq), _| of != token || *seq > upto);
        Ok(())
    }

    fn lock_books(&mut self, books: &[BookNo]) -> Result<Vec<BookRow>> {
        let mut rows = Vec::with_capacity(books.len());
        for book in books {
            let digest = self.store.derive("book", self.account.number * 1000 + book.0);
            let row = self.account.books.entry(*book).or_insert_with(|| BookRow {
                book: *book,
                stamp: u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]),
                head: Revision(0),
                live_items: 0,
                live_bytes: 0,
                purged_upto: Revision(0),
                indexed: false,
            });
            rows.push(row.clone());
        }
        Ok(rows)
    }

    fn book(&mut self, book: BookNo) -> Result<Option<BookRow>> {
        Ok(self.account.books.get(&book).cloned())
    }

    fn put_book(&mut self, row: &BookRow) -> Result<()> {
        self.account.books.insert(row.book, row.clone());
        Ok(())
    }

    fn items(&mut self, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<ItemRow<'static>>>> {
        Ok(guids.iter().map(|guid| self.account.items.get(&(book, *guid)).cloned()).collect())
    }

    fn insert_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        for row in rows {
            if self.account.items.contains_key(&(book, row.guid)) {
                return Err(StoreError::Corrupt(format!("item {} is there already", row.guid)));
            }
            self.link(book, row);
        }
        Ok(())
    }

    fn update_items(&mut self, book: BookNo, rows: &[ItemRow<'_>]) -> Result<()> {
        for row in rows {
            let old = self
                .unlink(book, row.guid)
                .ok_or_else(|| StoreError::Corrupt(format!("item {} is not there", row.guid)))?;
            self.account.superseded.insert((book, old.guid, old.revision), as_revision(&old));
            self.link(book, row);
        }
        Ok(())
    }

    fn changes(
        &mut self,
        book: BookNo,
        after: Revision,
        upto: Revision,
        limit: usize,
    ) -> Result<Vec<ItemRow<'static>>> {
        if after >= upto {
            return Ok(Vec::new());
        }
        let range = self.account.by_revision.range((book, Revision(after.0 + 1))..=(book, upto));
        Ok(range.take(limit).filter_map(|(_, guid)| self.account.items.get(&(book, *guid)).cloned()).collect())
    }

    fn revisions(&mut self, book: BookNo, which: &[(Guid, Revision)]) -> Result<Vec<Option<RevisionRow>>> {
        Ok(which
            .iter()
            .map(|(guid, revision)| match self.account.items.get(&(book, *guid)) {
                Some(item) if item.revision == *revision => Some(as_revision(item)),
                _ => self.account.superseded.get(&(book, *guid, *revision)).cloned(),
            })
            .collect())
    }

    fn history(&mut self, book: BookNo, guid: Guid, limit: usize) -> Result<Vec<RevisionRow>> {
        let range = (book, guid, Revision(0))..=(book, guid, Revision(i64::MAX));
        Ok(self.account.superseded.range(range).rev().take(limit).map(|(_, row)| row.clone()).collect())
    }

    fn by_fingerprint(&mut self, book: BookNo, prints: &[[u8; 16]], limit: usize) -> Result<Vec<Vec<Guid>>> {
        let mut index: BTreeMap<[u8; 16], Vec<Guid>> = prints.iter().map(|print| (*print, Vec::new())).collect();
        for ((_, guid), item) in self.account.items.range((book, Guid(0))..=(book, Guid(i64::MAX))) {
            if let Some(hits) = index.get_mut(&item.fingerprint).filter(|hits| !item.deleted && hits.len() < limit) {
                hits.push(*guid);
            }
        }
        Ok(prints.iter().map(|print| index.get(print).cloned().unwrap_or_default()).collect())
    }

    fn by_match_key(&mut self, book: BookNo, keys: &[u64], limit: usize) -> Result<Vec<Vec<Guid>>> {
        let mut index: BTreeMap<u64, Vec<Guid>> = keys.iter().map(|key| (*key, Vec::new())).collect();
        for ((_, guid), item) in self.account.items.range((book, Guid(0))..=(book, Guid(i64::MAX))) {
            for key in item.keys.iter().filter(|_| !item.deleted) {
                if let Some(hits) = index.get_mut(key).filter(|hits| hits.len() < limit) {
                    hits.push(*guid);
                }
            }
        }
        Ok(keys.iter().map(|key| index.get(key).cloned().unwrap_or_default()).collect())
    }

    fn index_more(&mut self, book: BookNo, _limit: usize) -> Result<bool> {
        if let Some(row) = self.account.books.get_mut(&book) {
            row.indexed = true;
        }
        Ok(true)
    }

    fn pair(&mut self, device: DeviceNo, book: BookNo) -> Result<Option<PairRow>> {
        Ok(self.account.pairs.get(&(device, book)).cloned())
    }

    fn put_pair(&mut self, row: &PairRow) -> Result<()> {
        self.account.pairs.insert((row.device, row.book), row.clone());
        Ok(())
    }

    fn maps_by_luid(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        luids: &[&str],
    ) -> Result<Vec<Option<MapRow>>> {
        let key = |luid: &str| ((device, book), epoch, luid.to_owned());
        Ok(luids.iter().map(|luid| self.account.maps.get(&key(luid)).cloned()).collect())
    }

    fn maps_by_guid(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        guids: &[Guid],
    ) -> Result<Vec<Option<MapRow>>> {
        let pair = (device, book);
        let find = |guid: &Guid| {
            let luid = self.account.map_guids.get(&(pair, epoch, *guid))?;
            self.account.maps.get(&(pair, epoch, luid.clone())).cloned()
        };
        Ok(guids.iter().map(find).collect())
    }

    fn put_maps(&mut self, device: DeviceNo, book: BookNo, rows: &[MapRow]) -> Result<()> {
        let pair = (device, book);
        for row in rows {
            let key = (pair, row.epoch, row.luid.clone());
            if let Some(old) = self.account.maps.get(&key) {
                if old.state != MapState::Gone && old.guid != row.guid {
                    return Err(StoreError::Corrupt(format!("a map entry of item {} would be re-pointed", old.guid)));
                }
                if old.state != MapState::Gone {
                    self.account.map_guids.remove(&(pair, row.epoch, old.guid));
                }
            }
            if row.state != MapState::Gone {
                let other = self.account.map_guids.insert((pair, row.epoch, row.guid), row.luid.clone());
                if other.is_some_and(|luid| luid != row.luid) {
                    return Err(StoreError::Corrupt(format!("item {} would have two map entries", row.guid)));
                }
            }
            self.account.maps.insert(key, row.clone());
        }
        Ok(())
    }

    fn carry_maps(&mut self, device: DeviceNo, book: BookNo, from: i64, to: i64) -> Result<()> {
        let pair = (device, book);
        let old: Vec<MapRow> = self
            .account
            .maps
            .iter()
            .filter(|((of, epoch, _), _)| *of == pair && *epoch == from)
            .map(|(_, row)| row.clone())
            .collect();
        for row in old {
            let known = self.account.maps.contains_key(&(pair, to, row.luid.clone()))
                || self.account.map_guids.contains_key(&(pair, to, row.guid));
            if !known {
                self.put_maps(device, book, &[MapRow { epoch: to, ..row }])?;
            }
        }
        Ok(())
    }

    fn drop_maps(&mut self, device: DeviceNo, book: BookNo, keep: i64) -> Result<()> {
        let pair = (device, book);
        self.account.maps.retain(|(of, epoch, _), _| *of != pair || *epoch == keep);
        self.account.map_guids.retain(|(of, epoch, _), _| *of != pair || *epoch == keep);
        Ok(())
    }

    fn map_page(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        epoch: i64,
        after: Guid,
        limit: usize,
    ) -> Result<Vec<MapRow>> {
        Ok(self.map_range((device, book), epoch, after).take(limit).cloned().collect())
    }

    fn unconfirmed_maps(&mut self, device: DeviceNo, book: BookNo, epoch: i64, limit: usize) -> Result<Vec<MapRow>> {
        let rows = self.map_range((device, book), epoch, Guid(0));
        Ok(rows.filter(|row| row.state == MapState::Unconfirmed).take(limit).cloned().collect())
    }

    fn differences(
        &mut self,
        pair: Pair,
        epoch: i64,
        after: Revision,
        upto: Revision,
        limit: usize,
    ) -> Result<Vec<(ItemRow<'static>, Option<MapRow>)>> {
        let found = self.differing(pair, epoch, after, upto).take(limit);
        Ok(found.map(|(item, entry)| (item.clone(), entry.cloned())).collect())
    }

    fn count_differences(&mut self, pair: Pair, epoch: i64, after: Revision, upto: Revision) -> Result<u64> {
        Ok(self.differing(pair, epoch, after, upto).count() as u64)
    }

    fn outgoing(&mut self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<Vec<Option<OutgoingRow>>> {
        Ok(guids.iter().map(|guid| self.account.outgoing.get(&((device, book), *guid)).cloned()).collect())
    }

    fn outgoing_page(&mut self, device: DeviceNo, book: BookNo, after: Guid, limit: usize) -> Result<Vec<OutgoingRow>> {
        let pair = (device, book);
        let range = self.account.outgoing.range((pair, Guid(after.0 + 1))..=(pair, Guid(i64::MAX)));
        Ok(range.take(limit).map(|(_, row)| row.clone()).collect())
    }

    fn outgoing_by_ref(
        &mut self,
        device: DeviceNo,
        token: &Token,
        refs: &[SentRef],
    ) -> Result<Vec<Option<(BookNo, OutgoingRow)>>> {
        let open: BTreeMap<SentRef, (BookNo, &OutgoingRow)> = self
            .account
            .outgoing
            .iter()
            .filter(|(((of, _), _), row)| *of == device && row.session.as_ref() == Some(token))
            .filter_map(|(((_, book), _), row)| Some((row.sent_as?, (*book, row))))
            .collect();
        Ok(refs.iter().map(|at| open.get(at).map(|(book, row)| (*book, (*row).clone()))).collect())
    }

    fn outgoing_by_view(
        &mut self,
        device: DeviceNo,
        book: BookNo,
        views: &[ViewFp],
    ) -> Result<Vec<Option<OutgoingRow>>> {
        let pair = (device, book);
        let sent = |row: &&OutgoingRow| {
            row.op == Op::Add && (row.state.is_unanswered() || row.state == OutgoingState::AckedUnmapped)
        };
        let mut open: BTreeMap<ViewFp, &OutgoingRow> = BTreeMap::new();
        for (_, row) in self.account.outgoing.range((pair, Guid(0))..=(pair, Guid(i64::MAX))) {
            if sent(&row) {
                open.entry(row.sent_view_fp).or_insert(row);
            }
        }
        Ok(views.iter().map(|view| open.get(view).map(|row| (*row).clone())).collect())
    }

    fn put_outgoing(&mut self, device: DeviceNo, book: BookNo, rows: &[OutgoingRow]) -> Result<()> {
        for row in rows {
            self.account.outgoing.insert(((device, book), row.guid), row.clone());
        }
        Ok(())
    }

    fn drop_outgoing(&mut self, device: DeviceNo, book: BookNo, guids: &[Guid]) -> Result<()> {
        for guid in guids {
            self.account.outgoing.remove(&((device, book), *guid));
        }
        Ok(())
    }

    fn clear_outgoing(&mut self, device: DeviceNo, book: BookNo) -> Result<()> {
        self.account.outgoing.retain(|(pair, _), _| *pair != (device, book));
        Ok(())
    }

    fn stage(&mut self, device: DeviceNo, book: BookNo, rows: &[NewStaged<'_>]) -> Result<()> {
        let pair = (device, book);
        for row in rows {
            let change = NewStaged {
                epoch: row.epoch,
                luid: Cow::Owned(row.luid.to_string()),
                op: row.op,
                media_type: row.media_type.as_ref().map(|text| Cow::Owned(text.to_string())),
                content: Cow::Owned(row.content.to_vec()),
                view_fp: row.view_fp,
                keys: Cow::Owned(row.keys.to_vec()),
            };
            let same = |staged: &StagedRow| staged.change.epoch == change.epoch && staged.change.luid == change.luid;
            let known = self.account.staged.range((pair, 0)..=(pair, i64::MAX)).find(|(_, row)| same(row));
            let seq = match known {
                Some((_, row)) => row.seq,
                None => {
                    self.account.counter += 1;
                    self.account.counter
                }
            };
            self.account.staged.insert((pair, seq), StagedRow { seq, change });
        }
        Ok(())
    }

    fn staged(&mut self, device: DeviceNo, book: BookNo, after: i64, limit: usize) -> Result<Vec<StagedRow>> {
        let pair = (device, book);
        let range = self.account.staged.range((pair, after + 1)..=(pair, i64::MAX));
        Ok(range.take(limit).map(|(_, row)| row.clone()).collect())
    }

    fn drop_staged(&mut self, device: DeviceNo, book: BookNo, seqs: &[i64]) -> Result<()> {
        for seq in seqs {
            self.account.staged.remove(&((device, book), *seq));
        }
        Ok(())
    }

    fn adopt_staged(&mut self, device: DeviceNo, book: BookNo, epoch: i64) -> Result<()> {
        let pair = (device, book);
        let rows: Vec<StagedRow> =
            self.account.staged.range((pair, 0)..=(pair, i64::MAX)).map(|(_, row)| row.clone()).collect();
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        for mut row in rows {
            if let Some(earlier) = last.insert(row.change.luid.to_string(), row.seq) {
                self.account.staged.remove(&(pair, earlier));
            }
            row.change.epoch = epoch;
            self.account.staged.insert((pair, row.seq), row);
        }
        Ok(())
    }

    fn count_staged(&mut self, device: DeviceNo, book: BookNo, op: Op) -> Result<u64> {
        let pair = (device, book);
        let range = self.account.staged.range((pair, 0)..=(pair, i64::MAX));
        Ok(range.filter(|(_, row)| row.change.op == op).count() as u64)
    }
}
