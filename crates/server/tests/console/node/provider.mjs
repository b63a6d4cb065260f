// A real OpenID Connect provider, as others write them, with accounts whose addresses it has verified and some whose it
// has not. Prints its issuer, reads where it may lead back to, and serves until its input ends.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Provider } from "oidc-provider";

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://localhost:${server.address().port}`;
  createInterface({ input: process.stdin }).once("line", (back) => {
    const provider = new Provider(issuer, {
      clients: [{
        client_id: "tokenward", client_secret: "a-secret-of-the-console-at-its-provider",
        redirect_uris: [back], grant_types: ["authorization_code"], response_types: ["code"],
      }],
      conformIdTokenClaims: false,
      claims: { openid: ["sub"], email: ["email", "email_verified"] },
      pkce: { required: () => true },
      features: { devInteractions: { enabled: true } },
      findAccount: (_, id) => ({
        accountId: id,
        claims: () => ({ sub: id, email: `${id.replace(/-unverified$|-other$/, "")}@example.com`, email_verified: !id.endsWith("-unverified") }),
      }),
    });
    server.on("request", provider.callback());
  }).on("close", () => process.exit(0));
  console.log(issuer);
});
