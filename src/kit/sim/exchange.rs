//! Exchanges between a device and a node, and what goes wrong in them.

use super::Violation;
use super::book::cards;
use super::card::Face;
use super::rng::Rng;
use super::schedule::{Sieve, Trouble};
use super::tap::StoreFault;
use super::watch::{Watch, outline};
use super::world::{Outcome, World};
use crate::message::Timestamp;
use crate::session::{BookFilter, Client, ClientError, Outgoing, Refusal, Request};
use crate::sync::filter::FilterType;
use crate::sync::{Role, SyncType};

/// The kinds of sync that tell of deletes, now or later.
const TELLING: [&str; 3] = ["two-way", "one-way-from-client", "one-way-from-server"];

/// The kind in which a device has no word on what it deleted.
const HEARING: &str = "one-way-from-server";

/// A request that is still on its way.
pub(super) struct Packet {
    device: usize,
    /// What its session asked for.
    sync: SyncType,
    out: Outgoing,
}

/// A session.
pub(super) struct Talk {
    pub client: Client,
    /// What it asked for.
    pub sync: SyncType,
    pub watch: Watch,
    /// Nobody else did anything since it began.
    pub alone: bool,
    /// Nothing went wrong since it began.
    pub calm: bool,
}

impl World<'_> {
    pub(super) fn late(&mut self, node: usize, dice: u64) -> Outcome {
        if self.late.is_empty() {
            return Ok(());
        }
        let packet = self.late.remove(Rng::new(dice).below(self.late.len()));
        self.disturb();
        self.stir(None);
        self.stats.late += 1;
        let _ = self.post(&packet.out, node, None)?;
        self.anchors(packet.device, packet.sync, true)
    }

    pub(super) fn turn(&mut self, number: usize, node: usize, wants: (SyncType, Sieve), trouble: Trouble) -> Outcome {
        if self.devices[number].talk.is_none() && !self.begin(number, wants, trouble)? {
            return Ok(());
        }
        let rough = self.is_rough();
        let device = &mut self.devices[number];
        let Some(talk) = device.talk.as_mut() else { return Ok(()) };
        let Some(out) = talk.client.outgoing() else { return self.ended(number) };
        let sync = talk.sync;
        talk.calm &= !rough && !device.shaken && trouble == Trouble::None;
        self.stats.troubles += u64::from(trouble != Trouble::None);
        self.now = Timestamp(self.now.0 + i64::try_from(out.wait.as_millis()).unwrap_or(0));
        let encoding = device.config.encoding;
        self.log.tell(|| outline("request", &out.body, encoding));
        talk.watch.request(&out.body, encoding, self.event, &self.model).map_err(|what| Violation {
            rule: "I12",
            what,
            event: self.event,
        })?;
        if out.body.len() as u64 > self.nodes[0].server.config().max_msg_size {
            return Err(self.violation("I8", format!("a request of {} bytes", out.body.len())));
        }
        match trouble {
            Trouble::GiveUp => {
                device.talk = None;
                return Ok(());
            }
            Trouble::DropRequest => return Ok(()),
            Trouble::Hold => {
                self.late.push(Packet { device: number, sync, out });
                return Ok(());
            }
            Trouble::Copy => self.late.push(Packet { device: number, sync, out: out.clone() }),
            _ => {}
        }
        let cut = matches!(trouble, Trouble::CutRequest(_));
        let request = match trouble {
            Trouble::CutRequest(thousandths) => Outgoing { body: shortened(&out.body, thousandths), ..out },
            _ => out,
        };
        self.stir(Some(number));
        let fault = match trouble {
            Trouble::Server(fault) => Some(fault),
            _ => None,
        };
        let mut answer = self.post(&request, node, fault)?;
        if trouble == Trouble::Twice {
            let again = self.post(&request, node + 1, None)?;
            // Nodes whose clocks differ ask for other nonces, and one that has too much to do says so.
            if !rough && answer.as_ref().ok().map(|reply| &reply.1) != again.as_ref().ok().map(|reply| &reply.1) {
                return Err(self.violation("I2", "the same request has two different replies"));
            }
            answer = again;
        }
        let complete = self.devices[number].talk.as_ref().is_none_or(|talk| talk.watch.complete(sync));
        self.anchors(number, sync, complete)?;
        let (content_type, reply) = match answer {
            Ok(reply) => reply,
            Err(Refusal::Unavailable(_) | Refusal::Failed(_)) => return Ok(()),
            Err(refusal) => return self.broke_off(number, cut, &refusal),
        };
        if !cut {
            self.read_along(number, &reply)?;
        }
        match trouble {
            Trouble::DropReply => Ok(()),
            Trouble::Suspend => {
                if let Some(talk) = self.devices[number].talk.as_mut() {
                    talk.client.suspend();
                }
                self.take(number, content_type, &reply, None)
            }
            Trouble::PowerLost => {
                self.devices[number].talk = None;
                Ok(())
            }
            Trouble::CutReply(thousandths) => self.take(number, content_type, &shortened(&reply, thousandths), None),
            Trouble::Client(fault) => self.take(number, content_type, &reply, Some(fault)),
            _ => self.take(number, content_type, &reply, None),
        }
    }

    fn read_along(&mut self, number: usize, reply: &[u8]) -> Outcome {
        let event = self.event;
        let device = &mut self.devices[number];
        let Some(talk) = device.talk.as_mut() else { return Ok(()) };
        self.log.tell(|| outline("reply", reply, device.config.encoding));
        talk.watch.reply(reply, device.config.encoding, event, &self.model).map_err(|what| Violation {
            rule: "I12",
            what,
            event,
        })?;
        if reply.len() as u64 > device.config.max_msg_size {
            return Err(self.violation("I8", format!("a reply of {} bytes", reply.len())));
        }
        Ok(())
    }

    /// Begins a session; `false` when the device's store failed.
    pub(super) fn begin(&mut self, number: usize, (sync, sieve): (SyncType, Sieve), trouble: Trouble) -> Outcome<bool> {
        let (event, now) = (self.event, self.time_of(number));
        let device = &mut self.devices[number];
        let sure = std::mem::take(&mut device.sure);
        let mut config = device.config.clone();
        // Who hears only cannot ask what became of its own changes: when these were sent and not answered, a delete from
        // there may be older or younger than they are, and a card its own or not. Then it says all first.
        let sync = if sync == SyncType::OneWayFromServer && !sure { SyncType::TwoWay } else { sync };
        config.books[0].mode = sync.alert();
        config.books[0].filter = filter(sieve);
        // Only some faults of the device's store meet its first step; the others wait for the reply.
        if let Trouble::Client(fault @ StoreFault::AtCall(0..=9)) = trouble {
            device.store.arm(fault);
        }
        let begun = Client::begin(device.store.clone(), device.account, config, now);
        let fired = device.store.disarm();
        match begun {
            Ok(client) => {
                device.talk = Some(Talk { client, sync, watch: Watch::default(), alone: true, calm: true });
                device.sieve = sieve;
                device.saw_parts |= sieve == Sieve::NoNumbers;
                self.stats.sessions += 1;
                Ok(true)
            }
            Err(ClientError::Store(_)) if fired => Ok(false),
            Err(error) => Err(Violation { rule: "store", what: error.to_string(), event }),
        }
    }

    /// Posts a request; a store's failure that was not ordered is a violation.
    fn post(
        &mut self,
        out: &Outgoing,
        node: usize,
        fault: Option<StoreFault>,
    ) -> Outcome<Result<(&'static str, Vec<u8>), Refusal>> {
        self.stats.messages += 1;
        let now = Timestamp(self.now.0 + self.node(node).ahead);
        self.faults.take_work();
        if let Some(fault) = fault {
            self.faults.arm(fault);
        }
        let request = Request {
            content_type: out.content_type,
            body: &out.body,
            token: out.token(),
            mac: None,
            protected: false,
            loopback: true,
            address: None,
            now,
        };
        let answer = self.node(node).server.answer(&request);
        let fired = self.faults.disarm();
        self.work += self.faults.take_work();
        if fired {
            self.restart(node)?;
        }
        match answer {
            Err(Refusal::Unavailable(what) | Refusal::Failed(what)) if !fired => {
                Err(self.violation("store", what.to_string()))
            }
            answer => Ok(answer.map(|reply| (reply.content_type, reply.body))),
        }
    }

    fn broke_off(&mut self, number: usize, cut: bool, why: &dyn std::fmt::Display) -> Outcome {
        let calm = self.devices[number].talk.take().is_some_and(|talk| talk.calm);
        self.stats.broken += 1;
        if calm && !cut {
            return Err(self.violation("peace", format!("a session broke off without a cause: {why}")));
        }
        Ok(())
    }

    fn take(&mut self, number: usize, content_type: &str, reply: &[u8], fault: Option<StoreFault>) -> Outcome {
        let now = self.time_of(number);
        let device = &mut self.devices[number];
        let Some(talk) = device.talk.as_mut() else { return Ok(()) };
        if let Some(fault) = fault {
            device.store.arm(fault);
        }
        let taken = talk.client.received(content_type, reply, now);
        let fired = device.store.disarm();
        if talk.client.report().books.first().is_some_and(|book| !TELLING.contains(&book.mode.as_str())) {
            self.model.unheard(&std::mem::take(&mut device.deleted));
        }
        let hears_only = talk.client.report().books.first().is_some_and(|book| book.mode == HEARING);
        if hears_only {
            self.crossed(number)?;
        }
        let Some(talk) = self.devices[number].talk.as_ref() else { return Ok(()) };
        match taken {
            Ok(()) if talk.client.outgoing().is_none() => self.ended(number),
            Ok(()) => Ok(()),
            Err(ClientError::Store(_)) if fired => {
                self.devices[number].talk = None;
                Ok(())
            }
            Err(ClientError::Store(error)) => Err(self.misused(&error)),
            Err(error) => self.broke_off(number, false, &error),
        }
    }

    /// A device that hears only may just have been told of cards that it had deleted itself without having told it. A filter takes
    /// them: to both ends the two deletes look like one, and that of the filter is no word on whether the card is to be. Or
    /// they come with what a filter had kept from it: to the device that is a change, and a change beats a delete.
    fn crossed(&mut self, number: usize) -> Outcome {
        let there = cards(self.faults.as_ref(), self.account).map_err(|error| self.misused(&error))?;
        let device = &self.devices[number];
        let shown_more = device.saw_parts && device.sieve != Sieve::NoNumbers;
        let taken = |face: &Face| device.sieve == Sieve::Only && !device.sieve.passes(&face.name);
        let told_of = there.iter().map(|card| Face::read(card)).filter(|face| shown_more || taken(face));
        let tokens = told_of.flat_map(|face| face.tokens);
        let both: Vec<String> = tokens.filter(|token| device.deleted.contains(token)).collect();
        self.model.unheard(&both);
        Ok(())
    }

    /// A session came to its end.
    fn ended(&mut self, number: usize) -> Outcome {
        let Some(talk) = self.devices[number].talk.take() else { return Ok(()) };
        self.devices[number].shaken = false;
        let report = talk.client.report();
        if !report.clean {
            self.stats.unclean += 1;
            if talk.calm {
                return Err(self.violation("peace", format!("a session ended uncleanly without a cause: {report:?}")));
            }
            return Ok(());
        }
        self.stats.clean += 1;
        let device = &mut self.devices[number];
        device.bare = false;
        device.returned.clear();
        if !talk.watch.complete(talk.sync) {
            return Err(self.violation("I6", "a device's anchors moved before both packages were complete"));
        }
        if talk.alone && talk.sync.sends(Role::Client) {
            device.sure = true;
            if device.sieve == Sieve::All && talk.sync.sends(Role::Server) {
                device.saw_parts = false;
            }
            device.fresh.clear();
            device.deleted.clear();
            let device = &self.devices[number];
            // After a slow sync, deletes that were made before it may still have to be told.
            // And what one side told the other may have made more to tell.
            if device.sieve == Sieve::All && report.books[0].mode == "two-way" && self.at_rest(number)? {
                self.same(number, device.store.as_ref(), device.account, "I4")?;
            }
        }
        Ok(())
    }
}

/// What an Alert says of that.
fn filter(sieve: Sieve) -> Option<BookFilter> {
    let record = Some("N&CON;e&OR;N&CON;r".to_owned());
    let (record, fields, filter_type) = match sieve {
        Sieve::All => return None,
        Sieve::Some => (record, Vec::new(), FilterType::Inclusive),
        Sieve::Only => (record, Vec::new(), FilterType::Exclusive),
        Sieve::NoNumbers => (None, vec!["NOTE".to_owned()], FilterType::Inclusive),
    };
    Some(BookFilter { record, fields, filter_type })
}

impl Sieve {
    /// Whether a card of that name comes to the device.
    pub(super) fn passes(self, name: &str) -> bool {
        matches!(self, Self::All | Self::NoNumbers) || name.contains(['e', 'r'])
    }
}

fn shortened(bytes: &[u8], thousandths: u32) -> Vec<u8> {
    bytes[..bytes.len() * thousandths.min(999) as usize / 1000].to_vec()
}
