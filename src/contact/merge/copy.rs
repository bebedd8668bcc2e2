//! Taking a property of one card over into another.

use std::collections::{BTreeMap, BTreeSet};

use crate::contact::card::{Card, Property, PropertyBuf, Version};
use crate::contact::identity::Canon;

/// Copies properties of theirs, under group names that ours does not use, along with the labels of their group.
pub(in crate::contact) struct Groups {
    used: BTreeSet<String>,
    next: usize,
    renamed: BTreeMap<String, String>,
    labels: BTreeMap<String, Vec<usize>>,
    /// May bytes be copied as they are? Not without VERSION: then the version is guessed from the spelling.
    alike: bool,
    version: Version,
    line_break: &'static [u8],
}

impl Groups {
    pub(in crate::contact) fn of(ours: &Card<'_>, theirs: &Card<'_>) -> Self {
        let group = |it: &Property<'_>| it.group().map(str::to_ascii_lowercase);
        let mut labels: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, property) in theirs.properties().iter().enumerate() {
            if let Some(group) = group(property)
                && Canon::is_label(property)
            {
                labels.entry(group).or_default().push(at);
            }
        }
        Self {
            used: ours.properties().iter().filter_map(group).collect(),
            next: 1,
            renamed: BTreeMap::new(),
            labels,
            alike: ours.get("VERSION").is_some()
                && theirs.version() == ours.version()
                && theirs.line_break() == ours.line_break(),
            version: ours.version(),
            line_break: ours.line_break(),
        }
    }

    /// The bytes to add for a property, with the labels of its group the first time.
    pub(in crate::contact) fn copy(&mut self, property: &Property<'_>, theirs: &Card<'_>) -> Vec<u8> {
        self.copy_as(property, theirs, None)
    }

    /// The same, but says `instead` in the place of the property.
    pub(in crate::contact) fn copy_as(
        &mut self,
        property: &Property<'_>,
        theirs: &Card<'_>,
        instead: Option<&PropertyBuf>,
    ) -> Vec<u8> {
        let spell = |this: &Self, group: Option<&str>| match instead {
            Some(instead) => instead.clone().group(group.unwrap_or_default()).write(this.version, this.line_break),
            None => this.spell(property, group),
        };
        let Some(old) = property.group().map(str::to_ascii_lowercase) else {
            return spell(self, None);
        };
        if let Some(new) = self.renamed.get(&old) {
            return spell(self, Some(new));
        }
        // Nothing labels what says nothing.
        if !Canon::says_something(property) {
            return spell(self, None);
        }
        let new = loop {
            let name = format!("item{}", self.next);
            self.next += 1;
            if !self.used.contains(&name) {
                break name;
            }
        };
        let mut out = spell(self, Some(&new));
        // A label on its own is the property itself.
        if !Canon::is_label(property) {
            for &at in self.labels.get(&old).into_iter().flatten() {
                out.extend(self.spell(&theirs.properties()[at], Some(&new)));
            }
        }
        self.renamed.insert(old, new);
        out
    }

    /// A property as ours spells it.
    pub(in crate::contact) fn write(&self, property: &PropertyBuf) -> Vec<u8> {
        property.write(self.version, self.line_break)
    }

    /// A property in our version: its bytes if they can stand anywhere, else spelt anew.
    fn spell(&self, property: &Property<'_>, group: Option<&str>) -> Vec<u8> {
        let raw = property.raw();
        // Indented or without a line break it would become part of its neighbours.
        let whole = raw.last() == self.line_break.last() && !raw.starts_with(b" ") && !raw.starts_with(b"\t");
        let tail = match property.group() {
            None => Some(raw),
            Some(old) => raw.strip_prefix(old.as_bytes()).and_then(|rest| rest.strip_prefix(b".")),
        };
        // Only a name at its very beginning is told from the rest of a value that a backslash continues.
        let plain = |tail: &&[u8]| tail.starts_with(property.name().as_bytes());
        match tail.filter(plain).filter(|_| self.alike && whole && !property.is_open()) {
            Some(tail) => match group {
                Some(group) => [group.as_bytes(), b".", tail].concat(),
                None => tail.to_vec(),
            },
            None => {
                let owned = PropertyBuf::from(property).group(group.unwrap_or_default());
                owned.write(self.version, self.line_break)
            }
        }
    }
}
