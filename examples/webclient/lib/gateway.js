// The requests to the push gateway.

import { request, Unreachable } from './http.js'
import { Trouble } from './trouble.js'

/** Throws if the settings can't work. A homeserver accepts only URLs with this path, and only app_ids of this length. */
export function requireSettings({ gateway, appID }) {
  const usable = URL.canParse(gateway) && new URL(gateway).pathname === '/_matrix/push/v1/notify'
  if (!usable || !appID || appID.length > 64) throw new Trouble('bad_settings')
}

/**
 * Asks the gateway for the key that browsers subscribe with.
 *
 * @param {string} gateway the URL of its endpoint
 * @param {string} appID
 * @returns {Promise<string>} the public VAPID key, base64url
 */
export async function applicationServerKey(gateway, appID) {
  const { status, body } = await ask(gateway, `${gateway}?app_id=${encodeURIComponent(appID)}`)
  const facts = { gateway: new URL(gateway).host, appID, status }
  if (status === 503) throw new Trouble('gateway_starting', facts)
  if (status === 403) throw new Trouble('gateway_needs_tls', facts)
  if (status === 404 && body?.errcode === 'M_NOT_FOUND') throw new Trouble('gateway_without_app', facts)
  if (status !== 200 || !(body instanceof Object)) throw new Trouble('not_a_gateway', facts)
  const key = body.webpush?.[appID]?.application_server_key
  if (typeof key !== 'string') throw new Trouble('gateway_without_key', facts)
  return key
}

/**
 * Sends a notification to this browser, as a homeserver would.
 *
 * @param {string} gateway
 * @param {object} notification as lib/pusher.js makes it
 */
export async function notify(gateway, notification) {
  const { status, body, retryAfter } = await ask(gateway, gateway, { method: 'POST', body: { notification } })
  const facts = { gateway: new URL(gateway).host, status, seconds: retryAfter, error: String(body?.error ?? '').slice(0, 200) }
  if (status === 503) throw new Trouble('gateway_unavailable', facts)
  if (status === 403) throw new Trouble('gateway_needs_tls', facts)
  if (status >= 400 && status < 500 && body?.errcode) throw new Trouble('gateway_refused', facts)
  if (status !== 200 || !Array.isArray(body?.rejected)) throw new Trouble('not_a_gateway', facts)
  if (body.rejected.includes(notification.devices[0].pushkey)) throw new Trouble('rejected', facts)
}

async function ask(gateway, url, options) {
  try {
    return await request(url, options)
  } catch (error) {
    if (error instanceof Unreachable) throw new Trouble('gateway_unreachable', { gateway: new URL(gateway).host })
    throw error
  }
}
