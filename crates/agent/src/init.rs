//! `init`: writes a commented configuration by asking. It asks where the secret is to lie, never for the secret.

use crate::exit::End;
use std::io::{BufRead, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Answers longer than this are no answers, in bytes.
const MOST_ANSWER_BYTES: u64 = 4096;

/// What was answered.
struct Answers {
    alias: String,
    server: String,
    kind: String,
    secret: String,
    place: String,
    where_to: String,
}

/// Asks, and writes the file, which must not exist. Every question needs an answer, if only an empty line: a script
/// that answers none of them has not chosen the defaults. Where no person reads the questions, each is a line.
pub(crate) fn init(path: &Path) -> Result<(), End> {
    let (stdin, mut output) = (std::io::stdin(), std::io::stdout());
    if path.exists() {
        return Err(End::failed(format!(
            "{} exists; it is left as it is",
            path.display()
        )));
    }
    let after = if stdin.is_terminal() { " " } else { "\n" };
    let mut ask = |question: &str, usual: &str| {
        let _ = write!(output, "{question} [{usual}]:{after}");
        let _ = output.flush();
        answer(&mut stdin.lock(), question, usual)
    };
    let answers = Answers {
        alias: ask("A short name for the API client", "erp")?,
        server: ask(
            "The token server's address",
            "https://api-sandbox.example.com",
        )?,
        kind: ask("Whose server: tokenward or clear", "tokenward")?,
        secret: ask(
            "The file in which the client secret lies (mode 600)",
            "/etc/tokenward/erp.secret",
        )?,
        place: ask(
            "Where to keep the token: file, dotenv, credential, vault or aws",
            "file",
        )?,
        where_to: ask("Its path there", "/var/lib/tokenward/erp.json")?,
    };
    let text = render(&answers)?;
    let failed = |error: std::io::Error| End::failed(format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(failed)?;
    let _ = writeln!(
        output,
        "\nWrote {}. Put the client secret into {} (chmod 600), then run: tokenward-agent --config {} doctor",
        path.display(),
        answers.secret,
        path.display()
    );
    Ok(())
}

fn answer(input: &mut impl BufRead, question: &str, usual: &str) -> Result<String, End> {
    let mut line = String::new();
    let read = std::io::Read::take(&mut *input, MOST_ANSWER_BYTES)
        .read_line(&mut line)
        .map_err(|error| End::failed(format!("standard input: {error}")))?;
    if read == 0 {
        return Err(End::failed(format!(
            "standard input ended before an answer to \"{question}\". Nothing was written. Answer each question on a \
             line of its own; an empty line takes the default"
        )));
    }
    let line = line.trim();
    Ok(if line.is_empty() { usual } else { line }.to_owned())
}

fn render(answers: &Answers) -> Result<String, End> {
    let path = quoted(&answers.where_to);
    let place = match answers.place.as_str() {
        "file" => format!("path = {path}\n"),
        "dotenv" => format!("path = {path}\nvariable = \"CLEARTAX_AUTH_TOKEN\"\n"),
        "credential" => format!("folder = {path}\nname = \"access-token\"\nencrypt = false\n"),
        "vault" => format!(
            "address = \"https://vault.example.com:8200\"\nmount = \"secret\"\npath = {path}\n\
             login.approle = {{ role_id = \"...\", secret_id_file = \"/etc/tokenward/vault-secret-id\" }}\n"
        ),
        "aws" => format!("secret_id = {path}\nregion = \"ap-south-1\"\n"),
        _ => {
            return Err(End::failed(
                "the place is file, dotenv, credential, vault or aws",
            ));
        }
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if !answers.alias.chars().all(plain) {
        return Err(End::failed("a name has letters, digits, - and _"));
    }
    if !matches!(answers.kind.as_str(), "tokenward" | "clear") {
        return Err(End::failed("the server is tokenward or clear"));
    }
    Ok(format!(
        "# tokenward-agent: keeps an access token for programs. No secret stands in this file.\n\
         \n\
         [client.{alias}]\n\
         server = {server}\n\
         # \"clear\" for a server that knows neither generations nor If-Match.\n\
         server_kind = {kind}\n\
         # Or: secret.credential = NAME (systemd), secret.environment = NAME, secret.vault = {{ ... }}\n\
         secret.file = {secret}\n\
         # Renew with this much left (or a tenth of the token's life, if that is more).\n\
         #margin_seconds = 300\n\
         # Tokens a day this place may make; keep it below the server's quota.\n\
         #budget_per_day = 200\n\
         # Let the previous token live on until every place has the new one (needs handover_max_seconds at the server).\n\
         #handover_seconds = 60\n\
         \n\
         # The first destination is the home, which all workers share; further ones are told of each new token.\n\
         [[client.{alias}.destination]]\n\
         kind = {kind_of_place}\n\
         {place}\
         \n\
         # For `tokenward-agent run`: health and metrics, on this machine only.\n\
         #[daemon]\n\
         #listen = \"127.0.0.1:9466\"\n",
        alias = answers.alias,
        server = quoted(&answers.server),
        kind = quoted(&answers.kind),
        secret = quoted(&answers.secret),
        kind_of_place = quoted(&answers.place),
    ))
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
