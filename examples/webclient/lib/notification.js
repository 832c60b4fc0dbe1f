// Turns a push into what the user sees. docs/webpush.md lists what the gateway sends. This file uses nothing of the browser, so it can be
// tested with Node.

import { parse } from './http.js'

/**
 * Message is a push of the gateway. Any member may be missing. Those of the pusher's default_payload are beside the others.
 * @typedef {{event_id?: string, room_id?: string, room_name?: string, room_alias?: string, type?: string, sender?: string,
 *   sender_display_name?: string, content?: Record<string, any>, membership?: string, unread?: number, missed_calls?: number,
 *   session_id?: string}} Message
 */

const longestName = 80
const longestText = 400

/** Returns the message in a push's text. A push that isn't a JSON object becomes an empty message. @returns {Message} */
export function read(text) {
  const value = parse(text ?? '')
  return value instanceof Object && !Array.isArray(value) ? value : {}
}

/**
 * Returns the notification for an event. Later events of a room have the same tag, so they replace it.
 *
 * @param {Message} message
 * @returns {{title: string, options: NotificationOptions}}
 */
export function forEvent(message) {
  const sender = name(message.sender_display_name) || name(message.sender)
  const room = name(message.room_name) || name(message.room_alias)
  const title = sender && room && sender !== room ? `${sender} in ${room}` : sender || room || 'New message'
  const roomID = string(message.room_id)
  return {
    title,
    options: {
      body: body(message, room),
      tag: roomID ? `room ${roomID}` : `event ${string(message.event_id)}`,
      renotify: true,
      data: { roomID, eventID: string(message.event_id) },
    },
  }
}

/**
 * Returns the notification for a push that brings no new event, such as a badge update. It makes no sound. It is not left out, because
 * browsers take push away from a page that gets pushes and shows nothing:
 *
 *   - Firefox counts each push during which no notification of the page is visible (_updateQuota in PushService.sys.mjs)
 *   - Safari revokes the subscription after three (https://webkit.org/blog/12945/meet-web-push/)
 *   - Chromium shows a notification of its own (push_messaging_notification_manager.cc)
 *
 * For the same reason, it stays until the user or the next event closes it. All have the same tag, so there is only one.
 *
 * @param {Message} message
 */
export function forCounts(message) {
  const unread = count(message.unread)
  const missed = count(message.missed_calls)
  const title = unread === undefined ? 'Nothing new' : unread === 0 ? 'No unread messages' : `Unread messages: ${unread}`
  return { title, options: { body: missed ? `Missed calls: ${missed}` : '', tag: countsTag, silent: true, data: {} } }
}

/** The tag of the notification that forCounts returns. */
export const countsTag = 'counts'

/** Returns a count, or undefined if the value is none. */
export function count(value) {
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

function body(message, room) {
  const content = message.content instanceof Object ? message.content : {}
  const text = plain(content.body, longestText)
  switch (string(message.type)) {
    case 'm.room.member':
      return message.membership === 'invite' ? `Invites you to ${room || 'a room'}` : 'A change of members'
    case 'm.room.encrypted':
      return 'Encrypted message'
    case 'm.call.invite':
      return 'Is calling'
    case 'm.rtc.notification':
    case 'org.matrix.msc4075.rtc.notification':
      return content.notification_type === 'ring' ? 'Is calling' : 'A call has begun'
    case 'm.sticker':
      return text ? `Sticker: ${text}` : 'Sticker'
    case 'm.room.message':
      return media(content.msgtype, text) || text || 'New message'
    default:
      return text || 'Open your client to read it'
  }
}

function media(type, text) {
  const kind = { 'm.image': 'Image', 'm.video': 'Video', 'm.audio': 'Audio', 'm.file': 'File', 'm.location': 'Location' }[string(type)]
  return kind && (text ? `${kind}: ${text}` : kind)
}

function name(value) {
  return plain(value, longestName).replace(/\s+/g, ' ').trim()
}

/** Returns a text without control characters and without those that change the direction of what follows, cut to a length. */
function plain(value, longest) {
  const characters = Array.from(string(value).replace(/[\u202a-\u202e\u2066-\u2069]/g, '').replace(/[^\P{Cc}\n]/gu, ' '))
  return characters.length > longest ? `${characters.slice(0, longest).join('')}…` : characters.join('')
}

function string(value) {
  return typeof value === 'string' ? value : ''
}
