//! The chapters in which something is refused: by the product for its own reasons, and by Tokenward for the
//! wrong product, the wrong kind of credential, the wrong environment.

use serde_json::json;

use super::{LIFETIME_SECONDS, LiveToken, Walk};
use crate::{
    api::{NewClient, invoice},
    story::Surprise,
};

impl Walk<'_> {
    pub(super) async fn bad_invoice(&mut self, token: &LiveToken) -> Result<(), Surprise> {
        self.story.chapter(
            "An invoice that the product refuses",
            "The token is valid and the invoice is not: the error comes from the product.",
        );
        let body = json!({"number": ""});
        let did = "POST /e-invoice/v1/invoices, no invoice number";
        let stage = self.stage;
        let answer = stage
            .api
            .register(did, stage.production(), Some(&token.text), &body)
            .await?;
        answer
            .demand_refusal(422, "INVALID_NUMBER")?
            .demand_value("/errors/0/error_source", "E-INVOICE")?
            .demand_value("/errors/0/field", "number")?;
        self.story.saw(did, "422 INVALID_NUMBER");
        Ok(())
    }

    pub(super) async fn wrong_product(&mut self, token: &LiveToken) -> Result<(), Surprise> {
        self.story.chapter(
            "The same token at another product",
            "This client was made for e-invoice only; so are all its tokens.",
        );
        let did = "GET /gst/v1/gstins/{gstin}";
        let stage = self.stage;
        let answer = stage.api.gst(did, stage.production(), &token.text).await?;
        answer.demand_refusal(403, "PRODUCT_NOT_ALLOWED")?;
        self.story.saw(did, "403 PRODUCT_NOT_ALLOWED");
        Ok(())
    }

    pub(super) async fn each_in_its_place(
        &mut self,
        erp: &NewClient,
        token: &LiveToken,
    ) -> Result<(), Surprise> {
        self.story.chapter(
            "Secret and token, each where the other belongs",
            "Two credentials with one use each; a mix-up is refused, and the answer says what it was.",
        );
        let did = "the client secret as access token, at the product";
        let answer = self.register(did, Some(&erp.secret)).await?;
        answer.demand_refusal(401, "CLIENT_SECRET_USED_AS_TOKEN")?;
        self.story.saw(did, "401 CLIENT_SECRET_USED_AS_TOKEN");

        let did = "the access token as client secret, to generate";
        let answer = self.stage.api.generate(did, &token.text).await?;
        answer.demand_refusal(401, "ACCESS_TOKEN_USED_AS_SECRET")?;
        self.story.saw(did, "401 ACCESS_TOKEN_USED_AS_SECRET");

        let did = "no token at all, at the product";
        let answer = self.register(did, None).await?;
        answer.demand_refusal(401, "ACCESS_TOKEN_MISSING")?;
        self.story.saw(did, "401 ACCESS_TOKEN_MISSING");

        let did = "the token once more: the mix-ups did it no harm";
        self.register(did, Some(&token.text)).await?.demand(200)?;
        self.story.saw(did, "200");
        Ok(())
    }

    pub(super) async fn environments(&mut self, workspace: &str) -> Result<(), Surprise> {
        self.story.chapter(
            "Sandbox and production",
            "Each environment has its own clients, secrets and tokens; none opens the other.",
        );
        let stage = self.stage;
        let (client, _) = stage
            .api
            .new_client(workspace, "sahyadri-erp", "sandbox", LIFETIME_SECONDS)
            .await?;
        self.held.push(client.secret.clone());
        self.story.saw("a sandbox client of the same name", "201");
        let token = self.generate(&client, "sandbox", LIFETIME_SECONDS).await?;

        let did = "the sandbox token at the sandbox product";
        let answer = stage
            .api
            .register(did, stage.sandbox(), Some(&token.text), &invoice())
            .await?;
        answer
            .demand(200)?
            .demand_value("/admitted/environment", "sandbox")?;
        self.story.saw(did, "200");

        let did = "the sandbox token at the production product";
        let answer = self.register(did, Some(&token.text)).await?;
        answer.demand_refusal(401, "ENVIRONMENT_MISMATCH")?;
        self.story.saw(did, "401 ENVIRONMENT_MISMATCH");
        Ok(())
    }
}
