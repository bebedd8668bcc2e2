//! A tree as a file: lines that are added, so that remembering a change costs what the change costs.

use super::{Digest, Known, Leaf, Stamp, Tree};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// The first line.
const HEAD: &str = "syncml watch 1\n";
/// Lines beyond twice the entries that are borne with before all is written anew.
const SPARE: usize = 1000;

/// What is remembered of a watched folder: its tree, and what its book was known by.
///
/// Lines are put to the end, and a digest of all that they come to after each group of them: what is cut off, damaged or of another
/// format is not believed, and costs that files are read again – nothing else.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// The tree.
    pub tree: Tree,
    /// What the book was known by.
    pub known: Option<Known>,
    lines: usize,
    good: usize,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// After that many bytes, which stay; what stands behind them goes.
    After(usize, String),
    /// In place of everything.
    All(String),
}

impl Journal {
    /// Reads what was written, as far as it can be believed.
    #[must_use]
    pub fn read(text: &[u8]) -> Self {
        let mut journal = Self::default();
        let Some(rest) = text.strip_prefix(HEAD.as_bytes()) else { return journal };
        let mut at = HEAD.len();
        // What stands since the last digest.
        let (mut tree, mut known, mut lines) = (Tree::default(), None, 0);
        journal.good = at;
        for line in rest.split_inclusive(|byte| *byte == b'\n') {
            at += line.len();
            lines += 1;
            let Some(line) = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok()) else { break };
            let done = match line.split_at_checked(2) {
                Some(("+ ", entry)) => read_entry(entry).map(|(name, leaf)| tree.set(&name, leaf)),
                Some(("- ", name)) => {
                    serde_json::from_str::<String>(name).ok().filter(|name| tree.remove(name)).map(drop)
                }
                Some(("@ ", text)) => text.parse().ok().map(|it| known = Some(it)),
                Some(("= ", written)) if written == seal(&tree, known.as_ref()) => {
                    journal = Self { tree: tree.clone(), known: known.clone(), lines, good: at };
                    Some(())
                }
                _ => None,
            };
            if done.is_none() {
                break;
            }
        }
        journal
    }

    /// Has all of it written anew the next time: for what is known better now, but no change, such as stamps.
    pub const fn renew(&mut self) {
        self.good = 0;
    }

    /// Remembers a state; gives what is to be written for it, if anything.
    #[must_use]
    pub fn remember(&mut self, tree: &Tree, known: &Known) -> Option<Written> {
        let changes = tree.since(&self.tree);
        let same = self.known.as_ref() == Some(known);
        if changes.is_empty() && same && self.good > 0 {
            return None;
        }
        let all = self.good == 0 || self.lines + changes.names().count() > 2 * tree.len() + SPARE;
        let mut text = String::new();
        let mut lines = 1;
        if all || !same {
            lines += 1;
            // Writing to a text does not fail.
            let _ = writeln!(text, "@ {known}");
        }
        if all {
            tree.each(|name, leaf| write_entry(&mut text, name, leaf));
            lines += tree.len();
        } else {
            for name in changes.names() {
                lines += 1;
                match tree.get(name) {
                    Some(leaf) => write_entry(&mut text, name, leaf),
                    None => {
                        let _ = writeln!(text, "- {}", quoted(name));
                    }
                }
            }
        }
        let _ = writeln!(text, "= {}", seal(tree, Some(known)));
        let written = if all { Written::All(format!("{HEAD}{text}")) } else { Written::After(self.good, text) };
        let (lines, good) = match &written {
            Written::All(text) => (lines, text.len()),
            Written::After(good, text) => (self.lines + lines, good + text.len()),
        };
        *self = Self { tree: tree.clone(), known: Some(known.clone()), lines, good };
        Some(written)
    }
}

/// What closes a group of lines: a digest of all that they come to.
fn seal(tree: &Tree, known: Option<&Known>) -> String {
    let known = known.map(ToString::to_string).unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(b"syncml watch seal\n");
    hash.update(tree.root());
    hash.update(known);
    hex(&hash.finalize().into())
}

fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(digest)
}

/// A name in quotes, in one line.
fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

