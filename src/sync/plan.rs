//! A dry run: what a first or slow sync would make of two sets of items (mission S5, field notes 1, 7).
//!
//! Pairs are made as a sync makes them: first those that mean the same, then the strong matches, one to one. What is left
//! over is looked at once more for near twins, which a sync leaves apart: they are reported, not merged.
//!
//! Pages go in, in any order; of each item its fingerprint and keys are held, contents only of those that are compared.
//! Linear in the items, since no more than [`MAX_CANDIDATES`] are looked at for one key.

use crate::contact::identity::{Kind, Likeness, MatchRules, Why, compare_items, identify, loose_keys};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;

/// Candidates looked at for one key.
pub const MAX_CANDIDATES: usize = 32;

/// Items compared at a time: what is in memory of contents is at most this many times the candidates of one.
const PAGE: usize = 200;

/// From this many items on both sides it is odd that none of them is the same.
const STRANGE: usize = 20;

/// Which of the two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// What is here.
    Here,
    /// What the other has.
    There,
}

/// What a sync would do with an item of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    /// Nothing: this one here means the same.
    Matched(usize),
    /// It would be merged with this one here.
    Merged(usize, Why),
    /// It would be added here. The item here that comes nearest, and why they are not taken for one.
    Added(Option<(usize, Near)>),
}

/// How near an item comes to one that it is not taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near {
    /// Whether a person might say that they are the same: both would be there twice then.
    pub double: bool,
    /// What was found.
    pub why: Why,
}

/// What a person should look at before such a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Suspicion {
    /// One side has nothing, the other so many.
    Empty(Side, usize),
    /// Both sides have much, and nothing of it is the same: perhaps this is another person's book.
    NothingInCommon(usize, usize),
    /// These items of one side mean the same: they are doubles already, and stay what they are.
    Doubles(Side, Vec<usize>),
    /// There is nothing to know this item by: no name, number or address. Only the very same is matched with it.
    Faceless(Side, usize),
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |side: &Side| if *side == Side::Here { "here" } else { "there" };
        match self {
            Self::Empty(side, other) => write!(f, "there is nothing {}, and {other} on the other side", place(side)),
            Self::NothingInCommon(here, there) => {
                write!(f, "none of {here} here and {there} there is the same: is it another book?")
            }
            Self::Doubles(side, items) => write!(f, "{} items {} mean the same", items.len(), place(side)),
            Self::Faceless(side, _) => write!(f, "an item {} has neither name nor number nor address", place(side)),
        }
    }
}

/// What a sync would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// What would become of each item of the other side, in the order in which they were shown.
    pub there: Vec<Planned>,
    /// Items here that the other side would be given.
    pub sent: Vec<usize>,
    /// What should be looked at.
    pub suspicious: Vec<Suspicion>,
    /// How many pairs were compared.
    pub compared: u64,
}

impl Plan {
    /// How many mean the same, would be merged, would be added here, and of these would perhaps be doubles.
    #[must_use]
    pub fn counts(&self) -> PlanCounts {
        let mut counts = PlanCounts { sent: self.sent.len(), ..PlanCounts::default() };
        for planned in &self.there {
            match planned {
                Planned::Matched(_) => counts.matched += 1,
                Planned::Merged(..) => counts.merged += 1,
                Planned::Added(near) => {
                    counts.added += 1;
                    counts.doubles += usize::from(near.is_some_and(|(_, near)| near.double));
                }
            }
        }
        counts
    }
}

/// A plan in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanCounts {
    /// Items that both sides have.
    pub matched: usize,
    /// Items that both sides have, with different details.
    pub merged: usize,
    /// Items that would be added here.
    pub added: usize,
    /// Of those, near twins of what is here.
    pub doubles: usize,
    /// Items that the other side would be given.
    pub sent: usize,
}

/// What is held of an item.
struct Held {
    print: [u8; 16],
    keys: Box<[u64]>,
    taken: bool,
}

