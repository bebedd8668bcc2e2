//! What a server makes anew in every run – addresses, nonces, anchors, ids – under names that stay: `{RespURI-1}`.

use super::fixture::Conversation;
use super::tree::Node;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use syncml::auth::{DigestName, Identity, Scheme, Secret};
use syncml::message::Version;

/// The values seen in one run of a conversation. Names are given in the order of appearance, one to a value.
pub struct Names<'c> {
    conversation: &'c Conversation,
    /// Kind, value, name.
    seen: Vec<(&'static str, String, String)>,
}

/// The kinds that a conversation may declare as volatile.
pub const KINDS: [&str; 5] = ["RespURI", "NextNonce", "Anchor", "GUID", "Version"];

/// Elements that may repeat an address or an id.
const REPEATING: [&str; 4] = ["LocURI", "TargetRef", "SourceRef", "DevID"];

impl<'c> Names<'c> {
    pub const fn new(conversation: &'c Conversation) -> Self {
        Self { conversation, seen: Vec::new() }
    }

    fn name(&mut self, kind: &'static str, value: &mut String) {
        if !self.conversation.is_volatile(kind) {
            return;
        }
        if let Some(name) = self.known(kind, value) {
            *value = name.to_owned();
            return;
        }
        let count = self.seen.iter().filter(|(of, ..)| *of == kind).count();
        let name = format!("{{{kind}-{}}}", count + 1);
        self.seen.push((kind, std::mem::replace(value, name.clone()), name));
    }

    fn known(&self, kind: &str, value: &str) -> Option<&str> {
        self.seen.iter().find(|(of, known, _)| *of == kind && known == value).map(|(.., name)| &**name)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.seen.iter().find(|(.., known)| known == name).map(|(_, value, _)| &**value)
    }

    /// Names what is volatile in a reply.
    pub fn in_reply(&mut self, reply: &mut Node) {
        reply.leaves(&mut |path, text| match path {
            ["RespURI", "SyncHdr", ..] => self.name("RespURI", text),
            ["NextNonce", "Meta", "Chal", ..] => self.name("NextNonce", text),
            ["Last" | "Next", "Anchor", "Meta", "Item", "Alert", ..] => self.name("Anchor", text),
            ["LocURI", "Source", "Item", "Add", ..] | ["LocURI", "Target", "Item", "Status", ..] => {
                self.name("GUID", text)
            }
            ["FwV" | "SwV", "DevInf", ..] => self.name("Version", text),
            [leaf, ..] if REPEATING.contains(leaf) => self.repeat(text),
            ["Type", ..] => neutral_type(text),
            _ => {}
        });
    }

    /// Names what a recorded request repeats of earlier replies.
    pub fn in_request(&self, request: &mut Node) {
        let (version, device, user) = speaker(request);
        request.leaves(&mut |path, text| match path {
            ["Last" | "Next", "Anchor", "Data", "Item", "Status", ..] => {
                if let Some(name) = self.known("Anchor", text) {
                    *text = name.to_owned();
                }
            }
            ["Data", "Cred", "SyncHdr", ..] => {
                let Some(password) = self.conversation.password(&user) else { return };
                let nonces = self.seen.iter().filter(|(kind, ..)| *kind == "NextNonce");
                let used = nonces.map(|(_, nonce, name)| (nonce, name)).find(|(nonce, _)| {
                    answer(Scheme::Md5, &device, &user, password, nonce, version).is_ok_and(|data| data == *text)
                });
                if let Some((_, name)) = used {
                    *text = format!("{{md5 {}}}", name.trim_matches(['{', '}']));
                }
            }
            [leaf, ..] if REPEATING.contains(leaf) => self.repeat(text),
            ["Type", ..] => neutral_type(text),
            _ => {}
        });
    }

    fn repeat(&self, text: &mut String) {
        if let Some(name) = self.known("RespURI", text).or_else(|| self.known("GUID", text)) {
            *text = name.to_owned();
        }
    }

