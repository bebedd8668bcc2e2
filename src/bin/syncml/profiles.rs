//! `--profiles`: rules about peers that need something else than the standard.

use crate::failure::{Exit, Failure, Result};
use std::fs;
use std::path::PathBuf;
use syncml::session::Profiles;

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
