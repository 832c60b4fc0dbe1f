// Package apnstest is a fake of Apple's push service for tests. It verifies each push as Apple documents it, and answers as Apple does.
package apnstest
