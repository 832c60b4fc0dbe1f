// Requests that send and get JSON, with a time limit.

/** How long to wait for an answer. The gateway answers within 26 s at the latest. */
export const patience = 40_000

/** Unreachable means that no answer came: no network, a wrong name, a refused connection, or an answer that the browser may not read. */
export class Unreachable extends Error {
  /** @param {'network' | 'timeout'} reason */
  constructor(reason) {
    super(`no answer: ${reason}`)
    this.reason = reason
  }
}

/**
 * Sends a request. It carries no cookies, and doesn't name this page. It follows no redirect unless `redirect` is 'follow', because the
 * request may contain a token.
 *
 * @param {string} url
 * @param {{method?: string, token?: string, body?: object, redirect?: RequestRedirect}} [options]
 * @returns {Promise<{status: number, body: any, retryAfter: number}>} body is undefined if the answer isn't JSON; retryAfter is in seconds
 */
export async function request(url, { method = 'GET', token, body, redirect = 'error' } = {}) {
  const headers = {}
  if (token) headers.Authorization = `Bearer ${token}`
  if (body) headers['Content-Type'] = 'application/json'
  try {
    const answer = await fetch(url, {
      method, headers, redirect, body: body && JSON.stringify(body), credentials: 'omit', cache: 'no-store',
      referrerPolicy: 'no-referrer', signal: AbortSignal.timeout(patience),
    })
    const text = await answer.text()
    return { status: answer.status, body: parse(text), retryAfter: Number(answer.headers.get('Retry-After')) || 0 }
  } catch (error) {
    throw new Unreachable(error.name === 'TimeoutError' ? 'timeout' : 'network')
  }
}

/** Returns the value of a JSON text, or undefined. */
export function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
