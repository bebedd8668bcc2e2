//! Applications, and what their backups are called.

use crate::service::book::DeviceIdentity;
use crate::session::datastore;
use crate::store::BookNo;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// What is told of a name that no application has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "an application is named by 1 to 32 of a-z, 0-9 and -, such as contacts, messages, bookmarks, documents, media, programs"
)]
pub struct NotAnApplication;

/// An application of a device: 1 to 32 of the letters a to z, digits and `-`. Six are well known: contacts, messages,
/// bookmarks, documents, media and programs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Application(String);

/// Endings of files, the application that has such, and their media type.
const KNOWN: [(&str, &str, &str); 30] = [
    ("vcf", "contacts", "text/vcard"),
    ("vmg", "messages", "text/x-vmsg"),
    ("eml", "messages", "message/rfc822"),
    ("sms", "messages", "text/plain"),
    ("vbk", "bookmarks", "text/x-vbookmark"),
    ("url", "bookmarks", "text/plain"),
    ("webloc", "bookmarks", "application/xml"),
    ("txt", "documents", "text/plain"),
    ("md", "documents", "text/markdown"),
    ("html", "documents", "text/html"),
    ("pdf", "documents", "application/pdf"),
    ("csv", "documents", "text/csv"),
    ("doc", "documents", "application/msword"),
    ("odt", "documents", "application/vnd.oasis.opendocument.text"),
    ("docx", "documents", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("jpg", "media", "image/jpeg"),
    ("jpeg", "media", "image/jpeg"),
    ("png", "media", "image/png"),
    ("gif", "media", "image/gif"),
    ("webp", "media", "image/webp"),
    ("mp3", "media", "audio/mpeg"),
    ("ogg", "media", "audio/ogg"),
    ("amr", "media", "audio/amr"),
    ("wav", "media", "audio/wav"),
    ("mp4", "media", "video/mp4"),
    ("3gp", "media", "video/3gpp"),
    ("apk", "programs", "application/vnd.android.package-archive"),
    ("jar", "programs", "application/java-archive"),
    ("sis", "programs", "application/vnd.symbian.install"),
    ("exe", "programs", "application/vnd.microsoft.portable-executable"),
];

fn known(file_name: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    let (_, ending) = file_name.rsplit_once('.')?;
    KNOWN.iter().find(|(known, ..)| known.eq_ignore_ascii_case(ending))
}

/// The media type of a file of that name; of one that is not known, that of any bytes.
#[must_use]
pub fn media_type(file_name: &str) -> &'static str {
    known(file_name).map_or("application/octet-stream", |(.., media_type)| media_type)
}

impl Application {
    /// The one whose items are contacts, merged field by field.
    #[must_use]
    pub fn contacts() -> Self {
        Self("contacts".to_owned())
    }

    /// The application that usually has a file of that name; documents, if nothing is known of it.
    #[must_use]
    pub fn of_file(file_name: &str) -> Self {
        Self(known(file_name).map_or("documents", |(_, application, _)| application).to_owned())
    }

    /// Whether its items are contacts. All others are files.
    #[must_use]
    pub fn is_contacts(&self) -> bool {
        self.0 == "contacts"
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Capitals become small.
impl FromStr for Application {
    type Err = NotAnApplication;

    fn from_str(written: &str) -> Result<Self, NotAnApplication> {
        let name = written.to_ascii_lowercase();
        let taken = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=32).contains(&name.len()) && name.bytes().all(taken);
        if fits { Ok(Self(name)) } else { Err(NotAnApplication) }
    }
}

impl TryFrom<String> for Application {
    type Error = NotAnApplication;

    fn try_from(written: String) -> Result<Self, NotAnApplication> {
        written.parse()
    }
}

impl From<Application> for String {
    fn from(application: Application) -> Self {
        application.0
    }
}

/// What the backup of a device's application is called at the server: a SHA-256 that the device can make itself.
///
/// It is that of three lines of ASCII, each with a line feed at its end: the words `syncml box 1`, which keep it apart from
/// every other use of the hash; the [`DeviceIdentity`] as it is displayed; and `application:` with the [`Application`].
///
/// ```
/// use syncml::service::boxes::BoxId;
/// // printf 'syncml box 1\nimei:490154203237518\napplication:media\n' | sha256sum
/// let id = BoxId::new(&"imei:490154203237518".parse()?, &"media".parse()?);
/// assert_eq!(id.to_string(), "42086acc9e7fbc9c33f612cbe4af43cc37debdeec8c2c31ad71fbb3ee5950ed4");
/// assert_eq!(id.address(), format!("./box/{id}"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BoxId {
    digits: String,
    contacts: bool,
}

impl BoxId {
    /// The name of the backup of an application.
    #[must_use]
    pub fn new(device: &DeviceIdentity, application: &Application) -> Self {
        let text = format!("syncml box 1\n{device}\napplication:{application}\n");
        let digits = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { digits, contacts: application.is_contacts() }
    }

    /// Its number in a store, in the account it belongs to.
    #[must_use]
    pub fn number(&self) -> BookNo {
        let number = if self.contacts { BookNo::of_name(&self.digits) } else { BookNo::of_files_name(&self.digits) };
        // Only digits are in it.
        number.unwrap_or_default()
    }

    /// Its address at the server: `./book/` and the digits for contacts, `./box/` and the digits for files.
    #[must_use]
    pub fn address(&self) -> String {
        format!("./{}/{}", if self.contacts { "book" } else { "box" }, self.digits)
    }

    /// What the server's reports call it.
    #[must_use]
    pub fn title(&self) -> String {
        datastore::title(self.number()).into_owned()
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for BoxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::{Application, BoxId, media_type};
    use crate::session::datastore::locate;

    #[test]
    fn applications_are_named_and_guessed() {
        for (written, expected) in [
            ("Media", Some("media")),
            ("chat-2", Some("chat-2")),
            ("", None),
            ("two words", None),
            ("a/b", None),
            ("..", None),
            (&"a".repeat(33), None),
        ] {
            let read = written.parse::<Application>().ok();
            assert_eq!(read.as_ref().map(Application::as_str), expected, "{written:?}");
        }
        for (file, application, of_type) in [
            ("Anna.VCF", "contacts", "text/vcard"),
            ("hello.vmg", "messages", "text/x-vmsg"),
            ("page.url", "bookmarks", "text/plain"),
            ("a.b.pdf", "documents", "application/pdf"),
            ("photo.jpg", "media", "image/jpeg"),
            ("game.jar", "programs", "application/java-archive"),
            ("noending", "documents", "application/octet-stream"),
        ] {
            assert_eq!((Application::of_file(file).as_str(), media_type(file)), (application, of_type), "{file}");
        }
    }

    #[test]
    fn each_application_has_its_own_book() {
        let device = "imei:490154203237518".parse().unwrap();
        let mut numbers = Vec::new();
        for name in ["contacts", "messages", "bookmarks", "documents", "media", "programs", "chat-2"] {
            let id = BoxId::new(&device, &name.parse().unwrap());
            let (book, datastore) = locate(&id.address()).unwrap();
            assert_eq!(book, id.number());
            assert_eq!(datastore.name, if name == "contacts" { "contacts" } else { "files" }, "{name}");
            assert!(!numbers.contains(&book), "{name}");
            numbers.push(book);
        }
        let other = BoxId::new(&"imsi:460001234567890".parse().unwrap(), &"media".parse().unwrap());
        assert!(!numbers.contains(&other.number()));
    }
}
