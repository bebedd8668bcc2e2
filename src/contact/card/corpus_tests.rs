//! Real cards of public projects, where they are at hand (`../shared/corpora/vcards`); skipped elsewhere.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // A test may read files.

use std::path::{Path, PathBuf};

use super::*;
use crate::contact::identity::{Canon, fingerprint};

/// Every file with the extension `vcf`, with its contents as UTF-8.
fn corpus() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora/vcards");
    let mut files = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "vcf") {
                let bytes = std::fs::read(&path).unwrap();
                files.push((path, bytes));
            }
        }
    }
    files.sort();
    files
}

fn cards(bytes: &[u8]) -> Vec<Card<'_>> {
    Card::parse_all(bytes, &Limits::default(), Charset::WINDOWS_1252).unwrap().map(Result::unwrap).collect()
}

#[test]
fn files_come_back_byte_for_byte() {
    for (path, bytes) in corpus() {
        let bytes = decode_document(&bytes);
        let cards = cards(&bytes);
        let empty = path.ends_with("Empty.vcf");
        assert_eq!(cards.is_empty(), empty, "{path:?}");
        let mut written = Vec::new();
        for card in &cards {
            written.extend(Editor::new(card).finish());
        }
        assert!(written == *bytes || empty, "{path:?}");
    }
}

#[test]
fn conversion_there_and_back_keeps_the_fingerprint() {
    let (mut total, mut kept) = (0, 0);
    for (path, bytes) in corpus() {
        let bytes = decode_document(&bytes);
        for card in cards(&bytes) {
            let wanted = fingerprint(&card);
            for through in [Version::V2_1, Version::V3_0, Version::V4_0] {
                if through == card.version() {
                    continue;
                }
                let there = convert(&card, through);
                let there = Card::parse(&there).unwrap();
                let back = convert(&there, card.version());
                let back = Card::parse(&back).unwrap();
                for (what, it) in [("there", &there), ("back", &back)] {
                    total += 1;
                    if fingerprint(it) == wanted {
                        kept += 1;
                    } else {
                        let (one, two) = (Canon::of(&card).show(), Canon::of(it).show());
                        eprintln!("{path:?} line {} {} {what} {through}", card.properties()[0].line(), card.version());
                        one.iter().filter(|line| !two.contains(line)).for_each(|line| eprintln!("  - {line:.300?}"));
                        two.iter().filter(|line| !one.contains(line)).for_each(|line| eprintln!("  + {line:.300?}"));
                    }
                }
            }
        }
    }
    eprintln!("{kept} of {total}");
    assert_eq!(kept, total);
}
