//! Pages, forms, messages and mails speak plain standard English: none contains a phrase that the style replaced.

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// What a source file may show: a template or a script whole but for its comments, of Rust the string literals outside
/// of its tests.
fn shown(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let rust = path.extension().is_some_and(|end| end == "rs");
    let code = match rust {
        true => text.split("#[cfg(test)]").next().unwrap(),
        false => &text,
    };
    let lines = code.lines();
    let lines: Vec<&str> = lines
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = lines.join("\n");
    if !rust {
        return code;
    }
    let code = code.replace("\\\"", "”");
    let literals = code.split('"').skip(1).step_by(2);
    literals.collect::<Vec<_>>().join("\n")
}

/// The phrases; of each the one template that it is about, if it is about one.
fn phrases() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("old_words.txt").lines();
    let lines = lines.filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| match line.split_once(".html: ") {
            Some((file, phrase)) => (file, phrase),
            None => ("", line),
        })
        .collect()
}

#[test]
fn no_page_and_no_mail_contains_a_phrase_that_the_style_replaced() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = vec![
        root.join("assets/console.js"),
        root.join("src/notify/mail.rs"),
    ];
    files(&root.join("templates/console"), &mut all);
    files(&root.join("src/http/console"), &mut all);
    assert!(all.len() > 60, "{}", all.len());
    let mut found = Vec::new();
    for path in &all {
        let text = shown(path);
        let name = path.file_stem().unwrap().to_str().unwrap();
        for (file, phrase) in phrases() {
            if (file.is_empty() || file == name) && text.contains(phrase) {
                found.push(format!("{}: {phrase:?}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
