//! Which schemes a server takes, and which it asks for.

use super::Scheme;

/// What the host knows of the transport a message came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Transport {
    /// It is protected: the host asserts TLS, or something as good, all the way to the peer.
    pub protected: bool,
    /// The peer itself is on this machine. Behind a proxy on this machine it is not.
    pub loopback: bool,
}

/// Which schemes are accepted. A credential that is the same every time must not be overheard:
///
/// | scheme | protected | loopback | else |
/// |---|---|---|---|
/// | MAC | yes | yes | yes |
/// | MD5 | unless [`refuse_md5`](Self::refuse_md5) | likewise | likewise |
/// | DeviceID | yes | yes | with [`allow_device`](Self::allow_device) |
/// | basic | yes | with [`allow_basic`](Self::allow_basic) | no |
///
/// With [`require_mac`](Self::require_mac) MAC is the only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Policy {
    /// Take basic credentials on loopback, too.
    pub allow_basic: bool,
    /// Take DeviceID credentials over any transport: who overhears one can use it until the secret is changed.
    pub allow_device: bool,
    /// Take no MD5 credentials.
    pub refuse_md5: bool,
    /// Take nothing but MAC, so that every message is proven whole (§5.6).
    pub require_mac: bool,
}

impl Policy {
    /// Whether a scheme is taken over some transport at least. If not, answer 406 and put [`Self::challenge`] (§4).
    #[must_use]
    pub const fn knows(self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Mac => true,
            Scheme::Md5 => !self.refuse_md5 && !self.require_mac,
            Scheme::Basic | Scheme::Device(_) => !self.require_mac,
        }
    }

    /// Whether a credential of the scheme may be checked over this transport. If not, answer 401, for which every client
    /// looks at [`Self::challenge`] (§5.3).
    #[must_use]
    pub const fn accepts(self, scheme: Scheme, transport: Transport) -> bool {
        if !self.knows(scheme) {
            return false;
        }
        match scheme {
            Scheme::Md5 | Scheme::Mac => true,
            Scheme::Device(_) => transport.protected || transport.loopback || self.allow_device,
            Scheme::Basic => transport.protected || (transport.loopback && self.allow_basic),
        }
    }

    /// The policy for the own credential of a book (§5.5). It stands in a message that was let in already, and no Cred can
    /// be the MAC of the message around it: so the other schemes are not shut out by [`require_mac`](Self::require_mac).
    #[must_use]
    pub const fn for_book(self) -> Self {
        Self { require_mac: false, ..self }
    }

    /// The scheme to ask for in [`for_book`](Self::for_book): one of a person, since a DeviceID's is of a platform. `None`
    /// where none may be said.
    #[must_use]
    pub const fn challenge_for_book(self, transport: Transport) -> Option<Scheme> {
        if self.accepts(Scheme::Md5, transport) {
            Some(Scheme::Md5)
        } else if self.accepts(Scheme::Basic, transport) {
            Some(Scheme::Basic)
        } else {
            None
        }
    }

    /// The scheme to ask for, of a peer that presented a credential of scheme `spoken`, or none. That is MD5, also with
    /// the 212 for a basic credential, so that the peer's next session does not send its password; but who speaks MAC or
    /// DeviceID has nothing else to answer with, and is asked for its own. Where MD5 is not taken it is basic, if that may
    /// be said here, else MAC.
    #[must_use]
    pub const fn challenge(self, spoken: Option<Scheme>, transport: Transport) -> Scheme {
        match spoken {
            Some(scheme @ (Scheme::Mac | Scheme::Device(_))) if self.accepts(scheme, transport) => scheme,
            _ if self.knows(Scheme::Md5) => Scheme::Md5,
            _ if self.accepts(Scheme::Basic, transport) => Scheme::Basic,
            _ => Scheme::Mac,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Policy, Transport};
    use crate::auth::{DigestName, Scheme};

    const DEVICE: Scheme = Scheme::Device(DigestName::SHA256);

    #[test]
    fn what_may_be_overheard_needs_protection() {
        let transport = |protected, loopback| Transport { protected, loopback };
        for (scheme, allow, protected, loopback, open) in [
            (Scheme::Md5, false, true, true, true),
            (Scheme::Md5, true, true, true, true),
            (Scheme::Mac, false, true, true, true),
            (Scheme::Mac, true, true, true, true),
            (DEVICE, false, true, true, false),
            (DEVICE, true, true, true, true),
            (Scheme::Basic, false, true, false, false),
            (Scheme::Basic, true, true, true, false),
        ] {
            // The flag of the other scheme changes nothing.
            let policy = match scheme {
                Scheme::Basic => Policy { allow_basic: allow, allow_device: !allow, ..Policy::default() },
                _ => Policy { allow_basic: !allow, allow_device: allow, ..Policy::default() },
            };
            let found = [(true, false), (false, true), (false, false), (true, true)]
                .map(|(tls, local)| policy.accepts(scheme, transport(tls, local)));
            assert_eq!(found, [protected, loopback, open, protected], "{scheme} {allow}");
        }
    }

    #[test]
    fn asks_for_md5_unless_the_peer_has_nothing_but_its_own() {
        let open = Transport::default();
        let tls = Transport { protected: true, loopback: false };
        for (spoken, transport, asked) in [
            (None, open, Scheme::Md5),
            (None, tls, Scheme::Md5),
            (Some(Scheme::Basic), open, Scheme::Md5),
            (Some(Scheme::Basic), tls, Scheme::Md5),
            (Some(Scheme::Md5), tls, Scheme::Md5),
            (Some(Scheme::Mac), open, Scheme::Mac),
            (Some(DEVICE), tls, DEVICE),
            (Some(DEVICE), open, Scheme::Md5),
        ] {
            assert_eq!(Policy::default().challenge(spoken, transport), asked, "{spoken:?}");
        }
    }

    #[test]
    fn a_book_is_opened_by_what_a_message_can_hold() {
        let (open, tls) = (Transport::default(), Transport { protected: true, loopback: false });
        for (policy, over_tls, in_the_open) in [
            (Policy::default(), Some(Scheme::Md5), Some(Scheme::Md5)),
            (Policy { require_mac: true, ..Policy::default() }, Some(Scheme::Md5), Some(Scheme::Md5)),
            (Policy { refuse_md5: true, ..Policy::default() }, Some(Scheme::Basic), None),
        ] {
            let found = [tls, open].map(|transport| policy.for_book().challenge_for_book(transport));
            assert_eq!(found, [over_tls, in_the_open], "{policy:?}");
        }
    }

    #[test]
    fn a_host_may_take_less() {
        let open = Transport::default();
        let tls = Transport { protected: true, loopback: false };
        let no_md5 = Policy { refuse_md5: true, ..Policy::default() };
        let mac_only = Policy { require_mac: true, ..Policy::default() };
        for (policy, scheme, knows, over_tls, in_the_open) in [
            (no_md5, Scheme::Md5, false, false, false),
            (no_md5, Scheme::Mac, true, true, true),
            (no_md5, Scheme::Basic, true, true, false),
            (no_md5, DEVICE, true, true, false),
            (mac_only, Scheme::Md5, false, false, false),
            (mac_only, Scheme::Mac, true, true, true),
            (mac_only, Scheme::Basic, false, false, false),
            (mac_only, DEVICE, false, false, false),
        ] {
            let found = (policy.knows(scheme), policy.accepts(scheme, tls), policy.accepts(scheme, open));
            assert_eq!(found, (knows, over_tls, in_the_open), "{policy:?} {scheme}");
        }
        for (policy, spoken, transport, asked) in [
            (no_md5, None, tls, Scheme::Basic),
            (no_md5, Some(Scheme::Md5), open, Scheme::Mac),
            (no_md5, Some(DEVICE), tls, DEVICE),
            (mac_only, None, tls, Scheme::Mac),
            (mac_only, Some(Scheme::Basic), tls, Scheme::Mac),
            (mac_only, Some(DEVICE), tls, Scheme::Mac),
        ] {
            assert_eq!(policy.challenge(spoken, transport), asked, "{policy:?} {spoken:?}");
        }
    }
}
