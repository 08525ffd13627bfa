#!/usr/bin/env node
// A whole consent with openid-client as its publisher ships it, against the sandbox in DIR.
//
//     node cycle.mjs DIR
//
// Each step prints one line; the first one that is not as it should be ends the run with 1.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual, inspect } from 'node:util'
import * as client from 'openid-client'
import { Agent, fetch } from 'undici'

const LOGIN = '9999999904'
const SMS_CODE = '12345678'
const IBAN = 'FR7617515000920440878790811'
const CLIENT_ID = 'PSDFR-ACPR-99901'

async function main(dir) {
  const read = (...path) => readFileSync(join(dir, ...path), 'utf8')
  const ready = JSON.parse(read('ready.json'))
  const port = (name) => ready[name].split(':').at(-1)
  const host = `www.17515.${ready.domain}`
  const ca = read('server-ca.pem')
  const certificate = (tpp) =>
    agent({ ca, cert: read('tpp', tpp, 'qwac.pem'), key: read('tpp', tpp, 'qwac.key') })
  const bank = {
    issuer: new URL(`https://${host}:${port('psu')}`),
    api: new URL(`https://${host}:${port('tpp')}/stet/psd2/v1.6.2/funds-confirmations`),
    callBack: `https://localhost:${port('psu')}/callback`,
    browser: agent({ ca }),
    funds: certificate('funds-co'),
    other: certificate('multi-role'),
  }
  const tpp = await discover(bank, bank.funds)
  const metadata = tpp.serverMetadata()
  same('discovery: openid-client takes the metadata, and it is the issuer\'s', metadata.issuer,
    bank.issuer.origin)
  same('… tls_client_auth and S256 are offered',
    [metadata.token_endpoint_auth_methods_supported.includes('tls_client_auth'), metadata.supportsPKCE()],
    [true, true])

  await wholeCycle(bank, tpp)
  await replay(bank, tpp)
  await wrongVerifier(bank, tpp)
  await wrongCertificate(bank, tpp)
  await refusal(bank, tpp)
  await foreignAnswers(bank, tpp)
}

// The certificate stands in the agent; whatever the library asks for goes through it.
function agent(tls) {
  return new Agent({ connect: { ...tls, lookup: findLocalhost } })
}

// Names under .localhost are this machine (RFC 6761 §6.3), which not every resolver knows.
function findLocalhost(hostname, options, callback) {
  if (!hostname.endsWith('localhost')) return callback(new Error(`${hostname} is no sandbox`))
  if (options.all) return callback(null, [{ address: '127.0.0.1', family: 4 }])
  return callback(null, '127.0.0.1', 4)
}

async function discover(bank, dispatcher) {
  return client.discovery(
    bank.issuer,
    CLIENT_ID,
    { use_mtls_endpoint_aliases: true },
    client.TlsClientAuth(),
    {
      algorithm: 'oauth2',
      [client.customFetch]: (url, options) => fetch(url, { ...options, dispatcher }),
    },
  )
}

