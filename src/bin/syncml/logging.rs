//! What the program logs, to standard error.

use std::io;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt;

/// The environment variable that says what is logged.
pub(crate) const VARIABLE: &str = "SYNCML_LOG";

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A line for people.
    Text,
    /// An object per line.
    Json,
}

/// What a command that syncs logs.
#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// What is logged, to standard error: off, error, warn, info, debug, trace. From debug on, names and addresses may be
    /// among it; cards and secrets never are
    #[arg(long, value_name = "LEVEL", env = VARIABLE, default_value = "warn")]
    log_level: Targets,
    /// How it is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    log_format: Format,
}

impl LogArgs {
    pub(crate) fn start(&self) {
        start(&self.log_level, self.log_format);
    }
}

/// Logs from now on. Nobody may read along any more: then the program goes on all the same.
pub(crate) fn start(level: &Targets, format: Format) {
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(false).log_internal_errors(false);
    let layer = match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    // Whoever has started it already in this process keeps it.
    drop(registry().with(layer.with_filter(level.clone())).try_init());
}
