//! A conformance kit: scripted checks of the rules of the protocol, played against any SyncML server.
//!
//! In: a [`Transport`] that posts messages, and a test account with an empty book ([`Config`]). Out: for each of
//! [`checks`] whether the server keeps the rule, breaks it, or does not offer the feature, with the row of the catalogue
//! and the section of the rule ([`Report`]).
//!
//! The fixtures of this project say exactly what its own server answers; another server may rightly answer otherwise. So
//! a check asks only what the rule asks, and takes every answer that the rule allows.
//!
//! The kit writes cards into the book and removes them. They bear a mark in their names, and no card without it is ever
//! touched: [`run`] refuses a book that holds other cards unless [`Config::allow_writes`] is set, and even then leaves out
//! the checks that would replace the whole book.

mod answer;
mod changes;
mod device;
mod objects;
mod opening;
mod report;

pub use self::report::{Finding, Report, Verdict};

use self::answer::Answer;
use self::device::Kit;
use crate::auth::Secret;
use crate::codec::Encoding;
use crate::message::{AlertCode, Timestamp, Version};
use thiserror::Error;

/// Posts messages to the server.
pub trait Transport {
    /// Posts one message and gives what came back, whatever its HTTP status.
    ///
    /// # Errors
    /// A sentence, when nothing came back.
    fn post(&mut self, uri: &str, content_type: &str, body: &[u8]) -> Result<Posted, String>;
}

/// What came back from a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Posted {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Against whom to play, and as whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's address.
    pub uri: String,
    /// The test account.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Whether to log in with basic instead of MD5.
    pub basic: bool,
    /// The server's name of the contacts book to work in.
    pub book: String,
    /// Two device ids; for a server that does not know its devices beforehand, new ones with every run.
    pub devices: [String; 2],
    /// The encoding of all messages.
    pub encoding: Encoding,
    /// The version of the protocol.
    pub version: Version,
    /// Whether a book that holds other cards may be worked in. They are not touched.
    pub allow_writes: bool,
    /// Makes anchors, session ids and names of cards; later in each run.
    pub now: Timestamp,
}

/// One check.
#[derive(Debug)]
pub struct Check {
    /// The row of the catalogue.
    pub id: &'static str,
    /// What is asked, in a few words; no two checks have the same.
    pub name: &'static str,
    /// What it does to the book.
    needs: Needs,
    run: fn(&mut Kit<'_>) -> Outcome,
}

/// What a check does to the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// It says nothing that changes a book.
    Talk,
    /// It writes cards, and removes them.
    Cards,
    /// It replaces the whole book.
    Book,
}

/// Why a check ended before its end.
#[derive(Debug)]
enum Stop {
    Fail { rule: &'static str, expected: String, got: String },
    Unsupported(String),
}

type Outcome<T = ()> = Result<T, Stop>;

/// Why no check was played.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KitError {
    /// The server cannot be reached, or does not speak SyncML there.
    #[error("the server cannot be asked: {0}")]
    Unreachable(String),
    /// The credentials are refused.
    #[error("the server refused the credentials ({0})")]
    Refused(u16),
    /// There is no such book.
    #[error("the server has no book {0:?} ({1})")]
    UnknownBook(String, u16),
    /// The book holds other cards.
    #[error("the book {0:?} holds {1} other cards: take a test account, or say that cards may be written all the same")]
    NotEmpty(String, usize),
}

/// All checks, in the order in which they are played.
#[must_use]
pub fn checks() -> Vec<&'static Check> {
    [opening::CHECKS, changes::CHECKS, objects::CHECKS].into_iter().flatten().collect()
}

/// Plays the checks that are wanted. `watch` hears of each finding as it is made.
///
/// # Errors
/// [`KitError`]: nothing was written.
pub fn run(
    config: &Config,
    transport: &mut dyn Transport,
    wanted: &dyn Fn(&Check) -> bool,
    watch: &mut dyn FnMut(&Finding),
) -> Result<Report, KitError> {
    let mut kit = Kit::new(config, transport);
    let others = look(&mut kit)?;
    let mut report = Report::new(config);
    for check in checks().into_iter().filter(|check| wanted(check)) {
        let outcome = match check.needs {
            Needs::Book if others > 0 => Err(Stop::Unsupported("the book holds other cards".to_owned())),
            _ => (check.run)(&mut kit),
        };
        kit.forget();
        if check.needs != Needs::Talk {
            report.left_over =
                kit.clean().err().map(|why| format!("after {:?}: {}", check.name, report::sentence(&why)));
        }
        let finding = Finding::new(check, outcome);
        watch(&finding);
        report.findings.push(finding);
    }
    Ok(report)
}

/// Looks into the book without confirming anything; how many cards it holds that are not the kit's.
fn look(kit: &mut Kit<'_>) -> Result<usize, KitError> {
    let unreachable = |why: Stop| KitError::Unreachable(report::sentence(&why));
    let mut session = kit.open(0, AlertCode::SLOW, None).map_err(unreachable)?;
    let Answer { header, .. } = &session.heard;
    match header {
        Some(200..=299) => {}
        Some(code @ (401 | 407)) => return Err(KitError::Refused(*code)),
        Some(code) => return Err(KitError::Unreachable(format!("the message is answered {code}"))),
        None => return Err(KitError::Unreachable(session.heard.outline())),
    }
    if let Some(code @ 400..) = session.heard.status("Alert").filter(|code| *code != 508) {
        return Err(KitError::UnknownBook(kit.config.book.clone(), code));
    }
    let told = kit.changes(&mut session, Vec::new()).map_err(unreachable)?.told;
    let others = told.iter().filter(|told| !told.content.contains(device::MARK)).count();
    match others {
        1.. if !kit.config.allow_writes => Err(KitError::NotEmpty(kit.config.book.clone(), others)),
        _ => Ok(others),
    }
}

/// Fails unless something holds.
fn expect(holds: bool, rule: &'static str, expected: &str, got: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Stop::Fail { rule, expected: expected.to_owned(), got: got() }) }
}

/// Fails unless a status is one of those that a rule allows. 406 and 501 say that the feature is not offered.
fn status(got: Option<u16>, allowed: &[u16], rule: &'static str, what: &str) -> Outcome {
    match got {
        Some(code) if allowed.contains(&code) => Ok(()),
        Some(code @ (406 | 501)) => Err(Stop::Unsupported(format!("{what} is answered {code}"))),
        other => {
            let list: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            let got = other.map_or_else(|| "no Status".to_owned(), |code| code.to_string());
            Err(Stop::Fail { rule, expected: format!("{} for {what}", list.join(" or ")), got })
        }
    }
}
