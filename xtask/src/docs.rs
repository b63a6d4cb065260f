//! The documentation as a web site: every Markdown document of the repository, and the admin API as a page.
//!
//! The documents keep their paths, so that a link that works in the repository works on the site. Links to what is no
//! document (code, folders without a README) become plain text. mdBook renders; `xtask/setup.sh docs` installs it.

use crate::json::{fields, list, text};
use crate::tree::{self, File, Tree};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// The chapters before all that a folder's name puts in order: title and document.
const FIRST: [(&str, &str); 3] = [
    ("Tokenward", "README.md"),
    ("Run it", "docs/guide/operate.md"),
    ("Console", "docs/guide/console/README.md"),
];
/// Parts of the site: the title, and the beginning of its documents' paths.
const PARTS: [(&str, &[&str]); 4] = [
    ("Guide", &["docs/guide/"]),
    (
        "Examples and kits",
        &["examples/", "sap/", "demo/", "packaging/"],
    ),
    (
        "Project",
        &[
            "ARCHITECTURE",
            "SECURITY",
            "CONTRIBUTING",
            "CHANGELOG",
            "proof/",
            "bench/",
        ],
    ),
    ("Decisions", &["docs/decisions/"]),
];
/// Where the page of the admin API stands on the site.
const API: &str = "docs/api.md";

/// Builds the site into `docs` of the target folder.
pub(crate) fn run() -> Result<String> {
    let tree = Tree::read()?;
    let root = tree::root();
    let target = root.join("target/docs");
    let source = target.join("src");
    if source.exists() {
        std::fs::remove_dir_all(&source)?;
    }
    let documents = tree.files.iter().filter(|file| is_document(file));
    let site = Site(documents.map(|file| file.path.clone()).collect());
    for file in &tree.files {
        let put = |bytes: &[u8]| -> Result<()> {
            let place = source.join(&file.path);
            let folder = place.parent().unwrap_or(&source);
            std::fs::create_dir_all(folder)?;
            Ok(std::fs::write(place, bytes)?)
        };
        if is_document(file) {
            put(site.text(file).as_bytes())?;
        } else if matches!(file.extension(), "png" | "svg") {
            put(&std::fs::read(root.join(&file.path))?)?;
        }
    }
    let described = std::fs::read_to_string(root.join("docs/openapi.json"))?;
    let described: Value = serde_json::from_str(&described)?;
    std::fs::write(source.join(API), api_page(&described))?;
    std::fs::write(source.join("SUMMARY.md"), summary(&tree))?;
    std::fs::write(
        target.join("book.toml"),
        "[book]\ntitle = \"Tokenward\"\nlanguage = \"en\"\n\n[output.html.search]\nenable = true\n",
    )?;
    let program = root.join(".cache/mdbook/bin/mdbook");
    let status = Command::new(&program).arg("build").arg(&target).status();
    let status = status.with_context(|| format!("{}", program.display()))?;
    ensure!(status.success(), "mdbook ended with {status}");
    let built = target.join("book");
    let broken = broken_links(&built, &built)?;
    ensure!(
        broken.is_empty(),
        "links that lead nowhere:\n{}",
        broken.join("\n")
    );
    let (pages, place) = (site.0.len() + 1, built.display());
    Ok(format!("{pages} pages in {place}/index.html"))
}

fn is_document(file: &File) -> bool {
    file.extension() == "md"
        && !file.path.starts_with("xtask/")
        && file.name() != "0000-template.md"
}

/// The documents that are pages.
struct Site(BTreeSet<String>);

impl Site {
    /// A document with the links that the site can follow.
    fn text(&self, file: &File) -> String {
        let mut fenced = false;
        let mut out = String::with_capacity(file.text.len());
        for line in file.text.lines() {
            fenced ^= line.trim_start().starts_with("```");
            let written = if fenced {
                line.to_owned()
            } else {
                self.line(file, line)
            };
            out.push_str(&written);
            out.push('\n');
        }
        out
    }