async function wholeCycle(bank, tpp) {
  const asked = await push(bank, tpp)
  same('pushed authorization request, S256', [...asked.url.searchParams.keys()].sort(),
    ['client_id', 'request_uri'])
  const answer = await customer(bank, asked.url, 'accept')
  same('authorization: the customer logs in and accepts; a code comes, with our state and its issuer',
    [answer.searchParams.has('code'), answer.searchParams.get('state'), answer.searchParams.get('iss')],
    [true, asked.state, bank.issuer.origin])
  const used = await fetch(asked.url, { dispatcher: bank.browser, redirect: 'manual' })
  same('a pushed request is good once', used.status, 400)

  const first = await redeem(tpp, answer, asked)
  same('the code gives tokens, the certificate authenticates (tls_client_auth)',
    [first.token_type, first.scope, first.expiresIn() > 0], ['bearer', 'cbpii', true])

  same('funds confirmation: 100 EUR are there', (await confirm(bank, tpp, first, '100')).result, true)
  same('… 20000 EUR are not', (await confirm(bank, tpp, first, '20000')).result, false)

  const fact = await client.tokenIntrospection(tpp, first.access_token)
  same('introspection: the token is active, ours, for cbpii, of the issuer',
    [fact.active, fact.client_id, fact.scope, fact.iss],
    [true, CLIENT_ID, 'cbpii', bank.issuer.origin])

  const second = await client.refreshTokenGrant(tpp, first.refresh_token)
  same('refresh: another access token', second.access_token !== first.access_token, true)
  same('… which is good', (await confirm(bank, tpp, second, '100')).result, true)
  await challenged('… and the one before', confirm(bank, tpp, first, '100'))
  const before = await client.tokenIntrospection(tpp, first.access_token)
  same('… and not active', before, { active: false })
  const again = await client.refreshTokenGrant(tpp, second.refresh_token, { scope: 'cbpii' })
  same('a refresh that names the scope of the consent', again.scope, 'cbpii')
  await refused('a refresh for more than was granted', 'invalid_scope',
    client.refreshTokenGrant(tpp, again.refresh_token, { scope: 'cbpii aisp' }))

  await client.tokenRevocation(tpp, again.refresh_token, { token_type_hint: 'refresh_token' })
  ok('revocation')
  await refused('… refresh afterwards', 'invalid_grant',
    client.refreshTokenGrant(tpp, again.refresh_token))
  await challenged('… the access token', confirm(bank, tpp, again, '100'))
}

async function replay(bank, tpp) {
  const asked = await push(bank, tpp)
  const answer = await customer(bank, asked.url, 'accept')
  const token = await redeem(tpp, answer, asked)
  await refused('a code that is used again', 'invalid_grant', redeem(tpp, answer, asked))
  await challenged('… what it gave', confirm(bank, tpp, token, '100'))
}

async function wrongVerifier(bank, tpp) {
  const asked = await request(bank)
  asked.url = client.buildAuthorizationUrl(tpp, asked.parameters)
  const answer = await customer(bank, asked.url, 'accept')
  ok("a request in the browser's address, not pushed, gives a code as well")
  asked.verifier = client.randomPKCECodeVerifier()
  await refused('a wrong verifier', 'invalid_grant', redeem(tpp, answer, asked))
}

async function wrongCertificate(bank, tpp) {
  const asked = await push(bank, tpp)
  const answer = await customer(bank, asked.url, 'accept')
  const other = await discover(bank, bank.other)
  await refused("another TPP's certificate", 'invalid_client', redeem(other, answer, asked))
}

async function refusal(bank, tpp) {
  const asked = await push(bank, tpp)
  const answer = await customer(bank, asked.url, 'refuse')
  const [found] = await Promise.allSettled([redeem(tpp, answer, asked)])
  same('the customer refuses: openid-client tells access_denied, of our state and its issuer',
    [found.reason instanceof client.AuthorizationResponseError, found.reason?.error],
    [true, 'access_denied'])
}

// Answers that are not the bank's: the library is to refuse them before it asks anybody.
async function foreignAnswers(bank, tpp) {
  const asked = { state: client.randomState(), verifier: client.randomPKCECodeVerifier() }
  const answer = (fields) => new URL(`${bank.callBack}?${new URLSearchParams(fields)}`)
  const iss = bank.issuer.origin
  for (const [what, fields] of [
    ['a foreign state', { code: 'c', state: 'theirs', iss }],
    ['the issuer of another server (RFC 9207)', { code: 'c', state: asked.state, iss: 'https://else' }],
    ['no issuer (RFC 9207)', { code: 'c', state: asked.state }],
  ]) {
    const step = `openid-client refuses an answer with ${what}`
    try {
      await redeem(tpp, answer(fields), asked)
    } catch (error) {
      same(step, error.code, 'OAUTH_INVALID_RESPONSE')
      continue
    }
    wrong(step, 'it does not')
  }
}

async function request(bank) {
  const verifier = client.randomPKCECodeVerifier()
  const state = client.randomState()
  const parameters = {
    redirect_uri: bank.callBack,
    scope: 'cbpii',
    state,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  }
  return { parameters, state, verifier }
}

