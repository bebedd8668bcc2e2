//! A digest tree: what a folder holds, such that two states of it are compared in time proportional to what differs.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Children of a node.
const WIDE: usize = 16;
/// Entries that are kept together; more are parted. The shape is thus a matter of the names alone.
const FEW: usize = 16;
/// Hexadecimal digits of a place. Names that agree in all of them stay together, however many they are.
const DEPTH: usize = 32;
/// How much later than its modification a file must be looked at for its times to be trusted, in nanoseconds: file systems
/// tell times as coarsely as two seconds, and a second change within such a time cannot be seen.
const COARSE: i64 = 2_000_000_000;

/// The SHA-256 of a content.
pub type Digest = [u8; 32];

/// What can be told of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its length, in bytes.
    pub size: u64,
    /// When it was modified, in nanoseconds since 1970.
    pub modified: i64,
}

impl Stamp {
    /// The stamp, if it tells this content from any that may follow: not if the file was modified so shortly before `now`, in
    /// nanoseconds since 1970, that another change might show the same time.
    #[must_use]
    pub const fn trusted(self, now: i64) -> Option<Self> {
        if now.saturating_sub(self.modified) > COARSE { Some(self) } else { None }
    }
}

/// An entry of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Of its content.
    pub digest: Digest,
    /// What the file showed when it was read, if that is to be trusted ([`Stamp::trusted`]). No part of what is compared.
    pub stamp: Option<Stamp>,
}

/// What differs between two trees, by name, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Only in the later one.
    pub added: Vec<String>,
    /// In both, with another content.
    pub changed: Vec<String>,
    /// Only in the earlier one.
    pub removed: Vec<String>,
    /// Nodes that were looked at to find it out.
    pub visited: usize,
}

impl Changes {
    /// Whether nothing differs.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.added.iter().chain(&self.changed).chain(&self.removed).map(String::as_str)
    }
}

/// The names in a folder with the digests of their contents. A copy costs nothing: states share what they have in common.
///
/// Equal contents under equal names give equal trees, by whatever way they came to be, and equal [`root`](Self::root)s.
///
/// ```
/// use syncml::service::watch::{Leaf, Tree};
/// let leaf = |content: &[u8]| Leaf { digest: Tree::digest(content), stamp: None };
/// let mut now = Tree::default();
/// now.set("a.vcf", leaf(b"1"));
/// let before = now.clone();
/// now.set("a.vcf", leaf(b"2"));
/// now.set("b.vcf", leaf(b"3"));
/// let changes = now.since(&before);
/// assert_eq!((changes.added, changes.changed), (vec!["b.vcf".to_owned()], vec!["a.vcf".to_owned()]));
/// ```
#[derive(Clone, Debug)]
pub struct Tree(Arc<Node>);

#[derive(Clone, Debug)]
enum Node {
    /// Entries by name.
    Few { entries: Vec<Entry>, digest: Digest },
    /// One node for each next digit of the place.
    Many { children: Box<[Arc<Self>; WIDE]>, count: usize, digest: Digest },
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    place: [u8; DEPTH / 2],
    leaf: Leaf,
}

impl Default for Tree {
    fn default() -> Self {
        Self(Arc::new(Node::few(Vec::new())))
    }
}

impl Tree {
    /// The digest of a content.
    #[must_use]
    pub fn digest(content: &[u8]) -> Digest {
        Sha256::digest(content).into()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The digest of everything.
    #[must_use]
    pub fn root(&self) -> Digest {
        *self.0.digest()
    }

    /// What is known under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Leaf> {
        let place = place(name);
        let mut node = &*self.0;
        for depth in 0.. {
            match node {
                Node::Few { entries, .. } => {
                    let at = entries.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok()?;
                    return Some(&entries[at].leaf);
                }
                Node::Many { children, .. } => node = &children[digit(&place, depth)],
            }
        }
        None
    }

    /// Whether a file can have another content than is known: not if it has the stamp that it had when it was read.
    #[must_use]
    pub fn doubts(&self, name: &str, stamp: Stamp) -> bool {
        self.get(name).is_none_or(|leaf| leaf.stamp != Some(stamp))
    }

    /// Sets what is under a name.
    pub fn set(&mut self, name: &str, leaf: Leaf) {
        Arc::make_mut(&mut self.0).set(Entry { name: name.to_owned(), place: place(name), leaf }, 0);
    }

