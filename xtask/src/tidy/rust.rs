//! Laws about Rust code, read as tokens: a word in a comment or a string breaks none of them.

use super::Finding;
use crate::code::{Code, Kind, Token, closing};
use crate::tree::{File, Tree};

/// What the core must not name: each would make its answer depend on more than its arguments.
const IMPURE: &[&str] = &[
    "std::time::SystemTime",
    "std::time::Instant",
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "tokio",
    "getrandom",
    "rand",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
];

/// The same reached by a shorter name.
const IMPURE_ANYWHERE: &[&str] = &[
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "Uuid::new_v4",
    "Uuid::now_v7",
];

/// Where SQL may stand: its home, and those that start, measure or inspect a database from outside. Tests may
/// look too.
const SQL_HOMES: &[&str] = &["crates/store/", "crates/testkit/", "bench/", "proof/"];

/// Where HTTP status codes may stand: the dialects that map onto them, the embeddable layer, the callers that
/// read them, and what is seen from outside.
const STATUS_HOMES: &[&str] = &[
    "crates/server/src/http",
    "crates/server/src/grpc",
    "crates/cli/",
    "crates/server/src/listeners",
    "crates/tower/",
    "crates/client/",
    "crates/agent/",
    "crates/testkit/",
    "examples/",
    "demo/",
    "bench/",
    "proof/",
];

/// Types that hold a secret in the clear.
const SECRETS: &[&str] = &["AccessToken", "ClientSecret", "AdminKey"];

/// What a type that holds a secret must not do. A derived `Debug` would print it.
const LEAKS: &[&str] = &["Display", "Serialize", "Clone", "Copy", "Debug", "ToString"];

pub(super) fn module_doc(tree: &Tree) -> Vec<Finding> {
    let lacks = |file: &&File| {
        let mut lines = file.text.lines().map(str::trim);
        let first = lines
            .find(|line| !line.is_empty() && !line.starts_with("#!") && *line != "// @generated");
        !first.is_some_and(|line| line.starts_with("//! ") && line.len() > "//! ".len())
    };
    let found = tree.rust().filter(lacks);
    found
        .map(|file| file.finding(1, "does not begin with a module doc (`//! ...`)"))
        .collect()
}

pub(super) fn sql_at_home(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !at_home(file, SQL_HOMES)) {
        for (literal, token) in Code::of(file).literals() {
            if !token.in_test && is_sql(literal) {
                findings.push(file.finding(
                    token.line,
                    "SQL outside crates/store: give it a named method there",
                ));
            }
        }
    }
    findings
}

/// Statements in lower case, recognised by how they start. Put together so that this is no SQL itself.
const LOWER_CASE: &[&str] = &[
    concat!("insert ", "into "),
    concat!("delete ", "from "),
    concat!("select ", "* from "),
    concat!("create ", "table "),
];

/// Whether a literal reads as a statement. Capitals decide: in prose, "select" and "update" are plain words.
fn is_sql(literal: &str) -> bool {
    let words: Vec<&str> = literal
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let pair = |first: &str, second: &str| {
        words
            .windows(2)
            .any(|pair| pair[0] == first && pair[1] == second)
    };
    let both = |first: &str, second: &str| words.contains(&first) && words.contains(&second);
    let start = literal
        .trim_start_matches(|letter: char| !letter.is_alphabetic())
        .to_lowercase();
    pair("INSERT", "INTO")
        || pair("DELETE", "FROM")
        || pair("CREATE", "TABLE")
        || pair("ALTER", "TABLE")
        || pair("DROP", "TABLE")
        || both("SELECT", "FROM")
        || both("UPDATE", "SET")
        || LOWER_CASE.iter().any(|words| start.starts_with(words))
        || matches!(words.as_slice(), ["PRAGMA", _, ..])
}

pub(super) fn core_is_pure(tree: &Tree) -> Vec<Finding> {
    each_route(tree, |file, route| {
        let outside = !file.path.starts_with("crates/core/src/") || route.in_test;
        if outside {
            return None;
        }
        let named = IMPURE.iter().find(|parts| route.starts_with(parts));
        let reached = IMPURE_ANYWHERE.iter().find(|parts| route.has(parts));
        let parts = named.or(reached)?;
        Some(format!(
            "`{parts}` in the core: take what it gives as an argument"
        ))
    })
}

pub(super) fn status_codes_at_home(tree: &Tree) -> Vec<Finding> {
    each_route(tree, |file, route| {
        let outside = !at_home(file, STATUS_HOMES) && !route.in_test;
        (outside && route.has("StatusCode")).then(|| {
            "an HTTP status outside the dialects: return an error of the verb's own".to_owned()
        })
    })
}

/// Calls that block until another process or thread does something, and what follows them where they are meant: `Server`
/// of the test kit has an `output()` that returns a text, and a channel of tokio is awaited.
const ENDLESS: &[(&str, &[&str])] = &[
    ("wait_with_output", &[]),
    ("output", &["unwrap", "expect", "unwrap_or_else", "map_err"]),
    ("status", &["unwrap", "expect", "unwrap_or_else"]),
    ("recv", &["unwrap", "expect", "unwrap_or_else"]),
];

