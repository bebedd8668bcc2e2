//! Where elements come from: the reading side that XML and WBXML share.

use super::error::{At, DecodeError, Limit};
use super::limits::Limits;
use super::tag::Tag;
use crate::message::{Bytes, Text};

/// Reading stopped; the [`Guard`] knows why. It is an error without a size, so that the results of the many small steps
/// fit into registers.
#[derive(Debug)]
pub(super) struct Stop;

/// The result of a step.
pub(super) type Step<T> = Result<T, Stop>;

/// A document, element by element. After [`Source::child`] has opened one, exactly one of the methods that read a
/// content up to its end is called; [`Source::child`] itself does so when it is called until it returns `None`.
pub(super) trait Source<'a>: Sized {
    /// Opens the next child of the open element, or closes that and returns `None`. Text between is passed over.
    fn child(&mut self) -> Step<Option<Tag>>;

    /// The name of the element opened last, if it was [`Tag::Unknown`].
    fn unknown_name(&self) -> Text<'a>;

    /// Reads the text of the open element, in one piece however it was quoted or split, and closes it. Elements inside
    /// are passed over.
    fn text(&mut self) -> Step<Text<'a>>;

    /// As [`Source::text`] for octets.
    fn octets(&mut self) -> Step<Octets<'a>>;

    /// Reads the content of the open element: its octets, after which it is closed, or its first child, which is then
    /// open.
    fn content(&mut self) -> Step<Content<'a>>;

    /// After [`Source::content`] opened a child that means nothing to the parser: the whole content as it stands, if
    /// the encoding is a text. Closes the child and its parent.
    fn verbatim(&mut self) -> Step<Bytes<'a>>;

    /// Passes over the content of the open element and closes it.
    fn skip(&mut self) -> Step<()> {
        while self.child()?.is_some() {
            self.skip()?;
        }
        Ok(())
    }

    /// What is counted and where the reader stands.
    fn guard(&self) -> &Guard;

    /// The same, to count and to fail.
    fn guard_mut(&mut self) -> &mut Guard;

    /// Stops with an error.
    #[cold]
    fn fail(&mut self, error: DecodeError) -> Stop {
        self.guard_mut().fail(error)
    }

    /// The limits that are left for a document inside this one.
    fn nested_limits(&self) -> Limits {
        let guard = self.guard();
        Limits { max_elements: guard.limits.max_elements.saturating_sub(guard.elements), ..guard.limits }
    }

    /// Counts the elements of a document inside this one.
    fn count_nested(&mut self, elements: usize) {
        self.guard_mut().elements += elements;
    }

    /// Why reading stopped.
    fn into_error(self) -> DecodeError;

    /// The position that the next byte is read from.
    fn offset(&self) -> usize;

    /// Where the reader stands.
    fn at(&self) -> At {
        self.guard().at(self.offset())
    }
}

/// Octets, and whether the encoding marked them as such.
pub(super) struct Octets<'a> {
    pub(super) bytes: Bytes<'a>,
    pub(super) opaque: bool,
}

/// What an element begins with.
pub(super) enum Content<'a> {
    Octets(Octets<'a>),
    Child(Tag),
}

/// Counts elements and depth; knows the names of the open elements.
pub(super) struct Guard {
    pub(super) limits: Limits,
    pub(super) elements: usize,
    open: Vec<Tag>,
    /// The element that ended last.
    closed: Tag,
    error: Option<DecodeError>,
}

impl Guard {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            elements: 0,
            open: Vec::with_capacity(limits.max_depth.min(32)),
            closed: Tag::Unknown,
            error: None,
        }
    }

    /// An element begins.
    #[inline]
    pub(super) fn enter(&mut self, tag: Tag, offset: usize) -> Step<()> {
        if self.open.len() >= self.limits.max_depth {
            return Err(self.limit(Limit::Depth, self.limits.max_depth, offset));
        }
        if self.elements >= self.limits.max_elements {
            return Err(self.limit(Limit::Elements, self.limits.max_elements, offset));
        }
        self.elements += 1;
        self.open.push(tag);
        Ok(())
    }

    /// An element ends.
    #[inline]
    pub(super) fn leave(&mut self) -> Tag {
        self.closed = self.open.pop().unwrap_or(Tag::Unknown);
        self.closed
    }

    /// The innermost open element.
    #[inline]
    pub(super) fn innermost(&self) -> Option<Tag> {
        self.open.last().copied()
    }

    /// Whether no element is open.
    pub(super) fn is_outside(&self) -> bool {
        self.open.is_empty()
    }

    /// Refuses a text that would grow beyond its limit.
    #[inline]
    pub(super) fn check_text(&mut self, length: usize, offset: usize) -> Step<()> {
        if length > self.limits.max_text {
            return Err(self.limit(Limit::Text, self.limits.max_text, offset));
        }
        Ok(())
    }

    #[cold]
    pub(super) fn limit(&mut self, limit: Limit, max: usize, offset: usize) -> Stop {
        self.fail(DecodeError::Limit { limit, max, at: self.at(offset) })
    }

    #[cold]
    pub(super) fn fail(&mut self, error: DecodeError) -> Stop {
        self.error = Some(error);
        Stop
    }

    /// Whether reading stopped because a text is not of its character set.
    pub(super) fn failed_at_charset(&self) -> bool {
        matches!(self.error, Some(DecodeError::Charset { .. }))
    }

    /// It goes on after all.
    pub(super) fn forget_failure(&mut self) {
        self.error = None;
    }

    /// Why reading stopped.
    pub(super) fn into_error(self) -> DecodeError {
        // Only `fail` makes a Stop, so that there is an error.
        self.error.unwrap_or(DecodeError::Malformed { rule: "unreadable", at: At { element: "message", offset: 0 } })
    }

    /// Stops because the element that ended last lacks a child.
    #[cold]
    pub(super) fn missing(&mut self, child: Tag, offset: usize) -> Stop {
        let at = At { element: self.closed.name(), offset };
        self.fail(DecodeError::Missing { element: child.name(), at })
    }

    pub(super) fn at(&self, offset: usize) -> At {
        let known = self.open.iter().rev().find(|tag| **tag != Tag::Unknown);
        At { element: known.map_or("message", |tag| tag.name()), offset }
    }
}