    /// Removes a name; gives whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let there = self.get(name).is_some();
        if there {
            Arc::make_mut(&mut self.0).remove(name, &place(name), 0);
        }
        there
    }

    /// All entries; in an order of the tree's own.
    pub fn each<'a>(&'a self, mut tell: impl FnMut(&'a str, &'a Leaf)) {
        self.0.each(&mut |entry| tell(&entry.name, &entry.leaf));
    }

    /// What differs from an earlier state. Parts with equal digests are not looked into.
    #[must_use]
    pub fn since(&self, before: &Self) -> Changes {
        let mut changes = Changes::default();
        compare(&self.0, &before.0, &mut changes);
        for names in [&mut changes.added, &mut changes.changed, &mut changes.removed] {
            names.sort_unstable();
        }
        changes
    }
}

/// Where a name belongs.
fn place(name: &str) -> [u8; DEPTH / 2] {
    let mut place = [0; DEPTH / 2];
    place.copy_from_slice(&Sha256::digest(name)[..DEPTH / 2]);
    place
}

fn digit(place: &[u8; DEPTH / 2], depth: usize) -> usize {
    let byte = place[depth / 2];
    usize::from(if depth.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
}

impl Node {
    fn few(entries: Vec<Entry>) -> Self {
        let digest = digest_of(&entries);
        Self::Few { entries, digest }
    }

    const fn digest(&self) -> &Digest {
        match self {
            Self::Few { digest, .. } | Self::Many { digest, .. } => digest,
        }
    }

    const fn count(&self) -> usize {
        match self {
            Self::Few { entries, .. } => entries.len(),
            Self::Many { count, .. } => *count,
        }
    }

    fn each<'a>(&'a self, tell: &mut dyn FnMut(&'a Entry)) {
        match self {
            Self::Few { entries, .. } => entries.iter().for_each(tell),
            Self::Many { children, .. } => children.iter().for_each(|child| child.each(tell)),
        }
    }

    fn set(&mut self, entry: Entry, depth: usize) {
        match self {
            Self::Few { entries, digest } => {
                match entries.binary_search_by(|known| known.name.cmp(&entry.name)) {
                    Ok(at) => entries[at] = entry,
                    Err(at) => entries.insert(at, entry),
                }
                if entries.len() > FEW && depth < DEPTH {
                    *self = Self::parted(std::mem::take(entries), depth);
                } else {
                    *digest = digest_of(entries);
                }
            }
            Self::Many { children, .. } => {
                let at = digit(&entry.place, depth);
                Arc::make_mut(&mut children[at]).set(entry, depth + 1);
                self.renew();
            }
        }
    }

    fn remove(&mut self, name: &str, place: &[u8; DEPTH / 2], depth: usize) {
        match self {
            Self::Few { entries, digest } => {
                entries.retain(|entry| entry.name != name);
                *digest = digest_of(entries);
            }
            Self::Many { children, .. } => {
                Arc::make_mut(&mut children[digit(place, depth)]).remove(name, place, depth + 1);
                self.renew();
                if self.count() <= FEW {
                    let mut entries = Vec::new();
                    self.each(&mut |entry| entries.push(entry.clone()));
                    entries.sort_by(|one, other| one.name.cmp(&other.name));
                    *self = Self::few(entries);
                }
            }
        }
    }

    fn parted(entries: Vec<Entry>, depth: usize) -> Self {
        let mut parts: [Vec<Entry>; WIDE] = Default::default();
        entries.into_iter().for_each(|entry| parts[digit(&entry.place, depth)].push(entry));
        let part = |entries: Vec<Entry>| match entries.len() > FEW && depth + 1 < DEPTH {
            true => Self::parted(entries, depth + 1),
            false => Self::few(entries),
        };
        let children = Box::new(parts.map(|entries| Arc::new(part(entries))));
        let mut node = Self::Many { children, count: 0, digest: Digest::default() };
        node.renew();
        node
    }

    /// Counts and digests anew, after a child changed.
    fn renew(&mut self) {
        if let Self::Many { children, count, digest } = self {
            *count = children.iter().map(|child| child.count()).sum();
            let mut hash = Sha256::new();
            hash.update(b"syncml watch many\n");
            children.iter().for_each(|child| hash.update(child.digest()));
            *digest = hash.finalize().into();
        }
    }
}

/// Names have their lengths before them, so that different entries are different bytes.
fn digest_of(entries: &[Entry]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(b"syncml watch few\n");
    for entry in entries {
        hash.update((entry.name.len() as u64).to_le_bytes());
        hash.update(&entry.name);
        hash.update(entry.leaf.digest);
    }
    hash.finalize().into()
}

fn compare(now: &Node, before: &Node, found: &mut Changes) {
    found.visited += 1;
    if now.digest() == before.digest() {
        return;
    }
    if let (Node::Many { children: now, .. }, Node::Many { children: before, .. }) = (now, before) {
        now.iter().zip(before.iter()).for_each(|(now, before)| compare(now, before, found));
        return;
    }
    // One of them has few entries, so that what the other has more is what differs.
    let mut known = BTreeMap::new();
    before.each(&mut |entry| {
        known.insert(entry.name.as_str(), &entry.leaf.digest);
    });
    now.each(&mut |entry| match known.remove(entry.name.as_str()) {
        None => found.added.push(entry.name.clone()),
        Some(digest) if *digest != entry.leaf.digest => found.changed.push(entry.name.clone()),
        Some(_) => {}
    });
    found.removed.extend(known.into_keys().map(str::to_owned));
}

#[cfg(test)]
mod tests {
    use super::{Changes, Leaf, Stamp, Tree};

    fn leaf(content: &str) -> Leaf {
        Leaf { digest: Tree::digest(content.as_bytes()), stamp: None }
    }

    fn of(count: usize) -> Tree {
        let mut tree = Tree::default();
        (0..count).for_each(|at| tree.set(&format!("{at}.vcf"), leaf(&at.to_string())));
        tree
    }

    #[test]
    fn equal_contents_are_equal_trees_however_they_came_to_be() {
        for count in [0, 1, 16, 17, 300, 5000] {
            let tree = of(count);
            let mut other = Tree::default();
            (0..count).rev().for_each(|at| other.set(&format!("{at}.vcf"), leaf("another")));
            (0..count * 2).for_each(|at| other.set(&format!("{at}.vcf"), leaf(&at.to_string())));
            (count..count * 2).for_each(|at| assert!(other.remove(&format!("{at}.vcf"))));
            assert!(!other.remove("none.vcf"));
            assert_eq!((tree.root(), tree.len()), (other.root(), count));
            assert!(tree.since(&other).is_empty());
            let mut names = Vec::new();
            other.each(|name, leaf| names.push((name.to_owned(), leaf.digest)));
            assert_eq!(names.len(), count);
            assert!(names.iter().all(|(name, digest)| tree.get(name).is_some_and(|leaf| leaf.digest == *digest)));
        }
        assert_ne!(of(3).root(), of(4).root());
    }

    #[test]
    fn finds_just_what_differs() {
        let before = of(1000);
        let mut now = before.clone();
        now.set("7.vcf", leaf("edited"));
        now.set("8.vcf", leaf("8"));
        now.set("new.vcf", leaf("new"));
        now.remove("9.vcf");
        let Changes { added, changed, removed, .. } = now.since(&before);
        assert_eq!((added, changed, removed), (vec!["new.vcf".into()], vec!["7.vcf".into()], vec!["9.vcf".into()]));
        let all = of(40).since(&of(0));
        assert_eq!((all.added.len(), of(0).since(&of(40)).removed.len()), (40, 40), "from few to many, and back");
    }

    /// Counted, not timed.
    #[test]
    fn looks_only_where_something_differs() {
        for count in [1_000, 10_000, 100_000] {
            let before = of(count);
            let mut now = before.clone();
            assert_eq!(now.since(&before).visited, 1, "nothing differs");
            for at in 0..10 {
                now.set(&format!("{}.vcf", at * 97), leaf("edited"));
            }
            let found = now.since(&before);
            // Each is a path of sixteen nodes a level.
            let levels = (count as f64).log(16.0).ceil() as usize;
            assert_eq!(found.changed.len(), 10);
            assert!(found.visited <= 1 + 10 * 16 * levels, "{count}: {} nodes", found.visited);
        }
    }

    #[test]
    fn a_stamp_is_trusted_once_it_is_old() {
        let stamp = Stamp { size: 5, modified: 10_000_000_000 };
        for (now, trusted) in
            [(9_000_000_000, false), (10_000_000_000, false), (12_000_000_000, false), (12_000_000_001, true)]
        {
            assert_eq!(stamp.trusted(now).is_some(), trusted, "{now}");
        }
        let mut tree = of(2);
        assert!(tree.doubts("0.vcf", stamp) && tree.doubts("new.vcf", stamp), "never seen with that");
        tree.set("0.vcf", Leaf { stamp: Some(stamp), ..leaf("0") });
        assert!(!tree.doubts("0.vcf", stamp));
        assert!(
            tree.doubts("0.vcf", Stamp { size: 6, ..stamp }) && tree.doubts("0.vcf", Stamp { modified: 0, ..stamp })
        );
        assert!(tree.since(&of(2)).is_empty(), "stamps are no contents");
    }
}
