//! What a restore does to the device (mission C5).

use super::{Application, FileObject, Folder, KeptItem};
use crate::contact::identity::{Kind, Likeness, MatchRules, compare_items, identify};
use crate::contact::merge::{same_meaning, union};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

/// An item of a backup.
#[derive(Clone, PartialEq, Eq)]
pub enum CloudItem {
    /// A contact.
    Contact(Vec<u8>),
    /// Anything else.
    File(FileObject),
}

/// Says no more than lengths, as all that follow: what is in a box is nobody's business.
impl fmt::Debug for CloudItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudItem").field("data", &self.data().len()).finish_non_exhaustive()
    }
}

impl CloudItem {
    /// Reads an item of an application's backup; `None` for what is no such item.
    #[must_use]
    pub fn read(application: &Application, content: &[u8]) -> Option<Self> {
        match application.is_contacts() {
            true => Some(Self::Contact(content.to_vec())),
            false => FileObject::decode(content).map(Self::File),
        }
    }

    /// The item as it is on a device.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        match self {
            Self::Contact(card) => card,
            Self::File(file) => &file.data,
        }
    }

    /// What it is called: for a contact its name, for a file that of its path.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Contact(card) => identify(Kind::Contact, card).label.unwrap_or_default(),
            Self::File(file) => file.path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned(),
        }
    }
}

/// Finds out where items of a backup belong on the device.
///
/// Files are known by their path, contacts by what they say: to a file with the same card, else with one that is the same
/// person (S7), else to one that is gone and whose card was. Each place is given once.
#[derive(Default)]
pub struct Finder {
    /// Contacts: what is in the files.
    cards: BTreeMap<String, Vec<u8>>,
    /// Contacts: places by the match keys of what is, or was, there.
    by_key: HashMap<u64, BTreeSet<String>>,
    /// Places that were not given yet.
    free: BTreeSet<String>,
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finder").field("free", &self.free.len()).finish_non_exhaustive()
    }
}

impl Finder {
    /// One for the folder of an application; `read` gives what is at a path, if it is there.
    #[must_use]
    pub fn new(application: &Application, folder: &Folder, read: &mut dyn FnMut(&str) -> Option<Vec<u8>>) -> Self {
        let mut finder = Self::default();
        let shortcuts = folder.shortcuts.iter().map(|(path, shortcut)| (path, &shortcut.upload));
        for (path, upload) in shortcuts.chain(&folder.left) {
            finder.free.insert(path.clone());
            if !application.is_contacts() {
                continue;
            }
            let keys: Vec<u64> = match read(path) {
                Some(card) => {
                    let keys = keys(&card);
                    finder.cards.insert(path.clone(), card);
                    keys
                }
                None => upload.keys.clone(),
            };
            for key in keys {
                finder.by_key.entry(key).or_default().insert(path.clone());
            }
        }
        finder
    }

    /// Where items belong, in their order; `None` for those that have no place on this device. The surest are placed first.
    #[must_use]
    pub fn place(mut self, items: &[CloudItem]) -> Vec<Option<String>> {
        let mut places = vec![None; items.len()];
        for wanted in [Likeness::Equal, Likeness::Strong, Likeness::Loose] {
            for (place, item) in places.iter_mut().zip(items).filter(|(place, _)| place.is_none()) {
                *place = self.find(item, wanted);
                if let Some(found) = place {
                    self.free.remove(found);
                }
            }
        }
        places
    }

    fn find(&self, item: &CloudItem, wanted: Likeness) -> Option<String> {
        let card = match item {
            CloudItem::File(file) => return self.free.get(&file.path).cloned(),
            CloudItem::Contact(card) => card,
        };
        let keys = keys(card);
        let candidates: BTreeSet<&String> = keys.iter().filter_map(|key| self.by_key.get(key)).flatten().collect();
        let fits = |path: &&&String| match self.cards.get(**path) {
            Some(here) if wanted == Likeness::Equal => same_meaning(here, card),
            Some(here) => {
                compare_items(Kind::Contact, here, card, &MatchRules::default()).likeness <= wanted
                    && wanted == Likeness::Strong
            }
            // Of one that is gone the keys are all that is known: it is the last to be taken.
            None => wanted == Likeness::Loose,
        };
        candidates.iter().filter(|path| self.free.contains(**path)).find(fits).map(|path| (*path).clone())
    }
}

