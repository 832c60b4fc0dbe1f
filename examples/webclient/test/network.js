// A network for the tests: it answers as they say, and records what is requested.

import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto // Node 18 has it only there

/** Answers requests with what `routes` has for their method and URL, until the test has ended. Anything else can't be reached. */
export function network(t, routes) {
  const requests = []
  t.mock.method(globalThis, 'fetch', async (url, options) => {
    requests.push({ url: String(url), ...options, body: options.body && JSON.parse(options.body) })
    const route = routes[`${options.method} ${url}`]
    const next = Array.isArray(route) ? route.shift() : route
    if (!next) throw new TypeError('NetworkError')
    const { status = 200, body, headers } = next
    return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers })
  })
  return requests
}
