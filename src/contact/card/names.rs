//! What the standards say about each property: the shape of its value, where it is standard, how often it may stand.

/// The shape of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::contact) enum Shape {
    /// One text.
    Text,
    /// Components separated by semicolons, which from 3.0 on may be lists.
    Structured,
    /// Items separated by commas.
    List,
    /// A URI, never escaped.
    Uri,
    /// A telephone number.
    Phone,
    /// A date, maybe partial, maybe with a time.
    Date,
    /// Two coordinates.
    Geo,
    /// Base64 or a reference.
    Binary,
    /// A card within a card.
    Agent,
    /// Not standard: separators mean what its maker likes.
    Unknown,
}

/// A standard property.
struct Entry {
    name: &'static str,
    shape: Shape,
    /// Versions that have it: 1 for 2.1, 2 for 3.0, 4 for 4.0. NICKNAME and a few others count as 2.1, since every phone
    /// takes them there.
    versions: u8,
    /// At most one in a card; a second version of it is a conflict, not another instance.
    single: bool,
}

const fn entry(name: &'static str, shape: Shape, versions: u8, single: bool) -> Entry {
    Entry { name, shape, versions, single }
}

/// All of them, by name. RFC 2426, RFC 6350; RFC 6474 (BIRTHPLACE, DEATHPLACE, DEATHDATE), RFC 6715 (EXPERTISE, HOBBY,
/// INTEREST, ORG-DIRECTORY), RFC 8605 (CONTACT-URI), RFC 9554 (CREATED to SOCIALPROFILE), RFC 9555 (JSPROP).
const TABLE: &[Entry] = &[
    entry("ADR", Shape::Structured, 7, false),
    entry("AGENT", Shape::Agent, 3, true),
    entry("ANNIVERSARY", Shape::Date, 4, true),
    entry("BDAY", Shape::Date, 7, true),
    entry("BIRTHPLACE", Shape::Text, 4, true),
    entry("CALADRURI", Shape::Uri, 4, false),
    entry("CALURI", Shape::Uri, 4, false),
    entry("CATEGORIES", Shape::List, 7, false),
    entry("CLASS", Shape::Text, 3, true),
    entry("CLIENTPIDMAP", Shape::Structured, 4, false),
    entry("CONTACT-URI", Shape::Uri, 4, false),
    entry("CREATED", Shape::Text, 4, true),
    entry("DEATHDATE", Shape::Date, 4, true),
    entry("DEATHPLACE", Shape::Text, 4, true),
    entry("EMAIL", Shape::Text, 7, false),
    entry("EXPERTISE", Shape::Text, 4, false),
    entry("FBURL", Shape::Uri, 4, false),
    entry("FN", Shape::Text, 7, true),
    entry("GENDER", Shape::Structured, 4, true),
    entry("GEO", Shape::Geo, 7, true),
    entry("GRAMGENDER", Shape::Text, 4, false),
    entry("HOBBY", Shape::Text, 4, false),
    entry("IMPP", Shape::Uri, 6, false),
    entry("INTEREST", Shape::Text, 4, false),
    entry("JSPROP", Shape::Text, 4, false),
    entry("KEY", Shape::Binary, 7, false),
    entry("KIND", Shape::Text, 4, true),
    entry("LABEL", Shape::Text, 3, false),
    entry("LANG", Shape::Text, 4, false),
    entry("LANGUAGE", Shape::Text, 4, true),
    entry("LOGO", Shape::Binary, 7, true),
    entry("MAILER", Shape::Text, 3, true),
    entry("MEMBER", Shape::Uri, 4, false),
    entry("N", Shape::Structured, 7, true),
    entry("NAME", Shape::Text, 2, true),
    entry("NICKNAME", Shape::List, 7, false),
    entry("NOTE", Shape::Text, 7, false),
    entry("ORG", Shape::Structured, 7, true),
    entry("ORG-DIRECTORY", Shape::Uri, 4, false),
    entry("PHOTO", Shape::Binary, 7, true),
    entry("PRODID", Shape::Text, 7, true),
    entry("PROFILE", Shape::Text, 2, true),
    entry("PRONOUNS", Shape::Text, 4, false),
    entry("RELATED", Shape::Text, 4, false),
    entry("REV", Shape::Text, 7, true),
    entry("ROLE", Shape::Text, 7, true),
    entry("SOCIALPROFILE", Shape::Text, 4, false),
    entry("SORT-STRING", Shape::Text, 3, true),
    entry("SOUND", Shape::Binary, 7, false),
    entry("SOURCE", Shape::Uri, 6, false),
    entry("TEL", Shape::Phone, 7, false),
    entry("TITLE", Shape::Text, 7, true),
    entry("TZ", Shape::Text, 7, true),
    entry("UID", Shape::Text, 7, true),
    entry("URL", Shape::Uri, 7, false),
    entry("VERSION", Shape::Text, 7, true),
    entry("XML", Shape::Text, 4, false),
];

