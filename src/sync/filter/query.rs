//! The grammar `syncml:filtertype-cgi` (§3.16): parsed into steps, asked of one item at a time.
//!
//! AND binds tighter than OR; parentheses group. Steps stand in the order in which a stack takes them, so that neither
//! reading nor asking recurses.

use super::FilterError;
use crate::contact::card::Card;
use crate::contact::lens;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Bytes of a query at most.
pub(super) const MAX_TEXT: usize = 1_024;

/// Clauses of a query at most.
pub(super) const MAX_CLAUSES: usize = 64;

/// Parentheses within parentheses at most.
pub(super) const MAX_DEPTH: usize = 16;

/// The keyword of the item's id.
const LUID: &str = "LUID";

/// A query, ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Query {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Clause(Clause),
    And,
    Or,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Clause {
    /// A property, or nothing for the item's id.
    property: Option<String>,
    op: Op,
    /// Letter case does not matter.
    folds: bool,
    /// `None` is NULL: there is none.
    value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Con,
    Ncon,
}

/// What stands on the stack of a reader: what still has to be said after what comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Open,
    And,
    Or,
}

impl Query {
    /// Reads a query. `knows` says which properties can be asked for.
    pub(super) fn parse(text: &str, knows: impl Fn(&str) -> bool) -> Result<Self, FilterError> {
        if text.len() > MAX_TEXT {
            return Err(FilterError::TooLarge("bytes", MAX_TEXT));
        }
        // Who escapes once more than XML asks for means the same.
        let text = text.replace("&amp;", "&");
        let mut reader = Reader { text: &text, at: 0, depth: 0 };
        let (mut steps, mut waiting): (Vec<Step>, Vec<Waiting>) = (Vec::new(), Vec::new());
        let mut clauses = 0;
        loop {
            while reader.takes('(') {
                reader.depth += 1;
                if reader.depth > MAX_DEPTH {
                    return Err(FilterError::TooLarge("nested parentheses", MAX_DEPTH));
                }
                waiting.push(Waiting::Open);
            }
            clauses += 1;
            if clauses > MAX_CLAUSES {
                return Err(FilterError::TooLarge("clauses", MAX_CLAUSES));
            }
            let clause = reader.clause()?;
            if let Some(property) = clause.property.as_deref().filter(|property| !knows(property)) {
                return Err(FilterError::Keyword(property.to_owned()));
            }
            steps.push(Step::Clause(clause));
            while reader.depth > 0 && reader.takes(')') {
                reader.depth -= 1;
                while let Some(above) = waiting.pop().filter(|above| *above != Waiting::Open) {
                    steps.push(above.step());
                }
            }
            if reader.is_done() {
                break;
            }
            let next = match &*reader.token()?.to_ascii_uppercase() {
                "AND" => Waiting::And,
                "OR" => Waiting::Or,
                _ => return Err(reader.malformed("AND or OR is expected")),
            };
            // AND lets only AND go first, OR both.
            while let Some(above) = waiting
                .last()
                .filter(|above| **above == Waiting::And || (**above == Waiting::Or && next == Waiting::Or))
            {
                steps.push(above.step());
                waiting.pop();
            }
            waiting.push(next);
        }
        if reader.depth > 0 {
            return Err(reader.malformed("a parenthesis is not closed"));
        }
        steps.extend(waiting.into_iter().rev().map(Waiting::step));
        Ok(Self { steps })
    }

    /// Whether an item satisfies it: its card, if it is one, and the id that the peer has for it.
    pub(super) fn holds(&self, card: Option<&Card<'_>>, luid: Option<&str>) -> bool {
        let mut stack: Vec<bool> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let holds = match step {
                Step::Clause(clause) => clause.holds(card, luid),
                Step::And | Step::Or => match (stack.pop(), stack.pop()) {
                    (Some(two), Some(one)) => {
                        if *step == Step::And {
                            one && two
                        } else {
                            one || two
                        }
                    }
                    _ => false,
                },
            };
            stack.push(holds);
        }
        stack.pop().unwrap_or(false)
    }
}

impl Waiting {
    const fn step(self) -> Step {
        match self {
            Self::And => Step::And,
            // An open parenthesis is never asked for its step.
            Self::Or | Self::Open => Step::Or,
        }
    }
}

