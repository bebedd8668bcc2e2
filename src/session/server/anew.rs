//! A sync that begins where its session should go on.

use super::init::{asks_to_sync, find_datastore};
use crate::message::{Alert, Command, Message};
use crate::session::profile::Manners;
use crate::session::state::{Package, State};

/// Whether a message that could be its session's next, but knows it by its ids only, is package 1 of another sync.
///
/// A client that is installed anew begins with the SessionIDs of before, and counts its MsgIDs on while it is not let in
/// (§5.3); so it may hit just what an open session of its last life waits for. Where changes were said, an Alert for a sync
/// has no place (§3.1), and the session was not finished by who sends it. But package 1 that comes again because package 2
/// was lost goes on with it, and so does an Alert that is repeated beside the changes of its own sync.
pub(super) fn begins_anew(message: &Message<'_>, state: &State, manners: &Manners) -> bool {
    let brings_changes = message.body.iter().any(|command| matches!(command, Command::Sync(_)));
    let out_of_place = |alert: &Alert<'_>| match state.package {
        Package::Init => false,
        Package::Changes if brings_changes => is_of_another_sync(alert, state),
        Package::Changes => state.stores.iter().any(|store| store.sync_seen),
        // Who only looked in has nothing to lose.
        Package::Settling | Package::Sending | Package::Confirming | Package::Over => !state.stores.is_empty(),
    };
    message.body.iter().any(|command| match command {
        Command::Alert(alert) => asks_to_sync(alert, manners, state.version) && out_of_place(alert),
        _ => false,
    })
}

/// Whether an Alert names a book of the session under another Next anchor than the one that it was alerted with.
fn is_of_another_sync(alert: &Alert<'_>, state: &State) -> bool {
    let Some(item) = alert.items.first() else { return false };
    let next = item.meta.as_ref().and_then(|meta| meta.anchor.as_ref()).map(|anchor| &*anchor.next);
    let book = find_datastore(item).map(|(_, book, _)| book);
    let known = state.stores.iter().find(|store| Some(store.book) == book);
    known.is_some_and(|store| store.peer_next.as_deref() != next)
}

#[cfg(test)]
mod tests {
    use super::begins_anew;
    use crate::message::{
        Alert, AlertCode, Anchor, CmdId, Command, Header, Item, Location, Message, Meta, MsgId, SessionId, Sync,
        Version,
    };
    use crate::session::profile::Manners;
    use crate::session::state::{Package, State, StoreState};
    use crate::store::BookNo;
    use crate::sync::{Role, SyncType};

    fn alert(code: u16, next: &str) -> Command<'static> {
        let anchor = Anchor { last: None, next: next.to_owned().into() };
        let item = Item {
            target: Some(Location::new("contacts")),
            meta: Some(Meta { anchor: Some(anchor), ..Meta::default() }),
            ..Item::default()
        };
        Command::Alert(Alert {
            cmd_id: CmdId::from(1),
            no_resp: false,
            cred: None,
            code: Some(AlertCode(code)),
            correlator: None,
            items: vec![item],
        })
    }

    fn changes() -> Command<'static> {
        Command::Sync(Sync {
            cmd_id: CmdId::from(2),
            no_resp: false,
            cred: None,
            target: Some(Location::new("contacts")),
            source: None,
            meta: None,
            number_of_changes: None,
            commands: Vec::new(),
        })
    }

    /// A session of contacts under the anchor "2", as far as it has come; what comes, and whether it is another sync.
    #[test]
    fn a_sync_out_of_place_is_another() {
        use Package::{Changes, Confirming, Init, Over, Sending, Settling};
        let slow = || alert(201, "2");
        let other = || alert(201, "9");
        let next_message = || alert(222, "2");
        let with_changes = |alert| vec![alert, changes()];
        for (package, said, body, anew) in [
            (Init, false, vec![slow()], false),
            // Package 2 was lost.
            (Changes, false, vec![slow()], false),
            (Changes, false, vec![other()], false),
            (Changes, true, vec![slow()], true),
            (Changes, true, vec![alert(200, "9")], true),
            (Changes, true, vec![alert(225, "9")], true),
            (Changes, true, vec![next_message()], false),
            // An Alert that comes with every message of package 3, and one with all of it.
            (Changes, false, with_changes(slow()), false),
            (Changes, true, with_changes(slow()), false),
            (Changes, false, with_changes(other()), true),
            (Changes, true, with_changes(other()), true),
            (Settling, true, vec![slow()], true),
            (Sending, true, vec![slow()], true),
            (Sending, true, vec![next_message()], false),
            (Confirming, true, vec![slow()], true),
            (Confirming, true, with_changes(slow()), true),
            (Confirming, true, Vec::new(), false),
            (Over, true, vec![slow()], true),
        ] {
            let peer = ("phone".to_owned(), None);
            let mut state = State::new(Role::Server, Version::V12, peer, "http://h/syncml".to_owned());
            let mut store = StoreState::new(BookNo::CONTACTS, SyncType::TwoWay, 1);
            (store.sync_seen, store.peer_next) = (said, Some("2".to_owned()));
            (state.package, state.stores) = (package, vec![store]);
            let (target, source) = (Location::new("http://h/syncml"), Location::new("phone"));
            let header = Header::new(Version::V12, SessionId::from("1"), MsgId(3), target, source);
            let message = Message { header, body, last: true };
            let what = format!("{package:?}, changes said: {said}, {:?}", message.body);
            assert_eq!(begins_anew(&message, &state, &Manners::default()), anew, "{what}");
            state.stores.clear();
            assert!(!begins_anew(&message, &state, &Manners::default()), "nothing to lose: {what}");
        }
    }
}
