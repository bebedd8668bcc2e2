//! What a message says of people is not for `Debug`: cards, addresses, names, nonces. Its place and length are.

use std::fmt;

/// Something that is there, of so many bytes.
pub(super) struct Masked(pub usize);

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…({})", self.0)
    }
}

/// Texts that may be somebody's: one, none or several.
pub(super) trait Mask {
    /// What is shown instead.
    fn masked(&self) -> impl fmt::Debug;
}

impl Mask for super::Text<'_> {
    fn masked(&self) -> impl fmt::Debug {
        Masked(self.len())
    }
}

impl<T: Mask> Mask for Option<T> {
    fn masked(&self) -> impl fmt::Debug {
        self.as_ref().map(Mask::masked)
    }
}

impl<T: Mask> Mask for Vec<T> {
    fn masked(&self) -> impl fmt::Debug {
        self.iter().map(Mask::masked).collect::<Vec<_>>()
    }
}

/// `Debug` of a struct that shows some fields and masks others.
macro_rules! debug_masked {
    ($name:ident { $($shown:ident),* } masked { $($hidden:ident),* }) => {
        impl std::fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                // All of them, so that a new field is thought of.
                let Self { $($shown,)* $($hidden),* } = self;
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($shown), $shown))*
                    $(.field(stringify!($hidden), &$crate::message::masked::Mask::masked($hidden)))*
                    .finish()
            }
        }
    };
}

pub(super) use debug_masked;

#[cfg(test)]
mod tests {
    use crate::message::{Data, Header, Item, Location, Meta, MsgId, SessionId, Version};

    #[test]
    fn nothing_of_people_is_shown() {
        let meta = Meta { next_nonce: Some("Wombat".into()), size: Some(7), ..Meta::default() };
        let item = Item {
            target: Some(Location::named("Wombat", "Wombat")),
            source_parent: Some("Wombat".into()),
            target_parent: Some("Wombat".into()),
            data: Some(Data::text("BEGIN:Wombat")),
            meta: Some(meta),
            ..Item::default()
        };
        let mut header = Header::new(
            Version::V12,
            SessionId::from("1"),
            MsgId(1),
            Location::new("Wombat"),
            Location::named("Wombat", "Wombat"),
        );
        header.resp_uri = Some("http://x/?s=Wombat".into());
        let shown = format!("{header:?}{item:#?}");
        assert!(!shown.contains("Wombat") && !shown.contains("87, 111"), "{shown}");
        assert!(shown.contains("…(6)") && shown.contains("…(12)") && shown.contains("size: Some"), "{shown}");
    }
}
