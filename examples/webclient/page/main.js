// The page: what its buttons do, and what it checks each time it is opened.

import { config } from '../config.js'
import { applicationServerKey, notify, requireSettings } from '../lib/gateway.js'
import { discover, hasPusher, isLocal, isSignedOut, signIn, whoami } from '../lib/homeserver.js'
import { testNotification } from '../lib/pusher.js'
import { alone, register, signedOut, unregister } from '../lib/registration.js'
import { clear, get, set } from '../lib/storage.js'
import { hasKey, requirePermission, requireSupport } from '../lib/subscription.js'
import { asTrouble, Trouble } from '../lib/trouble.js'
import * as view from './view.js'

/** How long a push may take before the page says that none has come. */
const pushTime = 30_000

/** @type {ServiceWorkerRegistration | undefined} */
let registration
/** @type {import('../lib/homeserver.js').Account | undefined} */
let account
/** The event_id of the message that "Send me one" sent, until it arrives. */
let awaited
/** The latest action. The next one begins when it has ended. */
let latest = Promise.resolve()
/** The code of the trouble that the latest check has found, if any. */
let found

const received = 'It works: this browser has received the push.'

await start()

async function start() {
  view.connect({ 'turn-on': turnOn, 'turn-off': turnOff, send, 'sign-in': enter, register: turnOn, 'sign-out': leave })
  view.showSettings(config, `${config.name} in ${browserName()}`)
  await act('notifications', '', async () => {
    requireSupport()
    requireSettings(config)
    account = await get('account')
    view.suggest((await get('before')) ?? {})
    navigator.serviceWorker.addEventListener('message', ({ data }) => hear(data))
    registration = await startWorker()
    return check()
  })
  showRoom(roomInURL())
  const permission = await navigator.permissions?.query({ name: 'notifications' }).catch(() => undefined)
  permission?.addEventListener('change', checkAgain)
}

async function startWorker() {
  try {
    await navigator.serviceWorker.register('worker.js', { type: 'module' })
  } catch {
    throw new Trouble('worker_failed')
  }
  return navigator.serviceWorker.ready
}

/**
 * Runs an action after those before it, shows in a section what it returns or its trouble, and then shows the state.
 *
 * @param {'notifications' | 'account'} section
 * @param {string | undefined} meanwhile what to show until the action has ended. Without it, the message stays if the action returns nothing.
 * @param {() => Promise<string | void>} action
 */
function act(section, meanwhile, action) {
  const next = () => perform(section, meanwhile, action)
  latest = latest.then(next, next)
  return latest
}

async function perform(section, meanwhile, action) {
  view.setBusy(true)
  if (meanwhile !== undefined) view.say(section, meanwhile)
  try {
    const text = (await action()) ?? (meanwhile === undefined ? undefined : '')
    if (text !== undefined) view.say(section, text)
  } catch (error) {
    view.say(section, '')
    await complain(section, error)
  } finally {
    await render()
    view.setBusy(false)
  }
}

/** Shows a trouble in the section that it belongs to. */
async function complain(section, error) {
  if (isSignedOut(error)) {
    await signedOut()
    account = undefined
  }
  const trouble = asTrouble(error)
  view.complain('server' in trouble.facts ? 'account' : section, trouble)
}

async function render() {
  const subscription = await current().catch(() => null) // complained about already
  const device = await get('device').catch(() => undefined)
  const unreachable = Boolean(account) && isLocal(new URL(config.gateway).hostname) && !isLocal(new URL(account.homeserver).hostname)
  view.render({
    notifications: !registration || Notification.permission === 'denied' ? 'unavailable' : subscription ? 'on' : 'off',
    account, device, unreachable,
  })
}

/** Returns the browser's subscription. Firefox fails if its push service is switched off. */
async function current() {
  try {
    return await registration?.pushManager.getSubscription()
  } catch (error) {
    throw new Trouble('push_service_failed', { error: error.name })
  }
}

/** Compares, renews what no longer fits, and notes the trouble. */
async function check() {
  try {
    found = undefined
    return await compare()
  } catch (error) {
    found = asTrouble(error).code
    throw error
  }
}

/** Compares the browser's subscription with the gateway's key and with the homeserver's pusher, and renews what no longer fits. */
async function compare() {
  if (Notification.permission === 'denied') throw new Trouble('denied')
  const key = await applicationServerKey(config.gateway, config.appID)
  return alone(async () => {
    const trouble = await storedTrouble()
    const subscription = await current()
    const device = await get('device')
    if (!subscription && device) throw trouble ?? new Trouble('withdrawn')
    if (trouble && isSignedOut(trouble)) throw trouble
    if (!subscription) return
    const sameKey = hasKey(subscription, key)
    const known = device?.endpoint === subscription.endpoint && (device.registered || !account)
    const lost = account && device?.registered && !await hasPusher(account, device)
    if (sameKey && known && !lost) return
    // A homeserver that has no pusher any more probably got the pushkey rejected, so a new subscription is needed, too.
    if (lost) await subscription.unsubscribe()
    await register(registration, config, key, account)
    return sameKey ? 'The subscription has been renewed.' : 'The gateway has a new key, so this browser has subscribed again.'
  })
}