/// Collects two sets and plans their first sync.
pub struct Planner {
    kind: Kind,
    rules: MatchRules,
    here: Vec<Held>,
    there: Vec<Held>,
    by_print: HashMap<[u8; 16], Vec<usize>>,
    by_key: HashMap<u64, Vec<usize>>,
    /// By what near twins share.
    by_trait: HashMap<u64, Vec<usize>>,
    faceless: Vec<Suspicion>,
}

impl fmt::Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planner").field("here", &self.here.len()).field("there", &self.there.len()).finish()
    }
}

impl Planner {
    /// A planner for items of this kind.
    #[must_use]
    pub fn new(kind: Kind, rules: MatchRules) -> Self {
        Self {
            kind,
            rules,
            here: Vec::new(),
            there: Vec::new(),
            by_print: HashMap::new(),
            by_key: HashMap::new(),
            by_trait: HashMap::new(),
            faceless: Vec::new(),
        }
    }

    /// Shows it an item here. Items are numbered in the order in which they are shown, each side from 0.
    pub fn here(&mut self, content: &[u8]) {
        let at = self.here.len();
        let held = self.hold(Side::Here, at, content);
        self.by_print.entry(held.print).or_default().push(at);
        for key in &held.keys {
            bounded(self.by_key.entry(*key).or_default(), at);
        }
        for key in loose_keys(self.kind, content) {
            bounded(self.by_trait.entry(key.0).or_default(), at);
        }
        self.here.push(held);
    }

    /// Shows it an item of the other side.
    pub fn there(&mut self, content: &[u8]) {
        let held = self.hold(Side::There, self.there.len(), content);
        self.there.push(held);
    }

    fn hold(&mut self, side: Side, at: usize, content: &[u8]) -> Held {
        let identity = identify(self.kind, content);
        if identity.keys.is_empty() {
            self.faceless.push(Suspicion::Faceless(side, at));
        }
        Held { print: identity.fingerprint.0, keys: identity.keys.iter().map(|key| key.0).collect(), taken: false }
    }

    /// Makes the plan. `contents` gives items of one side again, those that have to be compared, aligned with what is asked
    /// for; one that is not there any more may be empty.
    ///
    /// # Errors
    /// Those of `contents`.
    pub fn finish<E>(mut self, mut contents: impl FnMut(Side, &[usize]) -> Result<Vec<Vec<u8>>, E>) -> Result<Plan, E> {
        let mut plan = Plan { there: vec![Planned::Added(None); self.there.len()], ..Plan::default() };
        self.pair_equal(&mut plan);
        for strong in [true, false] {
            let left: Vec<usize> = (0..self.there.len()).filter(|at| plan.there[*at] == Planned::Added(None)).collect();
            for page in left.chunks(PAGE) {
                self.pair_page(&mut plan, page, strong, &mut contents)?;
            }
        }
        plan.sent = (0..self.here.len()).filter(|at| !self.here[*at].taken).collect();
        self.suspect(&mut plan);
        Ok(plan)
    }

    /// Pairs what means the same, in order: of many that do, each has its partner.
    fn pair_equal(&mut self, plan: &mut Plan) {
        let mut next: HashMap<[u8; 16], usize> = HashMap::new();
        for (at, held) in self.there.iter().enumerate() {
            let twins = self.by_print.get(&held.print).map_or(&[][..], Vec::as_slice);
            let used = next.entry(held.print).or_default();
            if let Some(twin) = twins.get(*used) {
                *used += 1;
                self.here[*twin].taken = true;
                plan.there[at] = Planned::Matched(*twin);
            }
        }
    }

