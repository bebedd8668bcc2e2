//! All or nothing, and to each account its own.

use super::support::*;
use crate::message::Op;
use crate::store::{
    AccountNo, BookNo, DeviceNo, DeviceRow, Direction, Guid, OutgoingRow, Revision, SessionKey, Store, StoreError,
    Token, Tx, Verdict,
};

fn seen(store: &dyn Store, account: AccountNo) -> Outcome<String> {
    Ok(read(store, account, dump)?)
}

/// An account in which every table is filled, and what is seen of it.
fn filled(store: &dyn Store, name: &str) -> Outcome<(AccountNo, String)> {
    let account = account(store, name)?;
    let before = seen(store, account)?;
    write(store, account, fill)?;
    let after = seen(store, account)?;
    holds("what was filled is seen", before != after)?;
    Ok((account, after))
}

/// Fails with the first lines that differ.
fn unchanged(what: &str, found: &str, wanted: &str) -> Outcome {
    let differs = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    differs.map_or(Ok(()), |(found, wanted)| same(what, found, wanted))
}

/// What was seen, without the lines that hold stamps and sequence numbers: they may differ between accounts.
fn alike(seen: &str) -> String {
    let own = ["book: ", "staged: ", "statuses: "];
    seen.lines().filter(|line| !own.iter().any(|own| line.starts_with(own))).collect::<Vec<_>>().join("\n")
}

pub(super) fn rolled_back(store: &dyn Store) -> Outcome {
    let (ann, before) = filled(store, "ann")?;
    let inside = read(store, ann, |tx| disturb(tx).and_then(|()| dump(tx)))?;
    holds("the step saw what it did", inside != before)?;
    unchanged("after the rollback", &seen(store, ann)?, &before)?;
    let bob = account(store, "bob")?;
    let empty = seen(store, bob)?;
    read(store, bob, fill)?;
    unchanged("an empty account after a rollback", &seen(store, bob)?, &empty)?;
    write(store, ann, disturb)?;
    holds("the same step committed is seen", seen(store, ann)? != before)
}

pub(super) fn looked_at(store: &dyn Store) -> Outcome {
    let (ann, before) = filled(store, "ann")?;
    let look = |work: &dyn Fn(&mut dyn Tx) -> crate::store::Result<String>| {
        let mut seen = String::new();
        let answer = store.look(ann, &mut |tx| {
            seen = work(tx)?;
            Ok(())
        });
        answer.map(|()| seen)
    };
    unchanged("what is committed", &look(&dump)?, &before)?;
    // Whether writing is refused or forgotten is the store's choice.
    let _ = look(&|tx| fill(tx).and_then(|()| dump(tx)));
    unchanged("after a look that wrote", &seen(store, ann)?, &before)?;
    let failure = look(&|_| Err(StoreError::NotFound("the look's own".to_owned())));
    holds("it answers its work's own failure", matches!(failure, Err(StoreError::NotFound(_))))?;
    write(store, ann, disturb)?;
    unchanged("after a step", &look(&dump)?, &seen(store, ann)?)
}

pub(super) fn failed(store: &dyn Store) -> Outcome {
    let (ann, before) = filled(store, "ann")?;
    let answer = store.step(ann, &mut |tx| {
        disturb(tx)?;
        Err(StoreError::NotFound("reason to go on".to_owned()))
    });
    let reason = matches!(&answer, Err(StoreError::NotFound(reason)) if reason == "reason to go on");
    holds("the step answers its work's own failure", reason)?;
    unchanged("after a failure of the work", &seen(store, ann)?, &before)?;
    let answer = store.step(ann, &mut |tx| {
        disturb(tx)?;
        // A contradiction, made light of.
        let known = item(tx, BOOK, Guid(1))?;
        let unlocked = tx.insert_items(BookNo(6), &[known]);
        holds("written without a lock", unlocked.is_err()).map_err(|failure| StoreError::Failed(failure.0))?;
        Ok(Verdict::Commit)
    });
    refused("committing past a failed call", answer)?;
    unchanged("after a failed call", &seen(store, ann)?, &before)?;
    write(store, ann, disturb)?;
    holds("the account can still be written", seen(store, ann)? != before)
}

pub(super) fn own_changes(store: &dyn Store) -> Outcome {
    let ann = account(store, "ann")?;
    let look = |tx: &mut dyn Tx| dump(tx);
    let inside = write(store, ann, |tx| {
        fill(tx)?;
        look(tx)
    })?;
    unchanged("seen after the commit", &seen(store, ann)?, &inside)?;
    let inside = write(store, ann, |tx| {
        disturb(tx)?;
        look(tx)
    })?;
    unchanged("seen after the second commit", &seen(store, ann)?, &inside)
}

