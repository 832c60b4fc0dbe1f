// Package repository tests what the repository has besides code: pages, examples, lists and licences.
package repository
