//! Package 1: how each book is synced, what this end is, and its Alerts (§3.1, §3.3).

use super::ClientBook;
use super::book::book_cred;
use super::step::Step;
use crate::contact::lens::Dimension;
use crate::message::{Alert, AlertCode, Command, Cred, Data, Filter, Get, Item, Location, Message, Meta, Put, Version};
use crate::session::datastore::{self, Datastore};
use crate::session::devinf;
use crate::session::dimensions;
use crate::session::large::{give_up, resume};
use crate::session::outbox::Outbox;
use crate::session::state::StoreState;
use crate::session::turn::{broken, fold_open_epoch};
use crate::store::{BookNo, Phase, Result, Tx};
use crate::sync::filter::GRAMMAR;
use crate::sync::{Role, SyncType, next_anchor};

impl Step<'_> {
    /// Chooses how each book is synced, from its anchors and what was asked for.
    pub(super) fn open_books(&mut self, tx: &mut dyn Tx) -> Result<()> {
        self.turn.lock(tx, self.config.books.iter().map(|book| book.book))?;
        for book in &self.config.books {
            let (head, live, purged) = self
                .turn
                .rows
                .get(&book.book)
                .map_or_else(Default::default, |row| (row.head, row.live_items, row.purged_upto));
            let Some(pair) = self.turn.pairs.get_mut(&book.book) else { continue };
            let asked = SyncType::from_alert(book.mode).unwrap_or(SyncType::TwoWay);
            // A slow sync that broke off goes on where it was; any other costs nothing to begin anew.
            let slow = pair.phase != Phase::Idle && pair.sync_type == AlertCode::SLOW.0;
            let resuming = slow && asked.full() == SyncType::Slow && self.state.version == Version::V12;
            if !resuming {
                fold_open_epoch(tx, pair)?;
            }
            // Without an anchor there is nothing to count changes from: the first sync compares everything. A one-way sync
            // is left to the server to escalate: asking for a refresh would ask for deletes.
            // So does one after a time longer than history is kept here.
            let first = (pair.own_next.is_none() || pair.cursor < purged) && asked == SyncType::TwoWay;
            let sync = if first || resuming { SyncType::Slow } else { asked };
            let mut store = StoreState::new(book.book, sync, pair.epoch);
            store.asked = asked;
            store.resuming = resuming;
            match resuming {
                true => resume(tx, self.turn.device, &mut store)?,
                false => give_up(tx, self.turn.device, &mut store)?,
            }
            store.first = pair.own_next.is_none();
            store.start_head = head;
            store.start_live = live;
            store.here.clone_from(&book.local_uri);
            store.there.clone_from(&book.remote_uri);
            if let Some(wanted) = &book.filter {
                store.filter = wanted.for_book(book.book, self.state.version).ok().flatten();
                // Before 1.2 the address says it (TAF).
                if let Some(record) = wanted.record.as_deref().filter(|_| self.state.version != Version::V12) {
                    store.there = format!("{}?{record}", store.there);
                }
            }
            store.reason = (sync != asked).then(|| "this book never synced with this server".to_owned());
            store.own_last.clone_from(&pair.own_next);
            store.own_next = next_anchor(self.now, store.own_last.as_deref());
            pair.sync_type = sync.alert().0;
            pair.start_head = head;
            self.state.stores.push(store);
        }
        Ok(())
    }

    /// Package 1: alerts and device information. Also repeated, whole, when the server asks for a credential.
    pub(super) fn initialise(&mut self, tx: &mut dyn Tx, challenge: Option<&Message<'_>>) -> Result<Vec<u8>> {
        let header = self.header();
        let mut outbox = self.outbox(&header)?;
        match challenge {
            Some(challenge) => self.write_header_status(&mut outbox, challenge)?,
            // Once only: the challenge may have the number of package 0.
            None => self.answer_call(&mut outbox)?,
        }
        let first_sync = self.state.stores.iter().any(|store| store.own_last.is_none());
        let version = self.state.version;
        let media_type = devinf::media_type(self.config.encoding);
        let dimensions = self.dimensions();
        if first_sync || !dimensions.is_empty() {
            let named: Vec<_> = self
                .state
                .stores
                .iter()
                .filter_map(|store| Some((store.here.clone(), datastore::by_number(store.book)?)))
                .collect();
            let (id, quota) = (&self.config.device_id, self.turn.quota);
            let mut own = devinf::own(version, id, Role::Client, quota, true, false, &named);
            dimensions::tell(&mut own, version, &dimensions);
            let item = Item {
                source: Some(Location::new(version.devinf_uri())),
                data: Some(Data::DevInf(Box::new(own))),
                ..Item::default()
            };
            outbox
                .command(|cmd_id| {
                    Command::Put(Put {
                        cmd_id,
                        no_resp: false,
                        lang: None,
                        cred: None,
                        meta: Some(Meta::of_type(media_type)),
                        items: vec![item],
                    })
                })
                .map_err(broken)?;
        }
        if self.device.devinf.is_none() {
            let item = Item { target: Some(Location::new(version.devinf_uri())), ..Item::default() };
            outbox
                .command(|cmd_id| {
                    Command::Get(Get {
                        cmd_id,
                        no_resp: false,
                        lang: None,
                        cred: None,
                        meta: Some(Meta::of_type(media_type)),
                        items: vec![item],
                    })
                })
                .map_err(broken)?;
        }
        self.write_reports(&mut outbox)?;
        self.write_alerts(&mut outbox, None)?;
        self.turn.put_pairs(tx)?;
        Ok(outbox.finish(true))
    }

    /// The books that hold some of a card only, by their addresses.
    fn dimensions(&self) -> Vec<(&str, &'static Datastore, &[Dimension])> {
        let books = self.config.books.iter().filter(|book| !book.dimensions.is_empty());
        let told = |book: &'_ ClientBook| datastore::by_number(book.book);
        books.filter_map(|book| Some((book.local_uri.as_str(), told(book)?, book.dimensions.as_slice()))).collect()
    }

    /// Our Alerts: of all books, or of some.
    pub(super) fn write_alerts(&mut self, outbox: &mut Outbox, only: Option<&[BookNo]>) -> Result<()> {
        let wanted = |store: &&mut StoreState| only.is_none_or(|only| only.contains(&store.book));
        for store in self.state.stores.iter_mut().filter(wanted) {
            let cred = book_cred(self.config, store.book, self.state.version, &self.state.trust.books);
            let anchor = outbox.anchor(store.own_last.as_deref(), &store.own_next);
            let object = self.turn.large.object_of(store.book.kind());
            let max_obj_size = Some(self.turn.manners.announced(object));
            let meta = Meta { anchor: Some(anchor), max_obj_size, ..Meta::default() };
            let item = Item {
                target: Some(Location::new(store.there.clone())),
                source: Some(Location::new(store.here.clone())),
                meta: Some(meta),
                filter: self.config.books.iter().find(|book| book.book == store.book).and_then(filter_of),
                ..Item::default()
            };
            let code = if store.resuming { AlertCode::RESUME } else { store.sync.alert() };
            let cmd = outbox.command(|cmd_id| alert(cmd_id, code, cred, item)).map_err(broken)?;
            store.alert_ref = cmd.map(|cmd| (self.msg_id, cmd));
        }
        Ok(())
    }
}

