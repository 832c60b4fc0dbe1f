// Package webclient tests the files of examples/webclient, without a browser: its modules with Node, and its page by reading it.
package webclient
