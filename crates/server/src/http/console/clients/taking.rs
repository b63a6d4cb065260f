//! What somebody takes away from the page that shows a secret or a token: files, commands, a first call.

use super::super::once::{Download, Snippet};
use tokenward_core::client::ApiClient;
use zeroize::Zeroizing;

/// A name for files and variables: letters, digits, hyphens.
fn alias(client: &ApiClient) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let text: String = client.settings.label.as_str().chars().map(plain).collect();
    let parts: Vec<&str> = text.split('-').filter(|part| !part.is_empty()).collect();
    match parts.is_empty() {
        true => "client".to_owned(),
        false => parts.join("-"),
    }
}

/// The files with a client secret.
pub(super) fn downloads(client: &ApiClient, secret: &str, base: &str) -> Vec<Download> {
    let (id, alias) = (client.id, alias(client));
    let environment = client.environment.as_str();
    let dotenv = format!(
        "# Tokenward: the client secret of {alias} ({environment}). It only requests access tokens.\n\
         CLEARTAX_CLIENT_ID={id}\nCLEARTAX_CLIENT_SECRET={secret}\n\
         CLEARTAX_TOKEN_URL={base}/integration/v1/authz/token\n"
    );
    let json = serde_json::json!({
        "client_id": id.to_string(), "client_secret": secret, "environment": environment,
        "token_url": format!("{base}/integration/v1/authz/token"),
    });
    let json = serde_json::to_string_pretty(&json).unwrap_or_default() + "\n";
    let file = |label, end: &str, text: String| Download {
        label,
        file: format!("{alias}-{environment}.{end}"),
        text: Zeroizing::new(text),
    };
    vec![
        file("Download .env", "env", dotenv),
        file("Download JSON", "json", json),
        file("Download secret (.txt)", "secret", format!("{secret}\n")),
    ]
}

/// Commands with a client secret.
pub(super) fn snippets(client: &ApiClient, secret: &str, base: &str) -> Vec<Snippet> {
    let alias = alias(client);
    let environment = client.environment.as_str();
    let snippet = |label, text: String| Snippet {
        label,
        text: Zeroizing::new(text),
    };
    vec![
        snippet(
            "Request an access token",
            format!("curl -H 'x-clear-client-secret: {secret}' {base}/integration/v1/authz/token"),
        ),
        snippet(
            "Store the secret in Vault (reads the value from standard input, so that it stays out of the shell history)",
            format!("vault kv put -mount=secret tokenward/{environment}/{alias} client_secret=-"),
        ),
        snippet(
            "Renew the token with tokenward-agent (agent.toml)",
            format!(
                "[client.{alias}]\nserver = \"{base}\"\nsecret.file = \"/etc/tokenward/{alias}.secret\"\n\n\
                 [[client.{alias}.destination]]\nkind = \"file\"\npath = \"/var/lib/tokenward/{alias}.json\""
            ),
        ),
    ]
}
