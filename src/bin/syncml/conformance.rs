//! `syncml conformance`: does a server keep the rules?

use crate::failure::{Exit, Failure, Result};
use crate::network::NetworkArgs;
use crate::output;
use crate::progress;
use crate::secret::PasswordArgs;
use clap::ValueEnum;
use std::fs;
use std::path::PathBuf;
use syncml::auth::Secret;
use syncml::codec::Encoding;
use syncml::kit::conformance::{self, Check, Config, KitError, Posted, Transport};
use syncml::message::{Timestamp, Version};
use syncml::transport::http::client::{HttpClient, HttpError};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's address
    #[arg(required_unless_present = "list")]
    url: Option<String>,
    /// The test account, whose book is empty
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    user: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
    /// Log in with basic instead of MD5
    #[arg(long)]
    basic: bool,
    /// The server's name of the contacts book to work in
    #[arg(long, value_name = "NAME", default_value = "contacts")]
    book: String,
    /// The two device ids to use, for a server that has to know them beforehand (else new ones)
    #[arg(long, value_name = "ID,ID", value_delimiter = ',')]
    device_ids: Vec<String>,
    /// Encoding of the messages
    #[arg(long, value_enum, default_value_t = Wire::Xml)]
    encoding: Wire,
    /// Version of the protocol
    #[arg(long, value_parser = version, default_value = "1.2")]
    version: Version,
    /// Play only checks whose id or name holds this; `*` stands for anything, several are separated by commas
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Work in the book although it holds other cards; they are not touched
    #[arg(long)]
    allow_writes: bool,
    /// Write the findings as JUnit XML into this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// List the checks and do nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    network: NetworkArgs,
    /// Output for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wire {
    Xml,
    Wbxml,
}

fn version(text: &str) -> std::result::Result<Version, String> {
    Version::from_dtd(text).ok_or_else(|| "1.0, 1.1 or 1.2".to_owned())
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let wanted = |check: &Check| args.only.as_deref().is_none_or(|patterns| fits(patterns, check));
    if args.list {
        for check in conformance::checks().into_iter().filter(|check| wanted(check)) {
            println!("{:<10} {}", check.id, check.name);
        }
        return Ok(());
    }
    let (uri, user) = (args.url.clone().unwrap_or_default(), args.user.clone().unwrap_or_default());
    let password = args.password.read()?;
    let config = config(args, uri.clone(), user, password)?;
    // A check asks what a server says to this very request: nothing is repeated behind its back.
    let mut options = args.network.options(&uri, progress::interrupted())?;
    options.retry.attempts = 1;
    let mut line = Line { http: HttpClient::new(options)?, stopped: false };
    let cautious = if args.allow_writes { "; other cards are not touched" } else { "" };
    eprintln!(
        "writing test cards into the book {:?} of {:?} at {}, and removing them again{cautious}",
        config.book, config.user, config.uri
    );
    let report = conformance::run(&config, &mut line, &wanted, &mut |finding| {
        if !args.json {
            println!("{}", finding.line());
        }
    })?;
    if line.stopped {
        return Err(Failure::new(Exit::Interrupted, "stopped; test cards may be left in the book"));
    }
    if let Some(path) = &args.junit {
        fs::write(path, report.junit()).map_err(|error| Failure::file(path, "written", &error))?;
    }
    let [passed, failed, unsupported] = report.counts();
    if args.json {
        output::json(&report);
    } else {
        println!("{passed} passed, {failed} failed, {unsupported} unsupported ({})", report.spoken);
    }
    if let Some(why) = &report.left_over {
        eprintln!("syncml: test cards may be left in the book, {why}");
    }
    match failed {
        0 if report.left_over.is_none() => Ok(()),
        _ => Err(Failure::told(Exit::Problems)),
    }
}

fn config(args: &Args, uri: String, user: String, password: Secret) -> Result<Config> {
    let devices = match &args.device_ids[..] {
        [] => [(); 2].map(|()| format!("syncml-kit-{}", uuid::Uuid::new_v4().simple())),
        [one, two] if one != two => [one.clone(), two.clone()],
        _ => return Err(Failure::usage("--device-ids wants two different ids, separated by a comma")),
    };
    Ok(Config {
        uri,
        user,
        password,
        basic: args.basic,
        book: args.book.clone(),
        devices,
        encoding: match args.encoding {
            Wire::Xml => Encoding::Xml,
            Wire::Wbxml => Encoding::Wbxml,
        },
        version: args.version,
        allow_writes: args.allow_writes,
        now: now(),
    })
}

fn now() -> Timestamp {
    syncml::transport::http::now()
}

/// Whether a check is among those wanted.
fn fits(patterns: &str, check: &Check) -> bool {
    patterns.split(',').any(|pattern| like(pattern, check.id) || like(pattern, check.name))
}

/// Whether a text holds the parts of a pattern in their order.
fn like(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    pattern.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// HTTP, without repetitions.
struct Line {
    http: HttpClient,
    stopped: bool,
}

impl Transport for Line {
    fn post(&mut self, uri: &str, content_type: &str, body: &[u8]) -> std::result::Result<Posted, String> {
        match self.http.post(uri, content_type, body, None) {
            Ok(answer) => Ok(Posted { status: 200, content_type: answer.content_type, body: answer.body }),
            Err(HttpError::Status { status, .. }) => Ok(Posted { status, ..Posted::default() }),
            Err(error) => {
                self.stopped |= matches!(error, HttpError::Cancelled);
                Err(error.to_string())
            }
        }
    }
}

impl From<KitError> for Failure {
    fn from(error: KitError) -> Self {
        let exit = match error {
            KitError::Refused(_) => Exit::Refused,
            KitError::UnknownBook(..) => Exit::UnknownBook,
            KitError::NotEmpty(..) => Exit::Usage,
            _ => Exit::Unreachable,
        };
        let hint = if exit == Exit::Usage { " (--allow-writes)" } else { "" };
        Self::new(exit, format!("{error}{hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn patterns_hold_parts() {
        for (pattern, text, expected) in [
            ("SYNC", "SYNC-1", true),
            ("SYNC-*", "SYNC-1", true),
            ("*doubles", "a slow sync doubles nothing", true),
            ("two*one", "one two", false),
            ("MAP", "SYNC-1", false),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
