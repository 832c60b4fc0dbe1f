// The requests to the homeserver (client-server API of Matrix).

import { request, Unreachable } from './http.js'
import { Trouble } from './trouble.js'

/** How many seconds a homeserver may ask to wait without the user having to try again. */
const shortWait = 10

/**
 * Account is a session of a user.
 * @typedef {{homeserver: string, userID: string, deviceID: string, token: string}} Account
 */

/**
 * Finds the homeserver's URL (https://spec.matrix.org/latest/client-server-api/#well-known-uri).
 *
 * @param {string} input a server name, a user ID or a URL
 * @returns {Promise<string>} the base URL, without a slash at the end
 */
export async function discover(input) {
  const name = input.trim().replace(/^@[^:]*:/, '')
  const base = isURL(name) ? allowed(name) : await wellKnown(allowed(`https://${name}`))
  const { status, body } = await ask(base, `${base}/_matrix/client/versions`)
  if (status !== 200 || !Array.isArray(body?.versions)) throw new Trouble('not_a_homeserver', { server: host(base) })
  return base
}

/** Returns the URL that the server's document names, or the server's own URL if there is no document. */
async function wellKnown(base) {
  const { status, body } = await ask(base, `${base}/.well-known/matrix/client`, { redirect: 'follow' }).catch(() => ({ status: 404, body: undefined }))
  const url = body?.['m.homeserver']?.base_url
  if (status !== 200) return base
  if (typeof url !== 'string' || !isURL(url)) throw new Trouble('bad_well_known', { server: host(base) })
  return allowed(url)
}

function isURL(text) {
  return /^https?:\/\//i.test(text)
}

/** Returns the URL without query and slash at the end, if a token may be sent there: by https, or within this machine. */
function allowed(text) {
  const url = URL.canParse(text) && new URL(text)
  if (!url || url.username || url.password || url.hostname.includes('%')) throw new Trouble('bad_server_name')
  if (url.protocol !== 'https:' && !isLocal(url.hostname)) throw new Trouble('plain_http', { server: url.host })
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

/** Reports whether a host name is one of this machine's that the page's policy allows without encryption. */
export function isLocal(hostname) {
  return hostname === 'localhost' || hostname === '127.0.0.1'
}

/**
 * Signs in with a password.
 *
 * @param {string} homeserver
 * @param {{user: string, password: string, deviceID?: string, deviceName: string}} login
 * @returns {Promise<Account>}
 */
export async function signIn(homeserver, { user, password, deviceID, deviceName }) {
  const flows = await call(homeserver, '/login')
  if (!flows.flows?.some((flow) => flow.type === 'm.login.password')) throw new Trouble('no_password_login', { server: host(homeserver) })
  const answer = await call(homeserver, '/login', {
    method: 'POST',
    body: {
      type: 'm.login.password', identifier: { type: 'm.id.user', user }, password,
      device_id: deviceID, initial_device_display_name: deviceName,
    },
  })
  return { homeserver, userID: answer.user_id, deviceID: answer.device_id, token: answer.access_token }
}

/**
 * Returns the account that an access token belongs to.
 *
 * @returns {Promise<Account>}
 */
export async function whoami(homeserver, token) {
  const answer = await call(homeserver, '/account/whoami', { token })
  return { homeserver, userID: answer.user_id, deviceID: answer.device_id ?? '', token }
}

/** Ends the session, so its token no longer works. */
export async function signOut({ homeserver, token }) {
  await call(homeserver, '/logout', { method: 'POST', token, body: {} })
}

/** Registers a pusher, or changes it. lib/pusher.js makes its body. */
export async function setPusher({ homeserver, token }, pusher) {
  await call(homeserver, '/pushers/set', { method: 'POST', token, body: pusher })
}

/** Deletes a pusher. */
export async function deletePusher({ homeserver, token }, { appID, pushkey }) {
  await call(homeserver, '/pushers/set', { method: 'POST', token, body: { kind: null, app_id: appID, pushkey } })
}

/** Reports whether the homeserver has a device's pusher. A homeserver deletes a pusher whose pushkey the gateway rejects. */
export async function hasPusher({ homeserver, token }, { appID, pushkey }) {
  const { pushers } = await call(homeserver, '/pushers', { token })
  return Array.isArray(pushers) && pushers.some((pusher) => pusher.app_id === appID && pusher.pushkey === pushkey)
}

/** Sends a request, and returns the body of its answer. If the homeserver asks for a short delay, it tries once more. */
async function call(homeserver, path, options) {
  const url = `${homeserver}/_matrix/client/v3${path}`
  let answer = await ask(homeserver, url, options)
  const seconds = delay(answer)
  if (seconds > 0 && seconds <= shortWait) {
    await new Promise((done) => setTimeout(done, seconds * 1000))
    answer = await ask(homeserver, url, options)
  }
  if (answer.status === 200 && answer.body instanceof Object) return answer.body
  throw refusal(homeserver, answer)
}

async function ask(homeserver, url, options) {
  try {
    return await request(url, options)
  } catch (error) {
    if (error instanceof Unreachable) throw new Trouble('homeserver_unreachable', { server: host(homeserver) })
    throw error
  }
}

/** Returns how many seconds a homeserver asks to wait, or 0 if it doesn't limit the rate. */
function delay({ status, body, retryAfter }) {
  if (status !== 429 && body?.errcode !== 'M_LIMIT_EXCEEDED') return 0
  return Math.ceil(retryAfter || body?.retry_after_ms / 1000 || 30)
}

/** The error codes that have a sentence. */
const codes = new Set([
  'M_UNKNOWN_TOKEN', 'M_MISSING_TOKEN', 'M_FORBIDDEN', 'M_USER_DEACTIVATED', 'M_USER_LOCKED', 'M_USER_SUSPENDED', 'M_INVALID_PARAM',
  'M_MISSING_PARAM', 'M_UNRECOGNIZED', 'M_CONSENT_NOT_GIVEN', 'M_RESOURCE_LIMIT_EXCEEDED',
])

/** Returns the trouble for an answer that is not a success. Its text is the homeserver's, which names no secret of ours. */
function refusal(homeserver, answer) {
  const server = host(homeserver)
  const { status, body } = answer
  const seconds = delay(answer)
  if (seconds) return new Trouble('M_LIMIT_EXCEEDED', { server, seconds })
  if (typeof body?.errcode !== 'string') return new Trouble(status === 200 || status === 404 ? 'not_a_homeserver' : 'homeserver_failed', { server, status })
  return new Trouble(codes.has(body.errcode) ? body.errcode : 'homeserver_refused', {
    server, status, errcode: body.errcode.slice(0, 80), error: String(body.error ?? '').slice(0, 200),
  })
}

/** Reports whether the homeserver has ended the session. */
export function isSignedOut(error) {
  return error instanceof Trouble && (error.code === 'M_UNKNOWN_TOKEN' || error.code === 'M_MISSING_TOKEN')
}

function host(url) {
  return new URL(url).host
}
