// Uses the server as any service written with openid-client would: nothing here knows Tokenward.
//
// Reads what `libraries.rs` writes to standard input and fails at the first surprise.

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

// Uses of a token in a row.
const USES = 20
// Far enough from each end that a slow machine changes nothing, in seconds.
const SLACK = 300
// Seconds before the end from which this service takes a token for expired: the library keeps no token and leaves that to
// its caller.
const MARGIN = 30

// A service that keeps its token; the answer's `expiresIn()` is the library's own word on how long it is good.
async function caller(given, name) {
  const { id, secret } = given.clients[name]
  const config = await client.discovery(new URL(given.issuer), id, secret, undefined, { algorithm: 'oauth2' })
  let tokens
  return async () => {
    if (!tokens || tokens.expiresIn() <= MARGIN) {
      tokens = await client.clientCredentialsGrant(config, { scope: given.scope })
      assert.equal(tokens.scope, given.scope)
    }
    return tokens.access_token
  }
}

// Uses the token again and again; which ones were used.
async function use(given, one, seen) {
  for (let at = 0; at < USES; at++) {
    const token = await one()
    seen.add(token)
    const answer = await fetch(given.check, { headers: { authorization: `Bearer ${token}` } })
    assert.equal(answer.status, 200)
  }
}

async function walk(given) {
  const real = Date.now
  for (const [name, life] of [['hour', 3_600], ['never', 2_147_483]]) {
    const [one, seen] = [await caller(given, name), new Set()]
    for (const [ahead, tokens] of [[0, 1], [life - MARGIN - SLACK, 1], [life + 1, 2]]) {
      Date.now = () => real() + ahead * 1000
      await use(given, one, seen)
      assert.equal(seen.size, tokens, `${name} after ${ahead} s`)
    }
    Date.now = real
  }
  for (const name of ['short', 'shared']) await use(given, await caller(given, name), new Set())
}

let input = ''
for await (const chunk of process.stdin) input += chunk
const given = JSON.parse(input)
const { issuer, client_id: id, client_secret: secret } = given
await everything(issuer, id, secret, client.ClientSecretBasic)
await everything(issuer, id, secret, client.ClientSecretPost)
await walk(given)
console.log('openid-client: all well')