    /// Pairs strong matches; or names, of what is left, the nearest.
    fn pair_page<E>(
        &mut self,
        plan: &mut Plan,
        page: &[usize],
        strong: bool,
        contents: &mut impl FnMut(Side, &[usize]) -> Result<Vec<Vec<u8>>, E>,
    ) -> Result<(), E> {
        let theirs = contents(Side::There, page)?;
        let candidates: Vec<Vec<usize>> = page
            .iter()
            .zip(&theirs)
            .map(|(at, content)| match strong {
                true => self.candidates(&self.by_key, self.there[*at].keys.iter().copied()),
                false => self.candidates(&self.by_trait, loose_keys(self.kind, content).into_iter().map(|key| key.0)),
            })
            .collect();
        let mut wanted: Vec<usize> = candidates.iter().flatten().copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let ours: HashMap<usize, Vec<u8>> = wanted.iter().copied().zip(contents(Side::Here, &wanted)?).collect();
        for ((at, content), candidates) in page.iter().zip(&theirs).zip(candidates) {
            let mut best: Option<(usize, Likeness, Why)> = None;
            for candidate in candidates {
                let Some(other) = ours.get(&candidate) else { continue };
                if strong && self.here[candidate].taken {
                    continue;
                }
                plan.compared += 1;
                let verdict = compare_items(self.kind, other, content, &self.rules);
                if best.is_none_or(|(_, likeness, why)| {
                    (verdict.likeness, !says_name(verdict.why)) < (likeness, !says_name(why))
                }) {
                    best = Some((candidate, verdict.likeness, verdict.why));
                }
            }
            match best {
                Some((twin, Likeness::Equal | Likeness::Strong, why)) if strong => {
                    self.here[twin].taken = true;
                    plan.there[*at] = Planned::Merged(twin, why);
                }
                Some((twin, likeness, why)) if !strong && why != Why::NothingShared => {
                    let double = likeness != Likeness::Different || says_name(why);
                    plan.there[*at] = Planned::Added(Some((twin, Near { double, why })));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn candidates(&self, index: &HashMap<u64, Vec<usize>>, keys: impl Iterator<Item = u64>) -> Vec<usize> {
        let mut found: Vec<usize> = keys.filter_map(|key| index.get(&key)).flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn suspect(self, plan: &mut Plan) {
        let (here, there) = (self.here.len(), self.there.len());
        match (here, there) {
            (0, 1..) => plan.suspicious.push(Suspicion::Empty(Side::Here, there)),
            (1.., 0) => plan.suspicious.push(Suspicion::Empty(Side::There, here)),
            _ => {}
        }
        let counts = plan.counts();
        if here >= STRANGE && there >= STRANGE && counts.matched + counts.merged == 0 {
            plan.suspicious.push(Suspicion::NothingInCommon(here, there));
        }
        for (side, items) in [(Side::Here, &self.here), (Side::There, &self.there)] {
            let mut by_print: HashMap<[u8; 16], Vec<usize>> = HashMap::new();
            for (at, held) in items.iter().enumerate() {
                by_print.entry(held.print).or_default().push(at);
            }
            let mut doubles: Vec<Vec<usize>> = by_print.into_values().filter(|items| items.len() > 1).collect();
            doubles.sort_unstable();
            plan.suspicious.extend(doubles.into_iter().map(|items| Suspicion::Doubles(side, items)));
        }
        plan.suspicious.extend(self.faceless);
    }
}

fn bounded(list: &mut Vec<usize>, at: usize) {
    if list.len() < MAX_CANDIDATES && list.last() != Some(&at) {
        list.push(at);
    }
}

/// Whether two items have a name in common, so that a person would look twice.
const fn says_name(why: Why) -> bool {
    matches!(why, Why::NumbersDiffer | Why::NamePartsDiffer | Why::PartialName | Why::NameAlone | Why::NameAndEmail)
}

#[cfg(test)]
mod tests {
    use super::{Near, Plan, Planned, Planner, Side, Suspicion};
    use crate::contact::identity::{Kind, MatchRules, Why};
    use std::convert::Infallible;

    fn card(lines: &[&str]) -> Vec<u8> {
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{}\r\nEND:VCARD\r\n", lines.join("\r\n")).into_bytes()
    }

    fn person(name: &str, number: &str) -> Vec<u8> {
        card(&[&format!("N:{name};Ann;;;"), &format!("TEL;TYPE=CELL:{number}")])
    }

    fn plan(here: &[Vec<u8>], there: &[Vec<u8>]) -> Plan {
        let mut planner = Planner::new(Kind::Contact, MatchRules::default());
        here.iter().for_each(|content| planner.here(content));
        there.iter().for_each(|content| planner.there(content));
        let contents = |side, which: &[usize]| {
            let all = if side == Side::Here { here } else { there };
            Ok::<_, Infallible>(which.iter().map(|at| all[*at].clone()).collect())
        };
        planner.finish(contents).unwrap_or_default()
    }

    #[test]
    fn row7_a_first_sync_is_told_before_it_is_held() {
        let with_note = card(&["N:Merged;Ann;;;", "TEL;TYPE=CELL:+4930111", "NOTE:x"]);
        let here = [person("Same", "+4930100"), with_note, person("Ours", "+4930122"), person("Near", "+4930133")];
        let there = [
            person("Merged", "+49 30 111"),
            person("Near", "+4930199"),
            card(&["n:Same;Ann;;;", "tel;type=cell:+49-30-100"]),
            person("Theirs", "+4930144"),
            person("Else", "+4930122"),
        ];
        let plan = plan(&here, &there);
        let near = |double, why| Some(Near { double, why });
        let expected = [
            Planned::Merged(1, Why::NameAndNumber),
            Planned::Added(near(true, Why::NumbersDiffer).map(|near| (3, near))),
            Planned::Matched(0),
            Planned::Added(None),
            // Row 6: a shared number makes nobody the same.
            Planned::Added(near(false, Why::NamesDiffer).map(|near| (2, near))),
        ];
        assert_eq!(plan.there, expected);
        assert_eq!(plan.sent, [2, 3]);
        assert_eq!(plan.suspicious, []);
        let counts = plan.counts();
        assert_eq!((counts.matched, counts.merged, counts.added, counts.doubles, counts.sent), (1, 1, 3, 1, 2));
    }

    #[test]
    fn pairs_are_one_to_one() {
        let same = person("Same", "+4930100");
        let plan = plan(&vec![same.clone(); 2], &vec![same; 3]);
        assert_eq!(plan.there[..2], [Planned::Matched(0), Planned::Matched(1)]);
        assert!(matches!(plan.there[2], Planned::Added(Some((0, Near { double: true, why: Why::SameMeaning })))));
        assert_eq!(
            plan.suspicious[..],
            [Suspicion::Doubles(Side::Here, vec![0, 1]), Suspicion::Doubles(Side::There, vec![0, 1, 2]),]
        );
    }

    #[test]
    fn row1_what_is_odd_is_said() {
        let odd = card(&["NOTE:nobody"]);
        assert_eq!(
            plan(&[], &[odd]).suspicious,
            [Suspicion::Empty(Side::Here, 1), Suspicion::Faceless(Side::There, 0),]
        );
        let many = |name: &str| (0..20).map(|n| person(&format!("{name}{n}"), &n.to_string())).collect::<Vec<_>>();
        let (here, there) = (many("A"), many("B"));
        assert_eq!(plan(&here, &there).suspicious, [Suspicion::NothingInCommon(20, 20)]);
        assert_eq!(plan(&here, &here).suspicious, []);
        for suspicion in [Suspicion::Empty(Side::Here, 1), Suspicion::Doubles(Side::There, vec![0, 1])] {
            assert!(suspicion.to_string().len() > 20);
        }
    }

    /// Thousands who share a number, as of a company's switchboard, cost no more than others.
    #[test]
    fn comparisons_are_bounded_by_the_items() {
        let many =
            |n: usize, name: &str| (0..n).map(|at| person(&format!("{name}{at}"), "+4930555")).collect::<Vec<_>>();
        let compared = |n| plan(&many(n, "A"), &many(n, "B")).compared;
        let (one, two) = (compared(500), compared(1_000));
        assert!(one >= 500 && one <= 500 * 2 * super::MAX_CANDIDATES as u64, "{one}");
        assert!(two <= 2 * one, "{one} and then {two}");
    }
}