impl Clause {
    fn holds(&self, card: Option<&Card<'_>>, luid: Option<&str>) -> bool {
        let negative = matches!(self.op, Op::Ne | Op::Ncon);
        let positive = match (&self.property, &self.value) {
            (None, None) => luid.is_none(),
            (None, Some(value)) => luid.is_some_and(|luid| self.compare(luid, value)),
            (Some(property), None) => !card.is_some_and(|card| lens::has(card, property)),
            (Some(property), Some(value)) => {
                let value = lens::term(property, value);
                card.is_some_and(|card| lens::any_term(card, property, |text| self.compare(text, &value)))
            }
        };
        positive != negative
    }

    /// Whether one text satisfies the operator, or, of a negative one, its opposite: "not equal" means that none is equal.
    fn compare(&self, text: &str, value: &str) -> bool {
        let fold = |text| if self.folds { Cow::Owned(str::to_lowercase(text)) } else { Cow::Borrowed(text) };
        let (text, value) = (fold(text), fold(value));
        let order = || match (text.parse::<i64>(), value.parse::<i64>()) {
            (Ok(text), Ok(value)) => text.cmp(&value),
            _ => text.cmp(&value),
        };
        match self.op {
            Op::Eq | Op::Ne => text == value,
            Op::Con | Op::Ncon => text.contains(&*value),
            Op::Gt => order().is_gt(),
            Op::Ge => order().is_ge(),
            Op::Lt => order().is_lt(),
            Op::Le => order().is_le(),
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn malformed(&self, what: &'static str) -> FilterError {
        FilterError::Malformed { at: self.at, what }
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn is_done(&mut self) -> bool {
        self.skip_blanks();
        self.rest().is_empty()
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    /// What stands between `&` and `;`.
    fn token(&mut self) -> Result<&'t str, FilterError> {
        self.skip_blanks();
        let inner = self.rest().strip_prefix('&').and_then(|rest| rest.split_once(';'));
        match inner.map(|(name, _)| name) {
            Some(name) if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                self.at += name.len() + 2;
                Ok(name)
            }
            _ => Err(self.malformed("a token &NAME; is expected")),
        }
    }

    fn clause(&mut self) -> Result<Clause, FilterError> {
        self.skip_blanks();
        let property = if self.rest().starts_with('&') {
            if !self.token()?.eq_ignore_ascii_case(LUID) {
                return Err(self.malformed("a property is expected"));
            }
            None
        } else {
            let end = self.rest().find('&').unwrap_or_else(|| self.rest().len());
            let name = self.rest()[..end].trim();
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
                return Err(self.malformed("a property is expected"));
            }
            self.at += end;
            Some(name.to_ascii_uppercase())
        };
        let token = self.token()?.to_ascii_uppercase();
        let (folds, name) = match token.strip_prefix('I') {
            Some(name) => (true, name),
            None => (false, &*token),
        };
        let op = match name {
            "EQ" => Op::Eq,
            "NE" => Op::Ne,
            "GT" => Op::Gt,
            "GE" => Op::Ge,
            "LT" => Op::Lt,
            "LE" => Op::Le,
            "CON" => Op::Con,
            "NCON" => Op::Ncon,
            _ => return Err(self.malformed("an operator is expected")),
        };
        let value = self.value()?;
        let equality = matches!(op, Op::Eq | Op::Ne);
        if !equality && (property.is_none() || value.is_none()) {
            return Err(self.malformed("only equality can be asked here"));
        }
        Ok(Clause { property, op, folds, value })
    }

    /// A value, escapes undone; nothing, like `&NULL;`, is that there is none.
    fn value(&mut self) -> Result<Option<String>, FilterError> {
        let rest = self.rest();
        let starts = |token: &str| rest.get(..token.len()).is_some_and(|start| start.eq_ignore_ascii_case(token));
        if let Some(token) = ["&NULL;", "&UNASSIGNED;"].iter().find(|token| starts(token)) {
            self.at += token.len();
            return Ok(None);
        }
        let ends = |char| char == '&' || (char == ')' && self.depth > 0);
        let raw = &rest[..rest.find(ends).unwrap_or(rest.len())];
        if raw.contains(';') {
            return Err(self.malformed("a semicolon in a value is %3B"));
        }
        let mut bytes = Vec::with_capacity(raw.len());
        let mut pieces = raw.trim().split('%');
        bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
        for piece in pieces {
            let escaped = piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            let Some(byte) = escaped.filter(|_| !piece.starts_with('+')) else {
                return Err(self.malformed("two hexadecimal digits follow %"));
            };
            bytes.push(byte);
            bytes.extend_from_slice(&piece.as_bytes()[2..]);
        }
        let value = String::from_utf8(bytes).map_err(|_| self.malformed("the value is not UTF-8"))?;
        self.at += raw.len();
        Ok(Some(value).filter(|value| !value.is_empty()))
    }
}
