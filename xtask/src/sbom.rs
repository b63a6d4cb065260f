//! A bill of materials of each shipped program in the CycloneDX format: every crate that is compiled into it or runs when it
//! is built, with version, licence, checksum and what it depends on.
//!
//! Made of `cargo metadata` and `Cargo.lock` alone, without a time or a random name: the same commit makes the same file.

use crate::json::{list, text};
use crate::steps::cargo;
use crate::tree;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The packages whose programs are shipped.
const SHIPPED: [&str; 2] = ["tokenward", "tokenward-agent"];
/// The system they are shipped for; crates of other systems are in the lock file and not in the programs.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// How the names of our own crates begin, which no registry has.
const OURS: &str = "tokenward";

/// Writes `NAME.cdx.json` of each shipped program into a folder.
pub(crate) fn run(folder: &str) -> Result<String> {
    let lock = std::fs::read_to_string(tree::root().join("Cargo.lock"));
    let checksums = checksums(&lock.context("Cargo.lock")?)?;
    std::fs::create_dir_all(folder).context(folder.to_owned())?;
    let mut lines = Vec::new();
    for program in SHIPPED {
        let metadata = metadata(program)?;
        let bill = bill(program, &metadata, &checksums)?;
        let count = bill["components"].as_array().map_or(0, Vec::len);
        let path = Path::new(folder).join(format!("{program}.cdx.json"));
        let text = serde_json::to_string_pretty(&bill)?;
        std::fs::write(&path, text + "\n").with_context(|| path.display().to_string())?;
        lines.push(format!("{}: {count} crates", path.display()));
    }
    Ok(lines.join("\n"))
}

