//! Statements and blocks of `keepalived.conf`, included files, conditions and parameters resolved.

use std::collections::VecDeque;
use std::sync::Arc;

use super::parameters::{Parameters, definition};
use super::text::{Token, tokens, without_comment};
use crate::import::files::{Files, matches};
use crate::import::report::{Effect, Id, Ledger};

/// Deepest nesting of blocks and of included files.
const MOST_DEPTH: usize = 24;
/// Most files that are read.
const MOST_FILES: usize = 500;
/// Most lines, and bytes in them, that come of parameters with several lines.
const MOST_LINES: usize = 100_000;
const MOST_BYTES: usize = 8 << 20;

/// A statement, with the block behind it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: Id,
    pub(super) words: Vec<String>,
    pub(super) block: Option<Vec<Node>>,
}

impl Node {
    /// Word `index`, empty if there is none.
    pub(super) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    /// The words after the first; a block need not have a word at all.
    pub(super) fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The statements in its block.
    pub(super) fn children(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }

    /// Every statement inside, in order.
    pub(super) fn inside(&self) -> Vec<Id> {
        let mut all = Vec::new();
        for child in self.children() {
            all.push(child.id);
            all.extend(child.inside());
        }
        all
    }
}

/// Reads a file and what it includes.
pub(super) fn read(
    file: &Arc<str>,
    text: &str,
    files: &dyn Files,
    config_id: Option<&str>,
    ledger: &mut Ledger,
) -> Vec<Node> {
    let mut reader = Reader {
        files,
        config_id,
        ledger,
        parameters: Parameters::default(),
        levels: vec![Vec::new()],
        too_deep: 0,
        files_read: 0,
        lines: 0,
        bytes: 0,
    };
    reader.file(file, text, 0);
    reader.finish(file)
}

struct Reader<'a> {
    files: &'a dyn Files,
    config_id: Option<&'a str>,
    ledger: &'a mut Ledger,
    parameters: Parameters,
    /// The blocks that are open, outermost first; the owner of each is the last node of the one before.
    levels: Vec<Vec<Node>>,
    too_deep: usize,
    files_read: usize,
    /// Lines and bytes that came of parameters with several lines.
    lines: usize,
    bytes: usize,
}

