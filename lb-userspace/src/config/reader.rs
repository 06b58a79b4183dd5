//! Reads tables key by key and collects everything that is wrong.

use std::cell::RefCell;
use std::ops::Range;

use toml_edit::TableLike;

use super::error::Finding;
use super::node::{Node, Span, line_of};
use super::scalar::Kind;
use crate::model::{Path, Segment, nearest};

/// What is wrong so far.
pub(super) struct Report<'t> {
    text: &'t str,
    findings: RefCell<Vec<Finding>>,
}

impl<'t> Report<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, findings: RefCell::default() }
    }

    pub(super) fn add(&self, path: Path, span: &Span, message: String) {
        self.findings.borrow_mut().push(Finding { line: line_of(self.text, span), path, message });
    }

    pub(super) fn count(&self) -> usize {
        self.findings.borrow().len()
    }

    /// Everything, in the order of the file.
    pub(super) fn finish(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| finding.line);
        findings
    }

    /// A value as it is written, cut where it becomes long.
    fn written(&self, node: &Node<'_>) -> String {
        let (prefix, span) = match node {
            Node::Table(..) => return "a table".to_owned(),
            Node::List(..) => return "a list".to_owned(),
            Node::Scalar(value) => ("", value.span()),
        };
        let Range { start, end } = span.unwrap_or_default();
        let text = self.text.get(start..end).unwrap_or_default().lines().next().unwrap_or_default();
        let cut: String = text.chars().take(60).collect();
        format!("{prefix}{cut}{}", if cut.len() < text.len() { "..." } else { "" })
    }
}

/// An element of a list of both.
pub(super) enum ValueOrTable<'a, T> {
    Value(T),
    Table(TableReader<'a>),
}

/// A table being read.
pub(super) struct TableReader<'a> {
    pub(super) report: &'a Report<'a>,
    table: &'a dyn TableLike,
    pub(super) span: Span,
    pub(super) path: Path,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> TableReader<'a> {
    pub(super) fn new(report: &'a Report<'a>, table: &'a dyn TableLike, span: Span, path: Path) -> Self {
        Self { report, table, span, path, known: RefCell::default() }
    }

    fn node(&self, key: &'static str) -> Option<Node<'a>> {
        self.known.borrow_mut().push(key);
        Node::of_item(self.table.get(key)?)
    }

    /// The value of a key, if it is there and right.
    pub(super) fn value<T>(&self, key: &'static str, kind: &Kind<T>) -> Option<T> {
        self.convert(&self.node(key)?, kind, self.path.key(key))
    }

    /// The value of a key that must be there.
    pub(super) fn required<T>(&self, key: &'static str, kind: &Kind<T>) -> Option<T> {
        let Some(node) = self.node(key) else {
            let message = format!("missing; expected {}, {}", kind.what, kind.expected);
            self.report.add(self.path.key(key), &self.span, message);
            return None;
        };
        self.convert(&node, kind, self.path.key(key))
    }

    fn convert<T>(&self, node: &Node<'_>, kind: &Kind<T>, path: Path) -> Option<T> {
        let value = match node {
            Node::Scalar(value) => (kind.parse)(value),
            _ => None,
        };
        if value.is_none() {
            let message =
                format!("{} is not {}; expected {}", self.report.written(node), kind.what, kind.expected);
            self.report.add(path, &node.span(), message);
        }
        value
    }

    /// The values of a list; those that are wrong are left out.
    pub(super) fn list<T>(&self, key: &'static str, kind: &Kind<T>) -> Option<Vec<T>> {
        let path = self.path.key(key);
        match self.node(key)? {
            Node::List(elements, _) => {
                let convert = |(index, node)| self.convert(node, kind, path.index(index));
                Some(elements.iter().enumerate().filter_map(convert).collect())
            }
            node => {
                let written = self.report.written(&node);
                let message =
                    format!("{written} is not a list; expected a list of values: each {}", kind.expected);
                self.report.add(path, &node.span(), message);
                None
            }
        }
    }

    /// The table of a key.
    pub(super) fn table(&self, key: &'static str) -> Option<Self> {
        let path = self.path.key(key);
        match self.node(key)? {
            Node::Table(table, span) => Some(Self::new(self.report, table, span, path)),
            node => {
                let message = format!("{} is not a table; expected [{path}]", self.report.written(&node));
                self.report.add(path, &node.span(), message);
                None
            }
        }
    }

    /// The tables of a list of tables, with their positions in it.
    pub(super) fn tables(&self, key: &'static str, header: &str) -> Vec<(usize, Self)> {
        let path = self.path.key(key);
        let not_tables = |node: &Node<'_>, path: Path| {
            let message = format!("{} is not a list of tables; expected {header}", self.report.written(node));
            self.report.add(path, &node.span(), message);
        };
        match self.node(key) {
            None => Vec::new(),
            Some(Node::List(elements, _)) => elements
                .into_iter()
                .enumerate()
                .filter_map(|(index, node)| match node {
                    Node::Table(table, span) => {
                        Some((index, Self::new(self.report, table, span, path.index(index))))
                    }
                    node => {
                        not_tables(&node, path.index(index));
                        None
                    }
                })
                .collect(),
            Some(node) => {
                not_tables(&node, path);
                Vec::new()
            }
        }
    }

    /// The elements of a list, each of which is a value or a table; those that are wrong are left out.
    pub(super) fn values_or_tables<T>(&self, key: &'static str, kind: &Kind<T>) -> Vec<ValueOrTable<'a, T>> {
        let path = self.path.key(key);
        let elements = match self.node(key) {
            None => return Vec::new(),
            Some(Node::List(elements, _)) => elements,
            Some(node) => {
                let written = self.report.written(&node);
                let message =
                    format!("{written} is not a list; expected a list: each {}, or a table", kind.expected);
                self.report.add(path, &node.span(), message);
                return Vec::new();
            }
        };
        let read = |(index, node)| match node {
            Node::Table(table, span) => {
                Some(ValueOrTable::Table(Self::new(self.report, table, span, path.index(index))))
            }
            node => self.convert(&node, kind, path.index(index)).map(ValueOrTable::Value),
        };
        elements.into_iter().enumerate().filter_map(read).collect()
    }

    /// Whether there is a key that does not belong here, and is reported by other means than [`Self::end`].
    pub(super) fn has_other(&self, key: &'static str) -> bool {
        self.table.contains_key(key)
    }

    /// Reports what is wrong with a key of this table, or with the lack of one.
    pub(super) fn wrong(&self, key: &Path, message: String) {
        let mut path = self.path.clone();
        let mut span = self.span.clone();
        for segment in key.segments() {
            if let Segment::Key(key) = segment {
                path = path.key(key);
                let node = self.table.get(key).and_then(Node::of_item);
                span = node.and_then(|node| node.span()).or(span);
            }
        }
        self.report.add(path, &span, message);
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn end(self) {
        let known = self.known.borrow();
        for (key, item) in self.table.iter() {
            if known.contains(&key) {
                continue;
            }
            let span = self.table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
            let meant = nearest(key, &known).map(|near| format!(", perhaps `{near}`")).unwrap_or_default();
            let message = format!("unknown key; expected one of {}{meant}", known.join(", "));
            self.report.add(self.path.key(key), &span, message);
        }
    }
}
