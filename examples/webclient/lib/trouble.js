// What can go wrong. Each trouble has a code; page/sentences.js says what to do about each.

/** Trouble is an error that the user can read about. */
export class Trouble extends Error {
  /**
   * @param {string} code one of the codes in page/sentences.js
   * @param {Record<string, string | number>} [facts] what the sentence names. Never a token, a pushkey or an endpoint.
   */
  constructor(code, facts = {}) {
    super(code)
    this.code = code
    this.facts = facts
  }
}

/** Returns the trouble for any error. */
export function asTrouble(error) {
  return error instanceof Trouble ? error : new Trouble('unexpected', { error: String(error?.name ?? error) })
}
