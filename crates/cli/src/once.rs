//! A credential that is shown once: to standard output alone, or into a new file only its owner can
//! read. The file is made before the server is asked, so that nothing is lost to a bad path.

use super::error::CliError;
use super::output::Output;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A new file that only its owner can read.
pub(crate) fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

/// Where the credential goes.
pub(crate) struct Once {
    file: Option<(PathBuf, File)>,
    kept: bool,
}

impl Once {
    /// Prepares the place: `None` is standard output.
    pub(crate) fn new(path: Option<&Path>) -> Result<Once, CliError> {
        let made = path.map(|path| match private_file(path) {
            Ok(file) => Ok((path.to_owned(), file)),
            Err(error) => Err(CliError::Failed(format!(
                "{} can't be made, so nothing was asked of the server: {error}",
                path.display()
            ))),
        });
        Ok(Once {
            file: made.transpose()?,
            kept: false,
        })
    }

    /// Delivers the text at `member` of the server's answer; `what` names it for the person.
    pub(crate) fn deliver(
        mut self,
        answer: &mut Value,
        member: &str,
        what: &str,
        out: &Output,
    ) -> Result<(), CliError> {
        let Some(text) = answer[member].as_str() else {
            return Err(CliError::Failed(format!(
                "the server's answer holds no {what}"
            )));
        };
        let lost = |why: String| {
            CliError::Failed(format!(
                "the {what} was made but could not be delivered ({why}); make another"
            ))
        };
        if let Some((path, file)) = &mut self.file {
            file.write_all(format!("{text}\n").as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(|error| lost(error.to_string()))?;
            self.kept = true;
            let place = path.display();
            out.note(&format!(
                "The {what} is in {place}, readable by you alone. It will never be shown again."
            ));
            if let Some(members) = answer.as_object_mut() {
                members.remove(member);
            }
            return if out.json { out.json(answer) } else { Ok(()) };
        }
        let delivered = if out.json {
            out.json(answer)
        } else {
            out.line(text)
        };
        delivered.map_err(|error| match error {
            CliError::Failed(why) => lost(why),
            _ => lost("nobody reads it".to_owned()),
        })?;
        out.note(&format!(
            "This {what} will never be shown again: keep it now."
        ));
        Ok(())
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        if let (Some((path, _)), false) = (&self.file, self.kept) {
            // Ours, made a moment ago and empty; what can't be removed harms nobody.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Style;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt as _;

    const OUT: Output = Output {
        json: false,
        style: Style::Plain,
    };

    #[test]
    fn the_file_is_new_and_private_and_the_answer_loses_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let mut answer = json!({"client_secret": "s3", "client": {}});
        let once = Once::new(Some(&path)).unwrap();
        once.deliver(&mut answer, "client_secret", "client secret", &OUT)
            .unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "s3\n");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(answer, json!({"client": {}}));
        assert!(
            Once::new(Some(&path)).is_err(),
            "a file that is there is not overwritten"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "s3\n");
    }

    #[test]
    fn a_refusal_leaves_no_empty_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        drop(Once::new(Some(&path)).unwrap());
        assert!(!path.exists());
    }
}
