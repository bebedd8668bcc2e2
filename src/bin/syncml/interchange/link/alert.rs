//! Devices that are asked to sync when the book changed.

use super::Teller;
use crate::failure::{Failure, Result};
use crate::history::place::Place;
use crate::notify::{Push, SenderArgs};
use serde_json::json;
use syncml::store::Revision;

/// Revisions looked at for one that is not the device's own.
const PAGE: usize = 200;

pub(super) struct Alerts<'a> {
    devices: Vec<(String, Push)>,
    sender: &'a SenderArgs,
}

impl<'a> Alerts<'a> {
    pub(super) fn read(said: &[String], sender: &'a SenderArgs) -> Result<Self> {
        let device = |said: &String| {
            let wrong = |reason: String| Failure::usage(format!("--alert {said}: {reason}"));
            let (device, url) = said.rsplit_once('=').ok_or_else(|| wrong("write DEVICE=URL".to_owned()))?;
            Ok((device.to_owned(), url.parse().map_err(wrong)?))
        };
        Ok(Self { devices: said.iter().map(device).collect::<Result<_>>()?, sender })
    }

    /// Asks every device for which there is news since a revision. One that cannot be reached has it at its next sync.
    pub(super) fn send(&self, place: &Place, since: Revision, teller: &mut Teller) -> Result<()> {
        for (id, push) in &self.devices {
            let (mut found, mut is_news) = (None, false);
            place.store.look(place.account, &mut |tx| {
                (found, is_news) = (tx.device(id)?, false);
                let (Some(device), Some(book)) = (&found, tx.book(place.book.book)?) else { return Ok(()) };
                let mut after = since;
                while !is_news {
                    let page = tx.changes(place.book.book, after, book.head, PAGE)?;
                    let Some(last) = page.last() else { break };
                    after = last.revision;
                    is_news = page.iter().any(|item| item.origin != Some(device.device));
                }
                Ok(())
            })?;
            let Some(device) = found.filter(|_| is_news) else { continue };
            let asked = self.sender.ask(&device, place.book.book).and_then(|it| push.send(it.content_type, &it.body));
            match asked {
                Ok(()) => teller.tell(&json!({ "event": "alerted", "device": id }), &format!("{id}: asked to sync")),
                Err(failure) => teller.refused(id, &failure),
            }
        }
        Ok(())
    }
}
