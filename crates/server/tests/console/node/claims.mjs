// A single sign-on provider that says what a test tells it to: any claims, in any type, signed by its own key. It counts
// how often its metadata and its keys are asked for. Prints its issuer and serves until its input ends. PATHS of its own:
// POST /code makes an authorization code for the claims in the body, POST /key changes its key, GET /counts counts.
import { createHash, createSign, generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";

const encoded = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const codes = new Map();
const counts = { metadata: 0, keys: 0, tokens: 0 };
let keys = 0;
let pair;
const anotherKey = () => { keys += 1; pair = generateKeyPairSync("rsa", { modulusLength: 2048 }); };
anotherKey();

const signed = (claims) => {
  const text = `${encoded({ alg: "RS256", typ: "JWT", kid: `key-${keys}` })}.${encoded(claims)}`;
  return `${text}.${createSign("RSA-SHA256").update(text).sign(pair.privateKey).toString("base64url")}`;
};

const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const issuer = `http://127.0.0.1:${server.address().port}${process.env.ISSUER_END ?? ""}`;
  const answer = (value, status = 200) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(value));
  };
  const base = `http://127.0.0.1:${server.address().port}`;
  switch (request.url.split("?")[0]) {
    case "/.well-known/openid-configuration":
      counts.metadata += 1;
      return answer({
        issuer, authorization_endpoint: `${base}/authorize`, token_endpoint: `${base}/token`, jwks_uri: `${base}/jwks`,
        response_types_supported: ["code"], subject_types_supported: ["public"], id_token_signing_alg_values_supported: ["RS256"],
      });
    case "/jwks":
      counts.keys += 1;
      return answer({ keys: [{ ...pair.publicKey.export({ format: "jwk" }), kid: `key-${keys}`, use: "sig", alg: "RS256" }] });
    case "/token": {
      counts.tokens += 1;
      const claims = codes.get(new URLSearchParams(body).get("code"));
      if (!claims) return answer({ error: "invalid_grant" }, 400);
      const now = Math.floor(Date.now() / 1000);
      return answer({
        access_token: "a", token_type: "Bearer",
        id_token: signed({ iss: issuer, aud: "tokenward", iat: now, exp: now + 60, ...claims }),
      });
    }
    case "/code": {
      const code = createHash("sha256").update(body).digest("hex");
      codes.set(code, JSON.parse(body));
      return answer({ code });
    }
    case "/key":
      anotherKey();
      return answer({});
    case "/counts":
      return answer(counts);
    default:
      return answer({}, 404);
  }
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
process.stdin.on("end", () => process.exit(0)).resume();
