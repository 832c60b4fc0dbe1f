// Package hint makes the errors of a provider's Check.
package hint

import (
	"fmt"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Error returns an error with the reason of an outcome, the push service's word for it, its error, and what the operator can do about it.
func Error(o providers.Outcome, hint string) error {
	reason := o.Reason
	if o.Word != "" {
		reason += " (" + o.Word + ")"
	}
	if o.Err != nil {
		return fmt.Errorf("%s: %w: %s", reason, o.Err, hint)
	}
	return fmt.Errorf("%s: %s", reason, hint)
}
