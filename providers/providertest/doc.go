// Package providertest tests a provider of a push service, in this repository or in another one. An author uses it in this order:
//
//  1. Describe the provider in a [Suite] and give it to [Run], in a test that runs with -race. Begin with New, Rings, and the [Verdict]
//     of a push that was delivered. What fails then says what is missing or wrong.
//  2. Add a [Verdict] for every answer that the push service documents. Then add Unusable, Usable and Secrets.
//  3. Check each request as the real push service does, and refuse what it refuses: in the suite's Wrap. For Web Push and UnifiedPush,
//     [PushService] checks them.
//  4. Test what only this provider does, such as its options and its messages, with a [TLSServer]. The provider gets its URL as the option
//     endpoint, and its CAFile as trusted_ca. An [Answer] can be its handler.
//
// Test a provider that sends to browsers' push services or to UnifiedPush servers with their [RecordedAnswers] as well.
//
// The suite reports a panic, and a Push that never returns: a bad provider fails tests, and neither ends nor hangs them. The suite may get
// stricter in any version. It then finds faults that were there before.
package providertest
