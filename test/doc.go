// Package test tests the built verbs and scripts from outside, as their users call
// them: the scripts in testdata/scripts, the docs, and what happens under faults.
// It imports no package of pipex but [pipex/test/proxy], which breaks calls of containerd:
// each call that a verb makes is broken in each way, see TestFaultAtEachRPC.
//
// What tests share is made by the first that asks for it: [binaries] by verbs,
// the containerd and its image by daemon. A script gets a containerd if its text
// holds one of the words image, containerd, examples, ctr, owned, discard or prune. Any other
// script gets an address where nothing listens, so that one which needs a containerd
// all the same fails, and does not find the machine's.
//
// Everything is below one temporary directory, which is $TMPDIR for the tests. The
// program cleanup, in a session of its own, holds a pipe to the test process. When
// the pipe closes, because the tests have ended, panicked or were killed, it stops
// every containerd in that directory and removes it.
//
// Tests see PATH, HOME, Go's variables, PIPEX_FAULTS and PIPEX_INSTRUCTIONS of the caller's
// environment, and nothing else.
package test