/** Checks while the user does something else. This removes the message of an earlier check, and leaves those of other actions. */
function checkAgain() {
  return act('notifications', undefined, async () => {
    const earlier = found !== undefined && found === view.shownTrouble('notifications')
    return (await check()) ?? (earlier ? '' : undefined)
  })
}

/** Returns what went wrong in the service worker while no page was open, once. */
async function storedTrouble() {
  const stored = await get('trouble')
  await set('trouble', undefined)
  for (const notification of await registration.getNotifications({ tag: 'trouble' })) notification.close()
  return stored && new Trouble(stored.code, stored.facts)
}

function turnOn() {
  return act('notifications', 'The browser is subscribing …', async () => {
    await requirePermission()
    const key = await applicationServerKey(config.gateway, config.appID)
    await alone(() => register(registration, config, key, account))
    view.say('account', '')
    return 'To try it, press “Send me one”.'
  })
}

function turnOff() {
  return act('notifications', 'Ending the subscription …', async () => {
    await alone(() => unregister(registration, account, false)).catch((error) => explain(error, 'pusher_left'))
    return 'This browser gets no more pushes.'
  })
}

/** Throws the trouble that a homeserver's refusal means here. */
function explain(error, code) {
  const { server } = asTrouble(error).facts
  throw server ? new Trouble(code, { server }) : error
}

function send() {
  return act('notifications', 'Waiting for the gateway’s answer …', async () => {
    if (!await get('device')) await check() // the gateway was down when the browser subscribed
    const notification = testNotification(await get('device'), config)
    awaited = notification.event_id
    await notify(config.gateway, notification)
    if (awaited !== notification.event_id) return received
    setTimeout(() => {
      if (awaited === notification.event_id) view.complain('notifications', new Trouble('no_push'))
    }, pushTime)
    return 'The gateway has taken the push. The notification should appear in a moment.'
  })
}

function enter({ server, method, user, password, token, 'device-name': deviceName }) {
  return act('account', 'Waiting for the homeserver’s answer …', async () => {
    const homeserver = await discover(server)
    account = method === 'token' ? await whoami(homeserver, token.trim()) : await signIn(homeserver, {
      user, password, deviceName, deviceID: await knownDevice(homeserver, user),
    })
    view.forgetSecrets()
    // A token's session belongs to another client. A login that continued it would sign that client out.
    await set('before', { homeserver, userID: account.userID, deviceID: method === 'password' ? account.deviceID : undefined })
    await set('pusher', { deviceName, lang: navigator.language })
    if (!await current()) return
    const key = await applicationServerKey(config.gateway, config.appID)
    await alone(() => register(registration, config, key, account))
    return 'The homeserver has registered this browser.'
  })
}

/** Returns the device ID of the last session, if it is the same user's. Then the homeserver continues that session. */
async function knownDevice(homeserver, user) {
  const before = await get('before')
  const same = before?.homeserver === homeserver && (before.userID === user || before.userID.startsWith(`@${user}:`))
  return same ? before.deviceID : undefined
}

function leave() {
  return act('account', 'Waiting for the homeserver’s answer …', async () => {
    const leaving = account
    account = undefined
    view.say('notifications', '')
    try {
      await alone(() => unregister(registration, leaving, true))
    } catch (error) {
      explain(error, 'still_signed_in')
    } finally {
      await forget()
    }
    return 'You have signed out, and the session has ended.'
  })
}

/** Removes what this browser knows of the account: everything stored, the notifications and the number on the icon. */
async function forget() {
  await clear()
  for (const notification of await registration?.getNotifications() ?? []) notification.close()
  await navigator.clearAppBadge?.().catch(() => {}) // not installed as an app
}

/** Handles what the service worker says. */
function hear(news) {
  if (news.type === 'open') showRoom(news.roomID)
  if (news.type === 'renewed') checkAgain()
  if (news.type !== 'push') return
  view.showLatest(news)
  if (!awaited || news.eventID !== awaited) return
  awaited = undefined
  view.say('notifications', received)
}

/** Shows which room a notification opened. A real client would show the room. */
function showRoom(roomID) {
  if (roomID) view.say('notifications', `You have opened a notification of the room ${roomID}. A full client would now show the room.`)
}

function roomInURL() {
  const [, room] = location.hash.match(/^#\/room\/(.+)$/) ?? []
  try {
    return decodeURIComponent(room ?? '')
  } catch {
    return ''
  }
}

function browserName() {
  const [, name] = navigator.userAgent.match(/(Firefox|Edg|Chrome|Safari)\//) ?? []
  return name === 'Edg' ? 'Edge' : name ?? 'a browser'
}
