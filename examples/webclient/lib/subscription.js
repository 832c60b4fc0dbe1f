// The browser's push subscription (https://w3c.github.io/push-api/).

import { Trouble } from './trouble.js'

/** How long the browser may take to subscribe. A browser that can't reach its push service may wait forever. */
const subscribeTime = 20_000

/** Throws if this browser can't receive pushes here. Only for the page, because a service worker has no such doubts. */
export function requireSupport() {
  if (!globalThis.isSecureContext) throw new Trouble('insecure')
  const missing = !('serviceWorker' in navigator) || !('PushManager' in globalThis) || !('Notification' in globalThis)
  // Safari on iPhone and iPad has these only in apps on the home screen. Only Safari has navigator.standalone.
  if (missing && navigator.standalone === false) throw new Trouble('home_screen')
  if (missing) throw new Trouble('unsupported')
}

/** Asks the user for the permission to show notifications. Call it only when the user has pressed a button. */
export async function requirePermission() {
  const permission = await Notification.requestPermission()
  if (permission === 'denied') throw new Trouble('denied')
  if (permission !== 'granted') throw new Trouble('not_answered')
}

/**
 * Subscribes, unless there is a subscription with this key already. A subscription with another key ends, because push services refuse the
 * gateway's pushes to it.
 *
 * @param {ServiceWorkerRegistration} registration
 * @param {string} key the gateway's key
 * @returns {Promise<PushSubscription>}
 */
export async function subscribe(registration, key) {
  try {
    const existing = await registration.pushManager.getSubscription()
    if (existing && hasKey(existing, key)) return existing
    await existing?.unsubscribe()
    const subscribing = registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: decode(key) })
    return await Promise.race([subscribing, rejectLater(subscribeTime)])
  } catch (error) {
    throw subscribeTrouble(error)
  }
}

function rejectLater(time) {
  return new Promise((_, reject) => setTimeout(() => reject(new Trouble('push_service_silent')), time))
}

function subscribeTrouble(error) {
  if (error instanceof Trouble) return error
  if (error.name === 'NotAllowedError') return new Trouble('denied')
  if (error.name === 'InvalidAccessError' || error.name === 'InvalidCharacterError') return new Trouble('bad_key')
  return new Trouble('push_service_failed', { error: error.name }) // AbortError in Chromium and Firefox
}

/** Reports whether a subscription was made with a key. A browser that doesn't say which one gets the benefit of the doubt. */
export function hasKey(subscription, key) {
  const used = subscription.options?.applicationServerKey
  return !used || encode(used) === key.replace(/=+$/, '')
}

/**
 * Returns what a subscription contains.
 *
 * @param {PushSubscription} subscription
 */
export function describe(subscription) {
  return { pushkey: encode(subscription.getKey('p256dh')), endpoint: subscription.endpoint, auth: encode(subscription.getKey('auth')) }
}

/** Returns bytes as base64url without padding (RFC 4648 section 5). */
export function encode(buffer) {
  return btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/** Returns the bytes of a base64url text. */
export function decode(text) {
  let binary
  try {
    binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  } catch {
    throw new Trouble('bad_key')
  }
  return Uint8Array.from(binary, (char) => char.charCodeAt(0))
}