fn write_entry(text: &mut String, name: &str, leaf: &Leaf) {
    let stamp = leaf.stamp.map_or_else(|| "- -".to_owned(), |stamp| format!("{} {}", stamp.size, stamp.modified));
    // Writing to a text does not fail.
    let _ = writeln!(text, "+ {} {stamp} {}", hex(&leaf.digest), quoted(name));
}

fn read_entry(line: &str) -> Option<(String, Leaf)> {
    let mut words = line.splitn(4, ' ');
    let digest = unhex(words.next()?)?;
    let stamp = match (words.next()?, words.next()?) {
        ("-", "-") => None,
        (size, modified) => Some(Stamp { size: size.parse().ok()?, modified: modified.parse().ok()? }),
    };
    Some((serde_json::from_str(words.next()?).ok()?, Leaf { digest, stamp }))
}

#[cfg(test)]
mod tests {
    use super::{Journal, Known, Leaf, Stamp, Tree, Written};

    fn known() -> Known {
        "sim imei:490154203237518 imsi:460001234567890".parse().unwrap()
    }

    fn leaf(content: &str) -> Leaf {
        let stamp = content.starts_with('s').then_some(Stamp { size: 3, modified: -5 });
        Leaf { digest: Tree::digest(content.as_bytes()), stamp }
    }

    fn write(file: &mut Vec<u8>, written: Option<Written>) -> usize {
        match written {
            Some(Written::All(text)) => *file = text.into_bytes(),
            Some(Written::After(good, text)) => {
                file.truncate(good);
                file.extend_from_slice(text.as_bytes());
                return text.len();
            }
            None => return 0,
        }
        file.len()
    }

    #[test]
    fn what_is_remembered_is_read_again() {
        let (mut file, mut journal, mut tree) = (Vec::new(), Journal::read(b""), Tree::default());
        for at in 0..2000 {
            tree.set(&format!("line\nfeed \"{at}\" é.vcf"), leaf(&format!("s{at}")));
        }
        write(&mut file, journal.remember(&tree, &known()));
        let mut most = 0;
        for round in 0..6000 {
            let name = format!("line\nfeed \"{}\" é.vcf", round % 2000);
            if round % 3 == 0 {
                tree.remove(&name);
            } else {
                tree.set(&name, leaf(&format!("{round}")));
            }
            let size = write(&mut file, journal.remember(&tree, &known()));
            most = most.max(if size < file.len() { size } else { 0 });
            assert_eq!(journal.remember(&tree, &known()), None, "nothing new");
            if round % 500 == 0 {
                let again = Journal::read(&file);
                assert_eq!((again.tree.root(), again.known), (tree.root(), Some(known())), "{round}");
                let again = &again.tree;
                tree.each(|name, leaf| assert_eq!(again.get(name), Some(leaf), "{name}"));
            }
        }
        assert!(most < 400, "a change costs a few lines: {most}");
        assert!(file.len() < 2_000 * 3 * 200, "what is superseded does not stay for ever: {}", file.len());
    }

    #[test]
    fn what_is_damaged_is_not_believed() {
        let (mut file, mut journal, mut tree) = (Vec::new(), Journal::default(), Tree::default());
        tree.set("a.vcf", leaf("s1"));
        write(&mut file, journal.remember(&tree, &known()));
        let first = (file.len(), tree.root());
        tree.set("b.vcf", leaf("2"));
        write(&mut file, journal.remember(&tree, &known()));
        for cut in first.0..file.len() {
            let again = Journal::read(&file[..cut]);
            assert_eq!(again.tree.root(), first.1, "cut at {cut}");
            let mut mended = file[..cut].to_vec();
            let mut journal = again;
            write(&mut mended, journal.remember(&tree, &known()));
            assert_eq!(Journal::read(&mended).tree.root(), tree.root(), "and goes on");
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            let again = Journal::read(&damaged);
            let root = again.tree.root();
            assert!([Tree::default().root(), first.1, tree.root()].contains(&root), "damaged at {at}");
            assert!(again.known.is_none_or(|it| it == known()), "damaged at {at}");
        }
        for nothing in [&b""[..], b"syncml watch 2\n", b"syncml watch 1\n+ 00\n", b"\xff"] {
            assert!(Journal::read(nothing).tree.is_empty());
        }
    }
}
