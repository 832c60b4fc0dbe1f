// What the homeserver and the gateway learn about this browser's subscription.

/**
 * Device is a subscription with what a pusher needs to know. `since` is when it was made, in seconds. `userID` is the latest
 * user's, if anybody has signed in.
 * @typedef {{appID: string, pushkey: string, endpoint: string, auth: string, userID?: string, sessionID: string, since: number}} Device
 */

/**
 * Returns the data of the pusher, without the gateway's URL. docs/webpush.md explains each member. There is no `format`, so the homeserver
 * sends the whole event, and the gateway encrypts it for this browser.
 *
 * @param {Device} device
 */
export function pusherData({ endpoint, auth, sessionID }, config) {
  return { endpoint, auth, events_only: config.eventsOnly, default_payload: { session_id: sessionID } }
}

/**
 * Returns the pusher to register (https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3pushersset).
 *
 * @param {Device} device
 * @param {{deviceName: string, lang: string}} names
 */
export function pusher(device, config, { deviceName, lang }) {
  return {
    kind: 'http',
    app_id: device.appID,
    pushkey: device.pushkey,
    app_display_name: config.name,
    device_display_name: deviceName,
    lang,
    append: config.append,
    data: { url: config.gateway, ...pusherData(device, config) },
  }
}

/**
 * Returns the notification of a made-up message, as Synapse sends one to the gateway. Each has a new event_id, because the gateway delivers
 * an event once.
 *
 * @param {Device} device
 */
export function testNotification(device, config) {
  return {
    event_id: `$${crypto.randomUUID()}`,
    room_id: '!trial:example.org',
    room_name: 'Test room',
    type: 'm.room.message',
    sender: '@alice:example.org',
    sender_display_name: 'Alice',
    content: { msgtype: 'm.text', body: 'Hello! This push came through your gateway.' },
    prio: 'high',
    counts: { unread: 1 },
    devices: [{ app_id: device.appID, pushkey: device.pushkey, pushkey_ts: device.since, data: pusherData(device, config) }],
  }
}
