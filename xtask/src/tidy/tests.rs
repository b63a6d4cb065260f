//! Each law is seen to fail: `xtask/bad/LAW*.txt` hold small trees that break it.
//!
//! A bad input begins with `finds: path:line` (or `finds: nothing`, for what must not trip the law), then gives
//! its files, each after a line `=== path`.

use std::collections::BTreeSet;

use super::{Finding, LAWS, Law};
use crate::tree::{File, Tree, root};

struct Input {
    name: String,
    finds: String,
    tree: Tree,
}

fn inputs() -> Vec<Input> {
    let folder = root().join(super::BAD_INPUTS);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder of bad inputs")
        .map(|entry| entry.expect("an entry of the folder").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a bad input is text");
            let name = path
                .file_stem()
                .expect("a file name")
                .to_string_lossy()
                .into_owned();
            parse(name, &text)
        })
        .collect()
}

fn parse(name: String, text: &str) -> Input {
    let mut parts = text.split("=== ");
    let head = parts.next().expect("a head").trim();
    let finds = head
        .strip_prefix("finds: ")
        .expect("a bad input begins with `finds:`")
        .to_owned();
    let files = parts
        .map(|part| {
            let (path, text) = part.split_once('\n').expect("a path and a text");
            File {
                path: path.to_owned(),
                text: text.to_owned(),
            }
        })
        .collect();
    Input {
        name,
        finds,
        tree: Tree {
            files,
            machine_folders: vec!["/srv/build/tree/".to_owned()],
        },
    }
}

fn law(input: &Input) -> &'static Law {
    let name = input
        .name
        .split_once('.')
        .map_or(input.name.as_str(), |(law, _)| law);
    LAWS.iter()
        .find(|law| law.name == name)
        .unwrap_or_else(|| panic!("no law is called {name}"))
}

fn place(finding: &Finding) -> String {
    format!("{}:{}", finding.path, finding.line)
}

#[test]
fn each_bad_input_is_found_where_it_says() {
    for input in inputs() {
        let findings = (law(&input).check)(&input.tree);
        let places: Vec<String> = findings.iter().map(place).collect();
        let expected: Vec<String> = match input.finds.as_str() {
            "nothing" => Vec::new(),
            places => places.split(", ").map(str::to_owned).collect(),
        };
        assert_eq!(places, expected, "{}: {findings:#?}", input.name);
    }
}

#[test]
fn every_law_has_an_input_that_breaks_it() {
    let broken: BTreeSet<&str> = inputs()
        .iter()
        .filter(|input| input.finds != "nothing")
        .map(|input| law(input).name)
        .collect();
    let all: BTreeSet<&str> = LAWS.iter().map(|law| law.name).collect();
    assert_eq!(broken, all);
}
