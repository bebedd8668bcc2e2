//! `--profiles`: rules about peers that need something else than the standard; and what is done where one may choose.

use crate::failure::{Exit, Failure, Result};
use std::fs;
use std::path::PathBuf;
use syncml::session::Profiles;
use syncml::sync::{Policy, Reaction, Treatment};

#[derive(Debug, clap::Args)]
pub(crate) struct ProfileArgs {
    /// Put the profile rules of this file (JSON) before those that ship
    #[arg(long, value_name = "FILE")]
    profiles: Option<PathBuf>,
}

impl ProfileArgs {
    /// The rules in force.
    pub(crate) fn read(&self) -> Result<Profiles> {
        let mut profiles = Profiles::shipped();
        if let Some(path) = &self.profiles {
            let json = fs::read_to_string(path).map_err(|error| Failure::file(path, "read", &error))?;
            let wrong = |error| Failure::new(Exit::File, format!("{}: {error}", path.display()));
            profiles.read(&json).map_err(wrong)?;
        }
        Ok(profiles)
    }
}

/// What is done with all peers of which no profile rule says something else.
#[derive(Debug, clap::Args)]
pub(crate) struct TreatmentArgs {
    /// When both sides changed a card: merge, client-wins, server-wins, newest (what came to the server last), keep-both,
    /// leave-to-client. Who loses stays in the history. Profile rules may say it per device and book
    #[arg(long, value_name = "POLICY", default_value_t = Policy::Merge)]
    conflicts: Policy,
    /// The same in slow syncs, if it is another
    #[arg(long, value_name = "POLICY")]
    slow_conflicts: Option<Policy>,
    /// The same in the first sync, if it is another
    #[arg(long, value_name = "POLICY")]
    first_conflicts: Option<Policy>,
    /// When more is deleted than anybody means: proceed, hold it until `syncml held` is told what to do, or refuse. Else a
    /// server holds, and a client holds in a refresh only
    #[arg(long, value_name = "WHAT", value_enum)]
    on_deletes: Option<Wanted>,
    /// When a slow sync is needed that nobody asked for: proceed, hold it until `syncml held release`, or refuse
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Wanted::Proceed)]
    on_slow_sync: Wanted,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Wanted {
    Proceed,
    Hold,
    Refuse,
}

impl From<Wanted> for Reaction {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Proceed => Self::Proceed,
            Wanted::Hold => Self::Hold,
            Wanted::Refuse => Self::Refuse,
        }
    }
}

impl TreatmentArgs {
    pub(crate) fn read(&self) -> Treatment {
        let mut treatment = Treatment::conflicts(self.conflicts);
        treatment.slow = self.slow_conflicts.or(treatment.slow);
        treatment.first = self.first_conflicts.or(treatment.slow);
        treatment.deletes = self.on_deletes.map(Into::into);
        treatment.slow_sync = Some(self.on_slow_sync.into());
        treatment
    }
}