async function push(bank, tpp) {
  const asked = await request(bank)
  return { ...asked, url: await client.buildAuthorizationUrlWithPAR(tpp, asked.parameters) }
}

// The library compares state and iss before it sends the code.
function redeem(tpp, answer, { state, verifier }) {
  return client.authorizationCodeGrant(tpp, answer, {
    expectedState: state,
    pkceCodeVerifier: verifier,
  })
}

async function confirm(bank, tpp, token, amount) {
  const answer = await client.fetchProtectedResource(
    tpp,
    token.access_token,
    bank.api,
    'POST',
    JSON.stringify({
      paymentCoverageRequestId: 'MyCoverage123456',
      instructedAmount: { currency: 'EUR', amount },
      accountId: { iban: IBAN },
    }),
    new Headers({ 'content-type': 'application/json' }),
  )
  same('… (the answer is 200)', answer.status, 200, true)
  return answer.json()
}

// The customer and her browser: follows links, fills in forms, until the call-back.
async function customer(bank, url, decision) {
  const cookies = new Map()
  const visit = async (at, form) => {
    const answer = await fetch(at, {
      dispatcher: bank.browser,
      redirect: 'manual',
      method: form ? 'POST' : 'GET',
      body: form,
      headers: { cookie: [...cookies].map((pair) => pair.join('=')).join('; ') },
    })
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
      cookies.set(name, value)
    }
    return answer
  }
  let answer = await visit(url)
  for (let step = 0; step < 12; step += 1) {
    const location = answer.headers.get('location')
    if (location) {
      url = new URL(location, url)
      if (url.href.startsWith(`${bank.callBack}?`)) return url
      answer = await visit(url)
      continue
    }
    same('a page of the bank', answer.status, 200, true)
    const { action, form } = fillIn(await answer.text(), decision)
    url = new URL(action, url)
    answer = await visit(url, form)
  }
  return wrong("the customer's visit", 'it does not end')
}

// The one form of a page, every box ticked. Attributes of the bank's pages stand in double quotes.
function fillIn(page, decision) {
  const attribute = (tag, name) => new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1]
  const typed = { login: LOGIN, code: SMS_CODE }
  const form = new URLSearchParams()
  for (const [tag] of page.matchAll(/<input[^>]*>/g)) {
    const name = attribute(tag, 'name')
    form.append(name, typed[name] ?? attribute(tag, 'value') ?? '')
  }
  form.set('step', ['login', 'code'].find((step) => form.has(step)) ?? decision)
  return { action: attribute(/<form[^>]*>/.exec(page)[0], 'action'), form }
}

function ok(step) {
  console.log(`ok ${step}`)
}

function wrong(step, why) {
  console.log(`not ok ${step}: ${why}`)
  process.exit(1)
}

function same(step, found, expected, quietly = false) {
  if (!isDeepStrictEqual(found, expected)) {
    wrong(step, `${inspect(found)}, and not ${inspect(expected)}`)
  }
  if (!quietly) ok(step)
}

async function refused(step, error, promise) {
  const [found] = await Promise.allSettled([promise])
  same(`${step} is refused`, found.status, 'rejected', true)
  if (!(found.reason instanceof client.ResponseBodyError)) wrong(step, inspect(found.reason))
  same(`${step} is refused: ${error}`, found.reason.error, error)
}

// The library reads the challenge of a 401 (RFC 6750 §3).
async function challenged(step, promise) {
  const [found] = await Promise.allSettled([promise])
  same(`${step} is refused`, found.status, 'rejected', true)
  if (!(found.reason instanceof client.WWWAuthenticateChallengeError)) wrong(step, inspect(found.reason))
  const challenges = found.reason.cause.map(({ scheme, parameters }) => [scheme, parameters.error])
  same(`${step} is refused: invalid_token`, challenges, [['bearer', 'invalid_token']])
}

if (process.argv.length !== 3) {
  console.error('usage: node cycle.mjs DIR')
  process.exit(2)
}
main(process.argv[2]).catch((error) => {
  const why = error.error ? `${error.error}: ${error.error_description}` : inspect(error)
  wrong('the cycle goes through', why)
})
