//! Who is speaking: credential schemes, challenges, nonces (§5, mission S3).
//!
//! Enters: a message's header, what a directory knows of the speaker, keys handed in. Leaves: yes or no, and the
//! challenge to put. Secrets are wiped when dropped, compared in constant time, and never appear in `Debug` output.

mod attempts;
mod b64;
mod challenge;
mod digest;
pub mod formulas;
mod mac_header;
mod nonce;
mod peer;
mod policy;
mod presented;
mod scheme;
mod secret;
mod token;
mod verifier;
mod verify;
pub(crate) mod work;

pub use attempts::Attempts;
pub use challenge::{Challenge, Identity};
pub use digest::{DigestKind, DigestName, Digester};
pub use mac_header::MacHeader;
pub use nonce::{Accepted, Candidates, Nonce, Nonces};
pub(crate) use peer::{PeerKey, peer_key};
pub use policy::{Policy, Transport};
pub use presented::{CredError, Presented};
pub use scheme::Scheme;
pub use secret::Secret;
pub(crate) use token::token_in;
pub use token::{Tokens, parse_token, token_parameter, token_text};
pub use verifier::Verifier;
pub use verify::{Proof, verify};
