//! Made-up cards for the tests of this room.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, RngSeed, TestRng, TestRunner};

use super::card::{CardBuilder, PropertyBuf, Value, Version};

/// So many cases of a property that is no law, or more if `PROPTEST_CASES` or `SYNCML_LAW_CASES` ask for more; which ones is
/// said as at [`hold`].
pub(super) fn at_least(cases: u32) -> ProptestConfig {
    let wanted = said("SYNCML_LAW_CASES").and_then(|value| value.parse().ok()).unwrap_or(cases);
    let usual = ProptestConfig::default();
    let rng_seed = if full() { RngSeed::Random } else { RngSeed::Fixed(other_seed()) };
    ProptestConfig { cases: usual.cases.max(wanted), rng_seed, ..usual }
}

/// Cases of a law in every run of the tests, from a fixed seed; `tests/run` asks for 50,000 in a run that is optimized.
const LAW_CASES: u32 = 500;

/// Whether everything shall be run: 50,000 cases, and a tenth as many more that are fresh each time.
fn full() -> bool {
    said("SYNCML_TEST_FULL").is_some_and(|value| value == "1")
}

fn other_seed() -> u64 {
    said("SYNCML_LAW_SEED").and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// So many cases as `SYNCML_LAW_CASES` says.
fn wanted() -> u32 {
    let said = said("SYNCML_LAW_CASES").and_then(|value| value.parse().ok());
    said.unwrap_or_else(|| if full() { 50_000 } else { LAW_CASES })
}

#[allow(clippy::disallowed_methods)] // what the environment names is for the tests alone
fn said(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Asks a law of many made-up cases: the same ones in every run, so that what fails was made by the change at hand. How many
/// is said by `SYNCML_LAW_CASES`; `SYNCML_LAW_SEED`, a number, asks of others than the usual ones, and `SYNCML_TEST_FULL=1`
/// of some that nobody has seen.
pub(super) fn hold<S: Strategy>(name: &str, cases: S, law: impl Fn(&S::Value) -> Result<(), TestCaseError>) {
    let wanted = wanted();
    let mut seed = [7; 32];
    seed.iter_mut().zip(name.bytes()).for_each(|(seed, byte)| *seed = byte);
    seed.iter_mut().rev().zip(other_seed().to_le_bytes()).for_each(|(seed, byte)| *seed ^= byte);
    let fixed = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    for (fixed, cases_of) in [(Some(fixed), wanted), (None, if full() { wanted / 10 } else { 0 })] {
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases_of) };
        let kind = if fixed.is_some() { "fixed" } else { "fresh" };
        let mut runner = match fixed {
            Some(rng) => TestRunner::new_with_rng(config, rng),
            None => TestRunner::new(config),
        };
        if let Err(error) = runner.run(&cases, |case| law(&case)) {
            panic!("{name}, {kind} seed: {error}");
        }
    }
}

/// Bytes that are readable when a test fails.
#[derive(Clone)]
pub(super) struct Soup(pub(super) Vec<u8>);

impl std::fmt::Debug for Soup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Bytes that look like a card from afar: pieces of the syntax in any order.
pub(super) fn soup() -> impl Strategy<Value = Soup> {
    const PIECES: &[&str] = &[
        "BEGIN:VCARD\r\n",
        "END:VCARD\r\n",
        "BEGIN:VCARD\n",
        "VERSION:2.1\r\n",
        "VERSION:3.0\r\n",
        "VERSION:4.0\n",
        "\r\n",
        "\n",
        "\r",
        "\r\r\n",
        " ",
        "\t",
        ";",
        ":",
        ",",
        "=",
        "=\r\n",
        "=\r\n ",
        "==0A=0D=\r\n",
        "=C3",
        "=C3=BC",
        "=3B",
        "\\",
        "\\n",
        "\\;",
        "\\,",
        "\"",
        "^",
        "^n",
        ".",
        "item1.",
        "TEL",
        "TEL;CELL:",
        "EMAIL;TYPE=internet:",
        "N:",
        "FN:",
        "N;CHARSET=UTF-8:",
        ";ENCODING=QUOTED-PRINTABLE",
        ";QUOTED-PRINTABLE",
        ";ENCODING=BASE64",
        ";BASE64:",
        ";ENCODING=b:",
        ";TYPE=HOME,WORK",
        ";TYPE=\"a;b:c\"",
        ";CHARSET=SHIFT_JIS",
        ";CHARSET=nope",
        ";PREF=2",
        ";VALUE=uri:",
        "tel:+1",
        "PHOTO",
        "PHOTO:data:image/png;base64,",
        "iVBORw0KGgo=",
        "AGENT:\r\n",
        "X-ABLabel:",
        "item1.X-ABLabel:x\r\n",
        "X-FOO",
        "BDAY:",
        "1604-03-22",
        ";X-APPLE-OMIT-YEAR=1604",
        "19800101T000000Z",
        "GEO:",
        "geo:1.5,2",
        "ORG:",
        "NICKNAME:",
        "a",
        "Zoë",
        "ü",
        "e\u{301}",
        "+49 (0)30 123",
        "\u{FEFF}",
        "\0",
        "NOTE:",
        "X-SYNCML-PARAM=",
        ";X-SYNCML-PARAM=VFlQRT1h",
        "ADR;HOME:;;",
        "KIND:org\r\n",
        "X-KIND:",
        "GENDER:M;x",
        "URL:",
    ];
    let piece = prop_oneof![
        20 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..6),
    ];
    (any::<bool>(), vec(piece, 0..60)).prop_map(|(card, pieces)| {
        let mut out = if card { b"BEGIN:VCARD\r\n".to_vec() } else { Vec::new() };
        out.extend(pieces.concat());
        Soup(out)
    })
}

