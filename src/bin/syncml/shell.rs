//! `syncml completions`, `syncml man`, and what `--version` says: the program about itself.

use crate::config;
use crate::failure::{Failure, Result};
use clap_complete::Shell;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// What this program was built with, in one order, so that equal builds say equal words.
static BUILD: LazyLock<String> = LazyLock::new(|| {
    let features = [
        ("console", cfg!(feature = "console")),
        ("documents", cfg!(feature = "documents")),
        ("http", cfg!(feature = "http")),
        ("postgres", cfg!(feature = "postgres")),
        ("service", cfg!(feature = "service")),
        ("sqlite", cfg!(feature = "sqlite")),
    ];
    let named: Vec<&str> = features.into_iter().filter_map(|(name, is_in)| is_in.then_some(name)).collect();
    format!("{}\nfeatures: {}", env!("CARGO_PKG_VERSION"), named.join(", "))
});

/// The version, and the features.
pub(crate) fn build() -> &'static str {
    &BUILD
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The folder to write the pages to, one for each command; it is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// To the standard output: `syncml completions bash > /etc/bash_completion.d/syncml`.
pub(crate) fn completions(args: &CompletionsArgs) {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut config::command(), "syncml", &mut text);
    // Who reads the beginning only, as `head` does, has what they want.
    drop(io::stdout().write_all(&text));
}

pub(crate) fn man(args: &ManArgs) -> Result<()> {
    let made = |error: &io::Error| Failure::file(&args.folder, "written", error);
    std::fs::create_dir_all(&args.folder).map_err(|error| made(&error))?;
    clap_mangen::generate_to(config::command(), &args.folder).map_err(|error| made(&error))?;
    let first = args.folder.join("syncml.1");
    println!("man {}", shown(&first));
    Ok(())
}

/// As `man` takes it for a file and not for a name.
fn shown(path: &Path) -> String {
    if path.is_absolute() { path.display().to_string() } else { format!("./{}", path.display()) }
}
