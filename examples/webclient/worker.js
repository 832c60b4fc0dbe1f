// The service worker. The browser starts it for each push, also when no page is open, and may end it at any time.

import { config } from './config.js'
import { count, countsTag, forCounts, forEvent, read } from './lib/notification.js'
import { alone, renew } from './lib/registration.js'
import { get, isNew, set } from './lib/storage.js'
import { asTrouble } from './lib/trouble.js'

const { clients, registration } = self

self.addEventListener('install', () => self.skipWaiting())
self.addEventListener('activate', (event) => event.waitUntil(clients.claim()))
self.addEventListener('push', (event) => event.waitUntil(inOrder(() => receive(read(event.data?.text())))))
self.addEventListener('notificationclick', (event) => event.waitUntil(open(event.notification)))
self.addEventListener('pushsubscriptionchange', (event) => event.waitUntil(renewed(event.oldSubscription)))

/** Handles pushes one after the other. Otherwise, an earlier push could close or replace the notification of a later one. */
function inOrder(work) {
  return navigator.locks.request('push', work)
}

/** Shows a push. Whatever the push contains, something is visible afterwards. */
async function receive(message) {
  const device = await get('device').catch(() => undefined)
  const foreign = message.session_id && message.session_id !== device?.sessionID
  if (foreign) return showCounts({}) // for an account that is no longer signed in here
  await show(message)
  await setBadge(count(message.unread))
}

async function show(message) {
  if (!message.event_id) return showCounts(message)
  if (await isNew(message.event_id).catch(() => true)) return ring(message)
  return showAgain(message)
}

async function ring(message) {
  const { title, options } = forEvent(message)
  await registration.showNotification(title, options)
  await close(({ tag }) => tag === countsTag)
  await tell({ type: 'push', eventID: message.event_id, title, body: options.body })
}

/** Handles an event that arrives a second time: what is visible stays as it is, without a sound. */
async function showAgain(message) {
  const visible = await registration.getNotifications({ tag: forEvent(message).options.tag })
  if (visible.length === 0) return showCounts(message)
  const { title, body, tag, data } = visible[0]
  return registration.showNotification(title, { body, tag, data, silent: true })
}

async function showCounts(message) {
  const { title, options } = forCounts(message)
  await registration.showNotification(title, options)
  if (count(message.unread) === 0) await close(({ tag }) => tag !== countsTag) // all rooms were read elsewhere
  await tell({ type: 'push', title, body: options.body })
}

async function close(condition) {
  for (const notification of await registration.getNotifications()) {
    if (condition(notification)) notification.close()
  }
}

/** Sets the number on the client's icon, where the browser has the Badging API. */
async function setBadge(unread) {
  if (unread === undefined || !navigator.setAppBadge) return
  await navigator.setAppBadge(unread).catch(() => {}) // not installed as an app
}

/** Brings the client to the front, and lets it show the room. */
async function open(notification) {
  notification.close()
  const roomID = notification.data?.roomID ?? ''
  const [page] = await pages()
  if (!page) return clients.openWindow(roomID ? `./#/room/${encodeURIComponent(roomID)}` : './')
  page.postMessage({ type: 'open', roomID })
  return page.focus().catch(() => {}) // the browser may refuse, for example if the user has answered too late
}

async function renewed(oldSubscription) {
  try {
    await alone(() => renew(registration, config, oldSubscription))
    await set('trouble', undefined)
  } catch (error) {
    const { code, facts } = asTrouble(error)
    await set('trouble', { code, facts })
    await registration.showNotification('Push notifications have stopped', { body: `Open ${config.name} to turn them on again.`, tag: 'trouble' })
      .catch(() => {}) // the user has forbidden notifications
  }
  await tell({ type: 'renewed' })
}

async function pages() {
  const windows = await clients.matchAll({ type: 'window', includeUncontrolled: true })
  return windows.filter(({ url }) => url.startsWith(registration.scope))
}

async function tell(news) {
  for (const page of await pages()) page.postMessage(news)
}