/// Any text a user might enter, some of it awkward.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[A-Za-z0-9 .,;:'()+=@/-]{1,20}",
        2 => "[a-zA-ZäöüßéÅ中文日本語אבגд😀e\u{301}]{1,12}",
        1 => "[ -~äü中\n]{1,90}",
        1 => "[\\\\,;:n\n\"^= a]{1,12}",
    ]
    .prop_filter("says something", |text: &String| text.chars().any(char::is_alphanumeric))
}

/// A property as an editor would write it.
pub(super) fn property() -> impl Strategy<Value = PropertyBuf> {
    let types =
        || vec(proptest::sample::select(&["HOME", "WORK", "CELL", "FAX", "PREF", "x-lodge", "Büro", "a b"][..]), 0..3);
    let plain = proptest::sample::select(
        &[
            "NOTE",
            "TITLE",
            "EMAIL",
            "ROLE",
            "X-ABRELATEDNAMES",
            "X-FOO",
            "KIND",
            "HOBBY",
            "LABEL",
            "X-UNLABELLED-ONE",
            "CLASS",
        ][..],
    );
    let value = prop_oneof![
        3 => (plain, text()).prop_map(|(name, text)| PropertyBuf::text(name, text)),
        2 => "\\+?[0-9]{3,14}([ ()-][0-9]{1,4}){0,2}".prop_map(|number| PropertyBuf::text("TEL", number)),
        1 => (text(), text()).prop_map(|(one, two)| PropertyBuf::components("ADR", ["", "", &one, &two, "", "", "Land"])),
        1 => (text(), text()).prop_map(|(one, two)| PropertyBuf::components("ORG", [&*one, &*two])),
        1 => vec(text(), 1..3).prop_map(|items| PropertyBuf::new("NICKNAME", Value::List(items))),
        1 => vec(any::<u8>(), 1..200).prop_map(|bytes| PropertyBuf::binary("PHOTO", Some("image/jpeg"), &bytes)),
        1 => "https?://[a-z]{1,8}\\.example/[a-z,;?&=%0-9]{0,60}".prop_map(|url| PropertyBuf::text("URL", url)),
        1 => proptest::sample::select(&["19800322", "--0322", "1985-04-12", "1985-04", "1999", "19531015T231000Z"][..])
            .prop_map(|date| PropertyBuf::text("BDAY", date)),
    ];
    let more = proptest::option::of((proptest::sample::select(&["LANGUAGE", "ALTID", "X-SLOT", "LABEL"][..]), text()));
    (value, types(), more).prop_map(|(property, types, more)| {
        let binary = matches!(property.value(), Value::Binary { .. });
        let mut property = types.into_iter().filter(|_| !binary).fold(property, |it, value| match value {
            "PREF" => it.param("PREF", "1"),
            value => it.param("TYPE", value),
        });
        if let Some((name, value)) = more {
            property = property.param(name, value);
        }
        property
    })
}

/// The properties of a card with a name.
pub(super) fn properties() -> impl Strategy<Value = Vec<PropertyBuf>> {
    let name = (text(), text()).prop_map(|(family, given)| {
        let full = format!("{} {}", given.trim(), family.trim());
        vec![PropertyBuf::components("N", [&*family, &*given, "", "", ""]), PropertyBuf::text("FN", full)]
    });
    (name, vec(property(), 0..8)).prop_map(|(mut name, rest)| {
        name.extend(rest);
        name
    })
}

pub(super) fn version() -> impl Strategy<Value = Version> {
    proptest::sample::select(&[Version::V2_1, Version::V3_0, Version::V4_0][..])
}

pub(super) fn build(version: Version, properties: &[PropertyBuf]) -> Vec<u8> {
    let mut builder = CardBuilder::new(version);
    properties.iter().for_each(|property| builder.push(property));
    builder.build()
}

/// A card of these lines, with CRLF, between BEGIN, VERSION and END.
pub(super) fn card(version: &str, lines: &[&str]) -> Vec<u8> {
    let mut out = format!("BEGIN:VCARD\r\nVERSION:{version}\r\n");
    for line in lines {
        out.push_str(line);
        out.push_str("\r\n");
    }
    out.push_str("END:VCARD\r\n");
    out.into_bytes()
}
