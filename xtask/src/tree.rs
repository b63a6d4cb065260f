//! The repository as the laws see it: paths and texts, nothing else.
//!
//! A tree is read once and never written. Tests make small trees in memory, so no law may look at the disk.

use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One file of the repository.
pub(crate) struct File {
    /// Path from the repository's root, with `/` between parts.
    pub(crate) path: String,
    /// Content; empty when it is not UTF-8, so binaries have no lines to judge.
    pub(crate) text: String,
}

impl File {
    /// The name's last part after a dot, or nothing.
    pub(crate) fn extension(&self) -> &str {
        let name = self.name();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The path's last part.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The lines with their numbers, counted from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// Whether the whole file exists for tests: by its folder or by its name.
    pub(crate) fn is_test(&self) -> bool {
        let by_folder = self.path.split('/').any(|part| part == "tests");
        let stem = self.name().trim_end_matches(".rs");
        let of_abap = self.name().ends_with(".testclasses.abap");
        by_folder
            || of_abap
            || stem == "tests"
            || stem.ends_with("_test")
            || stem.ends_with("_tests")
    }
}

/// Every file that is or could be committed, sorted by path.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
    /// Folders of the machine that checks, which no file may name.
    pub(crate) machine_folders: Vec<String>,
}

impl Tree {
    /// Reads the repository that holds this crate.
    pub(crate) fn read() -> Result<Self> {
        let root = root();
        // A new file is judged too, before it is committed.
        let paths = git_files(&root, &["--cached", "--others", "--exclude-standard"])?;
        let mut files: Vec<File> = paths
            .into_iter()
            .filter_map(|path| {
                // A file deleted but not yet committed is listed and gone.
                let bytes = std::fs::read(root.join(&path)).ok()?;
                let text = String::from_utf8(bytes).unwrap_or_default();
                Some(File { path, text })
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let home = std::env::home_dir().unwrap_or_default();
        let machine_folders = [root, home]
            .iter()
            .filter(|folder| folder.components().count() > 1)
            .map(|folder| format!("{}/", folder.display()))
            .collect();
        Ok(Self {
            files,
            machine_folders,
        })
    }

    /// The Rust sources.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.extension() == "rs")
    }

    /// The files whose paths begin so.
    pub(crate) fn below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a File> {
        self.files
            .iter()
            .filter(move |file| file.path.starts_with(path))
    }

    /// The file at a path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether a path is a file or a folder with files.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        path.is_empty()
            || self
                .files
                .iter()
                .any(|file| file.path == path || file.path.starts_with(&folder))
    }
}

/// A relative path from a file's folder; none when it leaves the repository.
pub(crate) fn join(from: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The repository's root: the folder above this crate.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// What `git ls-files` lists with these options.
pub(crate) fn git_files(root: &Path, options: &[&str]) -> Result<Vec<String>> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z"])
        .args(options)
        .output()
        .context("git could not be started: the laws are about the files git has")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git ls-files failed: {errors}");
    let list = String::from_utf8_lossy(&output.stdout);
    Ok(list
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect())
}
