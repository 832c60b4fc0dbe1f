// The settings of this client. If you copy the client, this is the only file that you must change.

export const config = {
  // The gateway's URL. By default, the gateway is on the same site as this page.
  gateway: new URL('/_matrix/push/v1/notify', location.origin).href,

  // The app_id, which the gateway has an app with the provider webpush for. At most 64 characters.
  appID: 'org.example.web',

  // The client's name, which users see in their list of sessions and pushers.
  name: 'Push client',

  // true: the gateway sends no badge updates, which are pushes with a count but without an event. A browser takes push away from a page that
  // gets pushes and shows nothing, so this client shows a silent notification for each badge update.
  eventsOnly: true,

  // What happens if another account of the same homeserver has used this page in this browser and not signed out. false: the homeserver deletes
  // that account's pusher. true: it keeps the pusher, for a client with several accounts. This client shows only the events of the latest one.
  append: false,
}
