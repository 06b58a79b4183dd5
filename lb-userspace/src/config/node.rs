//! The document as a tree, whichever of TOML's notations it is written in.

use std::ops::Range;

use toml_edit::{Item, TableLike, Value};

use crate::model::{Path, Segment};

/// Bytes of the text.
pub(super) type Span = Option<Range<usize>>;

/// A value of the document.
#[derive(Clone)]
pub(super) enum Node<'a> {
    /// `[x]`, `x = {..}`, `x.y = ..`, or an element of `[[x]]`.
    Table(&'a dyn TableLike, Span),
    /// `x = [..]` or all of `[[x]]`.
    List(Vec<Self>, Span),
    /// Anything else.
    Scalar(&'a Value),
}

impl<'a> Node<'a> {
    pub(super) fn of_item(item: &'a Item) -> Option<Self> {
        Some(match item {
            Item::None => return None,
            Item::Value(value) => Self::of_value(value),
            Item::Table(table) => Self::Table(table, table.span()),
            Item::ArrayOfTables(tables) => {
                let elements = tables.iter().map(|table| Self::Table(table, table.span())).collect();
                Self::List(elements, tables.span())
            }
        })
    }

    fn of_value(value: &'a Value) -> Self {
        match value {
            Value::Array(array) => Self::List(array.iter().map(Self::of_value).collect(), array.span()),
            Value::InlineTable(table) => Self::Table(table, table.span()),
            _ => Self::Scalar(value),
        }
    }

    pub(super) fn span(&self) -> Span {
        match self {
            Self::Table(_, span) | Self::List(_, span) => span.clone(),
            Self::Scalar(value) => value.span(),
        }
    }

    /// The place of `path`, or of the innermost table or list of it that is there.
    pub(super) fn locate(&self, path: &Path) -> Span {
        let mut node = self.clone();
        let mut span = None;
        for segment in path.segments() {
            let next = match (&node, segment) {
                (Node::Table(table, _), Segment::Key(key)) => table.get(key).and_then(Node::of_item),
                (Node::List(elements, _), Segment::Index(index)) => elements.get(*index).cloned(),
                _ => None,
            };
            let Some(next) = next else { break };
            span = next.span().or(span);
            node = next;
        }
        span
    }
}

/// The line of a place, from 1.
pub(super) fn line_of(text: &str, span: &Span) -> Option<usize> {
    let start = span.as_ref()?.start.min(text.len());
    Some(text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1)
}
