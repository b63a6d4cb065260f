// Uses the server as any service written with openid-client would: nothing here knows Tokenward.
//
// Reads {"issuer", "client_id", "client_secret"} from standard input and fails at the first surprise.

import assert from 'node:assert/strict'
import * as client from 'openid-client'

async function everything(issuer, id, secret, authentication) {
  const config = await client.discovery(new URL(issuer), id, undefined, authentication(secret), {
    // RFC 8414 rather than OpenID Connect's own address.
    algorithm: 'oauth2',
  })
  assert.equal(config.serverMetadata().issuer, issuer)

  const first = await client.clientCredentialsGrant(config)
  assert.equal(first.token_type, 'bearer')
  assert.equal(first.expires_in, 3600)
  const told = await client.tokenIntrospection(config, first.access_token)
  assert.equal(told.active, true)
  assert.equal(told.client_id, id)
  assert.equal(told.exp - told.iat, 3600)

  const second = await client.clientCredentialsGrant(config)
  assert.notEqual(second.access_token, first.access_token)
  const superseded = await client.tokenIntrospection(config, first.access_token)
  assert.deepEqual({ ...superseded }, { active: false })

  await client.tokenRevocation(config, second.access_token, { token_type_hint: 'access_token' })
  const revoked = await client.tokenIntrospection(config, second.access_token)
  assert.deepEqual({ ...revoked }, { active: false })

  const wrong = await client.discovery(new URL(issuer), id, undefined, authentication('not-the-secret'), {
    algorithm: 'oauth2',
  })
  await assert.rejects(client.clientCredentialsGrant(wrong), (error) => error.status === 401)
}

let input = ''
for await (const chunk of process.stdin) input += chunk
const { issuer, client_id: id, client_secret: secret } = JSON.parse(input)
await everything(issuer, id, secret, client.ClientSecretBasic)
await everything(issuer, id, secret, client.ClientSecretPost)
console.log('openid-client: all well')
