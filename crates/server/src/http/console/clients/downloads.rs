//! What somebody takes away from the pages of a client: files, commands, and programs that work as they stand. Programs
//! read the secret from the environment, so that none ends in source code.

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
    ]
}

/// A program in a language, or a configuration.
pub(in super::super) struct Sample {
    pub(in super::super) label: &'static str,
    pub(in super::super) text: String,
}

const CURL: &str = r#"TOKEN=$(curl -fsS -H "x-clear-client-secret: $CLEARTAX_CLIENT_SECRET" \
  {base}/integration/v1/authz/token | jq -r .access_token)

curl -fsS -H "x-cleartax-auth-token: $TOKEN" "$PRODUCT_URL"
"#;
const PYTHON: &str = r#"import json, os, urllib.request

request = urllib.request.Request(
    "{base}/integration/v1/authz/token",
    headers={"x-clear-client-secret": os.environ["CLEARTAX_CLIENT_SECRET"]},
)
with urllib.request.urlopen(request, timeout=30) as response:
    token = json.load(response)["access_token"]

request = urllib.request.Request(
    os.environ["PRODUCT_URL"], headers={"x-cleartax-auth-token": token}
)
with urllib.request.urlopen(request, timeout=30) as response:
    print(response.status)
"#;
const NODE: &str = r#"const response = await fetch("{base}/integration/v1/authz/token", {
  headers: { "x-clear-client-secret": process.env.CLEARTAX_CLIENT_SECRET },
});
if (!response.ok) throw new Error(await response.text());
const { access_token } = await response.json();

const answer = await fetch(process.env.PRODUCT_URL, {
  headers: { "x-cleartax-auth-token": access_token },
});
console.log(answer.status);
"#;
const JAVA: &str = r#"import java.net.URI;
import java.net.http.*;
import java.util.regex.Pattern;

public class Sample {
    public static void main(String[] args) throws Exception {
        var http = HttpClient.newHttpClient();
        var request = HttpRequest.newBuilder(URI.create("{base}/integration/v1/authz/token"))
            .header("x-clear-client-secret", System.getenv("CLEARTAX_CLIENT_SECRET"))
            .build();
        var body = http.send(request, HttpResponse.BodyHandlers.ofString()).body();
        var token = Pattern.compile("\"access_token\":\"([^\"]+)\"").matcher(body);
        if (!token.find()) throw new IllegalStateException(body);

        var call = HttpRequest.newBuilder(URI.create(System.getenv("PRODUCT_URL")))
            .header("x-cleartax-auth-token", token.group(1))
            .build();
        System.out.println(http.send(call, HttpResponse.BodyHandlers.discarding()).statusCode());
    }
}
"#;
const CSHARP: &str = r#"using System.Text.Json;

using var http = new HttpClient();

var request = new HttpRequestMessage(HttpMethod.Get, "{base}/integration/v1/authz/token");
request.Headers.Add("x-clear-client-secret", Environment.GetEnvironmentVariable("CLEARTAX_CLIENT_SECRET"));
using var response = await http.SendAsync(request);
response.EnsureSuccessStatusCode();
using var body = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
var token = body.RootElement.GetProperty("access_token").GetString();

var call = new HttpRequestMessage(HttpMethod.Get, Environment.GetEnvironmentVariable("PRODUCT_URL"));
call.Headers.Add("x-cleartax-auth-token", token);
using var answer = await http.SendAsync(call);
Console.WriteLine((int)answer.StatusCode);
"#;
const GO: &str = r#"package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
)

func get(url, header, value string) *http.Response {
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set(header, value)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	return response
}

func main() {
	response := get("{base}/integration/v1/authz/token", "x-clear-client-secret", os.Getenv("CLEARTAX_CLIENT_SECRET"))
	defer response.Body.Close()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil || response.StatusCode != 200 {
		log.Fatal(response.Status)
	}

	answer := get(os.Getenv("PRODUCT_URL"), "x-cleartax-auth-token", body.AccessToken)
	defer answer.Body.Close()
	fmt.Println(answer.StatusCode)
}
"#;
const PHP: &str = r#"<?php
function get(string $url, string $header): string {
    $context = stream_context_create(['http' => ['header' => $header, 'timeout' => 30]]);
    $body = file_get_contents($url, false, $context);
    if ($body === false) {
        throw new RuntimeException("no answer from $url");
    }
    return $body;
}

$body = get('{base}/integration/v1/authz/token', 'x-clear-client-secret: ' . getenv('CLEARTAX_CLIENT_SECRET'));
$token = json_decode($body, true, 512, JSON_THROW_ON_ERROR)['access_token'];

echo get(getenv('PRODUCT_URL'), "x-cleartax-auth-token: $token");
"#;

/// Programs that request a token and call a product, with this server's address. They read the secret from
/// `CLEARTAX_CLIENT_SECRET` and the product API's address from `PRODUCT_URL`.
pub(super) fn samples(client: &ApiClient, base: &str) -> Vec<Sample> {
    let programs = [
        ("curl", CURL),
        ("Python", PYTHON),
        ("Node.js", NODE),
        ("Java", JAVA),
        ("C#", CSHARP),
        ("Go", GO),
        ("PHP", PHP),
    ];
    let programs = programs.map(|(label, text)| Sample {
        label,
        text: text.replace("{base}", base),
    });
    let agent = Sample {
        label: "tokenward-agent (agent.toml)",
        text: agent(client, base),
    };
    programs.into_iter().chain([agent]).collect()
}

fn agent(client: &ApiClient, base: &str) -> String {
    let alias = alias(client);
    format!(
        "[client.{alias}]\nserver = \"{base}\"\nsecret.file = \"/etc/tokenward/{alias}.secret\"\n\n\
         [[client.{alias}.destination]]\nkind = \"file\"\npath = \"/var/lib/tokenward/{alias}.json\"\n"
    )
}
