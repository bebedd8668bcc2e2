//! Accounts, logins, principals, grants, keys.

use super::support::{BOOK, NOW, OTHER_BOOK, Outcome, account, add, holds, read, same, write};
use crate::auth::{DigestName, Secret, Verifier};
use crate::message::Timestamp;
use crate::store::audit::NO_ACCOUNT;
use crate::store::{AccountNo, AuditRow, BookNo, KEYS_KEPT, Principal, PrincipalKind, Store, StoreError};

/// A verifier as something that can be compared.
fn shown(verifier: &Verifier) -> (String, Vec<u8>) {
    (verifier.scheme().to_owned(), verifier.to_bytes())
}

pub(super) fn logins(store: &dyn Store) -> Outcome {
    let directory = store.directory();
    same("accounts of an empty store", directory.accounts()?, Vec::new())?;
    holds("an unknown login is none", directory.login("ann")?.is_none())?;
    same("an unknown account", directory.account("ann")?, None)?;
    let password = Verifier::Password(Secret::new("pässwörd".to_owned()));
    let bob = directory.put_login("bob", &password)?;
    let ann = directory.put_login("ann", &Verifier::Md5([0; 16]))?;
    holds("two accounts have two numbers", ann != bob)?;
    same("account by name", directory.account("bob")?, Some(bob))?;
    same("names are compared exactly", directory.account("Bob")?, None)?;
    let accounts = vec![("ann".to_owned(), ann), ("bob".to_owned(), bob)];
    same("accounts, ascending by name", directory.accounts()?, accounts.clone())?;
    for verifier in [password, Verifier::Md5([255; 16]), Verifier::Device(DigestName::SHA256, [9; 32])] {
        same("account of a login set anew", directory.put_login("bob", &verifier)?, bob)?;
        let login = directory.login("bob")?;
        let found = login.map(|login| (login.account, shown(&login.verifier)));
        same("the login", found, Some((bob, shown(&verifier))))?;
    }
    same("accounts after that", directory.accounts()?, accounts)
}

pub(super) fn principals(store: &dyn Store) -> Outcome {
    let directory = store.directory();
    holds("an unknown principal is none", directory.principal("IMEI:1")?.is_none())?;
    let device = |kind, byte| Verifier::Device(kind, [byte; 32]);
    for (kind, verifiers) in [
        (PrincipalKind::Platform, vec![device(DigestName::MD5, 1), device(DigestName::SHA256, 2)]),
        (
            PrincipalKind::Handset,
            vec![device(DigestName::SHA256, 3), device(DigestName::SHA256, 4), device(DigestName::MD5, 5)],
        ),
        (PrincipalKind::Platform, Vec::new()),
    ] {
        let principal = Principal { kind, verifiers };
        directory.put_principal("IMEI:1", &principal)?;
        let Some(found) = directory.principal("IMEI:1")? else {
            return holds("the principal that was put is there", false);
        };
        same("kind", found.kind, principal.kind)?;
        let all = |principal: &Principal| principal.verifiers.iter().map(shown).collect::<Vec<_>>();
        same("verifiers", all(&found), all(&principal))?;
    }
    holds("another device id is none", directory.principal("IMEI:2")?.is_none())?;
    for device_id in ["b", "IMEI:2", "a"] {
        directory.put_principal(device_id, &Principal { kind: PrincipalKind::Handset, verifiers: Vec::new() })?;
    }
    same("all, ascending", directory.principals()?, ["IMEI:1", "IMEI:2", "a", "b"].map(str::to_owned).to_vec())
}

pub(super) fn grants(store: &dyn Store) -> Outcome {
    let directory = store.directory();
    let (ann, bob) = (account(store, "ann")?, account(store, "bob")?);
    let principal = Principal { kind: PrincipalKind::Platform, verifiers: Vec::new() };
    directory.put_principal("P2", &principal)?;
    directory.put_principal("P1", &principal)?;
    for (device_id, name) in [("P3", "ann"), ("P1", "eve")] {
        for granted in [true, false] {
            let answer = directory.set_grant(device_id, name, granted);
            holds("what is unknown cannot be granted", matches!(answer, Err(StoreError::NotFound(_))))?;
        }
    }
    same("no grant yet", directory.granted("P1", "ann")?, None)?;
    for (device_id, name) in [("P2", "ann"), ("P1", "bob"), ("P1", "ann"), ("P1", "ann")] {
        directory.set_grant(device_id, name, true)?;
    }
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(device_id, name)| ((*device_id).to_owned(), (*name).to_owned())).collect::<Vec<_>>()
    };
    same("grants, ascending", directory.grants()?, pairs(&[("P1", "ann"), ("P1", "bob"), ("P2", "ann")]))?;
    same("a grant", directory.granted("P1", "ann")?, Some(ann))?;
    same("another", directory.granted("P1", "bob")?, Some(bob))?;
    same("one never given", directory.granted("P2", "bob")?, None)?;
    for _ in 0..2 {
        directory.set_grant("P1", "ann", false)?;
    }
    same("a grant taken back", directory.granted("P1", "ann")?, None)?;
    same("grants after that", directory.grants()?, pairs(&[("P1", "bob"), ("P2", "ann")]))?;
    directory.put_principal("P1", &principal)?;
    same("a grant outlives a new secret", directory.granted("P1", "bob")?, Some(bob))
}

pub(super) fn directory_while_a_step_is_open(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let found = write(store, ann, |tx| {
        tx.lock_books(&[super::support::BOOK])?;
        store.keys()?;
        store.directory().account("ann")
    })?;
    same("account", found, Some(ann))
}

