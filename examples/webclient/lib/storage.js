// What the page and the service worker both must know, in the browser's database (IndexedDB).
//
//   device    the subscription that was last registered, as lib/pusher.js describes it
//   account   the user's session, while a pusher is registered: the service worker needs its token to renew the pusher
//   pusher    what to give as the pusher's device_display_name and lang
//   before    the server and user ID of the last session, and its device ID if it began with a password, so a login continues it
//   trouble   what went wrong in the service worker while no page was open
//   events    the latest event_ids, so no event is shown twice

import { Trouble } from './trouble.js'

const eventsKept = 200

let opened

function open() {
  opened ??= new Promise((resolve, reject) => {
    const opening = indexedDB.open('push-client', 1)
    opening.onupgradeneeded = () => opening.result.createObjectStore('values')
    opening.onsuccess = () => resolve(opening.result)
    opening.onerror = () => reject(new Trouble('no_storage'))
  })
  return opened
}

/** Runs a transaction. `work` gets the store, and a function that makes a request into a promise. */
async function transaction(mode, work) {
  const database = await open()
  const running = database.transaction('values', mode)
  const done = new Promise((resolve, reject) => {
    running.oncomplete = resolve
    running.onabort = () => reject(running.error)
  })
  const result = await work(running.objectStore('values'), answer)
  await done
  return result
}

function answer(asked) {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result)
    asked.onerror = () => reject(asked.error)
  })
}

/** Returns a value, or undefined. */
export function get(name) {
  return transaction('readonly', (store, answer) => answer(store.get(name)))
}

/** Stores a value, or removes it if it is undefined. */
export function set(name, value) {
  return transaction('readwrite', (store, answer) => answer(value === undefined ? store.delete(name) : store.put(value, name)))
}

/** Removes all values. */
export function clear() {
  return transaction('readwrite', (store, answer) => answer(store.clear()))
}

/** Notes that an event is shown, and reports whether it is new. */
export function isNew(eventID) {
  return transaction('readwrite', async (store, answer) => {
    const events = (await answer(store.get('events'))) ?? []
    if (events.includes(eventID)) return false
    await answer(store.put([...events, eventID].slice(-eventsKept), 'events'))
    return true
  })
}
