//! History that goes by itself while `syncml serve` runs.

use crate::books;
use std::sync::Arc;
use std::time::Duration;
use syncml::store::history::{self, Purged, Retention};
use syncml::store::{Store, StoreError};
use syncml::transport::http::now;
use syncml::transport::http::server::Drain;
use tracing::{debug, info, warn};

#[derive(Debug, clap::Args)]
pub(crate) struct PurgeArgs {
    /// Remove what books held before so many days, but for what devices still need; without this all is kept
    #[arg(long, value_name = "DAYS")]
    history_days: Option<u32>,
    /// With --history-days: do not wait for devices that were away for so many days; they compare everything when they come
    /// back
    #[arg(long, value_name = "DAYS", requires = "history_days")]
    history_expire_devices: Option<u32>,
    /// With --history-days: how often, in hours, beginning with the start of the server
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8_760))]
    history_every: u64,
}

impl PurgeArgs {
    /// What is to be done, if anything is.
    pub(crate) fn job(&self) -> Option<Purge> {
        let keep = Retention {
            days: Some(self.history_days?),
            revisions: None,
            changes: None,
            devices: self.history_expire_devices,
        };
        Some(Purge { keep, every: Duration::from_secs(self.history_every * 3_600) })
    }
}

/// What is kept, and how often the rest is removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purge {
    keep: Retention,
    every: Duration,
}

impl Purge {
    /// Does so until this is dropped. Nodes that do it at the same time remove nothing twice: they only wait for each other.
    pub(crate) async fn regularly(self, store: Arc<dyn Store>, drain: Drain) {
        let mut times = tokio::time::interval(self.every);
        loop {
            times.tick().await;
            let (store, drain) = (store.clone(), drain.clone());
            let done = tokio::task::spawn_blocking(move || self.once(store.as_ref(), &drain)).await;
            match done {
                Ok(Ok(Purged { removed, kept, needed })) => info!(removed, kept, needed, "history purged"),
                Ok(Err(why)) => warn!(%why, "history could not be purged; it is tried again next time"),
                Err(_) => warn!("history could not be purged; it is tried again next time"),
            }
        }
    }

    fn once(self, store: &dyn Store, drain: &Drain) -> Result<Purged, StoreError> {
        let mut all = Purged::default();
        for (_, account) in store.directory().accounts()? {
            for kind in books::of_account(store, account)? {
                if drain.has_begun() {
                    return Ok(all);
                }
                let done = history::purge(store, account, kind.book, &self.keep, now(), &mut |_| {})?;
                debug!(account = account.0, book = kind.name, removed = done.removed, "history purged");
                all.removed += done.removed;
                all.kept += done.kept;
                all.needed += done.needed;
            }
        }
        Ok(all)
    }
}
