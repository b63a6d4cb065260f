//! The chapters in which a token ends: superseded, expired, deleted with its client; and the proof that
//! nothing of any of them lies about.

use std::{fs, io::ErrorKind, path::Path, time::Duration};

use reqwest::Method;
use serde_json::json;

use super::{LIFETIME_SECONDS, LiveToken, Walk, tail};
use crate::{
    answer::Answer,
    api::NewClient,
    clock::{Stopwatch, wait_until},
    story::{Surprise, While as _},
};

/// Lifetime of the token whose end is waited for: the shortest there is.
const SHORT_LIFETIME_SECONDS: u64 = 1;
/// How late a token of [`SHORT_LIFETIME_SECONDS`] may still pass, counted from when its answer was here:
/// the lifetime itself, and a second for a `valid_till` rounded to whole seconds.
const SHORT_LIFETIME_LIMIT: Duration = Duration::from_secs(2);
/// Longest wait for the short-lived token's end.
const EXPIRY_LIMIT: Duration = Duration::from_secs(20);

impl Walk<'_> {
    pub(super) async fn regenerate(
        &mut self,
        erp: &NewClient,
        old: &LiveToken,
    ) -> Result<LiveToken, Surprise> {
        self.story.chapter(
            "The ERP generates again",
            "One live token a client: the new answer is the end of the old token, at once.",
        );
        let new = self.generate(erp, "production", LIFETIME_SECONDS).await?;
        let answered = Stopwatch::start();
        let did = "the old token, right after";
        let answer = self.register(did, Some(&old.text)).await?;
        let took = answered.elapsed();
        answer.demand_refusal(401, "TOKEN_SUPERSEDED")?;
        if !names_generation(&answer, new.generation) {
            return Err(answer.surprise("a refusal that names the new generation"));
        }
        self.story.saw(did, "401 TOKEN_SUPERSEDED");
        self.story.note(format_args!("\"{}\"", answer.message()));
        self.story.note(format_args!(
            "refused {took:.1?} after the new token's answer"
        ));
        if new.generation != old.generation + 1 || new.text == old.text {
            return Err(Surprise::new("the new token is not of the next generation"));
        }

        let did = "the new token";
        self.register(did, Some(&new.text)).await?.demand(200)?;
        self.story.saw(did, "200");
        Ok(new)
    }

    pub(super) async fn expiry(&mut self, workspace: &str) -> Result<(), Surprise> {
        self.story.chapter(
            "A token that lives for one second",
            "Lifetimes are set per client, from a second to ten years, or none.",
        );
        let (client, _) = self
            .stage
            .api
            .new_client(workspace, "mayfly", "production", SHORT_LIFETIME_SECONDS)
            .await?;
        self.held.push(client.secret.clone());
        let token = self
            .generate(&client, "production", SHORT_LIFETIME_SECONDS)
            .await?;
        let answered = Stopwatch::start();
        let did = "the mayfly's token, again and again";
        let mut passed = 0;
        let lived = wait_until("the mayfly's token to expire", EXPIRY_LIMIT, async || {
            let asked_after = answered.elapsed();
            let answer = self.register(did, Some(&token.text)).await?;
            if answer.status != 200 {
                answer.demand_refusal(401, "TOKEN_EXPIRED")?;
                return Ok(Some(asked_after));
            }
            if asked_after > SHORT_LIFETIME_LIMIT {
                return Err(answer.surprise(&format!(
                    "401 TOKEN_EXPIRED: the token is {asked_after:.1?} old"
                )));
            }
            passed += 1;
            Ok(None)
        })
        .await?;
        self.story
            .saw(did, &format!("{passed} times 200, then 401 TOKEN_EXPIRED"));
        self.story
            .note(format_args!("refused {lived:.1?} after its answer"));
        Ok(())
    }

    pub(super) async fn delete(
        &mut self,
        erp: &NewClient,
        token: &LiveToken,
    ) -> Result<(), Surprise> {
        self.story.chapter(
            "The administrator deletes the API client, for good",
            "The label has to be typed back. Secret and token are dead from the answer on.",
        );
        let path = format!("/clients/{}", erp.id);
        let stage = self.stage;
        let delete = async |label: &str| {
            let body = json!({ "label": label });
            stage.api.admin(Method::DELETE, &path, Some(&body)).await
        };
        let did = "DELETE /admin/v1/clients/{id} with another label";
        let answer = delete("sahyadri-rep").await?;
        if !(400..500).contains(&answer.status) {
            return Err(answer.surprise("a refusal: the label was not the client's"));
        }
        self.story.saw(did, &answer.status.to_string());
        let did = "the token, still alive";
        self.register(did, Some(&token.text)).await?.demand(200)?;
        self.story.saw(did, "200");

        let answer = delete(&erp.label).await?;
        answer.demand_success()?;
        let answered = Stopwatch::start();
        self.story
            .saw("DELETE /admin/v1/clients/{id}", &answer.status.to_string());

        let did = "the token, right after";
        let answer = self.register(did, Some(&token.text)).await?;
        let took = answered.elapsed();
        answer.demand_refusal(401, "CLIENT_DELETED")?;
        self.story.saw(did, "401 CLIENT_DELETED");
        self.story
            .note(format_args!("refused {took:.1?} after the answer"));

        let did = "the secret, to generate";
        let answer = stage.api.generate(did, &erp.secret).await?;
        answer.demand_refusal(401, "CLIENT_DELETED")?;
        self.story.saw(did, "401 CLIENT_DELETED");
        Ok(())
    }

    /// Looks through everything the server wrote for every secret and token of this walk.
    pub(super) fn nothing_at_rest(&mut self) -> Result<(), Surprise> {
        self.story.chapter(
            "What lies on the disk",
            "Tokenward stores keyed digests. Neither its data nor its log holds a secret or a token.",
        );
        let mut files = 0;
        let mut bytes = 0;
        let mut look = |path: &Path| {
            let content = match fs::read(path) {
                Ok(content) => content,
                // The server runs and may tidy up its own files meanwhile.
                Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
                Err(why) => Err(why).during(format_args!("reading {}", path.display()))?,
            };
            files += 1;
            bytes += content.len();
            for credential in &self.held {
                if holds(&content, tail(credential).as_bytes()) {
                    let what = format!("{} holds {credential}", path.display());
                    return Err(Surprise::new(what));
                }
            }
            Ok(())
        };
        each_file(&self.stage.data_dir(), &mut look)?;
        look(&self.stage.log_file())?;
        self.story.saw(
            &format!(
                "{files} files, {} KiB, {} credentials sought",
                bytes.div_ceil(1024),
                self.held.len()
            ),
            "none found",
        );
        Ok(())
    }
}

