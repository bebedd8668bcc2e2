//! How far a sync has come: a moving line on a terminal, plain lines elsewhere, silence for machines.

use crate::output::bytes;
use crate::trace::Trace;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;
use std::time::Duration;
use syncml::session::{Counts, Outgoing, Report};
use syncml::transport::http::client::{Answer, Cancel, Event, Watch};

/// Looks on while a sync runs.
pub(crate) struct Progress {
    how: How,
    trace: Option<Trace>,
    /// What the last answer brought, to be said together with what goes on now.
    so_far: String,
}

enum How {
    Bar(ProgressBar),
    Lines,
    Quiet,
}

impl Progress {
    pub(crate) fn new(quiet: bool, trace: Option<Trace>) -> Self {
        let how = match (quiet, stderr().is_terminal()) {
            (true, _) => How::Quiet,
            (false, false) => How::Lines,
            (false, true) => {
                let bar = ProgressBar::new_spinner();
                if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}") {
                    bar.set_style(style);
                }
                bar.enable_steady_tick(Duration::from_millis(120));
                How::Bar(bar)
            }
        };
        Self { how, trace, so_far: String::new() }
    }

    /// Says what is being done now.
    pub(crate) fn say(&self, text: &str) {
        match &self.how {
            How::Bar(bar) => bar.set_message(text.to_owned()),
            How::Lines => eprintln!("{text}"),
            How::Quiet => {}
        }
    }

    /// Clears the line.
    pub(crate) fn end(&self) {
        if let How::Bar(bar) = &self.how {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Progress {
    fn sending(&mut self, number: u32, request: &Outgoing) {
        if let Some(trace) = &self.trace {
            trace.write(number, "c2s", request.content_type, &request.body);
        }
    }

    fn received(&mut self, number: u32, answer: &Answer, report: &Report) {
        if let Some(trace) = &self.trace {
            trace.write(number, "s2c", &answer.content_type, &answer.body);
        }
        let (here, there) = report.books.iter().fold(Default::default(), |(here, there): (Counts, Counts), book| {
            (sum(here, book.received), sum(there, book.sent))
        });
        self.so_far = format!(
            "message {number}: {} out, {} in; received {}, sent {}",
            bytes(report.bytes_sent),
            bytes(report.bytes_received),
            short(&here),
            short(&there),
        );
        self.say(&self.so_far);
    }

    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Waiting { attempt, pause, error } => {
                self.say(&format!("{error}; attempt {attempt} in {:.1} s", pause.as_secs_f64()));
            }
            Event::Busy { pause } => self.say(&format!("the server is busy; on in {} s", pause.as_secs())),
            // What moves fast is for the moving line only.
            Event::Sending { bytes: size } if matches!(self.how, How::Bar(_)) => {
                self.say(&format!("{} (sending {})", self.so_far, bytes(*size)));
            }
            Event::Receiving { bytes: size } if matches!(self.how, How::Bar(_)) => {
                self.say(&format!("{} (receiving {})", self.so_far, bytes(*size)));
            }
            _ => {}
        }
    }
}

fn sum(one: Counts, other: Counts) -> Counts {
    Counts {
        added: one.added + other.added,
        changed: one.changed + other.changed,
        deleted: one.deleted + other.deleted,
        ..one
    }
}

/// Counts in a few characters: `+3 ~1 -0`.
pub(crate) fn short(counts: &Counts) -> String {
    format!("+{} ~{} -{}", counts.added, counts.changed, counts.deleted)
}

/// Used by Ctrl-C: the first breaks a session off so that the server knows, the second stops waiting for it, and a third
/// ends the program. None costs anything that was acknowledged.
pub(crate) fn interrupted() -> Cancel {
    static CANCEL: OnceLock<Cancel> = OnceLock::new();
    let cancel = CANCEL.get_or_init(|| {
        let cancel = Cancel::new();
        let ours = cancel.clone();
        let handler = move || {
            if !ours.suspend() {
                eprintln!("syncml: stopping after this message; Ctrl-C again stops at once");
            } else if ours.cancel() {
                std::process::exit(130);
            }
        };
        if let Err(error) = ctrlc::set_handler(handler) {
            eprintln!("syncml: Ctrl-C will end the program at once: {error}");
        }
        cancel
    });
    cancel.clone()
}
