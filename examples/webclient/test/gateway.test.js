import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { applicationServerKey, notify, requireSettings } from '../lib/gateway.js'
import { pusher, testNotification } from '../lib/pusher.js'
import { Trouble } from '../lib/trouble.js'
import { known, sentence } from '../page/sentences.js'
import { network } from './network.js'

const gateway = 'https://push.example.org/_matrix/push/v1/notify'
const config = { gateway, appID: 'org.example.web', name: 'Push client', eventsOnly: true, append: false }
const device = { appID: 'org.example.web', pushkey: 'KEY', endpoint: 'https://push.example.net/secret', auth: 'AUTH', sessionID: 'S', since: 1 }
const ask = `GET ${gateway}?app_id=org.example.web`

test('V12 settings that no homeserver accepts are explained', () => {
  requireSettings(config)
  for (const wrong of [{ gateway: 'push.example.org' }, { gateway: 'https://push.example.org' }, { appID: '' }, { appID: 'x'.repeat(65) }]) {
    assert.throws(() => requireSettings({ ...config, ...wrong }), { code: 'bad_settings' })
  }
})

test('V12 the key is that of the app_id', async (t) => {
  network(t, { [ask]: { body: { webpush: { 'org.example.web': { application_server_key: 'BMSF' } } } } })
  assert.equal(await applicationServerKey(gateway, 'org.example.web'), 'BMSF')
})

for (const [what, answer, code] of [
  ['no answer', undefined, 'gateway_unreachable'],
  ['a document without keys', { body: { gateway: 'matrix', unifiedpush: { gateway: 'matrix' } } }, 'gateway_without_key'],
  ['an app_id that no app has', { status: 404, body: { errcode: 'M_NOT_FOUND' } }, 'gateway_without_app'],
  ['a gateway that is starting', { status: 503, body: { errcode: 'M_UNKNOWN' } }, 'gateway_starting'],
  ['a gateway that requires TLS', { status: 403, body: { errcode: 'M_FORBIDDEN' } }, 'gateway_needs_tls'],
  ['a web page', { body: '<html>' }, 'not_a_gateway'],
  ['a page that is missing', { status: 404, body: '' }, 'not_a_gateway'],
]) {
  test(`V12 ${what} in place of the key is explained`, async (t) => {
    network(t, { [ask]: answer })
    await assert.rejects(applicationServerKey(gateway, 'org.example.web'), { code })
  })
}

for (const [what, answer, code] of [
  ['no answer', undefined, 'gateway_unreachable'],
  ['a rejection', { body: { rejected: ['KEY'] } }, 'rejected'],
  ['503', { status: 503, body: { errcode: 'M_UNKNOWN', error: 'x' } }, 'gateway_unavailable'],
  ['403', { status: 403, body: { errcode: 'M_FORBIDDEN' } }, 'gateway_needs_tls'],
  ['413', { status: 413, body: { errcode: 'M_TOO_LARGE' } }, 'gateway_refused'],
  ['an empty 200, as Caddy answers without a gateway', { body: '' }, 'not_a_gateway'],
]) {
  test(`V12 ${what} to “Send me one” is explained`, async (t) => {
    network(t, { [`POST ${gateway}`]: answer })
    await assert.rejects(notify(gateway, testNotification(device, config)), { code })
  })
}

test('V12 “Send me one” sends what a homeserver would send, each time another event', async (t) => {
  const requests = network(t, { [`POST ${gateway}`]: { body: { rejected: [] } } })
  for (let i = 0; i < 2; i++) await notify(gateway, testNotification(device, config))
  const [first, second] = requests.map(({ body }) => body.notification)
  assert.notEqual(first.event_id, second.event_id)
  const { data } = pusher(device, config, { deviceName: 'n', lang: 'en' })
  const { url, ...sent } = data
  assert.equal(url, gateway)
  assert.deepEqual(first.devices, [{ app_id: 'org.example.web', pushkey: 'KEY', pushkey_ts: 1, data: sent }])
})

test('V12 the pusher has what docs/webpush.md asks for, and no format', () => {
  assert.deepEqual(pusher(device, config, { deviceName: 'My browser', lang: 'en-GB' }), {
    kind: 'http', app_id: 'org.example.web', pushkey: 'KEY', app_display_name: 'Push client', device_display_name: 'My browser',
    lang: 'en-GB', append: false,
    data: { url: gateway, endpoint: device.endpoint, auth: 'AUTH', events_only: true, default_payload: { session_id: 'S' } },
  })
  assert.equal(pusher(device, { ...config, append: true }, { deviceName: 'n', lang: 'en' }).append, true)
})

test('V12 each trouble has a sentence that says what to do, without the subscription’s secrets', () => {
  const sources = ['lib', 'page'].flatMap((folder) => readdirSync(new URL(`../${folder}/`, import.meta.url)).map((file) => `${folder}/${file}`))
  const text = sources.map((file) => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')).join('\n')
  // The code is the first argument of Trouble, or the second of explain. A condition may choose between several.
  const chosen = [...text.matchAll(/new Trouble\(([^,\n]+)|explain\(error, ([^\n]+)/g)].map((match) => match[1] ?? match[2])
  const codes = text.match(/const codes = new Set\(\[[^\]]+/)
  const used = [...chosen, ...codes].flatMap((part) => [...part.matchAll(/'(\w+)'/g)].map(([, code]) => code))
  assert.ok(['homeserver_failed', 'homeserver_refused', 'pusher_left', 'still_signed_in', 'M_USER_LOCKED'].every((code) => used.includes(code)))
  assert.deepEqual(used.filter((code) => !known.includes(code)), [])
  for (const code of known) assert.match(sentence(new Trouble(code, { error: 'x' })), /\.$/)
})
