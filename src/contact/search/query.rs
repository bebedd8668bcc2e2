//! What a search wants.

use super::fold::{NUMBER, Tokens, is_dialled};
use super::{Field, Searchable, pieces};
use std::str::FromStr;
use thiserror::Error;

/// The longest query, in characters.
const MOST: usize = 256;
/// The most words of a query.
const MOST_WORDS: usize = 16;

/// What a person searches for. Words are told apart by blanks; one that begins with `+` goes on as long as what follows is
/// digits: `+86 138 0013` is one number.
///
/// ```
/// use syncml::contact::{identity::Kind, search::{Query, Rank, searchable}};
///
/// let card = searchable(Kind::Contact, b"BEGIN:VCARD\nFN:Zo\xc3\xab Miller\nTEL:+44 20 7946 0123\nNOTE:sails\nEND:VCARD\n");
/// for (text, rank) in [("zoe mil", Some(Rank::Name)), ("946", Some(Rank::Name)), ("zoe sail", Some(Rank::Other)), ("ill", None)] {
///     let query: Query = text.parse()?;
///     assert_eq!(query.matches(&card).map(|found| found.rank), rank, "{text}");
/// }
/// # Ok::<(), syncml::contact::search::QueryError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    wanted: Vec<Wanted>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// The beginning of a word.
    Word(String),
    /// Digits in a row, at least three; or the beginning of a word.
    Number(String),
    /// Characters in a row.
    Run(String),
}

/// Why nothing can be searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// There is neither a letter nor a digit in it.
    #[error("there is nothing to search for: give a word or some digits")]
    Empty,
    /// It is longer than 256 characters or has more than 16 words.
    #[error("that is too much to search for: at most {MOST_WORDS} words, {MOST} characters")]
    TooLong,
}

/// Where what was searched for was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// All of it in names, organisations, titles or telephone numbers.
    Name,
    /// Some of it elsewhere.
    Other,
}

/// A hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match<'s> {
    /// Where.
    pub rank: Rank,
    /// The properties in which something was found, each once, with their texts, cut to a line: (`TEL`, `+44 20 …`).
    pub properties: Vec<(&'s str, &'s str)>,
}

/// A search as an index can answer it: which items to look at. It may say too many ([`Query::matches`] decides), never too few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TermQuery {
    /// Items with this term ([`Searchable::terms`]).
    Term(String),
    /// Items with a term that begins so.
    Prefix(String),
    /// All of these.
    All(Vec<Self>),
    /// Any of these.
    Any(Vec<Self>),
    /// The first, but not the second.
    Not(Box<Self>, Box<Self>),
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        if text.chars().nth(MOST).is_some() {
            return Err(QueryError::TooLong);
        }
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut open: Option<String> = None;
        for chunk in text.split_whitespace() {
            // Digits in other scripts and full width are taken by their value.
            let tokens = Tokens::of(chunk);
            let dialled = is_dialled(chunk);
            if dialled && (open.is_some() || chunk.starts_with('+')) {
                open.get_or_insert_default().extend(chunk.chars().filter(char::is_ascii_digit));
                continue;
            }
            wanted.extend(open.take().and_then(number));
            wanted.extend(tokens.words.into_iter().map(Wanted::Word));
            wanted.extend(tokens.numbers.into_iter().map(Wanted::Number));
            wanted.extend(tokens.runs.into_iter().map(Wanted::Run));
        }
        wanted.extend(open.take().and_then(number));
        match wanted.len() {
            0 => Err(QueryError::Empty),
            1..=MOST_WORDS => Ok(Self { wanted }),
            _ => Err(QueryError::TooLong),
        }
    }
}

fn number(digits: String) -> Option<Wanted> {
    match digits.len() {
        0 => None,
        1..NUMBER => Some(Wanted::Word(digits)),
        _ => Some(Wanted::Number(digits)),
    }
}

impl Query {
    /// Whether an item is a hit, and where.
    #[must_use]
    pub fn matches<'s>(&self, item: &'s Searchable) -> Option<Match<'s>> {
        let mut rank = Rank::Name;
        let mut properties: Vec<(&str, &str)> = Vec::new();
        for wanted in &self.wanted {
            let found =
                |primary: bool| item.fields.iter().find(|field| field.primary == primary && wanted.is_in(field));
            let field = match found(true) {
                Some(field) => field,
                None => {
                    rank = Rank::Other;
                    found(false)?
                }
            };
            let property = (field.name.as_str(), field.shown.as_str());
            if !properties.contains(&property) {
                properties.push(property);
            }
        }
        Some(Match { rank, properties })
    }

    /// Which items may be hits of that rank.
    #[must_use]
    pub fn terms(&self, rank: Rank) -> TermQuery {
        let all = |places: &[&str]| all_of(self.wanted.iter().map(|wanted| wanted.terms(places)).collect());
        match rank {
            Rank::Name => all(&["a"]),
            Rank::Other if self.is_exact() => TermQuery::Not(Box::new(all(&["a", "b"])), Box::new(all(&["a"]))),
            Rank::Other => all(&["a", "b"]),
        }
    }

    /// Whether the terms say just what it says.
    pub(super) fn is_exact(&self) -> bool {
        self.wanted.iter().all(Wanted::is_exact)
    }
}

impl Wanted {
    fn is_in(&self, field: &Field) -> bool {
        let tokens = &field.tokens;
        match self {
            Self::Word(word) => tokens.words.iter().any(|it| it.starts_with(word)),
            Self::Number(digits) => {
                tokens.numbers.iter().any(|it| it.contains(digits))
                    || tokens.words.iter().any(|it| it.starts_with(digits))
            }
            Self::Run(run) => tokens.runs.iter().any(|it| it.contains(run)),
        }
    }

    /// Whether its terms say just what it says.
    fn is_exact(&self) -> bool {
        match self {
            Self::Word(_) => true,
            Self::Number(digits) => digits.len() == NUMBER,
            Self::Run(run) => run.chars().count() <= 2,
        }
    }

    fn terms(&self, places: &[&str]) -> TermQuery {
        let any = |term: &dyn Fn(&str) -> TermQuery| any_of(places.iter().map(|place| term(place)).collect());
        let exact = |kind: char, text: &str| any(&|place| TermQuery::Term(format!("{place}{kind}{text}")));
        match self {
            Self::Word(word) if word.chars().count() <= 2 => exact('s', word),
            Self::Word(word) => any(&|place| TermQuery::Prefix(format!("{place}w{word}"))),
            Self::Number(digits) => {
                let threes = digits.as_bytes().windows(NUMBER).map(|three| exact('n', &String::from_utf8_lossy(three)));
                any_of(vec![all_of(threes.collect()), any(&|place| TermQuery::Prefix(format!("{place}w{digits}")))])
            }
            Self::Run(run) if run.chars().nth(1).is_none() => exact('c', run),
            Self::Run(run) => all_of(pieces(run).map(|piece| exact('c', piece)).collect()),
        }
    }
}

fn all_of(mut parts: Vec<TermQuery>) -> TermQuery {
    if parts.len() == 1 { parts.remove(0) } else { TermQuery::All(parts) }
}

fn any_of(mut parts: Vec<TermQuery>) -> TermQuery {
    if parts.len() == 1 { parts.remove(0) } else { TermQuery::Any(parts) }
}
