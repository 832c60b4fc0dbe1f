// Package providertest tests a provider, in this repository or in another one. Use it in this order:
//
//  1. Describe the provider in a [Suite] and pass it to [Run], in a test that runs with -race. Begin with New, Rings, and the [Verdict]
//     of a push that was delivered. The failures then show what is missing or wrong.
//  2. Add a [Verdict] for every answer that the push service documents. Then add Unusable, Usable and Secrets.
//  3. In the suite's Wrap, check each request as the real push service does, and refuse what it refuses. For Web Push and UnifiedPush,
//     [PushService] checks them.
//  4. Use a [TLSServer] to test what only this provider does, such as its options and its messages. The provider gets its URL as the
//     option endpoint, and its CAFile as trusted_ca. An [Answer] can be its handler.
//
// If a provider sends to browsers' push services or to UnifiedPush servers, also test it with their [RecordedAnswers].
//
// The suite reports a panic, and a Push that never returns: a bad provider fails tests, but neither ends nor hangs the test binary. The
// suite may become stricter in any version. It then finds faults that were already there.
package providertest