    /// Fills the names in a request with what this run's replies said, and makes its credential.
    pub fn fill(&self, request: &mut Node) -> Result<(), String> {
        let (version, device, user) = speaker(request);
        let mut wrong = Ok(());
        request.leaves(&mut |path, text| {
            let filled = match (path, text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))) {
                (["Data", "Cred", ..], Some(recipe)) => self.credential(recipe, &device, &user, version),
                (_, Some(name)) if KINDS.iter().any(|kind| name.starts_with(kind)) => {
                    self.value(text).map(str::to_owned).ok_or_else(|| format!("no reply has told {text} yet"))
                }
                _ => return,
            };
            match filled {
                Ok(filled) => *text = filled,
                Err(why) => wrong = Err(why),
            }
        });
        wrong
    }

    /// `md5 [NextNonce-N] [PASSWORD]`, `basic [PASSWORD]`, `device [SECRET]`; what is not given is the fixture's.
    fn credential(&self, recipe: &str, device: &str, user: &str, version: Version) -> Result<String, String> {
        let (scheme, rest) = recipe.split_once(' ').unwrap_or((recipe, ""));
        let (nonce, given) = match rest.split_once(' ').unwrap_or((rest, "")) {
            (name, given) if name.starts_with("NextNonce-") => {
                (self.value(&format!("{{{name}}}")).ok_or_else(|| format!("no reply has told {name} yet"))?, given)
            }
            _ => ("", rest),
        };
        let own = || match scheme {
            "device" => self.conversation.secret(device),
            _ => self.conversation.password(user),
        };
        let secret = if given.is_empty() { own().ok_or_else(|| format!("{user:?} has no password"))? } else { given };
        let scheme = match scheme {
            "basic" => Scheme::Basic,
            "md5" => Scheme::Md5,
            "device" => Scheme::Device(DigestName::MD5),
            _ => return Err(format!("no such credential: {recipe}")),
        };
        answer(scheme, device, user, secret, nonce, version)
    }
}

impl Names<'_> {
    /// The transport's header of a message: `NextNonce-N [PASSWORD]`.
    pub fn mac(&self, recipe: &str, user: &str, body: &[u8]) -> Result<String, String> {
        let (name, given) = recipe.split_once(' ').unwrap_or((recipe, ""));
        let nonce = self.value(&format!("{{{name}}}")).ok_or_else(|| format!("no reply has told {name} yet"))?;
        let nonce = STANDARD.decode(nonce).map_err(|_| format!("NextNonce is no base64: {nonce:?}"))?;
        let own = || self.conversation.password(user).ok_or_else(|| format!("{user:?} has no password"));
        let secret = Secret::new(if given.is_empty() { own()? } else { given }.to_owned());
        Ok(Identity { user, device_id: "", secret: &secret }.mac_header(&nonce, body).to_string())
    }
}

/// Version, device and user as a header names them.
fn speaker(message: &Node) -> (Version, String, String) {
    let at = |path| message.at(path).unwrap_or_default().to_owned();
    let version = Version::from_dtd(&at("SyncHdr/VerDTD")).unwrap_or(Version::V12);
    (version, at("SyncHdr/Source/LocURI"), at("SyncHdr/Source/LocName"))
}

fn answer(
    scheme: Scheme,
    device: &str,
    user: &str,
    secret: &str,
    nonce: &str,
    version: Version,
) -> Result<String, String> {
    let nonce = STANDARD.decode(nonce).map_err(|_| format!("NextNonce is no base64: {nonce:?}"))?;
    let secret = Secret::new(secret.to_owned());
    let cred = Identity { user, device_id: device, secret: &secret }.answer(scheme, &nonce, version);
    let data = cred.ok_or("no such credential")?.data.into_owned();
    String::from_utf8(data).map_err(|_| "a credential is not text".to_owned())
}

/// Device information is of another type in WBXML; fixtures say the one of XML.
fn neutral_type(text: &mut String) {
    if text == "application/vnd.syncml-devinf+wbxml" {
        "application/vnd.syncml-devinf+xml".clone_into(text);
    }
}
