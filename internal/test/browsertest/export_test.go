package browsertest

import "time"

// Impatient makes everything that fails do so within two seconds, until the function that it returns is called.
func (b *Browser) Impatient() (patient func()) {
	b.patience = 2 * time.Second
	return func() { b.patience = patience }
}
