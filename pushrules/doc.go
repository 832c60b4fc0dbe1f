// Package pushrules evaluates Matrix push rules and shows why an event notifies a user, or why it doesn't.
//
// [Parse] reads a ruleset as homeservers serve it, and [Defaults] returns the default rules of a version of the specification. [Evaluate]
// tries the rules in order. Its [Result] lists each rule that it tried, each condition, whether the condition holds, and the value in the
// event.
//
// Homeservers don't all follow the specification. So an evaluation has a [Reading]: what the specification says, or what Synapse does.
// [Compare] evaluates both, and names the difference that decides.
//
// Unknown kinds, conditions, actions and members are kept and shown. They are never an error. Rules are user input, and can be hostile. The
// time to match a pattern is at most proportional to the pattern's length times the value's length. No input causes a panic.
package pushrules