pub(super) fn dirty(store: &dyn Store) -> Outcome {
    let directory = store.directory();
    let (ann, bob, eve) = (account(store, "ann")?, account(store, "bob")?, account(store, "eve")?);
    let principal = Principal { kind: PrincipalKind::Platform, verifiers: Vec::new() };
    for (device_id, name) in [("P1", "ann"), ("P2", "ann"), ("P1", "bob")] {
        directory.put_principal(device_id, &principal)?;
        directory.set_grant(device_id, name, true)?;
    }
    const START: (AccountNo, BookNo) = (AccountNo(0), BookNo(0));
    let noted = |device_id: &str, after, limit| -> Outcome<Vec<(String, AccountNo, BookNo)>> {
        let found = directory.dirty(device_id, after, limit)?;
        Ok(found.into_iter().map(|it| (it.name, it.account, it.book)).collect())
    };
    let row = |name: &str, account, book| (name.to_owned(), account, book);
    same("nothing changed", noted("P1", START, 9)?, Vec::new())?;
    for (account, book) in [(eve, BOOK), (bob, BOOK), (ann, OTHER_BOOK), (ann, BOOK), (ann, BOOK)] {
        write(store, account, |tx| add(tx, book, &["x"]))?;
    }
    let mut all = vec![row("ann", ann, BOOK), row("ann", ann, OTHER_BOOK), row("bob", bob, BOOK)];
    all.sort_by_key(|it| (it.1, it.2));
    same("what changed, of the accounts granted", noted("P1", START, 9)?, all.clone())?;
    same("another device", noted("P2", START, 9)?.len(), 2)?;
    same("a device without grants", noted("P3", START, 9)?, Vec::new())?;
    let mut paged = Vec::new();
    let mut after = START;
    while let Some(next) = noted("P1", after, 1)?.pop() {
        after = (next.1, next.2);
        paged.push(next);
        holds("pages end", paged.len() < 9)?;
    }
    same("page by page", paged, all.clone())?;
    read(store, ann, |tx| {
        add(tx, BookNo::CALENDAR, &["x"])?;
        tx.clear_dirty("P1", BOOK)
    })?;
    same("after a step rolled back", noted("P1", START, 9)?, all.clone())?;
    write(store, ann, |tx| {
        tx.lock_books(&[BOOK])?;
        tx.clear_dirty("P1", BOOK)
    })?;
    all.retain(|it| (it.1, it.2) != (ann, BOOK));
    same("what it has is not noted", noted("P1", START, 9)?, all.clone())?;
    same("for the other it is", noted("P2", START, 9)?.len(), 2)?;
    directory.set_grant("P1", "ann", true)?;
    same("a grant given twice is no news", noted("P1", START, 9)?, all)?;
    directory.set_grant("P1", "ann", false)?;
    same("a grant taken back", noted("P1", START, 9)?, vec![row("bob", bob, BOOK)])?;
    directory.set_grant("P2", "eve", true)?;
    let found = noted("P2", START, 9)?;
    holds("what is there when a grant is given is news", found.contains(&row("eve", eve, BOOK)))
}

pub(super) fn keys_stay(store: &dyn Store) -> Outcome {
    let (keys, again) = (store.keys()?, store.keys()?);
    holds("the keys stay", keys == again)?;
    let numbers: Vec<_> = keys.0.iter().map(|set| (set.number, set.since)).collect();
    same("numbers", numbers, vec![(1, Timestamp(0))])?;
    let first = &keys.0[0];
    holds("the keys differ", first.nonce != first.token)?;
    holds("the keys are not zero", first.nonce != [0; 32] && first.token != [0; 32])
}

pub(super) fn keys_rotate(store: &dyn Store) -> Outcome {
    let mut before = store.keys()?;
    for number in 2..=KEYS_KEPT + 2 {
        let since = Timestamp(i64::from(number) * 1_000);
        let after = store.rotate_keys(since)?;
        holds("all see them", after == store.keys()?)?;
        let Some((new, old)) = after.0.split_last() else { return holds("there are keys", false) };
        same("the new ones", (new.number, new.since), (number, since))?;
        holds("they are new", old.iter().all(|set| set.nonce != new.nonce && set.token != new.token))?;
        holds("and differ", new.nonce != new.token)?;
        let kept = before.0.len().min(KEYS_KEPT as usize - 1);
        holds("those before stay, but for the oldest", *old == before.0[before.0.len() - kept..])?;
        before = after;
    }
    Ok(())
}

pub(super) fn audit(store: &dyn Store) -> Outcome {
    let (ann, bob) = (account(store, "ann")?, account(store, "bob")?);
    let row = |second: i64, object: &'static str| {
        AuditRow::new(NOW.plus_seconds(second), "device 1", "t\u{e4}st", object).with_outcome("partly")
    };
    write(store, ann, |tx| tx.audit(&row(5, "later")).and_then(|()| tx.audit(&row(0, "first"))))?;
    write(store, bob, |tx| tx.audit(&row(0, "second")))?;
    read(store, bob, |tx| tx.audit(&row(0, "never")))?;
    crate::store::audit::note(store, NO_ACCOUNT, &row(9, "all"))?;
    let all = store.directory().audit((Timestamp(0), 0), 99)?;
    let told: Vec<_> = all.iter().map(|row| (row.account, &*row.object)).collect();
    same("all", told, vec![(ann, "first"), (bob, "second"), (ann, "later"), (NO_ACCOUNT, "all")])?;
    let whole = AuditRow { seq: all[0].seq, account: ann, ..row(0, "first") };
    same("a row", &all[0], &whole)?;
    let page = store.directory().audit((all[0].at, all[0].seq), 2)?;
    same("a page", page, all[1..3].to_vec())?;
    same("after the last", store.directory().audit((all[3].at, all[3].seq), 9)?, Vec::new())
}