    fn line(&self, file: &File, line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some(middle) = rest.find("](") {
            let Some(length) = rest[middle + 2..].find(')') else {
                break;
            };
            let target = &rest[middle + 2..middle + 2 + length];
            let (before, after) = (&rest[..middle], &rest[middle + 3 + length..]);
            let opening = before.rfind('[');
            match (self.leads(file, target), opening) {
                (None, Some(opening)) => {
                    out.push_str(&before[..opening]);
                    out.push_str(&before[opening + 1..]);
                }
                (target, _) => {
                    let _ = write!(out, "{before}]({})", target.unwrap_or_default());
                }
            }
            rest = after;
        }
        out + rest
    }

    /// Where a link leads on the site; none where there is nothing.
    fn leads(&self, from: &File, target: &str) -> Option<String> {
        if target.contains("://") || target.starts_with(['#', '/']) || target.starts_with("mailto:")
        {
            return Some(target.to_owned());
        }
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let place = tree::join(&from.path, path)?;
        // The page of a README is its folder's index.
        let index = |path: &str, anchor: &str| {
            let folder = path.strip_suffix("README.md").unwrap_or(path);
            let slash = if folder.is_empty() || folder.ends_with('/') {
                ""
            } else {
                "/"
            };
            let mark = if anchor.is_empty() { "" } else { "#" };
            format!("{folder}{slash}index.html{mark}{anchor}")
        };
        let image = place.ends_with(".png") || place.ends_with(".svg");
        if place.ends_with("README.md") && self.0.contains(&place) {
            return Some(index(path, anchor));
        }
        if self.0.contains(&place) || image {
            return Some(target.to_owned());
        }
        let readme = format!("{place}/README.md");
        let known = self.0.contains(readme.trim_start_matches('/'));
        known.then(|| index(path, anchor))
    }
}

fn summary(tree: &Tree) -> String {
    let mut out = "# Summary\n\n".to_owned();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for (title, path) in FIRST {
        let _ = writeln!(out, "- [{title}]({path})");
        done.insert(path);
    }
    let _ = writeln!(out, "- [API reference]({API})");
    for (title, places) in PARTS {
        let _ = write!(out, "\n# {title}\n\n");
        for file in tree.files.iter().filter(|file| is_document(file)) {
            let within = places.iter().any(|place| file.path.starts_with(place));
            if within && done.insert(&file.path) {
                let heading = file.text.lines().find_map(|line| line.strip_prefix("# "));
                let heading = heading.unwrap_or(&file.path).replace(['[', ']', '`'], "");
                let _ = writeln!(out, "- [{heading}]({})", file.path);
            }
        }
    }
    out
}

/// The admin API and the public API, from the OpenAPI document.
fn api_page(api: &Value) -> String {
    let about = text(&api["info"], "description");
    let mut out = format!("# API reference\n\n{about}\n\n## Operations\n\n");
    for (path, methods) in fields(&api["paths"]) {
        let operations = fields(methods).filter(|(_, of)| of["responses"].is_object());
        for (method, operation) in operations {
            let _ = write!(out, "### `{} {path}`\n\n", method.to_uppercase());
            for words in ["summary", "description"].map(|part| text(operation, part)) {
                if !words.is_empty() {
                    let _ = write!(out, "{words}\n\n");
                }
            }
            let parameters = list(operation, "parameters")
                .iter()
                .map(|one| follow(api, one));
            let rows: String = parameters
                .map(|one| {
                    let required = if one["required"] == true {
                        " (required)"
                    } else {
                        ""
                    };
                    let (name, place) = (text(one, "name"), text(one, "in"));
                    let words = cell(text(one, "description"));
                    format!("| `{name}` | {place}{required} | {words} |\n")
                })
                .collect();
            if !rows.is_empty() {
                let _ = write!(out, "| parameter | in | |\n|---|---|---|\n{rows}\n");
            }
            for (form, content) in fields(&operation["requestBody"]["content"]) {
                let _ = write!(out, "Body (`{form}`): {}\n\n", kind(&content["schema"]));
            }
            out.push_str("| status | answer |\n|---|---|\n");
            for (status, answer) in fields(&operation["responses"]) {
                let answer = follow(api, answer);
                let mut words = cell(text(answer, "description"));
                for (_, content) in fields(&answer["content"]) {
                    let _ = write!(words, " {}", kind(&content["schema"]));
                }
                let _ = writeln!(out, "| {status} | {words} |");
            }
            out.push('\n');
        }
    }
    out.push_str("## Schemas\n\n");
    for (name, schema) in fields(&api["components"]["schemas"]) {
        let _ = write!(out, "### {name}\n\n{}\n\n", text(schema, "description"));
        let mut rows = String::new();
        for (field, of) in fields(&schema["properties"]) {
            let required = list(schema, "required").iter().any(|one| *one == **field);
            let always = if required { "" } else { " (optional)" };
            let (kind, words) = (kind(of), cell(text(of, "description")));
            let _ = writeln!(rows, "| `{field}`{always} | {kind} | {words} |");
        }
        if !rows.is_empty() {
            let _ = write!(out, "| field | type | |\n|---|---|---|\n{rows}\n");
        }
    }
    out
}

