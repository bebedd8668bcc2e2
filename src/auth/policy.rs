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
/// | MD5, MAC | yes | yes | yes |
/// | DeviceID | yes | yes | with [`allow_device`](Self::allow_device) |
/// | basic | yes | with [`allow_basic`](Self::allow_basic) | no |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Policy {
    /// Take basic credentials on loopback, too.
    pub allow_basic: bool,
    /// Take DeviceID credentials over any transport: who overhears one can use it until the secret is changed.
    pub allow_device: bool,
}

impl Policy {
    /// Whether a credential of the scheme may be checked at all. If not, answer 401 and put [`Self::challenge`].
    #[must_use]
    pub const fn accepts(self, scheme: Scheme, transport: Transport) -> bool {
        match scheme {
            Scheme::Md5 | Scheme::Mac => true,
            Scheme::Device(_) => transport.protected || transport.loopback || self.allow_device,
            Scheme::Basic => transport.protected || (transport.loopback && self.allow_basic),
        }
    }

    /// The scheme to ask for, of a peer that presented a credential of scheme `spoken`, or none. That is MD5, also with
    /// the 212 for a basic credential, so that the peer's next session does not send its password; but who speaks MAC or
    /// DeviceID has nothing else to answer with, and is asked for its own.
    #[must_use]
    pub const fn challenge(self, spoken: Option<Scheme>, transport: Transport) -> Scheme {
        match spoken {
            Some(scheme @ (Scheme::Mac | Scheme::Device(_))) if self.accepts(scheme, transport) => scheme,
            _ => Scheme::Md5,
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
                Scheme::Basic => Policy { allow_basic: allow, allow_device: !allow },
                _ => Policy { allow_basic: !allow, allow_device: allow },
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
}
