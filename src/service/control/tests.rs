//! The server's side against a store in memory.

use super::ledger::answered;
use super::*;
use crate::auth::{Secret, Verifier};
use crate::message::{StatusCode, Timestamp};
use crate::service::device::forget;
use crate::store::audit::AuditRow;
use crate::store::memory::MemoryStore;
use crate::store::{AccountNo, DeviceRow, Store, Verdict};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const PHONE: &str = "phone";
const HIS: &str = "login of account 1";

/// Ada's phone and Bob, who has none.
fn world() -> (MemoryStore, AccountNo, AccountNo) {
    let store = MemoryStore::new([1; 32]);
    let [ada, bob] = ["ada", "bob"].map(|name| {
        let secret = Secret::new(name.to_owned());
        store.directory().put_login(name, &Verifier::md5(name, &secret)).unwrap()
    });
    let phone = DeviceRow::new(PHONE, NOW);
    store.step(ada, &mut |tx| tx.put_device(&phone).map(|_| Verdict::Commit)).unwrap();
    (store, ada, bob)
}

fn options(random: u8) -> Options {
    Options { actor: HIS.into(), ..Options::new([random; 32]) }
}

fn audited(store: &MemoryStore) -> Vec<AuditRow> {
    store.directory().audit((Timestamp(0), 0), 99).unwrap()
}

#[test]
fn a_device_is_enrolled_when_its_key_is_handed_out() {
    let (store, ada, bob) = world();
    let overview = |account| overview(&store, account, PHONE, NOW);
    assert_eq!(overview(ada).unwrap(), Overview::default());
    assert!(matches!(overview(bob), Err(ControlError::NoDevice(_))));
    issue(&store, ada, PHONE, Task::Stop, &options(1), NOW).unwrap();
    assert_eq!((overview(ada).unwrap().enrolled, overview(ada).unwrap().orders.len()), (None, 1), "nobody has the key");
    let key = |random, anew| enrol(&store, ada, PHONE, [random; 32], anew, HIS, NOW).unwrap().to_text();
    let first = key(2, false);
    assert_eq!(first.expose(), DeviceKey::new(PHONE, [1; 32]).to_text().expose());
    assert_eq!(overview(ada).unwrap().enrolled, Some(NOW));
    assert_eq!(key(3, false).expose(), first.expose());
    assert_ne!(key(3, true).expose(), first.expose());
    assert!(matches!(enrol(&store, bob, PHONE, [4; 32], true, HIS, NOW), Err(ControlError::NoDevice(_))));
}

#[test]
fn the_audit_says_who_ordered() {
    let (store, ada, bob) = world();
    let number = issue(&store, ada, PHONE, Task::Stop, &options(1), NOW).unwrap();
    enrol(&store, ada, PHONE, [1; 32], false, HIS, NOW).unwrap();
    assert!(matches!(cancel(&store, bob, PHONE, number, HIS, NOW), Err(ControlError::NoDevice(_))));
    assert!(matches!(cancel(&store, ada, PHONE, 0, HIS, NOW), Err(ControlError::NoOrder(0))));
    cancel(&store, ada, PHONE, number, HIS, NOW).unwrap();
    assert!(matches!(cancel(&store, ada, PHONE, number, HIS, NOW), Err(ControlError::TooLate(..))));
    let number = issue(&store, ada, PHONE, Task::Stop, &options(1), NOW).unwrap();
    carry(&store, ada, PHONE, number, HIS, NOW).unwrap();
    let rows = audited(&store);
    let controls: Vec<_> = rows.iter().filter(|row| row.action.starts_with("control.")).collect();
    assert_eq!(controls.len(), 5);
    assert!(controls.iter().all(|row| row.actor == HIS), "{controls:?}");
}

#[test]
fn only_so_many_orders_wait() {
    let (store, ada, _) = world();
    let order = |at| issue(&store, ada, PHONE, Task::Clear { keep: true }, &options(1), at);
    for number in 1..=8 {
        assert_eq!(order(NOW).unwrap(), number);
    }
    assert!(matches!(order(NOW), Err(ControlError::TooMany)));
    // What has expired waits no more.
    assert_eq!(order(NOW.plus_seconds(7 * 86_400)).unwrap(), 9);
    let states = list(&store, ada, PHONE, NOW.plus_seconds(7 * 86_400)).unwrap();
    assert_eq!(states.iter().filter(|order| order.state == OrderState::Expired).count(), 8);
}

#[test]
fn a_forgotten_device_has_neither_key_nor_orders() {
    let (store, ada, _) = world();
    issue(&store, ada, PHONE, Task::Stop, &options(1), NOW).unwrap();
    enrol(&store, ada, PHONE, [1; 32], false, HIS, NOW).unwrap();
    forget(&store, ada, PHONE).unwrap();
    assert_eq!(overview(&store, ada, PHONE, NOW).unwrap(), Overview::default());
    let anew = enrol(&store, ada, PHONE, [2; 32], false, HIS, NOW).unwrap();
    assert_eq!(anew.to_text().expose(), DeviceKey::new(PHONE, [2; 32]).to_text().expose());
}

#[test]
fn a_status_decides_what_becomes_of_an_order() {
    use OrderState::{Cancelled, Refused, Taken, Told, Waiting};
    let waiting = Waiting { code: None };
    for (state, code, expected) in [
        (&Told, StatusCode::ACCEPTED, Taken),
        (&waiting, StatusCode::OK, Taken),
        (&Told, StatusCode::ALREADY_EXISTS, Taken),
        (&Told, StatusCode::RETRY_LATER, Waiting { code: Some(417) }),
        (&Told, StatusCode::CONFLICT, Waiting { code: Some(409) }),
        (&Told, StatusCode(501), Refused { code: 501 }),
        (&Told, StatusCode::FORBIDDEN, Refused { code: 403 }),
        (&Cancelled, StatusCode::OK, Cancelled),
        (&Taken, StatusCode(501), Taken),
    ] {
        assert_eq!(answered(state, code), expected, "{state:?} {code:?}");
    }
}
