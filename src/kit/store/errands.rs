//! What devices are told to do.

use super::support::*;
use crate::store::{DeviceNo, Store};

const PHONE: DeviceNo = DeviceNo(1);

pub(super) fn errand_rows(store: &dyn Store) -> Outcome {
    let (ann, bob) = (account(store, "ann")?, account(store, "bob")?);
    let put = |account, device, no, content: &[u8]| write(store, account, |tx| tx.put_errand(device, no, content));
    let seen = |account, device, from, limit| read(store, account, |tx| tx.errands(device, from, limit));
    same("none yet", seen(ann, PHONE, i64::MIN, 9)?, Vec::new())?;
    for (no, content) in [(2, &b"two"[..]), (0, b""), (i64::MAX, b"last"), (1, b"one"), (1, &[0, 255])] {
        put(ann, PHONE, no, content)?;
    }
    put(ann, DeviceNo(2), 1, b"another device's")?;
    put(bob, PHONE, 1, b"another account's")?;
    let all = [(0, vec![]), (1, vec![0, 255]), (2, b"two".to_vec()), (i64::MAX, b"last".to_vec())];
    same("by number, as put last", seen(ann, PHONE, 0, usize::MAX)?, all.to_vec())?;
    same("a page", seen(ann, PHONE, 1, 2)?, all[1..3].to_vec())?;
    same("another device's", seen(ann, DeviceNo(2), 0, 9)?, vec![(1, b"another device's".to_vec())])?;
    same("another account's", seen(bob, PHONE, 0, 9)?, vec![(1, b"another account's".to_vec())])?;
    write(store, ann, |tx| tx.drop_errands(PHONE))?;
    same("none any more", seen(ann, PHONE, i64::MIN, 9)?, Vec::new())?;
    same("another device's stay", seen(ann, DeviceNo(2), 0, 9)?.len(), 1)?;
    same("another account's stay", seen(bob, PHONE, 0, 9)?.len(), 1)
}
