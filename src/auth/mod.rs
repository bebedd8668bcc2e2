//! Who is speaking: credential schemes, challenges, nonces (§5, mission S3).
//!
//! Enters: a message's header, what a directory knows of the speaker, keys handed in. Leaves: yes or no, and the
//! challenge to put. Secrets are wiped when dropped, compared in constant time, and never appear in `Debug` output.

mod b64;
mod digest;
pub mod formulas;
mod scheme;
mod secret;
mod verifier;

pub use digest::{DigestKind, DigestName, Digester};
pub use scheme::Scheme;
pub use secret::Secret;
pub use verifier::Verifier;
