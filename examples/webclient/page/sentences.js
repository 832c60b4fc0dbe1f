// What the page says about each trouble: what happened, and what to do.

/** @type {Record<string, (facts: Record<string, string | number>) => string>} */
const sentences = {
  // this browser
  insecure: () => 'The browser allows push only on pages with HTTPS, and on localhost. Open this page at an https address, or at http://localhost.',
  unsupported: () => 'This browser has no push notifications, or they are off, for example in a private window. Use a normal window of a current Firefox, Chrome, Edge or Safari.',
  home_screen: () => 'On iPhone and iPad, push works only for apps on the home screen. Press Share, then “Add to Home Screen”, and open this page from there.',
  worker_failed: () => 'The browser didn’t start this page’s service worker. Reload the page. If it fails again, the page’s certificate may be invalid, or the browser too old.',
  no_storage: () => 'The browser stores nothing for this page, for example in a private window or because its site data is blocked. Allow site data, and reload the page.',
  denied: () => 'The browser blocks notifications from this page. Allow them in the page’s settings, beside the address, and reload the page.',
  not_answered: () => 'You haven’t allowed notifications yet. Press “Turn on” again, and allow them when the browser asks.',
  withdrawn: () => 'The browser has ended this page’s subscription, for example because notifications were blocked for a while. Press “Turn on” to subscribe again.',
  push_service_silent: () => 'The browser can’t reach its push service. Push always goes through the service of the browser’s maker, so this machine needs internet. Check the connection, then press “Turn on” again.',
  push_service_failed: ({ error }) => `The browser could not subscribe at its push service (${error}). Push always goes through the service of the browser’s maker, so this machine needs internet. Check the connection, then press “Turn on” again.`,
  bad_key: () => 'The browser refuses the gateway’s key. The operator of the gateway should check the option vapid_key_file.',

  // the gateway
  bad_settings: () => 'config.js has a mistake: gateway must be a URL that ends with /_matrix/push/v1/notify, and appID must have 1 to 64 characters.',
  gateway_unreachable: ({ gateway }) => `The gateway ${gateway} does not answer. Check that it runs, and that config.js has its URL. Then reload the page.`,
  gateway_starting: ({ gateway }) => `The gateway ${gateway} is starting. Reload the page in a few seconds.`,
  gateway_needs_tls: ({ gateway }) => `The gateway ${gateway} refuses requests without TLS. Write its https URL into config.js. On localhost, the gateway’s site may have the option “plaintext allow”.`,
  gateway_without_app: ({ gateway, appID }) => `The gateway ${gateway} has no app with the provider webpush for the app_id ${appID}. Add one to the gateway, or correct appID in config.js.`,
  gateway_without_key: ({ gateway, appID }) => `The gateway ${gateway} has no key for browsers: it serves the app_id ${appID} with a provider other than webpush. Add an app with webpush to the gateway, or correct appID in config.js.`,
  not_a_gateway: ({ gateway, status }) => `The server at ${gateway} is not a Matrix push gateway (status ${status}). Correct gateway in config.js.`,
  gateway_unavailable: ({ error }) => `The gateway can’t deliver the push at the moment (${error || 'no reason given'}). It needs a connection to the browser’s push service. Its log names the cause. Try again in a minute.`,
  gateway_refused: ({ status, error }) => `The gateway refused the request (${status}): ${error}. The gateway’s log names the cause.`,
  rejected: () => 'The gateway rejects this subscription: the push service no longer knows it. Press “Turn off”, then “Turn on”.',
  no_push: () => 'The gateway took the push, but the browser has not received it yet. If the push service doesn’t answer, the gateway tries again later. Its log names the cause.',

  // the homeserver
  bad_server_name: () => 'That is not a server name. Enter a name such as example.org, or a URL that begins with https://.',
  plain_http: ({ server }) => `A token must not be sent to ${server} without encryption. Use a URL that begins with https://.`,
  bad_well_known: ({ server }) => `The file /.well-known/matrix/client of ${server} names no homeserver. Enter the homeserver’s own URL.`,
  not_a_homeserver: ({ server }) => `The server at ${server} is not a Matrix homeserver. Check the name, or enter the homeserver’s own URL.`,
  homeserver_unreachable: ({ server }) => `The homeserver ${server} does not answer, or does not let web pages use it. Check the name and your connection, then try again.`,
  homeserver_failed: ({ server, status }) => `The homeserver ${server} doesn’t work at the moment (status ${status}). Try again later.`,
  homeserver_refused: ({ errcode, error }) => `The homeserver refused the request (${errcode}): ${error}.`,
  still_signed_in: ({ server }) => `This browser has forgotten your session, but ${server} could not be asked to end it. End it in the settings of another client.`,
  pusher_left: ({ server }) => `Notifications are off, but ${server} could not be told. It deletes the pusher when the gateway rejects the next push.`,
  no_password_login: ({ server }) => `The homeserver ${server} has no login with a password. Sign in with an access token, which your client shows in its settings.`,
  M_UNKNOWN_TOKEN: () => 'The homeserver has ended your session. Sign in again. This browser stays subscribed.',
  M_MISSING_TOKEN: () => 'The homeserver has ended your session. Sign in again. This browser stays subscribed.',
  M_FORBIDDEN: ({ error }) => `The homeserver doesn’t allow that: ${error}. If you are signing in, check the user name and the password.`,
  M_USER_DEACTIVATED: () => 'This account is deactivated. Sign in with another account.',
  M_USER_LOCKED: () => 'This account is locked. Ask the homeserver’s administrator.',
  M_USER_SUSPENDED: () => 'This account is suspended. Ask the homeserver’s administrator.',
  M_INVALID_PARAM: ({ error }) => `The homeserver refuses a value: ${error}. If it refuses the pusher, check gateway and appID in config.js.`,
  M_MISSING_PARAM: ({ error }) => `The homeserver reports a missing value: ${error}. If it refuses the pusher, check gateway and appID in config.js.`,
  M_UNRECOGNIZED: ({ server }) => `The homeserver ${server} doesn’t know this request. It may be too old, or not a homeserver.`,
  M_CONSENT_NOT_GIVEN: () => 'The homeserver wants you to accept its terms first. Do that in another client, then try again.',
  M_RESOURCE_LIMIT_EXCEEDED: () => 'The homeserver has reached a limit. Ask its administrator.',
  M_LIMIT_EXCEEDED: ({ seconds }) => `The homeserver gets too many requests. Try again in ${seconds} seconds.`,

  unexpected: ({ error }) => `An unknown error happened (${error}). Reload the page.`,
}

/** Returns what to say about a trouble. */
export function sentence({ code, facts }) {
  return (sentences[code] ?? sentences.unexpected)({ error: code, ...facts })
}

/** The codes that have a sentence. */
export const known = Object.keys(sentences)
