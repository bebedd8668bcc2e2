//! What a host wants done where it may choose: who wins a conflict, and what happens to what looks like an accident
//! (missions X2, X5).

use super::DeletionGuard;
use serde::{Deserialize, Serialize};

/// Who wins when both sides changed an item since they last agreed on it, or an item comes under an id not known that a
/// strong match says is here already (S7). Whoever loses stays in the item's history, and is named in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Both: properties are merged three ways; where only one value can be, the later stands.
    #[default]
    Merge,
    /// The client's version.
    ClientWins,
    /// The server's version.
    ServerWins,
    /// What reached the server last. Devices' clocks are not trusted.
    Newest,
    /// Both, as two items.
    KeepBoth,
    /// The server's version stays for now, and is sent; the client is told that nothing was decided (409), and decides.
    /// Where there is nothing to choose between, as it deleted the item or holds it under an id not known, both are kept.
    LeaveToClient,
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Merge, Self::ClientWins, Self::ServerWins, Self::Newest, Self::KeepBoth, Self::LeaveToClient];

    /// As it is written in configurations and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::ClientWins => "client-wins",
            Self::ServerWins => "server-wins",
            Self::Newest => "newest",
            Self::KeepBoth => "keep-both",
            Self::LeaveToClient => "leave-to-client",
        }
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|policy| policy.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("{text:?} is no policy; there are {names}")
        })
    }
}

/// In which sync a conflict came up: each may have a policy of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Occasion {
    /// A sync of changes.
    Normal,
    /// A sync of everything between two that synced before.
    Slow,
    /// The first sync of a device and a book.
    First,
}

/// What is done about what looks like an accident. What it would have destroyed is in the history in any case: the book's
/// head before it is the snapshot, and is told with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reaction {
    /// It is done.
    Proceed,
    /// It waits for a person's decision.
    Hold,
    /// It is not done: what was deleted comes back; a slow sync is not held.
    Refuse,
}

/// What a host wants done about one book of some peers. What is not said is said elsewhere, or is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Treatment {
    /// Conflicts in syncs of changes; [`Policy::Merge`].
    pub normal: Option<Policy>,
    /// Conflicts in slow syncs; [`Policy::Merge`].
    pub slow: Option<Policy>,
    /// Conflicts in the first sync; as in slow syncs.
    pub first: Option<Policy>,
    /// Deletes that are too many to be meant; [`Reaction::Hold`]. Deletes that come to a client in a sync of changes are only
    /// weighed if this is said.
    pub deletes: Option<Reaction>,
    /// So many deletes are always obeyed ([`DeletionGuard::items`]).
    pub delete_items: Option<u64>,
    /// Up to this share of the book, deletes are obeyed ([`DeletionGuard::percent`]).
    pub delete_percent: Option<u64>,
    /// A slow sync that is held although neither side asked for it and they synced before (field note 9);
    /// [`Reaction::Proceed`].
    pub slow_sync: Option<Reaction>,
}

impl Treatment {
    /// Nothing said.
    pub const UNSAID: Self = Self {
        normal: None,
        slow: None,
        first: None,
        deletes: None,
        delete_items: None,
        delete_percent: None,
        slow_sync: None,
    };

    /// Conflicts on all occasions decided alike.
    #[must_use]
    pub fn conflicts(policy: Policy) -> Self {
        Self { normal: Some(policy), slow: Some(policy), first: Some(policy), ..Self::default() }
    }

    /// This one, and the other where this says nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            normal: self.normal.or(other.normal),
            slow: self.slow.or(other.slow),
            first: self.first.or(other.first),
            deletes: self.deletes.or(other.deletes),
            delete_items: self.delete_items.or(other.delete_items),
            delete_percent: self.delete_percent.or(other.delete_percent),
            slow_sync: self.slow_sync.or(other.slow_sync),
        }
    }

    /// Who wins a conflict on that occasion.
    #[must_use]
    pub fn policy(&self, occasion: Occasion) -> Policy {
        match occasion {
            Occasion::Normal => self.normal,
            Occasion::Slow => self.slow,
            Occasion::First => self.first.or(self.slow),
        }
        .unwrap_or_default()
    }

    /// From when on deletes are too many, where a book has no numbers of its own as this says.
    #[must_use]
    pub fn guard(&self, usual: DeletionGuard) -> DeletionGuard {
        DeletionGuard {
            items: self.delete_items.unwrap_or(usual.items),
            percent: self.delete_percent.unwrap_or(usual.percent),
        }
    }

    /// What is done about too many deletes.
    #[must_use]
    pub fn deletes(&self) -> Reaction {
        self.deletes.unwrap_or(Reaction::Hold)
    }

    /// What is done about a slow sync that nobody asked for.
    #[must_use]
    pub fn slow_sync(&self) -> Reaction {
        self.slow_sync.unwrap_or(Reaction::Proceed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Occasion, Policy, Reaction, Treatment};
    use crate::sync::DeletionGuard;

    #[test]
    fn names_are_read_as_they_are_written() {
        for policy in Policy::ALL {
            assert_eq!(policy.name().parse(), Ok(policy));
            assert_eq!(serde_json::to_value(policy).ok(), Some(policy.name().into()));
        }
        assert!("last-writer".parse::<Policy>().is_err());
    }

    #[test]
    fn each_occasion_has_its_own_policy() {
        let json = r#"{ "normal": "server-wins", "slow": "keep-both", "delete_items": 3 }"#;
        let own: Treatment = serde_json::from_str(json).unwrap_or_default();
        let all = own.or(Treatment { slow: Some(Policy::Newest), deletes: Some(Reaction::Refuse), ..own });
        for (occasion, policy, why) in [
            (Occasion::Normal, Policy::ServerWins, "said"),
            (Occasion::Slow, Policy::KeepBoth, "said first"),
            (Occasion::First, Policy::KeepBoth, "as in slow syncs"),
        ] {
            assert_eq!(all.policy(occasion), policy, "{occasion:?}: {why}");
            assert_eq!(Treatment::default().policy(occasion), Policy::Merge, "the default");
        }
        assert_eq!((all.deletes(), Treatment::default().deletes()), (Reaction::Refuse, Reaction::Hold));
        let usual = DeletionGuard::default();
        assert_eq!(all.guard(usual), DeletionGuard { items: 3, percent: usual.percent });
        assert!(serde_json::from_str::<Treatment>(r#"{ "sometimes": "merge" }"#).is_err());
    }
}
