//! What was found, as text and as JUnit XML.

use super::{Check, Config, Outcome, Stop};
use serde::Serialize;
use std::fmt::Write as _;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Verdict {
    /// The rule is kept.
    Pass,
    /// The rule is broken.
    Fail {
        /// The section of the reference.
        rule: String,
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// The server does not offer the feature, which it need not.
    Unsupported {
        /// How it said so.
        why: String,
    },
}

/// A check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The row of the catalogue.
    pub id: String,
    /// What was asked.
    pub name: String,
    /// The answer.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// All findings of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The server's address.
    pub server: String,
    /// Version and encoding of the messages.
    pub spoken: String,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
    /// Why cards of the kit may still be in the book.
    pub left_over: Option<String>,
}

impl Finding {
    pub(super) fn new(check: &Check, outcome: Outcome) -> Self {
        let verdict = match outcome {
            Ok(()) => Verdict::Pass,
            Err(Stop::Unsupported(why)) => Verdict::Unsupported { why },
            Err(Stop::Fail { rule, expected, got }) => Verdict::Fail { rule: rule.to_owned(), expected, got },
        };
        Self { id: check.id.to_owned(), name: check.name.to_owned(), verdict }
    }

    /// A line, and a second one where there is something to explain.
    #[must_use]
    pub fn line(&self) -> String {
        let (word, why) = match &self.verdict {
            Verdict::Pass => ("pass", String::new()),
            Verdict::Fail { rule, expected, got } => ("FAIL", format!("\n    {rule}: expected {expected}; got {got}")),
            Verdict::Unsupported { why } => ("unsupported", format!("\n    {why}")),
        };
        format!("{word:<11} {:<8} {}{why}", self.id, self.name)
    }
}

impl Report {
    pub(super) fn new(config: &Config) -> Self {
        let encoding = format!("{:?}", config.encoding).to_uppercase();
        let spoken = format!("{} in {encoding}", config.version.proto());
        Self { server: config.uri.clone(), spoken, findings: Vec::new(), left_over: None }
    }

    /// How many passed, failed, and are not offered.
    #[must_use]
    pub fn counts(&self) -> [usize; 3] {
        let count = |wanted: fn(&Verdict) -> bool| self.findings.iter().filter(|one| wanted(&one.verdict)).count();
        [
            count(|verdict| matches!(verdict, Verdict::Pass)),
            count(|verdict| matches!(verdict, Verdict::Fail { .. })),
            count(|verdict| matches!(verdict, Verdict::Unsupported { .. })),
        ]
    }

    /// As JUnit XML: a test case for each finding, its class the row of the catalogue.
    #[must_use]
    pub fn junit(&self) -> String {
        let [_, failed, unsupported] = self.counts();
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"{}\" tests=\"{}\" \
             failures=\"{failed}\" errors=\"0\" skipped=\"{unsupported}\">\n",
            escaped(&format!("{} {}", self.server, self.spoken)),
            self.findings.len(),
        );
        for finding in &self.findings {
            let _ = write!(out, "<testcase classname=\"{}\" name=\"{}\"", escaped(&finding.id), escaped(&finding.name));
            let _ = match &finding.verdict {
                Verdict::Pass => writeln!(out, "/>"),
                Verdict::Fail { rule, expected, got } => writeln!(
                    out,
                    "><failure message=\"{}\"/></testcase>",
                    escaped(&format!("{rule}: expected {expected}; got {got}"))
                ),
                Verdict::Unsupported { why } => {
                    writeln!(out, "><skipped message=\"{}\"/></testcase>", escaped(why))
                }
            };
        }
        out + "</testsuite>\n</testsuites>\n"
    }
}

/// Why a check stopped, in a sentence.
pub(super) fn sentence(stop: &Stop) -> String {
    match stop {
        Stop::Unsupported(why) => why.clone(),
        Stop::Fail { rule, expected, got } => format!("expected {expected} ({rule}), got {got}"),
    }
}

/// An attribute's value; what XML cannot carry becomes a question mark.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push(' '),
            '\u{FFFE}' | '\u{FFFF}' => out.push('?'),
            other if other.is_control() => out.push('?'),
            other => out.push(other),
        }
    }
    out
}