/// Where the names with each first letter begin in [`TABLE`]: they are looked up several times for every property.
const FIRST: [u8; 27] = {
    let mut first = [0; 27];
    let mut letter = 0;
    while letter < 27 {
        let mut at = 0;
        while at < TABLE.len() && TABLE[at].name.as_bytes()[0] < b'A' + letter as u8 {
            at += 1;
        }
        first[letter] = at as u8;
        letter += 1;
    }
    first
};

/// Parameters of 4.0 that earlier versions do not have, except PREF, TYPE and VALUE. They travel there as `X-…`.
const PARAMS_4_0: &[&str] = &[
    "ALTID",
    "PID",
    "SORT-AS",
    "CALSCALE",
    "MEDIATYPE",
    "GEO",
    "TZ",
    "LABEL",
    "INDEX",
    "LEVEL",
    "CC",
    "AUTHOR",
    "AUTHOR-NAME",
    "CREATED",
    "DERIVED",
    "PHONETIC",
    "SCRIPT",
    "PROP-ID",
    "SERVICE-TYPE",
    "USERNAME",
    "JSCOMPS",
    "JSPTR",
];

fn find(name: &str) -> Option<&'static Entry> {
    let letter = usize::from(name.as_bytes().first()?.to_ascii_uppercase().checked_sub(b'A')?);
    let (from, to) = (*FIRST.get(letter)?, *FIRST.get(letter + 1)?);
    TABLE[usize::from(from)..usize::from(to)].iter().find(|entry| entry.name.eq_ignore_ascii_case(name))
}

/// The standard spelling of a standard name.
pub(super) fn known(name: &str) -> Option<&'static str> {
    find(name).map(|entry| entry.name)
}

/// The name without the `X-` it carries where its own version is not spoken: `X-ANNIVERSARY` is ANNIVERSARY. Standard
/// names come back in capitals.
pub(in crate::contact) fn canonical_name(name: &str) -> &str {
    canonical(name).0
}

/// The same, and the shape of its value.
pub(in crate::contact) fn canonical(name: &str) -> (&str, Shape) {
    if let Some(entry) = find(name) {
        return (entry.name, entry.shape);
    }
    let Some((prefix, rest)) = name.split_at_checked(2) else { return (name, Shape::Unknown) };
    if !prefix.eq_ignore_ascii_case("X-") {
        return (name, Shape::Unknown);
    }
    match find(rest) {
        Some(entry) if entry.versions != 7 => (entry.name, entry.shape),
        _ => (name, Shape::Unknown),
    }
}

/// The shape of a property's value, by its canonical name.
pub(in crate::contact) fn shape(name: &str) -> Shape {
    find(name).map_or(Shape::Unknown, |entry| entry.shape)
}

/// May a card have only one of it? By its canonical name; extensions may repeat.
pub(in crate::contact) fn is_single(name: &str) -> bool {
    find(name).is_some_and(|entry| entry.single)
}

/// Is the property standard in this version? Extensions are at home everywhere.
pub(super) fn is_home(name: &str, version: super::Version) -> bool {
    let bit = match version {
        super::Version::V2_1 => 1,
        super::Version::V3_0 => 2,
        super::Version::V4_0 => 4,
    };
    find(name).is_none_or(|entry| entry.versions & bit != 0)
}

/// The parameter's own name, without the `X-` it carries before 4.0.
pub(in crate::contact) fn canonical_param(name: &str) -> &str {
    match name.split_at_checked(2) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("X-") && is_param_4_0(rest) => rest,
        _ => name,
    }
}

/// Is it a parameter only 4.0 has?
pub(super) fn is_param_4_0(name: &str) -> bool {
    PARAMS_4_0.iter().any(|it| it.eq_ignore_ascii_case(name))
}

/// What 2.1 lists as bare types (§3.3, §3.4 of its grammar), for TEL, EMAIL and ADR.
pub(super) fn is_type_2_1(value: &str) -> bool {
    const TYPES: &[&str] = &[
        "HOME",
        "WORK",
        "CELL",
        "VOICE",
        "FAX",
        "PREF",
        "PAGER",
        "MSG",
        "CAR",
        "BBS",
        "MODEM",
        "ISDN",
        "VIDEO",
        "INTERNET",
        "X400",
        "DOM",
        "INTL",
        "POSTAL",
        "PARCEL",
        "AOL",
        "APPLELINK",
        "ATTMAIL",
        "CIS",
        "EWORLD",
        "IBMMAIL",
        "MCIMAIL",
        "POWERSHARE",
        "PRODIGY",
        "TLX",
        "X-IRMC-N",
    ];
    TYPES.iter().any(|it| it.eq_ignore_ascii_case(value))
}
