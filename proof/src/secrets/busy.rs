//! Takes tokens and client secrets through every interface that sees them, in the right places and
//! in wrong ones, and remembers each.

use reqwest::Method;
use tokenward_testkit::{Api, ApiClient, Broken, NewClient};

/// Generates of each client; enough that superseded tokens lie about in every page of the store.
const GENERATES: usize = 12;

/// Every plaintext that went over the wire.
#[derive(Debug, Default)]
pub struct Seen {
    /// Access tokens, handed out or made up.
    pub tokens: Vec<String>,
    /// Client secrets, real or made up.
    pub secrets: Vec<String>,
}

impl Seen {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<&str> {
        self.tokens
            .iter()
            .chain(&self.secrets)
            .map(String::as_str)
            .collect()
    }
}

/// The busy run. Answers are looked at only where the run builds on them: that each is right is for
/// other tests to say.
///
/// # Errors
/// When the server breaks a connection.
///
/// # Panics
/// When the server refuses a plain generate.
pub async fn run(api: &Api) -> Result<Seen, Broken> {
    let mut seen = Seen::default();
    api.product("gst", "GST").await?;
    api.product("e-invoice", "E-Invoice").await?;
    let workspace = api.workspace("busy").await?;
    let kinds = [
        NewClient::sandbox("replace"),
        NewClient::production("replace"),
        NewClient::sandbox("return").lifetime(3600).returns(60),
        NewClient::production("return").lifetime(3600).returns(60),
        NewClient::sandbox("hand-over").handover(600),
        NewClient::production("brief")
            .lifetime(1)
            .products(&["gst"]),
        NewClient::sandbox("revoked"),
        NewClient::sandbox("deleted"),
    ];
    for kind in kinds {
        let client = api.client(&workspace, kind).await?;
        seen.secrets.push(client.secret.clone());
        busy_with(api, &client, &mut seen).await?;
    }
    Ok(seen)
}

async fn busy_with(api: &Api, client: &ApiClient, seen: &mut Seen) -> Result<(), Broken> {
    let mut latest = String::new();
    for round in 0..GENERATES {
        let suffix = if round % 2 == 0 {
            "?handover=300"
        } else {
            "?force=true"
        };
        let answer = api
            .send(api.authz(Method::GET, suffix, &client.secret))
            .await?;
        // A client without hand-over may refuse the wish for one.
        let answer = if answer.status == 200 {
            answer
        } else {
            api.generate(&client.secret).await?
        };
        latest = answer.token().access_token;
        seen.tokens.push(latest.clone());
        for product in ["gst", "e-invoice", "no-such-product"] {
            api.check(&client.environment, product, &latest).await?;
        }
        api.check("sandbox", "gst", &latest).await?;
        latest = api.generate(&client.secret).await?.token().access_token;
        seen.tokens.push(latest.clone());
    }
    through_oauth(api, client, seen, &latest).await?;
    in_wrong_places(api, client, seen, &latest).await?;
    rotated(api, client, seen).await?;
    match client.label.as_str() {
        "revoked" => drop(api.revoke(&client.id).await?),
        "deleted" => drop(api.delete(client).await?),
        _ => {}
    }
    // What has ended is presented once more.
    api.check(&client.environment, "gst", &latest).await?;
    api.generate(&client.secret).await.map(|answer| {
        if answer.status == 200 {
            seen.tokens.push(answer.token().access_token);
        }
    })
}

async fn through_oauth(
    api: &Api,
    client: &ApiClient,
    seen: &mut Seen,
    token: &str,
) -> Result<(), Broken> {
    let grant = ("grant_type", "client_credentials");
    let own = [
        ("client_id", client.id.as_str()),
        ("client_secret", client.secret.as_str()),
    ];
    let post = api
        .public(Method::POST, "/oauth2/token")
        .form(&[grant, own[0], own[1]]);
    for answer in [
        api.oauth("/oauth2/token", client, &[grant]).await?,
        api.send(post).await?,
    ] {
        let token = answer.expect(200).json();
        let token = token["access_token"].as_str().expect("an access token");
        seen.tokens.push(token.to_owned());
    }
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        api.oauth(path, client, &[("token", token)]).await?;
        api.oauth(path, client, &[("token", &client.secret)])
            .await?;
        let form = api
            .public(Method::POST, path)
            .form(&[own[0], own[1], ("token", token)]);
        api.send(form).await?;
    }
    let bare = api
        .internal(Method::POST, "/oauth2/introspect")
        .form(&[("token", token)]);
    api.send(bare).await?;
    Ok(())
}

async fn in_wrong_places(
    api: &Api,
    client: &ApiClient,
    seen: &mut Seen,
    token: &str,
) -> Result<(), Broken> {
    let (secret, environment) = (client.secret.as_str(), client.environment.as_str());
    let check = format!("/check/{environment}/gst");
    // Each where the other belongs.
    api.generate(token).await?;
    api.check(environment, "gst", secret).await?;
    let query = [("access_token", token), ("client_secret", secret)];
    let answer = api.send(api.authz(Method::GET, "", secret).query(&query));
    let answer = answer.await?;
    if answer.status == 200 {
        seen.tokens.push(answer.token().access_token);
    }
    let checked = || api.internal(Method::GET, &check);
    let body = format!("{{\"name\": \"x\", \"{secret}\": \"{token}\"");
    for request in [
        // In the line that every proxy logs.
        checked().query(&query),
        api.public(Method::GET, &format!("/no/such/page/{token}")),
        api.internal(Method::GET, &format!("{check}/{token}")),
        // Twice, with another, in other headers, in a body that does not parse.
        checked()
            .header("x-cleartax-auth-token", token)
            .header("x-cleartax-auth-token", secret)
            .bearer_auth(token),
        api.authz(Method::POST, "", secret)
            .header("x-clear-client-secret", token),
        checked().header("cookie", format!("token={token}")),
        api.admin(Method::POST, "/workspaces")
            .header("content-type", "application/json")
            .body(body),
    ] {
        api.send(request).await?;
    }
    // As an admin key.
    api.with_admin_key(secret).read_client(&client.id).await?;
    api.with_admin_key(token).read_client(&client.id).await?;
    let unknown = serde_json::json!({ secret: token });
    api.patch_client(&client.id, &unknown).await?;
    // Almost right: what a person mistypes is as good as the secret itself.
    for (text, is_token) in [(token, true), (secret, false)] {
        let almost = mistyped(text);
        let page = api.public(Method::GET, &format!("/no/such/page/{almost}"));
        api.send(page).await?;
        if is_token {
            api.check(environment, "gst", &almost).await?;
        } else {
            api.generate(&almost).await?;
        }
        let grant = api.public(Method::POST, "/oauth2/token");
        api.send(grant.basic_auth(&client.id, Some(&almost)))
            .await?;
    }
    Ok(())
}

async fn rotated(api: &Api, client: &ApiClient, seen: &mut Seen) -> Result<(), Broken> {
    let request = api.admin(Method::POST, &format!("/clients/{}/secrets", client.id));
    let answer = api.send(request).await?.expect(201).json();
    let secret = answer["client_secret"].as_str().expect("a client secret");
    seen.secrets.push(secret.to_owned());
    let token = api.generate(secret).await?.token();
    seen.tokens.push(token.access_token);
    Ok(())
}

/// The same with its last digit changed, so that the random part is all there and the checksum wrong.
fn mistyped(text: &str) -> String {
    let (rest, last) = text.split_at(text.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}
