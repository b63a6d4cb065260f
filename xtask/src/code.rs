//! Rust code as a flat run of tokens, so that a law can tell code from comments, strings and test modules.
//!
//! It knows just enough grammar for the laws: paths (with `use` groups spread out), attributes, and which
//! tokens stand in test code. It never resolves names.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::tree::File;

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Word(String),
    Literal(String),
    Mark(char),
    Open(char),
    Close(char),
}

/// A token, where it stands, and in what.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) line: usize,
    /// Inside `#[...]`; a doc comment is an attribute too.
    pub(crate) in_attribute: bool,
    /// In a test file, a `#[cfg(test)]` item or a test function.
    pub(crate) in_test: bool,
}

impl Token {
    /// The word that it is.
    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    /// The literal that it is, as written.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &self.kind {
            Kind::Literal(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.word() == Some(word)
    }

    fn is_mark(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// A path as written, `use` groups spread out: `use a::{b, c::d}` is `a::b` and `a::c::d`.
pub(crate) struct Route {
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) in_test: bool,
}

impl Route {
    /// Whether the parts given follow each other anywhere in the path.
    pub(crate) fn has(&self, parts: &str) -> bool {
        format!("::{}::", self.text).contains(&format!("::{parts}::"))
    }

    /// Whether the path starts with these parts.
    pub(crate) fn starts_with(&self, parts: &str) -> bool {
        format!("{}::", self.text).starts_with(&format!("{parts}::"))
    }
}

/// The tokens of one source file.
pub(crate) struct Code {
    pub(crate) tokens: Vec<Token>,
}

impl Code {
    /// Reads a file's tokens; a file that is no Rust has none (the compiler says that better).
    pub(crate) fn of(file: &File) -> Self {
        let mut tokens = Vec::new();
        if let Ok(stream) = file.text.parse::<TokenStream>() {
            flatten(stream, &mut tokens);
        }
        mark_attributes(&mut tokens);
        mark_tests(&mut tokens, file.is_test());
        Self { tokens }
    }

    /// String literals of the code itself, not of comments and attributes.
    pub(crate) fn literals(&self) -> impl Iterator<Item = (&str, &Token)> {
        let code = self.tokens.iter().filter(|token| !token.in_attribute);
        code.filter_map(|token| Some((token.literal()?, token)))
    }

    /// Every path of the code, one-part paths included.
    pub(crate) fn routes(&self) -> Vec<Route> {
        let mut routes = Vec::new();
        let mut prefixes = vec![String::new()];
        let mut current = String::new();
        let tokens = &self.tokens;
        for (index, token) in tokens.iter().enumerate() {
            let joined =
                index >= 2 && tokens[index - 1].is_mark(':') && tokens[index - 2].is_mark(':');
            match &token.kind {
                Kind::Word(word) => {
                    if joined && !current.is_empty() {
                        current = format!("{current}::{word}");
                    } else {
                        current = format!("{}{word}", prefixes.last().map_or("", String::as_str));
                    }
                    let next = tokens.get(index + 1..).unwrap_or_default();
                    let goes_on = match next {
                        [first, second, then, ..] if first.is_mark(':') && second.is_mark(':') => {
                            then.kind == Kind::Open('{') || then.word().is_some()
                        }
                        _ => false,
                    };
                    if !goes_on {
                        routes.push(Route {
                            text: current.clone(),
                            line: token.line,
                            in_test: token.in_test,
                        });
                        current.clear();
                    }
                }
                Kind::Open('{') if joined => {
                    let separator = if current.is_empty() { "" } else { "::" };
                    prefixes.push(std::mem::take(&mut current) + separator);
                }
                Kind::Open(_) => prefixes.push(String::new()),
                Kind::Close(_) if prefixes.len() > 1 => {
                    prefixes.pop();
                }
                _ => {}
            }
        }
        routes
    }
}

fn flatten(stream: TokenStream, out: &mut Vec<Token>) {
    let push = |out: &mut Vec<Token>, kind, line| {
        out.push(Token {
            kind,
            line,
            in_attribute: false,
            in_test: false,
        });
    };
    for tree in stream {
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ('(', ')'),
                    Delimiter::Brace => ('{', '}'),
                    Delimiter::Bracket => ('[', ']'),
                    Delimiter::None => (' ', ' '),
                };
                push(out, Kind::Open(open), group.span_open().start().line);
                flatten(group.stream(), out);
                push(out, Kind::Close(close), group.span_close().end().line);
            }
            TokenTree::Ident(word) => {
                push(out, Kind::Word(word.to_string()), word.span().start().line)
            }
            TokenTree::Literal(text) => push(
                out,
                Kind::Literal(text.to_string()),
                text.span().start().line,
            ),
            TokenTree::Punct(mark) => {
                push(out, Kind::Mark(mark.as_char()), mark.span().start().line)
            }
        }
    }
}

/// The index of the closing token that belongs to the opening one.
pub(crate) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => {
                depth -= 1;
                if depth == 0 {
                    return index;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// Opening and closing bracket of each attribute, inner (`#![...]`) or outer.
fn attribute_ranges(tokens: &[Token]) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if !token.is_mark('#') {
            continue;
        }
        let inner = usize::from(tokens.get(index + 1).is_some_and(|next| next.is_mark('!')));
        let open = index + 1 + inner;
        if tokens
            .get(open)
            .is_some_and(|next| next.kind == Kind::Open('['))
        {
            ranges.push((open, closing(tokens, open)));
        }
    }
    ranges
}

fn mark_attributes(tokens: &mut [Token]) {
    for (open, close) in attribute_ranges(tokens) {
        tokens[open..close]
            .iter_mut()
            .for_each(|token| token.in_attribute = true);
    }
}

fn mark_tests(tokens: &mut [Token], whole_file: bool) {
    if whole_file {
        tokens.iter_mut().for_each(|token| token.in_test = true);
        return;
    }
    for (open, close) in attribute_ranges(tokens) {
        let inside = &tokens[open + 1..close];
        let says_test = inside.iter().any(|token| token.is_word("test"));
        let negated = inside.iter().any(|token| token.is_word("not"));
        let about_code = inside.iter().all(|token| token.literal().is_none());
        if !says_test || negated || !about_code {
            continue;
        }
        let end = item_end(tokens, close + 1);
        tokens[open..end]
            .iter_mut()
            .for_each(|token| token.in_test = true);
    }
}

/// Where the item that starts here ends: after its first braces, or at its semicolon.
fn item_end(tokens: &[Token], start: usize) -> usize {
    let mut index = start;
    while let Some(token) = tokens.get(index) {
        match token.kind {
            Kind::Open('{') => return (closing(tokens, index) + 1).min(tokens.len()),
            Kind::Open(_) => index = closing(tokens, index),
            Kind::Mark(';') => return index,
            _ => {}
        }
        index += 1;
    }
    tokens.len()
}