pub(super) fn accounts_apart(store: &dyn Store) -> Outcome {
    let (bob, eve) = (account(store, "bob")?, account(store, "eve")?);
    let nothing = seen(store, eve)?;
    let (ann, anns) = filled(store, "ann")?;
    unchanged("another account sees nothing", &seen(store, bob)?, &nothing)?;
    // Every method that writes, from another account with Ann's ids.
    let (staged, statuses) = read(store, ann, |tx| {
        let staged = tx.staged(DeviceNo(1), BOOK, 0, 9)?.iter().map(|row| row.seq).collect::<Vec<_>>();
        Ok((staged, tx.queued_statuses(&Token([1; 16]), 9)?.last().map_or(i64::MAX, |(seq, _)| *seq)))
    })?;
    let gone = write(store, bob, |tx| {
        let rivals = tx.drop_rival_sessions(DeviceNo(1), &[BOOK], &Token([9; 16]))?;
        let expired = tx.expire_sessions(crate::message::Timestamp(i64::MAX))?;
        tx.drop_statuses(&Token([1; 16]), statuses)?;
        tx.carry_maps(DeviceNo(1), BOOK, 2, 1)?;
        tx.drop_maps(DeviceNo(1), BOOK, 9)?;
        tx.drop_outgoing(DeviceNo(1), BOOK, &[Guid(1)])?;
        tx.clear_outgoing(DeviceNo(1), BOOK)?;
        tx.drop_staged(DeviceNo(1), BOOK, &staged)?;
        tx.unstage(DeviceNo(1), BOOK, 2, &["1", "9"])?;
        tx.drop_partial(DeviceNo(1), BOOK, Direction::In)?;
        tx.drop_errands(DeviceNo(1))?;
        Ok((rivals, expired))
    })?;
    same("sessions superseded and expired in an account without any", gone, (0, 0))?;
    unchanged("after another account removed with its ids", &seen(store, ann)?, &anns)?;
    unchanged("and that account has nothing still", &seen(store, bob)?, &nothing)?;
    let device = DeviceRow { device: DeviceNo(1), ..device_row("phone") };
    refused("updating another account's device", write(store, bob, |tx| tx.put_device(&device)))?;
    let known = read(store, ann, |tx| item(tx, BOOK, Guid(1)))?;
    let update = write(store, bob, |tx| {
        tx.lock_books(&[BOOK]).and_then(|_| tx.update_items(BOOK, std::slice::from_ref(&known)))
    });
    refused("updating another account's item", update)?;
    // The same ids side by side: the other account lives its own life with them, and it is the same life.
    write(store, bob, fill)?;
    unchanged("the same done in another account", &alike(&seen(store, bob)?), &alike(&anns))?;
    write(store, bob, |tx| {
        let changed = OutgoingRow { op: Op::Delete, ..outgoing_row(1, 1, Some((1, 2))) };
        tx.put_outgoing(DeviceNo(1), BOOK, &[changed])?;
        tx.stage(DeviceNo(1), BOOK, &[staged_change(2, "1", Op::Add, "bob's")])
    })?;
    write(store, bob, disturb)?;
    for content in ["xyz", "eins"] {
        write(store, bob, |tx| replace(tx, BOOK, Guid(1), content))?;
    }
    let keys = [b'x', b'z', b'e'].map(u64::from);
    let found = read(store, bob, |tx| tx.by_match_key(BOOK, &keys, 9))?;
    same("its items by match key", found, vec![vec![], vec![], vec![Guid(1)]])?;
    unchanged("after another account used the same ids", &seen(store, ann)?, &anns)?;
    unchanged("a third account", &seen(store, eve)?, &nothing)?;
    let token = read(store, eve, |tx| tx.session(SessionKey::Token(&Token([1; 16]))))?;
    same("another's session token", token, None)?;
    indexes_apart(store, ann, bob)?;
    pages_apart(store, ann, bob)?;
    staged_apart(store, ann, bob)?;
    let stamps = [ann, bob].map(|account| read(store, account, |tx| tx.book(BOOK)).map(|row| row.map(|row| row.stamp)));
    let [Ok(anns), Ok(bobs)] = stamps else { return holds("both books can be read", false) };
    holds("books of two accounts have different stamps", anns != bobs)
}

/// Indexing one account's book does nothing to another's of the same number.
fn indexes_apart(store: &dyn Store, ann: AccountNo, bob: AccountNo) -> Outcome {
    let book = BookNo(3);
    write(store, ann, |tx| add(tx, book, &["one", "two"]))?;
    write(store, bob, |tx| add(tx, book, &["ab"]))?;
    let indexed = write(store, bob, |tx| tx.lock_books(&[book]).and_then(|_| tx.index_more(book, 1)))?;
    same("the one book is indexed", indexed, true)?;
    let row = read(store, ann, |tx| tx.book(book))?;
    same("the other is", row.map(|row| row.indexed), Some(false))?;
    let keys = [b'o', b't', b'a'].map(u64::from);
    let found = read(store, bob, |tx| tx.by_match_key(book, &keys, 9))?;
    same("found by keys of both", found, vec![vec![], vec![], vec![Guid(1)]])
}

/// What one account staged later does not take the place of what another staged earlier.
fn staged_apart(store: &dyn Store, ann: AccountNo, bob: AccountNo) -> Outcome {
    let book = BookNo(6);
    for account in [bob, ann] {
        write(store, account, |tx| tx.stage(DeviceNo(1), book, &[staged_change(1, "x", Op::Add, "one")]))?;
    }
    for account in [ann, bob] {
        let staged = read(store, account, |tx| tx.staged(DeviceNo(1), book, 0, 9))?;
        let staged = staged.into_iter().map(|row| row.change).collect();
        same("staged in each account", staged, vec![staged_change(1, "x", Op::Add, "one")])?;
    }
    Ok(())
}

/// Pages of one account's changes do not depend on what another changed.
fn pages_apart(store: &dyn Store, ann: AccountNo, bob: AccountNo) -> Outcome {
    let book = BookNo(5);
    write(store, ann, |tx| {
        add(tx, book, &["one", "two"])?;
        replace(tx, book, Guid(1), "uno")?;
        replace(tx, book, Guid(2), "due")
    })?;
    write(store, bob, |tx| {
        add(tx, book, &["one"])?;
        for content in ["uno", "eins", "un"] {
            replace(tx, book, Guid(1), content)?;
        }
        add(tx, book, &["two", "three"])
    })?;
    let page = read(store, bob, |tx| tx.changes(book, Revision(2), ALL, 2))?;
    same("a page", page.iter().map(|item| item.revision.0).collect(), vec![4, 5])
}
