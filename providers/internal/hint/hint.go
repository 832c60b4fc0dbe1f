// Package hint makes the errors of a provider's Check.
package hint

import (
	"fmt"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Error returns an error with the reason of an outcome, the push service's word for it, its error, and what the operator can do about it.
// It wraps [providers.ErrUnreachable] if the push service gave no answer.
func Error(o providers.Outcome, hint string) error {
	reason := o.Reason
	if o.Word != "" {
		reason += " (" + o.Word + ")"
	}
	err := fmt.Errorf("%s: %s", reason, hint)
	if o.Err != nil {
		err = fmt.Errorf("%s: %w: %s", reason, o.Err, hint)
	}
	if o.Kind == providers.KindRetry && o.Cause == providers.CauseNetwork && o.Word == "" {
		return fmt.Errorf("%w: %w", providers.ErrUnreachable, err)
	}
	return err
}
