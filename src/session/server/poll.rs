//! Answering "has anything changed for me?" (see [`changes`](crate::session::changes)).

use super::attempt::{device_of, unavailable};
use super::prove::{Claim, Denied};
use super::step::Step;
use super::{Admission, Asked, Refusal, Reply, Server, refusal, unanswerable};
use crate::auth::{Presented, Proof, Scheme, verify};
use crate::codec::{EncodeError, Limits, decode};
use crate::message::{Chal, CmdId, Command, Data, Get, Item, Location, Message, Meta, Results, StatusCode};
use crate::session::changes::{MEDIA_TYPE, Question, URI};
use crate::session::datastore::{DATASTORES, address};
use crate::session::outbox::{Outbox, Queued};
use crate::store::audit::NO_ACCOUNT;
use crate::store::{AccountNo, BookNo, DeviceRow, Dirty, Phase, Result as StoreResult, Tx, Verdict};

/// A question is a small message; a larger one is not even looked at twice.
const MAX_QUESTION: usize = 4096;

/// Books told in one answer at most.
const PAGE: usize = 500;

impl Server {
    /// Answers a message that asks for changes and nothing else; `None` for all others, and where the credential does
    /// not let anybody in: then the usual way refuses it.
    pub(super) fn poll(
        &self,
        asked: &Asked<'_>,
        limits: &Limits,
        claim: &Claim<'_>,
    ) -> Result<Option<Admission>, Refusal> {
        let body = asked.request.body;
        if body.len() > MAX_QUESTION || !body.windows(7).any(|window| window == b"changes") {
            return Ok(None);
        }
        let Ok(message) = decode(body, asked.encoding, limits) else { return Ok(None) };
        let Some((get, question)) = only_question(&message) else { return Ok(None) };
        match question {
            Question::Account => self.poll_account(asked, claim, get),
            Question::All(after) => self.poll_all(asked, claim, get, after),
        }
    }

    fn poll_account(&self, asked: &Asked<'_>, claim: &Claim<'_>, get: &Get<'_>) -> Result<Option<Admission>, Refusal> {
        let Some(account) = claim.account else { return Ok(None) };
        let mut outcome = None;
        let locked = |book| self.is_locked(account, &asked.header.source.uri, book);
        let ask = |tx: &mut dyn Tx, keep: bool, outcome: &mut Option<Result<Reply, Denied>>| -> StoreResult<Verdict> {
            let (mut device, chal) = match self.prove(asked, claim, account, device_of(tx, asked)?) {
                Ok(proven) => proven,
                Err(denied) => {
                    *outcome = Some(Err(denied));
                    return Ok(Verdict::Rollback);
                }
            };
            let items = items_of(tx, &device, &locked)?;
            if keep && !self.keep_device(tx, asked, &mut device)? {
                // The usual way refuses it.
                *outcome = None;
                return Ok(Verdict::Rollback);
            }
            // A nonce is handed out only with the count that makes it good.
            let reply = answer(asked, chal.filter(|_| keep), get, |_| items.clone(), 1);
            let mut reply = reply.map_err(crate::session::turn::broken)?;
            reply.mac = self.sign(asked, claim, account, &reply.body);
            *outcome = Some(Ok(reply));
            Ok(Verdict::Commit)
        };
        // Whoever cannot prove himself waits for no writer, and whoever used up no nonce needs none.
        self.store.look(account, &mut |tx| ask(tx, false, &mut outcome).map(drop)).map_err(unavailable)?;
        if matches!(outcome, Some(Ok(_))) {
            self.is_in_time(asked, account)?;
        }
        if claim.presented.scheme().wants_nonce() && matches!(outcome, Some(Ok(_))) {
            self.step(account, &mut |tx| ask(tx, true, &mut outcome))?;
        }
        match outcome {
            Some(Ok(reply)) => Ok(Some(Admission::Reply(reply))),
            Some(Err(denied)) => self.demand(asked, denied).map(Some),
            None => Ok(None),
        }
    }

    fn poll_all(
        &self,
        asked: &Asked<'_>,
        claim: &Claim<'_>,
        get: &Get<'_>,
        after: (AccountNo, BookNo),
    ) -> Result<Option<Admission>, Refusal> {
        let Presented::Device { device_id, .. } = &claim.presented else { return Ok(None) };
        let scheme: Scheme = claim.presented.scheme();
        let proven = verify(&claim.presented, &claim.verifiers, &[]) == Some(Proof::Static);
        if !proven || !self.policy().accepts(scheme, asked.transport()) {
            return Ok(None);
        }
        self.is_in_time(asked, NO_ACCOUNT)?;
        let found = self.store.directory().dirty(device_id, after, PAGE).map_err(unavailable)?;
        let full = found.len() == PAGE;
        let items = |count: usize| {
            let told = &found[..count];
            let open = |dirty: &&Dirty| !self.is_locked(dirty.account, device_id, dirty.book);
            let mut items: Vec<_> = told.iter().filter(open).filter_map(item_of).collect();
            if (full || count < found.len())
                && let Some(last) = told.last()
            {
                let next = Question::All((last.account, last.book)).uri();
                items.push(Item { source: Some(Location::new(next)), ..Item::default() });
            }
            items
        };
        let reply = answer(asked, None, get, items, found.len()).map_err(|error| unanswerable(&error))?;
        Ok(Some(Admission::Reply(reply)))
    }
}

