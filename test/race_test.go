//go:build race

package test

// raced tells that the tests are built with the race detector; the verbs are then, too.
const raced = true
