//! abaplint over the package at every release it claims, and over the ABAP Cloud variant at its own level. The package is one
//! source: what is newer than the oldest release is an error there.

use crate::package::{self, said};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tokenward_testkit::finish;

/// Releases, oldest first: ECC 6.0 EHP5, EHP7, and S/4HANA 1511 and 2022.
const RELEASES: &[&str] = &["v702", "v740sp08", "v750", "v758"];

/// The findings of abaplint over `sources` with the package's own rules, changed.
fn findings(sources: &Path, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let text =
        std::fs::read_to_string(package::folder().join("abaplint.json")).expect("abaplint.json");
    let mut rules: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut rules);
    // abaplint looks for files beside its configuration, so everything lies in a folder of its own.
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("src")).expect("a folder");
    copy(sources, &folder.path().join("src"));
    std::fs::create_dir(folder.path().join("stubs")).expect("a folder");
    for stubs in ["stubs", "../abap-cloud/stubs"] {
        copy(&package::folder().join(stubs), &folder.path().join("stubs"));
    }
    std::fs::write(folder.path().join("abaplint.json"), rules.to_string()).expect("written rules");
    let mut abaplint = Command::new(package::npm_program("abaplint"));
    abaplint
        .args(["abaplint.json", "--format", "json"])
        .current_dir(folder.path());
    let output = finish(&mut abaplint, package::PROGRAM_LIMIT);
    let found: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
    found
        .iter()
        .map(|one| {
            format!(
                "{} {}: {} ({})",
                one["file"], one["start"]["row"], one["description"], one["key"]
            )
        })
        .collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
    }
}

fn release(rules: &mut Value, release: &str, language: &str) {
    rules["syntax"]["version"] = json!({"release": release, "language": language});
}

#[test]
fn the_package_is_clean_at_every_release() {
    for name in RELEASES {
        let found = findings(&package::folder().join("src"), |rules| {
            release(rules, name, "Normal")
        });
        assert!(found.is_empty(), "{name}:\n{}", found.join("\n"));
    }
}

#[test]
fn the_cloud_variant_is_clean_at_its_level() {
    let found = findings(&package::folder().join("../abap-cloud/src"), |rules| {
        release(rules, "v758", "Cloud")
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn newer_syntax_is_found_at_the_oldest_release() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = "CLASS zcl_new DEFINITION PUBLIC FINAL CREATE PUBLIC.\n  PUBLIC SECTION.\n    \"! Newer than the oldest release.\n    METHODS run.\nENDCLASS.\n\n\nCLASS zcl_new IMPLEMENTATION.\n\n  METHOD run.\n    DATA(text) = NEW zcl_new( ).\n    text->run( ).\n  ENDMETHOD.\n\nENDCLASS.\n";
    std::fs::write(folder.path().join("zcl_new.clas.abap"), source).expect("a source");
    let found = findings(folder.path(), |rules| release(rules, "v702", "Normal"));
    assert!(
        found.iter().any(|one| one.contains("parser_error")),
        "{found:?}"
    );
}