impl Reader<'_> {
    fn file(&mut self, file: &Arc<str>, text: &str, depth: usize) {
        let mut lines: VecDeque<(usize, String)> =
            (1..).zip(text.lines()).map(|(number, line)| (number, line.to_owned())).collect();
        while let Some((number, raw)) = lines.pop_front() {
            let line = without_comment(&raw).to_owned();
            if line.is_empty() {
                continue;
            }
            let Some(line) = self.condition(file, number, &raw, &line) else { continue };
            if let Some((name, value)) = definition(&line) {
                let value = whole_value(value, &mut lines);
                let id = self.ledger.enter(file, number, raw.trim());
                self.ledger.used(id);
                self.parameters.define(name, value);
                continue;
            }
            if self.include(file, number, &line, depth) {
                continue;
            }
            let expanded = self.parameters.substitute(&line);
            if expanded.contains('\n') {
                self.expand(file, number, &expanded, &mut lines);
                continue;
            }
            let Some(expanded) = self.condition(file, number, &raw, &expanded) else { continue };
            self.statement(file, number, raw.trim(), &expanded);
        }
    }

    /// Puts the lines of a parameter with several lines in front of those that are still to be read.
    fn expand(
        &mut self,
        file: &Arc<str>,
        number: usize,
        expanded: &str,
        lines: &mut VecDeque<(usize, String)>,
    ) {
        let more: Vec<&str> = expanded.lines().collect();
        self.lines += more.len();
        self.bytes += expanded.len();
        if self.lines > MOST_LINES || self.bytes > MOST_BYTES {
            let limit = format!(
                "the parameters in the file come to more than {MOST_LINES} lines or {MOST_BYTES} bytes"
            );
            return self.complain(file, number, more.first().copied().unwrap_or_default(), &limit);
        }
        more.iter().rev().for_each(|line| lines.push_front((number, (*line).to_owned())));
    }

    /// What a line says where it counts; `@id` and `@^id` make it depend on the configuration's id.
    fn condition(&mut self, file: &Arc<str>, number: usize, raw: &str, line: &str) -> Option<String> {
        let Some(rest) = line.strip_prefix('@') else { return Some(line.to_owned()) };
        let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let (is_not, wanted) = word.strip_prefix('^').map_or((false, word), |word| (true, word));
        let counts = (self.config_id == Some(wanted)) != is_not;
        if counts && self.config_id.is_some() {
            return Some(rest.trim().to_owned());
        }
        let id = self.ledger.enter(file, number, raw.trim());
        match (self.config_id, counts) {
            (None, true) => {
                self.ledger.assumed(
                    id,
                    format!(
                        "it counts as the configuration's id is taken not to be `{wanted}` (--config-id)"
                    ),
                );
                Some(rest.trim().to_owned())
            }
            (None, false) => {
                self.ledger.dropped(id, format!("it counts only with --config-id {wanted}"));
                None
            }
            (Some(own), _) => {
                self.ledger.dropped(id, format!("it does not count with --config-id {own}"));
                None
            }
        }
    }

    fn include(&mut self, file: &Arc<str>, number: usize, line: &str, depth: usize) -> bool {
        let words = tokens(line);
        let (Some(Token::Word(keyword)), Some(Token::Word(pattern))) = (words.first(), words.get(1)) else {
            return false;
        };
        if !matches!(
            keyword.as_str(),
            "include" | "includer" | "includem" | "includew" | "includeb" | "includea"
        ) {
            return false;
        }
        let id = self.ledger.enter(file, number, line);
        let pattern = beside(file, pattern);
        let paths = match self.paths(&pattern) {
            Ok(paths) => paths,
            Err(reason) => {
                self.ledger.dropped(id, format!("{pattern}: {reason}"));
                return true;
            }
        };
        self.ledger.used(id);
        for path in paths {
            if depth + 1 >= MOST_DEPTH || self.files_read >= MOST_FILES {
                self.ledger.dropped(id, format!("{path}: too many files are included"));
                return true;
            }
            self.files_read += 1;
            match self.files.read(&path) {
                Ok(text) if text.contains('\0') => {
                    self.ledger.dropped(id, format!("{path}: a NUL byte; expected text in UTF-8"));
                }
                Ok(text) => self.file(&path.as_str().into(), &text, depth + 1),
                Err(error) => self.ledger.dropped(id, format!("{path}: {error}")),
            }
        }
        true
    }

    /// The files that a pattern names, or why there are none.
    fn paths(&self, pattern: &str) -> Result<Vec<String>, String> {
        if !pattern.contains(['*', '?', '[', '{']) {
            return Ok(vec![pattern.to_owned()]);
        }
        let (directory, name) = pattern.rsplit_once('/').unwrap_or((".", pattern));
        if directory.contains(['*', '?', '[', '{']) || name.contains(['[', '{']) {
            return Err(
                "only * and ? in the last part of a path are understood; include each file".to_owned()
            );
        }
        let names = self.files.list(if directory.is_empty() { "/" } else { directory });
        let names = names.map_err(|error| error.to_string())?;
        let paths: Vec<String> = names
            .iter()
            .filter(|candidate| matches(name, candidate))
            .map(|name| format!("{directory}/{name}"))
            .collect();
        if paths.is_empty() { Err("no file matches".to_owned()) } else { Ok(paths) }
    }

    fn statement(&mut self, file: &Arc<str>, number: usize, raw: &str, line: &str) {
        let mut words: Vec<String> = Vec::new();
        for token in tokens(line) {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open => {
                    self.push(file, number, raw, std::mem::take(&mut words));
                    self.open(file, number);
                }
                Token::Close => {
                    self.push(file, number, raw, std::mem::take(&mut words));
                    self.close(file, number);
                }
            }
        }
        self.push(file, number, raw, words);
    }

    fn push(&mut self, file: &Arc<str>, number: usize, raw: &str, words: Vec<String>) {
        if words.is_empty() {
            return;
        }
        let id = self.ledger.enter(file, number, raw);
        if let Some(unknown) = words.iter().find(|word| word.contains('$') || word.starts_with('~')) {
            let reason = self.parameters.reason(unknown);
            self.ledger.changed(id, format!("{unknown} is taken as it is written: {reason}"));
        }
        if let Some(level) = self.levels.last_mut() {
            level.push(Node { id, words, block: None });
        }
    }

    fn open(&mut self, file: &Arc<str>, number: usize) {
        if self.levels.len() >= MOST_DEPTH {
            self.too_deep += 1;
            return self.complain(file, number, "{", "blocks are nested too deeply");
        }
        let owner = self.levels.last_mut().and_then(|level| level.last_mut());
        match owner {
            Some(owner) if owner.block.is_none() => owner.block = Some(Vec::new()),
            _ => {
                let id = self.ledger.enter(file, number, "{");
                self.ledger.dropped(id, "there is no statement that this block belongs to");
                if let Some(level) = self.levels.last_mut() {
                    level.push(Node { id, words: Vec::new(), block: Some(Vec::new()) });
                }
            }
        }
        self.levels.push(Vec::new());
    }

    fn close(&mut self, file: &Arc<str>, number: usize) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
        } else if !self.close_one() {
            self.complain(file, number, "}", "there is no block to be closed");
        }
    }

    fn close_one(&mut self) -> bool {
        if self.levels.len() < 2 {
            return false;
        }
        let block = self.levels.pop().unwrap_or_default();
        if let Some(owner) = self.levels.last_mut().and_then(|level| level.last_mut()) {
            owner.block = Some(block);
        }
        true
    }

    fn complain(&mut self, file: &Arc<str>, number: usize, text: &str, message: &str) {
        let id = self.ledger.enter(file, number, text);
        self.ledger.dropped(id, message);
    }

    fn finish(mut self, file: &Arc<str>) -> Vec<Node> {
        let open = self.levels.len() - 1;
        if open > 0 {
            let message =
                format!("{open} blocks are not closed at the end of the file; they are closed there");
            self.ledger.general(file, Effect::Assumed, message);
        }
        while self.close_one() {}
        self.levels.pop().unwrap_or_default()
    }
}

/// The value of a definition; a `\` at the end of a line goes on in the next one.
fn whole_value(first: &str, lines: &mut VecDeque<(usize, String)>) -> String {
    let Some(first) = first.trim_end().strip_suffix('\\') else { return first.to_owned() };
    let mut value = first.trim().to_owned();
    while let Some((_, line)) = lines.pop_front() {
        let line = without_comment(&line);
        let (line, more) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        if !value.is_empty() {
            value.push('\n');
        }
        value.push_str(line.trim());
        if !more {
            break;
        }
    }
    // Marks it as one of several lines even if it has one.
    value.push('\n');
    value
}

/// A path as seen from the file it is written in.
fn beside(file: &str, path: &str) -> String {
    match file.rsplit_once('/') {
        Some((directory, _)) if !path.starts_with('/') => format!("{directory}/{path}"),
        _ => path.to_owned(),
    }
}
