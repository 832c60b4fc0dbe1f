// What the page shows. Nothing here asks the network or the browser's push service.

import { sentence } from './sentences.js'

const at = (id) => document.getElementById(id)

/**
 * State is what the page shows.
 * @typedef {object} State
 * @property {'starting' | 'unavailable' | 'off' | 'on'} notifications
 * @property {import('../lib/homeserver.js').Account} [account]
 * @property {import('../lib/pusher.js').Device} [device]
 * @property {boolean} unreachable whether the homeserver can't reach the gateway, because its URL is this machine's
 */

/** Shows a state. If the button that had the focus goes, its section's heading gets the focus. @param {State} state */
export function render({ notifications, account, device, unreachable }) {
  const focused = document.activeElement
  const registered = Boolean(account && device?.registered)
  at('notifications').dataset.state = notifications
  at('notifications-state').textContent = notificationsText(notifications)
  at('turn-on').hidden = notifications !== 'off'
  for (const id of ['turn-off', 'send', 'send-note']) at(id).hidden = notifications !== 'on'

  at('account').dataset.state = registered ? 'registered' : account ? 'signed-in' : 'signed-out'
  at('account-state').textContent = accountText(notifications, account, registered, unreachable)
  at('sign-in').hidden = Boolean(account) || notifications === 'unavailable'
  at('signed-in').hidden = !account
  at('register').hidden = !account || registered || notifications !== 'on'

  at('detail-push-service').textContent = notifications === 'on' && device ? new URL(device.endpoint).host : 'none'
  at('detail-pusher').textContent = registered ? `registered at ${new URL(account.homeserver).host}` : 'none'
  if (focused?.closest('[hidden]')) focused.closest('section').querySelector('h2').focus()
}

function notificationsText(state) {
  return {
    starting: 'Looking at this browser and the gateway …',
    unavailable: 'Notifications don’t work here.',
    off: 'Notifications are off.',
    on: 'Notifications are on: this browser receives pushes.',
  }[state]
}

function accountText(notifications, account, registered, unreachable) {
  if (!account && notifications === 'unavailable') return 'You can sign in when notifications work here.'
  if (!account) return 'Sign in, and your homeserver sends your notifications to this browser.'
  const who = `You are signed in as ${account.userID}.`
  if (!registered) return `${who} ${notifications === 'on' ? 'Your homeserver doesn’t know this browser yet.' : 'Turn on notifications, and this browser gets yours.'}`
  if (unreachable) return `${who} Your homeserver can’t send anything: the gateway’s URL is localhost, which only this machine reaches. Give the gateway a public name.`
  return `${who} Your homeserver sends your notifications to this browser.`
}

/** Shows in a section what is going on, or that it went well. An empty text removes the message. */
export function say(section, text) {
  message(section, 'good', text)
}

/** Shows in a section what went wrong, and what to do. @param {import('../lib/trouble.js').Trouble} trouble */
export function complain(section, trouble) {
  message(section, 'problem', sentence(trouble), trouble.code)
}

function message(section, kind, text, trouble = '') {
  const place = at(`${section}-message`)
  place.dataset.kind = kind
  place.dataset.trouble = trouble
  place.textContent = text
  if (kind === 'problem') place.prepend(problemMark())
}

/** Returns the code of the trouble that a section shows, or an empty text. */
export function shownTrouble(section) {
  return at(`${section}-message`).dataset.trouble ?? ''
}

/** Returns a word that marks a problem also for those who don't see the colour. */
function problemMark() {
  const mark = document.createElement('strong')
  mark.textContent = 'Problem: '
  return mark
}

/** Shows the latest push that the browser received. */
export function showLatest({ title, body }) {
  at('latest').textContent = `Received at ${new Date().toLocaleTimeString()}: “${[title, body].filter(Boolean).join(': ')}” `
    + 'If you saw no notification, check whether your system shows notifications of this browser.'
}

/** Shows the settings, and suggests a name for the session. */
export function showSettings({ gateway, appID }, deviceName) {
  at('detail-gateway').textContent = gateway
  at('detail-app-id').textContent = appID
  at('device-name').value ||= deviceName
}

/** Suggests the account that was used before. */
export function suggest({ homeserver = '', userID = '' }) {
  at('server').value ||= homeserver
  at('user').value ||= userID
}

/** Marks the page as busy, so buttons are ignored, or as idle. */
export function setBusy(busy) {
  at('main').ariaBusy = String(busy)
}

/** Reports whether an action is under way. */
export function isBusy() {
  return at('main').ariaBusy === 'true'
}

/** Connects the buttons and the form. @param {Record<string, (values?: object) => void>} actions by the id of their button or form */
export function connect(actions) {
  for (const [id, action] of Object.entries(actions)) {
    const form = at(id) instanceof HTMLFormElement
    at(id).addEventListener(form ? 'submit' : 'click', (event) => {
      event.preventDefault()
      if (!isBusy()) action(form ? Object.fromEntries(new FormData(at(id))) : undefined)
    })
  }
  at('sign-in').addEventListener('change', chooseMethod)
  chooseMethod()
}

/** Shows the fields of the chosen way to sign in. */
function chooseMethod() {
  const byToken = at('sign-in').elements.method.value === 'token'
  at('by-token').hidden = !byToken
  at('by-password').hidden = byToken
  at('token').required = byToken
  at('user').required = at('password').required = !byToken
}

/** Empties the fields with secrets. */
export function forgetSecrets() {
  at('password').value = at('token').value = ''
}