impl Step<'_, '_> {
    /// Answers questions that came in a session, for its account. They are told what was so before this message.
    pub(super) fn write_news(&mut self, tx: &mut dyn Tx, outbox: &mut Outbox) -> StoreResult<()> {
        while let Some((msg_ref, cmd_ref)) = self.state.owed_news.first().cloned() {
            let items = items_of(tx, &self.device, &|book| self.is_locked(book))?;
            let results = |cmd_id| Results {
                cmd_id,
                msg_ref: Some(msg_ref.into()),
                cmd_ref: CmdId::from(cmd_ref),
                meta: Some(Meta::of_type(MEDIA_TYPE)),
                target_ref: None,
                source_ref: Some(URI.into()),
                items,
            };
            let written = outbox.command(|cmd_id| Command::Results(results(cmd_id)));
            if written.map_err(crate::session::turn::broken)?.is_none() {
                break;
            }
            self.state.owed_news.remove(0);
        }
        Ok(())
    }

    /// Notes that the device has all there is of a book whose sync ended cleanly, if nothing changed meanwhile.
    pub(super) fn clear_news(&self, tx: &mut dyn Tx) -> StoreResult<()> {
        for store in self.state.stores.iter().filter(|store| store.clean) {
            let head = self.turn.rows.get(&store.book).map(|row| row.head);
            let cursor = self.turn.pairs.get(&store.book).map(|pair| pair.cursor);
            if head <= cursor {
                tx.clear_dirty(&self.device.device_id, store.book)?;
            }
        }
        Ok(())
    }
}

/// The Get of a message that has nothing else, Statuses aside, and what it asks.
fn only_question<'m, 'a>(message: &'m Message<'a>) -> Option<(&'m Get<'a>, Question)> {
    let mut commands = message.body.iter().filter(|command| !matches!(command, Command::Status(_)));
    let (Some(Command::Get(get)), None) = (commands.next(), commands.next()) else { return None };
    match &*get.items {
        [item] => Some((get, Question::of_uri(&item.target.as_ref()?.uri)?)),
        _ => None,
    }
}

/// An Item for each book that is not locked: their rows, and a pair read by key for each.
fn items_of(tx: &mut dyn Tx, device: &DeviceRow, locked: &dyn Fn(BookNo) -> bool) -> StoreResult<Vec<Item<'static>>> {
    let rows = tx.books()?;
    // Of books with a name, those that the device is in step with: others are other devices'.
    let named = rows.iter().map(|row| row.book).filter(|book| book.is_named());
    let books: Vec<BookNo> = DATASTORES.iter().map(|datastore| datastore.book).chain(named).collect();
    let mut items = Vec::with_capacity(books.len());
    for book in books.into_iter().filter(|book| !locked(*book)) {
        let head = rows.iter().find(|row| row.book == book).map_or(0, |row| row.head.0);
        let pair = if head > 0 { tx.pair(device.device, book)? } else { None };
        if book.is_named() && pair.is_none() {
            continue;
        }
        let news = head > 0 && pair.is_none_or(|pair| pair.phase != Phase::Idle || head > pair.cursor.0);
        items.push(Item {
            source: address(book).map(Location::new),
            data: Some(Data::text(if news { "1" } else { "0" })),
            ..Item::default()
        });
    }
    Ok(items)
}

fn item_of(dirty: &Dirty) -> Option<Item<'static>> {
    Some(Item {
        source: Some(Location::named(address(dirty.book)?, dirty.name.clone())),
        data: Some(Data::text("1")),
        ..Item::default()
    })
}

/// The answer with as many items as fit: all of `count`, else half of them, and so on.
fn answer(
    asked: &Asked<'_>,
    mut chal: Option<Chal<'static>>,
    get: &Get<'_>,
    items: impl Fn(usize) -> Vec<Item<'static>>,
    mut count: usize,
) -> Result<Reply, EncodeError> {
    let request = asked.header;
    let mut outbox = refusal::begin(asked)?;
    let msg_ref = request.msg_id.to_string();
    let (target, source) = (&request.target.uri, &request.source.uri);
    outbox.header_status(&msg_ref, target, source, StatusCode::OK, chal.take(), None)?;
    if !get.no_resp && !request.no_resp {
        let queued = Queued::new(&msg_ref, get.cmd_id.as_str(), "Get", StatusCode::OK);
        outbox.status(get.items.iter().fold(queued, |queued, item| queued.about(item)))?;
    }
    loop {
        let items = items(count);
        let written = items.is_empty()
            || outbox
                .command(|cmd_id| {
                    Command::Results(Results {
                        cmd_id,
                        msg_ref: Some(msg_ref.as_str().into()),
                        cmd_ref: CmdId::from(get.cmd_id.as_str()),
                        meta: Some(Meta::of_type(MEDIA_TYPE)),
                        target_ref: None,
                        source_ref: get.items[0].target.as_ref().map(|target| target.uri.clone()),
                        items,
                    })
                })?
                .is_some();
        if written || count <= 1 {
            break;
        }
        count /= 2;
    }
    Ok(Reply { content_type: asked.encoding.media_type(), body: outbox.finish(true), mac: None, report: None })
}