/// Whether a refusal says which generation took over, in its sentence or in a field of its own.
fn names_generation(answer: &Answer, generation: u64) -> bool {
    let in_a_field = answer.body["errors"][0]
        .as_object()
        .is_some_and(|error| error.values().any(|value| value == generation));
    in_a_field
        || answer
            .message()
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| word == generation.to_string())
}

fn each_file(
    folder: &Path,
    look: &mut impl FnMut(&Path) -> Result<(), Surprise>,
) -> Result<(), Surprise> {
    let reading = format!("reading {}", folder.display());
    for entry in fs::read_dir(folder).during(&reading)? {
        let entry = entry.during(&reading)?;
        let kind = entry.file_type().during(&reading)?;
        if kind.is_dir() {
            each_file(&entry.path(), look)?;
        } else if kind.is_file() {
            look(&entry.path())?;
        }
    }
    Ok(())
}

fn holds(content: &[u8], sought: &[u8]) -> bool {
    content.windows(sought.len()).any(|window| window == sought)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_looked_at_and_a_find_is_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/deep"), "xx needle xx").unwrap();
        fs::write(folder.path().join("top"), "nothing").unwrap();
        let mut seen = Vec::new();
        each_file(folder.path(), &mut |path| {
            seen.push(holds(&fs::read(path).unwrap(), b"needle"));
            Ok(())
        })
        .unwrap();
        seen.sort_unstable();
        assert_eq!(seen, [false, true]);
    }
}
