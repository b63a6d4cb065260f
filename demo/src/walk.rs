//! The walk: the life of an access token in the order a newcomer meets it. Each chapter does what its people
//! would do and demands the answer the wire contract promises.

mod ends;
mod refusals;

use reqwest::Method;
use serde_json::json;

use crate::{
    answer::Answer,
    api::{NewClient, SECRET_HEADER, TOKEN_HEADER, invoice},
    stage::Stage,
    story::{Story, Surprise, shortened},
};

/// Lifetime of the ERP's tokens.
const LIFETIME_SECONDS: u64 = 3_600;
/// Characters of the random part that ends every secret and token, checksum included.
const TAIL_LENGTH: usize = 64;

/// A live access token, as its caller got it.
#[derive(Clone)]
struct LiveToken {
    text: String,
    generation: u64,
}

/// The walk under way.
struct Walk<'a> {
    stage: &'a Stage,
    story: &'a mut Story,
    /// Every secret and token seen, to be looked for at the end where none may lie.
    held: Vec<String>,
}

/// Walks from the first administrator's call to the deleted client.
pub(crate) async fn walk(stage: &Stage, story: &mut Story) -> Result<(), Surprise> {
    story.heading("Tokenward: the life of an access token, on this machine");
    story.note(format_args!(
        "server    {}   public",
        stage.listening.public
    ));
    story.note(format_args!(
        "          {}   internal: checks, health",
        stage.listening.internal
    ));
    story.note(format_args!(
        "product   {}   a sample API, production",
        stage.production()
    ));
    story.note(format_args!(
        "          {}   the same, sandbox",
        stage.sandbox()
    ));
    let mut walk = Walk {
        stage,
        story,
        held: Vec::new(),
    };
    let workspace = walk.administration().await?;
    let erp = walk.api_client(&workspace).await?;
    let first = walk.first_token(&erp).await?;
    walk.product(&erp, &first).await?;
    walk.bad_invoice(&first).await?;
    walk.wrong_product(&first).await?;
    walk.each_in_its_place(&erp, &first).await?;
    walk.environments(&workspace).await?;
    let second = walk.regenerate(&erp, &first).await?;
    walk.expiry(&workspace).await?;
    walk.delete(&erp, &second).await?;
    walk.nothing_at_rest()?;
    walk.story.summary();
    Ok(())
}