/// The filter of a book as an Alert says it; nothing before 1.2, whose messages have no room for it.
fn filter_of(book: &ClientBook) -> Option<Box<Filter<'static>>> {
    let wanted = book.filter.as_ref()?;
    let item = |media_type: &'static str, text: String| Item {
        meta: Some(Meta::of_type(media_type)),
        data: Some(Data::text(text)),
        ..Item::default()
    };
    let property = |name: &String| format!("<Property xmlns=\"syncml:devinf\"><PropName>{name}</PropName></Property>");
    let content = datastore::by_number(book.book).and_then(|datastore| datastore.types.first());
    Some(Box::new(Filter {
        meta: Meta::of_type(content.map_or("text/plain", |(media_type, _)| *media_type)),
        field: (!wanted.fields.is_empty())
            .then(|| item("application/vnd.syncml-devinf+xml", wanted.fields.iter().map(property).collect())),
        record: wanted.record.clone().map(|record| item(GRAMMAR, record)),
        filter_type: Some(wanted.filter_type.name().into()),
    }))
}

pub(super) fn alert(
    cmd_id: crate::message::CmdId<'static>,
    code: AlertCode,
    cred: Option<Cred<'static>>,
    item: Item<'static>,
) -> Command<'static> {
    Command::Alert(Alert { cmd_id, no_resp: false, cred, code: Some(code), correlator: None, items: vec![item] })
}