pub(super) fn waits_have_deadlines(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let of_testkit = file.path.starts_with("crates/testkit/");
        for window in Code::of(file).tokens.windows(6) {
            let [before, call, open, close, dot, next] = window else {
                continue;
            };
            let ended = before.kind == Kind::Mark('.')
                && open.kind == Kind::Open('(')
                && close.kind == Kind::Close(')')
                && (call.in_test || of_testkit);
            let endless = ended
                && ENDLESS.iter().any(|(name, then)| {
                    let follows =
                        dot.kind == Kind::Mark('.') && then.iter().any(|name| next.is_word(name));
                    call.is_word(name) && (then.is_empty() || follows)
                });
            if endless {
                let message = "a wait without a deadline in a test: use `finish`, `ended` or `first_line` of the test kit, or \
                     `recv_timeout`";
                findings.push(file.finding(call.line, message));
            }
        }
    }
    findings
}

pub(super) fn secrets_stay_inside(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| file.path.starts_with("crates/")) {
        let code = Code::of(file);
        for (index, token) in code.tokens.iter().enumerate() {
            let leak = if token.is_word("derive") && token.in_attribute {
                derived_leak(&code.tokens, index)
            } else if token.is_word("impl") {
                implemented_leak(&code.tokens, index)
            } else {
                None
            };
            if let Some(message) = leak {
                findings.push(file.finding(token.line, message));
            }
        }
    }
    findings
}

/// `#[derive(..., Clone, ...)]` on a secret's struct.
fn derived_leak(tokens: &[Token], derive: usize) -> Option<String> {
    let end = closing(tokens, derive + 1);
    let list = &tokens[derive + 1..end.min(tokens.len())];
    let leak = LEAKS
        .iter()
        .find(|leak| list.iter().any(|token| token.is_word(leak)))?;
    let item = tokens[end.min(tokens.len())..]
        .iter()
        .filter(|token| !token.in_attribute);
    let mut words = item.filter_map(Token::word);
    words.find(|word| matches!(*word, "struct" | "enum"))?;
    let name = words.next().filter(|name| SECRETS.contains(name))?;
    Some(format!("{name} derives {leak}"))
}

/// `impl fmt::Display for Secret`. A hand-written `Debug` redacts and is welcome.
fn implemented_leak(tokens: &[Token], start: usize) -> Option<String> {
    let header: Vec<&str> = tokens[start..]
        .iter()
        .take_while(|token| token.kind != Kind::Open('{'))
        .filter_map(Token::word)
        .collect();
    let split = header.iter().position(|word| *word == "for")?;
    let (trait_words, type_words) = header.split_at(split);
    let leak = trait_words
        .last()
        .filter(|name| LEAKS.contains(name) && **name != "Debug")?;
    let name = type_words.iter().find(|name| SECRETS.contains(name))?;
    Some(format!("{name} implements {leak}"))
}

fn at_home(file: &File, homes: &[&str]) -> bool {
    homes.iter().any(|home| file.path.starts_with(home))
}

/// Where the fuzz targets and their manifest are, and the manifest of the crate whose files they include.
const FUZZ: (&str, &str) = ("fuzz/targets/", "fuzz/Cargo.toml");
const FUZZED: &str = "crates/server/Cargo.toml";

pub(super) fn fuzzed_files_stand_alone(tree: &Tree) -> Vec<Finding> {
    let dependencies = |path: &str| -> Vec<String> {
        let table = tree.file(path).and_then(|file| file.text.parse().ok());
        let table: toml::Table = table.unwrap_or_default();
        let names = table.get("dependencies").and_then(toml::Value::as_table);
        let names = names.into_iter().flat_map(|names| names.keys());
        names.map(|name| name.replace('-', "_")).collect()
    };
    let (there, missing) = (dependencies(FUZZ.1), dependencies(FUZZED));
    let missing: Vec<_> = missing
        .iter()
        .filter(|name| !there.contains(name))
        .collect();
    let mut findings = Vec::new();
    for target in tree.rust().filter(|file| file.path.starts_with(FUZZ.0)) {
        let lines = || target.text.lines().map(str::trim);
        let modules: Vec<_> = lines()
            .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
            .collect();
        let included = lines()
            .filter_map(|line| line.strip_prefix("#[path = \"../../")?.strip_suffix("\"]"))
            .flat_map(|path| {
                let folder = path
                    .strip_suffix("mod.rs")
                    .filter(|folder| folder.ends_with('/'));
                let inside = move |file: &&File| match folder {
                    Some(folder) => file.path.starts_with(folder),
                    None => file.path == path,
                };
                tree.rust().filter(inside)
            });
        for file in included {
            for route in Code::of(file)
                .routes()
                .into_iter()
                .filter(|route| !route.in_test)
            {
                let mut parts = route.text.split("::");
                let (first, second) = (parts.next().unwrap_or(""), parts.next());
                let unknown = match first {
                    "crate" => second.is_some_and(|name| !modules.contains(&name)),
                    name => second.is_some() && missing.iter().any(|missing| *missing == name),
                };
                if unknown {
                    findings.push(file.finding(
                        route.line,
                        format!(
                            "`{}` is not in {}, which includes this file",
                            route.text, target.path
                        ),
                    ));
                }
            }
        }
    }
    findings
}

fn each_route(
    tree: &Tree,
    judge: impl Fn(&File, &crate::code::Route) -> Option<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for route in Code::of(file).routes() {
            if let Some(message) = judge(file, &route) {
                findings.push(file.finding(route.line, message));
            }
        }
    }
    findings
}