/// What cargo says of a package with its default features and of all that it needs.
fn metadata(program: &str) -> Result<Value> {
    let tree = tree::Tree::read()?;
    let named = format!("name = \"{program}\"");
    let is_it = |file: &&tree::File| {
        file.name() == "Cargo.toml" && file.lines().any(|(_, line)| line == named)
    };
    let manifest = tree.files.iter().find(is_it);
    let manifest = manifest.with_context(|| format!("no package {program}"))?;
    let words = ["metadata", "--format-version", "1", "--locked"];
    let mut command = cargo(&words);
    command.args([
        "--filter-platform",
        TARGET,
        "--manifest-path",
        &manifest.path,
    ]);
    let output = command.output().context("cargo")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The SHA-256 of each crate's archive, by name and version.
fn checksums(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock")?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let text = |package: &toml::Value, key| Some(package.get(key)?.as_str()?.to_owned());
    let known = packages.into_iter().flatten().filter_map(|package| {
        let of = (text(package, "name")?, text(package, "version")?);
        Some((of, text(package, "checksum")?))
    });
    Ok(known.collect())
}

/// What a node of the resolved graph needs when it is compiled, and not only in its own tests.
fn needs(node: &Value) -> Vec<&str> {
    let shipped = |dependency: &&Value| {
        list(dependency, "dep_kinds")
            .iter()
            .any(|kind| text(kind, "kind") != "dev")
    };
    list(node, "deps")
        .iter()
        .filter(shipped)
        .map(|dependency| text(dependency, "pkg"))
        .collect()
}

/// The document for one program.
fn bill(
    program: &str,
    metadata: &Value,
    checksums: &BTreeMap<(String, String), String>,
) -> Result<Value> {
    let packages: BTreeMap<&str, &Value> = list(metadata, "packages")
        .iter()
        .map(|package| (text(package, "id"), package))
        .collect();
    let nodes: BTreeMap<&str, &Value> = list(&metadata["resolve"], "nodes")
        .iter()
        .map(|node| (text(node, "id"), node))
        .collect();
    let mut named = packages
        .iter()
        .filter(|(_, package)| text(package, "name") == program);
    let root = named
        .next()
        .with_context(|| format!("cargo knows no package {program}"))?;
    let root = *root.0;
    let (mut reached, mut waiting) = (BTreeSet::from([root]), vec![root]);
    while let Some(id) = waiting.pop() {
        let node = nodes
            .get(id)
            .with_context(|| format!("{id} is not resolved"))?;
        waiting.extend(needs(node).into_iter().filter(|next| reached.insert(*next)));
    }
    let reference = |id: &str| {
        let package = packages.get(id).copied().unwrap_or(&Value::Null);
        let (name, version) = (text(package, "name"), text(package, "version"));
        format!("pkg:cargo/{name}@{version}")
    };
    let component = |id: &str| {
        let package = packages.get(id).copied().unwrap_or(&Value::Null);
        let (name, version) = (text(package, "name"), text(package, "version"));
        let mut component = json!({
            "type": if id == root { "application" } else { "library" },
            "bom-ref": reference(id), "name": name, "version": version, "scope": "required",
        });
        // The older spelling of "or" is no expression.
        let licence = text(package, "license")
            .replace('/', " OR ")
            .replace("  ", " ");
        if !licence.is_empty() {
            component["licenses"] = json!([{ "expression": licence }]);
        }
        let described = text(package, "description").trim();
        if !described.is_empty() {
            component["description"] = json!(described);
        }
        if !name.starts_with(OURS) {
            component["purl"] = json!(reference(id));
        }
        if let Some(sum) = checksums.get(&(name.to_owned(), version.to_owned())) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
        }
        let source = text(package, "repository");
        if source.starts_with("https://") {
            component["externalReferences"] = json!([{ "type": "vcs", "url": source }]);
        }
        component
    };
    let libraries: Vec<Value> = reached
        .iter()
        .filter(|id| **id != root)
        .map(|id| component(id))
        .collect();
    let graph: Vec<Value> = reached
        .iter()
        .map(|id| {
            let needed = nodes.get(id).map(|node| needs(node)).unwrap_or_default();
            let needed: BTreeSet<String> = needed.into_iter().map(reference).collect();
            json!({ "ref": reference(id), "dependsOn": needed })
        })
        .collect();
    Ok(json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": { "component": component(root), "lifecycles": [{ "phase": "build" }] },
        "components": libraries, "dependencies": graph,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// The strict schema that CycloneDX publishes, as its own library for Python has it.
    const VALIDATE: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
for path in sys.argv[1:]:
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(path).read())
    sys.exit(f'{path}: {fault}') if fault else print(path, 'is valid')
";

    /// The files of this tree's own programs: what they are made of is in them, and what only tests need is not.
    #[test]
    fn a_bill_has_what_is_shipped_and_no_more() {
        let folder = std::env::temp_dir().join(format!("tokenward-sbom-{}", std::process::id()));
        run(folder.to_str().unwrap()).unwrap();
        let mut python = Command::new(tree::root().join(".cache/venv/bin/python"));
        python.args(["-c", VALIDATE]);
        // One is enough for the form, and the shorter one takes a third of the time.
        python.arg(folder.join("tokenward-agent.cdx.json"));
        let judged = tokenward_testkit::finish(&mut python, tokenward_testkit::PROGRAM_LIMIT);
        assert!(judged.status.success(), "{judged:?}");
        let read = |program: &str| -> Value {
            let path = folder.join(format!("{program}.cdx.json"));
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
        };
        let (server, agent) = (read("tokenward"), read("tokenward-agent"));
        std::fs::remove_dir_all(&folder).unwrap();
        let of = |bill: &Value, name: &str| {
            let found = list(bill, "components")
                .iter()
                .find(|one| text(one, "name") == name)
                .cloned();
            found.unwrap_or(Value::Null)
        };
        let sqlite = of(&server, "rusqlite");
        assert!(
            text(&sqlite, "purl").starts_with("pkg:cargo/rusqlite@"),
            "{sqlite}"
        );
        assert_eq!(text(&sqlite["licenses"][0], "expression"), "MIT");
        assert_eq!(text(&sqlite["hashes"][0], "content").len(), 64);
        assert_eq!(
            of(&server, "cc")["type"],
            "library",
            "what runs in the build counts"
        );
        for absent in ["proptest", "insta", "windows-sys", "tokenward-testkit"] {
            assert!(of(&server, absent).is_null(), "{absent}");
        }
        assert!(of(&agent, "rusqlite").is_null() && !of(&agent, "tokenward-client").is_null());
        for bill in [&server, &agent] {
            let known: BTreeSet<&str> = list(bill, "components")
                .iter()
                .chain([&bill["metadata"]["component"]])
                .map(|one| text(one, "bom-ref"))
                .collect();
            for node in list(bill, "dependencies") {
                let ends = list(node, "dependsOn").iter().filter_map(Value::as_str);
                for end in ends.chain([text(node, "ref")]) {
                    assert!(known.contains(end), "{end}");
                }
            }
            assert_eq!(known.len(), list(bill, "dependencies").len());
        }
    }
}