/// What a reference names.
fn follow<'a>(api: &'a Value, value: &'a Value) -> &'a Value {
    let named = text(value, "$ref").strip_prefix('#');
    named.and_then(|name| api.pointer(name)).unwrap_or(value)
}

/// A schema in a few words, with a link where it has a name.
fn kind(schema: &Value) -> String {
    if let Some((_, name)) = text(schema, "$ref").rsplit_once('/') {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        if let Some(list) = schema[several].as_array() {
            let mut kinds: Vec<String> = list.iter().map(kind).collect();
            kinds.dedup();
            return kinds.join(" or ");
        }
    }
    if schema["items"].is_object() {
        return format!("list of {}", kind(&schema["items"]));
    }
    let words = list(schema, "enum");
    if !words.is_empty() {
        let word = |word: &Value| format!("`{}`", word.to_string().trim_matches('"'));
        return words.iter().map(word).collect::<Vec<_>>().join(", ");
    }
    let names = list(schema, "type").iter().filter_map(Value::as_str);
    match names.collect::<Vec<_>>().join(" or ") {
        one if one.is_empty() => text(schema, "type").to_owned(),
        several => several,
    }
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Links of the pages in a folder that lead to no file of the site.
fn broken_links(folder: &Path, site: &Path) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for entry in std::fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            broken.extend(broken_links(&path, site)?);
            continue;
        }
        // The print page repeats all others under another address.
        let name = path.file_name().unwrap_or_default();
        let is_page = path.extension().is_some_and(|end| end == "html");
        if !is_page || name == "print.html" || name == "404.html" {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let links = text.split("href=\"").skip(1);
        for rest in links.chain(text.split("src=\"").skip(1)) {
            let target = rest.split(['"', '#', '?']).next().unwrap_or_default();
            let leads = target.is_empty() || target.contains(':') || folder.join(target).exists();
            if !leads {
                let page = path.strip_prefix(site).unwrap_or(&path).display();
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    Ok(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_what_the_site_has_not_become_text() {
        let pages = ["README.md", "docs/guide/sap/README.md"];
        let site = Site(pages.map(String::from).into());
        let file = File {
            path: "docs/guide/a.md".to_owned(),
            text: String::new(),
        };
        let line = |text: &str| site.line(&file, text);
        for (text, expected) in [
            (
                "see [a](sap) and [b](sap/README.md#x).",
                "see [a](sap/index.html) and [b](sap/index.html#x).",
            ),
            (
                "see [the code](../../crates/core) here",
                "see the code here",
            ),
            (
                "[o](https://example.com) ![p](x.png)",
                "[o](https://example.com) ![p](x.png)",
            ),
        ] {
            assert_eq!(line(text), expected);
        }
    }
}
