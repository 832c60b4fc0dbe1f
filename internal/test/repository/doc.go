// Package repository holds the tests of what the repository says and ships beside its code: pages, examples, lists and licences.
package repository