impl Walk<'_> {
    async fn administration(&mut self) -> Result<String, Surprise> {
        self.story.chapter(
            "An administrator makes a workspace and two products",
            "The first admin key lies in the server's data directory, readable by its owner only.",
        );
        let name = "Sahyadri Tools";
        let api = &self.stage.api;
        let answer = api
            .admin(Method::POST, "/workspaces", Some(&json!({"name": name})))
            .await?;
        answer.demand(201)?.demand_value("/name", name)?;
        let workspace = answer.text("/id")?.to_owned();
        self.story.saw(&answer.did, &answer.status.to_string());
        for (slug, name) in [("e-invoice", "E-Invoice"), ("gst", "GST")] {
            let path = format!("/products/{slug}");
            let answer = api
                .admin(Method::PUT, &path, Some(&json!({"name": name})))
                .await?;
            answer.demand_success()?;
            self.story.saw(&answer.did, &answer.status.to_string());
        }
        Ok(workspace)
    }

    async fn api_client(&mut self, workspace: &str) -> Result<NewClient, Surprise> {
        self.story.chapter(
            "... and an API client for the ERP: production, e-invoice only",
            "The client secret is shown this one time. It can do one thing: generate access tokens.",
        );
        let api = &self.stage.api;
        let (client, answer) = api
            .new_client(workspace, "sahyadri-erp", "production", LIFETIME_SECONDS)
            .await?;
        let begins = format!("tw-secret.production.{}.", client.id);
        demand_shape(&answer, &client.secret, &begins)?;
        self.held.push(client.secret.clone());
        self.story
            .saw("POST /admin/v1/workspaces/{id}/clients", "201");
        self.story
            .note(format_args!("client secret  {}", shortened(&client.secret)));

        let path = format!("/clients/{}", client.id);
        let answer = api.admin(Method::GET, &path, None).await?;
        answer.demand(200)?;
        if answer.body.to_string().contains(tail(&client.secret)) {
            return Err(answer.surprise("a client without its secret"));
        }
        self.story.saw(
            "GET /admin/v1/clients/{id}: the secret is not told again",
            "200",
        );
        Ok(client)
    }

    async fn first_token(&mut self, erp: &NewClient) -> Result<LiveToken, Surprise> {
        self.story.chapter(
            "The ERP generates its access token",
            &format!("GET /integration/v1/authz/token with the secret in {SECRET_HEADER}."),
        );
        let token = self.generate(erp, "production", LIFETIME_SECONDS).await?;
        if token.generation != 1 {
            return Err(Surprise::new(
                "a client's first token is not of generation 1",
            ));
        }
        Ok(token)
    }

    /// Generates a token and demands everything the contract says of the answer.
    async fn generate(
        &mut self,
        client: &NewClient,
        environment: &str,
        lifetime_seconds: u64,
    ) -> Result<LiveToken, Surprise> {
        let did = format!("{} generates a token", client.label);
        let answer = self.stage.api.generate(&did, &client.secret).await?;
        answer.demand(200)?;
        let text = answer.text("/access_token")?.to_owned();
        let begins = match environment {
            "production" => format!("1.{}_", client.id),
            other => format!("{other}.1.{}_", client.id),
        };
        demand_shape(&answer, &text, &begins)?;
        let generation = answer.body["generation"]
            .as_u64()
            .ok_or_else(|| answer.surprise("a generation"))?;
        answer
            .demand_header("etag", &format!("\"{generation}\""))?
            .demand_header("cache-control", "no-store")?
            .demand_value("/expires_in", lifetime_seconds)?;
        let valid_till = answer.text("/valid_till")?;
        // 2026-11-23T10:15:30+00:00, exactly
        if valid_till.len() != 25 || !valid_till.ends_with("+00:00") {
            return Err(answer.surprise("valid_till as ISO 8601 with +00:00"));
        }
        self.held.push(text.clone());
        self.story
            .saw(&did, &format!("200, generation {generation}"));
        self.story.note(format_args!(
            "access token   {}   till {valid_till}",
            shortened(&text)
        ));
        Ok(LiveToken { text, generation })
    }

    async fn product(&mut self, erp: &NewClient, token: &LiveToken) -> Result<(), Surprise> {
        self.story.chapter(
            "The ERP sends an invoice to the E-Invoice product",
            &format!("The token goes into {TOKEN_HEADER}; the product asks Tokenward's check, then works."),
        );
        let did = "POST /e-invoice/v1/invoices";
        let answer = self.register(did, Some(&token.text)).await?;
        answer
            .demand(200)?
            .demand_value("/number", "TW/26-27/1")?
            .demand_value("/admitted/client", erp.id.as_str())?
            .demand_value("/admitted/client_label", erp.label.as_str())?
            .demand_value("/admitted/environment", "production")?
            .demand_value("/admitted/product", "e-invoice")?
            .demand_value("/admitted/generation", token.generation.to_string())?;
        self.story.saw(did, "200");
        self.story.note(format_args!(
            "the product knows its caller: {}, generation {}",
            erp.label, token.generation
        ));
        Ok(())
    }

    /// A correct invoice to the production product with what should be a token.
    async fn register(&self, did: &str, token: Option<&str>) -> Result<Answer, Surprise> {
        let base = self.stage.production();
        self.stage.api.register(did, base, token, &invoice()).await
    }
}

/// Demands that a credential is `begins` and then 64 small hexadecimal digits.
fn demand_shape(answer: &Answer, credential: &str, begins: &str) -> Result<(), Surprise> {
    let fits = credential.strip_prefix(begins).is_some_and(|rest| {
        rest.len() == TAIL_LENGTH && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    });
    if fits {
        Ok(())
    } else {
        Err(answer.surprise(&format!("{begins}<64 hexadecimal digits>")))
    }
}

/// The random part of a credential.
fn tail(credential: &str) -> &str {
    let from = credential.len().saturating_sub(TAIL_LENGTH);
    &credential[from..]
}