/// The match keys of a card.
pub(super) fn keys(card: &[u8]) -> Vec<u64> {
    identify(Kind::Contact, card).keys.iter().map(|key| key.0).collect()
}

/// What a restore does with an item.
#[derive(Clone, PartialEq, Eq)]
pub enum Restored {
    /// The device has all of it: nothing is written.
    Same,
    /// It was not there: it is written.
    New(Vec<u8>),
    /// The device's own is added to, and loses nothing. Fields that the device says otherwise stay as they are there.
    Merged {
        /// What is written.
        content: Vec<u8>,
        /// The fields that stay as they are, though the backup says something else.
        stay: Vec<String>,
    },
    /// The same, without anything to add: nothing is written.
    Stays {
        /// The fields that stay as they are.
        stay: Vec<String>,
    },
    /// Another version of what cannot be merged: it is written beside the device's own.
    Beside(Vec<u8>),
}

impl fmt::Debug for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("Same"),
            Self::New(content) => f.debug_tuple("New").field(&content.len()).finish(),
            Self::Merged { content, stay } => {
                f.debug_struct("Merged").field("content", &content.len()).field("stay", stay).finish()
            }
            Self::Stays { stay } => f.debug_struct("Stays").field("stay", stay).finish(),
            Self::Beside(content) => f.debug_tuple("Beside").field(&content.len()).finish(),
        }
    }
}

/// What is to be written where `here` is, so that nothing is replaced: equal fields are untouched, fields only here stay, fields
/// only in the backup are added.
#[must_use]
pub fn add_to(here: Option<&[u8]>, item: &CloudItem) -> Restored {
    let cloud = item.data();
    let Some(here) = here else { return Restored::New(cloud.to_vec()) };
    if here == cloud {
        return Restored::Same;
    }
    let CloudItem::Contact(_) = item else { return Restored::Beside(cloud.to_vec()) };
    match union(here, cloud) {
        // What is here is no card; it is not for us to mend.
        None => Restored::Beside(cloud.to_vec()),
        Some(merged) => {
            let stay: Vec<String> = merged.conflicts.iter().map(|conflict| conflict.property.clone()).collect();
            match (merged.changed, stay.is_empty()) {
                (true, _) => Restored::Merged { content: merged.content, stay },
                (false, true) => Restored::Same,
                (false, false) => Restored::Stays { stay },
            }
        }
    }
}

/// What is done to one file to undo a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// What was there before is written.
    Write,
    /// Nothing was there before: the file goes.
    Remove,
    /// It is as it was: nothing is done.
    Nothing,
    /// Somebody changed it since, and it stays.
    Changed,
}

