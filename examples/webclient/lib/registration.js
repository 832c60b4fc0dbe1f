// Keeps the pusher in step with the browser's subscription. The page and the service worker both use it.

import { applicationServerKey } from './gateway.js'
import { deletePusher, isSignedOut, setPusher, signOut } from './homeserver.js'
import { pusher } from './pusher.js'
import { get, set } from './storage.js'
import { describe, encode, subscribe } from './subscription.js'

/** Runs `work` alone: neither another tab nor the service worker changes the registration at the same time. */
export function alone(work) {
  return navigator.locks.request('registration', work)
}

/**
 * Subscribes with the gateway's key, and registers the pusher if the user is signed in. If the subscription is another one than before, the
 * pusher of the earlier one is deleted. Call it inside alone.
 *
 * @param {ServiceWorkerRegistration} registration
 * @param {object} config
 * @param {string} key the gateway's key
 * @param {import('./homeserver.js').Account} [account]
 */
export async function register(registration, config, key, account) {
  const device = await note(await subscribe(registration, key), config, account)
  if (!account) return
  await setPusher(account, pusher(device, config, (await get('pusher')) ?? { deviceName: config.name, lang: 'en' }))
  await set('account', account)
  await set('device', { ...device, registered: true })
  if (device.replaces) await forget(account, device)
}

/**
 * Stores what the subscription contains before a push can arrive. An earlier subscription is noted as replaced. Another user gets another
 * session ID, so pushes for the earlier user are not shown.
 */
async function note(subscription, config, account) {
  const old = await get('device')
  const userID = account?.userID ?? old?.userID
  const described = describe(subscription)
  const same = old?.pushkey === described.pushkey && old.appID === config.appID
  const device = {
    ...described,
    appID: config.appID,
    userID,
    sessionID: old && old.userID === userID ? old.sessionID : crypto.randomUUID(),
    since: Math.floor(Date.now() / 1000),
    registered: same && old.registered,
    replaces: same ? old.replaces : old?.registered ? { appID: old.appID, pushkey: old.pushkey } : old?.replaces,
  }
  await set('device', device)
  return device
}

/** Deletes the pusher that a device replaces. If that fails, the next registration tries again. */
async function forget(account, device) {
  try {
    await deletePusher(account, device.replaces)
  } catch {
    return
  }
  await set('device', { ...device, registered: true, replaces: undefined })
}

/**
 * Renews the subscription after the browser has replaced or ended it (the event pushsubscriptionchange).
 *
 * @param {ServiceWorkerRegistration} registration
 * @param {object} config
 * @param {PushSubscription | null} [old] the subscription that ended
 */
export async function renew(registration, config, old) {
  if (!await get('device')) return // notifications have been turned off in the meantime
  const key = await applicationServerKey(config.gateway, config.appID).catch((error) => {
    const used = old?.options?.applicationServerKey
    if (used) return encode(used) // the gateway is down now, and its key has probably not changed
    throw error
  })
  const account = await get('account')
  try {
    await register(registration, config, key, account)
  } catch (error) {
    if (isSignedOut(error)) await signedOut()
    throw error
  }
}

/** Notes that the homeserver has ended the session, and perhaps deleted its pushers. The subscription stays for the next session. */
export async function signedOut() {
  await set('account', undefined)
  const device = await get('device')
  if (device) await set('device', { ...device, registered: false })
}

/**
 * Deletes the pusher, and ends the subscription and with `session` also the session. It tries each of these even if another fails, and throws
 * the first error. If the homeserver can't be asked to delete the pusher, it does so when the gateway rejects the next push to it.
 *
 * @param {ServiceWorkerRegistration | undefined} registration
 * @param {import('./homeserver.js').Account | undefined} account
 * @param {boolean} session
 */
export async function unregister(registration, account, session) {
  const device = await get('device')
  const kept = await failure(async () => account && device?.registered && deletePusher(account, device))
  const subscribed = await failure(async () => (await registration?.pushManager.getSubscription())?.unsubscribe())
  const left = session ? await failure(async () => account && signOut(account)) : kept // a session's pushers end with it
  await set('account', undefined)
  await set('device', undefined)
  if (left ?? subscribed) throw left ?? subscribed
}

/** Returns the error of some work, unless it is that the session has ended already. */
async function failure(work) {
  try {
    await work()
  } catch (error) {
    return isSignedOut(error) ? undefined : error
  }
}
