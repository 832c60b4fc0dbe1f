import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deletePusher, discover, hasPusher, isLocal, setPusher, signIn, signOut, whoami } from '../lib/homeserver.js'
import { sentence } from '../page/sentences.js'
import { network } from './network.js'

const base = 'https://hs.example.org'
const api = `${base}/_matrix/client/v3`
const versions = { [`GET ${base}/_matrix/client/versions`]: { body: { versions: ['v1.11'] } } }
const account = { homeserver: base, userID: '@alice:example.org', deviceID: 'D', token: 'secret-token' }
const wellKnown = (answer) => ({ 'GET https://example.org/.well-known/matrix/client': answer })
const names = { body: { 'm.homeserver': { base_url: `${base}/` } } }

for (const input of ['example.org', ' example.org ', '@alice:example.org', base, `${base}/`]) {
  test(`V11 the homeserver of ${JSON.stringify(input)} is found`, async (t) => {
    network(t, { ...wellKnown(names), ...versions })
    assert.equal(await discover(input), base)
  })
}

test('V11 without a document, the server’s own URL is used', async (t) => {
  for (const answer of [{ status: 404, body: 'none' }, undefined]) {
    network(t, { ...wellKnown(answer), 'GET https://example.org/_matrix/client/versions': { body: { versions: [] } } })
    assert.equal(await discover('example.org'), 'https://example.org')
    t.mock.restoreAll()
  }
})

for (const [what, input, routes, code] of [
  ['no server name', 'a b', {}, 'bad_server_name'],
  ['a URL with a password', 'https://a:b@example.org', {}, 'bad_server_name'],
  ['a URL without encryption', 'http://example.org', {}, 'plain_http'],
  ['a document that names a URL without encryption', 'example.org', wellKnown({ body: { 'm.homeserver': { base_url: 'http://example.org' } } }), 'plain_http'],
  ['a document without a homeserver', 'example.org', wellKnown({ body: {} }), 'bad_well_known'],
  ['a document that isn’t JSON', 'example.org', wellKnown({ body: '<html>' }), 'bad_well_known'],
  ['a web page in place of a homeserver', base, { [`GET ${base}/_matrix/client/versions`]: { body: '<html>' } }, 'not_a_homeserver'],
  ['a server that doesn’t answer', base, {}, 'homeserver_unreachable'],
]) {
  test(`V11 ${what} is explained`, async (t) => {
    network(t, routes)
    await assert.rejects(discover(input), { code })
  })
}

test('V11 the token goes nowhere but to the homeserver, and no redirect is followed with it', async (t) => {
  const requests = network(t, { ...versions, [`GET ${api}/account/whoami`]: { body: { user_id: '@alice:example.org', device_id: 'D' } } })
  assert.deepEqual(await whoami(await discover(base), 'secret-token'), account)
  for (const { url, redirect, credentials, headers } of requests) {
    assert.ok(!url.includes('secret-token'))
    assert.equal(credentials, 'omit')
    if (headers.Authorization) assert.equal(redirect, 'error')
  }
  assert.equal(requests.at(-1).headers.Authorization, 'Bearer secret-token')
})

const flows = { [`GET ${api}/login`]: { body: { flows: [{ type: 'm.login.sso' }, { type: 'm.login.password' }] } } }
const login = { user: 'alice', password: 'secret', deviceName: 'Push client', deviceID: 'D' }

test('V11 a password login names the session, and continues the last one', async (t) => {
  const answer = { user_id: '@alice:example.org', device_id: 'D', access_token: 'secret-token' }
  const requests = network(t, { ...flows, [`POST ${api}/login`]: { body: answer } })
  assert.deepEqual(await signIn(base, login), account)
  const { body } = requests.at(-1)
  assert.equal(body.device_id, 'D')
  assert.equal(body.initial_device_display_name, 'Push client')
})

test('V11 a homeserver without password login is not sent the password', async (t) => {
  const requests = network(t, { [`GET ${api}/login`]: { body: { flows: [{ type: 'm.login.sso' }] } } })
  await assert.rejects(signIn(base, login), { code: 'no_password_login' })
  assert.equal(requests.length, 1)
})

for (const [status, body, code] of [
  [401, { errcode: 'M_UNKNOWN_TOKEN', soft_logout: true }, 'M_UNKNOWN_TOKEN'],
  [403, { errcode: 'M_FORBIDDEN', error: 'no' }, 'M_FORBIDDEN'],
  [403, { errcode: 'M_USER_DEACTIVATED' }, 'M_USER_DEACTIVATED'],
  [400, { errcode: 'M_INVALID_PARAM', error: 'url' }, 'M_INVALID_PARAM'],
  [404, { errcode: 'M_UNRECOGNIZED' }, 'M_UNRECOGNIZED'],
  [400, { errcode: 'ORG_EXAMPLE_ODD', error: 'odd' }, 'homeserver_refused'],
  [404, '<html>', 'not_a_homeserver'],
  [200, '<html>', 'not_a_homeserver'],
  [502, '<html>', 'homeserver_failed'],
]) {
  test(`V11 the answer ${status} ${body.errcode ?? body} is explained`, async (t) => {
    network(t, { [`POST ${api}/pushers/set`]: { status, body } })
    await assert.rejects(setPusher(account, {}), (error) => {
      assert.equal(error.code, code)
      assert.ok(!sentence(error).includes('undefined') && !sentence(error).includes(account.token))
      return true
    })
  })
}

test('V11 a short delay that the homeserver asks for is waited out, a long one is shown', async (t) => {
  const limited = (body, headers) => ({ status: 429, body: { errcode: 'M_LIMIT_EXCEEDED', ...body }, headers })
  t.mock.method(globalThis, 'setTimeout', (done) => queueMicrotask(done))
  const requests = network(t, { [`POST ${api}/logout`]: [limited({ retry_after_ms: 2000 }), { body: {} }] })
  await signOut(account)
  assert.equal(requests.length, 2)
  for (const [answer, seconds] of [[limited({ retry_after_ms: 61_000 }), 61], [limited({}, { 'Retry-After': '42' }), 42], [limited({}), 30]]) {
    network(t, { [`POST ${api}/logout`]: answer })
    await assert.rejects(signOut(account), { code: 'M_LIMIT_EXCEEDED', facts: { server: 'hs.example.org', seconds } })
  }
})

test('V11 a pusher is found by app_id and pushkey, and deleted with kind null', async (t) => {
  const device = { appID: 'org.example.web', pushkey: 'K' }
  const requests = network(t, {
    [`GET ${api}/pushers`]: { body: { pushers: [{ app_id: 'org.example.web', pushkey: 'K' }] } },
    [`POST ${api}/pushers/set`]: { body: {} },
  })
  assert.equal(await hasPusher(account, device), true)
  assert.equal(await hasPusher(account, { ...device, pushkey: 'L' }), false)
  await deletePusher(account, device)
  assert.deepEqual(requests.at(-1).body, { kind: null, app_id: 'org.example.web', pushkey: 'K' })
})

test('V11 only the names of this machine that the policy allows are local', () => {
  for (const name of ['localhost', '127.0.0.1']) assert.equal(isLocal(name), true, name)
  for (const name of ['example.org', 'localhost.example.org', 'a.localhost', '[::1]', '127.0.0.2', '10.0.0.1', '127.0.0.1.example.org']) assert.equal(isLocal(name), false, name)
})