/// What is done to undo a restore of one file, of which `now` is the digest of what is there, if anything is.
#[must_use]
pub fn undo(item: &KeptItem, now: Option<&str>) -> Undo {
    match (&item.before, now) {
        (before, now) if before.as_deref() == now => Undo::Nothing,
        (Some(_), Some(now)) if now == item.after => Undo::Write,
        // It was deleted since: what was there before comes back, and nothing is lost by it.
        (Some(_), None) => Undo::Write,
        (None, Some(now)) if now == item.after => Undo::Remove,
        _ => Undo::Changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::boxes::{Shortcut, Upload};

    fn card(name: &str, lines: &str) -> Vec<u8> {
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:;{name};;;\r\nFN:{name}\r\n{lines}END:VCARD\r\n").into_bytes()
    }

    fn file(path: &str, data: &[u8]) -> CloudItem {
        CloudItem::File(FileObject { path: path.into(), media_type: String::new(), data: data.to_vec() })
    }

    /// The three rules of the patent ([0060] to [0063]), and what follows from "nothing is replaced".
    #[test]
    fn a_restore_adds_and_never_replaces() {
        let contact = |lines: &str| CloudItem::Contact(card("Anna", lines));
        let merged = |lines: &str, stay: &[&str]| Restored::Merged {
            content: card("Anna", lines),
            stay: stay.iter().map(|&it| it.to_owned()).collect(),
        };
        for (here, cloud, expected) in [
            ("TEL:1\r\n", "TEL:1\r\n", Restored::Same),
            ("TEL:1\r\nTITLE:Dr\r\n", "TEL:1\r\n", Restored::Same),
            ("TEL:1\r\n", "TEL:1\r\nNOTE:Ulm\r\n", merged("TEL:1\r\nNOTE:Ulm\r\n", &[])),
            ("TEL:1\r\n", "TEL:2\r\n", merged("TEL:1\r\nTEL:2\r\n", &[])),
            ("ORG:Here\r\n", "ORG:Cloud\r\n", Restored::Stays { stay: vec!["ORG".into()] }),
            ("ORG:Here\r\n", "ORG:Cloud\r\nTEL:1\r\n", merged("ORG:Here\r\nTEL:1\r\n", &["ORG"])),
        ] {
            assert_eq!(add_to(Some(&card("Anna", here)), &contact(cloud)), expected, "{here:?} {cloud:?}");
        }
        let whole = card("Anna", "TEL:1\r\n");
        assert_eq!(add_to(None, &CloudItem::Contact(whole.clone())), Restored::New(whole.clone()));
        assert_eq!(add_to(Some(b"no card"), &CloudItem::Contact(whole.clone())), Restored::Beside(whole));
        assert_eq!(add_to(None, &file("/a", b"x")), Restored::New(b"x".to_vec()));
        assert_eq!(add_to(Some(b"x"), &file("/a", b"x")), Restored::Same);
        assert_eq!(add_to(Some(b"y"), &file("/a", b"x")), Restored::Beside(b"x".to_vec()));
    }

    #[test]
    fn items_find_their_place() {
        let anna = card("Anna Doe", "TEL:+4930111222\r\n");
        let twin = card("Anna Doe", "TEL:+4930111222\r\nNOTE:more\r\n");
        let bo = card("Bo Doe", "TEL:+4930333444\r\n");
        let other = card("Cy Doe", "TEL:+4930555666\r\n");
        let mut folder = Folder::default();
        for path in ["/1.vcf", "/2.vcf", "/gone.vcf"] {
            folder.shortcuts.insert(path.into(), Shortcut::new(path, "text/vcard", 1));
        }
        folder.shortcuts.get_mut("/gone.vcf").unwrap().upload.keys = keys(&bo);
        let here = BTreeMap::from([("/1.vcf", twin.clone()), ("/2.vcf", anna.clone())]);
        let find = |items: &[&Vec<u8>]| {
            let items: Vec<_> = items.iter().map(|&card| CloudItem::Contact(card.clone())).collect();
            let finder = Finder::new(&Application::contacts(), &folder, &mut |path| here.get(path).cloned());
            finder.place(&items)
        };
        let at = |path: &str| Some(path.to_owned());
        assert_eq!(find(&[&anna]), [at("/2.vcf")], "the same card is surer than the same person");
        assert_eq!(find(&[&twin, &anna]), [at("/1.vcf"), at("/2.vcf")]);
        assert_eq!(find(&[&anna, &anna, &anna]), [at("/2.vcf"), at("/1.vcf"), None], "each place once");
        assert_eq!(find(&[&bo, &other]), [at("/gone.vcf"), None], "one that is gone is known by its keys");

        folder.left.insert("/left".into(), Upload::default());
        let finder = Finder::new(&"media".parse().unwrap(), &folder, &mut |_| None);
        let items = [file("/1.vcf", b"x"), file("/left", b"y"), file("/etc/passwd", b"z"), file("/1.vcf", b"x")];
        assert_eq!(finder.place(&items), [at("/1.vcf"), at("/left"), None, None]);
    }

    /// `before | after | now → done`
    #[test]
    fn undoing_loses_nothing() {
        for (before, now, expected) in [
            (Some("a"), Some("b"), Undo::Write),
            (Some("a"), Some("a"), Undo::Nothing),
            (Some("a"), None, Undo::Write),
            (Some("a"), Some("c"), Undo::Changed),
            (None, Some("b"), Undo::Remove),
            (None, None, Undo::Nothing),
            (None, Some("c"), Undo::Changed),
        ] {
            let item = KeptItem { path: "/x".into(), before: before.map(str::to_owned), after: "b".into() };
            assert_eq!(undo(&item, now), expected, "{before:?} {now:?}");
        }
    }

    #[test]
    fn what_is_no_item_is_told() {
        let media = "media".parse().unwrap();
        assert_eq!(CloudItem::read(&media, b"junk"), None);
        let item = file("/a/b c.txt", b"x");
        let CloudItem::File(object) = &item else { panic!() };
        assert_eq!(CloudItem::read(&media, &object.encode()), Some(item.clone()));
        assert_eq!(item.name(), "b c.txt");
        assert_eq!(CloudItem::Contact(card("Anna", "")).name(), "Anna");
    }
}
