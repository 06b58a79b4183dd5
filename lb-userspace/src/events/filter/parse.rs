//! From a text to a filter.

use std::{iter::Peekable, marker::PhantomData, str::FromStr, vec::IntoIter};

use super::{
    Constraint, Filter, FilterError, MOST_BYTES, Shape, Test, Vocabulary,
    words::{What, Word, split, wrong},
};

/// How deep brackets may be nested.
const DEEPEST: usize = 16;

impl<A: Vocabulary> FromStr for Filter<A> {
    type Err = FilterError;

    /// An empty text wants everything.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        if text.len() > MOST_BYTES {
            return Err(wrong(1, format!("{} bytes; expected at most {MOST_BYTES}", text.len())));
        }
        let words = split(text)?.into_iter().peekable();
        let mut parser = Parser { words, end: text.chars().count() + 1, about: PhantomData };
        if parser.words.peek().is_none() {
            return Ok(Self::default());
        }
        let filter = parser.any_of(0)?;
        match parser.words.next() {
            None => Ok(filter),
            Some(word) => Err(wrong(word.column, "`)` closes nothing")),
        }
    }
}

struct Parser<A> {
    words: Peekable<IntoIter<Word>>,
    end: usize,
    about: PhantomData<A>,
}

impl<A: Vocabulary> Parser<A> {
    fn any_of(&mut self, depth: usize) -> Result<Filter<A>, FilterError> {
        let mut filter = self.all_of(depth)?;
        while self.takes("or") {
            let column = self.column();
            filter = filter.or(self.all_of(depth)?).map_err(|error| wrong(column, error.problem))?;
        }
        Ok(filter)
    }

    fn all_of(&mut self, depth: usize) -> Result<Filter<A>, FilterError> {
        let mut filter = self.term(depth)?;
        loop {
            let column = self.column();
            match self.words.peek().map(|word| &word.what) {
                None | Some(What::Close) => return Ok(filter),
                Some(What::Bare(word)) if word == "or" => return Ok(filter),
                Some(_) => {}
            }
            self.takes("and");
            filter = filter.and(&self.term(depth)?).map_err(|error| wrong(column, error.problem))?;
        }
    }

    fn term(&mut self, depth: usize) -> Result<Filter<A>, FilterError> {
        let column = self.column();
        match self.words.next().map(|word| word.what) {
            Some(What::Open) if depth == DEEPEST => {
                Err(wrong(column, format!("brackets in more than {DEEPEST} brackets")))
            }
            Some(What::Open) => {
                let filter = self.any_of(depth + 1)?;
                match self.words.next().map(|word| word.what) {
                    Some(What::Close) => Ok(filter),
                    _ => Err(wrong(column, "`(` is not closed")),
                }
            }
            Some(What::Bare(name)) => self.constraint(column, &name).map(Filter::of),
            _ => Err(wrong(column, "expected an attribute, such as `service=web`, or `(`")),
        }
    }

    fn constraint(&mut self, column: usize, name: &str) -> Result<Constraint<A>, FilterError> {
        let attribute =
            A::from_word(name).map_err(|error| wrong(column, format!("the attribute {error}")))?;
        let column = self.column();
        let test = match self.words.next().map(|word| word.what) {
            Some(What::Equal) => self.equal(attribute)?,
            Some(What::Prefix) if attribute.shape() == Shape::Text => Test::Prefix(self.value()?.1),
            Some(What::Prefix) => {
                let shape = attribute.shape().name();
                return Err(wrong(
                    column,
                    format!("{attribute} is {shape}; `^=` is for texts, `in` for this"),
                ));
            }
            Some(What::Bare(word)) if word == "in" => self.within(attribute)?,
            _ => {
                let problem = format!(
                    "after {attribute}, expected `=`, `^=` (begins with) or `in` (a network or a range)"
                );
                return Err(wrong(column, problem));
            }
        };
        Ok(Constraint { attribute, test })
    }

    fn equal(&mut self, attribute: A) -> Result<Test, FilterError> {
        let (column, word) = self.value()?;
        attribute.check(&word).map_err(|error| wrong(column, format!("the {attribute} {error}")))?;
        let value = attribute.shape().value(&word);
        let value = value.ok_or_else(|| {
            wrong(column, format!("{word:?} is not {}, which {attribute} is", attribute.shape().name()))
        })?;
        Ok(Test::Equal(value))
    }

    fn within(&mut self, attribute: A) -> Result<Test, FilterError> {
        let (column, word) = self.value()?;
        let test = match attribute.shape() {
            Shape::Address => word.parse().ok().map(Test::Within),
            Shape::Number => range(&word),
            Shape::Text => {
                return Err(wrong(
                    column,
                    format!("{attribute} is a text; `in` is for addresses and numbers"),
                ));
            }
        };
        test.ok_or_else(|| {
            let expected = match attribute.shape() {
                Shape::Address => "a network such as 10.0.0.0/8",
                _ => "a range such as 1..10, 5.. or ..5",
            };
            wrong(column, format!("{word:?} is not {expected}"))
        })
    }

    fn value(&mut self) -> Result<(usize, String), FilterError> {
        let column = self.column();
        match self.words.next().map(|word| word.what) {
            Some(What::Bare(text) | What::Quoted(text)) => Ok((column, text)),
            _ => Err(wrong(column, "expected a value")),
        }
    }

    /// Takes a keyword if it comes next.
    fn takes(&mut self, keyword: &str) -> bool {
        self.words.next_if(|word| matches!(&word.what, What::Bare(text) if text == keyword)).is_some()
    }

    fn column(&mut self) -> usize {
        self.words.peek().map_or(self.end, |word| word.column)
    }
}

/// `1..10`, `1..`, `..10`; neither end is left out.
fn range(word: &str) -> Option<Test> {
    let (least, most) = word.split_once("..")?;
    if least.is_empty() && most.is_empty() {
        return None;
    }
    let least = if least.is_empty() { 0 } else { least.parse().ok()? };
    let most = if most.is_empty() { u64::MAX } else { most.parse().ok()? };
    (least <= most).then_some(Test::Range { least, most })
}
