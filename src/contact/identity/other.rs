//! Identity of what is not a card. Such items are kept verbatim; without keys every slow sync would double them.

use sha2::{Digest as _, Sha256};

use super::large::{LargePrint, head, is_large};
use super::{Class, Fingerprint, Identity, Kind, MatchKey};
use crate::contact::card::{Charset, Limits, Property, content_lines, decode_document};

/// Fingerprint, keys and label of an item that is not a card.
pub(super) fn identify(kind: Kind, content: &[u8], fallback: Charset) -> Identity {
    let found = keys_of(kind, content, fallback);
    let mut keys: Vec<MatchKey> = found.strong.iter().chain(&found.weak).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    Identity { fingerprint: fingerprint(kind, content), keys, label: found.label }
}

/// Do two items share their UID, URL or file name?
pub(crate) fn shares_strong_key(kind: Kind, a: &[u8], b: &[u8]) -> bool {
    let a = keys_of(kind, a, Charset::WINDOWS_1252).strong;
    a.is_some() && a == keys_of(kind, b, Charset::WINDOWS_1252).strong
}

#[derive(Default)]
struct Found {
    strong: Option<MatchKey>,
    weak: Option<MatchKey>,
    label: Option<String>,
}

fn keys_of(kind: Kind, content: &[u8], fallback: Charset) -> Found {
    let content = decode_document(head(kind, content));
    let lines = |content| content_lines(content, &Limits::default(), fallback).unwrap_or_default();
    match kind {
        Kind::Calendar | Kind::Task => calendar(&lines(&content)),
        Kind::Note => note(&content, &lines(&content)),
        Kind::Bookmark => bookmark(&content, &lines(&content)),
        Kind::File => file(&content),
        Kind::Contact | Kind::Other => Found::default(),
    }
}

/// UID with RECURRENCE-ID, and start (of a task also due) with summary, of the first event or task. Time zones and
/// alarms have some of these too and are passed over.
fn calendar(lines: &[Property<'_>]) -> Found {
    const NAMES: [&str; 5] = ["UID", "RECURRENCE-ID", "DTSTART", "DUE", "SUMMARY"];
    let mut fields: [Option<String>; 5] = Default::default();
    // Components open, from the event or task on.
    let mut depth = 0;
    for line in lines {
        if line.is("BEGIN") {
            let item = ["VEVENT", "VTODO", "VJOURNAL"].iter().any(|name| line.text().trim().eq_ignore_ascii_case(name));
            depth += usize::from(depth > 0 || item);
        } else if line.is("END") && depth > 0 {
            depth -= 1;
            if depth == 0 {
                break;
            }
        } else if depth == 1
            && let Some(at) = NAMES.iter().position(|name| line.is(name))
        {
            fields[at] = Some(line.text().trim().to_owned()).filter(|text| !text.is_empty());
        }
    }
    let [uid, recurrence, start, due, summary] = fields;
    let strong = uid.map(|uid| MatchKey::new(Class::Uid, &[&uid, recurrence.as_deref().unwrap_or_default()]));
    let at = start.or(due);
    let weak = (at.is_some() || summary.is_some()).then(|| {
        let at: String = at.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
        MatchKey::new(Class::StartSummary, &[&at, &summary.as_deref().unwrap_or_default().to_lowercase()])
    });
    Found { strong, weak, label: summary }
}

/// The first line that is not empty; of a VNOTE the first line of its BODY.
fn note(content: &[u8], lines: &[Property<'_>]) -> Found {
    let body = lines.iter().find(|line| line.is("BODY")).filter(|_| lines.first().is_some_and(|line| line.is("BEGIN")));
    let text = body.map_or_else(|| String::from_utf8_lossy(content).into_owned(), |body| body.text().into_owned());
    let Some(first) = text.lines().map(str::trim).find(|line| !line.is_empty()) else { return Found::default() };
    let weak = Some(MatchKey::new(Class::FirstLine, &[first]));
    Found { strong: None, weak, label: Some(first.to_owned()) }
}

/// The URL; without one the first line.
fn bookmark(content: &[u8], lines: &[Property<'_>]) -> Found {
    let text = String::from_utf8_lossy(content);
    let bare = text.trim();
    let url = lines.iter().find(|line| line.is("URL")).map(|line| line.text().trim().to_owned());
    let url = url.or_else(|| (bare.contains("://") && !bare.contains(char::is_whitespace)).then(|| bare.to_owned()));
    match url {
        None => note(content, lines),
        Some(url) => {
            let strong = Some(MatchKey::new(Class::Url, &[url.trim_end_matches('/')]));
            let title = lines.iter().find(|line| line.is("TITLE")).map(|line| line.text().trim().to_owned());
            Found { strong, weak: None, label: title.or(Some(url)) }
        }
    }
}

/// The element `name` of a file or folder object (OMA DS file objects).
fn file(content: &[u8]) -> Found {
    let text = String::from_utf8_lossy(content);
    let name = text
        .split_once("<name>")
        .and_then(|(_, rest)| rest.split_once("</name>"))
        .map(|(name, _)| name.trim().to_owned())
        .filter(|name| !name.is_empty());
    Found { strong: name.as_deref().map(|name| MatchKey::new(Class::FileName, &[name])), weak: None, label: name }
}

/// Hash of the bytes, line breaks aside; in calendars without the lines that change when nothing does.
fn fingerprint(kind: Kind, content: &[u8]) -> Fingerprint {
    if is_large(kind, content.len() as u64) {
        return LargePrint::of(content);
    }
    let content = decode_document(content);
    let mut hash = Sha256::new();
    hash.update(b"syncml item 1");
    let calendar = matches!(kind, Kind::Calendar | Kind::Task);
    // Binary content must not lose bytes that only look like line breaks.
    if kind == Kind::Other || kind == Kind::File {
        hash.update(&content);
        return Fingerprint::finish(hash);
    }
    let mut skipping = false;
    let mut blank = 0;
    for line in content.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let folded = matches!(line.first(), Some(b' ' | b'\t'));
        skipping = calendar && if folded { skipping } else { is_volatile(line) };
        if skipping {
            continue;
        }
        // Empty lines at the end say nothing.
        if line.is_empty() {
            blank += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut blank) {
            hash.update(b"\n");
        }
        hash.update(line);
        hash.update(b"\n");
    }
    Fingerprint::finish(hash)
}

fn is_volatile(line: &[u8]) -> bool {
    let end = line.iter().position(|byte| matches!(byte, b':' | b';')).unwrap_or(line.len());
    let name = &line[..end];
    [&b"DTSTAMP"[..], b"LAST-MODIFIED", b"PRODID"].iter().any(|it| name.eq_ignore_ascii_case(it))
}
